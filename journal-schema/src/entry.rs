//! The record.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::units::Timestamp;

/// Version of the schema that this build writes. A number is never used for two schemas.
pub const SCHEMA_VERSION: u16 = 1;

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Contiguous from 1.
    pub seq: u64,
    /// Strictly increasing. Time enters the core here and nowhere else.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}
