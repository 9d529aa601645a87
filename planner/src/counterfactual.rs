//! What a rule costs, measured: the plan is sought on without it.
//!
//! The cluster is compiled once more as if the rule were not there, the placement that the plan ends with is
//! put onto it, and the search goes on from there for a while. What it finds is rehearsed, repaired and checked as
//! a plan is, so one that saves so much exists. The same search goes on with all rules too: what it finds by
//! itself is not put down to the rule.

use journal_schema::plan::{Basis, Relaxation};
use journal_schema::units::MicroUsdPerHour;

use crate::bound::Bound;
use crate::model::Model;
use crate::search::{self, Goal};
use crate::sequence::{Change, Rehearsal, Rules};
use crate::settle::feasible;
use crate::state::{NOWHERE, State};
use crate::verify::verify;
use crate::waiver::Waiver;

/// Most rules that are measured, those that are estimated dearest.
const MOST_MEASURED: usize = 4;
/// Of the steps of the plan's own search, one in this many is given to each continuation.
const STEPS_SHARE: u32 = 40;
/// Most pods × hosts for which there is the time: beyond, estimates must do.
const MOST_WORK: usize = 2_000_000;

/// A plan as it was found.
pub(crate) struct Found<'f, 'm, 'a> {
    pub(crate) model: &'m Model<'a>,
    pub(crate) goal: &'f Goal<'f>,
    pub(crate) change: &'f Change,
    pub(crate) rehearsal: &'f Rehearsal<'m, 'a>,
    /// Whether moves are led.
    pub(crate) steered: bool,
}

/// Replaces the estimates of the dearest rules by what a search without them finds; a rule without which it
/// finds nothing is dropped. Deterministic; work is bounded by the steps of the goal and by the size.
pub(crate) fn measure(found: &Found<'_, '_, '_>, relaxations: Vec<Relaxation>) -> Vec<Relaxation> {
    let model = found.model;
    let small = model.items.len() * (model.hosts.len() + found.change.machines.len()) <= MOST_WORK;
    let waivable = |relaxation: &Relaxation| Waiver::of(&relaxation.reason).is_some();
    if !small || found.goal.steps < STEPS_SHARE || !relaxations.iter().any(waivable) {
        return relaxations;
    }
    let own = found.cost_on(model);
    // What goes wrong with all rules is no measure of one.
    let Some(own) = own else { return relaxations };
    let planned = model.present_cost + found.change.cost(model);
    let baseline = own.min(planned);
    let mut left = MOST_MEASURED;
    let mut list: Vec<Relaxation> = relaxations
        .into_iter()
        .map(|relaxation| {
            let Some(waiver) = Waiver::of(&relaxation.reason).filter(|_| left > 0) else { return relaxation };
            left -= 1;
            let mut without = Model::waiving(model.input, &waiver);
            without.weigh(&found.goal.bound.relief);
            match found.cost_on(&without) {
                Some(cost) => {
                    let saves = MicroUsdPerHour((baseline - cost).max(0));
                    Relaxation { saves, basis: Basis::Measured, ..relaxation }
                }
                None => relaxation,
            }
        })
        .filter(|relaxation| relaxation.saves > MicroUsdPerHour::ZERO)
        .collect();
    list.sort_by(|a, b| b.saves.cmp(&a.saves).then_with(|| a.reason.cmp(&b.reason)));
    list
}

impl Found<'_, '_, '_> {
    /// What the nodes cost when the search goes on from this plan on a model of the same cluster; `None` when
    /// the plan cannot be put onto it, or what is found does not hold.
    fn cost_on(&self, model: &Model<'_>) -> Option<i64> {
        let guide = self.guide(model);
        let steps = self.goal.steps / STEPS_SHARE;
        let goal = Goal { bound: &guide, steps, branches: 0, ..*self.goal };
        let present = State::present(model, search::slots(model));
        let start = self.carried_over(&present)?;
        let nodes = model.hosts.iter().zip(&self.model.hosts).enumerate();
        let freed: Vec<usize> = nodes
            .filter(|(_, (now, before))| now.keep.is_none() && before.keep.is_some())
            .map(|(index, _)| index)
            .collect();
        let state = search::resume(&present, start, &freed, &goal);
        let change = if self.steered { crate::waves::led(&state) } else { Change::of(&state) };
        let (change, rehearsal) = feasible(model, &guide, change, &state.at, Rules::Compiled);
        let as_many = rehearsal.stuck.len() == self.rehearsal.stuck.len();
        if !as_many || verify(model, &change, &rehearsal).is_err() {
            return None;
        }
        Some(model.present_cost + change.cost(model))
    }

    /// The prices that guided the plan's search, by the classes of another model: pods that could not move are
    /// worth what they ask for.
    fn guide(&self, model: &Model<'_>) -> Bound {
        let bound = self.goal.bound;
        let mut worth = vec![None; model.classes.len()];
        for (own, item) in self.model.items.iter().zip(&model.items) {
            let movable = own.standing.blocked.is_none();
            let value = || {
                if movable { bound.worth[own.class] } else { bound.units.worth(&model.classes[item.class].request) }
            };
            worth[item.class].get_or_insert_with(value);
        }
        let worth = worth.into_iter().map(Option::unwrap_or_default).collect();
        let (method, units, relief) = (bound.method.clone(), bound.units, bound.relief.clone());
        Bound { cost: 0, method, units, worth, resources: Vec::new(), rents: None, relief, fillings: Vec::new() }
    }

    /// The plan's end, as a placement of another model of the same cluster: its nodes and pods have the same
    /// numbers. `None` when it does not offer a machine of the plan, or may not place a pod of it.
    fn carried_over<'m, 'a>(&self, present: &State<'m, 'a>) -> Option<State<'m, 'a>> {
        let model = present.model;
        let mut state = present.clone();
        for host in &self.change.leaving {
            for item in state.pods[*host].clone() {
                state.lift(item);
            }
            state.close(*host);
        }
        let mut slots: Vec<usize> = (0..state.nodes()).collect();
        for machine in &self.change.machines {
            let pool = self.model.machines[*machine].offer.pool;
            let same = model.machines.iter().position(|machine| machine.offer.pool == pool)?;
            slots.push(state.boot(same)?);
        }
        for item in 0..model.items.len() {
            let slot = self.rehearsal.state.at[item];
            if slot != NOWHERE && state.at[item] == NOWHERE {
                // Behind the rule another may stand that keeps a waiting pod from being placed.
                if model.items[item].standing.blocked.is_some() {
                    return None;
                }
                state.place(item, slots[slot]);
            }
        }
        state.commit();
        Some(state)
    }
}
