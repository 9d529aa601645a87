//! Moves under way: one group a workload, one way each.

pub mod evict;
pub mod rollout;
pub mod surge;

use journal_schema::facts::{Key, WorkloadId};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::Ctx;

/// A pod on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Pod.
    pub pod: Key,
    /// Its UID.
    pub uid: Name,
    /// The node that it leaves.
    pub node: Name,
    /// The deletion cost that its owner gave it.
    pub cost_before: i32,
}

/// The ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Surge(surge::Surge),
    Evict(evict::Eviction),
    Rollout(rollout::Rollout),
}

/// Pods of one workload that are moved together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    way: Way,
    pub(crate) started_at: Timestamp,
}

/// How a group went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Over; how many pods left. A pod that did not leave is tried again.
    Done(u32),
    /// Waiting; for what, in words.
    Waiting(&'static str),
    /// It cannot go on.
    Stuck(Reason),
}

impl Group {
    pub(crate) fn surge(surge: surge::Surge, now: Timestamp) -> Self {
        Self { way: Way::Surge(surge), started_at: now }
    }
    pub(crate) fn evict(evict: evict::Eviction, now: Timestamp) -> Self {
        Self { way: Way::Evict(evict), started_at: now }
    }
    pub(crate) fn rollout(rollout: rollout::Rollout, now: Timestamp) -> Self {
        Self { way: Way::Rollout(rollout), started_at: now }
    }

    /// It counts as begun so much later.
    pub(crate) fn postpone(&mut self, by: Millis) {
        self.started_at = self.started_at.plus(by);
        match &mut self.way {
            Way::Surge(surge) => surge.postpone(by),
            Way::Evict(eviction) => eviction.postpone(by),
            Way::Rollout(_) => {}
        }
    }

    pub(crate) fn pods(&self) -> &[Leaving] {
        match &self.way {
            Way::Surge(surge) => &surge.pods,
            Way::Evict(eviction) => std::slice::from_ref(&eviction.pod),
            Way::Rollout(rollout) => &rollout.pods,
        }
    }

    pub(crate) fn uids(&self) -> impl Iterator<Item = &Name> {
        self.pods().iter().map(|leaving| &leaving.uid)
    }

    pub(crate) fn first_pod(&self) -> Key {
        self.pods().first().map(|leaving| leaving.pod.clone()).unwrap_or_default()
    }

    pub(crate) fn workload(&self) -> Option<WorkloadId> {
        match &self.way {
            Way::Surge(surge) => Some(surge.workload.clone()),
            Way::Evict(eviction) => eviction.workload.clone(),
            Way::Rollout(rollout) => Some(rollout.workload.clone()),
        }
    }

    pub(crate) fn advance(&mut self, ctx: &mut Ctx<'_>, iteration: u64) -> Moved {
        match &mut self.way {
            Way::Surge(surge) => surge.advance(ctx),
            Way::Evict(eviction) => eviction.advance(ctx),
            Way::Rollout(rollout) => rollout.advance(ctx, iteration),
        }
    }
}

/// Since when pods of a workload that would replace leaving ones fit nowhere.
pub(crate) fn unplaced(
    ctx: &Ctx<'_>,
    workload: &journal_schema::facts::WorkloadFact,
    since: &mut Option<Timestamp>,
) -> bool {
    let unplaced = ctx.state.world.pods_of(workload).any(|pod| ctx.state.world.unschedulable_pods().contains(&pod.key));
    *since = if unplaced { since.or(Some(ctx.now())) } else { None };
    since.is_some_and(|since| ctx.now() >= since.plus(ctx.state.policy.deadlines.effect))
}

/// Whether a pod is gone, or on its way out by itself.
pub(crate) fn left(ctx: &Ctx<'_>, leaving: &Leaving) -> bool {
    ctx.state.world.pod(&leaving.pod, &leaving.uid).is_none_or(|pod| pod.deletion_at.is_some())
}

/// How many of these have left.
pub(crate) fn count_left(ctx: &Ctx<'_>, pods: &[Leaving]) -> u32 {
    crate::world::saturate(pods.iter().filter(|leaving| left(ctx, leaving)).count())
}
