//! What goes wrong in a scenario, as people write it.

use journal_schema::facts::Kind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use simulator::faults::ANY_REQUEST;

use super::file::ScenarioPolicy;
use super::names::Count;
use crate::config::{Percent, Span};

/// Something that goes wrong in the cluster or on the way to it. One of `at`, `on` and `chance` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Fault {
    /// So long after the daemon's first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Span>,
    /// At a request of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) on: Option<OnEffect>,
    /// At requests of the daemon, with a probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chance: Option<ByChance>,
    /// What goes wrong.
    pub(super) fault: FaultKind,
}

/// At the nth request of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OnEffect {
    /// Which requests.
    pub(super) effect: EffectName,
    /// From which one on, counted from 1.
    #[serde(default = "one")]
    pub(super) nth: Count,
    /// How many times.
    #[serde(default = "one")]
    pub(super) times: Count,
}

fn one() -> Count {
    Count(1)
}

/// With a probability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ByChance {
    /// Which requests.
    pub(super) effect: EffectName,
    /// How likely.
    pub(super) probability: Percent,
    /// Only so long after the daemon's first start.
    pub(super) until: Span,
}

macro_rules! effects {
    ($($name:ident),+) => {
        /// The kind of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub(super) enum EffectName {
            /// Whatever changes something.
            AnyChange,
            /// Whatever is asked.
            Any,
            $(#[doc = concat!("`", stringify!($name), "`")] $name),+
        }

        impl EffectName {
            /// As the simulator names it.
            pub(super) fn name(self) -> &'static str {
                match self {
                    Self::AnyChange => "",
                    Self::Any => ANY_REQUEST,
                    $(Self::$name => stringify!($name)),+
                }
            }

            /// The kind of a name.
            pub(super) fn of(name: &str) -> Option<Self> {
                match name {
                    "" => Some(Self::AnyChange),
                    ANY_REQUEST => Some(Self::Any),
                    $(stringify!($name) => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}
effects!(
    DiscoverPools,
    ListInstances,
    ReadPrices,
    ReadUsage,
    ReadNodePods,
    ReadAffinity,
    CreateInstances,
    DeleteInstances,
    MarkNode,
    SetDeletionCost,
    Scale,
    Evict,
    PatchTemplate,
    Notice
);

/// The kinds that are watched, as the file names them.
fn watched_kinds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Kind::ALL })
}

/// What goes wrong. The first eleven are fates of a request and need `on` or `chance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) enum FaultKind {
    /// It never arrives; the daemon sees a time-out.
    Lost,
    /// It is carried out; the daemon sees a time-out.
    AnswerLost,
    /// It is carried out and nobody ever answers.
    Silent,
    /// 429: not carried out.
    Throttled,
    /// 500: not carried out.
    ServerError,
    /// 500 after it was carried out.
    ServerErrorAfter,
    /// 403.
    Forbidden,
    /// It arrives late.
    Delayed {
        /// How late.
        by: Span,
    },
    /// It is carried out twice.
    Twice,
    /// It is carried out once and answered twice.
    AnsweredTwice,
    /// It is carried out at once and answered late.
    AnsweredLate {
        /// How late.
        by: Span,
    },
    /// A watch shows nothing new for a while, and lists are as old.
    StaleWatch {
        /// Kind.
        #[schemars(schema_with = "watched_kinds")]
        kind: Kind,
        /// How long.
        span: Span,
    },
    /// A watch breaks and lists anew.
    InterruptWatch {
        /// Kind.
        #[schemars(schema_with = "watched_kinds")]
        kind: Kind,
    },
    /// Watches deliver everything twice from now on.
    DuplicateEvents,
    /// Whoever lists is answered by a replica that stands still: by what was true when this began.
    OldReplica {
        /// How long.
        span: Span,
    },
    /// The next list of a kind shows nothing.
    EmptyList {
        /// Kind.
        #[schemars(schema_with = "watched_kinds")]
        kind: Kind,
    },
    /// The daemon's clock is set. One of the two is given.
    ClockStep {
        /// Forward, by this much.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forward: Option<Span>,
        /// Back, by this much.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Span>,
    },
    /// A node's kernel dies.
    NodeCrash {
        /// Node, by its place in the order of names, from 0.
        index: Count,
        /// It is up again after this long; never when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Span>,
    },
    /// The group makes a node's machine anew: another machine comes under the same name.
    MachineReplaced {
        /// Node, by its place in the order of names, from 0.
        index: Count,
    },
    /// New pods of a workload never become ready.
    NeverReady {
        /// `namespace/name`
        workload: String,
    },
    /// A user changes the replicas.
    ForeignScale {
        /// `namespace/name`
        workload: String,
        /// By how many.
        by: i32,
    },
    /// GitOps takes every change of a workload's template back.
    GitOpsRevert {
        /// `namespace/name`
        workload: String,
        /// So long after it.
        after: Span,
    },
    /// A budget allows nothing any more.
    BlockBudget {
        /// `namespace/name`
        budget: String,
    },
    /// Usage has gaps from now on.
    UsageGaps {
        /// Of this share of the containers.
        share: Percent,
    },
    /// The metrics server is away.
    MetricsAway {
        /// How long.
        span: Span,
    },
    /// The API server is away: every request fails, every watch breaks.
    ApiServerAway {
        /// How long.
        span: Span,
    },
    /// An operator approves the plan that waits for it.
    ApprovePlan,
    /// An operator approves a plan.
    Approve {
        /// Its digest.
        digest: String,
    },
    /// An operator rejects a plan.
    Reject {
        /// Its digest.
        digest: String,
    },
    /// An operator pauses.
    Pause {
        /// Why.
        reason: String,
        /// For how long; until resumed when absent.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        span: Option<Span>,
    },
    /// An operator resumes.
    Resume,
    /// An operator aborts.
    Abort,
    /// An operator asks for a plan now.
    PlanNow,
    /// The policy is changed.
    Policy {
        /// To this one.
        policy: Box<ScenarioPolicy>,
    },
}

/// Something that goes wrong in the cloud. An absent condition always holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CloudFault {
    /// What goes wrong.
    pub(super) fault: CloudFaultKind,
    /// Only this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<CloudCall>,
    /// Only this pool, `zone/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<String>,
    /// Only this zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    /// Only this machine type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) machine_type: Option<String>,
    /// Only the machine of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<String>,
    /// From so long after the daemon's first start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Span>,
    /// Until so long after the daemon's first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Span>,
    /// Not for the first so many.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) skip: Count,
    /// At most so many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<Count>,
    /// How likely.
    #[serde(default = "certain", skip_serializing_if = "is_certain")]
    pub(super) probability: Percent,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands references to it")]
fn is_none(count: &Count) -> bool {
    count.0 == 0
}

fn certain() -> Percent {
    Percent(journal_schema::units::Ppm::percent(100))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands references to it")]
fn is_certain(share: &Percent) -> bool {
    *share == certain()
}

/// A call of the cloud's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum CloudCall {
    /// Creating machines.
    Create,
    /// Deleting machines.
    Delete,
    /// Listing machines.
    List,
    /// Reading groups and templates.
    Discover,
    /// Reading an operation.
    Operation,
}

/// What goes wrong in the cloud: with a call, with an operation, with a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) enum CloudFaultKind {
    /// The call is refused by the rate limit.
    Throttle,
    /// The server fails; nothing happens.
    Unavailable,
    /// The connection breaks before anything happened.
    DropCall,
    /// The call takes effect and its answer is lost.
    LoseAnswer,
    /// The call is not permitted.
    Forbid,
    /// A repeated request is not recognised as such.
    ForgetRequestId,
    /// The operation ends with an error.
    FailOperation {
        /// HTTP status.
        status: u16,
        /// Code, for example `CONDITION_NOT_MET`.
        code: String,
        /// Text.
        message: String,
    },
    /// The operation cannot be read; its effect takes place.
    LoseOperation,
    /// The operation takes effect and never ends.
    StallOperation,
    /// Only so many of the names are taken.
    Partial {
        /// How many.
        created: Count,
    },
    /// Deletions are carried out later.
    SlowDelete {
        /// How much later.
        extra: Span,
    },
    /// Deletions are accepted and not carried out.
    IgnoreDelete,
    /// No machine is free.
    Stockout {
        /// But for so many.
        #[serde(default)]
        free: Count,
    },
    /// The subnet has no address.
    NoAddresses,
    /// A machine boots later.
    SlowBoot {
        /// How much later.
        extra: Span,
    },
    /// A machine runs and its node never joins.
    NeverJoins,
    /// A node joins later.
    SlowJoin {
        /// How much later.
        extra: Span,
    },
    /// A node joins and never becomes ready.
    JoinsNotReady,
    /// A node joins with less CPU and memory than its pool promises.
    JoinsSmaller {
        /// With this share.
        share: Percent,
    },
    /// The cloud takes a machine back.
    Preempt {
        /// So long after it ran.
        after: Span,
    },
}
