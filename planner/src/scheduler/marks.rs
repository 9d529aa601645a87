//! The taints that nodes show while a plan is carried out.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::effect::{EXPIRING_KEY, LATER_KEY};
use journal_schema::facts::{Taint, TaintEffect};
use journal_schema::text::{Few, Name};

use super::Snapshot;

/// Taints a node that leaves.
pub(crate) fn expire(snapshot: &mut Snapshot, node: &Name, iteration: u64) {
    mark(snapshot, node, iteration, EXPIRING_KEY, Some(TaintEffect::NoSchedule));
}

/// Which nodes are open while others take pods later.
pub(crate) struct Led<N> {
    /// Nodes that can be led away from, by what they are called here.
    nodes: BTreeMap<N, Name>,
    /// Those that are open; `None`: nobody is led yet, and all are.
    open: Option<BTreeSet<N>>,
}

impl<N: Ord + Clone> Led<N> {
    /// All nodes that can be led away from, open.
    pub(crate) fn new(nodes: BTreeMap<N, Name>) -> Self {
        Self { nodes, open: None }
    }

    /// Opens these and taints the others.
    pub(crate) fn open(&mut self, snapshot: &mut Snapshot, open: BTreeSet<N>, iteration: u64) {
        let before = self.open.replace(open);
        let open = self.open.iter().flatten();
        match before {
            None => {
                for (called, node) in &self.nodes {
                    let opened = self.open.as_ref().is_some_and(|open| open.contains(called));
                    avoid(snapshot, node, iteration, !opened);
                }
            }
            Some(before) => {
                for (called, avoided) in before.iter().map(|called| (called, true)).chain(open.map(|c| (c, false))) {
                    if let Some(node) = self.nodes.get(called) {
                        avoid(snapshot, node, iteration, avoided);
                    }
                }
            }
        }
    }
}

/// Taints a node that takes pods later, or opens it.
fn avoid(snapshot: &mut Snapshot, node: &Name, iteration: u64, avoided: bool) {
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
