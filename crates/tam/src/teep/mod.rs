//! TEEP on the TAM's side.

mod appraise;
mod correlate;
mod outcome;
mod reply;
mod state;

pub use reply::{Event, Reply, Subject};
pub use state::{Exchange, Input, Output};

#[cfg(test)]
pub(crate) use correlate::Challenge;
