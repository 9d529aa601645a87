//! What a machine is reckoned to cost: the list price by the policy's pricing.
//!
//! The journal keeps list prices and the policy, and this is the one place where the planner makes effective
//! prices of the two, so that a replay reckons alike and another policy may be tried on the same journal.
//! What commitments cover is not of a machine but of a set of them (`commitments`).

use journal_schema::cloud::{CapacityType, PriceBook};
use journal_schema::policy::{PriceBasis, Pricing};
use journal_schema::units::{MicroUsdPerHour, Ppm};

/// Google's sustained-use discounts: what is left of the list price of a machine that runs a whole month, by
/// machine family. Families that are not listed have none.
///
/// Source: cloud.google.com/compute/docs/sustained-use-discounts (up to 30 % and up to 20 %), which agrees with
/// the ratio of monthly to hourly prices of the built-in list.
const SUSTAINED_USE: [(&str, Ppm); 5] = [
    ("n1", Ppm::percent(70)),
    ("m1", Ppm::percent(70)),
    ("n2", Ppm::percent(80)),
    ("n2d", Ppm::percent(80)),
    ("c2", Ppm::percent(80)),
];

/// Hours of 30 days.
pub(crate) const HOURS: i128 = 30 * 24;
/// No machine is reckoned to cost more, in micro-USD per hour: sums of all nodes stay far from overflowing.
pub(crate) const MOST: i128 = 100_000_000_000;
/// No more machines of a type and region are taken for committed, for the same reason.
pub(crate) const MOST_COMMITTED: i64 = 1_000_000;

/// What is left of the list price of a machine that runs all month.
pub(crate) fn sustained_use(machine_type: &str) -> Ppm {
    let family = machine_type.split('-').next().unwrap_or_default();
    SUSTAINED_USE.iter().find(|(name, _)| *name == family).map_or(Ppm::percent(100), |(_, left)| *left)
}

/// What a machine itself costs by the policy, its boot disk left out: what a commitment covers.
pub(crate) fn machine(pricing: &Pricing, list: MicroUsdPerHour, machine_type: &str, paid: CapacityType) -> i64 {
    let factor = match (pricing.basis, paid) {
        (PriceBasis::SustainedUse, CapacityType::OnDemand) => sustained_use(machine_type),
        (PriceBasis::SustainedUse, CapacityType::Spot) | (PriceBasis::List, _) => Ppm::percent(100),
    };
    let discounted = divided(i128::from(list.0.max(0)) * i128::from(factor.0), 1_000_000);
    bounded(discounted + if paid == CapacityType::Spot { interruption(pricing) } else { 0 })
}

/// What it costs in an hour that a spot machine may be taken back.
pub fn interruption_per_hour(pricing: &Pricing) -> MicroUsdPerHour {
    MicroUsdPerHour(bounded(interruption(pricing)))
}

/// The same in micro-USD.
fn interruption(pricing: &Pricing) -> i128 {
    let of = &pricing.spot_interruption;
    divided(i128::from(of.per_thirty_days.0.max(0)) * i128::from(of.cost.0.max(0)), 1_000_000 * HOURS)
}

/// The effective price of a machine by a list price, rounded to the nearest micro-USD per hour.
pub fn effective(
    pricing: &Pricing,
    list: MicroUsdPerHour,
    machine_type: &str,
    capacity_type: CapacityType,
) -> MicroUsdPerHour {
    let own = i128::from(machine(pricing, list, machine_type, capacity_type));
    MicroUsdPerHour(bounded(own + i128::from(pricing.boot_disk.0.max(0))))
}

/// The same by a price book; `None` when it does not have the machine.
pub fn effective_in(
    pricing: &Pricing,
    book: &PriceBook,
    region: &str,
    machine_type: &str,
    capacity_type: CapacityType,
) -> Option<MicroUsdPerHour> {
    let list = book.price(region, machine_type, capacity_type)?;
    Some(effective(pricing, list, machine_type, capacity_type))
}

/// Divided and rounded to the nearest; a half is rounded up.
fn divided(amount: i128, by: i128) -> i128 {
    (amount + by / 2) / by
}

fn bounded(price: i128) -> i64 {
    i64::try_from(price.min(MOST)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use journal_schema::policy::SpotInterruption;
    use journal_schema::units::MicroUsd;

    use super::*;

    fn of(pricing: &Pricing, list: i64, machine_type: &str, capacity_type: CapacityType) -> i64 {
        effective(pricing, MicroUsdPerHour(list), machine_type, capacity_type).0
    }

    #[test]
    fn by_default_the_list_price_counts() {
        for capacity_type in [CapacityType::OnDemand, CapacityType::Spot] {
            assert_eq!(of(&Pricing::default(), 379_998, "n1-standard-8", capacity_type), 379_998);
        }
    }

    /// Google's own figures of us-central1: 0.3800 becomes 0.2660, 0.388472 becomes 0.310778.
    #[test]
    fn a_family_has_its_discount_on_demand_only() {
        let pricing = Pricing { basis: PriceBasis::SustainedUse, ..Pricing::default() };
        for (list, machine_type, expected) in [
            (380_000, "n1-standard-8", 266_000),
            (388_472, "n2-standard-8", 310_778),
            (388_472, "n2d-standard-8", 310_778),
            (268_046, "e2-standard-8", 268_046),
            (5, "n1-standard-1", 4),
            (1, "n2-standard-2", 1),
        ] {
            assert_eq!(of(&pricing, list, machine_type, CapacityType::OnDemand), expected, "{machine_type}");
            assert_eq!(of(&pricing, list, machine_type, CapacityType::Spot), list, "{machine_type}");
        }
    }

    /// Three times in 30 days at half a dollar each is 1.5 dollars in 720 hours.
    #[test]
    fn disks_are_of_all_nodes_and_interruptions_of_spot_machines() {
        let pricing = Pricing {
            boot_disk: MicroUsdPerHour(13_700),
            spot_interruption: SpotInterruption { per_thirty_days: Ppm(3_000_000), cost: MicroUsd(500_000) },
            ..Pricing::default()
        };
        assert_eq!(of(&pricing, 100_000, "e2-standard-4", CapacityType::OnDemand), 113_700);
        assert_eq!(of(&pricing, 40_000, "e2-standard-4", CapacityType::Spot), 40_000 + 13_700 + 2_083);
    }

    #[test]
    fn no_price_overflows() {
        let pricing = Pricing {
            boot_disk: MicroUsdPerHour(i64::MAX),
            spot_interruption: SpotInterruption { per_thirty_days: Ppm(i64::MAX), cost: MicroUsd(i64::MAX) },
            ..Pricing::default()
        };
        assert_eq!(i128::from(of(&pricing, i64::MAX, "e2-standard-4", CapacityType::Spot)), MOST);
    }
}
