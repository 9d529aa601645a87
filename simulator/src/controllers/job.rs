//! Jobs with one pod: created again when it was evicted, over when it succeeded.

use journal_schema::facts::{ContainerFact, DoNotDisrupt, Key, Owner, OwnerKind, PodFact, PodPhase, PodSpecFact};
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
            key: Key::new(key.namespace.clone(), name(format!("{}-{suffix}", key.name))),
            uid: self.uid(),
            owner: Some(Owner { kind: OwnerKind::Job, name: key.name.clone(), uid: owner_uid }),
            node: None,
            phase: PodPhase::Pending,
            ready: false,
            unschedulable: false,
            created_at: self.now,
            deletion_at: None,
            labels: [(name("job-name"), key.name.clone())].into(),
            spec,
            mirror: false,
            safe_to_evict: None,
            do_not_disrupt: DoNotDisrupt::No,
            prefer_no_eviction: false,
            deletion_cost: 0,
            excluded: false,
        };
        self.add_pod(fact, Behaviour::default());
    }
}
