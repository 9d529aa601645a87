//! Labelling: every node of the plan shows its role; leaving nodes take no new pods, and those that are to
//! take pods later are avoided.

use canary::{Canary, planted};
use journal_schema::event::Deadline;
use journal_schema::reason::Reason;
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::rolling::Rolling;
use super::{Ctx, Iteration, Phase, unwinding};
use crate::gates;
use crate::state::State;

/// Waiting for labels and taints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelling {
    /// The iteration.
    pub iteration: Iteration,
    /// When labelling has failed.
    pub until: Timestamp,
    /// Whether the plan was looked at again after the boot.
    checked: bool,
}

impl Labelling {
    pub(crate) fn new(iteration: Iteration, state: &State) -> Self {
        Self { iteration, until: state.now.plus(state.policy.deadlines.label), checked: false }
    }

    pub(crate) fn deadlines(&self, state: &State) -> Vec<(Timestamp, Deadline)> {
        // Under a pause nothing is asked for, so nothing can be late.
        if state.pause.is_some() { Vec::new() } else { vec![(self.until, Deadline::Phase)] }
    }

    pub(crate) fn postpone(&mut self, by: Millis) {
        self.until = self.until.plus(by);
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        if let Some(pause) = &ctx.state.pause {
            ctx.state.holds = vec![pause.reason()];
            self.until = ctx.now().plus(ctx.state.policy.deadlines.label);
            return Phase::Labelling(self);
        }
        ctx.state.holds.clear();
        if !self.checked {
            if let Some(reason) = self.outdated(ctx) {
                return unwinding::begin(self.iteration, reason, ctx.now());
            }
            self.checked = true;
        }
        let number = self.iteration.number;
        let leaving = &self.iteration.planned.plan.remove;
        if let Some(gone) = leaving.iter().find(|remove| ctx.state.world.node(&remove.node, &remove.uid).is_none()) {
            return unwinding::begin(
                self.iteration.clone(),
                Reason::NodeChanged { node: gone.node.clone() },
                ctx.now(),
            );
        }
        let unmarked = self.iteration.unmarked(ctx.state, Some(0));
        let late = unmarked.first().filter(|_| !planted(Canary::MovesFromOpenNodes)).map(|(node, _)| node.name.clone());
        for (node, role) in &unmarked {
            ctx.mark(node, *role, number);
        }
        match late {
            None => Phase::Rolling(Rolling::new(self.iteration, ctx.state)),
            Some(node) if ctx.now() >= self.until && !planted(Canary::LabelsForEver) => {
                unwinding::begin(self.iteration, Reason::LabelFailed { node }, ctx.now())
            }
            Some(_) => Phase::Labelling(self),
        }
    }

    /// Booting took minutes. Before the first pod is touched the plan must still be about this cluster.
    fn outdated(&self, ctx: &Ctx<'_>) -> Option<Reason> {
        let limit = ctx.state.policy.decide.max_change;
        let share = ctx.state.world.changed_share(&self.iteration.own_names());
        if share > limit {
            return Some(Reason::ClusterChangedTooMuch { share, limit });
        }
        gates::frozen(ctx.state, &BTreeMap::new())
    }
}
