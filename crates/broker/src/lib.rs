//! The TEEP and OTrP Broker, and the library by which normal apps reach it.
//!
//! The Broker runs in the rich OS. It owns the channel to the TEE, carries TEEP and OTrP messages between TEE and TAM over HTTP
//! (draft-ietf-teep-otrp-over-http-15), fetches payloads for the TEE, and serves normal apps on a Unix socket. It holds
//! no key and sees no TA's data: it can drop, delay, replay and misroute what it carries, and alter nothing undetected.
//!
//! | part | what |
//! |---|---|
//! | [`package`] | app packages, which say what TAs an app needs and may bring them along |
//! | [`Client`] | what a normal app calls: request a TA, open a session, invoke, unrequest |
//! | [`Broker`] | drives exchanges: RequestTA, UnrequestTA, RequestPolicyCheck, ProcessOTrPMessage, payloads |
//! | [`AppFlow`] | an app that carries OTrP messages itself, and knows its TA by keys that its TAM vouches for |
//! | [`Server`] | the socket of the apps |
//! | [`TamClient`] | TEEP and OTrP over HTTP |
//! | [`TeeChannel`] | the TEE's end of a socketpair |
#![forbid(unsafe_code)]

mod channel;
mod client;
mod drive;
mod ensure;
mod http;
mod otrp;
pub mod package;
mod rate;
mod server;

pub use channel::TeeChannel;
pub use client::{Announced, Client, Progress, Returned};
pub use drive::{Broker, Direction, Exchange, MAX_ROUNDS, Relay};
pub use ensure::Ensured;
pub use http::{AppAnswer, HttpError, HttpOptions, TamClient};
pub use otrp::{Aiks, AppFlow, AppTa, Processed, Proven, Talked, TamTrust};
pub use server::{SOCKET_NAME, Server, admits};
pub use tamarack_channel::{Failure, Installed, Status, TaState, Target};

use std::{fmt, io};

use tamarack_model::{Code, codes};

/// Why the Broker or a client of it could not do something.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The TEE, the Agent or the TAM refused or failed.
    Failed(Failure),
    /// The exchange with the TAM failed.
    Http(HttpError),
    /// The channel, or the socket, is broken.
    Io(io::Error),
    /// What came over the channel is not a message of ours.
    Channel(tamarack_channel::Error),
    /// An answer of another kind than the request asks for.
    Unexpected,
    /// What came as OTrP is none, or does not hold.
    Otrp(tamarack_otrp::Error),
}

impl Error {
    /// A TAM and an Agent that never end.
    pub(crate) fn endless() -> Self {
        let text = format!("the exchange did not end after {MAX_ROUNDS} messages");
        Self::Failed(Failure::new(codes::TEEP_UNEXPECTED, text))
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Failed(failure) => failure.code,
            Self::Http(error) => error.code(),
            Self::Io(_) | Self::Channel(_) | Self::Unexpected => codes::TEE_CHANNEL,
            Self::Otrp(error) => error.code(),
        }
    }

    /// The same as it is told to an app.
    pub fn to_failure(&self) -> Failure {
        match self {
            Self::Failed(failure) => failure.clone(),
            other => Failure::new(other.code(), other.to_string()),
        }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<tamarack_channel::Error> for Error {
    fn from(error: tamarack_channel::Error) -> Self {
        Self::Channel(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => f.write_str(&failure.text),
            Self::Http(error) => error.fmt(f),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::Channel(error) => write!(f, "the other end sent {error}"),
            Self::Otrp(error) => error.fmt(f),
            Self::Unexpected => f.write_str("the other end answered something else than was asked"),
        }
    }
}

// Display says it all, so there is no source to print a second time.
impl std::error::Error for Error {}
