//! Rivals on clusters so small that their documentation says what they do.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::plan::PlanningInput;
use journal_schema::policy::Limits;
use planner::rivals::{Outcome, Rival, outcome};
use synthetic::{Shape, generate, pod_spec, price};
use world::{GIB, World};

fn costs(outcome: &Outcome, types: &[&str]) {
    assert_eq!(outcome.cost.0, types.iter().map(|t| price(t)).sum::<i64>(), "{outcome:?}");
    assert_eq!(outcome.pending, 0, "{outcome:?}");
}

/// Three nodes that are used as much.
fn three(cpu: i64) -> PlanningInput {
    World::default().nodes("e2-standard-4", &["n1", "n2", "n3"]).app("web", cpu, &["n1", "n2", "n3"]).input(&[])
}

#[test]
fn the_autoscaler_removes_a_node_that_is_less_than_half_used() {
    let after = outcome(&three(1900), Rival::ClusterAutoscaler);
    costs(&after, &["e2-standard-4"; 2]);
    assert_eq!((after.commands, after.evictions, after.moved), (1, 1, 1));
}

#[test]
fn the_autoscaler_leaves_a_node_that_is_half_used_and_a_node_that_must_stay() {
    // 1,961 of 3,920 milli-CPU.
    let half = World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 1961, &["n1"]);
    costs(&outcome(&half.input(&[]), Rival::ClusterAutoscaler), &["e2-standard-4"]);
    let mut kept = three(1000);
    for node in kept.cluster.nodes.values_mut() {
        node.excluded = true;
    }
    costs(&outcome(&kept, Rival::ClusterAutoscaler), &["e2-standard-4"; 3]);
}

#[test]
fn the_autoscaler_never_takes_a_smaller_machine() {
    let world = || World::default().nodes("e2-standard-16", &["big"]).app("web", 850, &["big"; 4]);
    let types = ["e2-standard-2", "e2-standard-4"];
    costs(&outcome(&world().input(&types), Rival::ClusterAutoscaler), &["e2-standard-16"]);
    let after = outcome(&world().input(&types), Rival::Karpenter);
    costs(&after, &["e2-standard-4"]);
    assert_eq!((after.commands, after.evictions), (1, 4));
}

#[test]
fn consolidation_replaces_many_nodes_by_one() {
    // Eight cores of pods that fit on none of the others, but together on a machine for the price of two.
    let names = ["n1", "n2", "n3"];
    let world = World::default().nodes("n2-standard-8", &names).app("web", 5_000, &names);
    let after = outcome(&world.input(&["e2-standard-16"]), Rival::Karpenter);
    costs(&after, &["e2-standard-16"]);
    assert_eq!((after.commands, after.evictions), (1, 3));
}

#[test]
fn consolidation_boots_one_node_at_a_time_so_it_misses_what_takes_two() {
    // One large machine for two small ones: each holds half of the pods.
    let world =
        || World::default().nodes("n2-standard-16", &["big"]).app_with("web", pod_spec(1_700, GIB), &["big"; 8]);
    let types = ["e2-highcpu-8"];
    costs(&outcome(&world().input(&types), Rival::Karpenter), &["n2-standard-16"]);
    let planned = world::plan(&world().input(&types));
    assert_eq!(planned.plan.cost_after.0, 2 * price("e2-highcpu-8"));
}

#[test]
fn empty_nodes_leave_at_once() {
    let world = World::default().nodes("e2-standard-4", &["n1", "n2", "n3"]).app("web", 3_000, &["n2"]);
    for rival in [Rival::ClusterAutoscaler, Rival::Karpenter] {
        let after = outcome(&input_of(&world, &[]), rival);
        costs(&after, &["e2-standard-4"]);
        assert_eq!(after.evictions, 0, "{rival:?}");
    }
}

fn input_of(world: &World, types: &[&str]) -> PlanningInput {
    World { cluster: world.cluster.clone() }.input(types)
}

#[test]
fn first_fit_packs_everything_anew_and_makes_machines_smaller() {
    let names = ["n1", "n2", "n3"];
    let world = World::default().nodes("n2-standard-8", &names).app("web", 3_000, &names);
    // Two of three cores fit a machine of eight; the third pod needs one of four only.
    let after = outcome(&world.input(&["e2-standard-4", "e2-standard-8"]), Rival::FirstFitDecreasing);
    costs(&after, &["e2-standard-4", "e2-standard-8"]);
}

#[test]
fn a_pending_pod_gets_a_place_from_every_rival() {
    let world = World::default().nodes("e2-standard-4", &["n1"]).app("web", 3_000, &["n1", ""]);
    for rival in Rival::ALL {
        costs(&outcome(&input_of(&world, &["e2-standard-4"]), rival), &["e2-standard-4"; 2]);
    }
}

/// No rival is below the bound, which is about any placement under the same rules, and plans are no dearer
/// than what the two rivals end with that also go from the present placement.
#[test]
fn rivals_are_above_the_bound_and_plans_below_the_rivals() {
    for seed in 0..6 {
        let families: &[&str] = if seed % 2 == 0 { &["e2", "n2", "c3"] } else { &["e2"] };
        let input = generate(&Shape { nodes: 16 + 8 * seed as usize, deleted_percent: 25 + 5 * seed, families, seed });
        let planned = planner::plan(&input, &Limits::default()).expect("a plan");
        for rival in Rival::ALL {
            let after = outcome(&input, rival);
            assert_eq!(after, outcome(&input, rival), "seed {seed}: {rival:?} is not deterministic");
            assert!(after.pending > 0 || planned.plan.lower_bound <= after.cost, "seed {seed}: {rival:?} {after:?}");
            let compared = rival != Rival::FirstFitDecreasing;
            assert!(!compared || planned.plan.cost_after <= after.cost, "seed {seed}: {rival:?} {after:?}");
        }
    }
}
