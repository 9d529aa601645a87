//! What an empty machine would take of a pool, worked out beside the placement.
//!
//! Packing a machine in the placement itself, and taking that back, costs many times as much as the sums do;
//! so machines are compared in plain arithmetic, and only the one that is chosen is packed.

use super::pool::Pool;
use crate::counters::{Counters, Seen, conflict, exceeds_cap};
use crate::model::{Amounts, DIMS, subtract};
use crate::relations::{Relations, Topology};
use crate::state::{State, has_room};

/// The slot of a machine that is only thought of.
const THOUGHT_OF: usize = usize::MAX - 1;

/// The working memory of trials.
#[derive(Debug)]
pub(super) struct Trial {
    /// By tally: what the machine's pods add to it in the machine's domain.
    added: Vec<u32>,
    /// By affinity term: what they add to its pods.
    total: Vec<u32>,
    /// Tallies and totals that are not zero.
    touched: Vec<usize>,
    room: Amounts,
    /// Lots, and how many of each are taken.
    pub(super) picks: Vec<(usize, usize)>,
}

struct View<'t> {
    counters: &'t Counters,
    added: &'t [u32],
    total: &'t [u32],
    relations: &'t Relations,
    sig: usize,
}

impl Seen for View<'_> {
    fn sig(&self) -> usize {
        self.sig
    }

    fn host(&self) -> usize {
        THOUGHT_OF
    }

    fn count(&self, topology: Topology, tally: usize, domain: usize) -> u32 {
        match topology {
            Topology::Host => self.added[tally],
            Topology::Key(_) => {
                let here = self.relations.domain(topology, self.sig, THOUGHT_OF) == Some(domain);
                self.counters.count(topology, tally, domain) + if here { self.added[tally] } else { 0 }
            }
        }
    }

    fn total(&self, affinity: usize) -> u32 {
        self.counters.total(affinity) + self.total[affinity]
    }
}

impl Trial {
    pub(super) fn new(relations: &Relations) -> Self {
        let tallies = relations.tallies().count();
        Self {
            added: vec![0; tallies],
            total: vec![0; relations.affinity.len()],
            touched: Vec::new(),
            room: [0; DIMS],
            picks: Vec::new(),
        }
    }

    /// What an empty machine takes of a pool, in its order; the worth of that.
    pub(super) fn pack(&mut self, state: &State<'_, '_>, machine: usize, pool: &Pool) -> i64 {
        let model = state.model;
        let kind = &model.machines[machine];
        let sig = kind.sig;
        self.room = kind.room;
        self.picks.clear();
        let mut worth = 0;
        for (index, lot) in pool.lots.iter().enumerate().filter(|(_, lot)| lot.count > 0) {
            let class = &model.classes[lot.class];
            if !has_room(&class.request, &self.room, model.dims) || !model.compatible[class.statics][sig] {
                continue;
            }
            let free = model.relations.profiles[class.profile].is_free();
            let mut taken = 0;
            while taken < lot.count && has_room(&class.request, &self.room, model.dims) {
                if !free {
                    let view = View {
                        counters: state.counters(),
                        added: &self.added,
                        total: &self.total,
                        relations: &model.relations,
                        sig,
                    };
                    let relations = &model.relations;
                    if conflict(relations, class.profile, &view).is_some()
                        || exceeds_cap(relations, class.profile, &view)
                    {
                        break;
                    }
                    self.count(&model.relations, class.profile, sig);
                }
                subtract(&mut self.room, &class.request);
                taken += 1;
            }
            if taken > 0 {
                self.picks.push((index, taken));
                worth += lot.worth * i64::try_from(taken).unwrap_or(0);
            }
        }
        for touched in self.touched.drain(..) {
            match touched.checked_sub(self.added.len()) {
                None => self.added[touched] = 0,
                Some(affinity) => self.total[affinity] = 0,
            }
        }
        worth
    }

    /// Counts one more pod on the machine.
    fn count(&mut self, relations: &Relations, profile: usize, sig: usize) {
        let profile = &relations.profiles[profile];
        let mut bump = |tally: usize| {
            self.added[tally] += 1;
            self.touched.push(tally);
        };
        for (terms, hits) in [(&profile.anti_hit, true), (&profile.anti_own, false)] {
            terms.iter().for_each(|term| bump(relations.anti_tally(*term, hits)));
        }
        for (terms, hits) in [(&profile.affinity_hit, true), (&profile.affinity_own, false)] {
            terms.iter().for_each(|term| bump(relations.affinity_tally(*term, hits)));
        }
        for spread in profile.spread_hit.iter().filter(|spread| relations.spreads[**spread].eligible[sig]) {
            bump(relations.spread_tally(*spread));
        }
        profile.caps.iter().for_each(|cap| bump(relations.cap_tally(*cap)));
        for term in &profile.affinity_hit {
            self.total[*term] += 1;
            self.touched.push(self.added.len() + term);
        }
    }
}
