use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Code, ComponentId, Sha256Digest, codes};

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
    /// Make a Security Domain; one that only its components imply becomes one of its own.
    EnsureDomain {
        /// Its name, which becomes segment 0 of the ids in it.
        name: String,
        /// The service provider that it is for.
        provider: String,
        /// Certificates whose keys may sign what is installed in it, DER.
        signers: Vec<Vec<u8>>,
    },
    /// Change a Security Domain; all of it or nothing.
    UpdateDomain {
        /// Its name now.
        name: String,
        /// What changes.
        changes: DomainChanges,
    },
    /// Remove a Security Domain.
    DropDomain {
        /// Its name.
        name: String,
        /// Whether what is installed in it goes too; otherwise it must be empty.
        components: bool,
    },
    /// Give a TA its personalization data.
    Personalize {
        /// Manifest component id of the TA.
        manifest: ComponentId,
        /// What the TA will read.
        data: Vec<u8>,
    },
    /// Replace the key that the device has for a service provider.
    RotateKey {
        /// The service provider.
        provider: String,
    },
}

/// What changes about a Security Domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainChanges {
    /// Its name from now on; the ids of what is in it stay.
    pub name: Option<String>,
    /// Its service provider from now on.
    pub provider: Option<String>,
    /// Certificates that are added to its signers, DER.
    pub add_signers: Vec<Vec<u8>>,
    /// Signers that go, by the digest of their certificate.
    pub remove_signers: Vec<Sha256Digest>,
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
    /// What the device's owner withholds of what this Owner has or wants there.
    pub held_back: Vec<HeldBack>,
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
    /// The device's owner denies something of it, which is not a failure of anybody; whatever else was asked for is done.
    RefusedByOwner,
    /// Something of it waits for the consent of the device's owner; whatever else was asked for is done.
    Deferred,
}

/// What a device does not install or run because its owner does not let it: one entry of what it tells the Owner concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Manifest component id, or the id of a component that an application asks for.
    pub id: ComponentId,
    /// Why.
    pub why: OwnerSays,
    /// The version that was withheld, if it is about one version.
    pub sequence: Option<u64>,
}

/// What a device's owner says about something that a TAM wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerSays {
    /// Not without being asked: it waits.
    Deferred,
    /// No.
    Refused,
}

impl OwnerSays {
    /// The stable code.
    pub fn code(self) -> Code {
        match self {
            Self::Deferred => codes::OWNER_DEFERRED,
            Self::Refused => codes::OWNER_REFUSED,
        }
    }

    /// Reads what [`OwnerSays::code`] gives; None for every other code.
    pub fn of(code: Code) -> Option<Self> {
        [Self::Deferred, Self::Refused].into_iter().find(|says| says.code() == code)
    }

    /// Its name in interfaces and storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Refused => "refused by owner",
        }
    }

    /// Reads what [`OwnerSays::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deferred, Self::Refused].into_iter().find(|says| says.as_str() == text)
    }

    /// Number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::Refused => 1,
            Self::Deferred => 2,
        }
    }

    /// Reads what [`OwnerSays::number`] gives.
    pub fn of_number(number: u64) -> Option<Self> {
        [Self::Deferred, Self::Refused].into_iter().find(|says| says.number() == number)
    }
}
