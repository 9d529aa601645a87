//! The life of nodes: joining, losing their heartbeat, leaving.

use std::collections::BTreeMap;

use journal_schema::facts::{CsiNodeFact, DoNotDisrupt, Key, Labels, NodeFact, Object, OwnerKind, Taint, TaintEffect};
use journal_schema::text::Name;
use journal_schema::units::{Millis, Resources};

use super::stateful_set::DISK_DRIVER;
use crate::text::{list, name};
use crate::world::{Action, NodeInner, World};

/// A node without a heartbeat for this long is not ready.
const GRACE: Millis = Millis::from_secs(40);
/// Pods tolerate an unreachable node for this long.
const TOLERATED: Millis = Millis::from_minutes(5);
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

impl World {
    /// A machine's kubelet registers.
    pub(crate) fn node_joins(&mut self, pool: &str, node: &Name, id: u64, allocatable: Resources, ready: bool) {
        self.remove_node(node);
        let Some(fact) = self.node_fact(pool, node, id, allocatable) else { return };
        let uid = fact.uid.clone();
        self.add_node(fact, NodeInner { instance_id: id, crashed: false });
        let limits = BTreeMap::from([(name(DISK_DRIVER), 15)]);
        self.put_object(Object::CsiNode(CsiNodeFact { name: node.clone(), limits }));
        self.add_mirror_pod(node, &uid);
        if ready {
            let span = Millis(self.rng.of("nodes").between(4_000, 12_000));
            self.after(span, Action::NodeReady { node: node.clone(), uid });
        }
    }

    /// The Node object that a pool's machine registers, not ready yet.
    pub(crate) fn node_fact(&mut self, pool: &str, node: &Name, id: u64, allocatable: Resources) -> Option<NodeFact> {
        let spec = self.scenario.pools.iter().find(|spec| spec.id() == *pool)?.clone();
        let mut labels = pool_labels(&spec);
        labels.insert(name("kubernetes.io/hostname"), node.clone());
        Some(NodeFact {
            name: node.clone(),
            uid: self.uid(),
            provider_id: name(format!("gce://simulated/{}/{node}", spec.zone)),
            instance_id: Some(id),
            labels,
            taints: list([Taint { key: name(NOT_READY), value: name(""), effect: TaintEffect::NoSchedule }]),
            unschedulable: false,
            allocatable,
            ready: false,
            ready_changed_at: Some(self.now),
            created_at: self.now,
            deletion_at: None,
            scale_down_disabled: false,
            do_not_disrupt: DoNotDisrupt::No,
            excluded: false,
            unknown: list([]),
        })
    }

    fn same_node(&self, node: &Name, uid: &Name) -> bool {
        self.facts.nodes.get(node).is_some_and(|fact| fact.uid == *uid)
    }

    pub(crate) fn node_ready(&mut self, node: &Name, uid: &Name) {
        if !self.same_node(node, uid) || self.inner.nodes.get(node).is_some_and(|inner| inner.crashed) {
            return;
        }
        let now = self.now;
        self.update_node(node, |node| {
            node.ready = true;
            node.ready_changed_at = Some(now);
            node.taints = list(node.taints.iter().filter(|taint| !is_lifecycle(taint)).cloned());
        });
    }

    /// A node's kernel dies. Its pods are dead at once; the cluster learns of it later.
    pub(crate) fn crash_node(&mut self, node: &Name, back: Option<Millis>) {
        let Some(uid) = self.facts.nodes.get(node).map(|node| node.uid.clone()) else { return };
        if let Some(inner) = self.inner.nodes.get_mut(node) {
            inner.crashed = true;
        }
        self.kill_pods(node, true);
        self.after(GRACE, Action::NodeLost { node: node.clone(), uid: uid.clone() });
        if let Some(back) = back {
            self.after(back, Action::NodeBack { node: node.clone(), uid });
        }
    }

    /// The pods of a node stop serving now. `foreign`: by no doing of the daemon's.
    fn kill_pods(&mut self, node: &Name, foreign: bool) {
        let keys: Vec<Key> = self.inner.by_node.get(node).into_iter().flatten().cloned().collect();
        for key in keys {
            let Some(pod) = self.facts.pods.get(&key) else { continue };
            let serving = pod.ready && pod.deletion_at.is_none();
            let workload = self.facts.workload_of(pod).map(|workload| workload.id.clone());
            let dead = self.inner.pods.get_mut(&key).is_some_and(|inner| !std::mem::replace(&mut inner.dead, true));
            if let Some(workload) = workload
                && serving
                && dead
            {
                if foreign {
                    self.judge.excuse(self.now, &workload, 1);
                }
                self.account(&workload);
            }
        }
    }

    pub(crate) fn node_lost(&mut self, node: &Name, uid: &Name) {
        let crashed = self.inner.nodes.get(node).is_some_and(|inner| inner.crashed);
        if !crashed || !self.same_node(node, uid) {
            return;
        }
        let now = self.now;
        self.update_node(node, |node| {
            node.ready = false;
            node.ready_changed_at = Some(now);
            let mut taints = node.taints.to_vec();
            for effect in [TaintEffect::NoSchedule, TaintEffect::NoExecute] {
                taints.push(Taint { key: name(UNREACHABLE), value: name(""), effect });
            }
            node.taints = list(taints);
        });
        let keys: Vec<Key> = self.inner.by_node.get(node).into_iter().flatten().cloned().collect();
        for key in keys {
            self.update_pod(&key, |pod| pod.ready = false);
        }
        self.after(TOLERATED, Action::EvictLost { node: node.clone(), uid: uid.clone() });
    }

    pub(crate) fn evict_lost(&mut self, node: &Name, uid: &Name) {
        let crashed = self.inner.nodes.get(node).is_some_and(|inner| inner.crashed);
        if !crashed || !self.same_node(node, uid) {
            return;
        }
        let keys: Vec<Key> = self.inner.by_node.get(node).into_iter().flatten().cloned().collect();
        for key in keys {
            let stays = self.facts.pods.get(&key).is_none_or(|pod| pod.mirror || pod.of_daemon_set());
            if !stays {
                self.terminate_pod(&key);
            }
        }
    }

    /// The machine is up again: terminating pods end, the others start anew.
    pub(crate) fn node_back(&mut self, node: &Name, uid: &Name) {
        if !self.same_node(node, uid) {
            return;
        }
        if let Some(inner) = self.inner.nodes.get_mut(node) {
            inner.crashed = false;
        }
        self.node_ready(node, uid);
        let keys: Vec<Key> = self.inner.by_node.get(node).into_iter().flatten().cloned().collect();
        for key in keys {
            if let Some(inner) = self.inner.pods.get_mut(&key) {
                inner.dead = false;
            }
            let Some(pod) = self.facts.pods.get(&key) else { continue };
            let uid = pod.uid.clone();
            if pod.deletion_at.is_some() {
                self.remove_pod(&key);
            } else if pod.mirror {
                self.update_pod(&key, |pod| pod.ready = true);
            } else {
                self.update_pod(&key, |pod| pod.ready = false);
                let start = Millis(self.rng.of("durations").between(2_000, 6_000));
                self.after(start, Action::PodRuns { pod: key, uid });
            }
        }
    }

    /// A machine is gone: its kubelet is dead, and so are its pods.
    pub(crate) fn machine_gone(&mut self, node: &Name, id: u64) {
        if self.inner.nodes.get(node).is_none_or(|inner| inner.instance_id != id) {
            return;
        }
        let lost: Vec<Key> = self
            .inner
            .by_node
            .get(node)
            .into_iter()
            .flatten()
            .filter(|key| self.facts.pods.get(*key).is_some_and(counts_as_lost))
            .cloned()
            .collect();
        let ours = self.judge.machine_gone(self.now, node, &lost);
        if let Some(inner) = self.inner.nodes.get_mut(node) {
            inner.crashed = true;
        }
        self.kill_pods(node, !ours);
    }

    pub(crate) fn node_leaves(&mut self, node: &Name, id: u64) {
        if self.inner.nodes.get(node).is_some_and(|inner| inner.instance_id == id) {
            self.remove_node(node);
        }
    }
}

/// A pod that a node must not be deleted under.
pub(crate) fn counts_as_lost(pod: &journal_schema::facts::PodFact) -> bool {
    !pod.mirror
        && !pod.finished()
        && pod.owner.as_ref().is_none_or(|owner| owner.kind != OwnerKind::DaemonSet && owner.kind != OwnerKind::Node)
}

fn is_lifecycle(taint: &Taint) -> bool {
    taint.key == NOT_READY || taint.key == UNREACHABLE
}

/// The labels of a pool's nodes.
pub(crate) fn pool_labels(spec: &crate::scenario::PoolSpec) -> Labels {
    let mut labels: Labels = [
        (name("node.kubernetes.io/instance-type"), spec.machine_type.clone()),
        (name("topology.kubernetes.io/zone"), spec.zone.clone()),
        (name("topology.kubernetes.io/region"), name(crate::machines::REGION)),
        (name("cloud.google.com/gke-nodepool"), spec.name.clone()),
        (name("kubernetes.io/os"), name("linux")),
        (name("kubernetes.io/arch"), name("amd64")),
    ]
    .into();
    if spec.capacity_type == journal_schema::cloud::CapacityType::Spot {
        labels.insert(name("cloud.google.com/gke-spot"), name("true"));
    }
    labels
}
