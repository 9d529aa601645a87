//! Linear programs, in columns, with few rows.
//!
//! A step of the solver removes the columns, and what is left is a dense system with as many rows as the program.

use super::interior::{Point, Solver, System, back, factor};

/// How closely a program is solved. What is missing is lost to a proof, no more.
const TOLERANCE: f64 = 1e-6;

/// Minimise cost, columns not negative, rows at most their limits.
#[derive(Default)]
pub(super) struct Columns {
    costs: Vec<f64>,
    columns: Vec<Vec<(usize, f64)>>,
    limits: Vec<f64>,
}

/// What a program comes to.
pub(super) struct Solved {
    /// By column.
    pub(super) amounts: Vec<f64>,
    /// By row: what the cost would fall by, were its limit higher by one.
    pub(super) worth: Vec<f64>,
    /// What all columns cost.
    pub(super) cost: f64,
}

impl Columns {
    pub(super) fn column(&mut self, cost: f64) -> usize {
        self.costs.push(cost);
        self.columns.push(Vec::new());
        self.costs.len() - 1
    }

    pub(super) fn row(&mut self, limit: f64, terms: impl IntoIterator<Item = (usize, f64)>) -> usize {
        let row = self.limits.len();
        self.limits.push(limit);
        for (column, factor) in terms {
            self.columns[column].push((row, factor));
        }
        row
    }

    /// `None` when the solver gives up.
    pub(super) fn solve(&self) -> Option<Solved> {
        if self.columns.is_empty() || self.limits.is_empty() {
            return None;
        }
        let rows = self.limits.len();
        let mut steps = Steps { program: self, sign: vec![1.0; rows], matrix: vec![0.0; rows * rows] };
        let first = steps.first();
        let mut solver = Solver::new(steps, first);
        solver.solve(TOLERANCE);
        let (count, Point { mut own, mut partner }) = (self.costs.len(), solver.point);
        own.truncate(count);
        let worth = partner.split_off(count);
        let cost = self.costs.iter().zip(&own).map(|(cost, amount)| cost * amount).sum();
        own.iter().chain(&worth).all(|value| value.is_finite()).then_some(Solved { amounts: own, worth, cost })
    }

    /// By row: what columns in such amounts add up to.
    fn sums(&self, amounts: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.limits.len()];
        for (column, amount) in self.columns.iter().zip(amounts) {
            for (row, factor) in column {
                sums[*row] += factor * amount;
            }
        }
        sums
    }

    /// By column: what rows of such worths add up to.
    fn priced(&self, worths: &[f64]) -> Vec<f64> {
        let sum = |column: &Vec<(usize, f64)>| column.iter().map(|(row, factor)| factor * worths[*row]).sum();
        self.columns.iter().map(sum).collect()
    }
}

/// The program as the steps of the solver see it. A point is columns and what they cost beyond their worth, then what
/// rows have left and their worths.
struct Steps<'p> {
    program: &'p Columns,
    sign: Vec<f64>,
    matrix: Vec<f64>,
}

impl Steps<'_> {
    /// The smallest amounts that keep the rows, and the smallest worths that keep the columns, all raised until none is
    /// negative (Mehrotra's).
    fn first(&mut self) -> Point {
        let program = self.program;
        let (count, rows) = (program.costs.len(), program.limits.len());
        self.reduce(&Point { own: vec![1.0; count + rows], partner: vec![1.0; count + rows] });
        let mut left = program.limits.clone();
        back(&self.matrix, &mut left);
        let mut own = program.priced(&left);
        own.extend(left);
        let mut worths: Vec<f64> = program.sums(&program.costs).into_iter().map(|sum| -sum).collect();
        back(&self.matrix, &mut worths);
        let mut partner: Vec<f64> =
            program.priced(&worths).into_iter().zip(&program.costs).map(|(price, cost)| cost + price).collect();
        partner.extend(worths);
        let raise = |values: &mut [f64], by: f64| values.iter_mut().for_each(|value| *value += by);
        for values in [&mut own, &mut partner] {
            let least = values.iter().fold(0.0_f64, |least, value| least.min(*value));
            raise(values, -1.5 * least);
        }
        let product: f64 = own.iter().zip(&partner).map(|(own, other)| own * other).sum::<f64>().max(1e-6);
        let (sum, other) = (own.iter().sum::<f64>().max(1e-9), partner.iter().sum::<f64>().max(1e-9));
        raise(&mut own, 0.5 * product / other);
        raise(&mut partner, 0.5 * product / sum);
        Point { own, partner }
    }
}

/// By row, and by column.
struct Missing {
    rows: Vec<f64>,
    columns: Vec<f64>,
}

impl System for Steps<'_> {
    type Missing = Missing;

    fn missing(&self, point: &Point) -> Missing {
        let program = self.program;
        let count = program.costs.len();
        let sums = program.sums(&point.own[..count]);
        let row = |((limit, sum), left): ((&f64, f64), &f64)| limit - sum - left;
        let rows = program.limits.iter().zip(sums).zip(&point.own[count..]).map(row).collect();
        let prices = program.priced(&point.partner[count..]);
        let column = |((cost, price), beyond): ((&f64, f64), &f64)| beyond - cost - price;
        let columns = program.costs.iter().zip(prices).zip(&point.partner).map(column).collect();
        Missing { rows, columns }
    }

    fn off(&self, point: &Point, missing: &Missing) -> f64 {
        let program = self.program;
        let count = program.costs.len();
        let cost: f64 = program.costs.iter().zip(&point.own).map(|(cost, own)| cost * own).sum();
        let worth: f64 = program.limits.iter().zip(&point.partner[count..]).map(|(limit, worth)| limit * worth).sum();
        let most = |list: &[f64]| list.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let rows = most(&missing.rows) / most(&program.limits).max(1e-9);
        let columns = most(&missing.columns) / most(&program.costs).max(1e-9);
        ((cost + worth).abs() / cost.abs().max(1e-9)).max(rows).max(columns)
    }

    fn reduce(&mut self, point: &Point) {
        let program = self.program;
        let (count, rows) = (program.costs.len(), program.limits.len());
        self.matrix.fill(0.0);
        for (index, column) in program.columns.iter().enumerate() {
            let loose = point.own[index] / point.partner[index];
            for (place, (row, factor)) in column.iter().enumerate() {
                // Rows are added one after the other, so that a column has them in order.
                for (other, own) in &column[place..] {
                    self.matrix[row * rows + other] += loose * factor * own;
                }
            }
        }
        for row in 0..rows {
            self.matrix[row * rows + row] += point.own[count + row] / point.partner[count + row];
        }
        factor(&mut self.matrix, &self.sign);
    }

    fn change(&self, point: &Point, missing: &Missing, target: &[f64]) -> Point {
        let program = self.program;
        let count = program.costs.len();
        let Point { own, partner } = point;
        let side = |index: usize| missing.columns[index] + target[index] / own[index];
        let loose: Vec<f64> = (0..count).map(|index| own[index] / partner[index] * side(index)).collect();
        let mut worths = program.sums(&loose);
        for (row, worth) in worths.iter_mut().enumerate() {
            *worth += target[count + row] / partner[count + row] - missing.rows[row];
        }
        back(&self.matrix, &mut worths);
        let prices = program.priced(&worths);
        let mut change = Point { own: Vec::with_capacity(own.len()), partner: Vec::with_capacity(own.len()) };
        for (index, price) in prices.into_iter().enumerate() {
            let amount = own[index] / partner[index] * (side(index) - price);
            change.own.push(amount);
            change.partner.push((target[index] - partner[index] * amount) / own[index]);
        }
        for (place, worth) in (count..).zip(worths) {
            change.own.push((target[place] - own[place] * worth) / partner[place]);
            change.partner.push(worth);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use microlp::{ComparisonOp, OptimizationDirection, Problem};

    use super::Columns;
    use crate::search::random::Random;

    /// At least three of two things, of which the cheaper one is limited to two.
    #[test]
    fn rows_are_worth_what_their_limits_cost() {
        let mut program = Columns::default();
        let (cheap, dear) = (program.column(1.0), program.column(2.5));
        let asked = program.row(-3.0, [(cheap, -1.0), (dear, -1.0)]);
        let limited = program.row(2.0, [(cheap, 1.0)]);
        let solved = program.solve().expect("a solution");
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-4, "{value} for {expected}");
        near(solved.amounts[cheap], 2.0);
        near(solved.amounts[dear], 1.0);
        near(solved.worth[asked], 2.5);
        near(solved.worth[limited], 1.5);
    }

    #[test]
    fn any_program_is_solved_as_by_another_solver() {
        let mut random = Random::new(9);
        let mut below = |most: usize| random.below(most) as f64;
        for number in 0..300 {
            let mut program = Columns::default();
            let mut other = Problem::new(OptimizationDirection::Minimize);
            let columns: Vec<_> = (0..3 + number % 40)
                .map(|_| {
                    let cost = 1.0 + below(9);
                    (program.column(cost), other.add_var(cost, (0.0, f64::INFINITY)))
                })
                .collect();
            for row in 0..1 + number % 11 {
                // What is asked for has a dear column of its own, so that there always is a solution.
                let (sign, limit) = if row % 3 == 2 { (1.0, 1.0 + below(20)) } else { (-1.0, -below(20)) };
                let mut terms: Vec<_> = columns.iter().map(|column| (*column, sign * below(4))).collect();
                terms.retain(|(_, factor)| *factor != 0.0);
                if sign < 0.0 {
                    terms.push(((program.column(50.0), other.add_var(50.0, (0.0, f64::INFINITY))), -1.0));
                }
                program.row(limit, terms.iter().map(|((own, _), factor)| (*own, *factor)));
                let terms: Vec<_> = terms.iter().map(|((_, other), factor)| (*other, *factor)).collect();
                other.add_constraint(terms.as_slice(), ComparisonOp::Le, limit);
            }
            let expected = other.solve().expect("solved").into_solution().expect("a solution").objective();
            let solved = program.solve().expect("a solution");
            let worth: f64 = -program.limits.iter().zip(&solved.worth).map(|(limit, worth)| limit * worth).sum::<f64>();
            for value in [solved.cost, worth] {
                assert!((value - expected).abs() < 1e-4 * expected.max(1.0), "{number}: {value} for {expected}");
            }
        }
    }

    #[test]
    fn what_has_no_solution_is_no_panic() {
        assert!(Columns::default().solve().is_none());
        let mut contradiction = Columns::default();
        let column = contradiction.column(1.0);
        contradiction.row(-2.0, [(column, -1.0)]);
        contradiction.row(1.0, [(column, 1.0)]);
        // Whatever comes out is only proposed, and proven afterwards.
        let _ = contradiction.solve();
        let mut endless = Columns::default();
        let column = endless.column(-1.0);
        endless.row(0.0, [(column, -1.0)]);
        let _ = endless.solve();
        let mut wild = Columns::default();
        let column = wild.column(f64::NAN);
        wild.row(f64::INFINITY, [(column, f64::MAX)]);
        assert!(wild.solve().is_none_or(|solved| solved.amounts.iter().all(|amount| amount.is_finite())));
    }
}
