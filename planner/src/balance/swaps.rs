//! Swaps of CPU-heavy pods against memory-heavy ones.
//!
//! Each round takes, of the nodes with most CPU in excess and those with most memory, the pod or the pair of
//! pods whose change of place takes away most entropy for what it takes to move. It must be possible one after
//! the other: where both nodes are too full for either pod to come first, the swap is not made. Ends after so
//! many rounds, or when no swap takes away enough for each pod that moves.

use std::collections::BTreeMap;

use super::Scale;
use crate::model::{Amounts, Model, add, subtract};
use crate::sequence::Change;
use crate::shifts::{self, Aim};
use crate::state::State;

/// Most rounds, of one swap each.
const ROUNDS: usize = 50;
/// Nodes with CPU in excess, and with memory, among which a round chooses.
const CONSIDERED: usize = 12;
/// Entropy that a swap must take away for each pod that moves, in millionths of a node.
const LEAST_GAIN: i64 = 10_000;

/// A pod that goes to a host.
type Step = (usize, usize);

/// The change that a balanced placement asks for; `None` where no swap helps.
pub(crate) fn propose<'m, 'a>(model: &'m Model<'a>, scale: &Scale) -> Option<(Change, State<'m, 'a>)> {
    let mut search = Swaps {
        model,
        scale,
        releasing: shifts::releasing(model),
        state: State::present(model, 0),
        moved: vec![false; model.items.len()],
    };
    let mut steps: Vec<Step> = Vec::new();
    for _ in 0..ROUNDS {
        let Some(swap) = search.best() else { break };
        steps.extend(search.carry_out(&swap));
    }
    shifts::change_of(model, &steps, Aim::Balance).map(|change| (change, search.state))
}

struct Swaps<'s, 'm, 'a> {
    model: &'m Model<'a>,
    scale: &'s Scale,
    releasing: Vec<bool>,
    state: State<'m, 'a>,
    /// By item.
    moved: Vec<bool>,
}

/// Two pods change places, or one goes to the other's host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Swap {
    first: Step,
    second: Option<Step>,
}

impl Swaps<'_, '_, '_> {
    /// The swap that takes away most for what it takes to move; among equals the first.
    fn best(&mut self) -> Option<Swap> {
        let mut tilts: Vec<(i64, usize)> = (0..self.state.nodes())
            .filter(|host| self.model.hosts[*host].receives)
            .map(|host| (self.scale.tilt(host, &self.state.room[host]), host))
            .collect();
        tilts.sort_unstable();
        let few = CONSIDERED.min(tilts.len() / 2 + 1);
        let heavy_in_memory: Vec<usize> = tilts.iter().take(few).map(|(_, host)| *host).collect();
        let heavy_in_cpu: Vec<usize> = tilts.iter().rev().take(few).map(|(_, host)| *host).collect();
        let mut best: Option<(i64, Swap)> = None;
        for cpu in &heavy_in_cpu {
            for memory in heavy_in_memory.iter().filter(|memory| *memory != cpu) {
                self.between(*cpu, *memory, &mut best);
            }
        }
        best.map(|(_, swap)| swap)
    }

    /// The best of the swaps between two hosts, if it is better than what is known.
    fn between(&mut self, cpu: usize, memory: usize, best: &mut Option<(i64, Swap)>) {
        let (here, there) = (self.movable(cpu), self.movable(memory));
        let none = [None];
        let options = |items: &[usize]| items.iter().copied().map(Some).chain(none).collect::<Vec<Option<usize>>>();
        for a in options(&here) {
            for b in options(&there) {
                let steps: Vec<Step> =
                    a.map(|item| (item, memory)).into_iter().chain(b.map(|item| (item, cpu))).collect();
                let [first, rest @ ..] = &steps[..] else { continue };
                let gain = self.gain(cpu, memory, a, b);
                let pods = i64::try_from(steps.len()).unwrap_or(2);
                let toll: i64 = steps.iter().map(|(item, _)| shifts::toll_of(self.model, *item)).sum();
                if gain < LEAST_GAIN * pods {
                    continue;
                }
                let rate = gain.saturating_mul(1_000) / toll.max(1);
                if best.is_some_and(|(most, _)| rate <= most) {
                    continue;
                }
                if let Some(swap) = self.possible(*first, rest.first().copied()) {
                    *best = Some((rate, swap));
                }
            }
        }
    }

    /// One pod of each class that may move off a host, the one that takes least.
    fn movable(&self, host: usize) -> Vec<usize> {
        if !self.releasing[host] {
            return Vec::new();
        }
        let mut by_class: BTreeMap<usize, (i64, usize)> = BTreeMap::new();
        for item in self.state.pods[host].iter().copied() {
            if !self.moved[item] && shifts::may_shift(self.model, item) {
                let toll = (shifts::toll_of(self.model, item), item);
                let least = by_class.entry(self.model.items[item].class).or_insert(toll);
                *least = (*least).min(toll);
            }
        }
        by_class.into_values().map(|(_, item)| item).collect()
    }

    /// Entropy that is taken away when a pod goes from the one host to the other, and one comes back.
    fn gain(&self, cpu: usize, memory: usize, a: Option<usize>, b: Option<usize>) -> i64 {
        let request = |item: usize| -> &Amounts { &self.model.classes[self.model.items[item].class].request };
        let (mut here, mut there) = (self.state.room[cpu], self.state.room[memory]);
        let before = self.scale.tilt(cpu, &here).abs() + self.scale.tilt(memory, &there).abs();
        if let Some(item) = a {
            add(&mut here, request(item));
            subtract(&mut there, request(item));
        }
        if let Some(item) = b {
            subtract(&mut here, request(item));
            add(&mut there, request(item));
        }
        before - self.scale.tilt(cpu, &here).abs() - self.scale.tilt(memory, &there).abs()
    }

    /// The swap in an order in which each pod finds room when its turn comes.
    fn possible(&mut self, first: Step, second: Option<Step>) -> Option<Swap> {
        let orders = [Some(Swap { first, second }), second.map(|second| Swap { first: second, second: Some(first) })];
        orders.into_iter().flatten().find(|swap| {
            let mark = self.state.mark();
            let done = self.try_step(swap.first) && swap.second.is_none_or(|second| self.try_step(second));
            self.state.undo(mark);
            done
        })
    }

    fn try_step(&mut self, (item, host): Step) -> bool {
        shifts::suits(self.model, item, host)
            && !shifts::crowds(&self.state, item, host)
            && shifts::try_move(&mut self.state, item, host)
    }

    fn carry_out(&mut self, swap: &Swap) -> Vec<Step> {
        let steps: Vec<Step> = std::iter::once(swap.first).chain(swap.second).collect();
        for step in &steps {
            self.try_step(*step);
            self.moved[step.0] = true;
        }
        self.state.commit();
        steps
    }
}
