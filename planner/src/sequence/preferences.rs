//! Which of the hosts that take a pod the scheduler prefers, on the compiled model.
//!
//! The scores of the default plugins that differ on an ordinary cluster: NodeResourcesFit (least
//! allocated), NodeResourcesBalancedAllocation, and PodTopologySpread with the scheduler's own soft
//! constraints for pods of one ReplicaSet or StatefulSet. Preferences that a pod states itself are
//! left to the reference model.

use std::collections::BTreeMap;

use journal_schema::facts::OwnerKind;

use crate::model::{CPU, MEMORY};
use crate::state::State;

/// No group.
const NONE: usize = usize::MAX;

/// The scheduler's preferences.
pub(super) struct Preferences {
    /// By slot: it takes no new pod.
    leaving: Vec<bool>,
    /// By slot: allocatable CPU and memory.
    total: Vec<[i64; 2]>,
    /// By slot: the number of its zone.
    zone: Vec<usize>,
    zones: usize,
    /// By item: the ReplicaSet or StatefulSet it is spread with.
    group: Vec<usize>,
    /// By group and slot: its pods there.
    on_host: Vec<BTreeMap<usize, i64>>,
    /// By group and zone.
    in_zone: Vec<Vec<i64>>,
    /// Slots in the order of their names: among equals the first is chosen.
    order: Vec<usize>,
}

impl Preferences {
    pub(super) fn new(state: &State<'_, '_>, leaving: Vec<bool>) -> Self {
        let model = state.model;
        let mut zones: BTreeMap<String, usize> = BTreeMap::new();
        let (mut total, mut zone, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for slot in 0..state.open.len() {
            if !state.open[slot] {
                total.push([1, 1]);
                zone.push(0);
                continue;
            }
            let (allocatable, own_zone) = if slot < state.nodes() {
                let fact = model.hosts[slot].fact;
                names.push((fact.name.to_string(), slot));
                (&fact.allocatable, crate::eligibility::zone_of(fact).to_owned())
            } else {
                let pool = &model.input.pools[model.machines[state.machine[slot]].offer.pool];
                names.push((super::reference::new_name(slot - state.nodes()).to_string(), slot));
                (&pool.allocatable, pool.zone.to_string())
            };
            total.push([allocatable.cpu.0.max(1), allocatable.memory.0.max(1)]);
            let next = zones.len();
            zone.push(*zones.entry(own_zone).or_insert(next));
        }
        names.sort();
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        let mut group = Vec::new();
        for item in &model.items {
            let owner =
                item.fact.owner.as_ref().filter(|o| matches!(o.kind, OwnerKind::ReplicaSet | OwnerKind::StatefulSet));
            group.push(match owner {
                Some(owner) => {
                    let next = groups.len();
                    *groups.entry(owner.uid.as_str()).or_insert(next)
                }
                None => NONE,
            });
        }
        let mut preferences = Self {
            leaving,
            total,
            zones: zones.len(),
            zone,
            on_host: vec![BTreeMap::new(); groups.len()],
            in_zone: vec![vec![0; zones.len()]; groups.len()],
            group,
            order: names.into_iter().map(|(_, slot)| slot).collect(),
        };
        for (item, host) in state.at.iter().enumerate() {
            if *host != crate::state::NOWHERE {
                preferences.arrived(item, *host);
            }
        }
        preferences
    }

    /// Counts a pod that came to a host.
    pub(super) fn arrived(&mut self, item: usize, host: usize) {
        let group = self.group[item];
        if group != NONE {
            *self.on_host[group].entry(host).or_default() += 1;
            self.in_zone[group][self.zone[host]] += 1;
        }
    }

    /// Counts a pod that left a host.
    pub(super) fn left(&mut self, item: usize, host: usize) {
        let group = self.group[item];
        if group != NONE {
            *self.on_host[group].entry(host).or_default() -= 1;
            self.in_zone[group][self.zone[host]] -= 1;
        }
    }

    /// The host that the scheduler would choose; `None` when none takes the item.
    pub(super) fn choose(&self, state: &State<'_, '_>, item: usize) -> Option<usize> {
        let class = state.model.items[item].class;
        let feasible: Vec<usize> = self
            .order
            .iter()
            .copied()
            .filter(|host| state.open[*host] && !self.leaving[*host] && state.fits(class, *host))
            .collect();
        if let [only] = feasible[..] {
            return Some(only);
        }
        let spread = self.spread(state, item, &feasible);
        let request = &state.model.classes[class].request;
        let mut best: Option<(i64, usize)> = None;
        for (index, host) in feasible.iter().enumerate() {
            let total = self.total[*host];
            let room = &state.room[*host];
            let free = [room[CPU] - request[CPU], room[MEMORY] - request[MEMORY]];
            // A pebibyte in thousandths is still far from the largest integer.
            let share = |dim: usize, amount: i64| amount.max(0) * 1000 / total[dim];
            let least_allocated = i64::midpoint(share(0, free[0]) / 10, share(1, free[1]) / 10);
            let distance = |a: i64, b: i64| (share(0, a) - share(1, b)).abs() / 2;
            // 50 to 100 by how much the pod improves the balance; 75 when it changes nothing.
            let better = (distance(room[CPU], room[MEMORY]) - distance(free[0], free[1])) / 10;
            let score = least_allocated + 50 + (50 + better) / 2 + 2 * spread.get(index).copied().unwrap_or(0);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, *host));
            }
        }
        best.map(|(_, host)| host)
    }

    /// Scores from 0 to 100 by few pods of the same group on the host and in the zone.
    fn spread(&self, state: &State<'_, '_>, item: usize, feasible: &[usize]) -> Vec<i64> {
        let group = self.group[item];
        if group == NONE || !state.model.items[item].fact.spec.spread.is_empty() {
            return Vec::new();
        }
        let mut present = vec![false; self.zones];
        for host in feasible {
            present[self.zone[*host]] = true;
        }
        let weights = (thousand_ln(feasible.len() + 2), thousand_ln(present.iter().filter(|p| **p).count() + 2));
        // Three per host and five per zone are free: their constant is the same on every host.
        let raw: Vec<i64> = feasible
            .iter()
            .map(|host| {
                let here = self.on_host[group].get(host).copied().unwrap_or(0);
                (here * weights.0 + self.in_zone[group][self.zone[*host]] * weights.1 + 500) / 1000 + 6
            })
            .collect();
        let (most, least) = (raw.iter().copied().max().unwrap_or(0), raw.iter().copied().min().unwrap_or(0));
        raw.into_iter().map(|count| if most == 0 { 100 } else { 100 * (most + least - count) / most }).collect()
    }
}

/// A thousand times the natural logarithm, between powers of two by a straight line: within 6 %.
fn thousand_ln(n: usize) -> i64 {
    let n = n.max(1);
    let power = n.ilog2();
    let base = 1usize << power;
    let part = i64::try_from((n - base) * 693 / base).unwrap_or(0);
    i64::from(power) * 693 + part
}
