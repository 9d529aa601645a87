//! Draining: empty machines are deleted, and what marked the iteration is taken away.

use journal_schema::effect::Regarding;
use journal_schema::event::Deadline;
use journal_schema::policy::Pricing;
use journal_schema::reason::Reason;
use journal_schema::text::{Message, Name};
use journal_schema::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Ctx, Iteration, Phase, undo::undo, unwinding};
use crate::debts::Debt;
use crate::removal::{Removal, Removed};
use crate::state::State;

/// Waiting for machines to be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// The iteration.
    pub iteration: Iteration,
    /// When draining has failed.
    pub until: Timestamp,
    removals: BTreeMap<Name, Removal>,
    poll_at: Timestamp,
}

impl Draining {
    pub(crate) fn new(iteration: Iteration, state: &State) -> Self {
        let managed = state.cloud.managed();
        let removals = iteration
            .leaving()
            .filter_map(|remove| {
                let pool = managed.get(&remove.node).or(remove.pool.as_ref())?.clone();
                Some((remove.node.clone(), Removal::new(remove.node.clone(), remove.uid.clone(), pool)))
            })
            .collect();
        let deadlines = &state.policy.deadlines;
        Self { iteration, until: state.now.plus(deadlines.drain), removals, poll_at: state.now.plus(deadlines.poll) }
    }

    /// Nodes that are still to be removed.
    pub fn left(&self) -> usize {
        self.removals.len()
    }

    pub(crate) fn deadlines(&self, state: &State) -> Vec<(Timestamp, Deadline)> {
        let settle = state.policy.deadlines.settle;
        let mut deadlines = vec![(self.poll_at, Deadline::Poll)];
        if !self.removals.is_empty() {
            deadlines.push((self.until, Deadline::Phase));
        }
        let settling =
            self.removals.values().filter_map(|removal| removal.settles_at(settle)).filter(|at| *at > state.now).min();
        deadlines.extend(settling.map(|at| (at, Deadline::Settled)));
        deadlines
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        let poll = ctx.poll_due(&mut self.poll_at);
        if poll {
            ctx.list_instances(self.removals.values().map(|removal| removal.pool().clone()).collect());
        }
        let number = self.iteration.number;
        let mut gone = Vec::new();
        let mut held = None;
        for (node, removal) in &mut self.removals {
            match removal.advance(ctx, number) {
                Removed::Gone => gone.push(node.clone()),
                Removed::Waiting(pod) => held = held.or(pod.map(|pod| (node.clone(), pod))),
                Removed::Impossible(reason) => {
                    return unwinding::begin(self.iteration, reason, ctx.now());
                }
            }
        }
        for node in gone {
            self.removals.remove(&node);
            let uid = self
                .iteration
                .planned
                .plan
                .remove
                .iter()
                .find(|remove| remove.node == node)
                .map(|remove| remove.uid.clone());
            ctx.notice(Regarding::Node(node, uid.unwrap_or_default()), "NodeRemoved", "the machine is gone", false);
        }
        if self.removals.is_empty() {
            return self.clear(ctx);
        }
        if ctx.now() >= self.until {
            let (node, message) = match held {
                Some((node, pod)) => (node, Message::truncated(format!("pod {pod} is still there"))),
                None => {
                    let node = self.removals.keys().next().cloned().unwrap_or_default();
                    (node, Message::truncated("the machine is not gone"))
                }
            };
            return unwinding::begin(self.iteration, Reason::DrainStuck { node, message }, ctx.now());
        }
        Phase::Draining(self)
    }

    /// The plan is reached: new machines are in service, and what marked the iteration goes.
    fn clear(self, ctx: &mut Ctx<'_>) -> Phase {
        for debt in ctx.state.debts.newest_first() {
            if let Debt::Instance { .. } = debt {
                ctx.state.debts.pay(&debt);
            } else {
                undo(ctx, &debt);
            }
        }
        if !ctx.state.debts.is_empty() {
            return Phase::Draining(self);
        }
        let plan = &self.iteration.planned.plan;
        // The ledger counts list prices.
        let basis = if ctx.state.policy.optimize.pricing == Pricing::default() { "" } else { " at effective prices" };
        let note = format!(
            "{} nodes added, {} removed, {} pods moved; ${}/h (planned ${}/h{basis})",
            plan.add.len(),
            self.iteration.leaving().count(),
            self.iteration.moved,
            ctx.state.ledger.rate(),
            plan.cost_after,
        );
        ctx.notice(Regarding::Kinema, "PlanApplied", &note, false);
        ctx.complete(&self.iteration, None)
    }
}
