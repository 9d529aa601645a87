//! The state at any time.

use engine::{State, StepError};
use journal::{FoldError, Folded, Source, fold_to};
use journal_schema::entry::Entry;
use journal_schema::text::Name;

/// A state could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum StateAtError {
    /// The journal does not begin at entry 1, and what came before is not in it.
    #[error("the journal begins at entry {first}: without the entries before it no state can be folded")]
    NoBeginning {
        /// Its first entry.
        first: u64,
    },
    /// The journal could not be read, or the engine refused an entry.
    #[error("the journal cannot be folded")]
    Fold(#[source] Box<FoldError<StepError>>),
}

/// The state before the first entry of a journal.
pub(crate) fn fresh(source: &dyn Source) -> State {
    State::new(Name::truncated(source.id().to_string()))
}

/// The state after entry `seq`, or after the last entry if that is earlier. Begins at the nearest
/// checkpoint of this build.
pub fn state_at(source: &dyn Source, seq: u64) -> Result<Folded<State>, StateAtError> {
    let first = source.first_seq();
    if first != 1 {
        return Err(StateAtError::NoBeginning { first });
    }
    let step = |state: &mut State, entry: &Entry| state.step(entry).map(drop);
    fold_to(source, seq, &driver::fingerprint(), || fresh(source), step)
        .map_err(|error| StateAtError::Fold(Box::new(error)))
}
