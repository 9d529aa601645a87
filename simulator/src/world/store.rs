//! Changing the truth: every change is told to the watches, to the scheduler's snapshot, to the
//! controllers that must look at it, and to the judge.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{
    HpaFact, Key, Kind, NodeFact, Object, OwnerKind, PdbFact, PodFact, UpdateStrategy, WorkloadFact, WorkloadId,
    WorkloadKind,
};
use journal_schema::text::Name;
use journal_schema::units::{Millis, Timestamp};

use super::{Action, Work, World};
use crate::controllers::selector_matches;
use crate::scenario::{Behaviour, JobSpec};

/// What nobody outside sees of a pod.
#[derive(Clone, Debug)]
pub(crate) struct PodInner {
    pub(crate) behaviour: Behaviour,
    pub(crate) ready_since: Option<Timestamp>,
    pub(crate) running_since: Option<Timestamp>,
    /// The machine under it is gone, whatever its status says.
    pub(crate) dead: bool,
}

/// What nobody outside sees of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeInner {
    pub(crate) instance_id: u64,
    /// Its kubelet does not answer.
    pub(crate) crashed: bool,
}

/// What the facts do not say of a workload.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadInner {
    pub(crate) behaviour: Behaviour,
    /// The template's affinity, as it was given.
    pub(crate) affinity: Option<String>,
    /// `maxUnavailable` in JSON, as it was given.
    pub(crate) max_unavailable: Option<String>,
    /// Hash of the template.
    pub(crate) hash: String,
    /// Order of ReplicaSets within a Deployment.
    pub(crate) revision: u64,
    /// A ReplicaSet's annotations: how many its Deployment wanted when it was scaled last, and at most.
    pub(crate) noted: (i32, i32),
    /// When the rollout last moved on.
    pub(crate) progress_at: Timestamp,
    /// Template changes by others are taken back after this long.
    pub(crate) gitops: Option<Millis>,
    /// The daemon, and nobody after it, set the replicas.
    pub(crate) replicas_by_daemon: bool,
}

/// What nobody outside sees of an autoscaler.
#[derive(Clone, Debug, Default)]
pub(crate) struct HpaInner {
    /// What it found right lately: the highest of five minutes holds.
    pub(crate) recommendations: Vec<(Timestamp, i32)>,
}

/// Everything beside the facts, and indexes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inner {
    pub(crate) pods: BTreeMap<Key, PodInner>,
    pub(crate) nodes: BTreeMap<Name, NodeInner>,
    pub(crate) workloads: BTreeMap<WorkloadId, WorkloadInner>,
    pub(crate) hpas: BTreeMap<Key, HpaInner>,
    pub(crate) jobs: BTreeMap<Key, JobSpec>,
    /// Pods whose eviction was granted and that are not yet seen terminating, by budget.
    pub(crate) disrupted: BTreeMap<Key, BTreeMap<Name, Timestamp>>,
    /// Budgets that a fault holds at zero.
    pub(crate) blocked_pdbs: BTreeSet<Key>,
    /// Pods by their owner's UID.
    pub(crate) by_owner: BTreeMap<Name, BTreeSet<Key>>,
    /// Pods by node.
    pub(crate) by_node: BTreeMap<Name, BTreeSet<Key>>,
    /// When a pod that counts last was on a node.
    pub(crate) held_at: BTreeMap<Name, Timestamp>,
    /// ReplicaSets by their Deployment's UID.
    pub(crate) children: BTreeMap<Name, BTreeSet<Key>>,
    /// Pods without a node.
    pub(crate) unbound: BTreeSet<Key>,
    /// How often each object was changed.
    pub(crate) versions: BTreeMap<(Kind, Key), u64>,
    /// Templates as they were before anybody patched them.
    pub(crate) original_templates: BTreeMap<WorkloadId, (Option<String>, Option<String>)>,
}

impl World {
    fn publish(&mut self, object: &Object) {
        self.snapshot.apply(object);
        self.tell(object.kind(), object.key(), Some(object.clone()));
    }

    fn unpublish(&mut self, kind: Kind, key: &Key) {
        self.snapshot.delete(kind, key);
        self.tell(kind, key.clone(), None);
    }

    fn tell(&mut self, kind: Kind, key: Key, object: Option<Object>) {
        *self.inner.versions.entry((kind, key.clone())).or_default() += 1;
        let lag = Millis(self.rng.of("watch").between(2, 40));
        let due = self.watch.push(kind, key, object, self.now.plus(lag));
        self.after(due.since(self.now), Action::CacheKind(kind));
    }

    // ---- pods

    pub(crate) fn add_pod(&mut self, fact: PodFact, behaviour: Behaviour) {
        let key = fact.key.clone();
        let inner = PodInner { behaviour, ready_since: None, running_since: None, dead: false };
        self.inner.pods.insert(key.clone(), inner);
        if let Some(owner) = &fact.owner {
            self.inner.by_owner.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        match &fact.node {
            Some(node) => {
                self.inner.by_node.entry(node.clone()).or_default().insert(key.clone());
            }
            None => {
                self.inner.unbound.insert(key.clone());
                self.enqueue(Work::Schedule);
            }
        }
        self.facts.pods.insert(key, fact.clone());
        self.publish(&Object::Pod(fact.clone()));
        self.pod_touched(&fact);
    }

    /// Changes a pod; nothing happens when the change changes nothing.
    pub(crate) fn update_pod(&mut self, key: &Key, change: impl FnOnce(&mut PodFact)) -> bool {
        let Some(before) = self.facts.pods.get(key) else { return false };
        let mut after = before.clone();
        change(&mut after);
        if after == *before {
            return false;
        }
        let before = before.clone();
        if before.node != after.node {
            if let Some(node) = &after.node {
                self.inner.by_node.entry(node.clone()).or_default().insert(key.clone());
            }
            self.inner.unbound.remove(key);
        }
        if let Some(inner) = self.inner.pods.get_mut(key)
            && before.ready != after.ready
        {
            inner.ready_since = after.ready.then_some(self.now);
        }
        self.facts.pods.insert(key.clone(), after.clone());
        self.publish(&Object::Pod(after.clone()));
        if after.finished() && !before.finished() {
            self.room_made();
        }
        self.pod_touched(&after);
        true
    }

    pub(crate) fn remove_pod(&mut self, key: &Key) {
        let Some(fact) = self.facts.pods.remove(key) else { return };
        self.inner.pods.remove(key);
        if let Some(owner) = &fact.owner
            && let Some(siblings) = self.inner.by_owner.get_mut(&owner.uid)
        {
            siblings.remove(key);
        }
        if let Some(node) = &fact.node
            && let Some(neighbours) = self.inner.by_node.get_mut(node)
        {
            neighbours.remove(key);
            if crate::controllers::counts_as_lost(&fact) {
                self.inner.held_at.insert(node.clone(), self.now);
            }
        }
        self.inner.unbound.remove(key);
        self.unpublish(Kind::Pod, key);
        self.room_made();
        self.pod_touched(&fact);
        // The last pod of an old template may have been what a Deployment that recreates waits for.
        if let Some(workload) = self.facts.workload_of(&fact)
            && workload.strategy == UpdateStrategy::Recreate
        {
            let deployment = workload.id.key.clone();
            self.enqueue(Work::Deployment(deployment));
        }
    }

    /// Room may have been made on a node: pods that wait are tried again.
    pub(crate) fn room_made(&mut self) {
        if !self.inner.unbound.is_empty() {
            self.enqueue(Work::Schedule);
        }
    }

    fn pod_touched(&mut self, pod: &PodFact) {
        if let Some(owner) = &pod.owner {
            let owner_key = Key::new(pod.key.namespace.clone(), owner.name.clone());
            match owner.kind {
                OwnerKind::ReplicaSet => self.enqueue(Work::ReplicaSet(owner_key)),
                OwnerKind::StatefulSet => self.enqueue(Work::StatefulSet(owner_key)),
                OwnerKind::DaemonSet => self.enqueue(Work::DaemonSet(owner_key)),
                OwnerKind::Job => self.enqueue(Work::Job(owner_key)),
                OwnerKind::Deployment | OwnerKind::Node | OwnerKind::Other => {}
            }
        }
        let covering: Vec<Key> = self.pdbs_of(pod).into_iter().map(|pdb| pdb.key.clone()).collect();
        for pdb in covering {
            self.enqueue(Work::Pdb(pdb));
        }
        if let Some(workload) = self.facts.workload_of(pod).map(|workload| workload.id.clone()) {
            self.account(&workload);
        }
    }

    /// Tells the judge how many pods of a workload serve.
    pub(crate) fn account(&mut self, id: &WorkloadId) {
        if !matches!(id.kind, WorkloadKind::Deployment | WorkloadKind::StatefulSet) {
            return;
        }
        let Some(workload) = self.facts.workloads.get(id) else { return };
        let serving = |owner: &Name| {
            let pods = self.inner.by_owner.get(owner).into_iter().flatten();
            pods.filter(|key| {
                let ready = self.facts.pods.get(*key).is_some_and(|pod| pod.ready && pod.deletion_at.is_none());
                ready && self.inner.pods.get(*key).is_some_and(|inner| !inner.dead)
            })
            .count()
        };
        let ready: usize = match id.kind {
            WorkloadKind::Deployment => {
                let sets = self.inner.children.get(&workload.uid).into_iter().flatten();
                let uids = sets.filter_map(|key| {
                    let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key: key.clone() };
                    Some(&self.facts.workloads.get(&id)?.uid)
                });
                uids.map(serving).sum()
            }
            WorkloadKind::ReplicaSet | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => serving(&workload.uid),
        };
        self.judge.serving(self.now, id, i32::try_from(ready).unwrap_or(i32::MAX));
    }

    /// The budgets that cover a pod.
    pub(crate) fn pdbs_of(&self, pod: &PodFact) -> Vec<&PdbFact> {
        let covers = |pdb: &&PdbFact| {
            pdb.key.namespace == pod.key.namespace
                && pdb.selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels))
        };
        self.facts.pdbs.values().filter(covers).collect()
    }

    /// Asks a pod to end: what the API server's delete does.
    pub(crate) fn terminate_pod(&mut self, key: &Key) {
        let Some(pod) = self.facts.pods.get(key) else { return };
        if pod.deletion_at.is_some() {
            return;
        }
        let uid = pod.uid.clone();
        let Some(node) = pod.node.clone() else {
            self.remove_pod(key);
            return;
        };
        if pod.finished() {
            self.remove_pod(key);
            return;
        }
        let grace = Millis::from_secs(i64::from(pod.spec.grace_secs));
        let at = self.now.plus(grace);
        self.update_pod(key, |pod| pod.deletion_at = Some(at));
        let alive = self.inner.nodes.get(&node).is_some_and(|node| !node.crashed);
        if alive {
            let stop = self.inner.pods.get(key).map_or(Millis(0), |inner| inner.behaviour.stop);
            let stop = self.about(stop, 20);
            self.after(Millis(stop.0.min(grace.0)), Action::PodGone { pod: key.clone(), uid });
        }
    }

    // ---- nodes

    pub(crate) fn add_node(&mut self, fact: NodeFact, inner: NodeInner) {
        let name = fact.name.clone();
        self.inner.nodes.insert(name.clone(), inner);
        self.facts.nodes.insert(name, fact.clone());
        self.publish(&Object::Node(fact));
        self.nodes_touched();
    }

    pub(crate) fn update_node(&mut self, name: &Name, change: impl FnOnce(&mut NodeFact)) -> bool {
        let Some(before) = self.facts.nodes.get(name) else { return false };
        let mut after = before.clone();
        change(&mut after);
        if after == *before {
            return false;
        }
        self.facts.nodes.insert(name.clone(), after.clone());
        self.publish(&Object::Node(after));
        self.nodes_touched();
        true
    }

    /// Takes a Node object away, with the pods that were on it: the garbage collector's part.
    pub(crate) fn remove_node(&mut self, name: &Name) {
        if self.facts.nodes.remove(name).is_none() {
            return;
        }
        self.inner.nodes.remove(name);
        self.unpublish(Kind::Node, &Key::cluster(name.clone()));
        self.facts.csi_nodes.remove(name);
        self.unpublish(Kind::CsiNode, &Key::cluster(name.clone()));
        let pods: Vec<Key> = self.inner.by_node.remove(name).into_iter().flatten().collect();
        for pod in pods {
            self.remove_pod(&pod);
        }
        self.nodes_touched();
    }

    fn nodes_touched(&mut self) {
        self.room_made();
        let sets: Vec<Key> = self
            .facts
            .workloads
            .keys()
            .filter(|id| id.kind == WorkloadKind::DaemonSet)
            .map(|id| id.key.clone())
            .collect();
        for key in sets {
            self.enqueue(Work::DaemonSet(key));
        }
    }

    // ---- workloads

    pub(crate) fn add_workload(&mut self, fact: WorkloadFact, inner: WorkloadInner) {
        let id = fact.id.clone();
        if let Some(owner) = &fact.owner {
            self.inner.children.entry(owner.uid.clone()).or_default().insert(id.key.clone());
        }
        self.inner.workloads.insert(id.clone(), inner);
        self.facts.workloads.insert(id.clone(), fact.clone());
        self.publish(&Object::Workload(fact.clone()));
        if matches!(id.kind, WorkloadKind::Deployment | WorkloadKind::StatefulSet) {
            self.judge.wanted(self.now, &id, fact.replicas);
        }
        self.enqueue(work_of(&id));
    }

    /// Changes a workload's status or spec; its controller and its parent's look at it.
    pub(crate) fn update_workload(&mut self, id: &WorkloadId, change: impl FnOnce(&mut WorkloadFact)) -> bool {
        let Some(before) = self.facts.workloads.get(id) else { return false };
        let mut after = before.clone();
        change(&mut after);
        if after == *before {
            return false;
        }
        let parent = after.owner.as_ref().map(|owner| Key::new(id.key.namespace.clone(), owner.name.clone()));
        let scaled = after.replicas != before.replicas;
        self.facts.workloads.insert(id.clone(), after.clone());
        self.publish(&Object::Workload(after));
        self.enqueue(work_of(id));
        if let Some(parent) = parent {
            self.enqueue(Work::Deployment(parent));
        }
        if scaled {
            let pdbs: Vec<Key> =
                self.facts.pdbs.keys().filter(|key| key.namespace == id.key.namespace).cloned().collect();
            for pdb in pdbs {
                self.enqueue(Work::Pdb(pdb));
            }
        }
        true
    }

    /// A user or an autoscaler, not we, scales a workload. Who asks for the number that it has changes nothing.
    pub(crate) fn scale_by_others(&mut self, id: &WorkloadId, replicas: i32) {
        if self.facts.workloads.get(id).is_some_and(|workload| workload.replicas == replicas) {
            return;
        }
        let changed = self.update_workload(id, |workload| {
            workload.replicas = replicas;
            workload.generation += 1;
        });
        if changed {
            self.set_replicas_by_daemon(id, false);
            self.judge.wanted(self.now, id, replicas);
        }
    }

    /// Whoever changes the replicas owns the field from then on.
    pub(crate) fn set_replicas_by_daemon(&mut self, id: &WorkloadId, by_daemon: bool) {
        if let Some(inner) = self.inner.workloads.get_mut(id) {
            inner.replicas_by_daemon = by_daemon;
        }
    }

    // ---- the others

    pub(crate) fn put_pdb(&mut self, fact: PdbFact) {
        if self.facts.pdbs.get(&fact.key) == Some(&fact) {
            return;
        }
        self.facts.pdbs.insert(fact.key.clone(), fact.clone());
        self.publish(&Object::Pdb(fact));
    }

    /// Takes a budget away.
    pub(crate) fn delete_pdb(&mut self, key: &Key) {
        if self.facts.pdbs.remove(key).is_some() {
            self.inner.disrupted.remove(key);
            self.unpublish(Kind::PodDisruptionBudget, key);
        }
    }

    pub(crate) fn put_hpa(&mut self, fact: HpaFact) {
        if self.facts.hpas.get(&fact.key) == Some(&fact) {
            return;
        }
        self.facts.hpas.insert(fact.key.clone(), fact.clone());
        self.publish(&Object::Hpa(fact));
    }

    pub(crate) fn put_object(&mut self, object: Object) {
        match &object {
            Object::Namespace(fact) => {
                self.facts.namespaces.insert(fact.name.clone(), fact.clone());
            }
            Object::Pvc(fact) => {
                self.facts.pvcs.insert(fact.key.clone(), fact.clone());
            }
            Object::Pv(fact) => {
                self.facts.pvs.insert(fact.name.clone(), fact.clone());
            }
            Object::CsiNode(fact) => {
                self.facts.csi_nodes.insert(fact.name.clone(), fact.clone());
            }
            Object::Node(_) | Object::Pod(_) | Object::Workload(_) | Object::Pdb(_) | Object::Hpa(_) => return,
        }
        self.publish(&object);
    }
}

fn work_of(id: &WorkloadId) -> Work {
    let key = id.key.clone();
    match id.kind {
        WorkloadKind::Deployment => Work::Deployment(key),
        WorkloadKind::ReplicaSet => Work::ReplicaSet(key),
        WorkloadKind::StatefulSet => Work::StatefulSet(key),
        WorkloadKind::DaemonSet => Work::DaemonSet(key),
    }
}
