//! A placement that can be changed and taken back.
//!
//! Hosts have slots: first the nodes that exist, by the model's index, then slots for new machines.
//! A change checks nothing by itself; callers ask [`State::fits`] first. Every change is logged, so
//! that a search can try and [`State::undo`].

use crate::model::{Amounts, Model, add, subtract};
use crate::relations::{Few, Relations, Topology};

/// No host.
pub(crate) const NOWHERE: usize = usize::MAX;

/// Counters of every term.
#[derive(Clone, Debug)]
struct Counters {
    /// By anti-affinity term and domain: pods that match it.
    anti_hit: Vec<Vec<u16>>,
    /// By anti-affinity term and domain: pods that have it.
    anti_own: Vec<Vec<u16>>,
    affinity_hit: Vec<Vec<u16>>,
    affinity_own: Vec<Vec<u16>>,
    /// By affinity term: pods that match it anywhere.
    affinity_total: Vec<u32>,
    spread: Vec<Vec<u32>>,
    /// Pairs of an affinity term and a domain where pods have it and none matches it.
    lonely: u32,
}

impl Counters {
    fn new(relations: &Relations, slots: usize) -> Self {
        let size = |topology: &Topology| match topology {
            Topology::Host => slots,
            Topology::Key(key) => relations.domain_counts[*key],
        };
        let zeros = |terms: &[Topology]| terms.iter().map(|t| vec![0; size(t)]).collect::<Vec<_>>();
        Self {
            anti_hit: zeros(&relations.anti),
            anti_own: zeros(&relations.anti),
            affinity_hit: zeros(&relations.affinity),
            affinity_own: zeros(&relations.affinity),
            affinity_total: vec![0; relations.affinity.len()],
            spread: relations.spreads.iter().map(|s| vec![0; size(&s.topology)]).collect(),
            lonely: 0,
        }
    }

    fn change(&mut self, relations: &Relations, profile: usize, sig: usize, host: usize, arrives: bool) {
        let profile = &relations.profiles[profile];
        let bump = |count: &mut u16| if arrives { *count += 1 } else { *count -= 1 };
        for term in &profile.anti_hit {
            if let Some(domain) = relations.domain(relations.anti[*term], sig, host) {
                bump(&mut self.anti_hit[*term][domain]);
            }
        }
        for term in &profile.anti_own {
            if let Some(domain) = relations.domain(relations.anti[*term], sig, host) {
                bump(&mut self.anti_own[*term][domain]);
            }
        }
        for (list, hits) in [(&profile.affinity_hit, true), (&profile.affinity_own, false)] {
            for term in list {
                if hits {
                    if arrives { self.affinity_total[*term] += 1 } else { self.affinity_total[*term] -= 1 }
                }
                let Some(domain) = relations.domain(relations.affinity[*term], sig, host) else { continue };
                let lonely =
                    |this: &Self| this.affinity_own[*term][domain] > 0 && this.affinity_hit[*term][domain] == 0;
                let before = lonely(self);
                bump(if hits { &mut self.affinity_hit[*term][domain] } else { &mut self.affinity_own[*term][domain] });
                let after = lonely(self);
                if after && !before {
                    self.lonely += 1;
                } else if before && !after {
                    self.lonely -= 1;
                }
            }
        }
        for spread in &profile.spread_hit {
            let rule = &relations.spreads[*spread];
            if rule.eligible[sig]
                && let Some(domain) = relations.domain(rule.topology, sig, host)
            {
                if arrives { self.spread[*spread][domain] += 1 } else { self.spread[*spread][domain] -= 1 }
            }
        }
    }
}

/// A change, as it is taken back.
#[derive(Clone, Copy, Debug)]
enum Change {
    Placed { item: usize },
    Lifted { item: usize, host: usize },
    Opened { host: usize },
    Closed { host: usize, machine: usize },
}

/// Which rule between pods keeps a pod off a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    Anti,
    Affinity,
    /// Index of the spread constraint.
    Spread(usize),
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
    /// By machine: how many are booted.
    pub(crate) booted: Vec<u32>,
    /// Closed slots for new machines, the next one last.
    free_slots: Vec<usize>,
    counters: Counters,
    log: Vec<Change>,
    /// Micro-USD per hour of everything open that has a price.
    pub(crate) cost: i64,
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
            booted: vec![0; model.machines.len()],
            free_slots: (nodes..nodes + slots).rev().collect(),
            counters: Counters::new(&model.relations, nodes + slots),
            log: Vec::new(),
            cost: model.hosts.iter().filter_map(|host| host.price).sum(),
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

    /// Whether a class may be placed on an open host now.
    pub(crate) fn fits(&self, class: usize, host: usize) -> bool {
        let kind = &self.model.classes[class];
        self.has_room(&kind.request, host)
            && self.model.compatible[kind.statics][self.sig[host]]
            && (host >= self.nodes() || self.model.hosts[host].receives)
            && self.conflict(class, host).is_none()
    }

    /// The first rule between pods that keeps a class off a host.
    ///
    /// A spread constraint over hosts is read as if some eligible host had none of the pods: that is
    /// so on any cluster with more hosts than replicas, and stricter elsewhere.
    pub(crate) fn conflict(&self, class: usize, host: usize) -> Option<Conflict> {
        let relations = &self.model.relations;
        let profile = &relations.profiles[self.model.classes[class].profile];
        if profile.is_free() {
            return None;
        }
        let sig = self.sig[host];
        let at = |counts: &[u16], topology| relations.domain(topology, sig, host).is_some_and(|d| counts[d] > 0);
        if profile.anti_own.iter().any(|t| at(&self.counters.anti_hit[*t], relations.anti[*t]))
            || profile.anti_hit.iter().any(|t| at(&self.counters.anti_own[*t], relations.anti[*t]))
        {
            return Some(Conflict::Anti);
        }
        if !profile.affinity_own.is_empty() {
            let met = profile.affinity_own.iter().all(|t| at(&self.counters.affinity_hit[*t], relations.affinity[*t]));
            let first = profile.affinity_self
                && profile.affinity_own.iter().all(|t| {
                    self.counters.affinity_total[*t] == 0
                        && relations.domain(relations.affinity[*t], sig, host).is_some()
                });
            if !met && !first {
                return Some(Conflict::Affinity);
            }
        }
        for (spread, counts_itself) in &profile.spread_own {
            let rule = &relations.spreads[*spread];
            let Some(domain) = relations.domain(rule.topology, sig, host) else {
                return Some(Conflict::Spread(*spread));
            };
            let counts = &self.counters.spread[*spread];
            let least = match rule.topology {
                Topology::Host => 0,
                Topology::Key(_) => self.least(*spread),
            };
            let crowded = i64::from(counts[domain]) + i64::from(*counts_itself) - least > rule.max_skew;
            let comes_too_soon = |few: &Few| {
                !few.homes.contains(&host)
                    && few.domains.contains(&domain)
                    && rule.domains.iter().all(|d| counts[*d as usize] == 0 || few.domains.contains(&(*d as usize)))
            };
            if crowded || rule.few.as_ref().is_some_and(comes_too_soon) {
                return Some(Conflict::Spread(*spread));
            }
        }
        None
    }

    fn least(&self, spread: usize) -> i64 {
        let rule = &self.model.relations.spreads[spread];
        if i64::try_from(rule.domains.len()).unwrap_or(i64::MAX) < rule.min_domains {
            return 0;
        }
        let counts = &self.counters.spread[spread];
        rule.domains.iter().map(|d| i64::from(counts[*d as usize])).min().unwrap_or(0)
    }

    /// How many pods the spread constraints of a class count where a host is.
    pub(crate) fn crowd(&self, class: usize, host: usize) -> u32 {
        let relations = &self.model.relations;
        let own = &relations.profiles[self.model.classes[class].profile].spread_own;
        let here = own.iter().filter_map(|(spread, _)| {
            let domain = relations.domain(relations.spreads[*spread].topology, self.sig[host], host)?;
            Some(self.counters.spread[*spread][domain])
        });
        here.sum()
    }

    /// The skew of a spread constraint over a key.
    pub(crate) fn skew(&self, spread: usize) -> i64 {
        let rule = &self.model.relations.spreads[spread];
        let counts = &self.counters.spread[spread];
        let most = rule.domains.iter().map(|d| i64::from(counts[*d as usize])).max().unwrap_or(0);
        most - self.least(spread)
    }

    /// Domains with pods that a spread constraint counts, where there are fewer pods than domains.
    pub(crate) fn few(&self, spread: usize) -> Option<Vec<usize>> {
        let rule = &self.model.relations.spreads[spread];
        let counts = &self.counters.spread[spread];
        let pods: u32 = rule.domains.iter().map(|domain| counts[*domain as usize]).sum();
        let few =
            matches!(rule.topology, Topology::Key(_)) && rule.max_skew == 1 && (pods as usize) < rule.domains.len();
        let taken = rule.domains.iter().map(|domain| *domain as usize).filter(|domain| counts[*domain] > 0);
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
        if let Some(position) = self.pods[host].iter().position(|other| *other == item) {
            self.pods[host].swap_remove(position);
        }
        self.at[item] = NOWHERE;
    }

    /// Opens a slot for a new machine, if one is left and the machine may be booted once more.
    pub(crate) fn boot(&mut self, machine: usize) -> Option<usize> {
        let most = self.model.machines[machine].offer.most;
        if most.is_some_and(|most| self.booted[machine] >= most) {
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
            self.cost += self.model.hosts[host].price.unwrap_or(0);
            self.toll -= self.model.hosts[host].toll;
        } else {
            let kind = &self.model.machines[machine];
            self.machine[host] = machine;
            self.sig[host] = kind.sig;
            self.room[host] = kind.room;
            self.booted[machine] += 1;
            self.cost += kind.offer.price;
        }
    }

    fn set_closed(&mut self, host: usize) {
        self.open[host] = false;
        let machine = self.machine[host];
        if machine == usize::MAX {
            self.cost -= self.model.hosts[host].price.unwrap_or(0);
            self.toll += self.model.hosts[host].toll;
        } else {
            self.machine[host] = usize::MAX;
            self.booted[machine] -= 1;
            self.cost -= self.model.machines[machine].offer.price;
            self.free_slots.push(host);
        }
    }

    /// A moment to return to.
    pub(crate) fn mark(&self) -> usize {
        self.log.len()
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

/// Whether a request fits into room.
pub(crate) fn has_room(request: &Amounts, room: &Amounts, dims: usize) -> bool {
    request.iter().zip(room).take(dims).all(|(need, have)| *need <= *have || *need == 0)
}
