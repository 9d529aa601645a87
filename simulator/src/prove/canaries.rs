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
const TRAPS: [&str; 22] = [
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
    "empty-nodes",
    "another-machine",
    "too-many-replaced",
    "young-nodes",
    "configuration-lost",
    "nodes-lost-while-moving",
    "api-failing",
    "clock-forward",
    "clock-set-while-planning",
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
    let mut canonical = undisturbed(super::canonical(), threads)?;
    canonical.extend(undisturbed(exhaustive::on_disks(), threads)?);
    let mut questions: Vec<Question> = Vec::new();
    for (index, (case, _)) in canonical.iter().enumerate() {
        questions.push(Question { case: case.clone(), clean: index, alike: true });
    }
    let traps = TRAPS.into_iter().filter_map(|name| Scenario::find(name, 1).ok());
    let traps = traps.map(|scenario| Case::of(worlds::hasty(scenario), 1));
    let traps: Vec<Case> = traps.collect();
    // And killed on the way, where what is on its way matters.
    let mut late = Vec::new();
    for case in traps.iter().take(2) {
        let mut case = case.clone();
        case.scenario.expected = Expected::Any;
        late.extend((1..LATE_PLACES).step_by(4).map(|place| case.killed_at([place])));
    }
    let known = known.iter().map(|repro| repro.case.clone());
    questions.extend(traps.into_iter().chain(late).chain(known).map(|case| Question { case, clean: 0, alike: false }));
    let places = exhaustive::places(&canonical, STRIDE).into_iter().map(|mut question| {
        question.case.checkpoint_every = 25;
        question
    });
    questions.extend(places);
    questions.extend(exhaustive::requests(&canonical, STRIDE));
    questions.extend(exhaustive::disk(&canonical, STRIDE));
    let clean_of = |question: &Question| question.alike.then(|| &canonical[question.clean].1);
    let answer = |index: usize| {
        let canary = canaries[index];
        let (runs, found) = canary::with(canary, || find(&questions, &clean_of));
        // A case that goes wrong without the bug tells nothing of it.
        let by = found.filter(|(question, _)| question.case.judge(clean_of(question), false).complaints.is_empty());
        Caught { canary, runs, by: by.map(|(question, complaint)| (question.case.name, complaint)) }
    };
    pool::each(threads, canaries.len(), answer, seen);
    Ok(())
}

/// Runs until something is wrong. How many runs it took, and what was.
fn find<'a>(
    questions: &[Question],
    clean_of: &impl Fn(&Question) -> Option<&'a Clean>,
) -> (usize, Option<(Question, String)>) {
    let drawn = (1..=SEEDS).map(|seed| Question { case: swarm::case(seed), clean: 0, alike: false });
    let mut runs = 0;
    for question in questions.iter().cloned().chain(drawn) {
        // Computing plans again is dear, and one look is enough where they differ.
        let recompute = runs < questions.len() && runs.is_multiple_of(RECOMPUTED_ONE_IN);
        runs += 1;
        let verdict = question.case.judge(clean_of(&question), recompute);
        if let Some(complaint) = verdict.complaints.into_iter().next() {
            return (runs, Some((question, complaint)));
        }
    }
    (runs, None)
}
