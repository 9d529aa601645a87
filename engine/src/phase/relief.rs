//! Room for pods that came to wait: while a pod fits nowhere that would fit on a leaving node, that node is given back
//! rather than deleted.
//!
//! A machine died, an autoscaler asked for more: the plan did not know of it, and the leaving nodes are the nearest
//! room there is. Only what is plain is looked at here (resources and the pod's own node selector): a node that is
//! given back for nothing costs its price until the next plan.

use journal_schema::facts::{NodeFact, PodFact};
use journal_schema::plan::PodAction;
use journal_schema::text::Name;
use std::collections::BTreeSet;

use super::Iteration;
use crate::state::State;
use crate::world::usable;

/// The leaving node that would take a pod that waits, if there is one: the first by name that takes the first pod by
/// key. `lost`: leaving nodes that cannot be given back any more.
pub(super) fn wanted(state: &State, iteration: &Iteration, lost: &BTreeSet<Name>) -> Option<(Name, PodFact)> {
    let cluster = state.world.cluster();
    let waiting = state.world.unschedulable_pods().iter().filter_map(|key| cluster.pods.get(key));
    // What waited when the plan was made waits by no doing of ours.
    let verdicts = &iteration.planned.report.pods;
    let waited = |pod: &&PodFact| {
        let pending = |action: &PodAction| matches!(action, PodAction::Place(_) | PodAction::Unplaced);
        verdicts.iter().any(|verdict| verdict.pod == pod.key && pending(&verdict.action))
    };
    waiting.filter(|pod| !waited(pod)).find_map(|pod| {
        let leaving = iteration.leaving().filter(|removed| !lost.contains(&removed.node));
        let mut nodes =
            leaving.filter_map(|removed| cluster.nodes.get(&removed.node).filter(|node| node.uid == removed.uid));
        nodes.find(|node| takes(state, node, pod)).map(|node| (node.name.clone(), pod.clone()))
    })
}

/// Whether a node has room for a pod, as far as is plain.
fn takes(state: &State, node: &NodeFact, pod: &PodFact) -> bool {
    let mut free = node.allocatable.clone();
    for other in state.world.pods_on(&node.name).filter(|other| !other.finished()) {
        free.sub(&other.spec.requests);
    }
    let selected = pod.spec.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    usable(node) && selected && pod.spec.requests.fits_in(&free)
}
