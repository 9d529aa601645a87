//! How often each kind of trouble struck in each phase: a promise about what was never tried is worth nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use engine::PhaseName;

use crate::runner::Evidence;

/// Columns of the table, in the order of an iteration.
const PHASES: [(PhaseName, &str); 9] = [
    (PhaseName::Observing, "Observe"),
    (PhaseName::Predicting, "Predict"),
    (PhaseName::Optimizing, "Optimize"),
    (PhaseName::Deciding, "Decide"),
    (PhaseName::Booting, "Boot"),
    (PhaseName::Labelling, "Label"),
    (PhaseName::Rolling, "Roll"),
    (PhaseName::Draining, "Drain"),
    (PhaseName::Unwinding, "Unwind"),
];

/// Hits by kind of trouble and phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    hits: BTreeMap<(&'static str, PhaseName), u64>,
}

impl Coverage {
    /// Counts what struck in a run.
    pub(super) fn add(&mut self, evidence: &Evidence) {
        for struck in &evidence.struck {
            *self.hits.entry((struck.name, struck.phase)).or_default() += 1;
        }
        for (place, phase) in &evidence.killed {
            *self.hits.entry((place.name(), *phase)).or_default() += 1;
        }
    }

    /// Counts what another counted.
    pub fn join(&mut self, other: &Self) {
        for (cell, hits) in &other.hits {
            *self.hits.entry(*cell).or_default() += hits;
        }
    }

    /// Hits altogether.
    pub fn total(&self) -> u64 {
        self.hits.values().sum()
    }

    /// Kinds of trouble that struck at all.
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.hits.keys().map(|(kind, _)| *kind).collect()
    }

    /// Cells of the table, and those that are empty.
    pub fn cells(&self) -> (usize, usize) {
        let cells = self.kinds().len() * PHASES.len();
        (cells, cells - self.hits.len())
    }

    /// A table in Markdown.
    pub fn table(&self) -> String {
        let mut text = "| what goes wrong |".to_owned();
        for (_, head) in PHASES {
            let _ = write!(text, " {head} |");
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(PHASES.len()));
        text.push('\n');
        for kind in self.kinds() {
            let _ = write!(text, "| {kind} |");
            for (phase, _) in PHASES {
                let _ = write!(text, " {} |", self.hits.get(&(kind, phase)).copied().unwrap_or(0));
            }
            text.push('\n');
        }
        text
    }
}
