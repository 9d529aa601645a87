//! The proof: runs by the thousand, each with something else going wrong, none of which may break a rule.
//!
//! - [`case`]: one run that anybody can repeat, and what is wrong with it; `oracle`: what must be true of it.
//! - `worlds`: the canonical iterations. `exhaustive`: every place to die at, pairs of them, every request with every
//!   fate, every call to the disk. [`swarm`]: a case from a seed.
//! - [`shrink`]: a failing case is made small; [`repro`]: and kept in a file.
//! - [`coverage`]: what was tried in which phase.
//!
//! A part's questions are answered on all cores, and counted in their order: the same budget gives the same figures.

#[cfg(feature = "canaries")]
pub mod canaries;
pub mod case;
pub mod coverage;
mod exhaustive;
mod oracle;
mod pool;
pub mod repro;
pub mod shrink;
pub mod swarm;
mod worlds;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub use case::{Case, Verdict};
pub use coverage::Coverage;
pub use oracle::Clean;
pub use repro::Repro;
pub use worlds::canonical;

use exhaustive::Question;

/// Of so many runs one has its plans computed again when its journal is replayed; the others are only folded.
const RECOMPUTED_ONE_IN: usize = 16;
/// Failing cases that are kept whole; more are only counted.
const KEPT: usize = 20;

/// What is tried, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Each `stride`th place of the canonical iterations.
    Places {
        /// 1 for all.
        stride: u64,
    },
    /// Each `stride`th pair of places.
    Pairs {
        /// 1 for all.
        stride: u64,
    },
    /// Each `stride`th fate of each request.
    Requests {
        /// 1 for all.
        stride: u64,
    },
    /// Each `stride`th call of the journal's to its disk, failing or at a power cut.
    Disk {
        /// 1 for all.
        stride: u64,
    },
    /// Seeds of the swarm, each run twice.
    Swarm {
        /// Which.
        seeds: Range<u64>,
    },
}

impl Part {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Places { .. } => "places to die at",
            Self::Pairs { .. } => "pairs of places",
            Self::Requests { .. } => "fates of requests",
            Self::Disk { .. } => "calls to the disk",
            Self::Swarm { .. } => "seeds",
        }
    }
}

/// A case that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub case: Case,
    /// What is wrong with it.
    pub complaints: Vec<String>,
}

/// What a part came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases judged.
    pub cases: u64,
    /// Runs made for it.
    pub runs: u64,
    /// Virtual time of them all, in seconds.
    pub virtual_seconds: i64,
    /// Times the daemon was killed.
    pub kills: u64,
    /// How the cases ended.
    pub endings: BTreeMap<String, u64>,
    /// Cases with complaints.
    pub failed: u64,
    /// The first of them.
    pub failures: Vec<Failure>,
    /// What was tried in which phase.
    pub coverage: Coverage,
    /// The most things that went wrong in one run.
    pub most_faults: u64,
}

impl Tally {
    fn take(&mut self, case: Case, verdict: Verdict, runs: u64) {
        self.cases += 1;
        self.runs += runs;
        self.virtual_seconds += verdict.virtual_seconds() * runs.cast_signed();
        let ending = match &verdict.run {
            Some((report, evidence)) => {
                self.kills += evidence.killed.len() as u64;
                self.coverage.add(evidence);
                self.most_faults = self.most_faults.max(evidence.struck.len() as u64);
                format!("{:?}", report.ending)
            }
            None => "Stopped".to_owned(),
        };
        *self.endings.entry(ending).or_default() += 1;
        if !verdict.complaints.is_empty() {
            self.failed += 1;
            if self.failures.len() < KEPT {
                self.failures.push(Failure { case, complaints: verdict.complaints });
            }
        }
    }
}

/// A part could not be begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A canonical iteration goes wrong by itself.
    #[error("{name} goes wrong without any trouble: {complaints:?}")]
    Canonical {
        /// Which.
        name: String,
        /// What is wrong.
        complaints: Vec<String>,
    },
}

/// Tries a part on so many threads (all cores when `None`). `progress` hears how many cases of how many are judged.
///
/// # Errors
/// When a canonical iteration goes wrong by itself: nothing can be compared with it.
pub fn prove(
    part: &Part,
    threads: Option<usize>,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Tally, ProofError> {
    let threads = threads.unwrap_or_else(pool::threads);
    let mut tally = Tally::default();
    match part {
        Part::Swarm { seeds } => {
            let count = usize::try_from(seeds.end.saturating_sub(seeds.start)).unwrap_or(0);
            let answer = |index: usize| {
                let case = swarm::case(seeds.start + index as u64);
                let verdict = both(&case, index.is_multiple_of(RECOMPUTED_ONE_IN));
                (case, verdict)
            };
            pool::each(threads, count, answer, |index, (case, verdict)| {
                tally.take(case, verdict, 2);
                progress(index + 1, count);
            });
        }
        Part::Places { .. } | Part::Pairs { .. } | Part::Requests { .. } | Part::Disk { .. } => {
            let cases = if matches!(part, Part::Disk { .. }) { exhaustive::on_disks() } else { canonical() };
            let canonical = undisturbed(cases, threads)?;
            let questions = match part {
                Part::Places { stride } => exhaustive::places(&canonical, *stride),
                Part::Pairs { stride } => exhaustive::pairs(&canonical, *stride),
                Part::Requests { stride } => exhaustive::requests(&canonical, *stride),
                Part::Disk { stride } => exhaustive::disk(&canonical, *stride),
                Part::Swarm { .. } => Vec::new(),
            };
            let count = questions.len();
            let plans = Arc::default();
            let answer = |index: usize| {
                let Question { case, clean, alike } = &questions[index];
                let clean = alike.then(|| &canonical[*clean].1);
                case.judge_with(clean, index.is_multiple_of(RECOMPUTED_ONE_IN), Some(&plans))
            };
            pool::each(threads, count, answer, |index, verdict| {
                tally.take(questions[index].case.clone(), verdict, 1);
                progress(index + 1, count);
            });
        }
    }
    Ok(tally)
}

/// A case run twice: both must give the same.
pub fn twice(case: &Case) -> Verdict {
    both(case, true)
}

fn both(case: &Case, recompute: bool) -> Verdict {
    let plans = Arc::default();
    let mut once = case.judge_with(None, recompute, Some(&plans));
    let again = case.judge_with(None, false, Some(&plans));
    let differs = match (&once.run, &again.run) {
        (Some((one, seen)), Some((other, seen_again))) => one != other || seen != seen_again,
        (one, other) => one.is_some() != other.is_some(),
    };
    if differs {
        once.complaints.push("S16 run again, it goes another way".to_owned());
    }
    once
}

/// Iterations with their undisturbed runs.
fn undisturbed(cases: Vec<Case>, threads: usize) -> Result<Vec<(Case, Clean)>, ProofError> {
    let mut found = Vec::new();
    let mut wrong = None;
    let answer = |index: usize| cases[index].judge(None, true);
    pool::each(threads, cases.len(), answer, |index, verdict| {
        let case = &cases[index];
        match verdict.run {
            Some((report, evidence)) if verdict.complaints.is_empty() => {
                found.push((case.clone(), Clean::of(&report, &evidence)));
            }
            _ => {
                let (name, complaints) = (case.name.clone(), verdict.complaints);
                wrong.get_or_insert(ProofError::Canonical { name, complaints });
            }
        }
    });
    wrong.map_or(Ok(found), Err)
}
