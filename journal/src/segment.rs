//! Reading one segment file: frames in order, the scan that verifies it, and the search for whole
//! records behind a damaged place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::damage::Fault;
use crate::disk::DiskFile;
use crate::error::IoError;
use crate::frame::{
    COMMIT, Frame, FrameHead, SEGMENT_HEAD, SegmentHead, frame_length, parse, u32_at, u64_at, unverified,
};
use crate::id::Chain;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// `segments/00000003.kjs`, relative to the journal's directory.
pub(crate) fn segment_path(number: u64) -> PathBuf {
    Path::new("segments").join(format!("{number:08}.kjs"))
}

/// The state of a journal after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    pub(crate) at: i64,
    pub(crate) epoch: u64,
    pub(crate) chain: Chain,
}

impl Position {
    /// Before the first entry of a segment.
    pub(crate) fn before(head: &SegmentHead) -> Self {
        Self {
            seq: head.first_seq.saturating_sub(1),
            at: head.previous_at,
            epoch: head.previous_epoch,
            chain: head.previous_chain,
        }
    }

    /// After an entry's frame, if it is the next one.
    pub(crate) fn after(&self, frame: &Frame<'_>) -> Result<Self, Fault> {
        let FrameHead { seq, at, epoch, .. } = frame.head;
        if seq != self.seq + 1 {
            return Err(Fault::Sequence { expected: self.seq + 1, found: seq });
        }
        if at <= self.at && self.seq > 0 {
            return Err(Fault::Time);
        }
        let chain = frame.link(&self.chain);
        if chain != frame.chain {
            return Err(Fault::Chain);
        }
        Ok(Self { seq, at, epoch, chain })
    }
}

/// What comes next in a segment.
pub(crate) enum Next<'a> {
    Frame(Frame<'a>),
    Bad(Fault),
    End,
}

/// Reads frames one after the other.
pub(crate) struct FrameReader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Offset of the next frame in the file.
    position: u64,
    /// Nothing is read from here on.
    end: u64,
    buffer: Vec<u8>,
    /// Where `position` is in `buffer`.
    start: usize,
    /// Bytes of the frame before `position`, which is still in the buffer.
    latest: usize,
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn DiskFile>, path: PathBuf, from: u64, end: u64) -> Self {
        Self { file, path, position: from, end, buffer: Vec::new(), start: 0, latest: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The frame that [`next`](Self::next) gave last, and its offset. Its checksum is not computed again.
    pub(crate) fn latest(&self) -> Option<(u64, Frame<'_>)> {
        let bytes = &self.buffer[self.start - self.latest..self.start];
        let frame = (self.latest > 0).then(|| unverified(bytes))?;
        Some((self.position - self.latest as u64, frame))
    }

    /// Has at least `wanted` bytes from `position` on in the buffer, as far as the file has them.
    fn fill(&mut self, wanted: usize) -> Result<(), IoError> {
        let have = self.buffer.len() - self.start;
        if have >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.latest = 0;
        let from = self.position + have as u64;
        let left = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let count = left.min((wanted - have).max(READ_BYTES));
        self.buffer.resize(have + count, 0);
        let read = self.file.read_at(&mut self.buffer[have..], from);
        let read = read.map_err(|source| IoError::new("read", &self.path, source))?;
        self.buffer.truncate(have + read);
        Ok(())
    }

    /// The next frame. After a bad one the reader stays where it is.
    pub(crate) fn next(&mut self) -> Result<Next<'_>, IoError> {
        self.fill(4)?;
        if self.buffer.len() == self.start {
            return Ok(Next::End);
        }
        let total = match frame_length(&self.buffer[self.start..]) {
            Ok(total) => total,
            Err(fault) => return Ok(Next::Bad(fault)),
        };
        if self.position + total as u64 > self.end {
            return Ok(Next::Bad(Fault::Incomplete));
        }
        self.fill(total)?;
        let begin = self.start;
        match parse(&self.buffer[begin..]) {
            Ok(frame) => {
                self.start += total;
                self.position += total as u64;
                self.latest = total;
                Ok(Next::Frame(frame))
            }
            Err(fault) => Ok(Next::Bad(fault)),
        }
    }
}

/// Everything there is to know about a segment from reading all of it.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// After the last batch that is whole.
    pub(crate) committed: Position,
    /// The offset there.
    pub(crate) committed_end: u64,
    /// After the last entry that is whole, committed or not.
    pub(crate) good: Position,
    /// The offset there.
    pub(crate) good_end: u64,
    /// The file's length.
    pub(crate) length: u64,
    /// The first bad place. `None` with `committed_end < length` is a batch without a marker.
    pub(crate) fault: Option<(u64, Fault)>,
    /// Newest schema version of a whole frame, and newest format.
    pub(crate) newest_schema: u16,
}

/// Reads a whole segment and verifies checksums, order, times, chain and commit markers.
pub(crate) fn scan(file: &Arc<dyn DiskFile>, path: &Path, head: &SegmentHead) -> Result<Scan, IoError> {
    let length = file.length().map_err(|source| IoError::new("measure", path, source))?;
    let begin = Position::before(head);
    let mut scan = Scan {
        committed: begin,
        committed_end: SEGMENT_HEAD as u64,
        good: begin,
        good_end: SEGMENT_HEAD as u64,
        length,
        fault: None,
        newest_schema: 0,
    };
    let mut reader = FrameReader::new(Arc::clone(file), path.to_owned(), SEGMENT_HEAD as u64, length);
    loop {
        let at = reader.position();
        let fault = match reader.next()? {
            Next::End => return Ok(scan),
            Next::Bad(fault) => fault,
            Next::Frame(frame) if frame.head.kind == COMMIT => {
                let pending = scan.good.seq - scan.committed.seq;
                let fits = pending > 0
                    && frame.batch().is_some_and(|count| u64::from(count) == pending)
                    && frame.head.seq == scan.good.seq
                    && frame.chain == scan.good.chain;
                if fits {
                    scan.newest_schema = scan.newest_schema.max(frame.head.schema);
                    scan.committed = scan.good;
                    scan.committed_end = at + frame.bytes.len() as u64;
                    scan.good_end = scan.committed_end;
                    continue;
                }
                Fault::Commit
            }
            Next::Frame(frame) => match scan.good.after(&frame) {
                Ok(position) => {
                    scan.newest_schema = scan.newest_schema.max(frame.head.schema);
                    scan.good = position;
                    scan.good_end = at + frame.bytes.len() as u64;
                    continue;
                }
                Err(fault) => fault,
            },
        };
        scan.fault = Some((at, fault));
        return Ok(scan);
    }
}

/// A whole frame found behind a damaged place.
pub(crate) struct Found {
    pub(crate) seq: u64,
    pub(crate) kind: u16,
    /// For a commit marker: the number of entries of its batch.
    pub(crate) batch: Option<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// Looks for whole frames from `from` to the end of the file, at any offset. What damage did to
/// lengths does not matter: a frame is known by its checksum. `after` is the last sound seq; frames
/// of other ages are not believed.
pub(crate) fn find_frames(
    file: &Arc<dyn DiskFile>,
    path: &Path,
    from: u64,
    after: u64,
    mut take: impl FnMut(Found),
) -> Result<(), IoError> {
    let error = |source| IoError::new("read", path, source);
    let length = file.length().map_err(error)?;
    let mut bytes = vec![0; usize::try_from(length.saturating_sub(from)).unwrap_or(0)];
    let read = file.read_at(&mut bytes, from).map_err(error)?;
    bytes.truncate(read);
    let newest = after.saturating_add(bytes.len() as u64);
    let mut at = 0;
    while at + 40 <= bytes.len() {
        // Most offsets are ruled out by the seq alone; a checksum is computed for the few that are left.
        let plausible =
            u32_at(&bytes, at) as usize <= bytes.len() - at && (after + 1..=newest).contains(&u64_at(&bytes, at + 8));
        match plausible.then(|| parse(&bytes[at..])) {
            Some(Ok(frame)) => {
                let (seq, kind, total) = (frame.head.seq, frame.head.kind, frame.bytes.len());
                take(Found { seq, kind, batch: frame.batch(), bytes: frame.bytes.to_vec() });
                at += total;
            }
            Some(Err(_)) | None => at += 1,
        }
    }
    Ok(())
}
