//! Identities: of a journal, and of everything up to one entry of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names a journal for ever. Drawn by whoever creates it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JournalId(pub [u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a journal's id has 32 hexadecimal digits")]
pub struct BadJournalId;

impl JournalId {
    /// An id made from any text or bytes. The same text gives the same id: for tests and simulations.
    pub fn derived(from: impl AsRef<[u8]>) -> Self {
        Self(half(&blake3::hash(from.as_ref())))
    }

    /// The chain before the first entry.
    pub(crate) fn genesis(&self) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"kinema journal");
        hasher.update(&self.0);
        Chain(half(&hasher.finalize()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JournalId {
    type Err = BadJournalId;
    fn from_str(text: &str) -> Result<Self, BadJournalId> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return Err(BadJournalId);
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadJournalId)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadJournalId)?;
        }
        Ok(Self(id))
    }
}

/// Half of a BLAKE3 over every entry up to one. Two journals with the same chain at a seq have the
/// same entries up to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain(pub [u8; 16]);

impl Chain {
    /// The chain after the next entry: a hash over this one, the entry's header and its payload.
    pub(crate) fn link(&self, header: &[u8], payload: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(header);
        hasher.update(payload);
        Self(half(&hasher.finalize()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The first half of a hash.
pub(crate) fn half(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = JournalId::derived("demo");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("xyz".parse::<JournalId>(), Err(BadJournalId));
        assert_eq!("zz".repeat(16).parse::<JournalId>(), Err(BadJournalId));
    }
}
