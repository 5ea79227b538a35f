//! OTrP against a simulated TEE that is built on the messages' crate.

mod life;
mod world;
