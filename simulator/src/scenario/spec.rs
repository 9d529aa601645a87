//! What a world is made of, as data.

use journal_schema::cloud::CapacityType;
use journal_schema::facts::{IntOrPercent, Labels, SpreadConstraint, Toleration, UpdateStrategy, WorkloadKind};
use journal_schema::policy::Policy;
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Millis};
use serde::{Deserialize, Serialize};

use crate::cloud::FaultRule as CloudFaultRule;
use crate::faults::FaultRule;
use crate::load::Load;
use crate::text::{list, name};

/// A pool of the simulated cloud and the machines it has at the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Name; the pool's id is `<zone>/<name>`.
    pub name: Name,
    /// Machine type.
    pub machine_type: Name,
    /// Zone.
    pub zone: Name,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Machines at the beginning.
    pub initial: u32,
    /// Most machines, when limited.
    pub max_size: Option<u32>,
    /// Another autoscaler resizes it.
    pub autoscaled: bool,
}

impl PoolSpec {
    /// A pool of on-demand machines.
    pub fn new(machine_type: &str, zone: &str, initial: u32) -> Self {
        Self {
            name: name(format!("{machine_type}-{}", zone.rsplit('-').next().unwrap_or(zone))),
            machine_type: name(machine_type),
            zone: name(zone),
            capacity_type: CapacityType::OnDemand,
            initial,
            max_size: None,
            autoscaled: false,
        }
    }

    /// The pool's id.
    pub fn id(&self) -> Name {
        name(format!("{}/{}", self.zone, self.name))
    }
}

/// How a workload's pods behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// From bound to running.
    pub start: Millis,
    /// From running to ready.
    pub ready: Millis,
    /// From the request to end to gone.
    pub stop: Millis,
    /// What they use.
    pub load: Load,
    /// Pods created from now on never become ready.
    pub broken: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            start: Millis::from_secs(4),
            ready: Millis::from_secs(6),
            stop: Millis::from_secs(3),
            load: Load::default(),
            broken: false,
        }
    }
}

/// A Deployment, StatefulSet or DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadSpec {
    /// Kind.
    pub kind: WorkloadKind,
    /// Namespace.
    pub namespace: Name,
    /// Name; the pods carry the label `app=<name>`.
    pub name: Name,
    /// Replicas.
    pub replicas: i32,
    /// Replicas that it had before it was scaled down, which is how a cluster becomes fragmented.
    pub replicas_before: Option<i32>,
    /// CPU request of the container `main`.
    pub cpu: MilliCpu,
    /// Memory request of the container `main`.
    pub memory: Bytes,
    /// How its pods behave.
    pub behaviour: Behaviour,
    /// Strategy.
    pub strategy: UpdateStrategy,
    /// Affinity, in JSON.
    pub affinity: Option<String>,
    /// Node selector.
    pub node_selector: Labels,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Topology spread.
    pub spread: Vec<SpreadConstraint>,
    /// Each pod has a volume of its own (StatefulSet), bound to the zone it first ran in.
    pub volume: bool,
    /// Termination grace period in seconds.
    pub grace_secs: u32,
    /// Priority.
    pub priority: i32,
}

impl WorkloadSpec {
    /// A workload with the defaults of its kind.
    pub fn new(kind: WorkloadKind, namespace: &str, workload: &str, replicas: i32, cpu: i64, memory_mib: i64) -> Self {
        let quarter = IntOrPercent::Percent(25);
        let strategy = match kind {
            WorkloadKind::Deployment | WorkloadKind::ReplicaSet => {
                UpdateStrategy::RollingUpdate { max_unavailable: quarter, max_surge: quarter }
            }
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
                UpdateStrategy::RollingUpdate { max_unavailable: IntOrPercent::Int(1), max_surge: IntOrPercent::Int(0) }
            }
        };
        let tolerations = match kind {
            // What system DaemonSets carry: they run wherever there is a kubelet.
            WorkloadKind::DaemonSet => vec![Toleration { key: name(""), exists: true, value: name(""), effect: None }],
            WorkloadKind::Deployment | WorkloadKind::ReplicaSet | WorkloadKind::StatefulSet => Vec::new(),
        };
        Self {
            kind,
            namespace: name(namespace),
            name: name(workload),
            replicas,
            replicas_before: None,
            cpu: MilliCpu(cpu),
            memory: Bytes(memory_mib << 20),
            behaviour: Behaviour::default(),
            strategy,
            affinity: None,
            node_selector: Labels::new(),
            tolerations,
            spread: Vec::new(),
            volume: false,
            grace_secs: 30,
            priority: 0,
        }
    }

    /// A hard spread of its pods over a topology key.
    pub fn spread_over(mut self, topology_key: &str, max_skew: i32) -> Self {
        let labels: Labels = [(name("app"), self.name.clone())].into();
        self.spread.push(SpreadConstraint {
            max_skew,
            topology_key: name(topology_key),
            hard: true,
            selector: Some(journal_schema::facts::Selector { labels, expressions: list([]) }),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        });
        self
    }
}

/// A PodDisruptionBudget over the pods of one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PdbSpec {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// The workload whose pods it covers.
    pub app: Name,
    /// `minAvailable`.
    pub min_available: Option<IntOrPercent>,
    /// `maxUnavailable`.
    pub max_unavailable: Option<IntOrPercent>,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub always_allow_unhealthy: bool,
}

/// A HorizontalPodAutoscaler of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaSpec {
    /// Namespace.
    pub namespace: Name,
    /// Name of the Deployment, and of the HPA.
    pub app: Name,
    /// Least replicas.
    pub min: i32,
    /// Most replicas.
    pub max: i32,
    /// Target CPU utilisation in percent of the request.
    pub target_percent: i32,
}

/// A Job's only pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// CPU request.
    pub cpu: MilliCpu,
    /// Memory request.
    pub memory: Bytes,
    /// How long it runs.
    pub duration: Millis,
}

/// How the run is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// An iteration is carried out.
    Completed,
    /// An iteration is unwound.
    Unwound,
    /// Nothing is changed.
    Untouched,
    /// Any of these.
    Any,
}

/// A world to start from, what goes wrong in it, and how it is expected to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Name.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// Pools.
    pub pools: Vec<PoolSpec>,
    /// Workloads.
    pub workloads: Vec<WorkloadSpec>,
    /// Budgets.
    pub pdbs: Vec<PdbSpec>,
    /// Autoscalers.
    pub hpas: Vec<HpaSpec>,
    /// Jobs.
    pub jobs: Vec<JobSpec>,
    /// Namespaces that kinema leaves alone.
    pub excluded_namespaces: Vec<Name>,
    /// Workloads that come when the daemon starts, too late for the machines that are there.
    pub late: Vec<WorkloadSpec>,
    /// What goes wrong in the cluster and on the way to it.
    pub faults: Vec<FaultRule>,
    /// What goes wrong in the cloud; times count from the daemon's start.
    pub cloud_faults: Vec<CloudFaultRule>,
    /// Rules.
    pub policy: Policy,
    /// How long the cluster lives before the daemon starts.
    pub warm_up: Millis,
    /// Longest run after the daemon's start.
    pub limit: Millis,
    /// How it is expected to end.
    pub expected: Expected,
    /// Code of the reason for which it is expected to end so, where there is one.
    #[serde(default)]
    pub because: Option<String>,
}
