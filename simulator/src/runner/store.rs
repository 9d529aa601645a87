//! The journal of a run: in memory, or written as the real daemon writes it, in a directory or on a simulated disk;
//! watched by the judge and killed by the switch.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

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
use crate::disk::{DiskPlan, Struck};
use crate::judge::{Judge, PlanLimits};

/// What is left of a journal when nobody has it open.
pub(super) enum Disk {
    /// Entries that were flushed.
    Memory(Box<Durable>),
    /// A directory.
    Directory(PathBuf),
    /// A simulated disk.
    Simulated(Struck, DiskPlan),
}

/// A journal of any kind.
pub(super) enum Store {
    /// Loses its unflushed tail.
    Memory(MemoryJournal),
    /// Segments and index, in this directory.
    File(Box<FileJournal>, PathBuf),
    /// Segments on a simulated disk.
    Simulated(Box<FileJournal>, Struck, DiskPlan),
}

/// Where the journal is on a simulated disk.
const SIMULATED: &str = "/journal";

impl Disk {
    /// Nothing yet.
    pub(super) fn new(id: JournalId, directory: Option<PathBuf>, plan: Option<DiskPlan>) -> Self {
        match (directory, plan) {
            (Some(directory), _) => Self::Directory(directory),
            (None, Some(plan)) => Self::Simulated(Struck::new(plan.clone()), plan),
            (None, None) => Self::Memory(Box::new(MemoryJournal::new(id).crash())),
        }
    }

    /// The simulated disk.
    pub(super) fn simulated(&self) -> Option<Struck> {
        match self {
            Self::Simulated(disk, _) => Some(disk.clone()),
            Self::Memory(_) | Self::Directory(_) => None,
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
            Self::Simulated(disk, plan) => {
                disk.find();
                let options = Options {
                    id: Some(id),
                    segment_bytes: plan.segment_bytes,
                    head_sync_every: plan.head_sync_every,
                    index: false,
                    disk: Arc::new(disk.clone()),
                    ..Options::default()
                };
                let (journal, opened) = FileJournal::open(Path::new(SIMULATED), options)?;
                Ok((Store::Simulated(Box::new(journal), disk, plan), opened.tail_cut))
            }
        }
    }
}

impl Store {
    /// The process ends, by itself or killed: what was not flushed is lost.
    fn close(self, by_itself: bool) -> Disk {
        match self {
            Self::Memory(journal) => Disk::Memory(Box::new(journal.crash())),
            Self::File(_, directory) => Disk::Directory(directory),
            Self::Simulated(journal, disk, plan) => {
                // First: a journal that is closed in order writes, and one that is killed does not.
                disk.lose(by_itself);
                drop(journal);
                Disk::Simulated(disk, plan)
            }
        }
    }
}

impl Source for Store {
    fn id(&self) -> JournalId {
        match self {
            Self::Memory(journal) => journal.id(),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.id(),
        }
    }
    fn first_seq(&self) -> u64 {
        match self {
            Self::Memory(journal) => journal.first_seq(),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.first_seq(),
        }
    }
    fn durable_last(&self) -> Option<Last> {
        match self {
            Self::Memory(journal) => journal.durable_last(),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.durable_last(),
        }
    }
    fn read(&self, from: u64) -> Entries<'_> {
        match self {
            Self::Memory(journal) => journal.read(from),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.read(from),
        }
    }
    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        match self {
            Self::Memory(journal) => journal.latest_checkpoint(at_most, fingerprint),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.latest_checkpoint(at_most, fingerprint),
        }
    }
}

impl Journal for Store {
    fn append(&mut self, entry: &Entry) -> Result<(), AppendError> {
        match self {
            Self::Memory(journal) => journal.append(entry),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.append(entry),
        }
    }
    fn flush(&mut self) -> Result<(), AppendError> {
        match self {
            Self::Memory(journal) => journal.flush(),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.flush(),
        }
    }
    fn last(&self) -> Option<Last> {
        match self {
            Self::Memory(journal) => journal.last(),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.last(),
        }
    }
    fn save_checkpoint(&mut self, checkpoint: &Checkpoint) {
        match self {
            Self::Memory(journal) => journal.save_checkpoint(checkpoint),
            Self::File(journal, _) | Self::Simulated(journal, ..) => journal.save_checkpoint(checkpoint),
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
        let mut bench = self.bench.borrow_mut();
        let by_itself = bench.refused;
        bench.disk = Some(std::mem::replace(&mut self.store, nothing).close(by_itself));
    }
}

impl Bench {
    /// The disk is about to be asked something.
    pub(super) fn touch(&self) {
        if let Some(disk) = &self.simulated {
            disk.at(self.world.now());
        }
    }

    /// What went wrong with the disk is written down.
    pub(super) fn heard(&mut self) {
        let told = self.simulated.as_ref().map(Struck::told).unwrap_or_default();
        for name in told {
            self.world.faults.came(name);
        }
    }

    /// What the journal answered: one that failed takes nothing more.
    fn answered(&mut self, answer: &Result<(), AppendError>) {
        self.heard();
        self.refused |= matches!(answer, Err(AppendError::Io(_) | AppendError::Stopped { .. }));
    }

    /// What a life finds in the journal must be what was written, from the first entry on and as far as anything was
    /// acknowledged. What is there beside is as good as that from now on.
    pub(super) fn found(&mut self, last: u64) {
        let (now, acknowledged) = (self.world.now(), self.acknowledged);
        if last < acknowledged {
            let text = format!("the journal ends with entry {last} where {acknowledged} was acknowledged");
            self.world.judge.violation(now, "S15", text);
        }
        if self.simulated.is_none() {
            return;
        }
        let length = usize::try_from(last).unwrap_or(usize::MAX);
        if self.written.len() < length {
            let text = format!("the journal has {last} entries, and {} were written", self.written.len());
            self.world.judge.violation(now, "S15", text);
        }
        self.written.truncate(length);
        let beyond = usize::try_from(acknowledged).unwrap_or(usize::MAX).min(self.written.len());
        for entry in &self.written[beyond..] {
            if let Event::Intents { effects } = &entry.event {
                self.world.judge.appended(effects.iter().map(|(id, _)| *id));
            }
        }
        self.world.judge.flushed();
        self.acknowledged = last;
    }

    /// Reads a journal on a simulated disk once more, when nothing goes wrong any more.
    pub(super) fn compare(&mut self, journal: &impl Source) {
        let Some(disk) = &self.simulated else { return };
        disk.heal();
        let mut read = 0;
        let mut other = None;
        for (entry, written) in journal.read(1).zip(&self.written) {
            read += 1;
            match entry {
                Ok(entry) if entry == *written => {}
                Ok(entry) => {
                    other = Some(format!("entry {} is not as it was written", entry.seq));
                    break;
                }
                Err(error) => {
                    other = Some(format!("entry {read} cannot be read: {error}"));
                    break;
                }
            }
        }
        let acknowledged = self.acknowledged;
        if other.is_none() && read < acknowledged {
            other = Some(format!("only {read} entries can be read of {acknowledged}"));
        }
        if let Some(text) = other {
            let now = self.world.now();
            self.world.judge.violation(now, "S15", text);
        }
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
        bench.touch();
        if bench.simulated.is_some() {
            bench.written.push(entry.clone());
        }
        let appended = self.store.append(entry);
        bench.answered(&appended);
        appended?;
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
        bench.touch();
        let flushed = self.store.flush();
        bench.answered(&flushed);
        flushed?;
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
