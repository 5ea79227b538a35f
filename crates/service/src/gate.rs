//! Shedding load before anything is signed (security rule C7): a token bucket for each client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered; beyond it those that have been quiet long enough to be full again are forgotten.
const ADDRESSES: usize = 65_536;

/// What lets requests through or not.
pub struct Gate {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Gate {
    /// Lets `per_second` requests through for each address and twice as many at once; all of them if it is 0.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), buckets: Mutex::default() }
    }

    /// Whether a request from `address` at `now` is let through.
    pub fn admit(&self, address: IpAddr, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let burst = self.per_second * 2.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at).as_secs() < 2);
            if buckets.len() >= ADDRESSES {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { tokens: burst, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(burst);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn c7_an_address_gets_its_share_and_no_more() {
        let (gate, start) = (Gate::new(2), Instant::now());
        let [a, b] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        let admitted = |address, at| (0..10).filter(|_| gate.admit(address, at)).count();
        assert_eq!(admitted(a, start), 4);
        assert_eq!(admitted(b, start), 4, "another address is not affected");
        assert_eq!(admitted(a, start + Duration::from_millis(500)), 1);
        assert_eq!(admitted(a, start + Duration::from_secs(60)), 4, "the burst is bounded");
    }

    #[test]
    fn zero_means_no_limit() {
        let gate = Gate::new(0);
        assert!((0..10_000).all(|_| gate.admit(IpAddr::from([127, 0, 0, 1]), Instant::now())));
    }
}
