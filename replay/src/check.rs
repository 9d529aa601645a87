//! Does a recorded journal still give what it gave?
//!
//! The journal is folded from its first entry through the engine of this build. The engine itself
//! compares the intents that were recorded with the effects that it wants. Every forecast and plan is
//! computed again from the state as it was, by the function that the daemon uses, and compared with
//! the recorded outcome byte for byte. A second state follows that is saved and restored on the way,
//! as by a daemon that is restarted from a checkpoint: both must end as the same state.

use std::fmt;

use engine::{BEHAVIOUR, State};
use journal::{Checkpoint, CheckpointError, ReadError, Source};
use journal_schema::codec::{self, EncodeError};
use journal_schema::effect::{Answer, Effect, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Digest, Event};
use journal_schema::units::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::difference::{Difference, What, first_difference, short};
use crate::state_at::fresh;

/// Differences that are listed. More are only counted.
const LISTED: usize = 100;

/// Entries between two looks at whether the restored state is still the same, for its digest reads
/// all of it.
const COMPARE_EVERY: u64 = 4096;

/// What to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckOptions {
    /// The last entry looked at.
    pub to: u64,
    /// Compute forecasts and plans again. Without it, only the fold is checked.
    pub recompute: bool,
    /// Follow with a state that is saved and restored on the way.
    pub restore: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { to: u64::MAX, recompute: true, restore: true }
    }
}

/// A journal could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It does not begin at entry 1, and what came before is not in it.
    #[error("the journal begins at entry {first}: without the entries before it nothing can be replayed")]
    NoBeginning {
        /// Its first entry.
        first: u64,
    },
    /// It could not be read to its end.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// A state or outcome could not be digested.
    #[error("a digest cannot be computed")]
    Digest(#[from] EncodeError),
    /// A state could not be saved or restored.
    #[error("the state after entry {seq} cannot be saved and restored")]
    Checkpoint {
        /// After which entry.
        seq: u64,
        /// Why.
        #[source]
        source: CheckpointError,
    },
}

/// One recorded plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanCheck {
    /// The entry that records it.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
    /// Number of the iteration; `None` when the planner failed.
    pub iteration: Option<u64>,
    /// The recorded plan's digest, as operators name it; `None` when the planner failed.
    pub digest: Option<Digest>,
    /// Whether it comes out the same; `None` when it was not computed again.
    pub identical: Option<bool>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// Entries folded.
    pub entries: u64,
    /// Effects whose intents were recorded and are the same now.
    pub intents: u64,
    /// Forecasts recorded, and how many of them come out the same.
    pub forecasts: (u64, u64),
    /// Plans, in order.
    pub plans: Vec<PlanCheck>,
    /// The entry that could not be folded, where the replay ended.
    pub stopped_at: Option<u64>,
    /// The digest of the state after the last entry; `None` when the replay ended before it.
    pub state_digest: Option<Digest>,
    /// How often the second state was saved and restored.
    pub restores: u64,
    /// The first differences, in order.
    pub differences: Vec<Difference>,
    /// How many there are.
    pub difference_count: u64,
    /// Numbers of the engine's rules that wrote the journal, ascending.
    pub behaviours: Vec<u32>,
    /// Whether forecasts and plans were computed again.
    pub recomputed: bool,
}

impl CheckReport {
    /// Whether everything came out as it was recorded.
    pub fn identical(&self) -> bool {
        self.difference_count == 0
    }

    /// Plans that come out the same.
    pub fn plans_identical(&self) -> u64 {
        self.plans.iter().map(|plan| u64::from(plan.identical == Some(true))).sum()
    }
}

/// A number with commas: `18,231`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `Replayed 18,231 events.  41 plans: 41 identical.  State digest 8c1e… identical.`, and a line for
/// each difference.
impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replayed {}.", counted(self.entries, "event"))?;
        let (forecasts, same) = self.forecasts;
        let plans = self.plans.len() as u64;
        if self.recomputed {
            write!(f, "  {}: {} identical.", counted(plans, "plan"), grouped(self.plans_identical()))?;
            write!(f, "  {}: {} identical.", counted(forecasts, "forecast"), grouped(same))?;
        } else {
            write!(f, "  {} and {}, not computed again.", counted(plans, "plan"), counted(forecasts, "forecast"))?;
        }
        let restored = self.differences.iter().any(|difference| matches!(difference.what, What::Restore { .. }));
        let digest = self.state_digest.as_ref().map(|digest| short(digest));
        match (digest, self.restores, restored) {
            (None, ..) => write!(f, "  Stopped at entry {}.", grouped(self.stopped_at.unwrap_or_default()))?,
            (Some(digest), 0, _) => write!(f, "  State digest {digest}….")?,
            (Some(digest), _, false) => write!(f, "  State digest {digest}… identical.")?,
            (Some(digest), _, true) => write!(f, "  State digest {digest}… DIFFERENT when restored.")?,
        }
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        let more = self.difference_count - self.differences.len() as u64;
        if more > 0 {
            write!(f, "\n  and {}", counted(more, "more difference"))?;
        }
        if self.difference_count > 0 && self.behaviours.iter().any(|&behaviour| behaviour != BEHAVIOUR) {
            let wrote: Vec<String> = self.behaviours.iter().map(u32::to_string).collect();
            write!(
                f,
                "\nThe journal was written by behaviour {}; this build has behaviour {BEHAVIOUR}.",
                wrote.join(", ")
            )?;
        }
        Ok(())
    }
}

/// A state that is saved and restored on the way.
struct Follower {
    state: State,
    restores: u64,
    /// The next entry after which it is saved and restored.
    next: u64,
}

impl Follower {
    /// Saves and restores at entries 1, 2, 4, 8 …
    fn follow(&mut self, entry: &Entry) -> Result<bool, CheckError> {
        // The engine took the same entry before; a refusal now is a difference like any other.
        if self.state.step(entry).is_err() {
            return Ok(false);
        }
        if entry.seq == self.next {
            self.next *= 2;
            let fingerprint = driver::fingerprint();
            let error = |source| CheckError::Checkpoint { seq: entry.seq, source };
            let saved = Checkpoint::of(entry.seq, &fingerprint, &self.state).map_err(error)?;
            self.state = saved.state(&fingerprint).map_err(error)?;
            self.restores += 1;
        }
        Ok(true)
    }
}

struct Check {
    state: State,
    follower: Option<Follower>,
    /// Effects that are computed and have no outcome yet.
    asked: BTreeMap<EffectId, Effect>,
    report: CheckReport,
}

impl Check {
    fn differ(&mut self, entry: &Entry, what: What) {
        self.report.difference_count += 1;
        if self.report.differences.len() < LISTED {
            self.report.differences.push(Difference { seq: entry.seq, at: entry.at, what });
        }
    }

    /// Computes an outcome again, from the state before the entry that records it.
    fn outcome(&mut self, entry: &Entry, id: EffectId, recorded: &Outcome, recompute: bool) -> Result<(), CheckError> {
        let Some(effect) = self.asked.remove(&id) else {
            if matches!(recorded, Outcome::Answered(Answer::Planned(_) | Answer::Forecasts(_))) {
                self.differ(entry, What::Unasked { id: id.to_string() });
            }
            return Ok(());
        };
        let computed = recompute.then(|| driver::compute(&self.state, &effect)).flatten();
        let identical = computed.as_ref().map(|computed| computed == recorded);
        let place = computed.as_ref().and_then(|computed| first_difference(recorded, computed));
        if matches!(effect, Effect::Forecast) {
            self.report.forecasts.0 += 1;
            self.report.forecasts.1 += u64::from(identical == Some(true));
            if let Some(place) = place {
                self.differ(entry, What::Forecast(place));
            }
            return Ok(());
        }
        if let Some(place) = place {
            self.differ(entry, What::Plan(place));
        }
        let (iteration, digest) = match recorded {
            Outcome::Answered(Answer::Planned(planned)) => {
                (Some(planned.plan.iteration), Some(codec::digest(&planned.plan)?))
            }
            Outcome::Answered(_) | Outcome::Failed(_) => (None, None),
        };
        self.report.plans.push(PlanCheck { seq: entry.seq, at: entry.at, iteration, digest, identical });
        Ok(())
    }

    /// Takes one entry. `false` when the fold cannot go on.
    fn entry(&mut self, entry: &Entry, options: &CheckOptions) -> Result<bool, CheckError> {
        if let Event::Outcome { id, outcome } = &entry.event {
            self.outcome(entry, *id, outcome, options.recompute)?;
        }
        if let Event::DaemonStarted { behaviour, .. } = &entry.event
            && let Err(place) = self.report.behaviours.binary_search(behaviour)
        {
            self.report.behaviours.insert(place, *behaviour);
        }
        if let Err(error) = self.state.step(entry) {
            self.differ(entry, What::Step { error: error.to_string() });
            // A refused entry may leave a state half changed: there is nothing left to compare.
            self.report.restores = self.follower.take().map_or(0, |follower| follower.restores);
            self.report.stopped_at = Some(entry.seq);
            return Ok(false);
        }
        self.report.entries += 1;
        if let Event::Intents { effects } = &entry.event {
            self.report.intents += effects.len() as u64;
            let computed = effects.iter().filter(|(_, effect)| driver::is_computed(effect));
            self.asked.extend(computed.map(|(id, effect)| (*id, effect.clone())));
        }
        let followed = match self.follower.as_mut() {
            Some(follower) => follower.follow(entry)?,
            None => true,
        };
        if !followed || entry.seq.is_multiple_of(COMPARE_EVERY) {
            self.compare(entry)?;
        }
        Ok(true)
    }

    /// Compares the two states; after a difference the follower is let go.
    fn compare(&mut self, entry: &Entry) -> Result<(), CheckError> {
        let Some(follower) = &self.follower else { return Ok(()) };
        self.report.restores = follower.restores;
        let (folded, restored) = (self.state.digest()?.to_string(), follower.state.digest()?.to_string());
        if folded != restored {
            self.differ(entry, What::Restore { folded, restored });
            self.follower = None;
        }
        Ok(())
    }
}

/// Replays a journal and compares. `progress` is told the number of each entry.
///
/// A difference in an outcome does not end the replay: the fold goes on with what was recorded, as
/// the daemon did.
pub fn check(
    source: &dyn Source,
    options: &CheckOptions,
    mut progress: impl FnMut(u64),
) -> Result<CheckReport, CheckError> {
    let first = source.first_seq();
    if first != 1 {
        return Err(CheckError::NoBeginning { first });
    }
    let follower = || Follower { state: fresh(source), restores: 0, next: 1 };
    let mut check = Check {
        state: fresh(source),
        follower: options.restore.then(follower),
        asked: BTreeMap::new(),
        report: CheckReport {
            entries: 0,
            intents: 0,
            forecasts: (0, 0),
            plans: Vec::new(),
            stopped_at: None,
            state_digest: None,
            restores: 0,
            differences: Vec::new(),
            difference_count: 0,
            behaviours: Vec::new(),
            recomputed: options.recompute,
        },
    };
    let mut last = None;
    for entry in source.read(1) {
        let entry = entry?;
        if entry.seq > options.to {
            break;
        }
        progress(entry.seq);
        if !check.entry(&entry, options)? {
            break;
        }
        last = Some(entry);
    }
    if let Some(entry) = last {
        check.compare(&entry)?;
    }
    if check.report.stopped_at.is_none() {
        check.report.state_digest = Some(check.state.digest()?);
    }
    Ok(check.report)
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 18_231, 1_234_567].map(grouped), ["0", "999", "1,000", "18,231", "1,234,567"]);
    }
}
