//! One pod's scheduling cycle: filter the nodes, score those that are left, take the best.

use std::sync::Arc;

use journal_schema::facts::{NodeFact, PodFact, PvFact};
use journal_schema::reason::Reason;
use journal_schema::text::Name;

use super::affinity::RequiredTerms;
use super::node_rules::{node_affinity, node_ports, node_unschedulable, resources_fit, taint_toleration};
use super::score::{self, Score};
use super::shortcut;
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
    terms: RequiredTerms,
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
        self.spread.filter(state)?;
        self.terms.filter(state)
    }

    /// The nodes that the pod fits, by name.
    pub fn feasible(&self) -> Vec<Name> {
        let fits = |(fact, state): &(&NodeFact, &NodeState)| self.filter_known(fact, state).is_ok();
        self.known().filter(fits).map(|(fact, _)| fact.name.clone()).collect()
    }

    /// Scores nodes that the pod fits, in the order given. Unknown names are left out.
    pub fn score(&self, nodes: &[Name]) -> Vec<Score> {
        let states: Vec<(&NodeFact, &NodeState)> = nodes
            .iter()
            .filter_map(|name| self.snapshot.state(name))
            .filter_map(|state| Some((state.fact.as_deref()?, state)))
            .collect();
        score::score(self.snapshot, self.pod, &states)
    }

    /// The node that the scheduler would bind the pod to; among equals the first by name.
    ///
    /// # Errors
    /// When the pod fits nowhere: each node and the first rule that it breaks.
    pub fn choose(&self) -> Result<Name, Vec<(Name, Reason)>> {
        let fits = |fact: &NodeFact, state: &NodeState| self.filter_known(fact, state).is_ok();
        match shortcut::choose(self.snapshot, self.pod, fits) {
            Some(node) => Ok(node.clone()),
            None => self.choose_of_all(),
        }
    }

    /// The same by every node's score, which is what the choice means.
    fn choose_of_all(&self) -> Result<Name, Vec<(Name, Reason)>> {
        let feasible: Vec<(&NodeFact, &NodeState)> = self
            .snapshot
            .at_a_glance(&self.pod.spec)
            .filter_map(|state| Some((state.fact.as_deref()?, state)))
            .filter(|(fact, state)| self.filter_known(fact, state).is_ok())
            .collect();
        if let [(only, _)] = feasible[..] {
            return Ok(only.name.clone());
        }
        let scores = score::score(self.snapshot, self.pod, &feasible);
        let best = scores.into_iter().max_by(|a, b| a.total().cmp(&b.total()).then_with(|| b.node.cmp(&a.node)));
        best.map(|score| score.node).ok_or_else(|| {
            let refused = |(fact, state): (&NodeFact, &NodeState)| {
                self.filter_known(fact, state).err().map(|reason| (fact.name.clone(), reason))
            };
            self.known().filter_map(refused).collect()
        })
    }

    fn known(&self) -> impl Iterator<Item = (&NodeFact, &NodeState)> {
        self.snapshot.states().filter_map(|state| Some((state.fact.as_deref()?, state)))
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
