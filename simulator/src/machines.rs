//! Machine types of the simulated cloud: what their nodes offer and what they cost.
//!
//! Prices are Google Cloud's list prices of us-central1 (on demand and spot, USD per hour); the
//! allocatable amounts follow GKE's reservation formula for a 100 GiB boot disk.

use journal_schema::cloud::{CapacityType, PriceBook, PriceEntry};
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Resources, Timestamp};

use crate::text::{list, name};

/// The only region of the simulated worlds.
pub const REGION: &str = "us-central1";

/// One machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineType {
    /// Name.
    pub name: &'static str,
    /// CPU that pods may use, in thousandths.
    pub cpu: i64,
    /// Memory that pods may use, in MiB.
    pub memory_mib: i64,
    /// On-demand price in millionths of a dollar per hour.
    pub on_demand: i64,
    /// Spot price in millionths of a dollar per hour.
    pub spot: i64,
}

const fn machine(name: &'static str, cpu: i64, memory_mib: i64, on_demand: i64, spot: i64) -> MachineType {
    MachineType { name, cpu, memory_mib, on_demand, spot }
}

/// Every machine type, by name.
pub const MACHINE_TYPES: [MachineType; 14] = [
    machine("e2-highcpu-16", 15_890, 13_256, 395_762, 237_504),
    machine("e2-highcpu-4", 3_920, 2_812, 98_940, 59_376),
    machine("e2-highcpu-8", 7_910, 6_018, 197_881, 118_752),
    machine("e2-highmem-16", 15_890, 119_070, 723_197, 433_952),
    machine("e2-highmem-2", 1_930, 13_256, 90_400, 54_244),
    machine("e2-highmem-4", 3_920, 28_373, 180_799, 108_488),
    machine("e2-highmem-8", 7_910, 58_605, 361_599, 216_976),
    machine("e2-standard-16", 15_890, 58_605, 536_091, 321_696),
    machine("e2-standard-2", 1_930, 6_018, 67_011, 40_212),
    machine("e2-standard-32", 31_850, 119_070, 1_072_183, 643_392),
    machine("e2-standard-4", 3_920, 13_256, 134_023, 80_424),
    machine("e2-standard-8", 7_910, 28_373, 268_046, 160_848),
    machine("n2-standard-4", 3_920, 13_256, 194_236, 92_120),
    machine("n2-standard-8", 7_910, 28_373, 388_472, 184_240),
];

impl MachineType {
    /// The machine type of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        MACHINE_TYPES.iter().find(|machine| machine.name == name)
    }

    /// What a node of this type offers to pods.
    pub fn allocatable(&self) -> Resources {
        Resources {
            cpu: MilliCpu(self.cpu),
            memory: Bytes(self.memory_mib << 20),
            ephemeral: Bytes(47_063_248_896),
            pods: 110,
            ..Resources::default()
        }
    }

    /// What it costs.
    pub fn price(&self, capacity_type: CapacityType) -> MicroUsdPerHour {
        MicroUsdPerHour(match capacity_type {
            CapacityType::OnDemand => self.on_demand,
            CapacityType::Spot => self.spot,
        })
    }
}

/// The price book of the region.
pub fn price_book(as_of: Timestamp) -> PriceBook {
    let entries = MACHINE_TYPES.iter().flat_map(|machine| {
        [CapacityType::OnDemand, CapacityType::Spot].map(|capacity_type| PriceEntry {
            region: name(REGION),
            machine_type: name(machine.name),
            capacity_type,
            price: machine.price(capacity_type),
        })
    });
    PriceBook { source: name("simulated"), as_of, entries: list(entries) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_is_found_in_the_price_book() {
        let book = price_book(Timestamp(0));
        for machine in &MACHINE_TYPES {
            let price = book.price(REGION, machine.name, CapacityType::OnDemand);
            assert_eq!(price, Some(machine.price(CapacityType::OnDemand)), "{}", machine.name);
        }
    }
}
