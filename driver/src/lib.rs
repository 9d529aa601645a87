//! The loop: wait → stamp → append → flush → step → append intents → flush → perform.
//!
//! One loop for the real daemon and for the simulator, generic over where the journal lives and what
//! is outside, so that what is proven in virtual time is what runs in a cluster. Synchronous: an
//! asynchronous outside hands its news over a channel.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

mod clock;
mod compute;
mod run;

pub use compute::{compute, is_computed};
pub use run::{CHECKPOINT_EVERY, Driver, DriverError, Identity, fingerprint, recover};

use engine::State;
use journal_schema::effect::{Effect, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::Event;
use journal_schema::units::{Millis, Timestamp};

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the system's clock, which may be set at any time.
    pub wall: Timestamp,
    /// By a clock that only ever goes forward, as time passes; since when does not matter.
    pub steady: Millis,
}

/// What happened while the loop waited.
#[derive(Debug)]
pub struct Woken {
    /// The time now.
    pub now: Moment,
    /// What happened, in order. Empty when the deadline came.
    pub events: Vec<Event>,
    /// The daemon shall end after these events.
    pub stop: bool,
}

/// The world outside of the core: cluster, cloud, metrics, prices, operator, clock.
pub trait Outside {
    /// Waits until something happened or this span is over, whichever is first; without one as long as it takes.
    fn wait(&mut self, longest: Option<Millis>) -> Woken;

    /// Begins to carry out effects whose intent is durable. Each is answered later by an
    /// [`Event::Outcome`] with its id; an answer that never comes is the core's concern.
    /// `Effect::Forecast` and `Effect::Plan` never get here: the loop computes them itself.
    fn perform(&mut self, effects: Vec<(EffectId, Effect)>);

    /// Answers an effect that is a pure function of the state, `None` when it is one for the outside. Whoever runs
    /// many worlds may know the answer already.
    fn compute(&mut self, state: &State, effect: &Effect) -> Option<Outcome> {
        compute(state, effect)
    }

    /// Sees each entry after it was folded: for status, metrics and progress. Changes nothing.
    fn observed(&mut self, entry: &Entry, state: &State) {
        let _ = (entry, state);
    }
}
