//! The search for a cheaper placement.
//!
//! A plan may close present nodes and boot machines. Pods of nodes that stay do not move, so a
//! placement is: which nodes are closed, which machines are booted, and where the pods of closed
//! nodes and the pending pods go.

mod begin;
mod cover;
mod drain;
mod effort;
mod exact;
mod exchange;
mod fitting;
mod gathered;
mod ground;
mod ladder;
mod opening;
mod parts;
mod pool;
pub(crate) mod random;
mod reach;
mod ruin;
mod squeeze;
mod starts;
mod trial;

pub(crate) use drain::{best_host, boot_for, by_worth, place_or_boot, place_pending, roomy};
pub(crate) use ladder::climb;

use begin::Begun;
use effort::{Effort, MANY};
use ground::Ground;
use parts::{Course, Parts};
use ruin::{HEAT_PERCENT, Pace, Scope};

use crate::bound::Bound;
use crate::model::Model;
use crate::moves::MOVE;
use crate::parallel::in_parallel;
use crate::state::State;
use crate::weights::Weighing;

/// Price of a pod without a place: more than any machine.
pub(crate) const HOMELESS: i64 = 1_000_000_000_000;

/// Micro-USD per hour that a host counts for beyond what it costs: of placements that cost the same the one with
/// fewer hosts is better. It is more than what rounding makes of prices that are in proportion.
pub(crate) const PER_HOST: i64 = 5;

/// What the search minimises and may spend.
pub(crate) struct Goal<'b> {
    /// Unit prices and worths that guide it.
    pub(crate) bound: &'b Bound,
    /// Micro-USD per hour for each ordinary pod that moves.
    pub(crate) move_penalty: i64,
    /// Steps.
    pub(crate) steps: u32,
    /// Branches of the integer program, where there is one.
    pub(crate) branches: u32,
    /// Seed of its choices.
    pub(crate) seed: u64,
    /// Threads; the outcome is the same for any number.
    pub(crate) threads: u32,
    /// What counts beside cost when candidates are compared.
    pub(crate) weighing: Option<&'b Weighing>,
}

impl Goal<'_> {
    /// Price of a placement, moves and homeless pods included.
    pub(crate) fn price(&self, state: &State<'_, '_>) -> i64 {
        state.cost
            + state.hosts * PER_HOST
            + self.move_penalty * state.toll / MOVE
            + HOMELESS * i64::try_from(state.homeless).unwrap_or(i64::MAX / HOMELESS)
    }
}

/// All nodes stay, and pending pods get a place: in room that is there, else on machines.
pub(crate) fn kept<'m, 'a>(present: &State<'m, 'a>, goal: &Goal<'_>) -> State<'m, 'a> {
    let mut kept = present.clone();
    place_pending(&mut kept, goal);
    kept.commit();
    kept
}

/// Shares of the nodes that may leave, in percent, that are closed for a start when a search goes on.
const RESUMED: [usize; 3] = [100, 60, 30];

/// A small cluster is searched from so many seeds: a placement that is cheap on paper may be fragile, and another
/// one as cheap is not.
const SEEDS: u64 = 2;
/// Nodes that may leave of a small one, at most.
const SMALL: usize = 150;

/// What the searches of one cluster begin from.
pub(crate) struct Outset<'m, 'a> {
    ground: Ground,
    /// As things are, with slots for new machines.
    present: State<'m, 'a>,
    /// The same once pending pods have a place.
    kept: State<'m, 'a>,
    /// The parts of a large cluster in which they begin.
    parts: Option<Parts>,
    /// How much they may do.
    pub(crate) effort: Effort,
}

impl<'m, 'a> Outset<'m, 'a> {
    pub(crate) fn new(model: &'m Model<'a>, goal: &Goal<'_>) -> Self {
        let present = State::present(model, slots(model));
        let kept = kept(&present, goal);
        let ground = Ground::new(model, goal);
        let parts = Parts::to_begin_with(&kept, goal, &ground);
        Self { ground, effort: Effort::new(&kept, goal), present, kept, parts }
    }
}

/// Finds good placements, the best first: the improved one, the one that only empties nodes, the one that
/// only places what is pending, and where the cluster is small that of an integer program. Work is bounded
/// by the outset's effort and `goal.branches`.
pub(crate) fn solve<'m, 'a>(outset: &Outset<'m, 'a>, goal: &Goal<'_>) -> Vec<State<'m, 'a>> {
    let Outset { ground, present, kept, effort, .. } = outset;
    let model = present.model;
    let Begun { emptied, best } = begin::begin(outset, goal);
    let small = leaving(model) <= SMALL;
    let dear = ground.moves_are_dear(goal.move_penalty);
    let course = Course::full(effort.steps_from(goal.price(&best), goal.bound.cost), small, dear);
    let seeds: Vec<u64> = (0..if small { SEEDS } else { 1 }).map(|n| goal.seed.wrapping_add(n)).collect();
    let mut found = in_parallel(goal.threads, &seeds, |seed| {
        parts::improve_all(best.clone(), present.lonely(), ground, course, &Goal { seed: *seed, ..*goal })
    });
    found.extend([emptied, kept.clone()]);
    if goal.branches > 0 {
        found.extend(exact::solve(present, goal));
    }
    found.sort_by_key(|state| goal.price(state));
    found
}

/// Places for new machines that a search may need.
pub(crate) fn slots(model: &Model<'_>) -> usize {
    leaving(model) * 2 + model.pending.len() + 16
}

/// How many present nodes may leave.
fn leaving(model: &Model<'_>) -> usize {
    model.leaving().count()
}

/// Goes on from a placement in which `freed` nodes may leave that could not before: closes some of these where
/// that is cheaper, empties others, and improves it by the goal's steps.
pub(crate) fn resume<'m, 'a>(
    present: &State<'m, 'a>,
    start: State<'m, 'a>,
    freed: &[usize],
    goal: &Goal<'_>,
) -> State<'m, 'a> {
    let ground = Ground::new(present.model, goal);
    let without =
        RESUMED.iter().filter_map(|percent| starts::close_wasteful(&start, goal, &ground, *percent, Some(freed)));
    let cheapest = without.min_by_key(|state| goal.price(state)).filter(|state| goal.price(state) < goal.price(&start));
    let mut start = cheapest.unwrap_or(start);
    drain::drain(&mut start, goal);
    start.commit();
    let whole = Scope::whole(&start);
    let pace = Pace { steps: goal.steps, heat_percent: HEAT_PERCENT, seed: goal.seed, stage: (0, 1), gathers: false };
    ruin::improve(start, present.lonely(), goal, &ground, &whole, pace)
}

/// Whether rules over more than one host hold as well as they did where so many affinities were broken.
fn is_sound(state: &State<'_, '_>, lonely: u32) -> bool {
    state.lonely() <= lonely && spread_kept(state)
}

/// Whether no spread constraint over zones is worse than it may be, or than it was.
pub(crate) fn spread_kept(state: &State<'_, '_>) -> bool {
    spread_excess(state) == 0
}

/// By how much spread constraints over zones are worse than they may be, or than they were.
pub(crate) fn spread_excess(state: &State<'_, '_>) -> i64 {
    (0..state.model.relations.spreads.len()).map(|spread| excess_of(state, spread)).sum()
}

/// By how much a spread constraint is worse than it may be, or than it was.
fn excess_of(state: &State<'_, '_>, spread: usize) -> i64 {
    let rule = &state.model.relations.spreads[spread];
    (state.skew(spread) - rule.max_skew.max(rule.skew_now)).max(0)
}
