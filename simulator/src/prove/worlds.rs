//! The canonical iterations: one for each kind of movement and of ending. Every place of each is tried.

use journal_schema::units::Millis;

use super::case::Case;
use crate::scenario::Scenario;

/// Planning is not what is tried here: no run depends on how good the plan is.
const SEARCH_STEPS: u32 = 300;

/// The seed of them all.
const SEED: u64 = 1;

/// The scenarios, and whether the daemon's first life is of an older release.
const CANONICAL: [(&str, bool); 23] = [
    ("small", false),
    ("replace", false),
    ("pure-removal", false),
    ("pure-boot", false),
    ("make-room", false),
    ("no-room", false),
    ("balance", false),
    ("spread-out", false),
    ("surge-single", false),
    ("evict", false),
    ("evict-freely", false),
    ("rolling-update", false),
    ("right-size", false),
    ("stateful", false),
    ("stockout", false),
    ("never-joins", false),
    ("blocked-pdb", false),
    ("never-ready", false),
    ("approved", false),
    ("abort", false),
    ("node-crash", false),
    ("small", true),
    ("replace", true),
];

/// The canonical iterations.
pub fn canonical() -> Vec<Case> {
    let case = |(name, upgraded): (&str, bool)| {
        let mut case = Case::of(quick(Scenario::find(name, SEED).ok()?), SEED);
        case.name = name.to_owned();
        if upgraded {
            case.name = format!("{name}, upgraded");
            case.old_lives = 1;
        }
        Some(case)
    };
    CANONICAL.into_iter().filter_map(case).collect()
}

/// A scenario with less planning.
pub(super) fn hasty(mut scenario: Scenario) -> Scenario {
    scenario.policy.optimize.limits.search_steps = SEARCH_STEPS;
    scenario.policy.optimize.limits.threads = 1;
    scenario
}

/// A scenario with less planning, and time enough to end whatever goes wrong.
pub(super) fn quick(scenario: Scenario) -> Scenario {
    let limit = scenario.limit.max(Millis::from_minutes(240));
    Scenario { limit, ..hasty(scenario) }
}
