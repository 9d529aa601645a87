//! The taints that nodes show while a plan is carried out.

use journal_schema::effect::{EXPIRING_KEY, LATER_KEY};
use journal_schema::facts::{Taint, TaintEffect};
use journal_schema::text::{Few, Name};

use super::Snapshot;

/// Taints a node that leaves.
pub(crate) fn expire(snapshot: &mut Snapshot, node: &Name, iteration: u64) {
    mark(snapshot, node, iteration, EXPIRING_KEY, Some(TaintEffect::NoSchedule));
}

/// Taints a node that takes pods later, or opens it.
pub(crate) fn avoid(snapshot: &mut Snapshot, node: &Name, iteration: u64, avoided: bool) {
    mark(snapshot, node, iteration, LATER_KEY, avoided.then_some(TaintEffect::PreferNoSchedule));
}

/// Leaves a node with one taint of this key, or with none.
fn mark(snapshot: &mut Snapshot, node: &Name, iteration: u64, key: &str, effect: Option<TaintEffect>) {
    let Some(fact) = snapshot.node(node) else { return };
    if effect.is_some() == fact.taints.iter().any(|taint| taint.key == key) {
        return;
    }
    let (key, value) = (Name::truncated(key), Name::truncated(iteration.to_string()));
    let mut fact = fact.clone();
    let others = fact.taints.iter().filter(|taint| taint.key != key).cloned();
    let ours = effect.map(|effect| Taint { key: key.clone(), value, effect });
    fact.taints = Few::new(others.chain(ours).collect()).unwrap_or(fact.taints);
    snapshot.put_node(fact);
}
