//! The bound by volume: one price per unit of each resource, the same on every machine.

use microlp::{ComparisonOp, OptimizationDirection, Problem as Program};

use super::problem::Problem;
use crate::model::DIMS;
use crate::worth::UnitPrices;

/// Nano-USD in a micro-USD: the precision of unit prices.
pub(super) const NANO: i128 = 1_000;

/// The bound, the unit prices, and by kind what is taken off for each host because it is worth more than its
/// price, in nano-USD per hour; `None` when the prices prove nothing.
pub(super) fn prove(problem: &Problem) -> (i64, UnitPrices, Option<Vec<i128>>) {
    let units = propose(problem).unwrap_or_default();
    let units = within_offers(problem, units);
    match evaluate(problem, &units) {
        Some((cost, rents)) => (problem.fixed + cost, units, Some(rents)),
        None => (problem.fixed, units, None),
    }
}

/// Solves the dual of the relaxation; any failure proposes nothing, which proves what is fixed.
fn propose(problem: &Problem) -> Option<UnitPrices> {
    let mut demand = [0f64; DIMS];
    for class in &problem.classes {
        for (sum, amount) in demand.iter_mut().zip(&class.request) {
            *sum += *amount as f64 * class.count as f64;
        }
    }
    let largest = problem.largest().map(|amount| amount as f64);
    let dearest = problem.kinds.iter().map(|kind| kind.price).max().unwrap_or(0).max(1) as f64;
    let volume = demand.iter().zip(&largest).map(|(d, l)| if *l > 0.0 { d / l } else { 0.0 }).fold(1.0, f64::max);
    let mut program = Program::new(OptimizationDirection::Maximize);
    let used = problem.priced_dims();
    let vars: Vec<_> =
        used.iter().map(|dim| program.add_var(demand[*dim] / largest[*dim] / volume, (0.0, 1e4))).collect();
    for kind in &problem.kinds {
        let mut row: Vec<_> = used
            .iter()
            .zip(&vars)
            .map(|(dim, var)| (*var, kind.capacity[*dim] as f64 / largest[*dim]))
            .filter(|(_, c)| *c > 1e-6)
            .collect();
        if row.is_empty() {
            continue;
        }
        if let Some(limit) = kind.limit {
            let excess = program.add_var(-(limit as f64) / volume, (0.0, f64::INFINITY));
            row.push((excess, -1.0));
        }
        program.add_constraint(row.as_slice(), ComparisonOp::Le, kind.price as f64 / dearest);
    }
    let solution = program.solve().ok()?.into_solution().ok()?;
    let mut units = UnitPrices::default();
    for (dim, var) in used.iter().zip(&vars) {
        let price = solution.var_value(*var) * dearest * NANO as f64 / largest[*dim];
        if price.is_finite() && price > 0.0 {
            units.0[*dim] = price.floor().min(1e12) as i64;
        }
    }
    Some(units)
}

/// Scales prices down until nothing that fits a machine of unlimited number is worth more than it costs.
fn within_offers(problem: &Problem, units: UnitPrices) -> UnitPrices {
    let full = |units: &UnitPrices, capacity: &[i64; DIMS]| -> i128 { worth(units, capacity) };
    let mut worst: Option<(i128, i128)> = None;
    for kind in problem.kinds.iter().filter(|kind| kind.limit.is_none()) {
        let (price, worth) = (i128::from(kind.price) * NANO, full(&units, &kind.capacity));
        if worth > price && worst.is_none_or(|(p, w)| price * w < p * worth) {
            worst = Some((price, worth));
        }
    }
    let Some((price, worth)) = worst else { return units };
    let mut scaled = UnitPrices::default();
    for (to, from) in scaled.0.iter_mut().zip(&units.0) {
        *to = i64::try_from(i128::from(*from) * price / worth).unwrap_or(0);
    }
    scaled
}

fn worth(units: &UnitPrices, amounts: &[i64; DIMS]) -> i128 {
    units.0.iter().zip(amounts).map(|(unit, amount)| i128::from(*unit) * i128::from(*amount)).sum()
}

/// What the pods are worth beyond what limited hosts could hold above their price, in micro-USD,
/// rounded up: a cost is a whole number. `None` when that is less than nothing.
fn evaluate(problem: &Problem, units: &UnitPrices) -> Option<(i64, Vec<i128>)> {
    let pods: i128 = problem.classes.iter().map(|class| worth(units, &class.request) * i128::from(class.count)).sum();
    let mut proven = pods;
    let mut rents = vec![0; problem.kinds.len()];
    for (kind, rent) in problem.kinds.iter().zip(&mut rents) {
        let above = worth(units, &kind.capacity) - i128::from(kind.price) * NANO;
        if above <= 0 {
            continue;
        }
        match kind.limit {
            Some(limit) => {
                *rent = above;
                proven -= above * i128::from(limit);
            }
            // Not reached after scaling; a price that is not proven proves nothing.
            None => return None,
        }
    }
    let micro = i64::try_from((proven + NANO - 1).div_euclid(NANO)).ok()?;
    (micro >= 0).then_some((micro, rents))
}
