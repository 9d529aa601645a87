//! Encoding of entries and digests of values.
//!
//! MessagePack with named fields: self-describing, so that a field may be added with a default and
//! any language can read a journal. Unknown fields are ignored; an unknown variant is an error.
//!
//! No field is ever left out when it is written: checkpoints hold the same types in an encoding that
//! does not name its fields.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::{Entry, SCHEMA_VERSION};
use crate::event::Digest;
use crate::text::Text;

/// Largest encoded entry. A frame announces its length, and no reader allocates more than this.
pub const MAX_ENTRY_BYTES: usize = 64 << 20;

/// An entry could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The serializer refused.
    #[error("entry cannot be encoded")]
    Serialize(#[source] rmp_serde::encode::Error),
    /// It is larger than [`MAX_ENTRY_BYTES`].
    #[error("entry of {bytes} bytes exceeds the limit of {MAX_ENTRY_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// An entry could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It was written by a newer schema.
    #[error("entry has schema version {found}, this build reads up to {SCHEMA_VERSION}: use a newer kinema")]
    Newer {
        /// The entry's version.
        found: u16,
    },
    /// The bytes are not an entry.
    #[error("entry cannot be decoded")]
    Malformed(#[source] rmp_serde::decode::Error),
    /// Bytes were left over.
    #[error("entry has {bytes} bytes too many")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// Encodes any value with named fields. For values that are digested or stored beside the journal.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    rmp_serde::to_vec_named(value).map_err(EncodeError::Serialize)
}

/// Decodes a value that [`to_bytes`] wrote; every byte must be used.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    let value = T::deserialize(&mut deserializer).map_err(DecodeError::Malformed)?;
    let left = deserializer.get_ref().len();
    if left > 0 {
        return Err(DecodeError::Trailing { bytes: left });
    }
    Ok(value)
}

/// Encodes an entry in the newest schema.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, EncodeError> {
    let bytes = to_bytes(entry)?;
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(EncodeError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// Decodes an entry of any schema version up to the newest.
pub fn decode(version: u16, bytes: &[u8]) -> Result<Entry, DecodeError> {
    if version > SCHEMA_VERSION {
        return Err(DecodeError::Newer { found: version });
    }
    from_bytes(bytes)
}

/// The digest of a value's encoding, in hexadecimal.
pub fn digest<T: Serialize>(value: &T) -> Result<Digest, EncodeError> {
    let bytes = to_bytes(value)?;
    Ok(Text::truncated(blake3::hash(&bytes).to_hex().as_str()))
}
