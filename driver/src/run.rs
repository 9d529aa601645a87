//! The loop itself.

use canary::{Canary, planted};
use engine::{BEHAVIOUR, State, StepError};
use journal::{AppendError, Checkpoint, FoldError, Journal, Source, fold_to};
use journal_schema::effect::{Effect, EffectId, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Object};
use journal_schema::plan::Cluster;
use journal_schema::policy::Policy;
use journal_schema::text::{Many, Message, Name};
use journal_schema::units::Timestamp;
use std::collections::VecDeque;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::{Moment, Outside, is_computed};

/// Watch entries that may wait for a flush of something that matters. A relist repeats them.
const UNFLUSHED_MAX: u32 = 512;

/// Entries between two checkpoints of the state.
pub const CHECKPOINT_EVERY: u64 = 10_000;

/// Who acts on the journal.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Number of the leader's term; above every earlier one.
    pub epoch: u64,
    /// Version of the program.
    pub build: Name,
    /// The pod it runs in.
    pub own_pod: Option<Key>,
    /// Policy.
    pub policy: Policy,
    /// Bytes that were cut from the journal's tail when it was opened.
    pub tail_cut: u64,
    /// Number of the engine's rules: [`BEHAVIOUR`]. Another one stands for another release, whose journal this one
    /// finds or leaves.
    pub behaviour: u32,
    /// Entries between two checkpoints of the state: [`CHECKPOINT_EVERY`], or fewer to see what they are worth.
    pub checkpoint_every: u64,
}

/// Why the daemon stopped. The journal is kept in every case.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The journal cannot be folded.
    #[error("the journal cannot be folded: nothing is done until it can; see `kinema journal verify`")]
    Fold(#[source] Box<FoldError<StepError>>),
    /// The journal cannot be written.
    #[error("the journal cannot be written: nothing is done that is not durable")]
    Append(#[source] AppendError),
    /// An entry cannot be folded into the state.
    #[error("the state machine stopped; the journal is kept")]
    Step(#[source] StepError),
    /// More effects at once than an entry can hold.
    #[error("{effects} effects at once exceed what an entry can hold")]
    TooManyEffects {
        /// How many.
        effects: usize,
    },
}

/// Names the build and the shape of the state, so that a checkpoint of another is ignored.
pub fn fingerprint() -> String {
    format!("{}-{BEHAVIOUR}-{}", env!("CARGO_PKG_VERSION"), journal_schema::SCHEMA_VERSION)
}

/// The state after the journal's last durable entry.
pub fn recover<J: Source + ?Sized>(journal: &J) -> Result<State, Box<FoldError<StepError>>> {
    let id = Name::truncated(journal.id().to_string());
    let step = |state: &mut State, entry: &Entry| state.step(entry).map(drop);
    let folded = fold_to(journal, u64::MAX, &fingerprint(), || State::new(id), step).map_err(Box::new)?;
    info!(seq = folded.seq, from_checkpoint = ?folded.from_checkpoint, entries = folded.entries, "journal folded");
    Ok(folded.state)
}

/// The loop over one journal and one outside.
pub struct Driver<J, O> {
    journal: J,
    outside: O,
    state: State,
    clock: Clock,
    /// Watch entries appended since the last flush.
    unflushed: u32,
    /// Effects whose intent is appended and which are carried out after the next flush.
    pending: Vec<(EffectId, Effect)>,
    checkpoint_every: u64,
    checkpoint_at: u64,
}

impl<J: Journal, O: Outside> Driver<J, O> {
    /// Folds the journal and begins to act on it. `now` is the outside's moment.
    pub fn start(journal: J, outside: O, identity: Identity, now: Moment) -> Result<Self, DriverError> {
        let state = recover(&journal).map_err(DriverError::Fold)?;
        let Identity { epoch, build, own_pod, policy, tail_cut, behaviour, checkpoint_every } = identity;
        let checkpoint_at = state.seq() + checkpoint_every;
        let (clock, pending) = (Clock::new(now, state.now()), Vec::new());
        let mut driver =
            Self { journal, outside, state, clock, unflushed: 0, pending, checkpoint_every, checkpoint_at };
        if tail_cut > 0 {
            driver.take(Event::TailCut { bytes: tail_cut })?;
        }
        let policy = Box::new(policy);
        driver.take(Event::DaemonStarted { epoch, behaviour, build, own_pod, policy })?;
        driver.flush()?;
        Ok(driver)
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The journal.
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// The outside.
    pub fn outside(&mut self) -> &mut O {
        &mut self.outside
    }

    /// Ends the loop; journal and outside go back to whoever made them.
    pub fn into_parts(self) -> (J, O, State) {
        (self.journal, self.outside, self.state)
    }

    /// Turns until the outside says stop.
    pub fn run(&mut self) -> Result<(), DriverError> {
        while self.turn()? {}
        Ok(())
    }

    /// Waits once and does what follows. False when the outside said stop.
    pub fn turn(&mut self) -> Result<bool, DriverError> {
        let deadline = self.state.next_deadline();
        let woken = self.outside.wait(deadline.map(|(at, _)| self.clock.until(at)));
        if let Some(by) = self.clock.tick(woken.now) {
            warn!(%by, "the system's clock was set");
            self.take(Event::ClockStepped { by })?;
        }
        let idle = woken.events.is_empty();
        for event in woken.events {
            if !repeats(self.state.cluster(), &event) {
                self.take(event)?;
            }
        }
        if let Some((at, deadline)) = deadline.filter(|(at, _)| idle && *at <= self.clock.now()) {
            debug!(?deadline, at = at.0, "deadline");
            self.take(Event::DeadlineReached { deadline })?;
        }
        if planted(Canary::SendsUnflushed) {
            let effects = std::mem::take(&mut self.pending);
            self.outside.perform(effects);
        }
        if !self.pending.is_empty() || self.unflushed >= UNFLUSHED_MAX || woken.stop {
            self.flush()?;
        }
        if woken.stop {
            return Ok(false);
        }
        let mut effects = std::mem::take(&mut self.pending);
        let held = if self.state.world().synced() || planted(Canary::SendsUnsynced) {
            Vec::new()
        } else {
            effects.extract_if(.., |(_, effect)| effect.mutates()).collect()
        };
        if !effects.is_empty() {
            self.outside.perform(effects);
        }
        for (id, _) in held {
            let (class, code) = (FailureClass::Retryable, FailureCode::Precondition);
            let message = Message::truncated("not sent: a watch broke at the same moment");
            self.take(Event::Outcome { id, outcome: Outcome::Failed(Failure { class, code, message }) })?;
        }
        Ok(true)
    }

    /// Stamps, appends and folds an event, and appends the intents that follow from it. Effects that
    /// are computed are computed at once: their input is the state at their intent.
    fn take(&mut self, event: Event) -> Result<(), DriverError> {
        let mut to_compute = self.record(event)?;
        while let Some((id, effect)) = to_compute.pop_front() {
            self.flush()?;
            if let Some(outcome) = self.outside.compute(&self.state, &effect) {
                to_compute.extend(self.record(Event::Outcome { id, outcome })?);
            }
        }
        Ok(())
    }

    /// Appends and folds an event and the intents that follow. Returns those that are to be computed.
    fn record(&mut self, event: Event) -> Result<VecDeque<(EffectId, Effect)>, DriverError> {
        // A watch entry may wait for the next flush; whatever must not be lost ends the waiting.
        self.unflushed = if event.may_be_lost() { self.unflushed + 1 } else { UNFLUSHED_MAX };
        let effects = self.append(event)?;
        if effects.is_empty() {
            return Ok(VecDeque::new());
        }
        let count = effects.len();
        let mut recorded = effects.clone();
        if planted(Canary::DropsIntent) {
            recorded.pop();
        }
        let listed = Many::new(recorded).map_err(|_| DriverError::TooManyEffects { effects: count })?;
        self.append(Event::Intents { effects: listed })?;
        self.unflushed = UNFLUSHED_MAX;
        let (computed, outside): (VecDeque<_>, Vec<_>) = (
            effects.iter().filter(|(_, effect)| is_computed(effect)).cloned().collect(),
            effects.into_iter().filter(|(_, effect)| !is_computed(effect)).collect(),
        );
        self.pending.extend(outside);
        Ok(computed)
    }

    fn append(&mut self, event: Event) -> Result<Vec<(EffectId, Effect)>, DriverError> {
        let seq = self.state.seq() + 1;
        let now = self.clock.now();
        let at = match seq {
            _ if planted(Canary::TrustsClock) => self.clock.wall(),
            1 => now,
            _ => now.max(Timestamp(self.state.now().0 + 1)),
        };
        let entry = Entry { seq, at, event };
        self.journal.append(&entry).map_err(DriverError::Append)?;
        let effects = self.state.step(&entry).map_err(DriverError::Step)?;
        self.outside.observed(&entry, &self.state);
        Ok(effects)
    }

    fn flush(&mut self) -> Result<(), DriverError> {
        let flushed = self.journal.flush();
        if !planted(Canary::GoesOnUnwritten) {
            flushed.map_err(DriverError::Append)?;
        }
        self.unflushed = 0;
        if self.state.seq() >= self.checkpoint_at {
            self.checkpoint_at = self.state.seq() + self.checkpoint_every;
            // A checkpoint is a cache: without one, recovery folds longer.
            let seq = self.state.seq() - u64::from(planted(Canary::CheckpointsLate));
            match Checkpoint::of(seq, &fingerprint(), &self.state) {
                Ok(checkpoint) => self.journal.save_checkpoint(&checkpoint),
                Err(error) => tracing::warn!(%error, "no checkpoint"),
            }
        }
        Ok(())
    }
}

/// Whether a watch only repeats what is known. Listed objects are always taken: a list proves what
/// exists by naming it.
fn repeats(cluster: &Cluster, event: &Event) -> bool {
    let Event::Watch(WatchEvent::Applied(object)) = event else { return false };
    match object {
        Object::Pod(pod) if planted(Canary::SwallowsChanges) => cluster.pods.contains_key(&pod.key),
        Object::Node(node) => cluster.nodes.get(&node.name) == Some(node),
        Object::Pod(pod) => cluster.pods.get(&pod.key) == Some(pod),
        Object::Namespace(namespace) => cluster.namespaces.get(&namespace.name) == Some(namespace),
        Object::Workload(workload) => cluster.workloads.get(&workload.id) == Some(workload),
        Object::Pdb(pdb) => cluster.pdbs.get(&pdb.key) == Some(pdb),
        Object::Hpa(hpa) => cluster.hpas.get(&hpa.key) == Some(hpa),
        Object::Pvc(pvc) => cluster.pvcs.get(&pvc.key) == Some(pvc),
        Object::Pv(pv) => cluster.pvs.get(&pv.name) == Some(pv),
        Object::CsiNode(csi) => cluster.csi_nodes.get(&csi.name) == Some(csi),
    }
}
