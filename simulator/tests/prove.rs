//! A little of everything that `simulator prove` does by the thousand, what the proof itself promises, and every
//! failure that it ever found.

#![allow(clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "the repros are files")]

use std::io::Write;
use std::path::PathBuf;

use journal_schema::units::Millis;
use simulator::Scenario;
use simulator::faults::{FaultKind, FaultRule};
use simulator::prove::shrink::shrink;
use simulator::prove::{Case, Part, Repro, Tally, prove, swarm, twice};
use simulator::scenario::Expected;

/// Tells how much was tried, past the test harness, which keeps what a passing test prints to itself.
fn tell(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

fn holds(part: &Part) -> Tally {
    let tally = prove(part, None, &mut |_, _| ()).unwrap();
    tell(&format!("{}: {} cases, {:?}\n", part.name(), tally.cases, tally.endings));
    let failures: Vec<String> =
        tally.failures.iter().map(|failure| format!("{}: {:?}", failure.case.name, failure.complaints)).collect();
    assert!(failures.is_empty(), "{} failed\n{}", tally.failed, failures.join("\n"));
    tally
}

#[test]
fn killed_at_places_of_every_canonical_iteration_all_ends_well() {
    let tally = holds(&Part::Places { stride: 83 });
    assert!(tally.cases > 250 && tally.kills == tally.cases, "{tally:?}");
}

#[test]
fn killed_twice_all_ends_well() {
    let tally = holds(&Part::Pairs { stride: 120_011 });
    assert!(tally.cases > 60, "{}", tally.cases);
}

#[test]
fn whatever_becomes_of_a_request_all_ends_well() {
    let tally = holds(&Part::Requests { stride: 79 });
    assert!(tally.cases > 100 && tally.coverage.kinds().contains("answer lost"), "{tally:?}");
}

#[test]
fn whatever_the_disk_does_to_the_journal_all_ends_well() {
    let tally = holds(&Part::Disk { stride: 67 });
    let kinds = tally.coverage.kinds();
    for kind in ["disk write failed", "disk sync failed", "power cut at a call", "ended by its journal"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    assert!(tally.cases > 30 && tally.kills > tally.cases / 2, "{tally:?}");
}

#[test]
fn random_worlds_with_random_trouble_end_well_and_the_same_way_each_time() {
    let tally = holds(&Part::Swarm { seeds: 1..41 });
    assert!(tally.cases == 40 && tally.coverage.kinds().len() > 20, "{}", tally.coverage.table());
}

#[test]
fn the_figures_do_not_depend_on_threads() {
    let part = Part::Requests { stride: 211 };
    let one = prove(&part, Some(1), &mut |_, _| ()).unwrap();
    let two = prove(&part, Some(2), &mut |_, _| ()).unwrap();
    assert_eq!(one, two);
}

/// Every failure that was ever found, as a file that gives it again: mended, and still so.
#[test]
fn what_was_found_once_is_not_found_again() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/repros");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let repro = Repro::read(&std::fs::read(&path).unwrap()).unwrap();
        assert!(!repro.note.is_empty(), "{} says what it was", path.display());
        let verdict = repro.judge();
        assert!(verdict.complaints.is_empty(), "{}: {:?}", path.display(), verdict.complaints);
        count += 1;
    }
    assert!(count >= 10, "{count} repros");
}

/// A world that goes wrong by one of many troubles.
fn failing() -> Case {
    let mut scenario = Scenario::find("small", 1).unwrap();
    scenario.expected = Expected::Completed;
    let mut case = swarm::case(3);
    case.scenario.faults.retain(|rule| matches!(rule.kind, FaultKind::Request(_)));
    scenario.faults = case.scenario.faults;
    for minutes in [2, 9, 14] {
        let span = Millis::from_secs(20);
        scenario.faults.push(FaultRule::at(Millis::from_minutes(minutes), FaultKind::MetricsAway { span }));
    }
    for app in ["cart", "orders", "mailer"] {
        let never = FaultKind::NeverReady { workload: format!("shop/{app}") };
        scenario.faults.push(FaultRule::on("MarkNode", 1, never));
    }
    Case::of(scenario, 1).killed_at([40, 90, 400])
}

#[test]
fn a_failing_case_is_made_small() {
    let case = failing();
    let complaints = case.judge(None, false).complaints;
    assert!(complaints[0].starts_with("ended Unwound"), "{complaints:?}");
    let (small, again) = shrink(&case, &complaints[0]);
    assert!(again[0].starts_with("ended Unwound"), "{again:?}");
    assert!(small.crashes.is_empty(), "no crash is needed: {:?}", small.crashes);
    let left: Vec<&str> = small.scenario.faults.iter().map(|rule| rule.kind.name()).collect();
    assert!(!left.is_empty() && left.iter().all(|name| *name == "pods never ready"), "{left:?}");
    assert_eq!(shrink(&case, &complaints[0]).0, small, "the same case gives the same small one");
}

#[test]
fn a_disk_that_has_no_part_in_a_failure_is_left_out() {
    let mut case = failing();
    case.disk = (1..).find_map(|seed| swarm::case(seed).disk.filter(|disk| disk.rules.len() > 2));
    let text = Repro::new(case.clone(), vec!["x".to_owned()]).text().unwrap();
    assert_eq!(Repro::read(text.as_bytes()).unwrap().case, case, "what goes wrong with it is written down");
    let complaints = case.judge(None, false).complaints;
    assert!(complaints[0].starts_with("ended Unwound"), "{complaints:?}");
    assert_eq!(shrink(&case, &complaints[0]).0.disk, None);
}

#[test]
fn a_third_of_the_seeds_writes_its_journal_to_a_disk() {
    let on_disk = (1..=300).filter(|seed| swarm::case(*seed).disk.is_some()).count();
    assert!((80..=120).contains(&on_disk), "{on_disk} of 300");
    let case = (1..).map(swarm::case).find(|case| case.disk.as_ref().is_some_and(|disk| !disk.rules.is_empty()));
    let options = swarm::options(&case.unwrap());
    assert!(options.contains("journal on a disk") && options.contains(" at "), "{options}");
}

#[test]
fn what_chance_did_can_be_written_down_and_done_again() {
    let mut found = 0;
    for seed in 1..30 {
        let case = swarm::case(seed);
        let Some((report, evidence)) = case.judge(None, false).run else { continue };
        let explicit = case.without_chance(&evidence);
        let by_chance = evidence.struck.iter().filter(|struck| struck.rule.is_some()).count();
        if by_chance == 0 || case.scenario.faults == explicit.scenario.faults {
            continue;
        }
        found += 1;
        let (again, evidence_again) = explicit.judge(None, false).run.unwrap();
        assert_eq!((again, evidence_again.state), (report, evidence.state), "{}", swarm::options(&case));
    }
    assert!(found >= 3, "{found} runs had something to write down");
}

#[test]
fn a_repro_is_read_as_it_was_written_and_what_is_none_is_called_so() {
    let repro = Repro::new(failing(), vec!["ended otherwise".to_owned()]);
    let text = repro.text().unwrap();
    assert_eq!(Repro::read(text.as_bytes()).unwrap(), repro);
    for wrong in
        ["", "{}", "[1, 2", &text.replace("\"format\": 1", "\"format\": 2"), &text.replace("\"seed\"", "\"sed\"")]
    {
        assert!(Repro::read(wrong.as_bytes()).is_err(), "{}", &wrong[..wrong.len().min(60)]);
    }
}

#[test]
fn a_run_that_goes_another_way_the_second_time_would_be_seen() {
    let case = Case::of(Scenario::find("small", 1).unwrap(), 1);
    assert_eq!(twice(&case).complaints, Vec::<String>::new());
    let one = case.judge(None, false).run.unwrap();
    let other = Case::of(Scenario::find("small", 1).unwrap(), 2).judge(None, false).run.unwrap();
    assert_ne!(one.1.state, other.1.state);
    assert_ne!(one.1.world, other.1.world);
}
