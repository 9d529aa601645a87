//! Availability: one failure of a node, or of a zone, takes at most a share of a workload's replicas.
//!
//! The policy's limits become caps, of the pods that a workload may have on one host or in one zone. They bind
//! workloads of two replicas and more, and are never below one pod. Where a workload is above its limit now, what
//! it has most of in one place is its cap: a plan makes nobody worse, and better only where that is what it is for.
//!
//! The scheduler knows nothing of caps. The search does not exceed them ([`State::fits`]), and a rehearsal shows
//! what the scheduler makes of a placement ([`State::admits`]); a candidate that ends beyond a cap is dearer by more
//! than it could save ([`CROWDED`]), and the linter refuses the plan.
//!
//! Under the objective of availability machines stay, and pods of workloads above the limits move: the place with
//! most pods too many loses one to the place with the smallest share of the workload, until nobody is above, or
//! nothing helps.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{PodFact, WorkloadId, WorkloadKind};
use journal_schema::plan::Dispersion;
use journal_schema::policy::Availability;
use journal_schema::units::Ppm;

use crate::model::Model;
use crate::relations::Topology;
use crate::sequence::Change;
use crate::shifts::{self, Aim};
use crate::state::State;

/// Price of a pod beyond a cap, in micro-USD per hour: more than any plan saves, and less than a pod without a place.
pub(crate) const CROWDED: i64 = 100_000_000_000;
/// Most pods that move.
const MOST_MOVES: usize = 50;
/// Nodes that are tried for a pod, those with the fewest of its workload first.
const CONSIDERED: usize = 16;

/// A limit of one workload, over hosts or over zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) over: Over,
    /// Most pods in one place.
    pub(crate) limit: i64,
}

/// Of what a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    Nodes,
    Zones,
}

/// The limits of all workloads.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) list: Vec<Rule>,
    /// By pod of the list they are of: its rules, by index.
    pub(crate) of_pod: Vec<Vec<usize>>,
}

impl Rules {
    /// The rules for pods and the workloads that they are of.
    pub(crate) fn new<'a>(
        policy: &Availability,
        pods: impl Iterator<Item = (&'a PodFact, Option<&'a WorkloadId>)> + Clone,
    ) -> Self {
        let limits = [(Over::Nodes, policy.max_per_node), (Over::Zones, policy.max_per_zone)];
        let set: Vec<(Over, Ppm)> = limits.into_iter().filter_map(|(over, share)| Some((over, share?))).collect();
        if set.is_empty() {
            return Self::default();
        }
        let counted = |(pod, workload): (&'a PodFact, Option<&'a WorkloadId>)| {
            let runs = pod.deletion_at.is_none() && !pod.mirror;
            workload.filter(|workload| runs && workload.kind != WorkloadKind::DaemonSet)
        };
        let mut replicas: BTreeMap<&WorkloadId, i64> = BTreeMap::new();
        for workload in pods.clone().filter_map(counted) {
            *replicas.entry(workload).or_default() += 1;
        }
        let mut first: BTreeMap<&WorkloadId, usize> = BTreeMap::new();
        let mut list = Vec::new();
        for (workload, replicas) in replicas.into_iter().filter(|(_, replicas)| *replicas >= 2) {
            first.insert(workload, list.len());
            list.extend(set.iter().map(|(over, share)| Rule { over: *over, limit: most_of(replicas, *share) }));
        }
        let rules = |workload: &WorkloadId| {
            first.get(workload).map_or_else(Vec::new, |first| (*first..first + set.len()).collect())
        };
        let of_pod = pods.map(|pod| counted(pod).map_or_else(Vec::new, rules)).collect();
        Self { list, of_pod }
    }
}

/// A share of replicas, rounded down, and one at least.
fn most_of(replicas: i64, share: Ppm) -> i64 {
    let most = i128::from(replicas) * i128::from(share.0.max(0)) / 1_000_000;
    i64::try_from(most).unwrap_or(i64::MAX).max(1)
}

/// For the report; `None` where no limit is set.
pub(crate) fn report(model: &Model<'_>, before: &State<'_, '_>, after: &State<'_, '_>) -> Option<Dispersion> {
    let policy = &model.input.policy.optimize.availability;
    if policy.max_per_node.is_none() && policy.max_per_zone.is_none() {
        return None;
    }
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let (limited, above_before, above_after) = workloads(model, before, after);
    Some(Dispersion {
        max_per_node: policy.max_per_node,
        max_per_zone: policy.max_per_zone,
        workloads: count(limited),
        above_before: count(above_before),
        above_after: count(above_after),
        pods_before: count(before.above_limits()),
        pods_after: count(after.above_limits()),
    })
}

/// How many workloads have limits, and how many of them are above one in each of two placements.
fn workloads(model: &Model<'_>, before: &State<'_, '_>, after: &State<'_, '_>) -> (i64, i64, i64) {
    let of_workload: BTreeSet<&[usize]> =
        model.relations.profiles.iter().map(|profile| &profile.caps[..]).filter(|caps| !caps.is_empty()).collect();
    let above = |state: &State<'_, '_>| {
        let excess = state.above_each_limit();
        of_workload.iter().filter(|caps| caps.iter().any(|cap| excess[*cap] > 0)).count() as i64
    };
    (of_workload.len() as i64, above(before), above(after))
}

/// The change that takes workloads below their limits; `None` where none is above or none can be helped.
pub(crate) fn propose<'m, 'a>(model: &'m Model<'a>) -> Option<(Change, State<'m, 'a>)> {
    let mut spreading = Spreading {
        releasing: shifts::releasing(model),
        state: State::present(model, 0),
        moved: vec![false; model.items.len()],
    };
    let (mut steps, mut given_up) = (Vec::new(), BTreeSet::new());
    while steps.len() < MOST_MOVES {
        let Some((cap, place)) = spreading.fullest(&given_up) else { break };
        match spreading.step(cap, place) {
            Some(step) => steps.push(step),
            None => {
                given_up.insert((cap, place));
            }
        }
    }
    shifts::change_of(model, &steps, Aim::Availability).map(|change| (change, spreading.state))
}

struct Spreading<'m, 'a> {
    /// By present node.
    releasing: Vec<bool>,
    state: State<'m, 'a>,
    /// By item.
    moved: Vec<bool>,
}

impl Spreading<'_, '_> {
    /// The cap and the domain with most pods above its limit.
    fn fullest(&self, given_up: &BTreeSet<(usize, usize)>) -> Option<(usize, usize)> {
        let all = self.state.crowds().into_iter().filter(|(cap, place, _)| !given_up.contains(&(*cap, *place)));
        let most = all.max_by_key(|(cap, place, excess)| (*excess, std::cmp::Reverse((*cap, *place))));
        most.map(|(cap, place, _)| (cap, place))
    }

    /// Moves a pod of a cap's workload out of a domain, the one that takes least to move; where it went.
    fn step(&mut self, cap: usize, place: usize) -> Option<(usize, usize)> {
        let model = self.state.model;
        let relations = &model.relations;
        let topology = relations.caps[cap].topology;
        let within = |host: usize| relations.domain(topology, self.state.sig[host], host) == Some(place);
        let hosts = (0..model.hosts.len()).filter(|host| self.releasing[*host] && within(*host));
        let mut pods: Vec<(i64, usize)> = hosts
            .flat_map(|host| self.state.pods[host].iter().copied())
            .filter(|item| relations.profiles[model.classes[model.items[*item].class].profile].caps.contains(&cap))
            .filter(|item| !self.moved[*item] && shifts::may_shift(model, *item))
            .map(|item| (shifts::toll_of(model, item), item))
            .collect();
        pods.sort_unstable();
        let mut outside: Vec<(u32, usize)> = (0..model.hosts.len())
            .filter(|host| model.hosts[*host].receives && !within(*host))
            .map(|host| (self.of_workload(cap, host), host))
            .collect();
        outside.sort_unstable();
        for (_, item) in pods {
            let class = model.items[item].class;
            let mut tried = 0;
            for (_, host) in &outside {
                if tried == CONSIDERED {
                    break;
                }
                if !self.state.stays_below_limits(item, *host) || !self.state.admits(class, *host) {
                    continue;
                }
                tried += 1;
                if shifts::suits(model, item, *host) {
                    self.state.lift(item);
                    self.state.place(item, *host);
                    self.moved[item] = true;
                    return Some((item, *host));
                }
            }
        }
        None
    }

    /// Pods of a cap's workload in the domain of a host, and then on the host itself.
    fn of_workload(&self, cap: usize, host: usize) -> u32 {
        let relations = &self.state.model.relations;
        let count = |topology: Topology| {
            let domain = relations.domain(topology, self.state.sig[host], host)?;
            Some(self.state.counters().count(topology, relations.cap_tally(cap), domain))
        };
        count(relations.caps[cap].topology).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_rounded_down_and_never_below_one_pod() {
        for (replicas, percent, most) in [(10, 50, 5), (3, 50, 1), (2, 10, 1), (7, 100, 7), (10, 33, 3)] {
            assert_eq!(most_of(replicas, Ppm::percent(percent)), most, "{percent} % of {replicas}");
        }
    }
}
