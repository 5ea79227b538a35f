//! A service's time, which never goes back behind what it persisted (security rule S3).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tamarack_model::UnixTime;

/// Seconds since 1970 by the machine's clock.
pub fn system_time() -> UnixTime {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The clock of a service.
pub struct Clock {
    highest: AtomicU64,
}

impl Clock {
    /// A clock that begins at `persisted` or later.
    pub fn new(persisted: UnixTime) -> Self {
        Self { highest: AtomicU64::new(persisted) }
    }

    /// Seconds since 1970, never less than before.
    pub fn now(&self) -> UnixTime {
        let now = system_time();
        self.highest.fetch_max(now, Ordering::Relaxed).max(now)
    }
}
