//! What binds: the worth of the pods in each zone, taken apart by the prices of the resources there.
//!
//! Resources have prices at which no host holds more than it costs, for each group of classes that may use the
//! same hosts. A pod is worth what it asks for at those prices; what the bound finds it to be worth beyond them
//! it is because a host takes so few of its class: they keep each other apart, or are so large that the rest of
//! the host stays empty.
//!
//! Shares are of money, not of room: a resource that every node has left over has no price and binds nobody.

use std::collections::BTreeMap;

use journal_schema::binding::{Binding, Bottleneck};
use journal_schema::facts::WorkloadId;
use journal_schema::text::Name;
use journal_schema::units::Ppm;

use crate::bound::Bound;
use crate::eligibility::zone_of;
use crate::model::{DIMS, Model};
use crate::sequence::{Change, Rehearsal};
use crate::worth::scaled;

/// Smaller shares are not told.
const LEAST_SHARE: Ppm = Ppm::percent(5);
/// Most bottlenecks of one place.
const MOST_TOLD: usize = 4;
/// Most zones with bottlenecks of their own.
const MOST_ZONES: usize = 8;
/// What is left of a worth beyond its resources is rounding when it is no more than one in this many.
const ROUNDING: i128 = 1_000;

/// Nano-USD per hour in one place, by what they are for.
#[derive(Clone, Default)]
struct Ledger {
    resources: [i128; DIMS],
    apart: BTreeMap<Option<WorkloadId>, i128>,
    size: BTreeMap<Option<WorkloadId>, i128>,
}

/// What binds in the cluster, and in zones where something else does. Empty when no worth is proven.
pub(crate) fn binding(
    model: &Model<'_>,
    bound: &Bound,
    change: &Change,
    rehearsal: &Rehearsal<'_, '_>,
) -> Vec<Binding> {
    if bound.rents.is_none() {
        return Vec::new();
    }
    let mut zones: BTreeMap<Name, Ledger> = BTreeMap::new();
    let present = model.hosts.iter().map(|host| Name::truncated(zone_of(host.fact)));
    let pool = |machine: &usize| &model.input.pools[model.machines[*machine].offer.pool];
    for (slot, zone) in present.chain(change.machines.iter().map(|machine| pool(machine).zone.clone())).enumerate() {
        let pods = &rehearsal.state.pods[slot];
        if !pods.is_empty() {
            let ledger = zones.entry(zone).or_default();
            pods.iter().for_each(|item| ledger.enter(model, bound, *item));
        }
    }
    let mut whole = Ledger::default();
    for ledger in zones.values() {
        whole.add(ledger);
    }
    let first = whole.bottlenecks(model);
    let mut list: Vec<Binding> = told(None, &first).collect();
    let differs = |ledger: &Ledger| {
        let own = ledger.bottlenecks(model);
        let other = own.first().map(|(by, _)| by.text().code) != first.first().map(|(by, _)| by.text().code);
        (other && !own.is_empty()).then_some(own)
    };
    let several = zones.len() > 1;
    let apart = zones.iter().filter(|_| several).filter_map(|(zone, ledger)| Some((zone, differs(ledger)?)));
    for (zone, bottlenecks) in apart.take(MOST_ZONES) {
        list.extend(told(Some(zone), &bottlenecks));
    }
    list
}

fn told<'l>(zone: Option<&'l Name>, bottlenecks: &'l [(Bottleneck, Ppm)]) -> impl Iterator<Item = Binding> + 'l {
    let large = bottlenecks.iter().filter(|(_, share)| *share >= LEAST_SHARE).take(MOST_TOLD);
    large.map(move |(by, share)| Binding { zone: zone.cloned(), by: by.clone(), share: *share })
}

impl Ledger {
    /// Enters the worth of an item.
    fn enter(&mut self, model: &Model<'_>, bound: &Bound, item: usize) {
        let item = &model.items[item];
        let class = &model.classes[item.class];
        let worth = i128::from(bound.worth[item.class]);
        let prices = &bound.resources[item.class];
        let asked: [f64; DIMS] = std::array::from_fn(|dim| prices[dim] * scaled(dim, class.request[dim]) as f64);
        let sum: f64 = asked.iter().sum();
        // Worths that prove more than the prices may be lower for some.
        let share = if sum > worth as f64 && sum > 0.0 { worth as f64 / sum } else { 1.0 };
        let mut left = worth;
        let parts = asked.map(|asked| {
            let part = ((asked * share) as i128).clamp(0, left);
            left -= part;
            part
        });
        for (total, part) in self.resources.iter_mut().zip(parts) {
            *total += part;
        }
        if left <= worth / ROUNDING {
            let most = (0..DIMS).max_by_key(|dim| (parts[*dim], std::cmp::Reverse(*dim))).unwrap_or(0);
            self.resources[most] += left;
            return;
        }
        let beyond = if model.relations.alone_on_host(class.profile) { &mut self.apart } else { &mut self.size };
        *beyond.entry(item.standing.workload.clone()).or_default() += left;
    }

    fn add(&mut self, other: &Self) {
        for (sum, part) in self.resources.iter_mut().zip(other.resources) {
            *sum += part;
        }
        for (sums, parts) in [(&mut self.apart, &other.apart), (&mut self.size, &other.size)] {
            for (workload, part) in parts {
                *sums.entry(workload.clone()).or_default() += part;
            }
        }
    }

    /// Everything that something is worth for, the largest share first.
    fn bottlenecks(&self, model: &Model<'_>) -> Vec<(Bottleneck, Ppm)> {
        let resources = self.resources.iter().enumerate().map(|(dim, sum)| (model.extra.bottleneck(dim), *sum));
        let mut list: Vec<(Bottleneck, i128)> = resources.collect();
        let beyond = |parts: &BTreeMap<Option<WorkloadId>, i128>| {
            let most = parts.iter().max_by_key(|(workload, part)| (**part, std::cmp::Reverse(*workload)));
            let workloads = parts.values().filter(|part| **part > 0).count();
            let most = most.and_then(|(workload, _)| workload.clone());
            (u32::try_from(workloads).unwrap_or(u32::MAX), most, parts.values().sum::<i128>())
        };
        let (workloads, most, sum) = beyond(&self.apart);
        list.push((Bottleneck::KeptApart { workloads, most }, sum));
        let (workloads, most, sum) = beyond(&self.size);
        list.push((Bottleneck::Size { workloads, most }, sum));
        let total: i128 = list.iter().map(|(_, sum)| sum).sum();
        list.retain(|(_, sum)| *sum > 0);
        list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let share = |sum: i128| Ppm(i64::try_from(sum * 1_000_000 / total.max(1)).unwrap_or(0));
        list.into_iter().map(|(by, sum)| (by, share(sum))).collect()
    }
}
