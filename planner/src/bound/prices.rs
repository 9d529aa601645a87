//! Prices of a host's resources, and how much they let a filling of it be worth.

use super::problem::{Kind, Problem};
use crate::model::DIMS;

/// What prices prove of one host: no filling with these classes is worth more.
fn ceiling(problem: &Problem, kind: &Kind, worths: &[f64], items: &[usize], prices: &[f64; DIMS]) -> f64 {
    let base: f64 = prices.iter().zip(&kind.capacity).filter(|(p, _)| **p > 0.0).map(|(p, c)| p * *c as f64).sum();
    let above: f64 = items
        .iter()
        .map(|c| {
            let cost: f64 = prices.iter().zip(&problem.classes[*c].request).map(|(p, a)| p * *a as f64).sum();
            (worths[*c] - cost).max(0.0) * kind.most[*c] as f64
        })
        .sum();
    base + above
}

/// Moves the prices of these resources, one after the other, to where the ceiling is lowest along the line: it
/// is convex and piecewise linear there.
pub(super) fn lower(
    problem: &Problem,
    kind: &Kind,
    worths: &[f64],
    items: &[usize],
    dims: &[usize],
    steps: u32,
    prices: &mut [f64; DIMS],
) {
    let mut best = ceiling(problem, kind, worths, items, prices);
    for dim in dims {
        let most = items
            .iter()
            .filter(|c| problem.classes[**c].request[*dim] > 0)
            .map(|c| worths[*c] / problem.classes[*c].request[*dim] as f64)
            .fold(0.0, f64::max);
        let (mut low, mut high) = (0.0, most);
        let with = |value: f64| {
            let mut trial = *prices;
            trial[*dim] = value;
            trial
        };
        let at = |value: f64| ceiling(problem, kind, worths, items, &with(value));
        for _ in 0..steps {
            let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if at(a) <= at(b) { high = b } else { low = a }
        }
        let middle = (low + high) / 2.0;
        let value = at(middle);
        if value < best {
            best = value;
            *prices = with(middle);
        }
    }
}
