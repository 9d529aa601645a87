//! What resources are worth: integer unit prices, taken from the bound's dual solution.
//!
//! The search compares hosts by the worth of what runs there against what they cost.

use crate::model::{Amounts, DIMS};

/// Bits by which memory and storage are scaled down: from bytes to MiB.
const MIB_BITS: u32 = 20;

/// An amount in the unit of its price: milli-CPU, MiB, MiB, pods, and whole units of the rest.
pub(crate) fn scaled(dim: usize, amount: i64) -> i64 {
    if dim == 1 || dim == 2 { amount >> MIB_BITS } else { amount }
}

/// The same, rounded up.
pub(crate) fn scaled_up(dim: usize, amount: i64) -> i64 {
    if dim == 1 || dim == 2 { -((-amount) >> MIB_BITS) } else { amount }
}

/// Nano-USD per hour and unit, by dimension.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnitPrices(pub(crate) [i64; DIMS]);

impl UnitPrices {
    /// What amounts are worth, in nano-USD per hour. Dimensions without a price count nothing.
    pub(crate) fn worth(&self, amounts: &Amounts) -> i64 {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, unit)| **unit != 0)
            .map(|(dim, unit)| unit * scaled(dim, amounts[dim]))
            .sum()
    }
}
