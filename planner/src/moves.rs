//! What it takes to move a pod, against an ordinary one.
//!
//! The policy's price of a move is for an ordinary pod. A pod with a volume is away while that is
//! detached and attached; one that its controller is asked to delete last, or that is of
//! high priority is dearer to move; one that is to be deleted first, or that has only just started and
//! so has little to lose, is cheaper.

use journal_schema::facts::PodFact;
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

/// What it takes to move a pod, in thousandths of an ordinary move.
pub(crate) fn toll(pod: &PodFact, now: Timestamp) -> i64 {
    let cost = i64::from(pod.deletion_cost).clamp(-DELETION_COST, DELETION_COST) * MOVE / DELETION_COST;
    let mut toll = (MOVE + cost).max(LEAST);
    for (holds, more) in [
        (!pod.spec.claims.is_empty(), VOLUME),
        (pod.spec.priority >= IMPORTANT, IMPORTANCE),
        (now.since(pod.created_at) < YOUNG, YOUTH),
    ] {
        toll += if holds { more } else { 0 };
    }
    toll
}
