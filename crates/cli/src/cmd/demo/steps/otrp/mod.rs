//! The steps that differ with OTrP, or that only it has.

pub mod attacks_on_device;
pub mod attacks_on_tam;
pub mod domains;
pub mod life;
pub mod relay_attacks;
pub mod replay;
pub mod strangers;
