//! The search asked again at other prices of a move.
//!
//! At a high price few pods should move, and what saves most for its moves is to empty nodes into room that others
//! have; at a low one nodes are closed by threshold and their pods packed anew. So each price starts from the best of
//! both and of what the search found at its own price, and improves it a little. It is no bolder than that: few
//! steps do not make up for a worse placement that they accept.

use super::begin::{self, Cheapest};
use super::parts::{self, Course};
use super::{Goal, MANY, Outset, drain, starts};
use crate::parallel::in_parallel;
use crate::state::{Part, State};

/// Of the nodes that cost more than their pods are worth and their moves take, the shares that are closed by
/// threshold, in percent: the pods of the others fill what is booted.
const SHARES: [usize; 3] = [80, 65, 50];
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
    steps: u64,
    goal: &Goal<'_>,
) -> Vec<State<'m, 'a>> {
    let Outset { ground, kept, parts, .. } = outset;
    let shares: &[usize] = if kept.model.hosts.len() < MANY { &SHARES } else { &FEW_SHARES };
    let rungs: Vec<Goal<'_>> = prices.iter().map(|price| Goal { move_penalty: *price, threads: 1, ..*goal }).collect();
    // What is cheap to move was closed by threshold for the goal's own price already.
    let by_threshold = |rung: &Goal<'_>| if rung.move_penalty > goal.move_penalty { shares } else { &[] };
    let share_of = |kept: &State<'_, '_>, rung: &Goal<'_>, share: usize| starts::too_dear(kept, rung) * share / 100;
    let mut started: Vec<Option<State<'m, 'a>>> = Vec::new();
    if let Some(parts) = parts {
        let by_part = parts.each(kept, goal.threads, |part, scope, _| {
            let emptied = drain::drain_by_stages(&part, goal, prices);
            let best = |(rung, emptied): (&Goal<'_>, &State<'_, '_>)| {
                let mut best = Cheapest::new(emptied, rung, scope);
                for share in by_threshold(rung) {
                    let percent = share_of(&part, rung, *share);
                    let (closed, left) = starts::close_within(&part, rung, ground, scope, percent, None);
                    best.consider(&closed, rung, scope, &left);
                }
                best.part
            };
            rungs.iter().zip(&emptied).map(best).collect::<Vec<Part>>()
        });
        let mut by_rung: Vec<Vec<Part>> = vec![Vec::new(); rungs.len()];
        by_part.into_iter().for_each(|part| by_rung.iter_mut().zip(part).for_each(|(rung, part)| rung.push(part)));
        let rungs: Vec<(&Goal<'_>, Vec<Part>)> = rungs.iter().zip(by_rung).collect();
        started = in_parallel(goal.threads, &rungs, |(rung, parts)| begin::join(kept, rung, ground, parts));
    } else {
        started.extend(drain::drain_by_stages(kept, goal, prices).into_iter().map(Some));
    }
    let rungs: Vec<(Goal<'_>, Option<State<'m, 'a>>)> = rungs.into_iter().zip(started).collect();
    in_parallel(goal.threads, &rungs, |(rung, started)| {
        let mut best = started.as_ref().unwrap_or(kept);
        for state in found {
            if rung.price(state) < rung.price(best) {
                best = state;
            }
        }
        let mut best = best.clone();
        for share in by_threshold(rung).iter().filter(|_| parts.is_none()) {
            let closed = starts::close_wasteful(kept, rung, ground, share_of(kept, rung, *share), None);
            best = closed.filter(|closed| rung.price(closed) < rung.price(&best)).unwrap_or(best);
        }
        let course = Course { steps, rounds: 1, heat_percent: HEAT_PERCENT, gathers: false };
        parts::improve_all(best, kept.lonely(), ground, course, rung)
    })
}
