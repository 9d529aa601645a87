//! What can be wrong with a journal's bytes, and where.

use std::fmt;
use std::path::PathBuf;

/// What is wrong with the bytes at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file ends in the middle of a record.
    Incomplete,
    /// A record announces more bytes than any record may have.
    TooLong {
        /// Bytes announced.
        bytes: u64,
    },
    /// The bytes do not match their checksum.
    Checksum,
    /// The record is not the next one.
    Sequence {
        /// The seq that is due.
        expected: u64,
        /// The seq that is there.
        found: u64,
    },
    /// The entry's time is not after that of the one before.
    Time,
    /// The entry does not follow from the ones before it: something was replaced or left out.
    Chain,
    /// A commit marker does not fit the batch before it.
    Commit,
    /// The header of the file is not one of this journal's segment with this number.
    Header {
        /// What differs.
        what: &'static str,
    },
    /// The file is not there.
    Missing,
    /// The record's checksum holds and yet it is not an entry.
    Undecodable {
        /// Why.
        why: String,
    },
    /// HEAD cannot be read: both of its slots are damaged, or it is gone.
    Head,
    /// HEAD names an entry that the segments have with other contents.
    HeadDiffers,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => write!(f, "the record is cut short"),
            Self::TooLong { bytes } => write!(f, "the record announces {bytes} bytes, more than any may have"),
            Self::Checksum => write!(f, "the checksum does not match"),
            Self::Sequence { expected, found } => write!(f, "entry {found} stands where entry {expected} is due"),
            Self::Time => write!(f, "the entry's time is not after that of the entry before"),
            Self::Chain => write!(f, "the entry does not follow from those before it"),
            Self::Commit => write!(f, "the commit marker does not fit its batch"),
            Self::Header { what } => write!(f, "the header is not right: {what}"),
            Self::Missing => write!(f, "the file is missing"),
            Self::Undecodable { why } => write!(f, "the record is not an entry: {why}"),
            Self::Head => write!(f, "the head mark cannot be read"),
            Self::HeadDiffers => write!(f, "the head mark names another entry under this number"),
        }
    }
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// File.
    pub file: PathBuf,
    /// Byte offset in it.
    pub offset: u64,
    /// The entry that is due there, as far as that is known.
    pub seq: Option<u64>,
    /// What is wrong.
    pub fault: Fault,
}

/// `segments/00000003.kjs, byte 18230, entry 4711: the checksum does not match`.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}", self.file.display(), self.offset)?;
        if let Some(seq) = self.seq {
            write!(f, ", entry {seq}")?;
        }
        write!(f, ": {}", self.fault)
    }
}
