//! What runs inside a cluster: the workload controllers, the disruption controller, the
//! autoscaler, the scheduler, kubelets and the node lifecycle, each as small as its upstream's
//! observable behaviour allows.
//!
//! Every controller is level-triggered: it looks at the truth and takes one step towards what is
//! wanted. It is called again when something it depends on changed.

mod daemon_set;
mod deployment;
mod disruption;
mod hpa;
mod job;
mod kubelet;
mod node;
mod replica_set;
mod scheduler;
mod stateful_set;

pub(crate) use deployment::template_hash;
pub(crate) use disruption::Evicted;
pub(crate) use hpa::SYNC as HPA_SYNC;
pub(crate) use node::{counts_as_lost, pool_labels};

use journal_schema::facts::{
    IntOrPercent, Key, Labels, NodeOperator, Owner, OwnerKind, PodFact, Selector, TaintEffect, Toleration,
    WorkloadFact, WorkloadKind,
};
use journal_schema::text::Name;

use crate::scenario::Behaviour;
use crate::text::{list, name};
use crate::world::World;

/// Label that tells a ReplicaSet's pods apart from those of another template.
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";

/// Whether a label selector matches.
pub(crate) fn selector_matches(selector: &Selector, labels: &Labels) -> bool {
    let exact = selector.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    exact
        && selector.expressions.iter().all(|expression| {
            let found = labels.get(&expression.key);
            match expression.operator {
                NodeOperator::In => found.is_some_and(|value| expression.values.contains(value)),
                NodeOperator::NotIn => found.is_none_or(|value| !expression.values.contains(value)),
                NodeOperator::Exists => found.is_some(),
                NodeOperator::DoesNotExist => found.is_none(),
                NodeOperator::Gt | NodeOperator::Lt => false,
            }
        })
}

/// A number or a share of `total`, rounded as asked.
pub(crate) fn scaled(value: IntOrPercent, total: i32, up: bool) -> i32 {
    match value {
        IntOrPercent::Int(count) => count,
        IntOrPercent::Percent(percent) => {
            let product = i64::from(percent) * i64::from(total);
            let share = if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) };
            i32::try_from(share).unwrap_or(i32::MAX)
        }
    }
}

/// What the API server's admission adds to every pod.
pub(crate) fn admitted_tolerations() -> impl Iterator<Item = Toleration> {
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].into_iter().map(|key| Toleration {
        key: name(key),
        exists: true,
        value: name(""),
        effect: Some(TaintEffect::NoExecute),
    })
}

impl World {
    /// The pods of an owner that count: neither terminating nor finished.
    pub(crate) fn active_pods(&self, owner_uid: &Name) -> Vec<&PodFact> {
        let keys = self.inner.by_owner.get(owner_uid).into_iter().flatten();
        keys.filter_map(|key| self.facts.pods.get(key))
            .filter(|pod| pod.deletion_at.is_none() && !pod.finished())
            .collect()
    }

    /// Creates a pod of a workload's template. `labels` are added to the template's.
    pub(crate) fn create_pod(&mut self, workload: &WorkloadFact, pod_name: &str, labels: &[(&str, &str)]) {
        let inner = self.inner.workloads.get(&workload.id);
        let mut behaviour = inner.map_or_else(Behaviour::default, |inner| inner.behaviour);
        let parent = self.parent_of(workload).and_then(|parent| self.inner.workloads.get(&parent.id));
        if let Some(parent) = parent {
            behaviour = parent.behaviour;
        }
        let mut spec = workload.template.clone();
        spec.tolerations = list(spec.tolerations.iter().cloned().chain(admitted_tolerations()));
        let mut all_labels = workload.template_labels.clone();
        all_labels.extend(labels.iter().map(|(key, value)| (name(key), name(value))));
        let owner_kind = match workload.id.kind {
            WorkloadKind::Deployment => OwnerKind::Deployment,
            WorkloadKind::ReplicaSet => OwnerKind::ReplicaSet,
            WorkloadKind::StatefulSet => OwnerKind::StatefulSet,
            WorkloadKind::DaemonSet => OwnerKind::DaemonSet,
        };
        let fact = PodFact {
            owner: Some(Owner { kind: owner_kind, name: workload.id.key.name.clone(), uid: workload.uid.clone() }),
            labels: all_labels,
            ..PodFact::new(Key::new(workload.id.key.namespace.clone(), name(pod_name)), self.uid(), spec, self.now)
        };
        self.add_pod(fact, behaviour);
    }

    /// A ReplicaSet's Deployment.
    pub(crate) fn parent_of(&self, workload: &WorkloadFact) -> Option<&WorkloadFact> {
        let owner = workload.owner.as_ref()?;
        let key = Key::new(workload.id.key.namespace.clone(), owner.name.clone());
        self.facts.workloads.get(&journal_schema::facts::WorkloadId { kind: WorkloadKind::Deployment, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_upstream_rounds_them() {
        assert_eq!(scaled(IntOrPercent::Percent(25), 10, true), 3);
        assert_eq!(scaled(IntOrPercent::Percent(25), 10, false), 2);
        assert_eq!(scaled(IntOrPercent::Percent(25), 1, false), 0);
        assert_eq!(scaled(IntOrPercent::Int(2), 1, false), 2);
    }
}
