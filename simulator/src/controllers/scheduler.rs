//! The scheduler: binds pods without a node, by the model of kube-scheduler that planning uses too.

use std::cmp::Reverse;

use journal_schema::facts::Key;

use crate::world::World;

impl World {
    /// One pass over the pods without a node, by priority and age, as the scheduling queue orders them. Those that
    /// were tried before come in any order: a real queue holds each back for its own while.
    pub(crate) fn schedule_pods(&mut self) {
        let waiting = self.inner.unbound.iter().filter_map(|key| self.facts.pods.get(key));
        let mut waiting: Vec<_> = waiting
            .filter(|pod| pod.deletion_at.is_none())
            .map(|pod| (Reverse(pod.spec.priority), pod.unschedulable, pod.created_at, pod.key.clone()))
            .collect();
        waiting.sort();
        let tried: Vec<usize> = (0..waiting.len()).filter(|index| waiting[*index].1).collect();
        if tried.len() > 1 {
            // Every one changes places with one of those up to it, of the same priority.
            for index in 1..tried.len() {
                let other = usize::try_from(self.rng.of("queue").below(index as u64 + 1)).unwrap_or(index);
                if waiting[tried[index]].0 == waiting[tried[other]].0 {
                    waiting.swap(tried[index], tried[other]);
                }
            }
        }
        for (.., key) in waiting {
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
