//! The software TEE: the process that holds a device's keys, and how it is started.
//!
//! ```text
//! Broker's process                         TEE's process (own uid, namespaces, Landlock, seccomp)
//!   launch() -- exec, 4 descriptors -->      main()
//!     |                                        isolation::enter, then the root secret is read
//!     +--------- channel: requests --------->  Host: one at a time
//!     <--------- replies with actions -------    Agent on SoftwarePlatform
//! ```
//!
//! [`main`] is what the hidden subcommand of the program calls; it ends when the channel closes. Whatever goes wrong
//! before the Agent runs is told in answer to every request, so that people see the reason and not a broken channel.
#![forbid(unsafe_code)]

mod enrol;
mod host;
mod launch;
mod wiring;

pub use launch::{COUNTER_SUFFIX, LaunchError, LaunchOptions, REQUIRE_SANDBOX, launch};
pub use wiring::main;
