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

/// How many pods more and how many fewer than wanted a rollout may have: upstream's `ResolveFenceposts`.
fn limits(deployment: &WorkloadFact) -> (i32, i32) {
    let UpdateStrategy::RollingUpdate { max_unavailable, max_surge } = deployment.strategy else { return (0, 0) };
    let surge = scaled(max_surge, deployment.replicas, true);
    let mut unavailable = scaled(max_unavailable, deployment.replicas, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    (surge, unavailable.min(deployment.replicas))
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
        let sets = self.sets_of(&deployment);
        if deployment.paused || self.scaled_meanwhile(&deployment, &sets) {
            self.spread_scale(&deployment, &new_id, &sets);
        } else {
            self.roll_out(&deployment, &new_id, &hash, sets);
        }
        self.deployment_status(&id, &new_id);
    }

    /// Brings the newest template's ReplicaSet to the wanted size, and the others to nothing.
    fn roll_out(&mut self, deployment: &WorkloadFact, new_id: &WorkloadId, hash: &str, sets: Vec<WorkloadFact>) {
        let (new, old): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.id == *new_id);
        if deployment.strategy == UpdateStrategy::Recreate && self.empties(deployment, &old) {
            return;
        }
        if new.is_empty() {
            self.create_set(deployment, new_id, hash);
        }
        let Some(new) = self.facts.workloads.get(new_id).cloned() else { return };
        match deployment.strategy {
            UpdateStrategy::RollingUpdate { .. } => self.roll(deployment, &new, &old),
            UpdateStrategy::Recreate | UpdateStrategy::OnDelete => {
                self.scale_set(deployment, &new.id, deployment.replicas);
            }
        }
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

    /// Scales a ReplicaSet, and notes the Deployment's size on it: upstream's `scaleReplicaSet`.
    fn scale_set(&mut self, deployment: &WorkloadFact, id: &WorkloadId, replicas: i32) {
        let (surge, _) = limits(deployment);
        if let Some(inner) = self.inner.workloads.get_mut(id) {
            inner.noted = (deployment.replicas, deployment.replicas + surge);
        }
        self.update_workload(id, |set| {
            if set.replicas != replicas {
                set.replicas = replicas.max(0);
                set.generation += 1;
            }
        });
    }

    /// The Deployment's size as it is noted on a ReplicaSet: wanted, and at most.
    fn noted(&self, set: &WorkloadFact) -> (i32, i32) {
        self.inner.workloads.get(&set.id).map_or((0, 0), |inner| inner.noted)
    }

    /// Whether the Deployment was scaled since its ReplicaSets were: upstream's `isScalingEvent`.
    fn scaled_meanwhile(&self, deployment: &WorkloadFact, sets: &[WorkloadFact]) -> bool {
        sets.iter().any(|set| set.replicas > 0 && self.noted(set).0 != deployment.replicas)
    }

    /// Gives a new size to the ReplicaSets without rolling on, each its part: upstream's `scale`.
    fn spread_scale(&mut self, deployment: &WorkloadFact, new_id: &WorkloadId, sets: &[WorkloadFact]) {
        let wanted = deployment.replicas;
        let mut active: Vec<WorkloadFact> = sets.iter().filter(|set| set.replicas > 0).cloned().collect();
        let new = sets.iter().find(|set| set.id == *new_id);
        let only = match &active[..] {
            [] => new.or(sets.last()),
            [only] => Some(only),
            _ => None,
        };
        if let Some(only) = only {
            if only.replicas != wanted {
                self.scale_set(deployment, &only.id.clone(), wanted);
            }
            return;
        }
        let saturated =
            new.is_some_and(|new| new.replicas == wanted && self.noted(new).0 == wanted && new.ready == wanted);
        if saturated {
            for old in active.iter().filter(|set| set.id != *new_id) {
                self.scale_set(deployment, &old.id, 0);
            }
            return;
        }
        if !matches!(deployment.strategy, UpdateStrategy::RollingUpdate { .. }) || active.is_empty() {
            return;
        }
        let (surge, _) = limits(deployment);
        let total: i32 = active.iter().map(|set| set.replicas).sum();
        let more = if wanted > 0 { wanted + surge } else { 0 } - total;
        // The largest first; of equals the newest when there is to be more, the oldest when less.
        if more > 0 {
            active.reverse();
        }
        active.sort_by_key(|set| std::cmp::Reverse(set.replicas));
        let mut added = 0;
        let mut sizes = Vec::new();
        for set in &active {
            let part = self.part(deployment, set, more, added);
            added += part;
            sizes.push(set.replicas + part);
        }
        if let Some(largest) = sizes.first_mut() {
            *largest = (*largest + more - added).max(0);
        }
        for (set, size) in active.iter().zip(sizes) {
            self.scale_set(deployment, &set.id, size);
        }
    }

    /// A ReplicaSet's part of what there is to be more or less: upstream's `GetReplicaSetProportion`.
    fn part(&self, deployment: &WorkloadFact, set: &WorkloadFact, more: i32, added: i32) -> i32 {
        if more == 0 || more == added {
            return 0;
        }
        if deployment.replicas == 0 {
            return (-set.replicas).max(more - added);
        }
        let before = match self.noted(set).1 {
            0 => deployment.current,
            before => before,
        };
        if before == 0 {
            return 0;
        }
        let (surge, _) = limits(deployment);
        // Rounded to the nearest, halves away from nothing.
        let size = (2 * set.replicas * (deployment.replicas + surge) + before) / (2 * before);
        let part = size - set.replicas;
        if more > 0 { part.min(more - added) } else { part.max(more - added) }
    }

    /// One step of `Recreate` before the new pods: whether old ones are still there.
    fn empties(&mut self, deployment: &WorkloadFact, old: &[WorkloadFact]) -> bool {
        for set in old.iter().filter(|set| set.replicas > 0) {
            self.scale_set(deployment, &set.id, 0);
        }
        old.iter().any(|set| self.inner.by_owner.get(&set.uid).is_some_and(|pods| !pods.is_empty()))
    }

    /// One step of a rolling update: upstream's `rolloutRolling`, new ReplicaSet first.
    fn roll(&mut self, deployment: &WorkloadFact, new: &WorkloadFact, old: &[WorkloadFact]) {
        let (surge, unavailable) = limits(deployment);
        let wanted = deployment.replicas;
        let old_total: i32 = old.iter().map(|set| set.replicas).sum();
        if old_total == 0 || new.replicas > wanted {
            self.scale_set(deployment, &new.id, wanted);
            return;
        }
        let room = wanted + surge - (new.replicas + old_total);
        let up = room.min(wanted - new.replicas);
        if up > 0 {
            self.scale_set(deployment, &new.id, new.replicas + up);
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
        for ((id, replicas, _), before) in left.into_iter().zip(old) {
            if replicas != before.replicas {
                self.scale_set(deployment, &id, replicas);
            }
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
