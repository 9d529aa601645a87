//! A plan takes no workload whose pods it moves above the policy's limits of availability, or further above them than
//! it is; and what the report says of them is so.
//!
//! Counted from the facts: where pods are now, and where the verdicts say that they end.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{PodFact, WorkloadId, WorkloadKind};
use journal_schema::plan::{Dispersion, Planned, PlanningInput, PodAction, Target};
use journal_schema::text::Name;
use journal_schema::units::Ppm;

use super::{Check, Findings};

const ZONE: &str = "topology.kubernetes.io/zone";

/// Pods of a workload by place.
#[derive(Default)]
struct Counts<'a> {
    /// All that run or wait.
    replicas: i64,
    /// By node: now and after, new machines by their slot.
    nodes: [BTreeMap<Place<'a>, i64>; 2],
    /// By zone.
    zones: [BTreeMap<&'a Name, i64>; 2],
    moves: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Node(&'a Name),
    New(u32),
}

pub(super) fn check(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    let policy = &input.policy.optimize.availability;
    if policy.max_per_node.is_none() && policy.max_per_zone.is_none() {
        if planned.report.dispersion.is_some() {
            findings.error(Check::Availability, format_args!("it is told of limits that are not set"));
        }
        return;
    }
    let (mut workloads, mut above, mut pods) = (0, [0, 0], [0, 0]);
    for (workload, counts) in count(input, planned).iter().filter(|(_, counts)| counts.replicas >= 2) {
        workloads += 1;
        let mut is_above = [false, false];
        let nodes = policy.max_per_node.map(|share| (share, counts.nodes.each_ref().map(values)));
        let zones = policy.max_per_zone.map(|share| (share, counts.zones.each_ref().map(values)));
        for (over, (share, [now, after])) in [("node", nodes), ("zone", zones)].into_iter().filter_map(set) {
            let limit = limit_of(share, counts.replicas);
            for (when, counts) in [&now, &after].into_iter().enumerate() {
                let excess: i64 = counts.iter().map(|count| (count - limit).max(0)).sum();
                pods[when] += excess;
                is_above[when] |= excess > 0;
            }
            let (before, end) = (now.iter().max().copied().unwrap_or(0), after.iter().max().copied().unwrap_or(0));
            if counts.moves && end > limit.max(before) {
                findings.error(
                    Check::Availability,
                    format_args!("{workload}: {end} of {} pods end on one {over}, {limit} may", counts.replicas),
                );
            }
        }
        for (count, is_above) in above.iter_mut().zip(is_above) {
            *count += u32::from(is_above);
        }
    }
    let told = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let expected = Dispersion {
        max_per_node: policy.max_per_node,
        max_per_zone: policy.max_per_zone,
        workloads,
        above_before: above[0],
        above_after: above[1],
        pods_before: told(pods[0]),
        pods_after: told(pods[1]),
    };
    if planned.report.dispersion != Some(expected) {
        findings.error(
            Check::Availability,
            format_args!("told of availability is {:?}, counted {expected:?}", planned.report.dispersion),
        );
    }
}

fn set<T>((over, limit): (&'static str, Option<T>)) -> Option<(&'static str, T)> {
    limit.map(|limit| (over, limit))
}

fn values<K>(counts: &BTreeMap<K, i64>) -> Vec<i64> {
    counts.values().copied().collect()
}

/// A share of the replicas, rounded down, and one at least.
fn limit_of(share: Ppm, replicas: i64) -> i64 {
    i64::try_from(i128::from(share.0) * i128::from(replicas) / i128::from(Ppm::percent(100).0))
        .map_or(1, |most| most.max(1))
}

fn count<'a>(input: &'a PlanningInput, planned: &'a Planned) -> BTreeMap<&'a WorkloadId, Counts<'a>> {
    let ends: BTreeMap<_, &PodAction> =
        planned.report.pods.iter().map(|verdict| (&verdict.pod, &verdict.action)).collect();
    let counted = |pod: &&PodFact| {
        let waits = pod.node.is_none();
        let runs = pod.node.as_ref().is_some_and(|node| input.cluster.nodes.contains_key(node));
        !pod.finished() && pod.deletion_at.is_none() && !pod.mirror && (waits || runs)
    };
    let moved: BTreeSet<_> = planned.plan.moves.iter().map(|step| &step.pod).collect();
    let zone_of = |place: Place<'a>| match place {
        Place::Node(name) => input.cluster.nodes.get(name)?.labels.get(ZONE),
        Place::New(slot) => planned.plan.add.get(slot as usize).map(|machine| &machine.zone),
    };
    let mut all: BTreeMap<&WorkloadId, Counts<'a>> = BTreeMap::new();
    for pod in input.cluster.pods.values().filter(counted) {
        let Some(workload) = input.cluster.workload_of(pod).map(|workload| &workload.id) else { continue };
        if workload.kind == WorkloadKind::DaemonSet {
            continue;
        }
        let counts = all.entry(workload).or_default();
        counts.replicas += 1;
        counts.moves |= moved.contains(&pod.key);
        let now = pod.node.as_ref().map(Place::Node);
        let after = match ends.get(&pod.key) {
            Some(PodAction::Move(target) | PodAction::Place(target)) => Some(match target {
                Target::Node(name) => Place::Node(name),
                Target::New(slot) => Place::New(slot.0),
            }),
            Some(PodAction::Stay | PodAction::Unplaced) | None => now,
        };
        for (when, place) in [now, after].into_iter().enumerate() {
            let Some(place) = place else { continue };
            *counts.nodes[when].entry(place).or_default() += 1;
            if let Some(zone) = zone_of(place) {
                *counts.zones[when].entry(zone).or_default() += 1;
            }
        }
    }
    all
}
