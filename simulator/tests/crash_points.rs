//! Every place at which the daemon can be killed in one whole iteration: before and after every
//! append, every flush and every request. Each run must end the same way as if nothing had
//! happened, or unwound; break no rule; leave nothing behind; and replay to the same state.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use simulator::Scenario;
use simulator::runner::{Crashes, Ending, RunOptions, SimulationReport, run};

const SEED: u64 = 1;

/// Thousands of runs plan the same cluster, and none of them depends on how good the plan is.
const SEARCH_STEPS: u32 = 500;

fn run_with_crashes(name: &str, places: impl IntoIterator<Item = u64>) -> Result<SimulationReport, String> {
    let mut scenario = Scenario::find(name, SEED).unwrap();
    scenario.policy.optimize.limits.search_steps = SEARCH_STEPS;
    let crashes = Crashes { places: places.into_iter().collect(), phases: Vec::new() };
    run(scenario, SEED, &RunOptions { crashes, ..RunOptions::default() }).map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    })
}

/// What is wrong with a run that was killed; empty when nothing is.
fn complaints(report: &SimulationReport) -> Vec<String> {
    let mut found = Vec::new();
    if !matches!(report.ending, Ending::Completed | Ending::Unwound) {
        found.push(format!("ended {:?} {:?}", report.ending, report.reason));
    }
    if report.crashes == 0 {
        found.push("was not killed".to_owned());
    }
    found.extend(report.violation_list.iter().map(|text| format!("broken rule {text}")));
    found.extend(report.leftover_list.iter().map(|text| format!("left over {text}")));
    found.extend(report.replay_difference.iter().map(|text| format!("replay differs: {text}")));
    found
}

/// Tells how much was tried, past the test harness, which keeps what a passing test prints to itself.
fn tell(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// Kills at every place of a scenario's clean run.
fn every_place(name: &str, ending: Ending) {
    let clean = run_with_crashes(name, []).unwrap();
    assert_eq!(clean.ending, ending, "{:?}", clean.reason);
    let mut endings: BTreeMap<Ending, u64> = BTreeMap::new();
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for place in 1..=clean.crash_places {
        match run_with_crashes(name, [place]) {
            Ok(report) => {
                *endings.entry(report.ending).or_default() += 1;
                for complaint in complaints(&report) {
                    found.entry(complaint).or_default().push(place);
                }
            }
            Err(error) => found.entry(error).or_default().push(place),
        }
    }
    tell(&format!("{name}: killed at each of {} places; {endings:?}\n", clean.crash_places));
    let found: Vec<String> = found
        .iter()
        .map(|(text, places)| format!("{text} ({} times, first at {:?})", places.len(), places.first()))
        .collect();
    assert!(found.is_empty(), "{} complaints\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_removal_survives_being_killed_anywhere() {
    every_place("small", Ending::Completed);
}

#[test]
fn a_replacement_survives_being_killed_anywhere() {
    every_place("replace", Ending::Completed);
}

#[test]
fn room_for_a_pod_that_waits_survives_being_killed_anywhere() {
    every_place("make-room", Ending::Completed);
}

#[test]
fn unwinding_a_pod_that_made_no_room_survives_being_killed_anywhere() {
    every_place("no-room", Ending::Unwound);
}

#[test]
fn balancing_survives_being_killed_anywhere() {
    every_place("balance", Ending::Completed);
}

#[test]
fn unwinding_a_failed_boot_survives_being_killed_anywhere() {
    every_place("stockout", Ending::Unwound);
}

#[test]
fn unwinding_a_stuck_move_survives_being_killed_anywhere() {
    every_place("never-ready", Ending::Unwound);
}

#[test]
fn killed_twice_it_still_ends_well() {
    let clean = run_with_crashes("replace", []).unwrap();
    let mut found = BTreeSet::new();
    let mut runs = 0;
    // A stride that shares no factor with the rhythm of append, flush and request.
    for first in (1..=clean.crash_places).step_by(37) {
        for distance in [1, 2, 5, 13, 40, 90] {
            runs += 1;
            match run_with_crashes("replace", [first, first + distance]) {
                Ok(report) => {
                    for complaint in complaints(&report) {
                        found.insert(format!("{first}+{distance}: {complaint}"));
                    }
                }
                Err(error) => {
                    found.insert(format!("{first}+{distance}: {error}"));
                }
            }
        }
    }
    tell(&format!("replace: killed twice in {runs} runs\n"));
    assert!(found.is_empty(), "{} complaints\n{}", found.len(), Vec::from_iter(found).join("\n"));
}
