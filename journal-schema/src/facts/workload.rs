//! Namespaces, and the controllers that make pods.

use serde::{Deserialize, Serialize};

use super::{Key, Kind, Labels, Owner, PodSpecFact, Selector};
use crate::shared::Shared;
use crate::text::{Few, Name};
use crate::units::Timestamp;

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
    pub template_labels: Shared<Labels>,
    /// What a new pod asks of a node.
    pub template: Shared<PodSpecFact>,
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

impl WorkloadFact {
    /// A workload as it is created: nothing of it has been seen to yet. What else is set follows with `..`.
    pub fn new(id: WorkloadId, uid: Name, replicas: i32, created_at: Timestamp) -> Self {
        Self {
            id,
            uid,
            owner: None,
            generation: 1,
            observed_generation: 0,
            replicas,
            current: 0,
            ready: 0,
            updated: 0,
            paused: false,
            stalled: false,
            strategy: UpdateStrategy::OnDelete,
            selector: Selector::default(),
            template_labels: Shared::default(),
            template: Shared::default(),
            claim_templates: Few::default(),
            excluded: false,
            created_at,
            deletion_at: None,
        }
    }

    /// The same once its controller is done: every replica there, new and ready.
    #[must_use]
    pub fn at_rest(self) -> Self {
        Self {
            observed_generation: self.generation,
            current: self.replicas,
            ready: self.replicas,
            updated: self.replicas,
            ..self
        }
    }
}
