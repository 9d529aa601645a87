//! Leadership by a Lease, and the fence that holds mutations back without it.
//!
//! Written here, because the published crates let two candidates be leader for a moment. The rules
//! are client-go's: every write replaces the Lease with the resource version that was read; a
//! lease is taken over only after this process has itself watched it unchanged for its whole
//! duration, on its own monotonic clock, because other machines' clocks are not trusted.
//!
//! `leaseTransitions` grows by one with every acquisition, also by a new process with the old
//! name; it is the epoch that the journal records and that names whose effects count.
//!
//! The [`Fence`] is what effects look at. It is valid from the moment *before* a renewal was sent
//! until the lease's duration after it, so that it ends before any other process can take over. It is
//! measured on two clocks, and the one that is further decides: the monotonic one, and on Linux the one that
//! goes on while the machine is suspended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal_schema::effect::Failure;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::rest::{CallError, Rest, path, segment, text};

/// The annotation that holds the journal's head: its id, sequence number and chain.
pub const HEAD_ANNOTATION: &str = "kinema.dev/journal-head";

/// Names and times of a lease.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Who this process is; unique to the process where possible.
    pub identity: String,
    /// For how long a leader that does not renew stays leader. At least 5 s.
    pub duration: Duration,
    /// After how long without a renewal this process gives up by itself; below `duration`.
    pub renew_deadline: Duration,
    /// How often to try.
    pub retry_period: Duration,
    /// No mutation begins with less of the lease left.
    pub mutation_margin: Duration,
    /// Takes a lease over at once when its holder has our own identity. Only where something else
    /// proves that the holder is dead, as the lock on the journal's directory does.
    pub trust_own_identity: bool,
}

impl LeaseConfig {
    /// The usual times: 30 s, given up after 20 s, tried every 4 s, 5 s for a mutation.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(30),
            renew_deadline: Duration::from_secs(20),
            retry_period: Duration::from_secs(4),
            mutation_margin: Duration::from_secs(5),
            trust_own_identity: false,
        }
    }
}

/// The journal's newest durable entry, as far as it is told to others: a witness outside of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which journal.
    pub journal: String,
    /// Sequence number.
    pub seq: u64,
    /// The hash chain's value there, in hexadecimal.
    pub chain: String,
}

/// A moment on the clocks of this machine.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Stands still while the machine is suspended, and goes on while the process is stopped.
    awake: Instant,
    /// Since boot, suspended time counted; where the platform tells.
    since_boot: Option<Duration>,
}

impl Moment {
    fn now() -> Self {
        Self { awake: Instant::now(), since_boot: since_boot() }
    }

    fn plus(self, duration: Duration) -> Self {
        Self { awake: self.awake + duration, since_boot: self.since_boot.map(|since| since + duration) }
    }

    /// How far it is to a later moment, on the clock that says less.
    fn until(self, later: Self) -> Duration {
        let awake = later.awake.saturating_duration_since(self.awake);
        let since_boot = later.since_boot.zip(self.since_boot).map(|(later, now)| later.saturating_sub(now));
        since_boot.map_or(awake, |since_boot| awake.min(since_boot))
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).ok()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

#[derive(Debug, Default)]
struct Shared {
    /// Until when mutations are ours; `None`: not the leader.
    valid_until: Option<Moment>,
    /// No lease at all: everything is permitted.
    open: bool,
    epoch: u64,
    head: Option<Head>,
    margin: Duration,
}

/// What effects look at before they change anything. Cheap to clone; all clones are one fence.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Mutex<Shared>>);

impl Fence {
    /// A fence that holds nothing back: for tests, and for a command that a person runs.
    pub fn open() -> Self {
        Self(Arc::new(Mutex::new(Shared { open: true, ..Shared::default() })))
    }

    /// A fence that is closed until a lease is acquired.
    pub fn closed(mutation_margin: Duration) -> Self {
        Self(Arc::new(Mutex::new(Shared { margin: mutation_margin, ..Shared::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of the lease is left; zero when it is not ours.
    pub fn margin_left(&self) -> Duration {
        self.margin_at(Moment::now())
    }

    fn margin_at(&self, now: Moment) -> Duration {
        let shared = self.lock();
        if shared.open {
            return Duration::MAX;
        }
        shared.valid_until.map_or(Duration::ZERO, |until| now.until(until))
    }

    /// How long a mutation that begins now may last; `None` when none may begin.
    pub fn margin_for_mutation(&self) -> Option<Duration> {
        let margin = self.lock().margin;
        let left = self.margin_left();
        (left > margin || left == Duration::MAX).then_some(left)
    }

    /// The epoch of this leadership; zero before the first.
    pub fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Open until `left` has passed, in tests of what comes after it.
    #[cfg(test)]
    pub(crate) fn open_for(left: Duration) -> Self {
        let fence = Self::closed(Duration::ZERO);
        fence.extend(Moment::now().plus(left), 1);
        fence
    }

    /// Tells others, with the next renewal, how far the journal is.
    pub fn set_head(&self, head: Head) {
        self.lock().head = Some(head);
    }

    fn extend(&self, until: Moment, epoch: u64) {
        let mut shared = self.lock();
        shared.valid_until = Some(until);
        shared.epoch = epoch;
    }

    fn close(&self) {
        self.lock().valid_until = None;
    }
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// This process became the leader.
    Acquired {
        /// Its epoch.
        epoch: u64,
        /// How far the journal of the last leader was, where it told.
        head: Option<Head>,
    },
    /// This process is the leader still.
    Renewed,
    /// Another is.
    HeldBy(String),
    /// The write lost a race; nothing changed.
    Raced,
    /// The API server did not answer as hoped.
    Failed(Failure),
}

/// One process's side of a lease.
pub struct Elector {
    rest: Rest,
    config: LeaseConfig,
    fence: Fence,
    /// Every epoch of ours is above this: what the journal has seen.
    epoch_floor: u64,
    /// What was seen last, and since when it is unchanged.
    observed: Option<(Value, Instant)>,
    /// The epoch that this process leads in.
    leading: Option<u64>,
}

fn time_text() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn head_of(lease: &Value) -> Option<Head> {
    let text = text(lease, &format!("/metadata/annotations/{}", segment(HEAD_ANNOTATION)));
    let mut parts = text.split(' ');
    let head =
        Head { journal: parts.next()?.to_owned(), seq: parts.next()?.parse().ok()?, chain: parts.next()?.to_owned() };
    parts.next().is_none().then_some(head)
}

impl Elector {
    /// One process's side of a lease. `epoch_floor` is the highest epoch in the journal: a lease
    /// that was deleted and begins again must not repeat one.
    pub fn new(client: Client, config: LeaseConfig, epoch_floor: u64) -> Self {
        let limit = config.retry_period.max(Duration::from_secs(1));
        let fence = Fence::closed(config.mutation_margin);
        Self { rest: Rest::new(client, limit), config, fence, epoch_floor, observed: None, leading: None }
    }

    /// The fence that this side opens and closes.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    fn path(&self) -> Result<(String, String), CallError> {
        let collection = path(&["apis", "coordination.k8s.io", "v1", "namespaces", &self.config.namespace, "leases"])?;
        let object = format!("{collection}{}", path(&[&self.config.name])?);
        Ok((collection, object))
    }

    /// Tries once to acquire or to renew.
    pub async fn attempt(&mut self) -> Attempt {
        match self.try_attempt().await {
            Ok(attempt) => attempt,
            Err(error) if error.code() == 409 => {
                // Someone else wrote. If it was a takeover, the next read shows it.
                Attempt::Raced
            }
            Err(error) => Attempt::Failed(error.classed(false)),
        }
    }

    async fn try_attempt(&mut self) -> Result<Attempt, CallError> {
        let (collection, object) = self.path()?;
        let lease = match self.rest.get(&object).await {
            Ok(lease) => lease,
            Err(error) if error.code() == 404 => return self.create(&collection).await,
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let record = lease.get("spec").cloned().unwrap_or(Value::Null);
        if self.observed.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.observed = Some((record, now));
        }
        let holder = text(&lease, "/spec/holderIdentity");
        let transitions = lease.pointer("/spec/leaseTransitions").and_then(Value::as_u64).unwrap_or(0);
        if let Some(epoch) = self.leading {
            if holder == self.config.identity && transitions == epoch {
                return self.write(&object, lease, epoch).await;
            }
            // Someone took over: whatever the fence says, it is over.
            self.step_down();
        }
        let ours_by_name = self.config.trust_own_identity && holder == self.config.identity;
        if !holder.is_empty() && !ours_by_name && !self.expired(&lease, now) {
            return Ok(Attempt::HeldBy(holder.to_owned()));
        }
        let epoch = transitions.max(self.epoch_floor) + 1;
        self.write(&object, lease, epoch).await
    }

    /// Whether the record has stood unchanged for its whole duration before our own eyes.
    fn expired(&self, lease: &Value, now: Instant) -> bool {
        let told = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(0);
        // A day at most: a number that was written by hand must not lock everyone out for ever.
        let duration = Duration::from_secs(told.min(86_400)).max(self.config.duration);
        self.observed.as_ref().is_some_and(|(_, since)| now.saturating_duration_since(*since) >= duration)
    }

    fn spec(&self, lease: &Value, epoch: u64) -> Value {
        let time = time_text();
        let acquired = match self.leading {
            Some(_) => lease.pointer("/spec/acquireTime").cloned().unwrap_or_else(|| json!(time)),
            None => json!(time),
        };
        json!({
            "holderIdentity": self.config.identity,
            "leaseDurationSeconds": self.config.duration.as_secs(),
            "acquireTime": acquired,
            "renewTime": time,
            "leaseTransitions": epoch,
        })
    }

    fn annotate(&self, lease: &mut Value) {
        if let Some(head) = &self.fence.lock().head {
            lease["metadata"]["annotations"][HEAD_ANNOTATION] =
                json!(format!("{} {} {}", head.journal, head.seq, head.chain));
        }
    }

    async fn write(&mut self, object: &str, mut lease: Value, epoch: u64) -> Result<Attempt, CallError> {
        let head = head_of(&lease);
        lease["spec"] = self.spec(&lease, epoch);
        self.annotate(&mut lease);
        let sent = Moment::now();
        let written = self.rest.put(object, &lease).await?;
        Ok(self.wrote(&written, sent, epoch, head))
    }

    async fn create(&mut self, collection: &str) -> Result<Attempt, CallError> {
        // A lease that vanished while we led may be another's in a moment: begin anew.
        self.step_down();
        let epoch = self.epoch_floor + 1;
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.config.name, "namespace": self.config.namespace},
        });
        lease["spec"] = self.spec(&lease, epoch);
        self.annotate(&mut lease);
        let sent = Moment::now();
        let written = self.rest.post(collection, &lease).await?;
        Ok(self.wrote(&written, sent, epoch, None))
    }

    fn wrote(&mut self, written: &Value, sent: Moment, epoch: u64, head: Option<Head>) -> Attempt {
        self.observed = written.get("spec").cloned().map(|record| (record, Instant::now()));
        self.fence.extend(sent.plus(self.config.duration), epoch);
        self.epoch_floor = self.epoch_floor.max(epoch);
        if self.leading.replace(epoch) == Some(epoch) { Attempt::Renewed } else { Attempt::Acquired { epoch, head } }
    }

    fn step_down(&mut self) {
        self.leading = None;
        self.fence.close();
    }

    /// Tries until this process is the leader. `waiting` is told who holds the lease, and what
    /// failed, after every attempt that did not succeed.
    pub async fn acquire(&mut self, mut waiting: impl FnMut(&Attempt)) -> (u64, Option<Head>) {
        loop {
            match self.attempt().await {
                Attempt::Acquired { epoch, head } => return (epoch, head),
                // It was leading already.
                Attempt::Renewed => return (self.fence.epoch(), None),
                other => waiting(&other),
            }
            tokio::time::sleep(self.config.retry_period).await;
        }
    }

    /// Renews until leadership is lost; then the fence is closed. A process that lost it must not
    /// go on under the same journal: it ends, or waits in [`Self::acquire`] and begins a new term.
    ///
    /// Cancel-safe: dropping the future between attempts leaves the lease as it is.
    pub async fn lead(&mut self) -> Lost {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.config.retry_period).await;
            let last = match self.attempt().await {
                Attempt::Renewed => {
                    renewed = Instant::now();
                    continue;
                }
                Attempt::HeldBy(holder) => {
                    self.step_down();
                    return Lost::TakenBy(holder);
                }
                // The old term is over even so: its successor has another epoch.
                Attempt::Acquired { .. } => {
                    self.fence.close();
                    return Lost::Interrupted;
                }
                Attempt::Raced => "409 Conflict".to_owned(),
                Attempt::Failed(failure) => failure.message.as_str().to_owned(),
            };
            if renewed.elapsed() >= self.config.renew_deadline {
                self.step_down();
                return Lost::NotRenewed(last);
            }
        }
    }

    /// Gives the lease back, so that another need not wait. The epoch stays.
    pub async fn release(&mut self) -> Result<(), Failure> {
        let Some(epoch) = self.leading else { return Ok(()) };
        self.step_down();
        let (_, object) = self.path().map_err(|error| error.classed(true))?;
        let mut lease = self.rest.get(&object).await.map_err(|error| error.classed(false))?;
        let transitions = lease.pointer("/spec/leaseTransitions").and_then(Value::as_u64);
        if text(&lease, "/spec/holderIdentity") != self.config.identity || transitions != Some(epoch) {
            return Ok(());
        }
        lease["spec"]["holderIdentity"] = json!("");
        lease["spec"]["leaseDurationSeconds"] = json!(1);
        lease["spec"]["renewTime"] = json!(time_text());
        self.annotate(&mut lease);
        self.rest.put(&object, &lease).await.map(drop).map_err(|error| error.classed(true))
    }
}

/// How leadership ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Another process holds the lease.
    TakenBy(String),
    /// It could not be renewed in time; the last error.
    NotRenewed(String),
    /// The lease vanished or was released from under us, and was acquired again in a new epoch.
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_out_while_the_machine_is_suspended() {
        let now = Moment { awake: Instant::now(), since_boot: Some(Duration::from_secs(100)) };
        let fence = Fence::closed(Duration::from_secs(5));
        fence.extend(now.plus(Duration::from_secs(30)), 1);
        assert_eq!(fence.margin_at(now), Duration::from_secs(30));
        let suspended = Moment { since_boot: Some(Duration::from_secs(131)), ..now };
        assert_eq!(fence.margin_at(suspended), Duration::ZERO, "31 s that only one clock has seen");
        let untold = Moment { since_boot: None, ..now.plus(Duration::from_secs(10)) };
        assert_eq!(fence.margin_at(untold), Duration::from_secs(20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clock_that_goes_on_while_suspended_is_read() {
        assert!(since_boot().is_some_and(|since| since > Duration::ZERO));
    }
}
