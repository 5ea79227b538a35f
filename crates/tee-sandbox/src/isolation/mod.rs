//! The walls around the software TEE's process (security rule S1), and how it is started.
//!
//! The launcher calls [`spawn`]: a fresh `exec` of a program (by default this one) with only three file descriptors. The
//! new process reads them with [`Inherited::from_args`] and calls [`enter`] before it touches a secret. Order:
//!
//! | step | why here |
//! |---|---|
//! | exec | memory that was readable before is gone |
//! | not dumpable, no core file | from here on no process without privilege over the *outer* user namespace can trace it |
//! | own uid, no supplementary groups (where started by root) | keys are hidden from every other uid |
//! | user, network, mount and IPC namespaces; root directory = storage folder | no network, no files by name |
//! | no new privileges, Landlock | only the storage folder, also through descriptors of directories |
//! | all capabilities dropped, seccomp | no way to undo any of it |
//!
//! Each layer is *tried* after it was set up: a socket that must not open, a directory that must not list. Only what held
//! is in [`Report::layers`]; what did not is in [`Report::missing`] with its reason.
//!
//! What this does not do: hide anything from root, or, without an own uid, from what that uid may do as root of its
//! own machine.
#![allow(unsafe_code)]

mod enter;
mod filter;
mod secret;
mod spawn;

pub use enter::{EnterError, Missing, Report, enter};
pub use secret::SecretMemory;
pub use spawn::{Inherited, Launch, Launched, spawn};
