//! An interior point method for linear programs (Mehrotra's, with Gondzio's corrections).
//!
//! It needs about as many steps for a large program as for a small one, and finds worths in the middle of the best ones,
//! not in a corner of them: they guide a search better, and change less from one program to the next. What a step
//! has to solve is left to each [`System`], which knows how its program is made.

/// Most steps. What is missing after them is lost to a proof, no more.
const MOST_STEPS: usize = 60;
/// How far a step goes of the way to where something becomes negative.
const FAR: f64 = 0.995;
/// Most corrections of a step (Gondzio's): each asks how the products would be if the step went further by a factor, at
/// least to a share of the way, and leads those that would be too large or too small by a factor back. It is kept
/// when the step goes further by so much.
const MOST_CORRECTIONS: usize = 3;
const FURTHER: f64 = 1.5;
const LEAST_WAY: f64 = 0.1;
const UNEVEN: f64 = 10.0;
const GAIN: f64 = 0.05;
/// When so little is left of a pivot it is rounding, and its number stays as it is: the pivot is this instead.
const ROUNDING: f64 = 1e-14;
const IMMOVABLE: f64 = 1e64;

/// Numbers that may not be negative, each with a partner that says how its column or row is priced; or how both
/// change. Of a number and its partner one is nothing in the end.
#[derive(Clone)]
pub(super) struct Point {
    pub(super) own: Vec<f64>,
    pub(super) partner: Vec<f64>,
}

/// A program, as its steps see it.
pub(super) trait System {
    /// By how much a point misses the rows, and the prices of the columns.
    type Missing;

    fn missing(&self, point: &Point) -> Self::Missing;

    /// How far a point is from the best, as a share of what all costs.
    fn off(&self, point: &Point, missing: &Self::Missing) -> f64;

    /// Prepares for changes of a point.
    fn reduce(&mut self, point: &Point);

    /// How a point changes such that nothing is missing and each product grows by its target, to the first order.
    fn change(&self, point: &Point, missing: &Self::Missing, target: &[f64]) -> Point;
}

/// A program on its way to a solution.
pub(super) struct Solver<S> {
    pub(super) system: S,
    pub(super) point: Point,
    steps: usize,
}

impl<S: System> Solver<S> {
    pub(super) fn new(system: S, first: Point) -> Self {
        Self { system, point: first, steps: 0 }
    }

    /// Goes on until the point is as near to the best as that, as a share of what all costs, or gets no nearer.
    pub(super) fn solve(&mut self, tolerance: f64) {
        while self.steps < MOST_STEPS {
            let missing = self.system.missing(&self.point);
            if self.system.off(&self.point, &missing) <= tolerance {
                break;
            }
            self.steps += 1;
            let point = self.step(&missing);
            if !point.own.iter().chain(&point.partner).all(|value| value.is_finite()) {
                self.steps = MOST_STEPS;
                break;
            }
            self.point = point;
        }
    }

    /// The next point.
    fn step(&mut self, missing: &S::Missing) -> Point {
        self.system.reduce(&self.point);
        let point = &self.point;
        let products = |change: &Point, near: f64, far: f64| -> Vec<f64> {
            let own = point.own.iter().zip(&change.own).map(|(own, change)| own + near * change);
            let partner = point.partner.iter().zip(&change.partner).map(|(own, change)| own + far * change);
            own.zip(partner).map(|(own, partner)| own * partner).collect()
        };
        let mut target: Vec<f64> = point.own.iter().zip(&point.partner).map(|(own, other)| -own * other).collect();
        let guess = self.system.change(point, missing, &target);
        let (near, far) = self.reach(&guess);
        let before = -mean(&target);
        let gain = mean(&products(&guess, near, far)) / before;
        let centre = before * gain * gain * gain;
        for (index, target) in target.iter_mut().enumerate() {
            *target += centre - guess.own[index] * guess.partner[index];
        }
        let mut change = self.system.change(point, missing, &target);
        let (mut near, mut far) = self.reach(&change);
        for _ in 0..MOST_CORRECTIONS {
            let further = |way: f64| (way * FURTHER).clamp(LEAST_WAY, 1.0);
            let mut other = target.clone();
            for (target, product) in other.iter_mut().zip(products(&change, further(near), further(far))) {
                let even = product.max(centre / UNEVEN).min(centre * UNEVEN);
                *target += (even - product).max(-centre * UNEVEN);
            }
            let corrected = self.system.change(point, missing, &other);
            let reached = self.reach(&corrected);
            if reached.0 + reached.1 < near + far + GAIN {
                break;
            }
            (near, far) = reached;
            (change, target) = (corrected, other);
        }
        let after = |values: &[f64], changes: &[f64], way: f64| -> Vec<f64> {
            values.iter().zip(changes).map(|(value, change)| value + way * FAR * change).collect()
        };
        Point { own: after(&point.own, &change.own, near), partner: after(&point.partner, &change.partner, far) }
    }

    /// How much of a change leaves all numbers, and all partners, above zero.
    fn reach(&self, change: &Point) -> (f64, f64) {
        (reach(&self.point.own, &change.own), reach(&self.point.partner, &change.partner))
    }
}

/// Elimination without exchanges in a matrix whose pivots have the given signs in any order; above the diagonal it is
/// replaced by the factors, on it by the pivots. What is below is not looked at.
pub(super) fn factor(matrix: &mut [f64], sign: &[f64]) {
    let order = sign.len();
    let first: Vec<f64> = (0..order).map(|pivot| matrix[pivot * order + pivot]).collect();
    for pivot in 0..order {
        let (upper, lower) = matrix.split_at_mut((pivot + 1) * order);
        let own = &mut upper[pivot * order..];
        if own[pivot] * sign[pivot] <= first[pivot].abs() * ROUNDING {
            own[pivot] = sign[pivot] * IMMOVABLE;
        }
        for (row, other) in (pivot + 1..order).zip(lower.chunks_exact_mut(order)) {
            let factor = own[row] / own[pivot];
            if factor != 0.0 {
                for (value, own) in other[row..].iter_mut().zip(&own[row..]) {
                    *value -= factor * own;
                }
            }
        }
    }
}

/// Solves a factored system in place.
pub(super) fn back(matrix: &[f64], right: &mut [f64]) {
    let order = right.len();
    for (pivot, line) in matrix.chunks_exact(order).enumerate() {
        let factor = right[pivot] / line[pivot];
        for (value, own) in right[pivot + 1..].iter_mut().zip(&line[pivot + 1..]) {
            *value -= factor * own;
        }
    }
    for (pivot, line) in matrix.chunks_exact(order).enumerate().rev() {
        let known: f64 = line[pivot + 1..].iter().zip(&right[pivot + 1..]).map(|(own, value)| own * value).sum();
        right[pivot] = (right[pivot] - known) / line[pivot];
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How much of a change leaves all numbers above zero, at most all of it.
fn reach(values: &[f64], changes: &[f64]) -> f64 {
    let falling = values.iter().zip(changes).filter(|(_, change)| **change < 0.0);
    falling.fold(1.0, |least, (value, change)| least.min(-value / change))
}
