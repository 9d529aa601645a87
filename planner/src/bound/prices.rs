//! Prices of a host's resources, and how much they let a filling of it be worth.
//!
//! A host is filled with parts of pods, each class up to its most, worth as much as possible: a linear program with
//! one row for each resource. It is solved a hundred times over for each bound, so it is solved here, by the simplex
//! method for bounded variables; with so few rows a step is a handful of sums. The worth of the rows at the end are
//! the prices by which the resources allow least. They need not be exact: prices of any quality prove a bound.

use super::problem::{Kind, Problem, UNBOUNDED};
use crate::model::DIMS;

/// Steps per class after which the search for prices ends.
const STEPS_PER_CLASS: usize = 4;
/// What counts as nothing, relative to what is worth most, and for a pivot.
const NOTHING: f64 = 1e-10;

/// What prices prove of one host: no filling with these classes is worth more.
pub(super) fn ceiling(problem: &Problem, kind: &Kind, worths: &[f64], prices: &[f64; DIMS]) -> f64 {
    let base: f64 = prices.iter().zip(&kind.capacity).filter(|(p, _)| **p > 0.0).map(|(p, c)| p * *c as f64).sum();
    let above = |class: usize| {
        let asked = &problem.classes[class].request;
        let cost: f64 = prices.iter().zip(asked).map(|(price, amount)| price * *amount as f64).sum();
        (worths[class] - cost).max(0.0) * kind.most[class] as f64
    };
    base + (0..worths.len()).filter(|class| kind.most[*class] > 0).map(above).sum::<f64>()
}

/// A host filled with parts of pods.
pub(super) struct Parts {
    /// Prices of its resources by which the [`ceiling`] is lowest, as near as it gets.
    pub(super) prices: [f64; DIMS],
    /// By demand: how many pods, not a whole number.
    pub(super) counts: Vec<f64>,
}

/// Fills a host so that it is worth as much as possible.
pub(super) fn fill(problem: &Problem, kind: &Kind, worths: &[f64]) -> Parts {
    let dims: Vec<usize> = (0..problem.dims).filter(|dim| (1..UNBOUNDED).contains(&kind.capacity[*dim])).collect();
    let classes = (0..worths.len()).filter(|class| kind.most[*class] > 0 && worths[*class] > 0.0);
    let share = |class: usize| {
        let mut share = [0.0; DIMS];
        for (row, dim) in dims.iter().enumerate() {
            share[row] = problem.classes[class].request[*dim] as f64 / kind.capacity[*dim] as f64;
        }
        share
    };
    let item = |class: usize| Item {
        class,
        worth: worths[class],
        share: share(class),
        most: kind.most[class] as f64,
        full: false,
    };
    let items: Vec<Item> = classes.map(item).collect();
    let most = items.len() * STEPS_PER_CLASS;
    let mut program = Program { rows: dims.len(), basis: (0..dims.len()).map(Column::Room).collect(), items };
    let (mut worth, mut counts) = ([0.0; DIMS], vec![0.0; worths.len()]);
    for _ in 0..=most {
        let Some(inverse) = program.inverse() else { break };
        worth = program.worth_of_rows(&inverse);
        if !program.step(&inverse, &worth) {
            program.count(&inverse, &mut counts);
            break;
        }
    }
    let mut prices = [0.0; DIMS];
    for (dim, worth) in dims.iter().zip(worth) {
        prices[*dim] = worth.max(0.0) / kind.capacity[*dim] as f64;
    }
    Parts { prices, counts }
}

/// Pods of one class.
struct Item {
    class: usize,
    worth: f64,
    /// By row: the share of the host's resource that one pod takes.
    share: [f64; DIMS],
    most: f64,
    /// Whether, outside the basis, there are as many as there may be, and not none.
    full: bool,
}

/// A variable: pods of a class, or the room that is left of a resource.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    Item(usize),
    Room(usize),
}

/// Maximise the worth of all items, where each row adds up to one with the room that is left.
struct Program {
    rows: usize,
    items: Vec<Item>,
    /// By row: the variable that is neither none nor all.
    basis: Vec<Column>,
}

type Square = [[f64; DIMS]; DIMS];

impl Program {
    fn share(&self, column: Column) -> [f64; DIMS] {
        match column {
            Column::Item(item) => self.items[item].share,
            Column::Room(row) => std::array::from_fn(|other| if other == row { 1.0 } else { 0.0 }),
        }
    }

    fn worth(&self, column: Column) -> f64 {
        if let Column::Item(item) = column { self.items[item].worth } else { 0.0 }
    }

    fn most(&self, column: Column) -> f64 {
        if let Column::Item(item) = column { self.items[item].most } else { f64::INFINITY }
    }

    /// The inverse of the basis, by elimination; `None` where there is none.
    fn inverse(&self) -> Option<Square> {
        let rows = self.rows;
        let mut matrix: Square = [[0.0; DIMS]; DIMS];
        for (place, column) in self.basis.iter().enumerate() {
            for (row, share) in self.share(*column).iter().enumerate() {
                matrix[row][place] = *share;
            }
        }
        let mut inverse: Square = std::array::from_fn(|row| self.share(Column::Room(row)));
        for column in 0..rows {
            let pivot = (column..rows).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
            if matrix[pivot][column].abs() < NOTHING {
                return None;
            }
            matrix.swap(column, pivot);
            inverse.swap(column, pivot);
            let lead = matrix[column][column];
            for value in matrix[column].iter_mut().chain(&mut inverse[column]) {
                *value /= lead;
            }
            let (own, other) = (matrix[column], inverse[column]);
            for row in (0..rows).filter(|row| *row != column) {
                let factor = matrix[row][column];
                for place in 0..rows {
                    matrix[row][place] -= factor * own[place];
                    inverse[row][place] -= factor * other[place];
                }
            }
        }
        Some(inverse)
    }

    /// What one more host's worth of each row would be worth.
    fn worth_of_rows(&self, inverse: &Square) -> [f64; DIMS] {
        let mut worth = [0.0; DIMS];
        for (place, column) in self.basis.iter().enumerate() {
            let own = self.worth(*column);
            for row in 0..self.rows {
                worth[row] += own * inverse[place][row];
            }
        }
        worth
    }

    fn times(&self, inverse: &Square, vector: &[f64; DIMS], place: usize) -> f64 {
        (0..self.rows).map(|row| inverse[place][row] * vector[row]).sum()
    }

    /// Whether a variable is not in the basis.
    fn outside(&self, column: Column) -> bool {
        !self.basis.contains(&column)
    }

    /// Items outside the basis of which there are as many as there may be.
    fn full(&self) -> impl Iterator<Item = &Item> {
        let full = |(index, item): &(usize, &Item)| item.full && self.outside(Column::Item(*index));
        self.items.iter().enumerate().filter(full).map(|(_, item)| item)
    }

    /// By row: what those leave for the basis.
    fn left(&self) -> [f64; DIMS] {
        let mut left = [1.0; DIMS];
        for item in self.full() {
            for (left, share) in left.iter_mut().zip(&item.share) {
                *left -= item.most * share;
            }
        }
        left
    }

    /// How many there are of each item, by class.
    fn count(&self, inverse: &Square, counts: &mut [f64]) {
        for item in self.full() {
            counts[item.class] = item.most;
        }
        let left = self.left();
        for (place, column) in self.basis.iter().enumerate() {
            if let Column::Item(item) = column {
                counts[self.items[*item].class] = self.times(inverse, &left, place).max(0.0);
            }
        }
    }

    /// Changes the variable by which most is gained, as far as that goes; whether there was one.
    fn step(&mut self, inverse: &Square, worth: &[f64; DIMS]) -> bool {
        let gain = |share: &[f64; DIMS], own: f64| -> f64 {
            own - (0..self.rows).map(|row| worth[row] * share[row]).sum::<f64>()
        };
        let largest = self.items.iter().map(|item| item.worth).fold(0.0, f64::max) * NOTHING;
        let mut best: Option<(f64, Column, f64)> = None;
        let mut consider = |gain: f64, most: f64, column: Column, up: bool| {
            let signed = if up { gain } else { -gain };
            if signed > largest && best.is_none_or(|(least, ..)| signed * most.min(1e6) > least) {
                best = Some((signed * most.min(1e6), column, if up { 1.0 } else { -1.0 }));
            }
        };
        for (index, item) in self.items.iter().enumerate() {
            let column = Column::Item(index);
            if self.outside(column) {
                consider(gain(&item.share, item.worth), item.most, column, !item.full);
            }
        }
        for row in (0..self.rows).filter(|row| self.outside(Column::Room(*row))) {
            consider(-worth[row], 1.0, Column::Room(row), true);
        }
        let Some((_, entering, sign)) = best else { return false };
        let times = |vector: &[f64; DIMS], place: usize| self.times(inverse, vector, place);
        let (left, share) = (self.left(), self.share(entering));
        let (mut far, mut leaving) = (self.most(entering), None);
        for (place, column) in self.basis.iter().enumerate() {
            let (now, change) = (times(&left, place), sign * times(&share, place));
            let reach = if change > NOTHING {
                now.max(0.0) / change
            } else if change < -NOTHING {
                (self.most(*column) - now).max(0.0) / -change
            } else {
                continue;
            };
            if reach < far {
                (far, leaving) = (reach, Some((place, change < 0.0)));
            }
        }
        match leaving {
            Some((place, full)) => {
                if let Column::Item(item) = self.basis[place] {
                    self.items[item].full = full;
                }
                self.basis[place] = entering;
                true
            }
            None if far.is_finite() => {
                if let Column::Item(item) = entering {
                    self.items[item].full = sign > 0.0;
                }
                true
            }
            None => false,
        }
    }
}

/// Worths or counts, for floating point.
pub(super) fn floats(of: &[i64]) -> Vec<f64> {
    of.iter().map(|each| *each as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::problem::{Demand, Kind, KindKey, Problem};
    use super::{ceiling, fill};
    use crate::model::{Amounts, DIMS};
    use crate::search::random::Random;

    /// What is worth as much as its prices allow at most cannot be worth more.
    #[test]
    fn a_filling_is_worth_what_the_prices_of_its_host_allow() {
        let mut random = Random::new(3);
        let mut below = |most: usize| i64::try_from(random.below(most)).unwrap_or(0);
        for number in 0..3_000 {
            let mut request = || {
                let mut amounts: Amounts = [0; DIMS];
                for amount in amounts.iter_mut().take(4) {
                    *amount = below(if number % 3 == 0 { 4 } else { 5_000 });
                }
                amounts
            };
            let requests: Vec<Amounts> = (0..1 + number % 60).map(|_| request()).collect();
            let classes: Vec<Demand> =
                requests.iter().map(|request| Demand { class: 0, request: *request, count: 9 }).collect();
            let mut capacity: Amounts = [0; DIMS];
            for own in capacity.iter_mut().take(4) {
                *own = below(20_000);
            }
            let fits = |request: &Amounts| request.iter().zip(&capacity).all(|(asked, own)| asked <= own);
            let most: Vec<i64> = requests.iter().map(|request| if fits(request) { 1 + below(9) } else { 0 }).collect();
            let worths: Vec<f64> = requests.iter().map(|_| below(1_000) as f64 / 1e6).collect();
            let kind = Kind { of: KindKey::Offer(0), capacity, price: 1, commitment: None, limit: None, most };
            let problem = Problem::of_one(classes, kind.clone());
            let parts = fill(&problem, &kind, &worths);
            for (dim, own) in capacity.iter().enumerate().take(4) {
                let used: f64 =
                    requests.iter().zip(&parts.counts).map(|(request, count)| request[dim] as f64 * count).sum();
                assert!(used <= *own as f64 * (1.0 + 1e-6) + 1e-6, "{number}: {used} of {own}");
            }
            for (count, most) in parts.counts.iter().zip(&kind.most) {
                assert!(*count >= 0.0 && *count <= *most as f64 + 1e-6, "{number}: {count} of {most}");
            }
            let value: f64 = worths.iter().zip(&parts.counts).map(|(worth, count)| worth * count).sum();
            let allowed = ceiling(&problem, &kind, &worths, &parts.prices);
            assert!((allowed - value).abs() <= allowed * 1e-6 + 1e-12, "{number}: worth {value}, at most {allowed}");
        }
    }
}
