//! Price files and lists that nobody should write: refused, or prices that can be.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::LazyLock;

use adapter_prices::billing::{Page, Rates};
use adapter_prices::{Catalogue, PriceKind};
use journal_schema::units::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const HEADER: &str = "region,machine_type,family,vcpu,memory_gib,on_demand_usd_hour,spot_usd_hour,shared_core,arch,gpu_type,gpu_count,local_ssd,month_sud_usd,month_cud1y_usd,month_cud3y_usd";
/// $10,000.
const MOST: i64 = 10_000_000_000;

/// Whatever was read can be counted with.
fn read(content: &[u8]) {
    let Ok(catalogue) = Catalogue::read_csv("hostile", Timestamp(1), content) else { return };
    assert!(!catalogue.prices.is_empty());
    for ((region, machine_type), prices) in &catalogue.prices {
        let machine = &catalogue.machines[machine_type];
        assert!(machine.cpu.0 > 0 && machine.memory.0 > 0, "{machine_type}: {machine:?}");
        for kind in [PriceKind::OnDemand, PriceKind::Spot, PriceKind::Sud, PriceKind::Cud1, PriceKind::Cud3] {
            let price = prices.of(kind).map_or(0, |price| price.0);
            assert!((0..=MOST).contains(&price), "{region} {machine_type} {kind:?}: {price}");
        }
    }
    let _ = (catalogue.book(PriceKind::OnDemand), catalogue.free_of_charge(), catalogue.regions());
}

const WORDS: &[&str] = &[
    "",
    "0",
    "-0",
    "1e9",
    "NaN",
    "inf",
    "0.000000001",
    "99999999999999999999",
    "true",
    "amd64",
    "arm64",
    "\"\"",
    "e2-a",
    "nvidia",
];

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        select(WORDS).prop_map(str::to_owned),
        any::<f64>().prop_map(|v| v.to_string()),
        any::<i64>().prop_map(|v| v.to_string()),
        "[ -~]{0,12}"
    ]
}

fn good(row: usize) -> Vec<String> {
    let line = format!("europe-west3,e2-{row},e2,4,16,0.17,0.05,false,amd64,,0,false,,,");
    line.split(',').map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_cells_are_refused_or_prices(changes in proptest::collection::vec((0_usize..4, 0_usize..16, cell()), 0..6)) {
        let mut rows: Vec<Vec<String>> = (0..4).map(good).collect();
        for (row, column, cell) in changes {
            match rows[row].get_mut(column) {
                Some(old) => *old = cell,
                None => rows[row].push(cell),
            }
        }
        let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
        read(format!("{HEADER}\n{}\n", lines.join("\n")).as_bytes());
    }

    #[test]
    fn any_bytes_are_refused_or_prices(at in any::<prop::sample::Index>(), patch in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut file = format!("{HEADER}\n{}\n", good(1).join(",")).into_bytes();
        let at = at.index(file.len());
        file.splice(at..at, patch.clone());
        read(&file);
        read(&patch);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A list may say anything: a price moves by a believable factor, or stays as it was.
    #[test]
    fn any_list_moves_no_price_beyond_belief(
        parts in proptest::collection::vec((any::<bool>(), "-?[0-9]{0,20}", any::<i64>(), select(&["h", "GiBy.h", "", "mo"][..]), select(&["OnDemand", "Preemptible", "Commit1Yr"][..])), 1..5),
        reasonable in 1_i64..100_000_000,
    ) {
        static BASE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::built_in().unwrap());
        let base = &*BASE;
        let sku = |ram: bool, units: &str, nanos: i64, unit: &str, usage: &str| json!({
            "description": if ram { "E2 Instance Ram running in Americas" } else { "E2 Instance Core running in Americas" },
            "serviceRegions": ["us-central1"],
            "category": {"resourceFamily": "Compute", "resourceGroup": if ram { "RAM" } else { "CPU" }, "usageType": usage},
            "pricingInfo": [{"pricingExpression": {"usageUnit": unit, "tieredRates": [{"unitPrice": {"currencyCode": "USD", "units": units, "nanos": nanos}}]}}],
        });
        let mut skus: Vec<Value> = parts.iter().map(|(ram, units, nanos, unit, usage)| sku(*ram, units, *nanos, unit, usage)).collect();
        // With one part as it should be, so that a sum is made at all.
        skus.push(sku(true, "0", reasonable, "GiBy.h", "OnDemand"));
        skus.push(sku(false, "0", reasonable, "h", "OnDemand"));
        let page: Page = serde_json::from_value(json!({"skus": skus})).unwrap();
        let mut rates = Rates::default();
        page.skus.iter().for_each(|sku| rates.add(sku));
        let refreshed = rates.refresh(base, &[], Timestamp(7)).catalogue;
        prop_assert_eq!(&refreshed.machines, &base.machines);
        for (key, prices) in &refreshed.prices {
            for kind in [PriceKind::OnDemand, PriceKind::Spot] {
                let (Some(before), Some(after)) = (base.prices[key].of(kind), prices.of(kind)) else { continue };
                let believed = after.0 <= 3 * before.0 && before.0 <= 3 * after.0;
                prop_assert!(believed, "{:?} {:?}: {} after {}", key, kind, after.0, before.0);
            }
        }
    }
}

#[test]
fn a_list_of_any_other_form_is_an_error_or_empty() {
    for text in ["{}", r#"{"skus":[]}"#, r#"{"skus":null}"#, "[]", "7", r#"{"skus":[{"serviceRegions":7}]}"#, ""] {
        let page = serde_json::from_str::<Page>(text);
        assert!(page.is_err() || page.unwrap().skus.is_empty(), "{text}");
    }
    assert!(serde_json::from_str::<Page>(&r#"{"skus":["#.repeat(1_000_000)).is_err());
    assert!(serde_json::from_str::<Page>(&format!(r#"{{"more":{}"#, "[".repeat(1_000_000))).is_err());
}

#[test]
fn a_good_file_is_read() {
    let file = format!("{HEADER}\n{}\n{}\n", good(1).join(","), good(2).join(","));
    let catalogue = Catalogue::read_csv("good", Timestamp(1), file.as_bytes()).unwrap();
    assert_eq!(catalogue.prices.len(), 2);
}
