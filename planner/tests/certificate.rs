//! What a plan says of its own cost: where it exceeds the bound, what the bound is made of, and what a rule
//! costs.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::binding::Bottleneck;
use journal_schema::facts::*;
use journal_schema::plan::{Basis, NodeAction, Planned, PlanningInput, PodAction};
use journal_schema::policy::{Limits, SingleReplica};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::Ppm;
use planner::synthetic_pools;
use synthetic::{Random, Shape, generate, input, name, pod_spec, spec};
use world::{GIB, World, plan};

/// A generated cluster with nodes that must stay, pods that may not move or that wait, pools with little
/// room, nodes that are much cheaper than what they hold, and requests of a third resource.
fn cluster(seed: u64) -> PlanningInput {
    let random = &mut Random(seed.wrapping_mul(7_919) + 1);
    let shape = Shape {
        nodes: 2 + random.below(18),
        deleted_percent: [0, 20, 50, 80][random.below(4)],
        families: [&["e2"][..], &["e2-standard"], &["n2", "c3"], &["e2", "n2", "c3"], &[]][random.below(5)],
        seed,
    };
    let mut input = generate(&shape);
    for node in input.cluster.nodes.values_mut() {
        match random.below(12) {
            0 => node.excluded = true,
            1 => node.unschedulable = true,
            2 => _ = node.labels.insert(name("node.kubernetes.io/instance-type"), name("z9-mystery")),
            3 => _ = node.labels.insert(name("cloud.google.com/gke-spot"), name("true")),
            4 => node.ready = false,
            _ => {}
        }
    }
    for pod in input.cluster.pods.values_mut().filter(|pod| !pod.of_daemon_set()) {
        match random.below(60) {
            0 => pod.do_not_disrupt = DoNotDisrupt::Always,
            1 => pod.node = None,
            2 => pod.spec.requests.cpu.0 = 0,
            3 => pod.deletion_at = Some(journal_schema::units::Timestamp(1)),
            4 => pod.spec.requests.memory.0 *= 100,
            _ => {}
        }
    }
    for pool in &mut input.pools {
        if random.below(3) == 0 {
            pool.size = 0;
            pool.max_size = Some(1 + random.below(3) as u32);
        }
    }
    // Some types are bargains: where their number is limited the bound takes a rent off for each.
    for entry in 0..input.prices.entries.len() {
        if random.below(6) == 0 {
            let mut entries: Vec<_> = input.prices.entries.to_vec();
            entries[entry].price.0 /= 3;
            input.prices.entries = entries.try_into().expect("as many as before");
        }
    }
    input
}

fn limits() -> Limits {
    Limits { search_steps: 400, mip_nodes: 0, threads: 1 }
}

fn whole(planned: &Planned) -> i64 {
    planned.plan.cost_after.0 - planned.plan.lower_bound.0
}

#[test]
fn the_waste_of_all_nodes_sums_to_the_distance_from_the_bound() {
    let (mut with_waste, mut with_unused, mut apart) = (0, 0, 0);
    for seed in 0..200 {
        let input = cluster(seed);
        let planned = planner::plan(&input, &limits()).unwrap_or_else(|error| panic!("{seed}: {error}"));
        let report = &planned.report;
        let of_nodes: i64 = report.nodes.iter().map(|verdict| verdict.waste.0).sum();
        let of_added: i64 = report.waste_of_added.iter().map(|waste| waste.0).sum();
        assert_eq!(of_nodes + of_added + report.unused.0, whole(&planned), "{seed}");
        assert_eq!(report.waste_of_added.len(), planned.plan.add.len(), "{seed}");
        let wasted = report.nodes.iter().map(|verdict| verdict.waste).chain(report.waste_of_added.iter().copied());
        assert!(wasted.chain([report.unused]).all(|waste| waste.0 >= 0), "{seed}");
        let leaves = |verdict: &&journal_schema::plan::NodeVerdict| verdict.action == NodeAction::Remove;
        assert!(report.nodes.iter().filter(leaves).all(|verdict| verdict.waste.0 == 0), "{seed}");
        with_waste += usize::from(of_nodes + of_added > 0);
        with_unused += usize::from(report.unused.0 > 0);
        apart += usize::from(report.binding.iter().any(|binding| binding.zone.is_some()));
        let everywhere: i64 = report.binding.iter().filter(|b| b.zone.is_none()).map(|b| b.share.0).sum();
        assert!((0..=Ppm::percent(100).0).contains(&everywhere), "{seed}");
    }
    // The clusters are of all sorts.
    println!("with waste {with_waste}, with unused bargains {with_unused}, with zones apart {apart}, of 200");
    assert!(with_waste > 80 && with_unused > 2 && apart > 8, "{with_waste} {with_unused} {apart}");
}

/// The rules of one kind taken back, as somebody would who follows the advice.
fn without(input: &PlanningInput, reason: &Reason) -> Option<PlanningInput> {
    let mut input = input.clone();
    let cluster = &mut input.cluster;
    match reason {
        Reason::DoNotDisrupt => {
            cluster.pods.values_mut().for_each(|pod| pod.do_not_disrupt = DoNotDisrupt::No);
            cluster.nodes.values_mut().for_each(|node| node.do_not_disrupt = DoNotDisrupt::No);
        }
        Reason::Excluded => {
            cluster.pods.values_mut().for_each(|pod| pod.excluded = false);
            cluster.nodes.values_mut().for_each(|node| node.excluded = false);
        }
        Reason::PodDisruptionBudget { pdb, .. } => _ = cluster.pdbs.remove(pdb),
        Reason::SingleReplica => input.policy.disruption.single_replica = SingleReplica::Surge,
        _ => return None,
    }
    Some(input)
}

#[test]
fn what_a_rule_costs_is_never_more_than_doing_without_it_can_save() {
    let (mut measured, mut estimated) = (0, 0);
    for seed in 150..200 {
        let input = cluster(seed);
        let planned = planner::plan(&input, &limits()).unwrap_or_else(|error| panic!("{seed}: {error}"));
        let relaxations = &planned.report.relaxations;
        assert!(relaxations.is_sorted_by_key(|relaxation| std::cmp::Reverse(relaxation.saves)), "{seed}");
        assert!(relaxations.iter().all(|relaxation| relaxation.saves.0 > 0), "{seed}");
        for relaxation in relaxations.iter().filter(|relaxation| relaxation.basis == Basis::Measured) {
            measured += 1;
            let Some(without) = without(&input, &relaxation.reason) else { continue };
            let other = planner::plan(&without, &limits()).unwrap_or_else(|error| panic!("{seed}: {error}"));
            let cost = planned.plan.cost_after.0 - relaxation.saves.0;
            let bound = other.plan.lower_bound.0;
            assert!(cost >= bound, "{seed}: {relaxation:?}: {cost} is below the bound without the rule, {bound}");
        }
        estimated += relaxations.iter().filter(|relaxation| relaxation.basis == Basis::Estimated).count();
    }
    println!("measured {measured}, estimated {estimated}");
    assert!(measured > 20, "{measured}");
}

/// Two half-empty nodes whose pods fit on one, and what is done to them.
fn two_nodes(change: fn(&mut World)) -> PlanningInput {
    let mut world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1", "n2"]).app(
        "api",
        300,
        &["n1", "n2"],
    );
    change(&mut world);
    world.input(&["e2-standard-2"])
}

/// The code of a rule, and how a world gets it.
type Case = (&'static str, fn(&mut World));

#[test]
fn a_rule_costs_what_a_plan_without_it_saves() {
    let cases: [Case; 3] = [
        ("DoNotDisrupt", |world| {
            for pod in ["web-0", "web-1"] {
                world.pod_mut(pod).do_not_disrupt = DoNotDisrupt::Always;
            }
        }),
        ("Excluded", |world| world.cluster.nodes.values_mut().for_each(|node| node.excluded = true)),
        ("PodDisruptionBudget", |world| {
            let key = Key::new(name("shop"), name("web"));
            let selector = Selector { labels: [(name("app"), name("web"))].into(), expressions: Few::default() };
            let pdb = PdbFact {
                key: key.clone(),
                uid: name("pdb"),
                selector: Some(selector),
                min_available: Some(IntOrPercent::Int(2)),
                max_unavailable: None,
                disruptions_allowed: 0,
                current_healthy: 2,
                desired_healthy: 2,
                expected: 2,
                always_allow_unhealthy: false,
            };
            world.cluster.pdbs.insert(key, pdb);
        }),
    ];
    for (code, change) in cases {
        let input = two_nodes(change);
        let planned = plan(&input);
        assert!(planned.plan.is_empty(), "{code}");
        let [relaxation] = &planned.report.relaxations[..] else { panic!("{code}: {:?}", planned.report.relaxations) };
        assert_eq!((relaxation.reason.code(), relaxation.nodes, relaxation.basis), (code, 2, Basis::Measured));
        let without = plan(&without(&input, &relaxation.reason).expect("a rule that can be taken back"));
        assert_eq!(planned.plan.cost_after.0 - relaxation.saves.0, without.plan.cost_after.0, "{code}");
    }
}

#[test]
fn a_rule_behind_which_another_stands_costs_nothing_by_itself() {
    let input = two_nodes(|world| {
        for pod in ["web-0", "web-1"] {
            world.pod_mut(pod).do_not_disrupt = DoNotDisrupt::Always;
            world.pod_mut(pod).safe_to_evict = Some(false);
        }
    });
    assert!(plan(&input).report.relaxations.is_empty());
}

#[test]
fn what_cannot_be_decided_away_is_estimated() {
    let input =
        two_nodes(|world| world.pod_mut("web-0").spec.unknown = Few::new(vec![name("resourceClaims")]).unwrap());
    let relaxations = plan(&input).report.relaxations;
    assert!(relaxations.iter().any(|relaxation| matches!(relaxation.reason, Reason::UnknownConstraint { .. })));
    assert!(relaxations.iter().all(|relaxation| relaxation.basis == Basis::Estimated), "{relaxations:?}");
}

/// Codes of what binds in the cluster, largest share first, and the first share in percent.
fn bound_by(planned: &Planned) -> (Vec<&'static str>, i64) {
    let whole: Vec<_> = planned.report.binding.iter().filter(|binding| binding.zone.is_none()).collect();
    let share = whole.first().map_or(0, |binding| binding.share.0 / 10_000);
    (whole.iter().map(|binding| binding.by.text().code).collect(), share)
}

#[test]
fn what_binds_is_what_decides_the_number_of_machines() {
    let on = |count: usize| vec!["n1"; count];
    let world = || World::default().nodes("e2-standard-32", &["n1"]);
    let planned = plan(&world().app_with("web", pod_spec(400, GIB / 16), &on(40)).input(&["e2-standard-4"]));
    assert_eq!(bound_by(&planned).0[0], "Cpu");
    let planned = plan(&world().app_with("web", pod_spec(20, 3 * GIB / 2), &on(40)).input(&["e2-standard-4"]));
    assert_eq!(bound_by(&planned).0[0], "Memory");
    let planned = plan(&world().app_with("web", pod_spec(1, GIB / 1024), &on(250)).input(&["e2-standard-4"]));
    assert_eq!(bound_by(&planned).0[0], "Pods");
    // One on each machine, which takes no second. What it asks for is worth what it is on the large node, 63 %.
    let planned = plan(&world().app_with("web", pod_spec(2500, GIB), &on(5)).input(&["e2-standard-4"]));
    assert_eq!(bound_by(&planned), (vec!["Cpu", "Size"], 62));
    let mut apart = pod_spec(100, GIB / 8);
    let selector = Selector { labels: [(name("app"), name("web"))].into(), expressions: Few::default() };
    let term = PodTerm {
        selector: Some(selector),
        namespaces: Few::default(),
        namespace_selector: None,
        topology_key: name("kubernetes.io/hostname"),
    };
    apart.pod_anti_affinity = Few::new(vec![term]).unwrap();
    let nodes = ["n1", "n2", "n3"];
    let planned =
        plan(&World::default().nodes("e2-standard-4", &nodes).app_with("web", apart, &nodes).input(&["e2-standard-2"]));
    assert_eq!(bound_by(&planned), (vec!["KeptApart", "Cpu"], 94));
    let web = WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name("web")) };
    assert_eq!(planned.report.binding[0].by, Bottleneck::KeptApart { workloads: 1, most: Some(web) });
}

#[test]
fn a_zone_in_which_something_else_binds_is_told() {
    let zones = [name("us-central1-a"), name("us-central1-b")];
    let in_zone = |zone: &Name, cpu, memory| {
        let mut spec = pod_spec(cpu, memory);
        spec.node_selector = [(name("topology.kubernetes.io/zone"), zone.clone())].into();
        spec
    };
    let mut world = World::default()
        .nodes("e2-standard-32", &["n1", "n2"])
        .app_with("lean", in_zone(&zones[0], 400, GIB / 16), &["n1"; 40])
        .app_with("fat", in_zone(&zones[1], 20, 3 * GIB / 2), &["n2"; 40]);
    let zone_of_second = name("topology.kubernetes.io/zone");
    world.cluster.nodes.get_mut("n2").unwrap().labels.insert(zone_of_second, zones[1].clone());
    let pools = synthetic_pools(
        &world.cluster,
        &name("us-central1"),
        &zones,
        &[spec("e2-standard-4")],
        &[journal_schema::cloud::CapacityType::OnDemand],
    );
    let planned = plan(&input(world.cluster, pools));
    let first = |zone: Option<&Name>| {
        let mut here = planned.report.binding.iter().filter(|binding| binding.zone.as_ref() == zone);
        here.next().map(|binding| binding.by.text().code)
    };
    let others: Vec<_> = zones.iter().filter_map(|zone| first(Some(zone))).collect();
    match first(None) {
        Some("Cpu") => assert_eq!(others, ["Memory"]),
        Some("Memory") => assert_eq!(others, ["Cpu"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_moves_are_too_dear_to_leave_is_where_the_waste_is() {
    let world = World::default()
        .nodes("e2-standard-4", &["full-1", "full-2", "full-3", "full-4", "spare"])
        .app("web", 500, &["full-1", "full-2", "full-3", "full-4"].repeat(7))
        .app("api", 500, &["spare"]);
    let mut input = world.input(&["e2-standard-4"]);
    input.policy.optimize.move_penalty.0 = 1_000_000;
    let planned = plan(&input);
    assert!(planned.plan.is_empty());
    let wastes: Vec<i64> = planned.report.nodes.iter().map(|verdict| verdict.waste.0).collect();
    // A machine takes seven of them, so each is worth a seventh of it, and the pod in the room of an eighth too.
    let price = synthetic::price("e2-standard-4");
    assert!(wastes[..4].iter().all(|waste| *waste < 10), "{wastes:?}");
    assert!((wastes[4] - price * 6 / 7).abs() < price / 1_000, "{wastes:?} of {price}");
}

#[test]
fn a_pod_that_could_not_be_placed_without_the_rule_leaves_the_estimate() {
    // Who must not be disturbed may be placed all the same; without that rule the next one is looked at, which
    // keeps this pod from being placed at all: it could land on a node that is not understood.
    let input = two_nodes(|world| {
        let taken = std::mem::take(world);
        *world = taken.nodes("e2-standard-16", &["odd"]).app("new", 100, &[""]);
        world.cluster.nodes.get_mut("odd").unwrap().unknown = Few::new(vec![name("an unknown system")]).unwrap();
        world.cluster.pods.values_mut().for_each(|pod| pod.do_not_disrupt = DoNotDisrupt::Always);
    });
    let planned = plan(&input);
    let placed = planned.report.pods.iter().find(|verdict| verdict.pod.name == "new-0").expect("a verdict");
    assert!(matches!(placed.action, PodAction::Place(_)), "{placed:?}");
    let relaxations = &planned.report.relaxations;
    assert!(relaxations.iter().any(|relaxation| relaxation.reason == Reason::DoNotDisrupt), "{relaxations:?}");
    assert!(relaxations.iter().all(|relaxation| relaxation.basis == Basis::Estimated), "{relaxations:?}");
}
