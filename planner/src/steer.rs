//! Making a packing one that the scheduler carries out, by leading it.
//!
//! Hosts that take pods are opened one after the other; all others show a taint that the scheduler
//! avoids where it can (PreferNoSchedule: its default weight of three outweighs what the other plugins
//! see of an ordinary pod). So a packing comes true whatever the order in which pods reach the
//! scheduler, and a pod that does not fit where it is led is never kept waiting: it goes where it would
//! have gone. What the rehearsal shows to fail nevertheless is tried once more at the end, then in exchange
//! for another pod, then with one machine more, and then given up: the node stays.

use std::collections::BTreeSet;

use crate::bound::Bound;
use crate::model::Model;
use crate::remedies::Remedies;
use crate::sequence::{Change, Rehearsal, Rules, Wave, rehearse};
use crate::state::State;

/// Rounds in which machines may be added; after these, nodes only stay. Each costs a rehearsal.
const MOST_ROUNDS: u32 = 8;
/// Places that are looked at for all exchanges of a round.
const MOST_LOOKS: usize = 4_000_000;

/// Repairs a steered change until no pod of a leaving node is stuck, and rehearses it.
///
/// Each round moves pods to the end that were not there before, exchanges pods that were not exchanged before,
/// adds a machine, or gives up a node; machines are added in so many rounds only.
pub(crate) fn steer<'m, 'a>(
    model: &'m Model<'a>,
    bound: &Bound,
    mut change: Change,
    rules: Rules,
) -> (Change, Rehearsal<'m, 'a>) {
    let (mut late, mut exchanged): (BTreeSet<usize>, BTreeSet<usize>) = (BTreeSet::new(), BTreeSet::new());
    let mut round = 0;
    loop {
        let mut rehearsal = rehearse(model, &change, rules);
        let stuck: Vec<usize> =
            rehearsal.stuck.iter().copied().filter(|item| model.items[*item].home.is_some()).collect();
        if stuck.is_empty() {
            if change.drop_unused(&rehearsal) {
                continue;
            }
            return (change, rehearsal);
        }
        let (again, given_up): (Vec<usize>, Vec<usize>) = stuck.iter().copied().partition(|item| late.insert(*item));
        round += 1;
        if !again.is_empty() {
            for item in again {
                postpone(&mut change, item);
            }
        } else if exchange(&mut rehearsal.state, &mut change, &given_up, &mut exchanged) {
            // The next rehearsal shows what it was good for.
        } else if round <= MOST_ROUNDS {
            let remedies = Remedies::find(&mut rehearsal.state, bound, &change, given_up).first();
            keep(&mut change, model, &remedies.stay);
            let slots: Vec<usize> = remedies
                .machines
                .into_iter()
                .map(|machine| {
                    change.machines.push(machine);
                    model.hosts.len() + change.machines.len() - 1
                })
                .collect();
            for wave in change.waves.iter_mut().filter(|wave| wave.items.iter().any(|item| stuck.contains(item))) {
                wave.opens.extend(&slots);
            }
        } else {
            let stay: Vec<usize> = given_up.iter().filter_map(|item| model.items[*item].home).collect();
            keep(&mut change, model, &stay);
        }
        change.waves.retain(|wave| !wave.items.is_empty());
    }
}

/// Nodes stay after all, with their pods.
fn keep(change: &mut Change, model: &Model<'_>, stay: &[usize]) {
    change.leaving.retain(|host| !stay.contains(host));
    for wave in &mut change.waves {
        wave.items.retain(|item| model.items[*item].home.is_none_or(|home| !stay.contains(&home)));
    }
}

/// Moves an item to the end, where its host is opened once more.
fn postpone(change: &mut Change, item: usize) {
    if let Some(wave) = take_out(change, item) {
        change.waves.push(Wave { opens: wave, items: vec![item] });
    }
}

/// Takes an item out of its wave, and tells which hosts that opens.
fn take_out(change: &mut Change, item: usize) -> Option<Vec<usize>> {
    let wave = change.waves.iter_mut().find(|wave| wave.items.contains(&item))?;
    wave.items.retain(|other| *other != item);
    Some(wave.opens.clone())
}

/// Lets stuck items have the places of others that find room elsewhere, once for each pod; whether there is one.
fn exchange(state: &mut State<'_, '_>, change: &mut Change, stuck: &[usize], exchanged: &mut BTreeSet<usize>) -> bool {
    let (mut looks, mut any) = (0, false);
    for item in stuck.iter().filter(|item| !exchanged.contains(item)).copied().collect::<Vec<_>>() {
        exchanged.insert(item);
        if let Some((host, other, elsewhere)) = place_for(state, change, item, &mut looks) {
            exchanged.insert(other);
            take_out(change, other);
            take_out(change, item);
            change.waves.push(Wave { opens: vec![elsewhere], items: vec![other] });
            change.waves.push(Wave { opens: vec![host], items: vec![item] });
            any = true;
        }
    }
    any
}

/// A host, a pod that is to move there, and a host that takes that pod instead such that the first has room for
/// the stuck item: of those the one that leaves the least behind. The state is left as if that were done.
fn place_for(
    state: &mut State<'_, '_>,
    change: &Change,
    item: usize,
    looks: &mut usize,
) -> Option<(usize, usize, usize)> {
    let model = state.model;
    let class = model.items[item].class;
    let hosts: Vec<usize> =
        (0..state.open.len()).filter(|host| state.open[*host] && change.leaving.binary_search(host).is_err()).collect();
    for host in hosts.iter().copied() {
        if !model.allowed(class, state.sig[host]) {
            continue;
        }
        let guests = state.pods[host].iter().copied().filter(|guest| model.items[*guest].home != Some(host));
        for other in guests.collect::<Vec<_>>() {
            *looks += 1;
            if *looks > MOST_LOOKS {
                return None;
            }
            let theirs = model.items[other].class;
            let mark = state.mark();
            state.lift(other);
            if theirs != class && state.fits(class, host) {
                let home = state.at[item];
                if home != crate::state::NOWHERE {
                    state.lift(item);
                }
                state.place(item, host);
                *looks += hosts.len();
                if let Some(elsewhere) = hosts.iter().copied().find(|to| *to != host && state.fits(theirs, *to)) {
                    state.place(other, elsewhere);
                    return Some((host, other, elsewhere));
                }
            }
            state.undo(mark);
        }
    }
    None
}
