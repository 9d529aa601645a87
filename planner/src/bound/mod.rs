//! The lower bound: no placement of these pods under these rules costs less.
//!
//! The proof is linear programming duality, checked in integers. Give each class of pods a worth and
//! each machine a way to show that nothing it can hold is worth more than its price: then all pods
//! together are worth no more than any set of machines that holds them costs. Floating point only
//! proposes the worths; what is proven is recomputed in integers from the rounded ones, with demand
//! rounded down and capacity rounded up.

mod assignment;
mod dealing;
mod fillings;
mod fine;
mod grid;
mod groups;
mod interior;
mod mixed;
mod prices;
mod problem;
mod program;
mod proof;
mod volume;
mod whole;

use std::collections::BTreeMap;

use crate::model::{DIMS, Model};
use crate::worth::UnitPrices;
pub(crate) use fillings::Filling;
use journal_schema::text::Name;
pub(crate) use problem::{KindKey, Problem};

/// A proven bound.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// Micro-USD per hour.
    pub(crate) cost: i64,
    /// How it was proven, for people.
    pub(crate) method: Name,
    /// The prices that prove it, to guide a search.
    pub(crate) units: UnitPrices,
    /// By class of the model, in nano-USD per hour: what one pod is worth.
    pub(crate) worth: Vec<i64>,
    /// By class of the model, in nano-USD per hour and unit: prices of resources, where the classes that may use
    /// the same hosts have prices of their own. Proposed and not proven: what a worth is made of, for people.
    pub(crate) resources: Vec<[f64; DIMS]>,
    /// In nano-USD per hour: what the bound takes off for each host of a kind of limited number, because
    /// its room is worth more than it costs. `None` when no worth is proven, only what is fixed.
    pub(crate) rents: Option<BTreeMap<KindKey, i128>>,
    /// How the cheapest hosts could be filled if their numbers need not be whole; empty where that was not sought.
    pub(crate) fillings: Vec<Filling>,
    /// By commitment, in micro-USD per hour: how much less a machine that it may cover is weighed at. What is left
    /// of the cover is taken off the bound for each committed machine, used or not.
    pub(crate) relief: Vec<i64>,
}

impl Bound {
    /// Nano-USD per hour that pods are worth.
    pub(crate) fn worth_of(&self, model: &Model<'_>, items: &[usize]) -> i64 {
        items.iter().map(|item| self.worth[model.items[*item].class]).sum()
    }
}

/// Rents by what the kinds are.
fn by_key(problem: &Problem, rents: &[i128]) -> BTreeMap<KindKey, i128> {
    problem.kinds.iter().zip(rents).filter(|(_, rent)| **rent > 0).map(|(kind, rent)| (kind.of, *rent)).collect()
}

/// Proves a bound by what resources cost alone: within a millisecond, whatever the size.
pub(crate) fn by_volume(problem: &Problem, classes: usize) -> Bound {
    let (cost, units, rents) = volume::prove(problem);
    let mut worth = vec![0; classes];
    for class in &problem.classes {
        worth[class.class] = units.0.iter().zip(&class.request).map(|(unit, amount)| unit * amount).sum();
    }
    let rents = rents.map(|rents| by_key(problem, &rents));
    let resources = vec![units.0.map(|unit| unit as f64); classes];
    let method = Name::truncated("linear relaxation by resource, checked in integers");
    Bound { cost, method, units, worth, resources, rents, relief: problem.relief.clone(), fillings: Vec::new() }
}

/// The bound for the pods that run after a plan: those that are bound now, and the pending ones that `placed` says
/// get a place. Where machines are committed, the best of what several reliefs prove, one of which is the whole
/// cover: that bound is of prices alone, so none is below zero.
pub(crate) fn of(model: &Model<'_>, placed: &dyn Fn(usize) -> bool) -> Bound {
    let classes = model.classes.len();
    let commitments = &model.commitments;
    let plain = Problem::new(model, placed, vec![0; commitments.all().len()]);
    if commitments.all().is_empty() {
        return prove(&plain, classes);
    }
    let whole: Vec<i64> = commitments.all().iter().map(|own| own.cover).collect();
    let proposed = groups::propose(&plain).map(|proposal| proposal.relief);
    let with = |relief: Vec<i64>| {
        let mut bound = prove(&Problem::new(model, placed, relief), classes);
        bound.cost -= commitments.withheld(&bound.relief);
        bound
    };
    let mut best = with(whole);
    for relief in proposed.into_iter().chain([plain.relief]) {
        let bound = with(relief);
        if bound.cost > best.cost {
            best = bound;
        }
    }
    best
}

/// Proves a bound for the pods of a problem.
fn prove(problem: &Problem, classes: usize) -> Bound {
    let mut bound = by_volume(problem, classes);
    let take = |bound: &mut Bound, proof: &proof::Proof, method: &str| {
        if problem.fixed + proof.cost <= bound.cost {
            return;
        }
        bound.cost = problem.fixed + proof.cost;
        bound.method = Name::truncated(format!("linear relaxation by {method}, checked in integers"));
        for (class, worth) in problem.classes.iter().zip(&proof.worth) {
            bound.worth[class.class] = *worth;
        }
        bound.rents = Some(by_key(problem, &proof.rents));
    };
    let Some(proposal) = groups::propose(problem) else { return bound };
    let grouped = proof::certify(problem, &proposal.worths, &proposal.prices);
    take(&mut bound, &grouped, "resource and group of machine types");
    let unit = proof::unit(problem);
    for (class, own) in problem.classes.iter().zip(&proposal.own) {
        bound.resources[class.class] = own.map(|price| price * unit);
    }
    let proof = assignment::improve(problem, &proposal, &grouped).unwrap_or(grouped);
    take(&mut bound, &proof, "pod class and host");
    let proof = match mixed::improve(problem, &proof) {
        Some(mixed) => {
            take(&mut bound, &mixed, "pod class and host, small ones in whole pods");
            mixed
        }
        None => proof,
    };
    let (whole, fillings) = fillings::improve(problem, &proof);
    if let Some(whole) = whole {
        take(&mut bound, &whole, "pod class and filling of a host");
    }
    bound.fillings = fillings;
    bound
}
