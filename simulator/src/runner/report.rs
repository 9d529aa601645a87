//! What a run comes to.

use journal_schema::units::{MicroUsd, MicroUsdPerHour};
use serde::Serialize;

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// An iteration was carried out.
    Completed,
    /// An iteration was unwound.
    Unwound,
    /// No iteration changed anything.
    Untouched,
    /// The time was up in the middle of an iteration.
    Unfinished,
}

/// The report. Money is written as decimal dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulationReport {
    /// Scenario.
    pub scenario: String,
    /// Seed.
    pub seed: u64,
    /// How it ended.
    pub ending: Ending,
    /// Why the last iteration ended, when it was not carried out: the code of the reason.
    pub reason: Option<String>,
    /// What the machines cost per hour when the daemon started.
    #[serde(serialize_with = "decimal")]
    pub cost_per_hour_before: MicroUsdPerHour,
    /// What they cost per hour when the last plan is carried out to the letter; `None` without a plan.
    #[serde(serialize_with = "maybe_decimal")]
    pub planned_cost_per_hour: Option<MicroUsdPerHour>,
    /// What they cost per hour at the end.
    #[serde(serialize_with = "decimal")]
    pub cost_per_hour_after: MicroUsdPerHour,
    /// The last plan's proven bound.
    #[serde(serialize_with = "decimal")]
    pub lower_bound_per_hour: MicroUsdPerHour,
    /// The judge's account: prices over the lifetimes of all machines, from the daemon's first
    /// start to the end.
    #[serde(serialize_with = "decimal")]
    pub integrated_cost: MicroUsd,
    /// kinema's own account of the same.
    #[serde(serialize_with = "decimal")]
    pub reckoned_cost: MicroUsd,
    /// What the machines would have cost over the same time, had nothing been done.
    #[serde(serialize_with = "decimal")]
    pub untouched_cost: MicroUsd,
    /// The most the machines cost per hour at any moment.
    #[serde(serialize_with = "decimal")]
    pub highest_cost_per_hour: MicroUsdPerHour,
    /// Times the daemon was killed and resumed.
    pub crashes: u32,
    /// Entries of the journal.
    pub journal_entries: u64,
    /// Whether the journal, folded from the beginning, gives the same effects, forecasts, plans and
    /// state.
    pub replay_identical: bool,
    /// Why not.
    pub replay_difference: Option<String>,
    /// Things of kinema's left in the world.
    pub leftovers: usize,
    /// Which.
    pub leftover_list: Vec<String>,
    /// Broken rules.
    pub invariant_violations: usize,
    /// Which.
    pub violation_list: Vec<String>,
    /// Pods moved.
    pub moves: u64,
    /// Machines created and machines deleted by kinema.
    pub machines: (usize, usize),
    /// Pods missing by kinema's doing, times how long.
    pub unavailable_pod_seconds: i64,
    /// Which workloads, and for how many seconds.
    pub unavailable_list: Vec<(String, i64)>,
    /// Virtual time from the daemon's first start to the end, in seconds.
    pub virtual_seconds: i64,
    /// Places at which the daemon could have been killed.
    pub crash_places: u64,
}

fn maybe_decimal<S: serde::Serializer>(value: &Option<MicroUsdPerHour>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string()).serialize(serializer)
}

fn decimal<T: std::fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
