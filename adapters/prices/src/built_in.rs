//! The price book that the program carries.
//!
//! A text of our own: first `as-of` and the regions, then a line per machine type
//! `type family vCPUs GiB arch flags gpu`, and below it, indented, a line per region
//! `region-number on-demand spot sud cud1 cud3` in micro-USD per hour, `-` where there is none.
//! `examples/compact.rs` writes it from a CSV file.

use std::fmt::Write as _;

use journal_schema::text::Name;
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Timestamp};

use crate::catalogue::{Arch, Catalogue, Machine, Prices};
use crate::decimal::{millionths, written};

const TEXT: &str = include_str!("data/gce.txt");

/// The built-in book is damaged: the program was built from broken files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the built-in prices are damaged in line {line}")]
pub struct BuiltInError {
    /// Line, from 1.
    pub line: usize,
}

impl Catalogue {
    /// The prices that were known when this program was made. Source: Google Cloud Billing Catalog;
    /// the file's head tells the day.
    ///
    /// # Errors
    /// Only when the program was built from a damaged file.
    pub fn built_in() -> Result<Self, BuiltInError> {
        Self::from_compact(TEXT)
    }

    /// Reads the compact form.
    ///
    /// # Errors
    /// The first line that is not in that form.
    pub fn from_compact(text: &str) -> Result<Self, BuiltInError> {
        let mut catalogue = Self { source: Name::truncated("built-in"), ..Self::default() };
        let mut regions: Vec<Name> = Vec::new();
        let mut machine_type: Option<Name> = None;
        for (index, line) in text.lines().enumerate() {
            let damaged = BuiltInError { line: index + 1 };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [word, ..] if word.starts_with('#') => {}
                ["as-of", millis] => catalogue.as_of = Timestamp(millis.parse().map_err(|_| damaged)?),
                ["regions", names @ ..] => regions = names.iter().map(Name::truncated).collect(),
                [region, prices @ ..] if line.starts_with(' ') => {
                    let place: usize = region.parse().map_err(|_| damaged.clone())?;
                    let region = regions.get(place).ok_or_else(|| damaged.clone())?.clone();
                    let key = (region, machine_type.clone().ok_or_else(|| damaged.clone())?);
                    catalogue.prices.insert(key, read_prices(prices).ok_or(damaged)?);
                }
                [name, machine @ ..] => {
                    let name = Name::truncated(name);
                    catalogue.machines.insert(name.clone(), read_machine(machine).ok_or(damaged)?);
                    machine_type = Some(name);
                }
            }
        }
        Ok(catalogue)
    }

    /// Writes the compact form, below `head`, whose lines become comments.
    pub fn to_compact(&self, head: &str) -> String {
        let mut text = String::new();
        for line in head.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        let regions = self.regions();
        text.push_str(&format!(
            "as-of {}\nregions {}\n",
            self.as_of.0,
            regions.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
        ));
        for (name, machine) in &self.machines {
            text.push_str(&format!("{name} {}\n", written_machine(machine)));
            for (place, region) in regions.iter().enumerate() {
                if let Some(prices) = self.prices.get(&((*region).clone(), name.clone())) {
                    text.push_str(&format!(" {place} {}\n", written_prices(prices)));
                }
            }
        }
        text
    }
}

fn read_prices(words: &[&str]) -> Option<Prices> {
    let amount =
        |word: &str| if word == "-" { Some(None) } else { word.parse().ok().map(|micro| Some(MicroUsdPerHour(micro))) };
    let [on_demand, spot, sud, cud1, cud3] = words else { return None };
    Some(Prices {
        on_demand: amount(on_demand)??,
        spot: amount(spot)?,
        sud: amount(sud)?,
        cud1: amount(cud1)?,
        cud3: amount(cud3)?,
    })
}

fn written_prices(prices: &Prices) -> String {
    let amount = |price: Option<MicroUsdPerHour>| price.map_or_else(|| "-".to_owned(), |price| price.0.to_string());
    let words = [Some(prices.on_demand), prices.spot, prices.sud, prices.cud1, prices.cud3].map(amount);
    words.join(" ")
}

fn read_machine(words: &[&str]) -> Option<Machine> {
    let [family, cpu, gib, arch, flags, gpus @ ..] = words else { return None };
    let (gpu, gpus) = match gpus {
        [] => ("", 0),
        [gpu, count] => (*gpu, count.parse().ok()?),
        _ => return None,
    };
    let gib = millionths(gib, i64::MAX).ok()?;
    Some(Machine {
        family: Name::truncated(family),
        cpu: MilliCpu(millionths(cpu, i64::MAX).ok()? / 1000),
        memory: Bytes(i64::try_from((i128::from(gib) << 30) / 1_000_000).ok()?),
        arch: match *arch {
            "amd64" => Arch::Amd64,
            "arm64" => Arch::Arm64,
            _ => return None,
        },
        shared_core: flags.contains('s'),
        gpu: Name::truncated(gpu),
        gpus,
        local_ssd: flags.contains('l'),
    })
}

fn written_machine(machine: &Machine) -> String {
    let gib = (i128::from(machine.memory.0) * 1_000_000 + (1 << 29)) >> 30;
    let flags = match (machine.shared_core, machine.local_ssd) {
        (false, false) => "-",
        (true, false) => "s",
        (false, true) => "l",
        (true, true) => "sl",
    };
    let mut text = format!(
        "{} {} {} {} {flags}",
        machine.family,
        written(machine.cpu.0 * 1000),
        written(i64::try_from(gib).unwrap_or(i64::MAX)),
        machine.arch.as_str()
    );
    if machine.gpus > 0 {
        let _ = write!(text, " {} {}", machine.gpu, machine.gpus);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::PriceKind;
    use journal_schema::cloud::CapacityType;

    #[test]
    fn the_built_in_prices_are_those_that_google_publishes() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(catalogue.prices.len(), 1672);
        assert_eq!(catalogue.machines.len(), 349);
        assert_eq!(catalogue.regions().len(), 5);
        // Known from Google's own price pages.
        assert_eq!(
            catalogue.price("us-central1", "e2-standard-4", PriceKind::OnDemand),
            Some(MicroUsdPerHour(134_023))
        );
        assert_eq!(
            catalogue.price("us-central1", "n2-standard-8", PriceKind::OnDemand),
            Some(MicroUsdPerHour(388_472))
        );
        // Sustained use turns the ranking of n1 and e2 around.
        let sud = |machine| catalogue.price("us-central1", machine, PriceKind::Sud).unwrap();
        assert!(sud("n1-standard-8") < sud("e2-standard-8"));
        let machine = catalogue.machine("e2-medium").unwrap();
        assert_eq!((machine.cpu, machine.memory, machine.shared_core), (MilliCpu(2000), Bytes(4 << 30), true));
        assert_eq!(catalogue.machine("a2-highgpu-1g").unwrap().gpus, 1);
    }

    #[test]
    fn the_book_is_sorted_as_its_search_needs_it() {
        let book = Catalogue::built_in().unwrap().book(PriceKind::OnDemand).unwrap();
        assert!(book.entries.is_sorted());
        let find = |capacity| book.price("europe-west4", "c4a-standard-4", capacity);
        assert!(find(CapacityType::Spot).unwrap() < find(CapacityType::OnDemand).unwrap());
    }

    #[test]
    fn the_compact_form_reads_back_and_damage_is_named() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(Catalogue::from_compact(&catalogue.to_compact("head")).unwrap(), catalogue);
        assert_eq!(
            Catalogue::from_compact("as-of 1\nregions a\nm-1 m 1 2 amd64 -\n 1 1 1 1 1 1\n"),
            Err(BuiltInError { line: 4 })
        );
        assert_eq!(Catalogue::from_compact("m-1 m 1 2 riscv -\n"), Err(BuiltInError { line: 1 }));
    }
}
