//! Clusters that are searched in parts.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;

use journal_schema::policy::Limits;
use synthetic::{Shape, generate};

#[test]
fn a_large_cluster_is_planned_alike_by_any_number_of_threads() {
    let input = generate(&Shape { nodes: 900, deleted_percent: 20, families: &["e2", "n2", "c3"], seed: 9 });
    let plan = |threads: u32, search_steps: u32| {
        planner::plan(&input, &Limits { threads, search_steps, ..Limits::default() }).unwrap()
    };
    let alone = plan(1, 1_000);
    for threads in [2, 5] {
        assert_eq!(alone, plan(threads, 1_000), "{threads} threads");
    }
    let hosts = input.cluster.nodes.len() - alone.plan.remove.len() + alone.plan.add.len();
    assert!(hosts > 300, "{hosts} hosts are searched as a whole");
    let start = plan(1, 1);
    assert!(
        alone.plan.cost_after.0 * 1000 < start.plan.cost_after.0 * 995,
        "the parts were not searched: {} after, {} before",
        alone.plan.cost_after,
        start.plan.cost_after
    );
}

/// With hardly any steps a plan is what the search begins with: parts in which shares of the nodes were closed, put
/// together, with the pods that found no place in theirs.
#[test]
fn a_cluster_of_thousands_begins_in_parts() {
    let input = generate(&Shape { nodes: 2_700, deleted_percent: 50, families: &["e2", "n2", "c3"], seed: 5 });
    assert!(input.cluster.nodes.len() > 2_000, "{} nodes", input.cluster.nodes.len());
    let plan = |threads: u32| planner::plan(&input, &Limits { threads, search_steps: 1, ..Limits::default() }).unwrap();
    let alone = plan(1);
    assert_eq!(alone, plan(3), "3 threads");
    let (cost, bound) = (alone.plan.cost_after, alone.plan.lower_bound);
    assert!(cost.0 * 100 <= bound.0 * 108, "{cost} where {bound} is proven");
}
