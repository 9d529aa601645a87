//! The planner's input, the plan, and the report that explains it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::binding::Binding;
use crate::cloud::{CapacityType, Pool, PoolId, PriceBook};
use crate::facts::{
    CsiNodeFact, HpaFact, Key, NamespaceFact, NodeFact, PdbFact, PodFact, PvFact, PvcFact, WorkloadFact, WorkloadId,
};
use crate::policy::{Policy, Weights};
use crate::reason::Reason;
use crate::text::{Few, Many, Name};
use crate::units::{Bytes, MicroUsd, MicroUsdPerHour, MilliCpu, Ppm, Timestamp};
use crate::usage::Forecasts;

/// The cluster as far as it is known: the fold of the watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Nodes by name.
    pub nodes: BTreeMap<Name, NodeFact>,
    /// Pods.
    pub pods: BTreeMap<Key, PodFact>,
    /// Namespaces by name.
    pub namespaces: BTreeMap<Name, NamespaceFact>,
    /// Workloads.
    pub workloads: BTreeMap<WorkloadId, WorkloadFact>,
    /// PodDisruptionBudgets.
    pub pdbs: BTreeMap<Key, PdbFact>,
    /// HorizontalPodAutoscalers.
    pub hpas: BTreeMap<Key, HpaFact>,
    /// Claims.
    pub pvcs: BTreeMap<Key, PvcFact>,
    /// Volumes by name.
    pub pvs: BTreeMap<Name, PvFact>,
    /// CSINodes by node name.
    pub csi_nodes: BTreeMap<Name, CsiNodeFact>,
}

impl Cluster {
    /// The workload whose template a pod was made from: its Deployment rather than the ReplicaSet
    /// in between. `None` for pods of Jobs, static pods and pods without a controller.
    pub fn workload_of(&self, pod: &PodFact) -> Option<&WorkloadFact> {
        use crate::facts::{OwnerKind, WorkloadKind};
        let direct = self.workloads.get(&pod.controller()?)?;
        match &direct.owner {
            Some(parent) if direct.id.kind == WorkloadKind::ReplicaSet && parent.kind == OwnerKind::Deployment => {
                let key = Key::new(pod.key.namespace.clone(), parent.name.clone());
                Some(self.workloads.get(&WorkloadId { kind: WorkloadKind::Deployment, key }).unwrap_or(direct))
            }
            Some(_) | None => Some(direct),
        }
    }
}

/// Which nodes may be removed at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Managed {
    /// Every node that nothing protects: a plan from files, where pools are not known.
    All,
    /// The nodes of these pools, by node name.
    Listed(BTreeMap<Name, PoolId>),
}

/// Everything a plan depends on. Built by the engine from its state, or by the command line from
/// files; never journaled, because it can be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanningInput {
    /// Number of the iteration; names of new machines derive from it.
    pub iteration: u64,
    /// Sequence number of the last entry that was seen.
    pub basis: u64,
    /// The time of that entry.
    pub now: Timestamp,
    /// The cluster.
    pub cluster: Cluster,
    /// Pools that machines may be booted in (refused ones only explain their nodes).
    pub pools: Vec<Pool>,
    /// Pools that are left alone for now (stocked out).
    pub excluded_pools: BTreeSet<PoolId>,
    /// Prices.
    pub prices: PriceBook,
    /// Which nodes may be removed.
    pub managed: Managed,
    /// Workloads that must not be touched, and why.
    pub quarantined: BTreeMap<WorkloadId, Reason>,
    /// Forecast usage.
    pub forecasts: Forecasts,
    /// The pod that kinema itself runs in.
    pub own_pod: Option<Key>,
    /// Rules.
    pub policy: Policy,
}

/// Number of a new machine within a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

/// A machine to boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeToAdd {
    /// Its number; contiguous from zero.
    pub slot: Slot,
    /// Pool.
    pub pool: PoolId,
    /// Machine type.
    pub machine_type: Name,
    /// Zone.
    pub zone: Name,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Effective price by the policy's pricing, commitments left aside.
    pub price: MicroUsdPerHour,
}

/// A node to remove.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeToRemove {
    /// Name.
    pub node: Name,
    /// UID when the plan was made.
    pub uid: Name,
    /// `spec.providerID` when the plan was made.
    pub provider_id: Name,
    /// Pool; `None` in a plan from files.
    pub pool: Option<PoolId>,
    /// Machine type.
    pub machine_type: Name,
    /// Zone.
    pub zone: Name,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Effective price by the policy's pricing, commitments left aside.
    pub price: MicroUsdPerHour,
}

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// To a node that stays.
    Node(Name),
    /// To a new machine.
    New(Slot),
}

/// How a pod is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MoveMethod {
    /// One more replica, then one less: no gap.
    Surge,
    /// The Eviction API.
    Evict,
    /// The workload's rolling update.
    RollingUpdate,
}

/// Largest share of the leaving nodes, as a divisor, that may stay because a pod of theirs could not
/// be moved. Beyond it the plan was wrong about the cluster, and is undone.
pub const SPARED_DIVISOR: usize = 4;

/// Largest share of a workload that surges at once, as a divisor, and most pods.
const SURGE_DIVISOR: i64 = 4;
const SURGE_MAX: i64 = 10;

impl MoveMethod {
    /// How many pods of a workload of `replicas` are moved at once: a quarter of it surges, ten pods at
    /// most; an evicted pod is awaited before the next; a rolling update is about all.
    pub fn most_at_once(self, replicas: i64) -> usize {
        match self {
            Self::Surge => usize::try_from((replicas / SURGE_DIVISOR).clamp(1, SURGE_MAX)).unwrap_or(1),
            Self::Evict => 1,
            Self::RollingUpdate => usize::MAX,
        }
    }
}

/// One pod's move. Moves stand in an order that is feasible at every step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Move {
    /// Pod.
    pub pod: Key,
    /// Its UID when the plan was made.
    pub uid: Name,
    /// Its workload; `None` for a pod whose controller is not watched (a Job).
    pub workload: Option<WorkloadId>,
    /// The node it leaves.
    pub from: Name,
    /// Where the planner expects it.
    pub to: Target,
    /// How.
    pub method: MoveMethod,
    /// The wave in which it moves, by index; zero in a plan without waves. Never less than that of the move
    /// before.
    #[serde(default)]
    pub wave: u32,
}

/// Nodes that are open at the same time to the pods that move. All others that stay are to take pods at
/// another time, and show it by a taint that the scheduler avoids where it can
/// ([`NodeRole::Later`](crate::effect::NodeRole::Later)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wave {
    /// Nodes and new machines, in order.
    pub opens: Few<Target>,
}

/// A container's request to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestChange {
    /// Workload.
    pub workload: WorkloadId,
    /// Container.
    pub container: Name,
    /// CPU request: from, to.
    pub cpu: (MilliCpu, MilliCpu),
    /// Memory request: from, to.
    pub memory: (Bytes, Bytes),
}

/// An immutable list of steps with its certificate. Leaves nothing to choose when it is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of the iteration.
    pub iteration: u64,
    /// Sequence number of the entry it is based on.
    pub basis: u64,
    /// Time of that entry.
    pub at: Timestamp,
    /// Machines to boot, by slot.
    pub add: Many<NodeToAdd>,
    /// Nodes to remove, by name.
    pub remove: Many<NodeToRemove>,
    /// Moves, in order.
    pub moves: Many<Move>,
    /// Which nodes are open during the moves, wave by wave; empty when all are, all the time.
    #[serde(default)]
    pub waves: Many<Wave>,
    /// Requests to change, by workload and container.
    pub requests: Many<RequestChange>,
    /// What the counted nodes cost now, by the policy's pricing: their effective prices less what commitments
    /// cover. Nodes that may not be removed count, when their price is known.
    pub cost_now: MicroUsdPerHour,
    /// What they cost after the plan.
    pub cost_after: MicroUsdPerHour,
    /// No placement of these pods under these rules costs less: proven.
    pub lower_bound: MicroUsdPerHour,
    /// Estimated cost of the overlap while both old and new machines run.
    pub transition: MicroUsd,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.moves.is_empty() && self.requests.is_empty()
    }

    /// Whether it removes a node of this name.
    pub fn removes(&self, node: &str) -> bool {
        self.remove.binary_search_by(|removed| removed.node.as_str().cmp(node)).is_ok()
    }

    /// The moves of pods whose nodes stay. They are led by waves: a pod whose node is not avoided meanwhile
    /// would come straight back.
    pub fn shifts(&self) -> impl Iterator<Item = &Move> {
        self.moves.iter().filter(|step| !self.removes(&step.from))
    }

    /// Saving as a share of the present cost.
    pub fn savings(&self) -> Ppm {
        Ppm::of(self.cost_now.0 - self.cost_after.0, self.cost_now.0)
    }

    /// How far the plan's cost may be above the optimum: (after − bound) / after.
    pub fn gap(&self) -> Ppm {
        Ppm::of(self.cost_after.0 - self.lower_bound.0, self.cost_after.0)
    }
}

/// What a plan says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeAction {
    /// Stays.
    Keep,
    /// Leaves.
    Remove,
}

/// A node's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeVerdict {
    /// Node.
    pub node: Name,
    /// What happens to it.
    pub action: NodeAction,
    /// Why.
    pub reason: Reason,
    /// Of the distance between the plan's cost and the bound, what is due to this node: its price less what
    /// its pods are worth at the prices that prove the bound. Of nodes that stay in any case: their share of
    /// the room among them that is not used, at those prices. Nothing for a node that leaves.
    #[serde(default)]
    pub waste: MicroUsdPerHour,
}

/// What a plan says of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodAction {
    /// Stays.
    Stay,
    /// Moves.
    Move(Target),
    /// Is pending and would be placed.
    Place(Target),
    /// Is pending and fits nowhere.
    Unplaced,
}

/// A pod's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodVerdict {
    /// Pod.
    pub pod: Key,
    /// What happens to it.
    pub action: PodAction,
    /// Why.
    pub reason: Reason,
}

/// How a figure was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Basis {
    /// The plan was sought again under the other rule, and what was found checked: it saves at least this.
    Measured,
    /// What the nodes cost less what their pods are worth at the prices of the bound.
    #[default]
    Estimated,
}

/// What one relaxation would save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relaxation {
    /// What to relax.
    pub reason: Reason,
    /// Nodes it holds.
    pub nodes: u32,
    /// What it would save.
    pub saves: MicroUsdPerHour,
    /// How that was found.
    #[serde(default)]
    pub basis: Basis,
}

/// How far nodes are from the mix of CPU and memory that the whole cluster asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The pivot: CPU that is requested for each GiB of memory that is, over all nodes.
    pub pivot: MilliCpu,
    /// The entropy before the plan: the sum of the nodes' distances from the pivot. A distance is the share of a
    /// node by which its CPU, or its memory, is requested more than the pivot says.
    pub before: Ppm,
    /// The same after the plan.
    pub after: Ppm,
}

impl Balance {
    /// The share of the entropy that the plan takes away.
    pub fn gain(&self) -> Ppm {
        Ppm::of(self.before.0 - self.after.0, self.before.0)
    }
}

/// How much nodes are used above a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heat {
    /// Share of a node's CPU, or of its memory, above which it is hot.
    pub limit: Ppm,
    /// Hot nodes before the plan.
    pub hot_before: u32,
    /// Hot nodes after it.
    pub hot_after: u32,
    /// What is used above the limit before the plan: the sum over nodes, CPU and memory, of shares of a node.
    pub before: Ppm,
    /// The same after the plan.
    pub after: Ppm,
}

impl Heat {
    /// The share of the excess that the plan takes away.
    pub fn gain(&self) -> Ppm {
        Ppm::of(self.before.0 - self.after.0, self.before.0)
    }
}

/// A placement somewhere between nothing moved and the cheapest that was found: what nodes cost, against the pods
/// that move for it.
///
/// A point is what a search found on its compiled model. None was rehearsed, so carrying one out may cost a little
/// more, as the plan itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// Pods that move.
    pub moves: u32,
    /// What the counted nodes cost then.
    pub cost: MicroUsdPerHour,
    /// The least price of an ordinary move at which this is the best of the points. At a lower one it is worth to
    /// move on to the next. Zero for the cheapest.
    pub move_price: MicroUsdPerHour,
}

/// How many workloads have more in one place than the policy's limits of availability allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispersion {
    /// Most of a workload's replicas on one node.
    pub max_per_node: Option<Ppm>,
    /// Most of a workload's replicas in one zone.
    pub max_per_zone: Option<Ppm>,
    /// Workloads of two replicas and more.
    pub workloads: u32,
    /// Those of them above a limit before the plan.
    pub above_before: u32,
    /// The same after it.
    pub above_after: u32,
    /// Pods beyond the limits before the plan, of every node and every zone.
    pub pods_before: u32,
    /// The same after it.
    pub pods_after: u32,
}

impl Dispersion {
    /// The share of the pods beyond the limits that the plan takes away.
    pub fn gain(&self) -> Ppm {
        Ppm::of(i64::from(self.pods_before) - i64::from(self.pods_after), self.pods_before.into())
    }
}

/// How far a commitment of the policy is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommitmentUse {
    /// Machine type.
    pub machine_type: Name,
    /// Region.
    pub region: Name,
    /// Machines that are paid for whether they run or not.
    pub committed: u32,
    /// Machines of the kind now, on demand.
    pub now: u32,
    /// The same after the plan.
    pub after: u32,
    /// What each that is paid for costs less.
    pub covers: MicroUsdPerHour,
}

/// What explains a plan. An unread report is not actionable.
#[must_use = "an unread report is not actionable"]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One for every node, by name.
    pub nodes: Many<NodeVerdict>,
    /// One for every pod, by key.
    pub pods: Many<PodVerdict>,
    /// The reasons that hold the most money, dearest first.
    pub relaxations: Many<Relaxation>,
    /// How the lower bound was proven, for people.
    pub bound_method: Name,
    /// How CPU and memory are mixed on the nodes.
    #[serde(default)]
    pub balance: Balance,
    /// How much nodes are used, where the plan is about that or that has a weight.
    #[serde(default)]
    pub heat: Option<Heat>,
    /// By slot: of the distance between cost and bound, what is due to each machine to boot.
    #[serde(default)]
    pub waste_of_added: Many<MicroUsdPerHour>,
    /// The rest of that distance: nodes and offers cheaper than what they hold, which the bound counts on and
    /// the plan does not use. With the waste of all nodes and added machines it sums to cost less bound.
    #[serde(default)]
    pub unused: MicroUsdPerHour,
    /// What the bound is made of: first of the cluster, then of zones where something else comes first;
    /// largest share first. Small shares are left out.
    #[serde(default)]
    pub binding: Many<Binding>,
    /// What moves buy: from nothing moved (but pending pods placed) to the cheapest that was found, fewest moves
    /// first. None is beaten by another at every price of a move. Empty where the plan is not about cost.
    #[serde(default)]
    pub frontier: Few<FrontierPoint>,
    /// Commitments of the policy by machine type and region, those whose price is known.
    #[serde(default)]
    pub commitments: Few<CommitmentUse>,
    /// How workloads stand to the limits of availability, where there are any.
    #[serde(default)]
    pub dispersion: Option<Dispersion>,
}

/// What a plan is compared by where other measures than cost have a weight, in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightedSum {
    /// What machines cost.
    pub cost: MicroUsdPerHour,
    /// The distance of nodes from an even mix of CPU and memory, at its weight.
    pub balance: MicroUsdPerHour,
    /// What is used above the limit of node usage, at its weight.
    pub node_usage: MicroUsdPerHour,
    /// Pods beyond the limits of availability, at their weight.
    pub availability: MicroUsdPerHour,
}

impl WeightedSum {
    /// The sum of its parts.
    pub fn total(&self) -> MicroUsdPerHour {
        [self.cost, self.balance, self.node_usage, self.availability].into_iter().sum()
    }
}

impl Planned {
    /// The weighted sum before the plan, and after it.
    pub fn weighted(&self, weights: &Weights) -> [WeightedSum; 2] {
        let (plan, report) = (&self.plan, &self.report);
        let of_nodes = |weight: MicroUsdPerHour, nodes: Ppm| {
            let price = i128::from(weight.0.max(0)) * i128::from(nodes.0) / i128::from(Ppm::percent(100).0);
            MicroUsdPerHour(i64::try_from(price).unwrap_or(i64::MAX))
        };
        let of_pods = |pods: u32| MicroUsdPerHour(weights.availability.0.max(0).saturating_mul(pods.into()));
        let heat = report.heat.map_or((Ppm(0), Ppm(0)), |heat| (heat.before, heat.after));
        let pods = report.dispersion.map_or((0, 0), |told| (told.pods_before, told.pods_after));
        let sum = |cost, balance, heat, pods| WeightedSum {
            cost,
            balance: of_nodes(weights.balance, balance),
            node_usage: of_nodes(weights.node_usage, heat),
            availability: of_pods(pods),
        };
        [
            sum(plan.cost_now, report.balance.before, heat.0, pods.0),
            sum(plan.cost_after, report.balance.after, heat.1, pods.1),
        ]
    }
}

/// The planner's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Its report.
    pub report: Report,
}
