//! HEAD: a small mark of how far the journal is durable.
//!
//! Segments alone cannot show that their end is missing: a shorter journal is a valid journal. HEAD
//! names the last durable entry, in two slots of their own blocks written in turn, so that one of
//! them is whole whatever happens to the other.
//!
//! HEAD is written after the batch it names is durable, so it may lag behind the segments and never
//! leads; a HEAD that leads means that acknowledged entries were lost. It is written at every flush,
//! and made durable itself only at every Nth, at each new segment and at a clean close: after a
//! crash of the process it is exact, after a power cut it may be N flushes old.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::IoError;
use crate::frame::{half_at, u16_at, u32_at, u64_at};
use crate::id::{Chain, JournalId};
use crate::segment::Position;

const MAGIC: &[u8; 8] = b"KINEMAHD";
const SLOT_BYTES: usize = 96;
/// Slots are in blocks of their own.
const SLOT_DISTANCE: u64 = 4096;

/// `HEAD`, relative to the journal's directory.
pub(crate) const HEAD: &str = "HEAD";

/// What HEAD says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) id: JournalId,
    pub(crate) flags: u32,
    /// Number of the writing; the slot with the higher one is newer.
    pub(crate) turn: u64,
    pub(crate) position: Position,
}

impl Mark {
    fn bytes(&self, format: u16) -> [u8; SLOT_BYTES] {
        let mut out = [0; SLOT_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&format.to_le_bytes());
        out[12..16].copy_from_slice(&self.flags.to_le_bytes());
        out[16..32].copy_from_slice(&self.id.0);
        out[32..40].copy_from_slice(&self.turn.to_le_bytes());
        out[40..48].copy_from_slice(&self.position.seq.to_le_bytes());
        out[48..56].copy_from_slice(&self.position.at.to_le_bytes());
        out[56..64].copy_from_slice(&self.position.epoch.to_le_bytes());
        out[64..80].copy_from_slice(&self.position.chain.0);
        let crc = crc32c::crc32c(&out[..SLOT_BYTES - 4]);
        out[SLOT_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Option<(Self, u16)> {
        let bytes = bytes.get(..SLOT_BYTES)?;
        if crc32c::crc32c(&bytes[..SLOT_BYTES - 4]) != u32_at(bytes, SLOT_BYTES - 4) || &bytes[..8] != MAGIC {
            return None;
        }
        let position = Position {
            seq: u64_at(bytes, 40),
            at: i64::from_le_bytes(u64_at(bytes, 48).to_le_bytes()),
            epoch: u64_at(bytes, 56),
            chain: Chain(half_at(bytes, 64)),
        };
        let mark =
            Self { id: JournalId(half_at(bytes, 16)), flags: u32_at(bytes, 12), turn: u64_at(bytes, 32), position };
        Some((mark, u16_at(bytes, 8)))
    }
}

/// What reading HEAD gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// There is none.
    Missing,
    /// Neither slot is whole.
    Damaged,
    /// The newer of the slots that are whole, its format version, and whether both are whole.
    Mark(Mark, u16, bool),
}

/// Reads HEAD.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Read, IoError> {
    let path = dir.join(HEAD);
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Read::Missing),
        Err(error) => return Err(IoError::new("open", path, error)),
    };
    let mut slots = [None, None];
    for (slot, offset) in slots.iter_mut().zip([0, SLOT_DISTANCE]) {
        let mut bytes = [0; SLOT_BYTES];
        let count = file.read_at(&mut bytes, offset).map_err(|source| IoError::new("read", &path, source))?;
        *slot = Mark::parse(&bytes[..count]);
    }
    let both = slots.iter().all(Option::is_some);
    let newest = slots.into_iter().flatten().max_by_key(|(mark, _)| mark.turn);
    Ok(newest.map_or(Read::Damaged, |(mark, format)| Read::Mark(mark, format, both)))
}

/// Writes HEAD.
pub(crate) struct HeadFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    mark: Mark,
}

impl HeadFile {
    /// Makes a HEAD with both slots at `position`, complete before it has its name, and durable.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, mark: Mark) -> Result<Self, IoError> {
        let path = dir.join(HEAD);
        let temporary = dir.join("HEAD.new");
        if let Err(error) = disk.remove(&temporary)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(IoError::new("remove", temporary, error));
        }
        let file =
            disk.open(&temporary, Access::CreateNew).map_err(|source| IoError::new("create", &temporary, source))?;
        let head = Self { file, path: temporary.clone(), mark };
        head.put(mark)?;
        head.put(Mark { turn: mark.turn + 1, ..mark })?;
        head.sync()?;
        disk.rename(&temporary, &path).map_err(|source| IoError::new("rename", &temporary, source))?;
        disk.sync_dir(dir).map_err(|source| IoError::new("sync", dir, source))?;
        Ok(Self { path, mark: Mark { turn: mark.turn + 1, ..mark }, ..head })
    }

    /// Goes on from what was read.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, mark: Mark) -> Result<Self, IoError> {
        let path = dir.join(HEAD);
        let file = disk.open(&path, Access::Write).map_err(|source| IoError::new("open", &path, source))?;
        Ok(Self { file, path, mark })
    }

    fn put(&self, mark: Mark) -> Result<(), IoError> {
        let offset = if mark.turn.is_multiple_of(2) { 0 } else { SLOT_DISTANCE };
        let bytes = mark.bytes(crate::frame::FORMAT_VERSION);
        self.file.write_at(&bytes, offset).map_err(|source| IoError::new("write", &self.path, source))
    }

    /// Writes the next mark over the older slot. Not durable before [`sync`](Self::sync).
    pub(crate) fn write(&mut self, position: Position) -> Result<(), IoError> {
        let mark = Mark { turn: self.mark.turn + 1, position, ..self.mark };
        self.put(mark)?;
        self.mark = mark;
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), IoError> {
        self.file.sync().map_err(|source| IoError::new("sync", &self.path, source))
    }
}
