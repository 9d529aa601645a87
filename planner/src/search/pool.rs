//! Pods without a host, in the order in which they are tried: those of a class together.

use std::ops::Range;

use crate::model::{Amounts, DIMS, Model, add};

/// Pods of one class.
#[derive(Clone, Debug)]
pub(super) struct Lot {
    pub(super) class: usize,
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

impl Pool {
    /// Makes it the items of a list whose classes stand together.
    pub(super) fn fill(&mut self, model: &Model<'_>, worth: &[i64], items: impl Iterator<Item = usize>) {
        self.clear();
        self.items.extend(items);
        for (place, item) in self.items.iter().enumerate() {
            let class = model.items[*item].class;
            let each = worth[class].max(1);
            self.worth += each;
            match self.lots.last_mut().filter(|lot| lot.class == class) {
                Some(lot) => lot.count += 1,
                None => self.lots.push(Lot { class, worth: each, first: place, count: 1 }),
            }
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

    /// Takes one out of a lot.
    pub(super) fn take(&mut self, lot: usize) -> usize {
        let lot = &mut self.lots[lot];
        lot.count -= 1;
        self.worth -= lot.worth;
        self.items[lot.first + lot.count]
    }

    /// Takes an item out, if it is there.
    pub(super) fn remove(&mut self, class: usize, item: usize) {
        let Some(index) = self.lots.iter().position(|lot| lot.class == class) else { return };
        let lot = &self.lots[index];
        let range: Range<usize> = lot.first..lot.first + lot.count;
        let last = range.end;
        if let Some(place) = self.items[range.clone()].iter().position(|other| *other == item) {
            self.items.swap(range.start + place, last - 1);
            self.take(index);
        }
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
