//! Large clusters are searched in parts, side by side.
//!
//! A part is some hosts of one place (a zone, say) and slots for new machines there. What happens in a part
//! changes hardly anything that rules see from another: pods stay in their domain of every topology key. So the
//! parts are searched independently, each from its own seed, and the outcome is the same for any number of
//! threads. Between rounds the hosts are dealt out anew.

use super::exchange;
use super::ground::Ground;
use super::random::Random;
use super::ruin::{HEAT_PERCENT, Pace, Scope, improve};
use super::{Goal, spread_kept};
use crate::parallel::in_parallel;
use crate::state::State;

/// Open hosts that are searched as a whole, at most.
const WHOLE: usize = 300;
/// Open hosts of a part, about.
const PART: usize = 150;
/// How often hosts are dealt out.
const ROUNDS: u32 = 3;

/// Improves a placement by so many steps; never returns a worse one.
pub(super) fn improve_all<'m, 'a>(
    present: &State<'m, 'a>,
    start: State<'m, 'a>,
    ground: &Ground,
    steps: u64,
    goal: &Goal<'_>,
) -> State<'m, 'a> {
    let share = |steps: u64| u32::try_from(steps).unwrap_or(u32::MAX);
    let pace = Pace { steps: share(steps), heat_percent: HEAT_PERCENT, seed: goal.seed };
    let lonely = present.lonely();
    let open = start.open.iter().filter(|open| **open).count();
    if open <= WHOLE {
        let whole = Scope::whole(&start);
        return improve(start, lonely, goal, ground, &whole, pace);
    }
    // A node that left comes back with its pods, which are all over the cluster: where moves are dear, part of the
    // steps are for the whole.
    let left = start.nodes() - start.open[..start.nodes()].iter().filter(|open| **open).count();
    let dear = exchange::moves_are_dear(start.model, goal.move_penalty);
    let for_whole = if dear { steps * exchange::percent(start.may_leave().count(), left) / 200 } else { 0 };
    let steps = steps - for_whole;
    let mut state = start;
    let mut random = Random::new(goal.seed);
    for round in 0..ROUNDS {
        let parts = deal(&state, &ground.places, &mut random);
        let all: u64 = parts.iter().map(|part| weight(&state, part)).sum::<u64>().max(1);
        let heat_percent = HEAT_PERCENT * i64::from(ROUNDS - round) / i64::from(ROUNDS);
        let seed = random.next();
        let parts: Vec<(Scope, Pace)> = parts
            .into_iter()
            .zip(0..)
            .map(|(part, number)| {
                let steps = share(steps / u64::from(ROUNDS) * weight(&state, &part) / all);
                (part, Pace { steps, heat_percent, seed: seed.wrapping_add(number) })
            })
            .collect();
        let shares = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let improved = in_parallel(goal.threads, &parts, |(part, pace)| {
            let mut state = state.clone();
            state.restrict(&part.slots, shares);
            improve(state, lonely, goal, ground, part, *pace)
        });
        let before = state.clone();
        for ((part, _), improved) in parts.iter().zip(&improved) {
            state.adopt(improved, &part.slots);
        }
        state.sum_up();
        // Hosts of one place may still differ in whether their pods count for a rule.
        if state.lonely() > lonely || !spread_kept(&state) {
            return before;
        }
    }
    if for_whole == 0 {
        return state;
    }
    let whole = Scope::whole(&state);
    let pace = Pace { steps: share(for_whole), heat_percent: HEAT_PERCENT / i64::from(ROUNDS), seed: goal.seed };
    improve(state, lonely, goal, ground, &whole, pace)
}

/// How many hosts of a part are open.
fn weight(state: &State<'_, '_>, part: &Scope) -> u64 {
    part.slots.iter().map(|slot| u64::from(state.open[*slot])).sum()
}

/// Deals out all hosts, each place in parts of about equal size; closed nodes go where they are most of use: with
/// the others of their place. Slots for new machines are shared among the parts.
fn deal(state: &State<'_, '_>, places: &[usize], random: &mut Random) -> Vec<Scope> {
    let count = places.iter().copied().max().map_or(0, |most| most + 1);
    let mut by_place: Vec<Vec<usize>> = vec![Vec::new(); count];
    for slot in (0..state.open.len()).filter(|slot| state.open[*slot] || *slot < state.nodes()) {
        by_place[places[state.sig[slot]]].push(slot);
    }
    let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
    for (place, slots) in by_place.iter_mut().enumerate().filter(|(_, slots)| !slots.is_empty()) {
        for index in (1..slots.len()).rev() {
            slots.swap(index, random.below(index + 1));
        }
        let open = slots.iter().filter(|slot| state.open[**slot]).count();
        let number = open.div_ceil(PART).max(1);
        let first = parts.len();
        parts.extend((0..number).map(|_| (place, Vec::new())));
        for (index, slot) in slots.iter().enumerate() {
            parts[first + index % number].1.push(*slot);
        }
    }
    let free = (state.nodes()..state.open.len()).filter(|slot| !state.open[*slot]);
    let number = parts.len().max(1);
    for (index, slot) in free.enumerate() {
        if let Some((_, slots)) = parts.get_mut(index % number) {
            slots.push(slot);
        }
    }
    let scope = |(place, mut slots): (usize, Vec<usize>)| {
        slots.sort_unstable();
        Scope::new(state, slots, Some(place))
    };
    parts.into_iter().map(scope).collect()
}
