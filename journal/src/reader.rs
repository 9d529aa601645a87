//! Reading a journal's durable entries, also while another thread or process writes them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use journal_schema::SCHEMA_VERSION;
use journal_schema::codec::{self, DecodeError};
use journal_schema::entry::Entry;
use journal_schema::units::Timestamp;

use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::disk::{Access, Disk, RealDisk};
use crate::error::{OpenError, ReadError};
use crate::frame::{COMMIT, Frame, SEGMENT_HEAD, kind_number};
use crate::id::{Chain, JournalId};
use crate::index::Index;
use crate::layout::{Layout, Tail, load, open_segment};
use crate::segment::{FrameReader, Next, Position, segment_path};
use crate::{Entries, Last, Source};

/// What the writer and its readers share.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) layout: RwLock<Layout>,
}

impl Shared {
    pub(crate) fn layout(&self) -> Layout {
        self.layout.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn durable(&self) -> Position {
        self.layout.read().unwrap_or_else(PoisonError::into_inner).durable()
    }
}

/// Where an entry's frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// Walks over the frames of durable entries and verifies each: checksum, order, time, chain.
pub(crate) struct Cursor {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    layout: Layout,
    /// Index of the current segment in `layout`.
    current: usize,
    reader: Option<FrameReader>,
    /// After the last entry seen. `None` after a jump into the middle of a segment.
    position: Option<Position>,
    from: u64,
}

impl Cursor {
    /// From entry `from` on; `place` is where it stands, when that is known.
    pub(crate) fn new(shared: &Shared, from: u64, place: Option<Place>) -> Result<Self, ReadError> {
        let layout = shared.layout();
        let first = layout.first_seq();
        if from < first {
            return Err(ReadError::BeforeStart { seq: from, first });
        }
        let mut cursor = Self {
            disk: Arc::clone(&shared.disk),
            dir: shared.dir.clone(),
            current: layout.find(from).unwrap_or(layout.segments.len()),
            layout,
            reader: None,
            position: None,
            from,
        };
        if let Some(place) = place
            && let Some(segment) = cursor.layout.segments.get(cursor.current)
            && segment.head.number == place.segment
            && (SEGMENT_HEAD as u64..segment.end).contains(&place.offset)
        {
            cursor.open(place.offset)?;
        }
        Ok(cursor)
    }

    fn open(&mut self, offset: u64) -> Result<(), ReadError> {
        let segment = &self.layout.segments[self.current];
        let (file, path) = open_segment(&*self.disk, &self.dir, segment.head.number, Access::Read)?;
        self.reader = Some(FrameReader::new(file, path, offset, segment.end));
        Ok(())
    }

    /// The next entry's frame, its place, and the position after it.
    pub(crate) fn next(&mut self) -> Result<Option<(Frame<'_>, Place)>, ReadError> {
        loop {
            let Some(segment) = self.layout.segments.get(self.current) else {
                return Ok(None);
            };
            let number = segment.head.number;
            if self.reader.is_none() {
                self.position = Some(Position::before(&segment.head));
                self.open(SEGMENT_HEAD as u64)?;
                continue;
            }
            let Some(reader) = self.reader.as_mut() else { continue };
            let offset = reader.position();
            let expected = self.position.map_or(self.from, |position| position.seq + 1);
            let damaged =
                |fault| ReadError::Damaged(Damage { file: segment_path(number), offset, seq: Some(expected), fault });
            // The borrow of the frame cannot outlive the decision to return it, so the frame is
            // looked at here and taken again below.
            let verdict = match reader.next()? {
                Next::Bad(fault) => Err(fault),
                Next::End => {
                    let last = self.layout.segments[self.current].last;
                    if self.position.is_some_and(|position| position != last) {
                        return Err(damaged(Fault::Incomplete));
                    }
                    self.reader = None;
                    self.current += 1;
                    continue;
                }
                Next::Frame(frame) if frame.head.kind == COMMIT => {
                    let fits = self.position.is_none_or(|position| position.chain == frame.chain);
                    if fits { Ok(None) } else { Err(Fault::Commit) }
                }
                Next::Frame(frame) => {
                    let here = Position {
                        seq: frame.head.seq,
                        at: frame.head.at,
                        epoch: frame.head.epoch,
                        chain: frame.chain,
                    };
                    match self.position {
                        // On the way to the first entry asked for, checksum and order are enough.
                        Some(before) if here.seq < self.from && here.seq == before.seq + 1 => Ok(Some(here)),
                        Some(before) => before.after(&frame).map(Some),
                        None if here.seq == self.from => Ok(Some(here)),
                        None => Err(Fault::Sequence { expected: self.from, found: here.seq }),
                    }
                }
            };
            match verdict {
                Err(fault) => return Err(damaged(fault)),
                Ok(None) => {}
                Ok(Some(position)) => {
                    self.position = Some(position);
                    if position.seq >= self.from {
                        break;
                    }
                }
            }
        }
        let segment = self.layout.segments[self.current].head.number;
        let frame = self.reader.as_ref().and_then(FrameReader::latest);
        Ok(frame.map(|(offset, frame)| (frame, Place { segment, offset })))
    }
}

/// Decodes a verified frame.
pub(crate) fn decode(frame: &Frame<'_>, damage: impl Fn(Fault) -> Damage) -> Result<Entry, ReadError> {
    let head = frame.head;
    if head.schema > SCHEMA_VERSION {
        return Err(ReadError::NewerSchema { seq: head.seq, found: head.schema });
    }
    let entry = codec::decode(head.schema, frame.payload).map_err(|error: DecodeError| {
        let mut why = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            why = format!("{why}: {source}");
        }
        ReadError::Damaged(damage(Fault::Undecodable { why }))
    })?;
    if entry.seq != head.seq || entry.at != Timestamp(head.at) || kind_number(&entry.event) != head.kind {
        let why = "its contents contradict its header".to_owned();
        return Err(ReadError::Damaged(damage(Fault::Undecodable { why })));
    }
    Ok(entry)
}

/// Decoded entries, ending after the first error.
struct EntryIter {
    cursor: Option<Cursor>,
    error: Option<ReadError>,
}

impl Iterator for EntryIter {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let result = match self.cursor.as_mut()?.next() {
            Ok(None) => None,
            Ok(Some((frame, place))) => {
                let damage = |fault| Damage {
                    file: segment_path(place.segment),
                    offset: place.offset,
                    seq: Some(frame.head.seq),
                    fault,
                };
                Some(decode(&frame, damage))
            }
            Err(error) => Some(Err(error)),
        };
        if !matches!(result, Some(Ok(_))) {
            self.cursor = None;
        }
        result
    }
}

/// Reads a journal's directory. Takes no lock and changes nothing.
#[derive(Clone)]
pub struct JournalReader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: Option<Index>,
    id: JournalId,
    foreign: bool,
    damage: Option<Damage>,
}

impl JournalReader {
    /// Opens what is durable now. A damaged journal opens too: its entries can be read up to the
    /// damage, and reading on gives the error.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), dir)
    }

    /// The same on another disk.
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, OpenError> {
        let loaded = load(&*disk, dir)?;
        let damage = match loaded.tail {
            Tail::Damaged(damage) => Some(damage),
            Tail::Clean | Tail::Torn { .. } | Tail::Unfinished { .. } => None,
        };
        match (loaded.layout, damage) {
            (Some(layout), damage) => {
                let shared = Arc::new(Shared { disk, dir: dir.to_owned(), layout: RwLock::new(layout) });
                Ok(Self { damage, ..Self::attached(shared, None) })
            }
            (None, Some(damage)) => Err(OpenError::Damaged { dir: dir.to_owned(), damage }),
            (None, None) => Err(OpenError::NotAJournal { dir: dir.to_owned() }),
        }
    }

    pub(crate) fn attached(shared: Arc<Shared>, index: Option<Index>) -> Self {
        let head = shared.layout().segments[0].head;
        Self { shared, index, id: head.id, foreign: head.flags & crate::frame::FLAG_FOREIGN != 0, damage: None }
    }

    /// Whether the journal was imported from a capture.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// The first damage that opening found, if any.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// What comes before entry `seq`, which is durable here.
    pub(crate) fn position_before(&self, seq: u64) -> Result<Position, ReadError> {
        let layout = self.shared.layout();
        if let Some(segment) = layout.segments.iter().find(|segment| segment.head.first_seq == seq) {
            return Ok(Position::before(&segment.head));
        }
        let mut cursor = Cursor::new(&self.shared, seq.saturating_sub(1), None)?;
        cursor.next()?;
        Ok(cursor.position.unwrap_or(layout.durable()))
    }

    /// The chain after the last durable entry.
    pub fn chain(&self) -> Chain {
        self.shared.durable().chain
    }

    /// The chain after entry `seq`, which is durable here. Reads the entry's segment up to it.
    pub fn chain_after(&self, seq: u64) -> Result<Chain, ReadError> {
        self.position_before(seq + 1).map(|position| position.chain)
    }

    /// The epoch of the last durable entry.
    pub fn epoch(&self) -> u64 {
        self.shared.durable().epoch
    }
}

impl Source for JournalReader {
    fn id(&self) -> JournalId {
        self.id
    }

    fn first_seq(&self) -> u64 {
        self.shared.layout.read().unwrap_or_else(PoisonError::into_inner).first_seq()
    }

    fn durable_last(&self) -> Option<Last> {
        let last = self.shared.durable();
        (last.seq >= self.first_seq()).then_some(Last { seq: last.seq, at: Timestamp(last.at) })
    }

    fn read(&self, from: u64) -> Entries<'_> {
        let place = self.index.as_ref().and_then(|index| index.place(from));
        let damage = self.damage.clone();
        let entries = match Cursor::new(&self.shared, from, place) {
            Ok(cursor) => EntryIter { cursor: Some(cursor), error: None },
            Err(error) => EntryIter { cursor: None, error: Some(error) },
        };
        Box::new(UntilError::new(entries.chain(damage.into_iter().map(|damage| Err(ReadError::Damaged(damage))))))
    }

    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        let at_most = at_most.min(self.shared.durable().seq);
        self.index.as_ref()?.latest_checkpoint(at_most, fingerprint)
    }
}

/// Ends after the first error.
pub(crate) struct UntilError<I> {
    inner: I,
    ended: bool,
}

impl<I> UntilError<I> {
    pub(crate) fn new(inner: I) -> Self {
        Self { inner, ended: false }
    }
}

impl<T, E, I: Iterator<Item = Result<T, E>>> Iterator for UntilError<I> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.inner.next();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
