//! What an empty machine would take of a pool, worked out beside the placement.
//!
//! Packing a machine in the placement itself, and taking that back, costs many times as much as the sums do;
//! so machines are compared in plain arithmetic, and only the one that is chosen is packed. What rules between
//! pods say of an empty machine is the same for all machines of a place, so it is worked out once for each place;
//! only pods that have rules about pods of other classes are asked about again on each machine.

use super::ground::Ground;
use super::pool::{Lot, Pool};
use crate::counters::{Counters, Seen, conflict, exceeds_cap};
use crate::model::Amounts;
use crate::model::{add, subtract};
use crate::relations::{Relations, Topology};
use crate::state::{State, has_room};

/// Most exchanges on one machine.
const MOST_EXCHANGES: usize = 6;
/// Most lots that are looked at in an exchange.
const MOST_LOTS: usize = 64;

/// The slot of a machine that is only thought of.
const THOUGHT_OF: usize = usize::MAX - 1;

/// The working memory of trials.
#[derive(Debug)]
pub(super) struct Trial<'g> {
    ground: &'g Ground,
    thought: Thought,
    limits: Limits,
    /// By place: what an empty machine there could take of the pool.
    asked: Vec<Asked>,
    /// Lots, and how many of each are taken.
    pub(super) picks: Vec<(usize, usize)>,
}

/// A machine that is only thought of.
#[derive(Debug)]
struct Thought {
    /// By tally: what its pods add to it in the machine's domain.
    added: Vec<u32>,
    /// By affinity term: what they add to its pods.
    total: Vec<u32>,
    /// Tallies and totals that are not zero.
    touched: Vec<usize>,
}

/// How many pods of a class rules let onto one machine, where only pods of that class matter to them. Each is worked out
/// once as long as it holds.
#[derive(Debug)]
struct Limits {
    /// By class: where pods beyond the machine matter to no rule, it always holds.
    of_class: Vec<Option<Limit>>,
    /// By place and lot: it holds until pods of the class come or go.
    of_lot: Vec<Vec<Option<Limit>>>,
}

/// So many of as many as were asked for.
#[derive(Clone, Copy, Debug)]
struct Limit {
    asked: usize,
    most: usize,
}

/// What any machine of a place could take of a pool.
#[derive(Debug, Default)]
struct Asked {
    /// Whether it has been asked for since the pool or the placement changed.
    known: bool,
    lots: Vec<Wanted>,
    /// Nano-USD per hour: what the pods are worth beyond their resources.
    beyond: i64,
}

/// Pods of a lot that one machine may hold.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    lot: usize,
    class: usize,
    /// The most of them that rules allow on one machine; all that are left where rules must be asked on each.
    most: usize,
    /// Rules must be asked on each machine.
    ask: bool,
}

/// Pods of a lot as they are exchanged.
struct Exchange {
    lot: usize,
    request: Amounts,
    worth: i64,
    /// The most of them that rules allow on one machine.
    most: usize,
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

impl<'g> Trial<'g> {
    pub(super) fn new(relations: &Relations, ground: &'g Ground) -> Self {
        let mut asked = Vec::new();
        asked.resize_with(ground.good.len(), Asked::default);
        let (added, total) = (vec![0; relations.tallies().count()], vec![0; relations.affinity.len()]);
        let limits = Limits { of_class: vec![None; ground.alone.len()], of_lot: vec![Vec::new(); asked.len()] };
        Self { ground, thought: Thought { added, total, touched: Vec::new() }, limits, asked, picks: Vec::new() }
    }

    /// Pods of the pool have been placed.
    pub(super) fn forget(&mut self) {
        self.asked.iter_mut().for_each(|asked| asked.known = false);
    }

    /// The pool is another one, or other pods have come or gone.
    pub(super) fn forget_all(&mut self) {
        self.forget();
        self.limits.of_lot.iter_mut().for_each(Vec::clear);
    }

    /// What machines of a place could take of a pool, worked out once; `sig` is the signature of one of them.
    fn ask(&mut self, state: &State<'_, '_>, sig: usize, pool: &Pool) -> (&Asked, &mut Thought) {
        let Self { ground, thought, limits, asked, .. } = self;
        let asked = &mut asked[ground.places[sig]];
        if !asked.known {
            asked.ask(state, sig, pool, ground, thought, limits);
        }
        (asked, thought)
    }

    /// Nano-USD per hour: what an empty machine takes of a pool is worth no more, where `room` is what its resources
    /// are worth.
    pub(super) fn most_worth(&mut self, state: &State<'_, '_>, machine: usize, room: i64, pool: &Pool) -> i64 {
        let (asked, _) = self.ask(state, state.model.machines[machine].sig, pool);
        pool.worth.min(room.saturating_add(asked.beyond))
    }

    /// What an empty machine takes of a pool, in its order; the worth of that.
    pub(super) fn pack(&mut self, state: &State<'_, '_>, machine: usize, pool: &Pool) -> i64 {
        let model = state.model;
        let kind = &model.machines[machine];
        let sig = kind.sig;
        let mut picks = std::mem::take(&mut self.picks);
        picks.clear();
        let (asked, thought) = self.ask(state, sig, pool);
        let mut room = kind.room;
        let mut worth = 0;
        for wanted in &asked.lots {
            let class = &model.classes[wanted.class];
            if !has_room(&class.request, &room, model.dims) || !model.compatible[class.statics][sig] {
                continue;
            }
            let mut taken = 0;
            while taken < wanted.most
                && has_room(&class.request, &room, model.dims)
                && (!wanted.ask || thought.admits(state, class.profile, sig))
            {
                if wanted.ask {
                    let spreads = &model.relations.spreads;
                    thought.count(&model.relations, class.profile, |spread| spreads[spread].eligible[sig]);
                }
                subtract(&mut room, &class.request);
                taken += 1;
            }
            if taken > 0 {
                picks.push((wanted.lot, taken));
                worth += pool.lots[wanted.lot].worth * i64::try_from(taken).unwrap_or(0);
                if !has_room(&model.least_request, &room, model.dims) {
                    break;
                }
            }
        }
        thought.clear();
        self.picks = picks;
        worth
    }

    /// Makes what was packed last worth more: one of its pods makes room for others, as long as that helps. Only pods
    /// about which no rule must be asked on each machine are looked at.
    pub(super) fn complete(&mut self, state: &State<'_, '_>, machine: usize, pool: &Pool) {
        let model = state.model;
        let kind = &model.machines[machine];
        let mut room = kind.room;
        let mut taken = vec![0; pool.lots.len()];
        for (lot, count) in &self.picks {
            taken[*lot] = *count;
            for _ in 0..*count {
                subtract(&mut room, &model.classes[pool.lots[*lot].class].request);
            }
        }
        let (asked, _) = self.ask(state, kind.sig, pool);
        let usable = asked.lots.iter().filter(|wanted| !wanted.ask);
        let usable = usable.filter(|wanted| model.compatible[model.classes[wanted.class].statics][kind.sig]);
        let usable: Vec<Exchange> = usable
            .map(|wanted| Exchange {
                lot: wanted.lot,
                request: model.classes[wanted.class].request,
                worth: pool.lots[wanted.lot].worth,
                most: wanted.most,
            })
            .collect();
        // Of very many those are looked at that stand at even distances: large and small ones.
        let apart = usable.len().div_ceil(MOST_LOTS).max(1);
        let looked_at: Vec<&Exchange> = usable.iter().step_by(apart).collect();
        let (mut gains, mut best_gains) = (Vec::new(), Vec::new());
        for _ in 0..MOST_EXCHANGES {
            let mut best: Option<(i64, &Exchange)> = None;
            for out in usable.iter().filter(|own| taken[own.lot] > 0) {
                let mut left = room;
                add(&mut left, &out.request);
                gains.clear();
                let mut gain = -out.worth;
                for other in looked_at.iter().filter(|other| other.lot != out.lot) {
                    let mut more = taken[other.lot];
                    while more < other.most && has_room(&other.request, &left, model.dims) {
                        subtract(&mut left, &other.request);
                        more += 1;
                        gain += other.worth;
                        gains.push(other.lot);
                    }
                }
                if gain > best.map_or(0, |(most, _)| most) {
                    best = Some((gain, out));
                    std::mem::swap(&mut gains, &mut best_gains);
                }
            }
            let Some((_, out)) = best else { break };
            taken[out.lot] -= 1;
            add(&mut room, &out.request);
            for lot in &best_gains {
                taken[*lot] += 1;
                subtract(&mut room, &model.classes[pool.lots[*lot].class].request);
            }
        }
        self.picks.clear();
        self.picks.extend(taken.into_iter().enumerate().filter(|(_, count)| *count > 0));
    }
}

impl Asked {
    fn ask(
        &mut self,
        state: &State<'_, '_>,
        sig: usize,
        pool: &Pool,
        ground: &Ground,
        thought: &mut Thought,
        limits: &mut Limits,
    ) {
        let model = state.model;
        self.lots.clear();
        (self.known, self.beyond) = (true, 0);
        let place = ground.places[sig];
        let here = |lot: &Lot| lot.count > 0 && lot.may_be_in(place);
        for (index, lot) in pool.lots.iter().enumerate().filter(|(_, lot)| here(lot)) {
            let profile = model.classes[lot.class].profile;
            let mut wanted = Wanted { lot: index, class: lot.class, most: lot.count, ask: false };
            if model.relations.free[profile] {
                // Nobody has rules about it.
            } else if ground.alone[lot.class] {
                let most = |asked: usize| thought.most(state, profile, sig, asked);
                wanted.most = limits.most(place, index, pool, ground, most);
            } else {
                wanted.ask = true;
                // Pods that come first may be what others want to be near.
                let comes_first = model.relations.profiles[profile].affinity_own.is_empty();
                if comes_first && !thought.admits(state, profile, sig) {
                    continue;
                }
            }
            if wanted.most == 0 && model.relations.profiles[profile].affinity_own.is_empty() {
                continue;
            }
            let beyond = (lot.worth - ground.volumes[lot.class]).max(0);
            self.beyond += beyond * i64::try_from(wanted.most).unwrap_or(0);
            self.lots.push(wanted);
        }
    }
}

impl Limits {
    /// How many pods of a lot rules let onto one machine of a place; `most` works it out for so many.
    fn most(
        &mut self,
        place: usize,
        index: usize,
        pool: &Pool,
        ground: &Ground,
        most: impl FnOnce(usize) -> usize,
    ) -> usize {
        let Lot { class, count, .. } = pool.lots[index];
        let (known, asked, holds): (&mut Option<Limit>, usize, bool);
        if ground.groups[class].is_none() {
            (known, asked) = (&mut self.of_class[class], count);
            holds = known.is_some_and(|limit| limit.most < limit.asked || count <= limit.asked);
        } else {
            let lots = &mut self.of_lot[place];
            lots.resize(lots.len().max(index + 1), None);
            (known, asked) = (&mut lots[index], pool.of_class(index));
            holds = known.is_some_and(|limit| limit.asked == asked);
        }
        if !holds {
            *known = Some(Limit { asked, most: most(asked) });
        }
        known.map_or(0, |limit| limit.most).min(count)
    }
}

impl Thought {
    /// Whether rules let one more pod of a profile onto the machine.
    fn admits(&self, state: &State<'_, '_>, profile: usize, sig: usize) -> bool {
        let relations = &state.model.relations;
        let view = View { counters: state.counters(), added: &self.added, total: &self.total, relations, sig };
        conflict(relations, profile, &view).is_none() && !exceeds_cap(relations, profile, &view)
    }

    /// How many pods of a profile rules let onto the machine, of so many at most, where only pods of that profile
    /// matter to them.
    fn most(&mut self, state: &State<'_, '_>, profile: usize, sig: usize, count: usize) -> usize {
        let mut most = 0;
        while most < count && self.admits(state, profile, sig) {
            most += 1;
            // Where pods may run their own constraints count them, whatever this machine is.
            self.count(&state.model.relations, profile, |_| true);
        }
        self.clear();
        most
    }

    /// Forgets the pods of the machine.
    fn clear(&mut self) {
        for touched in self.touched.drain(..) {
            match touched.checked_sub(self.added.len()) {
                None => self.added[touched] = 0,
                Some(affinity) => self.total[affinity] = 0,
            }
        }
    }

    /// Counts one more pod on the machine.
    fn count(&mut self, relations: &Relations, profile: usize, counts: impl Fn(usize) -> bool) {
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
        for spread in profile.spread_hit.iter().filter(|spread| counts(**spread)) {
            bump(relations.spread_tally(*spread));
        }
        profile.caps.iter().for_each(|cap| bump(relations.cap_tally(*cap)));
        for term in &profile.affinity_hit {
            self.total[*term] += 1;
            self.touched.push(self.added.len() + term);
        }
    }
}
