//! What users, operators and their tools do to the cluster, and what befalls single pods: everything that changes it
//! and is not the daemon.

use journal_schema::facts::{
    ContainerFact, Key, Labels, PdbFact, PodFact, PodPhase, PodSpecFact, Taint, TaintEffect, Toleration,
    UpdateStrategy, WorkloadId,
};
use journal_schema::text::Name;
use journal_schema::units::{MilliCpu, Millis, Resources};

use crate::affinity;
use crate::api::int_or_percent_json;
use crate::scenario::Behaviour;
use crate::text::{list, name};
use crate::world::{Action, Work, World};

/// The taint of a cordoned node.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

impl World {
    /// Closes a node to new pods, or opens it. The node controller shows that as a taint, too.
    pub(crate) fn cordon(&mut self, node: &Name, on: bool) {
        self.update_node(node, |node| node.unschedulable = on);
        self.taint(node, CORDONED, TaintEffect::NoSchedule, on);
    }

    /// Sets somebody's taint, or takes it away. Pods that do not tolerate one that evicts are deleted, whatever their
    /// budgets say.
    pub(crate) fn taint(&mut self, node: &Name, key: &str, effect: TaintEffect, on: bool) {
        self.update_node(node, |node| {
            let others = node.taints.iter().filter(|taint| taint.key != key || taint.effect != effect).cloned();
            let own = on.then(|| Taint { key: name(key), value: name(""), effect });
            node.taints = list(others.chain(own));
        });
        if !on || effect != TaintEffect::NoExecute {
            return;
        }
        let tolerates = |toleration: &Toleration| {
            (toleration.key == key || toleration.key.is_empty() && toleration.exists)
                && (toleration.exists || toleration.value.is_empty())
                && toleration.effect.is_none_or(|of| of == effect)
        };
        let pods: Vec<Key> = self.inner.by_node.get(node).into_iter().flatten().cloned().collect();
        for pod in pods {
            if !self.facts.pods.get(&pod).is_some_and(|pod| pod.spec.tolerations.iter().any(tolerates)) {
                self.terminate_pod(&pod);
            }
        }
    }

    /// Sets somebody's label, or takes it away.
    pub(crate) fn label(&mut self, node: &Name, key: &str, value: Option<&str>) {
        self.update_node(node, |node| match value {
            Some(value) => {
                node.labels.insert(name(key), name(value));
            }
            None => {
                node.labels.remove(key);
            }
        });
    }

    /// Creates a pod that nobody owns.
    pub(crate) fn create_bare_pod(&mut self, key: Key, app: &str, cpu: i64, selector: Labels, behaviour: Behaviour) {
        let container = ContainerFact {
            name: name("main"),
            cpu_request: Some(MilliCpu(cpu)),
            memory_request: None,
            cpu_limit: None,
            memory_limit: None,
        };
        let spec = PodSpecFact {
            requests: Resources { cpu: MilliCpu(cpu), pods: 1, ..Resources::default() },
            containers: list([container]),
            node_selector: selector,
            tolerations: list(crate::controllers::admitted_tolerations()),
            grace_secs: 30,
            ..PodSpecFact::default()
        };
        let labels: Labels = [(name("app"), name(app))].into();
        let fact = PodFact { labels: labels.into(), ..PodFact::new(key, self.uid(), spec, self.now) };
        self.add_pod(fact, behaviour);
    }

    /// Changes a budget's numbers.
    pub(crate) fn change_budget(&mut self, key: &Key, change: impl FnOnce(&mut PdbFact)) {
        let Some(mut fact) = self.facts.pdbs.get(key).cloned() else { return };
        change(&mut fact);
        self.put_pdb(fact);
        self.enqueue(Work::Pdb(key.clone()));
    }

    /// Pauses a rollout, or lets it go on.
    pub(crate) fn pause(&mut self, workload: &WorkloadId, on: bool) {
        self.update_workload(workload, |workload| {
            if workload.paused != on {
                workload.paused = on;
                workload.generation += 1;
            }
        });
    }

    /// Changes the limits of a rollout.
    pub(crate) fn set_strategy(&mut self, workload: &WorkloadId, strategy: UpdateStrategy) {
        if let Some(inner) = self.inner.workloads.get_mut(workload) {
            inner.max_unavailable = match strategy {
                UpdateStrategy::RollingUpdate { max_unavailable, .. } => Some(int_or_percent_json(max_unavailable)),
                UpdateStrategy::Recreate | UpdateStrategy::OnDelete => None,
            };
        }
        self.update_workload(workload, |workload| {
            if workload.strategy != strategy {
                workload.strategy = strategy;
                workload.generation += 1;
            }
        });
    }

    /// Changes a template: the CPU request of its only container, and its affinity.
    ///
    /// # Errors
    /// When the affinity is none.
    pub(crate) fn change_template(
        &mut self,
        workload: &WorkloadId,
        cpu: i64,
        json: Option<&str>,
    ) -> Result<(), affinity::AffinityError> {
        let Some(mut fact) = self.facts.workloads.get(workload).cloned() else { return Ok(()) };
        affinity::apply(&mut fact.template, json)?;
        let mut containers = fact.template.containers.to_vec();
        for container in &mut containers {
            container.cpu_request = Some(MilliCpu(cpu));
        }
        fact.template.requests.cpu = MilliCpu(cpu);
        fact.template.containers = list(containers);
        self.store_template(workload, fact, (json.map(str::to_owned), None));
        Ok(())
    }

    /// The pods of a workload that run become ready, and those that come.
    pub(crate) fn heal(&mut self, workload: &WorkloadId) {
        if let Some(inner) = self.inner.workloads.get_mut(workload) {
            inner.behaviour.broken = false;
        }
        let of_workload = |pod: &&PodFact| self.facts.workload_of(pod).is_some_and(|owner| owner.id == *workload);
        let pods: Vec<(Key, Name)> =
            self.facts.pods.values().filter(of_workload).map(|pod| (pod.key.clone(), pod.uid.clone())).collect();
        for (pod, uid) in pods {
            if let Some(inner) = self.inner.pods.get_mut(&pod) {
                inner.behaviour.broken = false;
            }
            self.after(Millis(10), Action::PodReady { pod, uid });
        }
    }

    /// A running pod's probe fails, or holds again.
    pub(crate) fn probe(&mut self, pod: &Key, ready: bool) {
        let runs =
            self.facts.pods.get(pod).is_some_and(|pod| pod.phase == PodPhase::Running && self.kubelet_alive(pod));
        if runs {
            self.update_pod(pod, |pod| pod.ready = ready);
        }
    }
}
