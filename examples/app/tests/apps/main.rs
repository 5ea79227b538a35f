//! The examples with their real TAs on a real Agent, and the attacks on them.

mod cloud;
mod payment;
mod support;
