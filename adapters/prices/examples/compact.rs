//! Writes `src/data/gce.txt` from a price table:
//! `cargo run -p adapter-prices --example compact -- TABLE.csv MILLISECONDS-SINCE-1970 "SOURCE" > adapters/prices/src/data/gce.txt`

use std::io::Write as _;

use adapter_prices::Catalogue;
use journal_schema::units::Timestamp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, as_of, source] = arguments.as_slice() else {
        return Err("expected: TABLE.csv MILLISECONDS-SINCE-1970 SOURCE".into());
    };
    let catalogue = Catalogue::read_csv(file, Timestamp(as_of.parse()?), &std::fs::read(file)?)?;
    std::io::stdout().write_all(catalogue.to_compact(source).as_bytes())?;
    Ok(())
}
