//! Booting: all new machines at once, until each is a ready node.

use canary::{Canary, planted};
use journal_schema::cloud::{CloudFault, PoolId};
use journal_schema::effect::{Effect, FailureCode};
use journal_schema::event::Deadline;
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::labelling::Labelling;
use super::{Ctx, Iteration, Phase, unwinding};
use crate::debts::Debt;
use crate::names;
use crate::state::State;
use crate::table::Progress;

/// Most names in one request; the cloud takes a thousand.
const NAMES_MAX: usize = 500;

/// Waiting for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booting {
    /// The iteration.
    pub iteration: Iteration,
    /// When the boot has failed.
    pub until: Timestamp,
    poll_at: Timestamp,
    asked_at: Timestamp,
}

impl Booting {
    pub(crate) fn new(iteration: Iteration, state: &State) -> Self {
        let deadlines = &state.policy.deadlines;
        Self {
            iteration,
            until: state.now.plus(deadlines.boot),
            poll_at: state.now.plus(deadlines.poll),
            asked_at: state.now,
        }
    }

    pub(crate) fn deadlines(&self, _state: &State) -> Vec<(Timestamp, Deadline)> {
        vec![(self.until, Deadline::Phase), (self.poll_at, Deadline::Poll)]
    }

    pub(crate) fn postpone(&mut self, by: Millis) {
        self.until = self.until.plus(by);
        self.asked_at = self.asked_at.plus(by);
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        let missing = self.iteration.first_missing(ctx.state).filter(|_| !planted(Canary::SkipsBooting)).cloned();
        let Some(missing) = missing else {
            ctx.state
                .table
                .abandon(|effect| matches!(effect, Effect::CreateInstances { .. } | Effect::ListInstances { .. }));
            return Phase::Labelling(Labelling::new(self.iteration, ctx.state));
        };
        if let Some((pool, fault)) = self.ask(ctx).or_else(|| self.fault(ctx)) {
            let until = ctx.now().plus(ctx.state.policy.deadlines.stockout);
            ctx.state.cloud.avoid(&pool, until);
            return unwinding::begin(self.iteration, Reason::BootFailed { pool, fault }, ctx.now());
        }
        if ctx.now() >= self.until && !planted(Canary::BootsForEver) {
            // Whatever the cause, the next plan had better try another pool first.
            let until = ctx.now().plus(ctx.state.policy.deadlines.stockout);
            ctx.state.cloud.avoid(&missing.pool, until);
            return unwinding::begin(self.iteration, Reason::NodeNeverReady { node: missing.name }, ctx.now());
        }
        if ctx.poll_due(&mut self.poll_at) {
            ctx.list_instances(self.iteration.machines.iter().map(|machine| machine.pool.clone()).collect());
        }
        Phase::Booting(self)
    }

    /// Asks for every machine, a request per pool and up to [`NAMES_MAX`] names. Asked for once: which
    /// of them exist is the adapter's first look, and what becomes of them is in the lists.
    fn ask(&self, ctx: &mut Ctx<'_>) -> Option<(PoolId, CloudFault)> {
        let mut by_pool: BTreeMap<&PoolId, Vec<Name>> = BTreeMap::new();
        for machine in &self.iteration.machines {
            by_pool.entry(&machine.pool).or_default().push(machine.name.clone());
        }
        for (pool, names) in by_pool {
            for chunk in names.chunks(NAMES_MAX) {
                for name in chunk {
                    ctx.state.debts.owe(Debt::Instance {
                        name: name.clone(),
                        pool: pool.clone(),
                        since: self.asked_at,
                    });
                }
                let first = chunk.first().map_or("", |name| name.as_str());
                let request_id =
                    names::request_id(&ctx.state.journal_id, self.iteration.number, &format!("create {pool} {first}"));
                let names = Few::new(chunk.to_vec()).unwrap_or_default();
                if let Progress::Refused(failure) =
                    ctx.want(Effect::CreateInstances { pool: pool.clone(), names, request_id })
                {
                    return Some((pool.clone(), fault_of(failure.code)));
                }
            }
        }
        None
    }

    /// A machine whose creation the cloud reports as failed. It goes on trying by itself, so that a
    /// "failed" machine may appear an hour later: unwinding deletes it by name.
    fn fault(&self, ctx: &Ctx<'_>) -> Option<(PoolId, CloudFault)> {
        self.iteration.machines.iter().find_map(|machine| {
            let (pool, instance) = ctx.state.cloud.instance(&machine.name)?;
            instance.fault.map(|fault| (pool.clone(), fault))
        })
    }
}

fn fault_of(code: FailureCode) -> CloudFault {
    match code {
        FailureCode::Cloud(fault) => fault,
        FailureCode::Forbidden => CloudFault::Permission,
        FailureCode::Invalid | FailureCode::Precondition | FailureCode::NotFound => CloudFault::Config,
        FailureCode::DisruptionBudget
        | FailureCode::Throttled
        | FailureCode::Unavailable
        | FailureCode::Timeout
        | FailureCode::NotLeader
        | FailureCode::Internal => CloudFault::Other,
    }
}
