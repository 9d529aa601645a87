//! Figures that take several plans of a cluster.

use std::time::Instant;

use journal_schema::plan::{Plan, PlanningInput};
use journal_schema::policy::Limits;
use journal_schema::units::MicroUsdPerHour;
use planner::rivals::{Rival, outcome};

use crate::aftermath::{carried_out, churned};
use crate::percent_above;
use crate::synthetic::Random;

/// Prices of a move that are tried, in micro-USD per hour.
const PRICES: [i64; 6] = [0, 1_000, 2_000, 5_000, 10_000, 20_000];
/// Plans that look for the price of a move at which a cost is just reached.
const BISECTIONS: u32 = 10;
/// Least and most price of a move that is tried there, in micro-USD per hour.
const RANGE: (i64, i64) = (500, 200_000);
/// Of these, the ones at which plans after churn are made.
const CHURN_PRICES: [i64; 2] = [1_000, 10_000];
/// Steps of a plan from scratch, in multiples of the usual ones.
const FROM_SCRATCH: u32 = 16;
/// Shares of the pods that go and come, in thousandths.
const CHURN: [usize; 2] = [10, 50];
/// Steps of the search for a plan that is soon there.
const STEPS: [u32; 6] = [0, 250, 1_000, 2_500, 5_000, 20_000];
/// Lots that are drawn.
const SEEDS: u64 = 12;
/// Times the usual steps.
const MORE_STEPS: [u32; 4] = [1, 4, 16, 64];

/// Pods that could move: those of no DaemonSet.
pub(crate) fn movable(input: &PlanningInput) -> usize {
    input.cluster.pods.values().filter(|pod| !pod.of_daemon_set() && pod.node.is_some()).count()
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// A plan at a price of a move, and the seconds that it takes.
fn planned(input: &PlanningInput, move_price: i64, limits: &Limits) -> Option<(Plan, f64)> {
    let mut input = input.clone();
    input.policy.optimize.move_penalty = MicroUsdPerHour(move_price);
    let began = Instant::now();
    match planner::plan(&input, limits) {
        Ok(planned) => Some((planned.plan, began.elapsed().as_secs_f64())),
        Err(error) => {
            println!("  no plan: {error}");
            None
        }
    }
}

fn line(what: &str, input: &PlanningInput, plan: &Plan, seconds: f64) {
    println!(
        "  {what}: {} of {} | saves {:.1} %, {:.2} % above the bound | {} moves, {:.1} % of the pods | {seconds:.2} s",
        plan.cost_after,
        plan.cost_now,
        plan.savings().0 as f64 / 1e4,
        percent_above(plan.cost_after, plan.lower_bound),
        plan.moves.len(),
        share(plan.moves.len(), movable(input)),
    );
}

/// What plans cost and move at several prices of a move.
pub(crate) fn prices(input: &PlanningInput) {
    for price in PRICES {
        if let Some((plan, seconds)) = planned(input, price, &Limits::default()) {
            line(&format!("{} $/h a move", MicroUsdPerHour(price)), input, &plan, seconds);
        }
    }
}

/// What moves buy, as the report of a plan says.
pub(crate) fn frontier(input: &PlanningInput) {
    match planner::plan(input, &Limits::default()) {
        Ok(planned) => {
            let count = movable(input);
            for point in planned.report.frontier.iter() {
                let moves = point.moves as usize;
                println!(
                    "  {} | {moves} moves ({:.1} %) | from {} $/h a move",
                    point.cost,
                    share(moves, count),
                    point.move_price
                );
            }
            println!("  planned: {} | {} moves", planned.plan.cost_after, planned.plan.moves.len());
        }
        Err(error) => println!("  no plan: {error}"),
    }
}

/// At what Karpenter ends with: how many pods it evicts, and how many a plan of no greater cost moves.
pub(crate) fn evictions(input: &PlanningInput) {
    let rival = outcome(input, Rival::Karpenter);
    let count = movable(input);
    let (moved, evictions) = (rival.moved as usize, rival.evictions as usize);
    println!(
        "  Karpenter: {} | {moved} moved ({:.1} %), {evictions} evictions ({:.1} %)",
        rival.cost,
        share(moved, count),
        share(evictions, count),
    );
    let (mut least, mut most) = RANGE;
    let mut best: Option<(Plan, f64, i64)> = None;
    for _ in 0..BISECTIONS {
        // Prices are tried in even ratios.
        let price = ((least as f64) * (most as f64)).sqrt() as i64;
        let Some((plan, seconds)) = planned(input, price, &Limits::default()) else { return };
        if plan.cost_after <= rival.cost {
            least = price;
            if best.as_ref().is_none_or(|(best, ..)| plan.moves.len() < best.moves.len()) {
                best = Some((plan, seconds, price));
            }
        } else {
            most = price;
        }
    }
    let Some((plan, seconds, price)) = best else {
        println!("  no plan of no greater cost");
        return;
    };
    line(&format!("{} $/h a move", MicroUsdPerHour(price)), input, &plan, seconds);
    let fewer = |than: usize| 100.0 - share(plan.moves.len(), than);
    println!("  fewer than are moved: {:.1} %; than evictions: {:.1} %", fewer(moved), fewer(evictions));
}

/// How soon there is a plan that is cheaper than what every rival ends with.
pub(crate) fn first(input: &PlanningInput) {
    let outcomes = Rival::ALL.map(|rival| (outcome(input, rival).cost, rival.name()));
    let (cost, rival) = outcomes.into_iter().min().unwrap_or_default();
    println!("  best rival: {cost}, {rival}");
    for steps in STEPS {
        let limits = Limits { search_steps: steps, ..Limits::default() };
        if let Some((plan, seconds)) = planned(input, input.policy.optimize.move_penalty.0, &limits) {
            let verdict = if plan.cost_after < cost { "cheaper than all" } else { "dearer" };
            line(&format!("{steps} steps, {verdict}"), input, &plan, seconds);
        }
    }
}

/// How far plans are above the bound when the search draws other lots.
pub(crate) fn seeds(input: &PlanningInput) {
    let mut above = Vec::new();
    let mut seconds = 0.0;
    for seed in 0..SEEDS {
        let mut input = input.clone();
        input.iteration += 100 * seed;
        let price = input.policy.optimize.move_penalty.0;
        let Some((plan, took)) = planned(&input, price, &Limits::default()) else { return };
        above.push(percent_above(plan.cost_after, plan.lower_bound));
        seconds += took;
    }
    let mean = above.iter().sum::<f64>() / SEEDS as f64;
    let all: Vec<String> = above.iter().map(|one| format!("{one:.2}")).collect();
    println!("  mean {mean:.3} % above the bound | {} | {seconds:.1} s", all.join(" "));
}

/// What more steps of the search buy.
pub(crate) fn steps(input: &PlanningInput) {
    for times in MORE_STEPS {
        let limits = Limits::default();
        let limits = Limits { search_steps: limits.search_steps.saturating_mul(times), ..limits };
        if let Some((plan, seconds)) = planned(input, input.policy.optimize.move_penalty.0, &limits) {
            line(&format!("{times} times the steps"), input, &plan, seconds);
        }
    }
}

/// What a plan makes of the cluster that the plan before left behind, once some pods have gone and others come.
pub(crate) fn churn(input: &PlanningInput) {
    for price in CHURN_PRICES {
        let Some((first, seconds)) = planned(input, price, &Limits::default()) else { return };
        line(&format!("{} $/h a move", MicroUsdPerHour(price)), input, &first, seconds);
        let settled = carried_out(input, &first);
        for per_mille in CHURN {
            let changed = churned(&settled, per_mille, &mut Random(9));
            let percent = per_mille as f64 / 10.0;
            let again = planned(&changed, price, &Limits::default());
            // However little there is to gain: what is planned from scratch has all the steps.
            let all = Limits { search_steps: Limits::default().search_steps * FROM_SCRATCH, ..Limits::default() };
            let scratch = planned(&changed, 0, &all);
            let (Some((again, seconds)), Some((scratch, _))) = (again, scratch) else { return };
            line(&format!("  after {percent} % churn"), &changed, &again, seconds);
            println!(
                "      {:.2} % above a plan from scratch, {}",
                percent_above(again.cost_after, scratch.cost_after),
                scratch.cost_after
            );
        }
    }
}
