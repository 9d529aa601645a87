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

use crate::text::Name;

mod limits;
mod node;
mod placement;
mod pod;
mod volume;
mod workload;

pub use limits::*;
pub use node::*;
pub use placement::*;
pub use pod::*;
pub use volume::*;
pub use workload::*;

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
