//! What worths of pods prove, in integers.
//!
//! Whatever proposes them: worths are rounded down, what a host of each kind may be worth at most is computed from
//! them, and where that exceeds what the host costs, the worths are scaled down or the excess is taken off.

use super::problem::{Kind, Problem};
use super::volume::NANO;
use crate::model::DIMS;

/// Most that integers of a proof may reach without risk of overflow when multiplied.
const LARGEST: f64 = 1e15;

/// A proven worth of each class, in nano-USD per hour.
pub(super) struct Proof {
    /// Micro-USD per hour beyond what is fixed.
    pub(super) cost: i64,
    /// By demand.
    pub(super) worth: Vec<i64>,
    /// By kind, in nano-USD per hour: what is taken off for each host because it is worth more than its price.
    pub(super) rents: Vec<i128>,
}

/// Rounds the proposal to integers and proves what holds of it.
///
/// For each kind: no filling is worth more than Σ price·capacity + Σ most·max(0, worth − Σ
/// price·request), whatever the prices are.
pub(super) fn certify(problem: &Problem, worths: &[f64], prices: &[[f64; DIMS]]) -> Proof {
    let unit = unit(problem);
    let worth: Vec<i64> = worths.iter().map(|worth| rounded(*worth, unit)).collect();
    let ceilings: Vec<i128> =
        problem.kinds.iter().zip(prices).map(|(kind, own)| certified(problem, kind, &worth, own, unit)).collect();
    conclude(problem, &worth, &ceilings)
}

/// Nano-USD per hour of one in units of the dearest kind's price.
pub(super) fn unit(problem: &Problem) -> f64 {
    problem.kinds.iter().map(|kind| kind.price).max().unwrap_or(0).max(1) as f64 * NANO as f64
}

/// A worth in nano-USD per hour, rounded down.
pub(super) fn rounded(worth: f64, unit: f64) -> i64 {
    if worth.is_finite() { (worth * unit).clamp(0.0, LARGEST) as i64 } else { 0 }
}

/// What worths prove when no filling of a kind is worth more than its ceiling, all in nano-USD per hour.
///
/// Where a ceiling exceeds the price of a kind of unlimited number, all worths are scaled down until it does
/// not; for kinds of limited number the excess is taken off the sum.
pub(super) fn conclude(problem: &Problem, worth: &[i64], ceilings: &[i128]) -> Proof {
    let mut worth: Vec<i128> = worth.iter().copied().map(i128::from).collect();
    let mut worst: Option<(i128, i128)> = None;
    for (kind, ceiling) in problem.kinds.iter().zip(ceilings).filter(|(kind, _)| kind.limit.is_none()) {
        let price = i128::from(kind.price) * NANO;
        if *ceiling > price && worst.is_none_or(|(p, c)| price * c < p * ceiling) {
            worst = Some((price, *ceiling));
        }
    }
    // Scaling worths and prices by one factor scales every ceiling by it: what was proven of the
    // unscaled ones proves the scaled ones, and rounding down only lowers a worth.
    let (numerator, denominator) = worst.unwrap_or((1, 1));
    for value in &mut worth {
        *value = *value * numerator / denominator;
    }
    let mut proven: i128 = problem.classes.iter().zip(&worth).map(|(class, w)| w * i128::from(class.count)).sum();
    let mut rents = vec![0; problem.kinds.len()];
    for ((kind, ceiling), rent) in problem.kinds.iter().zip(ceilings).zip(&mut rents) {
        let Some(limit) = kind.limit else { continue };
        let scaled = (ceiling * numerator).div_euclid(denominator) + 1;
        *rent = (scaled - i128::from(kind.price) * NANO).max(0);
        proven -= *rent * i128::from(limit);
    }
    let micro = (proven + NANO - 1).div_euclid(NANO);
    Proof {
        cost: i64::try_from(micro.max(0)).unwrap_or(0),
        worth: worth.into_iter().map(|w| i64::try_from(w).unwrap_or(0)).collect(),
        rents,
    }
}

/// The most that a filling of one host is worth, proven in integers with prices rounded down.
///
/// Prices carry a factor of a million beyond nano-USD, so that a price per MiB keeps its digits.
pub(super) fn certified(problem: &Problem, kind: &Kind, worth: &[i64], prices: &[f64; DIMS], unit: f64) -> i128 {
    const FINE: i128 = 1_000_000;
    let fine: Vec<i128> = prices
        .iter()
        .map(|price| if price.is_finite() { (price * unit * FINE as f64).clamp(0.0, LARGEST) as i128 } else { 0 })
        .collect();
    let total = |amounts: &[i64; DIMS]| -> i128 {
        fine.iter().zip(amounts).map(|(price, amount)| price * i128::from(*amount)).sum()
    };
    let mut sum: i128 = total(&kind.capacity);
    for (index, class) in problem.classes.iter().enumerate().filter(|(index, _)| kind.most[*index] > 0) {
        let above = i128::from(worth[index]) * FINE - total(&class.request);
        if above > 0 {
            sum += above * i128::from(kind.most[index]);
        }
    }
    (sum + FINE - 1).div_euclid(FINE)
}
