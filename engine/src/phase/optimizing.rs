//! Optimizing: the planner is asked, and its answer becomes an immutable plan.

use journal_schema::codec;
use journal_schema::effect::{Answer, Effect, Regarding};
use journal_schema::plan::Planned;
use journal_schema::reason::Reason;
use journal_schema::text::Message;
use journal_schema::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::deciding::Deciding;
use super::{Ctx, Iteration, Machine, Phase};
use crate::names;
use crate::table::Progress;

/// Waiting for the planner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Optimizing {
    /// Number of the iteration.
    pub number: u64,
    /// When it began.
    pub started_at: Timestamp,
}

impl Optimizing {
    pub(crate) fn new(number: u64, started_at: Timestamp) -> Self {
        Self { number, started_at }
    }

    pub(crate) fn advance(self, ctx: &mut Ctx<'_>) -> Phase {
        let effect = Effect::Plan { limits: ctx.state.policy.optimize.limits };
        match ctx.want(effect.clone()) {
            Progress::Asked => Phase::Optimizing(self),
            Progress::Refused(failure) => self.failed(ctx, &effect, failure.message),
            Progress::Done => match ctx.state.table.take_answer(&effect) {
                Some(Answer::Planned(planned)) => self.planned(ctx, *planned),
                Some(_) | None => self.failed(ctx, &effect, Message::truncated("the planner gave no answer")),
            },
        }
    }

    fn failed(self, ctx: &mut Ctx<'_>, effect: &Effect, message: Message) -> Phase {
        ctx.state.table.forget(effect);
        ctx.dismiss(self.number, self.started_at, Reason::PlannerFailed { message })
    }

    fn planned(self, ctx: &mut Ctx<'_>, planned: Planned) -> Phase {
        ctx.state.world.rebase();
        ctx.state.planned_version = ctx.state.world.version();
        if planned.plan.iteration != self.number {
            let message =
                Message::truncated(format!("the plan is of iteration {}, not {}", planned.plan.iteration, self.number));
            return ctx.dismiss(self.number, self.started_at, Reason::PlannerFailed { message });
        }
        let Ok(digest) = codec::digest(&planned.plan) else {
            let message = Message::truncated("the plan cannot be digested");
            return ctx.dismiss(self.number, self.started_at, Reason::PlannerFailed { message });
        };
        let planned = Arc::new(planned);
        ctx.state.last_planned = Some((digest.clone(), Arc::clone(&planned)));
        let machines = match machines(ctx, self.number, &planned) {
            Ok(machines) => machines,
            Err(message) => {
                return ctx.dismiss(self.number, self.started_at, Reason::PlannerFailed { message });
            }
        };
        let plan = &planned.plan;
        if !plan.is_empty() {
            let note = format!(
                "{} nodes to add, {} to remove, {} pods to move; ${}/h now, ${}/h after, at least ${}/h ({})",
                plan.add.len(),
                plan.remove.len(),
                plan.moves.len(),
                plan.cost_now,
                plan.cost_after,
                plan.lower_bound,
                &digest[..8.min(digest.len())],
            );
            ctx.notice(Regarding::Kinema, "PlanProposed", &note, false);
        }
        let iteration = Iteration {
            number: self.number,
            started_at: self.started_at,
            digest,
            planned,
            machines,
            moved: 0,
            spared: BTreeSet::new(),
            kept: BTreeSet::new(),
        };
        Phase::Deciding(Deciding::new(iteration, ctx.now().plus(ctx.state.policy.decide.plan_ttl)))
    }
}

/// The machines of a plan with their names. A plan that names an unknown pool or node is not believed.
fn machines(ctx: &Ctx<'_>, number: u64, planned: &Planned) -> Result<Vec<Machine>, Message> {
    let mut machines = Vec::new();
    for (index, add) in planned.plan.add.iter().enumerate() {
        let Some(pool) = ctx.state.cloud.pools.get(&add.pool).filter(|pool| pool.refusal.is_none()) else {
            return Err(Message::truncated(format!("the plan boots in pool {}, which is not ours", add.pool)));
        };
        if usize::try_from(add.slot.0) != Ok(index) {
            return Err(Message::truncated("the plan's slots are not contiguous"));
        }
        let name = names::instance(&pool.base_name, &ctx.state.journal_id, number, add.slot);
        machines.push(Machine { slot: add.slot, pool: add.pool.clone(), name });
    }
    let managed = ctx.state.cloud.managed();
    for remove in &planned.plan.remove {
        if ctx.state.world.node(&remove.node, &remove.uid).is_none() || !managed.contains_key(&remove.node) {
            return Err(Message::truncated(format!("the plan removes node {}, which is not ours", remove.node)));
        }
    }
    for step in planned.plan.shifts() {
        if !managed.contains_key(&step.from) {
            let message = format!("the plan moves a pod off node {}, which is not ours to mark", step.from);
            return Err(Message::truncated(message));
        }
    }
    let sorted = planned.plan.remove.windows(2).all(|pair| pair[0].node < pair[1].node);
    if sorted { Ok(machines) } else { Err(Message::truncated("the plan's removals are not sorted")) }
}
