//! The bound by class and host: pods are dealt out, in parts, to kinds of hosts.
//!
//! The program asks for the cheapest hosts such that every pod is dealt out to some kind, what a kind's hosts get
//! fits their resources, and no class has more pods there than so many hosts may hold of it. Its dual is what a
//! proof is made of: a worth for each class, and for each kind prices of its resources. So it knows which pods may
//! use few machine types only, and which keep each other off a host.
//!
//! Most kinds do not matter. The program begins with those that come close by the prices of the groups, and takes in
//! those that could, by the worths found, hold more than they cost, until there are none. It is solved by an interior
//! point method, which needs about as many steps for a large program as for a small one, and finds worths in the
//! middle of the best ones, not in a corner of them.

use std::cmp::Reverse;

use super::groups::Proposal;
use super::prices::{ceiling, fill};
use super::problem::{Problem, UNBOUNDED};
use super::program::Columns;
use super::proof::{Proof, certify};
use crate::model::DIMS;

/// Most classes × kinds of a program.
const MOST_PAIRS: usize = 30_000;
/// Kinds that the first program has, and that each later one has more, at most.
const FIRST_KINDS: usize = 12;
const MORE_KINDS: usize = 8;
/// Most programs.
const MOST_ROUNDS: usize = 8;
/// From so many pods of a class on that a host may hold, the program does not count them.
const MANY: i64 = 10;
/// A kind comes close if its hosts could hold so much of their price.
const CLOSE: f64 = 0.97;
/// A kind is taken in if its hosts could hold more than their price by this share.
const VIOLATION: f64 = 2e-5;

/// Worths and prices, in units of the dearest kind's price.
struct Solved {
    /// By demand.
    worths: Vec<f64>,
    /// By kind of the program.
    prices: Vec<[f64; DIMS]>,
}

/// Improves a proof. `None` when the program is too large, or proves no more.
pub(super) fn improve(problem: &Problem, proposal: &Proposal, start: &Proof) -> Option<Proof> {
    let scale = problem.dearest() as f64;
    let count = problem.classes.len();
    let mut active = first_kinds(problem, proposal, scale);
    let mut best: Option<Proof> = None;
    for _ in 0..MOST_ROUNDS {
        if active.len() * count > MOST_PAIRS {
            break;
        }
        let Some(solved) = solve(problem, &active, start.cost.max(1) as f64) else { break };
        let mut prices = vec![[0.0; DIMS]; problem.kinds.len()];
        for (kind, own) in active.iter().zip(&solved.prices) {
            prices[*kind] = *own;
        }
        let mut violated = Vec::new();
        for index in (0..problem.kinds.len()).filter(|index| active.binary_search(index).is_err()) {
            let kind = &problem.kinds[index];
            prices[index] = fill(problem, kind, &solved.worths).prices;
            let holds = ceiling(problem, kind, &solved.worths, &prices[index]);
            let price = kind.price as f64 / scale;
            if holds > price * (1.0 + VIOLATION) + VIOLATION * VIOLATION {
                violated.push((share(holds, price), index));
            }
        }
        let proof = certify(problem, &solved.worths, &prices);
        if proof.cost > best.as_ref().map_or(start.cost, |best| best.cost) {
            best = Some(proof);
        }
        if violated.is_empty() {
            break;
        }
        active.extend(fullest(violated, MORE_KINDS));
        active.sort_unstable();
    }
    best
}

/// The kinds that come closest to holding what they cost, by the prices of a proposal.
fn first_kinds(problem: &Problem, proposal: &Proposal, scale: f64) -> Vec<usize> {
    let mut close = Vec::new();
    for (index, kind) in problem.kinds.iter().enumerate() {
        let holds = ceiling(problem, kind, &proposal.worths, &proposal.prices[index]);
        let share = share(holds, kind.price as f64 / scale);
        if share >= CLOSE {
            close.push((share, index));
        }
    }
    let mut kinds = fullest(close, FIRST_KINDS);
    kinds.sort_unstable();
    kinds
}

/// What a host holds, as a share of its price.
fn share(holds: f64, price: f64) -> f64 {
    holds / price.max(1e-6)
}

/// The kinds that hold most for their price, at most so many.
fn fullest(mut kinds: Vec<(f64, usize)>, most: usize) -> Vec<usize> {
    // Beyond a millionth it is chance which of two holds more.
    let rank = |share: f64| Reverse((share.min(1e6) * 1e6) as i64);
    kinds.sort_by_key(|(share, index)| (rank(*share), *index));
    kinds.into_iter().take(most).map(|(_, index)| index).collect()
}

/// Solves the program with some kinds. Its columns are shares: of a class's pods, and of as many hosts as would cost
/// `about`; its rows are of the size of one. The solver needs half the steps for that.
fn solve(problem: &Problem, active: &[usize], about: f64) -> Option<Solved> {
    let mut program = Columns::default();
    let count = problem.classes.len();
    let demands: Vec<f64> = problem.classes.iter().map(|class| class.count.max(1) as f64).collect();
    let price = |kind: usize| problem.kinds[kind].price as f64;
    // By kind of the program: how many hosts one stands for, and its column.
    let hosts: Vec<(f64, usize)> = active
        .iter()
        .map(|kind| if price(*kind) > 0.0 { (about / price(*kind), 1.0) } else { (1.0, 0.0) })
        .map(|(hosts, cost)| (hosts, program.column(cost)))
        .collect();
    let spare: Vec<usize> =
        (0..count).map(|class| program.column(demands[class] * problem.alone(class) / about)).collect();
    // By kind of the program: classes that it takes, and their columns.
    let mut dealt: Vec<Vec<(usize, usize)>> = Vec::new();
    for kind in active {
        let takes = (0..count).filter(|class| problem.kinds[*kind].most[*class] > 0);
        dealt.push(takes.map(|class| (class, program.column(0.0))).collect());
    }
    let mut takers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (class, column) in dealt.iter().flatten() {
        takers[*class].push(*column);
    }
    for (class, columns) in takers.into_iter().enumerate() {
        program.row(-1.0, columns.into_iter().chain([spare[class]]).map(|column| (column, -1.0)));
    }
    let mut binding: Vec<(usize, usize, usize, f64)> = Vec::new();
    for (place, kind) in active.iter().enumerate() {
        let kind = &problem.kinds[*kind];
        let (number, host) = hosts[place];
        for dim in (0..problem.dims).filter(|dim| kind.capacity[*dim] < UNBOUNDED) {
            let capacity = kind.capacity[dim].max(1) as f64 * number;
            let asks = dealt[place].iter().filter(|(class, _)| problem.classes[*class].request[dim] > 0);
            let share = |class: usize| problem.classes[class].request[dim] as f64 * demands[class] / capacity;
            let terms: Vec<(usize, f64)> = asks.map(|(class, column)| (*column, share(*class))).collect();
            if !terms.is_empty() {
                let row = program.row(0.0, terms.into_iter().chain([(host, -1.0)]));
                binding.push((row, place, dim, capacity));
            }
        }
        for (class, column) in dealt[place].iter().filter(|(class, _)| kind.most[*class] < MANY) {
            program.row(0.0, [(*column, 1.0), (host, -(kind.most[*class] as f64) * number / demands[*class])]);
        }
        if let Some(limit) = kind.limit {
            program.row(1.0, [(host, number / (limit.max(1) as f64))]);
        }
    }
    let duals = program.solve()?.worth;
    let dearest = problem.dearest() as f64;
    let worths = (0..count).map(|class| duals[class].max(0.0) * about / demands[class] / dearest).collect();
    let mut prices = vec![[0.0; DIMS]; active.len()];
    for (row, place, dim, capacity) in binding {
        prices[place][dim] = duals[row].max(0.0) * about / capacity / dearest;
    }
    Some(Solved { worths, prices })
}
