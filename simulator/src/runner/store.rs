//! The journal of a run: in memory, or in a directory as the real daemon has it, watched by the
//! judge and killed by the switch.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use journal::memory::Durable;
use journal::{
    AppendError, Checkpoint, Entries, FileJournal, Journal, JournalId, Last, MemoryJournal, OpenError, Options, Source,
};
use journal_schema::effect::{Answer, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, OperatorCommand};

use super::Bench;
use super::crash::Place;
use super::evidence::digest;
use crate::judge::{Judge, PlanLimits};

/// What is left of a journal when nobody has it open.
pub(super) enum Disk {
    /// Entries that were flushed.
    Memory(Box<Durable>),
    /// A directory.
    Directory(PathBuf),
}

/// A journal of either kind.
pub(super) enum Store {
    /// Loses its unflushed tail.
    Memory(MemoryJournal),
    /// Segments and index, in this directory.
    File(Box<FileJournal>, PathBuf),
}

impl Disk {
    /// Nothing yet.
    pub(super) fn new(id: JournalId, directory: Option<PathBuf>) -> Self {
        match directory {
            None => Self::Memory(Box::new(MemoryJournal::new(id).crash())),
            Some(directory) => Self::Directory(directory),
        }
    }

    /// Opens it; tells the bytes that were cut from its tail.
    pub(super) fn open(self, id: JournalId) -> Result<(Store, u64), OpenError> {
        match self {
            Self::Memory(durable) => Ok((Store::Memory(MemoryJournal::reopen(*durable)), 0)),
            Self::Directory(directory) => {
                let options = Options { id: Some(id), create: true, ..Options::default() };
                let (journal, opened) = FileJournal::open(&directory, options)?;
                Ok((Store::File(Box::new(journal), directory), opened.tail_cut))
            }
        }
    }
}

impl Store {
    /// The process ends: what was not flushed is lost.
    fn close(self) -> Disk {
        match self {
            Self::Memory(journal) => Disk::Memory(Box::new(journal.crash())),
            Self::File(_, directory) => Disk::Directory(directory),
        }
    }
}

impl Source for Store {
    fn id(&self) -> JournalId {
        match self {
            Self::Memory(journal) => journal.id(),
            Self::File(journal, _) => journal.id(),
        }
    }
    fn first_seq(&self) -> u64 {
        match self {
            Self::Memory(journal) => journal.first_seq(),
            Self::File(journal, _) => journal.first_seq(),
        }
    }
    fn durable_last(&self) -> Option<Last> {
        match self {
            Self::Memory(journal) => journal.durable_last(),
            Self::File(journal, _) => journal.durable_last(),
        }
    }
    fn read(&self, from: u64) -> Entries<'_> {
        match self {
            Self::Memory(journal) => journal.read(from),
            Self::File(journal, _) => journal.read(from),
        }
    }
    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        match self {
            Self::Memory(journal) => journal.latest_checkpoint(at_most, fingerprint),
            Self::File(journal, _) => journal.latest_checkpoint(at_most, fingerprint),
        }
    }
}

impl Journal for Store {
    fn append(&mut self, entry: &Entry) -> Result<(), AppendError> {
        match self {
            Self::Memory(journal) => journal.append(entry),
            Self::File(journal, _) => journal.append(entry),
        }
    }
    fn flush(&mut self) -> Result<(), AppendError> {
        match self {
            Self::Memory(journal) => journal.flush(),
            Self::File(journal, _) => journal.flush(),
        }
    }
    fn last(&self) -> Option<Last> {
        match self {
            Self::Memory(journal) => journal.last(),
            Self::File(journal, _) => journal.last(),
        }
    }
    fn save_checkpoint(&mut self, checkpoint: &Checkpoint) {
        match self {
            Self::Memory(journal) => journal.save_checkpoint(checkpoint),
            Self::File(journal, _) => journal.save_checkpoint(checkpoint),
        }
    }
}

/// A journal that the judge watches and the switch may kill.
pub(super) struct Watched {
    pub(super) store: Store,
    pub(super) bench: Rc<RefCell<Bench>>,
}

/// However the daemon ends, its disk stays.
impl Drop for Watched {
    fn drop(&mut self) {
        let nothing = Store::Memory(MemoryJournal::new(self.store.id()));
        self.bench.borrow_mut().disk = Some(std::mem::replace(&mut self.store, nothing).close());
    }
}

fn killed() -> AppendError {
    AppendError::Stopped { cause: "the daemon was killed".to_owned() }
}

impl Source for Watched {
    fn id(&self) -> JournalId {
        self.store.id()
    }
    fn first_seq(&self) -> u64 {
        self.store.first_seq()
    }
    fn durable_last(&self) -> Option<Last> {
        self.store.durable_last()
    }
    fn read(&self, from: u64) -> Entries<'_> {
        self.store.read(from)
    }
    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        self.store.latest_checkpoint(at_most, fingerprint)
    }
}

impl Journal for Watched {
    fn append(&mut self, entry: &Entry) -> Result<(), AppendError> {
        let mut bench = self.bench.borrow_mut();
        if !bench.switch.pass(Place::BeforeAppend) {
            return Err(killed());
        }
        self.store.append(entry)?;
        tell(&mut bench.world.judge, entry);
        if bench.switch.pass(Place::AfterAppend) { Ok(()) } else { Err(killed()) }
    }

    fn flush(&mut self) -> Result<(), AppendError> {
        let mut bench = self.bench.borrow_mut();
        // A flush of nothing is no place to die at.
        let empty = self.store.last() == self.store.durable_last();
        if !empty && !bench.switch.pass(Place::BeforeFlush) {
            return Err(killed());
        }
        if bench.switch.dead {
            return Err(killed());
        }
        let last = self.store.last().map_or(0, |last| last.seq);
        self.store.flush()?;
        bench.acknowledged = last;
        bench.world.judge.flushed();
        if !empty {
            bench.flushed = self.store.durable_last().map(|last| last.seq);
        }
        if empty || bench.switch.pass(Place::AfterFlush) { Ok(()) } else { Err(killed()) }
    }

    fn last(&self) -> Option<Last> {
        self.store.last()
    }

    fn save_checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.store.save_checkpoint(checkpoint);
    }
}

/// Tells the judge what the daemon writes down.
fn tell(judge: &mut Judge, entry: &Entry) {
    match &entry.event {
        Event::Intents { effects } => judge.appended(effects.iter().map(|(id, _)| *id)),
        Event::DaemonStarted { epoch, policy, .. } => judge.started(entry.at, *epoch, policy.mode),
        Event::PolicyChanged { policy } => judge.mode_changed(policy.mode),
        Event::Operator { command: OperatorCommand::Approve { digest }, .. } => judge.approval(digest),
        Event::Operator { command: OperatorCommand::Pause { span, .. }, .. } => {
            judge.pause(Some(span.map(|span| entry.at.plus(span))));
        }
        Event::Operator { command: OperatorCommand::Resume, .. } => judge.pause(None),
        Event::Outcome { outcome: Outcome::Answered(Answer::Planned(planned)), .. } => {
            let plan = &planned.plan;
            judge.planned(
                entry.at,
                PlanLimits {
                    digest: digest(plan),
                    iteration: plan.iteration,
                    adds: plan.add.len(),
                    cost: plan.add.iter().map(|add| add.price).sum(),
                },
            );
        }
        _ => {}
    }
}
