//! What a placement is the better for what it wastes on few hosts rather than on many.
//!
//! Of placements that cost the same, the one that wastes much on one host is nearer to a smaller host there than one
//! that wastes a little on each. So the way of a search counts waste that is gathered as a gain. It is summed over all
//! hosts, and a step changes a few of them: each host's share is kept, and asked for again where a step has been.

use super::Goal;
use crate::state::State;

/// What gathered waste counts for where it is a whole typical host, in percent of its price: at a hundred and more
/// hosts would be booted to be left empty.
const GATHERED_PERCENT: i64 = 90;

/// The shares of a placement's hosts, and those of the hosts that a step has changed.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Micro-USD per hour: the price of a typical host.
    typical: i64,
    /// By slot.
    shares: Vec<i64>,
    sum: i64,
    changed: Vec<(usize, i64)>,
}

impl Gathered {
    /// Of a placement of which these slots are searched. Time: their hosts and pods.
    pub(super) fn new(state: &State<'_, '_>, goal: &Goal<'_>, slots: &[usize], typical: i64) -> Self {
        let mut gathered = Self { typical, shares: vec![0; state.open.len()], sum: 0, changed: Vec::new() };
        gathered.changed = slots.iter().map(|slot| (*slot, gathered.share(state, goal, *slot))).collect();
        gathered.keep();
        gathered
    }

    /// Micro-USD per hour that a placement is the better for it, after what was done since a mark.
    /// Time: the pods of the hosts that were changed.
    pub(super) fn after(&mut self, state: &State<'_, '_>, goal: &Goal<'_>, mark: usize) -> i64 {
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        if state.model.commitments.all().is_empty() {
            changed.extend(state.touched(mark).map(|slot| (slot, 0)));
            changed.sort_unstable();
            changed.dedup();
        } else {
            // What closing a host saves depends on what else is open.
            changed.extend((0..self.shares.len()).map(|slot| (slot, 0)));
        }
        for (slot, share) in &mut changed {
            *share = self.share(state, goal, *slot);
        }
        self.changed = changed;
        (self.sum + self.difference()) * GATHERED_PERCENT / 100
    }

    /// The step is kept.
    pub(super) fn keep(&mut self) {
        self.sum += self.difference();
        for (slot, share) in &self.changed {
            self.shares[*slot] = *share;
        }
        self.changed.clear();
    }

    fn difference(&self) -> i64 {
        self.changed.iter().map(|(slot, share)| share - self.shares[*slot]).sum()
    }

    /// It grows with the square of what a host wastes, and is always less than that.
    fn share(&self, state: &State<'_, '_>, goal: &Goal<'_>, slot: usize) -> i64 {
        if !state.open[slot] {
            return 0;
        }
        let runs = goal.bound.worth_of(state.model, &state.pods[slot]) / 1000;
        let wasted = (state.saved_by_closing(slot) - runs).clamp(0, self.typical);
        wasted * wasted / self.typical
    }
}
