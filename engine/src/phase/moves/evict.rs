//! Evict: through the Eviction API, within the budgets, one pod of a workload at a time.

use canary::{Canary, planted};
use journal_schema::effect::{Effect, FailureCode};
use journal_schema::facts::{WorkloadFact, WorkloadId};
use journal_schema::reason::Reason;
use journal_schema::text::Message;
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Leaving, Moved, left, unplaced};
use crate::phase::Ctx;
use crate::table::Progress;
use crate::world::settled;

/// An eviction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    pub(super) pod: Leaving,
    pub(super) workload: Option<WorkloadId>,
    /// Since when its successor fits nowhere.
    unplaced_since: Option<Timestamp>,
}

impl Eviction {
    pub(crate) fn new(pod: Leaving, workload: Option<&WorkloadFact>) -> Self {
        Self { pod, workload: workload.map(|workload| workload.id.clone()), unplaced_since: None }
    }

    pub(crate) fn postpone(&mut self, by: Millis) {
        self.unplaced_since = self.unplaced_since.map(|since| since.plus(by));
    }

    pub(crate) fn advance(&mut self, ctx: &mut Ctx<'_>) -> Moved {
        let effect = Effect::Evict { pod: self.pod.pod.clone(), uid: self.pod.uid.clone() };
        if !left(ctx, &self.pod) {
            return match ctx.want(effect.clone()) {
                Progress::Asked if ctx.state.table.held_by_budget(&effect) => {
                    Moved::Waiting("a PodDisruptionBudget allows no eviction")
                }
                Progress::Asked => Moved::Waiting("the eviction is not answered yet"),
                Progress::Done => Moved::Waiting("the pod is not terminating yet"),
                Progress::Refused(failure)
                    if matches!(failure.code, FailureCode::NotFound | FailureCode::Precondition) =>
                {
                    ctx.state.table.forget(&effect);
                    Moved::Waiting("the pod is another one now")
                }
                Progress::Refused(failure) => {
                    Moved::Stuck(Reason::MoveStuck { pod: self.pod.pod.clone(), message: failure.message })
                }
            };
        }
        // It is done, whether or not that was ever answered.
        ctx.state.table.abandon(|known| *known == effect);
        // The next pod of the workload waits until this one's successor serves.
        let gone = ctx.state.world.pod(&self.pod.pod, &self.pod.uid).is_none();
        let workload = self.workload.as_ref().and_then(|id| ctx.state.world.cluster().workloads.get(id)).cloned();
        let recovered = workload.as_ref().is_none_or(settled) || planted(Canary::EvictsAll);
        if workload.is_some_and(|workload| !recovered && unplaced(ctx, &workload, &mut self.unplaced_since)) {
            let message = Message::truncated("its successor fits nowhere");
            return Moved::Stuck(Reason::MoveStuck { pod: self.pod.pod.clone(), message });
        }
        if gone && recovered { Moved::Done(1) } else { Moved::Waiting("the workload is not complete again") }
    }
}
