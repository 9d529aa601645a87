//! Evict: through the Eviction API, within the budgets, one pod of a workload at a time.

use journal_schema::effect::{Effect, FailureCode};
use journal_schema::facts::{WorkloadFact, WorkloadId};
use journal_schema::reason::Reason;
use serde::{Deserialize, Serialize};

use super::{Leaving, Moved, left};
use crate::phase::Ctx;
use crate::table::Progress;
use crate::world::settled;

/// An eviction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    pub(super) pod: Leaving,
    pub(super) workload: Option<WorkloadId>,
}

impl Eviction {
    pub(crate) fn new(pod: Leaving, workload: Option<&WorkloadFact>) -> Self {
        Self { pod, workload: workload.map(|workload| workload.id.clone()) }
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
        // The next pod of the workload waits until this one's successor serves.
        let gone = ctx.state.world.pod(&self.pod.pod, &self.pod.uid).is_none();
        let recovered = match &self.workload {
            Some(id) => ctx.state.world.cluster().workloads.get(id).is_none_or(settled),
            None => true,
        };
        if gone && recovered { Moved::Done(1) } else { Moved::Waiting("the workload is not complete again") }
    }
}
