//! Making a change one that the scheduler carries out.
//!
//! A packing may be tighter than what the scheduler reaches by itself. Where pods get stuck in the
//! rehearsal, the cheapest remedy is taken (one more machine, or the stuck pods' nodes stay after
//! all) and the plan is rehearsed again, until every pod finds a place.
//!
//! The tightest packing is not the one that the scheduler reaches most cheaply, so the machines are
//! sought once more, now by what the rehearsal makes of them, and by what becomes of them when the
//! scheduler does otherwise ([`Candidate::polish`]).

use crate::availability::CROWDED;
use crate::bound::Bound;
use crate::model::Model;
use crate::moves::MOVE;
use crate::outlook::{Outlook, outlook};
use crate::remedies::Remedies;
use crate::search::random::Random;
use crate::search::{Goal, HOMELESS, PER_HOST, spread_excess};
use crate::sequence::{Change, Rehearsal, Rules, rehearse, work_of};
use crate::state::{NOWHERE, State};
use crate::steer::{help, steer};

/// Rounds in which machines may be added; after these, nodes only stay.
const MACHINE_ROUNDS: u32 = 24;
/// Rehearsals that make one trial whole again.
const REPAIRS: u32 = 4;
/// Moves × hosts of all rehearsals of trials on the compiled model.
const COMPILED_WORK: usize = 30_000_000;
/// More of it where a rehearsal is small: many small trials find more than a few large ones.
const SMALL_WORK: usize = 50_000_000;
/// From this size on a rehearsal is not small at all.
pub(crate) const LARGE_REHEARSAL: usize = 600_000;
/// The same on the reference model, which takes longer.
const REFERENCE_WORK: usize = 4_000_000;
/// The first trials take out one in this many of the new machines at once.
const FIRST_SHARE: usize = 32;
/// Trials that fail before fewer machines are taken out at once.
const PATIENCE: u32 = 3;
/// Of the rehearsals drawn by lot in which nodes stay, so many are learned from at once.
const MOST_FAILED: usize = 4;
/// Trials that fail in a row before the search ends.
const MOST_FAILURES: u32 = 400;

/// Repairs a change until no pod of a leaving node is stuck, and rehearses it.
///
/// `wanted` says which pending pods must get a place. Ends after as many rounds as there are nodes
/// that leave, at most: each round adds a machine or keeps a node, and machines only for a while.
fn settle<'m, 'a>(
    model: &'m Model<'a>,
    bound: &Bound,
    mut change: Change,
    wanted: &dyn Fn(usize) -> bool,
    rules: Rules,
) -> (Change, Rehearsal<'m, 'a>) {
    let mut round = 0;
    loop {
        let mut rehearsal = rehearse(model, &change, rules);
        let stuck: Vec<usize> =
            rehearsal.stuck.iter().copied().filter(|item| model.items[*item].home.is_some() || wanted(*item)).collect();
        round += 1;
        if stuck.is_empty() {
            if round <= MACHINE_ROUNDS && change.drop_unused(&rehearsal) {
                continue;
            }
            return (change, rehearsal);
        }
        if round <= MACHINE_ROUNDS {
            let remedies = Remedies::find(&mut rehearsal.state, bound, &change, stuck).first();
            if remedies.is_empty() {
                // Only pending pods are stuck, and no machine takes them: they stay pending.
                return (change, rehearsal);
            }
            remedies.apply(model, &mut change);
        } else {
            let homes: Vec<usize> = stuck.iter().filter_map(|item| model.items[*item].home).collect();
            if homes.is_empty() {
                return (change, rehearsal);
            }
            change.keep(model, &homes);
        }
    }
}

/// Repairs a change until no pod is stuck, led or not, and rehearses it; `placed` says which pods must get a
/// place.
pub(crate) fn feasible<'m, 'a>(
    model: &'m Model<'a>,
    bound: &Bound,
    change: Change,
    placed: &[usize],
    rules: Rules,
) -> (Change, Rehearsal<'m, 'a>) {
    let wanted = |item: usize| placed[item] != NOWHERE;
    if change.waves.is_empty() {
        settle(model, bound, change, &wanted, rules)
    } else {
        steer(model, bound, change, rules)
    }
}

/// Cost of a change that ends with such a placement against doing nothing: moves, pods without a place, and pods
/// beyond a cap included, and what is left of the measures that have a weight.
pub(crate) fn price_of(change: &Change, end: &State<'_, '_>, stuck: usize, goal: &Goal<'_>) -> i64 {
    let model = end.model;
    let toll: i64 = change.leaving.iter().map(|host| model.hosts[*host].toll).sum();
    let toll = toll + crate::shifts::toll(model, &change.shifting);
    let stuck = i64::try_from(stuck).unwrap_or(i64::MAX / HOMELESS);
    let weighed = goal.weighing.map_or(0, |weighing| weighing.price(end, change));
    let hosts = i64::try_from(change.hosts(model)).unwrap_or(i64::MAX / HOMELESS);
    change.cost(model)
        + hosts * PER_HOST
        + toll * goal.move_penalty / MOVE
        + stuck * HOMELESS
        + end.above_caps() * CROWDED
        + weighed
}

/// A change that the scheduler carries out.
pub(crate) struct Candidate<'m, 'a> {
    pub(crate) change: Change,
    pub(crate) rehearsal: Rehearsal<'m, 'a>,
    /// Its [`price_of`] and what it costs in the mean when the scheduler does otherwise.
    pub(crate) price: i64,
}

impl<'m, 'a> Candidate<'m, 'a> {
    /// Settles a change; `placed` says which pods must get a place.
    pub(crate) fn settle(
        model: &'m Model<'a>,
        goal: &Goal<'_>,
        change: Change,
        placed: &[usize],
        rules: Rules,
    ) -> Self {
        let (change, rehearsal) = feasible(model, goal.bound, change, placed, rules);
        Self::new(model, goal, change, rehearsal).0
    }

    fn new(
        model: &'m Model<'a>,
        goal: &Goal<'_>,
        change: Change,
        rehearsal: Rehearsal<'m, 'a>,
    ) -> (Self, Outlook<'m, 'a>) {
        let outlook = outlook(model, &change, rehearsal.steps.len(), goal.threads);
        let price = price_of(&change, &rehearsal.state, rehearsal.stuck.len(), goal) + outlook.regret;
        (Self { change, rehearsal, price }, outlook)
    }

    /// Makes it cheaper where the scheduler still carries it out.
    pub(crate) fn polish(&mut self, model: &'m Model<'a>, goal: &Goal<'_>, rules: Rules) {
        self.cheapen(model, goal, rules);
        self.harden(model, goal, rules);
    }

    /// Takes new machines out, the emptiest for their price first, or more nodes, and lets the rehearsal
    /// and the remedies fill the gap. Bounded by work.
    fn cheapen(&mut self, model: &'m Model<'a>, goal: &Goal<'_>, rules: Rules) {
        let large = (self.rehearsal.steps.len() * self.change.hosts(model)).min(LARGE_REHEARSAL);
        let most_work = match rules {
            Rules::Compiled => COMPILED_WORK + SMALL_WORK / LARGE_REHEARSAL * (LARGE_REHEARSAL - large),
            Rules::Reference => REFERENCE_WORK,
        };
        let mut random = Random::new(goal.seed);
        let mut at_once = (self.change.machines.len() / FIRST_SHARE).max(1);
        let (excess, lonely) = (spread_excess(&self.rehearsal.state), self.rehearsal.state.lonely());
        let leaving = self.change.leaving.clone();
        let (mut work, mut failures) = (0, 0);
        while work < most_work && failures < MOST_FAILURES {
            let taken_out = taken_out(&self.rehearsal, goal.bound, &self.change, at_once, &mut random);
            let Some(mut trial) = taken_out else { return };
            let mut better = None;
            for _ in 0..REPAIRS {
                let mut outcome = rehearse(model, &trial, rules);
                work += work_of(model, &trial, outcome.steps.len());
                let mut now = price_of(&trial, &outcome.state, outcome.stuck.len(), goal);
                // The scheduler counts a pod that is about to leave, so a domain may run empty with its last
                // node: a node more may leave only if spread constraints are no worse for it.
                let no_more_leave = trial.leaving.iter().all(|host| leaving.binary_search(host).is_ok());
                let sound =
                    outcome.state.lonely() <= lonely && (no_more_leave || spread_excess(&outcome.state) <= excess);
                if now < self.price && sound {
                    let outlook = outlook(model, &trial, outcome.steps.len(), goal.threads);
                    work += outlook.work;
                    now += outlook.regret;
                    if now < self.price {
                        better = Some((now, outcome));
                        break;
                    }
                }
                let whole = outcome.stuck.len() <= self.rehearsal.stuck.len();
                let homeless = i64::try_from(outcome.stuck.len()).unwrap_or(0) * HOMELESS;
                if !sound || whole || now - homeless >= self.price {
                    break;
                }
                let stuck = outcome.stuck.clone();
                let remedies = Remedies::find(&mut outcome.state, goal.bound, &trial, stuck).first();
                if remedies.is_empty() {
                    break;
                }
                remedies.apply(model, &mut trial);
            }
            match better {
                Some((price, rehearsal)) => {
                    failures = 0;
                    *self = Self { change: trial, rehearsal, price };
                    self.drop_unused(model, goal, rules);
                }
                None => {
                    failures += 1;
                    if failures >= PATIENCE && at_once > 1 {
                        at_once /= 2;
                        failures = 0;
                    }
                }
            }
        }
    }

    /// Does without the machines that got no pod, where that is no dearer: the slots, and with them the
    /// scheduler's choice among equals, change with it.
    fn drop_unused(&mut self, model: &'m Model<'a>, goal: &Goal<'_>, rules: Rules) {
        let mut change = self.change.clone();
        if change.drop_unused(&self.rehearsal) {
            let rehearsal = rehearse(model, &change, rules);
            let (less, _) = Self::new(model, goal, change, rehearsal);
            let excess = spread_excess(&self.rehearsal.state);
            if less.price <= self.price && spread_excess(&less.rehearsal.state) <= excess {
                *self = less;
            }
        }
    }

    /// Makes it come true in more orders: by opening hosts one after the other, and then, where that is worth its
    /// price, by the remedies that a rehearsal drawn by lot would have needed, as long as the mean falls.
    pub(crate) fn harden(&mut self, model: &'m Model<'a>, goal: &Goal<'_>, rules: Rules) {
        let mut failed = outlook(model, &self.change, self.rehearsal.steps.len(), goal.threads).failed;
        let before = Soundness::of(&self.rehearsal);
        while let Some(change) = self.change.apart(model, &self.rehearsal, &failed) {
            let outcome = rehearse(model, &change, rules);
            let sound = Soundness::of(&outcome).is_no_worse_than(&before);
            let (apart, outlook) = Self::new(model, goal, change, outcome);
            if !sound || apart.price > self.price {
                break;
            }
            *self = apart;
            failed = outlook.failed;
        }
        loop {
            let mut better: Option<(Self, Outlook<'m, 'a>)> = None;
            // Those in which most goes wrong come first; a few tell what to do.
            failed.sort_by_key(|rehearsal| std::cmp::Reverse(rehearsal.stuck.len()));
            for mut failed in failed.into_iter().take(MOST_FAILED) {
                let stuck: Vec<usize> =
                    failed.stuck.iter().copied().filter(|item| model.items[*item].home.is_some()).collect();
                let mut trial = self.change.clone();
                let remedies = Remedies::find(&mut failed.state, goal.bound, &self.change, stuck.clone()).first();
                help(model, &mut trial, remedies, &stuck);
                let outcome = rehearse(model, &trial, rules);
                if !Soundness::of(&outcome).is_no_worse_than(&before) {
                    continue;
                }
                let (trial, outlook) = Self::new(model, goal, trial, outcome);
                if trial.price < better.as_ref().map_or(self.price, |(best, _)| best.price) {
                    better = Some((trial, outlook));
                }
            }
            let Some((candidate, outlook)) = better else { return };
            *self = candidate;
            failed = outlook.failed;
        }
    }
}

/// What must not become worse for a lower price.
struct Soundness {
    stuck: usize,
    excess: i64,
    lonely: u32,
}

impl Soundness {
    fn of(rehearsal: &Rehearsal<'_, '_>) -> Self {
        let Rehearsal { stuck, state, .. } = rehearsal;
        Self { stuck: stuck.len(), excess: spread_excess(state), lonely: state.lonely() }
    }

    fn is_no_worse_than(&self, other: &Self) -> bool {
        self.stuck <= other.stuck && self.excess <= other.excess && self.lonely <= other.lonely
    }
}

/// The change with some machines less, or other machines in their place, or one more node that leaves.
fn taken_out(
    rehearsal: &Rehearsal<'_, '_>,
    bound: &Bound,
    change: &Change,
    at_once: usize,
    random: &mut Random,
) -> Option<Change> {
    let (state, model) = (&rehearsal.state, rehearsal.state.model);
    let runs = |host: usize| bound.worth_of(model, &state.pods[host]);
    let kept: Vec<usize> =
        (0..model.hosts.len()).filter(|host| model.hosts[*host].keep.is_none() && !change.leaves(*host)).collect();
    if change.machines.is_empty() && kept.is_empty() {
        return None;
    }
    let mut trial = change.clone();
    if !kept.is_empty() && (change.machines.is_empty() || random.chance(20)) {
        let waste = |host: usize| model.hosts[host].price.unwrap_or(0) * 1000 - runs(host);
        let picked = (0..3).filter_map(|_| random.pick(&kept)).max_by_key(|host| (waste(*host), *host))?;
        let place = trial.leaving.binary_search(&picked).unwrap_or_else(|place| place);
        trial.leaving.insert(place, picked);
        return Some(trial);
    }
    if !change.leaving.is_empty() && random.chance(10) {
        // A node that stays after all may take what two machines are for.
        trial.leaving.remove(random.below(change.leaving.len()));
    }
    let mut out: Vec<usize> = Vec::new();
    for _ in 0..at_once.min(change.machines.len()) {
        let waste =
            |place: usize| model.machines[change.machines[place]].offer.price * 1000 - runs(state.nodes() + place);
        let picks = (0..3).map(|_| random.below(change.machines.len())).filter(|place| !out.contains(place));
        let picked = picks.collect::<Vec<_>>().into_iter().max_by_key(|place| (waste(*place), *place));
        out.extend(picked);
    }
    if out.len() == 1 && random.chance(50) {
        // Another machine of about the price, or less, in its place.
        let old = model.machines[change.machines[out[0]]].offer.price;
        let others: Vec<usize> = (0..model.machines.len())
            .filter(|machine| {
                let price = model.machines[*machine].offer.price;
                price < old + old / 4 && price * 3 > old && may_boot(&trial, model, *machine)
            })
            .collect();
        if let Some(machine) = random.pick(&others) {
            trial.machines[out[0]] = machine;
            return Some(trial);
        }
    }
    out.sort_unstable();
    for place in out.into_iter().rev() {
        trial.machines.remove(place);
    }
    Some(trial)
}

/// Whether one more machine of a kind may be booted.
fn may_boot(change: &Change, model: &Model<'_>, machine: usize) -> bool {
    let booted = change.machines.iter().filter(|other| **other == machine).count();
    model.machines[machine].offer.most.is_none_or(|most| booted < most as usize)
}
