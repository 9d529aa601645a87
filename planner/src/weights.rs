//! Weighted sums: under the objective of cost the other measures have a price too.
//!
//! A plan's candidates are compared by what their machines cost plus what is left of each measure at its weight: the
//! distance of nodes from an even mix of CPU and memory ([`crate::balance`]), what is used above the limit of usage
//! ([`crate::relief`]), and pods beyond the limits of availability ([`crate::availability`]). The search for machines
//! goes by cost alone, which bounds its work; the weights decide among what it finds and what each measure proposes
//! by itself, with all machines kept.

use journal_schema::policy::Objective;

use crate::availability;
use crate::balance::{Scale, swaps};
use crate::model::Model;
use crate::relief::{self, Thermometer};
use crate::sequence::Change;
use crate::state::State;

/// A measure counts in millionths of a node.
const WHOLE: i128 = 1_000_000;
/// No sum of measures is dearer than a pod beyond a cap: what is weighed is what is within the rules.
const MOST: i128 = availability::CROWDED as i128 - 1;

/// The measures that have a weight, in micro-USD per hour.
pub(crate) struct Weighing {
    balance: Option<(i64, Scale)>,
    usage: Option<(i64, Thermometer)>,
    availability: i64,
}

impl Weighing {
    /// `None` where cost decides alone, or does not decide.
    pub(crate) fn new(model: &Model<'_>) -> Option<Self> {
        let policy = &model.input.policy.optimize;
        let weights = policy.weights;
        if policy.objective != Objective::Cost || weights.are_zero() {
            return None;
        }
        Some(Self {
            balance: (weights.balance.0 > 0).then(|| (weights.balance.0, Scale::new(model))),
            usage: (weights.node_usage.0 > 0).then(|| (weights.node_usage.0, Thermometer::new(model))),
            availability: weights.availability.0.max(0),
        })
    }

    /// What is left of the measures at the end of a change, in micro-USD per hour.
    pub(crate) fn price(&self, end: &State<'_, '_>, change: &Change) -> i64 {
        let entropy = self.balance.as_ref().map(|(weight, scale)| (*weight, scale.entropy(end, change)));
        let heat = self.usage.as_ref().map(|(weight, thermometer)| (*weight, thermometer.heat(end, change)));
        let of_nodes: i128 = entropy
            .into_iter()
            .chain(heat)
            .map(|(weight, measure)| i128::from(weight) * i128::from(measure) / WHOLE)
            .sum();
        let crowded = if self.availability == 0 { 0 } else { end.above_limits() };
        let sum = of_nodes + i128::from(self.availability) * i128::from(crowded);
        i64::try_from(sum.min(MOST)).unwrap_or(i64::MAX)
    }

    /// What each measure would change by itself.
    pub(crate) fn propose<'m, 'a>(&self, model: &'m Model<'a>) -> Vec<(Change, State<'m, 'a>)> {
        let balance = self.balance.as_ref().and_then(|(_, scale)| swaps::propose(model, scale));
        let usage = self.usage.as_ref().and_then(|(_, thermometer)| relief::propose(model, thermometer));
        let spread = if self.availability == 0 { None } else { availability::propose(model) };
        balance.into_iter().chain(usage).chain(spread).collect()
    }
}
