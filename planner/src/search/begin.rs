//! What a search begins with: the best of several starts.
//!
//! A large cluster begins in each part with what is best there. Pods that find no place in their part, because they
//! are spread over zones unevenly, say, are housed once the parts are put together.

use super::effort::Effort;
use super::ground::Ground;
use super::parts::Parts;
use super::ruin::Scope;
use super::starts::{Times, close_wasteful, close_within, filled, house};
use super::{Goal, HOMELESS, Outset, drain};
use crate::parallel::in_parallel;
use crate::state::{NOWHERE, Part, State};

/// Where moves are dear, a start that closes some more nodes or some fewer is another one: so often shares halfway
/// between the best one and those next to it are tried.
const HALVINGS: usize = 2;
/// What pods that found no place in their part are reckoned to cost, in percent of their worth.
const LEFT_PERCENT: i64 = 120;

/// Where a search may begin.
#[derive(Clone, Copy)]
enum Start {
    /// Where nodes are emptied into room that others have.
    Emptied,
    /// Where the most wasteful of the nodes are closed, in percent.
    Closed(usize),
    /// Where hosts are filled as the bound's program would.
    Filled(Times),
}

/// What a search begins with.
pub(super) struct Begun<'m, 'a> {
    /// Where nodes are only emptied into room that others have.
    pub(super) emptied: State<'m, 'a>,
    /// The cheapest of all.
    pub(super) best: State<'m, 'a>,
}

/// Finds what to begin with where pending pods have a place already.
pub(super) fn begin<'m, 'a>(outset: &Outset<'m, 'a>, goal: &Goal<'_>) -> Begun<'m, 'a> {
    let Outset { ground, kept, effort, parts, .. } = outset;
    let in_parts = parts.as_ref().and_then(|parts| in_parts(kept, goal, ground, effort, parts));
    in_parts.unwrap_or_else(|| as_whole(kept, goal, ground, effort))
}

/// The same by closing shares of all nodes.
fn as_whole<'m, 'a>(kept: &State<'m, 'a>, goal: &Goal<'_>, ground: &Ground, effort: &Effort) -> Begun<'m, 'a> {
    let mut starts = vec![Start::Emptied];
    if goal.steps > 0 {
        starts.extend(effort.thresholds().into_iter().map(Start::Closed));
        starts.extend(Times::ALL.map(Start::Filled));
    }
    let place = |starts: &[Start]| {
        in_parallel(goal.threads, starts, |start| match start {
            Start::Emptied => Some(emptied(kept, goal)),
            Start::Closed(percent) => close_wasteful(kept, goal, ground, *percent, None),
            Start::Filled(times) => filled(kept, goal, ground, *times),
        })
    };
    let mut placed = place(&starts);
    for _ in 0..if ground.moves_are_dear(goal.move_penalty) { HALVINGS } else { 0 } {
        let mut tried: Vec<(usize, i64)> = Vec::new();
        for (start, state) in starts.iter().zip(&placed) {
            if let (Start::Closed(percent), Some(state)) = (start, state) {
                tried.push((*percent, goal.price(state)));
            }
        }
        let more: Vec<Start> = halfway(tried).into_iter().map(Start::Closed).collect();
        placed.extend(place(&more));
        starts.extend(more);
    }
    let mut placed = placed.into_iter().flatten();
    let emptied = placed.next().unwrap_or_else(|| kept.clone());
    let best = placed.min_by_key(|state| goal.price(state)).filter(|best| goal.price(best) < goal.price(&emptied));
    Begun { best: best.unwrap_or_else(|| emptied.clone()), emptied }
}

/// Shares halfway between the one that came to the lowest price and those next to it; none is closed for nothing.
fn halfway(mut tried: Vec<(usize, i64)>) -> Vec<usize> {
    tried.sort_unstable();
    let Some(best) = (0..tried.len()).min_by_key(|place| tried[*place].1) else { return Vec::new() };
    let share = tried[best].0;
    let before = best.checked_sub(1).map_or(0, |before| tried[before].0);
    let after = tried.get(best + 1).map_or(share, |after| after.0);
    [before.midpoint(share), share.midpoint(after)]
        .into_iter()
        .filter(|half| *half > 0 && tried.iter().all(|(share, _)| share != half))
        .collect()
}

fn emptied<'m, 'a>(kept: &State<'m, 'a>, goal: &Goal<'_>) -> State<'m, 'a> {
    let mut emptied = kept.clone();
    drain::drain(&mut emptied, goal);
    emptied.commit();
    emptied
}

/// The same in parts.
fn in_parts<'m, 'a>(
    kept: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    effort: &Effort,
    parts: &Parts,
) -> Option<Begun<'m, 'a>> {
    let begun = parts.each(kept, goal.threads, |part, scope, _| {
        let emptied = emptied(&part, goal);
        let mut best = Cheapest::new(&emptied, goal, scope);
        for percent in effort.thresholds() {
            let (closed, left) = close_within(&part, goal, ground, scope, percent, None);
            best.consider(&closed, goal, scope, &left);
        }
        (emptied.cut(&scope.slots), best.part)
    });
    let (emptied, best): (Vec<Part>, Vec<Part>) = begun.into_iter().unzip();
    let mut joined = in_parallel(goal.threads, &[emptied, best], |parts| join(kept, goal, ground, parts)).into_iter();
    let emptied = joined.next().flatten().unwrap_or_else(|| kept.clone());
    let starts = in_parallel(goal.threads, &Times::ALL, |times| filled(kept, goal, ground, *times));
    let best = starts.into_iter().chain(joined).flatten().min_by_key(|state| goal.price(state))?;
    Some(Begun { emptied, best })
}

/// The cheapest that a part may become.
pub(super) struct Cheapest {
    price: i64,
    pub(super) part: Part,
}

impl Cheapest {
    pub(super) fn new(state: &State<'_, '_>, goal: &Goal<'_>, scope: &Scope) -> Self {
        Self { price: goal.price(state), part: state.cut(&scope.slots) }
    }

    /// Takes what a part may become if that is cheaper; pods that are left over cost by their worth.
    pub(super) fn consider(&mut self, state: &State<'_, '_>, goal: &Goal<'_>, scope: &Scope, left: &[usize]) {
        let homeless = i64::try_from(left.len()).unwrap_or(0) * HOMELESS;
        let worth = goal.bound.worth_of(state.model, left) / 1000;
        let price = goal.price(state) - homeless + worth * LEFT_PERCENT / 100;
        if price < self.price {
            *self = Self { price, part: state.cut(&scope.slots) };
        }
    }
}

/// A placement whose parts have become these, once the pods that are left over have a place; `None` when one finds
/// none.
pub(super) fn join<'m, 'a>(
    kept: &State<'m, 'a>,
    goal: &Goal<'_>,
    ground: &Ground,
    parts: &[Part],
) -> Option<State<'m, 'a>> {
    let mut joined = kept.clone();
    joined.join(parts.to_vec());
    let lost = |item: &usize| joined.at[*item] == NOWHERE && kept.at[*item] != NOWHERE;
    let left: Vec<usize> = (0..joined.at.len()).filter(lost).collect();
    house(joined, goal, ground, kept.lonely(), left)
}

#[cfg(test)]
mod tests {
    use super::halfway;

    #[test]
    fn starts_are_refined_around_the_best_one() {
        assert_eq!(halfway(vec![(10, 9), (25, 3), (40, 5), (55, 8)]), [17, 32]);
        // The first has nothing before it but no start at all, the last nothing after it.
        assert_eq!(halfway(vec![(10, 1), (25, 3)]), [5, 17]);
        assert_eq!(halfway(vec![(40, 5), (100, 3)]), [70]);
        // In whatever order they were tried; what is next to it is not tried again.
        assert_eq!(halfway(vec![(25, 2), (10, 9), (26, 1), (27, 4)]), []);
        assert_eq!(halfway(Vec::new()), []);
    }
}
