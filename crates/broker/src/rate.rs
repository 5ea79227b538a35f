use std::time::{Duration, Instant};

/// Most OTrP messages of apps at once.
const BURST: u32 = 64;
/// Time in which one more is allowed.
const INTERVAL: Duration = Duration::from_millis(100);

/// How many OTrP messages apps may still hand to the TEEs (section 14.12 of the draft: "protect against excessive
/// calls"). Exchanges that the Broker drives itself are bounded by their rounds and not counted.
#[derive(Debug)]
pub(crate) struct Rate {
    left: u32,
    counted: Instant,
}

impl Default for Rate {
    fn default() -> Self {
        Self { left: BURST, counted: Instant::now() }
    }
}

impl Rate {
    /// Whether one more is allowed now; it is counted then.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.counted).as_millis() / INTERVAL.as_millis();
        let gained = u32::try_from(gained).unwrap_or(BURST).min(BURST);
        if gained > 0 {
            self.left = (self.left + gained).min(BURST);
            self.counted = now;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_get_a_burst_and_then_one_at_a_time() {
        let begin = Instant::now();
        let mut rate = Rate { counted: begin, ..Rate::default() };
        assert!((0..BURST).all(|_| rate.take(begin)));
        assert!(!rate.take(begin));
        let later = begin + INTERVAL;
        assert!(rate.take(later) && !rate.take(later));
        let much_later = begin + INTERVAL * 10_000;
        assert!((0..BURST).all(|_| rate.take(much_later)));
        assert!(!rate.take(much_later));
    }
}
