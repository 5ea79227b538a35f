use alloc::string::{String, ToString};

use x509_cert::ext::pkix::name::GeneralName;

/// A subject alternative name by which a principal can be known (security rule K2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A URI, compared as text.
    Uri(String),
    /// An object identifier (`registeredID`) in dotted decimal, as OTrP's `tamid`.
    RegisteredId(String),
    /// A DNS name, compared as text.
    Dns(String),
}

/// The type of a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// [`Name::Uri`].
    Uri,
    /// [`Name::RegisteredId`].
    RegisteredId,
    /// [`Name::Dns`].
    Dns,
}

impl Name {
    /// A name of this type and text.
    pub fn new(kind: NameKind, text: impl Into<String>) -> Self {
        match kind {
            NameKind::Uri => Self::Uri(text.into()),
            NameKind::RegisteredId => Self::RegisteredId(text.into()),
            NameKind::Dns => Self::Dns(text.into()),
        }
    }

    /// Its type.
    pub fn kind(&self) -> NameKind {
        match self {
            Self::Uri(_) => NameKind::Uri,
            Self::RegisteredId(_) => NameKind::RegisteredId,
            Self::Dns(_) => NameKind::Dns,
        }
    }

    /// Its text.
    pub fn text(&self) -> &str {
        match self {
            Self::Uri(text) | Self::RegisteredId(text) | Self::Dns(text) => text,
        }
    }

    pub(crate) fn from_general(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(Self::Uri(uri.as_str().into())),
            GeneralName::RegisteredId(oid) => Some(Self::RegisteredId(oid.to_string())),
            GeneralName::DnsName(name) => Some(Self::Dns(name.as_str().into())),
            GeneralName::OtherName(_)
            | GeneralName::Rfc822Name(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::IpAddress(_) => None,
        }
    }
}

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}
