//! Pods.

use serde::{Deserialize, Serialize};

use super::{DoNotDisrupt, Key, Labels, PodSpecFact, WorkloadId, WorkloadKind};
use crate::shared::Shared;
use crate::text::Name;
use crate::units::{Millis, Timestamp};

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
    pub labels: Shared<Labels>,
    /// What it needs of a node.
    pub spec: Shared<PodSpecFact>,
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
    /// `kinema.dev/move-cost`: what it takes to move it, in thousandths of an ordinary move.
    #[serde(default)]
    pub move_cost: Option<u32>,
    /// How long after it was bound it became ready, for the last time; `None` while it is not.
    #[serde(default)]
    pub ready_after: Option<Millis>,
    /// `kinema.dev/exclude` or `kinema.dev/pause` is set on the pod.
    #[serde(default)]
    pub excluded: bool,
}

impl PodFact {
    /// A pod as it begins: pending, bound nowhere, owned by nobody, without labels and annotations.
    pub fn new(key: Key, uid: Name, spec: impl Into<Shared<PodSpecFact>>, created_at: Timestamp) -> Self {
        Self {
            key,
            uid,
            owner: None,
            node: None,
            phase: PodPhase::Pending,
            ready: false,
            unschedulable: false,
            created_at,
            deletion_at: None,
            labels: Shared::default(),
            spec: spec.into(),
            mirror: false,
            safe_to_evict: None,
            do_not_disrupt: DoNotDisrupt::No,
            prefer_no_eviction: false,
            deletion_cost: 0,
            move_cost: None,
            ready_after: None,
            excluded: false,
        }
    }

    /// The workload that owns it directly: a ReplicaSet rather than its Deployment.
    pub fn controller(&self) -> Option<WorkloadId> {
        let owner = self.owner.as_ref()?;
        let kind = match owner.kind {
            OwnerKind::Deployment => WorkloadKind::Deployment,
            OwnerKind::ReplicaSet => WorkloadKind::ReplicaSet,
            OwnerKind::StatefulSet => WorkloadKind::StatefulSet,
            OwnerKind::DaemonSet => WorkloadKind::DaemonSet,
            OwnerKind::Job | OwnerKind::Node | OwnerKind::Other => return None,
        };
        Some(WorkloadId { kind, key: Key::new(self.key.namespace.clone(), owner.name.clone()) })
    }
    /// Succeeded or Failed: it uses nothing and blocks nothing.
    pub fn finished(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }
    /// Owned by a DaemonSet.
    pub fn of_daemon_set(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::DaemonSet)
    }
}
