//! One run that anybody can repeat, and what is wrong with it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use driver::CHECKPOINT_EVERY;
use serde::{Deserialize, Serialize};

use super::oracle::{self, Clean};
use crate::disk::DiskPlan;
use crate::faults::without_chance;
use crate::runner::{Crashes, Evidence, Plans, RunError, RunOptions, SimulationReport, examine};
use crate::scenario::Scenario;

/// A run: the world with all that goes wrong in it, the seed of its dice, and where the daemon is killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// Where it comes from, for people.
    pub name: String,
    /// The world, and what goes wrong in it.
    pub scenario: Scenario,
    /// The seed of the world's dice.
    pub seed: u64,
    /// Places at which the daemon is killed.
    pub crashes: BTreeSet<u64>,
    /// The daemon's first lives are of an older release: so many of them.
    pub old_lives: u64,
    /// Entries between two checkpoints of the state.
    pub checkpoint_every: u64,
    /// The simulated disk that the daemon's journal is on, as the real one is written; in memory without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskPlan>,
}

/// A run and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; empty when nothing is.
    pub complaints: Vec<String>,
    /// Report and evidence; absent when the run did not come to its end.
    pub run: Option<(SimulationReport, Evidence)>,
}

impl Verdict {
    /// Virtual time of the run, in seconds.
    pub fn virtual_seconds(&self) -> i64 {
        self.run.as_ref().map_or(0, |(report, _)| report.virtual_seconds)
    }
}

impl Case {
    /// A scenario as it is.
    pub fn of(scenario: Scenario, seed: u64) -> Self {
        Self {
            name: format!("{} {seed}", scenario.name),
            scenario,
            seed,
            crashes: BTreeSet::new(),
            old_lives: 0,
            checkpoint_every: CHECKPOINT_EVERY,
            disk: None,
        }
    }

    /// The same, killed at these places.
    pub fn killed_at(&self, places: impl IntoIterator<Item = u64>) -> Self {
        let crashes: BTreeSet<u64> = places.into_iter().collect();
        let at: Vec<String> = crashes.iter().map(ToString::to_string).collect();
        Self { name: format!("{} killed at {}", self.name, at.join(", ")), crashes, ..self.clone() }
    }

    /// Runs it and looks for what is wrong. `clean`: the run of the same world without crashes and requests that
    /// fail, if the two must end alike. `recompute`: every plan of the journal is computed again.
    pub fn judge(&self, clean: Option<&Clean>, recompute: bool) -> Verdict {
        self.judge_with(clean, recompute, None)
    }

    /// The same; `plans`: those that other runs computed already.
    pub(super) fn judge_with(&self, clean: Option<&Clean>, recompute: bool, plans: Option<&Arc<Plans>>) -> Verdict {
        let options = RunOptions {
            crashes: Crashes { places: self.crashes.clone(), phases: Vec::new() },
            old_lives: self.old_lives,
            checkpoint_every: self.checkpoint_every,
            disk: self.disk.clone(),
            recompute,
            plans: plans.cloned(),
            ..RunOptions::default()
        };
        let run = || examine(self.scenario.clone(), self.seed, &options, &mut |_| ());
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok((report, evidence))) => {
                let complaints = oracle::complaints(self, clean, &report, &evidence);
                Verdict { complaints, run: Some((report, evidence)) }
            }
            Ok(Err(error)) => Verdict { complaints: vec![chain(&error)], run: None },
            Err(panic) => Verdict { complaints: vec![format!("panic: {}", text_of(&*panic))], run: None },
        }
    }

    /// The same run with an explicit list of faults: what chance brought about in `evidence` is written down.
    #[must_use]
    pub fn without_chance(&self, evidence: &Evidence) -> Self {
        let mut explicit = self.clone();
        explicit.scenario.faults = without_chance(&self.scenario.faults, &evidence.struck);
        explicit
    }
}

fn chain(error: &RunError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let borrowed = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    borrowed.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
