//! Pods without a host, in the order in which they are tried: those of a class together.

use std::ops::Range;

use crate::model::{Amounts, DIMS, Model, add};

/// Pods of one class.
#[derive(Clone, Debug)]
pub(super) struct Lot {
    pub(super) class: usize,
    /// The place where they must stay; `None` when they may leave it.
    pub(super) place: Option<usize>,
    /// What one of them is worth, at least one, in nano-USD per hour.
    pub(super) worth: i64,
    /// Where in the list they begin.
    first: usize,
    pub(super) count: usize,
}

/// All that have no host.
#[derive(Debug, Default)]
pub(super) struct Pool {
    items: Vec<usize>,
    pub(super) lots: Vec<Lot>,
    /// What all of them are worth.
    pub(super) worth: i64,
}

impl Lot {
    /// Whether its pods may run in a place.
    pub(super) fn may_be_in(&self, place: usize) -> bool {
        self.place.is_none_or(|own| own == place)
    }
}

impl Pool {
    /// Makes it the items of a list whose classes stand together, and of these those that must stay in one place.
    pub(super) fn fill(
        &mut self,
        model: &Model<'_>,
        worth: &[i64],
        items: impl Iterator<Item = (usize, Option<usize>)>,
    ) {
        self.clear();
        for (item, place) in items {
            let class = model.items[item].class;
            let each = worth[class].max(1);
            self.worth += each;
            match self.lots.last_mut().filter(|lot| lot.class == class && lot.place == place) {
                Some(lot) => lot.count += 1,
                None => self.lots.push(Lot { class, place, worth: each, first: self.items.len(), count: 1 }),
            }
            self.items.push(item);
        }
    }

    /// Makes it empty.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.lots.clear();
        self.worth = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lots.iter().all(|lot| lot.count == 0)
    }

    /// All that are left.
    pub(super) fn left(&self) -> Vec<usize> {
        self.lots.iter().flat_map(|lot| &self.items[lot.first..lot.first + lot.count]).copied().collect()
    }

    /// How many there are of the class of a lot: those that must stay in one place and the others.
    pub(super) fn of_class(&self, lot: usize) -> usize {
        let class = self.lots[lot].class;
        let alike = |other: &&Lot| other.class == class;
        let (before, after) = self.lots.split_at(lot);
        let near = before.iter().rev().take_while(alike).chain(after.iter().take_while(alike));
        near.map(|lot| lot.count).sum()
    }

    /// Takes one out of a lot.
    pub(super) fn take(&mut self, lot: usize) -> usize {
        let lot = &mut self.lots[lot];
        lot.count -= 1;
        self.worth -= lot.worth;
        self.items[lot.first + lot.count]
    }

    /// Takes an item out, if it is there; of which lot it was.
    pub(super) fn remove(&mut self, class: usize, item: usize) -> Option<&Lot> {
        for index in (0..self.lots.len()).filter(|index| self.lots[*index].class == class).collect::<Vec<_>>() {
            let lot = &self.lots[index];
            let range: Range<usize> = lot.first..lot.first + lot.count;
            let last = range.end;
            if let Some(place) = self.items[range.clone()].iter().position(|other| *other == item) {
                self.items.swap(range.start + place, last - 1);
                self.take(index);
                return self.lots.get(index);
            }
        }
        None
    }

    /// What is left of each lot, to return to: within a lot items may have changed places.
    pub(super) fn mark(&self) -> (i64, Vec<usize>) {
        (self.worth, self.lots.iter().map(|lot| lot.count).collect())
    }

    /// Puts back what was taken since a mark.
    pub(super) fn undo(&mut self, (worth, counts): (i64, Vec<usize>)) {
        self.worth = worth;
        for (lot, count) in self.lots.iter_mut().zip(counts) {
            lot.count = count;
        }
    }

    /// What all of them ask for.
    pub(super) fn volume(&self, model: &Model<'_>) -> Amounts {
        let mut volume: Amounts = [0; DIMS];
        for lot in &self.lots {
            for _ in 0..lot.count {
                add(&mut volume, &model.classes[lot.class].request);
            }
        }
        volume
    }
}
