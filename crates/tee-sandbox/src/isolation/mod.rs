//! The measured start of the software TEE and the walls around its two processes (security rules S1 and K6).
//!
//! Whoever runs the Broker calls [`spawn`]: a fresh `exec` of the *launcher* with no descriptors but those that it needs. The
//! launcher goes behind its first walls ([`prepare`]), opens the root of trust, copies the Agent's program into sealed memory
//! ([`Image`]) and starts it from there ([`spawn_agent`]): what was measured is what runs. Then it closes the rest behind
//! itself ([`Prepared::close`]) and does nothing but answer the Agent. The Agent reads what it inherited
//! ([`Inherited::from_args`]) and calls [`enter`] before it touches a secret.
//!
//! | step | launcher | Agent | why here |
//! |---|---|---|---|
//! | exec | yes | from sealed memory | memory that was readable before is gone |
//! | no file but libraries and storage, no socket, no tracing | | before its first instruction | an Agent that was changed has these walls too |
//! | not dumpable, no core file | yes | yes | from here on no process without privilege over the *outer* user namespace can trace it |
//! | own uid, no supplementary groups (where started by root) | yes | inherited | keys are hidden from every other uid |
//! | user, network, mount and IPC namespaces; root directory = storage folder | network | all | no network, no files by name |
//! | no new privileges, Landlock | no file at all | only the storage folder | also through descriptors of directories |
//! | all capabilities dropped, seccomp | what is open already | and files of the folder | no way to undo any of it |
//!
//! Each layer is *tried* after it was set up: a socket that must not open, a directory that must not list. Only what held
//! is in [`Report::layers`]; what did not is in [`Report::missing`] with its reason.
//!
//! What this does not do: hide anything from root, or, without an own uid, from what that uid may do as root of its
//! own machine.
#![allow(unsafe_code)]

mod enter;
mod filter;
mod image;
mod prepare;
mod secret;
mod spawn;
mod uid;
mod walls;

pub use enter::{EnterError, Missing, Report, enter};
pub use image::{Image, measure, measure_self};
pub use prepare::{Prepared, Standing, prepare};
pub use secret::SecretMemory;
pub use spawn::{Inherited, Launch, Launched, spawn, spawn_agent};
