//! The bound with small hosts in whole pods: they are filled with pods, large ones with parts of pods.
//!
//! What a large host cannot use is little; a small one may be left a tenth empty. So the program by class and host gets
//! for small kinds, instead of their room, fillings in whole pods that are worth more than their host. Those that a
//! table of its resources ([`super::grid`]) shows to be worth most are taken in until none is worth more than its host.
//! It is as strong as a program of fillings only, where large hosts can be filled, and far smaller.

use super::assignment::Program;
use super::dealing::Dealt;
use super::prices::{ceiling, fill, floats};
use super::problem::{Kind, Problem};
use super::proof::{Proof, certified, conclude, rounded, unit};
use super::volume::NANO;
use super::{grid, whole};

/// Most classes × kinds of a program, fillings included.
const MOST_PAIRS: usize = 30_000;
/// Most programs, and how closely each is solved.
const MOST_ROUNDS: usize = 40;
const TOLERANCE: f64 = 3e-5;
/// Fillings are sought by worths that are so many percent the proof's, and else the program's: those swing widely as
/// long as fillings are few, and what is worth most by them matters little in the end.
const NEAR_PERCENT: i128 = 85;
/// A kind comes close if its hosts could hold so much of their price in parts of pods: a large one, and a small one.
const CLOSE: f64 = 0.995;
const NEARLY: f64 = 0.98;
/// A kind is taken in if its hosts could hold more than their price by this share.
const VIOLATION: f64 = 2e-5;
/// Branches by which more than one filling is found, and fillings of a kind that a round takes in so.
const BRANCHES: u64 = 300;
const MORE_FILLINGS: usize = 6;
/// The search ends when the proof is this near to what the program comes to.
const SETTLED: f64 = 1e-4;

/// A filling of a kind, by demand.
pub(super) struct Row {
    pub(super) kind: usize,
    pub(super) counts: Vec<i64>,
}

/// The kinds that come close.
struct Active {
    /// In parts of pods.
    large: Vec<usize>,
    /// By kind: whether its hosts are filled with whole pods.
    small: Vec<bool>,
    rows: Vec<Row>,
}

/// Improves a proof. `None` where no small host matters, or it proves no more.
pub(super) fn improve(problem: &Problem, start: &Proof) -> Option<Proof> {
    let scale = unit(problem);
    let mut active = first(problem, start);
    let mut best: Option<Proof> = None;
    let about = start.cost.max(1) as f64;
    for _ in 0..MOST_ROUNDS {
        let kinds = active.large.len() + active.rows.len();
        if active.rows.is_empty() || kinds * problem.classes.len() > MOST_PAIRS {
            break;
        }
        let program = Program::new(problem, &active.large, &active.rows, about);
        let Some(mut solver) = Dealt::new(&program.dealing) else { break };
        let solved = program.solved(problem, &solver.solve(TOLERANCE));
        let worth: Vec<i64> = solved.worths.iter().map(|worth| rounded(*worth, scale)).collect();
        let nearer = between(&worth, best.as_ref().map_or(&start.worth, |best| &best.worth));
        let mut more = false;
        for worth in [&nearer, &worth] {
            // What the program's own worths show is asked only where those near the proof show nothing.
            if !more {
                let ceilings;
                (ceilings, more) = active.look(problem, worth);
                let proof = conclude(problem, worth, &ceilings);
                if proof.cost > best.as_ref().map_or(start.cost, |best| best.cost) {
                    best = Some(proof);
                }
            }
        }
        let proven = best.as_ref().map_or(start.cost, |best| best.cost);
        let worths = worth.iter().zip(&problem.classes).map(|(worth, class)| *worth as f64 * class.count as f64);
        if !more || proven as f64 * NANO as f64 >= worths.sum::<f64>() * (1.0 - SETTLED) {
            break;
        }
    }
    best
}

/// Worths between a program's and those of a proof.
fn between(program: &[i64], proof: &[i64]) -> Vec<i64> {
    let mixed = |(own, proven): (&i64, &i64)| {
        let sum = i128::from(*own) * (100 - NEAR_PERCENT) + i128::from(*proven) * NEAR_PERCENT;
        i64::try_from(sum / 100).unwrap_or(*proven)
    };
    program.iter().zip(proof).map(mixed).collect()
}

/// What the kinds that come close by a proof's worths are filled with first.
fn first(problem: &Problem, start: &Proof) -> Active {
    let worths = floats(&start.worth);
    let mut active = Active { large: Vec::new(), small: vec![false; problem.kinds.len()], rows: Vec::new() };
    for (index, kind) in problem.kinds.iter().enumerate() {
        let prices = fill(problem, kind, &worths).prices;
        let holds = ceiling(problem, kind, &worths, &prices) / price_of(kind);
        // Of a kind of limited number there would be a row for all its fillings, which the program does not have.
        active.small[index] = kind.limit.is_none() && kind.price > 0 && grid::is_small(problem, kind, &prices);
        if active.small[index] && holds > NEARLY {
            let fullest = grid::fill(problem, kind, &start.worth, &prices).filter(|fullest| fullest.fits);
            active.take_in(index, fullest.map(|fullest| fullest.counts));
            let found = whole::fill(problem, kind, &start.worth, 0, &mut { BRANCHES });
            active.take_in(index, found.counts.into_iter().rev().take(MORE_FILLINGS));
        } else if !active.small[index] && holds > CLOSE {
            active.large.push(index);
        }
    }
    active
}

/// In nano-USD per hour, above nothing.
fn price_of(kind: &Kind) -> f64 {
    kind.price.max(1) as f64 * NANO as f64
}

impl Active {
    fn take_in(&mut self, kind: usize, fillings: impl IntoIterator<Item = Vec<i64>>) {
        self.rows.extend(fillings.into_iter().map(|counts| Row { kind, counts }));
    }

    /// By kind: what its hosts are worth at most, or their price; and whether something was taken in that could be
    /// worth more than its price.
    fn look(&mut self, problem: &Problem, worth: &[i64]) -> (Vec<i128>, bool) {
        let scale = unit(problem);
        let worths = floats(worth);
        let before = (self.rows.len(), self.large.len());
        let mut ceilings = Vec::new();
        for (index, kind) in problem.kinds.iter().enumerate() {
            let enough = i128::from(kind.price) * NANO;
            let prices = fill(problem, kind, &worths).prices;
            let mut most = certified(problem, kind, worth, &prices.map(|price| price / scale), scale);
            let beyond = |value: i128| value as f64 > enough as f64 * (1.0 + VIOLATION);
            if most > enough && self.small[index] {
                let found = whole::fill(problem, kind, worth, enough, &mut { BRANCHES });
                most = most.min(found.ceiling.max(enough));
                let value = |counts: &[i64]| -> i128 {
                    counts.iter().zip(worth).map(|(count, worth)| i128::from(*count) * i128::from(*worth)).sum()
                };
                let fullest = if most > enough { grid::fill(problem, kind, worth, &prices) } else { None };
                if let Some(fullest) = fullest {
                    most = most.min(fullest.ceiling.max(enough));
                    self.take_in(index, (fullest.fits && beyond(value(&fullest.counts))).then_some(fullest.counts));
                }
                let more = found.counts.into_iter().rev().take(MORE_FILLINGS);
                self.take_in(index, more.filter(|counts| beyond(value(counts))));
            } else if beyond(most) && !self.small[index] && !self.large.contains(&index) {
                self.large.push(index);
            }
            ceilings.push(most);
        }
        self.large.sort_unstable();
        (ceilings, before != (self.rows.len(), self.large.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::tried::amounts;
    use super::super::problem::{Demand, Kind, KindKey, Problem};
    use super::super::proof::certify;
    use super::improve;
    use crate::model::DIMS;

    fn kind(offer: usize, cpu: i64, memory: i64, price: i64, most: Vec<i64>) -> Kind {
        let capacity = amounts(&[cpu, memory, 0, 110]);
        Kind { commitment: None, of: KindKey::Offer(offer), capacity, price, limit: None, most }
    }

    /// Of the larger pods a host holds one, with a smaller one beside; in parts it would hold more by a third. Hosts
    /// that are too large for a table are dearer.
    #[test]
    fn a_small_host_is_not_filled_with_parts_of_pods() {
        let classes = vec![
            Demand { class: 0, request: amounts(&[1_000, 64, 0, 1]), count: 60 },
            Demand { class: 1, request: amounts(&[500, 64, 0, 1]), count: 60 },
        ];
        let small = kind(0, 1_999, 4_096, 1_000_000, vec![1, 3]);
        let large = kind(1, 199_900, 999_999, 110_000_000, vec![60, 60]);
        let problem = Problem { kinds: vec![small, large], ..Problem::of_one(classes, kind(0, 0, 0, 0, Vec::new())) };
        let mut prices = [0.0; DIMS];
        prices[0] = 1.0 / 110.0 / 1_999.0;
        let start = certify(&problem, &[prices[0] * 1_000.0, prices[0] * 500.0], &[prices; 2]);
        assert!(start.cost < 46_000_000, "{} by parts of pods", start.cost);
        let proof = improve(&problem, &start).expect("a better proof");
        // Sixty hosts hold one of each.
        assert!((59_900_000..=60_000_000).contains(&proof.cost), "{} in whole pods", proof.cost);
    }

    #[test]
    fn large_hosts_are_left_to_other_programs() {
        let classes = vec![Demand { class: 0, request: amounts(&[7, 11, 0, 1]), count: 60 }];
        let problem = Problem::of_one(classes, kind(0, 1_999, 4_096, 1_000_000, vec![60]));
        let mut prices = [0.0; DIMS];
        prices[0] = 1.0 / 1_999.0;
        let start = certify(&problem, &[prices[0] * 7.0], &[prices]);
        assert!(improve(&problem, &start).is_none());
    }
}
