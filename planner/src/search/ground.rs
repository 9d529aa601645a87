//! What all searches of one cluster share: where hosts are alike, and which machines are worth trying there.

use super::Goal;
use crate::model::Model;
use crate::state::has_room;

/// What all searches of one cluster share.
#[derive(Debug)]
pub(super) struct Ground {
    /// By signature: where hosts of it are, the same for all that rules between pods see alike.
    pub(super) places: Vec<usize>,
    /// By place: machines worth trying, cheapest first.
    pub(super) good: Vec<Vec<Good>>,
    /// By class: whether no rule is about its pods and those of another.
    pub(super) alone: Vec<bool>,
    /// By class: what the resources that a pod asks for are worth, in nano-USD per hour.
    pub(super) volumes: Vec<i64>,
}

/// A machine worth trying.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) machine: usize,
    /// Nano-USD per hour that its resources are worth.
    pub(super) room: i64,
    /// By class: whether it is worth trying for the sake of one of its pods. `None` when it is in any case.
    pub(super) only: Option<Vec<bool>>,
}

impl Ground {
    pub(super) fn new(model: &Model<'_>, goal: &Goal<'_>) -> Self {
        let places = model.relations.places(model.signatures);
        let mut good: Vec<Vec<Good>> = Vec::new();
        good.resize_with(places.iter().copied().max().map_or(0, |most| most + 1), Vec::new);
        for found in good_machines(model, goal) {
            good[places[model.machines[found.machine].sig]].push(found);
        }
        for machines in &mut good {
            machines.sort_by_key(|good| (model.machines[good.machine].offer.price, good.machine));
        }
        let by_profile = model.relations.among_themselves();
        let mut classes_of = vec![0_u32; by_profile.len()];
        model.classes.iter().for_each(|class| classes_of[class.profile] += 1);
        let alone = |profile: usize| by_profile[profile] && classes_of[profile] == 1;
        Self {
            places,
            good,
            alone: model.classes.iter().map(|class| alone(class.profile)).collect(),
            volumes: model.classes.iter().map(|class| goal.bound.units.worth(&class.request)).collect(),
        }
    }
}

/// Worth of a machine's room for its price, in percent of the best one's, from which it is worth trying.
const GOOD_PERCENT: i128 = 85;

/// Machines whose room is worth nearly their price; for each class, those that come near the best of the machines
/// that it may use, and the cheapest that takes it.
fn good_machines(model: &Model<'_>, goal: &Goal<'_>) -> Vec<Good> {
    let machines = &model.machines;
    let rooms: Vec<i64> = machines.iter().map(|kind| goal.bound.units.worth(&kind.room)).collect();
    let values: Vec<i128> = rooms
        .iter()
        .zip(machines)
        .map(|(room, kind)| i128::from(*room) * 1000 / i128::from(kind.offer.price.max(1)))
        .collect();
    let best = values.iter().copied().max().unwrap_or(0);
    let mut good: Vec<Option<Good>> = (0..machines.len())
        .map(|machine| {
            let good = Good { machine, room: rooms[machine], only: None };
            (values[machine] * 100 >= best * GOOD_PERCENT).then_some(good)
        })
        .collect();
    for (class, kind) in model.classes.iter().enumerate().filter(|(class, _)| goal.bound.worth[*class] != 0) {
        let takes = |machine: &usize| {
            model.allowed(class, machines[*machine].sig)
                && has_room(&kind.request, &machines[*machine].room, model.dims)
        };
        let able: Vec<usize> = (0..machines.len()).filter(takes).collect();
        let best = able.iter().map(|machine| values[*machine]).max().unwrap_or(0);
        let cheapest = able.iter().copied().min_by_key(|machine| (machines[*machine].offer.price, *machine));
        for machine in
            able.iter().copied().filter(|machine| values[*machine] * 100 >= best * GOOD_PERCENT).chain(cheapest)
        {
            let only = || Some(vec![false; model.classes.len()]);
            let good = good[machine].get_or_insert_with(|| Good { machine, room: rooms[machine], only: only() });
            if let Some(only) = &mut good.only {
                only[class] = true;
            }
        }
    }
    good.into_iter().flatten().collect()
}
