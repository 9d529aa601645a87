//! The fold of the watches: the cluster as far as it is known, and how far that is.

use canary::{Canary, planted};
use journal_schema::effect::{EXPIRING_KEY, LATER_KEY, OPTIMAL_KEY};
use journal_schema::event::WatchEvent;
use journal_schema::facts::{Key, Kind, NodeFact, Object, PodFact, WorkloadFact, WorkloadId, WorkloadKind};
use journal_schema::plan::Cluster;
use journal_schema::policy::Breakers;
use journal_schema::text::Name;
use journal_schema::units::{Ppm, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KindStatus {
    /// A list was completed in this process's life and the watch has not broken since.
    synced: bool,
    /// Keys listed so far by the list that is under way.
    listing: Option<BTreeSet<Key>>,
}

/// When so many pods and more vanish in one list, and they are most of all, no time makes it believable.
const VANISHED_LEAST: usize = 20;

/// Nodes that one list of the pods showed empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Emptied {
    at: Timestamp,
    nodes: u32,
    of: u32,
    /// Most pods vanished with it: until an operator says that this was meant.
    for_good: bool,
}

/// The cluster, indexes over it, and how fresh it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    cluster: Cluster,
    kinds: BTreeMap<Kind, KindStatus>,
    pods_by_node: BTreeMap<Name, BTreeSet<Key>>,
    pods_by_owner: BTreeMap<Name, BTreeSet<Key>>,
    replica_sets_by_owner: BTreeMap<Name, BTreeSet<WorkloadId>>,
    settled_since: BTreeMap<WorkloadId, Timestamp>,
    /// Nodes and pods that changed since the basis of the last plan.
    changed: BTreeSet<(Kind, Key)>,
    /// Grows with every change that could change a plan.
    version: u64,
    unschedulable: BTreeSet<Key>,
    not_ready_nodes: BTreeSet<Name>,
    /// Nodes that a list showed empty and that were not so before.
    emptied: Option<Emptied>,
}

/// Whether a workload is as it wants to be: no rollout, no missing pod.
pub fn settled(workload: &WorkloadFact) -> bool {
    workload.deletion_at.is_none()
        && workload.observed_generation >= workload.generation
        && workload.ready == workload.replicas
        && workload.current == workload.replicas
        && (workload.updated == workload.replicas || workload.id.kind == WorkloadKind::ReplicaSet)
}

/// Whether a pod must be gone from a node before the node may be deleted: not a DaemonSet's, not a
/// mirror, not finished.
pub fn holds_node(pod: &PodFact) -> bool {
    !pod.of_daemon_set() && !pod.mirror && !pod.finished()
}

/// Whether a node can take pods: ready, not cordoned, not being set up or torn down.
pub fn usable(node: &NodeFact) -> bool {
    node.ready
        && !node.unschedulable
        && node.deletion_at.is_none()
        && !node.taints.iter().any(|taint| {
            taint.key.starts_with("node.kubernetes.io/") || taint.key.starts_with("node.cloudprovider.kubernetes.io/")
        })
}

/// Whether a node carries a label or taint of ours.
pub fn marked(node: &NodeFact) -> bool {
    let labelled = [OPTIMAL_KEY, EXPIRING_KEY].iter().any(|key| node.labels.contains_key(*key));
    labelled || tainted(node) || avoided(node)
}

/// Whether a node carries our taint of nodes that the scheduler is led away from.
pub fn avoided(node: &NodeFact) -> bool {
    node.taints.iter().any(|taint| taint.key == LATER_KEY)
}

/// Whether a node carries our taint of leaving nodes.
pub fn tainted(node: &NodeFact) -> bool {
    node.taints.iter().any(|taint| taint.key == EXPIRING_KEY)
}

impl World {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether every kind was listed in this process's life and no watch is broken.
    pub fn synced(&self) -> bool {
        self.first_unsynced().is_none()
    }

    /// The first kind that is not synced.
    pub fn first_unsynced(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| !self.kinds.get(kind).is_some_and(|status| status.synced))
    }

    /// A number that changes whenever something changed that could change a plan.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Pods that the scheduler could not place.
    pub fn unschedulable_pods(&self) -> &BTreeSet<Key> {
        &self.unschedulable
    }

    /// Nodes whose condition Ready is not True.
    pub fn not_ready_nodes(&self) -> &BTreeSet<Name> {
        &self.not_ready_nodes
    }

    /// How many of how many nodes a list showed empty that were not so before, if that is suspicious: for a while, and
    /// for as long as no operator says so where most pods vanished with it.
    pub fn vanished(&self, now: Timestamp, breakers: &Breakers) -> Option<(u32, u32)> {
        let emptied = self.emptied.filter(|emptied| {
            let suspicious = emptied.nodes > breakers.empty_nodes
                && Ppm::of(emptied.nodes.into(), emptied.of.into()) > breakers.empty_share;
            emptied.for_good || suspicious && now < emptied.at.plus(breakers.empty_hold)
        });
        emptied.map(|emptied| (emptied.nodes, emptied.of))
    }

    /// An operator looked at the empty nodes and wants to go on.
    pub fn forgive_vanished(&mut self) {
        self.emptied = None;
    }

    /// What is settled has to be seen to be so anew: nobody knows how long it has been.
    pub fn observe_anew(&mut self, now: Timestamp) {
        for since in self.settled_since.values_mut() {
            *since = now;
        }
    }

    /// Since when a workload has been as it wants to be; `None` when it is not.
    pub fn settled_since(&self, workload: &WorkloadId) -> Option<Timestamp> {
        self.settled_since.get(workload).copied()
    }

    /// The node with this name, if its UID is the one given.
    pub fn node(&self, name: &str, uid: &str) -> Option<&NodeFact> {
        self.cluster.nodes.get(name).filter(|node| node.uid == uid)
    }

    /// The pod with this key, if its UID is the one given.
    pub fn pod(&self, key: &Key, uid: &str) -> Option<&PodFact> {
        self.cluster.pods.get(key).filter(|pod| pod.uid == uid)
    }

    /// All pods bound to a node, by key.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &PodFact> {
        self.pods_by_node.get(node).into_iter().flatten().filter_map(|key| self.cluster.pods.get(key))
    }

    /// The pods that hold a node, by key.
    pub fn holding(&self, node: &str) -> impl Iterator<Item = &PodFact> {
        self.pods_on(node).filter(|pod| holds_node(pod))
    }

    /// The pods of a workload (through its ReplicaSets for a Deployment), by owner and key.
    pub fn pods_of<'a>(&'a self, workload: &'a WorkloadFact) -> impl Iterator<Item = &'a PodFact> {
        let sets = self.replica_sets_by_owner.get(&workload.uid).into_iter().flatten();
        let owners = sets
            .filter_map(|id| self.cluster.workloads.get(id))
            .map(|set| &set.uid)
            .chain(std::iter::once(&workload.uid));
        owners.filter_map(|uid| self.pods_by_owner.get(uid)).flatten().filter_map(|key| self.cluster.pods.get(key))
    }

    /// Starts to count changes anew: a plan is made now.
    pub fn rebase(&mut self) {
        self.changed.clear();
    }

    /// The share of nodes and pods that changed since the last [`World::rebase`].
    ///
    /// New nodes named in `own` and the DaemonSets' pods that follow them are our doing and do not count.
    pub fn changed_share(&self, own: &BTreeSet<Name>) -> Ppm {
        let foreign =
            self.changed.iter().filter(|(kind, key)| !(*kind == Kind::Node && own.contains(&key.name))).count();
        let total = self.cluster.nodes.len() + self.cluster.pods.len();
        Ppm::of(foreign as i64, total as i64)
    }

    /// A new process begins: nothing that was known is fresh any more.
    pub fn restart(&mut self) {
        for status in self.kinds.values_mut() {
            *status = KindStatus::default();
        }
        self.share();
    }

    /// Makes equal values of siblings one: a checkpoint holds each object for itself.
    fn share(&mut self) {
        let mut firsts: BTreeMap<Name, PodFact> = BTreeMap::new();
        for pod in self.cluster.pods.values_mut() {
            let Some(owner) = &pod.owner else { continue };
            match firsts.get(&owner.uid) {
                Some(first) => share_pod(pod, first),
                None => drop(firsts.insert(owner.uid.clone(), pod.clone())),
            }
        }
        let mut firsts: BTreeMap<Name, WorkloadFact> = BTreeMap::new();
        for workload in self.cluster.workloads.values_mut() {
            let family = workload.owner.as_ref().map_or(&workload.uid, |owner| &owner.uid);
            match firsts.get(family) {
                Some(first) => share_template(workload, first),
                None => drop(firsts.insert(family.clone(), workload.clone())),
            }
        }
    }

    /// Applies a watch's news.
    pub fn apply(&mut self, now: Timestamp, event: &WatchEvent) {
        match event {
            WatchEvent::RelistStarted { kind } => {
                let status = self.kinds.entry(*kind).or_default();
                status.synced = false;
                status.listing = Some(BTreeSet::new());
            }
            WatchEvent::Listed(object) => {
                let status = self.kinds.entry(object.kind()).or_default();
                if let Some(listing) = &mut status.listing {
                    listing.insert(object.key());
                }
                self.insert(now, object);
            }
            WatchEvent::RelistFinished { kind } => self.finish_relist(now, *kind),
            WatchEvent::Applied(object) => {
                // An object that appears while a list is under way may be newer than that list.
                if let Some(listing) = self.kinds.get_mut(&object.kind()).and_then(|status| status.listing.as_mut()) {
                    listing.insert(object.key());
                }
                self.insert(now, object);
            }
            WatchEvent::Deleted { kind: Kind::Pod, .. } if planted(Canary::IgnoresDeletions) => {}
            WatchEvent::Deleted { kind, key } => self.remove(*kind, key),
            WatchEvent::Interrupted { .. } if planted(Canary::TrustsBrokenWatch) => {}
            WatchEvent::Interrupted { kind } => *self.kinds.entry(*kind).or_default() = KindStatus::default(),
        }
    }

    fn finish_relist(&mut self, now: Timestamp, kind: Kind) {
        let status = self.kinds.entry(kind).or_default();
        // A finish without a start proves nothing.
        let Some(listed) = status.listing.take() else {
            return;
        };
        status.synced = true;
        let before = self.keys(kind);
        let gone: Vec<Key> = before.iter().filter(|key| !listed.contains(*key)).cloned().collect();
        let held = (kind == Kind::Pod && !gone.is_empty()).then(|| self.held_nodes());
        let most = gone.len() > VANISHED_LEAST && gone.len() * 2 > before.len();
        for key in gone.into_iter().filter(|_| !planted(Canary::KeepsUnlisted)) {
            self.remove(kind, &key);
        }
        if let Some(held) = held {
            let nodes = saturate(held.difference(&self.held_nodes()).count());
            let found = Emptied { at: now, nodes, of: saturate(self.cluster.nodes.len()), for_good: most };
            // One that is worse, or that stays, is not forgotten over a smaller one.
            let worse = |known: &Emptied| known.for_good && !most;
            if nodes > 0 || most {
                self.emptied = self.emptied.filter(worse).or(Some(found));
            }
        }
    }

    /// Names of the nodes that a pod holds.
    fn held_nodes(&self) -> BTreeSet<Name> {
        self.pods_by_node.keys().filter(|node| self.holding(node).next().is_some()).cloned().collect()
    }

    fn keys(&self, kind: Kind) -> BTreeSet<Key> {
        let cluster = &self.cluster;
        let workloads = |wanted: WorkloadKind| {
            cluster.workloads.keys().filter(|id| id.kind == wanted).map(|id| id.key.clone()).collect()
        };
        let cluster_wide = |names: Vec<&Name>| names.into_iter().cloned().map(Key::cluster).collect();
        match kind {
            Kind::Node => cluster_wide(cluster.nodes.keys().collect()),
            Kind::Pod => cluster.pods.keys().cloned().collect(),
            Kind::Namespace => cluster_wide(cluster.namespaces.keys().collect()),
            Kind::Deployment => workloads(WorkloadKind::Deployment),
            Kind::ReplicaSet => workloads(WorkloadKind::ReplicaSet),
            Kind::StatefulSet => workloads(WorkloadKind::StatefulSet),
            Kind::DaemonSet => workloads(WorkloadKind::DaemonSet),
            Kind::PodDisruptionBudget => cluster.pdbs.keys().cloned().collect(),
            Kind::HorizontalPodAutoscaler => cluster.hpas.keys().cloned().collect(),
            Kind::PersistentVolumeClaim => cluster.pvcs.keys().cloned().collect(),
            Kind::PersistentVolume => cluster_wide(cluster.pvs.keys().collect()),
            Kind::CsiNode => cluster_wide(cluster.csi_nodes.keys().collect()),
        }
    }

    fn insert(&mut self, now: Timestamp, object: &Object) {
        match object {
            Object::Node(node) => self.insert_node(node),
            Object::Pod(pod) => self.insert_pod(pod),
            Object::Namespace(namespace) => {
                self.cluster.namespaces.insert(namespace.name.clone(), namespace.clone());
            }
            Object::Workload(workload) => self.insert_workload(now, workload),
            Object::Pdb(pdb) => {
                self.cluster.pdbs.insert(pdb.key.clone(), pdb.clone());
            }
            Object::Hpa(hpa) => {
                self.cluster.hpas.insert(hpa.key.clone(), hpa.clone());
            }
            Object::Pvc(pvc) => {
                self.cluster.pvcs.insert(pvc.key.clone(), pvc.clone());
            }
            Object::Pv(pv) => {
                self.cluster.pvs.insert(pv.name.clone(), pv.clone());
            }
            Object::CsiNode(csi) => {
                self.cluster.csi_nodes.insert(csi.name.clone(), csi.clone());
            }
        }
    }

    fn insert_node(&mut self, node: &NodeFact) {
        if planted(Canary::IgnoresNodeChanges) && self.cluster.nodes.contains_key(&node.name) {
            return;
        }
        if node.ready {
            self.not_ready_nodes.remove(&node.name);
        } else {
            self.not_ready_nodes.insert(node.name.clone());
        }
        let before = self.cluster.nodes.insert(node.name.clone(), node.clone());
        let matters = before.is_none_or(|old| {
            old.uid != node.uid
                || old.ready != node.ready
                || old.allocatable != node.allocatable
                || old.deletion_at != node.deletion_at
        });
        if matters {
            self.note_change(Kind::Node, &Key::cluster(node.name.clone()));
        }
    }

    fn insert_pod(&mut self, pod: &PodFact) {
        let mut shared = pod.clone();
        let siblings = pod.owner.as_ref().and_then(|owner| self.pods_by_owner.get(&owner.uid));
        if let Some(sibling) = siblings.and_then(BTreeSet::first).and_then(|key| self.cluster.pods.get(key)) {
            share_pod(&mut shared, sibling);
        }
        let key = shared.key.clone();
        let before = self.cluster.pods.insert(key.clone(), shared);
        // Most changes of a pod touch no index: only what changed is looked up again.
        let old_node = before.as_ref().and_then(|old| old.node.as_ref());
        let old_owner = before.as_ref().and_then(|old| old.owner.as_ref()).map(|owner| &owner.uid);
        let owner = pod.owner.as_ref().map(|owner| &owner.uid);
        if old_node != pod.node.as_ref() {
            unindex(&mut self.pods_by_node, old_node, &key);
            if let Some(node) = &pod.node {
                self.pods_by_node.entry(node.clone()).or_default().insert(key.clone());
            }
        }
        if old_owner != owner {
            unindex(&mut self.pods_by_owner, old_owner, &key);
            if let Some(owner) = owner {
                self.pods_by_owner.entry(owner.clone()).or_default().insert(key.clone());
            }
        }
        if pod.unschedulable && pod.node.is_none() && pod.deletion_at.is_none() && !pod.finished() {
            self.unschedulable.insert(key.clone());
        } else {
            self.unschedulable.remove(&key);
        }
        let matters = before.is_none_or(|old| {
            old.uid != pod.uid
                || old.node != pod.node
                || old.finished() != pod.finished()
                || old.spec.requests != pod.spec.requests
        });
        if matters && !pod.of_daemon_set() {
            self.note_change(Kind::Pod, &key);
        }
    }

    fn insert_workload(&mut self, now: Timestamp, workload: &WorkloadFact) {
        if settled(workload) {
            self.settled_since.entry(workload.id.clone()).or_insert(now);
        } else {
            self.settled_since.remove(&workload.id);
        }
        if let Some(owner) = &workload.owner {
            self.replica_sets_by_owner.entry(owner.uid.clone()).or_default().insert(workload.id.clone());
        }
        let mut shared = workload.clone();
        let siblings = workload.owner.as_ref().and_then(|owner| self.replica_sets_by_owner.get(&owner.uid));
        let known = siblings.and_then(BTreeSet::first).unwrap_or(&workload.id);
        if let Some(sibling) = self.cluster.workloads.get(known) {
            share_template(&mut shared, sibling);
        }
        let before = self.cluster.workloads.insert(workload.id.clone(), shared);
        if before.is_none_or(|old| old.replicas != workload.replicas || old.template != workload.template) {
            self.version += 1;
        }
    }

    fn remove(&mut self, kind: Kind, key: &Key) {
        let workload = |kind| WorkloadId { kind, key: key.clone() };
        match kind {
            Kind::Node => {
                self.not_ready_nodes.remove(&key.name);
                if self.cluster.nodes.remove(&key.name).is_some() {
                    self.note_change(kind, key);
                }
            }
            Kind::Pod => {
                self.unschedulable.remove(key);
                if let Some(pod) = self.cluster.pods.remove(key) {
                    unindex(&mut self.pods_by_node, pod.node.as_ref(), key);
                    unindex(&mut self.pods_by_owner, pod.owner.as_ref().map(|owner| &owner.uid), key);
                    if !pod.of_daemon_set() && !pod.finished() {
                        self.note_change(kind, key);
                    }
                }
            }
            Kind::Namespace => {
                self.cluster.namespaces.remove(&key.name);
            }
            Kind::Deployment => self.remove_workload(&workload(WorkloadKind::Deployment)),
            Kind::ReplicaSet => self.remove_workload(&workload(WorkloadKind::ReplicaSet)),
            Kind::StatefulSet => self.remove_workload(&workload(WorkloadKind::StatefulSet)),
            Kind::DaemonSet => self.remove_workload(&workload(WorkloadKind::DaemonSet)),
            Kind::PodDisruptionBudget => {
                self.cluster.pdbs.remove(key);
            }
            Kind::HorizontalPodAutoscaler => {
                self.cluster.hpas.remove(key);
            }
            Kind::PersistentVolumeClaim => {
                self.cluster.pvcs.remove(key);
            }
            Kind::PersistentVolume => {
                self.cluster.pvs.remove(&key.name);
            }
            Kind::CsiNode => {
                self.cluster.csi_nodes.remove(&key.name);
            }
        }
    }

    fn remove_workload(&mut self, id: &WorkloadId) {
        self.settled_since.remove(id);
        let Some(workload) = self.cluster.workloads.remove(id) else {
            return;
        };
        if let Some(owner) = workload.owner
            && let Some(sets) = self.replica_sets_by_owner.get_mut(&owner.uid)
        {
            sets.remove(id);
            if sets.is_empty() {
                self.replica_sets_by_owner.remove(&owner.uid);
            }
        }
    }

    fn note_change(&mut self, kind: Kind, key: &Key) {
        self.version += 1;
        self.changed.insert((kind, key.clone()));
    }
}

/// Most of a pod is what every pod of its workload has.
fn share_pod(pod: &mut PodFact, sibling: &PodFact) {
    pod.spec.share_with(&sibling.spec);
    pod.labels.share_with(&sibling.labels);
    if pod.owner == sibling.owner {
        pod.owner.clone_from(&sibling.owner);
    }
    if pod.key.namespace == sibling.key.namespace {
        pod.key.namespace = sibling.key.namespace.clone();
    }
}

/// The revisions of a Deployment differ in little, and many not at all in what is read of them.
fn share_template(workload: &mut WorkloadFact, sibling: &WorkloadFact) {
    workload.template.share_with(&sibling.template);
    workload.template_labels.share_with(&sibling.template_labels);
}

/// Takes a pod out of an index.
fn unindex(index: &mut BTreeMap<Name, BTreeSet<Key>>, under: Option<&Name>, pod: &Key) {
    let Some(under) = under else { return };
    if let Some(pods) = index.get_mut(under) {
        pods.remove(pod);
        if pods.is_empty() {
            index.remove(under);
        }
    }
}

/// A count as it is shown; no cluster has four billion of anything.
pub(crate) fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "world_test.rs"]
mod tests;
