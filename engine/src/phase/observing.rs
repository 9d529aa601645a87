//! Observing: is the world quiet enough, and known well enough, to plan?

use journal_schema::effect::Effect;
use journal_schema::event::Deadline;
use journal_schema::reason::Reason;
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::predicting::Predicting;
use super::{Ctx, Phase};
use crate::gates;
use crate::world::saturate;

/// How often closed gates are looked at. Each look is an entry, so not more often than people notice.
const LOOK_EVERY: Millis = Millis::from_secs(15);

/// Waiting for the gates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observing {
    look_at: Option<Timestamp>,
}

impl Observing {
    pub(crate) fn deadlines(&self) -> Vec<(Timestamp, Deadline)> {
        self.look_at.map(|at| (at, Deadline::Gates)).into_iter().collect()
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        let mut closed = gates::closed(ctx.state);
        // The account of costs begins with the first prices, so those do not wait for the gates.
        let unread = ctx.state.cloud.prices_at.is_none() || ctx.state.cloud.pools_at.is_none();
        if closed.is_empty() || unread {
            closed.extend(cloud(ctx));
        }
        if closed.is_empty() {
            ctx.state.holds.clear();
            ctx.state.iteration += 1;
            return Phase::Predicting(Predicting::new(ctx.state.iteration, ctx.now()));
        }
        self.look_at = Some(next_look(ctx, &closed));
        ctx.state.holds = closed;
        Phase::Observing(self)
    }
}

/// A gate that tells how long it will stay closed is looked at then; the others by and by.
fn next_look(ctx: &Ctx<'_>, closed: &[Reason]) -> Timestamp {
    let mut soonest = ctx.now().plus(LOOK_EVERY);
    if let [Reason::CoolingDown { left }] = closed {
        soonest = ctx.now().plus(Millis(left.0.max(1)));
        // A pod that fits nowhere does not wait for the whole pause of an idle cluster: the world's
        // version ends it early, and somebody has to look.
        soonest = soonest.min(ctx.now().plus(Millis(LOOK_EVERY.0 * 4)));
    }
    soonest
}

/// Reads pools, prices and instances as far as they are not fresh. The reason to wait, if any.
fn cloud(ctx: &mut Ctx<'_>) -> Option<Reason> {
    let fresh_since = Timestamp(ctx.now().0 - ctx.state.policy.observe.cloud_refresh.0);
    let stale = |at: Option<Timestamp>| at.is_none_or(|at| at < fresh_since);
    let mut waiting = false;
    for (effect, at) in
        [(Effect::DiscoverPools, ctx.state.cloud.pools_at), (Effect::ReadPrices, ctx.state.cloud.prices_at)]
    {
        if stale(at) {
            waiting = true;
            ctx.state.table.forget_done(&effect);
            ctx.want_again(effect);
        }
    }
    // Which pools to list is only known when they are.
    if !waiting && stale(ctx.state.cloud.all_listed_at()) {
        waiting = true;
        let effect = Effect::ListInstances { pools: ctx.state.cloud.pool_ids() };
        ctx.state.table.forget_done(&effect);
        ctx.want_again(effect);
    }
    if waiting {
        return Some(Reason::CloudUnknown);
    }
    let busy = ctx.state.cloud.busy();
    if busy > 0 {
        return Some(Reason::CloudBusy { instances: saturate(busy) });
    }
    let usable = ctx.state.cloud.pools.values().any(|pool| pool.refusal.is_none());
    (!usable).then_some(Reason::NothingManaged)
}
