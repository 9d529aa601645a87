//! Unwinding: everything that the iteration changed is undone, newest first, until nothing is owed.
//!
//! There is no deadline and no way out but the end: a debt that cannot be paid now is tried again
//! at every poll.

use canary::{Canary, planted};
use journal_schema::cloud::{InstanceState, PoolId};
use journal_schema::effect::{Answer, Effect, InstanceRef, Regarding};
use journal_schema::event::Deadline;
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Ctx, Iteration, Phase, undo::undo};
use crate::debts::Debt;
use crate::names;
use crate::removal::{Removal, Removed, deletes};
use crate::state::State;
use crate::table::Progress;
use crate::world::holds_node;

/// Paying debts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwinding {
    /// The iteration.
    pub iteration: Iteration,
    /// Why.
    pub reason: Reason,
    /// Nothing of the way forward is under way any more.
    quiet: bool,
    removals: BTreeMap<Name, Removal>,
    /// Leaving nodes whose machines were asked to go, by name: no pod may come there before it is known that they stay.
    going: BTreeMap<Name, PoolId>,
    /// When it turned back.
    since: Timestamp,
    poll_at: Timestamp,
}

/// Whether a debt is left as it is: never, unless a bug is planted.
fn is_left(debt: &Debt) -> bool {
    planted(match debt {
        Debt::Instance { .. } => Canary::LeavesMachines,
        Debt::Mark { .. } => Canary::LeavesMarks,
        Debt::DeletionCost { .. } | Debt::Surge { .. } | Debt::Template { .. } => Canary::LeavesWorkloads,
    })
}

/// Whether the API server, asked now, knows of no pod that holds a node. False until it answers.
fn read_empty(ctx: &mut Ctx<'_>, node: &Name) -> bool {
    let read = Effect::ReadNodePods { node: node.clone() };
    match ctx.want_again(read.clone()) {
        Progress::Asked | Progress::Refused(_) => false,
        Progress::Done => match ctx.state.table.take_answer(&read) {
            Some(Answer::NodePods(pods)) => !pods.iter().any(holds_node),
            Some(_) | None => false,
        },
    }
}

/// Turns back.
pub(crate) fn begin(iteration: Iteration, reason: Reason, now: Timestamp) -> Phase {
    begin_with(iteration, reason, now, BTreeMap::new())
}

/// Turns back when machines were already asked to go: their nodes, with their pools.
pub(crate) fn begin_with(iteration: Iteration, reason: Reason, now: Timestamp, going: BTreeMap<Name, PoolId>) -> Phase {
    let removals = BTreeMap::new();
    Phase::Unwinding(Unwinding { iteration, reason, quiet: false, removals, going, since: now, poll_at: now })
}

impl Unwinding {
    pub(crate) fn deadlines(&self, state: &State) -> Vec<(Timestamp, Deadline)> {
        let settle = state.policy.deadlines.settle;
        let settling =
            self.removals.values().filter_map(|removal| removal.settles_at(settle)).filter(|at| *at > state.now).min();
        std::iter::once((self.poll_at.max(Timestamp(state.now.0 + 1)), Deadline::Poll))
            .chain(settling.map(|at| (at, Deadline::Settled)))
            .collect()
    }

    pub(crate) fn postpone(&mut self, by: Millis) {
        self.since = self.since.plus(by);
        for removal in self.removals.values_mut() {
            removal.postpone(by);
        }
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        ctx.state.holds = vec![self.reason.clone()];
        if !self.quiet {
            ctx.state.table.abandon(|effect| !matches!(effect, Effect::Notice { .. }));
            let waiting = ctx.state.table.mutation_under_way();
            if waiting && !planted(Canary::UnwindsAtOnce) {
                // What is still on its way could undo the undoing: first let it arrive, or time out.
                self.poll_at = ctx.now().plus(ctx.state.policy.deadlines.poll);
                return Phase::Unwinding(self);
            }
            self.quiet = true;
            ctx.notice(Regarding::Kinema, "PlanRolledBack", &self.reason.text().sentence, true);
        }
        if ctx.poll_due(&mut self.poll_at) {
            let pools = ctx.state.debts.iter().filter_map(|debt| match debt {
                Debt::Instance { pool, .. } => Some(pool.clone()),
                Debt::Mark { .. } | Debt::DeletionCost { .. } | Debt::Surge { .. } | Debt::Template { .. } => None,
            });
            let pools = pools.chain(self.going.values().cloned()).collect();
            ctx.list_instances(pools);
        }
        let debts = ctx.state.debts.newest_first();
        let mut workloads_owe = false;
        for debt in &debts {
            if matches!(debt, Debt::DeletionCost { .. } | Debt::Surge { .. } | Debt::Template { .. }) {
                workloads_owe |= !is_left(debt) && !undo(ctx, debt);
            }
        }
        if workloads_owe {
            return Phase::Unwinding(self);
        }
        self.settle_going(ctx.state);
        // Leaving nodes take pods again before new machines go away.
        let mut marks_owe = false;
        for debt in &debts {
            if let Debt::Mark { node, .. } = debt
                && !ctx.state.debts.has_instance(node)
            {
                marks_owe |= !is_left(debt) && (self.going.contains_key(node) || !undo(ctx, debt));
            }
        }
        if marks_owe {
            return Phase::Unwinding(self);
        }
        for debt in &debts {
            if let Debt::Instance { name, pool, since } = debt
                && (is_left(debt) || self.machine(ctx, name, pool, *since))
            {
                ctx.state.debts.pay(debt);
                self.removals.remove(name);
            }
        }
        if ctx.state.debts.iter().all(is_left) {
            let reason = self.reason.clone();
            return ctx.complete(&self.iteration, Some(reason));
        }
        Phase::Unwinding(self)
    }

    /// Lets go of the nodes that are gone, and of those that a list shows to stay which was made when every request
    /// to delete must have arrived.
    fn settle_going(&mut self, state: &State) {
        let settled_at = self.since.plus(state.policy.deadlines.effect);
        self.going.retain(|node, pool| {
            let listed = state.cloud.listed_at(pool).is_some_and(|listed| listed >= settled_at);
            let leaves = state.cloud.instance(node).is_some_and(|(_, found)| found.state == InstanceState::Deleting);
            state.world.cluster().nodes.contains_key(node) && (!listed || leaves)
        });
    }

    /// Goes on with a machine of ours: it is deleted, unless pods already live on it, in which case it
    /// is in service from now on. True when one of the two is reached.
    fn machine(&mut self, ctx: &mut Ctx<'_>, name: &Name, pool: &Name, since: Timestamp) -> bool {
        let Some(node) = ctx.state.world.cluster().nodes.get(name).cloned() else {
            return self.unjoined(ctx, name, pool, since);
        };
        let deleting = self.removals.contains_key(name);
        let spares = !planted(Canary::DeletesUsed);
        if spares && !deleting && ctx.state.world.pods_on(name).any(|pod| holds_node(pod) && pod.deletion_at.is_none())
        {
            return true;
        }
        if !deleting {
            // Asked for before it joined, and perhaps to be asked again: from now on it goes as every node does.
            ctx.state.table.abandon(|known| deletes(known, name));
        }
        let removal = self
            .removals
            .entry(name.clone())
            .or_insert_with(|| Removal::new(name.clone(), node.uid.clone(), pool.clone()));
        match removal.advance(ctx, self.iteration.number) {
            Removed::Gone => true,
            // A pod slipped in before the taint: the machine is useful after all.
            Removed::Waiting(Some(_)) => spares,
            Removed::Waiting(None) => false,
            // Tried again from the start at the next poll.
            Removed::Impossible(_) => {
                self.removals.remove(name);
                false
            }
        }
    }

    /// A machine that never became a node, or is no node any more.
    fn unjoined(&self, ctx: &mut Ctx<'_>, name: &Name, pool: &Name, since: Timestamp) -> bool {
        if let Some((_, instance)) = ctx.state.cloud.instance(name).cloned() {
            let what = format!("delete {name} {}", instance.id.unwrap_or(0));
            let request_id = names::request_id(&ctx.state.journal_id, self.iteration.number, &what);
            let instances = Few::new(vec![InstanceRef { name: name.clone(), id: instance.id }]).unwrap_or_default();
            let delete = Effect::DeleteInstances { pool: pool.clone(), instances, request_id };
            // It may have joined a moment ago, and pods with it: the watch tells later than the API server.
            if ctx.state.table.knows(&delete) || read_empty(ctx, name) {
                ctx.want_again(delete);
            }
            return false;
        }
        // Absent from a list that was made when the request must have arrived, if it ever did.
        let settled_at = since.plus(ctx.state.policy.deadlines.effect);
        ctx.state.cloud.listed_at(pool).is_some_and(|listed| listed >= settled_at)
    }
}
