//! Plugin InterPodAffinity: pods that want each other near, or away.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{Labels, NodeFact, PodFact, PodTerm};
use journal_schema::reason::Reason;
use journal_schema::text::Name;

use super::matching::pod_term_matches;
use super::score::normalise_affinity;
use super::snapshot::{OwnedTerm, Snapshot};

/// A topology key and one of its values.
type Domain<'a> = (&'a Name, &'a Name);

/// What the required terms of a pod, and of the others about it, mean for each domain.
pub(super) struct RequiredTerms<'a> {
    /// Domains with a pod that matches all of this pod's affinity terms, by the terms' keys. Empty
    /// when no pod anywhere does.
    near: BTreeSet<Domain<'a>>,
    /// Domains with a pod that one of this pod's anti-affinity terms matches.
    away: BTreeSet<Domain<'a>>,
    /// Values of each topology key where a pod's anti-affinity matches this pod.
    unwelcome: BTreeMap<&'a Name, BTreeSet<&'a Name>>,
}

impl<'a> RequiredTerms<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, pod: &'a PodFact) -> Self {
        let mut terms = Self { near: BTreeSet::new(), away: BTreeSet::new(), unwelcome: BTreeMap::new() };
        let affinity = &pod.spec.pod_affinity;
        let anti_affinity = &pod.spec.pod_anti_affinity;
        if !affinity.is_empty() || !anti_affinity.is_empty() {
            for (kind, nodes) in &snapshot.kinds {
                if matches_all(snapshot, affinity, pod, &kind.namespace, &kind.labels) {
                    for term in affinity {
                        terms.near.extend(domains(snapshot, &term.topology_key, nodes));
                    }
                }
                for term in anti_affinity {
                    if own_term_matches(snapshot, term, pod, &kind.namespace, &kind.labels) {
                        terms.away.extend(domains(snapshot, &term.topology_key, nodes));
                    }
                }
            }
        }
        for (owned, nodes) in &snapshot.repelling {
            if others_term_matches(snapshot, owned, pod) {
                let key = &owned.term.topology_key;
                terms.unwelcome.entry(key).or_default().extend(domains(snapshot, key, nodes).map(|(_, value)| value));
            }
        }
        terms
    }

    /// Affinity, anti-affinity, and the anti-affinity of the pods that are there, in this order.
    ///
    /// The first pod of a group: if no pod anywhere matches all affinity terms and the pod matches
    /// them itself, it may go to any node that has all of the topology keys.
    pub(super) fn filter(&self, snapshot: &Snapshot, pod: &PodFact, node: &NodeFact) -> Result<(), Reason> {
        let affinity = &pod.spec.pod_affinity;
        let mut all_near = true;
        for term in affinity {
            let Some(value) = node.labels.get(&term.topology_key) else { return Err(Reason::PodAffinity) };
            all_near &= self.near.contains(&(&term.topology_key, value));
        }
        let first_of_group =
            self.near.is_empty() && matches_all(snapshot, affinity, pod, &pod.key.namespace, &pod.labels);
        if !all_near && !first_of_group {
            return Err(Reason::PodAffinity);
        }
        let repelled = pod.spec.pod_anti_affinity.iter().any(|term| {
            node.labels.get(&term.topology_key).is_some_and(|value| self.away.contains(&(&term.topology_key, value)))
        });
        let unwelcome = self
            .unwelcome
            .iter()
            .any(|(key, values)| node.labels.get(*key).is_some_and(|value| values.contains(value)));
        if repelled || unwelcome {
            return Err(Reason::PodAntiAffinity);
        }
        Ok(())
    }
}

/// The domains of known nodes under a topology key.
fn domains<'a>(
    snapshot: &'a Snapshot,
    key: &'a Name,
    nodes: &'a BTreeMap<Name, i64>,
) -> impl Iterator<Item = Domain<'a>> {
    nodes.keys().filter_map(move |node| Some((key, snapshot.domain(node, key)?)))
}

fn matches_all(snapshot: &Snapshot, terms: &[PodTerm], owner: &PodFact, namespace: &Name, labels: &Labels) -> bool {
    !terms.is_empty() && terms.iter().all(|term| own_term_matches(snapshot, term, owner, namespace, labels))
}

/// A term of the pod that is to be placed. A namespace that is not known is selected only by an
/// empty namespace selector: the real plugin lists the namespaces that match.
fn own_term_matches(snapshot: &Snapshot, term: &PodTerm, owner: &PodFact, namespace: &Name, labels: &Labels) -> bool {
    pod_term_matches(term, &owner.key.namespace, namespace, labels, snapshot.namespaces.get(namespace))
}

/// A term of pods that are there, about the pod that is to be placed. A namespace that is not
/// known counts as one without labels.
fn others_term_matches(snapshot: &Snapshot, owned: &OwnedTerm, pod: &PodFact) -> bool {
    let none = BTreeMap::new();
    let namespace = &pod.key.namespace;
    let labels = snapshot.namespaces.get(namespace).unwrap_or(&none);
    pod_term_matches(&owned.term, &owned.namespace, namespace, &pod.labels, Some(labels))
}

/// Scores of nodes by preferred terms, the pod's own and those of the pods that are there, and by
/// their required affinity; normalised to 0–100. `None` when there is none at all.
pub(super) fn score(snapshot: &Snapshot, pod: &PodFact, nodes: &[&NodeFact]) -> Option<Vec<i64>> {
    let mut weights: BTreeMap<Domain<'_>, i64> = BTreeMap::new();
    if !pod.spec.pod_preferences.is_empty() {
        for (kind, places) in &snapshot.kinds {
            for (weight, term) in &pod.spec.pod_preferences {
                if own_term_matches(snapshot, term, pod, &kind.namespace, &kind.labels) {
                    add(&mut weights, snapshot, &term.topology_key, places, i64::from(*weight));
                }
            }
        }
    }
    for ((owned, weight), places) in &snapshot.weighing {
        if others_term_matches(snapshot, owned, pod) {
            add(&mut weights, snapshot, &owned.term.topology_key, places, *weight);
        }
    }
    if weights.is_empty() {
        return None;
    }
    let keys: BTreeSet<&Name> = weights.keys().map(|(key, _)| *key).collect();
    let of_node =
        |node: &&NodeFact| -> i64 { keys.iter().filter_map(|key| weights.get(&(*key, node.labels.get(*key)?))).sum() };
    let raw: Vec<i64> = nodes.iter().map(of_node).collect();
    Some(normalise_affinity(&raw))
}

/// Adds a weight for each pod of a group to its domain.
fn add<'a>(
    weights: &mut BTreeMap<Domain<'a>, i64>,
    snapshot: &'a Snapshot,
    key: &'a Name,
    places: &BTreeMap<Name, i64>,
    weight: i64,
) {
    for (node, count) in places {
        if let Some(value) = snapshot.domain(node, key) {
            *weights.entry((key, value)).or_default() += weight * count;
        }
    }
}
