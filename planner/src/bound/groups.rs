//! Prices per resource, one set for each group of classes that may use the same kinds of hosts.
//!
//! Pods that only few machine types take may be worth more per unit than those that run anywhere. A
//! host's own prices must not be below those of any group that it takes.

use std::collections::{BTreeMap, BTreeSet};

use microlp::{ComparisonOp, OptimizationDirection, Problem as Program, Variable};

use super::problem::Problem;
use crate::model::DIMS;

/// Most rows of the program.
const MOST_ROWS: usize = 9_000;

/// Proposed worths and prices, both in units of the dearest kind's price.
pub(super) struct Proposal {
    /// By demand.
    pub(super) worths: Vec<f64>,
    /// By kind.
    pub(super) prices: Vec<[f64; DIMS]>,
    /// By demand: the prices of its group.
    pub(super) own: Vec<[f64; DIMS]>,
    /// By commitment, in micro-USD per hour: the relief with which most is proven.
    pub(super) relief: Vec<i64>,
}

/// Solves the dual of the relaxation that knows which classes run on which kinds. `None` when it is
/// too large, or the solver gave up.
pub(super) fn propose(problem: &Problem) -> Option<Proposal> {
    let mut groups: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    let mut group_of = Vec::new();
    for class in 0..problem.classes.len() {
        let next = groups.len();
        group_of.push(*groups.entry(problem.takers(class)).or_insert(next));
    }
    let (dims, largest) = (problem.priced_dims(), problem.largest());
    // By kind: the groups that it takes. Kinds that take the same have the same prices, those of the dearest group.
    let guests: Vec<Vec<usize>> = (0..problem.kinds.len())
        .map(|kind| groups.iter().filter(|(row, _)| row[kind]).map(|(_, group)| *group).collect())
        .collect();
    let mut shared: BTreeMap<&Vec<usize>, Vec<Variable>> = BTreeMap::new();
    let alike: BTreeSet<&Vec<usize>> = guests.iter().collect();
    if alike.iter().map(|guests| guests.len()).sum::<usize>() * dims.len() + problem.kinds.len() > MOST_ROWS {
        return None;
    }
    let scale = problem.kinds.iter().map(|kind| kind.price).max()?.max(1) as f64;
    let pods: f64 = problem.classes.iter().map(|class| class.count as f64).sum::<f64>().max(1.0);
    let mut program = Program::new(OptimizationDirection::Maximize);
    // By group and dimension, per largest capacity of the dimension.
    let mut worth: Vec<Vec<Variable>> = Vec::new();
    for group in 0..groups.len() {
        let row = dims.iter().map(|dim| {
            let demand: f64 = problem
                .classes
                .iter()
                .zip(&group_of)
                .filter(|(_, g)| **g == group)
                .map(|(class, _)| class.request[*dim] as f64 * class.count as f64)
                .sum();
            demand / largest[*dim] as f64 / pods
        });
        worth.push(row.map(|objective| program.add_var(objective, (0.0, 1e4))).collect());
    }
    let relief: Vec<Variable> = problem
        .committed
        .iter()
        .map(|(left, cover)| program.add_var(*left as f64 / pods, (0.0, *cover as f64 / scale)))
        .collect();
    let mut price: Vec<Vec<Variable>> = Vec::new();
    for (kind, takes) in problem.kinds.iter().zip(&guests) {
        let own = shared.entry(takes).or_insert_with(|| {
            let own: Vec<Variable> = dims.iter().map(|_| program.add_var(0.0, (0.0, 1e4))).collect();
            for row in takes.iter().map(|group| &worth[*group]) {
                for (above, below) in own.iter().zip(row) {
                    program.add_constraint([(*above, 1.0), (*below, -1.0)], ComparisonOp::Ge, 0.0);
                }
            }
            own
        });
        let own = own.clone();
        let shares = dims.iter().map(|dim| kind.capacity[*dim] as f64 / largest[*dim] as f64);
        let mut row: Vec<(Variable, f64)> =
            own.iter().copied().zip(shares).filter(|(_, share)| *share > 1e-6).collect();
        if let Some(limit) = kind.limit {
            row.push((program.add_var(-(limit as f64) / pods, (0.0, f64::INFINITY)), -1.0));
        }
        if !row.is_empty() {
            row.extend(kind.commitment.map(|commitment| (relief[commitment], 1.0)));
            program.add_constraint(row.as_slice(), ComparisonOp::Le, kind.price as f64 / scale);
        }
        price.push(own);
    }
    let solution = program.solve().ok()?.into_solution().ok()?;
    let vector = |row: &Vec<Variable>| {
        let mut prices = [0.0; DIMS];
        for (dim, var) in dims.iter().zip(row) {
            prices[*dim] = (solution.var_value(*var) / largest[*dim] as f64).max(0.0);
        }
        prices
    };
    let by_group: Vec<[f64; DIMS]> = worth.iter().map(vector).collect();
    let worths = problem
        .classes
        .iter()
        .zip(&group_of)
        .map(|(class, group)| by_group[*group].iter().zip(&class.request).map(|(p, a)| p * *a as f64).sum());
    let own = group_of.iter().map(|group| by_group[*group]).collect();
    #[expect(clippy::cast_possible_truncation, reason = "between nothing and the cover")]
    let rounded = |(var, (_, cover)): (&Variable, &(i64, i64))| {
        ((solution.var_value(*var) * scale).round() as i64).clamp(0, *cover)
    };
    let relief = relief.iter().zip(&problem.committed).map(rounded).collect();
    Some(Proposal { worths: worths.collect(), prices: price.iter().map(vector).collect(), own, relief })
}
