//! The closed list of reasons.
//!
//! One enum for every surface: command line, notices, metric labels, journal, page and docs. Each
//! reason has a code (its variant's name), typed parameters, one sentence and a fix.

mod words;

pub use words::ReasonText;

use serde::{Deserialize, Serialize};

use crate::cloud::{CloudFault, PoolRefusal};
use crate::facts::{Key, Kind, WorkloadId};
use crate::text::{Message, Name};
use crate::units::{MicroUsd, MicroUsdPerHour, Millis, Ppm, Timestamp};

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    // Why nothing runs (gates).
    /// Watches are not complete, or one was interrupted.
    NotSynced {
        /// The first kind that is missing.
        kind: Kind,
    },
    /// Too many workloads are unsettled at once.
    NotStable {
        /// How many.
        unsettled: u32,
        /// Of how many.
        of: u32,
    },
    /// A workload is being rolled out.
    RolloutInProgress {
        /// Which.
        workload: WorkloadId,
    },
    /// A workload has fewer ready pods than it wants.
    NotReady {
        /// Which.
        workload: WorkloadId,
        /// Ready replicas.
        ready: i32,
        /// Desired replicas.
        desired: i32,
    },
    /// A workload settled too recently.
    SettlingDown {
        /// Which.
        workload: WorkloadId,
        /// How long is left.
        left: Millis,
    },
    /// An HPA is above its threshold and is about to scale up.
    HpaAboveThreshold {
        /// Which HPA.
        hpa: Key,
        /// Utilisation over target, in percent.
        percent: i32,
    },
    /// An operator paused kinema.
    Paused {
        /// Who.
        by: Name,
        /// Why.
        reason: Message,
        /// Until when, or until resumed.
        until: Option<Timestamp>,
    },
    /// The cloud is booting or deleting machines.
    CloudBusy {
        /// How many instances are not at rest.
        instances: u32,
    },
    /// The cloud's pools or prices are not known yet.
    CloudUnknown,
    /// No usable pool and no removable node.
    NothingManaged,
    /// Too many nodes turned NotReady together.
    MassNotReady {
        /// How many.
        nodes: u32,
        /// Of how many.
        of: u32,
    },
    /// Too many iterations were unwound lately: only recommendations until an operator resumes.
    TooManyAborts {
        /// How many.
        aborts: u32,
    },
    /// Too many nodes turned empty together.
    MassEmpty {
        /// How many.
        nodes: u32,
        /// Of how many.
        of: u32,
    },
    /// API server or cloud fail too many requests: nothing is begun.
    ApiFailing {
        /// Failures.
        failed: u32,
        /// Of how many answers.
        of: u32,
    },
    /// The clock was set while a plan was being made.
    ClockStepped {
        /// By how much; negative when back.
        by: Millis,
    },
    /// Usage could not be read.
    MetricsMissing {
        /// What was answered.
        message: Message,
    },
    /// Waiting between iterations.
    CoolingDown {
        /// How long is left.
        left: Millis,
    },
    /// The plan waits for an operator's approval.
    ApprovalPending,

    // Why a plan was dropped.
    /// It saves too little.
    BelowSavingsThreshold {
        /// What it saves.
        got: Ppm,
        /// What is asked for.
        need: Ppm,
    },
    /// It takes away too little of what its objective is about: imbalance, or heat.
    BelowGainThreshold {
        /// Share that it takes away.
        got: Ppm,
        /// What is asked for.
        need: Ppm,
    },
    /// The transition costs more than the plan saves over its life.
    NotWorthTransition {
        /// Cost of overlap and disruption.
        transition: MicroUsd,
        /// Saving over the expected life.
        saving: MicroUsd,
    },
    /// The cluster changed since the plan's basis.
    ClusterChangedTooMuch {
        /// Share that changed.
        share: Ppm,
        /// Limit.
        limit: Ppm,
    },
    /// The plan was not approved in time.
    PlanExpired,
    /// An operator rejected it.
    PlanRejected {
        /// Who.
        by: Name,
    },
    /// Mode Recommend: plans are shown, never carried out.
    RecommendOnly,
    /// No cheaper placement was found.
    NoImprovement {
        /// Proven lower bound.
        bound: MicroUsdPerHour,
    },
    /// The planner or its linter failed.
    PlannerFailed {
        /// What it said.
        message: Message,
    },
    /// The plan exceeds a limit of the policy (nodes or cost).
    OverBudget {
        /// Which limit.
        limit: Name,
    },
    /// With this plan more nodes would have been replaced within a day than the policy allows.
    TooManyReplaced {
        /// Nodes replaced within a day, with this plan.
        nodes: u32,
        /// Limit.
        limit: u32,
    },
    /// The plan goes back to machines that an earlier one left, and nothing has changed since.
    GoesBack {
        /// The pool that was left.
        pool: Name,
        /// How long ago.
        ago: Millis,
    },

    // Why an iteration was unwound.
    /// An operator aborted it.
    Aborted {
        /// Who.
        by: Name,
    },
    /// The cloud did not deliver a machine.
    BootFailed {
        /// Pool.
        pool: Name,
        /// Why.
        fault: CloudFault,
    },
    /// A machine did not become a ready node in time.
    NodeNeverReady {
        /// Node.
        node: Name,
    },
    /// Labels or taints could not be set in time.
    LabelFailed {
        /// Node.
        node: Name,
    },
    /// A pod could not be moved in time.
    MoveStuck {
        /// Pod.
        pod: Key,
        /// What held it.
        message: Message,
    },
    /// A workload lost ready pods while it was moved.
    WorkloadUnhealthyAfterMove {
        /// Which.
        workload: WorkloadId,
    },
    /// Another manager took our change back.
    RevertedByOtherManager {
        /// Which workload.
        workload: WorkloadId,
    },
    /// A node could not be removed in time.
    DrainStuck {
        /// Node.
        node: Name,
        /// What held it.
        message: Message,
    },
    /// A node of the plan is gone or is another machine now.
    NodeChanged {
        /// Node.
        node: Name,
    },
    /// The program that continues is of another behaviour than the one that began.
    BehaviourChanged {
        /// Behaviour of the iteration.
        from: u32,
        /// Behaviour of the program.
        to: u32,
    },
    /// The policy was changed so that the iteration may not go on.
    PolicyForbids,

    // Why a node stays.
    /// Its pool is not ours, or is refused.
    NotManaged {
        /// Why its pool is refused, when that is it.
        refusal: Option<PoolRefusal>,
    },
    /// `karpenter.sh/do-not-disrupt` on the node or pod.
    DoNotDisrupt,
    /// `cluster-autoscaler.kubernetes.io/scale-down-disabled`.
    ScaleDownDisabled,
    /// `kinema.dev/exclude` on it, its workload or its namespace.
    Excluded,
    /// It joined too recently.
    TooYoung {
        /// Age.
        age: Millis,
        /// Least age.
        least: Millis,
    },
    /// It is not ready or is cordoned by somebody else.
    NodeNotReady,
    /// It is being deleted.
    BeingDeleted,
    /// It runs the control plane.
    ControlPlane,
    /// Its price is not known.
    PriceUnknown {
        /// Machine type.
        machine_type: Name,
    },
    /// A pod on it may not move.
    PodBlocks {
        /// Which pod.
        pod: Key,
        /// The code of the pod's reason.
        code: Name,
    },
    /// Its pods fit nowhere cheaper.
    NoCheaperPlacement,
    /// It is part of the cheapest placement found.
    Needed,
    /// It is new under the plan.
    Added,
    /// It is not needed under the plan.
    Superfluous,
    /// Removing it saves less than moving its pods costs.
    SavingsNotWorthDisruption {
        /// Saving left on the table.
        saving: MicroUsdPerHour,
        /// Pods that would move.
        pods: u32,
    },
    /// kinema itself runs on it.
    HostsKinema,

    // Why a pod stays, or what it waits for.
    /// Its node stays.
    NodeStays,
    /// It moves because its node is not needed.
    NodeLeaves,
    /// It moves so that CPU and memory are used in proportion on more nodes.
    EvensOut,
    /// It moves because its node is used too much.
    RelievesNode {
        /// Usage above which a node is hot.
        limit: Ppm,
    },
    /// It moves because too much of its workload is in one place.
    SpreadsOut,
    /// It moves so that a pod that waits fits on its node.
    MakesRoom {
        /// The pod that waits.
        pod: Key,
    },
    /// A PodDisruptionBudget allows no eviction.
    PodDisruptionBudget {
        /// Which.
        pdb: Key,
        /// Evictions allowed.
        allowed: i32,
    },
    /// More than one budget covers it: the eviction API refuses.
    SeveralBudgets {
        /// How many.
        budgets: u32,
    },
    /// No controller would create it again.
    NotBackedByController,
    /// It has data on the node.
    LocalStorage {
        /// Volume.
        volume: Name,
    },
    /// `cluster-autoscaler.kubernetes.io/safe-to-evict=false`.
    NotSafeToEvict,
    /// `descheduler.alpha.kubernetes.io/prefer-no-eviction`.
    PreferNoEviction,
    /// A system pod without a PodDisruptionBudget.
    KubeSystemWithoutPdb,
    /// The only replica, and the policy does not allow moving it.
    SingleReplica,
    /// It belongs to a DaemonSet.
    DaemonSet,
    /// It is a static pod.
    StaticPod,
    /// A Job would start over.
    JobWouldRestart,
    /// Its workload stops all pods before it starts new ones.
    RecreateStrategy,
    /// Its workload is not settled.
    WorkloadUnsettled,
    /// It is not running, terminating or finished.
    NotRunning,
    /// It has a rule that the planner does not know.
    UnknownConstraint {
        /// The rule.
        rule: Name,
    },
    /// Its volume or claim could not be resolved.
    VolumeUnknown {
        /// Claim.
        claim: Name,
    },
    /// Another scheduler places it.
    OtherScheduler {
        /// Which.
        scheduler: Name,
    },

    // Why a pod does not fit a node (a scheduler's predicate).
    /// A resource is short.
    InsufficientResource {
        /// Which.
        resource: Name,
    },
    /// A taint is not tolerated.
    Taint {
        /// Its key.
        key: Name,
    },
    /// Node selector or required node affinity.
    NodeAffinity,
    /// Required pod affinity.
    PodAffinity,
    /// Required pod anti-affinity, its own or that of a pod there.
    PodAntiAffinity,
    /// A topology spread constraint.
    TopologySpread {
        /// Topology key.
        key: Name,
    },
    /// A volume is bound to another zone or node.
    VolumeZone {
        /// Claim.
        claim: Name,
    },
    /// The node's volume attach limit.
    AttachLimit {
        /// Driver.
        driver: Name,
    },
    /// A host port is taken.
    HostPort {
        /// Port.
        port: u16,
    },
    /// The node is cordoned.
    Unschedulable,
}
