//! The billing API's list of articles: the parts of machines, among articles that are none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::scenario::{FamilyRates, Shown};

/// Articles on a page, whatever a client asks for: so few that lists have several.
const PAGE: usize = 3;

fn article(description: &str, group: &str, usage: &str, regions: &BTreeSet<&str>, unit: &str, nanos: i64) -> Value {
    json!({
        "name": format!("services/6F81-5844-456A/skus/{description}"),
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine", "resourceFamily": "Compute", "resourceGroup": group, "usageType": usage,
        },
        "serviceRegions": regions,
        "pricingInfo": [{
            "summary": "",
            "pricingExpression": {
                "usageUnit": unit,
                "displayQuantity": 1,
                "tieredRates": [{
                    "startUsageAmount": 0,
                    "unitPrice": {
                        "currencyCode": "USD",
                        "units": (nanos / 1_000_000_000).to_string(),
                        "nanos": nanos % 1_000_000_000,
                    },
                }],
            },
            "currencyConversionRate": 1,
            "effectiveTime": "2026-11-01T00:00:00Z",
        }],
        "serviceProviderName": "Google",
    })
}

/// One page of the list, in the regions of the pools.
pub(crate) fn page<'a>(rates: &[FamilyRates], shown: impl Iterator<Item = &'a Shown>, token: &str) -> Value {
    let regions: BTreeSet<&str> =
        shown.filter_map(|shown| shown.from.zone.rsplit_once('-').map(|(region, _)| region)).collect();
    let articles: Vec<Value> = rates
        .iter()
        .flat_map(|family| {
            let FamilyRates { description, core_nanos, gib_nanos, .. } = family;
            let (core, ram) = ("Core running in Iowa", "Ram running in Iowa");
            let custom = description.replace("Instance", "Custom Instance");
            [
                article(&format!("{description} {core}"), "CPU", "OnDemand", &regions, "h", *core_nanos),
                article(&format!("{custom} {core}"), "CPU", "OnDemand", &regions, "h", core_nanos * 21 / 20),
                article(
                    &format!("Commitment v1: {description} for 1 Year"),
                    "CPU",
                    "Commit1Yr",
                    &regions,
                    "h",
                    core_nanos / 2,
                ),
                article(&format!("{description} {ram}"), "RAM", "OnDemand", &regions, "GiBy.h", *gib_nanos),
                article(&format!("{custom} {ram}"), "RAM", "OnDemand", &regions, "GiBy.h", gib_nanos * 21 / 20),
            ]
        })
        .collect();
    let from = token.strip_prefix("from/").and_then(|from| from.parse::<usize>().ok()).unwrap_or(0);
    let next = from + PAGE;
    let token = if next < articles.len() { format!("from/{next}") } else { String::new() };
    let skus: Vec<&Value> = articles.iter().skip(from).take(PAGE).collect();
    json!({ "skus": skus, "nextPageToken": token })
}
