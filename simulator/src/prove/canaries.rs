//! Every planted bug is caught, or the proof is worth less than it looks.
//!
//! For each bug the same cases are run in the same order, from the most telling to the random, until one complains.
//! What the undisturbed runs look like is taken from the program as it is.

use canary::Canary;

use super::case::Case;
use super::exhaustive::{self, Question};
use super::oracle::Clean;
use super::{ProofError, RECOMPUTED_ONE_IN, Repro, pool, swarm, undisturbed, worlds};
use crate::scenario::{Expected, Scenario};

/// Scenarios in which something must not happen.
const TRAPS: [&str; 13] = [
    "late-requests",
    "late-machines",
    "pause",
    "approval",
    "approved-another",
    "recommend",
    "mass-not-ready",
    "vanished-pods",
    "not-worth-it",
    "hidden-pod",
    "stuck-deletion",
    "no-rights",
    "gitops-revert",
];
/// Of the exhaustive questions every so many are tried.
const STRIDE: u64 = 47;
/// Places of the first two traps that are tried, to this one.
const LATE_PLACES: u64 = 400;
/// Seeds of the swarm that are tried at last.
const SEEDS: u64 = 500;

/// What became of a planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The bug.
    pub canary: Canary,
    /// Runs until it was caught, or all of them.
    pub runs: usize,
    /// The case that caught it, and its first complaint; `None` when none did.
    pub by: Option<(String, String)>,
}

/// Looks for each of these bugs; `known` are cases that caught a bug before. `seen` hears each answer in turn.
///
/// # Errors
/// When an undisturbed run goes wrong without a bug.
pub fn catch(
    canaries: &[Canary],
    known: &[Repro],
    threads: Option<usize>,
    seen: impl FnMut(usize, Caught) + Send,
) -> Result<(), ProofError> {
    let threads = threads.unwrap_or_else(pool::threads);
    let canonical = undisturbed(threads)?;
    let mut questions: Vec<Question> = Vec::new();
    for (index, (case, _)) in canonical.iter().enumerate() {
        questions.push(Question { case: case.clone(), clean: index, alike: true });
    }
    let traps = TRAPS.into_iter().filter_map(|name| Scenario::find(name, 1).ok());
    let traps = traps.map(|scenario| Case::of(worlds::quick_trap(scenario), 1));
    let traps: Vec<Case> = traps.collect();
    // And killed on the way, where what is on its way matters.
    let late: Vec<Case> = traps.iter().take(2).cloned().collect();
    let late = late.iter().flat_map(|case| (1..LATE_PLACES).step_by(4).map(|place| case.killed_at([place])));
    let late: Vec<Case> = late
        .map(|mut case| {
            case.scenario.expected = Expected::Any;
            case
        })
        .collect();
    let known = known.iter().map(|repro| repro.case.clone());
    questions.extend(traps.into_iter().chain(late).chain(known).map(|case| Question { case, clean: 0, alike: false }));
    let places = exhaustive::places(&canonical, STRIDE).into_iter().map(|mut question| {
        question.case.checkpoint_every = 25;
        question
    });
    questions.extend(places);
    questions.extend(exhaustive::requests(&canonical, STRIDE));
    let answer = |index: usize| {
        let canary = canaries[index];
        let found = canary::with(canary, || find(&questions, &canonical));
        Caught { canary, runs: found.0, by: found.1 }
    };
    pool::each(threads, canaries.len(), answer, seen);
    Ok(())
}

/// Runs until something is wrong. How many runs it took, and what was.
fn find(questions: &[Question], canonical: &[(Case, Clean)]) -> (usize, Option<(String, String)>) {
    for (index, Question { case, clean, alike }) in questions.iter().enumerate() {
        // Computing plans again is dear, and one look is enough where they differ.
        let verdict = case.judge(alike.then(|| &canonical[*clean].1), index.is_multiple_of(RECOMPUTED_ONE_IN));
        if let Some(complaint) = verdict.complaints.into_iter().next() {
            return (index + 1, Some((case.name.clone(), complaint)));
        }
    }
    for seed in 1..=SEEDS {
        let case = swarm::case(seed);
        if let Some(complaint) = case.judge(None, false).complaints.into_iter().next() {
            let runs = questions.len() + usize::try_from(seed).unwrap_or(0);
            return (runs, Some((case.name, complaint)));
        }
    }
    (questions.len() + usize::try_from(SEEDS).unwrap_or(0), None)
}
