//! Pools, offers, instances and prices.

use serde::{Deserialize, Serialize};

use crate::facts::{Labels, Taint};
use crate::text::{Few, Many, Name};
use crate::units::{MicroUsdPerHour, Resources, Timestamp};

/// Names a pool: unique within the cluster, for example `us-central1-b/gke-demo-pool-1-grp`.
pub type PoolId = Name;

/// How a machine is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CapacityType {
    /// Until we delete it.
    #[default]
    OnDemand,
    /// Cheaper, and the cloud may take it back.
    Spot,
}

impl CapacityType {
    /// `on-demand` or `spot`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// A group of equal machines in one zone that may grow and shrink (a managed instance group).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Identity.
    pub id: PoolId,
    /// Prefix of instance names.
    pub base_name: Name,
    /// Machine type.
    pub machine_type: Name,
    /// Region.
    pub region: Name,
    /// Zone.
    pub zone: Name,
    /// How it is paid for.
    #[serde(default)]
    pub capacity_type: CapacityType,
    /// Labels of its nodes (without the hostname).
    #[serde(default)]
    pub labels: Labels,
    /// Taints of its nodes.
    #[serde(default)]
    pub taints: Few<Taint>,
    /// What one of its nodes offers to pods, system pods not yet taken away.
    pub allocatable: Resources,
    /// Machines it has or is booting.
    #[serde(default)]
    pub size: u32,
    /// Most machines it may have, when limited.
    #[serde(default)]
    pub max_size: Option<u32>,
    /// Why nothing may be booted or deleted here; `None` when it is ours to use.
    #[serde(default)]
    pub refusal: Option<PoolRefusal>,
}

/// Why a pool is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PoolRefusal {
    /// Another autoscaler resizes it.
    Autoscaled,
    /// Its update policy replaces machines by itself (PROACTIVE with SUBSTITUTE).
    ProactiveUpdates,
    /// The operator's selection leaves it out.
    NotSelected,
    /// Its template could not be read.
    TemplateUnknown,
}

/// What a cloud instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InstanceState {
    /// Asked for; no machine yet.
    Requested,
    /// The machine starts.
    Booting,
    /// The machine runs.
    Running,
    /// Deletion is under way.
    Deleting,
    /// The cloud is doing something else with it (recreating, restarting, abandoning).
    Other,
}

/// Why the cloud did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CloudFault {
    /// No such machine is free in the zone.
    Stockout,
    /// The project's quota is used up.
    Quota,
    /// The subnet has no address left.
    Addresses,
    /// The request or the pool's configuration is not acceptable.
    Config,
    /// Not permitted.
    Permission,
    /// Anything else.
    Other,
}

/// An instance as the cloud lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Name, which is also the node's name.
    pub name: Name,
    /// Numeric id; `None` until the machine exists.
    #[serde(default)]
    pub id: Option<u64>,
    /// What it is doing.
    pub state: InstanceState,
    /// Why the last attempt to create it failed.
    #[serde(default)]
    pub fault: Option<CloudFault>,
    /// Since when it exists, by the cloud's clock. Told of young machines.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
}

/// A machine that is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ended {
    /// Name.
    pub name: Name,
    /// Numeric id.
    pub id: u64,
    /// When, by the cloud's clock.
    pub at: Timestamp,
}

/// All instances of one pool at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolInstances {
    /// The pool.
    pub pool: PoolId,
    /// Its instances, by name.
    pub instances: Many<Instance>,
    /// Machines that ended lately, of this pool or of another in its zone.
    #[serde(default)]
    pub ended: Many<Ended>,
}

/// The price of a machine type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PriceEntry {
    /// Region.
    pub region: Name,
    /// Machine type.
    pub machine_type: Name,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Price, boot disk and network left out.
    pub price: MicroUsdPerHour,
}

/// A list of prices and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceBook {
    /// `built-in`, a file's name, or a catalogue.
    pub source: Name,
    /// The day the prices are of.
    pub as_of: Timestamp,
    /// Sorted by region, machine type and capacity type; each at most once.
    pub entries: Many<PriceEntry>,
}

impl PriceBook {
    /// The price of a machine, if the book has it. Binary search: the entries are sorted.
    pub fn price(&self, region: &str, machine_type: &str, capacity_type: CapacityType) -> Option<MicroUsdPerHour> {
        self.entries
            .binary_search_by(|entry| {
                (entry.region.as_str(), entry.machine_type.as_str(), entry.capacity_type).cmp(&(
                    region,
                    machine_type,
                    capacity_type,
                ))
            })
            .ok()
            .map(|index| self.entries[index].price)
    }
}
