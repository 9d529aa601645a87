//! How fast a journal folds: `cargo bench -p engine`.
//!
//! Prints entries per CPU second, in a cluster of 10,000 pods, for decoding alone, for stepping alone
//! and for both, which is what a replay does: of small entries, and of whole pods.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark measures time and prints it")]

use std::hint::black_box;
use std::time::Duration;

use engine::State;
use journal_schema::codec;
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind, NamespaceFact, Object, Owner, OwnerKind, PodFact, PodPhase, PodSpecFact};
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Resources, Timestamp};

const PODS: u64 = 10_000;
const ENTRIES: u64 = 100_000;

fn pod(index: u64, ready: bool) -> PodFact {
    let text = |text: String| Name::truncated(text);
    PodFact {
        owner: Some(Owner {
            kind: OwnerKind::ReplicaSet,
            name: text(format!("workload-{}", index % 400)),
            uid: text(format!("rs-{}", index % 400)),
        }),
        node: Some(text(format!("node-{}", index % 1_000))),
        phase: PodPhase::Running,
        ready,
        labels: [("app".to_owned(), format!("workload-{}", index % 400))]
            .map(|(key, value)| (text(key), text(value)))
            .into(),
        ..PodFact::new(
            Key::new(text(format!("ns-{}", index % 40)), text(format!("workload-{}-{index}", index % 400))),
            text(format!("3c9f0b1e-0000-4000-8000-{index:012}")),
            PodSpecFact {
                requests: Resources { cpu: MilliCpu(250), memory: Bytes(1 << 28), pods: 1, ..Resources::default() },
                ..PodSpecFact::default()
            },
            Timestamp(0),
        )
    }
}

/// A namespace whose one label changes: as small as an entry that changes the state gets.
fn namespace(index: u64, turn: u64) -> NamespaceFact {
    let label = (Name::truncated("team"), Name::truncated(format!("team-{turn}")));
    NamespaceFact { name: Name::truncated(format!("ns-{}", index % 40)), labels: [label].into(), excluded: false }
}

/// CPU time of this process: on a busy machine the clock on the wall says little.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux tells the CPU time");
    Duration::from_nanos(text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

fn timed(mut work: impl FnMut()) -> Duration {
    let began = cpu();
    work();
    cpu() - began
}

fn rate(entries: usize, took: Duration) -> u128 {
    entries as u128 * 1_000_000 / took.as_micros().max(1)
}

/// Folds `changes` after `start` and prints how fast.
fn measure(what: &str, start: &State, changes: &[Entry]) {
    let encoded: Vec<Vec<u8>> = changes.iter().map(|entry| codec::encode(entry).expect("entries encode")).collect();
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    let decode = timed(|| {
        for bytes in &encoded {
            black_box(codec::decode(1, bytes).expect("entries decode"));
        }
    });
    let mut state = start.clone();
    let step = timed(|| {
        for entry in changes {
            black_box(state.step(entry).expect("entries fold"));
        }
    });
    let mut state = start.clone();
    let both = timed(|| {
        for bytes in &encoded {
            let entry = codec::decode(1, bytes).expect("entries decode");
            black_box(state.step(&entry).expect("entries fold"));
        }
    });
    println!("{what}: {} entries of {} bytes on average", changes.len(), bytes / encoded.len());
    println!("  decode           {:>9} entries per CPU second", rate(changes.len(), decode));
    println!("  step             {:>9}", rate(changes.len(), step));
    println!("  decode and step  {:>9}", rate(changes.len(), both));
}

fn main() {
    let mut state = State::new(Name::truncated("bench"));
    let mut seq = 0;
    let mut entry = |event| {
        seq += 1;
        Entry { seq, at: Timestamp(seq as i64), event }
    };
    let mut start = vec![entry(Event::Watch(WatchEvent::RelistStarted { kind: Kind::Pod }))];
    start.extend((0..PODS).map(|index| entry(Event::Watch(WatchEvent::Listed(Object::Pod(pod(index, true)))))));
    start.push(entry(Event::Watch(WatchEvent::RelistFinished { kind: Kind::Pod })));
    for entry in &start {
        state.step(entry).expect("a relist folds");
    }
    let changes = |object: fn(u64, u64) -> Object| -> Vec<Entry> {
        let mut next = start.len() as u64;
        (0..ENTRIES)
            .map(|index| {
                next += 1;
                let event = Event::Watch(WatchEvent::Applied(object(index * 7919 % PODS, index / PODS)));
                Entry { seq: next, at: Timestamp(next as i64), event }
            })
            .collect()
    };
    let small = changes(|index, turn| Object::Namespace(namespace(index, turn)));
    measure("a namespace's label changes", &state, &small);
    drop(small);
    let pods = changes(|index, turn| Object::Pod(pod(index, turn % 2 == 1)));
    measure("a pod's readiness changes, among 10,000", &state, &pods);
}
