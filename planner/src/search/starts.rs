//! Placements that a search may begin with.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::ground::Ground;
use super::ruin::{Scope, Search};
use super::{Goal, drain, spread_kept};
use crate::bound::{Filling, KindKey};
use crate::moves::MOVE;
use crate::state::State;

/// Closes the most wasteful `percent` of the nodes that may leave, or of those among them that are given, and
/// packs their pods anew: into the room of the others first, then onto new machines. `None` when a pod finds no
/// place.
pub(super) fn close_wasteful<'m, 'a>(
    start: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    percent: usize,
    among: Option<&[usize]>,
) -> Option<State<'m, 'a>> {
    let mut state = start.clone();
    let scope = Scope::whole(start);
    let seed = goal.seed.wrapping_add(u64::try_from(percent).unwrap_or(0));
    let mut search = Search::new(start, start.lonely(), goal, ground, &scope, seed);
    search.refresh(&state);
    let mut nodes: Vec<(i128, usize)> = search
        .closable
        .iter()
        .filter(|host| among.is_none_or(|among| among.contains(host)))
        .map(|host| {
            let runs = goal.bound.worth_of(state.model, &state.pods[*host]);
            (-(i128::from(search.cost_of(&state, *host)) * 1_000_000 / i128::from(runs.max(1))), *host)
        })
        .collect();
    nodes.sort_unstable();
    nodes.truncate(nodes.len() * percent / 100);
    empty(&mut state, &mut search, nodes.into_iter().map(|(_, host)| host));
    pour(state, search)
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

/// Closes all nodes that may leave, and fills hosts as the bound's program would, as often as whole hosts allow; what
/// is left over is packed as usual. `None` when there is no such program, or a pod finds no place.
pub(super) fn filled<'m, 'a>(
    start: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    seldom: Seldom,
) -> Option<State<'m, 'a>> {
    let mut fillings: Vec<&Filling> = goal.bound.fillings.iter().collect();
    if fillings.is_empty() {
        return None;
    }
    let model = start.model;
    let mut state = start.clone();
    let scope = Scope::whole(start);
    let mut search = Search::new(start, start.lonely(), goal, ground, &scope, goal.seed);
    search.refresh(&state);
    let nodes = search.closable.clone();
    empty(&mut state, &mut search, nodes.iter().copied());
    fillings.sort_by_key(|filling| (Reverse((filling.hosts.fract() * 1e6) as i64), filling.of));
    // What is used a part of a time adds up to some hosts, which those get that miss least of a whole one.
    let parts: f64 = fillings.iter().map(|filling| filling.hosts.fract()).sum();
    let mut more = if seldom == Seldom::Rounded { parts.floor() as usize } else { 0 };
    // By kind, those that come first last.
    let mut closed: BTreeMap<KindKey, Vec<usize>> = BTreeMap::new();
    for host in nodes.into_iter().rev().filter_map(|node| Some((node, model.hosts.get(node)?))) {
        closed.entry(KindKey::of(host.1)).or_default().push(host.0);
    }
    for filling in fillings {
        let hosts = filling.hosts.floor() as usize + usize::from(more > 0);
        more = more.saturating_sub(1);
        for number in 0..hosts {
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
    pour(state, search)
}

/// What becomes of fillings that are used a part of a time.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Seldom {
    /// Some of them are used once more.
    Rounded,
    /// None of them is.
    LeftOut,
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
    search.pool.fill(state.model, &search.goal.bound.worth, lifted.into_iter());
}

/// Packs the pool: into the room of open hosts first, then onto new machines. `None` when a pod finds no place.
fn pour<'m, 'a>(mut state: State<'m, 'a>, mut search: Search<'_, '_>) -> Option<State<'m, 'a>> {
    let receivers = search.receivers.clone();
    search.fill_from(&mut state, &receivers);
    while !search.pool.is_empty() {
        if !search.open_best(&mut state) {
            return None;
        }
    }
    if state.lonely() > search.lonely || !spread_kept(&state) {
        return None;
    }
    state.commit();
    Some(state)
}
