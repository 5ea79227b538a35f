//! TEEP on the TAM's side.

mod appraise;
mod outcome;
mod reply;
mod state;

pub use appraise::AppraisalRequest;
pub(crate) use outcome::reported;
pub use reply::{Event, Reply, Subject};
pub use state::{Exchange, Input, Output};
