//! Clusters so small that one sees the cheapest plan, one for each thing that decides it.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::cloud::{CapacityType, PriceEntry};
use journal_schema::facts::*;
use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::policy::Limits;
use journal_schema::text::{Few, Many};
use journal_schema::units::MicroUsdPerHour;
use planner::synthetic_pools;
use synthetic::{Shape, generate, name, pod_spec, price, spec, workload};
use world::{GIB, World, ZONE, plan, removed};

fn added(planned: &Planned) -> Vec<&str> {
    planned.plan.add.iter().map(|machine| machine.machine_type.as_str()).collect()
}

fn costs(planned: &Planned, types: &[&str]) {
    assert_eq!(planned.plan.cost_after.0, types.iter().map(|t| price(t)).sum::<i64>(), "{:?}", planned.plan);
    assert!(planned.plan.lower_bound <= planned.plan.cost_after);
}

#[test]
fn three_half_empty_nodes_become_two() {
    let world = World::default().nodes("e2-standard-4", &["n1", "n2", "n3"]).app("web", 1900, &["n1", "n2", "n3"]);
    let planned = plan(&world.input(&[]));
    assert_eq!(removed(&planned).len(), 1);
    costs(&planned, &["e2-standard-4"; 2]);
}

#[test]
fn two_small_machines_are_cheaper_than_one_that_is_too_big() {
    let world = World::default().nodes("e2-standard-16", &["big"]).app("web", 850, &["big"; 4]);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-8"]));
    assert_eq!(added(&planned), ["e2-standard-2"; 2]);
}

/// Twice the machine at twice the price, but for a millionth of rounding.
#[test]
fn of_what_costs_the_same_there_are_fewer_nodes() {
    assert_eq!(price("e2-standard-4") - 2 * price("e2-standard-2"), 1);
    let world = World::default().nodes("e2-standard-16", &["big"]).app("web", 850, &["big"; 4]);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-4"]));
    assert_eq!(added(&planned), ["e2-standard-4"]);
}

/// Adds a DaemonSet with a pod on every node.
fn with_agent(mut world: World, cpu: i64) -> World {
    let id = WorkloadId { kind: WorkloadKind::DaemonSet, key: Key::new(name("shop"), name("agent")) };
    for node in world.cluster.nodes.keys().cloned().collect::<Vec<_>>() {
        let mut pod = synthetic::pod(&name("shop"), &format!("agent-{node}"), Some(&node), pod_spec(cpu, GIB / 8));
        pod.owner = Some(Owner { kind: OwnerKind::DaemonSet, name: name("agent"), uid: name("agent") });
        world.cluster.pods.insert(pod.key.clone(), pod);
    }
    world.cluster.workloads.insert(id.clone(), workload(id, pod_spec(cpu, GIB / 8), 1));
    world
}

#[test]
fn the_agents_of_every_node_make_small_machines_dear() {
    // As before, but two pods and the agent do not fit a small machine.
    let world = with_agent(World::default().nodes("e2-standard-16", &["big"]).app("web", 850, &["big"; 4]), 250);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-4"]));
    assert_eq!(added(&planned), ["e2-standard-4"]);
}

#[test]
fn memory_decides() {
    let world =
        World::default().nodes("e2-standard-16", &["big"]).app_with("cache", pod_spec(100, 12 * GIB), &["big"; 2]);
    let planned = plan(&world.input(&["e2-standard-4", "e2-standard-8", "e2-highmem-4", "e2-highcpu-8"]));
    assert_eq!(added(&planned), ["e2-highmem-4"]);
}

#[test]
fn the_number_of_pods_per_node_decides() {
    let on = |each: usize| {
        let places: Vec<&str> = ["n1", "n2"].iter().flat_map(|node| std::iter::repeat_n(*node, each)).collect();
        let world =
            World::default().nodes("e2-standard-8", &["n1", "n2"]).app_with("tiny", pod_spec(10, GIB / 64), &places);
        plan(&world.input(&[]))
    };
    assert_eq!(removed(&on(50)).len(), 1);
    // 120 are more than the 110 that a node takes, whatever room it has.
    assert!(on(60).plan.is_empty());
}

#[test]
fn pods_that_are_spread_over_zones_hold_a_node_in_each() {
    let spread = |max_skew| {
        let mut spec = pod_spec(300, GIB / 4);
        spec.spread = Few::new(vec![SpreadConstraint {
            max_skew,
            topology_key: name("topology.kubernetes.io/zone"),
            hard: true,
            selector: Some(Selector { labels: [(name("app"), name("web"))].into(), expressions: Few::default() }),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        }])
        .expect("one");
        let mut world =
            World::default().nodes("e2-standard-4", &["n1", "n2", "n3"]).app_with("web", spec, &["n1", "n2", "n3"]);
        for (node, zone) in [("n2", "us-central1-b"), ("n3", "us-central1-c")] {
            let labels = &mut world.cluster.nodes.get_mut(node).expect("it exists").labels;
            labels.insert(name("topology.kubernetes.io/zone"), name(zone));
        }
        plan(&world.input(&[]))
    };
    assert!(spread(1).plan.is_empty());
    assert!(!spread(3).plan.is_empty(), "three in one zone are allowed");
}

#[test]
fn a_taint_keeps_pods_away_and_lets_those_that_tolerate_it_leave() {
    let taint = Taint { key: name("dedicated"), value: name("batch"), effect: TaintEffect::NoSchedule };
    let mut tolerant = pod_spec(300, GIB / 4);
    let toleration = Toleration { key: name("dedicated"), exists: true, value: name(""), effect: None };
    tolerant.tolerations = Few::new(vec![toleration]).expect("one");
    let mut world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 300, &["n1"]).app_with(
        "batch",
        tolerant,
        &["n2"],
    );
    world.cluster.nodes.get_mut("n2").expect("it exists").taints = Few::new(vec![taint]).expect("one");
    assert_eq!(removed(&plan(&world.input(&[]))), ["n2"]);
}

#[test]
fn a_volume_in_a_zone_decides_where_the_machine_is() {
    let mut stateful = pod_spec(300, GIB / 4);
    stateful.claims = Few::new(vec![name("data")]).expect("one");
    let mut world = World::default().nodes("e2-standard-16", &["big"]).app_with("db", stateful, &["big"]);
    let key = Key::new(name("shop"), name("data"));
    let (volume, storage_class) = (Some(name("pv")), name(""));
    world.cluster.pvcs.insert(key.clone(), PvcFact { key, uid: name("c"), volume, storage_class, single_node: false });
    let pv = PvFact {
        name: name("pv"),
        uid: name("v"),
        driver: name("pd.csi.storage.gke.io"),
        node_affinity: None,
        zones: Few::new(vec![name(ZONE)]).expect("one"),
    };
    world.cluster.pvs.insert(pv.name.clone(), pv);
    let mut input = world.input(&["e2-standard-2", "e2-standard-4"]);
    // In another zone there is a machine that is cheaper still.
    for pool in &mut input.pools {
        if pool.machine_type == "e2-standard-2" {
            pool.zone = name("us-central1-b");
        }
    }
    assert_eq!(added(&plan(&input)), ["e2-standard-4"]);
}

/// The world of one half-empty machine, where spot machines are on offer too.
fn with_spot(asked: &[CapacityType]) -> PlanningInput {
    let world = World::default().nodes("e2-standard-8", &["n1"]).app("web", 500, &["n1", "n1"]);
    let both = [CapacityType::OnDemand, CapacityType::Spot];
    let pools = synthetic_pools(&world.cluster, &name("us-central1"), &[name(ZONE)], &[spec("e2-standard-2")], &both);
    let mut input = world.input(&[]);
    input.pools = pools;
    let mut entries = std::mem::take(&mut input.prices.entries).into_vec();
    entries.push(PriceEntry {
        region: name("us-central1"),
        machine_type: name("e2-standard-2"),
        capacity_type: CapacityType::Spot,
        price: MicroUsdPerHour(20_000),
    });
    entries.sort();
    input.prices.entries = Many::new(entries).expect("few");
    input.policy.optimize.capacity_types = Few::new(asked.to_vec()).expect("few");
    input
}

#[test]
fn spot_is_taken_when_asked_for() {
    let paid = |asked: &[CapacityType]| plan(&with_spot(asked)).plan.cost_after.0;
    assert_eq!(paid(&[CapacityType::Spot]), 20_000);
    assert_eq!(paid(&[CapacityType::OnDemand]), price("e2-standard-2"));
}

#[test]
fn the_node_whose_pods_are_cheaper_to_move_leaves() {
    type Dear = fn(&mut PodFact);
    let cases: [(&str, Dear); 2] =
        [("deletion cost", |pod| pod.deletion_cost = 500), ("priority", |pod| pod.spec.priority = 2_000_000)];
    for (what, dear) in cases {
        for (app, leaves) in [("one-0", "n2"), ("two-0", "n1")] {
            let mut world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("one", 500, &["n1"]).app(
                "two",
                500,
                &["n2"],
            );
            dear(world.pod_mut(app));
            assert_eq!(removed(&plan(&world.input(&[]))), [leaves], "{what} of {app}");
        }
    }
}

/// Pods whose sizes leave gaps that only some mixtures fill.
#[test]
fn a_small_cluster_is_solved_as_an_integer_program() {
    let mut by_program = 0;
    for seed in 0..6 {
        let counts: Vec<usize> = (0..4).map(|kind| 2 + (seed * 7 + kind * 3) % 5).collect();
        let mut world = World::default().nodes("e2-standard-16", &["big"]);
        for (kind, count) in counts.iter().enumerate() {
            world = world.app(["a", "b", "c", "d"][kind], [340, 620, 870, 1_310][kind], &vec!["big"; *count]);
        }
        let mut input = world.input(&["e2-standard-2", "e2-standard-4", "e2-standard-8"]);
        input.policy.optimize.move_penalty = MicroUsdPerHour(0);
        let cost = |search_steps, mip_nodes| {
            let limits = Limits { search_steps, mip_nodes, ..Limits::default() };
            planner::plan(&input, &limits).expect("a plan").plan.cost_after.0
        };
        let (none, program, search) = (cost(0, 0), cost(0, 2_000), cost(20_000, 0));
        println!("seed {seed}: {counts:?}: {none} without, {program} by the program, {search} by search");
        // The solver tells costs apart to a millionth.
        assert!(program <= search + 10 && program <= none, "seed {seed}: {program} by the program, {search} by search");
        by_program += usize::from(program + 10 < none);
    }
    assert!(by_program >= 3, "the program was needed {by_program} times only");
}

#[test]
fn a_move_that_saves_less_than_it_costs_is_not_made() {
    let mut frontier = Vec::new();
    for penalty in [0, 1_000, 10_000, 40_000, 200_000, 10_000_000] {
        let mut input = generate(&Shape { nodes: 20, deleted_percent: 40, families: &["e2", "n2"], seed: 11 });
        input.policy.optimize.move_penalty = MicroUsdPerHour(penalty);
        input.policy.optimize.limits.search_steps = 2_000;
        let planned = planner::plan(&input, &input.policy.optimize.limits).expect("a plan");
        let saved = planned.plan.cost_now.0 - planned.plan.cost_after.0;
        let moves = planned.plan.moves.len() as i64;
        println!("penalty {penalty}: {moves} moves save {saved} micro-USD per hour");
        assert!(saved >= moves * penalty, "penalty {penalty}: {moves} moves save only {saved}");
        frontier.push((moves, saved));
    }
    let (first, last) = (frontier[0], frontier[frontier.len() - 1]);
    assert_eq!(last, (0, 0), "at this price nothing moves");
    assert!(first.0 > 0);
    // The dearer a move, the fewer there are: the ends of the frontier are far apart.
    assert!(frontier[3].0 * 2 < first.0, "{frontier:?}");
}

/// Five machines of four cores hold two pods of one and a half each; by volume four would do.
#[test]
fn the_bound_does_not_divide_pods() {
    let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7"];
    let on: Vec<&str> = names.iter().chain(&names[..3]).copied().collect();
    let world = World::default().nodes("e2-standard-4", &names).app("web", 1_500, &on);
    let planned = plan(&world.input(&["e2-standard-4"]));
    costs(&planned, &["e2-standard-4"; 5]);
    assert_eq!(planned.plan.lower_bound, planned.plan.cost_after);
}

/// Eighteen sizes that are large for the machines, of each forty pods.
#[test]
fn of_many_large_pods_the_fillings_of_the_bound_are_a_plan_in_whole_numbers() {
    let names: Vec<String> = (0..432).map(|number| format!("n{number}")).collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::default().nodes("e2-standard-16", &nodes);
    for app in 0..18 {
        let on: Vec<&str> = (0..40).map(|number| nodes[(app * 24 + number) % nodes.len()]).collect();
        let (cpu, memory) = (1_130 + app as i64 * 250, (2 + app as i64 * 7 % 24) * GIB);
        world = world.app_with(&format!("app-{app}"), pod_spec(cpu, memory), &on);
    }
    let standard = ["e2-standard-4", "e2-standard-8", "e2-standard-16"];
    let other = ["e2-highmem-4", "e2-highmem-8", "e2-highmem-16", "e2-highcpu-8", "e2-highcpu-16"];
    let mut input = world.input(&[&standard[..], &other[..]].concat());
    input.policy.optimize.move_penalty = MicroUsdPerHour(0);
    let above = |mip_nodes| {
        let limits = Limits { search_steps: 100, mip_nodes, ..Limits::default() };
        let plan = planner::plan(&input, &limits).expect("a plan").plan;
        (plan.cost_after.0 - plan.lower_bound.0) * 10_000 / plan.lower_bound.0
    };
    let (without, with) = (above(0), above(200));
    println!("above the bound, in parts of ten thousand: {without} without the program, {with} with it");
    assert!(with <= 20 && with < without);
}

/// A plan of such a cluster costs no more than what is proven and so many thousandths of it.
fn ends_near(shape: &Shape, per_mille: i64) {
    let planned = planner::plan(&generate(shape), &Limits::default()).expect("a plan");
    let (cost, bound) = (planned.plan.cost_after.0, planned.plan.lower_bound.0);
    assert!((cost - bound) * 1_000 <= bound * per_mille, "{cost} is more than {per_mille} thousandths above {bound}");
}

/// Many sizes, rules between pods, zones and families: what a host is filled with must leave hardly a hole.
#[test]
fn a_scattered_cluster_ends_near_what_is_proven() {
    ends_near(&Shape { nodes: 385, deleted_percent: 50, families: &["e2", "n2", "c3"], seed: 2 }, 8);
}

/// The smaller a cluster the more a host that fits exactly is worth, and the fewer ways there are to find one.
#[test]
fn a_small_cluster_ends_near_what_is_proven() {
    ends_near(&Shape { nodes: 136, deleted_percent: 50, families: &["e2", "n2", "c3"], seed: 1 }, 9);
}
