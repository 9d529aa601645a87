//! Jobs with one pod: created again when it was evicted, over when it succeeded.

use journal_schema::facts::{ContainerFact, Key, Owner, OwnerKind, PodFact, PodSpecFact};
use journal_schema::units::Resources;

use crate::scenario::Behaviour;
use crate::text::{list, name};
use crate::world::World;

impl World {
    pub(crate) fn reconcile_job(&mut self, key: &Key) {
        let Some(job) = self.inner.jobs.get(key).cloned() else { return };
        let owner_uid = name(format!("job-{}", key.name));
        let pods = self.inner.by_owner.get(&owner_uid).into_iter().flatten();
        let alive = pods.filter_map(|pod| self.facts.pods.get(pod)).any(|pod| pod.deletion_at.is_none());
        if alive {
            return;
        }
        let suffix = self.rng.of("names").suffix(5);
        let container = ContainerFact {
            name: name("main"),
            cpu_request: Some(job.cpu),
            memory_request: Some(job.memory),
            cpu_limit: None,
            memory_limit: None,
        };
        let spec = PodSpecFact {
            requests: Resources { cpu: job.cpu, memory: job.memory, pods: 1, ..Resources::default() },
            containers: list([container]),
            grace_secs: 30,
            ..PodSpecFact::default()
        };
        let fact = PodFact {
            owner: Some(Owner { kind: OwnerKind::Job, name: key.name.clone(), uid: owner_uid }),
            labels: [(name("job-name"), key.name.clone())].into(),
            ..PodFact::new(
                Key::new(key.namespace.clone(), name(format!("{}-{suffix}", key.name))),
                self.uid(),
                spec,
                self.now,
            )
        };
        self.add_pod(fact, Behaviour::default());
    }
}
