//! What it takes to move a pod, against an ordinary one.
//!
//! The policy's price of a move is for an ordinary pod. Dearer to move is
//! - a pod with a volume: it is away while that is detached and attached;
//! - one that its controller is asked to delete last, or that is of high priority;
//! - one of a workload whose pods take long to be ready: its wave waits for it, and where it is evicted its service is
//!   short of it meanwhile;
//! - one of a StatefulSet that has run for a while: such a pod has a state of its own, and what it has of it in memory
//!   (a cache, a replica of data) its successor must fetch again. A volume does not bring that along, so both count.
//!
//! Cheaper is one that is to be deleted first, or that has only just started and so has little to lose.
//! What the operator says of a pod (`kinema.dev/move-cost`) stands instead of all of this.

use std::collections::BTreeMap;

use journal_schema::facts::{OwnerKind, PodFact, WorkloadId};
use journal_schema::plan::Cluster;
use journal_schema::units::{Millis, Timestamp};

/// An ordinary move; tolls are in parts of it.
pub(crate) const MOVE: i64 = 1_000;

/// Minutes from asking for a machine to its being a ready node (cluster-autoscaler's FAQ: three to four).
pub(crate) const BOOT_MINUTES: i64 = 4;
/// Minutes in which one batch of parallel moves is done.
pub(crate) const BATCH_MINUTES: i64 = 2;

/// More for each pod with a volume.
const VOLUME: i64 = 1_000;
/// Deletion cost at which a pod is once more as dear; beyond it is no dearer.
const DELETION_COST: i64 = 1_000;
/// Least that a low deletion cost leaves of an ordinary move.
const LEAST: i64 = 500;
/// Priority from which a pod counts as important; those of the system have more than a billion.
const IMPORTANT: i32 = 1_000_000;
/// More for an important pod.
const IMPORTANCE: i64 = 500;
/// Age up to which a pod counts as just started.
const YOUNG: Millis = Millis::from_minutes(60);
/// Less for a pod that has just started.
const YOUTH: i64 = -250;
/// More for a pod of a StatefulSet that has run for longer.
const WARMTH: i64 = 500;
/// Start-up that is part of an ordinary move.
const ORDINARY_START: Millis = Millis::from_minutes(1);
/// Start-up beyond which a pod is no dearer to move.
const LONGEST_START: Millis = Millis::from_minutes(11);

/// How long the pods of each workload took to start.
pub(crate) struct Starts(BTreeMap<WorkloadId, Millis>);

impl Starts {
    /// By what the pods of a cluster tell. The least of a workload counts: a pod that was not ready for a while since
    /// seems to have taken longer than it did.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let mut starts: BTreeMap<WorkloadId, Millis> = BTreeMap::new();
        for pod in cluster.pods.values() {
            if let (Some(workload), Some(took)) = (pod.controller(), pod.ready_after) {
                starts.entry(workload).and_modify(|least| *least = took.min(*least)).or_insert(took);
            }
        }
        Self(starts)
    }

    /// What is known of a pod's next start.
    fn of(&self, pod: &PodFact) -> Option<Millis> {
        pod.controller().and_then(|workload| self.0.get(&workload).copied()).or(pod.ready_after)
    }

    /// More for a pod that starts slowly: in so much time other moves are done.
    fn slowness(&self, pod: &PodFact) -> i64 {
        let took = self.of(pod).unwrap_or(ORDINARY_START).clamp(ORDINARY_START, LONGEST_START);
        (took.0 - ORDINARY_START.0) * MOVE / Millis::from_minutes(BATCH_MINUTES).0
    }
}

/// What it takes to move a pod, in thousandths of an ordinary move; more than nothing.
pub(crate) fn toll(pod: &PodFact, starts: &Starts, now: Timestamp) -> i64 {
    if let Some(said) = pod.move_cost {
        return i64::from(said).max(1);
    }
    let cost = i64::from(pod.deletion_cost).clamp(-DELETION_COST, DELETION_COST) * MOVE / DELETION_COST;
    let mut toll = (MOVE + cost).max(LEAST) + starts.slowness(pod);
    let young = now.since(pod.created_at) < YOUNG;
    let of_stateful_set = pod.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::StatefulSet);
    for (holds, more) in [
        (!pod.spec.claims.is_empty(), VOLUME),
        (pod.spec.priority >= IMPORTANT, IMPORTANCE),
        (young, YOUTH),
        (of_stateful_set && !young, WARMTH),
    ] {
        toll += if holds { more } else { 0 };
    }
    toll
}

#[cfg(test)]
mod tests {
    use journal_schema::facts::{Key, Owner, PodSpecFact};
    use journal_schema::text::{Few, Name};

    use super::*;

    const DAY: Timestamp = Timestamp(24 * 60 * 60 * 1_000);

    fn pod(pod_name: &str, owner: OwnerKind) -> PodFact {
        let name = |text: &str| Name::truncated(text);
        let owner = Owner { kind: owner, name: name("web"), uid: name("web") };
        let key = Key::new(name("shop"), name(pod_name));
        PodFact { owner: Some(owner), ..PodFact::new(key, name("uid"), PodSpecFact::default(), Timestamp(0)) }
    }

    fn cluster(pods: &[PodFact]) -> Cluster {
        Cluster { pods: pods.iter().map(|pod| (pod.key.clone(), pod.clone())).collect(), ..Cluster::default() }
    }

    /// The toll of the first of these, which are a cluster.
    fn first(pods: &[PodFact]) -> i64 {
        toll(&pods[0], &Starts::new(&cluster(pods)), DAY)
    }

    #[test]
    fn a_slow_start_takes_the_time_of_other_moves() {
        for (seconds, expected) in [(0, 1_000), (60, 1_000), (180, 2_000), (300, 3_000), (3_000, 6_000), (-5, 1_000)] {
            let slow = PodFact { ready_after: Some(Millis(seconds * 1_000)), ..pod("web-0", OwnerKind::ReplicaSet) };
            assert_eq!(first(&[slow]), expected, "{seconds} s");
        }
    }

    /// One of two was not ready for a while since; one that is not ready yet takes as long as the others.
    #[test]
    fn the_quickest_start_of_a_workload_is_believed() {
        let took = |minutes: i64, name: &str| PodFact {
            ready_after: Some(Millis::from_minutes(minutes)),
            ..pod(name, OwnerKind::ReplicaSet)
        };
        assert_eq!(first(&[took(600, "web-0"), took(3, "web-1")]), 2_000);
        assert_eq!(first(&[pod("web-0", OwnerKind::ReplicaSet), took(3, "web-1")]), 2_000);
        let other = |mut pod: PodFact| {
            pod.owner = pod.owner.map(|owner| Owner { name: Name::truncated("other"), ..owner });
            pod
        };
        assert_eq!(first(&[took(5, "web-0"), other(took(3, "web-1"))]), 3_000);
    }

    #[test]
    fn a_stateful_pod_that_has_run_for_a_while_is_dearer() {
        assert_eq!(first(&[pod("web-0", OwnerKind::StatefulSet)]), 1_500);
        let young = PodFact { created_at: DAY, ..pod("web-0", OwnerKind::StatefulSet) };
        assert_eq!(first(&[young]), 750);
        assert_eq!(first(&[pod("web-0", OwnerKind::ReplicaSet)]), 1_000);
        let mut with_volume = pod("web-0", OwnerKind::StatefulSet);
        let claims = Few::new(vec![Name::truncated("data")]).expect("one");
        with_volume.spec = PodSpecFact { claims, ..PodSpecFact::default() }.into();
        assert_eq!(first(&[with_volume]), 2_500);
    }

    #[test]
    fn what_the_operator_says_stands_instead_of_all_else() {
        let slow = PodFact {
            ready_after: Some(Millis::from_minutes(9)),
            deletion_cost: 700,
            move_cost: Some(2_500),
            ..pod("web-0", OwnerKind::StatefulSet)
        };
        assert_eq!(first(&[slow]), 2_500);
    }
}
