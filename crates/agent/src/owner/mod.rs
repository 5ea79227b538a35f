//! What the device's owner lets TAMs do, beside what the anchors allow: the rules, what they withheld, and the owner's orders.
//!
//! The rules restrict. They decide what is installed, updated and run; they never keep a TAM from removing what is its own.
//! A TAM that is denied counts as one whose anchor is revoked, in both protocols.

mod order;
mod policy;
mod withheld;

pub(crate) use order::{Challenges, install, replace};
pub(crate) use policy::{Policy, store};
pub(crate) use withheld::{Note, forget, note, noted, report};
