//! RollingUpdate: the Deployment's own rollout, with affinity to the optimal nodes, restored exactly
//! afterwards. Changes the template twice, and so replaces every pod twice: an operator's choice.

use canary::{Canary, planted};
use journal_schema::effect::{Answer, Effect, FailureCode};
use journal_schema::facts::{WorkloadFact, WorkloadId};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, JsonText, Message, Name};
use serde::{Deserialize, Serialize};

use super::{Leaving, Moved, count_left, left};
use crate::debts::Debt;
use crate::phase::undo::carries_ours;
use crate::phase::{Ctx, affinity};
use crate::table::Progress;
use crate::world::settled;

/// What the template becomes, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    before: Option<JsonText>,
    ours: JsonText,
    max_unavailable: Option<(JsonText, JsonText)>,
    requests: Few<(Name, journal_schema::units::MilliCpu, journal_schema::units::Bytes)>,
}

/// Where a rollout stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The affinity is read, so that it can be restored exactly.
    Reading,
    /// Ours is put in, and the pods roll.
    Rolling(Change),
    /// The old one is put back, and the pods roll again.
    Restoring(Change),
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    pub(super) workload: WorkloadId,
    uid: Name,
    pub(super) pods: Vec<Leaving>,
    stage: Stage,
    /// The template was seen with our affinity.
    seen: bool,
}

impl Rollout {
    pub(crate) fn new(workload: &WorkloadFact, pods: Vec<Leaving>) -> Self {
        Self { workload: workload.id.clone(), uid: workload.uid.clone(), pods, stage: Stage::Reading, seen: false }
    }

    pub(crate) fn advance(&mut self, ctx: &mut Ctx<'_>, iteration: u64) -> Moved {
        let found = ctx.state.world.cluster().workloads.get(&self.workload).filter(|workload| workload.uid == self.uid);
        let Some(workload) = found.cloned() else {
            return Moved::Done(0);
        };
        match self.stage.clone() {
            Stage::Reading => self.read(ctx, iteration),
            Stage::Rolling(change) => self.roll(ctx, &workload, change),
            Stage::Restoring(change) => self.restore(ctx, &workload, &change),
        }
    }

    fn stuck(&self, message: impl AsRef<str>) -> Moved {
        let pod = self.pods.first().map(|leaving| leaving.pod.clone()).unwrap_or_default();
        Moved::Stuck(Reason::MoveStuck { pod, message: Message::truncated(message) })
    }

    fn read(&mut self, ctx: &mut Ctx<'_>, iteration: u64) -> Moved {
        let effect = Effect::ReadAffinity { workload: self.workload.clone(), uid: self.uid.clone() };
        match ctx.want(effect.clone()) {
            Progress::Asked => return Moved::Waiting("the template is not read yet"),
            Progress::Refused(failure) => return self.stuck(failure.message),
            Progress::Done => {}
        }
        let Some(Answer::Affinity(before, max_unavailable)) = ctx.state.table.take_answer(&effect) else {
            return self.stuck("the template could not be read");
        };
        let ours = match affinity::extended(before.as_ref(), iteration) {
            Ok(ours) => ours,
            Err(error) => return self.stuck(error.to_string()),
        };
        let most = ctx.state.policy.disruption.max_unavailable;
        let max_unavailable = affinity::bounded_unavailable(max_unavailable.as_ref(), most);
        let requests = self.requests(ctx);
        self.stage = Stage::Rolling(Change { before, ours, max_unavailable, requests });
        Moved::Waiting("the template is not patched yet")
    }

    /// Requests that the plan changes together with this rollout: one restart, not two.
    fn requests(&self, ctx: &Ctx<'_>) -> Few<(Name, journal_schema::units::MilliCpu, journal_schema::units::Bytes)> {
        use journal_schema::policy::RightSizing;
        if ctx.state.policy.predict.right_sizing != RightSizing::WithRollout {
            return Few::default();
        }
        let changes = ctx.state.last_planned.iter().flat_map(|(_, planned)| planned.plan.requests.iter());
        let ours = changes.filter(|change| change.workload == self.workload);
        Few::new(ours.map(|change| (change.container.clone(), change.cpu.1, change.memory.1)).collect())
            .unwrap_or_default()
    }

    fn roll(&mut self, ctx: &mut Ctx<'_>, workload: &WorkloadFact, change: Change) -> Moved {
        if !carries_ours(workload) {
            if self.seen {
                return Moved::Stuck(Reason::RevertedByOtherManager { workload: self.workload.clone() });
            }
            let effect = Effect::PatchTemplate {
                workload: self.workload.clone(),
                uid: self.uid.clone(),
                from: change.before.clone(),
                to: Some(change.ours.clone()),
                max_unavailable: change.max_unavailable.clone(),
                requests: change.requests.clone(),
            };
            return match ctx.want_owing(effect, self.debt(&change)) {
                Progress::Asked | Progress::Done => Moved::Waiting("the template is not patched yet"),
                Progress::Refused(failure) if failure.code == FailureCode::Precondition => {
                    Moved::Stuck(Reason::RevertedByOtherManager { workload: self.workload.clone() })
                }
                Progress::Refused(failure) => self.stuck(failure.message),
            };
        }
        self.seen = true;
        if !settled(workload) || !self.pods.iter().all(|leaving| left(ctx, leaving)) {
            return Moved::Waiting("the rollout is not complete");
        }
        self.stage = Stage::Restoring(change);
        Moved::Waiting("the template is not restored yet")
    }

    fn restore(&self, ctx: &mut Ctx<'_>, workload: &WorkloadFact, change: &Change) -> Moved {
        if carries_ours(workload) && !planted(Canary::RestoresNothing) {
            let effect = Effect::PatchTemplate {
                workload: self.workload.clone(),
                uid: self.uid.clone(),
                from: Some(change.ours.clone()),
                to: change.before.clone(),
                max_unavailable: change.max_unavailable.clone().map(|(before, ours)| (ours, before)),
                requests: Few::default(),
            };
            return match ctx.want(effect) {
                Progress::Asked | Progress::Done => Moved::Waiting("the template is not restored yet"),
                Progress::Refused(failure) if failure.code == FailureCode::Precondition => {
                    Moved::Stuck(Reason::RevertedByOtherManager { workload: self.workload.clone() })
                }
                Progress::Refused(failure) => self.stuck(failure.message),
            };
        }
        ctx.state.debts.pay(&self.debt(change));
        if settled(workload) {
            Moved::Done(count_left(ctx, &self.pods))
        } else {
            Moved::Waiting("the rollout back is not complete")
        }
    }

    fn debt(&self, change: &Change) -> Debt {
        Debt::Template {
            workload: self.workload.clone(),
            uid: self.uid.clone(),
            affinity: (change.before.clone(), Some(change.ours.clone())),
            max_unavailable: change.max_unavailable.clone(),
        }
    }
}
