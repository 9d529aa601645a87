//! Folds a run's journal again from its first entry and compares.

use std::collections::BTreeMap;

use engine::State;
use journal::Source;
use journal_schema::effect::{EffectId, Outcome};
use journal_schema::event::Event;
use journal_schema::text::Name;

/// Whether the journal gives this state again, and every forecast and plan in it is what its input
/// gives. The state machine itself compares the effects with the recorded intents.
///
/// # Errors
/// What differs, for people.
pub(super) fn check<J: Source>(journal: &J, state: &State) -> Result<(), String> {
    let mut again = State::new(Name::truncated(journal.id().to_string()));
    let mut computed: BTreeMap<EffectId, Outcome> = BTreeMap::new();
    for entry in journal.read(1) {
        let entry = entry.map_err(|error| error.to_string())?;
        if let Event::Outcome { id, outcome } = &entry.event
            && let Some(expected) = computed.remove(id)
            && expected != *outcome
        {
            return Err(format!("entry {}: {id} is computed differently now", entry.seq));
        }
        again.step(&entry).map_err(|error| format!("entry {}: {error}", entry.seq))?;
        if let Event::Intents { effects } = &entry.event {
            for (id, effect) in effects {
                if let Some(outcome) = driver::compute(&again, effect) {
                    computed.insert(*id, outcome);
                }
            }
        }
    }
    let digest = |state: &State| state.digest().map_err(|error| error.to_string());
    let (before, after) = (digest(state)?, digest(&again)?);
    if before == after { Ok(()) } else { Err(format!("state {before} became {after}")) }
}
