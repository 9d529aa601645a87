//! The durable journal.
//!
//! Whatever kinema sees and does is an entry here before anything follows from it. The truth is in
//! append-only *segments*: framed, checksummed, chained by hash, written in batches with a commit
//! marker and one `fdatasync`. HEAD, a mark in two slots, shows a lost tail that the segments alone
//! cannot show. A sled *index* beside them answers by object, kind and iteration and keeps state
//! checkpoints and a second copy of every entry; it lags, never leads, and is thrown away and
//! rebuilt on any doubt, because sled does not notice what a disk lost.
//!
//! - [`FileJournal`] writes and reads a directory; [`JournalReader`] only reads one, or follows one
//!   that is being written; [`MemoryJournal`] is for simulations.
//! - [`capture`] exports a range of entries into one file (`.kjl`) and imports it, distrusting every
//!   byte; [`ndjson`] writes entries for jq and databases.
//! - [`verify`] tells everything about a journal's health; [`repair`] mends it and destroys no evidence.
//! - [`checkpoint`] holds states at a seq; [`fold_to`] gives the state at any seq.
//! - [`disk`] is the little that is asked of a file system, with a simulated one that loses power.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

pub mod capture;
pub mod checkpoint;
pub mod damage;
pub mod disk;
pub mod error;
pub mod file;
mod frame;
mod head;
mod id;
pub mod import;
pub mod index;
mod layout;
#[cfg(test)]
mod layout_test;
pub mod memory;
pub mod ndjson;
pub mod reader;
mod recover;
pub mod repair;
mod segment;
mod source;
pub mod time;
pub mod verify;

use journal_schema::entry::Entry;
use journal_schema::units::Timestamp;

pub use capture::{Capture, CaptureError};
pub use checkpoint::{Checkpoint, CheckpointError, FoldError, Folded, fold_to};
pub use damage::{Damage, Fault};
pub use error::{AppendError, IoError, OpenError, ReadError};
pub use file::{FileJournal, Opened, Options};
pub use frame::FORMAT_VERSION;
pub use id::{BadJournalId, Chain, JournalId};
pub use memory::MemoryJournal;
pub use reader::JournalReader;
pub use source::{AnySource, SourceError, open_source};
pub use time::rfc3339;

/// Entries, oldest first. Ends after the first error.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry, ReadError>> + 'a>;

/// The last entry's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its seq.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
}

/// Durable entries that can be read: a journal, or a capture of one.
pub trait Source {
    /// Which journal this is, or was captured from.
    fn id(&self) -> JournalId;

    /// The first entry there is: 1, but for a capture of a later range.
    fn first_seq(&self) -> u64;

    /// The last durable entry; `None` when there is none.
    fn durable_last(&self) -> Option<Last>;

    /// The durable entries from seq `from` on.
    fn read(&self, from: u64) -> Entries<'_>;

    /// The newest whole checkpoint of this build at or before `at_most`. `None` also when
    /// checkpoints cannot be read: they are a cache.
    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint>;
}

/// A journal that is written.
pub trait Journal: Source {
    /// Takes an entry: seq contiguous, time strictly increasing. It is durable after the next
    /// [`flush`](Self::flush) (many appends may share one), and not readable before.
    fn append(&mut self, entry: &Entry) -> Result<(), AppendError>;

    /// Makes every appended entry durable as one batch: after a crash all of it is there. Without
    /// appended entries it does nothing. After an error of IO every later call refuses.
    fn flush(&mut self) -> Result<(), AppendError>;

    /// The last entry taken, durable or not.
    fn last(&self) -> Option<Last>;

    /// Keeps a checkpoint, as well as it can: a checkpoint is a cache, and one that cannot be kept,
    /// or that is ahead of the durable entries, is dropped.
    fn save_checkpoint(&mut self, checkpoint: &Checkpoint);
}

/// Refuses an entry that is not the next one.
pub(crate) fn check_next(last: Option<Last>, entry: &Entry) -> Result<(), AppendError> {
    let expected = last.map_or(1, |last| last.seq + 1);
    if entry.seq != expected {
        return Err(AppendError::Sequence { expected, found: entry.seq });
    }
    match last {
        Some(last) if entry.at <= last.at => Err(AppendError::Time { seq: entry.seq, at: entry.at, last: last.at }),
        Some(_) | None => Ok(()),
    }
}
