//! Prices from a CSV file.
//!
//! The first line names the columns, in any order; columns that are not known are passed over.
//! Needed: `region, machine_type, vcpu, memory_gib, on_demand_usd_hour`. Read when present: `family,
//! spot_usd_hour, shared_core, arch, gpu_type, gpu_count, local_ssd, month_sud_usd, month_cud1y_usd,
//! month_cud3y_usd`. A row that cannot be believed fails the file, with its line and column: a
//! wrong price is worse than none.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use journal_schema::text::Name;
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Timestamp};

use crate::catalogue::{Arch, Catalogue, Machine, Prices};
use crate::decimal::{NotDecimal, millionths};

/// Why a price file is refused. Lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not a CSV file.
    #[error("line {line}: not readable as comma-separated values: {what}")]
    Malformed {
        /// Line.
        line: u64,
        /// What the reader met.
        what: String,
    },
    /// A needed column is absent.
    #[error(
        "line 1: column {column} is missing: needed are region, machine_type, vcpu, memory_gib and on_demand_usd_hour, separated by commas"
    )]
    MissingColumn {
        /// Its name.
        column: &'static str,
    },
    /// A column is there twice.
    #[error("line 1, column {number}: {column} is there a second time")]
    ColumnTwice {
        /// Its place.
        number: usize,
        /// Its name.
        column: &'static str,
    },
    /// A value is not acceptable.
    #[error("line {line}, column {number} ({column}): {value:?} is {problem}: expected {expected}")]
    Value {
        /// Line.
        line: u64,
        /// The column's place.
        number: usize,
        /// The column's name.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A region and machine type stand there twice.
    #[error("line {line}: {machine_type} in {region} stands in line {first} already: remove one of the two")]
    Duplicate {
        /// Line of the second.
        line: u64,
        /// Line of the first.
        first: u64,
        /// Region.
        region: Name,
        /// Machine type.
        machine_type: Name,
    },
    /// A machine type is described in two ways.
    #[error(
        "line {line}: {machine_type} is another machine here than in line {first}: vCPUs, memory, architecture and accelerators must be the same in every region"
    )]
    OtherMachine {
        /// Line of the second.
        line: u64,
        /// Line of the first.
        first: u64,
        /// Machine type.
        machine_type: Name,
    },
    /// There is no row.
    #[error("the file has no prices: expected at least one row below the header")]
    Empty,
}

/// The columns, in the order of their names' use below.
const COLUMNS: [&str; 15] = [
    "region",
    "machine_type",
    "family",
    "vcpu",
    "memory_gib",
    "on_demand_usd_hour",
    "spot_usd_hour",
    "shared_core",
    "arch",
    "gpu_type",
    "gpu_count",
    "local_ssd",
    "month_sud_usd",
    "month_cud1y_usd",
    "month_cud3y_usd",
];
const NEEDED: [&str; 5] = ["region", "machine_type", "vcpu", "memory_gib", "on_demand_usd_hour"];

/// $10,000 per hour; a month of it; 1,000 vCPUs; 64 TiB.
const MOST_HOUR: i64 = 10_000_000_000;
const MOST_MONTH: i64 = MOST_HOUR * HOURS_PER_MONTH;
const MOST_CPU: i64 = 1_000_000_000;
const MOST_GIB: i64 = 65_536_000_000;

/// Google's month of billing.
const HOURS_PER_MONTH: i64 = 730;

const PRICE: &str = "US dollars as a decimal number from 0 to 10000, for example 0.134023";
const MONTH: &str = "US dollars per month as a decimal number from 0 to 7300000, or nothing";

struct Row<'a> {
    record: &'a csv::StringRecord,
    places: &'a BTreeMap<&'static str, usize>,
    line: u64,
}

impl Row<'_> {
    fn text(&self, column: &'static str) -> &str {
        self.places.get(column).and_then(|place| self.record.get(*place)).unwrap_or("").trim()
    }

    fn wrong(&self, column: &'static str, problem: &'static str, expected: &'static str) -> TableError {
        let number = self.places.get(column).map_or(0, |place| place + 1);
        let value = self.text(column).chars().take(60).collect();
        TableError::Value { line: self.line, number, column, value, problem, expected }
    }

    fn name(&self, column: &'static str, expected: &'static str) -> Result<Name, TableError> {
        let text = self.text(column);
        if text.is_empty() {
            return Err(self.wrong(column, "empty", expected));
        }
        let plain = text.len() <= 63
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if plain { Ok(Name::truncated(text)) } else { Err(self.wrong(column, "not a name", expected)) }
    }

    fn number(&self, column: &'static str, most: i64, expected: &'static str) -> Result<i64, TableError> {
        millionths(self.text(column), most).map_err(|problem| {
            let problem = match problem {
                NotDecimal::Empty => "empty",
                NotDecimal::Negative => "negative",
                NotDecimal::Malformed => "not a number",
                NotDecimal::TooLarge => "too large",
            };
            self.wrong(column, problem, expected)
        })
    }

    fn positive(&self, column: &'static str, most: i64, expected: &'static str) -> Result<i64, TableError> {
        let value = self.number(column, most, expected)?;
        if value > 0 { Ok(value) } else { Err(self.wrong(column, "zero", expected)) }
    }

    fn optional(&self, column: &'static str, most: i64, expected: &'static str) -> Result<Option<i64>, TableError> {
        if self.text(column).is_empty() { Ok(None) } else { self.number(column, most, expected).map(Some) }
    }

    fn flag(&self, column: &'static str) -> Result<bool, TableError> {
        match self.text(column) {
            "" | "0" | "false" => Ok(false),
            "1" | "true" => Ok(true),
            _ => Err(self.wrong(column, "not a flag", "0 or 1")),
        }
    }

    /// A monthly amount as the hourly price that it comes to, rounded half up.
    fn hourly(&self, column: &'static str) -> Result<Option<MicroUsdPerHour>, TableError> {
        let month = self.optional(column, MOST_MONTH, MONTH)?;
        Ok(month.map(|month| MicroUsdPerHour((month + HOURS_PER_MONTH / 2) / HOURS_PER_MONTH)))
    }

    fn machine(&self) -> Result<Machine, TableError> {
        let arch = match self.text("arch") {
            "" | "amd64" | "x86_64" => Arch::Amd64,
            "arm64" | "aarch64" => Arch::Arm64,
            _ => return Err(self.wrong("arch", "not an architecture", "amd64 or arm64")),
        };
        let family = match self.text("family") {
            "" => self.text("machine_type").split('-').next().unwrap_or(""),
            family => family,
        };
        let gpus = self.optional("gpu_count", 64_000_000, "a number of accelerators from 0 to 64")?.unwrap_or(0);
        if gpus % 1_000_000 != 0 {
            return Err(self.wrong("gpu_count", "not a whole number", "a number of accelerators from 0 to 64"));
        }
        let gibibytes = self.positive("memory_gib", MOST_GIB, "GiB as a decimal number above 0, at most 65536")?;
        Ok(Machine {
            family: Name::truncated(family),
            cpu: MilliCpu(self.positive("vcpu", MOST_CPU, "vCPUs as a decimal number above 0, at most 1000")? / 1000),
            memory: Bytes(i64::try_from((i128::from(gibibytes) << 30) / 1_000_000).unwrap_or(i64::MAX)),
            arch,
            shared_core: self.flag("shared_core")?,
            gpu: Name::truncated(self.text("gpu_type")),
            gpus: u32::try_from(gpus / 1_000_000).unwrap_or(0),
            local_ssd: self.flag("local_ssd")?,
        })
    }

    fn prices(&self) -> Result<Prices, TableError> {
        Ok(Prices {
            on_demand: MicroUsdPerHour(self.number("on_demand_usd_hour", MOST_HOUR, PRICE)?),
            spot: self.optional("spot_usd_hour", MOST_HOUR, PRICE)?.map(MicroUsdPerHour),
            sud: self.hourly("month_sud_usd")?,
            cud1: self.hourly("month_cud1y_usd")?,
            cud3: self.hourly("month_cud3y_usd")?,
        })
    }
}

fn malformed(error: &csv::Error) -> TableError {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} values where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("value {} is not UTF-8", err.field() + 1),
        _ => error.to_string(),
    };
    TableError::Malformed { line, what }
}

fn places(header: &csv::StringRecord) -> Result<BTreeMap<&'static str, usize>, TableError> {
    let mut places = BTreeMap::new();
    for (place, title) in header.iter().enumerate() {
        let title = title.trim().trim_start_matches('\u{feff}');
        if let Some(column) = COLUMNS.iter().find(|column| **column == title)
            && places.insert(*column, place).is_some()
        {
            return Err(TableError::ColumnTwice { number: place + 1, column });
        }
    }
    match NEEDED.iter().find(|column| !places.contains_key(*column)) {
        Some(column) => Err(TableError::MissingColumn { column }),
        None => Ok(places),
    }
}

impl Catalogue {
    /// Reads a price file: `source` is its name, `as_of` the day its prices are of.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn read_csv(source: &str, as_of: Timestamp, content: &[u8]) -> Result<Self, TableError> {
        let mut reader = csv::ReaderBuilder::new().from_reader(content);
        let places = places(&reader.headers().map_err(|error| malformed(&error))?.clone())?;
        let mut catalogue = Self { source: Name::truncated(source), as_of, ..Self::default() };
        let mut lines: BTreeMap<(Name, Name), u64> = BTreeMap::new();
        let mut described: BTreeMap<Name, u64> = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| malformed(&error))?;
            let row = Row { record: &record, places: &places, line: record.position().map_or(0, csv::Position::line) };
            let region = row.name("region", "a region, for example us-central1")?;
            let machine_type = row.name("machine_type", "a machine type, for example e2-standard-4")?;
            let (machine, prices) = (row.machine()?, row.prices()?);
            match described.entry(machine_type.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(row.line);
                    catalogue.machines.insert(machine_type.clone(), machine);
                }
                Entry::Occupied(first) if catalogue.machines.get(&machine_type) != Some(&machine) => {
                    return Err(TableError::OtherMachine { line: row.line, first: *first.get(), machine_type });
                }
                Entry::Occupied(_) => {}
            }
            let key = (region, machine_type);
            if let Some(first) = lines.insert(key.clone(), row.line) {
                return Err(TableError::Duplicate { line: row.line, first, region: key.0, machine_type: key.1 });
            }
            catalogue.prices.insert(key, prices);
        }
        if catalogue.prices.is_empty() { Err(TableError::Empty) } else { Ok(catalogue) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::PriceKind;

    const HEADER: &str =
        "region,machine_type,vcpu,memory_gib,on_demand_usd_hour,spot_usd_hour,shared_core,month_sud_usd";

    fn read(rows: &str) -> Result<Catalogue, TableError> {
        Catalogue::read_csv("prices.csv", Timestamp(0), format!("{HEADER}\n{rows}").as_bytes())
    }

    fn error(rows: &str) -> String {
        read(rows).unwrap_err().to_string()
    }

    #[test]
    fn a_row_is_read_whatever_the_order_of_columns() {
        let text = "\u{feff}spot_usd_hour,note, machine_type ,memory_gib,region,vcpu,on_demand_usd_hour,arch\r\n0.06,x,c4a-standard-1,3.75,r1,1,0.1,arm64\r\n";
        let catalogue = Catalogue::read_csv("p", Timestamp(5), text.as_bytes()).unwrap();
        let machine = catalogue.machine("c4a-standard-1").unwrap();
        assert_eq!(
            (machine.cpu, machine.memory, machine.arch, machine.family.as_str()),
            (MilliCpu(1000), Bytes(15 << 28), Arch::Arm64, "c4a")
        );
        assert_eq!(catalogue.price("r1", "c4a-standard-1", PriceKind::Spot), Some(MicroUsdPerHour(60_000)));
        assert_eq!(catalogue.price("r1", "c4a-standard-1", PriceKind::Cud3), None);
    }

    #[test]
    fn a_month_is_730_hours() {
        let catalogue = read("r,m-1,8,32,0.388472,,0,226.9244").unwrap();
        assert_eq!(catalogue.price("r", "m-1", PriceKind::Sud), Some(MicroUsdPerHour(310_855)));
        let book = catalogue.book(PriceKind::Sud).unwrap();
        assert_eq!(book.entries.len(), 1, "no spot price, no spot entry");
        assert_eq!(book.entries[0].price, MicroUsdPerHour(310_855));
        assert_eq!(catalogue.book(PriceKind::Cud1).unwrap().entries[0].price, MicroUsdPerHour(388_472));
    }

    #[test]
    fn a_bad_value_is_named_with_its_place() {
        let good = "r,m-1,8,32,0.3,0.1,0,200\n";
        let cases = [
            ("r,m-2,8,32,NaN,0.1,0,200", "column 5 (on_demand_usd_hour): \"NaN\" is not a number: expected US dollars"),
            ("r,m-2,8,32,-0.3,0.1,0,200", "column 5 (on_demand_usd_hour): \"-0.3\" is negative"),
            ("r,m-2,8,32,,0.1,0,200", "column 5 (on_demand_usd_hour): \"\" is empty"),
            ("r,m-2,8,32,10001,0.1,0,200", "column 5 (on_demand_usd_hour): \"10001\" is too large"),
            ("r,m-2,8,32,0.3,1e-1,0,200", "column 6 (spot_usd_hour): \"1e-1\" is not a number"),
            ("r,m-2,0,32,0.3,0.1,0,200", "column 3 (vcpu): \"0\" is zero"),
            ("r,m-2,8,inf,0.3,0.1,0,200", "column 4 (memory_gib): \"inf\" is not a number"),
            ("r,m-2,8,32,0.3,0.1,maybe,200", "column 7 (shared_core): \"maybe\" is not a flag: expected 0 or 1"),
            (",m-2,8,32,0.3,0.1,0,200", "column 1 (region): \"\" is empty: expected a region"),
            ("r,M 2,8,32,0.3,0.1,0,200", "column 2 (machine_type): \"M 2\" is not a name"),
            ("r,m-2,8,32,0.3,0.1,0,-1", "column 8 (month_sud_usd): \"-1\" is negative"),
        ];
        for (row, message) in cases {
            let text = error(&format!("{good}{row}\n"));
            assert!(text.starts_with(&format!("line 3, {message}")), "{row}: {text}");
        }
    }

    #[test]
    fn a_table_that_cannot_be_right_is_refused() {
        let row = "r,m-1,8,32,0.3,0.1,0,200\n";
        assert_eq!(error(&format!("{row}{row}")), "line 3: m-1 in r stands in line 2 already: remove one of the two");
        assert!(
            error(&format!("{row}q,m-1,4,32,0.3,0.1,0,200\n"))
                .starts_with("line 3: m-1 is another machine here than in line 2")
        );
        assert_eq!(
            error("r,m-1,8\n"),
            "line 2: not readable as comma-separated values: 3 values where the header has 8"
        );
        assert_eq!(error(""), "the file has no prices: expected at least one row below the header");
        let header = |text: &str| Catalogue::read_csv("p", Timestamp(0), text.as_bytes()).unwrap_err().to_string();
        assert!(header("region;machine_type\n").starts_with("line 1: column region is missing"));
        assert_eq!(header("region,vcpu,region\n"), "line 1, column 3: region is there a second time");
        assert!(header("").starts_with("line 1: column region is missing"));
        assert!(Catalogue::read_csv("p", Timestamp(0), b"\xff\xfe\x00").is_err());
    }
}
