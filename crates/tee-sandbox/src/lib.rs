//! The platform of the software TEE.
#![forbid(unsafe_code)]

pub mod wasm;
