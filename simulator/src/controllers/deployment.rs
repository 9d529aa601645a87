//! The Deployment controller: a ReplicaSet for each template, and the rolling update between them.

use journal_schema::facts::{Key, Owner, OwnerKind, UpdateStrategy, WorkloadFact, WorkloadId, WorkloadKind};
use journal_schema::units::Millis;

use super::{TEMPLATE_HASH, scaled};
use crate::text::name;
use crate::world::{Action, Work, WorkloadInner, World};

/// `progressDeadlineSeconds`.
const PROGRESS_DEADLINE: Millis = Millis::from_minutes(10);

/// The hash that names a template's ReplicaSet.
pub(crate) fn template_hash(workload: &WorkloadFact) -> String {
    let digest = journal_schema::codec::digest(&(&workload.template, &workload.template_labels));
    digest.map_or_else(|_| "unhashable".to_owned(), |digest| digest.as_str().chars().take(10).collect())
}

impl World {
    pub(crate) fn reconcile_deployment(&mut self, key: &Key) {
        let id = WorkloadId { kind: WorkloadKind::Deployment, key: key.clone() };
        let Some(deployment) = self.facts.workloads.get(&id).cloned() else { return };
        let hash = self.inner.workloads.get(&id).map_or_else(String::new, |inner| inner.hash.clone());
        let new_id = WorkloadId {
            kind: WorkloadKind::ReplicaSet,
            key: Key::new(key.namespace.clone(), name(format!("{}-{hash}", key.name))),
        };
        let mut sets = self.sets_of(&deployment);
        if !sets.iter().any(|set| set.id == new_id) && !deployment.paused {
            self.create_set(&deployment, &new_id, &hash);
            sets = self.sets_of(&deployment);
        }
        let (new, old): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.id == new_id);
        if let Some(new) = new.first() {
            match deployment.strategy {
                UpdateStrategy::Recreate => self.recreate(&deployment, new, &old),
                UpdateStrategy::RollingUpdate { max_unavailable, max_surge } => {
                    let surge = scaled(max_surge, deployment.replicas, true);
                    let mut unavailable = scaled(max_unavailable, deployment.replicas, false);
                    if surge == 0 && unavailable == 0 {
                        unavailable = 1;
                    }
                    self.roll(&deployment, new, &old, surge, unavailable.min(deployment.replicas));
                }
                UpdateStrategy::OnDelete => self.scale_set(&new.id, deployment.replicas),
            }
        }
        self.deployment_status(&id, &new_id);
    }

    fn sets_of(&self, deployment: &WorkloadFact) -> Vec<WorkloadFact> {
        let keys = self.inner.children.get(&deployment.uid).into_iter().flatten();
        let mut sets: Vec<WorkloadFact> = keys
            .filter_map(|key| {
                let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key: key.clone() };
                self.facts.workloads.get(&id).cloned()
            })
            .collect();
        let revision = |set: &WorkloadFact| self.inner.workloads.get(&set.id).map_or(0, |inner| inner.revision);
        sets.sort_by(|one, other| (revision(one), &one.id).cmp(&(revision(other), &other.id)));
        sets
    }

    fn create_set(&mut self, deployment: &WorkloadFact, id: &WorkloadId, hash: &str) {
        let Some(parent) = self.inner.workloads.get(&deployment.id) else { return };
        let inner = WorkloadInner { revision: parent.revision, ..parent.clone() };
        let mut fact = deployment.clone();
        fact.id = id.clone();
        fact.uid = self.uid();
        fact.owner = Some(Owner {
            kind: OwnerKind::Deployment,
            name: deployment.id.key.name.clone(),
            uid: deployment.uid.clone(),
        });
        fact.generation = 1;
        fact.observed_generation = 0;
        (fact.replicas, fact.current, fact.ready, fact.updated) = (0, 0, 0, 0);
        fact.stalled = false;
        fact.created_at = self.now;
        fact.selector.labels.insert(name(TEMPLATE_HASH), name(hash));
        fact.template_labels.insert(name(TEMPLATE_HASH), name(hash));
        self.add_workload(fact, inner);
    }

    fn scale_set(&mut self, id: &WorkloadId, replicas: i32) {
        self.update_workload(id, |set| {
            if set.replicas != replicas {
                set.replicas = replicas.max(0);
                set.generation += 1;
            }
        });
    }

    fn recreate(&mut self, deployment: &WorkloadFact, new: &WorkloadFact, old: &[WorkloadFact]) {
        for set in old {
            self.scale_set(&set.id, 0);
        }
        let any_left = old.iter().any(|set| self.inner.by_owner.get(&set.uid).is_some_and(|pods| !pods.is_empty()));
        if !any_left {
            self.scale_set(&new.id, deployment.replicas);
        }
    }

    /// One step of a rolling update: upstream's `rolloutRolling`, new ReplicaSet first.
    fn roll(
        &mut self,
        deployment: &WorkloadFact,
        new: &WorkloadFact,
        old: &[WorkloadFact],
        surge: i32,
        unavailable: i32,
    ) {
        let wanted = deployment.replicas;
        let old_total: i32 = old.iter().map(|set| set.replicas).sum();
        if deployment.paused && old_total > 0 {
            return;
        }
        if old_total == 0 || new.replicas > wanted {
            self.scale_set(&new.id, wanted);
            return;
        }
        let room = wanted + surge - (new.replicas + old_total);
        let up = room.min(wanted - new.replicas);
        if up > 0 {
            self.scale_set(&new.id, new.replicas + up);
            return;
        }
        let least = wanted - unavailable;
        let new_unavailable = new.replicas - new.ready;
        let mut spare = (new.replicas + old_total) - least - new_unavailable;
        if spare <= 0 {
            return;
        }
        // Old pods that do not serve go first: they can hurt nobody.
        let mut left: Vec<(WorkloadId, i32, i32)> =
            old.iter().map(|set| (set.id.clone(), set.replicas, set.ready.min(set.replicas))).collect();
        for (_, replicas, ready) in &mut left {
            let unhealthy = (*replicas - *ready).min(spare);
            *replicas -= unhealthy;
            spare -= unhealthy;
        }
        let serving: i32 = new.ready + left.iter().map(|(_, _, ready)| *ready).sum::<i32>();
        let mut down = (serving - least).max(0);
        for (_, replicas, _) in &mut left {
            let step = (*replicas).min(down);
            *replicas -= step;
            down -= step;
        }
        for (id, replicas, _) in left {
            self.scale_set(&id, replicas);
        }
    }

    fn deployment_status(&mut self, id: &WorkloadId, new_id: &WorkloadId) {
        let Some(deployment) = self.facts.workloads.get(id).cloned() else { return };
        let sets = self.sets_of(&deployment);
        let current = sets.iter().map(|set| set.current).sum();
        let ready = sets.iter().map(|set| set.ready).sum();
        let updated = sets.iter().find(|set| set.id == *new_id).map_or(0, |set| set.current);
        let done = updated == deployment.replicas && ready >= deployment.replicas && current == deployment.replicas;
        let moved_on = (current, ready, updated) != (deployment.current, deployment.ready, deployment.updated)
            || deployment.observed_generation != deployment.generation;
        let now = self.now;
        let mut stalled = deployment.stalled;
        if let Some(inner) = self.inner.workloads.get_mut(id) {
            if moved_on {
                inner.progress_at = now;
            }
            stalled = !done && now.since(inner.progress_at) >= PROGRESS_DEADLINE;
        }
        let waiting = !done && !stalled;
        self.update_workload(id, |deployment| {
            deployment.current = current;
            deployment.ready = ready;
            deployment.updated = updated;
            deployment.observed_generation = deployment.generation;
            deployment.stalled = stalled;
        });
        if waiting && moved_on {
            self.after(PROGRESS_DEADLINE, Action::Work(Work::Deployment(id.key.clone())));
        }
        self.account(id);
    }
}
