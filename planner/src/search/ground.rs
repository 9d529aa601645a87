//! What all searches of one cluster share: where hosts are alike, and which machines are worth trying there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Goal, exchange};
use crate::model::Model;
use crate::state::{State, has_room};

/// What all searches of one cluster share.
#[derive(Debug)]
pub(super) struct Ground {
    /// By signature: where hosts of it are, the same for all that rules between pods see alike.
    pub(super) places: Vec<usize>,
    /// By place: machines worth trying, cheapest first.
    pub(super) good: Vec<Vec<Good>>,
    /// By class: whether no rule is about its pods and those of another.
    pub(super) alone: Vec<bool>,
    /// By class: a number of those whose pods matter to each other beyond a host; `None` where there are none.
    pub(super) groups: Vec<Option<usize>>,
    /// By class: what the resources that a pod asks for are worth, in nano-USD per hour.
    pub(super) volumes: Vec<i64>,
    /// Machines by price, without those of which another of the same place is as good for any pods: of each place,
    /// and last of all places.
    by_price: Vec<Vec<usize>>,
    /// What nodes cost that may leave, and what emptying them takes.
    stakes: (i64, i64),
    /// Micro-USD per hour: the mean price of nodes that may leave, at least one.
    pub(super) typical: i64,
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
        let together = model.relations.bound_together();
        let mut classes_of = vec![0_u32; by_profile.len()];
        model.classes.iter().for_each(|class| classes_of[class.profile] += 1);
        let alone = |profile: usize| by_profile[profile] && classes_of[profile] == 1;
        let by_price = by_price(model, &places, good.len());
        Self {
            places,
            good,
            by_price,
            stakes: model.stakes(),
            typical: typical_price(model),
            alone: model.classes.iter().map(|class| alone(class.profile)).collect(),
            groups: model.classes.iter().map(|class| together[class.profile]).collect(),
            volumes: model.classes.iter().map(|class| goal.bound.units.worth(&class.request)).collect(),
        }
    }
}

/// Machines of each place by price, and last those of all places.
fn by_price(model: &Model<'_>, places: &[usize], count: usize) -> Vec<Vec<usize>> {
    let machines = &model.machines;
    let admitted = |sig: usize| model.compatible.iter().map(|by_sig| by_sig[sig]).collect::<Vec<bool>>();
    let mut numbers: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    let mut numbered = |sig: usize| {
        let next = numbers.len();
        *numbers.entry(admitted(sig)).or_insert(next)
    };
    // By signature: the same where the same pods may run.
    let admits: Vec<usize> = (0..model.signatures).map(&mut numbered).collect();
    // What is paid for already may be the cheaper one of two when its turn comes.
    let prices_stay = model.commitments.all().is_empty();
    let mut lists: Vec<Vec<usize>> = vec![Vec::new(); count + 1];
    for machine in model.by_price.iter().copied() {
        let (kind, place) = (&machines[machine], places[machines[machine].sig]);
        let as_good = |other: &usize| {
            let other = &machines[*other];
            let as_large = other.room.iter().zip(&kind.room).all(|(other, own)| other >= own);
            as_large && other.offer.most.is_none() && admits[other.sig] == admits[kind.sig]
        };
        if !prices_stay || !lists[place].iter().any(as_good) {
            lists[place].push(machine);
            lists[count].push(machine);
        }
    }
    lists
}

impl Ground {
    /// Machines of a place, or of all places, the cheapest to boot now first; without those of which another of the
    /// same place is as good for any pods.
    pub(super) fn by_price(&self, state: &State<'_, '_>, place: Option<usize>) -> Cow<'_, [usize]> {
        state.cheapest_first(&self.by_price[place.unwrap_or(self.good.len())])
    }

    /// Whether moves are dear at a price of one.
    pub(super) fn moves_are_dear(&self, move_penalty: i64) -> bool {
        exchange::are_dear(self.stakes, move_penalty)
    }

    /// Whether no place has much better machines than another for their price.
    pub(super) fn alike(&self, model: &Model<'_>) -> bool {
        let value = |good: &Good| value(good.room, model.machines[good.machine].offer.price);
        let best = |place: &Vec<Good>| place.iter().map(value).max().unwrap_or(0);
        let (least, most) = (self.good.iter().map(best).min(), self.good.iter().map(best).max());
        least.unwrap_or(0) * 100 >= most.unwrap_or(0) * ALIKE_PERCENT
    }
}

fn typical_price(model: &Model<'_>) -> i64 {
    let prices: Vec<i64> = model.leaving().filter_map(|host| host.price).collect();
    let count = i64::try_from(prices.len()).unwrap_or(1).max(1);
    (prices.iter().sum::<i64>() / count).max(1)
}

/// What a machine's room is worth for its price.
fn value(room: i64, price: i64) -> i128 {
    i128::from(room) * 1000 / i128::from(price.max(1))
}

/// Worth of a machine's room for its price, in percent of the best one's, from which it is worth trying.
const GOOD_PERCENT: i128 = 85;
/// Places are alike if the best machine of each comes so near the best of all.
const ALIKE_PERCENT: i128 = 98;

/// Machines whose room is worth nearly their price; for each class, those that come near the best of the machines
/// that it may use, and the cheapest that takes it.
fn good_machines(model: &Model<'_>, goal: &Goal<'_>) -> Vec<Good> {
    let machines = &model.machines;
    let rooms: Vec<i64> = machines.iter().map(|kind| goal.bound.units.worth(&kind.room)).collect();
    let values: Vec<i128> = rooms.iter().zip(machines).map(|(room, kind)| value(*room, kind.offer.price)).collect();
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
