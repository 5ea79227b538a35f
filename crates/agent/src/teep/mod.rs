//! TEEP (draft-ietf-teep-protocol-26) on the device: who speaks, what the message asks, what is answered.
//!
//! | module | does |
//! |---|---|
//! | `exchange` | messages in, messages out |
//! | `state` | one-shot nonces, rates |
//! | `validate` | section 4.1.2: from bytes to a verified message of a known Owner |
//! | `query` | QueryRequest to QueryResponse |
//! | `update` | Update to transaction |
//! | `reply` | Success and Error; the one mapping from refusals to error codes |

pub(crate) mod exchange;
pub(crate) mod query;
pub(crate) mod reply;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod validate;
