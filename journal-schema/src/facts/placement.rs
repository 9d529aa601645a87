//! What pods ask of the place that they run at.

use serde::{Deserialize, Serialize};

use super::{Labels, Toleration};
use crate::text::{Few, Name};
use crate::units::{Bytes, MilliCpu, Resources};

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
