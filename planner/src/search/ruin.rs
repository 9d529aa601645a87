//! Ruin and recreate: close a few hosts, place their pods anew, keep what is cheaper.
//!
//! Which hosts are ruined and which machines are booted is guided by worth: the prices of the bound
//! say what a host's pods are worth, and a host that costs much more than that is a good one to
//! close. Worse placements are accepted for a while, less and less so, and the best one is kept.

use super::exchange;
use super::gathered::Gathered;
use super::ground::Ground;
use super::opening::Rate;
use super::pool::Pool;
use super::random::Random;
use super::reach::Reach;
use super::trial::Trial;
use super::{Goal, excess_of};
use crate::model::{CPU, MEMORY};
use crate::moves::MOVE;
use crate::state::{NOWHERE, State, has_room};

/// Steps after which the list of wasteful hosts is made again.
const HOT_LIST_STEPS: u32 = 128;
/// Most hosts that one step closes.
pub(super) const MOST_RUINED: usize = 4;
/// Open hosts of which the pool's pods are tried on some, at most.
const MOST_RECEIVERS: usize = 48;

/// Boldness at first, in percent of a typical host's price.
pub(super) const HEAT_PERCENT: i64 = 8;

/// What part of a cluster is searched.
#[derive(Debug)]
pub(super) struct Scope {
    /// Host slots that may be closed, opened or filled, ascending.
    pub(super) slots: Vec<usize>,
    /// The place that all of them are in; `None` when they are in several.
    pub(super) place: Option<usize>,
    /// By class: whether its pods must stay in their place, because those of another part matter to where they may
    /// run. `None` when it is all of a cluster.
    tied: Option<Vec<bool>>,
    /// By slot: whether it is one of them.
    within: Vec<bool>,
}

impl Scope {
    /// A part of a cluster, in one place or in several.
    pub(super) fn part(state: &State<'_, '_>, slots: Vec<usize>, place: Option<usize>, tied: Vec<bool>) -> Self {
        let mut within = vec![false; state.open.len()];
        for slot in &slots {
            within[*slot] = true;
        }
        Self { slots, place, tied: Some(tied), within }
    }

    /// All of a cluster.
    pub(super) fn whole(state: &State<'_, '_>) -> Self {
        let all = state.open.len();
        Self { slots: (0..all).collect(), place: None, tied: None, within: vec![true; all] }
    }

    /// Whether it is a part of a cluster.
    pub(super) fn is_part(&self) -> bool {
        self.tied.is_some()
    }

    fn has(&self, slot: usize) -> bool {
        slot == NOWHERE || self.within[slot]
    }
}

/// How long is searched, and how bold at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) steps: u32,
    /// How much dearer a placement may become in the first steps, as a share of a typical host's price.
    pub(super) heat_percent: i64,
    pub(super) seed: u64,
    /// Which stage of the whole course it is, and of how many: boldness falls from the first step of the first to the
    /// last step of the last.
    pub(super) stage: (u32, u32),
    /// Whether the way gathers what is wasted on few hosts: of placements that cost the same, the one that wastes much
    /// on one host is nearer to a smaller host there than one that wastes a little on each.
    pub(super) gathers: bool,
}

impl Pace {
    /// How much dearer a placement may become in a step, where a typical host costs so much.
    fn heat(&self, typical: i64, step: u32) -> i64 {
        let (stage, stages) = (i64::from(self.stage.0), i64::from(self.stage.1.max(1)));
        let steps = i64::from(self.steps.max(1));
        let left = (stages - stage) * steps - i64::from(step);
        typical * self.heat_percent / 100 * left / (stages * steps)
    }

    /// Whether nothing comes after it.
    fn is_last(&self) -> bool {
        self.stage.0 + 1 >= self.stage.1
    }
}

/// The search's working memory.
pub(super) struct Search<'g, 'b> {
    pub(super) goal: &'g Goal<'b>,
    pub(super) ground: &'g Ground,
    pub(super) scope: &'g Scope,
    pub(super) random: Random,
    hot: Vec<usize>,
    /// Hosts that may be closed and are open.
    pub(super) closable: Vec<usize>,
    /// Present nodes that are closed.
    pub(super) closed: Vec<usize>,
    /// Whether moves are dear.
    dear: bool,
    /// Of a hundred steps, those that are exchanges.
    exchanges: u64,
    /// Open hosts that take pods and have room for some.
    pub(super) receivers: Vec<usize>,
    /// Broken affinities of the present placement.
    pub(super) lonely: u32,
    /// Classes of which some pod was lifted in this step.
    pub(super) lifted: Vec<usize>,
    pub(super) pool: Pool,
    pub(super) trial: Trial<'g>,
    /// Machines of a place in the order in which they are tried.
    pub(super) order: Vec<(Rate, usize)>,
    pub(super) ruined: Vec<usize>,
    /// Where pods get to, if that is watched.
    reach: Option<Reach>,
}

/// Improves a placement within a scope. What the last stage returns is never worse than what it begins with; earlier
/// ones return where they are.
pub(super) fn improve<'m, 'a>(
    start: State<'m, 'a>,
    lonely: u32,
    goal: &Goal<'_>,
    ground: &Ground,
    scope: &Scope,
    pace: Pace,
) -> State<'m, 'a> {
    let mut state = start;
    state.commit();
    let mut search = Search::new(&state, lonely, goal, ground, scope, pace.seed);
    search.watch(&state);
    let mut price = goal.price(&state);
    let mut best = price;
    let typical = ground.typical;
    let mut gathered = pace.gathers.then(|| Gathered::new(&state, goal, &scope.slots, typical));
    // What has been gathered may be worth a step that costs more.
    let spare = if pace.gathers { pace.heat(typical, 0) } else { 0 };
    let gain = |state: &State<'m, 'a>, since: usize, gathered: &mut Option<Gathered>| {
        gathered.as_mut().map_or(0, |gathered| gathered.after(state, goal, since))
    };
    let mut before = price - gain(&state, state.mark(), &mut gathered);
    for step in 0..pace.steps {
        if step % HOT_LIST_STEPS == 0 {
            search.refresh(&state);
        }
        if search.closable.is_empty() && search.closed.is_empty() {
            break;
        }
        let mark = state.mark();
        let noise = i64::try_from(search.random.next() % 1000).unwrap_or(0);
        let allowance = pace.heat(typical, step) * noise / 1000;
        let done = search.step(&mut state, price + allowance + spare);
        let now = goal.price(&state);
        let after = if done { now - gain(&state, mark, &mut gathered) } else { now };
        if done && after <= before + allowance && search.is_sound(&state) {
            (price, before) = (now, after);
            gathered.iter_mut().for_each(Gathered::keep);
            if price < best || !pace.is_last() {
                best = price;
                state.commit();
            }
        } else {
            state.undo(mark);
        }
    }
    // What came after the best is taken back.
    state.undo(0);
    state
}

impl<'g, 'b> Search<'g, 'b> {
    pub(super) fn new(
        state: &State<'_, '_>,
        lonely: u32,
        goal: &'g Goal<'b>,
        ground: &'g Ground,
        scope: &'g Scope,
        seed: u64,
    ) -> Self {
        Self {
            goal,
            ground,
            scope,
            random: Random::new(seed),
            hot: Vec::new(),
            closable: Vec::new(),
            closed: Vec::new(),
            dear: ground.moves_are_dear(goal.move_penalty),
            exchanges: 0,
            receivers: Vec::new(),
            lonely,
            lifted: Vec::new(),
            pool: Pool::default(),
            trial: Trial::new(&state.model.relations, ground),
            order: Vec::new(),
            ruined: Vec::new(),
            reach: None,
        }
    }

    /// Nano-USD per hour that a host costs beyond what its pods are worth.
    pub(super) fn waste(&self, state: &State<'_, '_>, host: usize) -> i64 {
        let runs = self.goal.bound.worth_of(state.model, &state.pods[host]);
        self.cost_of(state, host) * 1000 - runs
    }

    /// What closing an open host saves, moves included.
    pub(super) fn cost_of(&self, state: &State<'_, '_>, host: usize) -> i64 {
        let toll = state.model.hosts.get(host).map_or(0, |host| host.toll);
        state.saved_by_closing(host) - toll * self.goal.move_penalty / MOVE
    }

    pub(super) fn refresh(&mut self, state: &State<'_, '_>) {
        let (nodes, model) = (state.nodes(), state.model);
        let may_close = |host: usize| host >= nodes || model.hosts[host].keep.is_none();
        let slots = || self.scope.slots.iter().copied();
        self.closable = slots().filter(|host| state.open[*host] && may_close(*host)).collect();
        // A node's own pods come back with it, so they must be within the scope.
        let near = |host: usize| model.hosts[host].home.iter().all(|item| self.scope.has(state.at[*item]));
        self.closed = slots().take_while(|host| *host < nodes).filter(|h| !state.open[*h] && near(*h)).collect();
        let stay = self.closable.iter().filter(|host| **host < nodes).count();
        self.exchanges = if self.dear { exchange::percent(stay, self.closed.len()) } else { 0 };
        self.receivers = slots()
            .filter(|h| state.open[*h] && (*h >= nodes || model.hosts[*h].receives))
            .filter(|h| has_room(&model.least_request, &state.room[*h], model.dims))
            .collect();
        let mut hot: Vec<(i64, usize)> = self
            .closable
            .iter()
            .map(|host| {
                let cost = self.cost_of(state, *host).max(1);
                (-(self.waste(state, *host) / cost), *host)
            })
            .collect();
        hot.sort_unstable();
        hot.truncate((self.closable.len() / 20).max(3));
        self.hot = hot.into_iter().map(|(_, host)| host).collect();
    }

    /// From here on placements must be ones that pods get to, if all of a cluster is searched.
    pub(super) fn watch(&mut self, state: &State<'_, '_>) {
        self.reach = (!self.scope.is_part()).then(|| Reach::new(state));
    }

    /// Makes a pool of pods whose classes stand together, each with the place that it must stay in.
    pub(super) fn fill_pool(&mut self, state: &State<'_, '_>, items: impl IntoIterator<Item = (usize, Option<usize>)>) {
        self.pool.fill(state.model, &self.goal.bound.worth, items.into_iter());
        self.trial.forget_all();
    }

    /// Whether rules beyond a host hold as well as before for the pods that were lifted, and these get to where they are:
    /// then the placement is taken.
    pub(super) fn is_sound(&mut self, state: &State<'_, '_>) -> bool {
        let sound = state.lonely() <= self.lonely
            && self.keeps_spread(state)
            && self.reach.as_mut().is_none_or(|reach| reach.keeps(state, &self.lifted));
        if sound && let Some(reach) = &mut self.reach {
            reach.accept(state, &self.lifted);
        }
        sound
    }

    /// Whether no spread constraint is worse for the pods that were lifted than it may be, or than it was.
    fn keeps_spread(&self, state: &State<'_, '_>) -> bool {
        let model = state.model;
        self.lifted.iter().all(|class| {
            let counts = &model.relations.profiles[model.classes[*class].profile].spread_hit;
            counts.iter().all(|spread| excess_of(state, *spread) == 0)
        })
    }

    /// One step; whether every pod that was lifted has a place again. Given up when it is sure to cost more
    /// than `most`.
    fn step(&mut self, state: &mut State<'_, '_>, most: i64) -> bool {
        if self.exchanges > 0 && self.random.chance(self.exchanges) {
            return self.exchange(state, most);
        }
        let mut lifted: Vec<usize> = Vec::new();
        self.ruined.clear();
        let first = if self.random.chance(20) { self.random.pick(&self.hot) } else { self.wasteful_of_three(state) };
        let count = 1 + self.random.below(MOST_RUINED);
        if let Some(first) = first {
            self.ruin(state, first, &mut lifted);
            let place = self.ground.places[state.sig[first]];
            for _ in 1..count {
                let mut next = self.random.pick(&self.closable);
                let anywhere = self.random.chance(20);
                for _ in 0..12 {
                    if anywhere || next.is_some_and(|host| self.ground.places[state.sig[host]] == place) {
                        break;
                    }
                    next = self.random.pick(&self.closable);
                }
                if let Some(next) = next {
                    self.ruin(state, next, &mut lifted);
                }
            }
        }
        self.order(state, &lifted);
        if self.random.chance(4)
            && let Some(host) = self.random.pick(&self.closed)
            && !state.open[host]
            && !self.bring_home(state, host)
        {
            return false;
        }
        self.fill_receivers(state);
        // Nodes that come back take their moves back with them.
        let tolls: i64 = self.ruined.iter().filter_map(|host| state.model.hosts.get(*host)).map(|host| host.toll).sum();
        while !self.pool.is_empty() {
            // No machine holds more worth than it costs.
            let spent = state.cost + self.goal.move_penalty * (state.toll - tolls) / MOVE;
            if spent + self.pool.worth / 1000 > most || !self.open_best(state) {
                return false;
            }
        }
        true
    }

    pub(super) fn wasteful_of_three(&mut self, state: &State<'_, '_>) -> Option<usize> {
        let picks = [(); 3].map(|()| self.random.pick(&self.closable).filter(|host| state.open[*host]));
        picks.into_iter().flatten().max_by_key(|host| (self.waste(state, *host), *host))
    }

    pub(super) fn ruin(&mut self, state: &mut State<'_, '_>, host: usize, lifted: &mut Vec<usize>) {
        if !state.open[host] {
            return;
        }
        while let Some(item) = state.pods[host].last().copied() {
            state.lift(item);
            lifted.push(item);
        }
        state.close(host);
        self.ruined.push(host);
    }

    /// Opens a closed node and brings its own pods back, wherever they are; `false` leaves things half
    /// done, to be undone by the caller.
    pub(super) fn bring_home(&mut self, state: &mut State<'_, '_>, host: usize) -> bool {
        state.reopen(host);
        let model = state.model;
        let place = self.ground.places[state.sig[host]];
        for item in &model.hosts[host].home {
            let class = model.items[*item].class;
            let may_come = if state.at[*item] == NOWHERE {
                self.pool.remove(class, *item).is_none_or(|lot| lot.may_be_in(place))
            } else {
                state.lift(*item);
                self.lifted.push(class);
                self.tied_to(state, *item).is_none_or(|own| own == place)
            };
            if !may_come {
                return false;
            }
            // At home a pod may break a rule that holds only when it is placed anew; room it must have.
            if state.conflict(class, host).is_some()
                || state.exceeds_cap(class, host)
                || !state.has_room(&model.classes[class].request, host)
            {
                return false;
            }
            state.place(*item, host);
        }
        true
    }

    /// The place that a pod which was just lifted must stay in, if there is one.
    pub(super) fn tied_to(&self, state: &State<'_, '_>, item: usize) -> Option<usize> {
        let tied = self.scope.tied.as_ref()?;
        tied[state.model.items[item].class].then(|| self.ground.places[state.sig[state.was[item]]])
    }

    /// Makes a pool of pods: dear ones first, by one of three measures, with noise.
    pub(super) fn order(&mut self, state: &State<'_, '_>, lifted: &[usize]) {
        let measure = self.random.below(4);
        let model = state.model;
        let mut classes: Vec<(usize, Option<usize>, usize)> =
            lifted.iter().map(|item| (model.items[*item].class, self.tied_to(state, *item), *item)).collect();
        classes.sort_unstable();
        let mut keyed: Vec<(bool, i64, usize, Option<usize>, usize)> = Vec::with_capacity(classes.len());
        for (class, place, item) in classes {
            if let Some((follows, key, ..)) = keyed.last().copied().filter(|(.., last, _, _)| *last == class) {
                keyed.push((follows, key, class, place, item));
                continue;
            }
            let kind = &model.classes[class];
            let size = match measure {
                0 | 1 => self.goal.bound.worth[class],
                2 => kind.request[CPU] * 1000,
                _ => kind.request[MEMORY] >> 10,
            };
            let noise = 900 + i64::try_from(self.random.next() % 200).unwrap_or(0);
            let follows = !model.relations.profiles[kind.profile].affinity_own.is_empty();
            keyed.push((follows, -(size / 1000 * noise), class, place, item));
        }
        keyed.sort_unstable();
        self.fill_pool(state, keyed.into_iter().map(|(.., place, item)| (item, place)));
        self.lifted.clear();
        self.lifted.extend(self.pool.lots.iter().map(|lot| lot.class));
    }

    /// Places pods of the pool into room that open hosts have.
    fn fill_receivers(&mut self, state: &mut State<'_, '_>) {
        let sample = match self.random.below(6) {
            0 => return,
            1 => 6,
            2 => 16,
            _ => MOST_RECEIVERS,
        };
        let chosen: Vec<usize> = if sample >= self.receivers.len() {
            self.receivers.iter().copied().filter(|host| state.open[*host]).collect()
        } else {
            (0..sample).filter_map(|_| self.random.pick(&self.receivers)).filter(|host| state.open[*host]).collect()
        };
        self.fill_from(state, &chosen);
    }

    /// Places pods of the pool on these hosts, each where the least worth of room is left.
    pub(super) fn fill_from(&mut self, state: &mut State<'_, '_>, chosen: &[usize]) {
        let mut rooms: Vec<i64> = chosen.iter().map(|host| self.goal.bound.units.worth(&state.room[*host])).collect();
        for index in 0..self.pool.lots.len() {
            let (class, worth) = (self.pool.lots[index].class, self.pool.lots[index].worth);
            while self.pool.lots[index].count > 0 {
                let mut best: Option<(i64, usize)> = None;
                for (place, host) in chosen.iter().enumerate() {
                    // A host left with less than another is the better one; one that is left with less than nothing
                    // is full.
                    if best.is_none_or(|(least, _)| rooms[place] < least)
                        && self.pool.lots[index].may_be_in(self.ground.places[state.sig[*host]])
                        && state.fits(class, *host)
                    {
                        best = Some((rooms[place], place));
                    }
                }
                let Some((_, place)) = best else { break };
                state.place(self.pool.take(index), chosen[place]);
                rooms[place] -= worth;
            }
        }
    }

    /// Boots a machine, or one like it elsewhere: in turn, by number.
    pub(super) fn boot_alike(&self, state: &mut State<'_, '_>, machine: usize, number: usize) -> Option<usize> {
        let machines = &state.model.machines;
        let own = &machines[machine];
        let same = |other: &usize| {
            machines[*other].offer.tariff == own.offer.tariff
                && machines[*other].room == own.room
                && state.may_boot(*other)
        };
        let alike: Vec<usize> = (0..machines.len()).filter(same).collect();
        state.boot(*alike.get(number % alike.len().max(1))?)
    }

    /// Places up to `count` pods of a class on a host; whether it took any.
    pub(super) fn put(&mut self, state: &mut State<'_, '_>, host: usize, class: usize, count: usize) -> bool {
        let Some(lot) = self.pool.lots.iter().position(|lot| lot.class == class) else { return false };
        let mut placed = 0;
        while placed < count && self.pool.lots[lot].count > 0 && state.fits(class, host) {
            state.place(self.pool.take(lot), host);
            placed += 1;
        }
        placed > 0
    }
}
