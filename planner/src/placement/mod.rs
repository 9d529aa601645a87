//! Placement: a pod that fits nowhere is given room by moving few others, before a machine is bought for it.
//!
//! A cluster may have room enough for a pod and no node that has it in one piece. Then some pods of one node,
//! together as large as what is short, go elsewhere; those may make others give way in turn. [`search`] finds
//! the fewest that do. What they take to move, and how long the pod waits for it, is compared with the hourly
//! price of the cheapest machine that takes the pod and the time until it is there.
//!
//! Nothing is believed here: the outcome is a change like any other, rehearsed with the scheduler led to where
//! each pod is to go.

mod search;

use std::collections::BTreeMap;

use crate::model::Model;
use crate::moves::{BATCH_MINUTES, BOOT_MINUTES, MOVE};
use crate::search::{Goal, best_host, boot_for, by_worth, place_or_boot, roomy};
use crate::sequence::{Change, Wave, joined};
use crate::shifts::{Aim, Shift};
use crate::state::State;
use search::{Search, Step};

/// A change in which pods make room for pending ones, and the placement that it leads to; `None` when no
/// pending pod is helped by it. The pods that are not helped get machines.
pub(crate) fn propose<'m, 'a>(model: &'m Model<'a>, goal: &Goal<'_>) -> Option<(Change, State<'m, 'a>)> {
    let mut waiting: Vec<usize> =
        model.pending.iter().copied().filter(|item| model.items[*item].standing.blocked.is_none()).collect();
    if waiting.is_empty() {
        return None;
    }
    let mut state = State::present(model, model.pending.len());
    by_worth(&state, goal, &mut waiting);
    let hosts = roomy(&state);
    waiting.retain(|item| match best_host(&state, goal, &hosts, *item) {
        Some(host) => {
            state.place(*item, host);
            false
        }
        None => true,
    });
    state.commit();
    let mut search = Search::new(model, goal);
    let mut machines: BTreeMap<usize, Option<i64>> = BTreeMap::new();
    let (mut moves, mut shifting, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for item in waiting {
        let class = model.items[item].class;
        let machine = *machines.entry(class).or_insert_with(|| cheapest_machine(model, item));
        let Some(steps) = search.make_room(&mut state, item, &|moves, toll| affordable(goal, machine, moves, toll))
        else {
            left.push(item);
            continue;
        };
        for Step { item: moved, host } in steps {
            if moved != item {
                shifting.push(Shift { item: moved, aim: Aim::Room(item) });
                moves.push(Wave { opens: vec![host], items: vec![moved] });
            }
        }
    }
    if shifting.is_empty() {
        return None;
    }
    place_or_boot(&mut state, goal, left);
    let mut change = Change::of(&state);
    shifting.sort_by_key(|shift| shift.item);
    change.shifting = shifting;
    change.waves = moves;
    change.waves = joined(model, &change);
    Some((change, state))
}

/// Whether so many moves, and what they take, are cheaper than a machine of this price, if there is one.
///
/// They are priced as everywhere. Where the last of them is done only after the machine would have been there,
/// each further batch counts as one ordinary move more.
fn affordable(goal: &Goal<'_>, machine: Option<i64>, moves: usize, toll: i64) -> bool {
    let Some(machine) = machine else { return true };
    let batches = i64::try_from(moves).unwrap_or(i64::MAX / BATCH_MINUTES);
    let late = (batches - BOOT_MINUTES / BATCH_MINUTES).max(0);
    let price = toll.saturating_mul(goal.move_penalty) / MOVE + late.saturating_mul(goal.move_penalty);
    price < machine
}

/// The hourly price of the cheapest machine that takes an item.
fn cheapest_machine(model: &Model<'_>, item: usize) -> Option<i64> {
    let mut empty = State::present(model, 1);
    boot_for(&mut empty, item);
    let host = empty.at[item];
    (host != crate::state::NOWHERE).then(|| model.machines[empty.machine[host]].offer.price)
}
