//! What helps pods that no node takes: one more machine, or a node that stays after all.

use std::ops::Range;

use crate::bound::Bound;
use crate::model::Model;
use crate::sequence::Change;
use crate::state::State;

/// Most machines that are added at a time.
pub(crate) const SPARE_SLOTS: usize = 48;
/// Of the remedies found, one in this many comes first.
const CAUTION: usize = 4;
/// A node stays rather than that a machine is booted when it takes pods at this much lower a rate.
const HOME_FACTOR: i64 = 3;

/// Remedies for the pods that get stuck in the rehearsal of a change.
pub(crate) struct Remedies {
    /// Machines to boot beside those of the change.
    machines: Vec<usize>,
    /// Nodes that stay, with their pods.
    stay: Vec<usize>,
}

impl Remedies {
    /// For the stuck pods, again and again the remedy that costs least for what it takes. Time: machines
    /// offered × stuck pods, for each remedy.
    pub(crate) fn find(state: &mut State<'_, '_>, bound: &Bound, change: &Change, mut stuck: Vec<usize>) -> Self {
        let (mut machines, mut stay): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        while !stuck.is_empty() {
            let home = cheapest_home(state, bound, change, &stuck, &stay);
            let machine = cheapest_machine(state, bound, &stuck);
            match (machine, home) {
                (Some((rate, machine)), home)
                    if home.is_none_or(|(other, _)| rate < other.saturating_mul(HOME_FACTOR))
                        && machines.len() < SPARE_SLOTS =>
                {
                    let Some(host) = state.boot(machine) else { break };
                    machines.push(machine);
                    stuck.retain(|item| !state.try_place(*item, host));
                }
                (_, Some((_, home))) => {
                    stay.push(home);
                    stuck.retain(|item| state.model.items[*item].home != Some(home));
                }
                (_, None) => break,
            }
        }
        Self { machines, stay }
    }

    /// The first of them, to be tried before more are taken: room that the scheduler chooses for itself
    /// relieves more pods than those that got stuck for want of it.
    pub(crate) fn first(mut self) -> Self {
        let few = (self.machines.len() + self.stay.len()).div_ceil(CAUTION);
        self.machines.truncate(few);
        self.stay.truncate(few - self.machines.len());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.stay.is_empty()
    }

    /// Takes them in a change; the slots of the machines.
    pub(crate) fn apply(self, model: &Model<'_>, change: &mut Change) -> Range<usize> {
        change.keep(model, &self.stay);
        let first = model.hosts.len() + change.machines.len();
        change.machines.extend(self.machines);
        first..model.hosts.len() + change.machines.len()
    }
}

/// The machine that takes stuck pods at the least price for their worth, and that rate.
fn cheapest_machine(state: &mut State<'_, '_>, bound: &Bound, stuck: &[usize]) -> Option<(i64, usize)> {
    let model = state.model;
    let mut best: Option<(i64, usize)> = None;
    for index in 0..model.machines.len() {
        let (mark, price) = (state.mark(), state.price_to_boot(index));
        let Some(host) = state.boot(index) else { continue };
        let mut worth = 0;
        for item in stuck {
            if state.try_place(*item, host) {
                worth += bound.worth[model.items[*item].class].max(1);
            }
        }
        state.undo(mark);
        if worth > 0 {
            let rate = i64::try_from(i128::from(price) * 1_000_000 / i128::from(worth)).unwrap_or(i64::MAX);
            if best.is_none_or(|(least, _)| rate < least) {
                best = Some((rate, index));
            }
        }
    }
    best
}

/// The node of a stuck pod that stays at the least price for the worth of its pods, and that rate.
fn cheapest_home(
    state: &State<'_, '_>,
    bound: &Bound,
    change: &Change,
    stuck: &[usize],
    stay: &[usize],
) -> Option<(i64, usize)> {
    let model = state.model;
    let homes = stuck
        .iter()
        .filter_map(|item| model.items[*item].home)
        .filter(|home| change.leaving.contains(home) && !stay.contains(home));
    homes
        .map(|home| {
            let host = &model.hosts[home];
            let worth: i64 = host.home.iter().map(|item| bound.worth[model.items[*item].class].max(1)).sum();
            let rate = i128::from(host.price.unwrap_or(0)) * 1_000_000 / i128::from(worth.max(1));
            (i64::try_from(rate).unwrap_or(i64::MAX), home)
        })
        .min()
}
