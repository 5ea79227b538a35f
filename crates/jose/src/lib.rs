//! JOSE (RFC 7515, RFC 7516, RFC 7517, RFC 7518) as OTrP uses it, over strict JSON (RFC 8259, RFC 7493) with the canonical
//! form of RFC 8785.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod json;

pub use json::Json;
