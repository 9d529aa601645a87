//! Machine types and what they cost in each region.

use std::collections::BTreeMap;

use journal_schema::cloud::{CapacityType, PriceBook, PriceEntry};
use journal_schema::text::{ListTooLong, Many, Name};
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Timestamp};

/// A processor's architecture, as the label `kubernetes.io/arch` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    #[default]
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// `amd64` or `arm64`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A machine type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Family, for example `n2`.
    pub family: Name,
    /// vCPUs that the machine has.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Architecture.
    pub arch: Arch,
    /// Shares its cores (e2-micro, e2-small, e2-medium): GKE reserves a fixed part of them.
    pub shared_core: bool,
    /// Accelerator, empty when there is none.
    pub gpu: Name,
    /// Number of accelerators, included in the price.
    pub gpus: u32,
    /// Has local SSDs.
    pub local_ssd: bool,
}

/// Prices of one machine type in one region. The last three are what an on-demand machine effectively
/// costs per hour when it runs for a whole month (730 hours).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// List price.
    pub on_demand: MicroUsdPerHour,
    /// Spot.
    pub spot: Option<MicroUsdPerHour>,
    /// With sustained use discount.
    pub sud: Option<MicroUsdPerHour>,
    /// Under a commitment of one year.
    pub cud1: Option<MicroUsdPerHour>,
    /// Under a commitment of three years.
    pub cud3: Option<MicroUsdPerHour>,
}

/// Which price is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceKind {
    /// List price.
    #[default]
    OnDemand,
    /// Spot.
    Spot,
    /// Sustained use.
    Sud,
    /// Commitment of one year.
    Cud1,
    /// Commitment of three years.
    Cud3,
}

/// The name of a kind of price is none of those that exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of price {0:?}: expected on-demand, spot, sud, cud1 or cud3")]
pub struct UnknownPriceKind(String);

impl std::str::FromStr for PriceKind {
    type Err = UnknownPriceKind;
    fn from_str(text: &str) -> Result<Self, UnknownPriceKind> {
        Ok(match text {
            "on-demand" => Self::OnDemand,
            "spot" => Self::Spot,
            "sud" => Self::Sud,
            "cud1" => Self::Cud1,
            "cud3" => Self::Cud3,
            other => return Err(UnknownPriceKind(other.to_owned())),
        })
    }
}

impl Prices {
    /// The price of a kind, when it is known.
    pub fn of(&self, kind: PriceKind) -> Option<MicroUsdPerHour> {
        match kind {
            PriceKind::OnDemand => Some(self.on_demand),
            PriceKind::Spot => self.spot,
            PriceKind::Sud => self.sud,
            PriceKind::Cud1 => self.cud1,
            PriceKind::Cud3 => self.cud3,
        }
    }
}

/// What there is and what it costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// `built-in` or the file's name.
    pub source: Name,
    /// The day the prices are of.
    pub as_of: Timestamp,
    /// Machine types by name.
    pub machines: BTreeMap<Name, Machine>,
    /// Prices by region and machine type.
    pub prices: BTreeMap<(Name, Name), Prices>,
}

impl Catalogue {
    /// A machine type.
    pub fn machine(&self, machine_type: &str) -> Option<&Machine> {
        self.machines.get(machine_type)
    }

    /// A price.
    pub fn price(&self, region: &str, machine_type: &str, kind: PriceKind) -> Option<MicroUsdPerHour> {
        self.prices.get(&(Name::new(region).ok()?, Name::new(machine_type).ok()?))?.of(kind)
    }

    /// The regions, each once, in order.
    pub fn regions(&self) -> Vec<&Name> {
        let mut regions: Vec<&Name> = self.prices.keys().map(|(region, _)| region).collect();
        regions.dedup();
        regions
    }

    /// The machine types of a region with their prices, in order of name.
    pub fn region<'a>(&'a self, region: &'a str) -> impl Iterator<Item = (&'a Name, &'a Machine, &'a Prices)> + 'a {
        self.prices
            .iter()
            .filter(move |((of, _), _)| of.as_str() == region)
            .filter_map(|((_, machine_type), prices)| Some((machine_type, self.machines.get(machine_type)?, prices)))
    }

    /// The book that the core plans with: on-demand machines priced by `kind` (by list price where
    /// that kind is not known, and for [`PriceKind::Spot`]), spot machines by their spot price.
    /// A machine type without a spot price has no spot entry, and a price of zero has none either: a
    /// machine that costs nothing would win every comparison, and is far more often a cell that
    /// somebody forgot ([`Self::free_of_charge`] tells of them).
    ///
    /// # Errors
    /// More entries than a book may have.
    pub fn book(&self, kind: PriceKind) -> Result<PriceBook, ListTooLong> {
        let kind = if kind == PriceKind::Spot { PriceKind::OnDemand } else { kind };
        let mut entries = Vec::with_capacity(self.prices.len() * 2);
        // The map's order is the book's order, and OnDemand sorts before Spot.
        for ((region, machine_type), prices) in &self.prices {
            let entry = |capacity_type, price| PriceEntry {
                region: region.clone(),
                machine_type: machine_type.clone(),
                capacity_type,
                price,
            };
            entries.push(entry(CapacityType::OnDemand, prices.of(kind).unwrap_or(prices.on_demand)));
            entries.extend(prices.spot.map(|spot| entry(CapacityType::Spot, spot)));
        }
        entries.retain(|entry| entry.price.0 > 0);
        Ok(PriceBook { source: self.source.clone(), as_of: self.as_of, entries: Many::new(entries)? })
    }

    /// Rows that [`Self::book`] leaves out or cuts short, as `machine type in region`.
    pub fn free_of_charge(&self) -> Vec<String> {
        let free = |prices: &Prices| prices.on_demand.0 <= 0 || prices.spot.is_some_and(|spot| spot.0 <= 0);
        let rows = self.prices.iter().filter(|(_, prices)| free(prices));
        rows.map(|((region, machine_type), _)| format!("{machine_type} in {region}")).collect()
    }
}
