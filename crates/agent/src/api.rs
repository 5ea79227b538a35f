use alloc::string::String;
use alloc::vec::Vec;

use tamarack_model::{ComponentId, Outcome, OwnerId, Protocol, Sha256Digest};
use tamarack_tee::StateRoot;

use crate::domains::DomainStatus;
use crate::engine::Effect;
use crate::ta::peripheral::Peripheral;
use crate::trust::{AnchorState, SignerAnchor, TamAnchor};

/// What happens to the Agent: the five conceptual interfaces of RFC 9397 section 6.2.1, and payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An application needs `component`.
    RequestTa {
        /// The TA, by component id or manifest component id.
        component: ComponentId,
        /// The TAM to ask; by default one whose scope covers the component.
        tam_uri: Option<String>,
    },
    /// An application needs `component` in this version or a newer one, and may have brought it along.
    EnsureTa {
        /// The TA, by component id or manifest component id.
        component: ComponentId,
        /// The TAM to ask; by default one whose scope covers the component.
        tam_uri: Option<String>,
        /// Lowest sequence number of its manifest that will do.
        minimum: Option<u64>,
        /// Whether the Broker has its content: if a TAM grants it, [`Output::Fetch`] asks for it under [`BUNDLE_SCHEME`].
        bundled: bool,
    },
    /// An application does not need `component` any more.
    UnrequestTa {
        /// The TA, by component id or manifest component id.
        component: ComponentId,
    },
    /// A TAM sent this in TEEP.
    ProcessTeepMessage(Vec<u8>),
    /// A TAM sent this in OTrP.
    ProcessOtrpMessage(Vec<u8>),
    /// It is time to ask the TAMs for news. Each call is for one of them, in turn.
    RequestPolicyCheck,
    /// The Broker could not reach the TAM.
    ProcessError,
    /// A part of a payload that was asked for by [`Output::Fetch`].
    Chunk {
        /// Which fetch.
        fetch: u64,
        /// The bytes that come next.
        data: Vec<u8>,
        /// Whether these were the last ones.
        last: bool,
    },
    /// A payload cannot be had.
    FetchFailed {
        /// Which fetch.
        fetch: u64,
    },
}

/// Scheme of the address by which the content of a component is asked of the Broker that said it has it: the component's id
/// in its text form follows.
pub const BUNDLE_SCHEME: &str = "bundle:";

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to this TAM (an empty POST) and hand over what it answers.
    Connect {
        /// Its address.
        tam_uri: String,
        /// Which of its protocols.
        protocol: Protocol,
    },
    /// Send this to the TAM and hand over what it answers.
    Transmit {
        /// Its address.
        tam_uri: String,
        /// Which of its protocols.
        protocol: Protocol,
        /// A signed message of that protocol.
        message: Vec<u8>,
    },
    /// Bring this payload, in chunks.
    Fetch {
        /// Number to name the chunks by.
        fetch: u64,
        /// Where it is.
        uri: String,
        /// Most bytes that will be taken, if the manifest says.
        max_size: Option<u64>,
    },
    /// Something happened that people may want to see.
    Progress(Progress),
    /// What was begun has come to its end.
    Finished(Finished),
}

/// News.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A TAM of this device asked, and was answered, with Evidence if it wanted that.
    Answered {
        /// Whether Evidence went out.
        attested: bool,
    },
    /// An Update or a command changed something; it is durable.
    Changed(Effect),
    /// The device's owner changed the rules; it is durable.
    OwnerOrder {
        /// How many orders changed something so far.
        sequence: u64,
        /// How many changes this one made.
        changes: usize,
    },
    /// A TAM whose anchor allows the draft's plain form of OTrP spoke in it.
    Tolerated {
        /// Its Owner id.
        owner: OwnerId,
        /// What was tolerated beyond the plain form, by name.
        tolerated: Vec<String>,
    },
    /// A TA logged a line.
    TaLog {
        /// Its manifest component id.
        manifest: ComponentId,
        /// The line.
        line: String,
    },
}

/// The end of an exchange, or of a request that needed none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What came of it.
    pub outcome: Outcome,
    /// The same in words, empty if there is nothing to add.
    pub detail: String,
}

/// What a device is enrolled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The TAMs that it obeys, at least one.
    pub tams: Vec<TamAnchor>,
    /// The signers whose manifests it runs.
    pub signers: Vec<SignerAnchor>,
    /// Its peripherals and the TAs that command them.
    pub peripherals: Vec<Peripheral>,
    /// The only key that can change the anchors afterwards (security rule R8).
    pub device_authority: Option<tamarack_crypto::PublicKey>,
    /// The key of its owner, whose rules hold besides the anchors; without one everything that the anchors allow goes.
    pub device_owner: Option<tamarack_crypto::PublicKey>,
}

/// What there is on a device, for the person who owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Epoch and digest of the state.
    pub state: StateRoot,
    /// Number of the last change of the trust anchors.
    pub trust_store_sequence: u64,
    /// TAMs: Owner id, address, and what the anchor is good for.
    pub tams: Vec<(OwnerId, Option<String>, AnchorState)>,
    /// What is installed.
    pub components: Vec<ComponentStatus>,
    /// Security Domains, also those that only what is installed implies.
    pub domains: Vec<DomainStatus>,
    /// Peripherals and their positions.
    pub peripherals: Vec<(String, Vec<u8>)>,
    /// Number of open sessions.
    pub sessions: usize,
}

/// An installed component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentStatus {
    /// Through which TAM it came.
    pub owner: OwnerId,
    /// Its component id.
    pub component: ComponentId,
    /// The manifest that owns it.
    pub manifest: ComponentId,
    /// Sequence number of that manifest.
    pub sequence: u64,
    /// SHA-256 of its content.
    pub digest: Sha256Digest,
    /// Size of its content in bytes.
    pub size: u64,
    /// The service provider that signed it.
    pub provider: String,
    /// Whether the device's owner denies it, so that it does not run.
    pub stopped: bool,
}
