//! The fewest moves that let a pod fit.
//!
//! Depth first, with one more move allowed each time until there is a way: a pod without a place takes room
//! that is there, or the place of a group of pods of one node, which are then without a place themselves. Pods
//! of one class on one node are interchangeable, so a group is a number of each class, those first that take
//! least to move. What is asked again and again is kept: which nodes have room for a class, and which would
//! have if all of their movable pods gave way. Work is counted in looks at whether a pod fits.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::WorkloadId;

use crate::model::{Amounts, CPU, MEMORY, Model, add};
use crate::search::Goal;
use crate::shifts::{may_shift, releasing, suits, toll_of, try_move};
use crate::state::{NOWHERE, State, has_room};

/// Most pods that make room for one.
const MOST_MOVES: usize = 5;
/// How often a pod that gives way may make others give way in turn.
const MOST_DEPTH: usize = 3;
/// Nodes with room that are tried for a pod, the tightest first.
const CONSIDERED: usize = 8;
/// Nodes with room that are kept for a class, the tightest first.
const KEPT: usize = 32;
/// Nodes on which pods could give way to it, the least short first; and where it gives way itself.
const CROWDED: usize = 128;
const CROWDED_DEEPER: usize = 16;
/// Looks at whether a pod fits, for all pods that wait together, and for one of them.
const MOST_WORK: usize = 300_000;
const WORK_EACH: usize = 60_000;

/// An item goes to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) item: usize,
    pub(super) host: usize,
}

/// What may be spent on so many moves with such a toll.
type Affordable<'f> = &'f dyn Fn(usize, i64) -> bool;

/// What is known of all searches on one cluster.
pub(super) struct Search<'g, 'm, 'a> {
    model: &'m Model<'a>,
    goal: &'g Goal<'g>,
    releasing: Vec<bool>,
    /// Workloads that wait for pods: theirs stay.
    short: BTreeSet<&'m WorkloadId>,
    /// Items that have moved already.
    moved: BTreeSet<usize>,
    /// Classes that could not be helped.
    hopeless: BTreeSet<usize>,
    work: usize,
}

impl<'g, 'm, 'a> Search<'g, 'm, 'a> {
    pub(super) fn new(model: &'m Model<'a>, goal: &'g Goal<'g>) -> Self {
        let short = model.pending.iter().filter_map(|item| model.items[*item].standing.workload.as_ref()).collect();
        Self {
            model,
            goal,
            releasing: releasing(model),
            short,
            moved: BTreeSet::new(),
            hopeless: BTreeSet::new(),
            work: MOST_WORK,
        }
    }

    /// Gives an item a place by the fewest moves, of those by the ones that take least, and carries them out in
    /// the placement. The steps in an order in which each is possible, the item's own last.
    pub(super) fn make_room(
        &mut self,
        state: &mut State<'m, 'a>,
        item: usize,
        affordable: Affordable<'_>,
    ) -> Option<Vec<Step>> {
        let class = self.model.items[item].class;
        if self.hopeless.contains(&class) || self.work == 0 {
            return None;
        }
        let mut attempt = Attempt::new(self, state, item, affordable);
        let steps = attempt.solve();
        self.work -= (WORK_EACH.min(self.work)) - attempt.work;
        let Some(steps) = steps else {
            self.hopeless.insert(class);
            return None;
        };
        for step in &steps {
            if state.at[step.item] != NOWHERE {
                state.lift(step.item);
                self.moved.insert(step.item);
            }
            state.place(step.item, step.host);
        }
        state.commit();
        Some(steps)
    }

    /// Whether an item may give way on the host where it is.
    fn gives_way(&self, item: usize, host: usize) -> bool {
        let entry = &self.model.items[item];
        let complete = entry.standing.workload.as_ref().is_none_or(|workload| !self.short.contains(workload));
        entry.home == Some(host) && complete && may_shift(self.model, item) && !self.moved.contains(&item)
    }
}

/// An item that needs a place, how many gave way for it one after the other, and where it is from.
#[derive(Clone, Copy)]
struct Homeless {
    item: usize,
    depth: usize,
}

/// Pods of one class on one host, those first that take least to move.
struct Kind {
    request: Amounts,
    items: Vec<usize>,
}

/// The search for one item.
struct Attempt<'s, 'm, 'a> {
    search: &'s Search<'s, 'm, 'a>,
    item: usize,
    affordable: Affordable<'s>,
    /// The placement before, to try orders on.
    before: State<'m, 'a>,
    state: State<'m, 'a>,
    /// By host: its room once all movable pods have left.
    effective: Vec<Amounts>,
    /// By class: hosts that have room for it before, tightest first.
    roomy: BTreeMap<usize, Vec<usize>>,
    /// By class: hosts that would have, least short first.
    crowded: BTreeMap<usize, Vec<usize>>,
    /// Steps so far, the last to be done first.
    steps: Vec<Step>,
    /// Hosts that were touched.
    touched: Vec<usize>,
    best: Option<(i64, Vec<Step>)>,
    level: usize,
    work: usize,
}

impl<'s, 'm, 'a> Attempt<'s, 'm, 'a> {
    fn new(search: &'s Search<'s, 'm, 'a>, state: &State<'m, 'a>, item: usize, affordable: Affordable<'s>) -> Self {
        let model = search.model;
        let effective = (0..state.nodes())
            .map(|host| {
                let mut room = state.room[host];
                for moves in
                    state.pods[host].iter().filter(|item| search.releasing[host] && search.gives_way(**item, host))
                {
                    add(&mut room, &model.classes[model.items[*moves].class].request);
                }
                room
            })
            .collect();
        Self {
            search,
            item,
            affordable,
            before: state.clone(),
            state: state.clone(),
            effective,
            roomy: BTreeMap::new(),
            crowded: BTreeMap::new(),
            steps: Vec::new(),
            touched: Vec::new(),
            best: None,
            level: 0,
            work: WORK_EACH.min(search.work),
        }
    }

    fn solve(&mut self) -> Option<Vec<Step>> {
        for level in 1..=MOST_MOVES {
            self.level = level;
            self.place(vec![Homeless { item: self.item, depth: 0 }], level, 0);
            if self.best.is_some() || self.work == 0 {
                break;
            }
        }
        self.best.take().map(|(_, steps)| steps)
    }

    /// Gives the last of these a place, and then the others, with so many more that may give way.
    fn place(&mut self, mut homeless: Vec<Homeless>, left: usize, toll: i64) {
        let dear = self.best.as_ref().is_some_and(|(least, _)| toll >= *least);
        if dear || self.work == 0 || !(self.affordable)(self.level - left, toll) {
            return;
        }
        let Some(next) = homeless.pop() else {
            self.arrive(toll);
            return;
        };
        let class = self.search.model.items[next.item].class;
        for host in self.with_room(next.item) {
            let mark = self.put(next.item, host);
            self.place(homeless.clone(), left, toll);
            self.take_back(mark);
        }
        if left == 0 || next.depth >= MOST_DEPTH {
            return;
        }
        for host in self.where_others_may_go(class, next.depth) {
            if self.search.model.items[next.item].home == Some(host) || !suits(self.search.model, next.item, host) {
                continue;
            }
            let kinds = self.kinds(class, host);
            for count in 1..=left {
                let mut group = Vec::new();
                self.displace(next, host, (&kinds, 0), count, &mut group, (&homeless, left, toll));
            }
        }
    }

    /// Lifts so many more pods of these kinds off a host, in every way, and goes on where the item fits then.
    fn displace(
        &mut self,
        next: Homeless,
        host: usize,
        (kinds, first): (&[Kind], usize),
        count: usize,
        group: &mut Vec<usize>,
        rest: (&[Homeless], usize, i64),
    ) {
        if self.work == 0 {
            return;
        }
        let model = self.search.model;
        let class = model.items[next.item].class;
        let fits = !group.is_empty() && self.fits(class, host);
        if count == 0 {
            if fits {
                let (homeless, left, toll) = rest;
                let toll = toll + group.iter().map(|item| toll_of(model, *item)).sum::<i64>();
                let mark = self.put(next.item, host);
                let mut waiting = homeless.to_vec();
                waiting.extend(group.iter().map(|item| Homeless { item: *item, depth: next.depth + 1 }));
                // The largest is placed first.
                waiting[homeless.len()..].sort_by_key(|one| (self.size(one.item), one.item));
                self.place(waiting, left - group.len(), toll);
                self.take_back(mark);
            }
            return;
        }
        // A smaller group does.
        if fits {
            return;
        }
        for (place, kind) in kinds.iter().enumerate().skip(first) {
            let Some(item) = kind.items.iter().copied().find(|item| self.state.at[*item] == host) else { continue };
            let reaches = |dim: usize| {
                let wanted = model.classes[class].request[dim];
                let most: i64 = kinds[place..].iter().map(|kind| kind.request[dim]).max().unwrap_or(0);
                let many = i64::try_from(count).unwrap_or(i64::MAX);
                wanted == 0 || self.state.room[host][dim].saturating_add(most.saturating_mul(many)) >= wanted
            };
            if !(0..model.dims).all(reaches) {
                return;
            }
            let mark = self.state.mark();
            self.state.lift(item);
            group.push(item);
            self.displace(next, host, (kinds, place), count - 1, group, rest);
            group.pop();
            self.state.undo(mark);
        }
    }

    /// All have a place: whether there is an order in which each step is possible.
    fn arrive(&mut self, toll: i64) {
        let mut order = Vec::new();
        let moves: Vec<Step> = self.steps.iter().rev().copied().filter(|step| step.item != self.item).collect();
        if !self.ordered(&moves, &mut order) {
            return;
        }
        order.extend(self.steps.iter().find(|step| step.item == self.item));
        self.best = Some((toll, order));
    }

    /// Carries the steps that are not in the order yet out in some order, the first that are possible first.
    fn ordered(&mut self, moves: &[Step], order: &mut Vec<Step>) -> bool {
        if order.len() == moves.len() {
            return true;
        }
        for step in moves {
            if order.contains(step) {
                continue;
            }
            self.work = self.work.saturating_sub(1);
            let mark = self.before.mark();
            if try_move(&mut self.before, step.item, step.host) {
                order.push(*step);
                if self.ordered(moves, order) {
                    self.before.undo(mark);
                    return true;
                }
                order.pop();
            }
            self.before.undo(mark);
        }
        false
    }

    fn fits(&mut self, class: usize, host: usize) -> bool {
        self.work = self.work.saturating_sub(1);
        self.state.fits(class, host)
    }

    fn put(&mut self, item: usize, host: usize) -> usize {
        let mark = self.state.mark();
        self.state.place(item, host);
        self.steps.push(Step { item, host });
        self.touched.push(host);
        mark
    }

    fn take_back(&mut self, mark: usize) {
        self.state.undo(mark);
        self.steps.pop();
        self.touched.pop();
    }

    /// A pod's size: what it is worth, in nano-USD per hour.
    fn size(&self, item: usize) -> i64 {
        self.search.goal.bound.worth[self.search.model.items[item].class]
    }

    /// Hosts that an item fits on now, the tightest first. Not where it comes from.
    fn with_room(&mut self, item: usize) -> Vec<usize> {
        let model = self.search.model;
        let (class, home) = (model.items[item].class, model.items[item].home);
        if !self.roomy.contains_key(&class) {
            let mut hosts: Vec<usize> =
                (0..self.before.nodes()).filter(|host| self.fits_before(class, *host)).collect();
            hosts.sort_by_cached_key(|host| (self.tightness(&self.before, *host), *host));
            hosts.truncate(KEPT);
            self.roomy.insert(class, hosts);
        }
        let mut hosts: Vec<usize> = self.roomy.get(&class).into_iter().flatten().copied().collect();
        hosts.extend(&self.touched);
        hosts.sort_by_cached_key(|host| (self.tightness(&self.state, *host), *host));
        hosts.dedup();
        let mut found = Vec::new();
        for host in hosts {
            if found.len() == CONSIDERED {
                break;
            }
            if Some(host) != home && self.fits(class, host) && suits(model, item, host) {
                found.push(host);
            }
        }
        found
    }

    /// What is left on a host; less is tighter.
    fn tightness(&self, state: &State<'_, '_>, host: usize) -> i64 {
        self.search.goal.bound.units.worth(&state.room[host])
    }

    fn fits_before(&mut self, class: usize, host: usize) -> bool {
        self.work = self.work.saturating_sub(1);
        self.before.open[host] && self.before.fits(class, host)
    }

    /// Hosts that would have room for a class if pods gave way there, the least short first.
    fn where_others_may_go(&mut self, class: usize, depth: usize) -> Vec<usize> {
        let model = self.search.model;
        let request = &model.classes[class].request;
        if !self.crowded.contains_key(&class) {
            let mut hosts: Vec<usize> = (0..self.before.nodes())
                .filter(|host| {
                    let fact = &model.hosts[*host];
                    self.before.open[*host]
                        && self.search.releasing[*host]
                        && fact.receives
                        && model.allowed(class, fact.sig)
                        && has_room(request, &self.effective[*host], model.dims)
                })
                .collect();
            hosts.sort_by_cached_key(|host| (shortage(request, &self.before.room[*host]), *host));
            self.crowded.insert(class, hosts);
        }
        let most = if depth == 0 { CROWDED } else { CROWDED_DEEPER };
        self.crowded.get(&class).into_iter().flatten().copied().take(most).collect()
    }

    /// The movable pods of a host that keep a class off it, by class: those of what is short, or those that
    /// somebody has rules about. Smaller ones first.
    fn kinds(&self, class: usize, host: usize) -> Vec<Kind> {
        let model = self.search.model;
        let request = &model.classes[class].request;
        let room = &self.state.room[host];
        let helps = |item: usize| {
            let other = &model.classes[model.items[item].class];
            let short = |dim: usize| request[dim] > room[dim] && other.request[dim] > 0;
            (0..model.dims).any(short) || !model.relations.free[other.profile]
        };
        let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let items = self.state.pods[host].iter().copied();
        for item in items.filter(|item| *item != self.item && self.search.gives_way(*item, host) && helps(*item)) {
            by_class.entry(model.items[item].class).or_default().push(item);
        }
        let mut kinds: Vec<(usize, Kind)> = by_class
            .into_iter()
            .map(|(class, mut items)| {
                items.sort_by_key(|item| (toll_of(model, *item), *item));
                (class, Kind { request: model.classes[class].request, items })
            })
            .collect();
        kinds.sort_by_key(|(class, _)| (self.search.goal.bound.worth[*class], *class));
        kinds.into_iter().map(|(_, kind)| kind).collect()
    }
}

/// By how much a request exceeds room, as a share of itself in millionths, CPU and memory together.
fn shortage(request: &Amounts, room: &Amounts) -> i128 {
    let short = |dim: usize| {
        let (wanted, free) = (i128::from(request[dim]), i128::from(room[dim].max(0)));
        if wanted > free { (wanted - free) * 1_000_000 / wanted } else { 0 }
    };
    short(CPU) + short(MEMORY)
}
