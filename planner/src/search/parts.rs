//! Large clusters are searched in parts, side by side.
//!
//! A part is some of the hosts, and slots for new machines. What happens in a part must not change what rules see from
//! another. Rules between pods of one host never do; those over larger domains, zones say, count pods of several parts.
//! So of the pods that such rules bind together all but those of one part stay in their place. Then the parts are
//! searched independently, each from its own seed, and the outcome is the same for any number of threads. Between rounds
//! the hosts are dealt out anew, of one place or across places, and other pods may leave their place. Boldness falls
//! over all rounds as it does where a cluster is searched as a whole: what a round ends with need not be the best that
//! it saw.

use super::exchange;
use super::ground::Ground;
use super::random::Random;
use super::ruin::{HEAT_PERCENT, Pace, Scope, improve};
use super::squeeze::squeezed;
use super::{Goal, MANY, is_sound};
use crate::parallel::in_parallel;
use crate::state::State;

/// Open hosts that are searched as a whole, at most.
const WHOLE: i64 = 150;
/// Open hosts of a part, about.
const PART: usize = 150;
/// Boldness where nodes are few, in percent of a typical host's price.
const SMALL_HEAT_PERCENT: i64 = 14;
/// Where parts have fewer on average, a search does not begin in them.
const SMALL_PART: u64 = 50;
/// How often hosts are dealt out.
const ROUNDS: u32 = 6;
/// Every so many rounds parts have hosts of all places. In a part of one place more of its hosts are alike, and none of
/// its pods are tied: in most rounds that is worth more.
const ACROSS_PLACES: u32 = 3;

/// Whether a placement is searched in parts.
fn is_large(state: &State<'_, '_>) -> bool {
    state.hosts > WHOLE
}

/// Parts that have no slot in common.
pub(crate) struct Parts(Vec<Scope>);

impl Parts {
    /// The parts in which a search begins and is asked again; `None` where nodes are not many, or where pods had better
    /// leave their part: because places offer different machines, or are small.
    pub(super) fn to_begin_with(kept: &State<'_, '_>, goal: &Goal<'_>, ground: &Ground) -> Option<Self> {
        if goal.steps == 0 || kept.model.hosts.len() < MANY || !ground.alike(kept.model) {
            return None;
        }
        let parts = Self::of_places(kept, ground, &mut Random::new(goal.seed));
        let large_enough = parts.weights(kept).iter().sum::<u64>() >= u64::from(parts.count()) * SMALL_PART;
        large_enough.then_some(parts)
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// How many hosts of each are open.
    fn weights(&self, state: &State<'_, '_>) -> Vec<u64> {
        self.0.iter().map(|part| part.slots.iter().map(|slot| u64::from(state.open[*slot])).sum()).collect()
    }

    /// Does the same with each part of a placement, side by side: with the part, what it is, and its number.
    pub(super) fn each<'m, 'a, R: Send>(
        &self,
        state: &State<'m, 'a>,
        threads: u32,
        work: impl Fn(State<'m, 'a>, &Scope, usize) -> R + Sync,
    ) -> Vec<R> {
        let numbered: Vec<(usize, &Scope)> = self.0.iter().enumerate().collect();
        in_parallel(threads, &numbered, |(number, scope)| work(state.part(&scope.slots, self.count()), scope, *number))
    }

    /// Deals out all hosts in parts of about equal size, of one place each.
    fn of_places(state: &State<'_, '_>, ground: &Ground, random: &mut Random) -> Self {
        let mut parts: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
        for (place, slots) in shuffled(state, ground, random).into_iter().enumerate() {
            let number = number_of(state, slots.iter());
            let first = parts.len();
            parts.extend((0..if slots.is_empty() { 0 } else { number }).map(|_| (Some(place), Vec::new())));
            slots.into_iter().enumerate().for_each(|(index, slot)| parts[first + index % number].1.push(slot));
        }
        let tied = vec![false; ground.groups.len()];
        Self::new(state, parts, |_| tied.clone())
    }

    /// Deals out all hosts in parts of about equal size, each with hosts of all places. Of the pods that matter to where
    /// others may run beyond a host, those of a group may leave their place in one part only.
    fn across_places(state: &State<'_, '_>, ground: &Ground, random: &mut Random) -> Self {
        let by_place = shuffled(state, ground, random);
        let number = number_of(state, by_place.iter().flatten());
        let mut parts: Vec<(Option<usize>, Vec<usize>)> = vec![(None, Vec::new()); number];
        let slots = by_place.into_iter().flatten();
        slots.enumerate().for_each(|(index, slot)| parts[index % number].1.push(slot));
        let turn = random.below(number);
        let tied = |part: usize| {
            let elsewhere = |group: &Option<usize>| group.is_some_and(|group| (group + turn) % number != part);
            ground.groups.iter().map(elsewhere).collect()
        };
        Self::new(state, parts, tied)
    }

    /// Parts with these slots, and slots for new machines, which are shared among them; by number and class, whether
    /// pods must stay in their place.
    fn new(
        state: &State<'_, '_>,
        mut parts: Vec<(Option<usize>, Vec<usize>)>,
        tied: impl Fn(usize) -> Vec<bool>,
    ) -> Self {
        let free = (state.nodes()..state.open.len()).filter(|slot| !state.open[*slot]);
        let number = parts.len().max(1);
        for (index, slot) in free.enumerate() {
            if let Some((_, slots)) = parts.get_mut(index % number) {
                slots.push(slot);
            }
        }
        let scope = |(number, (place, mut slots)): (usize, (Option<usize>, Vec<usize>))| {
            slots.sort_unstable();
            Scope::part(state, slots, place, tied(number))
        };
        Self(parts.into_iter().enumerate().map(scope).collect())
    }
}

/// By place: its hosts in a random order. Closed nodes go where they are most of use: with the others of their place.
fn shuffled(state: &State<'_, '_>, ground: &Ground, random: &mut Random) -> Vec<Vec<usize>> {
    let count = ground.places.iter().copied().max().map_or(0, |most| most + 1);
    let mut by_place: Vec<Vec<usize>> = vec![Vec::new(); count];
    for slot in (0..state.open.len()).filter(|slot| state.open[*slot] || *slot < state.nodes()) {
        by_place[ground.places[state.sig[slot]]].push(slot);
    }
    by_place.iter_mut().for_each(|slots| random.shuffle(slots));
    by_place
}

/// How many parts these slots make.
fn number_of<'s>(state: &State<'_, '_>, slots: impl Iterator<Item = &'s usize>) -> usize {
    slots.filter(|slot| state.open[**slot]).count().div_ceil(PART).max(1)
}

/// How long a large cluster is searched, and how bold at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) steps: u64,
    /// How often hosts are dealt out.
    pub(super) rounds: u32,
    /// In percent of a typical host's price.
    pub(super) heat_percent: i64,
    /// Whether it gathers waste on few hosts.
    pub(super) gathers: bool,
}

impl Course {
    /// The plan's own search. Where moves are dear what a node wastes is no measure of how near it is to leaving.
    pub(super) fn full(steps: u64, small: bool, dear: bool) -> Self {
        let heat_percent = if small { SMALL_HEAT_PERCENT } else { HEAT_PERCENT };
        Self { steps, rounds: ROUNDS, heat_percent, gathers: !dear }
    }
}

/// Improves a placement; never returns a worse one.
pub(super) fn improve_all<'m, 'a>(
    start: State<'m, 'a>,
    lonely: u32,
    ground: &Ground,
    course: Course,
    goal: &Goal<'_>,
) -> State<'m, 'a> {
    let share = |steps: u64| u32::try_from(steps).unwrap_or(u32::MAX);
    let Course { steps, rounds, heat_percent, gathers } = course;
    if !is_large(&start) {
        let whole = Scope::whole(&start);
        let pace = Pace { steps: share(steps), heat_percent, seed: goal.seed, stage: (0, 1), gathers };
        let improved = improve(start, lonely, goal, ground, &whole, pace);
        return if gathers { squeezed(improved, lonely, goal, ground, steps) } else { improved };
    }
    // A node that left comes back with its pods, which are all over the cluster: where moves are dear, part of the
    // steps are for the whole.
    let left = start.nodes() - start.open[..start.nodes()].iter().filter(|open| **open).count();
    let dear = ground.moves_are_dear(goal.move_penalty);
    let for_whole = if dear { steps * exchange::percent(start.may_leave().count(), left) / 200 } else { 0 };
    let steps = steps - for_whole;
    let mut state = start.clone();
    let mut random = Random::new(goal.seed);
    for round in 0..rounds {
        let across = (round + 1) % ACROSS_PLACES == 0;
        let deal = if across { Parts::across_places } else { Parts::of_places };
        let parts = deal(&state, ground, &mut random);
        let weights = parts.weights(&state);
        let all = weights.iter().sum::<u64>().max(1);
        let seed = random.next();
        let improved = parts.each(&state, goal.threads, |part, scope, number| {
            let steps = share(steps / u64::from(rounds) * weights[number] / all);
            let seed = seed.wrapping_add(u64::try_from(number).unwrap_or(0));
            let pace = Pace { steps, heat_percent, seed, stage: (round, rounds), gathers };
            improve(part, lonely, goal, ground, scope, pace).cut(&scope.slots)
        });
        state.join(improved);
    }
    // Hosts of one place may still differ in whether their pods count for a rule.
    if !is_sound(&state, lonely) || goal.price(&state) > goal.price(&start) {
        state = start;
    }
    if gathers {
        state = squeezed(state, lonely, goal, ground, steps);
    }
    if for_whole == 0 {
        return state;
    }
    let whole = Scope::whole(&state);
    let heat_percent = heat_percent / i64::from(rounds.max(1));
    let pace = Pace { steps: share(for_whole), heat_percent, seed: goal.seed, stage: (0, 1), gathers };
    improve(state, lonely, goal, ground, &whole, pace)
}
