//! The stand-in's time: the machine's own, sped up by a factor from the start on.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use journal_schema::units::{Millis, Timestamp};

/// A clock that begins at the machine's time and runs `factor` times as fast. With a factor other
/// than 1 the judge's cost is of the sped-up time: to compare it with what a daemon accounts, leave
/// the factor at 1 and make the scenario's timings short instead.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Timestamp,
    begun: Instant,
    factor: u32,
}

impl Clock {
    /// A clock that begins now.
    pub fn start(factor: u32) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            origin: Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            begun: Instant::now(),
            factor: factor.max(1),
        }
    }

    /// The time it began.
    pub fn origin(&self) -> Timestamp {
        self.origin
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.origin.plus(Millis(elapsed.saturating_mul(i64::from(self.factor))))
    }

    /// How long to sleep until `at`, by the machine's time.
    pub fn until(&self, at: Timestamp) -> Duration {
        let span = at.since(self.now()).0.max(0);
        Duration::from_millis(u64::try_from(span).unwrap_or(0).div_ceil(u64::from(self.factor)))
    }
}
