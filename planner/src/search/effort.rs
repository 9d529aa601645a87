//! How much work the search of a cluster is given: in proportion to its nodes, and less where there is less to gain.
//!
//! No placement is cheaper than the bound. A cluster that costs little more than that was planned a while ago: its
//! search mends what has changed since, and needs no more than a part of the steps that the first plan took.

use super::Goal;
use crate::state::State;

/// Present nodes for which the steps of the limits are meant: larger clusters get more in proportion.
const NODES_PER_STEPS: usize = 250;
/// A search has all its steps from so many percent of the cost on that there are to gain at most, and a share of them
/// in proportion below that, but one in so many at least.
const MUCH_PERCENT: i64 = 20;
const LEAST_SHARE: i64 = 16;

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
    /// Of the nodes that may leave, the largest share in percent that is closed at once for a start.
    most_closed: usize,
    nodes: usize,
}

impl Effort {
    /// `kept` is the placement in which nobody has moved.
    pub(super) fn new(kept: &State<'_, '_>, goal: &Goal<'_>) -> Self {
        let nodes = kept.model.hosts.len();
        let leaving = kept.model.hosts.iter().filter(|host| host.keep.is_none()).count();
        let all = u64::from(goal.steps) * count(leaving.max(NODES_PER_STEPS)) / count(NODES_PER_STEPS);
        // In ten-thousandths of what would be much.
        let much = i128::from(kept.cost.max(1)) * i128::from(MUCH_PERCENT);
        let gain = i128::from((kept.cost - goal.bound.cost).max(0)) * 100;
        let share = (gain * 10_000 / much).clamp(10_000 / i128::from(LEAST_SHARE), 10_000);
        let share = u64::try_from(share).unwrap_or(10_000);
        let most_closed = usize::try_from(share / 100).unwrap_or(100).max(THRESHOLDS[0]);
        Self { steps: all * share / 10_000, most_closed, nodes }
    }

    /// Shares of the nodes that may leave, in percent, that are closed for a start.
    pub(super) fn thresholds(&self) -> Vec<usize> {
        let all: &[usize] = if self.nodes < MANY { &THRESHOLDS } else { &FEW_THRESHOLDS };
        all.iter().copied().filter(|percent| *percent <= self.most_closed).collect()
    }
}

fn count(nodes: usize) -> u64 {
    u64::try_from(nodes).unwrap_or(u64::MAX)
}
