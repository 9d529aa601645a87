//! `kinema simulate`.

use crate::support::{files, kinema, path};

#[test]
fn the_default_run_is_killed_resumed_and_replayed_to_the_same_bytes() {
    let ran = kinema(&["simulate", "-o", "json", "--seed", "7"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let json = ran.json();
    assert_eq!(json["scenario"], "default");
    assert_eq!(json["seed"], 7);
    assert!(json["crashes"].as_u64().is_some_and(|crashes| crashes >= 1), "{json}");
    assert_eq!(json["replayIdentical"], true);
    assert_eq!(json["leftovers"], 0);
    assert_eq!(json["invariantViolations"], 0);
    assert!(json["moves"].as_u64().is_some_and(|moves| moves > 0), "{json}");
    assert!(json["journalEntries"].as_u64().is_some_and(|entries| entries > 0), "{json}");
    assert!(json["unavailablePodSeconds"].is_u64(), "{json}");
    for key in ["costPerHourBefore", "costPerHourAfter", "lowerBoundPerHour", "integratedCost"] {
        let text = json[key].as_str().unwrap_or_else(|| panic!("{key} is a decimal string: {json}"));
        assert!(text.parse::<f64>().is_ok(), "{key} {text}");
    }
    let again = kinema(&["simulate", "-o", "json", "--seed", "7"]);
    assert_eq!(again.out, ran.out, "the same seed gives the same bytes");
}

#[test]
fn the_story_is_told_in_text() {
    let ran = kinema(&["simulate", "--scenario", "small"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 96, "{line}");
    }
    insta::assert_snapshot!("simulate_small", ran.out);
}

#[test]
fn the_journal_is_kept_where_it_is_asked_for_and_replays() {
    let directory = files(&[]);
    let journal = path(&directory, "journal");
    assert_eq!(kinema(&["simulate", "--scenario", "small", "--journal", &journal, "-o", "json"]).code, 0);
    let verified = kinema(&["journal", "verify", &journal, "-o", "json"]);
    assert_eq!(verified.code, 0, "{}", verified.transcript());
    assert_eq!(verified.json()["sound"], true);
    let again = kinema(&["simulate", "--scenario", "small", "--journal", &journal]);
    assert_eq!(again.code, 1, "a journal is not overwritten");
    let replayed = kinema(&["replay", &journal, "--check", "-o", "json"]);
    assert_eq!(replayed.code, 0, "{}", replayed.transcript());
}

#[test]
fn an_unknown_scenario_lists_those_there_are() {
    let ran = kinema(&["simulate", "--scenario", "nosuch"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("default"), "{}", ran.err);
}
