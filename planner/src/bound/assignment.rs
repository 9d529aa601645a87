//! The bound by class and host: pods are dealt out, in parts, to kinds of hosts.
//!
//! The program asks for the cheapest hosts such that every pod is dealt out to some kind, what a kind's hosts get
//! fits their resources, and no class has more pods there than so many hosts may hold of it. Its dual is what a
//! proof is made of: a worth for each class, and for each kind prices of its resources. So it knows which pods may
//! use few machine types only, and which keep each other off a host.
//!
//! Most kinds do not matter. The program begins with those that come close by the prices of the groups, and takes in
//! those that could, by the worths found, hold more than they cost, until there are none. Worths that are not far from
//! the best ones show which kinds are missing; only where none is are better ones sought.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::dealing::{Dealing, Dealt, Hosts, Pods, Taker, Worths};
use super::groups::Proposal;
use super::mixed::Row;
use super::prices::{ceiling, fill};
use super::problem::{Problem, UNBOUNDED};
use super::proof::{Proof, certify};
use crate::model::{Amounts, DIMS};

/// Most classes × kinds of a program.
const MOST_PAIRS: usize = 30_000;
/// Kinds that the first program has, and that each later one has more, at most.
const FIRST_KINDS: usize = 12;
const MORE_KINDS: usize = 8;
/// Most programs.
const MOST_ROUNDS: usize = 8;
/// How closely a program is solved: at first, to see which kinds it misses, and when it misses none.
const LOOSE: f64 = 1e-3;
const TOLERANCE: f64 = 1e-6;
/// From so many pods of a class on that a host may hold, the program does not count them.
const MANY: i64 = 10;
/// A kind comes close if its hosts could hold so much of their price.
const CLOSE: f64 = 0.97;
/// A kind is taken in if its hosts could hold more than their price by this share.
const VIOLATION: f64 = 2e-5;

/// Worths and prices, in units of the dearest kind's price.
pub(super) struct Solved {
    /// By demand.
    pub(super) worths: Vec<f64>,
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
        let program = Program::new(problem, &active, &[], start.cost.max(1) as f64);
        let Some(mut solver) = Dealt::new(&program.dealing) else { break };
        let mut violated = Vec::new();
        for tolerance in [LOOSE, TOLERANCE] {
            let solved = program.solved(problem, &solver.solve(tolerance));
            let mut prices = vec![[0.0; DIMS]; problem.kinds.len()];
            for (kind, own) in active.iter().zip(&solved.prices) {
                prices[*kind] = *own;
            }
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
            if !violated.is_empty() {
                break;
            }
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

/// Classes that the program need not tell apart: equal in what they ask for and in where they may run. Those that are
/// counted must be as many, too: of equal numbers each gets an equal part.
fn alike(problem: &Problem, active: &[usize], fillings: &[Row]) -> Vec<Vec<usize>> {
    let mut alike: BTreeMap<(Amounts, i64, Vec<i64>, i64), Vec<usize>> = BTreeMap::new();
    for (class, demand) in problem.classes.iter().enumerate() {
        let kinds = active.iter().map(|kind| problem.kinds[*kind].most[class].min(MANY));
        let most: Vec<i64> = kinds.chain(fillings.iter().map(|filling| filling.counts[class])).collect();
        let counted = most[..active.len()].iter().any(|most| (1..MANY).contains(most))
            || most[active.len()..].iter().any(|most| *most > 0);
        let count = if counted { demand.count } else { 0 };
        alike.entry((demand.request, problem.alone(class), most, count)).or_default().push(class);
    }
    alike.into_values().collect()
}

/// The program with some kinds, and with fillings of others, each of which is a kind by itself.
pub(super) struct Program<'a> {
    active: &'a [usize],
    about: f64,
    /// Classes that are one.
    alike: Vec<Vec<usize>>,
    /// Of those, how many pods.
    demands: Vec<f64>,
    /// By kind of the program: how many hosts one stands for.
    numbers: Vec<f64>,
    /// By kind of the program: the resources that bind somebody.
    rooms: Vec<Vec<usize>>,
    pub(super) dealing: Dealing,
}

impl<'a> Program<'a> {
    /// Its columns are shares: of a class's pods, and of as many hosts as would cost `about`; its rows are of the size of
    /// one. The solver needs fewer steps for that.
    pub(super) fn new(problem: &Problem, active: &'a [usize], fillings: &[Row], about: f64) -> Self {
        let alike = alike(problem, active, fillings);
        let pods = |members: &Vec<usize>| members.iter().map(|class| problem.classes[*class].count).sum::<i64>();
        let demands: Vec<f64> = alike.iter().map(|members| pods(members).max(1) as f64).collect();
        let (mut numbers, mut rooms, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for kind in active.iter().map(|kind| &problem.kinds[*kind]) {
            let (number, price) = if kind.price > 0 { (about / kind.price as f64, 1.0) } else { (1.0, 0.0) };
            let asked = |dim: usize| {
                problem.classes.iter().zip(&kind.most).any(|(class, most)| *most > 0 && class.request[dim] > 0)
            };
            let own: Vec<usize> =
                (0..problem.dims).filter(|dim| kind.capacity[*dim] < UNBOUNDED && asked(*dim)).collect();
            let limit = kind.limit.map(|limit| limit.max(1) as f64 / number);
            kinds.push(Hosts { price, limit, rooms: own.len() });
            numbers.push(number);
            rooms.push(own);
        }
        for filling in fillings {
            kinds.push(Hosts { price: 1.0, limit: None, rooms: 0 });
            numbers.push(about / problem.kinds[filling.kind].price.max(1) as f64);
            rooms.push(Vec::new());
        }
        let pods = |(members, demand): (&Vec<usize>, &f64)| {
            let class = *members.first()?;
            let request = &problem.classes[class].request;
            let taker = |(place, kind): (usize, &usize)| {
                let kind = &problem.kinds[*kind];
                let number = numbers[place];
                let mut shares = [0.0; DIMS];
                for (share, dim) in shares.iter_mut().zip(&rooms[place]) {
                    *share = request[*dim] as f64 * demand / (kind.capacity[*dim].max(1) as f64 * number);
                }
                let most = kind.most[class];
                let share = || most as f64 * members.len() as f64 * number / demand;
                (most > 0).then(|| Taker { kind: place, shares, most: (most < MANY).then(share) })
            };
            let held = |(place, filling): (usize, &Row)| {
                let share = (filling.counts[class] * members.len() as i64) as f64 * numbers[place] / demand;
                (filling.counts[class] > 0).then_some(Taker { kind: place, shares: [0.0; DIMS], most: Some(share) })
            };
            let takers = active.iter().enumerate().filter_map(taker);
            let takers = takers.chain((active.len()..).zip(fillings).filter_map(held)).collect();
            Some(Pods { alone: demand * problem.alone(class) as f64 / about, takers })
        };
        let classes = alike.iter().zip(&demands).filter_map(pods).collect();
        Self { active, about, alike, demands, numbers, rooms, dealing: Dealing { kinds, classes } }
    }

    pub(super) fn solved(&self, problem: &Problem, found: &Worths) -> Solved {
        let dearest = problem.dearest() as f64;
        let mut worths = vec![0.0; problem.classes.len()];
        for ((members, demand), worth) in self.alike.iter().zip(&self.demands).zip(&found.pods) {
            for class in members {
                worths[*class] = worth * self.about / demand / dearest;
            }
        }
        let mut prices = vec![[0.0; DIMS]; self.active.len()];
        for (place, own) in self.rooms.iter().enumerate() {
            for (dim, price) in own.iter().zip(&found.rooms[place]) {
                let capacity = problem.kinds[self.active[place]].capacity[*dim].max(1) as f64 * self.numbers[place];
                prices[place][*dim] = price * self.about / capacity / dearest;
            }
        }
        Solved { worths, prices }
    }
}
