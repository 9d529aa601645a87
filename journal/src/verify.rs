//! Everything about a journal's health, from reading all of it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal_schema::SCHEMA_VERSION;
use journal_schema::units::Timestamp;

use crate::damage::{Damage, Fault};
use crate::disk::{Access, Disk, Locking, RealDisk};
use crate::error::{IoError, OpenError};
use crate::frame::{FLAG_FOREIGN, FORMAT_VERSION, SEGMENT_HEAD};
use crate::head;
use crate::id::{Chain, JournalId};
use crate::index::store::{Range, StoreError, open_ranges};
use crate::index::{describe, index_keys};
use crate::layout::{Layout, Segment, Tail, check_head, classify, open_segment, read_head, segment_numbers};
use crate::reader::{Cursor, Shared, decode};
use crate::segment::{Position, Scan, scan, segment_path};
use crate::time::rfc3339;

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub number: u64,
    /// First entry it should hold.
    pub first_seq: u64,
    /// Whole, committed entries.
    pub entries: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What HEAD says, compared with the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadReport {
    /// It names the last entry.
    Agrees,
    /// It names an earlier entry: normal after a crash, and mended at the next opening.
    Lags {
        /// Entries behind.
        entries: u64,
    },
    /// It names an entry that is not there: acknowledged entries were lost.
    Leads {
        /// Last seq by HEAD.
        seq: u64,
    },
    /// It names an entry that is there with other contents.
    Differs,
    /// Neither of its slots is whole.
    Damaged,
    /// It is gone.
    Missing,
}

/// The index, compared with the segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexReport {
    /// It holds every entry up to this one, byte for byte, and is behind by so many.
    Agrees {
        /// Last entry indexed.
        seq: u64,
        /// Entries not indexed yet.
        behind: u64,
    },
    /// It does not agree; the next opening, or `rebuild_index`, builds it again.
    Differs(String),
    /// There is none.
    Missing,
    /// Not looked at: a daemon has it open, or the segments are damaged and it may be needed as it is.
    NotRead,
}

/// Everything about a journal's health.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Directory.
    pub dir: PathBuf,
    /// Its id, when a header could be read.
    pub id: Option<JournalId>,
    /// It was imported from a capture.
    pub foreign: bool,
    /// A daemon has it open. The end of the last segment may then be on its way.
    pub in_use: bool,
    /// Segments.
    pub segments: Vec<SegmentReport>,
    /// Whole, committed entries.
    pub entries: u64,
    /// The last of them before any damage.
    pub last_seq: u64,
    /// Its time.
    pub last_at: Option<Timestamp>,
    /// The chain after it.
    pub chain: Option<Chain>,
    /// Damaged places; the first of each segment.
    pub damage: Vec<Damage>,
    /// Bytes of a batch that was never acknowledged.
    pub torn_tail: u64,
    /// HEAD.
    pub head: HeadReport,
    /// Index.
    pub index: IndexReport,
    /// Newest schema version of an entry.
    pub newest_schema: u16,
}

impl Verification {
    /// Whether no acknowledged entry is lost or changed. The index does not count: it can be rebuilt.
    pub fn sound(&self) -> bool {
        self.damage.is_empty() && matches!(self.head, HeadReport::Agrees | HeadReport::Lags { .. })
    }
}

/// A few lines for people.
impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal {}", self.dir.display())?;
        if let Some(id) = self.id {
            write!(f, ", id {id}")?;
        }
        writeln!(f, "{}", if self.foreign { ", imported" } else { "" })?;
        let bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        writeln!(f, "  segments  {} with {bytes} bytes, {} entries", self.segments.len(), self.entries)?;
        if let (Some(at), Some(chain)) = (self.last_at, self.chain) {
            writeln!(f, "  last      entry {} of {}, chain {chain}", self.last_seq, rfc3339(at))?;
        }
        match self.head {
            HeadReport::Agrees => writeln!(f, "  head      agrees")?,
            HeadReport::Lags { entries } => {
                writeln!(f, "  head      {entries} entries behind, mended at the next opening")?
            }
            HeadReport::Leads { seq } => writeln!(f, "  head      at entry {seq}: acknowledged entries are LOST")?,
            HeadReport::Differs => writeln!(f, "  head      names ANOTHER entry under its number")?,
            HeadReport::Damaged => writeln!(f, "  head      DAMAGED")?,
            HeadReport::Missing => writeln!(f, "  head      MISSING")?,
        }
        match &self.index {
            IndexReport::Agrees { seq, behind: 0 } => writeln!(f, "  index     agrees up to entry {seq}")?,
            IndexReport::Agrees { seq, behind } => {
                writeln!(f, "  index     agrees up to entry {seq}, {behind} to be indexed")?
            }
            IndexReport::Differs(why) => writeln!(f, "  index     differs ({why}), rebuilt at the next opening")?,
            IndexReport::Missing => writeln!(f, "  index     none, built at the next opening")?,
            IndexReport::NotRead => writeln!(f, "  index     not read")?,
        }
        if self.torn_tail > 0 {
            let what = if self.in_use {
                "are being written"
            } else {
                "were never acknowledged and are cut at the next opening"
            };
            writeln!(f, "  tail      {} bytes {what}", self.torn_tail)?;
        }
        for damage in &self.damage {
            writeln!(f, "  DAMAGED   {damage}")?;
        }
        if self.sound() {
            write!(f, "Sound.")
        } else {
            write!(f, "Not sound: see `kinema journal repair {}`.", self.dir.display())
        }
    }
}

/// Everything found by reading all segments.
pub(crate) struct Survey {
    pub(crate) numbers: Vec<u64>,
    /// The segments with a header of this journal, damaged inside or not, with their scans.
    pub(crate) segments: Vec<(Segment, Scan)>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) torn_tail: u64,
    /// After the last committed entry before any damage.
    pub(crate) sound: Option<Position>,
    pub(crate) newest_schema: u16,
}

/// Reads all segments, going on behind damage.
pub(crate) fn survey(disk: &dyn Disk, dir: &Path) -> Result<Survey, OpenError> {
    let numbers = segment_numbers(disk, dir)?;
    let mut survey = Survey {
        numbers: numbers.clone(),
        segments: Vec::new(),
        damage: Vec::new(),
        torn_tail: 0,
        sound: None,
        newest_schema: 0,
    };
    // The segment before, unless damage makes it useless to compare with.
    let mut previous: Option<Segment> = None;
    for (index, &number) in numbers.iter().enumerate() {
        let seq = previous.map(|segment| segment.last.seq + 1);
        let is_last = index + 1 == numbers.len();
        let before = index.checked_sub(1).map_or(0, |before| numbers[before] + 1);
        if before != number {
            survey.damage.push(Damage { file: segment_path(before), offset: 0, seq, fault: Fault::Missing });
            previous = None;
        }
        let (file, path) = open_segment(disk, dir, number, Access::Read)?;
        let bytes = file.length().map_err(|source| IoError::new("measure", &path, source))?;
        let head = match read_head(&*file, &path)? {
            Ok(head) if head.format > FORMAT_VERSION => {
                return Err(OpenError::NewerFormat { path, found: head.format });
            }
            Err(_) if is_last && bytes <= SEGMENT_HEAD as u64 => {
                survey.torn_tail = bytes;
                break;
            }
            // Behind damage there is nothing to compare a header with but its own number.
            Ok(head) if !survey.damage.is_empty() && head.number == number => Ok(head),
            Ok(head) => check_head(&head, number, previous.as_ref()).map(|()| head),
            Err(fault) => Err(fault),
        };
        previous = None;
        let head = match head {
            Ok(head) => head,
            Err(fault) => {
                survey.damage.push(Damage { file: segment_path(number), offset: 0, seq, fault });
                continue;
            }
        };
        let scan = scan(&file, &path, &head)?;
        survey.newest_schema = survey.newest_schema.max(scan.newest_schema);
        let segment = Segment { head, end: scan.committed_end, last: scan.committed };
        if survey.damage.is_empty() {
            survey.sound = Some(scan.committed);
        }
        match if is_last { classify(&file, &path, number, &scan)? } else { Tail::Clean } {
            Tail::Torn { bytes, .. } => survey.torn_tail = bytes,
            Tail::Damaged(damage) => survey.damage.push(damage),
            Tail::Unfinished { .. } => {}
            Tail::Clean if scan.committed_end < scan.length => {
                let (offset, fault) = scan.fault.clone().unwrap_or((scan.length, Fault::Incomplete));
                survey.damage.push(Damage { file: segment_path(number), offset, seq: Some(scan.good.seq + 1), fault });
            }
            Tail::Clean => previous = Some(segment),
        }
        survey.segments.push((segment, scan));
    }
    Ok(survey)
}

/// Reads a whole journal and its index, and compares. Takes the lock if it is free, so that the
/// index can be read too. Changes nothing in the segments.
pub fn verify(dir: &Path) -> Result<Verification, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let numbers = segment_numbers(&*disk, dir)?;
    if numbers.is_empty() && matches!(head::read(&*disk, dir)?, head::Read::Missing) {
        return Err(OpenError::NotAJournal { dir: dir.to_owned() });
    }
    let lock = disk.lock(&dir.join("LOCK"));
    // Without the right to write here the journal can still be read.
    let in_use = matches!(lock, Ok(Locking::Taken(_)));
    let survey = survey(&*disk, dir)?;
    let sound = survey.sound;
    let head = head_report(&*disk, dir, &survey)?;
    let segments = survey.segments.iter();
    let mut verification = Verification {
        dir: dir.to_owned(),
        id: survey.segments.first().map(|(segment, _)| segment.head.id),
        foreign: survey.segments.first().is_some_and(|(segment, _)| segment.head.flags & FLAG_FOREIGN != 0),
        in_use,
        entries: segments.clone().map(|(segment, _)| segment.last.seq + 1 - segment.head.first_seq).sum(),
        segments: segments
            .map(|(segment, scan)| SegmentReport {
                number: segment.head.number,
                first_seq: segment.head.first_seq,
                entries: segment.last.seq + 1 - segment.head.first_seq,
                bytes: scan.length,
            })
            .collect(),
        last_seq: sound.map_or(0, |position| position.seq),
        last_at: sound.filter(|position| position.seq > 0).map(|position| Timestamp(position.at)),
        chain: sound.filter(|position| position.seq > 0).map(|position| position.chain),
        damage: survey.damage,
        torn_tail: survey.torn_tail,
        head,
        index: IndexReport::NotRead,
        newest_schema: survey.newest_schema,
    };
    if survey.newest_schema > SCHEMA_VERSION {
        return Err(OpenError::NewerSchema { path: dir.to_owned(), found: survey.newest_schema });
    }
    if !dir.join("index").is_dir() {
        verification.index = IndexReport::Missing;
    } else if verification.sound() && matches!(lock, Ok(Locking::Held(_))) {
        let layout = Layout { segments: survey.segments.iter().map(|(segment, _)| *segment).collect() };
        let shared = Shared { disk: Arc::clone(&disk), dir: dir.to_owned(), layout: std::sync::RwLock::new(layout) };
        verification.index = match catch_unwind(AssertUnwindSafe(|| index_report(&shared))) {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => IndexReport::Differs(describe(&error)),
            Err(_) => IndexReport::Differs("sled panicked".to_owned()),
        };
    }
    Ok(verification)
}

fn head_report(disk: &dyn Disk, dir: &Path, survey: &Survey) -> Result<HeadReport, OpenError> {
    let last = survey.segments.iter().map(|(segment, _)| segment.last.seq).max().unwrap_or(0);
    Ok(match head::read(disk, dir)? {
        head::Read::Missing => HeadReport::Missing,
        head::Read::Damaged => HeadReport::Damaged,
        head::Read::Mark(_, format, _) if format > FORMAT_VERSION => {
            return Err(OpenError::NewerFormat { path: dir.join(head::HEAD), found: format });
        }
        head::Read::Mark(mark, ..) if mark.position.seq > last => HeadReport::Leads { seq: mark.position.seq },
        head::Read::Mark(mark, ..) => {
            let layout = Layout { segments: survey.segments.iter().map(|(segment, _)| *segment).collect() };
            let agrees = layout.segments.is_empty() || crate::recover::agrees(disk, dir, &layout, &mark)?;
            match last - mark.position.seq {
                // With damage, the entry may be what is damaged; that is told already.
                _ if !agrees && survey.damage.is_empty() => HeadReport::Differs,
                0 => HeadReport::Agrees,
                entries => HeadReport::Lags { entries },
            }
        }
    })
}

/// Compares the index with the segments, entry by entry.
fn index_report(shared: &Shared) -> Result<IndexReport, StoreError> {
    let ranges = open_ranges(&shared.dir.join("index"))?;
    let durable = shared.durable().seq;
    let mut cursor = Cursor::new(shared, shared.layout().first_seq(), None)
        .map_err(|_| StoreError::Doubt("the segments cannot be read"))?;
    let mut last = shared.layout().first_seq() - 1;
    for range in ranges.values() {
        let Some(progress) = range.progress()? else { continue };
        let differs = |why| Ok(IndexReport::Differs(why));
        if progress.seq > durable || progress.first != last + 1 {
            return differs(format!("it claims entries {} to {}", progress.first, progress.seq));
        }
        let mut postings = 0;
        while last < progress.seq {
            let Ok(Some((frame, place))) = cursor.next() else {
                return differs(format!("entry {} cannot be read", last + 1));
            };
            last = frame.head.seq;
            let damage = |fault| Damage { file: segment_path(place.segment), offset: place.offset, seq: None, fault };
            let Ok(entry) = decode(&frame, damage) else {
                return differs(format!("entry {last} cannot be decoded"));
            };
            if range.frame(last)?.as_deref() != Some(frame.bytes) || range.place(last)? != Some(place) {
                return differs(format!("entry {last} is another"));
            }
            let mut about = Vec::new();
            index_keys(&entry, &mut about);
            postings += about.len() as u64;
            for posting in &about {
                if !range.contains(posting, last)? {
                    return differs(format!("entry {last} is not found by what it is about"));
                }
            }
        }
        let counted = Range::count(range)?;
        if counted != (progress.seq + 1 - progress.first, postings) {
            return differs("it has something too many".to_owned());
        }
    }
    Ok(IndexReport::Agrees { seq: last, behind: durable - last })
}
