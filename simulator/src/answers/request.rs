//! The vocabulary: what is asked of the simulated cluster and of a real one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A pod that a request is about: any of those that look like this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The pod as a line of the world's description.
    pub pod: String,
    /// Whether the request names the pod's own UID, or another.
    pub uid: bool,
}

/// A request. The first ones are the daemon's effects; the others are what users and operators do, and what happens
/// to machines and pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// `Effect::MarkNode`.
    Mark {
        /// Node.
        node: String,
        /// Whether its own UID is named.
        uid: bool,
        /// `Optimal`, `Later`, `Expiring` or `None`.
        role: String,
        /// Iteration.
        iteration: u64,
    },
    /// `Effect::SetDeletionCost`.
    Cost {
        /// Pod.
        pick: Pick,
        /// Cost, or none.
        cost: Option<i32>,
    },
    /// `Effect::Scale`.
    Scale {
        /// Workload.
        app: String,
        /// Whether its own UID is named.
        uid: bool,
        /// Replicas expected.
        from: i32,
        /// Replicas wanted.
        to: i32,
    },
    /// `Effect::Evict`.
    Evict {
        /// Pod.
        pick: Pick,
    },
    /// `Effect::PatchTemplate`.
    Template {
        /// Workload.
        app: String,
        /// Whether its own UID is named.
        uid: bool,
        /// Affinity expected, in JSON.
        from: Option<String>,
        /// Affinity wanted, in JSON.
        to: Option<String>,
        /// `maxUnavailable` expected and wanted, in JSON.
        max_unavailable: Option<(String, String)>,
        /// Requests: container, thousandths of a CPU, MiB.
        requests: Vec<(String, i64, i64)>,
    },
    /// `Effect::ReadAffinity`.
    ReadAffinity {
        /// Workload.
        app: String,
        /// Whether its own UID is named.
        uid: bool,
    },
    /// `Effect::ReadNodePods`.
    ReadNodePods {
        /// Node.
        node: String,
    },

    /// Somebody else evicts a pod, by its name alone. At once: the world is not let settle before the next request.
    Drain {
        /// Pod.
        pick: Pick,
    },
    /// A machine joins.
    CreateNode {
        /// Name.
        node: String,
        /// Machine type.
        machine: String,
        /// CPU that pods may use, in thousandths.
        cpu: i64,
        /// Memory that pods may use, in MiB.
        memory: i64,
        /// Zone.
        zone: String,
    },
    /// The machine's Node object is deleted.
    DeleteNode {
        /// Node.
        node: String,
    },
    /// The node's kubelet goes silent.
    Crash {
        /// Node.
        node: String,
    },
    /// It speaks again.
    Revive {
        /// Node.
        node: String,
    },
    /// Cordoned, or open again.
    Cordon {
        /// Node.
        node: String,
        /// Cordoned.
        on: bool,
    },
    /// A taint of somebody's is set, or taken away.
    Taint {
        /// Node.
        node: String,
        /// Key.
        key: String,
        /// Effect.
        effect: String,
        /// Set.
        on: bool,
    },
    /// A label of somebody's is set, or taken away.
    Label {
        /// Node.
        node: String,
        /// Key.
        key: String,
        /// Value, or none.
        value: Option<String>,
    },
    /// A workload is created.
    CreateWorkload {
        /// `Deployment`, `ReplicaSet` or `StatefulSet`.
        kind: String,
        /// Name, and the value of its pods' label `app`.
        app: String,
        /// Replicas.
        replicas: i32,
        /// CPU request in thousandths.
        cpu: i64,
        /// Memory request in MiB.
        memory: i64,
        /// Affinity, in JSON.
        affinity: Option<String>,
        /// A Deployment's `maxSurge` and `maxUnavailable`; none: `Recreate`.
        rolling: Option<(Value, Value)>,
    },
    /// A pod that nobody owns is created.
    CreatePod {
        /// Name.
        pod: String,
        /// The value of its label `app`.
        app: String,
        /// CPU request in thousandths.
        cpu: i64,
    },
    /// A budget is created.
    CreateBudget {
        /// Name.
        budget: String,
        /// The pods with this label `app`.
        app: String,
        /// `minAvailable`.
        min: Option<Value>,
        /// `maxUnavailable`.
        max: Option<Value>,
        /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
        always: bool,
    },
    /// A budget's numbers are changed.
    ChangeBudget {
        /// Name.
        budget: String,
        /// `minAvailable`.
        min: Option<Value>,
        /// `maxUnavailable`.
        max: Option<Value>,
        /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
        always: bool,
    },
    /// A budget is deleted.
    DeleteBudget {
        /// Name.
        budget: String,
    },
    /// Somebody else scales.
    UserScale {
        /// Workload.
        app: String,
        /// Replicas.
        replicas: i32,
    },
    /// Somebody else changes a template: its requests and affinity.
    UserTemplate {
        /// Workload.
        app: String,
        /// CPU request in thousandths.
        cpu: i64,
        /// Affinity, in JSON.
        affinity: Option<String>,
    },
    /// A rollout is paused, or goes on.
    Pause {
        /// Deployment.
        app: String,
        /// Paused.
        on: bool,
    },
    /// A Deployment's limits of a rollout are changed; none: `Recreate`.
    Strategy {
        /// Deployment.
        app: String,
        /// `maxSurge` and `maxUnavailable`.
        rolling: Option<(Value, Value)>,
    },
    /// Somebody deletes a pod.
    DeletePod {
        /// Pod.
        pick: Pick,
    },
    /// The pods of a workload that are created from now on never become ready.
    Break {
        /// Workload.
        app: String,
    },
    /// They do again, and so do those that are there.
    Heal {
        /// Workload.
        app: String,
    },
    /// A running pod's probe fails, or holds again.
    Probe {
        /// Pod.
        pick: Pick,
        /// Ready.
        ready: bool,
    },
}

impl Request {
    /// Its kind, as it is written.
    pub fn kind(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.get("do").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Whether the next request comes before the world has settled.
    pub fn at_once(&self) -> bool {
        matches!(self, Self::Drain { .. })
    }
}
