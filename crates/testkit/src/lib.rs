//! What the tests of all crates share. Never a dependency of a program.
#![forbid(unsafe_code)]

pub mod cddl;
pub mod crypto_suite;
pub mod evidence;
pub mod memory_platform;
pub mod otrp_pki;
pub mod platform_suite;
pub mod specs;
pub mod store_suite;
pub mod swtpm;
