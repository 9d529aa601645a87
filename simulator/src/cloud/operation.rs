//! Operations and request ids, as Compute Engine's zone operations have them.

use journal_schema::cloud::PoolId;
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationStatus {
    /// Received.
    Pending,
    /// Being carried out.
    Running,
    /// Over; it may have failed.
    Done,
}

impl OperationStatus {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Done => "DONE",
        }
    }
}

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// createInstances.
    Create,
    /// deleteInstances.
    Delete,
}

impl OperationKind {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "compute.instanceGroupManagers.createInstances",
            Self::Delete => "compute.instanceGroupManagers.deleteInstances",
        }
    }
}

/// An error within an operation, or of the last attempt to create a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedError {
    /// HTTP status, as the operation reports it.
    pub status: u16,
    /// Code, for example `ZONE_RESOURCE_POOL_EXHAUSTED`.
    pub code: Name,
    /// Text.
    pub message: Name,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Name.
    pub name: Name,
    /// Numeric id.
    pub id: u64,
    /// Which.
    pub kind: OperationKind,
    /// Pool it works on.
    pub pool: PoolId,
    /// Request id it was asked with.
    pub request_id: Name,
    /// How far it is.
    pub status: OperationStatus,
    /// When it was received.
    pub inserted: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<CodedError>,
}

/// A machine to delete: by name, and by id when the caller knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Victim {
    pub(super) name: Name,
    /// `None`: whatever has the name. `Some(id)`: only the machine with exactly this id (or exactly none).
    pub(super) id: Option<Option<u64>>,
}

/// What an operation will do when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Create(Vec<Name>),
    Delete { victims: Vec<Victim>, skip_invalid: bool },
}

/// An operation with what the API does not show.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) operation: Operation,
    pub(super) work: Work,
    /// Reading it answers 404.
    pub(super) lost: bool,
    /// It never becomes DONE.
    pub(super) stalled: bool,
}

/// A request id that was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) operation: Name,
    pub(super) work: Work,
    pub(super) at: Timestamp,
}
