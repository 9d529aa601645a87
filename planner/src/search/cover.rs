//! How often each of the bound's fillings is used, as an integer program.
//!
//! The bound lets fillings be used a part of a time. Where hosts are many more than classes, the same fillings come to
//! hardly more in whole numbers: the program has a variable for each filling and a row for each class, so that its size
//! does not grow with the cluster. Rules between pods are not stated; what breaks one stays in the pool.

use std::collections::BTreeMap;

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOptions, Variable};

use super::Goal;
use crate::bound::{Filling, KindKey};
use crate::model::Model;

/// Branches for each that the goal allows: they are cheap.
const BRANCHES: u64 = 5;
/// It is good enough when it costs no more than this share above what it would in parts.
const NEAR: f64 = 4e-4;
/// Fillings × classes of a program at most.
const MOST_PAIRS: usize = 200_000;

/// By filling of the bound: on how many hosts. `None` where there is no program, or nothing is found.
pub(super) fn solve(model: &Model<'_>, goal: &Goal<'_>) -> Option<Vec<usize>> {
    let fillings = &goal.bound.fillings;
    let needed = model.demand(&|item| model.items[item].standing.blocked.is_none());
    if goal.branches == 0 || fillings.is_empty() || fillings.len() * needed.len() > MOST_PAIRS {
        return None;
    }
    let price_of = |kind: &KindKey| match kind {
        KindKey::Staying(_) => 0,
        KindKey::Leaving(_, tariff) => tariff.weighed(&goal.bound.relief),
        KindKey::Offer(machine) => model.machines[*machine].offer.tariff.weighed(&goal.bound.relief),
    };
    let limits = limits(model, fillings);
    let scale = fillings.iter().map(|filling| price_of(&filling.of)).max()?.max(1) as f64;
    let mut program = Problem::new(OptimizationDirection::Minimize);
    let mut variables: Vec<Variable> = Vec::new();
    let mut holding: BTreeMap<usize, Vec<(Variable, f64)>> = BTreeMap::new();
    for filling in fillings {
        let enough = filling.pods.iter().map(|(class, count)| {
            let asked = needed.get(class).copied().unwrap_or(0);
            asked.div_ceil((*count).max(1))
        });
        let most = enough.max().unwrap_or(0).min(limits.get(&filling.of).copied().unwrap_or(usize::MAX));
        let most = i32::try_from(most).ok()?;
        let variable = program.add_integer_var(price_of(&filling.of) as f64 / scale, (0, most));
        variables.push(variable);
        for (class, count) in &filling.pods {
            holding.entry(*class).or_default().push((variable, *count as f64));
        }
    }
    for (class, asked) in &needed {
        // A pod that no filling holds is none of the program's concern: it stays in the pool.
        if let Some(row) = holding.get(class) {
            program.add_constraint(row.as_slice(), ComparisonOp::Ge, *asked as f64);
        }
    }
    for (kind, limit) in &limits {
        let own = fillings.iter().zip(&variables).filter(|(filling, _)| filling.of == *kind);
        let row: Vec<(Variable, f64)> = own.map(|(_, variable)| (*variable, 1.0)).collect();
        program.add_constraint(row.as_slice(), ComparisonOp::Le, *limit as f64);
    }
    let mut options = SolveOptions::default();
    options.node_limit = Some(BRANCHES * u64::from(goal.branches));
    options.mip_gap = NEAR;
    let solution = program.solve_with(options).ok()?.into_solution().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of hosts")]
    let rounded = variables.iter().map(|variable| solution.var_value(*variable).round().max(0.0) as usize);
    Some(rounded.collect())
}

/// By kind that has fillings: how many hosts there are, where there is an end of them.
fn limits(model: &Model<'_>, fillings: &[Filling]) -> BTreeMap<KindKey, usize> {
    let mut present: BTreeMap<KindKey, usize> = BTreeMap::new();
    for host in &model.hosts {
        *present.entry(KindKey::of(host)).or_default() += 1;
    }
    let limit = |filling: &Filling| match filling.of {
        // All of them are one large host.
        KindKey::Staying(_) => Some(1),
        KindKey::Leaving(..) => Some(present.get(&filling.of).copied().unwrap_or(0)),
        KindKey::Offer(machine) => usize::try_from(model.machines[machine].offer.most?).ok(),
    };
    fillings.iter().filter_map(|filling| Some((filling.of, limit(filling)?))).collect()
}
