use alloc::string::String;
use core::fmt;

use tamarack_model::{Code, codes};
use tamarack_tee::TaError;

/// Why the Agent could not do what its driver asked. What is wrong with a *message* is not here: that is answered on the
/// wire and told by [`crate::Output::Finished`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The platform failed.
    Platform(tamarack_tee::Error),
    /// A record in sealed storage cannot be read; which.
    Corrupt(&'static str),
    /// A provider or a key of the device failed.
    Crypto(tamarack_crypto::Error),
    /// A message could not be signed.
    Signing,
    /// Evidence could not be encrypted to the key that the TAM named.
    Encryption,
    /// An Update is being processed; it comes to its end first.
    Busy,
    /// The device was enrolled before (security rule R8).
    AlreadyEnrolled,
    /// The device was not enrolled yet.
    NotEnrolled,
    /// What the device is to be enrolled with contradicts itself; how.
    Seed(&'static str),
    /// A change of the trust anchors is not signed by the device authority, or not the next one; why.
    Authority(&'static str),
    /// An order of the device's owner is not accepted; why.
    Owner(String),
    /// The device has no owner.
    NoOwner,
    /// The device's owner denies it; what.
    DeniedByOwner(String),
    /// The rules of the device's owner changed while an Update or a command was carried out.
    OwnerChanged,
    /// No TAM is known for this request.
    NoTam,
    /// The chunk belongs to no payload that is being fetched.
    NoFetch(u64),
    /// No TA of this name is installed, or several are and the caller is bound to none.
    NoTa,
    /// No such session, or it was closed because its TA was updated, removed or stopped.
    NoSession,
    /// The TA may not start (security rule L1); why.
    Unauthorised(String),
    /// Too many sessions are open.
    TooManySessions,
    /// An intent that the engine does not know.
    Intent,
    /// The platform does not speak OTrP, or has no certificate for it yet.
    NoOtrp,
    /// What an application asks is no TAQuery; the code says why.
    Query(Code),
    /// The call into the TA gave no result.
    Ta(TaError),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Platform(e) => e.code(),
            Self::Corrupt(_) => codes::TEE_STORAGE,
            Self::Crypto(_) | Self::Signing | Self::Encryption | Self::Intent => codes::INTERNAL,
            Self::Busy => codes::DEVICE_BUSY,
            Self::AlreadyEnrolled | Self::NotEnrolled | Self::Seed(_) | Self::NoOtrp => codes::CONFIG_INVALID,
            Self::Authority(_) => codes::COSE_KEY_UNKNOWN,
            Self::Owner(_) => codes::OWNER_ORDER,
            Self::NoOwner => codes::OWNER_NONE,
            Self::DeniedByOwner(_) => codes::OWNER_REFUSED,
            Self::OwnerChanged => codes::DEVICE_BUSY,
            Self::NoTam => codes::TAM_NOT_TRUSTED,
            Self::NoFetch(_) => codes::TEEP_UNEXPECTED,
            Self::NoTa | Self::NoSession => codes::TA_NOT_FOUND,
            Self::Unauthorised(_) => codes::TA_UNAUTHORISED,
            Self::TooManySessions => codes::TA_QUOTA,
            Self::Ta(e) => e.code(),
            Self::Query(code) => *code,
        }
    }
}

impl From<tamarack_tee::Error> for Error {
    fn from(e: tamarack_tee::Error) -> Self {
        Self::Platform(e)
    }
}

impl From<tamarack_crypto::Error> for Error {
    fn from(e: tamarack_crypto::Error) -> Self {
        Self::Crypto(e)
    }
}

impl From<TaError> for Error {
    fn from(e: TaError) -> Self {
        Self::Ta(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform(e) => e.fmt(f),
            Self::Corrupt(what) => write!(f, "sealed storage holds a {what} that cannot be read"),
            Self::Crypto(e) => e.fmt(f),
            Self::Signing => f.write_str("a message could not be signed"),
            Self::Encryption => f.write_str("Evidence could not be encrypted to the TAM's key"),
            Self::Busy => f.write_str("an Update is being processed"),
            Self::AlreadyEnrolled => f.write_str("the device was enrolled before"),
            Self::NotEnrolled => f.write_str("the device was not enrolled yet"),
            Self::Seed(why) => write!(f, "the enrolment contradicts itself: {why}"),
            Self::Authority(why) => write!(f, "the change of trust anchors is refused: {why}"),
            Self::Owner(why) => write!(f, "the owner's order is refused: {why}"),
            Self::NoOwner => f.write_str("the device has no owner"),
            Self::DeniedByOwner(what) => write!(f, "the device's owner denies {what}"),
            Self::OwnerChanged => f.write_str("the rules of the device's owner changed meanwhile; try again"),
            Self::NoTam => f.write_str("no TAM is known for this request"),
            Self::NoFetch(id) => write!(f, "no payload with the number {id} is being fetched"),
            Self::NoTa => f.write_str("no such TA is installed"),
            Self::NoSession => f.write_str("no such session, or it was closed"),
            Self::Unauthorised(why) => write!(f, "the TA may not start: {why}"),
            Self::TooManySessions => f.write_str("too many sessions are open"),
            Self::NoOtrp => f.write_str("the device does not speak OTrP, or its key is not certified yet"),
            Self::Query(code) => write!(f, "{code}: not a TAQuery"),
            Self::Intent => f.write_str("an intent that the engine does not know"),
            Self::Ta(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for Error {}
