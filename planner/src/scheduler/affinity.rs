//! Plugin InterPodAffinity: pods that want each other near, or away.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{Labels, NodeFact, PodFact, PodTerm};
use journal_schema::reason::Reason;
use journal_schema::text::Name;

use super::kinds::{Places, PodKind};
use super::matching::pod_term_matches;
use super::score::normalise_affinity;
use super::snapshot::{NodeState, OwnedTerm, Snapshot};

/// A topology key and one of its values, by number.
type Domain = (u32, u32);

/// What the required terms of a pod, and of the others about it, mean for each domain.
pub(super) struct RequiredTerms {
    /// Topology keys of the pod's affinity terms; `None` where no node has the key.
    affinity: Vec<Option<u32>>,
    /// Of its anti-affinity terms.
    anti_affinity: Vec<Option<u32>>,
    /// Domains with a pod that matches all of this pod's affinity terms, by the terms' keys. Empty
    /// when no pod anywhere does.
    near: BTreeSet<Domain>,
    /// Domains with a pod that one of this pod's anti-affinity terms matches.
    away: BTreeSet<Domain>,
    /// Values of each topology key where a pod's anti-affinity matches this pod.
    unwelcome: BTreeMap<u32, BTreeSet<u32>>,
    /// The pod matches its own affinity terms.
    matches_itself: bool,
}

impl RequiredTerms {
    pub(super) fn new(snapshot: &Snapshot, pod: &PodFact) -> Self {
        let affinity = &pod.spec.pod_affinity;
        let anti_affinity = &pod.spec.pod_anti_affinity;
        let keys = |terms: &[PodTerm]| terms.iter().map(|term| snapshot.key(&term.topology_key)).collect::<Vec<_>>();
        let mut terms = Self {
            affinity: keys(affinity),
            anti_affinity: keys(anti_affinity),
            near: BTreeSet::new(),
            away: BTreeSet::new(),
            unwelcome: BTreeMap::new(),
            matches_itself: matches_all(snapshot, affinity, pod, &pod.key.namespace, &pod.labels),
        };
        // A pod that matches all terms matches the first: the others need not be looked at.
        for (kind, places) in selected(snapshot, affinity.first()) {
            if matches_all(snapshot, affinity, pod, &kind.namespace, &kind.labels) {
                for key in terms.affinity.iter().flatten() {
                    terms.near.extend(domains(snapshot, *key, places));
                }
            }
        }
        for (term, key) in anti_affinity.iter().zip(&terms.anti_affinity) {
            let Some(key) = key else { continue };
            for (kind, places) in selected(snapshot, Some(term)) {
                if own_term_matches(snapshot, term, pod, &kind.namespace, &kind.labels) {
                    terms.away.extend(domains(snapshot, *key, places));
                }
            }
        }
        for (owned, places) in snapshot.repelling_for(&pod.labels) {
            if others_term_matches(snapshot, owned, pod)
                && let Some(key) = snapshot.key(&owned.term.topology_key)
            {
                let values = domains(snapshot, key, places).map(|(_, value)| value);
                terms.unwelcome.entry(key).or_default().extend(values);
            }
        }
        terms
    }

    /// Affinity, anti-affinity, and the anti-affinity of the pods that are there, in this order.
    ///
    /// The first pod of a group: if no pod anywhere matches all affinity terms and the pod matches
    /// them itself, it may go to any node that has all of the topology keys.
    pub(super) fn filter(&self, node: &NodeState) -> Result<(), Reason> {
        let domain = |key: &Option<u32>| key.and_then(|key| Some((key, node.domain(key)?)));
        let mut all_near = true;
        for key in &self.affinity {
            let Some(domain) = domain(key) else { return Err(Reason::PodAffinity) };
            all_near &= self.near.contains(&domain);
        }
        if !(all_near || self.near.is_empty() && self.matches_itself) {
            return Err(Reason::PodAffinity);
        }
        let repelled =
            self.anti_affinity.iter().any(|key| domain(key).is_some_and(|domain| self.away.contains(&domain)));
        let unwelcome =
            self.unwelcome.iter().any(|(key, values)| node.domain(*key).is_some_and(|value| values.contains(&value)));
        if repelled || unwelcome {
            return Err(Reason::PodAntiAffinity);
        }
        Ok(())
    }
}

/// The kinds of pods that a term may select.
fn selected<'a>(snapshot: &'a Snapshot, term: Option<&'a PodTerm>) -> impl Iterator<Item = (&'a PodKind, &'a Places)> {
    term.and_then(|term| term.selector.as_ref()).into_iter().flat_map(|selector| snapshot.kinds.hooked(selector))
}

/// The domains of known nodes under a topology key.
fn domains<'a>(snapshot: &'a Snapshot, key: u32, places: &'a Places) -> impl Iterator<Item = Domain> + 'a {
    let known = move |place: &usize| Some(snapshot.at(*place)).filter(|state| state.fact.is_some());
    places.keys().filter_map(move |place| Some((key, known(place)?.domain(key)?)))
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

/// What the preferred terms of a pod and of those that are there, and their required affinity, are worth in each
/// domain.
pub(super) struct Preferences {
    weights: BTreeMap<Domain, i64>,
    keys: BTreeSet<u32>,
}

impl Preferences {
    /// `None` when there is none at all, and the plugin stays silent.
    pub(super) fn new(snapshot: &Snapshot, pod: &PodFact) -> Option<Self> {
        let mut weights: BTreeMap<Domain, i64> = BTreeMap::new();
        for (weight, term) in &pod.spec.pod_preferences {
            for (kind, places) in selected(snapshot, Some(term)) {
                if own_term_matches(snapshot, term, pod, &kind.namespace, &kind.labels) {
                    add(&mut weights, snapshot, &term.topology_key, places, i64::from(*weight));
                }
            }
        }
        for ((owned, weight), places) in snapshot.weighing_for(&pod.labels) {
            if others_term_matches(snapshot, owned, pod) {
                add(&mut weights, snapshot, &owned.term.topology_key, places, *weight);
            }
        }
        let keys: BTreeSet<u32> = weights.keys().map(|(key, _)| *key).collect();
        (!keys.is_empty()).then_some(Self { weights, keys })
    }

    /// What a node is worth.
    pub(super) fn of(&self, state: &NodeState) -> i64 {
        self.keys.iter().filter_map(|key| self.weights.get(&(*key, state.domain(*key)?))).sum()
    }

    /// What no node is worth more than.
    pub(super) fn most(&self) -> i64 {
        let most = |key: &u32| self.weights.range((*key, 0)..=(*key, u32::MAX)).map(|(_, weight)| *weight).max();
        self.keys.iter().filter_map(most).map(|weight| weight.max(0)).sum()
    }
}

/// Scores of nodes, normalised to 0–100. `None` when the plugin stays silent.
pub(super) fn score(snapshot: &Snapshot, pod: &PodFact, nodes: &[(&NodeFact, &NodeState)]) -> Option<Vec<i64>> {
    let preferences = Preferences::new(snapshot, pod)?;
    let raw: Vec<i64> = nodes.iter().map(|(_, state)| preferences.of(state)).collect();
    Some(normalise_affinity(&raw))
}

/// Adds a weight for each pod of a group to its domain.
fn add(weights: &mut BTreeMap<Domain, i64>, snapshot: &Snapshot, key: &Name, places: &Places, weight: i64) {
    let Some(key) = snapshot.key(key) else { return };
    for (place, count) in places {
        let state = snapshot.at(*place);
        if let (Some(_), Some(value)) = (&state.fact, state.domain(key)) {
            *weights.entry((key, value)).or_default() += weight * count;
        }
    }
}
