//! Deciding: is the plan worth it, still true, and allowed?

use canary::{Canary, planted};
use journal_schema::event::{Deadline, Digest};
use journal_schema::plan::{PodAction, Target};
use journal_schema::policy::{Mode, Objective, Policy};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::{MicroUsd, MicroUsdPerHour, Millis, Ppm, Timestamp};
use serde::{Deserialize, Serialize};

use super::booting::Booting;
use super::labelling::Labelling;
use super::{Ctx, Iteration, Phase};
use crate::gates;
use crate::world::saturate;

/// Shortest digest prefix that names a plan.
const DIGEST_PREFIX_MIN: usize = 6;

/// A plan that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deciding {
    /// The iteration.
    pub iteration: Iteration,
    /// When the plan expires.
    pub expires_at: Timestamp,
    /// What an operator said: approved or not, and who.
    review: Option<(bool, Name)>,
}

impl Deciding {
    pub(crate) fn new(iteration: Iteration, expires_at: Timestamp) -> Self {
        Self { iteration, expires_at, review: None }
    }

    pub(crate) fn deadlines(&self) -> Vec<(Timestamp, Deadline)> {
        vec![(self.expires_at, Deadline::PlanExpires)]
    }

    /// A digest names exactly one plan; what names another is not for this one.
    pub(crate) fn review(&mut self, digest: &Digest, approve: bool, by: &Name) {
        let names_it = digest.len() >= DIGEST_PREFIX_MIN && self.iteration.digest.starts_with(digest.as_str());
        if names_it || planted(Canary::ApprovesAnything) {
            self.review = Some((approve, by.clone()));
        }
    }

    pub(crate) fn advance(self, ctx: &mut Ctx<'_>) -> Phase {
        if let Some(reason) = self.refusal(ctx) {
            return ctx.dismiss(self.iteration.number, self.iteration.started_at, reason);
        }
        let approved = match (ctx.state.policy.mode, &self.review) {
            (Mode::Auto, _) | (Mode::Approve, Some((true, _))) => true,
            (Mode::Approve, Some((false, _)) | None) => planted(Canary::ApproveActs),
            (Mode::Recommend, _) => planted(Canary::RecommendActs),
        };
        if !approved {
            ctx.state.holds = vec![Reason::ApprovalPending];
            return Phase::Deciding(self);
        }
        ctx.state.holds.clear();
        ctx.state.churn.begin(ctx.state.now, &self.iteration.planned.plan);
        if self.iteration.machines.is_empty() {
            Phase::Labelling(Labelling::new(self.iteration, ctx.state))
        } else {
            Phase::Booting(Booting::new(self.iteration, ctx.state))
        }
    }

    /// The first reason not to carry the plan out.
    fn refusal(&self, ctx: &Ctx<'_>) -> Option<Reason> {
        let policy = &ctx.state.policy;
        let plan = &self.iteration.planned.plan;
        if plan.add.is_empty() && plan.remove.is_empty() && plan.moves.is_empty() {
            return Some(Reason::NoImprovement { bound: plan.lower_bound });
        }
        let need = if planted(Canary::IgnoresThreshold) { Ppm(0) } else { policy.decide.min_savings };
        if self.places_pending() {
            // Asked for whatever it costs.
        } else if let Some([now, after]) = self.weighted(policy) {
            let (saved, got) = (now.0 - after.0, Ppm::of(now.0 - after.0, now.0));
            if got < need {
                return Some(Reason::BelowSavingsThreshold { got, need });
            }
            let saving = over(MicroUsdPerHour(saved), policy.decide.plan_life);
            if saving <= plan.transition {
                return Some(Reason::NotWorthTransition { transition: plan.transition, saving });
            }
        } else if let Some(got) = self.gain() {
            if got < need {
                return Some(Reason::BelowGainThreshold { got, need });
            }
        } else {
            let got = plan.savings();
            if got < need {
                return Some(Reason::BelowSavingsThreshold { got, need });
            }
            let saving = over(MicroUsdPerHour(plan.cost_now.0 - plan.cost_after.0), policy.decide.plan_life);
            if saving <= plan.transition {
                return Some(Reason::NotWorthTransition { transition: plan.transition, saving });
            }
        }
        if let Some(limit) = self.over_budget(ctx) {
            return Some(Reason::OverBudget { limit: Name::truncated(limit) });
        }
        if let Some(reason) = self.churns(ctx).filter(|_| !planted(Canary::GoesInCircles)) {
            return Some(reason);
        }
        let share = ctx.state.world.changed_share(&self.iteration.own_names());
        if share > policy.decide.max_change {
            return Some(Reason::ClusterChangedTooMuch { share, limit: policy.decide.max_change });
        }
        if let Some(reason) = gates::breakers(ctx.state, 0).into_iter().next() {
            return Some(reason);
        }
        if let Some(pause) = &ctx.state.pause {
            return Some(pause.reason());
        }
        if policy.mode == Mode::Recommend && !planted(Canary::RecommendActs) {
            return Some(Reason::RecommendOnly);
        }
        let aborts = saturate(ctx.state.aborts.len());
        if aborts >= policy.breakers.aborts_per_hour {
            return Some(Reason::TooManyAborts { aborts });
        }
        if let Some((false, by)) = &self.review {
            return Some(Reason::PlanRejected { by: by.clone() });
        }
        (ctx.now() >= self.expires_at).then_some(Reason::PlanExpired)
    }

    /// Pods that run nowhere are worth money: the threshold of savings is not asked for them.
    fn places_pending(&self) -> bool {
        self.iteration.planned.report.pods.iter().any(|verdict| match &verdict.action {
            PodAction::Place(Target::New(_)) => true,
            PodAction::Move(_) => matches!(verdict.reason, Reason::MakesRoom { .. }),
            PodAction::Place(Target::Node(_)) | PodAction::Stay | PodAction::Unplaced => false,
        })
    }

    /// The weighted sums before the plan and after it, where other measures than cost have a weight.
    fn weighted(&self, policy: &Policy) -> Option<[MicroUsdPerHour; 2]> {
        let (objective, weights) = (policy.optimize.objective, &policy.optimize.weights);
        let weighted = objective == Objective::Cost && !weights.are_zero();
        weighted.then(|| self.iteration.planned.weighted(weights).map(|sum| sum.total()))
    }

    /// What a plan for another objective than cost comes to by its own measure.
    fn gain(&self) -> Option<Ppm> {
        let report = &self.iteration.planned.report;
        report.pods.iter().find_map(|verdict| {
            let evens_out = (verdict.reason == Reason::EvensOut).then(|| report.balance.gain());
            let heat = report.heat.filter(|_| matches!(verdict.reason, Reason::RelievesNode { .. }));
            let spread = report.dispersion.filter(|_| verdict.reason == Reason::SpreadsOut);
            evens_out.or_else(|| heat.map(|heat| heat.gain())).or_else(|| spread.map(|spread| spread.gain()))
        })
    }

    /// Why the plan is one too many, if it is.
    fn churns(&self, ctx: &Ctx<'_>) -> Option<Reason> {
        let (policy, plan, now) = (&ctx.state.policy, &self.iteration.planned.plan, ctx.now());
        let cluster = ctx.state.world.cluster();
        let share =
            i128::from(saturate(cluster.nodes.len())) * i128::from(policy.breakers.replaced_per_day.0) / 1_000_000;
        let limit = u32::try_from(share).unwrap_or(u32::MAX).max(policy.breakers.replaced_nodes);
        let nodes = ctx.state.churn.with(now, plan);
        if nodes > limit {
            return Some(Reason::TooManyReplaced { nodes, limit });
        }
        if self.places_pending() {
            return None;
        }
        let within = (policy.decide.plan_life, policy.decide.min_savings);
        let (pool, ago) = ctx.state.churn.goes_back(now, plan, cluster, within)?;
        Some(Reason::GoesBack { pool, ago })
    }

    fn over_budget(&self, ctx: &Ctx<'_>) -> Option<&'static str> {
        let policy = &ctx.state.policy.optimize;
        let plan = &self.iteration.planned.plan;
        let nodes = ctx.state.world.cluster().nodes.len() + plan.add.len();
        if policy.max_nodes.is_some_and(|most| saturate(nodes) > most) {
            return Some("maxNodes");
        }
        let added: MicroUsdPerHour = plan.add.iter().map(|add| add.price).sum();
        policy.max_cost.is_some_and(|most| plan.cost_now + added > most).then_some("maxCostPerHour")
    }
}

/// What a rate comes to over a span, rounded down.
fn over(rate: MicroUsdPerHour, span: Millis) -> MicroUsd {
    let total = i128::from(rate.0) * i128::from(span.0) / 3_600_000;
    MicroUsd(i64::try_from(total).unwrap_or(i64::MAX))
}
