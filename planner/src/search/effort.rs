//! How much work the search of a cluster is given: in proportion to its nodes, and less where there is less to gain.
//!
//! No placement is cheaper than the bound. A cluster that costs little more than that was planned a while ago: its
//! search mends what has changed since, and needs no more than a part of the steps that the first plan took. Nor does
//! one that begins close to the bound.

use super::{Goal, leaving};
use crate::state::State;

/// Present nodes for which the steps of the limits are meant: larger clusters get more in proportion.
const NODES_PER_STEPS: usize = 150;
/// So many nodes count, and of more one in so many of all: what small clusters gain by the last steps is little there.
const COUNT_ALL: usize = 1_000;
const COUNT_PART: usize = 5;
/// A search has all its steps from so many percent of the cost on that there are to gain at most, and a share of them
/// in proportion below that, but one in so many at least.
const MUCH_PERCENT: i128 = 20;
const LEAST_SHARE: i128 = 16;
/// The same of what there is to gain where a search begins, moves included.
const LITTLE_PERCENT: i128 = 1;
/// Shares are counted in parts of this.
const WHOLE: i128 = 10_000;

/// Shares of the leaving nodes, in percent, that the start by threshold tries.
const THRESHOLDS: [usize; 8] = [10, 25, 40, 55, 70, 80, 90, 100];
/// The same where nodes are many: the search gets to those in between by itself.
const FEW_THRESHOLDS: [usize; 4] = [10, 40, 80, 100];
/// From so many nodes on.
pub(super) const MANY: usize = 2_000;

/// What the search of a cluster may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Steps of ruin and recreate.
    pub(crate) steps: u64,
    /// The steps where there is much to gain.
    all: u64,
    /// Of the nodes that may leave, the largest share in percent that is closed at once for a start.
    most_closed: usize,
    nodes: usize,
}

impl Effort {
    /// `kept` is the placement in which nobody has moved.
    pub(super) fn new(kept: &State<'_, '_>, goal: &Goal<'_>) -> Self {
        let model = kept.model;
        Self::between(model.hosts.len(), leaving(model), kept.cost, goal.bound.cost, goal.steps)
    }

    /// The effort for nodes, of which some may leave, that cost so much and cannot cost less than a bound.
    fn between(nodes: usize, leaving: usize, cost: i64, bound: i64, steps: u32) -> Self {
        let counted = leaving.min(COUNT_ALL).max(leaving / COUNT_PART);
        let all = u128::from(steps) * count(counted.max(NODES_PER_STEPS)) / count(NODES_PER_STEPS);
        let share = share(cost, bound, MUCH_PERCENT);
        let most_closed = usize::try_from(share * 100 / WHOLE.unsigned_abs()).unwrap_or(100).max(THRESHOLDS[0]);
        let rounded = |steps: u128| u64::try_from(steps).unwrap_or(u64::MAX);
        Self { steps: rounded(all * share / WHOLE.unsigned_abs()), all: rounded(all), most_closed, nodes }
    }

    /// Steps of a search that begins with a placement of such a price and cannot end below a bound.
    pub(super) fn steps_from(&self, price: i64, bound: i64) -> u64 {
        let share = share(price, bound, LITTLE_PERCENT);
        let steps = u128::from(self.all) * share / WHOLE.unsigned_abs();
        self.steps.min(u64::try_from(steps).unwrap_or(u64::MAX))
    }

    /// Shares of the nodes that may leave, in percent, that are closed for a start.
    pub(super) fn thresholds(&self) -> Vec<usize> {
        let all: &[usize] = if self.nodes < MANY { &THRESHOLDS } else { &FEW_THRESHOLDS };
        all.iter().copied().filter(|percent| *percent <= self.most_closed).collect()
    }
}

/// The share of all steps that is worth its while, where so many percent of the cost are worth all of them.
fn share(cost: i64, bound: i64, much_percent: i128) -> u128 {
    let much = i128::from(cost.max(1)) * much_percent;
    let gain = (i128::from(cost) - i128::from(bound)).max(0) * 100;
    (gain * WHOLE / much).clamp(WHOLE / LEAST_SHARE, WHOLE).unsigned_abs()
}

fn count(nodes: usize) -> u128 {
    u128::try_from(nodes).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::Effort;

    #[test]
    fn steps_follow_what_there_is_to_gain_and_how_many_nodes_there_are() {
        let steps = |nodes: usize, cost: i64, bound: i64| Effort::between(nodes, nodes, cost, bound, 20_000).steps;
        assert_eq!(steps(100, 1_000, 500), 20_000);
        assert_eq!(steps(1_000, 1_000, 500), 133_333);
        assert_eq!(steps(4_000, 1_000, 500), 133_333);
        assert_eq!(steps(16_000, 1_000, 500), 426_666);
        assert_eq!(steps(1_000, 1_000, 800), 133_333);
        assert_eq!(steps(1_000, 1_000, 900), 66_666);
        assert_eq!(steps(1_000, 1_000, 1_000), 8_333);
        // No bound is above the cost; if it were, there would be nothing to gain.
        assert_eq!(steps(1_000, 0, 1_000), 8_333);
        assert_eq!(steps(usize::MAX, i64::MAX, 0), u64::MAX);
    }

    #[test]
    fn a_search_that_begins_close_to_the_bound_takes_fewer_steps() {
        let from =
            |cost: i64, price: i64| Effort::between(1_000, 1_000, cost, 1_000_000, 20_000).steps_from(price, 1_000_000);
        assert_eq!(from(2_000_000, 1_100_000), 133_333);
        assert_eq!(from(2_000_000, 1_005_000), 66_333);
        assert_eq!(from(2_000_000, 1_000_001), 8_333);
        assert_eq!(from(2_000_000, 900_000), 8_333);
        // Where little has changed, steps are few already.
        assert_eq!(from(1_020_000, 1_005_000), Effort::between(1_000, 1_000, 1_020_000, 1_000_000, 20_000).steps);
    }

    #[test]
    fn where_little_can_be_gained_few_nodes_are_closed_at_once() {
        let closed = |nodes: usize, bound: i64| Effort::between(nodes, nodes, 1_000, bound, 20_000).thresholds();
        assert_eq!(closed(100, 500), [10, 25, 40, 55, 70, 80, 90, 100]);
        assert_eq!(closed(100, 900), [10, 25, 40]);
        assert_eq!(closed(100, 990), [10]);
        assert_eq!(closed(5_000, 500), [10, 40, 80, 100]);
    }
}
