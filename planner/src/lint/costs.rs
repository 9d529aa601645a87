//! The costs are the sums of the prices less what commitments cover, and the bound is below them.
//!
//! Prices are made effective here once more, by arithmetic of its own.

use std::collections::BTreeSet;

use journal_schema::cloud::{CapacityType, Pool};
use journal_schema::facts::NodeFact;
use journal_schema::plan::{Managed, Planned, PlanningInput};
use journal_schema::policy::{Commitment, PriceBasis, Pricing};
use journal_schema::text::Name;
use journal_schema::units::MicroUsdPerHour;

use super::{Check, Findings};
use crate::pricing::{MOST, MOST_COMMITTED, sustained_use};

/// Labels that say that a node is spot capacity.
const SPOT_LABELS: [(&str, &str); 4] = [
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("cloud.google.com/gke-provisioning", "spot"),
    ("karpenter.sh/capacity-type", "spot"),
];

pub(super) fn check(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    let plan = &planned.plan;
    let now: i128 =
        input.cluster.nodes.values().filter_map(|node| price(input, node)).map(|price| i128::from(price.0)).sum();
    let removed: i128 = plan.remove.iter().map(|node| i128::from(node.price.0)).sum();
    let added: i128 = plan.add.iter().map(|machine| i128::from(machine.price.0)).sum();
    let commitments = committed(input, planned, findings);
    let covered = |count: fn(&Committed) -> i128| -> i128 {
        commitments.iter().map(|own| own.covers * own.count.min(count(own))).sum()
    };
    let (covered_now, covered_after) = (covered(|own| own.now), covered(|own| own.after));
    if i128::from(plan.cost_now.0) != now - covered_now {
        findings.error(
            Check::Cost,
            format_args!(
                "cost now is {} micro-USD per hour, the nodes' prices sum to {now}, {covered_now} of it covered",
                plan.cost_now.0
            ),
        );
    }
    let after = now - removed + added - covered_after;
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

/// A commitment of the policy, counted anew.
struct Committed {
    count: i128,
    now: i128,
    after: i128,
    covers: i128,
}

/// Counts the machines that commitments cover, and holds what is told of them against it.
fn committed(input: &PlanningInput, planned: &Planned, findings: &mut Findings) -> Vec<Committed> {
    let policy = &input.policy.optimize.pricing;
    let place = |node: &NodeFact| (machine_type(node).to_owned(), region_of(input, node));
    let kinds: BTreeSet<(String, String)> = policy
        .commitments
        .iter()
        .map(|own| (own.machine_type.to_string(), own.region.to_string()))
        .filter(|(machine_type, region)| input.prices.price(region, machine_type, CapacityType::OnDemand).is_some())
        .collect();
    let mut list = Vec::new();
    for (machine_type, region) in &kinds {
        let is = |node: &&NodeFact| {
            paid(input, node) == CapacityType::OnDemand && place(node) == (machine_type.clone(), region.clone())
        };
        let here: Vec<&NodeFact> = input.cluster.nodes.values().filter(is).collect();
        let leaving = here.iter().filter(|node| planned.plan.removes(&node.name)).count();
        let region_of_pool = |id: &Name| input.pools.iter().find(|pool| pool.id == *id).map(|pool| &pool.region);
        let coming = planned.plan.add.iter().filter(|machine| {
            machine.capacity_type == CapacityType::OnDemand
                && machine.machine_type.as_str() == machine_type
                && region_of_pool(&machine.pool).is_some_and(|own| own.as_str() == region)
        });
        let same = |own: &&Commitment| own.machine_type.as_str() == machine_type && own.region.as_str() == region;
        let list_price = input.prices.price(region, machine_type, CapacityType::OnDemand);
        let whole = i128::from(list_price.unwrap_or_default().0).max(0);
        list.push(Committed {
            count: policy
                .commitments
                .iter()
                .filter(same)
                .map(|own| i128::from(own.count))
                .sum::<i128>()
                .min(MOST_COMMITTED.into()),
            now: here.len() as i128,
            after: here.len() as i128 - leaving as i128 + coming.count() as i128,
            covers: discounted(policy, whole, machine_type).min(MOST),
        });
    }
    let told = planned.report.commitments.iter().map(|own| {
        let figures = [own.committed, own.now, own.after].map(i128::from);
        ((own.machine_type.to_string(), own.region.to_string()), figures, i128::from(own.covers.0))
    });
    let counted =
        kinds.iter().zip(&list).map(|(kind, own)| (kind.clone(), [own.count, own.now, own.after], own.covers));
    if !told.eq(counted) {
        findings.error(Check::Cost, format_args!("the use of commitments is not what is told"));
    }
    list
}

/// An on-demand price by the policy's basis: list price × what the discount leaves, rounded to the nearest.
fn discounted(policy: &Pricing, list: i128, machine_type: &str) -> i128 {
    match policy.basis {
        PriceBasis::List => list,
        PriceBasis::SustainedUse => (2 * list * i128::from(sustained_use(machine_type).0) + 1_000_000) / 2_000_000,
    }
}

/// What a machine costs by the book and the policy's pricing.
pub(super) fn effective(
    input: &PlanningInput,
    region: &str,
    machine_type: &str,
    capacity_type: CapacityType,
) -> Option<MicroUsdPerHour> {
    let list = input.prices.price(region, machine_type, capacity_type)?;
    let (policy, list) = (&input.policy.optimize.pricing, i128::from(list.0).max(0));
    let machine = match capacity_type {
        CapacityType::OnDemand => discounted(policy, list, machine_type),
        CapacityType::Spot => {
            let of = &policy.spot_interruption;
            let micro_per_month = i128::from(of.per_thirty_days.0.max(0)) * i128::from(of.cost.0.max(0));
            list + (micro_per_month + 360_000_000) / 720_000_000
        }
    };
    let sum = machine.min(MOST) + i128::from(policy.boot_disk.0.max(0));
    Some(MicroUsdPerHour(i64::try_from(sum.min(MOST)).unwrap_or(i64::MAX)))
}

/// What a node costs: by its pool where that is known, else by its labels.
pub(super) fn price(input: &PlanningInput, node: &NodeFact) -> Option<MicroUsdPerHour> {
    effective(input, &region_of(input, node), machine_type(node), paid(input, node))
}

/// How a node is paid for.
fn paid(input: &PlanningInput, node: &NodeFact) -> CapacityType {
    pool(input, node).map_or_else(|| capacity_type(node), |pool| pool.capacity_type)
}

/// The region of a node.
fn region_of(input: &PlanningInput, node: &NodeFact) -> String {
    pool(input, node).map_or_else(|| region(input, node), |pool| pool.region.to_string())
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
