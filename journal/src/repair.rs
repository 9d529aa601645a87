//! Mending a damaged journal without destroying evidence.
//!
//! Whatever is taken away is kept aside under the same name with `.damaged` behind it. Two ways:
//!
//! - [`accept_prefix`] keeps every entry before the first damage and gives up the rest.
//! - [`from_index`] puts damaged entries back from the index's copy, or from what is left of them
//!   behind the damage. An entry is believed only if the hash chain leads to it and from it on to the
//!   intact ones. All or nothing: when an entry cannot be found, nothing is changed.
//!
//! Both can be run again when they were interrupted.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, RealDisk};
use crate::error::{IoError, OpenError};
use crate::frame::{COMMIT, COMMIT_BYTES, FLAG_FOREIGN, FORMAT_VERSION, FrameHead, SegmentHead, parse, write_commit};
use crate::head::{self, HEAD, HeadFile, Mark};
use crate::id::JournalId;
use crate::index::store::{Ranges, open_ranges};
use crate::layout::{open_segment, read_head};
use crate::recover::{blank_head, lock};
use crate::segment::{Position, find_frames, segment_path};
use crate::verify::{Survey, survey};

/// Entries of one batch in a segment that is written anew.
const BATCH_ENTRIES: u32 = 1000;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The last entry that the journal has now.
    pub last: u64,
    /// Entries put back from the index or from behind the damage.
    pub recovered: u64,
    /// The last entry that was known to exist, when it is lost.
    pub lost_to: Option<u64>,
    /// What was kept aside.
    pub aside: Vec<PathBuf>,
}

/// For people.
impl std::fmt::Display for Repaired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "The journal has entries up to {}.", self.last)?;
        if self.recovered > 0 {
            write!(f, " {} entries were put back.", self.recovered)?;
        }
        if let Some(lost) = self.lost_to {
            write!(f, " Entries {} to {lost} are given up.", self.last + 1)?;
        }
        for path in &self.aside {
            write!(f, "\n  kept aside: {}", path.display())?;
        }
        Ok(())
    }
}

/// A journal could not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It could not be looked at.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Not even its id is left.
    #[error("nothing of the journal {} is left to repair: neither HEAD nor a segment's header can be read", dir.display())]
    NothingLeft {
        /// Directory.
        dir: PathBuf,
    },
    /// Entries are missing that the index does not have. Nothing was changed.
    #[error("entry {missing} is neither in the index nor behind the damage; entries up to {} could be had. To give up the rest, accept the prefix", missing - 1)]
    Incomplete {
        /// The first entry that cannot be found.
        missing: u64,
    },
}

/// What both ways begin with.
struct Patient {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    id: JournalId,
    flags: u32,
    /// HEAD, when it can be read.
    mark: Option<Mark>,
    survey: Survey,
    aside: Vec<PathBuf>,
}

impl Patient {
    fn examine(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, RepairError> {
        let mark = match head::read(&*disk, dir)? {
            head::Read::Mark(_, format, _) if format > FORMAT_VERSION => {
                return Err(OpenError::NewerFormat { path: dir.join(HEAD), found: format }.into());
            }
            head::Read::Mark(mark, ..) => Some(mark),
            head::Read::Missing | head::Read::Damaged => None,
        };
        let survey = survey(&*disk, dir)?;
        let known = survey.segments.first().map(|(segment, _)| (segment.head.id, segment.head.flags));
        let (id, flags) = known
            .or(mark.map(|mark| (mark.id, mark.flags)))
            .ok_or_else(|| RepairError::NothingLeft { dir: dir.to_owned() })?;
        Ok(Self { disk, dir: dir.to_owned(), id, flags: flags & FLAG_FOREIGN, mark, survey, aside: Vec::new() })
    }

    /// A name that is free, for something kept aside.
    fn aside_name(&self, path: &Path) -> Result<PathBuf, IoError> {
        let parent = path.parent().unwrap_or(&self.dir);
        let names = self.disk.list(parent).map_err(|source| IoError::new("list", parent, source))?;
        let base = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut name = format!("{base}.damaged");
        let mut number = 1;
        while names.contains(&name) {
            name = format!("{base}.damaged.{number}");
            number += 1;
        }
        Ok(parent.join(name))
    }

    /// Puts a file or directory aside by its name.
    fn put_aside(&mut self, path: &Path) -> Result<(), IoError> {
        let aside = self.aside_name(path)?;
        self.disk.rename(path, &aside).map_err(|source| IoError::new("rename", path, source))?;
        self.aside.push(aside);
        Ok(())
    }

    /// Copies a file, from an offset on, aside.
    fn copy_aside(&mut self, path: &Path, from: u64) -> Result<(), IoError> {
        let aside = self.aside_name(path)?;
        let source = self.disk.open(path, Access::Read).map_err(|source| IoError::new("open", path, source))?;
        let target =
            self.disk.open(&aside, Access::CreateNew).map_err(|source| IoError::new("create", &aside, source))?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = from;
        loop {
            let count = source.read_at(&mut buffer, offset).map_err(|source| IoError::new("read", path, source))?;
            if count == 0 {
                break;
            }
            target.write_at(&buffer[..count], offset - from).map_err(|source| IoError::new("write", &aside, source))?;
            offset += count as u64;
        }
        target.sync().map_err(|source| IoError::new("sync", &aside, source))?;
        self.sync_parent(&aside)?;
        self.aside.push(aside);
        Ok(())
    }

    fn sync_parent(&self, path: &Path) -> Result<(), IoError> {
        let parent = path.parent().unwrap_or(&self.dir);
        self.disk.sync_dir(parent).map_err(|source| IoError::new("sync", parent, source))
    }

    /// The highest seq that anything tells of.
    fn known(&self) -> u64 {
        let segments = self.survey.segments.iter().map(|(segment, scan)| segment.last.seq.max(scan.good.seq));
        segments.chain(self.mark.map(|mark| mark.position.seq)).max().unwrap_or(0)
    }

    /// Replaces HEAD and drops the index, which may know of what is gone.
    fn finish(mut self, position: Position, recovered: u64, known: u64) -> Result<Repaired, RepairError> {
        let index = self.dir.join("index");
        if self.disk.is_real() && index.is_dir() {
            self.put_aside(&index)?;
        }
        let path = self.dir.join(HEAD);
        if self.mark.is_none_or(|mark| mark.position != position) {
            match self.copy_aside(&path, 0) {
                Err(error) if error.source.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
            let turn = self.mark.map_or(0, |mark| mark.turn + 1);
            HeadFile::create(&*self.disk, &self.dir, Mark { id: self.id, flags: self.flags, turn, position })?;
        }
        let lost_to = (known > position.seq).then_some(known);
        Ok(Repaired { last: position.seq, recovered, lost_to, aside: self.aside })
    }
}

/// Keeps every whole entry before the first damage, and gives up the rest.
pub fn accept_prefix(dir: &Path) -> Result<Repaired, RepairError> {
    accept_prefix_on(Arc::new(RealDisk), dir)
}

/// The same on another disk.
pub fn accept_prefix_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Repaired, RepairError> {
    let _lock = lock(&*disk, dir)?;
    let mut patient = Patient::examine(disk, dir)?;
    let known = patient.known();
    let damaged = patient.survey.damage.first().cloned();
    let numbers = patient.survey.numbers.clone();
    // The segment that the damage is in, and the one that the prefix ends in: the same one if its
    // header can be believed, else the one before.
    let bad = damaged.and_then(|damage| numbers.iter().copied().find(|&number| segment_path(number) >= damage.file));
    let header_bad = |number: u64| {
        let damage = patient.survey.damage.first();
        damage.is_some_and(|damage| damage.file == segment_path(number) && damage.offset == 0)
    };
    let missing = patient
        .survey
        .damage
        .first()
        .is_some_and(|damage| !numbers.iter().any(|&number| segment_path(number) == damage.file));
    let first_gone = bad.map(|number| if missing || header_bad(number) { number } else { number + 1 });
    let gone: Vec<u64> =
        numbers.iter().copied().filter(|&number| first_gone.is_some_and(|first| number >= first)).collect();
    let kept = patient.survey.segments.iter().rfind(|(segment, _)| !gone.contains(&segment.head.number)).cloned();
    for number in gone {
        patient.put_aside(&dir.join(segment_path(number)))?;
    }
    patient
        .disk
        .sync_dir(&dir.join("segments"))
        .map_err(|source| IoError::new("sync", dir.join("segments"), source))?;
    let Some((segment, scan)) = kept else {
        // Nothing is left: HEAD alone makes a journal without entries, and opening it the first segment.
        let position = Position::before(&blank_head(patient.id, patient.flags));
        return patient.finish(position, 0, known);
    };
    let number = segment.head.number;
    if scan.committed_end < scan.length {
        let path = dir.join(segment_path(number));
        if scan.good_end < scan.length {
            patient.copy_aside(&path, scan.good_end)?;
        }
        let (file, path) = open_segment(&*patient.disk, dir, number, Access::Write)?;
        file.set_len(scan.good_end).map_err(|source| IoError::new("truncate", &path, source))?;
        let pending = scan.good.seq - scan.committed.seq;
        if pending > 0 {
            // The batch was acknowledged as a whole; what is left of it becomes one.
            let mut commit = Vec::with_capacity(COMMIT_BYTES);
            let Position { seq, at, epoch, chain } = scan.good;
            let last = FrameHead { seq, at, epoch, kind: COMMIT, schema: scan.newest_schema };
            write_commit(&mut commit, last, u32::try_from(pending).unwrap_or(u32::MAX), chain);
            file.write_at(&commit, scan.good_end).map_err(|source| IoError::new("write", &path, source))?;
        }
        file.sync().map_err(|source| IoError::new("sync", &path, source))?;
    }
    patient.finish(scan.good, 0, known)
}

/// A copy of the index that may be opened without touching the original.
struct IndexCopy {
    dir: PathBuf,
    ranges: Ranges,
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        let ranges = std::mem::take(&mut self.ranges);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(ranges)));
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl IndexCopy {
    fn of(dir: &Path) -> Result<Self, IoError> {
        let (from, to) = (dir.join("index"), dir.join("index.repair"));
        let _ = std::fs::remove_dir_all(&to);
        if from.is_dir() {
            copy_dir(&from, &to).map_err(|source| IoError::new("copy", &from, source))?;
        }
        // What sled cannot open has nothing to give.
        let ranges = catch_unwind(AssertUnwindSafe(|| open_ranges(&to))).ok().and_then(Result::ok).unwrap_or_default();
        Ok(Self { dir: to, ranges })
    }

    fn frame(&self, seq: u64) -> Option<Vec<u8>> {
        self.ranges.values().rev().find_map(|range| catch_unwind(AssertUnwindSafe(|| range.frame(seq))).ok()?.ok()?)
    }
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Puts damaged entries back from the index's copy of them, or from what is left behind the damage.
pub fn from_index(dir: &Path) -> Result<Repaired, RepairError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let _lock = lock(&*disk, dir)?;
    let mut patient = Patient::examine(Arc::clone(&disk), dir)?;
    let known = patient.known();
    let copy = IndexCopy::of(dir)?;
    let first = patient.survey.numbers.first().copied().unwrap_or(0);
    let last = patient.survey.numbers.last().copied().unwrap_or(0);
    let mut position = Position::before(&blank_head(patient.id, patient.flags));
    let mut rebuilt = Vec::new();
    let mut recovered = 0;
    // One more than there are: the last segment file may be gone, and only HEAD tells of it.
    for number in 0..=last + 1 {
        if number > last && position.seq >= known {
            break;
        }
        let sound = patient.survey.segments.iter().find(|(segment, scan)| {
            let own = segment.head.number == number && scan.committed_end == scan.length;
            own && (Position::before(&segment.head) == position || number == first && segment.head.first_seq > 1)
        });
        if let Some((segment, _)) = sound {
            position = segment.last;
            continue;
        }
        // Up to where the next sound segment begins, or else to the last entry that is known of.
        let next = patient.survey.segments.iter().map(|(segment, _)| segment.head).find(|head| head.number > number);
        let goal = next.filter(|head| head.number == number + 1).map_or(known, |head| head.first_seq - 1);
        let (bytes, after, put_back) = rebuild(&patient, &copy, number, position, goal)?;
        if next.is_some_and(|head| head.number == number + 1 && Position::before(&head) != after) {
            return Err(RepairError::Incomplete { missing: after.seq + 1 });
        }
        recovered += put_back;
        position = after;
        rebuilt.push((number, bytes));
    }
    drop(copy);
    for (number, bytes) in rebuilt {
        let path = dir.join(segment_path(number));
        let new = path.with_extension("new");
        let _ = disk.remove(&new);
        let file = disk.open(&new, Access::CreateNew).map_err(|source| IoError::new("create", &new, source))?;
        file.write_at(&bytes, 0).map_err(|source| IoError::new("write", &new, source))?;
        file.sync().map_err(|source| IoError::new("sync", &new, source))?;
        if path.exists() {
            patient.copy_aside(&path, 0)?;
        }
        disk.rename(&new, &path).map_err(|source| IoError::new("rename", &new, source))?;
        patient.sync_parent(&path)?;
    }
    patient.finish(position, recovered, known)
}

/// A segment's bytes from its own whole frames and the index's, from `before` up to entry `goal`;
/// the position after it; and how many entries the segment did not have in place.
fn rebuild(
    patient: &Patient,
    copy: &IndexCopy,
    number: u64,
    before: Position,
    goal: u64,
) -> Result<(Vec<u8>, Position, u64), RepairError> {
    let (disk, dir) = (&*patient.disk, &patient.dir);
    let mut found: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut in_place = before.seq;
    if patient.survey.numbers.contains(&number) {
        let (file, path) = open_segment(disk, dir, number, Access::Read)?;
        find_frames(&file, &path, 0, before.seq, |frame| {
            if frame.kind != COMMIT {
                found.entry(frame.seq).or_insert(frame.bytes);
            }
        })?;
        if read_head(&*file, &path)?.is_ok_and(|head| Position::before(&head) == before) {
            let scan = patient.survey.segments.iter().find(|(segment, _)| segment.head.number == number);
            in_place = scan.map_or(before.seq, |(_, scan)| scan.good.seq);
        }
    }
    let head = SegmentHead {
        number,
        first_seq: before.seq + 1,
        previous_at: before.at,
        previous_chain: before.chain,
        previous_epoch: before.epoch,
        ..blank_head(patient.id, patient.flags)
    };
    let mut out = head.bytes().to_vec();
    let mut position = before;
    let mut pending = 0;
    let mut last = FrameHead { seq: before.seq, at: before.at, epoch: before.epoch, kind: COMMIT, schema: 0 };
    while position.seq < goal {
        let seq = position.seq + 1;
        let candidates = [found.remove(&seq), copy.frame(seq)];
        let next = candidates.into_iter().flatten().find_map(|bytes| {
            let frame = parse(&bytes).ok()?;
            let after = position.after(&frame).ok()?;
            let head = frame.head;
            Some((bytes, head, after))
        });
        let Some((bytes, head, after)) = next else {
            return Err(RepairError::Incomplete { missing: seq });
        };
        out.extend_from_slice(&bytes);
        (position, last, pending) = (after, head, pending + 1);
        if pending == BATCH_ENTRIES {
            write_commit(&mut out, last, pending, position.chain);
            pending = 0;
        }
    }
    if pending > 0 {
        write_commit(&mut out, last, pending, position.chain);
    }
    Ok((out, position, position.seq.saturating_sub(in_place)))
}
