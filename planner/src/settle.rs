//! Making a change one that the scheduler carries out.
//!
//! A packing may be tighter than what the scheduler reaches by itself. Where pods get stuck in the
//! rehearsal, the cheapest remedy is taken (one more machine, or the stuck pods' nodes stay after
//! all) and the plan is rehearsed again, until every pod finds a place.

use crate::bound::Bound;
use crate::model::Model;
use crate::sequence::{Change, Rehearsal, rehearse};
use crate::state::{NOWHERE, State};

/// Rounds in which machines may be added; after these, nodes only stay.
const MACHINE_ROUNDS: u32 = 24;
/// Most machines that one round adds.
pub(crate) const SPARE_SLOTS: usize = 48;
/// Of the remedies found, one in this many is taken at a time: room relieves more pods than those
/// that got stuck for want of it.
const CAUTION: usize = 4;
/// A node stays rather than that a machine is booted when it takes pods at this much lower a rate.
const HOME_FACTOR: i64 = 3;
/// Moves × hosts of all rehearsals that make a settled change cheaper.
const POLISH_WORK: usize = 20_000_000;
/// Most rehearsals that make a settled change cheaper.
const MOST_TRIALS: usize = 60;

/// Repairs a change until no pod of a leaving node is stuck, and rehearses it.
///
/// `wanted` says which pending pods must get a place. Ends after as many rounds as there are nodes
/// that leave, at most: each round adds a machine or keeps a node, and machines only for a while.
pub(crate) fn settle<'m, 'a>(
    model: &'m Model<'a>,
    bound: &Bound,
    mut change: Change,
    wanted: &dyn Fn(usize) -> bool,
) -> (Change, Rehearsal<'m, 'a>) {
    let mut round = 0;
    loop {
        let mut rehearsal = rehearse(model, &change);
        let stuck: Vec<usize> =
            rehearsal.stuck.iter().copied().filter(|item| model.items[*item].home.is_some() || wanted(*item)).collect();
        round += 1;
        if stuck.is_empty() {
            if round <= MACHINE_ROUNDS && drop_unused(&mut change, &rehearsal) {
                continue;
            }
            return (change, rehearsal);
        }
        if round <= MACHINE_ROUNDS {
            let (machines, stay) = remedies(&mut rehearsal.state, bound, &change, stuck);
            if machines.is_empty() && stay.is_empty() {
                // Only pending pods are stuck, and no machine takes them: they stay pending.
                return (change, rehearsal);
            }
            change.machines.extend(machines);
            change.leaving.retain(|host| !stay.contains(host));
        } else {
            let homes: Vec<usize> = stuck.iter().filter_map(|item| model.items[*item].home).collect();
            if homes.is_empty() {
                return (change, rehearsal);
            }
            change.leaving.retain(|host| !homes.contains(host));
        }
    }
}

/// Drops new machines that got no pod; whether there were any. Slots of the others change with it.
fn drop_unused(change: &mut Change, rehearsal: &Rehearsal<'_, '_>) -> bool {
    let mut slot = rehearsal.state.nodes();
    let before = change.machines.len();
    change.machines.retain(|_| {
        slot += 1;
        !rehearsal.state.pods[slot - 1].is_empty()
    });
    change.machines.len() < before
}

/// For the stuck pods, again and again the remedy that costs least for what it takes: one more
/// machine, or the node of a stuck pod that stays.
fn remedies(
    state: &mut State<'_, '_>,
    bound: &Bound,
    change: &Change,
    mut stuck: Vec<usize>,
) -> (Vec<usize>, Vec<usize>) {
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
                stuck.retain(|item| !take(state, *item, host));
            }
            (_, Some((_, home))) => {
                stay.push(home);
                stuck.retain(|item| state.model.items[*item].home != Some(home));
            }
            (_, None) => break,
        }
    }
    let remedies = machines.len() + stay.len();
    machines.truncate(remedies.div_ceil(CAUTION));
    stay.truncate(remedies.div_ceil(CAUTION) - machines.len());
    (machines, stay)
}

/// Moves a stuck item to a host if it fits there; whether it does.
fn take(state: &mut State<'_, '_>, item: usize, host: usize) -> bool {
    let class = state.model.items[item].class;
    if !state.fits(class, host) {
        return false;
    }
    if state.at[item] != NOWHERE {
        state.lift(item);
    }
    state.place(item, host);
    true
}

/// The machine that takes stuck pods at the least price for their worth, and that rate.
fn cheapest_machine(state: &mut State<'_, '_>, bound: &Bound, stuck: &[usize]) -> Option<(i64, usize)> {
    let model = state.model;
    let mut best: Option<(i64, usize)> = None;
    for (index, machine) in model.machines.iter().enumerate() {
        let mark = state.mark();
        let Some(host) = state.boot(index) else { continue };
        let mut worth = 0;
        for item in stuck {
            if take(state, *item, host) {
                worth += bound.worth[model.items[*item].class].max(1);
            }
        }
        state.undo(mark);
        if worth > 0 {
            let rate =
                i64::try_from(i128::from(machine.offer.price) * 1_000_000 / i128::from(worth)).unwrap_or(i64::MAX);
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

/// Makes a settled change cheaper: new machines are left out or replaced by cheaper ones for as long
/// as the rehearsal still finds every pod a place. The emptiest for its price comes first.
pub(crate) fn polish<'m, 'a>(
    model: &'m Model<'a>,
    bound: &Bound,
    change: &mut Change,
    rehearsal: &mut Rehearsal<'m, 'a>,
) {
    let work = rehearsal.steps.len() * (model.hosts.len() + change.machines.len());
    let trials = (POLISH_WORK / work.max(1)).min(MOST_TRIALS);
    let mut failed: Vec<(usize, usize)> = Vec::new();
    for _ in 0..trials {
        let Some((place, smaller)) = next_trial(&rehearsal.state, bound, change, &failed) else { return };
        let old = change.machines[place];
        let mut machines = change.machines.clone();
        match smaller {
            Some(machine) => machines[place] = machine,
            None => {
                machines.remove(place);
            }
        }
        let trial = Change { leaving: change.leaving.clone(), machines };
        let outcome = rehearse(model, &trial);
        if outcome.stuck.len() <= rehearsal.stuck.len() {
            *change = trial;
            *rehearsal = outcome;
            failed.clear();
        } else {
            failed.push((old, smaller.unwrap_or(usize::MAX)));
        }
    }
}

/// The next machine to leave out or to replace (by place), and the replacement.
fn next_trial(
    state: &State<'_, '_>,
    bound: &Bound,
    change: &Change,
    failed: &[(usize, usize)],
) -> Option<(usize, Option<usize>)> {
    let model = state.model;
    let mut places: Vec<(i64, usize)> = (0..change.machines.len())
        .map(|place| {
            let runs: i64 =
                state.pods[state.nodes() + place].iter().map(|item| bound.worth[model.items[*item].class]).sum();
            (runs / model.machines[change.machines[place]].offer.price.max(1), place)
        })
        .collect();
    places.sort_unstable();
    let untried = |old: usize, new: usize| !failed.contains(&(old, new));
    let may_boot = |machine: usize| {
        let booted = change.machines.iter().filter(|other| **other == machine).count();
        model.machines[machine].offer.most.is_none_or(|most| booted < most as usize)
    };
    for (_, place) in &places {
        let old = change.machines[*place];
        if untried(old, usize::MAX) {
            return Some((*place, None));
        }
        let price = model.machines[old].offer.price;
        let cheaper = (0..model.machines.len())
            .filter(|m| {
                model.machines[*m].sig == model.machines[old].sig
                    && model.machines[*m].offer.price < price
                    && untried(old, *m)
                    && may_boot(*m)
            })
            .max_by_key(|m| (model.machines[*m].offer.price, *m));
        if let Some(machine) = cheaper.filter(|m| model.machines[*m].offer.price * 2 >= price) {
            return Some((*place, Some(machine)));
        }
    }
    None
}
