//! Entries as JSON, one per line, for jq and databases.

use std::io::Write;

use journal_schema::entry::Entry;
use journal_schema::event::Event;
use serde::Serialize;

use crate::error::ReadError;
use crate::time::rfc3339;

/// Entries could not be written as JSON.
#[derive(Debug, thiserror::Error)]
pub enum NdjsonError {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry could not be written.
    #[error("entry {seq} cannot be written as JSON")]
    Write {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: String,
    event: &'a Event,
}

/// One entry as one line of JSON: `{"seq":1,"at":"2026-03-01T09:30:00.250Z","event":{…}}`.
pub fn line(entry: &Entry) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Line { seq: entry.seq, at: rfc3339(entry.at), event: &entry.event })
}

/// Writes entries, one per line, and returns how many.
pub fn write(entries: impl Iterator<Item = Result<Entry, ReadError>>, mut out: impl Write) -> Result<u64, NdjsonError> {
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        let error = |source| NdjsonError::Write { seq: entry.seq, source };
        let text = line(&entry).map_err(|source| error(source.into()))?;
        writeln!(out, "{text}").map_err(error)?;
        count += 1;
    }
    Ok(count)
}
