//! Normal apps that use Trusted Applications, and what stands behind them: an example for each use.
//!
//! | example | TA | what it shows |
//! |---|---|---|
//! | [`payment`] | wallet | a card that only its bank and the TA know, and a person's word for what it pays |
//! | [`cloud`] | vault | a tenant's data on a machine of somebody else, by attestation of the TA |
//! | [`iot`] | valve | an actuator that only its TA commands, on a device that nobody is at |
#![forbid(unsafe_code)]

pub mod cloud;
pub mod iot;
pub mod payment;
