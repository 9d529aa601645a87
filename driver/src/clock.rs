//! The loop's clock: the system's time, made steady.
//!
//! The system's clock may be set at any time. The journal's time follows it forward at once, and [`Clock::tick`] tells
//! by how much, so that the core does not take for passed what was only set. It never goes back: while it is ahead of
//! the system's it goes at half of the speed, as time daemons do.

use journal_schema::units::{Millis, Timestamp};

use crate::Moment;

/// What a clock is set by less than this is drift and the inexactness of reading two clocks one after the other.
const STEP_LEAST: Millis = Millis::from_secs(1);

/// The clock of one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    now: Timestamp,
    last: Moment,
    /// What is left of halving: 0 or 1 ms.
    rest: i64,
}

impl Clock {
    /// Begins at a moment, but not before `floor`: the last entry's time.
    pub(crate) fn new(at: Moment, floor: Timestamp) -> Self {
        Self { now: at.wall.max(floor), last: at, rest: 0 }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// What the system's clock showed last.
    pub(crate) fn wall(&self) -> Timestamp {
        self.last.wall
    }

    /// Goes on to a moment. By how much the clock was set, if it was: forward by what is told beyond the time that
    /// passed, back by what the system's was set.
    pub(crate) fn tick(&mut self, at: Moment) -> Option<Millis> {
        let passed = at.steady.0.saturating_sub(self.last.steady.0).max(0);
        let set = Millis(at.wall.since(self.last.wall).0 - passed);
        let straight = self.now.plus(Millis(passed));
        self.last = at;
        if at.wall >= straight {
            let ahead = at.wall.since(straight);
            (self.now, self.rest) = (at.wall, 0);
            return (ahead >= STEP_LEAST).then_some(ahead);
        }
        let twice = passed + self.rest;
        (self.now, self.rest) = (at.wall.max(self.now.plus(Millis(twice / 2))), twice % 2);
        (set.0 <= -STEP_LEAST.0).then_some(set)
    }

    /// How long it takes until this clock shows a time.
    pub(crate) fn until(&self, at: Timestamp) -> Millis {
        let left = at.since(self.now).0.max(0);
        let ahead = self.now > self.last.wall;
        Millis(if ahead { left.saturating_mul(2) } else { left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(wall: i64, steady: i64) -> Moment {
        Moment { wall: Timestamp(wall), steady: Millis(steady) }
    }

    #[test]
    fn it_follows_the_system_forward_and_tells_of_jumps() {
        let mut clock = Clock::new(at(1_000, 0), Timestamp(0));
        assert_eq!(clock.tick(at(2_000, 1_000)), None);
        assert_eq!(clock.now(), Timestamp(2_000));
        assert_eq!(clock.tick(at(63_000, 2_000)), Some(Millis(60_000)));
        assert_eq!(clock.now(), Timestamp(63_000));
        assert_eq!(clock.tick(at(63_500, 2_400)), None, "a tenth of a second is drift");
    }

    #[test]
    fn set_back_it_goes_on_at_half_of_the_speed_until_it_is_caught_up() {
        let mut clock = Clock::new(at(100_000, 0), Timestamp(0));
        assert_eq!(clock.tick(at(91_000, 1_000)), Some(Millis(-10_000)));
        assert_eq!(clock.now(), Timestamp(100_500));
        assert_eq!(clock.until(Timestamp(101_500)), Millis(2_000));
        assert_eq!(clock.tick(at(93_000, 3_000)), None);
        assert_eq!(clock.now(), Timestamp(101_500));
        clock.tick(at(130_000, 40_000));
        assert_eq!(clock.now(), Timestamp(130_000));
        assert_eq!(clock.until(Timestamp(131_000)), Millis(1_000));
    }

    #[test]
    fn a_life_that_begins_before_the_last_entry_goes_on_from_there() {
        let mut clock = Clock::new(at(1_000, 0), Timestamp(5_000));
        assert_eq!(clock.now(), Timestamp(5_000));
        assert_eq!(clock.tick(at(2_000, 1_000)), None);
        assert_eq!(clock.now(), Timestamp(5_500));
    }

    proptest! {
        /// Whatever is done to the system's clock: this one never goes back, never stands for long, and what it tells
        /// of jumps is what it went beyond the time that passed.
        #[test]
        fn it_is_steady(steps in proptest::collection::vec((0_i64..10_000, -100_000_i64..100_000, 0..4), 1..60)) {
            let (mut wall, mut steady) = (1_000_000, 0);
            let mut clock = Clock::new(at(wall, steady), Timestamp(0));
            for (passes, set, rarely) in steps {
                let before = clock;
                steady += passes;
                wall += passes + if rarely == 0 { set } else { 0 };
                let told = clock.tick(at(wall, steady)).unwrap_or_default();
                let went = clock.now().since(before.now()).0;
                prop_assert!(went >= passes / 2, "went {went} in {passes}");
                prop_assert!(went <= passes + told.0.max(0) + STEP_LEAST.0, "went {went} in {passes}, told {told}");
                prop_assert!(clock.now() >= Timestamp(wall));
                let wanted = clock.now().plus(Millis(777));
                let span = clock.until(wanted);
                let mut later = clock;
                later.tick(at(wall + span.0, steady + span.0));
                prop_assert!(later.now() >= wanted);
            }
        }
    }
}
