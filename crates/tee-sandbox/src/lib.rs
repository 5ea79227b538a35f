//! The platform of the software TEE: what [`tamarack_tee::Platform`] asks for, made of files, a root secret and the
//! isolation that the host kernel offers.
//!
//! | module | what it is |
//! |---|---|
//! | [`root_secret`] | the 32 bytes that everything is derived from, kept outside the device folder (rule S2) |
//! | [`root`] | the root of trust in files |
//! | [`launcher`] | what the launcher, which holds the root of trust, answers the Agent (rule K6) |
//! | [`sealed`] | the transactional store: journal, payloads, rollback counter |
//! | [`platform`] | [`platform::SoftwarePlatform`]: device keys, Evidence, TA loading over the sealed store |
//! | [`enrol`] | first start: what the device is, its request for a certificate, its first trust anchors |
//! | [`panel`] | the person at the device, asked where the rich OS neither sees nor answers |
//! | [`isolation`] | measured start and the sandbox: namespaces, Landlock, seccomp, secret memory |
//! | [`wasm`] | the runtime of TAs |
//! | [`Layers`] | which layers of isolation are present, as Evidence states them (rules S1, E2) |
//!
//! It is honest about what it cannot do: the host's kernel and its root user are inside its trust boundary, its counter is
//! a file, its time is the host's.
// Allowed again only in `isolation`, the one place that speaks to the kernel in ways that Rust cannot check.
#![deny(unsafe_code)]

pub mod enrol;
mod frame;
pub mod isolation;
pub mod launcher;
mod layers;
pub mod panel;
pub mod platform;
pub mod root;
pub mod root_secret;
pub mod sealed;
pub mod wasm;

pub use layers::Layers;
