//! Ruin and recreate: close a few hosts, place their pods anew, keep what is cheaper.
//!
//! Which hosts are ruined and which machines are booted is guided by worth: the prices of the bound
//! say what a host's pods are worth, and a host that costs much more than that is a good one to
//! close. Worse placements are accepted for a while, less and less so, and the best one is kept.

use super::random::Random;
use super::{Goal, drain, spread_kept};
use crate::model::{Amounts, DIMS, add};
use crate::moves::MOVE;
use crate::state::{NOWHERE, State, has_room};

/// Steps after which the list of wasteful hosts is made again.
const HOT_LIST_STEPS: u32 = 128;
/// Most hosts that one step closes.
const MOST_RUINED: usize = 4;
/// Machines that are tried when the rest is packed.
const TRIED_MACHINES: usize = 30;
/// Pods of the rest that a machine is tried with; all of what fits is packed once it is chosen.
const TRIED_PODS: usize = 400;
/// Machines that are tried for all of the rest at once.
const TRIED_FOR_ALL: usize = 3;

/// A placement without its counters, to return to.
struct Snapshot {
    price: i64,
    at: Vec<usize>,
    open: Vec<bool>,
    machine: Vec<usize>,
}

impl Snapshot {
    fn of(state: &State<'_, '_>, price: i64) -> Self {
        Self { price, at: state.at.clone(), open: state.open.clone(), machine: state.machine.clone() }
    }

    /// The placement as a state; slots of new machines may be numbered anew.
    fn restore<'m, 'a>(&self, present: &State<'m, 'a>) -> State<'m, 'a> {
        let mut state = present.clone();
        let nodes = state.nodes();
        for host in (0..nodes).filter(|host| !self.open[*host]) {
            for item in state.pods[host].clone() {
                state.lift(item);
            }
            state.close(host);
        }
        let mut slots = vec![NOWHERE; self.open.len()];
        for (host, slot) in slots.iter_mut().enumerate() {
            if host < nodes {
                *slot = host;
            } else if self.open[host]
                && let Some(booted) = state.boot(self.machine[host])
            {
                *slot = booted;
            }
        }
        for item in 0..self.at.len() {
            let host = self.at[item];
            if host != NOWHERE && state.at[item] == NOWHERE && slots[host] != NOWHERE {
                state.place(item, slots[host]);
            }
        }
        state.commit();
        state
    }
}

/// The search's working memory.
struct Search<'g, 'b> {
    goal: &'g Goal<'b>,
    random: Random,
    /// Machines worth trying.
    good: Vec<usize>,
    hot: Vec<usize>,
    /// Hosts that may be closed and are open.
    closable: Vec<usize>,
    /// Present nodes that are closed.
    closed: Vec<usize>,
    /// Open hosts that take pods.
    receivers: Vec<usize>,
    /// Broken affinities of the present placement.
    lonely: u32,
    has_spread: bool,
}

/// Improves a placement by `steps` steps; never returns a worse one.
pub(super) fn improve<'m, 'a>(
    present: &State<'m, 'a>,
    start: State<'m, 'a>,
    goal: &Goal<'_>,
    steps: u32,
    seed: u64,
) -> State<'m, 'a> {
    let mut state = start;
    let mut search = Search::new(present, goal, seed);
    let mut price = goal.price(&state);
    let mut best = Snapshot::of(&state, price);
    let heat = typical_price(&state) / 12;
    for step in 0..steps {
        if step % HOT_LIST_STEPS == 0 {
            search.refresh(&state);
        }
        if search.closable.is_empty() && search.closed.is_empty() {
            break;
        }
        let mark = state.mark();
        let done = search.step(&mut state);
        let now = goal.price(&state);
        let left = i64::from(steps - step);
        let allowance = heat * left / i64::from(steps) * i64::try_from(search.random.next() % 1000).unwrap_or(0) / 1000;
        if done
            && now <= price + allowance
            && state.lonely() <= search.lonely
            && (!search.has_spread || spread_kept(&state))
        {
            state.commit();
            price = now;
            if price < best.price {
                best = Snapshot::of(&state, price);
            }
        } else {
            state.undo(mark);
        }
    }
    best.restore(present)
}

/// Closes the most wasteful `percent` of the nodes that may leave, or of those among them that are given, and
/// packs their pods anew: into the room of the others first, then onto new machines. `None` when a pod finds no
/// place.
pub(super) fn close_wasteful<'m, 'a>(
    start: &State<'m, 'a>,
    goal: &Goal<'_>,
    percent: usize,
    among: Option<&[usize]>,
) -> Option<State<'m, 'a>> {
    let mut state = start.clone();
    let mut search = Search::new(start, goal, goal.seed.wrapping_add(u64::try_from(percent).unwrap_or(0)));
    search.refresh(&state);
    let mut nodes: Vec<(i128, usize)> = search
        .closable
        .iter()
        .filter(|host| among.is_none_or(|among| among.contains(host)))
        .map(|host| {
            let runs: i64 = state.pods[*host].iter().map(|item| goal.bound.worth[state.model.items[*item].class]).sum();
            (-(i128::from(search.cost_of(&state, *host)) * 1_000_000 / i128::from(runs.max(1))), *host)
        })
        .collect();
    nodes.sort_unstable();
    nodes.truncate(nodes.len() * percent / 100);
    let (mut pool, mut ruined) = (Vec::new(), Vec::new());
    for (_, host) in nodes {
        search.ruin(&mut state, host, &mut pool, &mut ruined);
    }
    search.receivers.retain(|host| state.open[*host]);
    drain::by_worth(&state, goal, &mut pool);
    search.fill_from(&mut state, &mut pool, search.receivers.clone());
    while !pool.is_empty() {
        if !search.open_best(&mut state, &mut pool, &[]) {
            return None;
        }
    }
    if state.lonely() > search.lonely || !spread_kept(&state) {
        return None;
    }
    state.commit();
    Some(state)
}

/// The mean price of what may be closed or booted.
fn typical_price(state: &State<'_, '_>) -> i64 {
    let prices: Vec<i64> =
        state.model.hosts.iter().filter(|host| host.keep.is_none()).filter_map(|host| host.price).collect();
    let count = i64::try_from(prices.len()).unwrap_or(1).max(1);
    prices.iter().sum::<i64>() / count
}

impl<'g, 'b> Search<'g, 'b> {
    fn new(present: &State<'_, '_>, goal: &'g Goal<'b>, seed: u64) -> Self {
        Self {
            goal,
            random: Random::new(seed),
            good: good_machines(present, goal),
            hot: Vec::new(),
            closable: Vec::new(),
            closed: Vec::new(),
            receivers: Vec::new(),
            lonely: present.lonely(),
            has_spread: !present.model.relations.spreads.is_empty(),
        }
    }

    /// Nano-USD per hour that a host costs beyond what its pods are worth.
    fn waste(&self, state: &State<'_, '_>, host: usize) -> i64 {
        let runs: i64 = state.pods[host].iter().map(|item| self.goal.bound.worth[state.model.items[*item].class]).sum();
        self.cost_of(state, host) * 1000 - runs
    }

    /// What closing a host saves, moves included.
    fn cost_of(&self, state: &State<'_, '_>, host: usize) -> i64 {
        if host < state.nodes() {
            let host = &state.model.hosts[host];
            host.price.unwrap_or(0) - host.toll * self.goal.move_penalty / MOVE
        } else {
            state.model.machines[state.machine[host]].offer.price
        }
    }

    fn refresh(&mut self, state: &State<'_, '_>) {
        let nodes = state.nodes();
        let may_close = |host: usize| host >= nodes || state.model.hosts[host].keep.is_none();
        self.closable = (0..state.open.len()).filter(|host| state.open[*host] && may_close(*host)).collect();
        self.closed = (0..nodes).filter(|host| !state.open[*host]).collect();
        self.receivers = (0..state.open.len())
            .filter(|h| state.open[*h] && (*h >= nodes || state.model.hosts[*h].receives))
            .collect();
        let mut hot: Vec<(i64, usize)> = self
            .closable
            .iter()
            .map(|host| {
                let cost = self.cost_of(state, *host).max(1);
                (-(self.waste(state, *host) / cost), *host)
            })
            .collect();
        hot.sort_unstable();
        hot.truncate((self.closable.len() / 20).max(3));
        self.hot = hot.into_iter().map(|(_, host)| host).collect();
    }

    /// One step; whether every pod that was lifted has a place again.
    fn step(&mut self, state: &mut State<'_, '_>) -> bool {
        let mut pool: Vec<usize> = Vec::new();
        let mut ruined: Vec<usize> = Vec::new();
        let first = if self.random.chance(20) { self.random.pick(&self.hot) } else { self.wasteful_of_three(state) };
        let count = 1 + self.random.below(MOST_RUINED);
        if let Some(first) = first {
            self.ruin(state, first, &mut pool, &mut ruined);
            let zone = state.sig[first];
            for _ in 1..count {
                let mut next = self.random.pick(&self.closable);
                for _ in 0..3 {
                    if next.is_some_and(|host| state.sig[host] == zone) || self.random.chance(20) {
                        break;
                    }
                    next = self.random.pick(&self.closable);
                }
                if let Some(next) = next {
                    self.ruin(state, next, &mut pool, &mut ruined);
                }
            }
        }
        if self.random.chance(4)
            && let Some(host) = self.random.pick(&self.closed)
            && !state.open[host]
            && !self.bring_home(state, host, &mut pool)
        {
            return false;
        }
        // Items that still wait (pending pods that nothing took before) are tried again.
        self.order(state, &mut pool);
        self.fill_receivers(state, &mut pool);
        while !pool.is_empty() {
            if !self.open_best(state, &mut pool, &ruined) {
                return false;
            }
        }
        true
    }

    fn wasteful_of_three(&mut self, state: &State<'_, '_>) -> Option<usize> {
        let picks: Vec<usize> =
            (0..3).filter_map(|_| self.random.pick(&self.closable)).filter(|host| state.open[*host]).collect();
        picks.into_iter().max_by_key(|host| (self.waste(state, *host), *host))
    }

    fn ruin(&self, state: &mut State<'_, '_>, host: usize, pool: &mut Vec<usize>, ruined: &mut Vec<usize>) {
        if !state.open[host] {
            return;
        }
        for item in state.pods[host].clone() {
            state.lift(item);
            pool.push(item);
        }
        state.close(host);
        ruined.push(host);
    }

    /// Opens a closed node and brings its own pods back, wherever they are; `false` leaves things half
    /// done, to be undone by the caller.
    fn bring_home(&self, state: &mut State<'_, '_>, host: usize, pool: &mut Vec<usize>) -> bool {
        state.reopen(host);
        for item in state.model.hosts[host].home.clone() {
            if state.at[item] == NOWHERE {
                pool.retain(|other| *other != item);
            } else {
                state.lift(item);
            }
            let class = state.model.items[item].class;
            // At home a pod may break a rule that holds only when it is placed anew; room it must have.
            if state.conflict(class, host).is_some() || !state.has_room(&state.model.classes[class].request, host) {
                return false;
            }
            state.place(item, host);
        }
        true
    }

    /// Sorts the pool: dear pods first, by one of three measures, with noise.
    fn order(&mut self, state: &State<'_, '_>, pool: &mut Vec<usize>) {
        let measure = self.random.below(4);
        let mut keyed: Vec<(bool, i64, usize)> = pool
            .iter()
            .map(|item| {
                let class = state.model.items[*item].class;
                let kind = &state.model.classes[class];
                let size = match measure {
                    0 | 1 => self.goal.bound.worth[class],
                    2 => kind.request[crate::model::CPU] * 1000,
                    _ => kind.request[crate::model::MEMORY] >> 10,
                };
                let noise = 900 + i64::try_from(self.random.next() % 200).unwrap_or(0);
                let follows = !state.model.relations.profiles[kind.profile].affinity_own.is_empty();
                (follows, -(size / 1000 * noise), *item)
            })
            .collect();
        keyed.sort_unstable();
        pool.clear();
        pool.extend(keyed.into_iter().map(|(_, _, item)| item));
    }

    /// Places pods of the pool into room that open hosts have.
    fn fill_receivers(&mut self, state: &mut State<'_, '_>, pool: &mut Vec<usize>) {
        let sample = match self.random.below(6) {
            0 => return,
            1 => 6,
            2 => 16,
            _ => self.receivers.len(),
        };
        let chosen: Vec<usize> = if sample >= self.receivers.len() {
            self.receivers.iter().copied().filter(|host| state.open[*host]).collect()
        } else {
            (0..sample).filter_map(|_| self.random.pick(&self.receivers)).filter(|host| state.open[*host]).collect()
        };
        self.fill_from(state, pool, chosen);
    }

    /// Places pods of the pool on these hosts, each where the least worth of room is left.
    fn fill_from(&self, state: &mut State<'_, '_>, pool: &mut Vec<usize>, chosen: Vec<usize>) {
        let mut rooms: Vec<i64> = chosen.iter().map(|host| self.goal.bound.units.worth(&state.room[*host])).collect();
        pool.retain(|item| {
            let class = state.model.items[*item].class;
            let worth = self.goal.bound.worth[class];
            let mut best: Option<(i64, usize)> = None;
            for (index, host) in chosen.iter().enumerate() {
                // A host left with less than another is the better one; one that is left with less than nothing is full.
                if best.is_none_or(|(least, _)| rooms[index] < least) && state.fits(class, *host) {
                    best = Some((rooms[index], index));
                }
            }
            let Some((_, index)) = best else { return true };
            state.place(*item, chosen[index]);
            rooms[index] -= worth;
            false
        });
    }

    /// Opens the host that takes most worth for its price and packs it; `false` when none takes anything.
    fn open_best(&mut self, state: &mut State<'_, '_>, pool: &mut Vec<usize>, ruined: &[usize]) -> bool {
        let pool_worth = self.worth_of(state, pool);
        let mut best: Option<(i128, Option<usize>, usize)> = None;
        let consider = |best: &mut Option<(i128, Option<usize>, usize)>,
                        cost: i64,
                        worth: i64,
                        reopened: Option<usize>,
                        machine: usize| {
            if worth <= 0 {
                return;
            }
            // Cost per worth, in parts per billion: what the whole pool would cost at this rate.
            let rate = i128::from(cost.max(0)) * 1_000_000_000 / i128::from(worth);
            if best.is_none_or(|(least, _, _)| rate < least) {
                *best = Some((rate, reopened, machine));
            }
        };
        for host in ruined.iter().copied() {
            if host >= state.nodes() || state.open[host] {
                continue;
            }
            let mark = state.mark();
            let mut trial = pool.clone();
            if self.bring_home(state, host, &mut trial) {
                let left: i64 = self.pack(state, host, &mut trial);
                let cost = self.cost_of(state, host);
                consider(&mut best, cost, pool_worth - left, Some(host), 0);
            }
            state.undo(mark);
        }
        for _ in 0..TRIED_MACHINES.min(self.good.len()) {
            let Some(machine) = self.random.pick(&self.good) else { break };
            let mark = state.mark();
            if let Some(host) = state.boot(machine) {
                let mut trial: Vec<usize> = pool.iter().copied().take(TRIED_PODS).collect();
                let worth = self.worth_of(state, &trial);
                let left = self.pack(state, host, &mut trial);
                consider(&mut best, state.model.machines[machine].offer.price, worth - left, None, machine);
            }
            state.undo(mark);
        }
        self.consider_for_all(state, pool, pool_worth, &mut best);
        match best {
            Some((_, Some(host), _)) => {
                self.bring_home(state, host, pool);
                self.pack(state, host, pool);
                true
            }
            Some((_, None, machine)) => {
                let Some(host) = state.boot(machine) else { return false };
                self.pack(state, host, pool);
                true
            }
            None => self.cheapest_for_one(state, pool),
        }
    }

    fn worth_of(&self, state: &State<'_, '_>, pool: &[usize]) -> i64 {
        pool.iter().map(|item| self.goal.bound.worth[state.model.items[*item].class].max(1)).sum()
    }

    /// The cheapest machines that could take the whole pool by volume.
    fn consider_for_all(
        &self,
        state: &mut State<'_, '_>,
        pool: &[usize],
        pool_worth: i64,
        best: &mut Option<(i128, Option<usize>, usize)>,
    ) {
        let mut volume: Amounts = [0; DIMS];
        for item in pool {
            add(&mut volume, &state.model.classes[state.model.items[*item].class].request);
        }
        let mut tried = 0;
        for machine in &state.model.by_price {
            let kind = &state.model.machines[*machine];
            if !has_room(&volume, &kind.room, state.model.dims) {
                continue;
            }
            let rate = i128::from(kind.offer.price) * 1_000_000_000 / i128::from(pool_worth);
            if tried == TRIED_FOR_ALL || best.is_some_and(|(least, _, _)| rate >= least) {
                return;
            }
            tried += 1;
            let mark = state.mark();
            let left = match state.boot(*machine) {
                Some(host) => {
                    let mut trial = pool.to_vec();
                    self.pack(state, host, &mut trial)
                }
                None => pool_worth,
            };
            state.undo(mark);
            if left == 0 {
                *best = Some((rate, None, *machine));
                return;
            }
        }
    }

    /// Boots the cheapest machine that takes the first pod of the pool.
    fn cheapest_for_one(&self, state: &mut State<'_, '_>, pool: &mut Vec<usize>) -> bool {
        let Some(item) = pool.first().copied() else { return true };
        drain::boot_for(state, item);
        let host = state.at[item];
        if host == NOWHERE {
            return false;
        }
        pool.remove(0);
        self.pack(state, host, pool);
        true
    }

    /// Packs what fits onto a host, in the pool's order; the worth of what is left.
    fn pack(&self, state: &mut State<'_, '_>, host: usize, pool: &mut Vec<usize>) -> i64 {
        let mut left = 0;
        pool.retain(|item| {
            let class = state.model.items[*item].class;
            if state.fits(class, host) {
                state.place(*item, host);
                return false;
            }
            left += self.goal.bound.worth[class].max(1);
            true
        });
        left
    }
}

/// Machines whose room is worth nearly their price, and for each class the cheapest that takes it.
fn good_machines(state: &State<'_, '_>, goal: &Goal<'_>) -> Vec<usize> {
    let machines = &state.model.machines;
    let value = |machine: usize| -> i128 {
        let kind = &machines[machine];
        i128::from(goal.bound.units.worth(&kind.room)) * 1000 / i128::from(kind.offer.price.max(1))
    };
    let best = (0..machines.len()).map(value).max().unwrap_or(0);
    let mut good: Vec<usize> = (0..machines.len()).filter(|machine| value(*machine) * 100 >= best * 85).collect();
    for (class, kind) in state.model.classes.iter().enumerate() {
        if goal.bound.worth[class] == 0 {
            continue;
        }
        let takes = |machine: &usize| {
            state.model.allowed(class, machines[*machine].sig)
                && has_room(&kind.request, &machines[*machine].room, state.model.dims)
        };
        if let Some(cheapest) =
            (0..machines.len()).filter(takes).min_by_key(|machine| (machines[*machine].offer.price, *machine))
        {
            good.push(cheapest);
        }
    }
    good.sort_unstable();
    good.dedup();
    good
}
