//! The status of certificates by OCSP (RFC 6960), as messages carry it along ("stapled").
//!
//! | what | how |
//! |---|---|
//! | request | unsigned, 1 to [`MAX_ENTRIES`] certificates, nonce optional |
//! | response | `id-pkix-ocsp-basic`, at most [`MAX_RESPONSE`] bytes; critical extensions that are not known are refused |
//! | names of certificates | SHA-1 and SHA-256 |
//! | signatures | as on certificates: P-256, Ed25519, P-384, RSA from 2,048 bits, where the provider checks them; no SHA-1 |
//! | signers | the issuer, or a responder that it certified with id-kp-OCSPSigning |

mod cert_id;
mod check;
mod error;
mod extension;
mod request;
mod response;

pub use cert_id::{CertId, IdHash};
pub use check::{Checked, Freshness, check};
pub use error::OcspError;
pub use request::Request;
pub use response::{BasicResponse, Entry, Failure, ResponderId, Response, ResponseData, Status};

/// id-kp-OCSPSigning, the extended key usage of delegated responders (RFC 6960 section 4.2.2.2).
pub(crate) const OCSP_SIGNING: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// The media type of requests over HTTP (RFC 6960 appendix A).
pub const REQUEST_TYPE: &str = "application/ocsp-request";
/// The media type of responses over HTTP.
pub const RESPONSE_TYPE: &str = "application/ocsp-response";

/// The longest response that is read, in bytes.
pub const MAX_RESPONSE: usize = 16 * 1024;
/// The most certificates that a request or response may speak of.
pub const MAX_ENTRIES: usize = 16;
/// The most responses that [`check`] takes.
pub const MAX_RESPONSES: usize = 16;
