//! Where a plan costs more than the bound, node by node.
//!
//! The bound gives every pod a worth such that no host can hold more than it costs; so what a host of the plan
//! costs beyond the worth of its pods is its waste, and nothing else separates the plan from the bound. Three
//! things make that exact, and a fourth where machines are committed:
//! - The bound takes a rent off for each host of a kind of limited number whose room is worth more than its
//!   price. Where the plan has such a host its rent counts as part of its cost, and where it has not, the rent
//!   is wasted all the same ([`Waste::unused`]).
//! - Nodes that stay in any case are paid for in the bound, and their room is let as that of one large host. What
//!   of that rent the pods there are not worth is shared among them by the worth of their free room.
//! - A machine that a commitment may cover counts at what the bound weighs it at. What the plan makes less of the
//!   commitment than the bound supposes is wasted too, and is nobody's ([`Waste::unused`]).
//! - Worths are in nano-USD and costs in micro-USD. The sum is rounded as it grows, so that the parts sum to
//!   exactly the cost less the bound, and no part is off by more than a micro-USD.

use std::collections::BTreeMap;

use crate::bound::{Bound, KindKey};
use crate::model::Model;
use crate::sequence::{Change, Rehearsal};

/// Nano-USD in a micro-USD.
const NANO: i128 = 1_000;

/// In micro-USD per hour. All of it sums to the plan's cost less the bound.
pub(crate) struct Waste {
    /// By node; nothing for those that leave.
    pub(crate) nodes: Vec<i64>,
    /// By machine to boot.
    pub(crate) machines: Vec<i64>,
    /// Hosts of limited number and commitments that the bound counts on, and that the plan does not use.
    pub(crate) unused: i64,
}

/// Shares the distance between the cost of a change and the bound out.
pub(crate) fn waste(model: &Model<'_>, bound: &Bound, change: &Change, rehearsal: &Rehearsal<'_, '_>) -> Waste {
    let nothing = BTreeMap::new();
    let rents = bound.rents.as_ref().unwrap_or(&nothing);
    let rent = |key: KindKey| rents.get(&key).copied().unwrap_or(0);
    let worth = |slot: usize| -> i128 {
        if bound.rents.is_none() {
            return 0;
        }
        rehearsal.state.pods[slot].iter().map(|item| i128::from(bound.worth[model.items[*item].class])).sum()
    };
    let count = model.hosts.len();
    let mut nodes = vec![0; count];
    let mut unused: i128 = 0;
    let mut staying: BTreeMap<KindKey, Vec<usize>> = BTreeMap::new();
    for (index, host) in model.hosts.iter().enumerate() {
        let key = KindKey::of(host);
        if host.keep.is_some() {
            staying.entry(key).or_default().push(index);
        } else if change.leaves(index) {
            unused += rent(key);
        } else {
            let price = host.tariff.map_or(0, |tariff| tariff.weighed(&bound.relief));
            nodes[index] = i128::from(price) * NANO - worth(index) + rent(key);
        }
    }
    for (key, members) in staying {
        let wasted = rent(key) - members.iter().map(|index| worth(*index)).sum::<i128>();
        let free: Vec<i128> = members.iter().map(|index| free_worth(bound, &rehearsal.state.room[*index])).collect();
        for (index, share) in members.into_iter().zip(shared(wasted, &free)) {
            nodes[index] = share;
        }
    }
    let mut booted = vec![0_i128; model.machines.len()];
    let machines: Vec<i128> = change
        .machines
        .iter()
        .enumerate()
        .map(|(slot, machine)| {
            booted[*machine] += 1;
            let price = i128::from(model.machines[*machine].offer.tariff.weighed(&bound.relief)) * NANO;
            price - worth(count + slot) + rent(KindKey::Offer(*machine))
        })
        .collect();
    for (machine, booted) in booted.into_iter().enumerate() {
        let most = model.machines[machine].offer.most.map_or(0, i128::from);
        unused += rent(KindKey::Offer(machine)) * (most - booted).max(0);
    }
    unused += i128::from(model.commitments.slack(&bound.relief, &change.reckoned(model).1)) * NANO;
    let mut sum = Rounded::default();
    Waste {
        nodes: nodes.into_iter().map(|part| sum.add(part)).collect(),
        machines: machines.into_iter().map(|part| sum.add(part)).collect(),
        unused: sum.add(unused),
    }
}

/// What free room is worth at the bound's prices of resources.
fn free_worth(bound: &Bound, room: &crate::model::Amounts) -> i128 {
    i128::from(bound.units.worth(&room.map(|amount| amount.max(0))))
}

/// Shares an amount out by weights, or evenly where nothing has a weight; the shares sum to the amount.
fn shared(amount: i128, weights: &[i128]) -> Vec<i128> {
    let even = weights.iter().all(|weight| *weight <= 0);
    let weight = |own: &i128| if even { 1 } else { (*own).max(0) };
    let total: i128 = weights.iter().map(weight).sum::<i128>().max(1);
    let (mut seen, mut given) = (0, 0);
    let share = |own: &i128| {
        seen += weight(own);
        let share = amount * seen / total - given;
        given += share;
        share
    };
    weights.iter().map(share).collect()
}

/// A sum of nano-USD that is given out in whole micro-USD.
#[derive(Default)]
struct Rounded {
    nano: i128,
    given: i128,
}

impl Rounded {
    fn add(&mut self, nano: i128) -> i64 {
        self.nano += nano;
        let part = self.nano.div_euclid(NANO) - self.given;
        self.given += part;
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Rounded, shared};

    #[test]
    fn shares_sum_to_the_amount() {
        for (amount, weights, expected) in [
            (10, vec![1, 1, 1], vec![3, 3, 4]),
            (7, vec![0, 0], vec![3, 4]),
            (7, vec![-5, 2, 0], vec![0, 7, 0]),
            (0, vec![3], vec![0]),
            (9, vec![], vec![]),
        ] {
            assert_eq!(shared(amount, &weights), expected, "{amount} by {weights:?}");
        }
    }

    #[test]
    fn parts_are_rounded_so_that_their_sum_is() {
        let mut sum = Rounded::default();
        assert_eq!([700, 700, 700, 0, 899].map(|nano| sum.add(nano)), [0, 1, 1, 0, 0]);
    }
}
