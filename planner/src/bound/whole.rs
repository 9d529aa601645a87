//! What a host can hold at most, in whole pods.
//!
//! A branch-and-bound knapsack with several resources. Prices of the resources bound what is left of a host
//! from above: no filling of the rest is worth more than its room at those prices and what pods are worth
//! beyond theirs. All of it is integer arithmetic, so that what it says is a proof; what is not looked at for
//! want of work is bounded all the same.

use super::prices;
use super::problem::{Kind, Problem};
use crate::model::{Amounts, DIMS};

/// Parts of a nano-USD in which prices and worths are counted.
const FINE: i64 = 1_000;
/// Beyond this sums could overflow: such hosts are left to the bound by resources.
const LARGEST: i128 = 1 << 61;

/// A filling of one host.
pub(super) struct Filling {
    /// By demand; of the most valuable filling that is worth more than was asked for, if one was found.
    pub(super) counts: Option<Vec<i64>>,
    /// By demand; the most valuable filling with parts of pods, where none in whole pods was found and none was
    /// ruled out.
    pub(super) parts: Option<Vec<f64>>,
    /// Nano-USD per hour: no filling is worth more than this, or than what was asked for.
    pub(super) ceiling: i128,
}

/// A class as it is tried.
struct Candidate {
    demand: usize,
    request: Amounts,
    worth: i64,
    most: i64,
}

/// Looks for a filling worth more than `enough`, with at most `nodes` branches.
///
pub(super) fn fill(problem: &Problem, kind: &Kind, worth: &[i64], enough: i128, nodes: &mut u64) -> Filling {
    let items: Vec<usize> = (0..problem.classes.len()).filter(|c| kind.most[*c] > 0 && worth[*c] > 0).collect();
    let worths: Vec<f64> = worth.iter().map(|worth| *worth as f64).collect();
    let parts = prices::fill(problem, kind, &worths);
    let fine = parts.prices.map(|price| (price.clamp(0.0, 1e12) * FINE as f64) as i64);
    let of = |amounts: &Amounts| -> i128 {
        fine.iter().zip(amounts).map(|(price, amount)| i128::from(*price) * i128::from(*amount)).sum()
    };
    let mut candidates: Vec<Candidate> = items
        .into_iter()
        .map(|demand| Candidate {
            demand,
            request: problem.classes[demand].request,
            worth: worth[demand].saturating_mul(FINE),
            most: kind.most[demand],
        })
        .collect();
    // What is worth most for its room first.
    candidates.sort_by_cached_key(|candidate| {
        let room = of(&candidate.request).max(1);
        (std::cmp::Reverse(i128::from(candidate.worth) * 1_000_000 / room), candidate.demand)
    });
    let excess = |candidate: &Candidate| {
        (i128::from(candidate.worth) - of(&candidate.request)).max(0) * i128::from(candidate.most)
    };
    let root = of(&kind.capacity) + candidates.iter().map(excess).sum::<i128>();
    let rounded = |fine: i128| (fine + i128::from(FINE) - 1).div_euclid(i128::from(FINE));
    let total: i128 = candidates.iter().map(|c| i128::from(c.worth) * i128::from(c.most)).sum();
    if root >= LARGEST || total >= LARGEST || root <= enough * i128::from(FINE) {
        let ruled_out = root <= enough * i128::from(FINE);
        return Filling { counts: None, parts: (!ruled_out).then_some(parts.counts), ceiling: rounded(root) };
    }
    let mut beyond = vec![0; candidates.len() + 1];
    for (index, candidate) in candidates.iter().enumerate().rev() {
        beyond[index] = beyond[index + 1] + i64::try_from(excess(candidate)).unwrap_or(i64::MAX / 4);
    }
    let mut search = Search {
        dims: problem.dims,
        candidates: &candidates,
        prices: fine,
        beyond: &beyond,
        best: i64::try_from(enough * i128::from(FINE)).unwrap_or(i64::MAX),
        unseen: 0,
        counts: vec![0; candidates.len()],
        found: None,
        nodes,
    };
    let room_worth = i64::try_from(of(&kind.capacity)).unwrap_or(i64::MAX / 4);
    search.branch(0, kind.capacity, 0, room_worth);
    let unseen = search.unseen > search.best;
    let ceiling = rounded(i128::from(search.best.max(search.unseen)));
    let counts = search.found.map(|found| {
        let mut counts = vec![0; problem.classes.len()];
        for (candidate, count) in candidates.iter().zip(found) {
            counts[candidate.demand] = count;
        }
        counts
    });
    let parts = (unseen && counts.is_none()).then_some(parts.counts);
    Filling { counts, parts, ceiling }
}

struct Search<'s> {
    dims: usize,
    candidates: &'s [Candidate],
    prices: [i64; DIMS],
    /// By depth: what the candidates from there on are worth beyond their room.
    beyond: &'s [i64],
    /// Worth of the best filling, or what is asked for.
    best: i64,
    /// The most that a branch which was not looked at may be worth.
    unseen: i64,
    counts: Vec<i64>,
    found: Option<Vec<i64>>,
    nodes: &'s mut u64,
}

impl Search<'_> {
    fn branch(&mut self, depth: usize, room: Amounts, worth: i64, room_worth: i64) {
        if worth > self.best {
            self.best = worth;
            self.counts[depth..].fill(0);
            self.found = Some(self.counts.clone());
        }
        let bound = worth + room_worth + self.beyond[depth];
        if depth == self.candidates.len() || bound <= self.best.max(self.unseen) {
            return;
        }
        if *self.nodes == 0 {
            self.unseen = self.unseen.max(bound);
            return;
        }
        *self.nodes -= 1;
        let candidate = &self.candidates[depth];
        let fits = (0..self.dims)
            .filter(|dim| candidate.request[*dim] > 0)
            .map(|dim| room[dim].max(0) / candidate.request[dim])
            .min()
            .unwrap_or(candidate.most);
        let price: i64 = self.prices.iter().zip(&candidate.request).map(|(price, amount)| price * amount).sum();
        let mut count = fits.min(candidate.most);
        loop {
            let mut left = room;
            for (left, amount) in left.iter_mut().zip(&candidate.request) {
                *left -= amount * count;
            }
            self.counts[depth] = count;
            self.branch(depth + 1, left, worth + candidate.worth * count, room_worth - price * count);
            if count == 0 {
                return;
            }
            count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::{Demand, Kind, KindKey, Problem};
    use super::fill;
    use crate::model::Amounts;
    use crate::search::random::Random;

    fn amounts(of: &[i64]) -> Amounts {
        std::array::from_fn(|dim| of.get(dim).copied().unwrap_or(0))
    }

    /// The most that a host can hold, by trying everything.
    fn most(problem: &Problem, kind: &Kind, worth: &[i64], class: usize, room: Amounts) -> i64 {
        let Some(demand) = problem.classes.get(class) else { return 0 };
        let mut best = 0;
        for count in 0..=kind.most[class] {
            let left: Amounts = std::array::from_fn(|dim| room[dim] - demand.request[dim] * count);
            if left.iter().zip(&demand.request).any(|(left, asked)| *left < 0 && *asked > 0) {
                break;
            }
            best = best.max(worth[class] * count + most(problem, kind, worth, class + 1, left));
        }
        best
    }

    #[test]
    fn no_filling_is_worth_more_than_the_ceiling_however_little_was_looked_at() {
        let mut random = Random::new(1);
        let mut below = |most: usize| i64::try_from(random.below(most)).unwrap_or(0);
        for number in 0..2_000 {
            let classes: Vec<Demand> = (0..1 + below(5) as usize)
                .map(|class| Demand { class, request: amounts(&[1 + below(40), below(40), 0, 1]), count: 9 })
                .collect();
            let kind = Kind {
                commitment: None,
                of: KindKey::Offer(0),
                capacity: amounts(&[20 + below(80), 20 + below(80), 0, 4 + below(8)]),
                price: 1_000,
                limit: None,
                most: classes.iter().map(|_| below(5)).collect(),
            };
            let worth: Vec<i64> = classes.iter().map(|_| below(500_000)).collect();
            let problem = Problem::of_one(classes, kind.clone());
            let truth = i128::from(most(&problem, &kind, &worth, 0, kind.capacity));
            for nodes in [0, 3, 10_000] {
                let enough = i128::from(below(600_000));
                let found = fill(&problem, &kind, &worth, enough, &mut { nodes });
                assert!(truth <= found.ceiling.max(enough), "{number}: {truth} above {}", found.ceiling);
                if let Some(counts) = &found.counts {
                    let value: i64 = counts.iter().zip(&worth).map(|(count, worth)| count * worth).sum();
                    assert!(i128::from(value) > enough && i128::from(value) <= truth, "{number}: {value} of {truth}");
                }
                if nodes == 10_000 && truth > enough {
                    assert_eq!(found.ceiling, truth, "{number}: looked at everything");
                }
            }
        }
    }
}
