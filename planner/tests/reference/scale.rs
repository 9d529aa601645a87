//! The model's speed at 1,000 nodes and 10,000 pods. Prints figures; asserts only what is far off.

#![allow(clippy::disallowed_types, reason = "measures time")]

use std::time::{Duration, Instant};

use planner::lint::{Severity, lint};
use planner::scheduler::Snapshot;

use crate::facts::{GIB, HOSTNAME, ZONE, name, node, pod, pod_term, spread};
use crate::synthetic::{Shape, generate};

fn crowd() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for index in 0..1000 {
        snapshot.put_node(node(&format!("node-{index:04}"), ["a", "b", "c"][index % 3]));
    }
    for index in 0..10_000 {
        let app = format!("app-{:03}", index % 250);
        snapshot.bind(pod(&app, index, 100, GIB / 2), &name(&format!("node-{:04}", index % 1000)));
    }
    snapshot
}

fn timed(what: &str, times: u32, mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    let each = start.elapsed() / times;
    println!("{what}: {each:?}");
    each
}

#[test]
fn a_cycle_over_a_thousand_nodes_takes_milliseconds() {
    let start = Instant::now();
    let mut snapshot = crowd();
    println!("snapshot of 1,000 nodes and 10,000 pods: {:?}", start.elapsed());
    let plain = pod("app-007", 99_999, 500, GIB);
    let mut constrained = plain.clone();
    constrained.spec.spread =
        crate::facts::few(vec![spread("app-007", ZONE, 1, true), spread("app-007", HOSTNAME, 1, true)]);
    let mut repelling = plain.clone();
    repelling.spec.pod_anti_affinity = crate::facts::few(vec![pod_term("app-007", HOSTNAME)]);
    let mut slowest = Duration::ZERO;
    for (what, pod) in [("plain", &plain), ("spread", &constrained), ("anti-affinity", &repelling)] {
        slowest = slowest
            .max(timed(&format!("feasible, {what}"), 20, || assert!(!snapshot.cycle(pod).feasible().is_empty())));
        slowest = slowest.max(timed(&format!("choose, {what}"), 20, || assert!(snapshot.choose(pod).is_ok())));
    }
    timed("bind and unbind", 1000, || {
        snapshot.bind(plain.clone(), &name("node-0001"));
        snapshot.unbind(&plain.key);
    });
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn a_plan_of_three_hundred_nodes_is_linted_in_a_moment() {
    let mut input = generate(&Shape { nodes: 300, deleted_percent: 50, families: &["e2-", "n2-"], seed: 1 });
    input.policy.optimize.limits.search_steps = 200;
    let planned = planner::plan(&input, &input.policy.optimize.limits).unwrap();
    assert!(planned.plan.moves.len() > 500, "too few moves to say anything");
    let each = timed(&format!("lint of {} moves", planned.plan.moves.len()), 1, || {
        assert!(lint(&input, &planned).iter().all(|finding| finding.severity != Severity::Error));
    });
    assert!(each < Duration::from_secs(2), "{each:?}");
}
