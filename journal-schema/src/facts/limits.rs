//! What limits how pods may go and how many there are.

use serde::{Deserialize, Serialize};

use super::{IntOrPercent, Key, Selector, WorkloadId};
use crate::text::Name;
use crate::units::Timestamp;

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
