//! Machines that are paid for whether they run or not, and what a set of machines costs because of them.
//!
//! The first `count` machines of a type in a region, on demand, cost nothing but their boot disk. So money is not a
//! sum over machines: a set costs the sum of its effective prices less, for each commitment, what covers a machine
//! times the smaller of how many there are and how many are committed.
//!
//! What is proven: for any relief between nothing and the whole cover, machines that cost less by the relief, and a
//! set that costs what is left of the cover times the committed number less, cost no more than in truth:
//! `cover·min(n, c) ≤ relief·n + (cover − relief)·c`. So a bound at such prices, which are of machines by themselves,
//! less that constant is a bound of the true cost, whatever the reliefs. The bound's linear program proposes those
//! that prove most, and the integers check the rest ([`crate::bound::of`]).
//!
//! What is exact: the cost of every placement, candidate and plan ([`Account`]), by which candidates are compared.
//!
//! What is heuristic: the search compares hosts by what the next one more, or one less, would cost; it may miss that
//! several together are cheaper. Where machines are compared without a placement, to choose which are tried at all
//! and by the integer program, they are weighed at those same reliefs: at the one that proves most the machines of a
//! commitment cost as much for their worth as others do.

use std::collections::BTreeMap;

use journal_schema::cloud::CapacityType;
use journal_schema::plan::PlanningInput;
use journal_schema::text::Name;

use crate::pricing;

/// Machines of a type in a region that are paid for.
#[derive(Clone, Debug)]
pub(crate) struct Commitment {
    pub(crate) machine_type: Name,
    pub(crate) region: Name,
    /// How many.
    pub(crate) count: i64,
    /// What each costs less when it runs, in micro-USD per hour.
    pub(crate) cover: i64,
}

/// All commitments, by machine type and region; those without a price are left out: no machine of theirs is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commitments(Vec<Commitment>);

/// What a machine costs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tariff {
    /// Its effective price, in micro-USD per hour.
    pub(crate) paid: i64,
    /// The commitment that may cover it.
    pub(crate) commitment: Option<usize>,
}

impl Tariff {
    /// What a machine is weighed at, in micro-USD per hour, by the relief of each commitment.
    pub(crate) fn weighed(self, relief: &[i64]) -> i64 {
        self.paid - self.commitment.map_or(0, |commitment| relief[commitment])
    }
}

impl Commitments {
    /// Those of the policy, equal ones added up.
    pub(crate) fn new(input: &PlanningInput) -> Self {
        let pricing = &input.policy.optimize.pricing;
        let mut counts: BTreeMap<(&Name, &Name), i64> = BTreeMap::new();
        for commitment in &pricing.commitments {
            *counts.entry((&commitment.machine_type, &commitment.region)).or_default() += i64::from(commitment.count);
        }
        let list = counts.into_iter().filter_map(|((machine_type, region), count)| {
            let list = input.prices.price(region, machine_type, CapacityType::OnDemand)?;
            let cover = pricing::machine(pricing, list, machine_type, CapacityType::OnDemand);
            let count = count.min(pricing::MOST_COMMITTED);
            Some(Commitment { machine_type: machine_type.clone(), region: region.clone(), count, cover })
        });
        Self(list.collect())
    }

    /// Every one of them.
    pub(crate) fn all(&self) -> &[Commitment] {
        &self.0
    }

    /// The one that covers such a machine.
    pub(crate) fn of(&self, region: &str, machine_type: &str, capacity_type: CapacityType) -> Option<usize> {
        let same = |own: &Commitment| own.machine_type == *machine_type && own.region == *region;
        self.0.iter().position(same).filter(|_| capacity_type == CapacityType::OnDemand)
    }

    /// What a bound at such reliefs counts too much at most, in micro-USD per hour.
    pub(crate) fn withheld(&self, relief: &[i64]) -> i64 {
        self.0.iter().zip(relief).map(|(own, relief)| (own.cover - relief) * own.count).sum()
    }

    /// By how much a set with so many machines costs more than such reliefs and [`Self::withheld`] make of it, in
    /// micro-USD per hour.
    pub(crate) fn slack(&self, relief: &[i64], account: &Account) -> i64 {
        let of = |(own, (relief, used)): (&Commitment, (&i64, &i64))| {
            if *used < own.count { (own.cover - relief) * (own.count - used) } else { relief * (used - own.count) }
        };
        self.0.iter().zip(relief.iter().zip(&account.0)).map(of).sum()
    }
}

/// How many machines there are of each commitment.
#[derive(Clone, Debug)]
pub(crate) struct Account(Vec<i64>);

impl Account {
    /// No machines.
    pub(crate) fn new(commitments: &Commitments) -> Self {
        Self(vec![0; commitments.0.len()])
    }

    /// Machines of a commitment.
    pub(crate) fn used(&self, commitment: usize) -> i64 {
        self.0[commitment]
    }

    /// One machine more; what all cost more for it.
    pub(crate) fn add(&mut self, commitments: &Commitments, tariff: Tariff) -> i64 {
        let more = self.next(commitments, tariff);
        tariff.commitment.into_iter().for_each(|commitment| self.0[commitment] += 1);
        more
    }

    /// What all would cost more with one machine more.
    pub(crate) fn next(&self, commitments: &Commitments, tariff: Tariff) -> i64 {
        let covers = |commitment: usize| {
            let own = &commitments.0[commitment];
            if self.0[commitment] < own.count { own.cover } else { 0 }
        };
        tariff.paid - tariff.commitment.map_or(0, covers)
    }

    /// What all would cost less with one machine less.
    pub(crate) fn last(&self, commitments: &Commitments, tariff: Tariff) -> i64 {
        let covers = |commitment: usize| {
            let own = &commitments.0[commitment];
            if self.0[commitment] <= own.count { own.cover } else { 0 }
        };
        tariff.paid - tariff.commitment.map_or(0, covers)
    }

    /// One machine less; what all cost less for it.
    pub(crate) fn take(&mut self, commitments: &Commitments, tariff: Tariff) -> i64 {
        let less = self.last(commitments, tariff);
        tariff.commitment.into_iter().for_each(|commitment| self.0[commitment] -= 1);
        less
    }

    /// Reckons as if only a share of what is not used yet were left.
    pub(crate) fn restrict(&mut self, commitments: &Commitments, shares: i64) {
        for (used, own) in self.0.iter_mut().zip(&commitments.0) {
            if *used < own.count {
                *used = own.count - (own.count - *used) / shares.max(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commitments() -> Commitments {
        let name = Name::truncated;
        Commitments(vec![Commitment { machine_type: name("n2-standard-4"), region: name("r"), count: 2, cover: 90 }])
    }

    #[test]
    fn the_first_machines_are_covered_and_no_more() {
        let all = commitments();
        let tariff = Tariff { paid: 100, commitment: Some(0) };
        let mut account = Account::new(&all);
        assert_eq!([(); 4].map(|()| account.add(&all, tariff)), [10, 10, 100, 100]);
        assert_eq!([(); 4].map(|()| account.take(&all, tariff)), [100, 100, 10, 10]);
        let other = Tariff { paid: 7, commitment: None };
        assert_eq!((account.add(&all, other), account.take(&all, other)), (7, 7));
    }

    #[test]
    fn reliefs_never_take_off_less_than_the_commitment_does() {
        let all = commitments();
        for relief in [0, 1, 45, 89, 90] {
            let mut account = Account::new(&all);
            let mut cost = 0;
            for machines in 0..6 {
                let weighed = machines * (100 - relief) - all.withheld(&[relief]);
                let slack = all.slack(&[relief], &account);
                assert!(slack >= 0);
                assert_eq!(cost - slack, weighed, "{machines} machines at a relief of {relief}");
                cost += account.add(&all, Tariff { paid: 100, commitment: Some(0) });
            }
        }
    }

    #[test]
    fn spot_machines_and_other_places_are_not_covered() {
        let all = commitments();
        assert_eq!(all.of("r", "n2-standard-4", CapacityType::OnDemand), Some(0));
        assert_eq!(all.of("r", "n2-standard-4", CapacityType::Spot), None);
        assert_eq!(all.of("q", "n2-standard-4", CapacityType::OnDemand), None);
        assert_eq!(all.of("r", "n2-standard-8", CapacityType::OnDemand), None);
    }
}
