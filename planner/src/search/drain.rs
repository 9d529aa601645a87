//! Emptying nodes into the room that others have, and placing what is pending.

use std::cmp::Reverse;

use super::Goal;
use crate::moves::MOVE;
use crate::state::{NOWHERE, State};

/// Items in the order in which they are placed: what is worth most first.
pub(crate) fn by_worth(state: &State<'_, '_>, goal: &Goal<'_>, items: &mut [usize]) {
    items.sort_by_key(|item| {
        let class = state.model.items[*item].class;
        let profile = &state.model.relations.profiles[state.model.classes[class].profile];
        (!profile.affinity_own.is_empty(), -goal.bound.worth[class], *item)
    });
}

/// The one of these hosts that is open and left with the least worth of room; `None` when the item fits none.
pub(crate) fn best_host(state: &State<'_, '_>, goal: &Goal<'_>, hosts: &[usize], item: usize) -> Option<usize> {
    let class = state.model.items[item].class;
    let mut best: Option<(i64, usize)> = None;
    for host in hosts.iter().copied() {
        if state.open[host] && state.fits(class, host) {
            let left = goal.bound.units.worth(&state.room[host]);
            if best.is_none_or(|(least, _)| left < least) {
                best = Some((left, host));
            }
        }
    }
    best.map(|(_, host)| host)
}

/// Gives pending pods a place: in existing room, else on the cheapest machine that takes them.
pub(crate) fn place_pending(state: &mut State<'_, '_>, goal: &Goal<'_>) {
    let mut waiting: Vec<usize> = state
        .model
        .pending
        .iter()
        .copied()
        .filter(|item| state.model.items[*item].standing.blocked.is_none())
        .collect();
    by_worth(state, goal, &mut waiting);
    place_or_boot(state, goal, waiting);
}

/// Gives these items a place in this order: in existing room, else on the cheapest machine that takes them.
pub(crate) fn place_or_boot(state: &mut State<'_, '_>, goal: &Goal<'_>, items: Vec<usize>) {
    let mut hosts = roomy(state);
    for item in items {
        match best_host(state, goal, &hosts, item) {
            Some(host) => state.place(item, host),
            None => {
                boot_for(state, item);
                hosts.extend(Some(state.at[item]).filter(|host| *host != NOWHERE));
            }
        }
    }
}

/// Open hosts with room for some pod, ascending.
pub(crate) fn roomy(state: &State<'_, '_>) -> Vec<usize> {
    let least = &state.model.least_request;
    (0..state.open.len()).filter(|host| state.open[*host] && state.has_room(least, *host)).collect()
}

/// Boots the cheapest machine that takes an item.
pub(crate) fn boot_for(state: &mut State<'_, '_>, item: usize) {
    let class = state.model.items[item].class;
    for machine in state.cheapest_first(&state.model.by_price).iter().copied() {
        let kind = &state.model.machines[machine];
        if !state.model.allowed(class, kind.sig)
            || !crate::state::has_room(&state.model.classes[class].request, &kind.room, state.model.dims)
        {
            continue;
        }
        let mark = state.mark();
        let Some(host) = state.boot(machine) else { continue };
        if state.fits(class, host) {
            state.place(item, host);
            return;
        }
        state.undo(mark);
    }
}

/// What closing an open host saves for the room that is lost by it, in millionths: its pods take some elsewhere, and what
/// is left beside them is gone.
pub(super) fn gain(state: &State<'_, '_>, goal: &Goal<'_>, host: usize, saves: i64) -> i128 {
    let room = goal.bound.worth_of(state.model, &state.pods[host]) + goal.bound.units.worth(&state.room[host]).max(0);
    i128::from(saves) * 1_000_000_000 / i128::from(room.max(1))
}

/// Closes nodes whose pods fit elsewhere, those first that save most for the room that is lost, until none is left.
pub(super) fn drain(state: &mut State<'_, '_>, goal: &Goal<'_>) {
    let base = state.lonely();
    loop {
        let mut nodes: Vec<usize> = state.may_leave().collect();
        let saves =
            |host: usize| state.saved_by_closing(host) - state.model.hosts[host].toll * goal.move_penalty / MOVE;
        nodes.sort_by_cached_key(|host| (Reverse(gain(state, goal, *host, saves(*host))), *host));
        let (mut closed, hosts) = (false, roomy(state));
        for host in nodes {
            closed |= try_close(state, goal, &hosts, host, base);
        }
        if !closed {
            return;
        }
    }
}

/// Empties nodes as [`drain`] does, at falling prices of a move, and gives the placement at the end of each. What could
/// not be emptied once is not tried again: room only shrinks.
pub(super) fn drain_by_stages<'m, 'a>(kept: &State<'m, 'a>, goal: &Goal<'_>, prices: &[i64]) -> Vec<State<'m, 'a>> {
    let (mut state, base) = (kept.clone(), kept.lonely());
    let mut left: Vec<usize> = state.may_leave().collect();
    let mut stages = Vec::new();
    for move_penalty in prices {
        let goal = Goal { move_penalty: *move_penalty, ..*goal };
        let saving = |host: usize| {
            let node = &state.model.hosts[host];
            node.price.unwrap_or(0) - node.toll * goal.move_penalty / MOVE
        };
        let (mut worthwhile, later): (Vec<usize>, Vec<usize>) = left.into_iter().partition(|host| saving(*host) > 0);
        worthwhile.sort_by_cached_key(|host| (Reverse(gain(&state, &goal, *host, saving(*host))), *host));
        let hosts = roomy(&state);
        for host in worthwhile {
            try_close(&mut state, &goal, &hosts, host, base);
        }
        left = later;
        stages.push(state.clone());
    }
    stages
}

/// Closes one node if that lowers the price.
fn try_close(state: &mut State<'_, '_>, goal: &Goal<'_>, hosts: &[usize], host: usize, base: u32) -> bool {
    let before = goal.price(state);
    let mark = state.mark();
    let mut items = state.pods[host].clone();
    for item in &items {
        state.lift(*item);
    }
    state.close(host);
    if goal.price(state) - i64::try_from(items.len()).unwrap_or(0) * super::HOMELESS >= before {
        state.undo(mark);
        return false;
    }
    by_worth(state, goal, &mut items);
    for item in items {
        match best_host(state, goal, hosts, item) {
            Some(target) => state.place(item, target),
            None => {
                state.undo(mark);
                return false;
            }
        }
    }
    if goal.price(state) >= before || !super::is_sound(state, base) {
        state.undo(mark);
        return false;
    }
    state.commit();
    true
}
