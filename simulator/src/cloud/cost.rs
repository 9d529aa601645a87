//! The independent judge of cost: integrates prices over the lifetimes of machines.
//!
//! A machine is billed from the moment it is PROVISIONING (it has its id) to the moment it is gone.
//! A machine that never got an id is never billed. Prices are those of the pool's region, machine
//! type and capacity type; a change of prices counts from its moment on, for living machines too.
//! Boot disks, addresses, licences and the cluster's fee are left out, as they are in the books.

use journal_schema::cloud::{CapacityType, PoolId, PriceBook};
use journal_schema::text::Name;
use journal_schema::units::{MicroUsd, Timestamp};

/// A machine's billed life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Pool.
    pub pool: PoolId,
    /// Region.
    pub region: Name,
    /// Machine type.
    pub machine_type: Name,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Name.
    pub name: Name,
    /// Numeric id.
    pub id: u64,
    /// From.
    pub from: Timestamp,
    /// To; `None` while it lives.
    pub to: Option<Timestamp>,
}

/// Every life and every price there was.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    lifetimes: Vec<Lifetime>,
    /// Books in order of time; the first holds for all time before it, too.
    books: Vec<(Timestamp, PriceBook)>,
}

impl Ledger {
    pub(super) fn new(now: Timestamp, prices: PriceBook) -> Self {
        Self { lifetimes: Vec::new(), books: vec![(now, prices)] }
    }

    pub(super) fn set_prices(&mut self, now: Timestamp, prices: PriceBook) {
        self.books.push((now, prices));
    }

    pub(super) fn prices(&self) -> Option<&PriceBook> {
        self.books.last().map(|(_, book)| book)
    }

    pub(super) fn begin(&mut self, lifetime: Lifetime) {
        self.lifetimes.push(lifetime);
    }

    pub(super) fn end(&mut self, id: u64, at: Timestamp) {
        if let Some(lifetime) =
            self.lifetimes.iter_mut().rev().find(|lifetime| lifetime.id == id && lifetime.to.is_none())
        {
            lifetime.to = Some(at);
        }
    }

    pub(super) fn lifetimes(&self) -> &[Lifetime] {
        &self.lifetimes
    }

    /// Cost of all machines within `[from, to)`, rounded half up once, at the end.
    pub(super) fn cost(&self, from: Timestamp, to: Timestamp) -> MicroUsd {
        const HOUR: i128 = 3_600_000;
        let mut micro_millis: i128 = 0;
        for life in &self.lifetimes {
            let (begin, end) = (life.from.max(from), life.to.unwrap_or(to).min(to));
            for (index, (since, book)) in self.books.iter().enumerate() {
                let since = if index == 0 { begin } else { begin.max(*since) };
                let until = self.books.get(index + 1).map_or(end, |(next, _)| end.min(*next));
                if until > since
                    && let Some(price) = book.price(&life.region, &life.machine_type, life.capacity_type)
                {
                    micro_millis += i128::from(price.0) * i128::from(until.since(since).0);
                }
            }
        }
        MicroUsd(i64::try_from((micro_millis + HOUR / 2).div_euclid(HOUR)).unwrap_or(i64::MAX))
    }

    /// Machines whose price no book has: they are in no sum.
    pub(super) fn unpriced(&self) -> usize {
        let known = |life: &&Lifetime| {
            self.books
                .iter()
                .all(|(_, book)| book.price(&life.region, &life.machine_type, life.capacity_type).is_some())
        };
        self.lifetimes.len() - self.lifetimes.iter().filter(known).count()
    }
}
