//! Which of the placements that were found becomes the plan.
//!
//! A placement is worth what the scheduler makes of it. To know that is work: it is settled on the compiled
//! model first, and what looks cheapest there is settled again on the reference, which alone is believed. The
//! next is always the one that is cheapest as far as is known, so that those are left alone which could not
//! become cheaper than what is believed already.

use journal_schema::policy::Objective;

use crate::aims::Measure;
use crate::model::Model;
use crate::outlook;
use crate::placement;
use crate::search::Goal;
use crate::sequence::{Change, Rules, work_of};
use crate::settle::{Candidate, LARGE_REHEARSAL, price_of};
use crate::shifts;
use crate::state::State;
use crate::waves;

/// Where a rehearsal is large, a scheduler that nobody leads ends this share of the present cost above a
/// placement at least, as a divisor: what is led is believed if it is no further away.
const UNLED_SHARE: i64 = 50;

/// How much is known of a candidate.
enum Stage<'m, 'a> {
    /// It was found, by its number.
    Found(usize),
    /// It was settled on the compiled model.
    Looked(Candidate<'m, 'a>),
    /// It was settled on the reference.
    Believed(Candidate<'m, 'a>),
}

struct Waiting<'m, 'a> {
    /// Price as far as is known: the true one is hardly ever lower.
    price: i64,
    /// Among equals: the lowest is looked at first.
    rank: usize,
    stage: Stage<'m, 'a>,
}

/// The candidates that are left, cheapest first.
pub(crate) struct Choice<'m, 'a, 'g, 'b> {
    model: &'m Model<'a>,
    goal: &'g Goal<'b>,
    found: Vec<State<'m, 'a>>,
    /// What counts instead of the price, where the objective is another.
    measure: Option<Measure>,
    waiting: Vec<Waiting<'m, 'a>>,
}

impl<'m, 'a, 'g, 'b> Choice<'m, 'a, 'g, 'b> {
    /// All that follow from placements, the best of which comes first.
    pub(crate) fn new(model: &'m Model<'a>, goal: &'g Goal<'b>, found: Vec<State<'m, 'a>>) -> Self {
        let measure = found.last().and_then(|kept| Measure::of(model, kept));
        let mut choice = Self { model, goal, found, measure, waiting: Vec::new() };
        let steered = shifts::led(model);
        match (model.input.policy.optimize.objective, steered) {
            (Objective::Cost, true) => choice.lead(),
            (Objective::Cost, false) => choice.look_at_all(true),
            (Objective::Balance | Objective::NodeUsage | Objective::Availability, _) => choice.look_at_all(false),
        }
        if steered {
            choice.shift();
        }
        choice
    }

    /// Moves pods between nodes that stay: so that pending ones find room, or as the objective asks.
    fn shift(&mut self) {
        let proposed = placement::propose(self.model, self.goal);
        let proposed = proposed.or_else(|| self.measure.as_ref()?.propose(self.model));
        let weighed = self.goal.weighing.map_or_else(Vec::new, |weighing| weighing.propose(self.model));
        for (number, (change, state)) in proposed.into_iter().chain(weighed).enumerate() {
            let candidate = self.settle(change, &state.at, Rules::Compiled);
            let rank = 2 * self.found.len() + 3 + number;
            self.waiting.push(Waiting { price: candidate.price, rank, stage: Stage::Looked(candidate) });
        }
    }

    /// Leads the scheduler to the best placement, and where that is cheap to the next as long as that could be
    /// cheaper than what came of those before. All of them without being led are looked at when what is led turns out
    /// to be dearer than they could be.
    fn lead(&mut self) {
        let floor = |state: &State<'m, 'a>| price_of(&Change::of(state), state, state.homeless, self.goal);
        let mut led: Vec<Candidate<'m, 'a>> = Vec::new();
        for state in &self.found {
            if led.iter().any(|other| other.price <= floor(state) || !self.is_drawn(other)) {
                break;
            }
            let mut candidate = self.settle(waves::led(state), &state.at, Rules::Compiled);
            candidate.harden(self.model, self.goal, Rules::Compiled);
            led.push(candidate);
        }
        let Some(first) = led.first() else { return };
        let large = work_of(self.model, &first.change, first.rehearsal.steps.len()) >= LARGE_REHEARSAL;
        let count = self.found.len();
        let unled = if large { self.model.present_cost / UNLED_SHARE } else { 0 };
        for (number, state) in self.found.iter().enumerate() {
            // Among equals the one that changes least, which the search gives last; and one that leads nobody.
            let rank = if large { 2 * count + 2 - number } else { count - number };
            self.waiting.push(Waiting { price: floor(state) + unled, rank, stage: Stage::Found(number) });
        }
        for (rank, led) in (count + 1..).zip(led) {
            self.waiting.push(Waiting { price: led.price, rank, stage: Stage::Looked(led) });
        }
    }

    /// Whether it was rehearsed in other orders too.
    fn is_drawn(&self, candidate: &Candidate<'_, '_>) -> bool {
        outlook::is_drawn(self.model, &candidate.change, candidate.rehearsal.steps.len())
    }

    /// Settles every placement on the compiled model, and makes the best cheaper where that is asked for.
    fn look_at_all(&mut self, polish: bool) {
        let mut candidates: Vec<Candidate<'m, 'a>> =
            self.found.iter().rev().map(|state| self.settle(Change::of(state), &state.at, Rules::Compiled)).collect();
        candidates.sort_by_key(|candidate| candidate.price);
        // Where that is cheap the second too: which of them becomes cheaper is seen only afterwards.
        let small = candidates.first().is_some_and(|first| self.is_drawn(first));
        for candidate in candidates.iter_mut().take(if polish { 1 + usize::from(small) } else { 0 }) {
            candidate.polish(self.model, self.goal, Rules::Compiled);
        }
        candidates.sort_by_key(|candidate| candidate.price);
        let waiting = |(rank, candidate): (usize, Candidate<'m, 'a>)| Waiting {
            price: candidate.price,
            rank,
            stage: Stage::Looked(candidate),
        };
        self.waiting = candidates.into_iter().enumerate().map(waiting).collect();
    }

    fn settle(&self, change: Change, placed: &[usize], rules: Rules) -> Candidate<'m, 'a> {
        let mut candidate = Candidate::settle(self.model, self.goal, change, placed, rules);
        candidate.price = self.measure.as_ref().map_or(candidate.price, |measure| measure.price(&candidate));
        candidate
    }

    /// The cheapest of those that were settled on the reference; `None` when all were given out.
    pub(crate) fn next(&mut self) -> Option<Candidate<'m, 'a>> {
        loop {
            let key = |index: &usize| (self.waiting[*index].price, self.waiting[*index].rank);
            let next = (0..self.waiting.len()).min_by_key(key)?;
            let Waiting { price, rank, stage } = self.waiting.swap_remove(next);
            let (price, stage) = match stage {
                Stage::Believed(candidate) => return Some(candidate),
                Stage::Found(number) => {
                    let state = &self.found[number];
                    let candidate = self.settle(Change::of(state), &state.at, Rules::Compiled);
                    (candidate.price, Stage::Looked(candidate))
                }
                Stage::Looked(looked) => {
                    let mut candidate = self.settle(looked.change, &looked.rehearsal.state.at, Rules::Reference);
                    if self.measure.is_none() && candidate.price > price && candidate.change.waves.is_empty() {
                        candidate.polish(self.model, self.goal, Rules::Reference);
                    }
                    (candidate.price, Stage::Believed(candidate))
                }
            };
            self.waiting.push(Waiting { price, rank, stage });
        }
    }
}
