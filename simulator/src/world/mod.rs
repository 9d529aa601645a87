//! The world: the truth about a cluster and its cloud, and the queue of what happens when.
//!
//! Everything that changes is changed by an action of the queue, at its time, in order. Between two
//! actions nothing moves. The truth is kept as facts, because that is what a scheduler and a watch
//! look at, with what nobody outside sees kept beside it.

mod build;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::cloud::PriceBook;
use journal_schema::effect::{Effect, EffectId, Outcome};
use journal_schema::event::Event;
use journal_schema::facts::{Key, Kind, WorkloadId};
use journal_schema::plan::Cluster;
use journal_schema::text::Name;
use journal_schema::units::{MicroUsd, Millis, Timestamp};
use planner::scheduler::Snapshot;

use crate::cloud::{Cloud, Happening};
use crate::faults::{FaultKind, Faults, RequestFault};
use crate::judge::Judge;
use crate::rng::Streams;
use crate::scenario::Scenario;
use crate::watch::Watch;
pub use build::BuildError;
pub(crate) use store::{HpaInner, Inner, NodeInner, WorkloadInner};

/// The moment every world begins: Monday 2026-01-05, 08:00 UTC.
pub const BEGIN: Timestamp = Timestamp(1_767_600_000_000);

/// A controller's work item. Queued at most once at a time, as in a real work queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// One pass of the scheduler over the pods without a node.
    Schedule,
    Deployment(Key),
    ReplicaSet(Key),
    StatefulSet(Key),
    DaemonSet(Key),
    Job(Key),
    Pdb(Key),
}

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Work(Work),
    PodRuns {
        pod: Key,
        uid: Name,
    },
    PodReady {
        pod: Key,
        uid: Name,
    },
    PodGone {
        pod: Key,
        uid: Name,
    },
    PodSucceeds {
        pod: Key,
        uid: Name,
    },
    NodeReady {
        node: Name,
        uid: Name,
    },
    NodeLost {
        node: Name,
        uid: Name,
    },
    EvictLost {
        node: Name,
        uid: Name,
    },
    NodeBack {
        node: Name,
        uid: Name,
    },
    HpaSync(Key),
    /// The watch cache takes in what is due.
    CacheKind(Kind),
    Relist {
        kind: Kind,
        session: u64,
    },
    Cloud,
    Arrive {
        session: u64,
        id: EffectId,
        effect: Box<Effect>,
        fault: Option<RequestFault>,
        /// Version of the object when it was read for this request, where that was long before.
        read: Option<u64>,
    },
    Settle {
        session: u64,
        id: EffectId,
        operation: Name,
        fault: Option<RequestFault>,
        until: Timestamp,
    },
    Answer {
        session: u64,
        id: EffectId,
        outcome: Box<Outcome>,
    },
    /// A fault with a time.
    Fault(FaultKind),
    /// A fault that a request brought about.
    Struck(FaultKind),
    /// The old replica of the API server is current again.
    ReplicaCurrent,
    Revert(WorkloadId),
}

/// A cluster, its cloud, and everybody in them but the daemon.
#[derive(Clone)]
pub struct World {
    pub(crate) now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Action>,
    order: u64,
    queued: BTreeSet<Work>,
    pub(crate) rng: Streams,
    pub(crate) facts: Cluster,
    pub(crate) inner: Inner,
    pub(crate) snapshot: Snapshot,
    pub(crate) watch: Watch,
    pub(crate) cloud: Cloud,
    cloud_due: Option<Timestamp>,
    pub(crate) prices: PriceBook,
    pub(crate) faults: Faults,
    pub(crate) judge: Judge,
    pub(crate) scenario: Scenario,
    /// Number of the daemon's life; answers to an earlier life reach nobody.
    pub(crate) session: u64,
    pub(crate) connected: bool,
    pub(crate) inbox: Vec<Event>,
    /// When the daemon first connected.
    pub(crate) daemon_since: Option<Timestamp>,
    /// Requests fail until then.
    pub(crate) api_away_until: Timestamp,
    pub(crate) metrics_away_until: Timestamp,
    /// How far the daemon's clock is ahead of the world's.
    pub(crate) clock_ahead: Millis,
    /// Share of containers whose usage has gaps.
    pub(crate) usage_gaps: i64,
    pub(crate) stop_at: Option<Timestamp>,
    next_uid: u64,
}

impl World {
    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The truth.
    pub fn cluster(&self) -> &Cluster {
        &self.facts
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The judge.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// What all machines cost from the daemon's start until now.
    pub fn integrated_cost(&self) -> MicroUsd {
        self.cloud.cost(self.daemon_since.unwrap_or(self.now), self.now)
    }

    /// What the living machines cost per hour.
    pub fn cost_per_hour(&self) -> journal_schema::units::MicroUsdPerHour {
        let living = self.cloud.lifetimes().iter().filter(|life| life.to.is_none());
        living.filter_map(|life| self.prices.price(&life.region, &life.machine_type, life.capacity_type)).sum()
    }

    pub(crate) fn since_daemon(&self) -> Millis {
        self.daemon_since.map_or(Millis(0), |since| self.now.since(since))
    }

    /// Puts an action into the queue.
    pub(crate) fn after(&mut self, span: Millis, action: Action) {
        self.order += 1;
        self.queue.insert((self.now.plus(Millis(span.0.max(0))), self.order), action);
    }

    /// Puts work into a controller's queue, unless it waits there already.
    pub(crate) fn enqueue(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            let delay = match work {
                Work::Schedule => self.rng.of("scheduler").between(5, 30),
                _ => self.rng.of("controllers").between(10, 80),
            };
            self.after(Millis(delay), Action::Work(work));
        }
    }

    /// A new UID, random enough that ties broken by it are fair.
    pub(crate) fn uid(&mut self) -> Name {
        self.next_uid += 1;
        let random = self.rng.of("uids").bits() >> 32;
        Name::truncated(format!("{random:08x}-0000-4000-8000-{:012x}", self.next_uid))
    }

    /// `span` with up to `percent` more or less.
    pub(crate) fn about(&mut self, span: Millis, percent: i64) -> Millis {
        let spread = span.0 * percent / 100;
        Millis(span.0 + self.rng.of("durations").between(-spread, spread))
    }

    /// When something happens next.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Carries out everything of the next moment, if that is not after `until`.
    pub(crate) fn turn(&mut self, until: Timestamp) -> bool {
        let Some(at) = self.next_at().filter(|at| *at <= until) else { return false };
        self.now = self.now.max(at);
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let action = entry.remove();
            self.act(action);
        }
        true
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Millis) {
        let until = self.now.plus(span);
        while self.turn(until) {}
        self.now = until;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Work(work) => {
                self.queued.remove(&work);
                match work {
                    Work::Schedule => self.schedule_pods(),
                    Work::Deployment(key) => self.reconcile_deployment(&key),
                    Work::ReplicaSet(key) => self.reconcile_replica_set(&key),
                    Work::StatefulSet(key) => self.reconcile_stateful_set(&key),
                    Work::DaemonSet(key) => self.reconcile_daemon_set(&key),
                    Work::Job(key) => self.reconcile_job(&key),
                    Work::Pdb(key) => self.reconcile_pdb(&key),
                }
            }
            Action::PodRuns { pod, uid } => self.pod_runs(&pod, &uid),
            Action::PodReady { pod, uid } => self.pod_ready(&pod, &uid),
            Action::PodGone { pod, uid } => self.pod_gone(&pod, &uid),
            Action::PodSucceeds { pod, uid } => self.pod_succeeds(&pod, &uid),
            Action::NodeReady { node, uid } => self.node_ready(&node, &uid),
            Action::NodeLost { node, uid } => self.node_lost(&node, &uid),
            Action::EvictLost { node, uid } => self.evict_lost(&node, &uid),
            Action::NodeBack { node, uid } => self.node_back(&node, &uid),
            Action::HpaSync(key) => self.sync_hpa(&key),
            Action::CacheKind(kind) => self.cache_kind(kind),
            Action::Relist { kind, session } => self.relist(kind, session),
            Action::Cloud => {
                self.cloud_due = None;
                self.take_cloud_changes();
            }
            Action::Arrive { session, id, effect, fault, read } => {
                if !self.is_outdated(session, &effect, read) {
                    self.arrive(session, id, &effect, fault);
                }
            }
            Action::Settle { session, id, operation, fault, until } => {
                self.settle(session, id, operation, fault, until)
            }
            Action::Answer { session, id, outcome } => {
                if session == self.session && self.connected {
                    self.inbox.push(Event::Outcome { id, outcome: *outcome });
                }
            }
            Action::Fault(kind) => {
                self.faults.came(kind.name());
                self.strike(kind);
            }
            Action::Struck(kind) => self.strike(kind),
            Action::ReplicaCurrent => self.replica_current(),
            Action::Revert(workload) => self.revert_template(&workload),
        }
    }

    /// Takes in what happened in the cloud, and asks to be woken when something is due there again.
    pub(crate) fn take_cloud_changes(&mut self) {
        let now = self.now;
        for change in self.cloud.advance(now) {
            match change.what {
                Happening::Running => {}
                Happening::NodeJoins { allocatable, ready } => {
                    self.node_joins(&change.pool, &change.name, change.id, allocatable, ready);
                }
                Happening::Gone => self.machine_gone(&change.name, change.id),
                Happening::NodeLeaves => self.node_leaves(&change.name, change.id),
            }
        }
        for name in self.cloud.take_struck() {
            self.faults.came(name);
        }
        let cost = self.cost_per_hour();
        self.judge.spend(now, cost);
        if let Some(at) = self.cloud.next_change()
            && self.cloud_due.is_none_or(|due| at < due)
        {
            self.cloud_due = Some(at);
            let span = at.since(self.now);
            self.after(span, Action::Cloud);
        }
    }
}
