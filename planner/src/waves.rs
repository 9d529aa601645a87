//! The waves of a placement: in which order hosts are opened, and which pods move meanwhile.
//!
//! A host is opened by itself, and the pods of a class are interchangeable, so what a host is to take is a
//! number of each class. Where a rule keeps a pod off its host for now (a spread constraint that counts the
//! pods that still leave), the host is opened once more later.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use journal_schema::plan::MoveMethod;

use crate::ahead::{Ahead, MOST_PODS};
use crate::model::{Amounts, Model, add, subtract};
use crate::relations::Topology;
use crate::sequence::{Change, Wave, joined};
use crate::state::{NOWHERE, State};

/// Hosts of which the next is chosen.
const CONSIDERED: usize = 64;
/// Items that are tried in vain before a host waits.
const TRIED: usize = 3;

/// What a placement changes, led wave by wave. Time: moves × the hosts considered.
pub(crate) fn led(found: &State<'_, '_>) -> Change {
    let mut change = Change::of(found);
    let mut waves = Waves::new(found, &change);
    waves.in_turn();
    while waves.change_places() {}
    change.waves = waves.end();
    change.waves = joined(found.model, &change);
    change
}

/// What a host is still to take.
struct Need {
    slot: usize,
    classes: Vec<usize>,
    /// What is left of it once it has.
    left: Amounts,
}

/// The waves so far, and what is left to do.
struct Waves<'m, 'a> {
    /// The placement after the waves so far.
    state: State<'m, 'a>,
    /// By class: the items that have not moved, with their homes that leave.
    homes: BTreeMap<usize, Vec<usize>>,
    needs: Vec<Need>,
    /// By class and signature: how many items hosts still need.
    wanted: BTreeMap<(usize, usize), usize>,
    waves: Vec<Wave>,
}

impl<'m, 'a> Waves<'m, 'a> {
    fn new(found: &State<'m, 'a>, change: &Change) -> Self {
        let model = found.model;
        let mut state = State::present(model, change.machines.len());
        let class_of = |item: &usize| model.items[*item].class;
        let mut homes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for item in change.leaving.iter().flat_map(|host| &model.hosts[*host].home) {
            homes.entry(class_of(item)).or_default().push(*item);
        }
        // New machines get the slots that the change gives them.
        let used = |host: &usize| found.open[*host] && !found.pods[*host].is_empty();
        let mut new: Vec<usize> = (found.nodes()..found.open.len()).filter(used).collect();
        new.sort_by_key(|host| (found.machine[*host], *host));
        let new = new.iter().filter_map(|host| Some((*host, state.boot(found.machine[*host])?)));
        let staying = (0..found.nodes()).filter(|host| found.open[*host]).map(|host| (host, host));
        let leaves = |item: &&usize| model.items[**item].home.is_some_and(|home| !found.open[home]);
        let need = |(host, slot): (usize, usize)| Need {
            slot,
            classes: found.pods[host].iter().filter(leaves).map(class_of).collect(),
            left: found.room[host],
        };
        let new: Vec<(usize, usize)> = new.collect();
        let needs: Vec<Need> = staying.chain(new).map(need).filter(|need| !need.classes.is_empty()).collect();
        let mut wanted: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for need in &needs {
            for class in &need.classes {
                *wanted.entry((*class, state.sig[need.slot])).or_default() += 1;
            }
        }
        Self { state, homes, needs, wanted, waves: Vec::new() }
    }

    /// Opens host after host as long as one of them can take a pod.
    fn in_turn(&mut self) {
        let (mut next, mut in_vain) = (0, 0);
        while in_vain < self.needs.len() {
            // What looked best in vain would look so again.
            let place = if in_vain == 0 { self.readiest(next) } else { next % self.needs.len() };
            let slot = self.needs[place].slot;
            let mut items = Vec::new();
            for class in std::mem::take(&mut self.needs[place].classes) {
                match self.send(class, slot) {
                    Some(item) => items.push(item),
                    None => self.needs[place].classes.push(class),
                }
            }
            next = if self.needs[place].classes.is_empty() { place } else { place + 1 };
            if items.is_empty() {
                in_vain += 1;
            } else {
                in_vain = 0;
                self.waves.push(Wave { opens: vec![slot], items });
                self.needs.retain(|need| !need.classes.is_empty());
            }
        }
    }

    /// Of the hosts whose turn it is, the one that can take most of what it needs.
    fn readiest(&self, next: usize) -> usize {
        let count = self.needs.len();
        let share = |place: usize| {
            let need = &self.needs[place];
            need.classes.iter().filter(|class| self.state.admits(**class, need.slot)).count() * 100 / need.classes.len()
        };
        let considered = (0..count.min(CONSIDERED)).map(|offset| (Reverse(offset), (next + offset) % count));
        let best = considered.max_by_key(|(offset, place)| (share(*place), *offset));
        best.map_or(0, |(_, place)| place)
    }

    /// Moves one item of a class to a host, from where another one is to come, or else most of its kind are: where
    /// pods must be spread evenly the next one goes to where this one left. Which one, if the host takes it.
    fn send(&mut self, class: usize, host: usize) -> Option<usize> {
        let model = self.state.model;
        let mut homes = self.homes.remove(&class)?;
        let home = |item: &usize| model.items[*item].home;
        if model.relations.profiles[model.classes[class].profile].spread_own.is_empty() {
            // It is all the same from where they come: in order once, they stay so.
            homes.sort_unstable_by_key(|item| Reverse(*item));
        } else {
            homes.sort_by_cached_key(|item| {
                let crowd = home(item).map_or(0, |home| self.state.crowd(class, home));
                (home(item).map_or(0, |home| self.wanted_beside(class, home, host)), crowd, Reverse(*item))
            });
        }
        let mut others = self.hold_back(class, host, &mut homes);
        let sent = self.send_one_of(&mut homes, class, host);
        homes.append(&mut others);
        self.homes.insert(class, homes);
        if sent.is_some()
            && let Some(wanted) = self.wanted.get_mut(&(class, self.state.sig[host]))
        {
            *wanted = wanted.saturating_sub(1);
        }
        sent
    }

    /// Takes out of the items of a class, whose order stays, those after which the others could not all follow to
    /// where hosts need them.
    fn hold_back(&self, class: usize, host: usize, homes: &mut Vec<usize>) -> Vec<usize> {
        let (model, relations) = (self.state.model, &self.state.model.relations);
        let own = &relations.profiles[model.classes[class].profile].spread_own;
        let keyed = own
            .iter()
            .find(|(spread, itself)| *itself && matches!(relations.spreads[*spread].topology, Topology::Key(_)));
        let Some((spread, _)) = keyed.filter(|_| homes.len() <= MOST_PODS) else { return Vec::new() };
        let rule = &relations.spreads[*spread];
        let domain = |host: usize| relations.domain(rule.topology, self.state.sig[host], host);
        let from_of = |item: usize| model.items[item].home.and_then(domain);
        let (Some(to), Topology::Key(key)) = (domain(host), rule.topology) else { return Vec::new() };
        let surges = homes.iter().any(|item| model.items[*item].standing.method != MoveMethod::Evict);
        let count = relations.domain_counts[key];
        let mut ahead = Ahead {
            counted: (0..count).map(|domain| self.state.spread_count(*spread, domain)).collect(),
            from: vec![0; count],
            to: vec![0; count],
        };
        for from in homes.iter().filter_map(|item| from_of(*item)) {
            ahead.from[from] += 1;
        }
        for ((_, sig), wanted) in self.wanted.range((class, 0)..=(class, usize::MAX)) {
            if let Some(to) = relations.domain(rule.topology, *sig, NOWHERE) {
                ahead.to[to] += u32::try_from(*wanted).unwrap_or(u32::MAX);
            }
        }
        if !ahead.can_end(rule, surges) {
            return Vec::new();
        }
        let follows: Vec<bool> = (0..count)
            .map(|from| ahead.after(rule, from, to, surges).is_some_and(|after| after.can_end(rule, surges)))
            .collect();
        let (may, others) = homes.drain(..).partition(|item| from_of(*item).is_none_or(|from| follows[from]));
        *homes = may;
        others
    }

    /// How many items of a class hosts need that are in the same domain as this one for its spread constraints,
    /// beside that of the other host.
    fn wanted_beside(&self, class: usize, host: usize, other: usize) -> usize {
        let relations = &self.state.model.relations;
        let own = &relations.profiles[self.state.model.classes[class].profile].spread_own;
        let keyed = own.iter().map(|(spread, _)| relations.spreads[*spread].topology).find(|t| *t != Topology::Host);
        let Some(topology) = keyed else { return 0 };
        let domain = |sig: usize| relations.domain(topology, sig, NOWHERE);
        let here = domain(self.state.sig[host]);
        let wanted = self.wanted.range((class, 0)..=(class, usize::MAX)).filter(|((_, sig), _)| domain(*sig) == here);
        let all: usize = wanted.map(|(_, count)| count).sum();
        all.saturating_sub(usize::from(domain(self.state.sig[other]) == here))
    }

    /// Moves the last of these items, or one of those before it, to a host.
    fn send_one_of(&mut self, homes: &mut Vec<usize>, class: usize, host: usize) -> Option<usize> {
        let model = self.state.model;
        for place in (0..homes.len()).rev().take(TRIED) {
            let item = homes[place];
            let beside = model.items[item].standing.method != MoveMethod::Evict;
            if beside && !self.state.admits(class, host) {
                return None;
            }
            let home = self.state.at[item];
            self.state.lift(item);
            if beside || self.state.admits(class, host) {
                self.state.place(item, host);
                homes.remove(place);
                return Some(item);
            }
            self.state.place(item, home);
        }
        None
    }

    /// Sends pods that a rule keeps off their host for good to another one, from which a pod that nobody has
    /// rules about goes to that host instead. Whether one could be sent.
    fn change_places(&mut self) -> bool {
        let before = self.waves.len();
        for place in 0..self.needs.len() {
            for class in std::mem::take(&mut self.needs[place].classes) {
                if !self.change_place(place, class) {
                    self.needs[place].classes.push(class);
                }
            }
        }
        self.waves.len() > before
    }

    fn change_place(&mut self, place: usize, class: usize) -> bool {
        let slot = self.needs[place].slot;
        let Some((wave, other)) = self.stand_in(&self.needs[place], class) else { return false };
        let host = self.state.at[other];
        self.state.lift(other);
        let Some(item) = self.send(class, host) else {
            self.state.place(other, host);
            return false;
        };
        self.state.place(other, slot);
        let model = self.state.model;
        let left = &mut self.needs[place].left;
        add(left, &model.classes[class].request);
        subtract(left, &model.classes[model.items[other].class].request);
        self.waves[wave].items.retain(|moved| *moved != other);
        match self.waves.iter_mut().find(|wave| wave.opens[0] == slot) {
            Some(own) => own.items.push(other),
            None => self.waves.push(Wave { opens: vec![slot], items: vec![other] }),
        }
        self.waves.push(Wave { opens: vec![host], items: vec![item] });
        true
    }

    /// A pod that has moved already, could as well have gone to the host in need, and makes room for the class
    /// where that may go; with the number of its wave.
    fn stand_in(&self, need: &Need, class: usize) -> Option<(usize, usize)> {
        let (state, model) = (&self.state, self.state.model);
        let request = &model.classes[class].request;
        let may = |class: usize, slot: usize| model.compatible[model.classes[class].statics][state.sig[slot]];
        self.waves.iter().enumerate().find_map(|(number, wave)| {
            let host = wave.opens[0];
            if host == need.slot || !may(class, host) || state.conflict(class, host).is_some() {
                return None;
            }
            let suits = |item: &usize| {
                let theirs = &model.classes[model.items[*item].class];
                model.relations.free[theirs.profile]
                    && may(model.items[*item].class, need.slot)
                    && suffices(model, &state.room[host], &theirs.request, request)
                    && suffices(model, &need.left, request, &theirs.request)
            };
            Some((number, wave.items.iter().copied().find(suits)?))
        })
    }

    /// All waves. What no host takes in its turn is sent to its own all the same: the rehearsal shows what
    /// becomes of it.
    fn end(mut self) -> Vec<Wave> {
        for need in std::mem::take(&mut self.needs) {
            let items: Vec<usize> = need.classes.iter().filter_map(|class| self.homes.get_mut(class)?.pop()).collect();
            self.waves.push(Wave { opens: vec![need.slot], items });
        }
        self.waves.retain(|wave| !wave.items.is_empty());
        self.waves
    }
}

/// Whether room suffices for what comes once something leaves.
fn suffices(model: &Model<'_>, room: &Amounts, leaves: &Amounts, comes: &Amounts) -> bool {
    (0..model.dims).all(|dim| room[dim] + leaves[dim] >= comes[dim] || comes[dim] == 0)
}
