//! What a host can hold at most, in whole pods.
//!
//! A branch-and-bound knapsack with several resources. Three things bound what is left of a host from above. By prices
//! of the resources, no filling of the rest is worth more than its room and what pods are worth beyond theirs; that
//! misses that room is left over which no pod fits. So of each of the two resources that are dearest there is a table:
//! the most that whole pods can be worth beyond the prices of all other resources in so much of that one. All of it is
//! integer arithmetic, so that what it says is a proof; what is not looked at for want of work is bounded all the same.

use super::fine::{FINE, FinePrices, LARGEST, rounded_up};
use super::prices::{self, floats};
use super::problem::{Kind, Problem};
use crate::model::{Amounts, DIMS};

/// Parts of a resource that a table tells apart.
const PARTS: i64 = 1_024;
/// Resources with a table, and for how many branches the work of all tables counts, for each candidate.
const TABLES: usize = 2;
const BRANCHES: u64 = 16;

/// A filling of one host.
pub(super) struct Filling {
    /// By demand; of fillings that are worth more than was asked for, each worth more than the one before.
    pub(super) counts: Vec<Vec<i64>>,
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

/// Looks for fillings worth more than `enough`, with at most `nodes` branches.
pub(super) fn fill(problem: &Problem, kind: &Kind, worth: &[i64], enough: i128, nodes: &mut u64) -> Filling {
    let parts = prices::fill(problem, kind, &floats(worth));
    let fine = FinePrices::new(&parts.prices);
    let of = |amounts: &Amounts| fine.of(amounts);
    let mut candidates: Vec<Candidate> = (0..problem.classes.len())
        .filter(|demand| kind.most[*demand] > 0 && worth[*demand] > 0)
        .map(|demand| Candidate {
            demand,
            request: problem.classes[demand].request,
            worth: worth[demand].saturating_mul(FINE),
            most: kind.most[demand],
        })
        .collect();
    let excess = |candidate: &Candidate| {
        (i128::from(candidate.worth) - of(&candidate.request)).max(0) * i128::from(candidate.most)
    };
    let asked = enough * i128::from(FINE);
    let root = of(&kind.capacity) + candidates.iter().map(excess).sum::<i128>();
    let total: i128 = candidates.iter().map(|c| i128::from(c.worth) * i128::from(c.most)).sum();
    // Such hosts are left to the bound by resources.
    if root >= LARGEST || total >= LARGEST || root <= asked {
        let ruled_out = root <= asked;
        return Filling { counts: Vec::new(), parts: (!ruled_out).then_some(parts.counts), ceiling: rounded_up(root) };
    }
    // A pod that is worth so much less than its room that none of the host would be worth enough with it.
    candidates.retain(|candidate| root - (of(&candidate.request) - i128::from(candidate.worth)) > asked);
    // What is worth most for its room first.
    candidates.sort_by_cached_key(|candidate| {
        let room = of(&candidate.request).max(1);
        (std::cmp::Reverse(i128::from(candidate.worth) * 1_000_000 / room), candidate.demand)
    });
    let mut beyond = vec![0; candidates.len() + 1];
    for (index, candidate) in candidates.iter().enumerate().rev() {
        beyond[index] = beyond[index + 1] + i64::try_from(excess(candidate)).unwrap_or(i64::MAX / 4);
    }
    let mut dearest: Vec<usize> = (0..problem.dims).filter(|dim| fine.0[*dim] > 0 && kind.capacity[*dim] > 0).collect();
    dearest.sort_by_key(|dim| (std::cmp::Reverse(i128::from(fine.0[*dim]) * i128::from(kind.capacity[*dim])), *dim));
    let work = BRANCHES * candidates.len() as u64;
    dearest.truncate(if *nodes > work { TABLES } else { 0 });
    *nodes -= if *nodes > work { work } else { 0 };
    let tables = dearest.iter().map(|dim| Table::new(&candidates, kind.capacity[*dim], *dim, &fine.0));
    let mut search = Search {
        dims: problem.dims,
        tables: tables.collect(),
        candidates: &candidates,
        prices: fine.0,
        beyond: &beyond,
        best: i64::try_from(asked).unwrap_or(i64::MAX),
        unseen: 0,
        counts: vec![0; candidates.len()],
        found: Vec::new(),
        nodes,
    };
    let room_worth = i64::try_from(of(&kind.capacity)).unwrap_or(i64::MAX / 4);
    search.branch(0, kind.capacity, 0, room_worth);
    let unseen = search.unseen > search.best;
    let ceiling = rounded_up(i128::from(search.best.max(search.unseen)));
    let by_demand = |found: Vec<i64>| {
        let mut counts = vec![0; problem.classes.len()];
        for (candidate, count) in candidates.iter().zip(found) {
            counts[candidate.demand] = count;
        }
        counts
    };
    let counts: Vec<Vec<i64>> = search.found.into_iter().map(by_demand).collect();
    let parts = (unseen && counts.is_empty()).then_some(parts.counts);
    Filling { counts, parts, ceiling }
}

/// By depth, and by parts of one resource: the most that the candidates from there on are worth beyond the prices of
/// all other resources, when they take no more of it.
struct Table {
    dim: usize,
    capacity: i64,
    rows: Vec<i64>,
}

impl Table {
    fn new(candidates: &[Candidate], capacity: i64, dim: usize, prices: &[i64; DIMS]) -> Self {
        let width = PARTS as usize + 1;
        let mut rows = vec![0; width * (candidates.len() + 1)];
        for (depth, candidate) in candidates.iter().enumerate().rev() {
            let (own, next) = rows[depth * width..].split_at_mut(width);
            own.copy_from_slice(&next[..width]);
            let others: i64 =
                (0..DIMS).filter(|other| *other != dim).map(|other| prices[other] * candidate.request[other]).sum();
            let value = candidate.worth - others;
            if value <= 0 {
                continue;
            }
            // Parts that are taken in any case: what is rounded down for each pod is so for all of them.
            let size = part(candidate.request[dim], capacity) as usize;
            let most = if size == 0 { candidate.most } else { candidate.most.min(PARTS / size.max(1) as i64) };
            let (mut left, mut lot) = (most, 1);
            while left > 0 {
                let pods = lot.min(left);
                let (step, gain) = (size * pods as usize, value * pods);
                if step < width {
                    for place in (step..width).rev() {
                        own[place] = own[place].max(own[place - step] + gain);
                    }
                }
                left -= pods;
                lot *= 2;
            }
        }
        Self { dim, capacity, rows }
    }

    /// The most that candidates from a depth on are worth in what is left of all resources, whose other ones are worth
    /// so much.
    fn bound(&self, depth: usize, room: &Amounts, others: i64) -> i64 {
        let place = part(room[self.dim].max(0), self.capacity) as usize;
        others + self.rows[depth * (PARTS as usize + 1) + place]
    }
}

/// Parts of a resource, rounded down.
fn part(amount: i64, capacity: i64) -> i64 {
    let parts = i128::from(amount) * i128::from(PARTS) / i128::from(capacity.max(1));
    i64::try_from(parts).unwrap_or(PARTS).min(PARTS)
}

struct Search<'s> {
    dims: usize,
    tables: Vec<Table>,
    candidates: &'s [Candidate],
    prices: [i64; DIMS],
    /// By depth: what the candidates from there on are worth beyond their room.
    beyond: &'s [i64],
    /// Worth of the best filling, or what is asked for.
    best: i64,
    /// The most that a branch which was not looked at may be worth.
    unseen: i64,
    counts: Vec<i64>,
    found: Vec<Vec<i64>>,
    nodes: &'s mut u64,
}

impl Search<'_> {
    /// The most that a filling may be worth that goes on with candidates from a depth on.
    fn bound(&self, depth: usize, room: &Amounts, worth: i64, room_worth: i64) -> i64 {
        let plain = room_worth + self.beyond[depth];
        let by_tables = self
            .tables
            .iter()
            .map(|table| table.bound(depth, room, room_worth - self.prices[table.dim] * room[table.dim]));
        worth + by_tables.fold(plain, i64::min)
    }

    /// Adds pods of one more candidate, from a depth on.
    fn branch(&mut self, depth: usize, room: Amounts, worth: i64, room_worth: i64) {
        if worth > self.best {
            self.best = worth;
            self.found.push(self.counts.clone());
        }
        let candidates = self.candidates;
        for (next, candidate) in candidates.iter().enumerate().skip(depth) {
            let fits = (0..self.dims)
                .filter(|dim| candidate.request[*dim] > 0)
                .map(|dim| room[dim].max(0) / candidate.request[dim])
                .min()
                .unwrap_or(candidate.most);
            let most = fits.min(candidate.most);
            if most == 0 {
                continue;
            }
            let bound = self.bound(next, &room, worth, room_worth);
            if bound <= self.best.max(self.unseen) {
                return;
            }
            let price: i64 = self.prices.iter().zip(&candidate.request).map(|(price, amount)| price * amount).sum();
            for count in (1..=most).rev() {
                if *self.nodes == 0 {
                    self.unseen = self.unseen.max(bound);
                    return;
                }
                *self.nodes -= 1;
                let mut left = room;
                for (left, amount) in left.iter_mut().zip(&candidate.request) {
                    *left -= amount * count;
                }
                self.counts[next] = count;
                self.branch(next + 1, left, worth + candidate.worth * count, room_worth - price * count);
            }
            self.counts[next] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::tried::{amounts, most};
    use super::super::problem::{Demand, Kind, KindKey, Problem};
    use super::fill;
    use crate::search::random::Random;

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
                if let Some(counts) = found.counts.last() {
                    let value: i64 = counts.iter().zip(&worth).map(|(count, worth)| count * worth).sum();
                    assert!(i128::from(value) > enough && i128::from(value) <= truth, "{number}: {value} of {truth}");
                }
                if nodes == 10_000 && truth > enough {
                    assert_eq!(found.ceiling, truth, "{number}: looked at everything");
                }
            }
        }
    }

    /// Of any class one pod fits, and hardly more than half of the host is used; by prices all of it would be.
    #[test]
    fn room_that_no_pod_fits_is_worth_nothing() {
        let classes: Vec<Demand> = (0..40)
            .map(|class| Demand { class, request: amounts(&[510 + class as i64 * 2, 500, 0, 1]), count: 9 })
            .collect();
        let worth: Vec<i64> = classes.iter().map(|class| class.request[0] * 1_000).collect();
        let kind = Kind {
            commitment: None,
            of: KindKey::Offer(0),
            capacity: amounts(&[1_000, 4_000, 0, 110]),
            price: 1_000,
            limit: None,
            most: vec![9; classes.len()],
        };
        let problem = Problem::of_one(classes, kind.clone());
        let found = fill(&problem, &kind, &worth, 0, &mut 1_000);
        assert_eq!(found.ceiling, 588_000);
        assert!(found.parts.is_none());
    }
}
