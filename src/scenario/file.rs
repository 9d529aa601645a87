//! The scenario file's type: a world to simulate, as people write it.
//!
//! Another type than the simulator's `Scenario`, for the reason that the configuration file is
//! another type than the policy: a file is for people (`300m`, `15m`, `50%`), and what is left out is
//! what is usual. The policy's sections are those of the configuration file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::{CloudFault, Fault};
use super::names::{Count, KubeName, MachineName, ZoneName};
use crate::config::file::{
    ApiVersion, Breakers, Capacity, Deadlines, Decide, Disruption, Mode, Nodes, Observe, Optimize, Predict,
};
use crate::config::{Amount, Cpu, Memory, Percent, Span};

/// A world to simulate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioFile")]
pub(super) struct File {
    /// `kinema.dev/v1alpha1`
    pub(super) api_version: ApiVersion,
    /// `Scenario`
    pub(super) kind: FileKind,
    /// Name of the scenario.
    pub(super) metadata: Metadata,
    /// The world.
    pub(super) spec: Spec,
}

/// Kind of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ScenarioKind")]
pub(super) enum FileKind {
    /// The only one.
    Scenario,
}

/// Metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Metadata {
    /// Name.
    pub(super) name: KubeName,
}

/// The world, what goes wrong in it, and how it is expected to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "World")]
pub(super) struct Spec {
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) about: String,
    /// Pools of machines: those that are there, and those that may be booted.
    pub(super) pools: Vec<Pool>,
    /// Deployments, StatefulSets and DaemonSets.
    #[serde(default)]
    pub(super) workloads: Vec<Workload>,
    /// PodDisruptionBudgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) budgets: Vec<Budget>,
    /// HorizontalPodAutoscalers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) autoscalers: Vec<Autoscaler>,
    /// Jobs of one pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) jobs: Vec<Job>,
    /// Namespaces that kinema leaves alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) excluded_namespaces: Vec<KubeName>,
    /// Workloads that come when the daemon starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) late_workloads: Vec<Workload>,
    /// What goes wrong in the cluster and on the way to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<Fault>,
    /// What goes wrong in the cloud.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cloud_faults: Vec<CloudFault>,
    /// Rules, as in a ReschedulePolicy; the mode is Auto unless it is given.
    #[serde(default)]
    pub(super) policy: ScenarioPolicy,
    /// How long the cluster lives before the daemon starts.
    #[serde(default = "warm_up")]
    pub(super) warm_up: Span,
    /// Longest run after the daemon's start.
    #[serde(default = "limit")]
    pub(super) limit: Span,
    /// How it is expected to end.
    #[serde(default)]
    pub(super) expected: Expected,
    /// Code of the reason for which it is expected to end so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
}

fn warm_up() -> Span {
    Span(journal_schema::units::Millis::from_minutes(15))
}

fn limit() -> Span {
    Span(journal_schema::units::Millis::from_minutes(120))
}

/// A pool of equal machines in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioPool")]
pub(super) struct Pool {
    /// Name; made of machine type and zone when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<KubeName>,
    /// Machine type.
    pub(super) machine_type: MachineName,
    /// Zone.
    pub(super) zone: ZoneName,
    /// How its machines are paid for.
    #[serde(default = "on_demand", skip_serializing_if = "is_on_demand")]
    pub(super) capacity_type: Capacity,
    /// Machines at the beginning; a pool without may still be booted from.
    #[serde(default)]
    pub(super) nodes: Count,
    /// Most machines; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_nodes: Option<Count>,
    /// Another autoscaler resizes it: kinema leaves it alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) autoscaled: bool,
}

fn on_demand() -> Capacity {
    Capacity::OnDemand
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands references to it")]
fn is_on_demand(capacity: &Capacity) -> bool {
    *capacity == Capacity::OnDemand
}

/// Kind of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ScenarioWorkloadKind")]
pub(super) enum WorkloadKind {
    /// Deployment.
    #[default]
    Deployment,
    /// StatefulSet.
    StatefulSet,
    /// DaemonSet.
    DaemonSet,
    /// ReplicaSet without a Deployment.
    ReplicaSet,
}

/// A workload. Its pods carry the label `app=<name>` and have one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioWorkload")]
pub(super) struct Workload {
    /// Kind.
    #[serde(default)]
    pub(super) kind: WorkloadKind,
    /// Namespace.
    #[serde(default = "default_namespace")]
    pub(super) namespace: KubeName,
    /// Name.
    pub(super) name: KubeName,
    /// Pods wanted (default: 1); a DaemonSet has one on each node, whatever stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replicas: Option<Count>,
    /// Pods wanted before it was scaled down, which is how a cluster becomes fragmented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replicas_before: Option<Count>,
    /// CPU that a pod requests.
    pub(super) cpu: Cpu,
    /// Memory that a pod requests.
    pub(super) memory: Memory,
    /// What a pod uses of its request (default: half of it, steadily).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) load: Option<Load>,
    /// From bound to running (default: 4s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<Span>,
    /// From running to ready (default: 6s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ready_time: Option<Span>,
    /// From being asked to end to being gone (default: 3s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop_time: Option<Span>,
    /// New pods never become ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) never_ready: bool,
    /// How pods are replaced (default: that of the kind).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) strategy: Option<Strategy>,
    /// Affinity as Kubernetes writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) affinity: Option<serde_json::Map<String, serde_json::Value>>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) node_selector: BTreeMap<String, String>,
    /// Taints that its pods bear (default: all of them for a DaemonSet, else none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tolerations: Option<Vec<Toleration>>,
    /// How its pods are spread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) spread: Vec<Spread>,
    /// Each pod has a volume of its own, bound to the zone it first ran in (StatefulSet).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) volume: bool,
    /// `terminationGracePeriodSeconds` (default: 30s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grace_period: Option<Span>,
    /// Priority.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) priority: i32,
}

fn default_namespace() -> KubeName {
    KubeName::of("default")
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands references to it")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// What a pod uses over time, as a share of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ScenarioLoad")]
pub(super) enum Load {
    /// Always the same.
    Constant(Percent),
    /// Swings around a mean.
    Wave {
        /// Middle.
        mean: Percent,
        /// Largest distance from the middle.
        swing: Percent,
        /// Time of one swing.
        period: Span,
    },
    /// Goes from one share to another, then stays.
    Ramp {
        /// Share at the beginning.
        from: Percent,
        /// Share at the end.
        to: Percent,
        /// When it begins, from the start of the world.
        begin: Span,
        /// How long it takes.
        over: Span,
    },
}

/// How pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) enum Strategy {
    /// Some at a time.
    #[serde(rename_all = "camelCase")]
    RollingUpdate {
        /// How many may be missing.
        max_unavailable: Amount,
        /// How many may be too many.
        max_surge: Amount,
    },
    /// All old before any new.
    Recreate,
    /// Only when a pod is deleted by hand.
    OnDelete,
}

/// A taint that is borne.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioToleration")]
pub(super) struct Toleration {
    /// Key; every taint when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) key: String,
    /// Value; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    /// Effect; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) effect: Option<TaintEffect>,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// New pods last.
    PreferNoSchedule,
    /// No pods.
    NoExecute,
}

/// How pods are spread over a topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioSpread")]
pub(super) struct Spread {
    /// Label of nodes.
    pub(super) topology_key: String,
    /// Allowed difference between the fullest and the emptiest domain.
    #[serde(default = "one")]
    pub(super) max_skew: Count,
    /// What happens when it cannot be had.
    #[serde(default)]
    pub(super) when_unsatisfiable: WhenUnsatisfiable,
}

fn one() -> Count {
    Count(1)
}

/// What happens when a spread cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum WhenUnsatisfiable {
    /// The pod waits.
    #[default]
    DoNotSchedule,
    /// It is placed all the same.
    ScheduleAnyway,
}

/// A PodDisruptionBudget over the pods of one workload. One of the two amounts is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioBudget")]
pub(super) struct Budget {
    /// Namespace.
    #[serde(default = "default_namespace")]
    pub(super) namespace: KubeName,
    /// Name; that of the workload when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<KubeName>,
    /// The workload whose pods it covers.
    pub(super) workload: KubeName,
    /// `minAvailable`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) min_available: Option<Amount>,
    /// `maxUnavailable`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_unavailable: Option<Amount>,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) always_allow_unhealthy: bool,
}

/// A HorizontalPodAutoscaler of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioAutoscaler")]
pub(super) struct Autoscaler {
    /// Namespace.
    #[serde(default = "default_namespace")]
    pub(super) namespace: KubeName,
    /// The Deployment.
    pub(super) workload: KubeName,
    /// Least replicas.
    pub(super) min_replicas: Count,
    /// Most replicas.
    pub(super) max_replicas: Count,
    /// Target CPU utilisation of the request.
    pub(super) target_cpu: Percent,
}

/// A Job's only pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScenarioJob")]
pub(super) struct Job {
    /// Namespace.
    #[serde(default = "default_namespace")]
    pub(super) namespace: KubeName,
    /// Name.
    pub(super) name: KubeName,
    /// CPU that it requests.
    pub(super) cpu: Cpu,
    /// Memory that it requests.
    pub(super) memory: Memory,
    /// How long it runs.
    pub(super) duration: Span,
}

/// How a run is expected to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum Expected {
    /// An iteration is carried out.
    Completed,
    /// An iteration is unwound.
    Unwound,
    /// Nothing is changed.
    Untouched,
    /// Any of these.
    #[default]
    Any,
}

/// Rules: the sections of a ReschedulePolicy that mean something in a simulated world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ScenarioPolicy {
    /// How far kinema may go by itself.
    pub(super) mode: Mode,
    /// Nodes that may be removed.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) nodes: Nodes,
    /// When the cluster is quiet enough.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) observe: Observe,
    /// Forecast and right-sizing.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) predict: Predict,
    /// What the planner may choose from.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) optimize: Optimize,
    /// When a plan is worth carrying out.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) decide: Decide,
    /// How gently pods are moved.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) disruption: Disruption,
    /// How long things may take.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) deadlines: Deadlines,
    /// What stops everything.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) breakers: Breakers,
}

fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

impl Default for ScenarioPolicy {
    fn default() -> Self {
        Self {
            // A world to look on at: in the daemon's own default nothing would happen in it.
            mode: Mode::Auto,
            nodes: Nodes::default(),
            observe: Observe::default(),
            predict: Predict::default(),
            optimize: Optimize::default(),
            decide: Decide::default(),
            disruption: Disruption::default(),
            deadlines: Deadlines::default(),
            breakers: Breakers::default(),
        }
    }
}
