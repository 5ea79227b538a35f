use alloc::vec::Vec;
use core::fmt;

use crate::{Code, ComponentId, Sha256Digest};

/// A protocol that a TAM and a device can speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// draft-ietf-teep-protocol-26: CBOR, COSE and SUIT.
    #[default]
    Teep,
    /// draft-ietf-teep-opentrustprotocol-03: JSON and JOSE.
    Otrp,
}

impl Protocol {
    /// Name as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teep => "teep",
            Self::Otrp => "otrp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a TAM wants of a device, in terms that neither protocol owns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Intent {
    /// Process this SUIT envelope: install or update what it names.
    Install {
        /// The encoded SUIT_Envelope.
        envelope: Vec<u8>,
    },
    /// Unlink the manifest of this id and uninstall it when nothing refers to it any more.
    Remove {
        /// Manifest component id.
        manifest: ComponentId,
    },
}

/// A component or manifest that a device reports to hold (system-property-claims of a tc-list).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcEntry {
    /// Component id; for a manifest its manifest component id.
    pub id: ComponentId,
    /// Digest of the content; for a manifest the digest of its authentication wrapper's element 0.
    pub digest: Option<Sha256Digest>,
    /// Size of the content in bytes.
    pub size: Option<u64>,
}

/// What one Owner may see of a device, as the device last reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Components and manifests held.
    pub held: Vec<TcEntry>,
    /// Components that applications on the device ask for, with the lowest acceptable sequence number if they gave one.
    pub requested: Vec<(ComponentId, Option<u64>)>,
    /// Manifests that no application on the device needs any more.
    pub unneeded: Vec<ComponentId>,
}

/// What came of one transaction on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything asked for was done and is durable.
    Done,
    /// The device already was in that state.
    Unchanged,
    /// Nothing was changed, for this reason.
    Refused(Code),
}
