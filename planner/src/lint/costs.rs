//! The costs are the sums of the prices, and the bound is below them.

use journal_schema::cloud::{CapacityType, Pool};
use journal_schema::facts::NodeFact;
use journal_schema::plan::{Managed, Plan, PlanningInput};
use journal_schema::units::MicroUsdPerHour;

use super::{Check, Findings};

/// Labels that say that a node is spot capacity.
const SPOT_LABELS: [(&str, &str); 4] = [
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("cloud.google.com/gke-provisioning", "spot"),
    ("karpenter.sh/capacity-type", "spot"),
];

pub(super) fn check(input: &PlanningInput, plan: &Plan, findings: &mut Findings) {
    let now: i128 =
        input.cluster.nodes.values().filter_map(|node| price(input, node)).map(|price| i128::from(price.0)).sum();
    let removed: i128 = plan.remove.iter().map(|node| i128::from(node.price.0)).sum();
    let added: i128 = plan.add.iter().map(|machine| i128::from(machine.price.0)).sum();
    if i128::from(plan.cost_now.0) != now {
        findings.error(
            Check::Cost,
            format_args!("cost now is {} micro-USD per hour, the nodes' prices sum to {now}", plan.cost_now.0),
        );
    }
    let after = now - removed + added;
    if i128::from(plan.cost_after.0) != after {
        findings.error(
            Check::Cost,
            format_args!("cost after is {} micro-USD per hour, the prices sum to {after}", plan.cost_after.0),
        );
    }
    if plan.transition.0 < 0 {
        findings.error(Check::Cost, format_args!("the transition costs {}", plan.transition));
    }
    if plan.lower_bound > plan.cost_after {
        findings.error(
            Check::LowerBound,
            format_args!("lower bound {} is above the cost after, {}", plan.lower_bound, plan.cost_after),
        );
    }
    if plan.lower_bound < MicroUsdPerHour::ZERO {
        findings.error(Check::LowerBound, format_args!("lower bound {} is negative", plan.lower_bound));
    }
    let peak = now + added;
    if let Some(most) = input.policy.optimize.max_cost
        && !plan.add.is_empty()
        && peak > i128::from(most.0)
    {
        findings.error(
            Check::Budget,
            format_args!("old and new machines together cost {peak} micro-USD per hour, the policy allows {}", most.0),
        );
    }
    let nodes = input.cluster.nodes.len() + plan.add.len();
    if let Some(most) = input.policy.optimize.max_nodes
        && !plan.add.is_empty()
        && u32::try_from(nodes).is_ok_and(|nodes| nodes > most)
    {
        findings
            .error(Check::Budget, format_args!("old and new machines together are {nodes}, the policy allows {most}"));
    }
}

/// What a node costs: by its pool where that is known, else by its labels.
pub(super) fn price(input: &PlanningInput, node: &NodeFact) -> Option<MicroUsdPerHour> {
    match pool(input, node) {
        Some(pool) => input.prices.price(&pool.region, machine_type(node), pool.capacity_type),
        None => input.prices.price(&region(input, node), machine_type(node), capacity_type(node)),
    }
}

/// The pool of a node, where pools are known.
pub(super) fn pool<'a>(input: &'a PlanningInput, node: &NodeFact) -> Option<&'a Pool> {
    match &input.managed {
        Managed::All => None,
        Managed::Listed(pools) => pools.get(&node.name).and_then(|id| input.pools.iter().find(|pool| pool.id == *id)),
    }
}

pub(super) fn machine_type(node: &NodeFact) -> &str {
    first_label(node, &["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"])
}

pub(super) fn zone(node: &NodeFact) -> &str {
    first_label(node, &["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"])
}

pub(super) fn capacity_type(node: &NodeFact) -> CapacityType {
    if SPOT_LABELS.iter().any(|(key, value)| node.label(key) == *value) {
        CapacityType::Spot
    } else {
        CapacityType::OnDemand
    }
}

/// The region label, else the zone without its last part, else the only region of the pools.
fn region(input: &PlanningInput, node: &NodeFact) -> String {
    let labelled = first_label(node, &["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"]);
    if !labelled.is_empty() {
        return labelled.to_owned();
    }
    if let Some((region, _)) = zone(node).rsplit_once('-') {
        return region.to_owned();
    }
    match &input.pools[..] {
        [first, rest @ ..] if rest.iter().all(|pool| pool.region == first.region) => first.region.to_string(),
        [..] => String::new(),
    }
}

fn first_label<'a>(node: &'a NodeFact, keys: &[&str]) -> &'a str {
    keys.iter().map(|key| node.label(key)).find(|value| !value.is_empty()).unwrap_or("")
}
