//! Linear programs, in columns, and what solves them.
//!
//! An interior point method needs about as many steps for a large program as for a small one, and its worths are in
//! the middle of the best ones, not in a corner of them: they guide a search better, and change less from one
//! program to the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, NonnegativeConeT};

/// How closely a program is solved. What is missing is lost to a proof, no more.
const TOLERANCE: f64 = 1e-6;
const MOST_STEPS: u32 = 100;

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
    pub(super) fn solve(mut self) -> Option<Solved> {
        if self.columns.is_empty() || self.limits.is_empty() {
            return None;
        }
        for column in 0..self.columns.len() {
            self.row(0.0, [(column, -1.0)]);
        }
        let (rows, count) = (self.limits.len(), self.columns.len());
        let (mut starts, mut places, mut factors) = (vec![0], Vec::new(), Vec::new());
        for column in &self.columns {
            places.extend(column.iter().map(|(row, _)| *row));
            factors.extend(column.iter().map(|(_, factor)| *factor));
            starts.push(places.len());
        }
        let matrix = CscMatrix::new(rows, count, starts, places, factors);
        let settings = DefaultSettings {
            verbose: false,
            max_iter: MOST_STEPS,
            tol_gap_rel: TOLERANCE,
            tol_gap_abs: TOLERANCE,
            tol_feas: TOLERANCE,
            ..DefaultSettings::default()
        };
        let quadratic = CscMatrix::zeros((count, count));
        let cones = [NonnegativeConeT(rows)];
        let solve = || {
            let mut solver =
                DefaultSolver::new(&quadratic, &self.costs, &matrix, &self.limits, &cones, settings).ok()?;
            solver.solve();
            // Where it stopped early its worths are still worth proving.
            let (amounts, worth) = (solver.solution.x, solver.solution.z);
            let cost = self.costs.iter().zip(&amounts).map(|(cost, amount)| cost * amount).sum();
            Some(Solved { amounts, worth, cost })
        };
        // Its factorisation panics on a matrix that is singular in spite of all regularisation.
        let solved = catch_unwind(AssertUnwindSafe(solve)).ok()??;
        solved.amounts.iter().chain(&solved.worth).all(|value| value.is_finite()).then_some(solved)
    }
}

#[cfg(test)]
mod tests {
    use super::Columns;

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
