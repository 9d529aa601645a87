//! What the cluster has cost, by kinema's own reckoning.
//!
//! An instance costs from the moment it was asked for until it is gone from the cluster. Prices come
//! from the book; a node without a price costs nothing and is counted.

use journal_schema::units::{MicroUsd, MicroUsdPerHour, Timestamp};
use serde::{Deserialize, Serialize};

const MILLIS_PER_HOUR: i128 = 3_600_000;

/// The running total.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Micro-dollars × milliseconds / hour: exact, divided only when it is read.
    total: i128,
    rate: MicroUsdPerHour,
    since: Option<Timestamp>,
    /// Nodes without a price.
    pub unpriced: u32,
}

impl Ledger {
    /// Time went on.
    pub fn advance(&mut self, now: Timestamp) {
        if let Some(since) = self.since {
            self.total += i128::from(self.rate.0) * i128::from(now.since(since).0);
        }
        self.since = Some(now);
    }

    /// What the cluster costs per hour from now on.
    pub fn set_rate(&mut self, rate: MicroUsdPerHour, unpriced: u32) {
        self.rate = rate;
        self.unpriced = unpriced;
    }

    /// What the cluster costs per hour.
    pub fn rate(&self) -> MicroUsdPerHour {
        self.rate
    }

    /// What it has cost since the journal began, rounded down.
    pub fn total(&self) -> MicroUsd {
        MicroUsd(i64::try_from(self.total / MILLIS_PER_HOUR).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_an_hour_for_half_an_hour_is_half_a_dollar() {
        let mut ledger = Ledger::default();
        ledger.advance(Timestamp(0));
        ledger.set_rate(MicroUsdPerHour(1_000_000), 0);
        for minute in 1..=30 {
            ledger.advance(Timestamp(minute * 60_000));
        }
        assert_eq!(ledger.total(), MicroUsd(500_000));
    }
}
