//! What moves buy: that the points are what they say, and that a price of a move chooses among them.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::policy::{Limits, Objective};
use journal_schema::units::MicroUsdPerHour;
use synthetic::{Shape, generate, price};
use world::{World, plan};

fn points(planned: &Planned) -> Vec<(u32, i64, i64)> {
    let point = |point: &journal_schema::plan::FrontierPoint| (point.moves, point.cost.0, point.move_price.0);
    planned.report.frontier.iter().map(point).collect()
}

/// Three nodes of which one is enough, with one, four and twelve pods: the first dollar costs one move, the second four.
fn three_nodes() -> World {
    World::default()
        .nodes("e2-standard-4", &["n1", "n2", "n3"])
        .app("one", 50, &["n1"])
        .app("four", 50, &["n2"; 4])
        .app("twelve", 50, &["n3"; 12])
}

#[test]
fn each_further_dollar_costs_more_moves() {
    let each = price("e2-standard-4");
    let planned = plan(&three_nodes().input(&[]));
    assert_eq!(points(&planned), [(0, 3 * each, each), (1, 2 * each, (each + 3) / 4), (5, each, 0)]);
}

/// The price that a point names is where plans turn from the next one to it.
#[test]
fn a_price_of_a_move_chooses_among_the_points() {
    let all = points(&plan(&three_nodes().input(&[])));
    let at = |move_price: i64| {
        let mut input = three_nodes().input(&[]);
        input.policy.optimize.move_penalty = MicroUsdPerHour(move_price);
        let planned = plan(&input);
        assert_eq!(points(&planned), all, "the points are the same at {move_price}");
        (u32::try_from(planned.plan.moves.len()).expect("few"), planned.plan.cost_after.0)
    };
    for pair in all.windows(2) {
        let (dear, cheap) = (pair[0], pair[1]);
        // A node less counts for a few millionths by itself.
        assert_eq!(at(dear.2 + 10), (dear.0, dear.1));
        assert_eq!(at(dear.2 - 10), (cheap.0, cheap.1));
    }
}

/// Pods that wait are placed in any case: that moves nothing.
#[test]
fn what_waits_is_placed_at_every_point() {
    let mut world = three_nodes();
    let pod = world.pod_mut("twelve-0");
    (pod.node, pod.ready, pod.unschedulable) = (None, false, true);
    let planned = plan(&world.input(&[]));
    let first = points(&planned)[0];
    assert_eq!((first.0, first.1), (0, 3 * price("e2-standard-4")));
}

#[test]
fn another_objective_has_no_such_points() {
    for objective in [Objective::Balance, Objective::NodeUsage] {
        let mut input = three_nodes().input(&[]);
        input.policy.optimize.objective = objective;
        assert_eq!(points(&plan(&input)), []);
    }
}

fn made(seed: u64) -> PlanningInput {
    let mut input = generate(&Shape { nodes: 50, deleted_percent: 40, families: &["e2", "n2"], seed });
    input.policy.optimize.limits.search_steps = 4_000;
    input
}

/// What a plan at a price of a move comes to at that price is what the points promise, but for what the rehearsal takes
/// and a short search misses.
#[test]
fn plans_at_other_prices_are_near_the_points() {
    let mut compared = 0;
    for seed in [21, 22] {
        let input = made(seed);
        let planned = plan(&input);
        let all = points(&planned);
        assert_eq!((all[0].0, all[0].1), (0, planned.plan.cost_now.0), "nothing moved");
        assert!(all.iter().all(|point| point.1 >= planned.plan.lower_bound.0), "{all:?}");
        assert!(all.len() >= 4, "{all:?}");
        for pair in all.windows(2) {
            let move_price = pair[0].2.midpoint(pair[1].2);
            let worth = |moves: i64, cost: i64| cost + moves * move_price;
            let promised = worth(i64::from(pair[1].0), pair[1].1);
            let mut other = made(seed);
            other.policy.optimize.move_penalty = MicroUsdPerHour(move_price);
            let other = plan(&other).plan;
            let came = worth(other.moves.len() as i64, other.cost_after.0);
            println!("seed {seed} at {move_price}: promised {promised}, came {came}");
            assert!((came - promised).abs() * 20 <= promised, "at {move_price} {promised} was promised, {came} came");
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared}");
}

/// Where moves are dear many nodes stay, and which of them leave is what matters. The limits are half-way to what came
/// of it when none of those that had left came back while others left.
#[test]
fn where_moves_are_dear_those_nodes_leave_that_save_most_for_them() {
    for (move_price, most) in [(10_000, 68_900_000), (20_000, 76_600_000)] {
        let mut input = generate(&Shape { nodes: 385, deleted_percent: 50, families: &["e2", "n2", "c3"], seed: 2 });
        input.policy.optimize.move_penalty = MicroUsdPerHour(move_price);
        let plan = plan(&input).plan;
        let comes_to = plan.cost_after.0 + move_price * plan.moves.len() as i64;
        assert!(comes_to <= most, "at {move_price}: {comes_to}");
    }
}

/// A node that stays lends its room to the pods of others: what leaves is not what is emptiest, but what costs most for
/// all that it holds and could hold. The limit is half-way to what came of it when only its pods were counted.
#[test]
fn where_moves_are_dear_nodes_stay_whose_room_is_cheap() {
    let mut input = generate(&Shape { nodes: 385, deleted_percent: 50, families: &["e2", "n2", "c3"], seed: 2 });
    input.policy.optimize.move_penalty = MicroUsdPerHour(5_000);
    let plan = plan(&input).plan;
    let comes_to = plan.cost_after.0 + 5_000 * plan.moves.len() as i64;
    assert!(comes_to <= 64_300_000, "{comes_to}");
}

#[test]
fn the_points_are_the_same_for_any_number_of_threads() {
    let input = made(23);
    let with = |threads| {
        let limits = Limits { threads, ..input.policy.optimize.limits };
        planner::plan(&input, &limits).expect("a plan").report.frontier
    };
    assert_eq!(with(1), with(3));
}
