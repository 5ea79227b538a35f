use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Most OTrP messages of one app at once.
const BURST: u32 = 64;
/// Time in which one more is allowed.
const INTERVAL: Duration = Duration::from_millis(100);
/// Most apps that are counted; with more, those that have called the least are forgotten.
const MAX_APPS: usize = 1024;

/// How many OTrP messages each app may still hand to the TEEs (section 14.12 of the draft: "protect against excessive
/// calls"); one that calls too often keeps no other from the TEE. Exchanges that the Broker drives itself are bounded by
/// their rounds and not counted.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    apps: HashMap<u64, Rate>,
}

#[derive(Debug)]
struct Rate {
    left: u32,
    counted: Instant,
}

impl Rates {
    /// Whether one more message of `app` is allowed now; it is counted then.
    pub(crate) fn take(&mut self, app: u64, now: Instant) -> bool {
        if self.apps.len() >= MAX_APPS && !self.apps.contains_key(&app) {
            self.apps.values_mut().for_each(|rate| rate.refill(now));
            let idle = self.apps.iter().max_by_key(|(_, rate)| rate.left).map(|(app, _)| *app);
            self.apps.retain(|known, rate| rate.left < BURST && Some(*known) != idle);
        }
        let rate = self.apps.entry(app).or_insert(Rate { left: BURST, counted: now });
        rate.refill(now);
        let allowed = rate.left > 0;
        rate.left = rate.left.saturating_sub(1);
        allowed
    }
}

impl Rate {
    fn refill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.counted).as_millis() / INTERVAL.as_millis();
        let gained = u32::try_from(gained).unwrap_or(BURST).min(BURST);
        if gained > 0 {
            self.left = (self.left + gained).min(BURST);
            self.counted = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_gets_a_burst_and_then_one_at_a_time() {
        let (begin, mut rates) = (Instant::now(), Rates::default());
        assert!((0..BURST).all(|_| rates.take(1, begin)));
        assert!(!rates.take(1, begin));
        assert!(rates.take(2, begin), "another app is not kept waiting");
        let later = begin + INTERVAL;
        assert!(rates.take(1, later) && !rates.take(1, later));
        let much_later = begin + INTERVAL * 10_000;
        assert!((0..BURST).all(|_| rates.take(1, much_later)));
        assert!(!rates.take(1, much_later));
    }

    #[test]
    fn apps_without_number_take_no_room_without_end() {
        let (begin, mut rates) = (Instant::now(), Rates::default());
        while rates.take(0, begin) {}
        for app in 1..5000 {
            assert!(rates.take(app, begin));
            assert!(rates.apps.len() <= MAX_APPS);
        }
        assert!(!rates.take(0, begin), "the one that calls too often is not forgotten for them");
    }
}
