//! The index's sled databases: one directory for every range of segments.
//!
//! sled is used with care (it is beta, and measured not to be durable by itself): no flusher of its
//! own, a small cache, values of at most 8 KiB (larger ones would go to files that it never syncs),
//! one tree, so that a batch with its progress mark is atomic, and our own `fdatasync` of its file.
//!
//! Keys of the tree: `m` the progress mark; `e` seq chunk: an entry's place and frame; `o`, `i`, `n`
//! … seq: what entries are about; `c` seq: a checkpoint's head, `d` seq chunk: its bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::checkpoint::{Checkpoint, MAX_STATE_BYTES};
use crate::frame::{Frame, half_at, u32_at, u64_at};
use crate::id::{Chain, JournalId, half};
use crate::index::keys::IndexKey;
use crate::reader::Place;

/// Segments that share a directory.
const SEGMENTS_PER_RANGE: u64 = 16;
/// Largest value.
const CHUNK: usize = 8 << 10;
const CACHE_BYTES: u64 = 16 << 20;
const FORMAT: u16 = 1;
/// How long a database that is still locked is waited for, and how often it is tried.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The index cannot be used; the reason, for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    #[error("cannot reach the index's files")]
    Io(#[from] io::Error),
    #[error("the index is in doubt: {0}")]
    Doubt(&'static str),
}

/// How far a range is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) id: JournalId,
    /// First entry of the range.
    pub(crate) first: u64,
    /// Last entry indexed.
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
    /// Where the last entry stands.
    pub(crate) place: Place,
    /// Entries and postings written, for verification.
    pub(crate) postings: u64,
}

impl Progress {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.place.segment.to_le_bytes());
        out.extend_from_slice(&self.place.offset.to_le_bytes());
        out.extend_from_slice(&self.postings.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let body = bytes
            .len()
            .checked_sub(4)
            .filter(|&body| body == 74)
            .ok_or(StoreError::Doubt("its mark is of another size"))?;
        if crc32c::crc32c(&bytes[..body]) != u32_at(bytes, body) || bytes[..2] != FORMAT.to_le_bytes() {
            return Err(StoreError::Doubt("its mark is damaged or of another format"));
        }
        Ok(Self {
            id: JournalId(half_at(bytes, 2)),
            first: u64_at(bytes, 18),
            seq: u64_at(bytes, 26),
            chain: Chain(half_at(bytes, 34)),
            place: Place { segment: u64_at(bytes, 50), offset: u64_at(bytes, 58) },
            postings: u64_at(bytes, 66),
        })
    }
}

/// One directory.
#[derive(Clone)]
pub(crate) struct Range {
    db: sled::Db,
    file: std::sync::Arc<File>,
}

fn key(prefix: u8, seq: u64, chunk: Option<u32>) -> Vec<u8> {
    let mut out = vec![prefix];
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend(chunk.into_iter().flat_map(u32::to_be_bytes));
    out
}

/// The number that a range's directory has for its name.
pub(crate) fn range_of(segment: u64) -> u64 {
    segment / SEGMENTS_PER_RANGE * SEGMENTS_PER_RANGE
}

fn range_dir(dir: &Path, range: u64) -> PathBuf {
    dir.join(format!("{range:08}"))
}

/// Opens a database once it is free. sled lets go of its file only when the last task of its thread
/// pool has ended, which may be after its handle was dropped.
fn open_patiently(config: &sled::Config) -> sled::Result<sled::Db> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_lock(&error) && Instant::now() < deadline => {
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}

/// Whether sled could not lock its file. It has no kind for that, only its text.
fn is_lock(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

impl Range {
    /// Opens or creates a range. May panic, because sled does on a damaged database.
    fn open(dir: &Path, range: u64) -> Result<Self, StoreError> {
        let path = range_dir(dir, range);
        let config = sled::Config::new()
            .path(&path)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let db = open_patiently(&config)?;
        if std::fs::read_dir(path.join("blobs")).is_ok_and(|mut blobs| blobs.next().is_some()) {
            return Err(StoreError::Doubt("it has values that sled does not make durable"));
        }
        let file = File::options().read(true).write(true).open(path.join("db"))?;
        if !db.was_recovered() {
            for name in ["conf", "db"] {
                File::open(path.join(name))?.sync_all()?;
            }
            File::open(&path)?.sync_all()?;
            File::open(dir)?.sync_all()?;
        }
        Ok(Self { db, file: std::sync::Arc::new(file) })
    }

    pub(crate) fn progress(&self) -> Result<Option<Progress>, StoreError> {
        self.db.get(b"m")?.map(|bytes| Progress::parse(&bytes)).transpose()
    }

    pub(crate) fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        Ok(self.db.apply_batch(batch)?)
    }

    /// Makes everything applied durable. sled's own flush does not reach the disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    fn chunks(&self, prefix: u8, seq: u64) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        for item in self.db.scan_prefix(key(prefix, seq, None)) {
            out.extend_from_slice(&item?.1);
            if out.len() > 2 * MAX_STATE_BYTES {
                return Err(StoreError::Doubt("a value is too large"));
            }
        }
        Ok(out)
    }

    /// An entry's place.
    pub(crate) fn place(&self, seq: u64) -> Result<Option<Place>, StoreError> {
        let value = self.db.get(key(b'e', seq, Some(0)))?;
        Ok(value
            .filter(|bytes| bytes.len() >= 16)
            .map(|bytes| Place { segment: u64_at(&bytes, 0), offset: u64_at(&bytes, 8) }))
    }

    /// An entry's frame, to be verified by the caller.
    pub(crate) fn frame(&self, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.chunks(b'e', seq)?;
        Ok(bytes.get(16..).filter(|frame| !frame.is_empty()).map(<[u8]>::to_vec))
    }

    pub(crate) fn contains(&self, posting: &IndexKey, seq: u64) -> Result<bool, StoreError> {
        Ok(self.db.contains_key(posting_key(posting, seq))?)
    }

    /// Seqs of entries about something, ascending, at most `limit`.
    pub(crate) fn find(
        &self,
        about: &IndexKey,
        from: u64,
        to: u64,
        limit: usize,
        out: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        for item in self.db.range(posting_key(about, from)..=posting_key(about, to)) {
            if out.len() >= limit {
                break;
            }
            let (key, _) = item?;
            out.extend(key.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq)));
        }
        Ok(())
    }

    /// Keeps a checkpoint, compressed and in chunks, its head last.
    pub(crate) fn put_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let packed = zstd::bulk::compress(&checkpoint.bytes, 1)?;
        for (chunk, bytes) in (0u32..).zip(packed.chunks(CHUNK)) {
            self.db.insert(key(b'd', checkpoint.seq, Some(chunk)), bytes)?;
        }
        let mut head = Vec::new();
        head.extend_from_slice(&checkpoint.digest);
        head.extend_from_slice(&half(&blake3::hash(&packed)));
        head.extend_from_slice(&(checkpoint.bytes.len() as u64).to_le_bytes());
        head.extend_from_slice(checkpoint.fingerprint.as_bytes());
        self.db.insert(key(b'c', checkpoint.seq, None), head)?;
        self.sync()
    }

    /// The newest whole checkpoint with this fingerprint at or before `at_most`.
    pub(crate) fn checkpoint(&self, at_most: u64, fingerprint: &str) -> Result<Option<Checkpoint>, StoreError> {
        for item in self.db.range(key(b'c', 0, None)..=key(b'c', at_most, None)).rev() {
            let (name, head) = item?;
            let Some(seq) = name.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq)) else { continue };
            if head.get(40..) != Some(fingerprint.as_bytes()) {
                continue;
            }
            let packed = self.chunks(b'd', seq)?;
            let length = usize::try_from(u64_at(&head, 32)).unwrap_or(usize::MAX);
            if half(&blake3::hash(&packed)) != half_at(&head, 16) || length > MAX_STATE_BYTES {
                continue;
            }
            if let Ok(bytes) = zstd::bulk::decompress(&packed, length) {
                let digest = half_at(&head, 0);
                return Ok(Some(Checkpoint { seq, fingerprint: fingerprint.to_owned(), digest, bytes }));
            }
        }
        Ok(None)
    }

    /// Number of entries' first chunks and of postings. Reads the whole range.
    pub(crate) fn count(&self) -> Result<(u64, u64), StoreError> {
        let (mut entries, mut postings) = (0, 0);
        for item in self.db.iter().keys() {
            let key = item?;
            match key.first() {
                Some(b'e') => entries += u64::from(key.ends_with(&[0; 4])),
                Some(b'o' | b'i' | b'n') => postings += 1,
                Some(_) | None => {}
            }
        }
        Ok((entries, postings))
    }
}

fn posting_key(about: &IndexKey, seq: u64) -> Vec<u8> {
    let mut out = about.bytes();
    out.extend_from_slice(&seq.to_be_bytes());
    out
}

/// What is applied to a range at once.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) batch: sled::Batch,
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
}

impl Changes {
    /// Adds an entry: its place, its frame, and what it is about.
    pub(crate) fn entry(&mut self, frame: &Frame<'_>, place: Place, about: &[IndexKey]) {
        let mut value = Vec::with_capacity(16 + frame.bytes.len());
        value.extend_from_slice(&place.segment.to_le_bytes());
        value.extend_from_slice(&place.offset.to_le_bytes());
        value.extend_from_slice(frame.bytes);
        for (chunk, bytes) in (0u32..).zip(value.chunks(CHUNK)) {
            self.batch.insert(key(b'e', frame.head.seq, Some(chunk)), bytes);
        }
        for posting in about {
            self.batch.insert(posting_key(posting, frame.head.seq), &[]);
        }
        self.bytes += value.len();
        self.entries += 1;
    }

    /// Adds the progress mark, which makes the batch count.
    pub(crate) fn progress(&mut self, progress: &Progress) {
        self.batch.insert(&b"m"[..], progress.bytes());
    }
}

/// Ranges by number.
pub(crate) type Ranges = BTreeMap<u64, Range>;

/// Opens the ranges that exist in `dir`. May panic.
pub(crate) fn open_ranges(dir: &Path) -> Result<Ranges, StoreError> {
    let mut ranges = Ranges::new();
    for entry in std::fs::read_dir(dir)? {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            ranges.insert(number, Range::open(dir, number)?);
        }
    }
    Ok(ranges)
}

/// Creates the range of a segment, if it does not exist. May panic.
pub(crate) fn ensure_range(dir: &Path, ranges: &mut Ranges, segment: u64) -> Result<Range, StoreError> {
    let number = range_of(segment);
    if let Some(range) = ranges.get(&number) {
        return Ok(range.clone());
    }
    let range = Range::open(dir, number)?;
    ranges.insert(number, range.clone());
    Ok(range)
}
