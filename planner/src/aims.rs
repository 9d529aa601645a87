//! What a plan is for, and how far a placement is from it.
//!
//! Under the objective of cost the price of a change decides. Under another one the machines stay, and pods
//! change places as long as its own measure falls; pods that wait come first all the same, and are served at
//! the least price.

use journal_schema::policy::Objective;

use crate::availability::{self, CROWDED};
use crate::balance::{Scale, swaps};
use crate::model::Model;
use crate::relief::{self, Thermometer};
use crate::search::{Goal, HOMELESS, kept};
use crate::sequence::Change;
use crate::settle::Candidate;
use crate::state::State;

/// The measure of an objective other than cost.
pub(crate) enum Measure {
    Balance(Scale),
    NodeUsage(Thermometer),
    Availability,
}

impl Measure {
    /// The measure by which a plan is made now: none where cost decides, or where pods wait for help.
    pub(crate) fn of(model: &Model<'_>, kept: &State<'_, '_>) -> Option<Self> {
        let helped = kept.homeless > 0 || kept.booted.iter().any(|booted| *booted > 0);
        match model.input.policy.optimize.objective {
            Objective::Cost => None,
            Objective::Balance => (!helped).then(|| Self::Balance(Scale::new(model))),
            Objective::Availability => (!helped).then_some(Self::Availability),
            Objective::NodeUsage => (!helped).then(|| Self::NodeUsage(Thermometer::new(model))),
        }
    }

    /// A change that lowers it; `None` where none is found.
    pub(crate) fn propose<'m, 'a>(&self, model: &'m Model<'a>) -> Option<(Change, State<'m, 'a>)> {
        match self {
            Self::Balance(scale) => swaps::propose(model, scale),
            Self::NodeUsage(thermometer) => relief::propose(model, thermometer),
            Self::Availability => availability::propose(model),
        }
    }

    /// What a candidate comes to; less is better.
    pub(crate) fn price(&self, candidate: &Candidate<'_, '_>) -> i64 {
        let stuck = i64::try_from(candidate.rehearsal.stuck.len()).unwrap_or(i64::MAX / HOMELESS);
        let value = match self {
            Self::Balance(scale) => scale.entropy(&candidate.rehearsal.state, &candidate.change),
            Self::NodeUsage(thermometer) => thermometer.heat(&candidate.rehearsal.state, &candidate.change),
            Self::Availability => candidate.rehearsal.state.above_limits(),
        };
        value + stuck * HOMELESS + candidate.rehearsal.state.above_caps() * CROWDED
    }
}

/// The placement in which all nodes stay.
pub(crate) fn staying<'m, 'a>(model: &'m Model<'a>, goal: &Goal<'_>) -> State<'m, 'a> {
    kept(&State::present(model, model.pending.len()), goal)
}
