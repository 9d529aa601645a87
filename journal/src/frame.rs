//! The bytes of a record and of a segment's header.
//!
//! All numbers are little-endian. A record, called a frame:
//!
//! ```text
//!  0  length of the payload   u32
//!  4  CRC32C                  u32   over every other byte of the frame
//!  8  seq                     u64
//! 16  time                    i64   milliseconds since 1970
//! 24  epoch                   u64   the leader's term under which it was written
//! 32  kind                    u16   0 for a commit marker, else the number of the event's kind
//! 34  schema version          u16
//! 36  payload                       `codec::encode` of the entry
//!  …  chain                   16 B  of everything up to this entry
//! ```
//!
//! A commit marker ends a batch: its seq, time and chain are those of the batch's last entry and its
//! payload is the number of entries in the batch. The chain runs over entries alone, so that it does
//! not depend on how they were grouped into batches and segments.

use journal_schema::codec::MAX_ENTRY_BYTES;
use journal_schema::event::Event;

use crate::damage::Fault;
use crate::id::{Chain, JournalId};

/// Version of the files' format that this build writes; it reads every version up to it.
pub const FORMAT_VERSION: u16 = 1;

/// Bytes before the payload.
pub(crate) const FRAME_HEAD: usize = 36;
/// Bytes of a frame around its payload.
pub(crate) const FRAME_OVERHEAD: usize = FRAME_HEAD + 16;
/// Bytes of a whole commit marker.
pub(crate) const COMMIT_BYTES: usize = FRAME_OVERHEAD + 4;
/// Kind of a commit marker.
pub(crate) const COMMIT: u16 = 0;

/// The number of an event's kind in a frame. Numbers are never used again for another kind.
pub(crate) fn kind_number(event: &Event) -> u16 {
    match event {
        Event::DaemonStarted { .. } => 1,
        Event::PolicyChanged { .. } => 2,
        Event::Watch(_) => 3,
        Event::Intents { .. } => 4,
        Event::Outcome { .. } => 5,
        Event::DeadlineReached { .. } => 6,
        Event::Operator { .. } => 7,
        Event::TailCut { .. } => 8,
        Event::ClockStepped { .. } => 9,
    }
}

/// What a frame says of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) seq: u64,
    pub(crate) at: i64,
    pub(crate) epoch: u64,
    pub(crate) kind: u16,
    pub(crate) schema: u16,
}

impl FrameHead {
    fn bytes(&self) -> [u8; FRAME_HEAD - 8] {
        let mut out = [0; FRAME_HEAD - 8];
        out[0..8].copy_from_slice(&self.seq.to_le_bytes());
        out[8..16].copy_from_slice(&self.at.to_le_bytes());
        out[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        out[24..26].copy_from_slice(&self.kind.to_le_bytes());
        out[26..28].copy_from_slice(&self.schema.to_le_bytes());
        out
    }
}

/// A whole frame, its checksum verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) head: FrameHead,
    pub(crate) payload: &'a [u8],
    pub(crate) chain: Chain,
    /// The frame as it stands in the file.
    pub(crate) bytes: &'a [u8],
}

impl Frame<'_> {
    /// The chain that the frame should carry after `previous`.
    pub(crate) fn link(&self, previous: &Chain) -> Chain {
        previous.link(&self.bytes[8..FRAME_HEAD], self.payload)
    }

    /// For a commit marker: the entries of its batch.
    pub(crate) fn batch(&self) -> Option<u32> {
        let count = (self.head.kind == COMMIT).then(|| self.payload.try_into().ok().map(u32::from_le_bytes));
        count.flatten()
    }
}

/// Appends an entry's frame to `out` and returns the chain after it.
pub(crate) fn write_entry(out: &mut Vec<u8>, head: FrameHead, payload: &[u8], previous: &Chain) -> Chain {
    let chain = previous.link(&head.bytes(), payload);
    write_frame(out, head, payload, chain);
    chain
}

/// Appends the commit marker of a batch of `count` entries, whose last is `last`.
pub(crate) fn write_commit(out: &mut Vec<u8>, last: FrameHead, count: u32, chain: Chain) {
    write_frame(out, FrameHead { kind: COMMIT, ..last }, &count.to_le_bytes(), chain);
}

fn write_frame(out: &mut Vec<u8>, head: FrameHead, payload: &[u8], chain: Chain) {
    // `codec::encode` bounds a payload far below 4 GiB.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let start = out.len();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&chain.0);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// CRC32C over a frame without the field that holds it.
fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// Bytes of the frame that begins with `head`, or why it cannot be one.
pub(crate) fn frame_length(head: &[u8]) -> Result<usize, Fault> {
    let Some(length) = head.first_chunk::<4>() else {
        return Err(Fault::Incomplete);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_ENTRY_BYTES {
        return Err(Fault::TooLong { bytes: length as u64 });
    }
    Ok(length + FRAME_OVERHEAD)
}

/// The frame at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Frame<'_>, Fault> {
    let total = frame_length(bytes)?;
    let Some(bytes) = bytes.get(..total) else {
        return Err(Fault::Incomplete);
    };
    if checksum(bytes) != u32_at(bytes, 4) {
        return Err(Fault::Checksum);
    }
    Ok(unverified(bytes))
}

/// The frame that `bytes` are, all of them. Its checksum was verified before.
pub(crate) fn unverified(bytes: &[u8]) -> Frame<'_> {
    let total = bytes.len();
    let mut chain = [0; 16];
    chain.copy_from_slice(&bytes[total - 16..]);
    let head = FrameHead {
        seq: u64_at(bytes, 8),
        at: i64::from_le_bytes(u64_at(bytes, 16).to_le_bytes()),
        epoch: u64_at(bytes, 24),
        kind: u16_at(bytes, 32),
        schema: u16_at(bytes, 34),
    };
    Frame { head, payload: &bytes[FRAME_HEAD..total - 16], chain: Chain(chain), bytes }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

pub(crate) fn half_at(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&bytes[at..at + 16]);
    out
}

/// Bytes of a segment's header. Every format version keeps them and their checksum's place, so that
/// an older program can tell a newer format from damage.
pub(crate) const SEGMENT_HEAD: usize = 96;
const SEGMENT_MAGIC: &[u8; 8] = b"KINEMAJS";
/// The journal was imported.
pub(crate) const FLAG_FOREIGN: u32 = 1;

/// A segment's header: what comes before its first entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) format: u16,
    pub(crate) flags: u32,
    pub(crate) id: JournalId,
    pub(crate) number: u64,
    pub(crate) first_seq: u64,
    /// Time of the entry before.
    pub(crate) previous_at: i64,
    /// Chain of the entry before.
    pub(crate) previous_chain: Chain,
    /// Epoch of the entry before.
    pub(crate) previous_epoch: u64,
}

impl SegmentHead {
    pub(crate) fn bytes(&self) -> [u8; SEGMENT_HEAD] {
        let mut out = [0; SEGMENT_HEAD];
        out[..8].copy_from_slice(SEGMENT_MAGIC);
        out[8..10].copy_from_slice(&self.format.to_le_bytes());
        out[12..16].copy_from_slice(&self.flags.to_le_bytes());
        out[16..32].copy_from_slice(&self.id.0);
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_seq.to_le_bytes());
        out[48..56].copy_from_slice(&self.previous_at.to_le_bytes());
        out[56..72].copy_from_slice(&self.previous_chain.0);
        out[72..80].copy_from_slice(&self.previous_epoch.to_le_bytes());
        let crc = crc32c::crc32c(&out[..SEGMENT_HEAD - 4]);
        out[SEGMENT_HEAD - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header in `bytes`. Whether the format is one that this build reads is the caller's to ask.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let Some(bytes) = bytes.get(..SEGMENT_HEAD) else {
            return Err(Fault::Incomplete);
        };
        if crc32c::crc32c(&bytes[..SEGMENT_HEAD - 4]) != u32_at(bytes, SEGMENT_HEAD - 4) {
            return Err(Fault::Checksum);
        }
        if &bytes[..8] != SEGMENT_MAGIC {
            return Err(Fault::Header { what: "not a journal segment" });
        }
        Ok(Self {
            format: u16_at(bytes, 8),
            flags: u32_at(bytes, 12),
            id: JournalId(half_at(bytes, 16)),
            number: u64_at(bytes, 32),
            first_seq: u64_at(bytes, 40),
            previous_at: i64::from_le_bytes(u64_at(bytes, 48).to_le_bytes()),
            previous_chain: Chain(half_at(bytes, 56)),
            previous_epoch: u64_at(bytes, 72),
        })
    }
}
