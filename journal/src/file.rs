//! The journal in a directory.
//!
//! ```text
//! LOCK                    held while a daemon has the journal open; the holder's process id
//! HEAD                    how far the journal is durable, in two slots
//! segments/00000000.kjs   entries, in segments of 64 MiB
//! index/00000000/         sled, for a range of segments
//! ```
//!
//! What is acknowledged: when [`Journal::flush`] returned `Ok`, every entry appended before is on
//! the disk (`fdatasync` of the segment; names by `fsync` of the directory when a segment is
//! created, and when the journal is opened). What opening guarantees: the entries are an exact
//! prefix of what was appended, at least up to the last acknowledged one, or opening refuses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use canary::{Canary, planted};
use journal_schema::SCHEMA_VERSION;
use journal_schema::codec;
use journal_schema::entry::Entry;
use journal_schema::event::Event;
use journal_schema::units::Timestamp;

use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::disk::{Access, Disk, DiskFile, Held, RealDisk};
use crate::error::{AppendError, IoError, OpenError};
use crate::frame::{FORMAT_VERSION, FrameHead, kind_number, write_commit, write_entry};
use crate::head::{self, HEAD, HeadFile};
use crate::id::{Chain, JournalId};
use crate::index::{Index, IndexKeys, index_keys};
use crate::layout::{Tail, load, open_segment};
use crate::reader::{JournalReader, Shared};
use crate::recover::{begin_segment, create, lock, recover};
use crate::segment::Position;
use crate::{Entries, Journal, Last, Source, check_next};

/// A batch larger than this is written without waiting for the caller's flush.
const BATCH_BYTES: usize = 4 << 20;

/// How to open a journal.
#[derive(Clone)]
pub struct Options {
    /// A segment that has grown to this many bytes is full.
    pub segment_bytes: u64,
    /// HEAD is made durable at every this many flushes (and at each new segment and at a clean
    /// close). It is exact after a crash of the process in any case; after a power cut it tells of a
    /// lost tail up to this many flushes ago.
    pub head_sync_every: u32,
    /// Keep the sled index. Without it the journal is whole, only slower to ask.
    pub index: bool,
    /// What an entry is found by in the index.
    pub index_keys: IndexKeys,
    /// Create the journal when there is none.
    pub create: bool,
    /// The id of a journal that is created; drawn by the operating system when `None`.
    pub id: Option<JournalId>,
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            head_sync_every: 64,
            index: true,
            index_keys,
            create: true,
            id: None,
            disk: Arc::new(RealDisk),
        }
    }
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The journal was created.
    pub created: bool,
    /// Bytes of a batch that was never acknowledged and was cut: to be journaled as `Event::TailCut`.
    pub tail_cut: u64,
    /// Entries beyond HEAD: flushed by a daemon that ended before it could say so.
    pub beyond_head: u64,
}

/// A journal that is written to a directory. Only one at a time has it open.
pub struct FileJournal {
    options: Options,
    dir: PathBuf,
    /// Dropped last, after everything that writes.
    reader: JournalReader,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    head: HeadFile,
    flushes: u32,
    batch: Vec<u8>,
    batch_entries: u32,
    /// After the last entry appended, durable or not.
    position: Position,
    stopped: Option<String>,
    _lock: Held,
}

impl FileJournal {
    /// Opens the journal in `dir`, or creates one.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), OpenError> {
        let disk = Arc::clone(&options.disk);
        if options.create {
            let segments = dir.join("segments");
            disk.create_dir(&segments).map_err(|source| IoError::new("create", segments, source))?;
        }
        let lock = lock(&*disk, dir)?;
        let loaded = load(&*disk, dir)?;
        let mut opened = Opened::default();
        let (head, layout) = match head::read(&*disk, dir)? {
            head::Read::Missing
                if loaded.layout.is_none() && options.create && !matches!(loaded.tail, Tail::Damaged(_)) =>
            {
                opened.created = true;
                create(&*disk, dir, options.id, &loaded)?
            }
            head::Read::Missing if loaded.layout.is_none() && loaded.tail == Tail::Clean => {
                return Err(OpenError::NotAJournal { dir: dir.to_owned() });
            }
            head::Read::Missing | head::Read::Damaged => {
                let damage = Damage { file: HEAD.into(), offset: 0, seq: None, fault: Fault::Head };
                return Err(OpenError::Damaged { dir: dir.to_owned(), damage });
            }
            head::Read::Mark(_, format, _) if format > FORMAT_VERSION => {
                return Err(OpenError::NewerFormat { path: dir.join(HEAD), found: format });
            }
            head::Read::Mark(mark, ..) => recover(&*disk, dir, mark, loaded, &mut opened)?,
        };
        let segment = *layout.last_segment();
        let (file, path) = open_segment(&*disk, dir, segment.head.number, Access::Write)?;
        let shared = Arc::new(Shared { disk: Arc::clone(&disk), dir: dir.to_owned(), layout: RwLock::new(layout) });
        let index = (options.index && disk.is_real()).then(|| Index::start(&shared, options.index_keys));
        let reader = JournalReader::attached(shared, index);
        let journal = Self {
            options,
            dir: dir.to_owned(),
            reader,
            file,
            path,
            end: segment.end,
            head,
            flushes: 0,
            batch: Vec::new(),
            batch_entries: 0,
            position: segment.last,
            stopped: None,
            _lock: lock,
        };
        Ok((journal, opened))
    }

    /// A reader that sees each entry as soon as it is durable, from any thread.
    pub fn reader(&self) -> JournalReader {
        self.reader.clone()
    }

    /// The index, when there is one.
    pub fn index(&self) -> Option<&Index> {
        self.reader.index.as_ref()
    }

    /// The chain after the last durable entry: for a witness outside of this machine.
    pub fn chain(&self) -> Chain {
        self.reader.chain()
    }

    /// The epoch of the last entry.
    pub fn epoch(&self) -> u64 {
        self.position.epoch
    }

    /// Flushes, makes HEAD durable, and brings the index up to date.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.flush()?;
        self.guard(|journal| journal.head.sync())?;
        if let Some(index) = self.index() {
            index.settle();
        }
        Ok(())
    }

    /// Runs something that touches the disk; its failure stops the journal.
    fn guard<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, IoError>) -> Result<T, AppendError> {
        if let Some(cause) = &self.stopped {
            return Err(AppendError::Stopped { cause: cause.clone() });
        }
        work(self).map_err(|error| {
            self.stopped = Some(format!("{error}: {}", error.source));
            AppendError::Io(error)
        })
    }

    fn write_batch(&mut self) -> Result<(), IoError> {
        if self.end >= self.options.segment_bytes {
            self.roll()?;
        }
        let Position { seq, at, epoch, chain } = self.position;
        let last = FrameHead { seq, at, epoch, kind: 0, schema: SCHEMA_VERSION };
        write_commit(&mut self.batch, last, self.batch_entries, chain);
        if planted(Canary::HeadLeads) {
            self.head.write(self.position)?;
            self.head.sync()?;
        }
        self.file.write_at(&self.batch, self.end).map_err(|source| IoError::new("write", &self.path, source))?;
        if !planted(Canary::SyncsNothing) {
            let synced = self.file.sync().map_err(|source| IoError::new("sync", &self.path, source));
            if !planted(Canary::AcknowledgesUnsynced) {
                synced?;
            }
        }
        self.end += self.batch.len() as u64;
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH_BYTES);
        self.batch_entries = 0;
        {
            let mut layout = self.reader.shared.layout.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(segment) = layout.segments.last_mut() {
                segment.end = self.end;
                segment.last = self.position;
            }
        }
        self.head.write(self.position)?;
        self.flushes += 1;
        if self.flushes >= self.options.head_sync_every {
            self.head.sync()?;
            self.flushes = 0;
        }
        if let Some(index) = self.index() {
            index.advance(self.position.seq);
        }
        Ok(())
    }

    /// Begins the next segment.
    fn roll(&mut self) -> Result<(), IoError> {
        let full = *self.reader.shared.layout().last_segment();
        // The batch in hand is not durable: the new segment begins after the last one that is.
        let segment = begin_segment(&*self.options.disk, &self.dir, &full.head, full.head.number + 1, full.last)?;
        let (file, path) = open_segment(&*self.options.disk, &self.dir, segment.head.number, Access::Write)?;
        self.file = file;
        self.path = path;
        self.end = segment.end;
        self.head.sync()?;
        self.flushes = 0;
        let mut layout = self.reader.shared.layout.write().unwrap_or_else(PoisonError::into_inner);
        layout.segments.push(segment);
        Ok(())
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        if self.stopped.is_none() {
            // What was flushed is durable already; this only saves the next opening some work.
            let _ = self.head.sync();
        }
        if let Some(index) = self.index() {
            index.stop();
        }
    }
}

impl Source for FileJournal {
    fn id(&self) -> JournalId {
        self.reader.id()
    }

    fn first_seq(&self) -> u64 {
        self.reader.first_seq()
    }

    fn durable_last(&self) -> Option<Last> {
        self.reader.durable_last()
    }

    fn read(&self, from: u64) -> Entries<'_> {
        self.reader.read(from)
    }

    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        self.reader.latest_checkpoint(at_most, fingerprint)
    }
}

impl Journal for FileJournal {
    fn append(&mut self, entry: &Entry) -> Result<(), AppendError> {
        self.guard(|_| Ok(()))?;
        check_next(self.last(), entry)?;
        let payload = codec::encode(entry).map_err(|source| AppendError::Encode { seq: entry.seq, source })?;
        let epoch = match &entry.event {
            Event::DaemonStarted { epoch, .. } => *epoch,
            Event::PolicyChanged { .. }
            | Event::Watch(_)
            | Event::Intents { .. }
            | Event::Outcome { .. }
            | Event::DeadlineReached { .. }
            | Event::Operator { .. }
            | Event::TailCut { .. }
            | Event::ClockStepped { .. } => self.position.epoch,
        };
        let head = FrameHead {
            seq: entry.seq,
            at: entry.at.0,
            epoch,
            kind: kind_number(&entry.event),
            schema: SCHEMA_VERSION,
        };
        let chain = write_entry(&mut self.batch, head, &payload, &self.position.chain);
        self.position = Position { seq: entry.seq, at: entry.at.0, epoch, chain };
        self.batch_entries += 1;
        if self.batch.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), AppendError> {
        self.guard(|journal| if journal.batch_entries == 0 { Ok(()) } else { journal.write_batch() })
    }

    fn last(&self) -> Option<Last> {
        let Position { seq, at, .. } = self.position;
        (seq >= self.first_seq()).then_some(Last { seq, at: Timestamp(at) })
    }

    fn save_checkpoint(&mut self, checkpoint: &Checkpoint) {
        if let Some(index) = self.index()
            && checkpoint.seq <= self.reader.shared.durable().seq
        {
            index.save_checkpoint(checkpoint);
        }
    }
}
