//! Reading entries from wherever a path leads: a journal's directory or a capture.

use std::path::Path;

use crate::capture::{Capture, CaptureError};
use crate::checkpoint::Checkpoint;
use crate::error::OpenError;
use crate::id::JournalId;
use crate::reader::JournalReader;
use crate::{Entries, Last, Source};

/// A journal's directory or a capture.
#[derive(Clone)]
pub enum AnySource {
    /// A directory.
    Journal(JournalReader),
    /// A capture.
    Capture(Box<Capture>),
}

/// Neither a journal nor a capture could be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The directory could not be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The file could not be opened.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// Opens a journal's directory, or a capture, to read. Takes no lock and changes nothing.
pub fn open_source(path: &Path) -> Result<AnySource, SourceError> {
    if path.is_dir() {
        Ok(AnySource::Journal(JournalReader::open(path)?))
    } else {
        Ok(AnySource::Capture(Box::new(Capture::open(path)?)))
    }
}

impl AnySource {
    fn source(&self) -> &dyn Source {
        match self {
            Self::Journal(reader) => reader,
            Self::Capture(capture) => &**capture,
        }
    }
}

impl Source for AnySource {
    fn id(&self) -> JournalId {
        self.source().id()
    }

    fn first_seq(&self) -> u64 {
        self.source().first_seq()
    }

    fn durable_last(&self) -> Option<Last> {
        self.source().durable_last()
    }

    fn read(&self, from: u64) -> Entries<'_> {
        self.source().read(from)
    }

    fn latest_checkpoint(&self, at_most: u64, fingerprint: &str) -> Option<Checkpoint> {
        self.source().latest_checkpoint(at_most, fingerprint)
    }
}
