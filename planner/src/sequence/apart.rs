//! Opening hosts one after the other that were to be opened at once.
//!
//! Hosts are opened at once where pods went where they are meant to in the few orders that were tried. In another
//! order one of them may take another's pod, and at the end a pod finds no room. A host that is opened by itself takes
//! its own pods whatever their order: that costs a little time, and no machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Rehearsal, Wave};
use crate::model::Model;

impl Change {
    /// The same, with the hosts of those waves opened one after the other in which pods first went elsewhere than
    /// expected in other orders; `None` where no such wave opens several. Time: the moves of all these orders.
    pub(crate) fn apart(
        &self,
        model: &Model<'_>,
        expected: &Rehearsal<'_, '_>,
        others: &[Rehearsal<'_, '_>],
    ) -> Option<Self> {
        let several = |wave: &usize| self.waves[*wave].opens.len() > 1;
        let parted: BTreeSet<usize> =
            others.iter().filter_map(|other| first_elsewhere(model, expected, other)).filter(several).collect();
        if parted.is_empty() {
            return None;
        }
        let host_of: BTreeMap<usize, usize> = expected.steps.iter().map(|step| (step.item, step.host)).collect();
        let mut change = self.clone();
        change.waves.clear();
        for (number, wave) in self.waves.iter().enumerate() {
            if parted.contains(&number) {
                change.waves.extend(wave.apart(&host_of));
            } else {
                change.waves.push(wave.clone());
            }
        }
        Some(change)
    }
}

impl Wave {
    /// One wave for each host that items go to. Those that go elsewhere come with the last.
    fn apart(&self, host_of: &BTreeMap<usize, usize>) -> Vec<Self> {
        let mut waves: Vec<Self> =
            self.opens.iter().map(|host| Self { opens: vec![*host], items: Vec::new() }).collect();
        for item in &self.items {
            let place = host_of.get(item).and_then(|host| self.opens.iter().position(|open| open == host));
            waves[place.unwrap_or(self.opens.len() - 1)].items.push(*item);
        }
        waves.retain(|wave| !wave.items.is_empty());
        waves
    }
}

/// The first wave in which a host does not take the classes that it is expected to.
fn first_elsewhere(model: &Model<'_>, expected: &Rehearsal<'_, '_>, other: &Rehearsal<'_, '_>) -> Option<usize> {
    let mut missing: BTreeMap<(usize, usize, usize), i64> = BTreeMap::new();
    for (rehearsal, by) in [(expected, 1), (other, -1)] {
        for step in &rehearsal.steps {
            *missing.entry((step.round, step.host, model.items[step.item].class)).or_default() += by;
        }
    }
    // What round zero moves is led by nobody.
    missing.iter().filter(|(_, count)| **count != 0).find_map(|((round, ..), _)| round.checked_sub(1))
}
