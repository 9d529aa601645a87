//! What the cloud said last: pools, instances, prices, and which pools are left alone for now.

use journal_schema::cloud::{CapacityType, Instance, InstanceState, Pool, PoolId, PoolInstances, PriceBook};
use journal_schema::facts::NodeFact;
use journal_schema::text::{Few, Name};
use journal_schema::units::{MicroUsdPerHour, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The cloud as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudView {
    /// Pools by id, and when they were read.
    pub pools: BTreeMap<PoolId, Pool>,
    /// When the pools were read.
    pub pools_at: Option<Timestamp>,
    /// Instances by name, with their pool.
    instances: BTreeMap<Name, (PoolId, Instance)>,
    /// When each pool's instances were listed.
    listed_at: BTreeMap<PoolId, Timestamp>,
    /// Prices.
    pub prices: PriceBook,
    /// When the prices were read.
    pub prices_at: Option<Timestamp>,
    /// Pools that are left alone until a time, because they were stocked out.
    avoided: BTreeMap<PoolId, Timestamp>,
}

/// How a node is paid for, by the labels that the clouds and Karpenter write.
pub fn capacity_type(node: &NodeFact) -> CapacityType {
    let spot = node.label("cloud.google.com/gke-spot") == "true"
        || node.label("cloud.google.com/gke-provisioning") == "spot"
        || node.label("cloud.google.com/gke-preemptible") == "true"
        || node.label("karpenter.sh/capacity-type") == "spot";
    if spot { CapacityType::Spot } else { CapacityType::OnDemand }
}

/// The region of a node: its label, or its zone without the last part.
pub fn region(node: &NodeFact) -> &str {
    let labelled = node.label("topology.kubernetes.io/region");
    if labelled.is_empty() { node.zone().rsplit_once('-').map_or("", |(region, _)| region) } else { labelled }
}

impl CloudView {
    /// Takes a new list of pools.
    pub fn set_pools(&mut self, now: Timestamp, pools: &[Pool]) {
        self.pools = pools.iter().map(|pool| (pool.id.clone(), pool.clone())).collect();
        self.pools_at = Some(now);
    }

    /// Takes new lists of instances; pools that were not listed keep what they had.
    pub fn set_instances(&mut self, now: Timestamp, lists: &[PoolInstances]) {
        for list in lists {
            self.instances.retain(|_, (pool, _)| *pool != list.pool);
            for instance in &list.instances {
                self.instances.insert(instance.name.clone(), (list.pool.clone(), instance.clone()));
            }
            self.listed_at.insert(list.pool.clone(), now);
        }
    }

    /// Takes a new price book.
    pub fn set_prices(&mut self, now: Timestamp, prices: &PriceBook) {
        self.prices = prices.clone();
        self.prices_at = Some(now);
    }

    /// The instance with this name and its pool.
    pub fn instance(&self, name: &str) -> Option<&(PoolId, Instance)> {
        self.instances.get(name)
    }

    /// When a pool's instances were listed last.
    pub fn listed_at(&self, pool: &str) -> Option<Timestamp> {
        self.listed_at.get(pool).copied()
    }

    /// When every pool's instances were listed at the latest, if all were.
    pub fn all_listed_at(&self) -> Option<Timestamp> {
        self.pools.keys().map(|pool| self.listed_at(pool)).min().unwrap_or(self.pools_at)
    }

    /// How many instances are neither running nor at rest.
    pub fn busy(&self) -> usize {
        self.instances.values().filter(|(_, instance)| instance.state != InstanceState::Running).count()
    }

    /// Ids of all pools.
    pub fn pool_ids(&self) -> Few<PoolId> {
        // Discovery refuses more pools than fit; an overlong list cannot be asked for at all.
        Few::new(self.pools.keys().cloned().collect()).unwrap_or_default()
    }

    /// The nodes whose instance is in a known pool that is not refused, by node name.
    pub fn managed(&self) -> BTreeMap<Name, PoolId> {
        self.instances
            .iter()
            .filter(|(_, (pool, _))| self.pools.get(pool).is_some_and(|pool| pool.refusal.is_none()))
            .map(|(name, (pool, _))| (name.clone(), pool.clone()))
            .collect()
    }

    /// Leaves a pool alone until a time.
    pub fn avoid(&mut self, pool: &PoolId, until: Timestamp) {
        self.avoided.insert(pool.clone(), until);
    }

    /// The pools that are left alone now.
    pub fn avoided(&self, now: Timestamp) -> BTreeSet<PoolId> {
        self.avoided.iter().filter(|(_, until)| **until > now).map(|(pool, _)| pool.clone()).collect()
    }

    /// The price of a node, if the book has it.
    pub fn price_of(&self, node: &NodeFact) -> Option<MicroUsdPerHour> {
        self.prices.price(region(node), node.machine_type(), capacity_type(node))
    }

    /// The price of a machine of a pool, if the book has it.
    pub fn price_in(&self, pool: &Pool) -> Option<MicroUsdPerHour> {
        self.prices.price(&pool.region, &pool.machine_type, pool.capacity_type)
    }
}
