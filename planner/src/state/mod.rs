//! A placement that can be changed and taken back.
//!
//! Hosts have slots: first the nodes that exist, by the model's index, then slots for new machines.
//! A change checks nothing by itself; callers ask [`State::fits`] first. Every change is logged, so
//! that a search can try and [`State::undo`].

mod part;

use crate::commitments::{Account, Tariff};
use crate::counters::{Conflict, Counters, Seen, conflict, exceeds_cap};
use crate::model::{Amounts, FIRST_EXTRA, Model, add, subtract};
use crate::relations::Topology;
use std::borrow::Cow;

pub(crate) use part::Part;

/// No host.
pub(crate) const NOWHERE: usize = usize::MAX;

/// A change, as it is taken back.
#[derive(Clone, Copy, Debug)]
enum Change {
    Placed { item: usize },
    Lifted { item: usize, host: usize },
    Opened { host: usize },
    Closed { host: usize, machine: usize },
}

/// The counts as an open host sees them.
struct Here<'s> {
    counters: &'s Counters,
    sig: usize,
    host: usize,
}

impl Seen for Here<'_> {
    fn sig(&self) -> usize {
        self.sig
    }

    fn host(&self) -> usize {
        self.host
    }

    fn count(&self, topology: Topology, tally: usize, domain: usize) -> u32 {
        self.counters.count(topology, tally, domain)
    }

    fn total(&self, affinity: usize) -> u32 {
        self.counters.total(affinity)
    }
}

/// A placement.
#[derive(Clone)]
pub(crate) struct State<'m, 'a> {
    pub(crate) model: &'m Model<'a>,
    /// By slot: what is left; meaningless while closed.
    pub(crate) room: Vec<Amounts>,
    pub(crate) open: Vec<bool>,
    /// By slot: signature (of new machines, while open).
    pub(crate) sig: Vec<usize>,
    /// By slot beyond the present nodes: the machine, while open.
    pub(crate) machine: Vec<usize>,
    /// By slot: pods that count as movable and run here, at home or as guests.
    pub(crate) pods: Vec<Vec<usize>>,
    /// By item: its host.
    pub(crate) at: Vec<usize>,
    /// By item: the host that it was taken off last.
    pub(crate) was: Vec<usize>,
    /// By machine: how many are booted.
    pub(crate) booted: Vec<u32>,
    /// Closed slots for new machines, the next one last.
    free_slots: Vec<usize>,
    counters: Counters,
    log: Vec<Change>,
    /// Micro-USD per hour of everything open that has a price, less what commitments cover.
    pub(crate) cost: i64,
    /// Hosts that are open.
    pub(crate) hosts: i64,
    /// Open machines by commitment.
    account: Account,
    /// What it takes to move the pods of removed nodes, in thousandths of an ordinary move.
    pub(crate) toll: i64,
    /// Items that have no host and need one.
    pub(crate) homeless: usize,
}

impl<'m, 'a> State<'m, 'a> {
    /// The present placement, with `slots` places for new machines; pending pods have no host.
    pub(crate) fn present(model: &'m Model<'a>, slots: usize) -> Self {
        let nodes = model.hosts.len();
        let mut state = Self {
            model,
            room: model
                .hosts
                .iter()
                .map(|host| host.room)
                .chain(std::iter::repeat_n([0; crate::model::DIMS], slots))
                .collect(),
            open: (0..nodes + slots).map(|slot| slot < nodes).collect(),
            sig: model.hosts.iter().map(|host| host.sig).chain(std::iter::repeat_n(0, slots)).collect(),
            machine: vec![usize::MAX; nodes + slots],
            pods: model
                .hosts
                .iter()
                .map(|host| host.home.clone())
                .chain(std::iter::repeat_n(Vec::new(), slots))
                .collect(),
            at: model.items.iter().map(|item| item.home.unwrap_or(NOWHERE)).collect(),
            was: model.items.iter().map(|item| item.home.unwrap_or(NOWHERE)).collect(),
            booted: vec![0; model.machines.len()],
            free_slots: (nodes..nodes + slots).rev().collect(),
            counters: Counters::new(&model.relations, nodes + slots),
            log: Vec::new(),
            cost: model.present_cost,
            hosts: i64::try_from(model.hosts.len()).unwrap_or(i64::MAX),
            account: model.present_account.clone(),
            toll: 0,
            homeless: 0,
        };
        for item in &model.items {
            if let Some(home) = item.home {
                let profile = model.classes[item.class].profile;
                state.counters.change(&model.relations, profile, state.sig[home], home, true);
            }
        }
        state.homeless = model.pending.iter().filter(|item| model.items[**item].standing.blocked.is_none()).count();
        state
    }

    /// How many slots belong to nodes that exist.
    pub(crate) fn nodes(&self) -> usize {
        self.model.hosts.len()
    }

    /// Whether the amounts fit into what is left of a host.
    pub(crate) fn has_room(&self, request: &Amounts, host: usize) -> bool {
        has_room(request, &self.room[host], self.model.dims)
    }

    /// Whether a class may be placed on an open host now: the scheduler admits it, and no cap is exceeded.
    pub(crate) fn fits(&self, class: usize, host: usize) -> bool {
        self.admits(class, host) && !self.exceeds_cap(class, host)
    }

    /// Whether one pod of a class more would exceed a cap of its workload where a host is.
    pub(crate) fn exceeds_cap(&self, class: usize, host: usize) -> bool {
        let here = Here { counters: &self.counters, sig: self.sig[host], host };
        exceeds_cap(&self.model.relations, self.model.classes[class].profile, &here)
    }

    /// By cap and domain: pods above the policy's limit, where there are any.
    pub(crate) fn crowds(&self) -> Vec<(usize, usize, i64)> {
        let relations = &self.model.relations;
        let above = |(cap, domain, count): (usize, usize, u32)| {
            let excess = i64::from(count) - relations.caps[cap].limit;
            (excess > 0).then_some((cap, domain, excess))
        };
        self.counters.capped(relations).into_iter().filter_map(above).collect()
    }

    /// By cap: pods above the policy's limit.
    pub(crate) fn above_each_limit(&self) -> Vec<i64> {
        let mut sums = vec![0; self.model.relations.caps.len()];
        self.crowds().into_iter().for_each(|(cap, _, excess)| sums[cap] += excess);
        sums
    }

    /// Pods above the policy's limits.
    pub(crate) fn above_limits(&self) -> i64 {
        self.above_each_limit().iter().sum()
    }

    /// Pods above what caps let a plan do.
    pub(crate) fn above_caps(&self) -> i64 {
        let relations = &self.model.relations;
        let above = |(cap, _, count): &(usize, usize, u32)| (i64::from(*count) - relations.caps[*cap].most).max(0);
        self.counters.capped(relations).iter().map(above).sum()
    }

    /// Whether an item on a host would leave its workload within the policy's limits there, as if it were nowhere
    /// now.
    pub(crate) fn stays_below_limits(&self, item: usize, host: usize) -> bool {
        let relations = &self.model.relations;
        let caps = &relations.profiles[self.model.classes[self.model.items[item].class].profile].caps;
        caps.iter().all(|cap| {
            let own = &relations.caps[*cap];
            let domain = |host: usize| relations.domain(own.topology, self.sig[host], host);
            let Some(there) = domain(host) else { return true };
            let home = self.at[item] != NOWHERE && domain(self.at[item]) == Some(there);
            let count = self.counters.count(own.topology, relations.cap_tally(*cap), there) - u32::from(home);
            i64::from(count) < own.limit
        })
    }

    /// Whether the scheduler may put a class on an open host now.
    pub(crate) fn admits(&self, class: usize, host: usize) -> bool {
        let kind = &self.model.classes[class];
        self.has_room(&kind.request, host)
            && self.model.compatible[kind.statics][self.sig[host]]
            && (host >= self.nodes() || self.model.hosts[host].receives)
            && self.conflict(class, host).is_none()
    }

    /// The first rule between pods that keeps a class off a host.
    pub(crate) fn conflict(&self, class: usize, host: usize) -> Option<Conflict> {
        let here = Here { counters: &self.counters, sig: self.sig[host], host };
        conflict(&self.model.relations, self.model.classes[class].profile, &here)
    }

    /// How many pods every rule counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many pods of a domain a spread constraint counts.
    pub(crate) fn spread_count(&self, spread: usize, domain: usize) -> u32 {
        let relations = &self.model.relations;
        self.counters.count(relations.spreads[spread].topology, relations.spread_tally(spread), domain)
    }

    fn least(&self, spread: usize) -> i64 {
        self.model.relations.spreads[spread].least(&|domain| self.spread_count(spread, domain))
    }

    /// How many pods the spread constraints of a class count where a host is.
    pub(crate) fn crowd(&self, class: usize, host: usize) -> u32 {
        let relations = &self.model.relations;
        let own = &relations.profiles[self.model.classes[class].profile].spread_own;
        let here = own.iter().filter_map(|(spread, _)| {
            let domain = relations.domain(relations.spreads[*spread].topology, self.sig[host], host)?;
            Some(self.spread_count(*spread, domain))
        });
        here.sum()
    }

    /// The skew of a spread constraint over a key.
    pub(crate) fn skew(&self, spread: usize) -> i64 {
        let rule = &self.model.relations.spreads[spread];
        let counts = rule.domains.iter().map(|domain| i64::from(self.spread_count(spread, *domain as usize)));
        counts.max().unwrap_or(0) - self.least(spread)
    }

    /// Domains with pods that a spread constraint counts, where there are fewer pods than domains.
    pub(crate) fn few(&self, spread: usize) -> Option<Vec<usize>> {
        let rule = &self.model.relations.spreads[spread];
        let count = |domain: usize| self.spread_count(spread, domain);
        let pods: u32 = rule.domains.iter().map(|domain| count(*domain as usize)).sum();
        let few =
            matches!(rule.topology, Topology::Key(_)) && rule.max_skew == 1 && (pods as usize) < rule.domains.len();
        let taken = rule.domains.iter().map(|domain| *domain as usize).filter(|domain| count(*domain) > 0);
        few.then(|| taken.collect())
    }

    /// How many affinities are broken: their owners are where nothing matches them.
    pub(crate) fn lonely(&self) -> u32 {
        self.counters.lonely
    }

    /// Puts an item that has no host onto an open one.
    pub(crate) fn place(&mut self, item: usize, host: usize) {
        self.log.push(Change::Placed { item });
        self.put(item, host);
        self.homeless -= 1;
    }

    /// Puts an item onto an open host if it fits there, from wherever it is; whether it does.
    pub(crate) fn try_place(&mut self, item: usize, host: usize) -> bool {
        if !self.fits(self.model.items[item].class, host) {
            return false;
        }
        if self.at[item] != NOWHERE {
            self.lift(item);
        }
        self.place(item, host);
        true
    }

    /// Takes an item off its host.
    pub(crate) fn lift(&mut self, item: usize) {
        let host = self.at[item];
        self.log.push(Change::Lifted { item, host });
        self.take(item);
        self.homeless += 1;
    }

    fn put(&mut self, item: usize, host: usize) {
        let class = &self.model.classes[self.model.items[item].class];
        subtract(&mut self.room[host], &class.request);
        self.counters.change(&self.model.relations, class.profile, self.sig[host], host, true);
        self.pods[host].push(item);
        self.at[item] = host;
    }

    fn take(&mut self, item: usize) {
        let host = self.at[item];
        let class = &self.model.classes[self.model.items[item].class];
        add(&mut self.room[host], &class.request);
        self.counters.change(&self.model.relations, class.profile, self.sig[host], host, false);
        // What came last mostly leaves first.
        if let Some(position) = self.pods[host].iter().rposition(|other| *other == item) {
            self.pods[host].swap_remove(position);
        }
        self.at[item] = NOWHERE;
        self.was[item] = host;
    }

    /// Whether a machine may be booted once more.
    pub(crate) fn may_boot(&self, machine: usize) -> bool {
        let most = self.model.machines[machine].offer.most;
        most.is_none_or(|most| self.booted[machine] < most) && !self.free_slots.is_empty()
    }

    /// Opens a slot for a new machine, if one is left and the machine may be booted once more.
    pub(crate) fn boot(&mut self, machine: usize) -> Option<usize> {
        if !self.may_boot(machine) {
            return None;
        }
        let host = self.free_slots.pop()?;
        self.log.push(Change::Opened { host });
        self.set_open(host, machine);
        Some(host)
    }

    /// Opens a present node that was closed; its own pods are not put back.
    pub(crate) fn reopen(&mut self, host: usize) {
        self.log.push(Change::Opened { host });
        self.set_open(host, usize::MAX);
    }

    /// Closes a host that no movable pod is on.
    pub(crate) fn close(&mut self, host: usize) {
        debug_assert!(self.pods[host].is_empty());
        self.log.push(Change::Closed { host, machine: self.machine[host] });
        self.set_closed(host);
    }

    fn set_open(&mut self, host: usize, machine: usize) {
        self.open[host] = true;
        if machine == usize::MAX {
            self.pay(self.model.hosts[host].tariff);
            self.toll -= self.model.hosts[host].toll;
        } else {
            let kind = &self.model.machines[machine];
            self.machine[host] = machine;
            self.sig[host] = kind.sig;
            self.room[host] = kind.room;
            self.booted[machine] += 1;
            self.pay(Some(kind.offer.tariff));
        }
    }

    fn set_closed(&mut self, host: usize) {
        self.open[host] = false;
        let machine = self.machine[host];
        if machine == usize::MAX {
            self.save(self.model.hosts[host].tariff);
            self.toll += self.model.hosts[host].toll;
        } else {
            self.machine[host] = usize::MAX;
            self.booted[machine] -= 1;
            self.save(Some(self.model.machines[machine].offer.tariff));
            self.free_slots.push(host);
        }
    }

    /// Open nodes that may leave.
    pub(crate) fn may_leave(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes()).filter(|host| self.open[*host] && self.model.hosts[*host].keep.is_none())
    }

    /// What booting a machine would cost now, in micro-USD per hour.
    pub(crate) fn price_to_boot(&self, machine: usize) -> i64 {
        self.account.next(&self.model.commitments, self.model.machines[machine].offer.tariff)
    }

    /// What closing an open host would save now, in micro-USD per hour.
    pub(crate) fn saved_by_closing(&self, host: usize) -> i64 {
        let tariff = match self.model.hosts.get(host) {
            Some(host) => host.tariff,
            None => Some(self.model.machines[self.machine[host]].offer.tariff),
        };
        tariff.map_or(0, |tariff| self.account.last(&self.model.commitments, tariff))
    }

    /// Machines that stand by list price, the cheapest to boot now first.
    pub(crate) fn cheapest_first<'l>(&self, machines: &'l [usize]) -> Cow<'l, [usize]> {
        if self.model.commitments.all().is_empty() {
            return Cow::Borrowed(machines);
        }
        let mut machines = machines.to_vec();
        machines.sort_by_key(|machine| (self.price_to_boot(*machine), *machine));
        Cow::Owned(machines)
    }

    fn pay(&mut self, tariff: Option<Tariff>) {
        self.hosts += 1;
        self.cost += tariff.map_or(0, |tariff| self.account.add(&self.model.commitments, tariff));
    }

    fn save(&mut self, tariff: Option<Tariff>) {
        self.hosts -= 1;
        self.cost -= tariff.map_or(0, |tariff| self.account.take(&self.model.commitments, tariff));
    }

    /// A moment to return to.
    pub(crate) fn mark(&self) -> usize {
        self.log.len()
    }

    /// The hosts that were changed since a moment, some of them several times.
    pub(crate) fn touched(&self, mark: usize) -> impl Iterator<Item = usize> {
        self.log[mark..]
            .iter()
            .map(|change| match change {
                Change::Placed { item } => self.at[*item],
                Change::Lifted { host, .. } | Change::Opened { host } | Change::Closed { host, .. } => *host,
            })
            .filter(|host| *host != NOWHERE)
    }

    /// Takes back every change since a moment.
    pub(crate) fn undo(&mut self, mark: usize) {
        while self.log.len() > mark {
            match self.log.pop() {
                Some(Change::Placed { item }) => {
                    self.take(item);
                    self.homeless += 1;
                }
                Some(Change::Lifted { item, host }) => {
                    self.put(item, host);
                    self.homeless -= 1;
                }
                Some(Change::Opened { host }) => self.set_closed(host),
                Some(Change::Closed { host, machine }) => {
                    if machine != usize::MAX {
                        // The slot that was freed last is this one: the log is taken back in reverse.
                        let freed = self.free_slots.pop();
                        debug_assert_eq!(freed, Some(host));
                    }
                    self.set_open(host, machine);
                }
                None => {}
            }
        }
    }

    /// Forgets how to undo: what was done stays done.
    pub(crate) fn commit(&mut self) {
        self.log.clear();
    }
}

/// Whether a request fits into room. What is not asked for fits even where more is taken than there is.
#[inline]
pub(crate) fn has_room(request: &Amounts, room: &Amounts, dims: usize) -> bool {
    let fits = |dim: usize| request[dim] <= room[dim].max(0);
    // Without branches where nearly every cluster has nothing beyond: which of them is short is anybody's guess.
    let plain = (0..FIRST_EXTRA).fold(true, |all, dim| all & fits(dim));
    plain && (FIRST_EXTRA..dims).all(fits)
}
