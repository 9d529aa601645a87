//! Draining: empty machines are deleted, and what marked the iteration is taken away.

use canary::{Canary, planted};
use journal_schema::cloud::{InstanceState, PoolId};
use journal_schema::effect::Regarding;
use journal_schema::event::Deadline;
use journal_schema::policy::Pricing;
use journal_schema::reason::Reason;
use journal_schema::text::{Message, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::{Ctx, Iteration, Phase, relief, undo::undo, unwinding};
use crate::debts::Debt;
use crate::gates;
use crate::removal::{Removal, Removed, deletes};
use crate::state::State;

/// Waiting for machines to be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// The iteration.
    pub iteration: Iteration,
    /// When draining has failed.
    pub until: Timestamp,
    removals: BTreeMap<Name, Removal>,
    /// Debts of nodes that are given back, which are being undone.
    reverting: Vec<Debt>,
    /// When the last one was given back.
    relieved_at: Option<Timestamp>,
    /// Nodes whose deletion is not asked for again, because a pod waits that one would take, and since when: whether
    /// the request arrived is not known yet.
    recalled: BTreeMap<Name, Timestamp>,
    poll_at: Timestamp,
}

/// Whether a machine is gone or on its way out, as far as the cloud told.
fn goes(state: &State, node: &Name) -> bool {
    state.cloud.instance(node).is_none_or(|(_, instance)| instance.state == InstanceState::Deleting)
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
        let (until, poll_at) = (state.now.plus(deadlines.drain), state.now.plus(deadlines.poll));
        Self {
            iteration,
            until,
            removals,
            reverting: Vec::new(),
            relieved_at: None,
            recalled: BTreeMap::new(),
            poll_at,
        }
    }

    /// Nodes whose machines were asked to go, with their pools.
    pub(crate) fn going(&self) -> BTreeMap<Name, PoolId> {
        let going = self.removals.iter().filter(|(_, removal)| removal.is_deleting());
        going.map(|(node, removal)| (node.clone(), removal.pool().clone())).collect()
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

    pub(crate) fn postpone(&mut self, by: Millis) {
        self.until = self.until.plus(by);
        self.relieved_at = self.relieved_at.map(|at| at.plus(by));
        for since in self.recalled.values_mut() {
            *since = since.plus(by);
        }
        for removal in self.removals.values_mut() {
            removal.postpone(by);
        }
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        let poll = ctx.poll_due(&mut self.poll_at);
        if poll {
            ctx.list_instances(self.removals.values().map(|removal| removal.pool().clone()).collect());
        }
        self.reverting.retain(|debt| !undo(ctx, debt));
        let relieving = self.relieve(ctx);
        let frozen = gates::frozen(ctx.state, &self.going());
        ctx.state.holds = frozen.clone().into_iter().collect();
        let number = self.iteration.number;
        let mut gone = Vec::new();
        let mut held = None;
        // While room is being made for pods that wait, no other goes; nor while a breaker has tripped.
        let held_back = relieving || frozen.is_some();
        let goes_on =
            |node: &Name, removal: &Removal| !self.recalled.contains_key(node) && (!held_back || removal.is_deleting());
        for (node, removal) in self.removals.iter_mut().filter(|(node, removal)| goes_on(node, removal)) {
            match removal.advance(ctx, number) {
                Removed::Gone => gone.push(node.clone()),
                Removed::Waiting(pod) => held = held.or(pod.map(|pod| (node.clone(), pod))),
                Removed::Impossible(reason) => {
                    let going = self.going();
                    return unwinding::begin_with(self.iteration, reason, ctx.now(), going);
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
        if ctx.now() >= self.until && !planted(Canary::DrainsForEver) {
            let (node, message) = match held {
                Some((node, pod)) => (node, Message::truncated(format!("pod {pod} is still there"))),
                None => {
                    let node = self.removals.keys().next().cloned().unwrap_or_default();
                    (node, Message::truncated("the machine is not gone"))
                }
            };
            let (reason, going) = (frozen.unwrap_or(Reason::DrainStuck { node, message }), self.going());
            return unwinding::begin_with(self.iteration, reason, ctx.now(), going);
        }
        Phase::Draining(self)
    }

    /// Gives leaving nodes back to pods that came to wait, one at a time. True while pods wait that one would take.
    fn relieve(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if planted(Canary::NoRelief) {
            return false;
        }
        self.settle_recalled(ctx.state);
        let lost = self.removals.iter().filter(|(_, removal)| removal.is_deleting());
        let lost = lost.map(|(node, _)| node.clone()).collect();
        let Some((node, pod)) = relief::wanted(ctx.state, &self.iteration, &lost) else {
            return self.recall(ctx) || !self.reverting.is_empty();
        };
        // The scheduler is given time to see the one before.
        let patience = ctx.state.policy.deadlines.settle;
        if !self.reverting.is_empty() || self.relieved_at.is_some_and(|at| ctx.now() < at.plus(patience)) {
            return true;
        }
        self.relieved_at = Some(ctx.now());
        self.removals.remove(&node);
        self.iteration.spared.insert(node.clone());
        let marks = ctx.state.debts.iter().filter(|debt| matches!(debt, Debt::Mark { node: of, .. } if *of == node));
        self.reverting.extend(marks.cloned().collect::<Vec<_>>());
        self.reverting.retain(|debt| !undo(ctx, debt));
        let uid = ctx.state.world.cluster().nodes.get(&node).map(|node| node.uid.clone()).unwrap_or_default();
        let note = format!("pod {} fits nowhere else: the node stays", pod.key);
        ctx.notice(Regarding::Node(node, uid), "NodeNotRemovable", &note, true);
        true
    }

    /// A pod waits, and only nodes would take it whose machines were asked to go. One that the cloud does not show going
    /// is not asked for again: perhaps the request never arrived. True while such a pod waits.
    fn recall(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let lost = self.removals.keys().filter(|node| goes(ctx.state, node)).cloned().collect();
        let Some((node, _)) = relief::wanted(ctx.state, &self.iteration, &lost) else { return false };
        let Some(removal) = self.removals.get(&node) else { return false };
        let about = removal.is_deleting();
        if about && !self.recalled.contains_key(&node) {
            ctx.state.table.abandon(|known| deletes(known, &node));
            self.recalled.insert(node, ctx.now());
        }
        about
    }

    /// Of nodes whose deletion is not asked for again: those that go all the same go on; those that a list shows to stay
    /// which was made when every request must have arrived are as if nothing had been asked.
    fn settle_recalled(&mut self, state: &State) {
        let effect = state.policy.deadlines.effect;
        let mut stay = BTreeSet::new();
        self.recalled.retain(|node, since| {
            let Some(removal) = self.removals.get(node) else { return false };
            let goes = goes(state, node);
            let listed = state.cloud.listed_at(removal.pool()).is_some_and(|at| at >= since.plus(effect));
            if listed && !goes {
                stay.insert(node.clone());
            }
            !goes && !listed
        });
        for (_, removal) in self.removals.iter_mut().filter(|(node, _)| stay.contains(*node)) {
            removal.begin_anew();
        }
    }

    /// The plan is reached: new machines are in service, and what marked the iteration goes.
    fn clear(self, ctx: &mut Ctx<'_>) -> Phase {
        for debt in ctx.state.debts.newest_first() {
            if matches!(debt, Debt::Instance { .. }) || planted(Canary::ClearsNothing) {
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
