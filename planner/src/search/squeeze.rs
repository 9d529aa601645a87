//! Squeezing: a few hosts are closed, and what is booted in their place costs less, whether or not it takes all pods.
//!
//! Ruin and recreate boots what takes most worth for its price until every pod has a place again. Near the end of a
//! search that is nearly always as dear as before, or dearer. Here the price is fixed first: the last machine is the one
//! that takes most of what may still be spent, and what is left over is worked into the room of all other hosts
//! ([`super::fitting`]).

use super::fitting::Fitting;
use super::ground::Ground;
use super::ruin::{Scope, Search};
use super::{Goal, HOMELESS, PER_HOST};
use crate::state::State;

/// Hosts that one attempt closes at most.
const MOST_CLOSED: usize = 3;
/// Hosts that are drawn until one is in the same place as the first.
const DRAWN: usize = 12;
/// What is left over is worth this share of all that is wasted at most, in percent: more is not worked in.
const MOST_LEFT_PERCENT: i64 = 50;

/// Open hosts at most: one of more is hardly a share of the cost, and an attempt looks at all of them.
const MOST_HOSTS: i64 = 200;
/// One attempt for so many steps of the search before, and how many at most.
const STEPS_PER_ATTEMPT: u64 = 128;
const MOST_ATTEMPTS: u64 = 400;

/// Squeezes a placement that so many steps have improved, if its hosts are not many. Never returns a worse one.
pub(super) fn squeezed<'m, 'a>(
    start: State<'m, 'a>,
    lonely: u32,
    goal: &Goal<'_>,
    ground: &Ground,
    steps: u64,
) -> State<'m, 'a> {
    let mut state = start;
    state.commit();
    if state.hosts > MOST_HOSTS {
        return state;
    }
    let whole = Scope::whole(&state);
    let mut search = Search::new(&state, lonely, goal, ground, &whole, goal.seed);
    search.watch(&state);
    search.refresh(&state);
    let (mut fitting, mut wasted) = (Fitting::default(), search.wasted(&state));
    for _ in 0..(steps / STEPS_PER_ATTEMPT).min(MOST_ATTEMPTS) {
        if search.squeeze(&mut state, wasted, &mut fitting) {
            state.commit();
            search.refresh(&state);
            wasted = search.wasted(&state);
        } else {
            state.undo(0);
        }
    }
    state
}

impl Search<'_, '_> {
    /// One attempt; whether the placement is cheaper for it, and as sound. Else it is left half done.
    fn squeeze(&mut self, state: &mut State<'_, '_>, wasted: i64, fitting: &mut Fitting) -> bool {
        let most = self.goal.price(state);
        let Some(first) = self.wasteful_of_three(state) else { return false };
        let mut lifted: Vec<usize> = Vec::new();
        self.ruined.clear();
        self.ruin(state, first, &mut lifted);
        let place = self.ground.places[state.sig[first]];
        for _ in 0..self.random.below(MOST_CLOSED) {
            let near = |host: &usize| state.open[*host] && self.ground.places[state.sig[*host]] == place;
            let next = (0..DRAWN).filter_map(|_| self.random.pick(&self.closable)).find(near);
            if let Some(next) = next {
                self.ruin(state, next, &mut lifted);
            }
        }
        self.order(state, &lifted);
        while !self.pool.is_empty() {
            let (mark, pool) = (state.mark(), self.pool.mark());
            if !self.open_best(state) {
                return false;
            }
            if self.spent(state) >= most {
                state.undo(mark);
                self.pool.undo(pool);
                let rest = most - 1 - self.spent(state);
                self.open_within(state, place, rest);
                break;
            }
        }
        self.pool.worth <= wasted / 100 * MOST_LEFT_PERCENT
            && fitting.work_in(self, state, self.pool.left())
            && self.goal.price(state) < most
            && self.is_sound(state)
    }

    /// The price, pods without a place left aside.
    fn spent(&self, state: &State<'_, '_>) -> i64 {
        self.goal.price(state) - HOMELESS * i64::try_from(state.homeless).unwrap_or(i64::MAX / HOMELESS)
    }

    /// Nano-USD per hour that all hosts which may be closed cost beyond what their pods are worth.
    fn wasted(&self, state: &State<'_, '_>) -> i64 {
        self.closable.iter().map(|host| self.waste(state, *host)).sum()
    }

    /// Boots the machine in a place that takes most worth of the pool and costs no more than that, if one takes any.
    fn open_within(&mut self, state: &mut State<'_, '_>, place: usize, most: i64) {
        self.trial.forget();
        let mut best: Option<(i64, usize)> = None;
        for machine in self.ground.by_price(state, Some(place)).iter().copied() {
            if state.price_to_boot(machine) + PER_HOST > most {
                break;
            }
            if state.may_boot(machine) {
                let worth = self.trial.pack(state, machine, &self.pool);
                if worth > best.map_or(0, |(most, _)| most) {
                    best = Some((worth, machine));
                }
            }
        }
        if let Some((_, machine)) = best {
            self.boot(state, machine);
        }
    }
}
