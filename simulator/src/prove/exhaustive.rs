//! Everything that can be tried once, tried: every place to die at, every request with every fate, pairs of places,
//! and every call of the journal's to its disk failing, or the power cut at it.

use journal_schema::units::Millis;

use super::case::Case;
use super::oracle::Clean;
use super::worlds::canonical;
use crate::disk::{DiskCall, DiskFault, DiskPlan, DiskRule};
use crate::faults::{ANY_REQUEST, FaultKind, FaultRule, RequestFault};
use crate::scenario::Expected;

/// A case and the run that it must end like, by its place in a list.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) case: Case,
    pub(super) clean: usize,
    pub(super) alike: bool,
}

/// The iterations that are tried on a disk: they have every phase between them.
const ON_DISK: [&str; 3] = ["pure-removal", "small", "stockout"];
/// Calls from one that failed to a power cut that shows what it left on the disk.
const LATER: u64 = 60;

/// What may become of a request.
const FATES: [RequestFault; 11] = RequestFault::all(Millis::from_secs(40), Millis::from_secs(90));

/// Whether a disturbed run must end like the undisturbed one: where the world's own troubles do not hang on how far
/// the daemon has got, and no release has to give up what another began.
fn alike(case: &Case) -> bool {
    case.scenario.faults.is_empty() && case.scenario.cloud_faults.is_empty() && case.old_lives == 0
}

/// A case that is killed may end otherwise than its scenario says where another release began it, or where an
/// operator's word may come while nobody hears it.
fn any_end(mut case: Case) -> Case {
    let said = case.scenario.faults.iter().any(|rule| matches!(rule.kind, FaultKind::Operator(_)));
    if said || case.old_lives > 0 {
        case.scenario.expected = Expected::Any;
    }
    case
}

/// Every place to die at, or each `stride`th from the first on.
pub(super) fn places(canonical: &[(Case, Clean)], stride: u64) -> Vec<Question> {
    let stride = usize::try_from(stride.max(1)).unwrap_or(1);
    let mut questions = Vec::new();
    for (index, (case, clean)) in canonical.iter().enumerate() {
        let at = (1..=clean.places).step_by(stride);
        questions.extend(at.map(|place| {
            let case = any_end(case.killed_at([place]));
            Question { alike: alike(&case), case, clean: index }
        }));
    }
    questions
}

/// Every pair of places, or each `stride`th of them. The second place is counted on from the first: that far into the
/// next life, and no further than an undisturbed run goes.
pub(super) fn pairs(canonical: &[(Case, Clean)], stride: u64) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut number = 0_u64;
    for (index, (case, clean)) in canonical.iter().enumerate() {
        for first in 1..=clean.places {
            for second in first + 1..=clean.places {
                if number.is_multiple_of(stride.max(1)) {
                    let case = any_end(case.killed_at([first, second]));
                    questions.push(Question { alike: alike(&case), case, clean: index });
                }
                number += 1;
            }
        }
    }
    questions
}

/// Every request with every fate, or each `stride`th of them.
pub(super) fn requests(canonical: &[(Case, Clean)], stride: u64) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut number = 0_u64;
    for (index, (case, clean)) in canonical.iter().enumerate().filter(|(_, (case, _))| case.old_lives == 0) {
        for nth in 1..=clean.requests {
            for fate in FATES {
                if number.is_multiple_of(stride.max(1)) {
                    let mut struck = case.clone();
                    struck.name = format!("{} with request {nth} {}", case.name, fate.name());
                    struck.scenario.faults.push(FaultRule::on(ANY_REQUEST, nth, FaultKind::Request(fate)));
                    let alike = alike(case) && fate != RequestFault::Forbidden;
                    if fate == RequestFault::Forbidden {
                        // What is refused for good may be given up.
                        struck.scenario.expected = Expected::Any;
                    }
                    questions.push(Question { case: struck, clean: index, alike });
                }
                number += 1;
            }
        }
    }
    questions
}

/// Iterations whose journal is on a disk: the undisturbed ones, to be compared with and counted.
pub(super) fn on_disks() -> Vec<Case> {
    let chosen = canonical().into_iter().filter(|case| ON_DISK.contains(&case.name.as_str()));
    let on_disk = |mut case: Case| {
        case.name = format!("{}, on a disk", case.name);
        case.disk = Some(DiskPlan::well(1));
        case
    };
    chosen.map(on_disk).collect()
}

/// Every call of the journal's to its disk failing, the same with a power cut some calls later, and the power cut at
/// it; or each `stride`th of them.
pub(super) fn disk(canonical: &[(Case, Clean)], stride: u64) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut number = 0_u64;
    for (index, (case, clean)) in canonical.iter().enumerate() {
        let Some(plan) = &case.disk else { continue };
        for call in 1..=clean.disk_calls {
            let rule = |nth, fault| DiskRule { call: DiskCall::Any, nth, fault };
            let tried = [
                ("failing", vec![rule(call, DiskFault::Fails)]),
                (
                    "failing before a power cut",
                    vec![rule(call, DiskFault::Fails), rule(call + LATER, DiskFault::PowerCut)],
                ),
                ("at a power cut", vec![rule(call, DiskFault::PowerCut)]),
            ];
            for (how, rules) in tried {
                if number.is_multiple_of(stride.max(1)) {
                    let mut struck = case.clone();
                    struck.name = format!("{}, call {call} {how}", case.name);
                    struck.disk = Some(DiskPlan { seed: call, rules, ..plan.clone() });
                    questions.push(Question { alike: alike(case), case: struck, clean: index });
                }
                number += 1;
            }
        }
    }
    questions
}
