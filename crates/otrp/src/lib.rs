//! The messages of OTrP (draft-ietf-teep-opentrustprotocol-03): their JSON, how they are signed and encrypted, and their
//! HTTP binding as data.
//!
//! A message has four layers (section 7 of the draft):
//!
//! | layer | what it is | read by |
//! |---|---|---|
//! | `{"<Name>Request": ..}` | the outer name, which nothing authenticates | [`SignedRequest::parse`], [`response::parse`] |
//! | JWS | flattened JSON serialization | `verify` of the same |
//! | `{"<Name>TBSRequest": ..}` | the clear members: rid, tid, tee, nextdsi, dsihash | [`AuthenticRequest::read`] |
//! | `content`, `edsi` | JWE, general JSON serialization | [`SealedRequest::open`], [`AuthenticResponse::open`] |
//!
//! The types follow these layers, and none can be had without the one before it. Two things are read before the
//! signature holds, and are named so: what correlation needs ([`SignedRequest::rid_unverified`] and the like), and a
//! DSI, since the certificate that the response of GetDeviceState is signed with lies inside its ciphertext
//! ([`SignedResponse::open_device_state_unverified`]).
//!
//! The one canonical form is emitted. Requests are read strictly: every member that the draft does not mark optional is
//! required, and no other is allowed. Of responses unknown members are ignored. What [`Mode::Compat`] reads beyond that
//! is told as a list of [`Tolerance`]s, for the log.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod aik;
pub mod broker;
mod command;
mod dsi;
mod error;
pub mod http;
mod member;
pub mod request;
pub mod response;
mod seal;
pub mod ta_information;
pub mod ta_package;
pub mod taid;

pub use command::Command;
pub use dsi::{
    Aik, Dsi, DsiHashes, EXTENSION_H1, RequestedTa, SecurityDomain, SerializedDsi, Ta, TeeState, TfwData,
    UnneededTa, WithheldTa, hash_text,
};
pub use error::{Error, ErrorCode};
pub use member::{MessageId, Tolerance};
pub use request::{AuthenticRequest, Common, Request, SealedRequest, SignedRequest};
pub use response::{AuthenticResponse, Reason, ResponseBody, SignedResponse, Status};
pub use seal::Sealing;
pub use tamarack_jose::Mode;

/// The version of the messages, member `ver`.
pub const VERSION: &str = "1.0";

/// Bounds on what is read. The draft sets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a message, not counting what `encrypted_ta` takes.
    pub message: usize,
    /// Most bytes of an InstallTARequest or UpdateTARequest with all that is in it.
    pub ta_message: usize,
    /// Deepest nesting of the JSON.
    pub depth: usize,
    /// Most members and elements in one JSON text.
    pub members: usize,
    /// Most elements of any array.
    pub array: usize,
    /// Most elements of a list in a DSI: domains, TAs in one of them, keys of providers.
    pub dsi_array: usize,
}

impl Default for Limits {
    /// 1 MiB, 64 MiB with a TA, 16 levels, 16,384 members, arrays of 64, of 1,024 in a DSI.
    fn default() -> Self {
        Self {
            message: 1 << 20,
            ta_message: 64 << 20,
            depth: 16,
            members: 16_384,
            array: 64,
            dsi_array: 1024,
        }
    }
}

#[cfg(test)]
mod tests;
