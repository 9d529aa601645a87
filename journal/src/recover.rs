//! Creating a journal, and making one whole again after a crash: the lock, the first segment, the
//! comparison of the segments with HEAD, the cut of a torn tail.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use canary::{Canary, planted};

use crate::damage::{Damage, Fault};
use crate::disk::{Access, Disk, Held, Locking};
use crate::error::{IoError, OpenError};
use crate::file::Opened;
use crate::frame::{FLAG_FOREIGN, FORMAT_VERSION, SEGMENT_HEAD, SegmentHead};
use crate::head::{HEAD, HeadFile, Mark};
use crate::id::JournalId;
use crate::layout::{Layout, Loaded, Segment, Tail, open_segment};
use crate::segment::{FrameReader, Next, Position, segment_path};

/// Takes the journal's lock.
pub(crate) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Held, OpenError> {
    let path = dir.join("LOCK");
    match disk.lock(&path) {
        Ok(Locking::Held(held)) => Ok(held),
        Ok(Locking::Taken(holder)) => Err(OpenError::Locked { dir: dir.to_owned(), holder }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::NotAJournal { dir: dir.to_owned() }),
        Err(error) => Err(IoError::new("lock", path, error).into()),
    }
}

/// Creates a segment file with its header, durably.
pub(crate) fn begin_segment(
    disk: &dyn Disk,
    dir: &Path,
    like: &SegmentHead,
    number: u64,
    after: Position,
) -> Result<Segment, IoError> {
    let head = SegmentHead {
        format: FORMAT_VERSION,
        number,
        first_seq: after.seq + 1,
        previous_at: after.at,
        previous_chain: after.chain,
        previous_epoch: after.epoch,
        ..*like
    };
    let (file, path) = open_segment(disk, dir, number, Access::CreateNew)?;
    file.write_at(&head.bytes(), 0).map_err(|source| IoError::new("write", &path, source))?;
    file.sync().map_err(|source| IoError::new("sync", &path, source))?;
    let segments = dir.join("segments");
    if !planted(Canary::ForgetsNames) {
        disk.sync_dir(&segments).map_err(|source| IoError::new("sync", segments, source))?;
    }
    Ok(Segment { head, end: SEGMENT_HEAD as u64, last: after })
}

fn draw_id() -> Result<JournalId, IoError> {
    let path = "/dev/urandom";
    let mut id = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut id));
    read.map_err(|source| IoError::new("read", path, source))?;
    Ok(JournalId(id))
}

/// The header that the headers of a new journal's segments are made like.
pub(crate) fn blank_head(id: JournalId, flags: u32) -> SegmentHead {
    let previous_chain = id.genesis();
    let format = FORMAT_VERSION;
    SegmentHead { format, flags, id, number: 0, first_seq: 1, previous_at: i64::MIN, previous_chain, previous_epoch: 0 }
}

/// Creates a journal where there is none: HEAD first, complete before it has its name, so that a
/// segment is never without one.
pub(crate) fn create(
    disk: &dyn Disk,
    dir: &Path,
    id: Option<JournalId>,
    loaded: &Loaded,
) -> Result<(HeadFile, Layout), OpenError> {
    let id = id.map_or_else(draw_id, Ok)?;
    let position = Position::before(&blank_head(id, 0));
    let head = HeadFile::create(disk, dir, Mark { id, flags: 0, turn: 0, position })?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_dir(parent).map_err(|source| IoError::new("sync", parent, source))?;
    }
    remove_unfinished(disk, dir, &loaded.tail)?;
    let segment = begin_segment(disk, dir, &blank_head(id, 0), 0, position)?;
    Ok((head, Layout { segments: vec![segment] }))
}

/// Removes a segment file whose creation did not finish: no entry can have been acknowledged in it.
fn remove_unfinished(disk: &dyn Disk, dir: &Path, tail: &Tail) -> Result<(), IoError> {
    if let Tail::Unfinished { number, .. } = tail {
        let path = dir.join(segment_path(*number));
        disk.remove(&path).map_err(|source| IoError::new("remove", &path, source))?;
        let segments = dir.join("segments");
        disk.sync_dir(&segments).map_err(|source| IoError::new("sync", segments, source))?;
    }
    Ok(())
}

/// Checks the segments against HEAD, cuts what was never acknowledged, and makes sure that the rest
/// is on the disk.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    mark: Mark,
    loaded: Loaded,
    opened: &mut Opened,
) -> Result<(HeadFile, Layout), OpenError> {
    let damaged = |damage| Err(OpenError::Damaged { dir: dir.to_owned(), damage });
    if let Tail::Damaged(damage) = loaded.tail {
        return damaged(damage);
    }
    let durable = loaded.layout.as_ref().map_or(0, |layout| layout.durable().seq);
    if mark.position.seq > durable {
        if let (Tail::Torn { fault: Some((offset, fault)), .. }, Some(layout)) = (&loaded.tail, &loaded.layout) {
            let file = segment_path(layout.last_segment().head.number);
            return damaged(Damage { file, offset: *offset, seq: Some(durable + 1), fault: fault.clone() });
        }
        return Err(OpenError::TailLost { dir: dir.to_owned(), head: mark.position.seq, segments: durable });
    }
    if mark.flags & FLAG_FOREIGN != 0 {
        return Err(OpenError::Foreign { dir: dir.to_owned() });
    }
    if !planted(Canary::BelievesNames) {
        keep_names(disk, dir, mark.position == Position::before(&blank_head(mark.id, mark.flags)))?;
    }
    let Some(mut layout) = loaded.layout else {
        // HEAD was made and the first segment was not: the creation goes on.
        opened.created = true;
        remove_unfinished(disk, dir, &loaded.tail)?;
        let segment = begin_segment(disk, dir, &blank_head(mark.id, mark.flags), 0, mark.position)?;
        return Ok((HeadFile::open(disk, dir, mark)?, Layout { segments: vec![segment] }));
    };
    if layout.segments[0].head.id != mark.id || !agrees(disk, dir, &layout, &mark)? {
        return damaged(Damage {
            file: HEAD.into(),
            offset: 0,
            seq: Some(mark.position.seq),
            fault: Fault::HeadDiffers,
        });
    }
    match loaded.tail {
        Tail::Torn { bytes, .. } => {
            opened.tail_cut = bytes;
            let segment = layout.last_segment();
            let (file, path) = open_segment(disk, dir, segment.head.number, Access::Write)?;
            // Durable before anything is written behind it: else a power cut could bring the old tail back.
            file.set_len(segment.end).map_err(|source| IoError::new("truncate", &path, source))?;
            file.sync().map_err(|source| IoError::new("sync", &path, source))?;
        }
        Tail::Unfinished { bytes, .. } => {
            opened.tail_cut = bytes;
            remove_unfinished(disk, dir, &loaded.tail)?;
        }
        Tail::Clean | Tail::Damaged(_) => {}
    }
    opened.beyond_head = durable - mark.position.seq;
    let mut head = HeadFile::open(disk, dir, mark)?;
    if opened.beyond_head > 0 {
        if !planted(Canary::TrustsCache) {
            rewrite_beyond(disk, dir, &layout, mark.position.seq)?;
        }
        head.write(layout.durable())?;
    }
    head.sync()?;
    // A full last segment is left to the first flush, which begins the next one.
    layout.segments.shrink_to_fit();
    Ok((head, layout))
}

/// Makes durable the names that are there. Who made them may have failed, or have been killed, before they were: a
/// power cut would take a segment away with all that is acknowledged in it from now on. A journal that may just have
/// been created is itself a name.
fn keep_names(disk: &dyn Disk, dir: &Path, new: bool) -> Result<(), IoError> {
    let sync = |path: &Path| disk.sync_dir(path).map_err(|source| IoError::new("sync", path, source));
    if let Some(parent) = dir.parent().filter(|parent| new && !parent.as_os_str().is_empty()) {
        sync(parent)?;
    }
    sync(dir)?;
    sync(&dir.join("segments"))
}

/// Whether the entry that HEAD names is the one that the segments have.
pub(crate) fn agrees(disk: &dyn Disk, dir: &Path, layout: &Layout, mark: &Mark) -> Result<bool, OpenError> {
    let Position { seq, chain, .. } = mark.position;
    if let Some(segment) = layout.segments.iter().find(|segment| segment.last.seq == seq) {
        return Ok(segment.last.chain == chain);
    }
    let Some(segment) = layout.find(seq).map(|index| layout.segments[index]) else {
        return Ok(seq + 1 == layout.first_seq() && layout.segments[0].head.previous_chain == chain);
    };
    let (file, path) = open_segment(disk, dir, segment.head.number, Access::Read)?;
    let mut reader = FrameReader::new(file, path, SEGMENT_HEAD as u64, segment.end);
    while let Next::Frame(frame) = reader.next()? {
        if frame.head.seq == seq && frame.head.kind != 0 {
            return Ok(frame.chain == chain);
        }
    }
    Ok(false)
}

/// Writes the bytes of entries after `seq` once more, over themselves, and syncs.
///
/// HEAD does not vouch for them, so the `fdatasync` that should have made them durable may have
/// failed. The kernel then shows the bytes from its cache and calls the pages clean, so that syncing
/// alone would do nothing.
fn rewrite_beyond(disk: &dyn Disk, dir: &Path, layout: &Layout, seq: u64) -> Result<(), OpenError> {
    let segment = layout.last_segment();
    let (file, path) = open_segment(disk, dir, segment.head.number, Access::Write)?;
    let mut reader = FrameReader::new(Arc::clone(&file), path.clone(), SEGMENT_HEAD as u64, segment.end);
    let mut from = segment.end;
    loop {
        let offset = reader.position();
        match reader.next()? {
            Next::Frame(frame) if frame.head.seq > seq => {
                from = offset;
                break;
            }
            Next::Frame(_) => {}
            Next::Bad(_) | Next::End => break,
        }
    }
    let mut buffer = vec![0; 1 << 20];
    while from < segment.end {
        let count = usize::try_from(segment.end - from).unwrap_or(buffer.len()).min(buffer.len());
        let read = file.read_at(&mut buffer[..count], from).map_err(|source| IoError::new("read", &path, source))?;
        if read == 0 {
            break;
        }
        file.write_at(&buffer[..read], from).map_err(|source| IoError::new("write", &path, source))?;
        from += read as u64;
    }
    file.sync().map_err(|source| IoError::new("sync", &path, source))?;
    Ok(())
}
