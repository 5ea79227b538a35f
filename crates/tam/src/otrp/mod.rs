//! OTrP on the TAM's side.

mod appraise;
mod confirm;
mod correlate;
mod plan;
mod reply;
mod state;

pub use state::OtrpExchange;
