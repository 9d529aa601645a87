//! What was seen of the cluster.
//!
//! Each fact is an allow-list projection of a Kubernetes object: only the fields that a decision
//! reads. Environment variables, arguments, secrets, most annotations and messages never get here,
//! because a journal is kept, exported and shared. What a projection meets and does not understand
//! it names in `unknown`; the planner then leaves the object where it is.
//!
//! Facts carry no resource version and no heartbeat, so that an update without consequence gives
//! an equal fact and needs no entry.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::text::{Few, Name};
use crate::units::{Bytes, MilliCpu, Resources, Timestamp};

/// Labels, or a selector's exact pairs.
pub type Labels = BTreeMap<Name, Name>;

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// core/v1 Node
    Node,
    /// core/v1 Pod
    Pod,
    /// core/v1 Namespace
    Namespace,
    /// apps/v1 Deployment
    Deployment,
    /// apps/v1 ReplicaSet
    ReplicaSet,
    /// apps/v1 StatefulSet
    StatefulSet,
    /// apps/v1 DaemonSet
    DaemonSet,
    /// policy/v1 PodDisruptionBudget
    PodDisruptionBudget,
    /// autoscaling/v2 HorizontalPodAutoscaler
    HorizontalPodAutoscaler,
    /// core/v1 PersistentVolumeClaim
    PersistentVolumeClaim,
    /// core/v1 PersistentVolume
    PersistentVolume,
    /// storage.k8s.io/v1 CSINode
    CsiNode,
}

impl Kind {
    /// Every watched kind.
    pub const ALL: [Self; 12] = [
        Self::Node,
        Self::Pod,
        Self::Namespace,
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::PersistentVolumeClaim,
        Self::PersistentVolume,
        Self::CsiNode,
    ];

    /// The name as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Namespace => "Namespace",
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::PersistentVolume => "PersistentVolume",
            Self::CsiNode => "CSINode",
        }
    }
}

/// Namespace and name; the namespace is empty for objects that have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Namespace, or empty.
    pub namespace: Name,
    /// Name.
    pub name: Name,
}

impl Key {
    /// The key of an object in a namespace.
    pub fn new(namespace: Name, name: Name) -> Self {
        Self { namespace, name }
    }
    /// The key of an object without a namespace.
    pub fn cluster(name: Name) -> Self {
        Self { namespace: Name::default(), name }
    }
}

/// `namespace/name`, or `name` alone for objects without a namespace.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.pad(&self.name) } else { f.pad(&format!("{}/{}", self.namespace, self.name)) }
    }
}

/// One object of any watched kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Object {
    /// A node.
    Node(NodeFact),
    /// A pod.
    Pod(PodFact),
    /// A namespace.
    Namespace(NamespaceFact),
    /// A Deployment, ReplicaSet, StatefulSet or DaemonSet.
    Workload(WorkloadFact),
    /// A PodDisruptionBudget.
    Pdb(PdbFact),
    /// A HorizontalPodAutoscaler.
    Hpa(HpaFact),
    /// A PersistentVolumeClaim.
    Pvc(PvcFact),
    /// A PersistentVolume.
    Pv(PvFact),
    /// A CSINode.
    CsiNode(CsiNodeFact),
}

impl Object {
    /// The object's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Namespace(_) => Kind::Namespace,
            Self::Workload(workload) => workload.id.kind.kind(),
            Self::Pdb(_) => Kind::PodDisruptionBudget,
            Self::Hpa(_) => Kind::HorizontalPodAutoscaler,
            Self::Pvc(_) => Kind::PersistentVolumeClaim,
            Self::Pv(_) => Kind::PersistentVolume,
            Self::CsiNode(_) => Kind::CsiNode,
        }
    }

    /// The object's key.
    pub fn key(&self) -> Key {
        match self {
            Self::Node(node) => Key::cluster(node.name.clone()),
            Self::Pod(pod) => pod.key.clone(),
            Self::Namespace(namespace) => Key::cluster(namespace.name.clone()),
            Self::Workload(workload) => workload.id.key.clone(),
            Self::Pdb(pdb) => pdb.key.clone(),
            Self::Hpa(hpa) => hpa.key.clone(),
            Self::Pvc(pvc) => pvc.key.clone(),
            Self::Pv(pv) => Key::cluster(pv.name.clone()),
            Self::CsiNode(csi) => Key::cluster(csi.name.clone()),
        }
    }
}

/// A taint's or toleration's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaintEffect {
    /// New pods without a toleration are not placed here.
    NoSchedule,
    /// New pods without a toleration are placed here last.
    PreferNoSchedule,
    /// Pods without a toleration are also removed.
    NoExecute,
}

/// A node's taint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: Name,
    /// Value, empty when there is none.
    #[serde(default)]
    pub value: Name,
    /// Effect.
    pub effect: TaintEffect,
}

/// A pod's toleration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Toleration {
    /// Key; empty with `exists` tolerates every taint.
    #[serde(default)]
    pub key: Name,
    /// Operator Exists rather than Equal.
    #[serde(default)]
    pub exists: bool,
    /// Value for Equal.
    #[serde(default)]
    pub value: Name,
    /// Effect, or every effect.
    #[serde(default)]
    pub effect: Option<TaintEffect>,
}

/// An operator's wish that an object stays where it is (`karpenter.sh/do-not-disrupt`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DoNotDisrupt {
    /// Not asked for.
    #[default]
    No,
    /// For as long as the object lives.
    Always,
    /// Until this moment (creation time plus the annotated duration).
    Until(Timestamp),
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFact {
    /// Name.
    pub name: Name,
    /// UID: a name may come back with another machine.
    pub uid: Name,
    /// `spec.providerID`, for example `gce://project/zone/instance`; empty when unknown.
    #[serde(default)]
    pub provider_id: Name,
    /// The cloud's numeric instance id, where an annotation tells it.
    #[serde(default)]
    pub instance_id: Option<u64>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Taints.
    #[serde(default)]
    pub taints: Few<Taint>,
    /// Cordoned.
    #[serde(default)]
    pub unschedulable: bool,
    /// What pods may use.
    #[serde(default)]
    pub allocatable: Resources,
    /// Condition Ready is True.
    #[serde(default)]
    pub ready: bool,
    /// Since when Ready has its value.
    #[serde(default)]
    pub ready_changed_at: Option<Timestamp>,
    /// Creation.
    pub created_at: Timestamp,
    /// Deletion asked for.
    #[serde(default)]
    pub deletion_at: Option<Timestamp>,
    /// `cluster-autoscaler.kubernetes.io/scale-down-disabled=true`.
    #[serde(default)]
    pub scale_down_disabled: bool,
    /// `karpenter.sh/do-not-disrupt`.
    #[serde(default)]
    pub do_not_disrupt: DoNotDisrupt,
    /// `kinema.dev/exclude` or `kinema.dev/pause` is set.
    #[serde(default)]
    pub excluded: bool,
    /// What the projection did not understand.
    #[serde(default)]
    pub unknown: Few<Name>,
}

impl NodeFact {
    /// The value of a label, or empty.
    pub fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", |value| value.as_str())
    }
    /// `node.kubernetes.io/instance-type`, or empty.
    pub fn machine_type(&self) -> &str {
        self.label("node.kubernetes.io/instance-type")
    }
    /// `topology.kubernetes.io/zone`, or empty.
    pub fn zone(&self) -> &str {
        self.label("topology.kubernetes.io/zone")
    }
}

/// What owns a pod or a ReplicaSet (the controller reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OwnerKind {
    /// A Deployment.
    Deployment,
    /// A ReplicaSet.
    ReplicaSet,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A Job.
    Job,
    /// A Node: the pod is a mirror of a static pod.
    Node,
    /// Any other controller.
    Other,
}

/// A controller reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Kind.
    pub kind: OwnerKind,
    /// Name, in the owned object's namespace.
    pub name: Name,
    /// UID.
    pub uid: Name,
}

/// A pod's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not all containers run.
    Pending,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// The node does not answer.
    Unknown,
}

/// A pod: its state and what placing it must respect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFact {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Name,
    /// Controller, if any.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// The node it is bound to.
    #[serde(default)]
    pub node: Option<Name>,
    /// Phase.
    pub phase: PodPhase,
    /// Condition Ready is True.
    #[serde(default)]
    pub ready: bool,
    /// The scheduler found no node (condition PodScheduled False, reason Unschedulable).
    #[serde(default)]
    pub unschedulable: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Deletion asked for: the pod is terminating.
    #[serde(default)]
    pub deletion_at: Option<Timestamp>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// What it needs of a node.
    pub spec: PodSpecFact,
    /// Mirror of a static pod.
    #[serde(default)]
    pub mirror: bool,
    /// `cluster-autoscaler.kubernetes.io/safe-to-evict`.
    #[serde(default)]
    pub safe_to_evict: Option<bool>,
    /// `karpenter.sh/do-not-disrupt`.
    #[serde(default)]
    pub do_not_disrupt: DoNotDisrupt,
    /// `descheduler.alpha.kubernetes.io/prefer-no-eviction`.
    #[serde(default)]
    pub prefer_no_eviction: bool,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    #[serde(default)]
    pub deletion_cost: i32,
    /// `kinema.dev/exclude` or `kinema.dev/pause` is set on the pod.
    #[serde(default)]
    pub excluded: bool,
}

impl PodFact {
    /// Succeeded or Failed: it uses nothing and blocks nothing.
    pub fn finished(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }
    /// Owned by a DaemonSet.
    pub fn of_daemon_set(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::DaemonSet)
    }
}

/// One container's requests and limits, for right-sizing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerFact {
    /// Name.
    pub name: Name,
    /// CPU request.
    #[serde(default)]
    pub cpu_request: Option<MilliCpu>,
    /// Memory request.
    #[serde(default)]
    pub memory_request: Option<Bytes>,
    /// CPU limit.
    #[serde(default)]
    pub cpu_limit: Option<MilliCpu>,
    /// Memory limit.
    #[serde(default)]
    pub memory_limit: Option<Bytes>,
}

/// What a pod, or a workload's template, asks of a node. The scheduler's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodSpecFact {
    /// Effective request: the larger of any init container's and the sum of the containers' (with
    /// restartable init containers), plus the pod's overhead; pods = 1.
    pub requests: Resources,
    /// Ordinary and restartable init containers, in their order.
    #[serde(default)]
    pub containers: Few<ContainerFact>,
    /// `nodeSelector`: every pair must be on the node.
    #[serde(default)]
    pub node_selector: Labels,
    /// Required node affinity: `None` when absent; terms are ORed, and an empty list matches no node.
    #[serde(default)]
    pub node_affinity: Option<Few<NodeTerm>>,
    /// Preferred node affinity.
    #[serde(default)]
    pub node_preferences: Few<(i32, NodeTerm)>,
    /// Required pod affinity.
    #[serde(default)]
    pub pod_affinity: Few<PodTerm>,
    /// Required pod anti-affinity.
    #[serde(default)]
    pub pod_anti_affinity: Few<PodTerm>,
    /// Preferred pod affinity (positive weight) and anti-affinity (negative weight).
    #[serde(default)]
    pub pod_preferences: Few<(i32, PodTerm)>,
    /// Topology spread constraints.
    #[serde(default)]
    pub spread: Few<SpreadConstraint>,
    /// Tolerations.
    #[serde(default)]
    pub tolerations: Few<Toleration>,
    /// Names of PersistentVolumeClaims in the pod's namespace (ephemeral volumes by their generated claim).
    #[serde(default)]
    pub claims: Few<Name>,
    /// Volumes that are lost with the node (emptyDir not in memory, hostPath), by name.
    #[serde(default)]
    pub local_volumes: Few<Name>,
    /// Local volumes that the owner declared safe to lose
    /// (`cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes`).
    #[serde(default)]
    pub safe_local_volumes: Few<Name>,
    /// Host ports.
    #[serde(default)]
    pub host_ports: Few<HostPort>,
    /// Priority, resolved by the API server.
    #[serde(default)]
    pub priority: i32,
    /// Scheduler's name, empty for `default-scheduler`.
    #[serde(default)]
    pub scheduler: Name,
    /// Termination grace period in seconds.
    #[serde(default)]
    pub grace_secs: u32,
    /// Rules that bind the placement and that this projection does not know (resource claims,
    /// scheduling gates, an unknown operator …), each named. Not empty means: do not move.
    #[serde(default)]
    pub unknown: Few<Name>,
}

/// A node selector's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeOperator {
    /// The value is one of the list.
    In,
    /// The value is none of the list, or the key is absent.
    NotIn,
    /// The key is present.
    Exists,
    /// The key is absent.
    DoesNotExist,
    /// The value is an integer above the only one listed.
    Gt,
    /// The value is an integer below the only one listed.
    Lt,
}

/// One requirement on a node's label (or, in `fields`, on `metadata.name`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeRequirement {
    /// Label key, or field path.
    pub key: Name,
    /// Operator.
    pub operator: NodeOperator,
    /// Values.
    #[serde(default)]
    pub values: Few<Name>,
}

/// A node selector term: all requirements hold; a term without any matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeTerm {
    /// On labels.
    pub labels: Few<NodeRequirement>,
    /// On `metadata.name`.
    #[serde(default)]
    pub fields: Few<NodeRequirement>,
}

/// A label selector over pods or namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// Exact pairs, all of which must hold.
    pub labels: Labels,
    /// Expressions, all of which must hold (In, NotIn, Exists, DoesNotExist).
    #[serde(default)]
    pub expressions: Few<NodeRequirement>,
}

/// One term of pod (anti-)affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodTerm {
    /// Which pods; `None` matches none. `matchLabelKeys` are merged in by the API server.
    pub selector: Option<Selector>,
    /// Namespaces by name. When this is empty and `namespace_selector` is `None`: the pod's own.
    #[serde(default)]
    pub namespaces: Few<Name>,
    /// Namespaces by label; an empty selector means all.
    #[serde(default)]
    pub namespace_selector: Option<Selector>,
    /// Topology key.
    pub topology_key: Name,
}

/// One topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpreadConstraint {
    /// Allowed difference between the fullest and the emptiest domain.
    pub max_skew: i32,
    /// Topology key.
    pub topology_key: Name,
    /// DoNotSchedule rather than ScheduleAnyway.
    pub hard: bool,
    /// Which pods count; `None` matches none. `matchLabelKeys` are resolved to the pod's own values.
    pub selector: Option<Selector>,
    /// Minimum number of domains; fewer count as an empty domain.
    #[serde(default)]
    pub min_domains: Option<i32>,
    /// `nodeAffinityPolicy: Honor` (the default).
    pub honor_affinity: bool,
    /// `nodeTaintsPolicy: Honor` (default: Ignore).
    #[serde(default)]
    pub honor_taints: bool,
}

/// A port on the node itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// `0.0.0.0` when none is given.
    pub ip: Name,
    /// TCP, UDP or SCTP.
    pub protocol: Name,
    /// Port.
    pub port: u16,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceFact {
    /// Name.
    pub name: Name,
    /// Labels, for namespace selectors.
    #[serde(default)]
    pub labels: Labels,
    /// `kinema.dev/exclude` or `kinema.dev/pause` is set.
    #[serde(default)]
    pub excluded: bool,
}

/// The kinds that own pods by a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A ReplicaSet.
    ReplicaSet,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl WorkloadKind {
    /// The watched kind.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Deployment => Kind::Deployment,
            Self::ReplicaSet => Kind::ReplicaSet,
            Self::StatefulSet => Kind::StatefulSet,
            Self::DaemonSet => Kind::DaemonSet,
        }
    }
}

/// Names a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadId {
    /// Kind.
    pub kind: WorkloadKind,
    /// Namespace and name.
    pub key: Key,
}

/// `Deployment shop/cart`.
impl std::fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {}", self.kind.kind().as_str(), self.key))
    }
}

/// A number or a share, as PDBs and rollout strategies write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IntOrPercent {
    /// A number of pods.
    Int(i32),
    /// Percent of the pods.
    Percent(i32),
}

/// How a workload replaces its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UpdateStrategy {
    /// Some at a time.
    RollingUpdate {
        /// How many may be missing.
        max_unavailable: IntOrPercent,
        /// How many may be too many.
        max_surge: IntOrPercent,
    },
    /// All old before any new.
    Recreate,
    /// Only when a pod is deleted by hand.
    OnDelete,
}

/// A Deployment, ReplicaSet, StatefulSet or DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadFact {
    /// Kind, namespace and name.
    pub id: WorkloadId,
    /// UID.
    pub uid: Name,
    /// Controller: a ReplicaSet's Deployment.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// `metadata.generation`.
    #[serde(default)]
    pub generation: i64,
    /// `status.observedGeneration`.
    #[serde(default)]
    pub observed_generation: i64,
    /// Desired replicas (a DaemonSet's desired number scheduled).
    #[serde(default)]
    pub replicas: i32,
    /// Replicas that exist.
    #[serde(default)]
    pub current: i32,
    /// Ready replicas.
    #[serde(default)]
    pub ready: i32,
    /// Replicas of the newest template.
    #[serde(default)]
    pub updated: i32,
    /// Rollout paused.
    #[serde(default)]
    pub paused: bool,
    /// The rollout did not progress within its deadline.
    #[serde(default)]
    pub stalled: bool,
    /// Strategy.
    pub strategy: UpdateStrategy,
    /// Which pods are its own.
    pub selector: Selector,
    /// Labels of the template.
    #[serde(default)]
    pub template_labels: Labels,
    /// What a new pod asks of a node.
    pub template: PodSpecFact,
    /// Claim templates (StatefulSet), by name.
    #[serde(default)]
    pub claim_templates: Few<Name>,
    /// `kinema.dev/exclude` or `kinema.dev/pause` is set.
    #[serde(default)]
    pub excluded: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Deletion asked for.
    #[serde(default)]
    pub deletion_at: Option<Timestamp>,
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PdbFact {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Name,
    /// Which pods; `None` matches none, an empty selector all of the namespace.
    pub selector: Option<Selector>,
    /// `minAvailable`.
    #[serde(default)]
    pub min_available: Option<IntOrPercent>,
    /// `maxUnavailable`.
    #[serde(default)]
    pub max_unavailable: Option<IntOrPercent>,
    /// How many evictions its controller allows now.
    pub disruptions_allowed: i32,
    /// Healthy pods.
    #[serde(default)]
    pub current_healthy: i32,
    /// Healthy pods needed.
    #[serde(default)]
    pub desired_healthy: i32,
    /// Pods counted.
    #[serde(default)]
    pub expected: i32,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    #[serde(default)]
    pub always_allow_unhealthy: bool,
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaFact {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Name,
    /// What it scales, when that is a kind we know.
    #[serde(default)]
    pub target: Option<WorkloadId>,
    /// Least replicas.
    pub min_replicas: i32,
    /// Most replicas.
    pub max_replicas: i32,
    /// Replicas now.
    #[serde(default)]
    pub current_replicas: i32,
    /// Replicas it wants.
    #[serde(default)]
    pub desired_replicas: i32,
    /// Target CPU utilisation in percent of requests.
    #[serde(default)]
    pub cpu_target_percent: Option<i32>,
    /// Current CPU utilisation in percent of requests.
    #[serde(default)]
    pub cpu_current_percent: Option<i32>,
    /// It also scales by metrics that we do not read.
    #[serde(default)]
    pub other_metrics: bool,
    /// When it last scaled.
    #[serde(default)]
    pub last_scaled_at: Option<Timestamp>,
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PvcFact {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Name,
    /// The bound volume's name; `None` until bound.
    #[serde(default)]
    pub volume: Option<Name>,
    /// Storage class.
    #[serde(default)]
    pub storage_class: Name,
    /// Access modes ReadWriteOnce or ReadWriteOncePod: one node at a time.
    #[serde(default)]
    pub single_node: bool,
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PvFact {
    /// Name.
    pub name: Name,
    /// UID.
    pub uid: Name,
    /// CSI driver, or the in-tree plugin's name; empty when unknown.
    #[serde(default)]
    pub driver: Name,
    /// Required node affinity: terms are ORed; `None` when absent.
    #[serde(default)]
    pub node_affinity: Option<Few<NodeTerm>>,
    /// Zones of the legacy zone label; empty when absent.
    #[serde(default)]
    pub zones: Few<Name>,
}

/// A CSINode: how many volumes of each driver a node may have attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsiNodeFact {
    /// The node's name.
    pub name: Name,
    /// Limit by driver, where the driver tells one.
    #[serde(default)]
    pub limits: BTreeMap<Name, i64>,
}
