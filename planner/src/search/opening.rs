//! Which host is opened next for the pods of a pool: the one that takes most worth for its price.

use std::cmp::Ordering;

use super::ground::Good;
use super::ruin::{MOST_RUINED, Search};
use super::{PER_HOST, drain};
use crate::state::{NOWHERE, State, has_room};

/// Machines that are tried for all of the rest at once.
const TRIED_FOR_ALL: usize = 3;

/// What a host costs for what it takes: the lower the better. Ordered by the quotient, and of equal ones the smaller
/// host first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    cost: i64,
    worth: i64,
}

impl Rate {
    fn new(cost: i64, worth: i64) -> Self {
        Self { cost: cost.max(0) + PER_HOST, worth: worth.max(0) }
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |cost: i64, worth: i64| i128::from(cost) * i128::from(worth);
        let quotient = product(self.cost, other.worth).cmp(&product(other.cost, self.worth));
        quotient.then(self.cost.cmp(&other.cost)).then(other.worth.cmp(&self.worth))
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A host that may be opened.
#[derive(Clone, Copy, Debug)]
enum Opened {
    /// A present node that was closed, by its slot.
    Again(usize),
    /// A machine.
    Machine(usize),
}

/// The best host to open so far.
struct Best {
    rate: Rate,
    opened: Opened,
}

/// Takes note of a host, if it is the best so far.
fn consider(best: &mut Option<Best>, rate: Rate, opened: Opened) {
    if rate.worth > 0 && best.as_ref().is_none_or(|best| rate < best.rate) {
        *best = Some(Best { rate, opened });
    }
}

impl Search<'_, '_> {
    /// Opens the host that takes most worth for its price and packs it; `false` when none takes anything.
    pub(super) fn open_best(&mut self, state: &mut State<'_, '_>) -> bool {
        self.trial.forget();
        let mut best: Option<Best> = None;
        for index in 0..self.ruined.len() {
            let host = self.ruined[index];
            if host >= state.nodes() || state.open[host] {
                continue;
            }
            let (mark, pool) = (state.mark(), self.pool.mark());
            let before = self.pool.worth;
            if self.bring_home(state, host) {
                self.pack(state, host);
                consider(
                    &mut best,
                    Rate::new(self.cost_of(state, host), before - self.pool.worth),
                    Opened::Again(host),
                );
            }
            state.undo(mark);
            self.pool.undo(pool);
        }
        let mut tried = [usize::MAX; MOST_RUINED + 1];
        let elsewhere = self.random.chance(20).then(|| self.random.below(self.ground.good.len()));
        let elsewhere = elsewhere.filter(|_| self.scope.place.is_none());
        let ruined = self.ruined.iter().map(|host| self.ground.places[state.sig[*host]]);
        for (place, number) in tried.iter_mut().zip(ruined.chain(elsewhere)) {
            *place = number;
        }
        if self.ruined.is_empty() {
            let places = self.scope.place.map_or(0..self.ground.good.len(), |place| place..place + 1);
            places.for_each(|place| self.try_machines(state, place, &mut best));
        }
        for index in 0..tried.len() {
            if tried[index] != usize::MAX && !tried[..index].contains(&tried[index]) {
                self.try_machines(state, tried[index], &mut best);
            }
        }
        self.consider_for_all(state, &mut best);
        match best {
            Some(Best { opened: Opened::Again(host), .. }) => {
                self.bring_home(state, host);
                self.trial.forget_all();
                self.pack(state, host);
                true
            }
            Some(Best { opened: Opened::Machine(machine), .. }) => self.boot(state, machine),
            None => self.cheapest_for_one(state),
        }
    }

    /// Tries the machines of a place that are worth trying, those first that could take most worth for their price.
    fn try_machines(&mut self, state: &State<'_, '_>, place: usize, best: &mut Option<Best>) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for (number, good) in self.ground.good[place].iter().enumerate() {
            let most = self.trial.most_worth(state, good.machine, good.room, &self.pool);
            let rate = Rate::new(state.price_to_boot(good.machine), most);
            if best.as_ref().is_none_or(|best| rate <= best.rate) {
                order.push((rate, number));
            }
        }
        order.sort_unstable();
        for (rate, number) in &order {
            if best.as_ref().is_some_and(|best| *rate > best.rate) {
                break;
            }
            let Good { machine, only, .. } = &self.ground.good[place][*number];
            let asked =
                only.as_ref().is_none_or(|only| self.pool.lots.iter().any(|lot| lot.count > 0 && only[lot.class]));
            if asked && state.may_boot(*machine) {
                let worth = self.trial.pack(state, *machine, &self.pool);
                debug_assert!(worth <= rate.worth, "a machine takes more than it could");
                consider(best, Rate::new(state.price_to_boot(*machine), worth), Opened::Machine(*machine));
            }
        }
        self.order = order;
    }

    /// Boots a machine and packs it as it was tried, or better; `false` when that is not possible.
    pub(super) fn boot(&mut self, state: &mut State<'_, '_>, machine: usize) -> bool {
        let worth = self.trial.pack(state, machine, &self.pool);
        if worth < self.pool.worth {
            self.trial.complete(state, machine, &self.pool);
        }
        let Some(host) = state.boot(machine) else { return false };
        for (lot, count) in &self.trial.picks {
            for _ in 0..*count {
                debug_assert!(state.fits(self.pool.lots[*lot].class, host), "tried, and does not fit");
                state.place(self.pool.take(*lot), host);
            }
        }
        worth > 0
    }

    /// The cheapest machines that could take the whole pool by volume.
    fn consider_for_all(&mut self, state: &State<'_, '_>, best: &mut Option<Best>) {
        let model = state.model;
        let volume = self.pool.volume(model);
        let mut tried = 0;
        for machine in self.ground.by_price(state, self.scope.place).iter() {
            if !has_room(&volume, &model.machines[*machine].room, model.dims) || !state.may_boot(*machine) {
                continue;
            }
            let rate = Rate::new(state.price_to_boot(*machine), self.pool.worth);
            if tried == TRIED_FOR_ALL || best.as_ref().is_some_and(|best| rate >= best.rate) {
                return;
            }
            tried += 1;
            if self.trial.pack(state, *machine, &self.pool) == self.pool.worth {
                *best = Some(Best { rate, opened: Opened::Machine(*machine) });
                return;
            }
        }
    }

    /// Boots the cheapest machine that takes the first pod of the pool.
    fn cheapest_for_one(&mut self, state: &mut State<'_, '_>) -> bool {
        if self.scope.is_part() {
            return false;
        }
        let Some(lot) = self.pool.lots.iter().position(|lot| lot.count > 0) else { return true };
        let item = self.pool.take(lot);
        drain::boot_for(state, item);
        let host = state.at[item];
        if host == NOWHERE {
            return false;
        }
        self.pack(state, host);
        true
    }

    /// Packs what fits onto an open host, in the pool's order.
    fn pack(&mut self, state: &mut State<'_, '_>, host: usize) {
        let place = self.ground.places[state.sig[host]];
        for index in 0..self.pool.lots.len() {
            if !self.pool.lots[index].may_be_in(place) {
                continue;
            }
            while self.pool.lots[index].count > 0 && state.fits(self.pool.lots[index].class, host) {
                state.place(self.pool.take(index), host);
            }
        }
    }
}
