//! Random faults from a seed, over every small world: whatever went wrong, once it is over the
//! world is in order, no rule was broken on the way, and the journal replays.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use journal_schema::units::Millis;
use simulator::Scenario;
use simulator::faults::swarm;
use simulator::rng::Stream;
use simulator::runner::{Crashes, Ending, RunOptions, run};

/// What is wrong with the run of a seed; empty when nothing is.
fn complaints(seed: u64) -> Vec<String> {
    let names = ["small", "replace", "evict", "rolling-update", "stateful", "surge-single", "mixed-pools"];
    let mut stream = Stream::new(seed, "swarm test");
    let name = stream.pick(&names).copied().unwrap_or("small");
    let mut scenario = Scenario::find(name, seed).unwrap();
    scenario.faults.extend(swarm(seed, Millis::from_minutes(15)));
    let places = (0..stream.below(3)).map(|_| stream.below(1_500)).collect();
    let options = RunOptions { crashes: Crashes { places, phases: Vec::new() }, ..RunOptions::default() };
    let faults = scenario.faults.clone();
    let report = match run(scenario, seed, &options) {
        Ok(report) => report,
        Err(error) => {
            let source = std::error::Error::source(&error)
                .map(|source| format!("{source}: {:?}", source.source().map(ToString::to_string)));
            return vec![format!("seed {seed} ({name}): {error}: {source:?}")];
        }
    };
    let mut found = Vec::new();
    if report.ending == Ending::Unfinished {
        found.push(format!("unfinished {:?}", report.reason));
    }
    found.extend(report.violation_list.iter().map(|text| format!("broken rule {text}")));
    found.extend(report.leftover_list.iter().map(|text| format!("left over {text}")));
    found.extend(report.replay_difference.iter().map(|text| format!("replay differs: {text}")));
    found
        .into_iter()
        .map(|text| format!("seed {seed} ({name}, {} faults, {} crashes): {text}", faults.len(), report.crashes))
        .collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how many seeds is asked of whoever runs the test")]
fn many_seeds_end_well() {
    let count: u64 = std::env::var("KINEMA_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let found: Vec<String> = (1..=count).flat_map(complaints).collect();
    println!("{count} seeds");
    assert!(found.is_empty(), "{} complaints\n{}", found.len(), found.join("\n"));
}
