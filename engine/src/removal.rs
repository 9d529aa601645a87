//! How one node is removed, and nothing else is.
//!
//! ```text
//! tainted → empty for the settle time → a quorum read shows it empty → deleted by name and id → gone
//! ```
//!
//! Every arrow is checked against the world each time; whatever stops holding leads back.

use canary::{Canary, planted};
use journal_schema::cloud::PoolId;
use journal_schema::effect::{Answer, Effect, FailureCode, InstanceRef, NodeRole};
use journal_schema::facts::Key;
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use crate::names;
use crate::phase::Ctx;
use crate::table::Progress;
use crate::world::holds_node;

/// Where a removal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// Waiting until no pod holds the node.
    Emptying,
    /// Seen empty since; waiting for the settle time, then for the quorum read.
    Empty { since: Timestamp },
    /// Proven empty; waiting for the machine to be gone.
    Deleting,
}

/// One node's way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    node: Name,
    /// UID that the node must have.
    uid: Name,
    pool: PoolId,
    stage: Stage,
}

/// How a removal went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// Node and machine are gone.
    Gone,
    /// Not yet; the pod that holds the node, if one does.
    Waiting(Option<Key>),
    /// It cannot be done.
    Impossible(Reason),
}

/// Whether an effect asks for a node's machine to go.
pub(crate) fn deletes(effect: &Effect, node: &Name) -> bool {
    matches!(effect, Effect::DeleteInstances { instances, .. } if instances.iter().any(|instance| instance.name == *node))
}

impl Removal {
    pub(crate) fn new(node: Name, uid: Name, pool: PoolId) -> Self {
        Self { node, uid, pool, stage: Stage::Emptying }
    }

    pub(crate) fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// Nothing was asked for: the node must be seen to be empty anew.
    pub(crate) fn begin_anew(&mut self) {
        self.stage = Stage::Emptying;
    }

    /// Whether the machine has been asked to go.
    pub(crate) fn is_deleting(&self) -> bool {
        self.stage == Stage::Deleting
    }

    /// When the settle time is over, if that is what it waits for.
    pub(crate) fn settles_at(&self, settle: Millis) -> Option<Timestamp> {
        match self.stage {
            Stage::Empty { since } => Some(since.plus(settle)),
            Stage::Emptying | Stage::Deleting => None,
        }
    }

    /// The settle time ends so much later by the clock.
    pub(crate) fn postpone(&mut self, by: Millis) {
        if let Stage::Empty { since } = &mut self.stage {
            *since = since.plus(by);
        }
    }

    pub(crate) fn advance(&mut self, ctx: &mut Ctx<'_>, iteration: u64) -> Removed {
        let Some(node) = ctx.state.world.cluster().nodes.get(&self.node).cloned() else {
            return self.without_node(ctx);
        };
        if node.uid != self.uid {
            return Removed::Impossible(Reason::NodeChanged { node: self.node.clone() });
        }
        if !ctx.mark_again(&node, NodeRole::Expiring, iteration) {
            self.stage = Stage::Emptying;
            return Removed::Waiting(None);
        }
        let holder = ctx.state.world.holding(&self.node).next().map(|pod| pod.key.clone());
        if holder.is_some() && !planted(Canary::DeletesHeld) {
            self.stage = Stage::Emptying;
            return Removed::Waiting(holder);
        }
        let read = Effect::ReadNodePods { node: self.node.clone() };
        let since = match self.stage {
            Stage::Deleting => return self.delete(ctx, iteration, node.instance_id),
            Stage::Empty { since } => since,
            Stage::Emptying => {
                // What was asked before the node was marked proves nothing.
                ctx.state.table.abandon(|known| *known == read);
                self.stage = Stage::Empty { since: ctx.now() };
                ctx.now()
            }
        };
        if ctx.now() < since.plus(ctx.state.policy.deadlines.settle) && !planted(Canary::SkipsSettle) {
            return Removed::Waiting(None);
        }
        if planted(Canary::SkipsQuorumRead) {
            self.stage = Stage::Deleting;
            return self.delete(ctx, iteration, node.instance_id);
        }
        match ctx.want(read.clone()) {
            Progress::Asked => Removed::Waiting(None),
            Progress::Refused(failure) => {
                ctx.state.table.forget(&read);
                let message = failure.message;
                Removed::Impossible(Reason::DrainStuck { node: self.node.clone(), message })
            }
            Progress::Done => {
                let empty = match ctx.state.table.take_answer(&read) {
                    Some(Answer::NodePods(pods)) => !pods.iter().any(holds_node),
                    Some(_) | None => false,
                };
                if empty || planted(Canary::BelievesView) {
                    self.stage = Stage::Deleting;
                    self.delete(ctx, iteration, node.instance_id)
                } else {
                    // Our view is behind the cluster's: wait for it to catch up.
                    self.stage = Stage::Emptying;
                    Removed::Waiting(None)
                }
            }
        }
    }

    /// The node object is gone: the machine may still be on its way out, or have died by itself.
    fn without_node(&mut self, ctx: &mut Ctx<'_>) -> Removed {
        match (ctx.state.cloud.instance(&self.node), self.stage) {
            (None, Stage::Deleting) => Removed::Gone,
            // It left without us. A list that was made before the node vanished proves nothing, but then
            // the machine is not ours to delete either: the cloud or its owner took it.
            (None, Stage::Emptying | Stage::Empty { .. }) => Removed::Gone,
            (Some(_), Stage::Deleting) => Removed::Waiting(None),
            (Some(_), Stage::Emptying | Stage::Empty { .. }) => Removed::Waiting(None),
        }
    }

    fn delete(&self, ctx: &mut Ctx<'_>, iteration: u64, node_instance_id: Option<u64>) -> Removed {
        let listed = ctx.state.cloud.instance(&self.node).and_then(|(_, instance)| instance.id);
        let id = match (node_instance_id, listed) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                return Removed::Impossible(Reason::NodeChanged { node: self.node.clone() });
            }
            (Some(id), _) | (None, Some(id)) => id,
            // Without an id it could be anybody's machine.
            (None, None) => return Removed::Waiting(None),
        };
        let request_id = names::request_id(&ctx.state.journal_id, iteration, &format!("delete {} {id}", self.node));
        let id = (!planted(Canary::DeletesUnnamed)).then_some(id);
        let instances = Few::new(vec![InstanceRef { name: self.node.clone(), id }]).unwrap_or_default();
        let effect = Effect::DeleteInstances { pool: self.pool.clone(), instances, request_id };
        match ctx.want(effect.clone()) {
            Progress::Asked | Progress::Done => Removed::Waiting(None),
            Progress::Refused(failure) if failure.code == FailureCode::NotFound => Removed::Waiting(None),
            Progress::Refused(failure) => {
                // Whoever tries again asks again.
                ctx.state.table.forget(&effect);
                Removed::Impossible(Reason::DrainStuck { node: self.node.clone(), message: failure.message })
            }
        }
    }
}
