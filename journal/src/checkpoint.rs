//! Checkpoints: a state at a seq, so that a fold need not begin at the first entry.
//!
//! A checkpoint is a cache and never the truth. It is bincode, which is neither self-describing nor
//! stable, so it carries a fingerprint of the build and of the state's shape, and a digest; with
//! another fingerprint or digest it is ignored and the state is folded from the entries.

use journal_schema::entry::Entry;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Source;
use crate::error::ReadError;
use crate::id::half;

/// Largest encoded state. A decoder never allocates more for one.
pub const MAX_STATE_BYTES: usize = 1 << 30;

/// A state after the entry `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that the state has seen.
    pub seq: u64,
    /// Names the build and the shape of the state; equal or useless.
    pub fingerprint: String,
    /// First half of BLAKE3 over `bytes`.
    pub digest: [u8; 16],
    /// The state in bincode.
    pub bytes: Vec<u8>,
}

/// A state could not be turned into a checkpoint, or back.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// bincode refused to encode the state.
    #[error("state cannot be encoded")]
    Encode(#[source] bincode::error::EncodeError),
    /// bincode refused the bytes.
    #[error("checkpoint at entry {seq} cannot be decoded")]
    Decode {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: bincode::error::DecodeError,
    },
    /// Another build wrote it.
    #[error("checkpoint at entry {seq} is of another build")]
    Fingerprint {
        /// Which.
        seq: u64,
    },
    /// Its bytes are not what was written.
    #[error("checkpoint at entry {seq} is damaged")]
    Damaged {
        /// Which.
        seq: u64,
    },
}

impl Checkpoint {
    /// A checkpoint of `state` after entry `seq`.
    pub fn of<S: Serialize>(seq: u64, fingerprint: &str, state: &S) -> Result<Self, CheckpointError> {
        let bytes =
            bincode::serde::encode_to_vec(state, bincode::config::standard()).map_err(CheckpointError::Encode)?;
        Ok(Self { seq, fingerprint: fingerprint.to_owned(), digest: half(&blake3::hash(&bytes)), bytes })
    }

    /// The state, if this build wrote it and its bytes are whole.
    pub fn state<S: DeserializeOwned>(&self, fingerprint: &str) -> Result<S, CheckpointError> {
        if self.fingerprint != fingerprint {
            return Err(CheckpointError::Fingerprint { seq: self.seq });
        }
        if half(&blake3::hash(&self.bytes)) != self.digest {
            return Err(CheckpointError::Damaged { seq: self.seq });
        }
        let config = bincode::config::standard().with_limit::<MAX_STATE_BYTES>();
        let (state, used) = bincode::serde::decode_from_slice(&self.bytes, config)
            .map_err(|source| CheckpointError::Decode { seq: self.seq, source })?;
        if used != self.bytes.len() {
            return Err(CheckpointError::Damaged { seq: self.seq });
        }
        Ok(state)
    }
}

/// A folded state and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded<S> {
    /// The state.
    pub state: S,
    /// The last entry it has seen; 0 for none.
    pub seq: u64,
    /// The checkpoint it began from, if any.
    pub from_checkpoint: Option<u64>,
    /// Entries folded.
    pub entries: u64,
}

/// A state could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError<E: std::error::Error + 'static> {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry was refused.
    #[error("entry {seq} cannot be folded")]
    Step {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: E,
    },
}

/// The state after entry `to` (or the last entry, if that is earlier): from the nearest usable
/// checkpoint, else from `fresh`, by `step` over each entry.
pub fn fold_to<S, E, J>(
    source: &J,
    to: u64,
    fingerprint: &str,
    fresh: impl FnOnce() -> S,
    mut step: impl FnMut(&mut S, &Entry) -> Result<(), E>,
) -> Result<Folded<S>, FoldError<E>>
where
    S: DeserializeOwned,
    E: std::error::Error + 'static,
    J: Source + ?Sized,
{
    let checkpoint = source
        .latest_checkpoint(to, fingerprint)
        .and_then(|checkpoint| Some((checkpoint.seq, checkpoint.state(fingerprint).ok()?)));
    let mut folded = match checkpoint {
        Some((seq, state)) => Folded { state, seq, from_checkpoint: Some(seq), entries: 0 },
        None => Folded { state: fresh(), seq: 0, from_checkpoint: None, entries: 0 },
    };
    if folded.seq >= to {
        return Ok(folded);
    }
    for entry in source.read(folded.seq + 1) {
        let entry = entry?;
        if entry.seq > to {
            break;
        }
        step(&mut folded.state, &entry).map_err(|source| FoldError::Step { seq: entry.seq, source })?;
        folded.seq = entry.seq;
        folded.entries += 1;
    }
    Ok(folded)
}
