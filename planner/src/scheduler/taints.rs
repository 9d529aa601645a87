//! Which places show which taints: most nodes of a cluster show one of very few lists of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal_schema::facts::Taint;

/// The number of a list of taints as long as a place shows it.
pub(super) type TaintsNumber = usize;

/// The lists of taints of the known nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Taints {
    numbers: BTreeMap<Arc<[Taint]>, TaintsNumber>,
    /// By number; a list that no place shows is empty of places.
    lists: Vec<Shown>,
    /// Numbers that no list has.
    free: Vec<TaintsNumber>,
}

/// A list of taints and the places that show it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) taints: Arc<[Taint]>,
    pub(super) places: BTreeSet<usize>,
}

impl Taints {
    /// A place shows these from now on, and showed nothing before; their number.
    pub(super) fn show(&mut self, place: usize, taints: &[Taint]) -> TaintsNumber {
        if let Some(number) = self.numbers.get(taints) {
            self.lists[*number].places.insert(place);
            return *number;
        }
        let taints: Arc<[Taint]> = taints.into();
        let number = self.free.pop().unwrap_or(self.lists.len());
        self.numbers.insert(Arc::clone(&taints), number);
        let shown = Shown { taints, places: [place].into() };
        if number == self.lists.len() {
            self.lists.push(shown)
        } else {
            self.lists[number] = shown
        }
        number
    }

    /// A place shows nothing any more. The last one takes the list's number with it.
    pub(super) fn hide(&mut self, place: usize, number: TaintsNumber) {
        let shown = &mut self.lists[number];
        shown.places.remove(&place);
        if shown.places.is_empty() {
            self.numbers.remove(&shown.taints);
            self.free.push(number);
        }
    }

    /// All lists, by number.
    pub(super) fn lists(&self) -> &[Shown] {
        &self.lists
    }
}
