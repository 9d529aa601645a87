//! Which of the hosts that take a pod the scheduler prefers, on the compiled model.
//!
//! The scores of the default plugins that differ on an ordinary cluster: NodeResourcesFit (least
//! allocated), NodeResourcesBalancedAllocation, and PodTopologySpread with the scheduler's own soft
//! constraints for pods of one ReplicaSet or StatefulSet, by its selector. Preferences that a pod states itself are
//! left to the reference model.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::groups::Groups;
use crate::model::{CPU, MEMORY};
use crate::scheduler::spread::natural_log;
use crate::search::random::Random;
use crate::state::State;

/// The scheduler's preferences.
pub(super) struct Preferences {
    /// By slot: allocatable CPU and memory.
    total: Vec<[i64; 2]>,
    /// By slot: the number of its zone.
    zone: Vec<usize>,
    zones: usize,
    groups: Arc<Groups>,
    /// By group and slot: its pods there.
    on_host: Vec<BTreeMap<usize, i64>>,
    /// By group and zone.
    in_zone: Vec<Vec<i64>>,
    /// Slots that take new pods, in the order of their names: among equals the first is chosen.
    order: Vec<usize>,
    /// Slots that the scheduler is led to, in the same order; `None`: nothing leads it.
    open: Option<Vec<usize>>,
    /// By slot: whether the others can be closed to what moves.
    steered: Vec<bool>,
}

impl Preferences {
    pub(super) fn new(state: &State<'_, '_>, leaving: &[bool]) -> Self {
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
        let receives = |slot: &usize| !leaving[*slot] && model.hosts.get(*slot).is_none_or(|host| host.receives);
        let groups = Arc::clone(&model.groups);
        let mut preferences = Self {
            total,
            zones: zones.len(),
            zone,
            on_host: vec![BTreeMap::new(); groups.count],
            in_zone: vec![vec![0; zones.len()]; groups.count],
            groups,
            order: names.into_iter().map(|(_, slot)| slot).filter(receives).collect(),
            open: None,
            steered: (0..state.open.len()).map(|slot| model.is_steered(slot)).collect(),
        };
        for (item, host) in state.at.iter().enumerate() {
            if *host != crate::state::NOWHERE {
                preferences.arrived(item, *host);
            }
        }
        preferences
    }

    /// Draws the order in which hosts are chosen among equals.
    pub(super) fn shuffle(&mut self, random: &mut Random) {
        random.shuffle(&mut self.order);
    }

    /// Leads the scheduler to these hosts, beside those that cannot be closed to it.
    pub(super) fn open(&mut self, hosts: &[usize]) {
        let open = |slot: &usize| !self.steered[*slot] || hosts.contains(slot);
        self.open = Some(self.order.iter().copied().filter(open).collect());
    }

    /// Counts a pod that came to a host.
    pub(super) fn arrived(&mut self, item: usize, host: usize) {
        self.count(item, host, 1);
    }

    /// Counts a pod that left a host.
    pub(super) fn left(&mut self, item: usize, host: usize) {
        self.count(item, host, -1);
    }

    fn count(&mut self, item: usize, host: usize, by: i64) {
        for group in self.groups.counting(item) {
            *self.on_host[*group].entry(host).or_default() += by;
            self.in_zone[*group][self.zone[host]] += by;
        }
    }

    /// The host that the scheduler would choose; `None` when none takes the item.
    pub(super) fn choose(&self, state: &State<'_, '_>, item: usize) -> Option<usize> {
        let class = state.model.items[item].class;
        let fitting = |hosts: &[usize]| -> Vec<usize> {
            hosts.iter().copied().filter(|host| state.admits(class, *host)).collect()
        };
        let mut feasible = self.open.as_deref().map(fitting).unwrap_or_default();
        if feasible.is_empty() {
            feasible = fitting(&self.order);
        }
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
            let free_share = |dim: usize| free[dim].max(0) * 100 / total[dim];
            let least_allocated = i64::midpoint(free_share(0), free_share(1));
            // 50 to 100 by how much the pod improves the balance; 75 when it changes nothing.
            let better = balance(total, free) - balance(total, [room[CPU], room[MEMORY]]);
            let balanced = if request[CPU] == 0 && request[MEMORY] == 0 { 0 } else { 50 + (50 + better) / 2 };
            let score = least_allocated + balanced + 2 * spread.get(index).copied().unwrap_or(0);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, *host));
            }
        }
        best.map(|(_, host)| host)
    }

    /// Scores from 0 to 100 by few pods of the same group on the host and in the zone.
    fn spread(&self, state: &State<'_, '_>, item: usize, feasible: &[usize]) -> Vec<i64> {
        let Some(group) = self.groups.own[item].filter(|_| state.model.items[item].fact.spec.spread.is_empty()) else {
            return Vec::new();
        };
        let mut present = vec![false; self.zones];
        for host in feasible {
            present[self.zone[*host]] = true;
        }
        let weights = (millionths_ln(feasible.len() + 2), millionths_ln(present.iter().filter(|p| **p).count() + 2));
        // Three per host and five per zone are free: their constant is the same on every host.
        let raw: Vec<i64> = feasible
            .iter()
            .map(|host| {
                let here = self.on_host[group].get(host).copied().unwrap_or(0);
                (here * weights.0 + self.in_zone[group][self.zone[*host]] * weights.1 + 500_000) / 1_000_000 + 6
            })
            .collect();
        let (most, least) = (raw.iter().copied().max().unwrap_or(0), raw.iter().copied().min().unwrap_or(0));
        raw.into_iter().map(|count| if most == 0 { 100 } else { 100 * (most + least - count) / most }).collect()
    }
}

/// 100 × (1 − half the distance of the used shares of CPU and memory), rounded down.
fn balance(total: [i64; 2], free: [i64; 2]) -> i64 {
    let wide = |dim: usize| (i128::from((total[dim] - free[dim]).min(total[dim])), i128::from(total[dim]));
    let ((cpu, cpus), (memory, memories)) = (wide(0), wide(1));
    let (distance, whole) = ((cpu * memories - memory * cpus).abs(), cpus * memories);
    i64::try_from((whole * 100 - distance * 50).div_euclid(whole)).unwrap_or(0)
}

/// A million times the natural logarithm.
fn millionths_ln(n: usize) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number of nodes is small")]
    let rounded = (natural_log(n) * 1e6).round() as i64;
    rounded
}
