//! The life of a machine: Creating without an id → PROVISIONING → STAGING → RUNNING → its node joins;
//! Deleting → gone → its node leaves. Taken back: gone, and created again under the same name.

use journal_schema::cloud::{CloudFault, Instance, InstanceState, PoolId, PoolRefusal};
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Millis, Resources, Timestamp};

use super::cost::Lifetime;
use super::operation::{CodedError, OperationStatus, Victim, Work};
use super::rules::{FaultKind, Moment};
use super::settings::{ExistingName, PoolSetting, Span};
use super::{Cloud, CloudChange, Happening};

/// What the group is doing with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing: it runs.
    None,
    /// Creating it, for ever if need be.
    Creating,
    /// Creating it again after the cloud took it back.
    Recreating,
    /// Deleting it.
    Deleting,
}

impl Action {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Creating => "CREATING",
            Self::Recreating => "RECREATING",
            Self::Deleting => "DELETING",
        }
    }
}

/// What the machine itself is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Resources are allocated. Billed from here on.
    Provisioning,
    /// It is prepared for its first boot.
    Staging,
    /// It runs.
    Running,
    /// It is shut down.
    Stopping,
}

impl Status {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Staging => "STAGING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
        }
    }
}

/// A machine as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedInstance {
    /// Name.
    pub name: Name,
    /// Numeric id, once the machine exists.
    pub id: Option<u64>,
    /// What it does, once it exists.
    pub status: Option<Status>,
    /// What the group does with it.
    pub action: Action,
    /// Why the last attempt to create it failed.
    pub last_attempt: Option<CodedError>,
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) name: Name,
    pub(super) id: Option<u64>,
    pub(super) status: Option<Status>,
    pub(super) action: Action,
    pub(super) last_attempt: Option<CodedError>,
    joined: bool,
    /// Raised by every turn of its life, so that timers of an earlier turn do nothing.
    turn: u64,
}

impl Machine {
    pub(super) fn raw(&self) -> ManagedInstance {
        ManagedInstance {
            name: self.name.clone(),
            id: self.id,
            status: self.status,
            action: self.action,
            last_attempt: self.last_attempt.clone(),
        }
    }

    pub(super) fn instance(&self) -> Instance {
        let state = match (self.action, self.status) {
            (Action::Deleting, _) => InstanceState::Deleting,
            (Action::Recreating, _) => InstanceState::Other,
            (Action::Creating | Action::None, None) => InstanceState::Requested,
            (Action::Creating | Action::None, Some(Status::Provisioning | Status::Staging)) => InstanceState::Booting,
            (Action::Creating | Action::None, Some(Status::Running)) => InstanceState::Running,
            (Action::Creating | Action::None, Some(Status::Stopping)) => InstanceState::Other,
        };
        let fault = self.last_attempt.as_ref().map(|error| match error.code.as_str() {
            "ZONE_RESOURCE_POOL_EXHAUSTED" => CloudFault::Stockout,
            "QUOTA_EXCEEDED" => CloudFault::Quota,
            "IP_SPACE_EXHAUSTED" => CloudFault::Addresses,
            _ => CloudFault::Other,
        });
        Instance { name: self.name.clone(), id: self.id, state, fault, created_at: None }
    }
}

/// What is due at a time.
#[derive(Clone, Debug)]
pub(super) enum Timer {
    Begin(Name),
    Finish(Name),
    Forget(Name),
    Machine { pool: PoolId, name: Name, turn: u64, step: Step },
    Removed { pool: PoolId, name: Name, id: u64 },
}

/// The next step of a machine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Attempt,
    Stage,
    Run,
    Join,
    TakenBack,
    Gone,
}

impl Cloud {
    pub(super) fn draw(&mut self, span: Span) -> Millis {
        Millis(self.draws.between(span.least.0, span.most.0))
    }

    pub(super) fn fresh_id(&mut self) -> u64 {
        // Google's ids are 19 digits; the top bit stays clear.
        (self.ids.bits() >> 1) | 1 << 60
    }

    pub(super) fn arm(&mut self, at: Timestamp, timer: Timer) {
        self.armed += 1;
        self.timers.insert((at, self.armed), timer);
    }

    /// Lets everything happen that is due by `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some(first) = self.timers.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((at, _), timer) = first.remove_entry();
            self.now = self.now.max(at);
            match timer {
                Timer::Begin(name) => self.begin(&name),
                Timer::Finish(name) => self.finish(&name),
                Timer::Forget(name) => {
                    self.operations.remove(&name);
                }
                Timer::Machine { pool, name, turn, step } => self.step(&pool, &name, turn, step),
                Timer::Removed { pool, name, id } => self.report(&pool, &name, id, Happening::NodeLeaves),
            }
        }
        self.now = self.now.max(now);
    }

    fn report(&mut self, pool: &PoolId, name: &Name, id: u64, what: Happening) {
        self.changes.push(CloudChange { at: self.now, pool: pool.clone(), name: name.clone(), id, what });
    }

    // ---- operations

    fn begin(&mut self, name: &Name) {
        let Some(tracked) = self.operations.get_mut(name) else { return };
        tracked.operation.status = OperationStatus::Running;
        tracked.operation.started = Some(self.now);
        let (pool, work) = (tracked.operation.pool.clone(), tracked.work.clone());
        let error = match self.setting(&pool) {
            Some(setting) => self.carry_out(&setting, work),
            None => None,
        };
        let finish = self.draw(self.timings.finish);
        let Some(tracked) = self.operations.get_mut(name) else { return };
        tracked.operation.error = error;
        if !tracked.stalled {
            self.arm(self.now.plus(finish), Timer::Finish(name.clone()));
        }
    }

    fn finish(&mut self, name: &Name) {
        let retention = self.timings.operation_retention;
        let Some(tracked) = self.operations.get_mut(name) else { return };
        tracked.operation.status = OperationStatus::Done;
        tracked.operation.ended = Some(self.now);
        self.arm(self.now.plus(retention), Timer::Forget(name.clone()));
    }

    fn setting(&self, pool: &PoolId) -> Option<PoolSetting> {
        self.pools.get(pool).map(|state| state.setting.clone())
    }

    /// Carries an operation out; the error that it ends with, if any.
    fn carry_out(&mut self, setting: &PoolSetting, work: Work) -> Option<CodedError> {
        if let Some(FaultKind::FailOperation { status, code, message }) =
            self.rules.strike(self.now, Moment::Operation, setting.subject(None, ""))
        {
            return Some(CodedError { status, code, message });
        }
        match work {
            Work::Create(names) => self.create_all(setting, names),
            Work::Delete { victims, skip_invalid } => self.delete_all(setting, victims, skip_invalid),
        }
    }

    fn create_all(&mut self, setting: &PoolSetting, mut names: Vec<Name>) -> Option<CodedError> {
        if setting.pool.refusal == Some(PoolRefusal::ProactiveUpdates) {
            return Some(coded(
                412,
                "CONDITION_NOT_MET",
                "CreateInstances cannot be used when UpdatePolicy type is set to PROACTIVE and replacementMethod to SUBSTITUTE.",
            ));
        }
        let state = self.pools.get(&setting.pool.id)?;
        if let Some(name) = names.iter().find(|name| state.machines.contains_key(*name)) {
            match self.existing_name {
                ExistingName::Refuse => {
                    return Some(coded(
                        409,
                        "RESOURCE_ALREADY_EXISTS",
                        &format!("The resource instances/{name} already exists"),
                    ));
                }
                ExistingName::Ignore => names.retain(|name| !state.machines.contains_key(name)),
            }
        }
        if let Some(FaultKind::Partial { created }) =
            self.rules.strike(self.now, Moment::Create, setting.subject(None, ""))
        {
            names.truncate(usize::try_from(created).unwrap_or(usize::MAX));
        }
        for name in names {
            let machine = Machine {
                name: name.clone(),
                id: None,
                status: None,
                action: Action::Creating,
                last_attempt: None,
                joined: false,
                turn: 0,
            };
            if let Some(state) = self.pools.get_mut(&setting.pool.id) {
                state.machines.insert(name.clone(), machine);
            }
            let provision = self.draw(self.timings.provision);
            self.arm_step(&setting.pool.id, &name, provision, Step::Attempt);
        }
        None
    }

    fn delete_all(&mut self, setting: &PoolSetting, victims: Vec<Victim>, skip_invalid: bool) -> Option<CodedError> {
        let pool = &setting.pool.id;
        let state = self.pools.get(pool)?;
        if !skip_invalid && let Some(missing) = victims.iter().find(|victim| !state.machines.contains_key(&victim.name))
        {
            return Some(coded(
                400,
                "INVALID_FIELD_VALUE",
                &format!("Instance {} is not a member of the group", missing.name),
            ));
        }
        match self.rules.strike(self.now, Moment::Delete, setting.subject(None, "")) {
            Some(FaultKind::IgnoreDelete) => {}
            Some(FaultKind::SlowDelete { extra }) => self.delete_now(pool, &victims, extra),
            _ => self.delete_now(pool, &victims, Millis(0)),
        }
        None
    }

    /// Marks machines as being deleted, which lists show at once; they are gone so much later than usual.
    fn delete_now(&mut self, pool: &PoolId, victims: &[Victim], extra: Millis) {
        for victim in victims {
            let Some(machine) = self.machine(pool, &victim.name) else { continue };
            if machine.action == Action::Deleting || victim.id.is_some_and(|id| id != machine.id) {
                continue;
            }
            machine.action = Action::Deleting;
            machine.turn += 1;
            let span = if machine.id.is_some() {
                machine.status = Some(Status::Stopping);
                Millis(self.draw(self.timings.shutdown).0 + extra.0)
            } else {
                Millis(0)
            };
            self.arm_step(pool, &victim.name, span, Step::Gone);
        }
    }

    // ---- machines

    fn machine(&mut self, pool: &str, name: &str) -> Option<&mut Machine> {
        self.pools.get_mut(pool)?.machines.get_mut(name)
    }

    fn arm_step(&mut self, pool: &PoolId, name: &Name, after: Millis, step: Step) {
        let Some(turn) = self.machine(pool, name).map(|machine| machine.turn) else { return };
        self.arm(self.now.plus(after), Timer::Machine { pool: pool.clone(), name: name.clone(), turn, step });
    }

    fn step(&mut self, pool: &PoolId, name: &Name, turn: u64, step: Step) {
        let Some(setting) = self.setting(pool) else { return };
        if self.machine(pool, name).is_none_or(|machine| machine.turn != turn) {
            return;
        }
        match step {
            Step::Attempt => self.attempt(&setting, name),
            Step::Stage => {
                self.set_status(pool, name, Status::Staging);
                let boot = self.draw(self.timings.boot);
                let extra = match self.rules.strike(self.now, Moment::Boot, setting.subject(None, name)) {
                    Some(FaultKind::SlowBoot { extra }) => extra,
                    _ => Millis(0),
                };
                self.arm_step(pool, name, boot + extra, Step::Run);
            }
            Step::Run => self.run(&setting, name),
            Step::Join => self.join(&setting, name),
            Step::TakenBack => {
                self.take_back(pool, name);
            }
            Step::Gone => self.gone(&setting, name),
        }
    }

    fn set_status(&mut self, pool: &PoolId, name: &Name, status: Status) {
        if let Some(machine) = self.machine(pool, name) {
            machine.status = Some(status);
        }
    }

    /// Tries to get a machine; without success it tries again later.
    fn attempt(&mut self, setting: &PoolSetting, name: &Name) {
        let pool = &setting.pool;
        let failure = match self.rules.strike(self.now, Moment::Attempt, setting.subject(None, name)) {
            Some(FaultKind::Stockout { .. }) => Some(coded(
                503,
                "ZONE_RESOURCE_POOL_EXHAUSTED",
                &format!("The zone '{}' does not have enough resources available to fulfill the request.", pool.zone),
            )),
            Some(FaultKind::NoAddresses) => {
                Some(coded(400, "IP_SPACE_EXHAUSTED", "IP space of the subnetwork is exhausted."))
            }
            _ => self
                .over_quota(setting)
                .then(|| coded(403, "QUOTA_EXCEEDED", &format!("Quota 'CPUS' exceeded in region {}.", pool.region))),
        };
        let retry = self.timings.retry;
        let id = self.fresh_id();
        let Some(machine) = self.machine(&pool.id, name) else { return };
        if failure.is_some() {
            machine.last_attempt = failure;
            self.arm_step(&pool.id, name, retry, Step::Attempt);
            return;
        }
        machine.last_attempt = None;
        machine.id = Some(id);
        machine.status = Some(Status::Provisioning);
        self.bill(setting, name, id);
        let stage = self.draw(self.timings.stage);
        self.arm_step(&pool.id, name, stage, Step::Stage);
    }

    fn bill(&mut self, setting: &PoolSetting, name: &Name, id: u64) {
        let pool = &setting.pool;
        self.ledger.begin(Lifetime {
            pool: pool.id.clone(),
            region: pool.region.clone(),
            machine_type: pool.machine_type.clone(),
            capacity_type: pool.capacity_type,
            name: name.clone(),
            id,
            from: self.now,
            to: None,
        });
    }

    /// Whether one more machine of this pool is above its region's quota.
    fn over_quota(&self, setting: &PoolSetting) -> bool {
        let Some(quota) = self.quotas.iter().find(|quota| quota.region == setting.pool.region) else { return false };
        let used: u64 = self
            .pools
            .values()
            .filter(|state| state.setting.pool.region == quota.region)
            .map(|state| {
                u64::from(state.setting.vcpus)
                    * state.machines.values().filter(|machine| machine.id.is_some()).count() as u64
            })
            .sum();
        used + u64::from(setting.vcpus) > u64::from(quota.vcpus)
    }

    fn run(&mut self, setting: &PoolSetting, name: &Name) {
        let pool = &setting.pool.id;
        let Some(machine) = self.machine(pool, name) else { return };
        machine.status = Some(Status::Running);
        machine.action = Action::None;
        let Some(id) = machine.id else { return };
        self.report(pool, name, id, Happening::Running);
        let join = self.draw(self.timings.join);
        match self.rules.strike(self.now, Moment::Join, setting.subject(None, name)) {
            Some(FaultKind::NeverJoins) => {}
            Some(FaultKind::SlowJoin { extra }) => self.arm_step(pool, name, join + extra, Step::Join),
            _ => self.arm_step(pool, name, join, Step::Join),
        }
        self.arm_preemption(setting, name);
    }

    fn arm_preemption(&mut self, setting: &PoolSetting, name: &Name) {
        if let Some(FaultKind::Preempt { after }) =
            self.rules.strike(self.now, Moment::Run, setting.subject(None, name))
        {
            self.arm_step(&setting.pool.id, name, after, Step::TakenBack);
        }
    }

    fn join(&mut self, setting: &PoolSetting, name: &Name) {
        let (mut ready, mut allocatable) = (true, setting.pool.allocatable.clone());
        match self.rules.strike(self.now, Moment::Node, setting.subject(None, name)) {
            Some(FaultKind::JoinsNotReady) => ready = false,
            Some(FaultKind::JoinsSmaller { share }) => allocatable = scaled(allocatable, share.0),
            _ => {}
        }
        let Some(machine) = self.machine(&setting.pool.id, name) else { return };
        machine.joined = true;
        let Some(id) = machine.id else { return };
        self.report(&setting.pool.id, name, id, Happening::NodeJoins { allocatable, ready });
    }

    /// Takes a running machine back; false when there is none.
    pub(super) fn take_back(&mut self, pool: &str, name: &str) -> bool {
        let Some(machine) = self.machine(pool, name) else { return false };
        if machine.status != Some(Status::Running) || machine.action != Action::None {
            return false;
        }
        machine.turn += 1;
        machine.status = Some(Status::Stopping);
        machine.action = Action::Recreating;
        let shutdown = self.draw(self.timings.shutdown);
        self.arm_step(&Name::truncated(pool), &Name::truncated(name), shutdown, Step::Gone);
        true
    }

    /// The machine is gone: for good when it was deleted, else it is created again.
    fn gone(&mut self, setting: &PoolSetting, name: &Name) {
        let pool = &setting.pool.id;
        let removal = self.draw(self.timings.node_removal);
        let provision = self.draw(self.timings.provision);
        let Some(machine) = self.machine(pool, name) else { return };
        let (id, joined, action) = (machine.id.take(), std::mem::take(&mut machine.joined), machine.action);
        machine.status = None;
        if let Some(id) = id {
            self.ledger.end(id, self.now);
            self.report(pool, name, id, Happening::Gone);
            if joined {
                self.arm(self.now.plus(removal), Timer::Removed { pool: pool.clone(), name: name.clone(), id });
            }
        }
        if action == Action::Deleting {
            if let Some(state) = self.pools.get_mut(pool) {
                state.machines.remove(name);
            }
        } else {
            self.arm_step(pool, name, provision, Step::Attempt);
        }
    }

    pub(super) fn adopt_one(&mut self, pool: &str, name: &Name) {
        let Some(setting) = self.setting(&Name::truncated(pool)) else { return };
        if self.machine(pool, name).is_some() {
            return;
        }
        let id = self.fresh_id();
        let machine = Machine {
            name: name.clone(),
            id: Some(id),
            status: Some(Status::Running),
            action: Action::None,
            last_attempt: None,
            joined: true,
            turn: 0,
        };
        if let Some(state) = self.pools.get_mut(pool) {
            state.machines.insert(name.clone(), machine);
        }
        self.bill(&setting, name, id);
        self.arm_preemption(&setting, name);
    }
}

fn coded(status: u16, code: &str, message: &str) -> CodedError {
    CodedError { status, code: Name::truncated(code), message: Name::truncated(message) }
}

fn scaled(mut resources: Resources, ppm: i64) -> Resources {
    let part = |amount: i64| i64::try_from(i128::from(amount) * i128::from(ppm) / 1_000_000).unwrap_or(amount);
    resources.cpu = MilliCpu(part(resources.cpu.0));
    resources.memory = Bytes(part(resources.memory.0));
    resources
}
