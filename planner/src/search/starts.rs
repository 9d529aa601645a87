//! Placements that a search may begin with.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::ground::Ground;
use super::ruin::{Scope, Search};
use super::{Goal, cover, drain, is_sound};
use crate::bound::{Filling, KindKey};
use crate::moves::MOVE;
use crate::state::State;

/// Hosts in whose room pods without a place are tried, at most.
const ROOMIEST: usize = 256;

/// Closes that `percent` of the nodes that may leave, or of those among them that are given, which saves most for the
/// room that is lost, and packs their pods anew: into the room of the others first, then onto new machines. `None`
/// when a pod finds no place.
pub(super) fn close_wasteful<'m, 'a>(
    start: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    percent: usize,
    among: Option<&[usize]>,
) -> Option<State<'m, 'a>> {
    let (state, left) = close_within(start, goal, ground, &Scope::whole(start), percent, among);
    (left.is_empty() && is_sound(&state, start.lonely())).then_some(state)
}

/// The same within a scope, and the pods that found no place in it.
pub(super) fn close_within<'m, 'a>(
    start: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    scope: &Scope,
    percent: usize,
    among: Option<&[usize]>,
) -> (State<'m, 'a>, Vec<usize>) {
    let mut state = start.clone();
    let seed = goal.seed.wrapping_add(u64::try_from(percent).unwrap_or(0));
    let mut search = Search::new(start, start.lonely(), goal, ground, scope, seed);
    search.refresh(&state);
    let nodes = search.closable.iter().copied().filter(|host| among.is_none_or(|among| among.contains(host)));
    let gain = |host: usize| drain::gain(&state, goal, host, search.cost_of(&state, host));
    let mut nodes: Vec<(Reverse<i128>, usize)> = nodes.map(|host| (Reverse(gain(host)), host)).collect();
    nodes.sort_unstable();
    nodes.truncate(nodes.len() * percent / 100);
    empty(&mut state, &mut search, nodes.into_iter().map(|(_, host)| host));
    let left = pour(&mut state, search);
    (state, left)
}

/// Gives pods without a place one: in the room of the roomiest hosts first, then on new machines. `None` when one
/// finds no place.
pub(super) fn house<'m, 'a>(
    mut state: State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    lonely: u32,
    mut homeless: Vec<usize>,
) -> Option<State<'m, 'a>> {
    let scope = Scope::whole(&state);
    let mut search = Search::new(&state, lonely, goal, ground, &scope, goal.seed);
    search.refresh(&state);
    search.receivers.sort_by_cached_key(|host| (Reverse(goal.bound.units.worth(&state.room[*host])), *host));
    search.receivers.truncate(ROOMIEST);
    drain::by_worth(&state, goal, &mut homeless);
    search.fill_pool(&state, homeless.into_iter().map(|item| (item, None)));
    let left = pour(&mut state, search);
    (left.is_empty() && is_sound(&state, lonely)).then_some(state)
}

/// The share in percent, rounded up, of the nodes that may leave which cost more than their pods are worth and
/// their moves take.
pub(super) fn too_dear(state: &State<'_, '_>, goal: &Goal<'_>) -> usize {
    let nodes: Vec<usize> = state.may_leave().collect();
    let dear = |host: &&usize| {
        let node = &state.model.hosts[**host];
        let runs = goal.bound.worth_of(state.model, &state.pods[**host]);
        (node.price.unwrap_or(0) - node.toll * goal.move_penalty / MOVE) * 1000 > runs
    };
    (nodes.iter().filter(dear).count() * 100).div_ceil(nodes.len().max(1))
}

/// How often the bound's fillings are used.
#[derive(Clone, Copy)]
pub(super) enum Times {
    /// As an integer program says.
    Whole,
    /// As the bound says: what is used a part of a time adds up to some more.
    Rounded,
    /// What is used a part of a time is left out.
    RoundedDown,
}

impl Times {
    pub(super) const ALL: [Self; 3] = [Self::Whole, Self::Rounded, Self::RoundedDown];
}

/// Closes all nodes that may leave, and fills hosts as the bound's program would; what is left over is packed as
/// usual. `None` when there is no such program, or a pod finds no place.
pub(super) fn filled<'m, 'a>(
    start: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    times: Times,
) -> Option<State<'m, 'a>> {
    let fillings = &goal.bound.fillings;
    if fillings.is_empty() {
        return None;
    }
    let numbers = match times {
        Times::Whole => cover::solve(start.model, goal)?,
        Times::Rounded => rounded(fillings),
        Times::RoundedDown => fillings.iter().map(whole).collect(),
    };
    fill(start, goal, ground, &numbers)
}

/// How many hosts get a filling in any case.
fn whole(filling: &Filling) -> usize {
    filling.hosts.floor() as usize
}

/// What is used a part of a time adds up to some hosts, which those fillings get that miss least of a whole one.
fn rounded(fillings: &[Filling]) -> Vec<usize> {
    let mut numbers: Vec<usize> = fillings.iter().map(whole).collect();
    let mut order: Vec<usize> = (0..fillings.len()).collect();
    order.sort_by_key(|index| (Reverse((fillings[*index].hosts.fract() * 1e6) as i64), fillings[*index].of, *index));
    let parts: f64 = fillings.iter().map(|filling| filling.hosts.fract()).sum();
    for index in order.into_iter().take(parts.floor() as usize) {
        numbers[index] += 1;
    }
    numbers
}

/// Closes all nodes that may leave, fills so many hosts with each of the bound's fillings, and packs the rest.
fn fill<'m, 'a>(start: &State<'m, 'a>, goal: &Goal<'_>, ground: &Ground, numbers: &[usize]) -> Option<State<'m, 'a>> {
    let model = start.model;
    let mut state = start.clone();
    let scope = Scope::whole(start);
    let mut search = Search::new(start, start.lonely(), goal, ground, &scope, goal.seed);
    search.refresh(&state);
    let nodes = search.closable.clone();
    empty(&mut state, &mut search, nodes.iter().copied());
    // By kind, those that come first last.
    let mut closed: BTreeMap<KindKey, Vec<usize>> = BTreeMap::new();
    for host in nodes.into_iter().rev().filter_map(|node| Some((node, model.hosts.get(node)?))) {
        closed.entry(KindKey::of(host.1)).or_default().push(host.0);
    }
    for (filling, hosts) in goal.bound.fillings.iter().zip(numbers) {
        for number in 0..*hosts {
            let node = closed.get(&filling.of).and_then(|nodes| nodes.last().copied());
            let host = match filling.of {
                KindKey::Staying(_) => None,
                KindKey::Leaving(..) => node.inspect(|node| state.reopen(*node)),
                KindKey::Offer(machine) => search.boot_alike(&mut state, machine, number),
            };
            let Some(host) = host else { break };
            let mut any = false;
            for (class, count) in &filling.pods {
                any |= search.put(&mut state, host, *class, *count);
            }
            if !any {
                state.close(host);
                break;
            }
            if let Some(nodes) = closed.get_mut(&filling.of) {
                nodes.pop();
            }
        }
    }
    let left = pour(&mut state, search);
    (left.is_empty() && is_sound(&state, start.lonely())).then_some(state)
}

/// Closes nodes and makes a pool of their pods, those worth most first.
fn empty(state: &mut State<'_, '_>, search: &mut Search<'_, '_>, nodes: impl Iterator<Item = usize>) {
    let mut lifted = Vec::new();
    for host in nodes {
        search.ruin(state, host, &mut lifted);
    }
    search.receivers.retain(|host| state.open[*host]);
    search.ruined.clear();
    drain::by_worth(state, search.goal, &mut lifted);
    search.fill_pool(state, lifted.into_iter().map(|item| (item, None)));
}

/// Packs the pool: into the room of open hosts first, then onto new machines. Pods that find no place are given back.
fn pour(state: &mut State<'_, '_>, mut search: Search<'_, '_>) -> Vec<usize> {
    let receivers = search.receivers.clone();
    search.fill_from(state, &receivers);
    while !search.pool.is_empty() && search.open_best(state) {}
    state.commit();
    search.pool.left()
}
