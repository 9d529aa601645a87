//! Pods that no rule about other pods can tell apart, and where they are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal_schema::facts::{Labels, PodFact, Selector};
use journal_schema::shared::Shared;
use journal_schema::text::Name;

/// How many bound pods of a group are at each node's place.
pub(super) type Places = BTreeMap<usize, i64>;

/// Changes the number at a place; what comes to zero is taken out.
pub(super) fn add(places: &mut Places, place: usize, by: i64) {
    let number = places.entry(place).or_default();
    *number += by;
    if *number == 0 {
        places.remove(&place);
    }
}

/// What selectors see of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodKind {
    pub(super) namespace: Name,
    pub(super) labels: Shared<Labels>,
    pub(super) terminating: bool,
}

/// The number of a kind as long as a pod of it is counted: labels are compared once per pod.
pub(super) type KindNumber = usize;

/// The kinds of the bound pods.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    numbers: BTreeMap<Arc<PodKind>, KindNumber>,
    /// By number; a kind without a pod is at no place.
    groups: Vec<(Arc<PodKind>, Places)>,
    /// Numbers that no kind has.
    free: Vec<KindNumber>,
    /// The kinds that have a label with this value.
    labelled: BTreeMap<(Name, Name), BTreeSet<KindNumber>>,
}

impl Kinds {
    /// The number of a pod's kind. The pod must be [entered](Self::enter) next.
    pub(super) fn number(&mut self, pod: &PodFact) -> KindNumber {
        let kind = Arc::new(PodKind {
            namespace: pod.key.namespace.clone(),
            labels: pod.labels.clone(),
            terminating: pod.deletion_at.is_some(),
        });
        let vacant = match self.numbers.entry(kind) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => vacant,
        };
        let kind = Arc::clone(vacant.key());
        let number = self.free.pop().unwrap_or(self.groups.len());
        vacant.insert(number);
        for (key, value) in kind.labels.iter() {
            self.labelled.entry((key.clone(), value.clone())).or_default().insert(number);
        }
        let group = (kind, Places::new());
        if number == self.groups.len() {
            self.groups.push(group)
        } else {
            self.groups[number] = group
        }
        number
    }

    /// Changes how many pods of a kind are at a place. The last one takes the kind's number with it.
    pub(super) fn enter(&mut self, number: KindNumber, place: usize, by: i64) {
        let (kind, places) = &mut self.groups[number];
        add(places, place, by);
        if !places.is_empty() {
            return;
        }
        self.numbers.remove(kind);
        for (key, value) in kind.labels.iter() {
            if let Entry::Occupied(mut same) = self.labelled.entry((key.clone(), value.clone())) {
                same.get_mut().remove(&number);
                if same.get().is_empty() {
                    same.remove();
                }
            }
        }
        self.free.push(number);
    }

    /// The kinds that a selector may select: all that have the label it asks for first, where it asks for any.
    pub(super) fn hooked(&self, selector: &Selector) -> impl Iterator<Item = (&PodKind, &Places)> {
        let hook = hook_of(selector);
        let all = hook.is_none().then(|| self.groups.iter()).into_iter().flatten();
        let found = hook.and_then(|hook| self.labelled.get(&hook)).into_iter().flatten();
        all.chain(found.map(|number| &self.groups[*number])).map(|(kind, places)| (&**kind, places))
    }
}

/// The label that a selector asks for first; a pod without it is not selected.
pub(super) fn hook_of(selector: &Selector) -> Option<(Name, Name)> {
    selector.labels.iter().next().map(|(key, value)| (key.clone(), value.clone()))
}
