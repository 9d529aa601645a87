//! The DaemonSet controller: one pod on every node that its selector and tolerations let in.

use journal_schema::facts::{
    Key, NodeFact, NodeOperator, NodeRequirement, NodeTerm, TaintEffect, WorkloadFact, WorkloadId, WorkloadKind,
};
use journal_schema::text::Name;

use crate::text::{list, name};
use crate::world::World;

impl World {
    pub(crate) fn reconcile_daemon_set(&mut self, key: &Key) {
        let id = WorkloadId { kind: WorkloadKind::DaemonSet, key: key.clone() };
        let Some(set) = self.facts.workloads.get(&id).cloned() else { return };
        let wanted: Vec<Name> =
            self.facts.nodes.values().filter(|node| runs_on(&set, node)).map(|node| node.name.clone()).collect();
        let pods = self.active_pods(&set.uid);
        let target = |pod: &&journal_schema::facts::PodFact| {
            let terms = pod.spec.node_affinity.as_ref()?;
            terms.first()?.fields.first()?.values.first().cloned()
        };
        let have: Vec<Name> = pods.iter().filter_map(target).collect();
        let count = |found: usize| i32::try_from(found).unwrap_or(i32::MAX);
        let (current, ready) = (count(pods.len()), count(pods.iter().filter(|pod| pod.ready).count()));
        // The old pod of a node must be gone before the new one comes: pods are named by node.
        let missing: Vec<Name> = wanted.iter().filter(|node| !have.contains(node)).cloned().collect();
        for node in missing {
            let suffix = self.rng.of("names").suffix(5);
            let mut bound = set.clone();
            let requirement =
                NodeRequirement { key: name("metadata.name"), operator: NodeOperator::In, values: list([node]) };
            bound.template.node_affinity = Some(list([NodeTerm { labels: list([]), fields: list([requirement]) }]));
            self.create_pod(&bound, &format!("{}-{suffix}", set.id.key.name), &[]);
        }
        self.update_workload(&id, |set| {
            set.replicas = count(wanted.len());
            set.current = current;
            set.ready = ready;
            set.updated = current;
            set.observed_generation = set.generation;
        });
    }
}

/// Whether the DaemonSet wants a pod on a node: selector and taints, never room.
fn runs_on(set: &WorkloadFact, node: &NodeFact) -> bool {
    let selected = set.template.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    let tolerated = node.taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule).all(|taint| {
        set.template.tolerations.iter().any(|toleration| {
            let key = toleration.key.is_empty() && toleration.exists || toleration.key == taint.key;
            let value = toleration.exists || toleration.value == taint.value;
            key && value && toleration.effect.is_none_or(|effect| effect == taint.effect)
        })
    });
    selected && tolerated
}
