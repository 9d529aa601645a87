//! Making a packing one that the scheduler carries out, by leading it.
//!
//! Hosts that take pods are opened one after the other; all others show a taint that the scheduler
//! avoids where it can (PreferNoSchedule: its default weight of three outweighs what the other plugins
//! see of an ordinary pod). So a packing comes true whatever the order in which pods reach the
//! scheduler, and a pod that does not fit where it is led is never kept waiting: it goes where it would
//! have gone. What the rehearsal shows to fail nevertheless is tried once more at the end, then with one
//! machine more, and then given up: the node stays.

use std::collections::BTreeSet;

use crate::bound::Bound;
use crate::model::Model;
use crate::remedies::Remedies;
use crate::sequence::{Change, Rehearsal, Rules, Wave, rehearse};

/// Rounds in which machines may be added; after these, nodes only stay. Each costs a rehearsal.
const MOST_ROUNDS: u32 = 8;

/// Repairs a steered change until no pod of a leaving node is stuck, and rehearses it.
///
/// Each round moves pods to the end that were not there before, adds a machine, or gives up a node; machines
/// are added in so many rounds only.
pub(crate) fn steer<'m, 'a>(
    model: &'m Model<'a>,
    bound: &Bound,
    mut change: Change,
    rules: Rules,
) -> (Change, Rehearsal<'m, 'a>) {
    let mut late: BTreeSet<usize> = BTreeSet::new();
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
        } else if let Some(shift) = given_up.iter().find_map(|item| change.shift(*item)) {
            // A pod that need not move stays: no machine is booted for it.
            change.drop_shifts(&[shift.item]);
        } else if round <= MOST_ROUNDS {
            let remedies = Remedies::find(&mut rehearsal.state, bound, &change, given_up).first();
            help(model, &mut change, remedies, &stuck);
        } else {
            let stay: Vec<usize> = given_up.iter().filter_map(|item| model.items[*item].home).collect();
            change.keep(model, &stay);
        }
        change.waves.retain(|wave| !wave.items.is_empty());
    }
}

/// Applies remedies; new machines are opened to the pods that were stuck when their turn came.
pub(crate) fn help(model: &Model<'_>, change: &mut Change, remedies: Remedies, stuck: &[usize]) {
    let slots = remedies.apply(model, change);
    for wave in change.waves.iter_mut().filter(|wave| wave.items.iter().any(|item| stuck.contains(item))) {
        wave.opens.extend(slots.clone());
    }
    change.waves.retain(|wave| !wave.items.is_empty());
}

/// Moves an item to the end, where its host is opened once more.
fn postpone(change: &mut Change, item: usize) {
    let Some(wave) = change.waves.iter_mut().find(|wave| wave.items.contains(&item)) else { return };
    wave.items.retain(|other| *other != item);
    let opens = wave.opens.clone();
    change.waves.push(Wave { opens, items: vec![item] });
}
