//! OTrP against a simulated TEE that is built on the messages' crate.

mod command_faults;
mod life;
mod release;
mod state_faults;
mod tee;
mod world;
