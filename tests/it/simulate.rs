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
        assert!(line.chars().count() <= 80, "{line}");
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
fn each_flush_is_told_when_it_is_asked_for() {
    let directory = files(&[]);
    let journal = path(&directory, "journal");
    let arguments = ["simulate", "--scenario", "small", "--crashes", "2", "--journal", &journal, "--flushes"];
    let ran = kinema(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let told: Vec<u64> =
        ran.out.lines().filter_map(|line| line.split("durable up to entry ").nth(1)?.parse().ok()).collect();
    assert!(told.len() > 20 && told.is_sorted_by(|one, next| one < next), "{told:?}");
    let entries = kinema(&["journal", "verify", &journal, "-o", "json"]).json()["entries"].as_u64();
    assert_eq!(told.last().copied(), entries);
    let json = kinema(&["simulate", "--scenario", "small", "--flushes", "-o", "json"]);
    assert_eq!(json.code, 64, "{}", json.transcript());
}

#[test]
fn an_unknown_scenario_lists_those_there_are() {
    let ran = kinema(&["simulate", "--scenario", "nosuch"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("default"), "{}", ran.err);
}

#[test]
fn every_scenario_file_ends_as_it_says() {
    let mut with_faults = 0;
    let mut found = 0;
    for file in std::fs::read_dir(crate::support::root().join("fixtures/scenarios")).expect("scenarios") {
        let file = file.expect("a file").path();
        let ran = kinema(&["simulate", "--scenario", file.to_str().expect("a plain name"), "-o", "json", "-q"]);
        assert_eq!(ran.code, 0, "{}: {}", file.display(), ran.transcript());
        let json = ran.json();
        assert_eq!(json["replayIdentical"], true, "{}", file.display());
        assert_eq!((json["leftovers"].as_u64(), json["invariantViolations"].as_u64()), (Some(0), Some(0)));
        assert!(json["journalEntries"].as_u64().is_some_and(|entries| entries > 50), "{json}");
        found += 1;
        with_faults += usize::from(std::fs::read_to_string(&file).expect("text").contains("\n  faults:"));
    }
    assert!(found >= 3 && with_faults >= 1, "{found} files, {with_faults} with faults");
}

#[test]
fn a_printed_scenario_is_the_built_in_one() {
    let printed = kinema(&["simulate", "--print-scenario", "evict"]);
    assert_eq!(printed.code, 0, "{}", printed.transcript());
    insta::assert_snapshot!("scenario_evict", printed.out);
    let directory = files(&[("mine.yaml", &printed.out)]);
    let run = |scenario: &str| kinema(&["simulate", "--scenario", scenario, "-o", "json", "-q", "--seed", "3"]).out;
    assert_eq!(run(&path(&directory, "mine.yaml")), run("evict"));
}

#[test]
fn a_run_that_ends_otherwise_than_the_scenario_says_exits_2() {
    let printed = kinema(&["simulate", "--print-scenario", "recommend"]).out;
    let directory = files(&[("mine.yaml", &printed.replace("expected: Untouched", "expected: Completed"))]);
    let ran = kinema(&["simulate", "--scenario", &path(&directory, "mine.yaml")]);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    assert!(ran.err.contains("expects another end: Completed"), "{}", ran.err);
}

#[test]
fn a_bad_scenario_file_names_the_place() {
    let printed = kinema(&["simulate", "--print-scenario", "small"]).out;
    for (from, to, expected) in [
        ("nodes: 6", "nodes: -6", "mine.yaml:10:12: -6 is negative"),
        ("nodes: 6", "nodes: 0", "spec.pools: no pool has machines at the beginning"),
        (
            "machineType: e2-standard-2",
            "machineType: e2-standrd-2",
            "is not a machine type of the simulated cloud: did you mean e2-standard-",
        ),
        ("replicasBefore: 6", "replicaBefore: 6", "did you mean `replicasBefore`?"),
        ("cpu: 300m", "cpu: -300m", "`-300m` is not an amount of CPU such as 10m or 0.5"),
        ("cpu: 300m", "cpu: 300 mil", "`300 mil` is not an amount of CPU such as 10m or 0.5"),
        ("warmUp: 15m", "warmUp: 15", "`15` is not a span of time such as 15m, 1h30m or 2d"),
        ("kind: Scenario", "kind: Scenery", "unknown value `Scenery`"),
    ] {
        assert!(printed.contains(from), "{from}: {printed}");
        let directory = files(&[("mine.yaml", &printed.replacen(from, to, 1))]);
        let ran = kinema(&["simulate", "--scenario", &path(&directory, "mine.yaml")]);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{to}: {}", ran.transcript());
        let words = ran.err.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("mine.yaml") && words.contains(expected), "{to}: {}", ran.err);
    }
    let directory = files(&[("empty.yaml", ""), ("binary.yaml", "\u{1}\u{2}\u{0}")]);
    for file in ["empty.yaml", "binary.yaml", "nosuch.yaml"] {
        let ran = kinema(&["simulate", "--scenario", &path(&directory, file)]);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{file}: {}", ran.transcript());
        assert!(ran.err.contains(file), "{}", ran.err);
    }
}

#[test]
fn the_schema_of_a_scenario_names_every_key_that_is_printed() {
    let schema = kinema(&["config", "schema", "scenario"]).json();
    let world = schema["$defs"]["World"]["properties"].as_object().expect("properties");
    let printed = kinema(&["simulate", "--print-scenario", "evict"]).out;
    let printed: serde_json::Value = serde_saphyr::from_str(&printed).expect("YAML");
    for key in printed["spec"].as_object().expect("a map").keys() {
        assert!(world.contains_key(key), "{key}");
    }
    assert_eq!(schema["$defs"]["World"]["additionalProperties"], false);
}

#[test]
fn a_case_that_once_went_wrong_is_run_again() {
    let file = format!("{}/fixtures/repros/a-deletion-refused-while-unwinding.json", env!("CARGO_MANIFEST_DIR"));
    let ran = kinema(&["simulate", "--repro", &file]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(ran.out.contains("was wrong: L1") && ran.out.contains("Nothing is wrong with it now."), "{}", ran.out);
    let json = kinema(&["simulate", "--repro", &file, "--output", "json"]).json();
    assert_eq!(json["isWrong"], serde_json::json!([]));
    assert_eq!(json["report"]["ending"], "unwound");
    let text = std::fs::read_to_string(&file).expect("a text");
    // An end that does not come is what is wrong.
    let other = text.replacen("\"expected\": \"Any\"", "\"expected\": \"Completed\"", 1);
    let directory = files(&[("other.json", &other), ("empty.json", ""), ("cut.json", &text[..text.len() / 2])]);
    let ran = kinema(&["simulate", "--repro", &path(&directory, "other.json")]);
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert!(ran.out.contains("! ended Unwound"), "{}", ran.out);
    for file in ["empty.json", "cut.json", "nosuch.json"] {
        let ran = kinema(&["simulate", "--repro", &path(&directory, file)]);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{file}: {}", ran.transcript());
        assert!(ran.err.contains(file), "{}", ran.err);
    }
}
