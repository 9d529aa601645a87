//! The simulated cloud: Compute Engine's managed instance groups as a pure state machine.
//!
//! Time is passed in and must not run backwards; what is due before it takes place first, in order.
//! The same settings, calls and times give the same cloud, bit for bit. The simulator runs it in
//! virtual time, and the stand-in for Google's API serves it over HTTP in real time.
//!
//! What is modelled, because a rescheduler breaks on it: an operation is DONE *before* its machines
//! exist, and DONE is no success; a machine that cannot be had is tried again for ever and comes
//! late; a repeated request id gives the first operation, for a while; operations are forgotten; a
//! machine that is taken back comes again under the same name with another id.
//!
//! - [`settings`]: pools, times and limits. [`rules`]: what goes wrong.
//! - [`operation`]: operations and request ids. `machine`: the life of a machine.
//! - [`cost`]: the independent judge. [`port`]: the cloud's effects, for a simulated world.

pub mod cost;
mod machine;
pub mod operation;
pub mod port;
pub mod rules;
pub mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use journal_schema::cloud::{Instance, Pool, PoolId, PriceBook};
use journal_schema::effect::InstanceRef;
use journal_schema::text::Name;
use journal_schema::units::{MicroUsd, Resources, Timestamp};

use crate::rng::Stream;
use cost::Ledger;
pub use cost::Lifetime;
pub use machine::{Action, ManagedInstance, Status};
use machine::{Machine, Timer};
pub use operation::{CodedError, Operation, OperationKind, OperationStatus};
use operation::{Seen, Tracked, Victim, Work};
pub use rules::{Call, FaultKind, FaultRule};
use rules::{Moment, Rules, Subject};
pub use settings::{ExistingName, PoolSetting, Quota, Settings, Span, Timings};

/// What became different in the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudChange {
    /// When.
    pub at: Timestamp,
    /// The machine's pool.
    pub pool: PoolId,
    /// The machine's name, which is also its node's.
    pub name: Name,
    /// The machine's numeric id: a name may come back with another.
    pub id: u64,
    /// What.
    pub what: Happening,
}

/// What happened to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It runs. Its node comes later, or never.
    Running,
    /// Its kubelet registers: a Node appears. A Node of this name that is still there is replaced.
    NodeJoins {
        /// What the node offers.
        allocatable: Resources,
        /// Whether it will become Ready.
        ready: bool,
    },
    /// The machine is gone: its pods are dead.
    Gone,
    /// The cloud controller removes the Node, unless another machine (another id) has the name now.
    NodeLeaves,
}

/// A call that did not take effect, or whose answer is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Rate limit. Google answers 403 `rateLimitExceeded`.
    #[error("rate limit exceeded")]
    Throttled,
    /// The server's own error; nothing happened.
    #[error("the service is currently unavailable")]
    Unavailable,
    /// The connection broke before anything happened.
    #[error("connection reset")]
    Dropped,
    /// The connection broke after the call took effect.
    #[error("connection reset")]
    AnswerLost,
    /// Not permitted.
    #[error("permission denied")]
    Forbidden,
    /// No such pool.
    #[error("instance group manager {0} was not found")]
    NoPool(PoolId),
    /// The request id was used for another request.
    #[error("request id {0} was used for another request")]
    RequestIdReused(Name),
    /// More than 1000 names, none, or one twice.
    #[error("between 1 and 1000 distinct names are expected")]
    BadNames,
}

/// A group as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its pool, `size` being the target size.
    pub pool: Pool,
    /// Machines per current action.
    pub actions: BTreeMap<Action, u32>,
}

impl Group {
    /// Whether no machine is being created, recreated or deleted.
    pub fn stable(&self) -> bool {
        self.actions.iter().all(|(action, count)| *action == Action::None || *count == 0)
    }
}

#[derive(Clone, Debug)]
struct PoolState {
    setting: PoolSetting,
    machines: BTreeMap<Name, Machine>,
}

/// The cloud.
#[derive(Clone, Debug)]
pub struct Cloud {
    now: Timestamp,
    timings: Timings,
    existing_name: ExistingName,
    quotas: Vec<Quota>,
    rules: Rules,
    draws: Stream,
    ids: Stream,
    pools: BTreeMap<PoolId, PoolState>,
    operations: BTreeMap<Name, Tracked>,
    requests: BTreeMap<Name, Seen>,
    timers: BTreeMap<(Timestamp, u64), Timer>,
    armed: u64,
    changes: Vec<CloudChange>,
    ledger: Ledger,
}

/// Most names of one call, as Google limits it.
pub const MAX_NAMES: usize = 1000;

impl Cloud {
    /// A cloud without machines.
    pub fn new(settings: Settings, prices: PriceBook, now: Timestamp) -> Self {
        let pools = settings
            .pools
            .into_iter()
            .map(|setting| (setting.pool.id.clone(), PoolState { setting, machines: BTreeMap::new() }))
            .collect();
        Self {
            now,
            timings: settings.timings,
            existing_name: settings.existing_name,
            quotas: settings.quotas,
            rules: Rules::new(settings.faults, Stream::new(settings.seed, "cloud faults")),
            draws: Stream::new(settings.seed, "cloud times"),
            ids: Stream::new(settings.seed, "cloud ids"),
            pools,
            operations: BTreeMap::new(),
            requests: BTreeMap::new(),
            timers: BTreeMap::new(),
            armed: 0,
            changes: Vec::new(),
            ledger: Ledger::new(now, prices),
        }
    }

    /// Puts machines that have been running for long into a pool, with their nodes joined; no change
    /// is reported for them. Billed from now on. A name that exists is passed over.
    ///
    /// # Errors
    /// No such pool.
    pub fn adopt(&mut self, now: Timestamp, pool: &str, names: &[Name]) -> Result<Vec<Instance>, CallError> {
        self.settle(now);
        self.pool(pool)?;
        for name in names {
            self.adopt_one(pool, name);
        }
        Ok(self
            .pool(pool)?
            .machines
            .values()
            .filter(|machine| names.contains(&machine.name))
            .map(Machine::instance)
            .collect())
    }

    // ---- calls

    /// Asks for machines with these names. The operation's name is a hint; a list is the truth.
    ///
    /// # Errors
    /// See [`CallError`]. With `AnswerLost` it has happened.
    pub fn create_instances(
        &mut self,
        now: Timestamp,
        pool: &str,
        names: &[Name],
        request_id: &str,
    ) -> Result<Name, CallError> {
        self.call(now, pool, request_id, Call::Create, Work::Create(names.to_vec()))
    }

    /// Deletes exactly these machines. One that is gone, or has another id, is left alone.
    ///
    /// # Errors
    /// See [`CallError`]. With `AnswerLost` it has happened.
    pub fn delete_instances(
        &mut self,
        now: Timestamp,
        pool: &str,
        refs: &[InstanceRef],
        request_id: &str,
    ) -> Result<Name, CallError> {
        let victims = refs.iter().map(|wanted| Victim { name: wanted.name.clone(), id: Some(wanted.id) }).collect();
        self.call(now, pool, request_id, Call::Delete, Work::Delete { victims, skip_invalid: true })
    }

    /// Deletes by name alone, as Google's call does. Unless `skip_invalid`, one unknown name fails
    /// the whole operation.
    ///
    /// # Errors
    /// See [`CallError`]. With `AnswerLost` it has happened.
    pub fn delete_named(
        &mut self,
        now: Timestamp,
        pool: &str,
        names: &[Name],
        skip_invalid: bool,
        request_id: &str,
    ) -> Result<Name, CallError> {
        let victims = names.iter().map(|name| Victim { name: name.clone(), id: None }).collect();
        self.call(now, pool, request_id, Call::Delete, Work::Delete { victims, skip_invalid })
    }

    /// The machines of a pool, by name.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn list_managed(&mut self, now: Timestamp, pool: &str) -> Result<Vec<Instance>, CallError> {
        self.read(now, pool, Call::List)?;
        Ok(self.pool(pool)?.machines.values().map(Machine::instance).collect())
    }

    /// The machines of a pool as the API shows them, by name.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn list_raw(&mut self, now: Timestamp, pool: &str) -> Result<Vec<ManagedInstance>, CallError> {
        self.read(now, pool, Call::List)?;
        Ok(self.pool(pool)?.machines.values().map(Machine::raw).collect())
    }

    /// The groups with their present sizes, by id.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn groups(&mut self, now: Timestamp) -> Result<Vec<Group>, CallError> {
        self.settle(now);
        self.refuse(Subject { call: Some(Call::Discover), ..Subject::default() })?;
        Ok(self.pools.values().map(PoolState::group).collect())
    }

    /// An operation; `None` when it is unknown, lost, or was over too long ago (404).
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn operation(&mut self, now: Timestamp, name: &str) -> Result<Option<Operation>, CallError> {
        self.settle(now);
        self.refuse(Subject { call: Some(Call::Operation), ..Subject::default() })?;
        Ok(self.operations.get(name).filter(|tracked| !tracked.lost).map(|tracked| tracked.operation.clone()))
    }

    /// Every operation that can still be read, by name.
    pub fn operations(&mut self, now: Timestamp) -> Vec<Operation> {
        self.settle(now);
        self.operations.values().filter(|tracked| !tracked.lost).map(|tracked| tracked.operation.clone()).collect()
    }

    // ---- time

    /// When something is due next, or now when changes wait to be taken.
    pub fn next_change(&self) -> Option<Timestamp> {
        if !self.changes.is_empty() {
            return Some(self.now);
        }
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due by `now`, and takes the changes since the last call, in order.
    pub fn advance(&mut self, now: Timestamp) -> Vec<CloudChange> {
        self.settle(now);
        std::mem::take(&mut self.changes)
    }

    // ---- money

    /// The present prices.
    pub fn prices(&self) -> PriceBook {
        self.ledger.prices().cloned().unwrap_or_default()
    }

    /// Changes prices from now on.
    pub fn set_prices(&mut self, now: Timestamp, prices: PriceBook) {
        self.settle(now);
        self.ledger.set_prices(self.now, prices);
    }

    /// What all machines cost within `[from, to)`: the judge's account, see [`cost`]. Machines
    /// that live now are taken to live until `to`.
    pub fn cost(&self, from: Timestamp, to: Timestamp) -> MicroUsd {
        self.ledger.cost(from, to)
    }

    /// Every billed life, in order of its beginning.
    pub fn lifetimes(&self) -> &[Lifetime] {
        self.ledger.lifetimes()
    }

    /// Number of billed machines that some price book did not know; a judge must refuse to judge when above zero.
    pub fn unpriced(&self) -> usize {
        self.ledger.unpriced()
    }

    // ---- faults and other actors

    /// Replaces the rules of what goes wrong.
    pub fn set_faults(&mut self, rules: Vec<FaultRule>) {
        self.rules.replace(rules);
    }

    /// Adds a rule.
    pub fn add_fault(&mut self, rule: FaultRule) {
        self.rules.add(rule);
    }

    /// The names of the rules that applied since this was last asked.
    pub fn take_struck(&mut self) -> Vec<&'static str> {
        self.rules.take_struck()
    }

    /// The rules, each with how often it applied.
    pub fn faults(&self) -> Vec<(FaultRule, u32)> {
        self.rules.list().map(|(rule, applied)| (rule.clone(), applied)).collect()
    }

    /// The groups and their machines as they are, for judges and tests: no call, so no rule applies.
    pub fn inspect(&self) -> Vec<(Group, Vec<ManagedInstance>)> {
        self.pools.values().map(|state| (state.group(), state.machines.values().map(Machine::raw).collect())).collect()
    }

    /// Takes a machine back; the group creates it again. False when no such machine runs.
    pub fn preempt(&mut self, now: Timestamp, pool: &str, name: &str) -> bool {
        self.settle(now);
        self.take_back(pool, name)
    }

    // ---- within

    fn pool(&self, pool: &str) -> Result<&PoolState, CallError> {
        self.pools.get(pool).ok_or_else(|| CallError::NoPool(Name::truncated(pool)))
    }

    /// Whether a rule refuses this call outright. `LoseAnswer` is told by the caller's own care.
    fn refuse(&mut self, subject: Subject<'_>) -> Result<(), CallError> {
        let error = match self.rules.strike(self.now, Moment::Call, subject) {
            Some(FaultKind::Throttle) => CallError::Throttled,
            Some(FaultKind::Unavailable) => CallError::Unavailable,
            Some(FaultKind::DropCall) => CallError::Dropped,
            Some(FaultKind::LoseAnswer) => CallError::AnswerLost,
            Some(FaultKind::Forbid) => CallError::Forbidden,
            _ => return Ok(()),
        };
        Err(error)
    }

    fn read(&mut self, now: Timestamp, pool: &str, call: Call) -> Result<(), CallError> {
        self.settle(now);
        let setting = self.pool(pool)?.setting.clone();
        self.refuse(setting.subject(Some(call), ""))
    }

    fn call(
        &mut self,
        now: Timestamp,
        pool: &str,
        request_id: &str,
        call: Call,
        work: Work,
    ) -> Result<Name, CallError> {
        self.settle(now);
        let setting = self.pool(pool)?.setting.clone();
        if !work.acceptable() {
            return Err(CallError::BadNames);
        }
        let lost = match self.refuse(setting.subject(Some(call), "")) {
            Ok(()) => false,
            Err(CallError::AnswerLost) => true,
            Err(error) => return Err(error),
        };
        let name = self.accept(&setting, request_id, call, work)?;
        if lost { Err(CallError::AnswerLost) } else { Ok(name) }
    }

    /// Finds the operation that this request id already began, or begins one.
    fn accept(&mut self, setting: &PoolSetting, request_id: &str, call: Call, work: Work) -> Result<Name, CallError> {
        let subject = setting.subject(Some(call), "");
        if let Some(seen) = self.requests.get(request_id)
            && self.now.since(seen.at) < self.timings.request_id_ttl
        {
            let (operation, same) = (seen.operation.clone(), seen.work == work);
            if self.rules.strike(self.now, Moment::RequestId, subject).is_none() {
                return if same { Ok(operation) } else { Err(CallError::RequestIdReused(Name::truncated(request_id))) };
            }
        }
        let id = self.fresh_id();
        let name = Name::truncated(format!("operation-{}-{id:016x}", self.now.0));
        let kind = match work {
            Work::Create(_) => OperationKind::Create,
            Work::Delete { .. } => OperationKind::Delete,
        };
        let operation = Operation {
            name: name.clone(),
            id,
            kind,
            pool: setting.pool.id.clone(),
            request_id: Name::truncated(request_id),
            status: OperationStatus::Pending,
            inserted: self.now,
            started: None,
            ended: None,
            error: None,
        };
        let lost = self.rules.strike(self.now, Moment::Read, subject).is_some();
        let stalled = self.rules.strike(self.now, Moment::Finish, subject).is_some();
        if !request_id.is_empty() {
            self.requests.insert(
                Name::truncated(request_id),
                Seen { operation: name.clone(), work: work.clone(), at: self.now },
            );
        }
        self.operations.insert(name.clone(), Tracked { operation, work, lost, stalled });
        let accept = self.draw(self.timings.accept);
        self.arm(self.now.plus(accept), Timer::Begin(name.clone()));
        Ok(name)
    }
}

impl PoolSetting {
    fn subject<'a>(&'a self, call: Option<Call>, instance: &'a str) -> Subject<'a> {
        Subject { call, pool: &self.pool.id, zone: &self.pool.zone, machine_type: &self.pool.machine_type, instance }
    }
}

impl Work {
    /// Between 1 and 1000 names, none twice.
    fn acceptable(&self) -> bool {
        let mut names: Vec<&Name> = match self {
            Self::Create(names) => names.iter().collect(),
            Self::Delete { victims, .. } => victims.iter().map(|victim| &victim.name).collect(),
        };
        let all = names.len();
        names.sort();
        names.dedup();
        (1..=MAX_NAMES).contains(&all) && names.len() == all
    }
}

impl PoolState {
    fn group(&self) -> Group {
        let mut actions = BTreeMap::new();
        for machine in self.machines.values() {
            *actions.entry(machine.action).or_default() += 1;
        }
        let target = self.machines.values().filter(|machine| machine.action != Action::Deleting).count();
        let mut pool = self.setting.pool.clone();
        pool.size = u32::try_from(target).unwrap_or(u32::MAX);
        Group { pool, actions }
    }
}
