//! A failing run in a file: whoever has it sees the same failure.

use serde::{Deserialize, Serialize};

use super::case::{Case, Verdict};

/// The only format so far.
const FORMAT: u32 = 1;

/// A run that once went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repro {
    /// Format of the file.
    pub format: u32,
    /// What was wrong when it was found.
    pub complaints: Vec<String>,
    /// Version of the program that found it.
    pub found_by: String,
    /// What it was and how it was mended, for people; empty at first.
    #[serde(default)]
    pub note: String,
    /// The run.
    pub case: Case,
}

/// A file that is no repro.
#[derive(Debug, thiserror::Error)]
pub enum ReproError {
    /// It is not what a repro looks like.
    #[error("this is no repro of a simulation")]
    Read(#[from] serde_json::Error),
    /// It was written by a later version.
    #[error("the repro has format {found}, and this program reads format {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
}

impl Repro {
    /// A case and what was wrong with it.
    pub fn new(case: Case, complaints: Vec<String>) -> Self {
        let found_by = format!("kinema {}", env!("CARGO_PKG_VERSION"));
        Self { format: FORMAT, complaints, found_by, note: String::new(), case }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// When it is no repro, or of a later format.
    pub fn read(text: &[u8]) -> Result<Self, ReproError> {
        let repro: Self = serde_json::from_slice(text)?;
        if repro.format == FORMAT { Ok(repro) } else { Err(ReproError::Format { found: repro.format }) }
    }

    /// The file's text.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Runs it again.
    pub fn judge(&self) -> Verdict {
        self.case.judge(None, true)
    }
}
