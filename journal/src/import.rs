//! Making a journal's directory out of a capture.
//!
//! The directory is marked foreign: it can be read, replayed and verified, and no daemon resumes it.

use std::path::{Path, PathBuf};

use crate::Source;
use crate::capture::Capture;
use crate::damage::Damage;
use crate::disk::{Access, Disk, DiskFile, RealDisk};
use crate::error::{IoError, ReadError};
use crate::frame::{FLAG_FOREIGN, FrameHead, SegmentHead, write_commit};
use crate::head::{HeadFile, Mark};
use crate::layout::open_segment;
use crate::reader::decode;
use crate::recover::{begin_segment, blank_head};
use crate::segment::Position;

/// Entries and bytes of one batch.
const BATCH: (u32, usize) = (1000, 1 << 20);

/// A capture could not be imported. What was written of it is removed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is something in the way.
    #[error("{} exists already: import into a new directory", dir.display())]
    Exists {
        /// Directory.
        dir: PathBuf,
    },
    /// A file could not be written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The capture could not be read.
    #[error("the capture cannot be imported")]
    Read(#[from] ReadError),
}

/// What was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// First entry.
    pub first: u64,
    /// Last entry.
    pub last: u64,
    /// Segments written.
    pub segments: u64,
}

/// Makes the journal `dir`, which must not exist, out of a capture: verified and decoded entry by
/// entry, and complete before it has its name.
pub fn import(capture: &Capture, dir: &Path, segment_bytes: u64) -> Result<Imported, ImportError> {
    if dir.exists() {
        return Err(ImportError::Exists { dir: dir.to_owned() });
    }
    let mut partial = dir.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    remove(&partial)?;
    let result = fill(capture, &partial, segment_bytes).and_then(|imported| {
        std::fs::rename(&partial, dir).map_err(|source| IoError::new("rename", &partial, source))?;
        Ok(imported)
    });
    if result.is_err() {
        let _ = remove(&partial);
    }
    result
}

fn remove(dir: &Path) -> Result<(), IoError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(IoError::new("remove", dir, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A batch on its way into a segment.
struct Batch {
    bytes: Vec<u8>,
    entries: u32,
    last: FrameHead,
}

fn fill(capture: &Capture, dir: &Path, segment_bytes: u64) -> Result<Imported, ImportError> {
    let disk = RealDisk;
    let segments = dir.join("segments");
    disk.create_dir(&segments).map_err(|source| IoError::new("create", segments, source))?;
    let like: SegmentHead = blank_head(capture.id(), FLAG_FOREIGN);
    let mut position = capture.before();
    let mut segment = begin_segment(&disk, dir, &like, 0, position)?;
    let (mut file, mut path) = open_segment(&disk, dir, 0, Access::Write)?;
    let mut end = segment.end;
    let mut batch =
        Batch { bytes: Vec::new(), entries: 0, last: FrameHead { seq: 0, at: 0, epoch: 0, kind: 0, schema: 0 } };
    let mut frames = capture.frames()?;
    loop {
        let more = if let Some(frame) = frames.next()? {
            let seq = Some(frame.head.seq);
            let name = PathBuf::from("capture");
            decode(&frame, |fault| Damage { file: name.clone(), offset: 0, seq, fault })?;
            let FrameHead { seq, at, epoch, .. } = frame.head;
            position = Position { seq, at, epoch, chain: frame.chain };
            batch.bytes.extend_from_slice(frame.bytes);
            batch.entries += 1;
            batch.last = frame.head;
            true
        } else {
            false
        };
        let full =
            batch.entries >= BATCH.0 || batch.bytes.len() >= BATCH.1 || end + batch.bytes.len() as u64 >= segment_bytes;
        if batch.entries > 0 && (full || !more) {
            write(&*file, &path, &mut batch, position, &mut end)?;
        }
        if !more {
            break;
        }
        if end >= segment_bytes && batch.entries == 0 {
            let number = segment.head.number + 1;
            segment = begin_segment(&disk, dir, &like, number, position)?;
            (file, path) = open_segment(&disk, dir, number, Access::Write)?;
            end = segment.end;
        }
    }
    HeadFile::create(&disk, dir, Mark { id: capture.id(), flags: FLAG_FOREIGN, turn: 0, position })?;
    Ok(Imported { first: capture.first_seq(), last: position.seq, segments: segment.head.number + 1 })
}

fn write(
    file: &dyn DiskFile,
    path: &Path,
    batch: &mut Batch,
    position: Position,
    end: &mut u64,
) -> Result<(), IoError> {
    write_commit(&mut batch.bytes, batch.last, batch.entries, position.chain);
    file.write_at(&batch.bytes, *end).map_err(|source| IoError::new("write", path, source))?;
    file.sync().map_err(|source| IoError::new("sync", path, source))?;
    *end += batch.bytes.len() as u64;
    batch.bytes.clear();
    batch.entries = 0;
    Ok(())
}
