use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind};
use tamarack_model::{Code, ComponentId, Protocol};

use crate::codec;
use crate::codec::end;

/// Scheme of the address of an [`Action::Fetch`] for the content that an app brought along ([`crate::Request::OfferBundle`]).
pub const BUNDLE_SCHEME: &str = "bundle:";

/// What the TEE wants the Broker to do, or to tell the apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// POST nothing to the TAM, to begin an exchange.
    Connect {
        /// The TAM.
        tam_uri: String,
        /// Which of its protocols.
        protocol: Protocol,
    },
    /// POST a message to the TAM.
    Send {
        /// The TAM.
        tam_uri: String,
        /// Which of its protocols.
        protocol: Protocol,
        /// The signed message.
        message: Vec<u8>,
    },
    /// GET a payload and hand it over in chunks.
    Fetch {
        /// Number of the fetch.
        id: u64,
        /// Where it is.
        uri: String,
        /// Most bytes that are wanted, if that is known.
        max_size: Option<u64>,
    },
    /// Stop a fetch; what still comes is not wanted.
    CancelFetch {
        /// Number of the fetch.
        id: u64,
    },
    /// How far a component is.
    Progress {
        /// The component that an app asked for.
        component: ComponentId,
        /// Where it stands.
        state: TaState,
        /// Bytes received so far, while downloading.
        received: u64,
        /// Bytes to receive in all, if that is known.
        total: Option<u64>,
    },
    /// The exchange is over.
    Finished {
        /// None if all went well.
        failure: Option<Failure>,
    },
}

/// What an app sees of a component that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaState {
    /// Asked for; the TAM has not decided.
    Pending,
    /// Its payload is on the way.
    Downloading,
    /// It is being checked and installed.
    Installing,
    /// It can be used.
    Installed,
    /// It cannot be had now.
    Failed,
    /// It waits for the consent of the device's owner.
    Deferred,
    /// The device's owner denies it.
    Denied,
}

impl TaState {
    /// Name as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Downloading => "DOWNLOADING",
            Self::Installing => "INSTALLING",
            Self::Installed => "INSTALLED",
            Self::Failed => "FAILED",
            Self::Deferred => "DEFERRED",
            Self::Denied => "REFUSED BY OWNER",
        }
    }
}

impl fmt::Display for TaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// A sentence.
    pub text: String,
}

impl Failure {
    /// A failure with this code; the text says what happened.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl core::error::Error for Failure {}

pub(crate) fn put_failure(e: &mut Encoder, failure: &Failure) {
    e.array(2).uint(failure.code.0.into()).text(&failure.text);
}

pub(crate) fn failure(d: &mut Decoder<'_>) -> Result<Failure, Error> {
    d.array_of(2, "code and text")?;
    Ok(Failure { code: codec::code(d)?, text: codec::string(d)? })
}

impl Action {
    pub(crate) fn encode(&self, e: &mut Encoder) {
        let size = |e: &mut Encoder, n: u64| end(e.uint(n));
        match self {
            Self::Connect { tam_uri, protocol } => {
                codec::put_protocol(e.array(3).uint(1).text(tam_uri), *protocol);
            }
            Self::Send { tam_uri, protocol, message } => {
                codec::put_protocol(e.array(4).uint(2).text(tam_uri), *protocol);
                e.bytes(message);
            }
            Self::Fetch { id, uri, max_size } => {
                codec::put_optional(e.array(4).uint(3).uint(*id).text(uri), *max_size, size);
            }
            Self::CancelFetch { id } => end(e.array(2).uint(4).uint(*id)),
            Self::Progress { component, state, received, total } => {
                codec::put_component(e.array(5).uint(5), component);
                codec::put_optional(e.uint(*state as u64).uint(*received), *total, size);
            }
            Self::Finished { failure } => {
                codec::put_optional(e.array(2).uint(6), failure.as_ref(), put_failure);
            }
        }
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let at = d.position();
        let count = d.array()?;
        match (d.uint()?, count) {
            (1, 3) => Ok(Self::Connect { tam_uri: codec::string(d)?, protocol: codec::protocol(d)? }),
            (2, 4) => Ok(Self::Send {
                tam_uri: codec::string(d)?,
                protocol: codec::protocol(d)?,
                message: d.bytes()?.to_vec(),
            }),
            (3, 4) => Ok(Self::Fetch {
                id: d.uint()?,
                uri: codec::string(d)?,
                max_size: codec::optional(d, Decoder::uint)?,
            }),
            (4, 2) => Ok(Self::CancelFetch { id: d.uint()? }),
            (5, 5) => Ok(Self::Progress {
                component: codec::component(d)?,
                state: state(d)?,
                received: d.uint()?,
                total: codec::optional(d, Decoder::uint)?,
            }),
            (6, 2) => Ok(Self::Finished { failure: codec::optional(d, failure)? }),
            _ => Err(Error::new(at, ErrorKind::Value("an action of a known kind"))),
        }
    }
}

fn state(d: &mut Decoder<'_>) -> Result<TaState, Error> {
    let at = d.position();
    match d.uint()? {
        0 => Ok(TaState::Pending),
        1 => Ok(TaState::Downloading),
        2 => Ok(TaState::Installing),
        3 => Ok(TaState::Installed),
        4 => Ok(TaState::Failed),
        5 => Ok(TaState::Deferred),
        6 => Ok(TaState::Denied),
        _ => Err(Error::new(at, ErrorKind::Value("a state from 0 to 6"))),
    }
}
