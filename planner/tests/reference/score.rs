//! The scheduler's scores, with figures worked out by hand from each plugin's formula.

use journal_schema::facts::{Key, NodeFact, NodeOperator, Object, Owner, OwnerKind, PodFact, TaintEffect};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use planner::scheduler::{Score, Snapshot};

use crate::facts::{
    GIB, HOSTNAME, ZONE, app_selector, few, labels, name, node, node_term, pod, pod_term, requirement, resources,
    spread, taint,
};

fn sized(text: &str, cpu: i64, memory: i64) -> NodeFact {
    let mut node = node(text, "a");
    node.allocatable = resources(cpu, memory, 110);
    node
}

fn with(nodes: Vec<NodeFact>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.put_node(node);
    }
    snapshot
}

fn scores(snapshot: &Snapshot, pod: &PodFact) -> Vec<Score> {
    let nodes: Vec<Name> = snapshot.nodes().map(|node| node.name.clone()).collect();
    snapshot.score(pod, &nodes)
}

fn column(snapshot: &Snapshot, pod: &PodFact, of: impl Fn(&Score) -> i64) -> Vec<i64> {
    scores(snapshot, pod).iter().map(of).collect()
}

#[test]
fn least_allocated_is_the_mean_of_the_free_shares() {
    // Requests 3000m and 5000 bytes. Node 1: cpu (4000-3000)/4000 = 25, memory (10000-5000)/10000 = 50, mean 37.
    // Node 2: cpu (6000-3000)/6000 = 50, memory 50, mean 50.
    let snapshot = with(vec![sized("n1", 4000, 10_000), sized("n2", 6000, 10_000)]);
    assert_eq!(column(&snapshot, &pod("p", 0, 3000, 5000), |score| score.least_allocated), [37, 50]);
}

#[test]
fn least_allocated_counts_defaults_for_pods_that_request_nothing() {
    // 100m of 4000m leaves 97 (97.5 rounded down); 200 MiB of 16 GiB leaves 98 (98.78); mean 97.
    let mut snapshot = with(vec![node("n1", "a"), node("n2", "a")]);
    let nothing = pod("p", 0, 0, 0);
    assert_eq!(column(&snapshot, &nothing, |score| score.least_allocated), [97, 97]);
    // Ten such pods there: 1100m leaves 72, 2200 MiB leaves 86; mean 79.
    for number in 0..10 {
        snapshot.bind(pod("q", number, 0, 0), &name("n1"));
    }
    assert_eq!(column(&snapshot, &nothing, |score| score.least_allocated), [79, 97]);
}

#[test]
fn a_resource_over_its_capacity_scores_nothing() {
    let mut snapshot = with(vec![sized("n1", 4000, 10_000)]);
    snapshot.bind(pod("q", 0, 3000, 1000), &name("n1"));
    // cpu 6000 of 4000: 0; memory 2000 of 10000: 80; mean 40.
    assert_eq!(column(&snapshot, &pod("p", 0, 3000, 1000), |score| score.least_allocated), [40]);
}

#[test]
fn balance_rewards_what_evens_the_shares() {
    // Empty nodes: without the pod both shares are 0, balance 100.
    // n1 with it: cpu 0.75, memory 0.5, deviation 0.125, balance 87 -> 50 + (50 + 87 - 100)/2 = 68.
    // n2 with it: 0.5 and 0.5, balance 100 -> 50 + 50/2 = 75.
    let mut snapshot = with(vec![sized("n1", 4000, 10_000), sized("n2", 6000, 10_000)]);
    assert_eq!(column(&snapshot, &pod("p", 0, 3000, 5000), |score| score.balanced), [68, 75]);
    // n2 holds 0.5 of the CPU and nothing of the memory: balance 75; memory for it evens that to
    // 0.5 and 0.5, balance 100 -> 50 + (50 + 100 - 75)/2 = 87.
    snapshot.bind(pod("q", 0, 3000, 0), &name("n2"));
    assert_eq!(column(&snapshot, &pod("p", 0, 0, 5000), |score| score.balanced)[1], 87);
    // A pod that asks for neither is not scored.
    assert_eq!(column(&snapshot, &pod("p", 0, 0, 0), |score| score.balanced), [0, 0]);
}

#[test]
fn preferred_node_affinity_is_scaled_to_its_largest_sum() {
    let mut labelled = node("n2", "a");
    labelled.labels.extend(labels(&[("foo", "bar"), ("az", "az1")]));
    let mut half = node("n3", "a");
    half.labels.extend(labels(&[("foo", "bar")]));
    let snapshot = with(vec![node("n1", "a"), labelled, half]);
    let mut pod = pod("p", 0, 100, GIB);
    assert_eq!(column(&snapshot, &pod, |score| score.node_affinity), [0, 0, 0]);
    pod.spec.node_preferences = few(vec![
        (2, node_term(vec![requirement("foo", NodeOperator::In, &["bar"])])),
        (4, node_term(vec![requirement("az", NodeOperator::Exists, &[])])),
        (50, node_term(vec![])),
    ]);
    // Sums 0, 6 and 2: 0, 100, 33. A term without requirements adds nothing.
    assert_eq!(column(&snapshot, &pod, |score| score.node_affinity), [0, 100, 33]);
}

#[test]
fn preferred_taints_count_against_a_node() {
    let soft = |key| taint(key, "", TaintEffect::PreferNoSchedule);
    let mut one = node("n2", "a");
    one.taints = few(vec![soft("x")]);
    let mut two = node("n3", "a");
    two.taints = few(vec![soft("x"), soft("y")]);
    let snapshot = with(vec![node("n1", "a"), one, two]);
    let mut pod = pod("p", 0, 100, GIB);
    assert_eq!(column(&snapshot, &pod, |score| score.taint_toleration), [100, 50, 0]);
    pod.spec.tolerations = few(vec![crate::facts::tolerate("x", true, "", Some(TaintEffect::PreferNoSchedule))]);
    assert_eq!(column(&snapshot, &pod, |score| score.taint_toleration), [100, 100, 0]);
}

#[test]
fn soft_spread_prefers_the_emptier_domain() {
    let mut snapshot = with(vec![node("a1", "a"), node("a2", "a"), node("b1", "b"), node("b2", "b")]);
    for (number, on) in ["a1", "a1", "b1"].into_iter().enumerate() {
        snapshot.bind(pod("foo", number, 1, 1), &name(on));
    }
    let mut pod = pod("foo", 9, 1, 1);
    pod.spec.spread = few(vec![spread("foo", ZONE, 1, false)]);
    // Weight ln(2 zones + 2) = 1.386. Zone a: 2 -> 2.77, rounded 3; zone b: 1.39, rounded 1.
    // Scaled: 100 × (3 + 1 − x) / 3 = 33 for a, 100 for b.
    assert_eq!(column(&snapshot, &pod, |score| score.spread), [33, 33, 100, 100]);
    pod.spec.spread = few(vec![spread("foo", HOSTNAME, 1, false)]);
    // Weight ln(6) = 1.79. a1: 3.58 -> 4; b1: 1.79 -> 2; others 0. 100 × (4 + 0 − x) / 4.
    assert_eq!(column(&snapshot, &pod, |score| score.spread), [0, 100, 50, 100]);
    // Nothing to count: all get the most. No constraint at all: the plugin is silent.
    pod.spec.spread = few(vec![spread("bar", ZONE, 1, false)]);
    assert_eq!(column(&snapshot, &pod, |score| score.spread), [100, 100, 100, 100]);
    pod.spec.spread = Few::default();
    assert_eq!(column(&snapshot, &pod, |score| score.spread), [0, 0, 0, 0]);
}

#[test]
fn nodes_without_the_keys_of_soft_constraints_score_nothing() {
    let mut bare = node("c1", "c");
    bare.labels.remove(ZONE);
    let snapshot = with(vec![node("a1", "a"), bare]);
    let mut pod = pod("foo", 9, 1, 1);
    pod.spec.spread = few(vec![spread("foo", ZONE, 1, false)]);
    assert_eq!(column(&snapshot, &pod, |score| score.spread), [100, 0]);
}

fn replica_set(app: &str) -> Object {
    crate::conformance::replica_set(Key::new(name("default"), name(&format!("{app}-1"))), app_selector(app))
}

#[test]
fn pods_without_constraints_are_spread_by_their_replica_set() {
    let mut snapshot = with(vec![node("a1", "a"), node("a2", "a"), node("b1", "b")]);
    snapshot.bind(pod("foo", 0, 1, 1), &name("a1"));
    let new = pod("foo", 1, 1, 1);
    assert_eq!(column(&snapshot, &new, |score| score.spread), [0, 0, 0], "the ReplicaSet is not known");
    snapshot.apply(&replica_set("foo"));
    // Per node: weight ln(5) = 1.609, skew 3; per zone: weight ln(4) = 1.386, skew 5; both add skew − 1.
    // a1: 1.609 + 2 + 1.386 + 4 = 8.996 -> 9; a2: 2 + 5.386 = 7.386 -> 7; b1: 6.
    // 100 × (9 + 6 − x) / 9: 66, 88, 100.
    assert_eq!(column(&snapshot, &new, |score| score.spread), [66, 88, 100]);
    let mut orphan = new.clone();
    orphan.owner = Some(Owner { kind: OwnerKind::Job, name: name("foo-1"), uid: name("j") });
    assert_eq!(column(&snapshot, &orphan, |score| score.spread), [0, 0, 0]);
}

#[test]
fn preferred_pod_affinity_counts_both_sides() {
    let mut snapshot = with(vec![node("a1", "a"), node("a2", "a"), node("b1", "b")]);
    let mut drawn = pod("web", 0, 1, 1);
    drawn.spec.pod_preferences = few(vec![(8, pod_term("db", ZONE)), (-2, pod_term("noisy", HOSTNAME))]);
    snapshot.bind(pod("db", 0, 1, 1), &name("a1"));
    snapshot.bind(pod("noisy", 0, 1, 1), &name("a1"));
    // a1: 8 − 2 = 6, a2: 8, b1: 0. Scaled over the span 0..8.
    assert_eq!(column(&snapshot, &drawn, |score| score.pod_affinity), [75, 100, 0]);
    // A pod without terms of its own feels those of the pods that are there: required ones weigh 1.
    let mut host = pod("host", 0, 1, 1);
    host.spec.pod_affinity = few(vec![pod_term("guest", HOSTNAME)]);
    host.spec.pod_preferences = few(vec![(3, pod_term("guest", ZONE))]);
    snapshot.bind(host, &name("a2"));
    // a1: 3, a2: 4, b1: 0.
    assert_eq!(column(&snapshot, &pod("guest", 0, 1, 1), |score| score.pod_affinity), [75, 100, 0]);
    assert_eq!(column(&snapshot, &pod("stranger", 0, 1, 1), |score| score.pod_affinity), [0, 0, 0]);
}

#[test]
fn equal_sums_scale_to_nothing_and_negative_ones_to_their_span() {
    let mut snapshot = with(vec![node("a1", "a"), node("b1", "b")]);
    let mut averse = pod("web", 0, 1, 1);
    averse.spec.pod_preferences = few(vec![(-5, pod_term("db", ZONE))]);
    snapshot.bind(pod("db", 0, 1, 1), &name("a1"));
    assert_eq!(column(&snapshot, &averse, |score| score.pod_affinity), [0, 100]);
    snapshot.bind(pod("db", 1, 1, 1), &name("b1"));
    assert_eq!(column(&snapshot, &averse, |score| score.pod_affinity), [0, 0]);
}

#[test]
fn the_total_is_weighted_as_the_default_profile_does() {
    let score = Score {
        node: name("n"),
        taint_toleration: 1,
        node_affinity: 10,
        spread: 100,
        pod_affinity: 1000,
        least_allocated: 10_000,
        balanced: 100_000,
    };
    assert_eq!(score.total(), 3 + 20 + 200 + 2000 + 10_000 + 100_000);
}

#[test]
fn the_emptiest_node_is_chosen_and_the_first_among_equals() {
    let mut snapshot = with(vec![node("n1", "a"), node("n2", "a"), node("n3", "a")]);
    let new = pod("web", 0, 500, GIB);
    assert_eq!(snapshot.choose(&new), Ok(name("n1")));
    snapshot.bind(pod("web", 1, 500, GIB), &name("n1"));
    assert_eq!(snapshot.choose(&new), Ok(name("n2")));
    snapshot.bind(pod("web", 2, 500, GIB), &name("n2"));
    assert_eq!(snapshot.choose(&new), Ok(name("n3")));
}

#[test]
fn without_a_place_every_node_says_why() {
    let mut tainted = node("n1", "a");
    tainted.taints = few(vec![taint("gpu", "", TaintEffect::NoSchedule)]);
    let snapshot = with(vec![tainted, node("n2", "a")]);
    assert_eq!(
        snapshot.choose(&pod("big", 0, 4001, GIB)),
        Err(vec![
            (name("n1"), Reason::Taint { key: name("gpu") }),
            (name("n2"), Reason::InsufficientResource { resource: name("cpu") })
        ])
    );
    assert_eq!(Snapshot::default().choose(&pod("any", 0, 1, 1)), Err(Vec::new()));
}
