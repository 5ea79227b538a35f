use alloc::string::String;
use alloc::vec::Vec;

use tamarack_eat::ear::{Tier, TrustVector, claim};

/// What appraisal comes to, in the terms of EAR: what goes into an [`tamarack_eat::ear::EarAppraisal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustResult {
    /// The worst that was found. [`Tier::None`] unless identity and executables were both looked at: what was not looked at
    /// is never trusted.
    pub status: Tier,
    /// By aspect.
    pub vector: TrustVector,
    /// Which policies and reference values were used.
    pub policies: Vec<String>,
    /// What was found, in words.
    pub reasons: Vec<String>,
}

impl TrustResult {
    /// The result of a vector.
    pub fn new(vector: TrustVector, policies: Vec<String>, reasons: Vec<String>) -> Self {
        let needed = [vector.instance_identity, vector.executables];
        let needed = needed.into_iter().map(|claim| Tier::of_claim(claim.unwrap_or(claim::NO_ASSERTION)));
        let status = needed.chain(vector.worst()).max().unwrap_or(Tier::None);
        Self { status, vector, policies, reasons }
    }
}
