//! How fast a journal folds: `cargo bench -p engine`.
//!
//! Prints small entries (a pod's readiness changes, in a cluster of 10,000 pods) per second for
//! decoding alone, for stepping alone and for both, which is what a replay does.

#![expect(clippy::disallowed_types, clippy::print_stdout, reason = "a benchmark measures time and prints it")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use engine::State;
use journal_schema::codec;
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind, Object, Owner, OwnerKind, PodFact, PodPhase, PodSpecFact};
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Resources, Timestamp};

const PODS: u64 = 10_000;
const ENTRIES: u64 = 300_000;

fn pod(index: u64, ready: bool) -> PodFact {
    let text = |text: String| Name::truncated(text);
    PodFact {
        key: Key::new(text(format!("ns-{}", index % 40)), text(format!("workload-{}-{index}", index % 400))),
        uid: text(format!("3c9f0b1e-0000-4000-8000-{index:012}")),
        owner: Some(Owner {
            kind: OwnerKind::ReplicaSet,
            name: text(format!("workload-{}", index % 400)),
            uid: text(format!("rs-{}", index % 400)),
        }),
        node: Some(text(format!("node-{}", index % 1_000))),
        phase: PodPhase::Running,
        ready,
        unschedulable: false,
        created_at: Timestamp(0),
        deletion_at: None,
        labels: [("app".to_owned(), format!("workload-{}", index % 400))]
            .map(|(key, value)| (text(key), text(value)))
            .into(),
        spec: PodSpecFact {
            requests: Resources { cpu: MilliCpu(250), memory: Bytes(1 << 28), pods: 1, ..Resources::default() },
            ..PodSpecFact::default()
        },
        mirror: false,
        safe_to_evict: None,
        do_not_disrupt: Default::default(),
        prefer_no_eviction: false,
        deletion_cost: 0,
        excluded: false,
    }
}

fn rate(entries: u64, took: Duration) -> u64 {
    (u128::from(entries) * 1_000_000 / took.as_micros().max(1)) as u64
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
    let changes: Vec<Entry> = (0..ENTRIES)
        .map(|index| {
            entry(Event::Watch(WatchEvent::Applied(Object::Pod(pod(index * 7919 % PODS, index / PODS % 2 == 1)))))
        })
        .collect();
    let encoded: Vec<Vec<u8>> = changes.iter().map(|entry| codec::encode(entry).expect("entries encode")).collect();
    let bytes: usize = encoded.iter().map(Vec::len).sum();

    let began = Instant::now();
    for bytes in &encoded {
        black_box(codec::decode(1, bytes).expect("entries decode"));
    }
    let decode = began.elapsed();

    let mut stepped = state.clone();
    let began = Instant::now();
    for entry in &changes {
        black_box(stepped.step(entry).expect("entries fold"));
    }
    let step = began.elapsed();

    let began = Instant::now();
    for bytes in &encoded {
        let entry = codec::decode(1, bytes).expect("entries decode");
        black_box(state.step(&entry).expect("entries fold"));
    }
    let both = began.elapsed();

    println!("{ENTRIES} entries of {} bytes on average, {PODS} pods", bytes / encoded.len());
    println!("decode           {:>9} entries/s", rate(ENTRIES, decode));
    println!("step             {:>9} entries/s", rate(ENTRIES, step));
    println!("decode and step  {:>9} entries/s", rate(ENTRIES, both));
    println!("step costs {:.2} of decoding", step.as_secs_f64() / decode.as_secs_f64());
}
