//! Prices from Cloud Billing's catalogue.
//!
//! The catalogue does not list machines. It lists what a vCPU and a GiB of memory of a family cost for
//! an hour, by region and by how they are paid for; a machine costs the sum of its parts. Which article
//! is which part is told by its description, so only descriptions that are known word for word count:
//! custom machines, sole tenancy, reservations and commitments have others.
//!
//! What is in doubt changes nothing: an article in another currency or unit, two articles of one part
//! that disagree, and a price far from the one that is known.
//!
//! Source of the form: Cloud Billing API, `services.skus.list`. Source of the descriptions: the mapping
//! of Cyclenerd/google-cloud-pricing-cost-calculator (Apache-2.0), which the built-in book was made with.

use std::collections::BTreeMap;

use journal_schema::cloud::CapacityType;
use journal_schema::text::Name;
use journal_schema::units::{MicroUsdPerHour, Timestamp};
use serde::Deserialize;

use crate::catalogue::{Catalogue, Machine, Prices};

/// The service whose articles these are: Compute Engine.
pub const COMPUTE_ENGINE: &str = "6F81-5844-456A";

/// A price that is this many times another is not believed.
const BELIEVED: i64 = 3;

/// One page of `services.skus.list`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Page {
    /// Articles.
    pub skus: Vec<Sku>,
    /// Where the next page begins; empty on the last.
    pub next_page_token: String,
}

/// One article, as far as it matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sku {
    description: String,
    category: Category,
    service_regions: Vec<String>,
    pricing_info: Vec<PricingInfo>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Category {
    resource_family: String,
    resource_group: String,
    usage_type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PricingInfo {
    pricing_expression: PricingExpression,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PricingExpression {
    usage_unit: String,
    tiered_rates: Vec<TieredRate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TieredRate {
    unit_price: Money,
}

/// `google.type.Money`: whole units as a text, and billionths.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Money {
    currency_code: String,
    units: String,
    nanos: i64,
}

/// What of a machine is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Core,
    Memory,
}

/// How the articles of a family are described. Families with GPUs or local disks have parts beyond
/// these two, and are left as they are.
const FAMILIES: [(&str, &str); 14] = [
    ("c2", "Compute optimized"),
    ("c2d", "C2D AMD Instance"),
    ("c3", "C3 Instance"),
    ("c3d", "C3D Instance"),
    ("c4", "C4 Instance"),
    ("c4a", "C4A Arm Instance"),
    ("e2", "E2 Instance"),
    ("m1", "Memory-optimized Instance"),
    ("n1", "N1 Predefined Instance"),
    ("n2", "N2 Instance"),
    ("n2d", "N2D AMD Instance"),
    ("n4", "N4 Instance"),
    ("t2a", "T2A Arm Instance"),
    ("t2d", "T2D AMD Instance"),
];

/// Of an hour of a vCPU or of a GiB, in billionths of a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Known(i64),
    Disputed,
}

/// What the parts of machines cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<(String, &'static str, CapacityType, Part), Rate>);

/// A catalogue with new prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The prices.
    pub catalogue: Catalogue,
    /// How many of them were made of the rates.
    pub priced: usize,
    /// Prices that were not believed, as `machine type in region: new against known`.
    pub doubted: Vec<String>,
}

impl Rates {
    /// Takes an article in, if it is a part of a machine that is known.
    pub fn add(&mut self, sku: &Sku) {
        let Some((family, capacity_type, part)) = part_of(sku) else { return };
        let Some(nanos) = nanos(sku, part) else { return };
        for region in &sku.service_regions {
            self.0
                .entry((region.clone(), family, capacity_type, part))
                .and_modify(|rate| {
                    if *rate != Rate::Known(nanos) {
                        *rate = Rate::Disputed;
                    }
                })
                .or_insert(Rate::Known(nanos));
        }
    }

    /// Whether no rate is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, region: &str, family: &'static str, capacity_type: CapacityType, part: Part) -> Option<i64> {
        match self.0.get(&(region.to_owned(), family, capacity_type, part))? {
            Rate::Known(nanos) => Some(*nanos),
            Rate::Disputed => None,
        }
    }

    /// What a machine costs, rounded to the nearest millionth.
    fn price(&self, region: &str, machine: &Machine, cpu: i64, capacity_type: CapacityType) -> Option<MicroUsdPerHour> {
        let (family, _) = FAMILIES.iter().find(|(family, _)| *family == machine.family.as_str())?;
        let core = self.of(region, family, capacity_type, Part::Core)?;
        let memory = self.of(region, family, capacity_type, Part::Memory)?;
        let nanos =
            ((i128::from(core) * i128::from(cpu)) << 30) + i128::from(memory) * i128::from(machine.memory.0) * 1000;
        let unit = 1000_i128 * (1000 << 30);
        i64::try_from((nanos + unit / 2) / unit).ok().map(MicroUsdPerHour)
    }

    /// The catalogue with the prices that these rates make, in its own regions and in those that
    /// `wanted` names. Prices of commitments stay, and so do the prices of machines whose parts are not all known.
    pub fn refresh(&self, base: &Catalogue, wanted: &[Name], as_of: Timestamp) -> Refreshed {
        let mut catalogue = base.clone();
        catalogue.source = Name::truncated(format!("Cloud Billing over {}", base.source));
        catalogue.as_of = as_of;
        let (mut priced, mut doubted) = (0, Vec::new());
        let mut regions: Vec<Name> = base.regions().into_iter().chain(wanted).cloned().collect();
        regions.sort();
        regions.dedup();
        for (machine_type, machine) in &base.machines {
            let Some(cpu) = billed_cpu(machine_type, machine) else { continue };
            // What it costs somewhere tells what it may cost elsewhere.
            let elsewhere =
                || base.prices.iter().find(|((_, other), _)| other == machine_type).map(|(_, prices)| *prices);
            for region in &regions {
                let key = (region.clone(), machine_type.clone());
                let own = base.prices.get(&key).copied();
                let Some(known) = own.or_else(elsewhere) else { continue };
                let Some(on_demand) = self.price(region, machine, cpu, CapacityType::OnDemand) else { continue };
                if !alike(on_demand, known.on_demand) {
                    doubted.push(format!("{machine_type} in {region}: {on_demand} against {}", known.on_demand));
                    continue;
                }
                let spot = self.price(region, machine, cpu, CapacityType::Spot).filter(|spot| *spot < on_demand);
                let kept = own.unwrap_or(Prices { spot: None, cud1: None, cud3: None, ..known });
                let prices = Prices {
                    on_demand,
                    spot: spot.filter(|spot| spot.0 > 0).or(kept.spot),
                    sud: known.sud.map(|sud| scaled(sud, on_demand, known.on_demand)),
                    ..kept
                };
                catalogue.prices.insert(key, prices);
                priced += 1;
            }
        }
        Refreshed { catalogue, priced, doubted }
    }
}

/// The vCPUs, in thousandths, that a machine is billed for; `None` where it is not billed by its parts.
fn billed_cpu(machine_type: &str, machine: &Machine) -> Option<i64> {
    // Price lists do not always tell of local disks; the name does.
    if machine.gpus > 0 || machine.local_ssd || machine_type.contains("-lssd") {
        return None;
    }
    match machine_type {
        "e2-micro" => Some(250),
        "e2-small" => Some(500),
        "e2-medium" => Some(1000),
        _ if machine.shared_core => None,
        _ => Some(machine.cpu.0),
    }
}

/// Whether a price may be another's successor.
fn alike(new: MicroUsdPerHour, known: MicroUsdPerHour) -> bool {
    new.0 > 0 && new.0 <= known.0.saturating_mul(BELIEVED) && known.0 <= new.0.saturating_mul(BELIEVED)
}

/// `price` × `new` / `old`, to the nearest.
fn scaled(price: MicroUsdPerHour, new: MicroUsdPerHour, old: MicroUsdPerHour) -> MicroUsdPerHour {
    let old = i128::from(old.0.max(1));
    let scaled = (i128::from(price.0) * i128::from(new.0) + old / 2) / old;
    MicroUsdPerHour(i64::try_from(scaled).unwrap_or(price.0))
}

/// Which part of which machines an article is.
fn part_of(sku: &Sku) -> Option<(&'static str, CapacityType, Part)> {
    let Category { resource_family, resource_group, usage_type } = &sku.category;
    if resource_family != "Compute" {
        return None;
    }
    let (capacity_type, description) = match usage_type.as_str() {
        "OnDemand" => (CapacityType::OnDemand, sku.description.as_str()),
        "Preemptible" => (CapacityType::Spot, sku.description.strip_prefix("Spot Preemptible ")?),
        _ => return None,
    };
    let (family, rest) = FAMILIES
        .iter()
        .find_map(|(family, prefix)| Some((*family, description.strip_prefix(prefix)?.strip_prefix(' ')?)))?;
    let part = match rest.split(' ').next()? {
        "Core" => Part::Core,
        "Ram" => Part::Memory,
        _ => return None,
    };
    let group = match part {
        _ if family == "n1" => "N1Standard",
        Part::Core => "CPU",
        Part::Memory => "RAM",
    };
    (resource_group == group).then_some((family, capacity_type, part))
}

/// The article's price in its last tier, which is what further use costs.
fn nanos(sku: &Sku, part: Part) -> Option<i64> {
    let pricing = &sku.pricing_info.last()?.pricing_expression;
    let unit = match part {
        Part::Core => "h",
        Part::Memory => "GiBy.h",
    };
    let price = &pricing.tiered_rates.last()?.unit_price;
    if pricing.usage_unit != unit || price.currency_code != "USD" {
        return None;
    }
    let units: i64 = if price.units.is_empty() { 0 } else { price.units.parse().ok()? };
    let nanos = units.checked_mul(1_000_000_000)?.checked_add(price.nanos)?;
    (units >= 0 && price.nanos >= 0 && nanos > 0).then_some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "us-central1";

    fn sku(description: &str, group: &str, usage: &str, nanos: i64) -> Sku {
        let unit = if description.contains("Ram") { "GiBy.h" } else { "h" };
        serde_json::from_value(serde_json::json!({
            "description": description, "skuId": "0000-0000-0000", "serviceRegions": [REGION],
            "category": { "resourceFamily": "Compute", "resourceGroup": group, "usageType": usage },
            "pricingInfo": [{ "effectiveTime": "2026-11-01T00:00:00Z", "pricingExpression": { "usageUnit": unit,
                "tieredRates": [{ "startUsageAmount": 0, "unitPrice": { "currencyCode": "USD", "units": "0", "nanos": nanos } }] } }],
        }))
        .unwrap()
    }

    fn rates(skus: &[Sku]) -> Rates {
        let mut rates = Rates::default();
        skus.iter().for_each(|sku| rates.add(sku));
        rates
    }

    fn refreshed(skus: &[Sku]) -> Refreshed {
        rates(skus).refresh(&Catalogue::built_in().unwrap(), &[], Timestamp(7))
    }

    fn price(catalogue: &Catalogue, machine_type: &str) -> Prices {
        catalogue.prices[&(Name::truncated(REGION), Name::truncated(machine_type))]
    }

    fn e2(core: i64, ram: i64) -> [Sku; 2] {
        [
            sku("E2 Instance Core running in Americas", "CPU", "OnDemand", core),
            sku("E2 Instance Ram running in Americas", "RAM", "OnDemand", ram),
        ]
    }

    #[test]
    fn a_machine_costs_the_sum_of_its_parts() {
        let refreshed = refreshed(&e2(22_000_000, 3_000_000));
        assert_eq!(price(&refreshed.catalogue, "e2-standard-4").on_demand, MicroUsdPerHour(4 * 22_000 + 16 * 3_000));
        assert_eq!(price(&refreshed.catalogue, "e2-small").on_demand, MicroUsdPerHour(11_000 + 2 * 3_000));
        assert_eq!(refreshed.catalogue.as_of, Timestamp(7));
        assert_eq!(refreshed.doubted, Vec::<String>::new());
        // What no article speaks of stays.
        let built_in = Catalogue::built_in().unwrap();
        assert_eq!(price(&refreshed.catalogue, "n2-standard-4"), price(&built_in, "n2-standard-4"));
        assert_eq!(price(&refreshed.catalogue, "e2-standard-4").cud1, price(&built_in, "e2-standard-4").cud1);
    }

    #[test]
    fn the_built_in_book_is_a_sum_of_parts() {
        // Rates out of two machines of a family make the price of every other, on demand and spot.
        let built_in = Catalogue::built_in().unwrap();
        type Price = fn(&Prices) -> Option<MicroUsdPerHour>;
        let list: Price = |prices| Some(prices.on_demand);
        let kinds = [("", "OnDemand", list), ("Spot Preemptible ", "Preemptible", |prices| prices.spot)];
        let (mut skus, mut families) = (Vec::new(), 0);
        for (family, description) in FAMILIES {
            let of_family: Vec<(&Name, &Machine, &Prices)> = built_in
                .region(REGION)
                .filter(|(name, machine, _)| {
                    machine.family.as_str() == family && billed_cpu(name, machine) == Some(machine.cpu.0)
                })
                .collect();
            for (start, usage, of) in kinds {
                let share =
                    |machine: &Machine| (machine.cpu.0 as f64 / 1000.0, machine.memory.0 as f64 / f64::from(1 << 30));
                let Some(&(_, first, one)) = of_family.iter().max_by_key(|(_, machine, _)| machine.cpu) else {
                    continue;
                };
                let apart = |machine: &Machine| {
                    let ((c1, m1), (c2, m2)) = (share(first), share(machine));
                    (c1 * m2 - c2 * m1).abs()
                };
                let Some(&(_, second, other)) = of_family.iter().max_by(|a, b| apart(a.1).total_cmp(&apart(b.1)))
                else {
                    continue;
                };
                let ((c1, m1), (c2, m2)) = (share(first), share(second));
                let determinant = c1 * m2 - c2 * m1;
                let (Some(p1), Some(p2)) = (of(one), of(other)) else { continue };
                if determinant.abs() < 1.0 {
                    continue;
                }
                let (p1, p2) = (p1.0 as f64 * 1000.0, p2.0 as f64 * 1000.0);
                let group = |part: &'static str| if family == "n1" { "N1Standard" } else { part };
                let core = ((p1 * m2 - p2 * m1) / determinant).round() as i64;
                let ram = ((c1 * p2 - c2 * p1) / determinant).round() as i64;
                skus.push(sku(&format!("{start}{description} Core running in Iowa"), group("CPU"), usage, core));
                skus.push(sku(&format!("{start}{description} Ram running in Iowa"), group("RAM"), usage, ram));
                families += 1;
            }
        }
        assert!(families >= 16, "{families}");
        let refreshed = refreshed(&skus);
        assert_eq!(refreshed.doubted, Vec::<String>::new());
        assert!(refreshed.priced > 150, "{}", refreshed.priced);
        let mut worst = (0, String::new());
        for (name, _, prices) in refreshed.catalogue.region(REGION) {
            let known = price(&built_in, name);
            for (new, old) in [(Some(prices.on_demand), Some(known.on_demand)), (prices.spot, known.spot)] {
                let (Some(new), Some(old)) = (new, old) else { continue };
                worst = worst.max(((new.0 - old.0).abs() * 1_000_000 / old.0, name.to_string()));
            }
        }
        // Millionths of the price: rounding of the book's rates, nothing else.
        assert!(worst.0 <= 200, "{worst:?}");
    }

    #[test]
    fn what_is_in_doubt_changes_nothing() {
        let known = price(&Catalogue::built_in().unwrap(), "e2-standard-4").on_demand;
        let after = |skus: &[Sku]| price(&refreshed(skus).catalogue, "e2-standard-4").on_demand;
        let [core, ram] = e2(22_000_000, 3_000_000);
        // One part without the other.
        assert_eq!(after(std::slice::from_ref(&core)), known);
        // Two articles of one part that disagree; two that agree are one.
        let [dearer, _] = e2(23_000_000, 0);
        assert_eq!(after(&[core.clone(), ram.clone(), dearer]), known);
        assert_ne!(after(&[core.clone(), ram.clone(), core.clone()]), known);
        // Another unit or currency, nothing to pay, and machines that are not these.
        let altered = |change: fn(&mut Sku)| {
            let mut core = core.clone();
            change(&mut core);
            after(&[core, ram.clone()])
        };
        assert_eq!(altered(|sku| sku.pricing_info[0].pricing_expression.usage_unit = "mo".to_owned()), known);
        assert_eq!(
            altered(|sku| sku.pricing_info[0].pricing_expression.tiered_rates[0].unit_price.currency_code =
                "EUR".to_owned()),
            known
        );
        assert_eq!(altered(|sku| sku.pricing_info[0].pricing_expression.tiered_rates[0].unit_price.nanos = 0), known);
        assert_eq!(altered(|sku| sku.pricing_info.clear()), known);
        assert_eq!(altered(|sku| sku.description = "E2 Custom Instance Core running in Americas".to_owned()), known);
        assert_eq!(
            altered(|sku| sku.description = "E2 Sole Tenancy Instance Core running in Americas".to_owned()),
            known
        );
        assert_eq!(altered(|sku| sku.category.usage_type = "Commit1Yr".to_owned()), known);
        assert_eq!(altered(|sku| sku.category.resource_group = "RAM".to_owned()), known);
    }

    #[test]
    fn a_price_far_from_the_known_one_is_not_believed_and_named() {
        let refreshed = refreshed(&e2(220_000_000, 30_000_000));
        assert_eq!(refreshed.priced, 0);
        assert!(
            refreshed.doubted.iter().any(|text| text.starts_with("e2-standard-4 in us-central1: ")),
            "{:?}",
            refreshed.doubted
        );
    }

    #[test]
    fn a_region_that_the_book_lacks_is_added_when_it_is_wanted() {
        let [mut core, mut ram] = e2(22_000_000, 3_000_000);
        core.service_regions = vec!["africa-south1".to_owned()];
        ram.service_regions.clone_from(&core.service_regions);
        let base = Catalogue::built_in().unwrap();
        let region = Name::truncated("africa-south1");
        let key = (region.clone(), Name::truncated("e2-standard-4"));
        let with = rates(&[core, ram]).refresh(&base, &[region], Timestamp(7)).catalogue;
        assert_eq!(with.prices[&key].on_demand, MicroUsdPerHour(4 * 22_000 + 16 * 3_000));
        assert_eq!(with.prices[&key].cud1, None);
    }

    #[test]
    fn a_page_is_read_as_the_api_writes_it() {
        let page: Page = serde_json::from_str(r#"{"skus":[{"name":"services/6F81-5844-456A/skus/02EE-77CE-ACCD","description":"Network Vpn Internet Egress from Americas to Africa",
            "category":{"serviceDisplayName":"Compute Engine","resourceFamily":"Network","resourceGroup":"VPNInternetEgress","usageType":"OnDemand"},
            "serviceRegions":["us-central1"],"pricingInfo":[{"summary":"","pricingExpression":{"usageUnit":"GiBy","displayQuantity":1,
            "tieredRates":[{"startUsageAmount":0,"unitPrice":{"currencyCode":"USD","units":"0","nanos":120000000}}]},"currencyConversionRate":1}],
            "serviceProviderName":"Google"}],"nextPageToken":"next"}"#).unwrap();
        assert_eq!(page.next_page_token, "next");
        assert!(rates(&page.skus).is_empty());
    }
}
