//! Captures: a range of a journal in one file, `.kjl`.
//!
//! ```text
//! header, 96 bytes    magic, format, flags, journal id, what comes before the first entry, CRC32C
//! body                the entries' frames as they stand in the segments; one zstd stream if flagged
//! trailer, 64 bytes   last seq, chain after it, uncompressed length of the body, BLAKE3 of all before
//! ```
//!
//! A capture may come from a stranger. Nothing in it is believed before it is checked: the hash over
//! the file, then each frame's bounds, checksum, order and chain, and only then is an entry decoded,
//! within the schema's own bounds. What it decompresses to is bounded, and so is what a reader holds
//! in memory: one frame. A hash that matches proves that the file is whole, not that it is honest.

mod export;

pub use export::{export, export_entries, export_to};

use std::fs::File;
use std::io::{BufReader, Cursor as Bytes, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal_schema::codec;
use journal_schema::entry::Entry;
use journal_schema::units::Timestamp;

use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::error::{IoError, ReadError};
use crate::frame::{
    COMMIT, FORMAT_VERSION, FRAME_OVERHEAD, Frame, frame_length, half_at, parse, u16_at, u32_at, u64_at,
};
use crate::id::{Chain, JournalId};
use crate::reader::decode;
use crate::segment::Position;
use crate::{Entries, Last, Source};

const MAGIC: &[u8; 8] = b"KINEMAKJ";
const HEAD_BYTES: usize = 96;
const TRAILER_BYTES: usize = 64;
const FLAG_ZSTD: u32 = 1;
/// log2 of the largest window that a decompressor keeps: 8 MiB.
const WINDOW_LOG: u32 = 23;

/// What a capture may ask of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes that it decompresses to.
    pub body_bytes: u64,
    /// Most bytes that one byte of it decompresses to.
    pub ratio: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { body_bytes: 2 << 30, ratio: 1000 }
    }
}

/// A capture could not be written or is not acceptable.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// It is something else, or shorter than any capture.
    #[error("{} is not a capture of a journal", path.display())]
    NotACapture {
        /// File.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{} has capture format {found}, this build reads up to {FORMAT_VERSION}: use a newer kinema", path.display())]
    NewerFormat {
        /// File.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// It is not what was written: cut short, or changed.
    #[error("{} is damaged: its hash does not match its contents", path.display())]
    Hash {
        /// File.
        path: PathBuf,
    },
    /// It contradicts itself or asks for too much.
    #[error("{} is not acceptable: {what}", path.display())]
    Bounds {
        /// File.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is nothing to capture in the range.
    #[error("there is no entry from {from} to {to}: the journal has entries {first} to {last}")]
    Range {
        /// First seq asked for.
        from: u64,
        /// Last seq asked for.
        to: u64,
        /// First seq there is.
        first: u64,
        /// Last seq there is.
        last: u64,
    },
    /// The journal could not be read.
    #[error("the journal cannot be captured")]
    Read(#[source] Box<ReadError>),
    /// An entry could not be encoded.
    #[error("entry {seq} cannot be captured")]
    Encode {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: codec::EncodeError,
    },
}

/// What was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// First entry.
    pub first: u64,
    /// Last entry.
    pub last: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What stands before the first entry of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    flags: u32,
    id: JournalId,
    before: Position,
}

impl Head {
    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.flags.to_le_bytes());
        out[16..32].copy_from_slice(&self.id.0);
        out[32..40].copy_from_slice(&self.before.seq.to_le_bytes());
        out[40..48].copy_from_slice(&self.before.at.to_le_bytes());
        out[48..56].copy_from_slice(&self.before.epoch.to_le_bytes());
        out[56..72].copy_from_slice(&self.before.chain.0);
        let crc = crc32c::crc32c(&out[..HEAD_BYTES - 4]);
        out[HEAD_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// Where a capture's bytes are.
#[derive(Clone, Debug)]
enum Store {
    File,
    Memory(Arc<[u8]>),
}

/// A capture that can be read. Its hash was verified when it was opened.
#[derive(Clone, Debug)]
pub struct Capture {
    path: PathBuf,
    store: Store,
    head: Head,
    last: Position,
    body_bytes: u64,
    /// Bytes of the body in the file.
    stored_bytes: u64,
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

impl Capture {
    /// Opens a capture within the default bounds.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::new(path, Store::File, Bounds::default())
    }

    /// Opens a capture within given bounds.
    pub fn open_within(path: &Path, bounds: Bounds) -> Result<Self, CaptureError> {
        Self::new(path, Store::File, bounds)
    }

    /// Takes a capture from memory; `name` is for messages.
    pub fn from_bytes(name: &Path, bytes: impl Into<Arc<[u8]>>, bounds: Bounds) -> Result<Self, CaptureError> {
        Self::new(name, Store::Memory(bytes.into()), bounds)
    }

    fn bytes(path: &Path, store: &Store) -> Result<Box<dyn ReadSeek>, IoError> {
        Ok(match store {
            Store::File => Box::new(BufReader::with_capacity(
                64 << 10,
                File::open(path).map_err(|source| IoError::new("open", path, source))?,
            )),
            Store::Memory(bytes) => Box::new(Bytes::new(Arc::clone(bytes))),
        })
    }

    fn new(path: &Path, store: Store, bounds: Bounds) -> Result<Self, CaptureError> {
        let error = |source| IoError::new("read", path, source);
        let not_a_capture = || CaptureError::NotACapture { path: path.to_owned() };
        let bounds_error = |what: String| CaptureError::Bounds { path: path.to_owned(), what };
        let mut file = Self::bytes(path, &store)?;
        let length = file.seek(SeekFrom::End(0)).map_err(error)?;
        file.rewind().map_err(error)?;
        let mut bytes = [0; HEAD_BYTES];
        if length < (HEAD_BYTES + TRAILER_BYTES) as u64 {
            return Err(not_a_capture());
        }
        file.read_exact(&mut bytes).map_err(error)?;
        if &bytes[..8] != MAGIC {
            return Err(not_a_capture());
        }
        if crc32c::crc32c(&bytes[..HEAD_BYTES - 4]) != u32_at(&bytes, HEAD_BYTES - 4) {
            return Err(CaptureError::Hash { path: path.to_owned() });
        }
        let format = u16_at(&bytes, 8);
        if format > FORMAT_VERSION {
            return Err(CaptureError::NewerFormat { path: path.to_owned(), found: format });
        }
        let before = Position {
            seq: u64_at(&bytes, 32),
            at: i64::from_le_bytes(u64_at(&bytes, 40).to_le_bytes()),
            epoch: u64_at(&bytes, 48),
            chain: Chain(half_at(&bytes, 56)),
        };
        let head = Head { flags: u32_at(&bytes, 12), id: JournalId(half_at(&bytes, 16)), before };
        let stored_bytes = length - (HEAD_BYTES + TRAILER_BYTES) as u64;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        let mut left = stored_bytes + (TRAILER_BYTES - 32) as u64;
        let mut buffer = vec![0; 64 << 10];
        let mut trailer = Vec::new();
        while left > 0 {
            let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..count]).map_err(error)?;
            hasher.update(&buffer[..count]);
            trailer.extend_from_slice(&buffer[..count]);
            trailer.drain(..trailer.len().saturating_sub(TRAILER_BYTES - 32));
            left -= count as u64;
        }
        let mut hash = [0; 32];
        file.read_exact(&mut hash).map_err(error)?;
        if hasher.finalize() != hash {
            return Err(CaptureError::Hash { path: path.to_owned() });
        }
        let last = Position { seq: u64_at(&trailer, 0), at: 0, epoch: 0, chain: Chain(half_at(&trailer, 8)) };
        let body_bytes = u64_at(&trailer, 24);
        if head.flags & !FLAG_ZSTD != 0 {
            return Err(bounds_error("it has flags that this build does not know".to_owned()));
        }
        if head.flags & FLAG_ZSTD == 0 && body_bytes != stored_bytes {
            return Err(bounds_error("its lengths contradict each other".to_owned()));
        }
        let allowed = bounds.body_bytes.min(stored_bytes.saturating_mul(bounds.ratio));
        if body_bytes > allowed {
            return Err(bounds_error(format!("it would decompress to {body_bytes} bytes, {allowed} are allowed")));
        }
        let entries =
            last.seq.checked_sub(before.seq).ok_or_else(|| bounds_error("it ends before it begins".to_owned()))?;
        if entries > body_bytes / FRAME_OVERHEAD as u64 {
            return Err(bounds_error(format!("{entries} entries do not fit into {body_bytes} bytes")));
        }
        Ok(Self { path: path.to_owned(), store, head, last, body_bytes, stored_bytes })
    }

    /// The chain after the last entry.
    pub fn chain(&self) -> Chain {
        self.last.chain
    }

    pub(crate) fn before(&self) -> Position {
        self.head.before
    }

    /// The frames from the first one on.
    pub(crate) fn frames(&self) -> Result<CaptureFrames, ReadError> {
        let error = |source| IoError::new("read", &self.path, source);
        let mut file = Self::bytes(&self.path, &self.store)?;
        file.seek(SeekFrom::Start(HEAD_BYTES as u64)).map_err(error)?;
        let stored = file.take(self.stored_bytes);
        let body: Box<dyn Read> = if self.head.flags & FLAG_ZSTD == 0 {
            Box::new(stored)
        } else {
            let mut decoder = zstd::stream::read::Decoder::new(stored).map_err(error)?;
            decoder.window_log_max(WINDOW_LOG).map_err(error)?;
            Box::new(decoder)
        };
        let position = self.head.before;
        Ok(CaptureFrames {
            body,
            left: self.body_bytes,
            offset: 0,
            position,
            last: self.last,
            path: self.path.clone(),
            buffer: Vec::new(),
        })
    }
}

/// Walks over a capture's frames and verifies each.
pub(crate) struct CaptureFrames {
    body: Box<dyn Read>,
    /// Bytes of the body not read yet.
    left: u64,
    offset: u64,
    position: Position,
    last: Position,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl CaptureFrames {
    /// Reads `count` bytes more into the buffer. It grows as they come, not as they are announced.
    fn fill(&mut self, count: usize) -> Result<Result<(), Fault>, IoError> {
        if count as u64 > self.left {
            return Ok(Err(Fault::Incomplete));
        }
        let read = self.body.by_ref().take(count as u64).read_to_end(&mut self.buffer);
        let read = read.map_err(|source| IoError::new("read", &self.path, source))?;
        self.left -= read as u64;
        Ok(if read == count { Ok(()) } else { Err(Fault::Incomplete) })
    }

    fn damage(&self, fault: Fault) -> Damage {
        Damage { file: self.path.clone(), offset: self.offset, seq: Some(self.position.seq + 1), fault }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, ReadError> {
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        if self.left == 0 {
            let whole = self.position.seq == self.last.seq && self.position.chain == self.last.chain;
            return if whole { Ok(None) } else { Err(ReadError::Damaged(self.damage(Fault::Incomplete))) };
        }
        let fault = match self.fill(4)?.and_then(|()| frame_length(&self.buffer)) {
            Err(fault) => fault,
            Ok(total) => match self.fill(total - 4)?.and_then(|()| parse(&self.buffer)) {
                Err(fault) => fault,
                Ok(frame) if frame.head.kind == COMMIT => Fault::Commit,
                Ok(frame) => match self.position.after(&frame) {
                    Err(fault) => fault,
                    Ok(position) => {
                        self.position = position;
                        return Ok(Some(crate::frame::unverified(&self.buffer)));
                    }
                },
            },
        };
        Err(ReadError::Damaged(self.damage(fault)))
    }
}

struct CaptureIter {
    frames: Option<CaptureFrames>,
    from: u64,
}

impl Iterator for CaptureIter {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frames = self.frames.as_mut()?;
            let (path, offset) = (frames.path.clone(), frames.offset + frames.buffer.len() as u64);
            let result = match frames.next() {
                Ok(Some(frame)) if frame.head.seq < self.from => continue,
                Ok(Some(frame)) => {
                    let seq = Some(frame.head.seq);
                    decode(&frame, |fault| Damage { file: path.clone(), offset, seq, fault })
                }
                Ok(None) => {
                    self.frames = None;
                    return None;
                }
                Err(error) => Err(error),
            };
            if result.is_err() {
                self.frames = None;
            }
            return Some(result);
        }
    }
}

impl Source for Capture {
    fn id(&self) -> JournalId {
        self.head.id
    }

    fn first_seq(&self) -> u64 {
        self.head.before.seq + 1
    }

    fn durable_last(&self) -> Option<Last> {
        // The time of the last entry stands nowhere but in the last frame.
        let mut frames = self.frames().ok()?;
        let mut last = None;
        while let Ok(Some(frame)) = frames.next() {
            last = Some(Last { seq: frame.head.seq, at: Timestamp(frame.head.at) });
        }
        last
    }

    fn read(&self, from: u64) -> Entries<'_> {
        let first = self.first_seq();
        if from < first {
            return Box::new(std::iter::once(Err(ReadError::BeforeStart { seq: from, first })));
        }
        match self.frames() {
            Ok(frames) => Box::new(CaptureIter { frames: Some(frames), from }),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn latest_checkpoint(&self, _: u64, _: &str) -> Option<Checkpoint> {
        None
    }
}
