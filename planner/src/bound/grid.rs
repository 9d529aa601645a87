//! What a small host can hold at most, in whole pods, by a table of two resources.
//!
//! Requests of a resource are mostly multiples of some amount. Counted in that, a small host has few thousand ways to be
//! used of its two dearest resources, and the most that pods can be worth in each of them is a sum of integers away
//! from the others. The other resources are priced, which is no less than what they allow.

use super::fine::{FINE, FinePrices, LARGEST, rounded_up};
use super::problem::{Kind, Problem};
use crate::model::{Amounts, DIMS};

/// Ways to use a host, at most.
const MOST_CELLS: usize = 20_000;

/// The filling of a host that is worth most.
pub(super) struct Fullest {
    /// By demand.
    pub(super) counts: Vec<i64>,
    /// Whether it keeps the resources that are priced, too.
    pub(super) fits: bool,
    /// Nano-USD per hour: no filling is worth more than this.
    pub(super) ceiling: i128,
}

/// The two dearest resources of a host, in the largest amounts that all requests are multiples of.
struct Plane {
    dims: [usize; 2],
    units: [i64; 2],
    /// Ways to use each.
    sides: [usize; 2],
}

/// Pods of a class that are taken together.
struct Lot {
    demand: usize,
    pods: i64,
    steps: [usize; 2],
    taken: Vec<bool>,
}

/// Whether hosts of a kind are small enough, with the two that are dearest at such prices.
pub(super) fn is_small(problem: &Problem, kind: &Kind, prices: &[f64; DIMS]) -> bool {
    Plane::new(problem, kind, prices).is_some()
}

/// The most that a host is worth when pods are worth that and other resources cost that. `None` when it is not small.
pub(super) fn fill(problem: &Problem, kind: &Kind, worth: &[i64], prices: &[f64; DIMS]) -> Option<Fullest> {
    let plane = Plane::new(problem, kind, prices)?;
    let mut fine = FinePrices::new(prices);
    for dim in plane.dims {
        fine.0[dim] = 0;
    }
    let [wide, high] = plane.sides;
    let mut cells = vec![0_i64; wide * high];
    let mut lots = Vec::new();
    let mut total = fine.of(&kind.capacity);
    for (demand, class) in problem.classes.iter().enumerate().filter(|(demand, _)| kind.most[*demand] > 0) {
        let value = i128::from(worth[demand]) * i128::from(FINE) - fine.of(&class.request);
        total += value.max(0) * i128::from(kind.most[demand]);
        if total >= LARGEST {
            return None;
        }
        let value = i64::try_from(value).unwrap_or(0);
        if value <= 0 {
            continue;
        }
        let steps = plane.steps(&class.request);
        let room = (0..2).filter(|side| steps[*side] > 0).map(|side| (plane.sides[side] - 1) / steps[side]).min();
        let mut left = room.map_or(kind.most[demand], |room| kind.most[demand].min(room as i64));
        let mut pods = 1;
        while left > 0 {
            pods = pods.min(left);
            let steps = steps.map(|steps| steps * pods as usize);
            let taken = add(&mut cells, plane.sides, steps, value * pods);
            lots.push(Lot { demand, pods, steps, taken });
            left -= pods;
            pods *= 2;
        }
    }
    let best = cells.last().copied().unwrap_or(0);
    let mut counts = vec![0; problem.classes.len()];
    let mut place = [wide - 1, high - 1];
    for lot in lots.iter().rev() {
        if lot.taken[place[0] * high + place[1]] {
            counts[lot.demand] += lot.pods;
            place = [place[0] - lot.steps[0], place[1] - lot.steps[1]];
        }
    }
    let used =
        |dim: usize| counts.iter().zip(&problem.classes).map(|(pods, class)| pods * class.request[dim]).sum::<i64>();
    let fits = (0..problem.dims).all(|dim| used(dim) <= kind.capacity[dim]);
    let ceiling = fine.of(&kind.capacity) + i128::from(best);
    Some(Fullest { counts, fits, ceiling: rounded_up(ceiling) })
}

impl Plane {
    fn new(problem: &Problem, kind: &Kind, prices: &[f64; DIMS]) -> Option<Self> {
        let mut dims: Vec<usize> = (0..problem.dims).filter(|dim| kind.capacity[*dim] > 0).collect();
        let share = |dim: &usize| prices[*dim] * kind.capacity[*dim] as f64;
        dims.sort_by(|a, b| share(b).total_cmp(&share(a)).then(a.cmp(b)));
        let dims: [usize; 2] = dims.get(..2)?.try_into().ok()?;
        let takes = problem.classes.iter().zip(&kind.most).filter(|(_, most)| **most > 0);
        let requests: Vec<&Amounts> = takes.map(|(class, _)| &class.request).collect();
        let units = dims.map(|dim| requests.iter().fold(0, |unit, request| divisor(unit, request[dim])).max(1));
        let sides =
            [0, 1].map(|side| usize::try_from(kind.capacity[dims[side]] / units[side] + 1).unwrap_or(usize::MAX));
        let cells = sides[0].checked_mul(sides[1])?;
        (cells <= MOST_CELLS).then_some(Self { dims, units, sides })
    }

    /// What a request takes of each.
    fn steps(&self, request: &Amounts) -> [usize; 2] {
        [0, 1].map(|side| usize::try_from(request[self.dims[side]] / self.units[side]).unwrap_or(usize::MAX))
    }
}

/// The largest amount that both are multiples of.
fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Lets each way to use a host take a lot that it has room for, where that is worth more; says which do.
fn add(cells: &mut [i64], [wide, high]: [usize; 2], steps: [usize; 2], value: i64) -> Vec<bool> {
    let mut taken = vec![false; cells.len()];
    let back = steps[0] * high + steps[1];
    for column in (steps[0]..wide).rev() {
        for place in (column * high + steps[1]..(column + 1) * high).rev() {
            let with = cells[place - back] + value;
            if with > cells[place] {
                cells[place] = with;
                taken[place] = true;
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::prices;
    use super::super::problem::tried::{amounts, most};
    use super::super::problem::{Demand, Kind, KindKey, Problem};
    use super::fill;
    use crate::model::DIMS;
    use crate::search::random::Random;

    #[test]
    fn no_filling_is_worth_more_than_the_ceiling_and_of_two_resources_it_is_reached() {
        let mut random = Random::new(3);
        let mut below = |most: usize| i64::try_from(random.below(most)).unwrap_or(0);
        let mut reached = 0;
        for number in 0..1_000 {
            let (cpu, memory) = (1 + below(4) * 50, 1 + below(3) * 64);
            let classes: Vec<Demand> = (0..1 + below(6) as usize)
                .map(|class| {
                    let request = amounts(&[cpu * below(12), memory * (1 + below(12)), 0, 1]);
                    Demand { class, request, count: 9 }
                })
                .collect();
            let kind = Kind {
                commitment: None,
                of: KindKey::Offer(0),
                capacity: amounts(&[cpu * 20 + below(50), memory * 25 + below(60), 0, 2 + below(9)]),
                price: 1_000,
                limit: None,
                most: classes.iter().map(|_| below(5)).collect(),
            };
            let worth: Vec<i64> = classes.iter().map(|_| below(500_000)).collect();
            let problem = Problem::of_one(classes, kind.clone());
            let priced = prices::fill(&problem, &kind, &prices::floats(&worth)).prices;
            let any: [f64; DIMS] = std::array::from_fn(|_| below(1_000) as f64);
            let truth = i128::from(most(&problem, &kind, &worth, 0, kind.capacity));
            for prices in [priced, any, [0.0; DIMS]] {
                let Some(found) = fill(&problem, &kind, &worth, &prices) else { continue };
                assert!(truth <= found.ceiling, "{number}: {truth} above {}", found.ceiling);
                let value: i64 = found.counts.iter().zip(&worth).map(|(count, worth)| count * worth).sum();
                assert!(!found.fits || i128::from(value) <= truth, "{number}: {value} of {truth}");
                reached += usize::from(found.ceiling == truth);
            }
        }
        assert!(reached > 1_000, "the ceiling was reached {reached} times only");
    }
}
