//! One exchange after another: device rows, challenges, pending Updates, sessions, time.

use tamarack_model::{DeviceId, codes};
use tamarack_store::{Conflict, Device, SessionOutcome, Store, StoreError, StoreOp, TenantId};

use super::rows::{device, pending, session};
use super::{apply, put, refused};

pub(super) fn burn(challenge: u8, expires: u64) -> StoreOp {
    let tenant = TenantId::default();
    StoreOp::BurnChallenge { tenant, challenge: [challenge; 16], expires, keep_until: expires + 100 }
}

pub(super) fn device_rows_are_written_by_one(store: &impl Store) {
    apply(store, [put(device(1))]);
    refused(store, put(device(1)), Conflict::Changed);
    let second = Device { revision: 1, last_seen: 21, ..device(1) };
    apply(store, [put(second.clone())]);
    refused(store, put(second), Conflict::Changed);
    refused(store, put(Device { revision: 1, ..device(2) }), Conflict::Changed);
    let stolen = [
        Device { teep: device(1).teep, ..device(2) },
        Device { otrp: device(1).otrp, ..device(2) },
        Device { teep: None, otrp: device(1).otrp, ..device(2) },
    ];
    for stolen_key in stolen {
        refused(store, put(stolen_key), Conflict::Exists("device key"));
    }
    let t = TenantId::default();
    apply(store, [StoreOp::ReleaseDevice { tenant: t.clone(), device: DeviceId([1; 32]) }]);
    let released = store.device(&t, &DeviceId([1; 32])).unwrap().unwrap();
    assert_eq!((released.revision, released.quarantine, released.state), (3, None, None));
    let nobody = StoreOp::ReleaseDevice { tenant: t, device: DeviceId([9; 32]) };
    refused(store, nobody, Conflict::Missing("device"));
}

pub(super) fn c2_a_challenge_burns_once(store: &impl Store) {
    apply(store, [StoreOp::AdvanceTime(1000), burn(1, 1300)]);
    assert!(store.is_burned(&[1; 16]).unwrap() && !store.is_burned(&[2; 16]).unwrap());
    refused(store, burn(1, 1300), Conflict::Burned);
    assert_eq!(StoreError::from(Conflict::Burned).code(), codes::EVIDENCE_STALE);
    refused(store, burn(2, 999), Conflict::Expired);
    // Kept until the end that was given, not only until it expires.
    apply(store, [StoreOp::Prune(1400)]);
    assert!(store.is_burned(&[1; 16]).unwrap());
    apply(store, [StoreOp::Prune(1401)]);
    assert!(!store.is_burned(&[1; 16]).unwrap());
}

pub(super) fn c4_at_most_four_updates_wait(store: &impl Store) {
    apply(store, (1..=4).map(|n| StoreOp::InsertPending(pending(1, n))));
    apply(store, [StoreOp::InsertPending(pending(2, 50)), StoreOp::InsertPending(pending(1, 5))]);
    let t = TenantId::default();
    let waiting = store.pending_of(&t, &DeviceId([1; 32])).unwrap();
    assert_eq!(waiting.iter().map(|p| p.token_hash[0]).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(store.pending_of(&t, &DeviceId([2; 32])).unwrap(), vec![pending(2, 50)]);
}

pub(super) fn c4_a_token_is_answered_once(store: &impl Store) {
    let tenant = TenantId::default();
    let take = |n| StoreOp::TakePending { tenant: tenant.clone(), token_hash: [n; 32] };
    apply(store, [StoreOp::InsertPending(pending(1, 1)), StoreOp::InsertPending(pending(1, 2))]);
    refused(store, StoreOp::InsertPending(pending(3, 1)), Conflict::Exists("pending update"));
    apply(store, [take(1)]);
    refused(store, take(1), Conflict::Missing("pending update"));
    assert_eq!(StoreError::from(Conflict::Missing("pending update")).code(), codes::TEEP_TOKEN);
    apply(store, [StoreOp::AdvanceTime(201)]);
    refused(store, take(2), Conflict::Missing("pending update"));
    apply(store, [StoreOp::Prune(201)]);
    assert_eq!(store.pending(&tenant, &[2; 32]).unwrap(), None);
}

pub(super) fn s3_time_does_not_go_back(store: &impl Store) {
    assert_eq!(store.time().unwrap(), 0);
    apply(store, [StoreOp::AdvanceTime(100), StoreOp::AdvanceTime(40)]);
    assert_eq!(store.time().unwrap(), 100);
}

pub(super) fn sessions_end_once(store: &impl Store) {
    let tenant = TenantId::default();
    apply(store, [StoreOp::InsertSession(session(1)), StoreOp::InsertSession(session(2))]);
    refused(store, StoreOp::InsertSession(session(1)), Conflict::Exists("session"));
    let end = StoreOp::EndSession {
        tenant: tenant.clone(),
        id: [1; 16],
        at: 150,
        outcome: SessionOutcome::Failed,
        code: Some(codes::SUIT_ROLLBACK),
        reason: Some("too low".into()),
    };
    apply(store, [end.clone()]);
    refused(store, end, Conflict::Missing("session"));
    let ended = store.session(&tenant, &[1; 16]).unwrap().unwrap();
    assert_eq!((ended.ended, ended.outcome), (Some(150), Some(SessionOutcome::Failed)));
    assert_eq!((ended.code, ended.reason.as_deref()), (Some(codes::SUIT_ROLLBACK), Some("too low")));
    let ids = |device, limit| {
        let rows = store.sessions(&tenant, device, limit).unwrap();
        rows.iter().map(|s| s.id[0]).collect::<Vec<_>>()
    };
    assert_eq!((ids(None, 9), ids(None, 1)), (vec![2, 1], vec![2]));
    assert_eq!((ids(Some(&DeviceId([1; 32])), 9), ids(Some(&DeviceId([2; 32])), 9)), (vec![2, 1], vec![]));
}
