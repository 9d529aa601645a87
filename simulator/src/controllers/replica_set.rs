//! The ReplicaSet controller: as many pods as are wanted, and the upstream's choice of victims.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use journal_schema::facts::{Key, PodFact, PodPhase, WorkloadId, WorkloadKind};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

use super::TEMPLATE_HASH;
use crate::world::World;

impl World {
    pub(crate) fn reconcile_replica_set(&mut self, key: &Key) {
        let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key: key.clone() };
        let Some(set) = self.facts.workloads.get(&id).cloned() else { return };
        let wanted = usize::try_from(set.replicas).unwrap_or(0);
        let have = self.active_pods(&set.uid).len();
        if have < wanted {
            let hash = set.template_labels.get(TEMPLATE_HASH).cloned().unwrap_or_default();
            for _ in have..wanted {
                let suffix = self.rng.of("names").suffix(5);
                self.create_pod(&set, &format!("{}-{suffix}", set.id.key.name), &[(TEMPLATE_HASH, &hash)]);
            }
        } else if have > wanted {
            for victim in self.victims(&set.uid, set.owner.as_ref().map(|owner| &owner.uid), have - wanted) {
                self.terminate_pod(&victim);
            }
        }
        let pods = self.active_pods(&set.uid);
        let count = |found: usize| i32::try_from(found).unwrap_or(i32::MAX);
        let (current, ready) = (count(pods.len()), count(pods.iter().filter(|pod| pod.ready).count()));
        self.update_workload(&id, |set| {
            set.current = current;
            set.ready = ready;
            set.updated = current;
            set.observed_generation = set.generation;
        });
    }

    /// The pods that a scale-down removes: upstream's `getPodsToDelete`.
    fn victims(&self, set_uid: &Name, parent_uid: Option<&Name>, count: usize) -> Vec<Key> {
        let mut ranked = self.active_pods(set_uid);
        // Pods of all ReplicaSets of the same Deployment, by node: those doubled up go first. Where there is no
        // Deployment, none count as related, not even the ReplicaSet's own.
        let mut on_node: BTreeMap<&Name, usize> = BTreeMap::new();
        let related: Vec<&Name> = match parent_uid {
            None => Vec::new(),
            Some(parent) => {
                let sets = self.inner.children.get(parent).into_iter().flatten();
                sets.filter_map(|key| {
                    let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key: key.clone() };
                    Some(&self.facts.workloads.get(&id)?.uid)
                })
                .collect()
            }
        };
        for uid in related {
            for pod in self.active_pods(uid) {
                if let Some(node) = &pod.node {
                    *on_node.entry(node).or_default() += 1;
                }
            }
        }
        let rank = |pod: &PodFact| pod.node.as_ref().and_then(|node| on_node.get(node)).copied().unwrap_or(0);
        let since = |pod: &PodFact| self.inner.pods.get(&pod.key).and_then(|inner| inner.ready_since);
        ranked.sort_by(|one, other| {
            first_to_go(one, other, (rank(one), rank(other)), (since(one), since(other)), self.now)
        });
        ranked.into_iter().take(count).map(|pod| pod.key.clone()).collect()
    }
}

/// Upstream's `ActivePodsWithRanks.Less` with logarithmic scale-down: `Less` pods go first.
fn first_to_go(
    one: &PodFact,
    other: &PodFact,
    rank: (usize, usize),
    ready_since: (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Ordering {
    let assigned = |pod: &PodFact| pod.node.is_some();
    let phase = |pod: &PodFact| match pod.phase {
        PodPhase::Pending => 0,
        PodPhase::Unknown => 1,
        PodPhase::Running | PodPhase::Succeeded | PodPhase::Failed => 2,
    };
    let young = |one: Timestamp, other: Timestamp| log_age(one, now).cmp(&log_age(other, now));
    assigned(one)
        .cmp(&assigned(other))
        .then_with(|| phase(one).cmp(&phase(other)))
        .then_with(|| one.ready.cmp(&other.ready))
        .then_with(|| one.deletion_cost.cmp(&other.deletion_cost))
        .then_with(|| rank.1.cmp(&rank.0))
        .then_with(|| match (one.ready && other.ready, ready_since) {
            (true, (Some(one_since), Some(other_since))) if one_since != other_since => {
                young(one_since, other_since).then_with(|| one.uid.cmp(&other.uid))
            }
            _ => Ordering::Equal,
        })
        .then_with(|| young(one.created_at, other.created_at))
        .then_with(|| one.uid.cmp(&other.uid))
}

/// Age in powers of two of nanoseconds, as upstream buckets it.
fn log_age(since: Timestamp, now: Timestamp) -> i64 {
    let nanos = i128::from(now.since(since).0) * 1_000_000;
    if nanos <= 0 { -1 } else { i64::from(nanos.ilog2()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal_schema::facts::PodSpecFact;
    use journal_schema::units::Millis;

    fn pod(pod_name: &str, change: impl FnOnce(&mut PodFact)) -> PodFact {
        let mut fact = PodFact {
            node: Some(crate::text::name("n1")),
            phase: PodPhase::Running,
            ready: true,
            ..PodFact::new(
                Key::new(crate::text::name("a"), crate::text::name(pod_name)),
                crate::text::name(pod_name),
                PodSpecFact::default(),
                Timestamp(0),
            )
        };
        change(&mut fact);
        fact
    }

    fn order(one: &PodFact, other: &PodFact, rank: (usize, usize), since: (i64, i64)) -> Ordering {
        let now = Timestamp(0).plus(Millis::from_minutes(60));
        first_to_go(one, other, rank, (Some(Timestamp(since.0)), Some(Timestamp(since.1))), now)
    }

    #[test]
    fn each_rule_of_the_ranking_outweighs_those_below_it() {
        let plain = pod("m", |_| {});
        let unbound = pod("z", |pod| pod.node = None);
        let pending = pod("z", |pod| pod.phase = PodPhase::Pending);
        let unready = pod("z", |pod| pod.ready = false);
        let cheap = pod("z", |pod| pod.deletion_cost = -1000);
        assert_eq!(order(&unbound, &pending, (1, 1), (0, 0)), Ordering::Less);
        assert_eq!(order(&pending, &unready, (1, 1), (0, 0)), Ordering::Less);
        // A pod that is not ready goes before the one that a deletion cost marks: this is why a
        // surge must wait for the new pod to be ready.
        assert_eq!(order(&unready, &cheap, (1, 1), (0, 0)), Ordering::Less);
        assert_eq!(order(&cheap, &plain, (1, 2), (0, 0)), Ordering::Less);
        assert_eq!(order(&plain, &pod("z", |_| {}), (1, 2), (0, 0)), Ordering::Greater);
        // Ready for three minutes rather than for an hour.
        assert_eq!(order(&plain, &pod("a", |_| {}), (1, 1), (57 * 60_000, 0)), Ordering::Less);
        // Within one power of two the UID decides.
        assert_eq!(order(&plain, &pod("z", |_| {}), (1, 1), (60_000, 0)), Ordering::Less);
    }
}
