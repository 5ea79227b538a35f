//! OTrP (draft-ietf-teep-opentrustprotocol-03) on the device, over the same engine and storage as TEEP.
//!
//! | module | does |
//! |---|---|
//! | `exchange` | messages in, messages out |
//! | `receive` | from bytes to a verified request of a known Owner |
//! | `state` | what the Agent remembers of sessions |
//! | `command` | from a command to a transaction, and its end |
//! | `domain`, `ta` | what the commands for domains and for TAs ask, as intents |
//! | `dsi` | what an Owner is told of the device |
//! | `information` | TAInformation, for applications |
//! | `refusal` | why a request is refused; the one mapping to error codes |

pub(crate) mod command;
mod domain;
mod dsi;
pub(crate) mod exchange;
mod information;
mod receive;
mod refusal;
pub(crate) mod state;
mod ta;
