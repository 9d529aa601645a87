//! Under the objective of balance machines stay, and CPU-heavy pods change places with memory-heavy ones.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::*;
use journal_schema::plan::{Planned, PlanningInput, PodAction, Target};
use journal_schema::policy::{Actuation, Objective};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use synthetic::{Random, Shape, generate, name, pod_spec};
use world::{GIB, World, plan};

fn balanced(world: World) -> PlanningInput {
    let mut input = world.input(&["e2-standard-4"]);
    input.policy.optimize.objective = Objective::Balance;
    input
}

/// Two nodes, one full of CPU-heavy pods and one of memory-heavy ones. An e2-standard-4 offers 3920m and 13 GiB.
fn apart() -> World {
    World::default()
        .nodes("e2-standard-4", &["n1", "n2"])
        .app_with("cpu-a", pod_spec(1500, GIB / 2), &["n1"])
        .app_with("cpu-b", pod_spec(1500, GIB / 2), &["n1"])
        .app_with("mem-a", pod_spec(200, 5 * GIB), &["n2"])
        .app_with("mem-b", pod_spec(200, 5 * GIB), &["n2"])
}

/// The sum of the nodes' distances from the pivot, in thousandths of a node, worked out from the facts with the
/// pods where `at` says.
fn entropy(input: &PlanningInput, at: &BTreeMap<&Key, &Name>) -> f64 {
    let mut used: BTreeMap<&Name, (f64, f64)> = BTreeMap::new();
    for (pod, node) in at {
        let requests = &input.cluster.pods[*pod].spec.requests;
        let sum = used.entry(node).or_default();
        *sum = (sum.0 + requests.cpu.0 as f64, sum.1 + requests.memory.0 as f64);
    }
    let offered = |node: &NodeFact| (node.allocatable.cpu.0 as f64, node.allocatable.memory.0 as f64);
    let nodes: Vec<(&NodeFact, (f64, f64))> =
        input.cluster.nodes.values().map(|node| (node, used.get(&node.name).copied().unwrap_or_default())).collect();
    let of = |part: fn((f64, f64)) -> f64| {
        nodes.iter().map(|(_, used)| part(*used)).sum::<f64>()
            / nodes.iter().map(|(node, _)| part(offered(node))).sum::<f64>()
    };
    let (cpu, memory) = (of(|pair| pair.0), of(|pair| pair.1));
    let distance = |(node, used): &(&NodeFact, (f64, f64))| {
        let (shares, all) = ((used.0 / offered(node).0, used.1 / offered(node).1), cpu.max(memory));
        (shares.0 * memory - shares.1 * cpu).abs() / all
    };
    nodes.iter().map(distance).sum::<f64>() * 1000.0
}

/// The entropy before and after, from the facts and the plan.
fn entropies(input: &PlanningInput, planned: &Planned) -> (f64, f64) {
    let bound = input.cluster.pods.values().filter(|pod| !pod.finished());
    let before: BTreeMap<&Key, &Name> = bound.filter_map(|pod| Some((&pod.key, pod.node.as_ref()?))).collect();
    let mut after = before.clone();
    for verdict in &planned.report.pods {
        if let PodAction::Move(Target::Node(node)) | PodAction::Place(Target::Node(node)) = &verdict.action {
            after.insert(&verdict.pod, node);
        }
    }
    (entropy(input, &before), entropy(input, &after))
}

/// That the report says what the facts say, and that nothing but pods of nodes that stay is touched.
fn check(input: &PlanningInput, planned: &Planned) {
    let (before, after) = entropies(input, planned);
    let report = &planned.report.balance;
    let told = (report.before.0 as f64 / 1000.0, report.after.0 as f64 / 1000.0);
    assert!((before - told.0).abs() < 1.0 && (after - told.1).abs() < 1.0, "{told:?} for {before} {after}");
    assert!(planned.plan.add.is_empty() && planned.plan.remove.is_empty());
    assert_eq!(planned.plan.shifts().count(), planned.plan.moves.len());
    assert!(planned.plan.moves.len() <= 100, "fifty rounds of two pods at most");
    let moved: BTreeSet<&Key> = planned.plan.moves.iter().map(|step| &step.pod).collect();
    assert_eq!(moved.len(), planned.plan.moves.len(), "no pod moves twice");
    assert!(planned.plan.moves.is_empty() || report.after < report.before);
    for verdict in &planned.report.pods {
        assert_eq!(verdict.reason == Reason::EvensOut, matches!(verdict.action, PodAction::Move(_)));
    }
}

#[test]
fn heavy_pods_of_both_kinds_change_places() {
    let input = balanced(apart());
    let planned = plan(&input);
    check(&input, &planned);
    let on: BTreeSet<(&str, &Target)> =
        planned.plan.moves.iter().map(|step| (&step.pod.name.as_str()[..3], &step.to)).collect();
    let (n1, n2) = (Target::Node(name("n1")), Target::Node(name("n2")));
    assert_eq!(on, [("cpu", &n2), ("mem", &n1)].into());
    assert_eq!(planned.plan.moves.len(), 2);
    // 0.36 more CPU than the pivot on n1 and as much more memory on n2; evenly mixed afterwards.
    let report = &planned.report.balance;
    assert!(report.before.0 > 600_000 && report.after.0 < 1_000, "{report:?}");
    // 3400m for 11 GiB.
    assert_eq!(report.pivot.0, 3400 / 11);
}

#[test]
fn what_is_balanced_stays() {
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2"])
        .app_with("cpu", pod_spec(1500, GIB / 2), &["n1", "n2"])
        .app_with("mem", pod_spec(200, 5 * GIB), &["n1", "n2"]);
    let input = balanced(world);
    let planned = plan(&input);
    check(&input, &planned);
    assert!(planned.plan.is_empty());
    assert_eq!(planned.report.balance.before, planned.report.balance.after);
}

/// Under the objective of cost nothing is swapped, and the entropy is told all the same.
#[test]
fn cost_is_the_default() {
    let mut input = balanced(apart());
    input.policy.optimize.objective = Objective::default();
    let planned = plan(&input);
    assert_eq!(planned.plan.shifts().count(), 0);
    let (before, after) = entropies(&input, &planned);
    let report = &planned.report.balance;
    assert!((before - report.before.0 as f64 / 1000.0).abs() < 1.0);
    assert!(!planned.plan.is_empty() || (after - report.after.0 as f64 / 1000.0).abs() < 1.0);
}

/// Both nodes are too full for either pod to come first.
#[test]
fn a_swap_that_cannot_be_carried_out_one_after_the_other_is_not_made() {
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2"])
        .app_with("cpu-a", pod_spec(1900, 6 * GIB), &["n1"])
        .app_with("cpu-b", pod_spec(1900, 6 * GIB), &["n1"])
        .app_with("mem-a", pod_spec(1000, 65 * GIB / 10), &["n2"])
        .app_with("mem-b", pod_spec(1000, 65 * GIB / 10), &["n2"]);
    let input = balanced(world);
    let planned = plan(&input);
    check(&input, &planned);
    assert!(planned.plan.is_empty(), "{:?}", planned.plan.moves);
    assert!(planned.report.balance.before.0 > 200_000, "there is something to even out");
}

#[test]
fn who_may_not_move_or_be_led_stays() {
    let unmoved = |change: &dyn Fn(&mut PlanningInput)| {
        let mut input = balanced(apart());
        change(&mut input);
        let planned = plan(&input);
        assert!(planned.plan.is_empty(), "{:?}", planned.plan.moves);
    };
    unmoved(&|input| input.policy.disruption.steering = false);
    unmoved(&|input| input.policy.disruption.actuation = Actuation::RollingUpdate);
    unmoved(&|input| input.cluster.nodes.values_mut().for_each(|node| node.excluded = true));
    unmoved(&|input| input.cluster.pods.values_mut().for_each(|pod| pod.do_not_disrupt = DoNotDisrupt::Always));
}

/// Two replicas are not put together for the sake of balance.
#[test]
fn replicas_stay_apart() {
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2"])
        .app_with("cpu", pod_spec(1500, GIB / 2), &["n1", "n2"])
        .app_with("more", pod_spec(1500, GIB / 2), &["n1"])
        .app_with("mem", pod_spec(200, 5 * GIB), &["n2"]);
    let input = balanced(world);
    let planned = plan(&input);
    check(&input, &planned);
    assert!(planned.plan.moves.iter().all(|step| !step.pod.name.starts_with("cpu")), "{:?}", planned.plan.moves);
}

/// Pods that wait come first: they get room or a machine, and nothing is swapped meanwhile.
#[test]
fn pods_that_wait_come_first() {
    let input = balanced(apart().app("waiting", 3500, &[""]));
    let planned = plan(&input);
    let reasons: Vec<&Reason> = planned.report.pods.iter().map(|verdict| &verdict.reason).collect();
    assert!(!reasons.contains(&&Reason::EvensOut) && planned.plan.add.is_empty());
    assert!(reasons.iter().any(|reason| matches!(reason, Reason::MakesRoom { .. })), "{reasons:?}");
}

#[test]
fn generated_clusters_are_evened_out() {
    let (mut before, mut after, mut moves) = (0, 0, 0);
    for seed in 0..6 {
        let mut input =
            generate(&Shape { nodes: 15 + 5 * seed as usize, deleted_percent: 30, families: &["e2", "n2"], seed });
        input.policy.optimize.objective = Objective::Balance;
        let planned = plan(&input);
        check(&input, &planned);
        let report = planned.report.balance;
        (before, after, moves) = (before + report.before.0, after + report.after.0, moves + planned.plan.moves.len());
    }
    println!("{before} -> {after} by {moves} moves");
    assert!(after * 10 < before * 8, "{before} -> {after} by {moves} moves");
}

/// Small clusters, each a scatter of pods of either kind.
#[test]
fn entropy_never_rises() {
    let mut random = Random(3);
    let mut fell = 0;
    for _ in 0..60 {
        let nodes: Vec<String> = (0..2 + random.below(4)).map(|number| format!("n{number}")).collect();
        let mut world = World::default().nodes("e2-standard-4", &nodes.iter().map(String::as_str).collect::<Vec<_>>());
        for (number, node) in nodes.iter().enumerate() {
            for part in 0..1 + random.below(3) {
                let cpu = 100 + 100 * random.below(11) as i64;
                let memory = GIB / 4 * (1 + random.below(15) as i64);
                world = world.app_with(&format!("app{number}-{part}"), pod_spec(cpu, memory), &[node]);
            }
        }
        let input = balanced(world);
        let planned = plan(&input);
        check(&input, &planned);
        fell += usize::from(!planned.plan.is_empty());
    }
    assert!(fell > 30, "{fell} of 60");
}
