//! Nodes, and what keeps pods off them.

use serde::{Deserialize, Serialize};

use super::Labels;
use crate::text::{Few, Name};
use crate::units::{Resources, Timestamp};

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
