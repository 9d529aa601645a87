//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;

use journal_schema::SCHEMA_VERSION;
use journal_schema::codec::EncodeError;
use journal_schema::units::Timestamp;

use crate::damage::Damage;
use crate::frame::FORMAT_VERSION;

/// An IO error and the file it happened to.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct IoError {
    /// What was tried, for example `write`.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl IoError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }
}

/// A journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Another process has it open.
    #[error("journal {} is in use by {}", dir.display(), holder_text(*holder))]
    Locked {
        /// Directory.
        dir: PathBuf,
        /// Process id of the holder, when its lock file tells.
        holder: Option<u32>,
    },
    /// There is no journal here, and none was to be created.
    #[error("{} is not a journal: it has no segments", dir.display())]
    NotAJournal {
        /// Directory.
        dir: PathBuf,
    },
    /// Entries are damaged that had been acknowledged.
    #[error("journal is damaged: {damage}; nothing was changed. Look with `kinema journal verify {dir}`, then choose with `kinema journal repair {dir}`", dir = dir.display())]
    Damaged {
        /// Directory.
        dir: PathBuf,
        /// The first damaged place.
        damage: Damage,
    },
    /// HEAD tells of entries that the segments do not have.
    #[error("journal {dir} lost acknowledged entries: its head mark is at entry {head}, its segments end at entry {segments}. Restore the missing segments, or accept the loss with `kinema journal repair {dir}`", dir = dir.display())]
    TailLost {
        /// Directory.
        dir: PathBuf,
        /// Last seq by HEAD.
        head: u64,
        /// Last seq by the segments.
        segments: u64,
    },
    /// A newer program wrote the files.
    #[error("{} has journal format {found}, this build reads up to {FORMAT_VERSION}: use a newer kinema", path.display())]
    NewerFormat {
        /// File.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// A newer program wrote entries.
    #[error("{} has entries of schema version {found}, this build reads up to {SCHEMA_VERSION}: use a newer kinema", path.display())]
    NewerSchema {
        /// File.
        path: PathBuf,
        /// The newest version seen.
        found: u16,
    },
    /// The journal was imported: it may be read and replayed, never resumed.
    #[error("journal {} was imported from a capture: it can be read and replayed, but no daemon may resume it", dir.display())]
    Foreign {
        /// Directory.
        dir: PathBuf,
    },
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// An entry was not taken, or could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The entry cannot be encoded. The journal is as it was.
    #[error("entry {seq} cannot be written")]
    Encode {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: EncodeError,
    },
    /// It is not the next entry. The journal is as it was.
    #[error("entry {found} was offered, entry {expected} is due")]
    Sequence {
        /// The seq that is due.
        expected: u64,
        /// The seq offered.
        found: u64,
    },
    /// Its time is not after the last one's. The journal is as it was.
    #[error("entry {seq} is of time {}, not after {}", at.0, last.0)]
    Time {
        /// Which.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// The last entry's time.
        last: Timestamp,
    },
    /// Writing failed now. What was not acknowledged may be lost; the journal takes nothing more.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Writing failed earlier. A disk that failed once is not believed again: open the journal anew.
    #[error("journal takes no more entries since an earlier failure ({cause})")]
    Stopped {
        /// The earlier failure.
        cause: String,
    },
}

/// An entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The bytes are damaged.
    #[error("journal is damaged: {0}")]
    Damaged(Damage),
    /// The entries before this one are not here any more (or never were, in a capture of a range).
    #[error("entry {seq} is not in this journal: it begins at entry {first}")]
    BeforeStart {
        /// The seq asked for.
        seq: u64,
        /// The first seq there is.
        first: u64,
    },
    /// A newer program wrote the entry.
    #[error("entry {seq} has schema version {found}, this build reads up to {SCHEMA_VERSION}: use a newer kinema")]
    NewerSchema {
        /// Which.
        seq: u64,
        /// Its version.
        found: u16,
    },
    /// A capture is not acceptable.
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
}
