//! The scheduler: binds pods without a node, by the model of kube-scheduler that planning uses too.

use std::cmp::Reverse;

use journal_schema::facts::Key;

use crate::world::World;

impl World {
    /// One pass over the pods without a node, by priority and age, as the scheduling queue orders them.
    pub(crate) fn schedule_pods(&mut self) {
        let mut waiting: Vec<_> = self
            .inner
            .unbound
            .iter()
            .filter_map(|key| self.facts.pods.get(key))
            .filter(|pod| pod.deletion_at.is_none())
            .map(|pod| (Reverse(pod.spec.priority), pod.created_at, pod.key.clone()))
            .collect();
        waiting.sort();
        for (_, _, key) in waiting {
            self.schedule_pod(&key);
        }
    }

    fn schedule_pod(&mut self, key: &Key) {
        let Some(pod) = self.facts.pods.get(key).cloned() else { return };
        match self.snapshot.choose(&pod) {
            Ok(node) => {
                self.update_pod(key, |pod| {
                    pod.node = Some(node);
                    pod.unschedulable = false;
                });
                self.start_pod(key);
            }
            Err(_) => {
                self.update_pod(key, |pod| pod.unschedulable = true);
            }
        }
    }
}
