//! Entity Attestation Tokens (RFC 9711) as Tamarack uses them: the claims, the TEEP profile of
//! draft-ietf-teep-protocol-26 section 4.3.1 and following, and CWTs signed with COSE_Sign1.
//!
//! | item | what it is |
//! |---|---|
//! | [`Claims`] | the claims that Tamarack reads; others are stepped over |
//! | [`TeepClaims`] | claims of which the TEEP profile's required ones are known to be there |
//! | [`Token`] | a CWT as it arrived; [`Token::verify`] gives [`Claims`] with proof |
//! | [`sign`] | the other direction |
//! | [`PlatformClaims`] | our private claim about a TEE |
//! | [`TpmQuote`] | the quote of a TPM in the submodule `tpm` |
//! | [`ear`] | Attestation Results: what a verifier says about Evidence |
//! | [`MeasuredTa`] | a TA among the measurements of a device |
//! | [`TaClaims`] | what a TA proves of itself, in a submodule of Evidence of its own |
//!
//! Reading is strict CBOR throughout: definite lengths and shortest encodings, as the TEEP profile asks. Detached
//! bundles (tag 602) and unsigned tokens (tag 601) are not read. Submodules are kept as the bytes that they are; a profile
//! that has some is a module beside these.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod claims;
mod confirmation;
pub mod ear;
mod manifest;
mod measured;
mod platform;
mod ta;
mod teep;
mod token;
mod tpm;

pub use claims::{Claims, DebugStatus, HardwareVersion, OemId, Profile, label};
pub use confirmation::Confirmation;
pub use manifest::{Manifest, SuitDigest};
pub use measured::{HashName, MeasuredComponent, MeasuredTa, MeasuredValue, Measurement, NoTa};
pub use platform::{LAYERS, PlatformClaims, layer};
pub use ta::{TaClaims, TaEvidenceError, TaIdentity, as_requested};
pub use teep::{TeepClaims, TeepError};
pub use token::{Error, Token, sign};
pub use tpm::{LAUNCHER_PCR, TpmQuote, decode_pcrs, encode_pcrs};

/// CBOR tag of a CWT.
pub const TAG_CWT: u64 = 61;
/// CBOR tag of a SUIT_Reference (draft-ietf-suit-report).
pub const TAG_SUIT_REFERENCE: u64 = 286;
/// The media type of a CWT that is an EAT.
pub const MEDIA_TYPE: &str = "application/eat+cwt";
/// eat_profile of the software TEE's Evidence.
pub const SOFTWARE_TEE_PROFILE: &str = "urn:x-tamarack:eat:software-tee:1";
/// attestation-payload-format of the software TEE's Evidence (security rule E2). It is never left out, because an absent
/// format means an Attestation Result.
pub const SOFTWARE_TEE_FORMAT: &str =
    "application/eat+cwt; eat_profile=\"urn:x-tamarack:eat:software-tee:1\"";
/// eat_profile of the Evidence of a TA: the claims of its platform around those of the TA, for whoever the TA speaks to. No
/// TAM takes it for Evidence about a device.
pub const TA_PROFILE: &str = "urn:x-tamarack:eat:ta:1";
/// Format of the Evidence of a TA.
pub const TA_FORMAT: &str = "application/eat+cwt; eat_profile=\"urn:x-tamarack:eat:ta:1\"";

#[cfg(test)]
mod tests;
