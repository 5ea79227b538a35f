//! A TPM 2.0 as the root of trust of a TEE: the root secret is sealed to the state of the machine, the attestation key never
//! leaves the TPM, and the rollback counter is one that nothing can turn back.
//!
//! | module | what it is |
//! |---|---|
//! | [`address`] | where a TPM is: a device file or the socket of an emulator, and how it is opened |
//! | `transport` | one command out, one response in, over a [`Bus`]: a descriptor that is open already |
//! | `wire` | how commands and responses are written |
//! | `session` | authorization: HMAC and policy sessions, salted, with parameter encryption |
//! | [`commands`] | the twenty commands that are needed |
//! | `pcr` | PCR selections and the policy that they make |
//! | [`emulator`] | swtpm, for demonstrations and tests |
//! | [`root`] | [`root::TpmRoot`], the [`tamarack_tee::RootOfTrust`] |
//!
//! The commands are written here, not through tpm2-tss: its Rust binding has no hash sequences, without which a restricted
//! key signs nothing longer than 1 KiB, and its C libraries are loaded by name at run time, which a sandbox does not allow.
#![forbid(unsafe_code)]

pub mod address;
pub mod commands;
pub mod emulator;
mod pcr;
pub mod root;
mod session;
mod transport;
mod wire;

pub use address::{Address, AddressError};
pub use pcr::Pcrs;
pub use transport::Bus;
pub use wire::Error;
