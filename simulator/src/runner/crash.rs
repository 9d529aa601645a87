//! Where the daemon is killed: before and after every append and flush and around every request.

use std::collections::BTreeSet;

use engine::PhaseName;
use serde::{Deserialize, Serialize};

/// When to kill the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crashes {
    /// At these places, counted from 1 over the whole run, all lives together: before and after
    /// each append, each flush and each request that is sent.
    pub places: BTreeSet<u64>,
    /// Right after the first changing request of each of these phases.
    pub phases: Vec<PhaseName>,
}

/// What the daemon was about to do, or had done, at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// Before an entry is appended.
    BeforeAppend,
    /// After, not flushed.
    AfterAppend,
    /// Before a flush.
    BeforeFlush,
    /// After it: intents are durable, requests not sent.
    AfterFlush,
    /// Before a request is sent.
    BeforeRequest,
    /// After: it will be carried out, and nobody waits for the answer.
    AfterRequest,
    /// Wherever the journal could not be opened, read or written: the daemon ends by itself.
    JournalFailed,
}

impl Place {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeAppend => "killed before an append",
            Self::AfterAppend => "killed after an append",
            Self::BeforeFlush => "killed before a flush",
            Self::AfterFlush => "killed after a flush",
            Self::BeforeRequest => "killed before a request",
            Self::AfterRequest => "killed after a request",
            Self::JournalFailed => "ended by its journal",
        }
    }
}

/// The switch that kills.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch {
    crashes: Crashes,
    passed: u64,
    /// The daemon of this life is dead: nothing it still does has an effect.
    pub(super) dead: bool,
    /// Every place that was passed, when they are to be listed.
    pub(super) log: Vec<Place>,
    pub(super) killed_at: Vec<Place>,
    /// The same, with the phase in which the daemon was.
    pub(super) killed_in: Vec<(Place, PhaseName)>,
}

impl Switch {
    pub(super) fn new(crashes: Crashes) -> Self {
        Self { crashes, ..Self::default() }
    }

    /// Passes a place. False when the daemon dies here, or is dead already.
    pub(super) fn pass(&mut self, place: Place) -> bool {
        if self.dead {
            return false;
        }
        self.passed += 1;
        self.log.push(place);
        if self.crashes.places.contains(&self.passed) {
            self.dead = true;
            self.killed_at.push(place);
        }
        !self.dead
    }

    /// The daemon ended because its journal failed.
    pub(super) fn journal_failed(&mut self) {
        self.dead = true;
        self.killed_at.push(Place::JournalFailed);
    }

    /// A changing request was sent in this phase.
    pub(super) fn sent_in(&mut self, phase: PhaseName) {
        if let Some(index) = self.crashes.phases.iter().position(|planned| *planned == phase)
            && !self.dead
        {
            self.crashes.phases.remove(index);
            self.dead = true;
            self.killed_at.push(Place::AfterRequest);
        }
    }
}
