//! Everything the daemon knows, decided, asked for or owes.

use journal_schema::codec::{self, EncodeError};
use journal_schema::effect::{Effect, EffectId};
use journal_schema::event::{Deadline, Digest};
use journal_schema::facts::Key;
use journal_schema::plan::{Cluster, Managed, Planned, PlanningInput};
use journal_schema::policy::Policy;
use journal_schema::reason::Reason;
use journal_schema::text::{Message, Name};
use journal_schema::units::{MicroUsd, MicroUsdPerHour, Millis, Timestamp};
use journal_schema::usage::{Forecasts, UsageWindow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::answers::Answers;
use crate::churn::Churn;
use crate::cloud::CloudView;
use crate::debts::Debts;
use crate::gates;
use crate::invariants::Blocked;
use crate::ledger::Ledger;
use crate::phase::Phase;
use crate::table::{Clock, EffectTable};
use crate::world::World;

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who paused.
    pub by: Name,
    /// Why.
    pub reason: Message,
    /// Until when; `None` until resumed.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Why nothing is begun meanwhile.
    pub(crate) fn reason(&self) -> Reason {
        Reason::Paused { by: self.by.clone(), reason: self.reason.clone(), until: self.until }
    }
}

/// How an iteration ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its number.
    pub iteration: u64,
    /// Digest of its plan, if there was one.
    pub digest: Option<Digest>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why it ended without having been carried out; `None` when it was carried out.
    pub reason: Option<Reason>,
    /// Whether changes had to be undone.
    pub unwound: bool,
    /// Machines booted, removed, pods moved.
    pub counts: (u32, u32, u32),
    /// What the plan said it would cost per hour: before and after.
    pub planned: Option<(MicroUsdPerHour, MicroUsdPerHour)>,
    /// What the cluster costs per hour now.
    pub reached: MicroUsdPerHour,
}

/// The state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) journal_id: Name,
    pub(crate) seq: u64,
    pub(crate) now: Timestamp,
    pub(crate) epoch: u64,
    pub(crate) behaviour: u32,
    pub(crate) own_pod: Option<Key>,
    pub(crate) policy: Policy,
    pub(crate) world: World,
    pub(crate) cloud: CloudView,
    pub(crate) usage: Option<UsageWindow>,
    pub(crate) forecasts: Forecasts,
    pub(crate) phase: Phase,
    /// Number of the last iteration that began.
    pub(crate) iteration: u64,
    pub(crate) table: EffectTable,
    pub(crate) debts: Debts,
    /// Effects that the last step returned and whose intent is not in the journal yet.
    pub(crate) unrecorded: Vec<(EffectId, Effect)>,
    pub(crate) pause: Option<Pause>,
    /// When iterations were unwound within the last hour.
    pub(crate) aborts: Vec<Timestamp>,
    pub(crate) answers: Answers,
    pub(crate) churn: Churn,
    /// The clock was set by so much, and the phases have not heard of it.
    pub(crate) stepped: Option<Millis>,
    pub(crate) abort_requested: Option<Name>,
    pub(crate) plan_now: bool,
    pub(crate) cool_until: Option<Timestamp>,
    /// Iterations in a row that found nothing to do in an unchanged world.
    pub(crate) idle_rounds: u32,
    /// The world's version when the last plan was made.
    pub(crate) planned_version: u64,
    pub(crate) last_planned: Option<(Digest, Arc<Planned>)>,
    pub(crate) last_finished: Option<Finished>,
    pub(crate) ledger: Ledger,
    /// Pods moved and machines booted and removed since the journal began.
    pub(crate) moved: u64,
    pub(crate) phase_since: Timestamp,
    pub(crate) holds: Vec<Reason>,
    /// The last effect that an invariant held back.
    pub(crate) blocked: Option<Blocked>,
}

impl State {
    /// The state before the first entry of a journal.
    pub fn new(journal_id: Name) -> Self {
        Self {
            journal_id,
            seq: 0,
            now: Timestamp(i64::MIN),
            epoch: 0,
            behaviour: 0,
            own_pod: None,
            policy: Policy::default(),
            world: World::default(),
            cloud: CloudView::default(),
            usage: None,
            forecasts: Forecasts::default(),
            phase: Phase::default(),
            iteration: 0,
            table: EffectTable::default(),
            debts: Debts::default(),
            unrecorded: Vec::new(),
            pause: None,
            aborts: Vec::new(),
            answers: Answers::default(),
            churn: Churn::default(),
            stepped: None,
            abort_requested: None,
            plan_now: false,
            cool_until: None,
            idle_rounds: 0,
            planned_version: 0,
            last_planned: None,
            last_finished: None,
            ledger: Ledger::default(),
            moved: 0,
            phase_since: Timestamp(0),
            holds: Vec::new(),
            blocked: None,
        }
    }

    /// Identity of the journal.
    pub fn journal_id(&self) -> &Name {
        &self.journal_id
    }
    /// Sequence number of the last entry; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }
    /// Time of the last entry.
    pub fn now(&self) -> Timestamp {
        self.now
    }
    /// Highest epoch seen.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
    /// Policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
    /// The cluster as far as it is known.
    pub fn cluster(&self) -> &Cluster {
        self.world.cluster()
    }
    /// The world: the cluster, indexes and freshness.
    pub fn world(&self) -> &World {
        &self.world
    }
    /// What the cloud said last.
    pub fn cloud(&self) -> &CloudView {
        &self.cloud
    }
    /// The phase.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }
    /// Since when the phase lasts.
    pub fn phase_since(&self) -> Timestamp {
        self.phase_since
    }
    /// Number of the last iteration that began.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }
    /// Usage that was read last.
    pub fn usage(&self) -> Option<&UsageWindow> {
        self.usage.as_ref()
    }
    /// The plan that was made last, with its digest.
    pub fn planned(&self) -> Option<&(Digest, Arc<Planned>)> {
        self.last_planned.as_ref()
    }
    /// How the last iteration ended.
    pub fn last_finished(&self) -> Option<&Finished> {
        self.last_finished.as_ref()
    }
    /// What is owed.
    pub fn debts(&self) -> &Debts {
        &self.debts
    }
    /// The pause in force.
    pub fn pause(&self) -> Option<&Pause> {
        self.pause.as_ref()
    }
    /// What the phase waits for.
    pub fn holds(&self) -> &[Reason] {
        &self.holds
    }
    /// The last effect that an invariant held back.
    pub fn blocked(&self) -> Option<&Blocked> {
        self.blocked.as_ref()
    }
    /// What has been spent, and the present rate.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    /// What the cluster has cost since the journal began.
    pub fn spent(&self) -> MicroUsd {
        self.ledger.total()
    }
    /// Pods moved since the journal began.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Every reason why no iteration starts now; empty when one may.
    pub fn gates(&self) -> Vec<Reason> {
        gates::closed(self)
    }

    /// Effects under way, with their ids: what recovery sends again.
    pub fn in_flight(&self) -> impl Iterator<Item = (EffectId, &Effect)> {
        self.table.in_flight()
    }

    /// Effects that the last step returned and whose intent no entry holds yet.
    pub fn unrecorded(&self) -> &[(EffectId, Effect)] {
        &self.unrecorded
    }

    /// Whether the fold is at a point where nothing is under way: a natural place to compact.
    pub fn at_rest(&self) -> bool {
        matches!(self.phase, Phase::Observing(_)) && self.debts.is_empty() && self.unrecorded.is_empty()
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock { now: self.now, effect: self.policy.deadlines.effect, retry: self.policy.deadlines.retry }
    }

    /// Everything a plan depends on, now.
    pub fn planning_input(&self) -> PlanningInput {
        PlanningInput {
            iteration: self.iteration,
            basis: self.seq,
            now: self.now,
            cluster: self.world.cluster().clone(),
            pools: self.cloud.pools.values().cloned().collect(),
            excluded_pools: self.cloud.avoided(self.now),
            prices: self.cloud.prices.clone(),
            managed: Managed::Listed(self.cloud.managed()),
            quarantined: gates::quarantined(self),
            forecasts: self.forecasts.clone(),
            own_pod: self.own_pod.clone(),
            policy: self.policy.clone(),
        }
    }

    /// When the core wants to be called, and why; the earliest moment.
    pub fn next_deadline(&self) -> Option<(Timestamp, Deadline)> {
        // Before the watches are complete nothing is sent; only a pause can end.
        let mut deadlines = Vec::new();
        if let Some(until) = self.pause.as_ref().and_then(|pause| pause.until) {
            deadlines.push((until, Deadline::PauseEnds));
        }
        if self.world.synced() {
            if let Some(due) = self.table.next_due(self.clock()) {
                deadlines.push((due, Deadline::Effect));
            }
            deadlines.extend(self.phase.deadlines(self));
        }
        deadlines.into_iter().min()
    }

    /// The digest of the whole state.
    pub fn digest(&self) -> Result<Digest, EncodeError> {
        codec::digest(self)
    }

    /// How long until something, at least zero.
    pub(crate) fn left(&self, until: Timestamp) -> Millis {
        Millis(until.since(self.now).0.max(0))
    }
}
