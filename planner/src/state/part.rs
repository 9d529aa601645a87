//! Parts of a placement that are changed side by side, and put together again.
//!
//! A part has some of the slots. It is a placement in which all other hosts are closed, so nothing that is done to
//! it reaches beyond; what rules count over more than one host they count of the whole placement.

use super::{NOWHERE, State};
use crate::commitments::Account;
use crate::counters::Counters;
use crate::model::{Amounts, Item};

/// What the slots of a part hold.
#[derive(Clone, Debug)]
pub(crate) struct Part(Vec<Slot>);

#[derive(Clone, Debug)]
struct Slot {
    slot: usize,
    open: bool,
    room: Amounts,
    sig: usize,
    machine: usize,
    pods: Vec<usize>,
}

impl<'m, 'a> State<'m, 'a> {
    /// The part with these slots, one of so many. New machines take these slots only, and of those whose number is
    /// limited, or that are paid for already, it may boot no more than its share of what is left.
    pub(crate) fn part(&self, slots: &[usize], parts: u32) -> Self {
        let all = self.open.len();
        let mut part = Self {
            model: self.model,
            room: self.room.clone(),
            open: vec![false; all],
            sig: self.sig.clone(),
            machine: self.machine.clone(),
            pods: vec![Vec::new(); all],
            at: self.at.clone(),
            was: self.was.clone(),
            booted: self.booted.clone(),
            free_slots: slots.iter().rev().copied().filter(|slot| *slot >= self.nodes() && !self.open[*slot]).collect(),
            counters: self.counters.of_hosts(slots),
            log: Vec::new(),
            cost: self.cost,
            hosts: self.hosts,
            account: self.account.clone(),
            toll: self.toll,
            homeless: self.homeless,
        };
        for slot in slots.iter().copied() {
            part.open[slot] = self.open[slot];
            part.pods[slot].clone_from(&self.pods[slot]);
        }
        for (booted, machine) in part.booted.iter_mut().zip(&self.model.machines) {
            if let Some(most) = machine.offer.most {
                *booted = most - most.saturating_sub(*booted) / parts.max(1);
            }
        }
        part.account.restrict(&self.model.commitments, parts.into());
        part
    }

    /// What these slots hold.
    pub(crate) fn cut(&self, slots: &[usize]) -> Part {
        let cut = |slot: &usize| Slot {
            slot: *slot,
            open: self.open[*slot],
            room: self.room[*slot],
            sig: self.sig[*slot],
            machine: self.machine[*slot],
            pods: self.pods[*slot].clone(),
        };
        Part(slots.iter().map(cut).collect())
    }

    /// Puts together what became of parts, of which none has a slot that another has. Pods have moved only within
    /// each of them, or have no host any more.
    pub(crate) fn join(&mut self, parts: Vec<Part>) {
        for of in parts.iter().flat_map(|part| &part.0) {
            self.pods[of.slot].iter().for_each(|item| self.at[*item] = NOWHERE);
        }
        for of in parts.into_iter().flat_map(|part| part.0) {
            let slot = of.slot;
            of.pods.iter().for_each(|item| self.at[*item] = slot);
            (self.open[slot], self.room[slot], self.sig[slot]) = (of.open, of.room, of.sig);
            (self.machine[slot], self.pods[slot]) = (of.machine, of.pods);
        }
        self.sum_up();
    }

    /// Sums and counts anew.
    fn sum_up(&mut self) {
        let (model, nodes) = (self.model, self.nodes());
        self.counters = Counters::new(&model.relations, self.open.len());
        for (item, host) in model.items.iter().zip(&self.at).filter(|(_, host)| **host != NOWHERE) {
            self.counters.change(&model.relations, model.classes[item.class].profile, self.sig[*host], *host, true);
        }
        self.booted = vec![0; model.machines.len()];
        (self.cost, self.hosts, self.toll, self.account) = (0, 0, 0, Account::new(&model.commitments));
        for slot in 0..self.open.len() {
            match (slot < nodes, self.open[slot]) {
                (true, true) => self.pay(model.hosts[slot].tariff),
                (true, false) => self.toll += model.hosts[slot].toll,
                (false, true) => {
                    self.booted[self.machine[slot]] += 1;
                    self.pay(Some(model.machines[self.machine[slot]].offer.tariff));
                }
                (false, false) => {}
            }
        }
        self.free_slots = (nodes..self.open.len()).rev().filter(|slot| !self.open[*slot]).collect();
        let needs_one = |item: &Item| item.home.is_some() || item.standing.blocked.is_none();
        let homeless = self.at.iter().zip(&model.items).filter(|(host, item)| **host == NOWHERE && needs_one(item));
        self.homeless = homeless.count();
        self.log.clear();
    }
}
