//! Release policies in CEL, the Common Expression Language: the adapter behind [`tamarack_attest::release::ReleaseRules`].
//!
//! A policy is one expression, which is evaluated for each device and each manifest that it would be given. It gives a
//! bool, or a map of `allow` (bool) and `reason` (string). What it may name is one table, [`FACTS`].
//!
//! ```
//! use tamarack_attest::release::ReleaseRules;
//! use tamarack_policy_cel::CelRules;
//!
//! let rules = CelRules::default();
//! rules.check("device.grade == 'hardware' || ta.provider == 'acme'").unwrap();
//! let refusal = rules.check("device.grade ==\n  'hardwre'").unwrap_err();
//! assert_eq!(refusal.code, tamarack_model::codes::RELEASE_POLICY_NAME);
//! assert!(refusal.reason.starts_with("line 2, column 3: "), "{}", refusal.reason);
//! ```
//!
//! CEL is not a language with effects, but a text of a few kilobytes in it can ask for more work than there is time in the
//! universe. So there are two bounds, neither of which relies on the other:
//!
//! | bound | when | how |
//! |---|---|---|
//! | cost | before a policy is put in force | `check` adds up the worst case over all facts there can be, and refuses beyond [`Limits::cost`] |
//! | time | while it is evaluated | every turn of every loop asks the meter in `evaluate`, which ends all loops at once after [`Limits::time`] |
//!
//! An evaluation that was cut off has no result, whatever it gave. Evaluation holds no lock, so that it keeps nobody
//! waiting but the session that it decides for.
#![forbid(unsafe_code)]

mod bound;
mod check;
mod compile;
mod evaluate;
mod facts;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tamarack_attest::Refusal;
use tamarack_attest::release::{Decision, DeviceFacts, Release, ReleaseRules};
use tamarack_model::UnixTime;

pub use facts::{FACTS, Field, Kind, table};

use compile::Program;

/// Bounds of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest text in bytes.
    pub text: usize,
    /// Deepest nesting of brackets, calls and operators.
    pub depth: u16,
    /// Deepest nesting of loops (`all`, `exists`, `exists_one`, `map`, `filter`), one over what another gives included.
    pub loops: usize,
    /// Highest cost in the worst case. One unit is about a hundredth of a microsecond.
    pub cost: u64,
    /// How long the decisions about one device may take together.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text: 8192, depth: 32, loops: 3, cost: 2_000_000, time: Duration::from_millis(500) }
    }
}

/// Policies that stay compiled; one per tenant is in force.
const KEPT: usize = 256;

/// Decides by policies in CEL.
pub struct CelRules {
    limits: Limits,
    compiled: Mutex<BTreeMap<String, Arc<Result<Program, Refusal>>>>,
}

impl CelRules {
    /// Decides within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits, compiled: Mutex::default() }
    }

    /// The program of a policy, compiled once.
    fn compiled(&self, policy: &str) -> Arc<Result<Program, Refusal>> {
        // A panic while the map is locked cannot leave it half-changed.
        let kept = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = kept().get(policy) {
            return program.clone();
        }
        let program = Arc::new(compile::compile(policy, &self.limits));
        // A text beyond the limit is not kept: it costs nothing to refuse it again.
        if policy.len() <= self.limits.text {
            let mut kept = kept();
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(policy.to_string(), program.clone());
        }
        program
    }
}

impl Default for CelRules {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl ReleaseRules for CelRules {
    fn check(&self, policy: &str) -> Result<(), Refusal> {
        match &*self.compiled(policy) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn decide(
        &self,
        policy: &str,
        device: &DeviceFacts,
        releases: &[Release],
        now: UnixTime,
    ) -> Vec<Decision> {
        match &*self.compiled(policy) {
            Ok(program) => evaluate::decide(program, device, releases, now, self.limits.time),
            Err(refusal) => releases.iter().map(|_| refusal.clone().into()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
