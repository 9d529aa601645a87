//! Plans that other runs computed already: thousands of runs ask for the plan of the same cluster.

use std::collections::BTreeMap;
use std::sync::Mutex;

use engine::State;
use journal_schema::codec;
use journal_schema::effect::{Effect, Outcome};
use journal_schema::event::Digest;

/// Most plans that are kept, some ten kilobytes each.
const KEPT: usize = 1_000;

/// What the planner answered, by the digest of what it was asked. It is a pure function, which the replay of a run
/// shows by computing its plans anew.
#[derive(Debug, Default)]
pub struct Plans(Mutex<BTreeMap<Digest, Outcome>>);

impl Plans {
    /// The planner's answer, computed where it is not known.
    pub(super) fn compute(&self, state: &State, effect: &Effect) -> Option<Outcome> {
        let Effect::Plan { limits } = effect else { return driver::compute(state, effect) };
        let Ok(asked) = codec::digest(&(state.planning_input(), limits)) else { return driver::compute(state, effect) };
        if let Some(known) = self.0.lock().ok().and_then(|known| known.get(&asked).cloned()) {
            return Some(known);
        }
        let answer = driver::compute(state, effect)?;
        if let Ok(mut known) = self.0.lock()
            && known.len() < KEPT
        {
            known.insert(asked, answer.clone());
        }
        Some(answer)
    }
}
