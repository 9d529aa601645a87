//! What must be true of a run, beside the rules that the judge watches while it goes on.
//!
//! - it ends: no iteration is left in the middle (L1), and soon after nothing goes wrong any more;
//! - nothing of kinema's is left over (S7, S11), and the world is as it was wanted;
//! - the journal, folded from its first entry, gives the state that was lived, over crashes and checkpoints (S15, S16);
//! - on a simulated disk the journal has entry for entry what was written to it, and nothing is sent after it failed
//!   (S9, S15);
//! - what the daemon sees in the end is what is true (S13);
//! - where nothing but crashes and failing requests disturbs it, the core's own last check has nothing to hold back,
//!   the account of costs is right, and the run ends as the undisturbed one does, object for object.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::WorkloadId;
use journal_schema::text::Name;
use journal_schema::units::MicroUsdPerHour;

use super::case::Case;
use crate::faults::FaultKind;
use crate::runner::{Ending, Evidence, SimulationReport, Update};
use crate::scenario::Expected;

/// Requests that a run may need at its beginning, whatever its length.
const REQUESTS_AT_ONCE: u64 = 1_000;
/// And requests for each second of it.
const REQUESTS_PER_SECOND: u64 = 2;

/// The run that others must end like.
#[derive(Clone, Debug)]
pub struct Clean {
    /// How it ended.
    pub ending: Ending,
    /// Places at which it could have been killed.
    pub places: u64,
    /// Requests that it sent.
    pub requests: u32,
    /// Calls of its journal's to a simulated disk.
    pub disk_calls: u64,
    nodes: BTreeMap<Name, u32>,
    cost: MicroUsdPerHour,
    updates: BTreeMap<Update, u32>,
    reason: Option<String>,
    unavailable: i64,
    worst: BTreeMap<WorkloadId, i32>,
}

impl Clean {
    /// From the run without crashes.
    pub fn of(report: &SimulationReport, evidence: &Evidence) -> Self {
        Self {
            ending: report.ending,
            places: report.crash_places,
            requests: evidence.requests,
            disk_calls: evidence.disk_calls,
            nodes: evidence.nodes.clone(),
            cost: report.cost_per_hour_after,
            updates: evidence.updates.clone(),
            reason: report.reason.clone(),
            unavailable: report.unavailable_pod_seconds,
            worst: evidence.worst.clone(),
        }
    }
}

/// What is wrong with a run; empty when nothing is.
pub(super) fn complaints(
    case: &Case,
    clean: Option<&Clean>,
    report: &SimulationReport,
    evidence: &Evidence,
) -> Vec<String> {
    let mut found = Vec::new();
    if report.ending == Ending::Unfinished {
        found.push(format!("L1 the time was up in the middle: {}", report.reason.as_deref().unwrap_or("no reason")));
    }
    let as_expected = match case.scenario.expected {
        Expected::Any => true,
        Expected::Completed => report.ending == Ending::Completed,
        Expected::Unwound => report.ending == Ending::Unwound,
        Expected::Untouched => report.ending == Ending::Untouched,
    };
    if clean.is_none() && !as_expected {
        let (expected, reason) = (case.scenario.expected, &report.reason);
        found.push(format!("ended {:?} ({reason:?}) where {expected:?} was expected", report.ending));
    }
    let because = case.scenario.because.as_ref();
    if clean.is_none() && because.is_some_and(|because| report.reason.as_ref() != Some(because)) {
        found.push(format!("ended because of {:?} where {because:?} was expected", report.reason));
    }
    // What is refused is not asked for over and over.
    let patience = REQUESTS_AT_ONCE + report.virtual_seconds.unsigned_abs() * REQUESTS_PER_SECOND;
    if u64::from(evidence.requests) > patience {
        let (requests, seconds) = (evidence.requests, report.virtual_seconds);
        found.push(format!("L5 {requests} requests were sent in {seconds} s"));
    }
    found.extend(report.violation_list.iter().map(|text| format!("broken rule {text}")));
    found.extend(report.leftover_list.iter().map(|text| format!("S11 left over: {text}")));
    found.extend(report.replay_difference.iter().map(|text| format!("S16 replay differs: {text}")));
    if let Some((moved, planned)) = evidence.overmoved {
        found.push(format!("L5 {moved} pods were moved where the plan had {planned}"));
    }
    if let Some(iteration) = evidence.carried_on {
        found.push(format!("S17 iteration {iteration} of another release was carried on"));
    }
    let misled = case.scenario.faults.iter().any(|rule| matches!(rule.kind, FaultKind::EmptyList { .. }));
    found.extend(evidence.unseen.iter().filter(|_| !misled).take(3).map(|text| format!("S13 {text}")));
    let disk_well = case.disk.as_ref().is_none_or(|disk| disk.rules.is_empty());
    let plain = disk_well
        && case.crashes.is_empty()
        && case.scenario.faults.iter().all(|rule| rule.kind == FaultKind::ApprovePlan);
    if undisturbed(case) {
        found.extend(evidence.withheld.iter().map(|text| format!("held back by the core itself: {text}")));
        // kinema's account begins when prices are known, a moment after the judge's.
        let moment = report.cost_per_hour_before.0 / 3600;
        let off = (report.integrated_cost.0 - report.reckoned_cost.0).abs();
        if plain && off > report.integrated_cost.0 / 1000 + moment {
            found.push(format!("cost {} where the judge says {}", report.reckoned_cost, report.integrated_cost));
        }
    }
    if let Some(clean) = clean {
        found.extend(unlike(clean, report, evidence));
    }
    found
}

/// Whether nothing but the fate of requests is wrong in a world, and its own scenario's faults.
fn undisturbed(case: &Case) -> bool {
    let of_request = |kind: &FaultKind| matches!(kind, FaultKind::Request(_) | FaultKind::ApprovePlan);
    case.scenario.cloud_faults.is_empty() && case.scenario.faults.iter().all(|rule| of_request(&rule.kind))
}

/// How a run differs from the undisturbed one.
fn unlike(clean: &Clean, report: &SimulationReport, evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    if report.ending != clean.ending {
        let (ending, reason) = (report.ending, &report.reason);
        return vec![format!("ended {ending:?} ({reason:?}) where {:?} was reached undisturbed", clean.ending)];
    }
    if report.reason != clean.reason {
        found.push(format!("ended because of {:?} where {:?} was why undisturbed", report.reason, clean.reason));
    }
    // A crash or a lost answer makes things slower, and a pod may be missing for as long; it takes down no other.
    if clean.unavailable == 0 && report.unavailable_pod_seconds > 0 {
        found.push(format!("{} pod-seconds were lost, and none undisturbed", report.unavailable_pod_seconds));
    }
    for (workload, missed) in &evidence.worst {
        let most = clean.worst.get(workload).copied().unwrap_or(0);
        if *missed > most {
            found.push(format!("{workload} missed {missed} pods at once, and {most} undisturbed"));
        }
    }
    if evidence.nodes != clean.nodes {
        found.push(format!("nodes {:?} where {:?} were reached undisturbed", evidence.nodes, clean.nodes));
    }
    if report.cost_per_hour_after != clean.cost {
        found.push(format!("costs {} where {} was reached undisturbed", report.cost_per_hour_after, clean.cost));
    }
    let keys: BTreeSet<&Update> = evidence.updates.keys().chain(clean.updates.keys()).collect();
    for update in keys {
        let of = |updates: &BTreeMap<Update, u32>| updates.get(update).copied().unwrap_or(0);
        let (here, there) = (of(&evidence.updates), of(&clean.updates));
        if here > there {
            let (kind, object) = update;
            found.push(format!("{kind} changed {object} {here} times where {there} were enough undisturbed"));
        }
    }
    found
}
