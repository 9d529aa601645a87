//! Under the objective of cost other measures count at their weight.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::policy::{Availability, Limits, Weights};
use journal_schema::units::{MicroUsdPerHour, Ppm};
use synthetic::{Random, Shape, generate, pod_spec, price};
use world::{GIB, World, moves, plan, removed};

const DOLLAR: i64 = 1_000_000;

fn weighed(world: World, weights: Weights) -> PlanningInput {
    let mut input = world.input(&["e2-standard-4"]);
    input.policy.optimize.weights = weights;
    input
}

fn totals(input: &PlanningInput, planned: &Planned) -> [i64; 2] {
    planned.weighted(&input.policy.optimize.weights).map(|sum| sum.total().0)
}

/// Both pods on one node use four fifths of its CPU, which is three tenths too much: a node costs 0.134 dollars.
#[test]
fn a_node_is_worth_its_price_when_the_other_would_be_hot() {
    let with = |node_usage: i64| {
        let world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 1600, &["n1", "n2"]);
        let mut input = weighed(world, Weights { node_usage: MicroUsdPerHour(node_usage), ..Weights::default() });
        input.policy.optimize.node_usage = Ppm::percent(50);
        let planned = plan(&input);
        let [now, after] = planned.weighted(&input.policy.optimize.weights);
        assert_eq!((now.node_usage.0, now.cost.0), (0, 2 * price("e2-standard-4")));
        (removed(&planned).len(), after)
    };
    assert_eq!(with(0).0, 1);
    let (left, after) = with(DOLLAR / 10);
    assert_eq!((left, after.cost.0), (1, price("e2-standard-4")));
    // 3200m of 3920m are 31.6 % of a node above a half.
    assert_eq!(after.node_usage.0, 31_632);
    let (left, after) = with(DOLLAR);
    assert_eq!((left, after.node_usage.0, after.total().0), (0, 0, 2 * price("e2-standard-4")));
}

/// A new machine may be hot as well as an old one.
#[test]
fn a_new_machine_is_measured_as_the_others_are() {
    let with = |node_usage: i64| {
        let world = World::default().nodes("e2-standard-16", &["big"]).app("web", 1800, &["big"; 4]);
        let mut input = weighed(world, Weights { node_usage: MicroUsdPerHour(node_usage), ..Weights::default() });
        input.policy.optimize.node_usage = Ppm::percent(60);
        let planned = plan(&input);
        (planned.plan.add.len(), planned.report.heat.map(|heat| (heat.hot_before, heat.hot_after)))
    };
    assert_eq!(with(0), (2, None));
    // Two machines of four CPU, each used by nine tenths.
    assert_eq!(with(1), (2, Some((0, 2))));
    assert_eq!(with(2 * DOLLAR), (0, Some((0, 0))));
}

#[test]
fn a_workload_is_spread_where_that_is_worth_its_moves() {
    let with = |availability: i64| {
        let world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 600, &["n1"; 4]).app(
            "other",
            1800,
            &["n2"],
        );
        let weights = Weights { availability: MicroUsdPerHour(availability), ..Weights::default() };
        let mut input = weighed(world, weights);
        input.policy.optimize.availability = Availability { max_per_node: Some(Ppm::percent(50)), max_per_zone: None };
        let planned = plan(&input);
        let told = planned.report.dispersion.expect("limits are set");
        (moves(&planned).len(), (told.pods_before, told.pods_after), totals(&input, &planned))
    };
    let cost = 2 * price("e2-standard-4");
    assert_eq!(with(0), (0, (2, 2), [cost, cost]));
    // A move costs a thousandth of a dollar.
    assert_eq!(with(500), (0, (2, 2), [cost + 1_000, cost + 1_000]));
    assert_eq!(with(DOLLAR), (2, (2, 0), [cost + 2 * DOLLAR, cost]));
}

#[test]
fn pods_change_places_where_evenness_is_worth_it() {
    let with = |balance: i64| {
        let world = World::default()
            .nodes("e2-standard-4", &["n1", "n2"])
            .app_with("cpu-a", pod_spec(1500, GIB / 2), &["n1"])
            .app_with("cpu-b", pod_spec(1500, GIB / 2), &["n1"])
            .app_with("mem-a", pod_spec(1000, 5 * GIB), &["n2"])
            .app_with("mem-b", pod_spec(1000, 5 * GIB), &["n2"]);
        let input = weighed(world, Weights { balance: MicroUsdPerHour(balance), ..Weights::default() });
        let planned = plan(&input);
        let [now, after] = planned.weighted(&input.policy.optimize.weights);
        assert_eq!(now.cost, after.cost);
        (moves(&planned).len(), after.balance < now.balance)
    };
    assert_eq!(with(0), (0, false));
    assert_eq!(with(DOLLAR), (2, true));
}

/// To do nothing is among what is compared.
#[test]
fn no_plan_raises_the_weighted_sum() {
    let mut random = Random(5);
    let mut fell = 0;
    for seed in 0..10 {
        let mut input =
            generate(&Shape { nodes: 8 + 2 * seed as usize, deleted_percent: 40, families: &["e2", "n2"], seed });
        let mut weight = || MicroUsdPerHour([0, 20_000, 500_000][random.below(3)]);
        let weights = Weights { balance: weight(), node_usage: weight(), availability: weight() };
        input.policy.optimize.weights = weights;
        input.policy.optimize.node_usage = Ppm::percent(60);
        input.policy.optimize.availability = Availability { max_per_node: Some(Ppm::percent(40)), max_per_zone: None };
        let limits = Limits { search_steps: 2_000, ..Limits::default() };
        let planned = planner::plan(&input, &limits).expect("a plan");
        let [now, after] = totals(&input, &planned);
        assert!(after <= now, "seed {seed}: {now} -> {after} under {weights:?}");
        fell += usize::from(after < now);
        assert_eq!(planner::plan(&input, &Limits { threads: 1, ..limits }).expect("a plan"), planned);
    }
    assert!(fell > 5, "{fell} of 10");
}
