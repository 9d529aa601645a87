//! Which segments a journal has, and whether they are sound.
//!
//! Loading reads every header and the end of every full segment, and all of the last one: whatever
//! was written since the last full segment is verified byte for byte, and what is older is verified
//! when it is read, or by `verify`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal_schema::SCHEMA_VERSION;

use crate::damage::{Damage, Fault};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{IoError, OpenError};
use crate::frame::{COMMIT, COMMIT_BYTES, FLAG_FOREIGN, FORMAT_VERSION, SEGMENT_HEAD, SegmentHead, parse};
use crate::segment::{Position, Scan, find_frames, scan, segment_path};

/// One segment of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) head: SegmentHead,
    /// Bytes that are committed.
    pub(crate) end: u64,
    /// After its last committed entry.
    pub(crate) last: Position,
}

/// The sound part of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Never empty.
    pub(crate) segments: Vec<Segment>,
}

/// What follows the sound part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Clean,
    /// The beginning of a batch that was never acknowledged. If it carries a bad record, that.
    Torn { bytes: u64, fault: Option<(u64, Fault)> },
    /// A segment file whose creation did not finish.
    Unfinished { number: u64, bytes: u64 },
    /// Damage with committed entries behind it.
    Damaged(Damage),
}

/// What is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// `None` when not even the first segment has a header.
    pub(crate) layout: Option<Layout>,
    pub(crate) tail: Tail,
}

impl Layout {
    pub(crate) fn last_segment(&self) -> &Segment {
        &self.segments[self.segments.len() - 1]
    }

    pub(crate) fn durable(&self) -> Position {
        self.last_segment().last
    }

    pub(crate) fn first_seq(&self) -> u64 {
        self.segments[0].head.first_seq
    }

    /// The index of the segment that holds `seq`, if it is durable here.
    pub(crate) fn find(&self, seq: u64) -> Option<usize> {
        let after = self.segments.partition_point(|segment| segment.head.first_seq <= seq);
        let index = after.checked_sub(1)?;
        (seq <= self.segments[index].last.seq).then_some(index)
    }
}

/// Numbers of the segment files, ascending.
pub(crate) fn segment_numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, IoError> {
    let segments = dir.join("segments");
    let names = disk.list(&segments).map_err(|source| IoError::new("list", segments, source))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".kjs")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn open_segment(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    access: Access,
) -> Result<(Arc<dyn DiskFile>, PathBuf), IoError> {
    let path = dir.join(segment_path(number));
    let file = disk.open(&path, access).map_err(|source| IoError::new("open", &path, source))?;
    Ok((file, path))
}

/// The header of a segment, whatever it says.
pub(crate) fn read_head(file: &dyn DiskFile, path: &Path) -> Result<Result<SegmentHead, Fault>, IoError> {
    let mut bytes = [0; SEGMENT_HEAD];
    let count = file.read_at(&mut bytes, 0).map_err(|source| IoError::new("read", path, source))?;
    Ok(SegmentHead::parse(&bytes[..count]))
}

/// Whether a header continues the journal.
pub(crate) fn check_head(head: &SegmentHead, number: u64, previous: Option<&Segment>) -> Result<(), Fault> {
    let bad = |what| Err(Fault::Header { what });
    if head.number != number {
        return bad("another segment's number");
    }
    match previous {
        None if head.first_seq != 1 && (head.first_seq == 0 || head.flags & FLAG_FOREIGN == 0) => {
            bad("its first entry is not entry 1")
        }
        None if head.first_seq == 1 && head.previous_chain != head.id.genesis() => {
            bad("not the beginning of this journal")
        }
        None => Ok(()),
        Some(previous) if head.id != previous.head.id => bad("another journal's segment"),
        Some(previous) if Position::before(head) != previous.last => bad("it does not follow the segment before it"),
        Some(_) => Ok(()),
    }
}

/// The position after a full segment, from the commit marker that ends it. `None` when that is damaged.
fn sealed(file: &dyn DiskFile, path: &Path) -> Result<Option<(u64, Position, u16)>, IoError> {
    let error = |source| IoError::new("read", path, source);
    let length = file.length().map_err(error)?;
    let mut bytes = [0; COMMIT_BYTES];
    let Some(from) = length.checked_sub(COMMIT_BYTES as u64).filter(|&from| from >= SEGMENT_HEAD as u64) else {
        return Ok(None);
    };
    let count = file.read_at(&mut bytes, from).map_err(error)?;
    let frame = parse(&bytes[..count]).ok().filter(|frame| frame.head.kind == COMMIT && frame.batch().is_some());
    Ok(frame.map(|frame| {
        let position = Position { seq: frame.head.seq, at: frame.head.at, epoch: frame.head.epoch, chain: frame.chain };
        (length, position, frame.head.schema)
    }))
}

/// What follows the sound part of the last segment.
pub(crate) fn classify(file: &Arc<dyn DiskFile>, path: &Path, number: u64, scan: &Scan) -> Result<Tail, IoError> {
    if scan.committed_end == scan.length {
        return Ok(Tail::Clean);
    }
    if let Some((offset, fault)) = &scan.fault {
        // A record whose checksum holds was written so: a torn write does not make one.
        let mut damaged = !matches!(fault, Fault::Incomplete | Fault::TooLong { .. } | Fault::Checksum);
        // A batch is written only after the one before it is durable. So a whole marker of a later
        // batch proves that this one had been acknowledged.
        let torn_first = scan.committed.seq + 1;
        find_frames(file, path, *offset, scan.committed.seq, |found| {
            damaged |= found.batch.is_some_and(|count| found.seq.saturating_sub(u64::from(count)) + 1 > torn_first);
        })?;
        if damaged {
            let seq = Some(scan.good.seq + 1);
            return Ok(Tail::Damaged(Damage {
                file: segment_path(number),
                offset: *offset,
                seq,
                fault: fault.clone(),
            }));
        }
    }
    Ok(Tail::Torn { bytes: scan.length - scan.committed_end, fault: scan.fault.clone() })
}

/// Loads what is on the disk. Changes nothing.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Loaded, OpenError> {
    let numbers = segment_numbers(disk, dir)?;
    let mut segments: Vec<Segment> = Vec::new();
    let mut tail = Tail::Clean;
    for (index, &number) in numbers.iter().enumerate() {
        let due = segments.last().map_or(0, |segment| segment.head.number + 1);
        let seq = segments.last().map(|segment| segment.last.seq + 1);
        let damage = |number, offset, fault| Tail::Damaged(Damage { file: segment_path(number), offset, seq, fault });
        if due != number {
            tail = damage(due, 0, Fault::Missing);
            break;
        }
        let is_last = index + 1 == numbers.len();
        let (file, path) = open_segment(disk, dir, number, Access::Read)?;
        let head = match read_head(&*file, &path)? {
            Ok(head) => head,
            Err(fault) => {
                let bytes = file.length().map_err(|source| IoError::new("measure", &path, source))?;
                let unfinished = is_last && bytes <= SEGMENT_HEAD as u64;
                tail = if unfinished { Tail::Unfinished { number, bytes } } else { damage(number, 0, fault) };
                break;
            }
        };
        if head.format > FORMAT_VERSION {
            return Err(OpenError::NewerFormat { path, found: head.format });
        }
        if let Err(fault) = check_head(&head, number, segments.last()) {
            tail = damage(number, 0, fault);
            break;
        }
        let newer = |found| OpenError::NewerSchema { path: path.clone(), found };
        if !is_last && let Some((end, last, schema)) = sealed(&*file, &path)? {
            if schema > SCHEMA_VERSION {
                return Err(newer(schema));
            }
            segments.push(Segment { head, end, last });
            continue;
        }
        let scan = scan(&file, &path, &head)?;
        if scan.newest_schema > SCHEMA_VERSION {
            return Err(newer(scan.newest_schema));
        }
        segments.push(Segment { head, end: scan.committed_end, last: scan.committed });
        if is_last {
            tail = classify(&file, &path, number, &scan)?;
        } else {
            let (offset, fault) = scan.fault.unwrap_or((scan.length, Fault::Incomplete));
            tail = Tail::Damaged(Damage { file: segment_path(number), offset, seq: Some(scan.good.seq + 1), fault });
            break;
        }
    }
    Ok(Loaded { layout: (!segments.is_empty()).then_some(Layout { segments }), tail })
}
