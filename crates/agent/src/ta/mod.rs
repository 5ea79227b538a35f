//! TAs at run time: what they may use, and the sessions that applications hold with them.

pub(crate) mod attest;
pub(crate) mod load;
pub(crate) mod objects;
pub(crate) mod peripheral;
pub(crate) mod sessions;
