//! What the operator allows.
//!
//! Journaled at every start and change, so that a replay decides by the rules of the time. The
//! configuration file is another type (of the program), which converts into this one; the defaults
//! live here, in one place.

use serde::{Deserialize, Serialize};

use crate::cloud::CapacityType;
use crate::facts::Selector;
use crate::text::{Few, Name};
use crate::units::{Bytes, MicroUsd, MicroUsdPerHour, MilliCpu, Millis, Ppm};

/// How far kinema may go by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Plans are shown; nothing is changed.
    #[default]
    Recommend,
    /// A plan is carried out once an operator named its digest.
    Approve,
    /// A plan that passes the gates is carried out.
    Auto,
}

/// How pods are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Actuation {
    /// Only the pods that must move: one more replica first where the workload allows it,
    /// else the Eviction API.
    #[default]
    SurgeThenEvict,
    /// The Eviction API only.
    Evict,
    /// A rolling update of each touched Deployment, with affinity to the optimal nodes, restored
    /// afterwards. Changes the template.
    RollingUpdate,
}

/// What to do with a workload of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SingleReplica {
    /// Move it by surge, without a gap; leave it where surge is not possible.
    #[default]
    Surge,
    /// Leave it where it is.
    Skip,
    /// Evict it when surge is not possible.
    Allow,
}

/// What is done with forecast requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RightSizing {
    /// Requests stay as they are.
    Off,
    /// Proposed requests are shown in the plan; the placement uses the present ones.
    #[default]
    Recommend,
    /// Requests change together with the rolling update (actuation RollingUpdate only).
    WithRollout,
}

/// When the cluster is quiet enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observe {
    /// How long a workload must have been settled before its pods are moved.
    pub stable_for: Millis,
    /// Above this utilisation, in percent of an HPA's target, its workload is left alone.
    pub hpa_threshold_percent: i32,
    /// With more than this share of workloads unsettled, nothing is planned.
    pub max_unsettled: Ppm,
    /// Pause between iterations, also after one without a plan.
    pub cool_down: Millis,
    /// A node younger than this stays.
    pub min_node_age: Millis,
    /// How often pools, instances and prices are read again while observing.
    pub cloud_refresh: Millis,
}

impl Default for Observe {
    fn default() -> Self {
        Self {
            stable_for: Millis::from_minutes(5),
            hpa_threshold_percent: 90,
            max_unsettled: Ppm::percent(50),
            cool_down: Millis::from_minutes(5),
            min_node_age: Millis::from_minutes(10),
            cloud_refresh: Millis::from_minutes(1),
        }
    }
}

/// Forecast and right-sizing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Predict {
    /// Window of usage that is looked at.
    pub window: Millis,
    /// Distance between points.
    pub step: Millis,
    /// How far ahead the line is drawn.
    pub horizon: Millis,
    /// request := request + adjust × (forecast − request).
    pub adjust: Ppm,
    /// Least CPU request proposed.
    pub min_cpu: MilliCpu,
    /// Least memory request proposed.
    pub min_memory: Bytes,
    /// A memory request is never proposed below the observed peak plus this share.
    pub memory_margin: Ppm,
    /// What is done with the proposals.
    pub right_sizing: RightSizing,
    /// With usage unavailable, plan on requests alone instead of waiting.
    pub without_metrics: bool,
    /// A container of whose usage more steps in a row are missing keeps its requests.
    pub max_gap: u32,
}

impl Default for Predict {
    fn default() -> Self {
        Self {
            window: Millis::from_minutes(15),
            step: Millis::from_minutes(1),
            horizon: Millis::from_minutes(15),
            adjust: Ppm::percent(10),
            min_cpu: MilliCpu(10),
            min_memory: Bytes(32 << 20),
            memory_margin: Ppm::percent(20),
            right_sizing: RightSizing::Recommend,
            without_metrics: false,
            max_gap: 2,
        }
    }
}

/// How much work the planner may do. Counted in steps, never in time, so that the same input gives
/// the same bytes on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Steps of the improvement search.
    pub search_steps: u32,
    /// Branch nodes of an exact solve.
    pub mip_nodes: u32,
    /// Threads; does not change the result.
    pub threads: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { search_steps: 20_000, mip_nodes: 200, threads: 2 }
    }
}

/// What plans are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Objective {
    /// The cheapest machines.
    #[default]
    Cost,
    /// CPU and memory requested in proportion on every node: machines stay, pods change places.
    Balance,
    /// No node used above a limit: machines stay, pods of hot nodes go to cool ones.
    NodeUsage,
    /// No more of a workload in one place than the limits of availability allow: machines stay, pods of workloads
    /// above them go elsewhere.
    Availability,
}

/// How much of a workload one failure may take. Of workloads of two replicas and more; never below one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Availability {
    /// Most of a workload's replicas on one node, as a share.
    pub max_per_node: Option<Ppm>,
    /// Most of a workload's replicas in one zone, as a share.
    pub max_per_zone: Option<Ppm>,
}

/// What it is worth under the objective of cost to have less of what other objectives are about. Nothing by default:
/// cost alone counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Weights {
    /// For each node of distance from an even mix of CPU and memory.
    pub balance: MicroUsdPerHour,
    /// For each node that is used above the limit of node usage.
    pub node_usage: MicroUsdPerHour,
    /// For each pod beyond the limits of availability.
    pub availability: MicroUsdPerHour,
}

impl Weights {
    /// Whether cost alone counts.
    pub fn are_zero(&self) -> bool {
        [self.balance, self.node_usage, self.availability].iter().all(|weight| weight.0 <= 0)
    }
}

/// Which price of a machine counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PriceBasis {
    /// The list price of an hour.
    #[default]
    List,
    /// That of an hour of a machine that runs all month: list prices on demand, less the sustained-use discount of
    /// the machine family.
    SustainedUse,
}

/// What it costs when the cloud takes a spot machine back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpotInterruption {
    /// How often a spot machine is expected to be taken back within 30 days; one is 1,000,000.
    pub per_thirty_days: Ppm,
    /// What each time costs.
    pub cost: MicroUsd,
}

/// Machines that are paid for whether they run or not: the first `count` of them on demand cost nothing more.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Commitment {
    /// Machine type.
    pub machine_type: Name,
    /// Region.
    pub region: Name,
    /// How many.
    pub count: u32,
}

/// What a machine is reckoned to cost beyond its list price, or less. The journal keeps list prices: a plan's are
/// worked out from them by this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Which price of a machine counts.
    pub basis: PriceBasis,
    /// What the boot disk of a node costs.
    pub boot_disk: MicroUsdPerHour,
    /// What it costs that spot machines are taken back.
    pub spot_interruption: SpotInterruption,
    /// Machines that are paid for already. Those of one type and region add up.
    pub commitments: Few<Commitment>,
}

/// What the planner may choose from, and what it minimises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Optimize {
    /// What plans are for.
    pub objective: Objective,
    /// Share of a node's CPU, or of its memory, above which it is hot: under the objective NodeUsage, or where that
    /// has a weight.
    pub node_usage: Ppm,
    /// Work limits.
    pub limits: Limits,
    /// Price of moving one pod, as an hourly cost: a plan does not move a pod to save less.
    pub move_penalty: MicroUsdPerHour,
    /// Machine types that may be booted, as globs; empty for all.
    pub machine_types: Few<Name>,
    /// Zones that may be booted in; empty for all.
    pub zones: Few<Name>,
    /// Ways of paying that may be booted; empty for all.
    pub capacity_types: Few<CapacityType>,
    /// Most nodes the cluster may have during the transition.
    pub max_nodes: Option<u32>,
    /// Most the cluster may cost during the transition, where no commitment covers a new machine.
    pub max_cost: Option<MicroUsdPerHour>,
    /// What machines are reckoned to cost.
    pub pricing: Pricing,
    /// Limits that a plan for any objective keeps, as far as they are kept now.
    pub availability: Availability,
    /// Under the objective of cost: what else counts.
    pub weights: Weights,
}

impl Default for Optimize {
    fn default() -> Self {
        Self {
            objective: Objective::Cost,
            node_usage: Ppm::percent(80),
            limits: Limits::default(),
            move_penalty: MicroUsdPerHour(1_000),
            machine_types: Few::default(),
            zones: Few::default(),
            capacity_types: Few::default(),
            max_nodes: None,
            max_cost: None,
            pricing: Pricing::default(),
            availability: Availability::default(),
            weights: Weights::default(),
        }
    }
}

/// When a plan is worth carrying out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decide {
    /// Least saving, as a share of the present cost; under another objective than cost, least gain by its own
    /// measure.
    pub min_savings: Ppm,
    /// A plan is dropped when more than this share of the cluster changed since its basis.
    pub max_change: Ppm,
    /// How long a plan is expected to stay good: its saving over this time must exceed its cost.
    pub plan_life: Millis,
    /// How long a plan waits for approval.
    pub plan_ttl: Millis,
}

impl Default for Decide {
    fn default() -> Self {
        Self {
            min_savings: Ppm::percent(10),
            max_change: Ppm::percent(10),
            plan_life: Millis::from_minutes(8 * 60),
            plan_ttl: Millis::from_minutes(15),
        }
    }
}

/// How gently pods are moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disruption {
    /// How pods are moved.
    pub actuation: Actuation,
    /// Workloads of one replica.
    pub single_replica: SingleReplica,
    /// Moves under way at once, over the cluster; per workload always one.
    pub max_parallel_moves: u32,
    /// `maxUnavailable` of a rolling update, as a share of the replicas; the workload's own when smaller.
    pub max_unavailable: Ppm,
    /// Whether the pods of Jobs may be evicted.
    pub evict_jobs: bool,
    /// Whether a plan may lead the scheduler: nodes that are to take pods later show a taint
    /// `kinema.dev/later:PreferNoSchedule` meanwhile.
    pub steering: bool,
}

impl Default for Disruption {
    fn default() -> Self {
        Self {
            actuation: Actuation::SurgeThenEvict,
            single_replica: SingleReplica::Surge,
            max_parallel_moves: 20,
            max_unavailable: Ppm::percent(25),
            evict_jobs: false,
            steering: true,
        }
    }
}

/// How long things may take before the iteration is unwound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deadlines {
    /// From asking for machines to all of them being ready nodes.
    pub boot: Millis,
    /// Labels and taints.
    pub label: Millis,
    /// One pod's move.
    pub one_move: Millis,
    /// From the last pod's move to the last machine gone.
    pub drain: Millis,
    /// An effect without an answer is looked at again after this.
    pub effect: Millis,
    /// How often the world is polled while waiting for the cloud.
    pub poll: Millis,
    /// How long a node must have been empty before it is deleted.
    pub settle: Millis,
    /// First pause before a failed effect is tried again; doubles up to ten times itself.
    pub retry: Millis,
    /// How long an offer that was stocked out is left alone.
    pub stockout: Millis,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            boot: Millis::from_minutes(15),
            label: Millis::from_minutes(2),
            one_move: Millis::from_minutes(10),
            drain: Millis::from_minutes(15),
            effect: Millis::from_secs(60),
            poll: Millis::from_secs(5),
            settle: Millis::from_secs(10),
            retry: Millis::from_secs(2),
            stockout: Millis::from_minutes(30),
        }
    }
}

/// What stops everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breakers {
    /// Freeze when more than this share of nodes is NotReady …
    pub not_ready_share: Ppm,
    /// … and more than this many.
    pub not_ready_nodes: u32,
    /// Freeze when more than this share of the nodes turned empty within one list of the pods …
    pub empty_share: Ppm,
    /// … and more than this many.
    pub empty_nodes: u32,
    /// How long that freezes. Pods that vanished by the dozen freeze until an operator resumes.
    pub empty_hold: Millis,
    /// Begin nothing while more than this share of the answers of API server and cloud are failures of theirs …
    pub api_error_share: Ppm,
    /// … among the answers of so long …
    pub api_error_window: Millis,
    /// … of which there are at least this many.
    pub api_error_answers: u32,
    /// A system clock that is set by more than this makes what was observed worthless: it is observed anew.
    pub clock_step: Millis,
    /// Only recommend after this many unwound iterations within an hour.
    pub aborts_per_hour: u32,
    /// Most nodes replaced within a day, as a share of the nodes there are …
    pub replaced_per_day: Ppm,
    /// … but no fewer than this many.
    pub replaced_nodes: u32,
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            not_ready_share: Ppm::percent(20),
            not_ready_nodes: 2,
            empty_share: Ppm::percent(30),
            empty_nodes: 2,
            empty_hold: Millis::from_minutes(15),
            api_error_share: Ppm::percent(30),
            api_error_window: Millis::from_minutes(2),
            api_error_answers: 20,
            clock_step: Millis::from_minutes(1),
            aborts_per_hour: 3,
            replaced_per_day: Ppm::percent(300),
            replaced_nodes: 20,
        }
    }
}

/// The whole policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How far kinema may go.
    pub mode: Mode,
    /// Nodes that may be removed; empty for all of usable pools.
    pub nodes: Selector,
    /// Gates.
    pub observe: Observe,
    /// Forecast.
    pub predict: Predict,
    /// Planner.
    pub optimize: Optimize,
    /// Decision.
    pub decide: Decide,
    /// Moves.
    pub disruption: Disruption,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Breakers.
    pub breakers: Breakers,
}
