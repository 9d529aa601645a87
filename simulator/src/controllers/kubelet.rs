//! Kubelets: pods start, become ready, end.

use journal_schema::facts::{Key, Labels, Owner, OwnerKind, PodFact, PodPhase, PodSpecFact};
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Millis, Resources};

use crate::scenario::Behaviour;
use crate::text::{list, name};
use crate::world::{Action, World};

impl World {
    fn same_pod(&self, key: &Key, uid: &Name) -> Option<&PodFact> {
        self.facts.pods.get(key).filter(|pod| pod.uid == *uid)
    }

    /// Whether the kubelet under a pod answers.
    pub(crate) fn kubelet_alive(&self, pod: &PodFact) -> bool {
        let node = pod.node.as_ref().and_then(|node| self.inner.nodes.get(node));
        node.is_some_and(|node| !node.crashed)
    }

    /// A pod was bound: its kubelet pulls the image and starts it.
    pub(crate) fn start_pod(&mut self, key: &Key) {
        let Some(pod) = self.facts.pods.get(key) else { return };
        let uid = pod.uid.clone();
        let start = self.inner.pods.get(key).map_or(Millis(0), |inner| inner.behaviour.start);
        let start = self.about(start, 30);
        self.after(start, Action::PodRuns { pod: key.clone(), uid });
    }

    pub(crate) fn pod_runs(&mut self, key: &Key, uid: &Name) {
        let Some(pod) = self.same_pod(key, uid) else { return };
        if pod.deletion_at.is_some() || pod.finished() || !self.kubelet_alive(pod) {
            return;
        }
        let job = pod.owner.as_ref().filter(|owner| owner.kind == OwnerKind::Job).map(|owner| owner.name.clone());
        let now = self.now;
        self.update_pod(key, |pod| pod.phase = PodPhase::Running);
        let Some(inner) = self.inner.pods.get_mut(key) else { return };
        inner.running_since = Some(now);
        let (ready, broken) = (inner.behaviour.ready, inner.behaviour.broken);
        if !broken {
            let ready = self.about(ready, 30);
            self.after(ready, Action::PodReady { pod: key.clone(), uid: uid.clone() });
        }
        if let Some(job) = job
            && let Some(duration) = self.inner.jobs.get(&Key::new(key.namespace.clone(), job)).map(|job| job.duration)
        {
            self.after(duration, Action::PodSucceeds { pod: key.clone(), uid: uid.clone() });
        }
    }

    pub(crate) fn pod_ready(&mut self, key: &Key, uid: &Name) {
        let Some(pod) = self.same_pod(key, uid) else { return };
        if pod.deletion_at.is_none() && pod.phase == PodPhase::Running && self.kubelet_alive(pod) {
            self.update_pod(key, |pod| pod.ready = true);
        }
    }

    pub(crate) fn pod_gone(&mut self, key: &Key, uid: &Name) {
        let Some(pod) = self.same_pod(key, uid) else { return };
        if pod.deletion_at.is_some() && self.kubelet_alive(pod) {
            self.remove_pod(key);
        }
    }

    pub(crate) fn pod_succeeds(&mut self, key: &Key, uid: &Name) {
        let Some(pod) = self.same_pod(key, uid) else { return };
        if pod.deletion_at.is_none() && self.kubelet_alive(pod) {
            self.update_pod(key, |pod| {
                pod.phase = PodPhase::Succeeded;
                pod.ready = false;
            });
        }
    }

    /// The mirror of a node's static pod: kube-proxy, as on GKE.
    pub(crate) fn add_mirror_pod(&mut self, node: &Name, node_uid: &Name) {
        let requests = Resources { cpu: MilliCpu(100), memory: Bytes(0), pods: 1, ..Resources::default() };
        let container = journal_schema::facts::ContainerFact {
            name: name("kube-proxy"),
            cpu_request: Some(MilliCpu(100)),
            memory_request: None,
            cpu_limit: None,
            memory_limit: None,
        };
        let toleration =
            journal_schema::facts::Toleration { key: name(""), exists: true, value: name(""), effect: None };
        let spec = PodSpecFact {
            requests,
            containers: list([container]),
            tolerations: list([toleration]),
            priority: 2_000_001_000,
            grace_secs: 30,
            ..PodSpecFact::default()
        };
        let labels: Labels = [(name("component"), name("kube-proxy"))].into();
        let fact = PodFact {
            owner: Some(Owner { kind: OwnerKind::Node, name: node.clone(), uid: node_uid.clone() }),
            node: Some(node.clone()),
            phase: PodPhase::Running,
            ready: true,
            labels: labels.into(),
            mirror: true,
            ..PodFact::new(
                Key::new(name("kube-system"), name(format!("kube-proxy-{node}"))),
                self.uid(),
                spec,
                self.now,
            )
        };
        self.add_pod(fact, Behaviour::default());
    }
}
