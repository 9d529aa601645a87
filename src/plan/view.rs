//! What is shown of a plan, once, for every way of showing it.
//!
//! The JSON answer is this type; the text is made from it, so that every number in the text is in
//! the JSON as well. Money is a decimal string of US dollars; a share is a number (0.1 is 10 %).

use std::collections::BTreeMap;

use engine::world::holds_node;
use journal_schema::binding::Binding;
use journal_schema::cloud::{CapacityType, PriceBook};
use journal_schema::codec::{EncodeError, digest};
use journal_schema::facts::{Key, NodeFact, PodFact};
use journal_schema::plan::{
    Basis, CommitmentUse, Dispersion, MoveMethod, NodeAction, Planned, PlanningInput, PodAction, Target,
};
use journal_schema::policy::{Objective, PriceBasis, Pricing};
use journal_schema::reason::Reason;
use journal_schema::units::{MicroUsdPerHour, Ppm, Resources};
use planner::pricing::{effective_in, interruption_per_hour};
use serde::Serialize;

use super::money::per_month;

/// A plan and what explains it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// What was planned: a context's name, or files.
    pub cluster: String,
    /// The time that the plan is for.
    pub at: String,
    /// Names the plan: approving is naming this.
    pub digest: String,
    /// Where the prices are from, and of which day.
    pub prices: PricesView,
    /// What the counted nodes cost now.
    pub cost_per_hour_now: String,
    /// What they cost after the plan.
    pub cost_per_hour_after: String,
    /// Proven: no placement of these pods under these rules costs less.
    pub lower_bound_per_hour: String,
    /// How that was proven.
    pub bound_method: String,
    /// (after - bound) / after.
    pub gap: f64,
    /// after - bound: what all nodes waste, and what is not used.
    pub waste_per_hour: String,
    /// Of that: nodes and offers cheaper than what they hold, which the bound counts on and the plan does not use.
    pub unused_per_hour: String,
    /// What the bound is made of: of the cluster, then of zones where something else comes first.
    pub binding: Vec<BindingView>,
    /// now - after.
    pub savings_per_hour: String,
    /// The same in a month of 730 hours.
    pub savings_per_month: String,
    /// (now - after) / now.
    pub savings: f64,
    /// Estimated cost of the overlap while old and new machines run.
    pub transition_cost: String,
    /// After how many minutes the saving has paid for the transition; none when nothing is saved.
    pub payback_minutes: Option<i64>,
    /// The cluster now.
    pub now: SizeView,
    /// The cluster after the plan.
    pub after: SizeView,
    /// Machines to boot, by type, zone and way of paying.
    pub nodes_to_add: Vec<AddView>,
    /// Nodes to remove.
    pub nodes_to_remove: Vec<RemoveView>,
    /// Moves, in their order.
    pub moves: Vec<MoveView>,
    /// How often the nodes change that moving pods are led to; zero when the scheduler is left to itself.
    pub waves: usize,
    /// Requests to change.
    pub requests: Vec<RequestView>,
    /// Pods that wait for a place.
    pub pending_pods: Vec<PodVerdictView>,
    /// One for every node and every pod.
    pub verdicts: VerdictsView,
    /// What one relaxation would save, dearest first.
    pub relaxations: Vec<RelaxationView>,
    /// What moves buy: placements from nothing moved to the cheapest that was found, fewest moves first, and among
    /// them the plan. Empty where the plan is not about cost.
    pub frontier: Vec<FrontierView>,
    /// What a reader should know of the input.
    pub warnings: Vec<String>,
    /// `Cost`, `Balance`, `NodeUsage` or `Availability`.
    pub objective: &'static str,
    /// How CPU and memory are mixed on the nodes.
    pub balance: BalanceView,
    /// How workloads stand to the limits of availability, where there are any.
    pub dispersion: Option<DispersionView>,
    /// What counts beside cost, where something has a weight.
    pub weighted: Option<WeightedView>,
    /// How much nodes are used, where the objective is NodeUsage or that has a weight.
    pub heat: Option<HeatView>,
}

/// How much nodes are used above a limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeatView {
    /// Share of a node's CPU, or of its memory, above which it is hot.
    pub limit: f64,
    /// Hot nodes.
    pub hot_nodes_before: u32,
    /// Hot nodes after the plan.
    pub hot_nodes_after: u32,
    /// What is used above the limit: the sum over nodes, CPU and memory, of shares of a node.
    pub excess_before: f64,
    /// The same after the plan.
    pub excess_after: f64,
    /// (before - after) / before.
    pub gain: f64,
}

/// How far nodes are from the mix of CPU and memory that the whole cluster asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BalanceView {
    /// CPU that is requested for each GiB of memory that is, over all nodes, in thousandths.
    pub pivot_cpu_milli_per_gib: i64,
    /// The sum of the nodes' distances from that, each a share of a node.
    pub entropy_before: f64,
    /// The same after the plan.
    pub entropy_after: f64,
    /// (before - after) / before.
    pub gain: f64,
}

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PricesView {
    /// Source.
    pub source: String,
    /// Day.
    pub as_of: String,
    /// Which price of a machine counts: `List` or `SustainedUse`.
    pub basis: &'static str,
    /// What the boot disk of a node adds to its price.
    pub boot_disk_per_hour: String,
    /// What the risk of being taken back adds to the price of a spot machine.
    pub spot_interruption_per_hour: String,
    /// Machines that are paid for already, which no sum counts.
    pub commitments: Vec<CommitmentView>,
}

/// How many workloads one failure takes more of than the policy allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DispersionView {
    /// Most of a workload's replicas on one node.
    pub max_per_node: Option<f64>,
    /// Most of a workload's replicas in one zone.
    pub max_per_zone: Option<f64>,
    /// Workloads of two replicas and more.
    pub workloads: u32,
    /// Those of them above a limit before the plan.
    pub above_before: u32,
    /// The same after it.
    pub above_after: u32,
    /// Pods beyond the limits before the plan.
    pub pods_before: u32,
    /// The same after it.
    pub pods_after: u32,
}

/// The sums that candidates are compared by, before the plan and after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedView {
    /// Before the plan.
    pub before: WeightedSumView,
    /// After it.
    pub after: WeightedSumView,
}

/// A sum in parts, in dollars per hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedSumView {
    /// The sum.
    pub total: String,
    /// What machines cost.
    pub cost: String,
    /// The distance from an even mix of CPU and memory, at its weight.
    pub balance: String,
    /// What is used above the limit of node usage, at its weight.
    pub node_usage: String,
    /// Pods beyond the limits of availability, at their weight.
    pub availability: String,
}

/// How far machines that are paid for already are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitmentView {
    /// Machine type.
    pub machine_type: String,
    /// Region.
    pub region: String,
    /// How many are paid for.
    pub committed: u32,
    /// Machines of the kind now, on demand.
    pub now: u32,
    /// The same after the plan.
    pub after: u32,
    /// What each that is paid for costs less.
    pub covers_per_hour: String,
}

/// How large the cluster is. Requests are those of the pods that can be anywhere: DaemonSets' and
/// static pods come with every node and are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SizeView {
    /// Nodes.
    pub nodes: usize,
    /// Requested CPU in thousandths.
    pub cpu_requests_milli: i64,
    /// Allocatable CPU in thousandths.
    pub cpu_allocatable_milli: i64,
    /// Requested memory in bytes.
    pub memory_requests_bytes: i64,
    /// Allocatable memory in bytes.
    pub memory_allocatable_bytes: i64,
}

/// Machines to boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddView {
    /// Machine type.
    pub machine_type: String,
    /// How many.
    pub count: u32,
    /// Zone.
    pub zone: String,
    /// `on-demand` or `spot`.
    pub capacity_type: &'static str,
    /// Price of one.
    pub price_per_hour: String,
    /// What all of them cost beyond what their pods are worth.
    pub waste_per_hour: String,
    /// The same, for adding up.
    #[serde(skip)]
    pub price: MicroUsdPerHour,
}

/// A node to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveView {
    /// Name.
    pub name: String,
    /// Machine type.
    pub machine_type: String,
    /// Zone.
    pub zone: String,
    /// `on-demand` or `spot`.
    pub capacity_type: &'static str,
    /// Price.
    pub price_per_hour: String,
    /// The same, for adding up.
    #[serde(skip)]
    pub price: MicroUsdPerHour,
}

/// A move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveView {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Its workload, `Deployment shop/cart`; none for a pod of a Job.
    pub workload: Option<String>,
    /// The node it leaves.
    pub from: String,
    /// The node it goes to; a new machine is `new/<number>`.
    pub to: String,
    /// `Surge`, `Evict` or `RollingUpdate`.
    pub method: &'static str,
    /// In which wave, from zero.
    pub wave: u32,
}

/// A container's request to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestView {
    /// Workload, `Deployment shop/cart`.
    pub workload: String,
    /// Container.
    pub container: String,
    /// CPU now.
    pub cpu_from: String,
    /// CPU then.
    pub cpu_to: String,
    /// Memory now.
    pub memory_from: String,
    /// Memory then.
    pub memory_to: String,
}

/// Verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictsView {
    /// One for every node.
    pub nodes: Vec<NodeVerdictView>,
    /// One for every pod.
    pub pods: Vec<PodVerdictView>,
}

/// A node's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeVerdictView {
    /// Node.
    pub name: String,
    /// `Keep` or `Remove`.
    pub action: &'static str,
    /// Code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// What to do about it.
    pub fix: Option<&'static str>,
    /// Machine type.
    pub machine_type: String,
    /// Price, when it is known.
    pub price_per_hour: Option<String>,
    /// What it costs beyond what its pods are worth; of a node that is held, its share of the room that is free
    /// on such nodes.
    pub waste_per_hour: String,
}

/// A pod's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodVerdictView {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// `Stay`, `Move`, `Place` or `Unplaced`.
    pub action: &'static str,
    /// Where to, for `Move` and `Place`.
    pub to: Option<String>,
    /// Code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// What to do about it.
    pub fix: Option<&'static str>,
}

/// A share of what the pods are worth at the prices that prove the bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingView {
    /// Zone; none for the cluster as a whole.
    pub zone: Option<String>,
    /// Code of what binds.
    pub by: &'static str,
    /// The same in words.
    pub message: String,
    /// What to do about it.
    pub fix: Option<&'static str>,
    /// Its share.
    pub share: f64,
}

/// What one relaxation would save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelaxationView {
    /// Code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// What to do about it.
    pub fix: Option<&'static str>,
    /// Nodes it holds.
    pub nodes: u32,
    /// Whether a plan that saves so much was found (`Measured`), or not sought (`Estimated`).
    pub basis: &'static str,
    /// What it would save.
    pub saves_per_hour: String,
    /// The same in a month.
    pub saves_per_month: String,
    /// The same, for the text.
    #[serde(skip)]
    pub saves: MicroUsdPerHour,
}

/// What some moves buy. But for the plan's own, a placement as it was searched, which was not rehearsed: carried out it
/// may cost a little more.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontierView {
    /// Pods that move.
    pub moves: u32,
    /// Their share of the pods that run and are of no DaemonSet.
    pub move_share: f64,
    /// What the counted nodes cost then.
    pub cost_per_hour: String,
    /// (now - then) / now.
    pub savings: f64,
    /// Moves for each dollar an hour that is saved beyond what the placement before saves; none for the first, and
    /// for a plan that saves no more.
    pub moves_per_dollar: Option<f64>,
    /// The least price of a move (`movePenalty`) at which this is the best of them; none for a plan that is no such
    /// placement.
    pub from_move_penalty: Option<String>,
    /// Whether this is the plan.
    pub chosen: bool,
}

/// A share as a number.
fn share(ppm: Ppm) -> f64 {
    // Exact for every share that a person can mean: a million steps fit in a float.
    ppm.0 as f64 / 1e6
}

fn target(target: &Target) -> String {
    match target {
        Target::Node(name) => name.to_string(),
        Target::New(slot) => format!("new/{}", slot.0),
    }
}

fn method(method: MoveMethod) -> &'static str {
    match method {
        MoveMethod::Surge => "Surge",
        MoveMethod::Evict => "Evict",
        MoveMethod::RollingUpdate => "RollingUpdate",
    }
}

/// How a node is paid for, by the labels that clouds set.
pub fn capacity_type(node: &NodeFact) -> CapacityType {
    engine::cloud::capacity_type(node)
}

/// The effective price of a node, when the book has it.
pub fn node_price(node: &NodeFact, prices: &PriceBook, pricing: &Pricing) -> Option<MicroUsdPerHour> {
    effective_in(pricing, prices, engine::cloud::region(node), node.machine_type(), capacity_type(node))
}

fn dispersion(told: &Dispersion) -> DispersionView {
    DispersionView {
        max_per_node: told.max_per_node.map(share),
        max_per_zone: told.max_per_zone.map(share),
        workloads: told.workloads,
        above_before: told.above_before,
        above_after: told.above_after,
        pods_before: told.pods_before,
        pods_after: told.pods_after,
    }
}

fn weighted(input: &PlanningInput, planned: &Planned) -> Option<WeightedView> {
    let policy = &input.policy.optimize;
    if policy.objective != Objective::Cost || policy.weights.are_zero() {
        return None;
    }
    let [before, after] = planned.weighted(&policy.weights).map(|sum| WeightedSumView {
        total: sum.total().to_string(),
        cost: sum.cost.to_string(),
        balance: sum.balance.to_string(),
        node_usage: sum.node_usage.to_string(),
        availability: sum.availability.to_string(),
    });
    Some(WeightedView { before, after })
}

fn prices(input: &PlanningInput, planned: &Planned) -> PricesView {
    let (book, pricing) = (&input.prices, &input.policy.optimize.pricing);
    let commitment = |own: &CommitmentUse| CommitmentView {
        machine_type: own.machine_type.to_string(),
        region: own.region.to_string(),
        committed: own.committed,
        now: own.now,
        after: own.after,
        covers_per_hour: own.covers.to_string(),
    };
    PricesView {
        source: book.source.to_string(),
        as_of: book.as_of.to_string(),
        basis: match pricing.basis {
            PriceBasis::List => "List",
            PriceBasis::SustainedUse => "SustainedUse",
        },
        boot_disk_per_hour: pricing.boot_disk.to_string(),
        spot_interruption_per_hour: interruption_per_hour(pricing).to_string(),
        commitments: planned.report.commitments.iter().map(commitment).collect(),
    }
}

impl PlanView {
    /// The view of a plan of `cluster` (a name for people).
    ///
    /// # Errors
    /// When the plan cannot be encoded for its digest.
    pub fn new(
        cluster: String,
        input: &PlanningInput,
        planned: &Planned,
        warnings: Vec<String>,
    ) -> Result<Self, EncodeError> {
        let plan = &planned.plan;
        let saved = MicroUsdPerHour(plan.cost_now.0 - plan.cost_after.0);
        let pods: Vec<PodVerdictView> = planned
            .report
            .pods
            .iter()
            .map(|verdict| pod_verdict(&verdict.pod, &verdict.action, &verdict.reason))
            .collect();
        let (now, after) = sizes(input, planned);
        Ok(Self {
            cluster,
            at: plan.at.to_string(),
            digest: digest(plan)?.to_string(),
            prices: prices(input, planned),
            cost_per_hour_now: plan.cost_now.to_string(),
            cost_per_hour_after: plan.cost_after.to_string(),
            lower_bound_per_hour: plan.lower_bound.to_string(),
            bound_method: planned.report.bound_method.to_string(),
            objective: match input.policy.optimize.objective {
                Objective::Cost => "Cost",
                Objective::Balance => "Balance",
                Objective::NodeUsage => "NodeUsage",
                Objective::Availability => "Availability",
            },
            dispersion: planned.report.dispersion.as_ref().map(dispersion),
            weighted: weighted(input, planned),
            heat: planned.report.heat.map(|heat| HeatView {
                limit: share(heat.limit),
                hot_nodes_before: heat.hot_before,
                hot_nodes_after: heat.hot_after,
                excess_before: share(heat.before),
                excess_after: share(heat.after),
                gain: share(heat.gain()),
            }),
            balance: BalanceView {
                pivot_cpu_milli_per_gib: planned.report.balance.pivot.0,
                entropy_before: share(planned.report.balance.before),
                entropy_after: share(planned.report.balance.after),
                gain: share(planned.report.balance.gain()),
            },
            gap: share(plan.gap()),
            waste_per_hour: MicroUsdPerHour(plan.cost_after.0 - plan.lower_bound.0).to_string(),
            unused_per_hour: planned.report.unused.to_string(),
            binding: planned.report.binding.iter().map(binding).collect(),
            savings_per_hour: saved.to_string(),
            savings_per_month: per_month(saved).to_string(),
            savings: share(plan.savings()),
            transition_cost: plan.transition.to_string(),
            // micro-dollars over micro-dollars per hour, in minutes, rounded up.
            payback_minutes: (saved.0 > 0).then(|| (plan.transition.0 * 60 + saved.0 - 1) / saved.0),
            now,
            after,
            nodes_to_add: added(planned),
            nodes_to_remove: plan
                .remove
                .iter()
                .map(|node| RemoveView {
                    name: node.node.to_string(),
                    machine_type: node.machine_type.to_string(),
                    zone: node.zone.to_string(),
                    capacity_type: node.capacity_type.as_str(),
                    price_per_hour: node.price.to_string(),
                    price: node.price,
                })
                .collect(),
            moves: plan
                .moves
                .iter()
                .map(|step| MoveView {
                    namespace: step.pod.namespace.to_string(),
                    pod: step.pod.name.to_string(),
                    workload: step.workload.as_ref().map(ToString::to_string),
                    from: step.from.to_string(),
                    to: target(&step.to),
                    method: method(step.method),
                    wave: step.wave,
                })
                .collect(),
            waves: plan.waves.len(),
            requests: plan
                .requests
                .iter()
                .map(|change| RequestView {
                    workload: change.workload.to_string(),
                    container: change.container.to_string(),
                    cpu_from: change.cpu.0.to_string(),
                    cpu_to: change.cpu.1.to_string(),
                    memory_from: change.memory.0.to_string(),
                    memory_to: change.memory.1.to_string(),
                })
                .collect(),
            pending_pods: pods.iter().filter(|pod| matches!(pod.action, "Place" | "Unplaced")).cloned().collect(),
            verdicts: VerdictsView { nodes: node_verdicts(input, planned), pods },
            frontier: frontier(input, planned),
            relaxations: planned
                .report
                .relaxations
                .iter()
                .map(|relaxation| {
                    let text = relaxation.reason.text();
                    RelaxationView {
                        reason: text.code,
                        message: text.sentence,
                        fix: text.fix,
                        nodes: relaxation.nodes,
                        basis: match relaxation.basis {
                            Basis::Measured => "Measured",
                            Basis::Estimated => "Estimated",
                        },
                        saves_per_hour: relaxation.saves.to_string(),
                        saves_per_month: per_month(relaxation.saves).to_string(),
                        saves: relaxation.saves,
                    }
                })
                .collect(),
            warnings,
        })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.nodes_to_add.is_empty()
            && self.nodes_to_remove.is_empty()
            && self.moves.is_empty()
            && self.requests.is_empty()
    }
}

/// The points of the report, and the plan's own where it is none of them.
fn frontier(input: &PlanningInput, planned: &Planned) -> Vec<FrontierView> {
    let (plan, points) = (&planned.plan, &planned.report.frontier);
    if points.is_empty() {
        return Vec::new();
    }
    let running = |pod: &&PodFact| pod.node.is_some() && holds_node(pod);
    let pods = input.cluster.pods.values().filter(running).count();
    let own = (u32::try_from(plan.moves.len()).unwrap_or(u32::MAX), plan.cost_after);
    let mut rows: Vec<(u32, MicroUsdPerHour, Option<MicroUsdPerHour>)> =
        points.iter().map(|point| (point.moves, point.cost, Some(point.move_price))).collect();
    if !rows.iter().any(|(moves, cost, _)| (*moves, *cost) == own) {
        rows.push((own.0, own.1, None));
    }
    rows.sort_by_key(|(moves, cost, price)| (*moves, std::cmp::Reverse(*cost), *price));
    let row = |(moves, cost, price): (u32, MicroUsdPerHour, Option<MicroUsdPerHour>)| {
        let before = points.iter().rfind(|point| point.moves < moves && point.cost > cost);
        FrontierView {
            moves,
            move_share: share(Ppm::of(i64::from(moves), i64::try_from(pods).unwrap_or(i64::MAX))),
            cost_per_hour: cost.to_string(),
            savings: share(Ppm::of(plan.cost_now.0 - cost.0, plan.cost_now.0)),
            moves_per_dollar: before
                .map(|before| f64::from(moves - before.moves) * 1e6 / (before.cost.0 - cost.0) as f64),
            from_move_penalty: price.map(|price| price.to_string()),
            chosen: (moves, cost) == own,
        }
    };
    rows.into_iter().map(row).collect()
}

fn binding(binding: &Binding) -> BindingView {
    let text = binding.by.text();
    BindingView {
        zone: binding.zone.as_ref().map(ToString::to_string),
        by: text.code,
        message: text.sentence,
        fix: text.fix,
        share: share(binding.share),
    }
}

fn added(planned: &Planned) -> Vec<AddView> {
    type Group = (u32, MicroUsdPerHour, MicroUsdPerHour);
    let mut groups: BTreeMap<(String, String, CapacityType), Group> = BTreeMap::new();
    for (index, node) in planned.plan.add.iter().enumerate() {
        let group =
            groups.entry((node.machine_type.to_string(), node.zone.to_string(), node.capacity_type)).or_default();
        let waste = planned.report.waste_of_added.get(index).copied().unwrap_or_default();
        *group = (group.0 + 1, node.price, group.2 + waste);
    }
    groups
        .into_iter()
        .map(|((machine_type, zone, capacity_type), (count, price, waste))| AddView {
            machine_type,
            count,
            zone,
            capacity_type: capacity_type.as_str(),
            price_per_hour: price.to_string(),
            waste_per_hour: waste.to_string(),
            price,
        })
        .collect()
}

fn node_verdicts(input: &PlanningInput, planned: &Planned) -> Vec<NodeVerdictView> {
    planned
        .report
        .nodes
        .iter()
        .map(|verdict| {
            let text = verdict.reason.text();
            let node = input.cluster.nodes.get(&verdict.node);
            NodeVerdictView {
                name: verdict.node.to_string(),
                action: match verdict.action {
                    NodeAction::Keep => "Keep",
                    NodeAction::Remove => "Remove",
                },
                reason: text.code,
                message: text.sentence,
                fix: text.fix,
                machine_type: node.map(|node| node.machine_type().to_owned()).unwrap_or_default(),
                price_per_hour: node
                    .and_then(|node| node_price(node, &input.prices, &input.policy.optimize.pricing))
                    .map(|price| price.to_string()),
                waste_per_hour: verdict.waste.to_string(),
            }
        })
        .collect()
}

fn pod_verdict(pod: &Key, action: &PodAction, reason: &Reason) -> PodVerdictView {
    let text = reason.text();
    let (action, to) = match action {
        PodAction::Stay => ("Stay", None),
        PodAction::Move(to) => ("Move", Some(target(to))),
        PodAction::Place(to) => ("Place", Some(target(to))),
        PodAction::Unplaced => ("Unplaced", None),
    };
    PodVerdictView {
        namespace: pod.namespace.to_string(),
        pod: pod.name.to_string(),
        action,
        to,
        reason: text.code,
        message: text.sentence,
        fix: text.fix,
    }
}

/// The cluster's size now and after the plan.
fn sizes(input: &PlanningInput, planned: &Planned) -> (SizeView, SizeView) {
    let (mut bound, mut placed) = (Resources::default(), Resources::default());
    for pod in input.cluster.pods.values().filter(|pod| holds_node(pod)) {
        if pod.node.is_some() {
            bound.add(&pod.spec.requests);
        }
    }
    for verdict in planned.report.pods.iter().filter(|verdict| matches!(verdict.action, PodAction::Place(_))) {
        if let Some(pod) = input.cluster.pods.get(&verdict.pod) {
            placed.add(&pod.spec.requests);
        }
    }
    let mut room = Resources::default();
    for node in input.cluster.nodes.values() {
        room.add(&node.allocatable);
    }
    let now = size(input.cluster.nodes.len(), &bound, &room);
    for removed in &planned.plan.remove {
        if let Some(node) = input.cluster.nodes.get(&removed.node) {
            room.sub(&node.allocatable);
        }
    }
    let pools: BTreeMap<_, _> = input.pools.iter().map(|pool| (&pool.id, pool)).collect();
    for node in &planned.plan.add {
        if let Some(pool) = pools.get(&node.pool) {
            room.add(&pool.allocatable);
        }
    }
    bound.add(&placed);
    let nodes =
        input.cluster.nodes.len() + planned.plan.add.len() - planned.plan.remove.len().min(input.cluster.nodes.len());
    (now, size(nodes, &bound, &room))
}

fn size(nodes: usize, requests: &Resources, allocatable: &Resources) -> SizeView {
    SizeView {
        nodes,
        cpu_requests_milli: requests.cpu.0,
        cpu_allocatable_milli: allocatable.cpu.0,
        memory_requests_bytes: requests.memory.0,
        memory_allocatable_bytes: allocatable.memory.0,
    }
}
