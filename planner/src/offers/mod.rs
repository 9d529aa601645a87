//! Machines that may be booted: usable pools, priced, with what they offer once system pods run there.
//!
//! A new machine does not offer its whole allocatable: every DaemonSet that matches it starts a pod
//! there, and static pods (kube-proxy on GKE) come with its image. That fixed cost is more than a
//! fifth of a small machine, so a model without it buys too many small ones.

mod synthetic;

use std::collections::BTreeMap;

use journal_schema::cloud::Pool;
use journal_schema::facts::{Labels, OwnerKind, PodSpecFact, Taint, TaintEffect, Toleration, WorkloadKind};
use journal_schema::plan::PlanningInput;
use journal_schema::shared::Shared;
use journal_schema::text::Name;
use journal_schema::units::Resources;

use crate::commitments::{Commitments, Tariff};
use crate::eligibility::{capacity_type_of, machine_type_of, pool_of};
pub use synthetic::{MachineSpec, gke_allocatable, synthetic_pools};

use crate::pricing::effective_in;
use crate::rules::{HOSTNAME, NEW_NODE_NAME, REGION, ZONE, glob_matches, node_affinity_matches, repelling_taint};

/// A machine that may be booted.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Index into the input's pools.
    pub(crate) pool: usize,
    /// What it costs.
    pub(crate) tariff: Tariff,
    /// What it is weighed at against others, in micro-USD per hour: less than it costs where it may be covered.
    pub(crate) price: i64,
    /// What it offers to pods that are placed.
    pub(crate) capacity: Resources,
    /// Labels of the node, with a stand-in for its name.
    pub(crate) labels: Labels,
    /// Its taints.
    pub(crate) taints: Vec<Taint>,
    /// How many more may be booted.
    pub(crate) most: Option<u32>,
}

/// Every offer of the input, in the order of its pools.
pub(crate) fn offers(input: &PlanningInput, commitments: &Commitments) -> Vec<Offer> {
    let daemons = DaemonTemplates::new(input);
    let policy = &input.policy.optimize;
    let mut offers = Vec::new();
    for (index, pool) in input.pools.iter().enumerate() {
        let allowed = pool.refusal.is_none()
            && !input.excluded_pools.contains(&pool.id)
            && (policy.machine_types.is_empty()
                || policy.machine_types.iter().any(|glob| glob_matches(glob, &pool.machine_type)))
            && (policy.zones.is_empty() || policy.zones.contains(&pool.zone))
            && (policy.capacity_types.is_empty() || policy.capacity_types.contains(&pool.capacity_type));
        let most = pool.max_size.map(|max| max.saturating_sub(pool.size));
        let (region, machine_type) = (&pool.region, &pool.machine_type);
        let price = effective_in(&policy.pricing, &input.prices, region, machine_type, pool.capacity_type);
        let (true, Some(price)) = (allowed && most != Some(0), price) else { continue };
        let commitment = commitments.of(region, machine_type, pool.capacity_type);
        let tariff = Tariff { paid: price.0, commitment };
        let labels = node_labels(pool);
        let mut capacity = pool.allocatable.clone();
        capacity.sub(&daemons.overhead(&labels, &pool.taints));
        capacity.sub(&mirror_overhead(input, pool));
        let taints = pool.taints.to_vec();
        offers.push(Offer { pool: index, tariff, price: price.0, capacity, labels, taints, most });
    }
    offers
}

/// The labels that a new node of a pool certainly has.
fn node_labels(pool: &Pool) -> Labels {
    let mut labels = pool.labels.clone();
    let set = [
        (HOSTNAME, NEW_NODE_NAME),
        (ZONE, pool.zone.as_str()),
        (REGION, pool.region.as_str()),
        ("node.kubernetes.io/instance-type", pool.machine_type.as_str()),
    ];
    for (key, value) in set {
        labels.insert(Name::truncated(key), Name::truncated(value));
    }
    labels
}

/// Tolerations that the DaemonSet controller adds to every pod it makes.
fn daemon_tolerations() -> Vec<Toleration> {
    let always = |key: &str, effect| Toleration {
        key: Name::truncated(key),
        exists: true,
        value: Name::default(),
        effect: Some(effect),
    };
    vec![
        always("node.kubernetes.io/not-ready", TaintEffect::NoExecute),
        always("node.kubernetes.io/unreachable", TaintEffect::NoExecute),
        always("node.kubernetes.io/disk-pressure", TaintEffect::NoSchedule),
        always("node.kubernetes.io/memory-pressure", TaintEffect::NoSchedule),
        always("node.kubernetes.io/pid-pressure", TaintEffect::NoSchedule),
        always("node.kubernetes.io/unschedulable", TaintEffect::NoSchedule),
        always("node.kubernetes.io/network-unavailable", TaintEffect::NoSchedule),
    ]
}

/// What each DaemonSet asks of a node that it runs on.
struct DaemonTemplates {
    specs: Vec<Shared<PodSpecFact>>,
}

impl DaemonTemplates {
    fn new(input: &PlanningInput) -> Self {
        let mut specs: Vec<Shared<PodSpecFact>> = Vec::new();
        for workload in
            input.cluster.workloads.values().filter(|w| w.id.kind == WorkloadKind::DaemonSet && w.deletion_at.is_none())
        {
            specs.push(workload.template.clone());
        }
        // A DaemonSet that is not among the objects read is known by its pods: the controller pins
        // each by `metadata.name`, the rest of the spec is the template's.
        let mut orphans: BTreeMap<&Name, Shared<PodSpecFact>> = BTreeMap::new();
        for pod in input.cluster.pods.values() {
            let Some(owner) = pod.owner.as_ref().filter(|owner| owner.kind == OwnerKind::DaemonSet) else { continue };
            if input.cluster.workload_of(pod).is_some() || orphans.contains_key(&owner.uid) {
                continue;
            }
            let mut spec = pod.spec.clone();
            if spec.node_affinity.as_ref().is_some_and(|terms| terms.iter().all(|term| term.labels.is_empty())) {
                spec.node_affinity = None;
            }
            orphans.insert(&owner.uid, spec);
        }
        specs.extend(orphans.into_values());
        Self { specs }
    }

    fn overhead(&self, labels: &Labels, taints: &[Taint]) -> Resources {
        let defaults = daemon_tolerations();
        let mut sum = Resources::default();
        for spec in &self.specs {
            let tolerations: Vec<Toleration> =
                spec.tolerations.iter().cloned().chain(defaults.iter().cloned()).collect();
            if node_affinity_matches(spec, labels, NEW_NODE_NAME) && repelling_taint(&tolerations, taints).is_none() {
                let mut request = spec.requests.clone();
                request.pods = 1;
                sum.add(&request);
            }
        }
        sum
    }
}

/// What static pods take on a node of this pool: the most seen on a node of the same pool, else of
/// the same machine type, else on any node that is not of the control plane.
fn mirror_overhead(input: &PlanningInput, pool: &Pool) -> Resources {
    let mut sums: BTreeMap<&Name, Resources> = BTreeMap::new();
    for pod in input.cluster.pods.values().filter(|pod| pod.mirror && !pod.finished()) {
        if let Some(node) = &pod.node {
            let mut request = pod.spec.requests.clone();
            request.pods = 1;
            sums.entry(node).or_default().add(&request);
        }
    }
    if sums.is_empty() {
        return Resources::default();
    }
    let workers: Vec<_> = input
        .cluster
        .nodes
        .values()
        .filter(|node| {
            !node.labels.contains_key("node-role.kubernetes.io/control-plane")
                && !node.labels.contains_key("node-role.kubernetes.io/master")
        })
        .collect();
    let same_pool = |node: &journal_schema::facts::NodeFact| pool_of(input, node).is_some_and(|own| own.id == pool.id);
    let same_type = |node: &journal_schema::facts::NodeFact| {
        machine_type_of(node) == pool.machine_type.as_str() && capacity_type_of(node) == pool.capacity_type
    };
    let chosen: Vec<_> = if workers.iter().any(|node| same_pool(node)) {
        workers.into_iter().filter(|node| same_pool(node)).collect()
    } else if workers.iter().any(|node| same_type(node)) {
        workers.into_iter().filter(|node| same_type(node)).collect()
    } else {
        workers
    };
    let mut most = Resources::default();
    for sum in chosen.iter().filter_map(|node| sums.get(&node.name)) {
        most.cpu = most.cpu.max(sum.cpu);
        most.memory = most.memory.max(sum.memory);
        most.ephemeral = most.ephemeral.max(sum.ephemeral);
        most.pods = most.pods.max(sum.pods);
        for (name, amount) in &sum.extended {
            let entry = most.extended.entry(name.clone()).or_default();
            *entry = (*entry).max(*amount);
        }
    }
    most
}
