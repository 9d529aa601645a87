//! Prices of resources in parts of a nano-USD: one unit of a resource costs little.

use crate::model::{Amounts, DIMS};

/// Parts of a nano-USD in which prices and worths are counted.
pub(super) const FINE: i64 = 1_000;
/// Beyond this sums could overflow.
pub(super) const LARGEST: i128 = 1 << 61;

/// By dimension, in parts of a nano-USD per hour and unit.
#[derive(Clone, Copy)]
pub(super) struct FinePrices(pub(super) [i64; DIMS]);

impl FinePrices {
    /// Of prices in nano-USD per hour and unit.
    pub(super) fn new(prices: &[f64; DIMS]) -> Self {
        Self(prices.map(|price| (price.clamp(0.0, 1e12) * FINE as f64) as i64))
    }

    /// What amounts cost.
    pub(super) fn of(&self, amounts: &Amounts) -> i128 {
        self.0.iter().zip(amounts).map(|(price, amount)| i128::from(*price) * i128::from(*amount)).sum()
    }
}

/// Nano-USD, rounded up.
pub(super) fn rounded_up(fine: i128) -> i128 {
    (fine + i128::from(FINE) - 1).div_euclid(i128::from(FINE))
}
