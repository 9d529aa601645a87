//! Under the objective of node usage machines stay, and pods of hot nodes go to cool ones.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use std::collections::BTreeSet;

use journal_schema::facts::*;
use journal_schema::plan::{Planned, PlanningInput, PodAction, Target};
use journal_schema::policy::Objective;
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Many};
use journal_schema::units::{Bytes, MilliCpu, Ppm};
use journal_schema::usage::Forecast;
use synthetic::{Random, name, pod_spec};
use world::{GIB, World, plan};

fn cooled(world: World) -> PlanningInput {
    let mut input = world.input(&["e2-standard-4"]);
    input.policy.optimize.objective = Objective::NodeUsage;
    input
}

/// The order does not matter here.
fn moves(planned: &Planned) -> BTreeSet<String> {
    world::moves(planned).into_iter().collect()
}

fn set(moves: &[&str]) -> BTreeSet<String> {
    moves.iter().map(|text| (*text).to_owned()).collect()
}

/// An e2-standard-4 offers 3920m: 3136m of it are 80 %. n1 asks for 3700m.
fn hot() -> World {
    World::default()
        .nodes("e2-standard-4", &["n1", "n2", "n3"])
        .app("large", 2000, &["n1"])
        .app("middle", 1000, &["n1"])
        .app("small", 700, &["n1"])
        .app("other", 2600, &["n2"])
        .app("few", 1500, &["n3"])
}

/// Tells what the containers of a workload use, and nodes.
fn uses(input: &mut PlanningInput, apps: &[(&str, i64)], nodes: &[(&str, i64)]) {
    let main = ContainerFact {
        name: name("main"),
        cpu_request: None,
        memory_request: None,
        cpu_limit: None,
        memory_limit: None,
    };
    for pod in input.cluster.pods.values_mut() {
        pod.spec.containers = Few::new(vec![main.clone()]).expect("one container");
    }
    let forecast = |(app, cpu): &(&str, i64)| {
        let id = WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name(app)) };
        let (cpu, memory) = (MilliCpu(*cpu), Bytes(GIB / 4));
        Forecast {
            workload: id,
            container: name("main"),
            cpu,
            memory,
            cpu_peak: cpu,
            memory_peak: memory,
            points: 15,
            cpu_request: cpu,
            memory_request: memory,
        }
    };
    let mut containers: Vec<Forecast> = apps.iter().map(forecast).collect();
    containers.sort();
    input.forecasts.containers = Many::new(containers).expect("few forecasts");
    let nodes = nodes.iter().map(|(node, cpu)| (name(node), MilliCpu(*cpu), Bytes(GIB)));
    input.forecasts.nodes = Many::new(nodes.collect()).expect("few nodes");
}

#[test]
fn the_smallest_pod_that_suffices_goes_to_the_coolest_node() {
    let input = cooled(hot());
    let planned = plan(&input);
    assert_eq!(moves(&planned), set(&["small-0 -> n3"]));
    let heat = planned.report.heat.expect("the heat is told");
    assert_eq!((heat.limit, heat.hot_before, heat.hot_after, heat.after), (Ppm::percent(80), 1, 0, Ppm(0)));
    // 3700 − 3136 of 3920, and the memory is far from its limit.
    assert_eq!(heat.before, Ppm(1_000_000 * 3700 / 3920 - 800_000));
    let verdict = planned.report.pods.iter().find(|verdict| verdict.pod.name == "small-0").expect("a verdict");
    assert_eq!(verdict.reason, Reason::RelievesNode { limit: Ppm::percent(80) });
}

#[test]
fn what_is_cool_stays() {
    let mut input = cooled(hot());
    input.policy.optimize.node_usage = Ppm::percent(95);
    assert!(plan(&input).plan.is_empty());
}

/// Nothing is near its requests but on n2, which uses more than it asks for.
#[test]
fn usage_counts_where_it_is_known() {
    let world = hot().app("guest", 300, &["n2"]);
    let mut input = cooled(world);
    uses(&mut input, &[("guest", 900), ("other", 2700), ("large", 200)], &[("n1", 1400), ("n2", 3600), ("n3", 100)]);
    let planned = plan(&input);
    assert_eq!(moves(&planned), set(&["guest-0 -> n3"]));
    let heat = planned.report.heat.expect("the heat is told");
    assert_eq!((heat.hot_before, heat.hot_after), (1, 0));
    // Known to be hot, and no cool node has room for what it would take.
    uses(&mut input, &[("guest", 900), ("other", 2700)], &[("n1", 3000), ("n2", 3600), ("n3", 3000)]);
    assert!(plan(&input).plan.is_empty());
}

#[test]
fn two_pods_go_where_no_single_one_suffices() {
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2"])
        .app("a", 400, &["n1"])
        .app("b", 400, &["n1"])
        .app("c", 300, &["n1"])
        .app("rest", 2700, &["n1"]);
    let mut input = cooled(world);
    input.cluster.pods.values_mut().filter(|pod| pod.key.name == "rest-0").for_each(|pod| pod.excluded = true);
    let planned = plan(&input);
    // 664m are too much: 400m of it go first, and the smallest that suffices for the rest.
    assert_eq!(moves(&planned), set(&["a-0 -> n2", "c-0 -> n2"]));
}

/// Whatever is moved, no node becomes hot by it and the heat falls.
#[test]
fn no_node_is_heated_for_another() {
    let mut random = Random(5);
    let (mut relieved, mut moved) = (0, 0);
    for round in 0..80 {
        let nodes: Vec<String> = (0..2 + random.below(4)).map(|number| format!("n{number}")).collect();
        let mut world = World::default().nodes("e2-standard-4", &nodes.iter().map(String::as_str).collect::<Vec<_>>());
        for (number, node) in nodes.iter().enumerate() {
            let mut free = 3900;
            for part in 0..1 + random.below(6) {
                let cpu = 100 + 100 * random.below(14) as i64;
                if cpu <= free {
                    free -= cpu;
                    world = world.app_with(&format!("app{number}-{part}"), pod_spec(cpu, GIB / 4), &[node]);
                }
            }
        }
        let input = cooled(world);
        let planned = plan(&input);
        let heat = planned.report.heat.expect("the heat is told");
        assert!(planned.plan.add.is_empty() && planned.plan.remove.is_empty(), "round {round}");
        assert!(planned.plan.is_empty() || heat.after < heat.before, "round {round}");
        assert!(heat.hot_after <= heat.hot_before, "round {round}");
        // The same from the facts.
        let share = |node: &NodeFact, moved: bool| {
            let on = |pod: &&PodFact| {
                let verdict = planned.report.pods.iter().find(|verdict| verdict.pod == pod.key).expect("a verdict");
                match &verdict.action {
                    PodAction::Move(Target::Node(to)) if moved => *to == node.name,
                    _ => pod.node.as_ref() == Some(&node.name),
                }
            };
            let used: i64 = input.cluster.pods.values().filter(on).map(|pod| pod.spec.requests.cpu.0).sum();
            Ppm::of(used, node.allocatable.cpu.0)
        };
        for node in input.cluster.nodes.values() {
            let (before, after) = (share(node, false), share(node, true));
            assert!(after <= before || after <= Ppm::percent(80), "round {round}: {} {before} {after}", node.name);
        }
        relieved += usize::from(heat.hot_after < heat.hot_before);
        moved += planned.plan.moves.len();
    }
    println!("{relieved} of 80 relieved by {moved} moves");
    assert!(relieved > 20, "{relieved} of 80");
}
