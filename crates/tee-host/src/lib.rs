//! The software TEE: the two processes of a device that its Broker cannot look into, and how they are started.
//!
//! ```text
//! Broker's process        launcher (own uid, then no files, no network)   Agent (own uid, namespaces, Landlock, seccomp)
//!   launch() -- exec ------> launcher_main()
//!     |                        opens the root of trust
//!     |                        measures the Agent -- exec from sealed memory -> agent_main()
//!     |                        closes its walls                                 isolation::enter
//!     |                        Service: Evidence, counter <---- questions ----- Launcher
//!     +------------------------- channel: requests ---------------------------> Host: one at a time
//!     <------------------------- replies with actions --------------------------  Agent on SoftwarePlatform
//! ```
//!
//! [`launcher_main`] and [`agent_main`] are what the hidden subcommands of the program call; they end when the channel
//! closes. Whatever goes wrong before the Agent runs is told in answer to every request, so that people see the reason and
//! not a broken channel.
#![forbid(unsafe_code)]

mod agent;
mod configuration;
mod enrol;
mod host;
mod launch;
mod launcher;

pub use agent::main as agent_main;
pub use configuration::{Configuration, RootKind};
pub use launch::{COUNTER_SUFFIX, LaunchError, LaunchOptions, PanelAt, Root, launch};
pub use launcher::{main as launcher_main, measurements, reseal};
pub use tamarack_tee_sandbox::launcher::Measured;

/// Hidden subcommand of the program that calls [`launcher_main`].
pub const LAUNCHER_SUBCOMMAND: &str = "__tee";
/// Hidden subcommand of the Agent's program that calls [`agent_main`].
pub const AGENT_SUBCOMMAND: &str = "__tee-agent";
/// Argument by which both are told that a missing sandbox layer is an error.
const REQUIRE_SANDBOX: &str = "--require-sandbox";
