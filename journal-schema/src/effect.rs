//! Requests of the core to the outside, and what came of them.
//!
//! Every effect may be carried out twice: it carries its preconditions (UIDs, old values, names
//! derived from the intent), so that the second time changes nothing. An outcome is a hint and a
//! source of ids; a phase ends when the watched world satisfies its predicate.

use serde::{Deserialize, Serialize};

use crate::cloud::{Pool, PoolId, PoolInstances, PriceBook};
use crate::facts::{Key, PodFact, WorkloadId};
use crate::plan::Planned;
use crate::policy::Limits;
use crate::text::{Few, JsonText, Many, Message, Name};
use crate::units::{Bytes, MilliCpu, Millis, Timestamp};
use crate::usage::{Forecasts, UsageWindow};

/// Names an effect for ever: the entry that caused it and its place among that entry's effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    /// Sequence number of the cause.
    pub cause: u64,
    /// Place among its effects.
    pub index: u32,
}

/// `#18231.0`.
impl std::fmt::Display for EffectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("#{}.{}", self.cause, self.index))
    }
}

/// A node's role under the plan, written on it as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeRole {
    /// Stays: label `kinema.dev/optimal=<iteration>`.
    Optimal,
    /// Leaves: label `kinema.dev/expiring=<iteration>` and taint `kinema.dev/expiring=<iteration>:NoSchedule`.
    Expiring,
    /// Neither: every label and taint of ours is taken away.
    None,
    /// Stays, and takes pods later: as [`NodeRole::Optimal`], with the taint
    /// `kinema.dev/later=<iteration>:PreferNoSchedule`, which leads the scheduler to other nodes and keeps no pod
    /// waiting.
    Later,
}

/// Key of the label of nodes that stay.
pub const OPTIMAL_KEY: &str = "kinema.dev/optimal";
/// Key of the label and of the taint of nodes that leave.
pub const EXPIRING_KEY: &str = "kinema.dev/expiring";

/// Key of the taint of nodes that take pods later.
pub const LATER_KEY: &str = "kinema.dev/later";

/// An instance to delete, by everything that identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceRef {
    /// Name.
    pub name: Name,
    /// Numeric id; `None` only for a machine of ours that never got one.
    pub id: Option<u64>,
}

/// What kind of Kubernetes object a notice is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Regarding {
    /// A node: name and UID.
    Node(Name, Name),
    /// A workload and its UID.
    Workload(WorkloadId, Name),
    /// A pod and its UID.
    Pod(Key, Name),
    /// kinema itself.
    Kinema,
}

/// A request to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    // Reading.
    /// List the pools with their templates.
    DiscoverPools,
    /// List the instances of these pools.
    ListInstances {
        /// Pools.
        pools: Few<PoolId>,
    },
    /// Read prices.
    ReadPrices,
    /// Read usage of every container.
    ReadUsage {
        /// End of the window.
        end: Timestamp,
        /// Length of the window.
        window: Millis,
        /// Distance between points.
        step: Millis,
    },
    /// List the pods of a node from a quorum (no cached answer).
    ReadNodePods {
        /// Node.
        node: Name,
    },
    /// Read the affinity of a Deployment's template from a quorum.
    ReadAffinity {
        /// Deployment.
        workload: WorkloadId,
        /// Its UID.
        uid: Name,
    },

    // Computing: pure functions that the shell runs and the journal records.
    /// Forecast from the usage that was read last.
    Forecast,
    /// Plan.
    Plan {
        /// Work limits.
        limits: Limits,
    },

    // The cloud.
    /// Boot machines with these names, as far as they do not exist.
    CreateInstances {
        /// Pool.
        pool: PoolId,
        /// Names.
        names: Few<Name>,
        /// Idempotency key, derived from the intent.
        request_id: Name,
    },
    /// Delete exactly these machines; one that is gone, or has another id, is left alone.
    DeleteInstances {
        /// Pool.
        pool: PoolId,
        /// Machines.
        instances: Few<InstanceRef>,
        /// Idempotency key, derived from the intent.
        request_id: Name,
    },

    // The cluster.
    /// Give a node its role: set our labels and taint, take the others of ours away.
    MarkNode {
        /// Node.
        node: Name,
        /// Its UID: another machine under the same name is left alone.
        uid: Name,
        /// Role.
        role: NodeRole,
        /// Iteration, the value of label and taint.
        iteration: u64,
    },
    /// Set or clear `controller.kubernetes.io/pod-deletion-cost`.
    SetDeletionCost {
        /// Pod.
        pod: Key,
        /// UID.
        uid: Name,
        /// Cost; `None` takes the annotation away.
        cost: Option<i32>,
    },
    /// Scale through the scale subresource, if the replicas are what is expected.
    Scale {
        /// Workload.
        workload: WorkloadId,
        /// UID.
        uid: Name,
        /// Replicas expected.
        from: i32,
        /// Replicas wanted.
        to: i32,
    },
    /// Evict through the Eviction API, with the UID as precondition.
    Evict {
        /// Pod.
        pod: Key,
        /// UID.
        uid: Name,
    },
    /// Replace a Deployment's template affinity (and requests), if it is what is expected.
    PatchTemplate {
        /// Deployment.
        workload: WorkloadId,
        /// UID.
        uid: Name,
        /// `spec.template.spec.affinity` as it must be now, in JSON; `None` when absent.
        from: Option<JsonText>,
        /// What it becomes; `None` takes it away.
        to: Option<JsonText>,
        /// `spec.strategy.rollingUpdate.maxUnavailable` as it must be now and what it becomes, in JSON.
        max_unavailable: Option<(JsonText, JsonText)>,
        /// Requests: container, CPU, memory.
        requests: Few<(Name, MilliCpu, Bytes)>,
    },
    /// Write a Kubernetes Event. Best effort.
    Notice {
        /// What it is about.
        regarding: Regarding,
        /// Reason in CamelCase.
        reason: Name,
        /// Text.
        note: Message,
        /// Warning rather than Normal.
        warning: bool,
    },
}

impl Effect {
    /// Whether it changes the cluster or the cloud. Notices do not count.
    pub fn mutates(&self) -> bool {
        match self {
            Self::DiscoverPools
            | Self::ListInstances { .. }
            | Self::ReadPrices
            | Self::ReadUsage { .. }
            | Self::ReadNodePods { .. }
            | Self::ReadAffinity { .. }
            | Self::Forecast
            | Self::Plan { .. }
            | Self::Notice { .. } => false,
            Self::CreateInstances { .. }
            | Self::DeleteInstances { .. }
            | Self::MarkNode { .. }
            | Self::SetDeletionCost { .. }
            | Self::Scale { .. }
            | Self::Evict { .. }
            | Self::PatchTemplate { .. } => true,
        }
    }

    /// Its name in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DiscoverPools => "DiscoverPools",
            Self::ListInstances { .. } => "ListInstances",
            Self::ReadPrices => "ReadPrices",
            Self::ReadUsage { .. } => "ReadUsage",
            Self::ReadNodePods { .. } => "ReadNodePods",
            Self::ReadAffinity { .. } => "ReadAffinity",
            Self::Forecast => "Forecast",
            Self::Plan { .. } => "Plan",
            Self::CreateInstances { .. } => "CreateInstances",
            Self::DeleteInstances { .. } => "DeleteInstances",
            Self::MarkNode { .. } => "MarkNode",
            Self::SetDeletionCost { .. } => "SetDeletionCost",
            Self::Scale { .. } => "Scale",
            Self::Evict { .. } => "Evict",
            Self::PatchTemplate { .. } => "PatchTemplate",
            Self::Notice { .. } => "Notice",
        }
    }
}

/// How a failed effect stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailureClass {
    /// It did not happen; the same again may work.
    Retryable,
    /// It did not happen and will not.
    Refused,
    /// It may have happened: look at the world.
    Unknown,
}

/// What kind of failure, for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailureCode {
    /// A PodDisruptionBudget forbids the eviction now.
    DisruptionBudget,
    /// The object is gone.
    NotFound,
    /// A precondition does not hold (UID, old value, expected replicas).
    Precondition,
    /// Too many requests.
    Throttled,
    /// Not permitted.
    Forbidden,
    /// The request is not acceptable (validation, webhook).
    Invalid,
    /// The cloud's fault.
    Cloud(crate::cloud::CloudFault),
    /// The server could not be reached, or answered with an error of its own.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// This daemon is not the leader any more.
    NotLeader,
    /// The planner or the forecast failed.
    Internal,
}

/// A failed effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How it stands.
    pub class: FailureClass,
    /// What kind.
    pub code: FailureCode,
    /// Status and reason code of the answer; never a body.
    pub message: Message,
}

/// What an effect answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done, or nothing was left to do.
    Done,
    /// Pools.
    Pools(Many<Pool>),
    /// Instances.
    Instances(Many<PoolInstances>),
    /// Prices.
    Prices(PriceBook),
    /// Usage.
    Usage(UsageWindow),
    /// Pods of a node.
    NodePods(Many<PodFact>),
    /// A template's affinity and `maxUnavailable`, in JSON; `None` when absent.
    Affinity(Option<JsonText>, Option<JsonText>),
    /// Forecasts.
    Forecasts(Forecasts),
    /// A plan and its report.
    Planned(Box<Planned>),
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It worked.
    Answered(Answer),
    /// It did not.
    Failed(Failure),
}
