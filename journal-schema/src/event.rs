//! What happened to the core.

use serde::{Deserialize, Serialize};

use crate::effect::{Effect, EffectId, Outcome};
use crate::facts::{Key, Kind, Object};
use crate::policy::Policy;
use crate::text::{Many, Message, Name};
use crate::units::{Millis, Timestamp};

/// A digest in hexadecimal (BLAKE3, 32 bytes).
pub type Digest = crate::text::Text<64>;

/// A watch's news, with relist semantics: between `RelistStarted` and `RelistFinished` every object
/// that exists is `Listed`; what was not listed is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchEvent {
    /// A list begins.
    RelistStarted {
        /// Kind.
        kind: Kind,
    },
    /// An object of the list.
    Listed(Object),
    /// The list is complete.
    RelistFinished {
        /// Kind.
        kind: Kind,
    },
    /// An object was created or changed.
    Applied(Object),
    /// An object is gone.
    Deleted {
        /// Kind.
        kind: Kind,
        /// Key.
        key: Key,
    },
    /// The watch broke; what is known of this kind is stale until the next relist.
    Interrupted {
        /// Kind.
        kind: Kind,
    },
}

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorCommand {
    /// Carry out the plan with this digest.
    Approve {
        /// Digest, or a prefix of at least 6 digits.
        digest: Digest,
    },
    /// Drop the plan with this digest.
    Reject {
        /// Digest, or a prefix of at least 6 digits.
        digest: Digest,
    },
    /// Start nothing new; what is under way stops at the next safe point.
    Pause {
        /// Why.
        reason: Message,
        /// For how long; `None` until resumed.
        span: Option<Millis>,
    },
    /// End a pause, and the freeze after too many aborts.
    Resume,
    /// Unwind the iteration that is under way.
    Abort,
    /// Do not wait for the cool-down.
    PlanNow,
}

/// Why the core wants to be called at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Deadline {
    /// A pause ends.
    PauseEnds,
    /// Gates may open.
    Gates,
    /// Pools, instances or prices are due to be read again.
    CloudRefresh,
    /// An effect is due to be tried again, or has had no answer for too long.
    Effect,
    /// The plan's time for approval ends.
    PlanExpires,
    /// The world is due to be looked at again.
    Poll,
    /// The phase has lasted too long.
    Phase,
    /// A move has lasted too long.
    Move,
    /// A node has been empty for long enough.
    Settled,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A daemon begins to act on this journal.
    DaemonStarted {
        /// Number of the leader's term; above every earlier one.
        epoch: u64,
        /// Number of the core's rules. A journal that another behaviour left in mid-iteration is unwound.
        behaviour: u32,
        /// Version of the program.
        build: Name,
        /// The pod it runs in.
        own_pod: Option<Key>,
        /// Policy.
        policy: Box<Policy>,
    },
    /// The policy changed.
    PolicyChanged {
        /// The new one.
        policy: Box<Policy>,
    },
    /// A watch's news.
    Watch(WatchEvent),
    /// Effects that are about to be carried out: durable before they are.
    Intents {
        /// With their ids.
        effects: Many<(EffectId, Effect)>,
    },
    /// What came of an effect.
    Outcome {
        /// Which.
        id: EffectId,
        /// What.
        outcome: Outcome,
    },
    /// A time that the core asked for has come.
    DeadlineReached {
        /// Why it asked.
        deadline: Deadline,
    },
    /// An operator's command.
    Operator {
        /// Who.
        by: Name,
        /// What.
        command: OperatorCommand,
    },
    /// The journal's tail was cut while opening it: entries that were never acknowledged.
    TailCut {
        /// Bytes cut.
        bytes: u64,
    },
    /// The system's clock was set. The journal's time goes forward with it at once, and never back: it goes more
    /// slowly until the system's has caught up.
    ClockStepped {
        /// Forward: by how much this entry's time is later than time passed. Back: by how much it was set, negative.
        by: Millis,
    },
}

impl Event {
    /// Its name in logs, indexes and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DaemonStarted { .. } => "DaemonStarted",
            Self::PolicyChanged { .. } => "PolicyChanged",
            Self::Watch(_) => "Watch",
            Self::Intents { .. } => "Intents",
            Self::Outcome { .. } => "Outcome",
            Self::DeadlineReached { .. } => "DeadlineReached",
            Self::Operator { .. } => "Operator",
            Self::TailCut { .. } => "TailCut",
            Self::ClockStepped { .. } => "ClockStepped",
        }
    }

    /// Whether losing it with an unflushed tail is harmless: a watch is listed again.
    pub fn may_be_lost(&self) -> bool {
        matches!(self, Self::Watch(_))
    }
}

/// The moment an entry is of.
pub type At = Timestamp;
