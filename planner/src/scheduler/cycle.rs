//! One pod's scheduling cycle: filter the nodes, score those that are left, take the best.

use std::sync::Arc;

use journal_schema::facts::{NodeFact, PodFact, PvFact};
use journal_schema::reason::Reason;
use journal_schema::text::Name;

use super::affinity::RequiredTerms;
use super::node_rules::{node_affinity, node_ports, node_unschedulable, resources_fit, taint_toleration};
use super::score::{self, Score};
use super::snapshot::{NodeState, Snapshot};
use super::spread::HardSpread;
use super::volumes::{resolve, volume_limits, volumes_reach};

/// The scheduler that this model is of.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// What was counted over the whole cluster for one pod. Lives as long as the snapshot does not
/// change, which the borrow sees to.
pub struct Cycle<'a> {
    snapshot: &'a Snapshot,
    pod: &'a PodFact,
    /// The pod's volumes, or the rule that refuses every node.
    volumes: Result<Vec<(Name, Arc<PvFact>)>, Reason>,
    spread: HardSpread<'a>,
    terms: RequiredTerms<'a>,
}

impl<'a> Cycle<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, pod: &'a PodFact) -> Self {
        Self {
            snapshot,
            pod,
            volumes: admitted(pod).and_then(|()| resolve(snapshot, pod)),
            spread: HardSpread::new(snapshot, pod),
            terms: RequiredTerms::new(snapshot, pod),
        }
    }

    /// Whether the pod fits a node, by every rule.
    ///
    /// # Errors
    /// The first rule that the node breaks, in the order of the scheduler's plugins. A name without
    /// a known node is [`Reason::NodeChanged`].
    pub fn filter(&self, node: &str) -> Result<(), Reason> {
        let unknown = || Reason::NodeChanged { node: Name::truncated(node) };
        let state = self.snapshot.state(node).ok_or_else(unknown)?;
        let fact = state.fact.as_deref().ok_or_else(unknown)?;
        self.filter_known(fact, state)
    }

    fn filter_known(&self, fact: &NodeFact, state: &NodeState) -> Result<(), Reason> {
        let spec = &self.pod.spec;
        let volumes = self.volumes.as_ref().map_err(Clone::clone)?;
        node_unschedulable(spec, fact)?;
        taint_toleration(spec, fact)?;
        node_affinity(spec, fact)?;
        node_ports(spec, self.snapshot.pods_of(state))?;
        resources_fit(spec, &state.used, &fact.allocatable)?;
        volume_limits(self.snapshot, volumes, fact)?;
        volumes_reach(volumes, fact)?;
        self.spread.filter(self.pod, fact)?;
        self.terms.filter(self.snapshot, self.pod, fact)
    }

    /// The nodes that the pod fits, by name.
    pub fn feasible(&self) -> Vec<Name> {
        self.known()
            .filter(|(fact, state)| self.filter_known(fact, state).is_ok())
            .map(|(fact, _)| fact.name.clone())
            .collect()
    }

    /// Scores nodes that the pod fits, in the order given. Unknown names are left out.
    pub fn score(&self, nodes: &[Name]) -> Vec<Score> {
        score::score(self.snapshot, self.pod, nodes)
    }

    /// The node that the scheduler would bind the pod to; among equals the first by name.
    ///
    /// # Errors
    /// When the pod fits nowhere: each node and the first rule that it breaks.
    pub fn choose(&self) -> Result<Name, Vec<(Name, Reason)>> {
        let mut feasible = Vec::new();
        let mut refused = Vec::new();
        for (fact, state) in self.known() {
            match self.filter_known(fact, state) {
                Ok(()) => feasible.push(fact.name.clone()),
                Err(reason) => refused.push((fact.name.clone(), reason)),
            }
        }
        if let [only] = &feasible[..] {
            return Ok(only.clone());
        }
        let mut best: Option<Score> = None;
        for score in self.score(&feasible) {
            if best.as_ref().is_none_or(|best| score.total() > best.total()) {
                best = Some(score);
            }
        }
        best.map(|score| score.node).ok_or(refused)
    }

    fn known(&self) -> impl Iterator<Item = (&NodeFact, &NodeState)> {
        self.snapshot.nodes.values().filter_map(|state| Some((state.fact.as_deref()?, state)))
    }
}

/// Whether this scheduler places the pod at all.
fn admitted(pod: &PodFact) -> Result<(), Reason> {
    if let Some(rule) = pod.spec.unknown.first() {
        return Err(Reason::UnknownConstraint { rule: rule.clone() });
    }
    let scheduler = &pod.spec.scheduler;
    if !scheduler.is_empty() && scheduler.as_str() != DEFAULT_SCHEDULER {
        return Err(Reason::OtherScheduler { scheduler: scheduler.clone() });
    }
    Ok(())
}
