//! The index beside the segments: entries by object, event and iteration, checkpoints, and a second
//! copy of every entry.
//!
//! A thread of its own brings it up to date in batches, reading the segments like anybody else, so
//! that sled's speed, panics and hangs never reach the writer. It may lag and never leads. A look-up
//! that it cannot answer is answered from the segments by [`find`]. On any doubt at opening it is
//! thrown away and built again; when it fails later, it is left alone until the next opening.

mod keys;
pub(crate) mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Source;
use crate::checkpoint::Checkpoint;
use crate::damage::Damage;
use crate::error::ReadError;
use crate::reader::{Cursor, Place, Shared, decode};
use crate::segment::segment_path;
use store::{Changes, Progress, Range, Ranges, StoreError, ensure_range, open_ranges, range_of};

pub use keys::{IndexKey, IndexKeys, index_keys};

/// How long entries are gathered before they are indexed together.
const GATHER: Duration = Duration::from_millis(200);
/// How long a caller waits for the index to open, or to catch up at a close.
const PATIENCE: Duration = Duration::from_secs(10);
/// Entries and bytes of one batch.
const BATCH: (usize, usize) = (512, 1 << 20);
/// Batches between two syncs.
const SYNC_EVERY: u32 = 16;

/// How the index stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It is being opened.
    Opening,
    /// It answers for every entry up to this one.
    Ready {
        /// Last entry indexed.
        seq: u64,
    },
    /// It is not used any more, for this reason.
    Failed(String),
    /// It was closed.
    Closed,
}

struct Progressing {
    state: IndexState,
    ranges: Ranges,
    /// Durable up to here.
    target: u64,
    /// Somebody waits: do not gather.
    hurry: bool,
    stop: bool,
    running: bool,
}

struct Inner {
    shared: Arc<Shared>,
    dir: PathBuf,
    keys: IndexKeys,
    progress: Mutex<Progressing>,
    /// Told to the thread.
    wake: Condvar,
    /// Told by the thread.
    moved: Condvar,
}

/// A handle on the index. Clones share it.
#[derive(Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

impl Index {
    /// Starts the thread that opens the index, throws it away if in doubt, and keeps it up to date.
    pub(crate) fn start(shared: &Arc<Shared>, keys: IndexKeys) -> Self {
        let progress = Progressing {
            state: IndexState::Opening,
            ranges: Ranges::new(),
            target: shared.durable().seq,
            hurry: false,
            stop: false,
            running: true,
        };
        let inner = Arc::new(Inner {
            shared: Arc::clone(shared),
            dir: shared.dir.join("index"),
            keys,
            progress: Mutex::new(progress),
            wake: Condvar::new(),
            moved: Condvar::new(),
        });
        let index = Self { inner: Arc::clone(&inner) };
        let thread = std::thread::Builder::new().name("journal-index".to_owned()).spawn(move || inner.run());
        if let Err(error) = thread {
            let mut progress = index.lock();
            progress.state = IndexState::Failed(format!("no thread: {error}"));
            progress.running = false;
        }
        index
    }

    fn lock(&self) -> MutexGuard<'_, Progressing> {
        self.inner.lock()
    }

    /// How it stands.
    pub fn state(&self) -> IndexState {
        self.lock().state.clone()
    }

    /// Tells that entries are durable up to `seq`.
    pub(crate) fn advance(&self, seq: u64) {
        self.lock().target = seq;
        self.inner.wake.notify_one();
    }

    /// Waits until `done`, or the index has failed, or patience ends.
    fn wait(&self, done: impl Fn(&Progressing) -> bool) -> IndexState {
        let deadline = Instant::now() + PATIENCE;
        let mut progress = self.lock();
        while !done(&progress) && progress.running {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            progress = self.inner.moved.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        progress.state.clone()
    }

    /// Waits until every durable entry is indexed and the index is durable, for 10 seconds at most.
    pub fn settle(&self) -> IndexState {
        let target = self.inner.shared.durable().seq;
        {
            let mut progress = self.lock();
            progress.target = target;
            progress.hurry = true;
        }
        self.inner.wake.notify_one();
        self.wait(|progress| match progress.state {
            IndexState::Ready { seq } => seq >= target && !progress.hurry,
            IndexState::Opening => false,
            IndexState::Failed(_) | IndexState::Closed => true,
        })
    }

    /// Ends the thread and lets go of the files.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.inner.wake.notify_one();
        self.wait(|progress| !progress.running);
    }

    /// Runs a look-up in the range that holds `seq`; a panic or an error of sled ends the index.
    fn ask<T>(&self, look: impl FnOnce(&Ranges, u64) -> Result<Option<T>, StoreError>) -> Option<T> {
        let (ranges, seq) = {
            let progress = self.lock();
            let IndexState::Ready { seq } = progress.state else { return None };
            (progress.ranges.clone(), seq)
        };
        match catch_unwind(AssertUnwindSafe(|| look(&ranges, seq))) {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                self.inner.fail(&describe(&error));
                None
            }
            Err(_) => {
                self.inner.fail("sled panicked");
                None
            }
        }
    }

    /// Where an entry stands, when the index knows.
    pub(crate) fn place(&self, seq: u64) -> Option<Place> {
        let segment = {
            let layout = self.inner.shared.layout.read().unwrap_or_else(PoisonError::into_inner);
            layout.segments[layout.find(seq)?].head.number
        };
        self.ask(|ranges, indexed| {
            let range = ranges.get(&range_of(segment)).filter(|_| seq <= indexed);
            range.map_or(Ok(None), |range| range.place(seq))
        })
    }

    /// Seqs of indexed entries about something, within `from..=to`, ascending, at most `limit`; and
    /// the seq up to which the index can tell. `None` when it cannot be asked. See [`find`].
    pub fn lookup(&self, about: &IndexKey, from: u64, to: u64, limit: usize) -> Option<(Vec<u64>, u64)> {
        self.ask(|ranges, indexed| {
            let mut found = Vec::new();
            for range in ranges.values() {
                range.find(about, from, to.min(indexed), limit, &mut found)?;
            }
            Ok(Some((found, indexed)))
        })
    }

    pub(crate) fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        self.wait(|progress| progress.state != IndexState::Opening);
        self.ask(|ranges, _| {
            for range in ranges.values().rev() {
                if let Some(checkpoint) = range.checkpoint(at_most, fingerprint)? {
                    return Ok(Some(checkpoint));
                }
            }
            Ok(None)
        })
    }

    pub(crate) fn save_checkpoint(&self, checkpoint: &Checkpoint) {
        let segment = {
            let layout = self.inner.shared.layout.read().unwrap_or_else(PoisonError::into_inner);
            layout.find(checkpoint.seq).map(|index| layout.segments[index].head.number)
        };
        let Some(segment) = segment else { return };
        if !self.lock().ranges.contains_key(&range_of(segment)) {
            self.settle();
        }
        self.ask(|ranges, _| match ranges.get(&range_of(segment)) {
            Some(range) => range.put_checkpoint(checkpoint).map(Some),
            None => Ok(None),
        });
    }
}

/// An error with its source, for people.
pub(crate) fn describe(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Progressing> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, why: &str) {
        let mut progress = self.lock();
        progress.state = IndexState::Failed(why.to_owned());
        progress.stop = true;
        let ranges = std::mem::take(&mut progress.ranges);
        drop(progress);
        // sled may panic again while it is closed.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(ranges)));
        self.wake.notify_all();
        self.moved.notify_all();
    }

    /// The thread.
    fn run(&self) {
        let result = catch_unwind(AssertUnwindSafe(|| self.work()));
        match result {
            Ok(Ok(())) => {
                let mut progress = self.lock();
                if !matches!(progress.state, IndexState::Failed(_)) {
                    progress.state = IndexState::Closed;
                }
                let ranges = std::mem::take(&mut progress.ranges);
                drop(progress);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(ranges)));
            }
            Ok(Err(why)) => self.fail(&why),
            Err(_) => self.fail("sled panicked"),
        }
        self.lock().running = false;
        self.moved.notify_all();
    }

    fn work(&self) -> Result<(), String> {
        let opened = catch_unwind(AssertUnwindSafe(|| self.open()));
        let mut next = match opened {
            Ok(Ok(next)) => next,
            // In doubt, or sled failed or panicked: throw it away and begin anew, once.
            Ok(Err(_)) | Err(_) => {
                self.discard().map_err(|error| describe(&StoreError::Io(error)))?;
                self.open().map_err(|error| describe(&error))?
            }
        };
        loop {
            let target = {
                let mut progress = self.lock();
                progress.state = IndexState::Ready { seq: next.seq - 1 };
                self.moved.notify_all();
                while progress.target < next.seq && !progress.stop {
                    if progress.hurry {
                        progress.hurry = false;
                        self.moved.notify_all();
                    }
                    progress = self.wake.wait(progress).unwrap_or_else(PoisonError::into_inner);
                }
                let deadline = Instant::now() + GATHER;
                while !progress.hurry && !progress.stop && Instant::now() < deadline {
                    let left = deadline.saturating_duration_since(Instant::now());
                    progress = self.wake.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                if progress.stop {
                    return Ok(());
                }
                progress.target
            };
            self.catch_up(&mut next, target)?;
        }
    }

    /// Opens what there is and checks it against the segments.
    fn open(&self) -> Result<NextEntry, StoreError> {
        std::fs::create_dir_all(&self.dir)?;
        let ranges = open_ranges(&self.dir)?;
        let layout = self.shared.layout();
        let mut next = NextEntry { seq: layout.first_seq(), place: None, range: None };
        for segment in &layout.segments {
            let number = range_of(segment.head.number);
            if next.range.is_some_and(|(last, _)| last == number) {
                continue;
            }
            let Some(range) = ranges.get(&number) else { break };
            let Some(progress) = range.progress()? else { break };
            if progress.id != segment.head.id || progress.first != segment.head.first_seq || progress.first != next.seq
            {
                return Err(StoreError::Doubt("it is of other segments"));
            }
            let mut cursor = Cursor::new(&self.shared, progress.seq, Some(progress.place))
                .map_err(|_| StoreError::Doubt("it leads"))?;
            match cursor.next() {
                Ok(Some((frame, place))) if place == progress.place && frame.chain == progress.chain => {}
                Ok(_) | Err(_) => return Err(StoreError::Doubt("its last entry is not that of the segments")),
            }
            next = NextEntry { seq: progress.seq + 1, place: Some(progress.place), range: Some((number, progress)) };
        }
        let known = layout.segments.iter().map(|segment| range_of(segment.head.number)).collect::<Vec<_>>();
        if ranges.keys().any(|number| !known.contains(number)) || next.seq > layout.durable().seq + 1 {
            return Err(StoreError::Doubt("it has entries that the segments do not have"));
        }
        self.lock().ranges = ranges;
        Ok(next)
    }

    /// Throws the index away.
    fn discard(&self) -> std::io::Result<()> {
        let ranges = std::mem::take(&mut self.lock().ranges);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(ranges)));
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Indexes the entries from `next` to `target`.
    fn catch_up(&self, next: &mut NextEntry, target: u64) -> Result<(), String> {
        // The entry before is read again when its place is known: its end is where the next begins.
        let from = if next.place.is_some() { next.seq - 1 } else { next.seq };
        let mut cursor = Cursor::new(&self.shared, from, next.place).map_err(|error| error.to_string())?;
        if next.place.is_some() {
            cursor.next().map_err(|error| error.to_string())?;
        }
        let mut changes = Changes::default();
        let mut about = Vec::new();
        let mut batches = 0;
        while next.seq <= target && !self.lock().stop {
            let Some((frame, place)) = cursor.next().map_err(|error| error.to_string())? else { break };
            let number = range_of(place.segment);
            if next.range.is_none_or(|(range, _)| range != number) {
                self.apply(next, &mut changes, true)?;
                let progress =
                    Progress { id: self.id(), first: frame.head.seq, seq: 0, chain: frame.chain, place, postings: 0 };
                let ranges = self.lock().ranges.clone();
                let mut ranges = ranges;
                ensure_range(&self.dir, &mut ranges, place.segment).map_err(|error| describe(&error))?;
                self.lock().ranges = ranges;
                next.range = Some((number, progress));
            }
            let damage = |fault| Damage { file: segment_path(place.segment), offset: place.offset, seq: None, fault };
            let entry = decode(&frame, damage).map_err(|error: ReadError| error.to_string())?;
            about.clear();
            (self.keys)(&entry, &mut about);
            changes.entry(&frame, place, &about);
            next.place = Some(place);
            next.seq = frame.head.seq + 1;
            if let Some((_, progress)) = &mut next.range {
                *progress = Progress {
                    seq: frame.head.seq,
                    chain: frame.chain,
                    place,
                    postings: progress.postings + about.len() as u64,
                    ..*progress
                };
            }
            if changes.entries >= BATCH.0 || changes.bytes >= BATCH.1 {
                batches += 1;
                self.apply(next, &mut changes, batches % SYNC_EVERY == 0)?;
            }
        }
        self.apply(next, &mut changes, true)
    }

    fn id(&self) -> crate::JournalId {
        self.shared.layout.read().unwrap_or_else(PoisonError::into_inner).segments[0].head.id
    }

    /// Applies what was gathered for the range at hand.
    fn apply(&self, next: &NextEntry, changes: &mut Changes, sync: bool) -> Result<(), String> {
        let Some((number, progress)) = next.range else { return Ok(()) };
        let Some(range): Option<Range> = self.lock().ranges.get(&number).cloned() else { return Ok(()) };
        let mut changes = std::mem::take(changes);
        if changes.entries > 0 {
            changes.progress(&progress);
            range.apply(changes.batch).map_err(|error| describe(&error))?;
        }
        if sync {
            range.sync().map_err(|error| describe(&error))?;
        }
        let mut state = self.lock();
        if matches!(state.state, IndexState::Ready { .. }) && progress.seq > 0 {
            state.state = IndexState::Ready { seq: progress.seq };
        }
        Ok(())
    }
}

/// Where indexing goes on.
struct NextEntry {
    seq: u64,
    /// Place of the entry before.
    place: Option<Place>,
    range: Option<(u64, Progress)>,
}

/// Seqs of the durable entries about something, within `from..=to`, ascending, at most `limit`. What
/// the index cannot tell is read from the journal.
pub fn find(
    source: &dyn Source,
    index: Option<&Index>,
    about: &IndexKey,
    from: u64,
    to: u64,
    limit: usize,
) -> Result<Vec<u64>, ReadError> {
    let from = from.max(source.first_seq());
    let (mut found, indexed) = index.and_then(|index| index.lookup(about, from, to, limit)).unwrap_or_default();
    let mut keys = Vec::new();
    if found.len() >= limit || to <= indexed {
        return Ok(found);
    }
    for entry in source.read(from.max(indexed + 1)) {
        let entry = entry?;
        if entry.seq > to || found.len() >= limit {
            break;
        }
        keys.clear();
        index_keys(&entry, &mut keys);
        if keys.contains(about) {
            found.push(entry.seq);
        }
    }
    Ok(found)
}

/// Throws the index of a journal away; the next opening builds it again from the segments. The
/// journal must not be open.
pub fn rebuild_index(dir: &std::path::Path) -> Result<(), crate::OpenError> {
    let _lock = crate::recover::lock(&crate::disk::RealDisk, dir)?;
    let index = dir.join("index");
    match std::fs::remove_dir_all(&index) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(crate::IoError::new("remove", index, error).into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
