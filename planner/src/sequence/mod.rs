//! The order of the moves, found by carrying them out as kube-scheduler would.
//!
//! The planner's mapping says that everything fits; it does not say that the scheduler, which knows
//! nothing of it, gets there. So the plan is rehearsed: new machines stand, expiring nodes take
//! nothing, and pods are recreated one by one, largest first, each on the node that the scheduler
//! prefers. Where every pod finds a place the rehearsal is the plan's order and its expectation of
//! where pods go.
//!
//! Where the change has waves, the scheduler is led: some hosts are open, and the others take what finds no
//! room there only.
//!
//! A change is rehearsed many times on the compiled model with the scores that matter most
//! ([`preferences`]) while it is sought, and on the reference model ([`crate::scheduler`]) before it
//! is believed.

mod apart;
mod preferences;
mod reference;
mod waves;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use journal_schema::facts::WorkloadId;
use journal_schema::plan::MoveMethod;

use crate::commitments::Account;
use crate::model::{CPU, MEMORY, Model};
use crate::search::random::Random;
use crate::shifts::Shift;
use crate::state::{NOWHERE, State};
use preferences::Preferences;
use reference::Reference;
pub(crate) use waves::joined;

/// Which model of the scheduler a change is rehearsed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The compiled one: fast, and without the preferences that pods state themselves.
    Compiled,
    /// The reference.
    Reference,
}

/// How many others may overtake an evicted pod, in multiples of those that move at once: its successor
/// comes only when it has ended.
const EVICTION_FACTOR: usize = 2;
/// Moves and hosts that a rehearsal costs beyond its own.
const REHEARSAL_MOVES: usize = 200;
const REHEARSAL_HOSTS: usize = 50;

/// The work of a rehearsal: moves × hosts.
pub(crate) fn work_of(model: &Model<'_>, change: &Change, moves: usize) -> usize {
    (moves + REHEARSAL_MOVES) * (change.hosts(model) + REHEARSAL_HOSTS)
}

/// One step: an item goes to a host slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) item: usize,
    pub(crate) host: usize,
    /// Zero for what is not led, else the number of its wave plus one.
    pub(crate) round: usize,
}

/// What is to be done: by host slot, which present nodes leave and which machines are new.
#[derive(Clone)]
pub(crate) struct Change {
    /// Present nodes that leave, ascending.
    pub(crate) leaving: Vec<usize>,
    /// Machines to boot, by their order.
    pub(crate) machines: Vec<usize>,
    /// Pods that move although their nodes stay, by item. Each is in a wave that does not open its node.
    pub(crate) shifting: Vec<Shift>,
    /// In which order hosts are opened to the pods that move; empty: all are open all the time.
    pub(crate) waves: Vec<Wave>,
}

/// Hosts that are open at the same time while the others take what finds no room there only: the
/// scheduler is led to them by a taint of the others that it avoids where it can.
#[derive(Clone, Debug)]
pub(crate) struct Wave {
    pub(crate) opens: Vec<usize>,
    /// Items that move meanwhile.
    pub(crate) items: Vec<usize>,
}

impl Change {
    /// Everything stays.
    pub(crate) fn nothing() -> Self {
        Self { leaving: Vec::new(), machines: Vec::new(), shifting: Vec::new(), waves: Vec::new() }
    }

    /// What a placement changes.
    pub(crate) fn of(state: &State<'_, '_>) -> Self {
        let leaving = (0..state.nodes()).filter(|host| !state.open[*host]).collect();
        let mut machines: Vec<usize> = (state.nodes()..state.open.len())
            .filter(|host| state.open[*host] && !state.pods[*host].is_empty())
            .map(|host| state.machine[host])
            .collect();
        machines.sort_unstable();
        Self { leaving, machines, shifting: Vec::new(), waves: Vec::new() }
    }

    /// How many hosts there are afterwards.
    pub(crate) fn hosts(&self, model: &Model<'_>) -> usize {
        model.hosts.len() - self.leaving.len() + self.machines.len()
    }

    /// What the machines cost per hour more than the nodes that leave.
    pub(crate) fn cost(&self, model: &Model<'_>) -> i64 {
        self.reckoned(model).0
    }

    /// The same, and the account of the commitments in the end.
    pub(crate) fn reckoned(&self, model: &Model<'_>) -> (i64, Account) {
        let mut account = model.present_account.clone();
        let leaving = self.leaving.iter().filter_map(|host| model.hosts[*host].tariff);
        let removed: i64 = leaving.map(|tariff| account.take(&model.commitments, tariff)).sum();
        (self.boot(model, &mut account) - removed, account)
    }

    /// What the machines cost per hour while no node has left yet.
    pub(crate) fn overlap(&self, model: &Model<'_>) -> i64 {
        self.boot(model, &mut model.present_account.clone())
    }

    fn boot(&self, model: &Model<'_>, account: &mut Account) -> i64 {
        let tariffs = self.machines.iter().map(|machine| model.machines[*machine].offer.tariff);
        tariffs.map(|tariff| account.add(&model.commitments, tariff)).sum()
    }

    /// Whether a present node leaves.
    pub(crate) fn leaves(&self, host: usize) -> bool {
        self.leaving.binary_search(&host).is_ok()
    }

    /// Why an item moves although its node stays, if it does.
    pub(crate) fn shift(&self, item: usize) -> Option<&Shift> {
        self.shifting.binary_search_by_key(&item, |shift| shift.item).ok().map(|place| &self.shifting[place])
    }

    /// Pods stay after all that would have moved although their nodes stay.
    pub(crate) fn drop_shifts(&mut self, items: &[usize]) {
        self.shifting.retain(|shift| !items.contains(&shift.item));
        for wave in &mut self.waves {
            wave.items.retain(|item| !items.contains(item));
        }
    }

    /// Nodes stay after all, with their pods.
    pub(crate) fn keep(&mut self, model: &Model<'_>, stay: &[usize]) {
        self.leaving.retain(|host| !stay.contains(host));
        for wave in &mut self.waves {
            wave.items.retain(|item| model.items[*item].home.is_none_or(|home| !stay.contains(&home)));
        }
    }

    /// Drops new machines that got no pod; whether there were any. Slots of the others change with it.
    pub(crate) fn drop_unused(&mut self, rehearsal: &Rehearsal<'_, '_>) -> bool {
        let nodes = rehearsal.state.nodes();
        let used: Vec<bool> =
            (0..self.machines.len()).map(|slot| !rehearsal.state.pods[nodes + slot].is_empty()).collect();
        if used.iter().all(|used| *used) {
            return false;
        }
        let unused_before = |slot: usize| used[..slot].iter().filter(|used| !**used).count();
        for wave in &mut self.waves {
            wave.opens.retain(|host| *host < nodes || used[*host - nodes]);
            if wave.opens.is_empty() {
                // Its pods went elsewhere, and are led there.
                wave.opens = wave.items.iter().map(|item| rehearsal.state.at[*item]).collect();
                wave.opens.sort_unstable();
                wave.opens.dedup();
            }
            for host in wave.opens.iter_mut().filter(|host| **host >= nodes) {
                *host -= unused_before(*host - nodes);
            }
        }
        let mut used = used.into_iter();
        self.machines.retain(|_| used.next().unwrap_or(true));
        true
    }
}

/// A rehearsal's outcome.
pub(crate) struct Rehearsal<'m, 'a> {
    /// Steps that were possible, in order; pending pods first.
    pub(crate) steps: Vec<Step>,
    /// Items that found no place.
    pub(crate) stuck: Vec<usize>,
    /// The placement at the end, leaving nodes still open.
    pub(crate) state: State<'m, 'a>,
}

/// How much harder a pod with rules about other pods is to place than its size tells.
const HARDER: i128 = 4;

/// Who chooses a pod's node.
enum Chooser<'a> {
    Reference(Box<Reference<'a>>),
    Compiled(Box<Preferences>),
}

/// Rehearses a change. Time: moves × hosts.
pub(crate) fn rehearse<'m, 'a>(model: &'m Model<'a>, change: &Change, rules: Rules) -> Rehearsal<'m, 'a> {
    let start = Start::new(model, change);
    let chooser = match rules {
        Rules::Reference => Chooser::Reference(Box::new(Reference::new(model, change))),
        Rules::Compiled => Chooser::Compiled(Box::new(Preferences::new(&start.state, &start.leaving))),
    };
    start.carry_out(chooser)
}

/// Rehearses a change on the compiled model, with the order of pods and the choice among equals drawn by lot.
pub(crate) fn rehearse_drawn<'m, 'a>(model: &'m Model<'a>, change: &Change, seed: u64) -> Rehearsal<'m, 'a> {
    let mut start = Start::new(model, change);
    let mut random = Random::new(seed);
    for round in &mut start.rounds {
        round.waiting = overtaken(model, &round.waiting, &mut random);
    }
    let mut preferences = Preferences::new(&start.state, &start.leaving);
    preferences.shuffle(&mut random);
    start.carry_out(Chooser::Compiled(Box::new(preferences)))
}

/// A change before anything has moved: the new machines stand.
struct Start<'m, 'a> {
    state: State<'m, 'a>,
    /// By host slot.
    leaving: Vec<bool>,
    rounds: Vec<Round>,
    /// Room is made for pending pods while others move.
    makes_room: bool,
}

/// Pods that move while the same hosts are open.
struct Round {
    /// Which are open; `None`: nothing leads the scheduler.
    opens: Option<Vec<usize>>,
    /// Items in the order in which they are tried.
    waiting: Vec<usize>,
}

impl<'m, 'a> Start<'m, 'a> {
    fn new(model: &'m Model<'a>, change: &Change) -> Self {
        let mut state = State::present(model, change.machines.len() + crate::remedies::SPARE_SLOTS);
        for machine in &change.machines {
            state.boot(*machine);
        }
        let mut leaving = vec![false; state.open.len()];
        for host in &change.leaving {
            leaving[*host] = true;
        }
        // The scheduler tries pending pods before anything moves, in an order of its own.
        let mut first: Vec<usize> =
            model.pending.iter().copied().filter(|item| model.items[*item].standing.blocked.is_none()).collect();
        if change.waves.is_empty() {
            let mut moving: Vec<usize> =
                change.leaving.iter().flat_map(|host| model.hosts[*host].home.iter().copied()).collect();
            sort(&state, &leaving, &mut moving);
            first.append(&mut moving);
        }
        let mut rounds = vec![Round { opens: None, waiting: first }];
        rounds.extend(
            change.waves.iter().map(|wave| Round { opens: Some(wave.opens.clone()), waiting: wave.items.clone() }),
        );
        Self { state, leaving, rounds, makes_room: !change.shifting.is_empty() }
    }

    fn carry_out(self, mut chooser: Chooser<'a>) -> Rehearsal<'m, 'a> {
        let Self { mut state, rounds, makes_room, .. } = self;
        let (mut steps, mut stuck) = (Vec::new(), Vec::new());
        for (number, round) in rounds.into_iter().enumerate() {
            if let Some(opens) = &round.opens {
                match &mut chooser {
                    Chooser::Reference(reference) => reference.open(opens),
                    Chooser::Compiled(preferences) => preferences.open(opens),
                }
            }
            let left = chooser.try_all(&mut state, round.waiting, number, &mut steps);
            stuck.extend(left);
            // Pods that were pending are tried again whenever something changes.
            if makes_room && number > 0 {
                let waits = |item: &usize| state.at[*item] == NOWHERE;
                let (pending, others): (Vec<usize>, Vec<usize>) = stuck.into_iter().partition(waits);
                stuck = others;
                stuck.extend(chooser.try_all(&mut state, pending, 0, &mut steps));
            }
        }
        let (pending, mut stuck): (Vec<usize>, Vec<usize>) =
            stuck.into_iter().partition(|item| state.at[*item] == NOWHERE);
        if !pending.is_empty() {
            stuck.extend(chooser.try_all(&mut state, pending, 0, &mut steps));
        }
        Rehearsal { steps, stuck, state }
    }
}

impl<'a> Chooser<'a> {
    /// Moves items in their order, and those that found no place once more while others do: a pod that
    /// waits for another (an affinity, a spread that evens out) may succeed a round later. Returns those
    /// that found none.
    fn try_all(
        &mut self,
        state: &mut State<'_, 'a>,
        mut waiting: Vec<usize>,
        round: usize,
        steps: &mut Vec<Step>,
    ) -> Vec<usize> {
        let model = state.model;
        loop {
            let mut later = Vec::new();
            let before = steps.len();
            for item in waiting {
                let old = state.at[item];
                let host = match self {
                    Self::Reference(reference) => {
                        let host = reference.step(model, item);
                        if let Some(host) = host {
                            if old != NOWHERE {
                                state.lift(item);
                            }
                            state.place(item, host);
                        }
                        host
                    }
                    Self::Compiled(preferences) => step(state, preferences, item),
                };
                match host {
                    Some(host) => steps.push(Step { item, host, round }),
                    None => later.push(item),
                }
            }
            waiting = later;
            if waiting.is_empty() || steps.len() == before {
                return waiting;
            }
        }
    }
}

/// How many workloads move at once.
fn parallel_moves(model: &Model<'_>) -> usize {
    usize::try_from(model.input.policy.disruption.max_parallel_moves).unwrap_or(usize::MAX)
}

/// The items in an order in which they may reach the scheduler. Those of one workload wait for each other,
/// and keep their order.
fn overtaken(model: &Model<'_>, items: &[usize], random: &mut Random) -> Vec<usize> {
    let parallel = parallel_moves(model).min(items.len());
    let mut drawn: Vec<(usize, usize)> = items
        .iter()
        .enumerate()
        .map(|(place, item)| {
            let late = match model.items[*item].standing.method {
                MoveMethod::Surge | MoveMethod::RollingUpdate => parallel,
                MoveMethod::Evict => parallel * EVICTION_FACTOR,
            };
            (place + random.below(late), place)
        })
        .collect();
    drawn.sort_unstable();
    let workload = |item: &usize| model.items[*item].standing.workload.as_ref();
    let mut of_workload: BTreeMap<&WorkloadId, VecDeque<usize>> = BTreeMap::new();
    for item in items {
        if let Some(workload) = workload(item) {
            of_workload.entry(workload).or_default().push_back(*item);
        }
    }
    let next = |(_, place): (usize, usize)| {
        let item = items[place];
        workload(&item).and_then(|workload| of_workload.get_mut(workload)?.pop_front()).unwrap_or(item)
    };
    drawn.into_iter().map(next).collect()
}

/// Moves one item as its method does; `None` when no node takes it but its own.
fn step(state: &mut State<'_, '_>, preferences: &mut Preferences, item: usize) -> Option<usize> {
    let old = state.at[item];
    let method = state.model.items[item].standing.method;
    let elsewhere = |chosen: Option<usize>| chosen.filter(|host| *host != old);
    let beside =
        if old == NOWHERE || method != MoveMethod::Evict { elsewhere(preferences.choose(state, item)) } else { None };
    let may_leave_first = old != NOWHERE && method != MoveMethod::Surge;
    if let (None, false) = (beside, may_leave_first) {
        return None;
    }
    if old != NOWHERE {
        preferences.left(item, old);
        state.lift(item);
    }
    let chosen = beside.or_else(|| elsewhere(preferences.choose(state, item)));
    match chosen {
        Some(host) => {
            preferences.arrived(item, host);
            state.place(item, host);
        }
        None if old != NOWHERE => {
            preferences.arrived(item, old);
            state.place(item, old);
        }
        None => {}
    }
    chosen
}

/// Pods that few hosts may take first, then the largest share of a typical host; pods that need others
/// near come after those. As far as that is possible: the pods of one workload wait for each other.
fn sort(state: &State<'_, '_>, leaving: &[bool], items: &mut [usize]) {
    let model = state.model;
    let open: Vec<usize> = (0..state.open.len()).filter(|host| state.open[*host] && !leaving[*host]).collect();
    let mean = |dim: usize| {
        let total = |host: usize| i128::from(state.room[host][dim].max(0));
        let sum: i128 = open.iter().map(|host| total(*host)).sum();
        (sum / i128::try_from(open.len().max(1)).unwrap_or(1)).max(1)
    };
    let typical = (mean(CPU), mean(MEMORY));
    // In which tenth of the hosts pods of a static row may run, capped where half of them will do.
    let scarcity: Vec<usize> = model
        .compatible
        .iter()
        .map(|row| (open.iter().filter(|host| row[state.sig[**host]]).count() * 10 / open.len().max(1)).min(5))
        .collect();
    items.sort_by_cached_key(|item| {
        let class = &model.classes[model.items[*item].class];
        let profile = &model.relations.profiles[class.profile];
        let share = |dim: usize, typical: i128| i128::from(class.request[dim]) * 1_000_000 / typical;
        let size = share(CPU, typical.0).max(share(MEMORY, typical.1));
        // A pod that other pods keep off most hosts is as hard to place as one several times its size.
        let bound_by_others = !profile.anti_own.is_empty() || !profile.spread_own.is_empty();
        let size = if bound_by_others { size * HARDER } else { size };
        (!profile.affinity_own.is_empty(), scarcity[class.statics], -size, *item)
    });
    in_turns(model, items);
}

/// How long an eviction takes, in surges: the pod ends before its successor begins.
const EVICTION: usize = 2;

/// The pods of a workload that wait for each other.
struct Turns {
    /// Places of its items, by precedence.
    places: VecDeque<usize>,
    at_once: usize,
    /// How long its next pods take.
    takes: usize,
}

impl Turns {
    /// How long it takes when nothing holds it up.
    fn left(&self) -> usize {
        self.places.len().div_ceil(self.at_once) * self.takes
    }
}

/// Puts items, given by precedence, into the order in which they begin to move: so many workloads at
/// once, each so many of its pods at once. Whenever one is done the first by precedence begins that may,
/// unless a workload needs all the time that is left: all would wait for it in the end.
/// Time: items × log items.
fn in_turns(model: &Model<'_>, items: &mut [usize]) {
    let parallel = parallel_moves(model).max(1);
    let mut queues: Vec<Turns> = Vec::new();
    let mut of_workload: BTreeMap<&WorkloadId, usize> = BTreeMap::new();
    for (place, item) in items.iter().enumerate() {
        let standing = &model.items[*item].standing;
        let next = queues.len();
        // An item without a workload waits for nobody.
        let queue = standing.workload.as_ref().map_or(next, |workload| *of_workload.entry(workload).or_insert(next));
        if queue == next {
            let takes = if standing.method == MoveMethod::Evict { EVICTION } else { 1 };
            queues.push(Turns { places: VecDeque::new(), at_once: standing.at_once, takes });
        }
        queues[queue].places.push_back(place);
    }
    let mut left: usize = queues.iter().map(Turns::left).sum();
    // Those that may begin, by precedence and by how long they take; and the ends of those that move.
    let mut first: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut longest: BTreeSet<(usize, Reverse<usize>, usize)> = BTreeSet::new();
    let mut moving: BTreeSet<(usize, usize)> = (0..queues.len()).map(|queue| (0, queue)).collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some((now, _)) = moving.first().copied() {
        while let Some((_, queue)) = moving.first().copied().filter(|(end, _)| *end == now) {
            moving.pop_first();
            if let Some(place) = queues[queue].places.front() {
                first.insert((*place, queue));
                longest.insert((queues[queue].left(), Reverse(*place), queue));
            }
        }
        while moving.len() < parallel {
            let urgent = longest.last().filter(|(own, ..)| *own >= left.div_ceil(parallel));
            let next = urgent.map(|(_, Reverse(place), queue)| (*place, *queue)).or_else(|| first.first().copied());
            let Some((place, queue)) = next else { break };
            let turns = &mut queues[queue];
            first.remove(&(place, queue));
            longest.remove(&(turns.left(), Reverse(place), queue));
            let batch = turns.at_once.min(turns.places.len());
            order.extend(turns.places.drain(..batch).map(|place| items[place]));
            left -= turns.takes;
            moving.insert((now + turns.takes, queue));
        }
    }
    items.copy_from_slice(&order);
}
