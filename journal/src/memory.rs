//! A journal in memory that loses its unflushed tail when it crashes. For simulations.

use canary::{Canary, planted};
use std::sync::Arc;

use journal_schema::entry::Entry;
use journal_schema::units::Timestamp;

use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, ReadError};
use crate::id::JournalId;
use crate::{Entries, Journal, Last, Source, check_next};

/// What a [`MemoryJournal`] keeps over a crash. Cloning it copies pointers, not entries, so that a
/// test can branch from any point.
#[derive(Clone, Debug)]
pub struct Durable {
    id: JournalId,
    entries: Vec<Arc<Entry>>,
    checkpoints: Vec<Arc<Checkpoint>>,
}

impl Durable {
    /// The flushed entries, in order.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }
}

/// A journal in memory.
#[derive(Clone, Debug)]
pub struct MemoryJournal {
    durable: Durable,
    unflushed: Vec<Arc<Entry>>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new(id: JournalId) -> Self {
        Self::reopen(Durable { id, entries: Vec::new(), checkpoints: Vec::new() })
    }

    /// A journal that goes on from what another left.
    pub fn reopen(mut durable: Durable) -> Self {
        if planted(Canary::LosesLast) {
            durable.entries.pop();
        }
        Self { durable, unflushed: Vec::new() }
    }

    /// What would be left after a crash now.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Crashes: whatever was not flushed is gone.
    pub fn crash(self) -> Durable {
        self.durable
    }

    /// Entries appended and not flushed.
    pub fn unflushed(&self) -> usize {
        self.unflushed.len()
    }
}

impl Source for MemoryJournal {
    fn id(&self) -> JournalId {
        self.durable.id
    }

    fn first_seq(&self) -> u64 {
        1
    }

    fn durable_last(&self) -> Option<Last> {
        self.durable.entries.last().map(|entry| Last { seq: entry.seq, at: entry.at })
    }

    fn read(&self, from: u64) -> Entries<'_> {
        if from == 0 {
            return Box::new(std::iter::once(Err(ReadError::BeforeStart { seq: 0, first: 1 })));
        }
        let skip = usize::try_from(from - 1).unwrap_or(usize::MAX);
        Box::new(self.durable.entries.iter().skip(skip).map(|entry| Ok(Entry::clone(entry))))
    }

    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        self.durable
            .checkpoints
            .iter()
            .rev()
            .find(|checkpoint| checkpoint.seq <= at_most && checkpoint.fingerprint == fingerprint)
            .map(|checkpoint| Checkpoint::clone(checkpoint))
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, entry: &Entry) -> Result<(), AppendError> {
        check_next(self.last(), entry)?;
        self.unflushed.push(Arc::new(entry.clone()));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), AppendError> {
        let kept = if planted(Canary::FlushesNothing) { self.unflushed.pop() } else { None };
        self.durable.entries.append(&mut self.unflushed);
        self.unflushed.extend(kept);
        Ok(())
    }

    fn last(&self) -> Option<Last> {
        let last = self.unflushed.last().map(|entry| Last { seq: entry.seq, at: entry.at });
        last.or_else(|| self.durable_last())
    }

    fn save_checkpoint(&mut self, checkpoint: &Checkpoint) {
        let seq = self.durable_last().map_or(0, |last| last.seq);
        let newest = self.durable.checkpoints.last().map_or(0, |checkpoint| checkpoint.seq);
        if checkpoint.seq <= seq && checkpoint.seq > newest {
            self.durable.checkpoints.push(Arc::new(checkpoint.clone()));
        }
    }
}

/// Where a memory journal ends, for messages.
impl std::fmt::Display for MemoryJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Last { seq, at: Timestamp(at) } = self.last().unwrap_or(Last { seq: 0, at: Timestamp(0) });
        write!(f, "memory journal {} at entry {seq} ({at} ms)", self.durable.id)
    }
}
