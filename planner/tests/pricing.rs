//! Plans by effective prices: discounts, disks, interruptions, and machines that are paid for already.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::cloud::{CapacityType, PriceEntry};
use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::policy::{Commitment, Limits, PriceBasis, Pricing, SpotInterruption};
use journal_schema::text::{Few, Name};
use journal_schema::units::{MicroUsd, MicroUsdPerHour, Ppm};
use planner::synthetic_pools;
use synthetic::{Random, Shape, generate, name, price, spec};
use world::{World, ZONE, plan, removed};

const REGION: &str = "us-central1";

fn priced(world: World, types: &[&str], pricing: Pricing) -> PlanningInput {
    let mut input = world.input(types);
    input.policy.optimize.pricing = pricing;
    input
}

fn added(planned: &Planned) -> Vec<&str> {
    planned.plan.add.iter().map(|machine| machine.machine_type.as_str()).collect()
}

fn committed(machine_type: &str, count: u32) -> Commitment {
    Commitment { machine_type: name(machine_type), region: name(REGION), count }
}

fn commitments(list: Vec<Commitment>) -> Pricing {
    Pricing { commitments: Few::new(list).expect("few"), ..Pricing::default() }
}

/// List price of an n1-standard-4 in us-central1.
const N1: i64 = 190_000;

fn entry(machine_type: &Name, capacity_type: CapacityType, price: i64) -> PriceEntry {
    let price = MicroUsdPerHour(price);
    PriceEntry { region: name(REGION), machine_type: machine_type.clone(), capacity_type, price }
}

/// The list price of n1-standard-4 is above that of e2-standard-4, and below it with its discount.
#[test]
fn the_discount_of_a_family_turns_the_ranking() {
    let with = |basis| {
        let world = World::default().nodes("n2-standard-16", &["big"]).app("web", 3000, &["big"]);
        let mut input = priced(world, &["e2-standard-4", "n2-standard-4"], Pricing { basis, ..Pricing::default() });
        // The machine of the second family becomes an n1.
        let n1 = name("n1-standard-4");
        let mut entries = input.prices.entries.to_vec();
        entries.push(entry(&n1, CapacityType::OnDemand, N1));
        entries.sort();
        input.prices.entries = entries.try_into().expect("one more");
        input.pools[1].machine_type = n1;
        plan(&input)
    };
    let list = with(PriceBasis::List);
    assert_eq!((added(&list), removed(&list)), (vec!["e2-standard-4"], vec!["big"]));
    assert_eq!(list.plan.cost_after.0, price("e2-standard-4"));
    let sustained = with(PriceBasis::SustainedUse);
    assert_eq!((added(&sustained), removed(&sustained)), (vec!["n1-standard-4"], vec!["big"]));
    let expected = N1 * 7 / 10;
    assert_eq!(sustained.plan.cost_after.0, expected);
    assert!(expected < price("e2-standard-4") && price("e2-standard-4") < N1);
    assert_eq!(sustained.plan.cost_now.0, (price("n2-standard-16") * 8 + 5) / 10);
}

/// One machine of eight CPU costs as much as two of four: a disk for each decides.
#[test]
fn the_disk_of_each_node_prefers_fewer_and_larger_ones() {
    let with = |boot_disk: i64| {
        let world = World::default().nodes("n2-standard-32", &["big"]).app("web", 1800, &["big"; 4]);
        let pricing = Pricing { boot_disk: MicroUsdPerHour(boot_disk), ..Pricing::default() };
        let mut input = priced(world, &["e2-standard-4", "e2-standard-8"], pricing);
        // A thousandth less than half.
        let half = price("e2-standard-8") / 2 - price("e2-standard-8") / 1000;
        let mut entries = input.prices.entries.to_vec();
        entries
            .iter_mut()
            .filter(|entry| entry.machine_type == *"e2-standard-4")
            .for_each(|entry| entry.price.0 = half);
        input.prices.entries = entries.try_into().expect("as many as before");
        plan(&input)
    };
    assert_eq!(added(&with(0)), ["e2-standard-4"; 2]);
    let planned = with(13_700);
    assert_eq!(added(&planned), ["e2-standard-8"]);
    assert_eq!(planned.plan.cost_after.0, price("e2-standard-8") + 13_700);
    assert_eq!(planned.plan.cost_now.0, price("n2-standard-32") + 13_700);
}

#[test]
fn a_spot_machine_that_is_often_taken_back_is_not_worth_its_price() {
    let with = |spot_interruption: SpotInterruption| {
        let world = World::default().nodes("e2-standard-16", &["big"]).app("web", 3000, &["big"]);
        let mut input = priced(world, &[], Pricing { spot_interruption, ..Pricing::default() });
        let both = [CapacityType::OnDemand, CapacityType::Spot];
        input.pools = synthetic_pools(&input.cluster, &name(REGION), &[name(ZONE)], &[spec("e2-standard-4")], &both);
        let mut entries = input.prices.entries.to_vec();
        entries.push(entry(&name("e2-standard-4"), CapacityType::Spot, price("e2-standard-4") / 3));
        entries.sort();
        input.prices.entries = entries.try_into().expect("one more");
        let planned = plan(&input);
        assert_eq!(planned.plan.add.len(), 1);
        (planned.plan.add[0].capacity_type, planned.plan.cost_after.0)
    };
    let (capacity_type, spot) = with(SpotInterruption::default());
    assert_eq!(capacity_type, CapacityType::Spot);
    let often = |cost: i64| SpotInterruption { per_thirty_days: Ppm(6_000_000), cost: MicroUsd(cost) };
    // Six times ten cents in 720 hours.
    assert_eq!(with(often(100_000)), (CapacityType::Spot, spot + 833));
    assert_eq!(with(often(20_000_000)), (CapacityType::OnDemand, price("e2-standard-4")));
}

#[test]
fn what_is_committed_is_booted_first() {
    let world = || World::default().nodes("e2-standard-16", &["big"]).app("web", 3000, &["big"; 4]);
    let types = ["e2-standard-4", "n2-standard-4"];
    assert_eq!(added(&plan(&priced(world(), &types, Pricing::default()))), ["e2-standard-4"; 0]);
    let planned = plan(&priced(world(), &types, commitments(vec![committed("n2-standard-4", 4)])));
    assert_eq!((added(&planned), removed(&planned)), (vec!["n2-standard-4"; 4], vec!["big"]));
    assert_eq!((planned.plan.cost_after.0, planned.plan.lower_bound.0), (0, 0));
    let used = &planned.report.commitments[0];
    assert_eq!((used.committed, used.now, used.after, used.covers.0), (4, 0, 4, price("n2-standard-4")));
}

/// Beyond what is committed the cheaper family is booted.
#[test]
fn a_commitment_is_used_up_and_not_exceeded() {
    let world = World::default().nodes("n2-standard-32", &["big"]).app("web", 3000, &["big"; 6]);
    let all = vec![committed("n2-standard-4", 1), committed("n2-standard-4", 1), committed("c2-standard-4", 0)];
    let planned = plan(&priced(world, &["e2-standard-4", "n2-standard-4"], commitments(all)));
    let count = |wanted: &str| added(&planned).iter().filter(|own| **own == wanted).count();
    assert_eq!((count("n2-standard-4"), count("e2-standard-4")), (2, 4));
    assert_eq!(planned.plan.cost_after.0, 4 * price("e2-standard-4"));
    assert!(planned.plan.lower_bound.0 > 3 * price("e2-standard-4"), "{}", planned.plan.lower_bound);
}

/// One of two equal nodes is enough. By list prices the dear one leaves; not when it is paid for already.
#[test]
fn what_is_committed_is_kept() {
    let with = |pricing: Pricing| {
        let world = World::default().nodes("e2-standard-8", &["cheap"]).nodes("n2-standard-8", &["dear"]).app(
            "web",
            1000,
            &["cheap", "dear"],
        );
        removed(&plan(&priced(world, &[], pricing))).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(with(Pricing::default()), ["dear"]);
    assert_eq!(with(commitments(vec![committed("n2-standard-8", 1)])), ["cheap"]);
    // Not of another region, not of another type.
    let elsewhere = Commitment { region: name("europe-west1"), ..committed("n2-standard-8", 1) };
    assert_eq!(with(commitments(vec![elsewhere, committed("n2-standard-4", 1)])), ["dear"]);
}

/// A covered node that leaves hands its cover on: nothing is saved by closing one of two when one is committed for.
#[test]
fn closing_a_covered_machine_saves_nothing_beyond_its_disk() {
    let world = World::default().nodes("n2-standard-4", &["n1", "n2"]).app("web", 1000, &["n1", "n2"]);
    let mut pricing = commitments(vec![committed("n2-standard-4", 2)]);
    let planned = plan(&priced(
        World::default().nodes("n2-standard-4", &["n1", "n2"]).app("web", 1000, &["n1", "n2"]),
        &[],
        pricing.clone(),
    ));
    assert_eq!((planned.plan.cost_now.0, planned.plan.cost_after.0), (0, 0));
    assert!(planned.plan.remove.is_empty() && planned.plan.moves.is_empty());
    pricing.boot_disk = MicroUsdPerHour(50_000);
    let planned = plan(&priced(world, &[], pricing));
    assert_eq!((planned.plan.cost_now.0, planned.plan.cost_after.0), (100_000, 50_000));
}

fn random_pricing(random: &mut Random, types: &[&str]) -> Pricing {
    let commitments = (0..random.below(4))
        .map(|_| Commitment {
            machine_type: name(types[random.below(types.len())]),
            region: name(REGION),
            count: u32::try_from(random.below(12)).unwrap_or(0),
        })
        .collect();
    Pricing {
        basis: if random.below(2) == 0 { PriceBasis::List } else { PriceBasis::SustainedUse },
        boot_disk: MicroUsdPerHour([0, 13_700, 60_000][random.below(3)]),
        spot_interruption: SpotInterruption {
            per_thirty_days: Ppm(i64::try_from(random.below(9_000_000)).unwrap_or(0)),
            cost: MicroUsd(i64::try_from(random.below(3_000_000)).unwrap_or(0)),
        },
        commitments: Few::new(commitments).expect("few"),
    }
}

/// The linter adds money and waste up by its own means; the bytes are the same for any number of threads; and a plan
/// is no dearer than to do nothing.
#[test]
fn no_plan_costs_less_than_its_bound_whatever_the_pricing() {
    let mut random = Random(11);
    let (mut gaps, mut used) = (0, 0);
    for seed in 0..24 {
        let mut input = generate(&Shape {
            nodes: 8 + 3 * (seed as usize % 6),
            deleted_percent: 20 + 3 * (seed % 10),
            families: &["e2", "n1", "n2"],
            seed,
        });
        let types: Vec<String> = input.pools.iter().map(|pool| pool.machine_type.to_string()).collect();
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        input.policy.optimize.pricing = random_pricing(&mut random, &types);
        let limits = Limits { search_steps: 3_000, ..Limits::default() };
        let planned = planner::plan(&input, &limits).expect("a plan, which checks itself");
        assert!(planned.plan.lower_bound <= planned.plan.cost_after && planned.plan.lower_bound.0 >= 0);
        assert!(planned.plan.cost_after <= planned.plan.cost_now);
        let one = planner::plan(&input, &Limits { threads: 1, ..limits }).expect("a plan");
        assert_eq!(one, planned, "seed {seed}");
        gaps += planned.plan.gap().0;
        used += planned.report.commitments.iter().filter(|own| own.after > 0).count();
    }
    println!("mean gap {}, {used} commitments used", Ppm(gaps / 24));
    assert!(used > 3, "commitments are used");
}

/// Nobody has so many: they are counted as far as sums allow.
#[test]
fn absurd_commitments_are_planned_all_the_same() {
    let world = World::default().nodes("e2-standard-4", &["a", "b"]).app("web", 500, &["a", "b"]);
    let list = vec![committed("e2-standard-4", u32::MAX); 50];
    let planned = plan(&priced(world, &["e2-standard-4"], commitments(list)));
    let told: Vec<(u32, u32)> = planned.report.commitments.iter().map(|own| (own.committed, own.after)).collect();
    assert_eq!(told, [(1_000_000, 2)]);
}
