//! The search asked again at other prices of a move.
//!
//! At a high price few pods should move, and what saves most for its moves is to empty nodes into room that others
//! have; at a low one nodes are closed by threshold and their pods packed anew. So each price starts from the best of
//! both and of what the search found at its own price, and improves it a little. It is no bolder than that: few
//! steps do not make up for a worse placement that they accept.

use super::ruin::{self, Pace, Scope};
use super::{Goal, MANY, Outset, drain, starts};
use crate::parallel::in_parallel;
use crate::state::State;

/// Of the nodes that cost more than their pods are worth and their moves take, the shares that are closed by
/// threshold, in percent: the pods of the others fill what is booted.
const SHARES: [usize; 2] = [65, 50];
/// The same where nodes are many.
const FEW_SHARES: [usize; 1] = [60];
/// Boldness, in percent of a typical host's price.
const HEAT_PERCENT: i64 = 1;

/// Finds a placement for each of these prices of a move, in falling order, near those that were found for the goal's
/// own. Each is improved by `steps`. The goal's threads share the prices.
pub(crate) fn climb<'m, 'a>(
    outset: &Outset<'m, 'a>,
    found: &[State<'m, 'a>],
    prices: &[i64],
    steps: u32,
    goal: &Goal<'_>,
) -> Vec<State<'m, 'a>> {
    let Outset { ground, kept, .. } = outset;
    let emptied = drain::drain_by_stages(kept, goal, prices);
    let rungs: Vec<(i64, State<'m, 'a>)> = prices.iter().copied().zip(emptied).collect();
    in_parallel(goal.threads, &rungs, |(price, emptied)| {
        // What is cheap to move was closed by threshold for the goal's own price already.
        let by_threshold = *price > goal.move_penalty;
        let goal = Goal { move_penalty: *price, threads: 1, ..*goal };
        let mut best = emptied;
        for state in found {
            if goal.price(state) < goal.price(best) {
                best = state;
            }
        }
        let mut best = best.clone();
        let too_dear = starts::too_dear(kept, &goal);
        let shares: &[usize] = if kept.model.hosts.len() < MANY { &SHARES } else { &FEW_SHARES };
        for share in shares.iter().filter(|_| by_threshold) {
            let closed = starts::close_wasteful(kept, &goal, ground, too_dear * share / 100, None);
            best = closed.filter(|closed| goal.price(closed) < goal.price(&best)).unwrap_or(best);
        }
        let whole = Scope::whole(&best);
        let pace = Pace { steps, heat_percent: HEAT_PERCENT, seed: goal.seed };
        ruin::improve(best, kept.lonely(), &goal, ground, &whole, pace)
    })
}
