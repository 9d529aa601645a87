//! Which pods the scheduler spreads together by default: those of one ReplicaSet or StatefulSet, by its selector.

use std::collections::BTreeMap;

use journal_schema::facts::{Labels, OwnerKind, PodFact, Selector};
use journal_schema::plan::PlanningInput;
use journal_schema::text::Name;

use crate::model::Item;
use crate::rules::selector_matches;
use crate::scheduler::matching::selector_is_empty;
use crate::scheduler::spread::spread_owner;

/// Groups of pods.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// How many there are.
    pub(crate) count: usize,
    /// By item: the group that it is spread with.
    pub(crate) own: Vec<Option<usize>>,
    /// By item: an index into the lists of groups whose selectors count it.
    counted: Vec<usize>,
    lists: Vec<Vec<usize>>,
}

/// A namespace and the label that a selector asks for first, if it asks for any.
type Hook<'a> = (&'a Name, Option<(&'a Name, &'a Name)>);

impl Groups {
    /// Time: pods × groups of their namespace that ask for one of their labels first.
    pub(crate) fn new(input: &PlanningInput, items: &[Item<'_>]) -> Self {
        let workloads = &input.cluster.workloads;
        let selector_of = |pod: &PodFact| {
            Some(&workloads.get(&spread_owner(pod)?)?.selector).filter(|selector| !selector_is_empty(selector))
        };
        let mut numbers: BTreeMap<(&Name, &Name, OwnerKind), usize> = BTreeMap::new();
        let mut asking: BTreeMap<Hook<'_>, Vec<(usize, &Selector)>> = BTreeMap::new();
        let mut own = Vec::with_capacity(items.len());
        for item in items {
            let (Some(selector), Some(owner)) = (selector_of(item.fact), &item.fact.owner) else {
                own.push(None);
                continue;
            };
            let namespace = &item.fact.key.namespace;
            let next = numbers.len();
            let number = *numbers.entry((namespace, &owner.name, owner.kind)).or_insert(next);
            if number == next {
                asking.entry((namespace, selector.labels.iter().next())).or_default().push((number, selector));
            }
            own.push(Some(number));
        }
        // Pods of one namespace with equal labels are counted alike.
        let mut known: BTreeMap<(&Name, &Labels), usize> = BTreeMap::new();
        let mut lists: Vec<Vec<usize>> = vec![Vec::new()];
        let counted = items.iter().map(|item| {
            let (namespace, labels) = (&item.fact.key.namespace, &*item.fact.labels);
            if item.fact.deletion_at.is_some() {
                return 0;
            }
            *known.entry((namespace, labels)).or_insert_with(|| {
                let hooks = labels.iter().map(Some).chain([None]);
                let mut list: Vec<usize> = hooks
                    .filter_map(|hook| asking.get(&(namespace, hook)))
                    .flatten()
                    .filter(|(_, selector)| selector_matches(selector, labels))
                    .map(|(number, _)| *number)
                    .collect();
                list.sort_unstable();
                lists.push(list);
                lists.len() - 1
            })
        });
        let counted = counted.collect();
        Self { count: numbers.len(), own, counted, lists }
    }

    /// The groups whose selectors count an item.
    pub(crate) fn counting(&self, item: usize) -> &[usize] {
        &self.lists[self.counted[item]]
    }
}
