//! Surge: more replicas first, then fewer; there is never a pod too few, and the template stays.
//!
//! ```text
//! deletion cost on the leaving pods → replicas + k → k new pods Ready → replicas − k
//! ```
//!
//! The ReplicaSet controller removes the pods with the lowest deletion cost, once the new ones are
//! Ready; before that it would remove the new ones, so the order is not a matter of taste.

use canary::{Canary, planted};
use journal_schema::effect::{Effect, FailureCode};
use journal_schema::facts::{WorkloadFact, WorkloadId};
use journal_schema::reason::Reason;
use journal_schema::text::{Message, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use super::{Leaving, Moved, count_left, left, unplaced};
use crate::debts::Debt;
use crate::phase::Ctx;
use crate::table::Progress;

/// Lower than anything that users write, so that the leaving pods go first.
const LEAVING_COST: i32 = -1000;

/// Where a surge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Marking,
    Growing,
    Shrinking,
    Settling,
}

/// A surge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surge {
    pub(super) workload: WorkloadId,
    uid: Name,
    base: i32,
    pub(super) pods: Vec<Leaving>,
    stage: Stage,
    /// Generation of the workload that showed the replicas on top.
    grown_at: Option<i64>,
    /// Since when a new pod fits nowhere.
    unplaced_since: Option<Timestamp>,
}

impl Surge {
    pub(crate) fn new(workload: &WorkloadFact, pods: Vec<Leaving>) -> Self {
        Self {
            workload: workload.id.clone(),
            uid: workload.uid.clone(),
            base: workload.replicas,
            pods,
            stage: Stage::Marking,
            grown_at: None,
            unplaced_since: None,
        }
    }

    fn surged(&self) -> i32 {
        let more = i32::try_from(self.pods.len()).unwrap_or(i32::MAX - self.base);
        self.base + more + i32::from(planted(Canary::GrowsTwice))
    }

    pub(crate) fn postpone(&mut self, by: Millis) {
        self.unplaced_since = self.unplaced_since.map(|since| since.plus(by));
    }

    pub(crate) fn advance(&mut self, ctx: &mut Ctx<'_>) -> Moved {
        let found = ctx.state.world.cluster().workloads.get(&self.workload).filter(|workload| workload.uid == self.uid);
        let Some(workload) = found.cloned() else {
            // Deleted or made anew: its pods go with it, and nothing of ours is left on it.
            self.pay_surge(ctx);
            return Moved::Done(0);
        };
        if self.stage == Stage::Marking {
            if self.pods.iter().any(|leaving| left(ctx, leaving)) {
                // Fewer are needed now: look anew.
                return Moved::Done(count_left(ctx, &self.pods));
            }
            if !planted(Canary::SurgesUnmarked) && !self.mark(ctx) {
                return Moved::Waiting("the deletion cost is not set yet");
            }
            self.stage = Stage::Growing;
        }
        if self.stage == Stage::Growing {
            let asked = ctx.state.debts.surge(&self.workload).is_some();
            if workload.replicas != self.surged() || !asked {
                return match self.grown_at {
                    // A list from a replica that stood still.
                    Some(grown_at) if workload.generation < grown_at => {
                        Moved::Waiting("an older state than was seen before is shown")
                    }
                    Some(_) => self.scaled_by_others(ctx),
                    None => self.grow(ctx, &workload),
                };
            }
            if self.grown_at.is_none() && !planted(Canary::GrowsAgain) {
                self.grown_at = Some(workload.generation);
                // It is done, whether or not that was ever answered: asked again, it would undo what a user does.
                let grow = self.scale_up();
                ctx.state.table.abandon(|effect| *effect == grow);
            }
            if self.ready_elsewhere(ctx, &workload) < self.base && !planted(Canary::ShrinksEarly) {
                if unplaced(ctx, &workload, &mut self.unplaced_since) {
                    return Moved::Stuck(Reason::MoveStuck {
                        pod: self.pods[0].pod.clone(),
                        message: Message::truncated("its successor fits nowhere"),
                    });
                }
                return Moved::Waiting("a new pod is not Ready");
            }
            self.stage = Stage::Shrinking;
        }
        if self.stage == Stage::Shrinking {
            if workload.replicas == self.surged() {
                return self.shrink(ctx);
            }
            self.pay_surge(ctx);
            // It is done, whether or not that was ever answered.
            let back = self.scale_back();
            ctx.state.table.abandon(|effect| *effect == back);
            self.stage = Stage::Settling;
        }
        self.settle(ctx, &workload)
    }

    fn mark(&self, ctx: &mut Ctx<'_>) -> bool {
        let mut marked = true;
        for leaving in &self.pods {
            let Some(pod) = ctx.state.world.pod(&leaving.pod, &leaving.uid) else {
                continue;
            };
            if pod.deletion_cost == LEAVING_COST {
                continue;
            }
            marked = false;
            let effect = Effect::SetDeletionCost {
                pod: leaving.pod.clone(),
                uid: leaving.uid.clone(),
                cost: Some(LEAVING_COST),
            };
            let debt =
                Debt::DeletionCost { pod: leaving.pod.clone(), uid: leaving.uid.clone(), before: leaving.cost_before };
            ctx.want_owing(effect, debt);
        }
        marked
    }

    fn grow(&self, ctx: &mut Ctx<'_>, workload: &WorkloadFact) -> Moved {
        if workload.replicas != self.base {
            return self.scaled_by_others(ctx);
        }
        let effect = self.scale_up();
        let (base, surged) = (self.base, self.surged());
        let debt = Debt::Surge { workload: self.workload.clone(), uid: self.uid.clone(), base, surged };
        match ctx.want_owing(effect.clone(), debt) {
            Progress::Asked | Progress::Done => Moved::Waiting("the workload is not scaled up yet"),
            Progress::Refused(failure) => {
                ctx.state.table.forget(&effect);
                self.pay_surge(ctx);
                if failure.code == FailureCode::Precondition || failure.code == FailureCode::NotFound {
                    return self.scaled_by_others(ctx);
                }
                let reason = Reason::MoveStuck { pod: self.pods[0].pod.clone(), message: failure.message };
                Moved::Stuck(reason)
            }
        }
    }

    fn scale_up(&self) -> Effect {
        Effect::Scale { workload: self.workload.clone(), uid: self.uid.clone(), from: self.base, to: self.surged() }
    }

    fn scale_back(&self) -> Effect {
        Effect::Scale { workload: self.workload.clone(), uid: self.uid.clone(), from: self.surged(), to: self.base }
    }

    fn shrink(&self, ctx: &mut Ctx<'_>) -> Moved {
        let effect = self.scale_back();
        match ctx.want(effect.clone()) {
            Progress::Asked | Progress::Done => Moved::Waiting("the workload is not scaled back yet"),
            Progress::Refused(failure) => {
                ctx.state.table.forget(&effect);
                if matches!(failure.code, FailureCode::Precondition | FailureCode::NotFound) {
                    return self.scaled_by_others(ctx);
                }
                // The replicas on top are still owed.
                let reason = Reason::MoveStuck { pod: self.pods[0].pod.clone(), message: failure.message };
                Moved::Stuck(reason)
            }
        }
    }

    /// Somebody else set the replicas: theirs is the say. The pods are looked at again, up to a few times.
    fn scaled_by_others(&self, ctx: &mut Ctx<'_>) -> Moved {
        self.pay_surge(ctx);
        Moved::Done(count_left(ctx, &self.pods))
    }

    fn settle(&self, ctx: &mut Ctx<'_>, workload: &WorkloadFact) -> Moved {
        if self.pods.iter().all(|leaving| left(ctx, leaving)) {
            return Moved::Done(count_left(ctx, &self.pods));
        }
        // The status alone does not tell: it may have been written before the surge's pods were counted.
        let pods = ctx.state.world.pods_of(workload).filter(|pod| pod.deletion_at.is_none() && !pod.finished());
        let settled = workload.observed_generation >= workload.generation
            && workload.current <= workload.replicas
            && i32::try_from(pods.count()).unwrap_or(i32::MAX) <= workload.replicas;
        if settled {
            // Another pod was removed in its place: the world decides at the next look.
            return Moved::Done(count_left(ctx, &self.pods));
        }
        Moved::Waiting("the leaving pod is not removed yet")
    }

    /// Ready pods of the workload that are not on their way out.
    fn ready_elsewhere(&self, ctx: &Ctx<'_>, workload: &WorkloadFact) -> i32 {
        let leaving: BTreeSet<&Name> = self.pods.iter().map(|leaving| &leaving.uid).collect();
        let ready = ctx
            .state
            .world
            .pods_of(workload)
            .filter(|pod| pod.ready && pod.deletion_at.is_none() && !leaving.contains(&pod.uid));
        i32::try_from(ready.count()).unwrap_or(i32::MAX)
    }

    fn pay_surge(&self, ctx: &mut Ctx<'_>) {
        let debt = Debt::Surge {
            workload: self.workload.clone(),
            uid: self.uid.clone(),
            base: self.base,
            surged: self.surged(),
        };
        ctx.state.debts.pay(&debt);
    }
}

#[cfg(test)]
#[path = "surge_test.rs"]
mod tests;
