//! One failure of a node or a zone takes at most a share of a workload: as what a plan is for, and as a limit of plans
//! for cost.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use std::collections::BTreeMap;

use journal_schema::facts::*;
use journal_schema::plan::{Planned, PlanningInput, PodAction, Target};
use journal_schema::policy::{Availability, Limits, Objective};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::Ppm;
use planner::lint::{Check, lint};
use synthetic::{Shape, generate, name};
use world::{World, moves, plan, removed};

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

fn limits(node: Option<i64>, zone: Option<i64>) -> Availability {
    Availability { max_per_node: node.map(Ppm::percent), max_per_zone: zone.map(Ppm::percent) }
}

fn limited(world: World, objective: Objective, availability: Availability) -> PlanningInput {
    let mut input = world.input(&["e2-standard-4"]);
    input.policy.optimize.objective = objective;
    input.policy.optimize.availability = availability;
    input
}

/// Moves nodes to another zone.
fn in_zone(world: &mut World, zone: &str, nodes: &[&str]) {
    for node in nodes {
        let fact = world.cluster.nodes.get_mut(&name(node)).expect("the node exists");
        fact.labels.insert(name(ZONE_LABEL), name(zone));
    }
}

/// By app and place (a node, or its zone): pods in the end, new machines by their slot.
fn ends(input: &PlanningInput, planned: &Planned, zones: bool) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for verdict in &planned.report.pods {
        let pod = &input.cluster.pods[&verdict.pod];
        let (Some(app), false) = (pod.labels.get(&name("app")), pod.of_daemon_set()) else { continue };
        let zone_of = |node: &Name| input.cluster.nodes[node].label(ZONE_LABEL).to_owned();
        let on = |node: &Name| if zones { zone_of(node) } else { node.to_string() };
        let place = match (&verdict.action, &pod.node) {
            (PodAction::Move(Target::Node(node)) | PodAction::Place(Target::Node(node)), _) => on(node),
            (PodAction::Move(Target::New(slot)) | PodAction::Place(Target::New(slot)), _) => {
                let machine = &planned.plan.add[slot.0 as usize];
                if zones { machine.zone.to_string() } else { format!("new {}", slot.0) }
            }
            (PodAction::Stay | PodAction::Unplaced, Some(node)) => on(node),
            (PodAction::Stay | PodAction::Unplaced, None) => continue,
        };
        *counts.entry((app.to_string(), place)).or_default() += 1;
    }
    counts
}

fn most(counts: &BTreeMap<(String, String), usize>) -> usize {
    counts.values().copied().max().unwrap_or(0)
}

#[test]
fn a_workload_with_too_much_on_one_node_is_spread() {
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2", "n3"])
        .app("web", 500, &["n1", "n1", "n1", "n1"])
        .app("one", 500, &["n1"]);
    let input = limited(world, Objective::Availability, limits(Some(50), None));
    let planned = plan(&input);
    assert_eq!(planned.plan.moves.len(), 2, "{:?}", moves(&planned));
    assert!(planned.plan.add.is_empty() && planned.plan.remove.is_empty());
    assert_eq!(most(&ends(&input, &planned, false)), 2);
    let moved = planned.report.pods.iter().filter(|verdict| matches!(verdict.action, PodAction::Move(_)));
    assert!(moved.clone().all(|verdict| verdict.reason == Reason::SpreadsOut), "{:?}", moved.collect::<Vec<_>>());
    let told = planned.report.dispersion.expect("limits are set");
    assert_eq!((told.workloads, told.above_before, told.above_after), (1, 1, 0));
    assert_eq!((told.pods_before, told.pods_after, told.gain()), (2, 0, Ppm::percent(100)));
}

#[test]
fn a_workload_with_too_much_in_one_zone_is_spread() {
    let mut world =
        World::default().nodes("e2-standard-4", &["a1", "a2", "b1"]).app("web", 500, &["a1", "a1", "a2", "a2"]);
    in_zone(&mut world, "us-central1-b", &["b1"]);
    let input = limited(world, Objective::Availability, limits(Some(50), Some(50)));
    let planned = plan(&input);
    assert_eq!(most(&ends(&input, &planned, true)), 2);
    assert_eq!(most(&ends(&input, &planned, false)), 2);
    assert_eq!(planned.plan.moves.len(), 2);
    let told = planned.report.dispersion.expect("limits are set");
    assert_eq!((told.pods_before, told.pods_after), (2, 0));
}

#[test]
fn nothing_moves_within_the_limits_or_without_any() {
    for availability in [limits(Some(50), None), limits(Some(30), Some(100)), limits(None, None)] {
        let world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1", "n2"]);
        let planned = plan(&limited(world, Objective::Availability, availability));
        assert!(planned.plan.is_empty(), "{availability:?}: {:?}", moves(&planned));
        assert_eq!(planned.report.dispersion.is_some(), availability != Availability::default());
    }
}

#[test]
fn who_may_not_move_or_finds_no_room_stays() {
    let full =
        || World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1"; 4]).app("fat", 3600, &["n2"]);
    let planned = plan(&limited(full(), Objective::Availability, limits(Some(50), None)));
    assert!(planned.plan.is_empty(), "{:?}", moves(&planned));
    let told = planned.report.dispersion.expect("limits are set");
    assert_eq!((told.above_before, told.above_after, told.pods_after), (1, 1, 2));
    let mut bound = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1"; 4]);
    bound.cluster.pods.values_mut().for_each(|pod| pod.do_not_disrupt = DoNotDisrupt::Always);
    assert!(plan(&limited(bound, Objective::Availability, limits(Some(50), None))).plan.is_empty());
}

/// Both replicas fit one node, which is cheapest; not where one failure may take half of them at most.
#[test]
fn a_plan_for_cost_keeps_the_limits() {
    let with = |availability| {
        let world = World::default().nodes("e2-standard-4", &["n1", "n2", "n3"]).app("web", 1000, &["n1", "n2"]).app(
            "other",
            1000,
            &["n3"],
        );
        let input = limited(world, Objective::Cost, availability);
        let planned = plan(&input);
        (removed(&planned).len() - planned.plan.add.len(), most(&ends(&input, &planned, false)))
    };
    assert_eq!(with(limits(None, None)), (2, 2));
    assert_eq!(with(limits(Some(50), None)), (1, 1));
    // Three pods of two workloads, all in one zone now: no worse is possible.
    assert_eq!(with(limits(None, Some(50))), (2, 2));
}

/// Where a workload is above its limit already it gets no worse, and cheaper machines are taken all the same.
#[test]
fn a_plan_for_cost_makes_nobody_worse() {
    let world = World::default().nodes("e2-standard-4", &["n1", "n2", "n3", "n4"]).app(
        "web",
        600,
        &["n1", "n1", "n2", "n3", "n4"],
    );
    let input = limited(world, Objective::Cost, limits(Some(20), None));
    let planned = plan(&input);
    assert_eq!(most(&ends(&input, &planned, false)), 2, "{:?}", moves(&planned));
    assert_eq!(removed(&planned).len(), 1, "{:?}", moves(&planned));
}

/// The linter counts by itself: a plan made without limits fails under them, and so does a false report.
#[test]
fn the_linter_counts_for_itself() {
    let world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 1000, &["n1", "n2"]);
    let mut input = limited(world, Objective::Cost, Availability::default());
    let mut planned = plan(&input);
    assert_eq!(removed(&planned).len(), 1);
    let found = |input: &PlanningInput, planned: &Planned| -> Vec<String> {
        let all = lint(input, planned).into_iter();
        all.filter(|finding| finding.check == Check::Availability).map(|finding| finding.to_string()).collect()
    };
    assert_eq!(found(&input, &planned), Vec::<String>::new());
    input.policy.optimize.availability = limits(Some(50), None);
    let findings = found(&input, &planned);
    assert!(findings.iter().any(|text| text.contains("2 of 2 pods end on one node, 1 may")), "{findings:?}");
    input.policy.optimize.availability = Availability::default();
    planned.report.dispersion = plan(&limited(
        World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 1000, &["n1", "n2"]),
        Objective::Cost,
        limits(Some(50), None),
    ))
    .report
    .dispersion;
    assert_eq!(found(&input, &planned).len(), 1);
}

/// The linter refuses a plan that makes a workload worse; what is left is still worth it.
#[test]
fn generated_clusters_keep_their_limits() {
    let (mut free, mut kept) = (0, 0);
    for seed in 0..8 {
        let mut input =
            generate(&Shape { nodes: 12 + 4 * seed as usize, deleted_percent: 40, families: &["e2", "n2"], seed });
        let limits_of_work = Limits { search_steps: 4_000, ..Limits::default() };
        let saved = |input: &PlanningInput| {
            let planned = planner::plan(input, &limits_of_work).expect("a plan");
            planned.plan.cost_now.0 - planned.plan.cost_after.0
        };
        free += saved(&input);
        input.policy.optimize.availability = limits(Some(30), Some(60));
        let two = planner::plan(&input, &limits_of_work).expect("a plan that the linter passes");
        let one = planner::plan(&input, &Limits { threads: 1, ..limits_of_work }).expect("a plan");
        assert_eq!(one, two, "seed {seed}");
        let told = two.report.dispersion.expect("limits are set");
        assert!(told.above_after <= told.workloads);
        kept += two.plan.cost_now.0 - two.plan.cost_after.0;
        // Spread, the same cluster gains or has nothing to gain.
        input.policy.optimize.objective = Objective::Availability;
        let spread = planner::plan(&input, &limits_of_work).expect("a plan");
        let told = spread.report.dispersion.expect("limits are set");
        assert!(told.pods_after <= told.pods_before && (told.pods_after < told.pods_before || spread.plan.is_empty()));
    }
    println!("saved {free} without limits, {kept} with them");
    assert!(kept * 2 > free, "{kept} of {free}");
}
