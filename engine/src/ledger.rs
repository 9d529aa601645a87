//! What the cluster has cost, by kinema's own reckoning.
//!
//! A machine is counted from the moment it is noticed until it is noticed to be gone. Where the cloud
//! tells the moments themselves, which may be later, they take the place of the noticed ones. Prices
//! come from the book; a node without a price costs nothing and is counted.

use journal_schema::text::Name;
use journal_schema::units::{MicroUsd, MicroUsdPerHour, Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MILLIS_PER_HOUR: i128 = 3_600_000;
/// For how long a machine that is gone is remembered, because its end may still be told.
const REMEMBERED: Millis = Millis::from_minutes(60);

/// A machine that costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its price; `None` when the book has none.
    pub price: Option<MicroUsdPerHour>,
    /// Its numeric id, where it is known.
    pub id: Option<u64>,
    /// Since when it exists, where the cloud told.
    pub created_at: Option<Timestamp>,
}

/// A machine's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    price: Option<MicroUsdPerHour>,
    id: Option<u64>,
    from: Timestamp,
    /// `from` is the cloud's word.
    told: bool,
}

/// The account of a machine that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    account: Account,
    until: Timestamp,
    /// `until` is the cloud's word.
    told: bool,
}

/// The running total.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Micro-dollars × milliseconds / hour: exact, divided only when it is read.
    total: i128,
    rate: MicroUsdPerHour,
    since: Option<Timestamp>,
    /// When the first machine had a price: what was before is nobody's.
    began: Option<Timestamp>,
    open: BTreeMap<Name, Account>,
    closed: BTreeMap<Name, Closed>,
}

impl Account {
    fn cost(&self, from: Timestamp, to: Timestamp) -> i128 {
        i128::from(self.price.unwrap_or_default().0) * i128::from(to.since(from).0)
    }
}

impl Ledger {
    /// Time went on.
    pub fn advance(&mut self, now: Timestamp) {
        if let Some(since) = self.since {
            self.total += i128::from(self.rate.0) * i128::from(now.since(since).0);
        }
        self.since = Some(now);
    }

    /// These machines cost from now on, and no others.
    pub fn set(&mut self, now: Timestamp, machines: BTreeMap<Name, Machine>) {
        let gone: Vec<Name> = self.open.keys().filter(|name| !machines.contains_key(*name)).cloned().collect();
        for name in gone {
            self.close(&name, now);
        }
        for (name, machine) in machines {
            self.count(now, name, machine);
        }
        self.closed.retain(|_, closed| now.since(closed.until) < REMEMBERED);
    }

    /// This machine costs from now on, if it did not already.
    pub fn count(&mut self, now: Timestamp, name: Name, machine: Machine) {
        // Its node may be seen for a while after it is gone.
        let is_gone = |closed: &Closed| closed.told && (machine.id.is_none() || machine.id == closed.account.id);
        if self.closed.get(&name).is_some_and(is_gone) {
            return;
        }
        // Another machine under the name.
        if self
            .open
            .get(&name)
            .is_some_and(|account| account.id.is_some() && machine.id.is_some_and(|id| Some(id) != account.id))
        {
            self.close(&name, now);
        }
        if machine.price.is_some() {
            self.began.get_or_insert(now);
        }
        let account = self.open.entry(name).or_insert(Account { price: None, id: None, from: now, told: false });
        self.rate = MicroUsdPerHour(self.rate.0 - account.price.unwrap_or_default().0);
        if account.price.is_none() {
            account.from = now;
        }
        account.price = machine.price;
        account.id = machine.id.or(account.id);
        self.rate += account.price.unwrap_or_default();
        if let (Some(created_at), Some(began), true) =
            (machine.created_at, self.began, account.price.is_some() && !account.told)
        {
            let from = created_at.max(began).min(now);
            self.total += account.cost(from, account.from);
            account.from = from;
            account.told = true;
        }
    }

    /// The cloud tells when a machine ended.
    pub fn ended(&mut self, now: Timestamp, name: &Name, id: u64, at: Timestamp) {
        if self.open.get(name).is_some_and(|account| account.id == Some(id)) {
            self.close(name, now);
        }
        if let Some(closed) = self.closed.get_mut(name).filter(|closed| closed.account.id == Some(id) && !closed.told) {
            let at = at.max(closed.account.from).min(now);
            self.total += closed.account.cost(closed.until, at);
            closed.until = at;
            closed.told = true;
        }
    }

    fn close(&mut self, name: &Name, now: Timestamp) {
        if let Some(account) = self.open.remove(name) {
            self.rate = MicroUsdPerHour(self.rate.0 - account.price.unwrap_or_default().0);
            self.closed.insert(name.clone(), Closed { account, until: now, told: false });
        }
    }

    /// What the cluster costs per hour.
    pub fn rate(&self) -> MicroUsdPerHour {
        self.rate
    }

    /// How many machines have no price.
    pub fn unpriced(&self) -> usize {
        self.open.values().filter(|account| account.price.is_none()).count()
    }

    /// What it has cost since the journal began, rounded down.
    pub fn total(&self) -> MicroUsd {
        MicroUsd(i64::try_from(self.total / MILLIS_PER_HOUR).unwrap_or(i64::MAX))
    }

    /// The same at a later time, should nothing happen until then.
    pub fn total_at(&self, now: Timestamp) -> MicroUsd {
        let mut later = self.clone();
        later.advance(now);
        later.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dollar a minute.
    const PRICE: MicroUsdPerHour = MicroUsdPerHour(60_000_000);

    fn minutes(count: i64) -> Timestamp {
        Timestamp(count * 60_000)
    }

    fn name() -> Name {
        Name::truncated("n1")
    }

    fn machine(created_at: Option<Timestamp>) -> Machine {
        Machine { price: Some(PRICE), id: Some(7), created_at }
    }

    /// A ledger that began at minute 0 with a machine that costs nothing.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.advance(minutes(0));
        let free = Machine { price: Some(MicroUsdPerHour::ZERO), id: None, created_at: None };
        ledger.count(minutes(0), Name::truncated("n0"), free);
        ledger
    }

    fn minutes_counted(ledger: &Ledger) -> i64 {
        ledger.total().0 / 1_000_000
    }

    #[test]
    fn a_dollar_a_minute_for_half_an_hour_is_thirty_dollars() {
        let mut ledger = ledger();
        ledger.count(minutes(0), name(), machine(None));
        for minute in 1..=30 {
            ledger.advance(minutes(minute));
        }
        assert_eq!(ledger.total(), MicroUsd(30_000_000));
        assert_eq!((ledger.rate(), ledger.unpriced()), (PRICE, 0));
    }

    /// Seen from 20 to 50, told later to have been from 10 to 40: whatever the order of the news.
    #[test]
    fn what_the_cloud_tells_takes_the_place_of_what_was_noticed() {
        for told_while_open in [true, false] {
            let mut ledger = ledger();
            ledger.advance(minutes(20));
            ledger.count(minutes(20), name(), machine(None));
            ledger.advance(minutes(45));
            ledger.count(minutes(45), name(), machine(Some(minutes(10))));
            assert_eq!(minutes_counted(&ledger), 35);
            if told_while_open {
                ledger.ended(minutes(45), &name(), 7, minutes(40));
                assert_eq!((minutes_counted(&ledger), ledger.rate()), (30, MicroUsdPerHour::ZERO));
                ledger.count(minutes(45), name(), machine(Some(minutes(10))));
            }
            ledger.advance(minutes(50));
            ledger.set(minutes(50), BTreeMap::new());
            for minute in [55, 58] {
                ledger.advance(minutes(minute));
                ledger.ended(minutes(minute), &name(), 7, minutes(40));
                ledger.ended(minutes(minute), &name(), 8, minutes(41));
            }
            assert_eq!((minutes_counted(&ledger), ledger.rate()), (30, MicroUsdPerHour::ZERO), "{told_while_open}");
        }
    }

    #[test]
    fn a_node_that_is_gone_before_its_machine_is_counted_to_the_machines_end() {
        let mut ledger = ledger();
        ledger.count(minutes(0), name(), machine(None));
        ledger.advance(minutes(10));
        ledger.set(minutes(10), BTreeMap::new());
        ledger.advance(minutes(15));
        ledger.ended(minutes(15), &name(), 7, minutes(12));
        assert_eq!(minutes_counted(&ledger), 12);
    }

    #[test]
    fn nothing_is_counted_before_the_ledger_began() {
        let mut ledger = Ledger::default();
        // Nodes are listed one after the other, then prices are read, then machines' times.
        for minute in [20, 25] {
            ledger.advance(minutes(minute));
            let unpriced = Machine { price: None, ..machine(None) };
            ledger.count(minutes(minute), Name::truncated(format!("n{minute}")), unpriced);
        }
        assert_eq!(ledger.unpriced(), 2);
        for (minute, created_at) in [(30, None), (35, Some(minutes(10)))] {
            ledger.advance(minutes(minute));
            for name in ["n20", "n25"] {
                ledger.count(minutes(minute), Name::truncated(name), machine(created_at));
            }
        }
        ledger.advance(minutes(40));
        assert_eq!(minutes_counted(&ledger), 20);
    }

    #[test]
    fn a_name_that_comes_back_with_another_id_is_another_machine() {
        let mut ledger = ledger();
        ledger.count(minutes(0), name(), machine(None));
        ledger.advance(minutes(10));
        ledger.ended(minutes(10), &name(), 7, minutes(8));
        ledger.advance(minutes(12));
        ledger.count(minutes(12), name(), Machine { id: Some(9), ..machine(Some(minutes(11))) });
        ledger.advance(minutes(20));
        assert_eq!(minutes_counted(&ledger), 17);
    }
}
