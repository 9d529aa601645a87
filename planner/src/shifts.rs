//! Pods that move although their nodes stay.
//!
//! Nothing keeps such a pod from coming straight back but that its node is avoided while it moves, so each
//! moves in a wave that opens where it is to go and not where it is. It is never worth a machine: where it
//! finds no place it stays.

use journal_schema::plan::MoveMethod;
use journal_schema::policy::Actuation;
use journal_schema::reason::Reason;

use crate::eligibility::node_releases;
use crate::model::Model;
use crate::moves;

/// A pod that moves although its node stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) item: usize,
    pub(crate) aim: Aim,
}

/// What a shift is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// This item, which waits, or a pod that makes room for it, fits where the pod was.
    Room(usize),
}

impl Shift {
    /// In words.
    pub(crate) fn reason(&self, model: &Model<'_>) -> Reason {
        match self.aim {
            Aim::Room(pending) => Reason::MakesRoom { pod: model.items[pending].fact.key.clone() },
        }
    }
}

/// Whether the policy lets pods be shifted at all: the scheduler must be led. A rolling update replaces every
/// pod of its workload, wherever that is.
pub(crate) fn allowed(model: &Model<'_>) -> bool {
    let policy = &model.input.policy.disruption;
    policy.steering && policy.actuation != Actuation::RollingUpdate
}

/// By present node: whether its pods may be shifted.
pub(crate) fn releasing(model: &Model<'_>) -> Vec<bool> {
    let releases = |slot: usize| model.is_steered(slot) && node_releases(model.input, model.hosts[slot].fact);
    (0..model.hosts.len()).map(releases).collect()
}

/// Whether an item may move once its node lets it go.
pub(crate) fn may_shift(model: &Model<'_>, item: usize) -> bool {
    let standing = &model.items[item].standing;
    standing.blocked.is_none() && standing.method != MoveMethod::RollingUpdate
}

/// What it takes to move one, in thousandths of an ordinary move.
pub(crate) fn toll_of(model: &Model<'_>, item: usize) -> i64 {
    moves::toll(model.items[item].fact, model.input.now)
}

/// What it takes to move these.
pub(crate) fn toll(model: &Model<'_>, shifting: &[Shift]) -> i64 {
    shifting.iter().map(|shift| toll_of(model, shift.item)).sum()
}
