//! Usage series and what was forecast from them.

use serde::{Deserialize, Serialize};

use crate::facts::{Key, WorkloadId};
use crate::text::{Few, Many, Name};
use crate::units::{Bytes, MilliCpu, Millis, Timestamp};

/// One container's usage over a window, at equal steps. A gap is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSeries {
    /// Pod.
    pub pod: Key,
    /// Container.
    pub container: Name,
    /// CPU at each step.
    #[serde(default)]
    pub cpu: Few<Option<MilliCpu>>,
    /// Memory (working set) at each step.
    #[serde(default)]
    pub memory: Few<Option<Bytes>>,
}

/// Usage of the cluster's containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// Time of the first step.
    pub start: Timestamp,
    /// Distance between steps.
    pub step: Millis,
    /// Sorted by pod and container.
    pub series: Many<ContainerSeries>,
    /// What the server warned about, or what was left out; usage may then be incomplete.
    #[serde(default)]
    pub warnings: Few<Name>,
}

/// What one container of a workload is expected to use, per pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Forecast {
    /// The workload whose template has the container.
    pub workload: WorkloadId,
    /// Container.
    pub container: Name,
    /// CPU at the horizon, by the method of the policy.
    pub cpu: MilliCpu,
    /// Memory at the horizon.
    pub memory: Bytes,
    /// Highest CPU seen in the window.
    pub cpu_peak: MilliCpu,
    /// Highest memory seen in the window.
    pub memory_peak: Bytes,
    /// Number of points used.
    pub points: u32,
    /// CPU request proposed: the present one stepped towards the forecast and bounded.
    pub cpu_request: MilliCpu,
    /// Memory request proposed.
    pub memory_request: Bytes,
}

/// Forecasts for the whole cluster. A workload without enough points has none and keeps its requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecasts {
    /// Sorted by workload and container.
    pub containers: Many<Forecast>,
    /// Usage per node at the horizon, for contention: node name, CPU, memory. Sorted by name.
    #[serde(default)]
    pub nodes: Many<(Name, MilliCpu, Bytes)>,
}
