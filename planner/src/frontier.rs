//! What moves buy: cost against moves, from nothing moved to the cheapest placement that is found.
//!
//! How many moves are worth a dollar is the operator's choice (`movePenalty`), and one plan does not tell what
//! another choice would have come to. So the search is asked again at a ladder of prices of a move, from one at
//! which few pods are worth moving down to zero. What a rung does is a small share of the work of the plan's own
//! search, and starts from what that found (`search::climb`).
//!
//! The points are placements on the compiled model, before any rehearsal. Those are kept which are best at some
//! price of a move: the lower hull of cost over what the moves take. Along it each further dollar costs more moves
//! than the one before, and the price of a move says where to stop.
//!
//! What a rung finds may also be better at the plan's own price than what the search found for that; then it
//! becomes a candidate for the plan.

use journal_schema::plan::FrontierPoint;
use journal_schema::text::Few;
use journal_schema::units::MicroUsdPerHour;

use crate::model::Model;
use crate::moves::MOVE;
use crate::search::{self, Goal, Outset};
use crate::state::State;

/// The prices of the ladder, in parts of what the nodes that may leave cost for each ordinary move that emptying them
/// takes: at twice that few pods are worth moving, and at a sixteenth of it most are.
const RUNGS: [i64; 8] = [64, 48, 32, 16, 8, 4, 2, 0];
const PARTS: i64 = 32;
/// Of the steps that the plan's own search has, one in so many is given to each rung.
const STEPS_SHARE: u64 = 60;
/// A point that is so near the one before it is not told: shares of the range of costs and of moves, as divisors.
const WORTH_TELLING: i64 = 100;
const WORTH_TELLING_MOVES: usize = 100;

/// What a placement comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    /// What its moves take, in thousandths of an ordinary move.
    toll: i64,
    /// Micro-USD per hour.
    cost: i64,
    /// Pods that move.
    moves: usize,
}

impl Outcome {
    fn of(state: &State<'_, '_>) -> Self {
        let closed = (0..state.nodes()).filter(|host| !state.open[*host]);
        let moves = closed.map(|host| state.model.hosts[host].home.len()).sum();
        Self { toll: state.toll, cost: state.cost, moves }
    }
}

/// Asks the search again at a ladder of prices of a move. Adds to `found`, which is sorted by price, what is cheaper
/// than all of it.
///
/// Work: an eighth of the search's steps, emptying nodes once, and closing them by threshold twice a rung at most.
/// Deterministic.
pub(crate) fn explore<'m, 'a>(
    model: &'m Model<'a>,
    outset: &Outset<'m, 'a>,
    goal: &Goal<'_>,
    found: &mut Vec<State<'m, 'a>>,
) -> Few<FrontierPoint> {
    let prices = ladder(model);
    let climbed = search::climb(outset, found, &prices, outset.effort.steps / STEPS_SHARE, goal);
    let least = found.iter().chain(&climbed).map(|state| state.homeless).min().unwrap_or(0);
    let outcomes = found.iter().chain(&climbed).filter(|state| state.homeless == least).map(Outcome::of).collect();
    let better = climbed.into_iter().min_by_key(|state| goal.price(state));
    if let Some(better) = better.filter(|state| found.first().is_some_and(|best| goal.price(state) < goal.price(best)))
    {
        found.insert(0, better);
    }
    points(outcomes)
}

/// Prices of a move in micro-USD per hour, highest first; none where no node may leave, or nothing would move.
fn ladder(model: &Model<'_>) -> Vec<i64> {
    let (cost, toll) = model.stakes();
    if toll == 0 {
        return Vec::new();
    }
    let each = i128::from(cost) * i128::from(MOVE) / i128::from(toll);
    let mut prices: Vec<i64> =
        RUNGS.iter().map(|parts| i64::try_from(each * i128::from(*parts) / i128::from(PARTS)).unwrap_or(0)).collect();
    prices.dedup();
    prices
}

/// Those that are best at some price of a move, the fewest moves first.
fn points(mut outcomes: Vec<Outcome>) -> Few<FrontierPoint> {
    outcomes.sort_unstable();
    let mut hull: Vec<Outcome> = Vec::new();
    for next in outcomes {
        if hull.last().is_some_and(|last| last.cost <= next.cost) {
            continue;
        }
        // The last one is not best at any price if the way past it to the next is as steep.
        while let [.., before, last] = hull[..]
            && !steeper((before, last), (last, next))
        {
            hull.pop();
        }
        hull.push(next);
    }
    thin(&mut hull);
    let point = |(place, outcome): (usize, &Outcome)| FrontierPoint {
        moves: u32::try_from(outcome.moves).unwrap_or(u32::MAX),
        cost: MicroUsdPerHour(outcome.cost),
        move_price: MicroUsdPerHour(hull.get(place + 1).map_or(0, |next| rate(*outcome, *next))),
    };
    Few::new(hull.iter().enumerate().map(point).collect()).unwrap_or_default()
}

/// Whether one step of the hull saves more for what its moves take than another.
fn steeper(one: (Outcome, Outcome), other: (Outcome, Outcome)) -> bool {
    let saved = |(from, to): (Outcome, Outcome)| i128::from(from.cost - to.cost);
    let taken = |(from, to): (Outcome, Outcome)| i128::from(to.toll - from.toll);
    saved(one) * taken(other) > saved(other) * taken(one)
}

/// What a step saves for each ordinary move, in micro-USD per hour, rounded up: at that price it is not worth it.
fn rate(from: Outcome, to: Outcome) -> i64 {
    let (saved, taken) = (i128::from(from.cost - to.cost), i128::from(to.toll - from.toll).max(1));
    i64::try_from((saved * i128::from(MOVE)).div_euclid(taken) + i128::from(saved * i128::from(MOVE) % taken > 0))
        .unwrap_or(i64::MAX)
}

/// Leaves out what is hardly another point, and what moves more pods that are easier to move: a reader counts pods.
fn thin(hull: &mut Vec<Outcome>) {
    let (Some(first), Some(last)) = (hull.first().copied(), hull.last().copied()) else { return };
    let most = hull.iter().map(|outcome| outcome.moves).max().unwrap_or(0);
    let near = |one: Outcome, other: Outcome| {
        (one.cost - other.cost) * WORTH_TELLING < first.cost - last.cost
            && one.moves.abs_diff(other.moves) * WORTH_TELLING_MOVES < most
    };
    let mut kept: Vec<Outcome> = Vec::new();
    for outcome in hull.drain(..) {
        while let Some(before) = kept.last().copied()
            && (before.moves >= outcome.moves || (kept.len() > 1 && outcome == last && near(before, outcome)))
        {
            kept.pop();
        }
        if outcome == last || kept.last().is_none_or(|before| !near(*before, outcome)) {
            kept.push(outcome);
        }
    }
    // Two prices of a move that are the same in whole micro-dollars leave none at which the point between is best.
    let mut place = 1;
    while place + 1 < kept.len() {
        if rate(kept[place - 1], kept[place]) <= rate(kept[place], kept[place + 1]) {
            kept.remove(place);
            place = (place - 1).max(1);
        } else {
            place += 1;
        }
    }
    *hull = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(moves: usize, cost: i64) -> Outcome {
        Outcome { toll: i64::try_from(moves).unwrap_or(0) * MOVE, cost, moves }
    }

    fn told(outcomes: &[(usize, i64)]) -> Vec<(u32, i64, i64)> {
        let points = points(outcomes.iter().map(|(moves, cost)| outcome(*moves, *cost)).collect());
        points.iter().map(|point| (point.moves, point.cost.0, point.move_price.0)).collect()
    }

    /// What another beats at every price is left out, and a point's price is where the next begins to be better.
    #[test]
    fn the_lower_hull_is_told_with_its_slopes() {
        let all = [(40, 500), (0, 1_000), (10, 700), (20, 690), (30, 720), (50, 500)];
        assert_eq!(told(&all), [(0, 1_000, 30), (10, 700, 7), (40, 500, 0)]);
    }

    #[test]
    fn a_price_that_is_no_whole_number_is_rounded_up() {
        assert_eq!(told(&[(0, 100), (3, 0)]), [(0, 100, 34), (3, 0, 0)]);
    }

    #[test]
    fn what_is_hardly_another_point_is_not_told_but_the_ends_are() {
        let near = [(0, 10_000), (500, 2_000), (503, 1_990), (995, 5), (1_000, 0)];
        assert_eq!(told(&near), [(0, 10_000, 16), (500, 2_000, 4), (1_000, 0, 0)]);
        let far = [(0, 10_000), (500, 100), (1_000, 0)];
        assert_eq!(told(&far), [(0, 10_000, 20), (500, 100, 1), (1_000, 0, 0)]);
        assert_eq!(told(&[(0, 1_000), (7, 999)]), [(0, 1_000, 1), (7, 999, 0)]);
        assert_eq!(told(&[(0, 1_000), (0, 1_000)]), [(0, 1_000, 0)]);
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[(0, 100), (100, 10), (200, 5)]), [(0, 100, 1), (200, 5, 0)]);
    }

    /// Of two points of which one takes more but moves fewer pods, that one is told.
    #[test]
    fn a_reader_counts_pods() {
        let all = [(0, 0, 1_000), (20, 20, 500), (30, 10, 400)];
        let all = all.map(|(toll, moves, cost)| Outcome { toll: toll * MOVE, cost, moves });
        let told: Vec<u32> = points(all.to_vec()).iter().map(|point| point.moves).collect();
        assert_eq!(told, [0, 10]);
    }
}
