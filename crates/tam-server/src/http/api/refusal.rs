//! What a valid token was refused, in the tenant's audit log: who tried what. A caller without a token is nobody; it is in
//! the log of the process only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tamarack_model::UnixTime;
use tamarack_model::permission::Action;
use tamarack_store::{ApiToken, AuditEntry, Store, StoreOp};

use super::problem::Problem;
use crate::app::App;

/// Refusals of one token and action are written down once in so many seconds, so that nobody fills the log.
const QUIET: u64 = 60;
/// Most refusals that are remembered for that.
const REMEMBERED: usize = 4096;
/// Most characters of a path that are written down.
const PATH: usize = 200;

/// When a token was last refused an action.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<([u8; 32], Action), UnixTime>>);

impl Refusals {
    /// Whether this one is to be written down.
    fn is_news(&self, token: &[u8; 32], action: Action, now: UnixTime) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= REMEMBERED {
            held.retain(|_, at| now < at.saturating_add(QUIET));
        }
        let id = (*token, action);
        match held.get(&id) {
            Some(at) if now < at.saturating_add(QUIET) => false,
            _ if held.len() >= REMEMBERED && !held.contains_key(&id) => false,
            _ => {
                held.insert(id, now);
                true
            }
        }
    }
}

/// Writes a refusal down. That it cannot be is no reason to answer anything else.
pub(super) fn record(app: &App, token: &ApiToken, action: Action, path: &str, problem: &Problem) {
    let now = app.clock.now();
    if !app.refusals.is_news(&token.hash, action, now) {
        return;
    }
    let entry = AuditEntry {
        tenant: token.tenant.clone(),
        at: now,
        actor: token.label.clone(),
        action: "refused".into(),
        subject: action.id().into(),
        detail: format!(
            "{} {}: {}",
            problem.code,
            path.chars().take(PATH).collect::<String>(),
            problem.detail
        ),
    };
    if let Err(e) = app.store.apply(vec![StoreOp::AdvanceTime(now), StoreOp::Audit(entry)]) {
        tracing::warn!(code = %e.code(), "a refusal is not in the audit log: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_written_down_once_a_minute() {
        let refusals = Refusals::default();
        let (one, other) = ([1; 32], [2; 32]);
        assert!(refusals.is_news(&one, Action::TokenList, 1000));
        assert!(!refusals.is_news(&one, Action::TokenList, 1059));
        assert!(refusals.is_news(&one, Action::TokenCreate, 1001), "another action");
        assert!(refusals.is_news(&other, Action::TokenList, 1001), "another token");
        assert!(refusals.is_news(&one, Action::TokenList, 1060));
        for n in 0..2 * REMEMBERED as u64 {
            let mut token = [3; 32];
            token[..8].copy_from_slice(&n.to_be_bytes());
            refusals.is_news(&token, Action::TokenList, 1061);
        }
        assert!(refusals.0.lock().unwrap().len() <= REMEMBERED);
    }
}
