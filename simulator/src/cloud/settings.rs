//! How the simulated cloud behaves when nothing goes wrong: pools, times and limits, as data.

use journal_schema::cloud::Pool;
use journal_schema::text::Name;
use journal_schema::units::Millis;
use serde::{Deserialize, Serialize};

use super::rules::FaultRule;

/// A span that is drawn anew each time, every millisecond from `least` to `most` equally likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Shortest, in milliseconds.
    pub least: Millis,
    /// Longest, in milliseconds.
    pub most: Millis,
}

impl Span {
    /// A span between whole seconds.
    pub const fn secs(least: i64, most: i64) -> Self {
        Self { least: Millis::from_secs(least), most: Millis::from_secs(most) }
    }
    /// A span between milliseconds.
    pub const fn millis(least: i64, most: i64) -> Self {
        Self { least: Millis(least), most: Millis(most) }
    }
}

/// How long things take. The defaults are what public runbooks and other autoscalers' time-outs
/// suggest for Compute Engine: an operation takes a second or two, a machine 20 to 60 s to run and
/// its kubelet 10 to 30 s more to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timings {
    /// Operation PENDING → RUNNING; the effect takes place then, and a list shows it from then on.
    pub accept: Span,
    /// Operation RUNNING → DONE.
    pub finish: Span,
    /// Name listed → PROVISIONING (the machine gets its numeric id; billing starts).
    pub provision: Span,
    /// PROVISIONING → STAGING.
    pub stage: Span,
    /// STAGING → RUNNING.
    pub boot: Span,
    /// RUNNING → the node joins the cluster.
    pub join: Span,
    /// Deletion or preemption → the machine is gone (billing ends).
    pub shutdown: Span,
    /// Machine gone → the cloud controller removes the Node object.
    pub node_removal: Span,
    /// Between attempts to create a machine that could not be created.
    pub retry: Millis,
    /// A repeated request id is recognised for this long.
    pub request_id_ttl: Millis,
    /// An operation can be read for this long after it is DONE.
    pub operation_retention: Millis,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            accept: Span::millis(200, 1_000),
            finish: Span::millis(500, 2_000),
            provision: Span::secs(1, 4),
            stage: Span::secs(2, 6),
            boot: Span::secs(15, 45),
            join: Span::secs(10, 30),
            shutdown: Span::secs(20, 60),
            node_removal: Span::secs(2, 10),
            retry: Millis::from_secs(15),
            request_id_ttl: Millis::from_minutes(60),
            operation_retention: Millis::from_minutes(24 * 60),
        }
    }
}

/// What a creation does with a name that the group already has. Google documents neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExistingName {
    /// The whole operation fails with 409 and creates nothing.
    #[default]
    Refuse,
    /// The name is passed over.
    Ignore,
}

/// A pool and what its machine type counts against the quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSetting {
    /// The pool. `size` is computed, and `refusal: ProactiveUpdates` makes the cloud refuse creations
    /// with 412 as the real one does; `Autoscaled` is only shown, as the real one would still obey.
    pub pool: Pool,
    /// vCPUs of one machine, for the quota.
    #[serde(default)]
    pub vcpus: u32,
}

/// A region's quota of vCPUs, on-demand and spot together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Region.
    pub region: Name,
    /// vCPUs.
    pub vcpus: u32,
}

/// Everything a simulated cloud starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seed of every draw.
    pub seed: u64,
    /// Pools.
    pub pools: Vec<PoolSetting>,
    /// Times.
    pub timings: Timings,
    /// What goes wrong.
    pub faults: Vec<FaultRule>,
    /// Quotas; a region without one is unlimited.
    pub quotas: Vec<Quota>,
    /// What a creation does with a name that exists.
    pub existing_name: ExistingName,
}
