//! The StatefulSet controller with ordered pods: one at a time, same name, same volume.

use journal_schema::facts::{
    Key, NodeOperator, NodeRequirement, NodeTerm, Object, PvFact, PvcFact, WorkloadFact, WorkloadId, WorkloadKind,
};

use crate::text::{list, name};
use crate::world::World;

/// Label that tells the template a pod was made from.
const REVISION: &str = "controller-revision-hash";
/// The disk driver of Google Cloud.
pub(crate) const DISK_DRIVER: &str = "pd.csi.storage.gke.io";

impl World {
    pub(crate) fn reconcile_stateful_set(&mut self, key: &Key) {
        let id = WorkloadId { kind: WorkloadKind::StatefulSet, key: key.clone() };
        let Some(set) = self.facts.workloads.get(&id).cloned() else { return };
        let hash = self.inner.workloads.get(&id).map_or_else(String::new, |inner| inner.hash.clone());
        self.order(&set, &hash);
        // Pods on their way out are counted as long as they are there.
        let keys = self.inner.by_owner.get(&set.uid).into_iter().flatten();
        let pods: Vec<&journal_schema::facts::PodFact> =
            keys.filter_map(|key| self.facts.pods.get(key)).filter(|pod| !pod.finished()).collect();
        let count = |found: usize| i32::try_from(found).unwrap_or(i32::MAX);
        let current = count(pods.len());
        let ready = count(pods.iter().filter(|pod| pod.ready).count());
        let of_template = |pod: &&&journal_schema::facts::PodFact| {
            pod.deletion_at.is_none() && pod.labels.get(REVISION).is_some_and(|value| *value == hash.as_str())
        };
        let updated = count(pods.iter().filter(of_template).count());
        self.update_workload(&id, |set| {
            set.current = current;
            set.ready = ready;
            set.updated = updated;
            set.observed_generation = set.generation;
        });
        self.account(&id);
    }

    /// One step: create the first missing pod, else remove the last one too many, else replace the
    /// last one of an old template. Each waits until all before it are ready.
    fn order(&mut self, set: &WorkloadFact, hash: &str) {
        let pod_key =
            |ordinal: i32| Key::new(set.id.key.namespace.clone(), name(format!("{}-{ordinal}", set.id.key.name)));
        for ordinal in 0..set.replicas {
            let key = pod_key(ordinal);
            match self.facts.pods.get(&key) {
                None => {
                    self.create_member(set, ordinal, hash);
                    return;
                }
                Some(pod) if pod.finished() => {
                    self.terminate_pod(&key);
                    return;
                }
                Some(pod) if pod.deletion_at.is_some() || !pod.ready => return,
                Some(_) => {}
            }
        }
        let last = (set.replicas..set.replicas + 1000)
            .take_while(|ordinal| self.facts.pods.contains_key(&pod_key(*ordinal)))
            .last();
        if let Some(ordinal) = last {
            self.terminate_pod(&pod_key(ordinal));
            return;
        }
        let stale = (0..set.replicas).rev().map(pod_key).find(|key| {
            self.facts.pods.get(key).is_some_and(|pod| pod.labels.get(REVISION).is_none_or(|value| *value != hash))
        });
        if let Some(key) = stale {
            self.terminate_pod(&key);
        }
    }

    fn create_member(&mut self, set: &WorkloadFact, ordinal: i32, hash: &str) {
        let pod_name = format!("{}-{ordinal}", set.id.key.name);
        let mut with_claims = set.clone();
        let claims: Vec<String> = set.claim_templates.iter().map(|template| format!("{template}-{pod_name}")).collect();
        for claim in &claims {
            self.provision(&Key::new(set.id.key.namespace.clone(), name(claim)), ordinal);
        }
        with_claims.template.claims = list(claims.iter().map(name));
        self.create_pod(
            &with_claims,
            &pod_name,
            &[(REVISION, hash), ("statefulset.kubernetes.io/pod-name", &pod_name)],
        );
    }

    /// A volume for a claim that has none yet, in one zone after the other: immediate binding.
    fn provision(&mut self, claim: &Key, ordinal: i32) {
        if self.facts.pvcs.contains_key(claim) {
            return;
        }
        let mut zones: Vec<_> =
            self.scenario.pools.iter().filter(|pool| pool.initial > 0).map(|pool| pool.zone.clone()).collect();
        zones.sort();
        zones.dedup();
        let place = usize::try_from(ordinal).unwrap_or(0) % zones.len().max(1);
        let zone = zones.get(place).cloned().unwrap_or_default();
        let volume = name(format!("pvc-{}", self.uid()));
        let requirement = NodeRequirement {
            key: name("topology.kubernetes.io/zone"),
            operator: NodeOperator::In,
            values: list([zone]),
        };
        let pv = PvFact {
            name: volume.clone(),
            uid: self.uid(),
            driver: name(DISK_DRIVER),
            node_affinity: Some(list([NodeTerm { labels: list([requirement]), fields: list([]) }])),
            zones: list([]),
        };
        let pvc = PvcFact {
            key: claim.clone(),
            uid: self.uid(),
            volume: Some(volume),
            storage_class: name("standard-rwo"),
            single_node: true,
        };
        self.put_object(Object::Pv(pv));
        self.put_object(Object::Pvc(pvc));
    }
}
