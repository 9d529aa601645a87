//! Prints what happens in a run, for people who look into one:
//! `cargo run -p simulator --example timeline -- SCENARIO SEED [PLACE …]`
//! where PLACE numbers say where the daemon is killed; or with a repro's file in place of the scenario.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use journal_schema::event::{Event, WatchEvent};
use simulator::Scenario;
use simulator::prove::{Case, Repro};
use simulator::runner::{Crashes, Progress, RunOptions, run_with};
use simulator::world::BEGIN;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("small", String::as_str);
    let seed = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let places: Vec<u64> = arguments.iter().skip(2).filter_map(|text| text.parse().ok()).collect();
    let found = if name.ends_with(".json") {
        let read = std::fs::read(name).map_err(|error| error.to_string());
        read.and_then(|text| Repro::read(&text).map_err(|error| error.to_string())).map(|repro| repro.case)
    } else {
        let found = Scenario::find(name, seed).map_err(|error| error.to_string());
        found.map(|scenario| Case::of(scenario, seed).killed_at(places))
    };
    let case = match found {
        Ok(case) => case,
        Err(error) => {
            eprintln!("{error}");
            return;
        }
    };
    let (scenario, seed) = (case.scenario, case.seed);
    let options = RunOptions {
        crashes: Crashes { places: case.crashes, phases: Vec::new() },
        old_lives: case.old_lives,
        checkpoint_every: case.checkpoint_every,
        ..RunOptions::default()
    };
    let mut phase = None;
    let result = run_with(scenario, seed, &options, &mut |progress| match progress {
        Progress::Entry(entry, state) => {
            let secs = entry.at.since(BEGIN).0 / 100;
            let text = match &entry.event {
                Event::Watch(WatchEvent::Applied(object)) => format!("applied {:?} {}", object.kind(), object.key()),
                Event::Watch(WatchEvent::Deleted { kind, key }) => format!("deleted {kind:?} {key}"),
                Event::Watch(_) => return,
                Event::Intents { effects } => effects
                    .iter()
                    .map(|(id, effect)| format!("{id} {}", short(effect)))
                    .collect::<Vec<_>>()
                    .join("\n              "),
                Event::Outcome { id, outcome } => format!("{id} -> {}", cut(&format!("{outcome:?}"))),
                other => cut(&format!("{other:?}")),
            };
            let name = state.phase().name();
            if phase != Some(name) {
                println!("{:>6}.{} ===== {name:?} {:?}", secs / 10, secs % 10, state.holds());
                phase = Some(name);
            }
            println!("{:>6}.{} #{} {} {text}", secs / 10, secs % 10, entry.seq, entry.event.name());
        }
        Progress::Flushed(seq) => println!("-------------- durable up to {seq}"),
        Progress::Killed(place) => println!("-------------- killed {place:?}"),
        Progress::Resumes(at) => println!("-------------- resumes at {}", at.since(BEGIN).0 / 1000),
    });
    match result {
        Ok(report) => println!("{report:#?}"),
        Err(error) => eprintln!("{error:?}"),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(220).collect()
}

fn short(effect: &journal_schema::effect::Effect) -> String {
    cut(&format!("{effect:?}"))
}
