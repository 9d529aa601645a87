//! What must hold whatever the cluster is.

use journal_schema::facts::PodFact;
use journal_schema::text::Name;
use planner::scheduler::Snapshot;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::facts::{GIB, HOSTNAME, ZONE, few, name, node, pod, pod_term, spread};

const APPS: [&str; 3] = ["web", "db", "cache"];

/// A pod by numbers: its app, CPU, memory in eighths of a GiB, and which rule it has.
fn any_pod(number: usize) -> impl Strategy<Value = PodFact> {
    (0..3_usize, 0..3000_i64, 0..64_i64, 0..8_usize, 0..3_usize).prop_map(move |(app, cpu, eighths, rule, other)| {
        let mut pod = pod(APPS[app], number, cpu, eighths * GIB / 8);
        match rule {
            0 => pod.spec.pod_anti_affinity = few(vec![pod_term(APPS[other], HOSTNAME)]),
            1 => pod.spec.pod_affinity = few(vec![pod_term(APPS[other], ZONE)]),
            2 => pod.spec.spread = few(vec![spread(APPS[app], ZONE, 1, true)]),
            3 => pod.spec.spread = few(vec![spread(APPS[app], HOSTNAME, 1, false)]),
            4 => {
                pod.spec.pod_preferences =
                    few(vec![(10, pod_term(APPS[other], ZONE)), (-3, pod_term(APPS[app], HOSTNAME))])
            }
            _ => {}
        }
        pod
    })
}

fn nodes() -> Vec<Name> {
    (0..6).map(|index| name(&format!("n{index}"))).collect()
}

fn empty() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (index, text) in nodes().iter().enumerate() {
        snapshot.put_node(node(text, ["a", "b", "c"][index % 3]));
    }
    snapshot
}

/// Numbered pods with a node each.
fn any_crowd(most: usize) -> impl Strategy<Value = Vec<(PodFact, usize)>> {
    vec(0..6_usize, 0..most).prop_flat_map(|places| {
        places.into_iter().enumerate().map(|(number, place)| (any_pod(number), Just(place))).collect::<Vec<_>>()
    })
}

fn filled(crowd: &[(PodFact, usize)]) -> Snapshot {
    let mut snapshot = empty();
    for (pod, place) in crowd {
        snapshot.bind(pod.clone(), &nodes()[*place]);
    }
    snapshot
}

fn plain(pod: &PodFact) -> PodFact {
    let mut plain = pod.clone();
    plain.spec.pod_affinity = few(vec![]);
    plain.spec.spread = few(vec![]);
    plain
}

proptest! {
    /// Another pod somewhere never makes room: affinity and spread apart, which want company.
    #[test]
    fn more_usage_never_makes_a_pod_fit(crowd in any_crowd(20), extra in any_pod(100), new in any_pod(101), place in 0..6_usize) {
        let mut snapshot = filled(&crowd);
        let new = plain(&new);
        let before = snapshot.cycle(&new).feasible();
        snapshot.bind(extra, &nodes()[place]);
        for node in snapshot.cycle(&new).feasible() {
            prop_assert!(before.contains(&node), "{node:?} fits with one pod more");
        }
    }

    /// A larger request never fits where a smaller one does not.
    #[test]
    fn a_larger_pod_never_fits_better(crowd in any_crowd(20), new in any_pod(101), cpu in 0..2000_i64, memory in 0..GIB) {
        let snapshot = filled(&crowd);
        let small = snapshot.cycle(&new).feasible();
        let mut larger = new.clone();
        larger.spec.requests.cpu.0 += cpu;
        larger.spec.requests.memory.0 += memory;
        for node in snapshot.cycle(&larger).feasible() {
            prop_assert!(small.contains(&node));
        }
    }

    /// Binding and unbinding leave nothing behind, and the order of binding does not matter.
    #[test]
    fn sums_follow_the_pods(crowd in any_crowd(20), extra in any_crowd(10), new in any_pod(101)) {
        let mut snapshot = filled(&crowd);
        for (number, (pod, place)) in extra.iter().enumerate() {
            let mut pod = pod.clone();
            pod.key.name = name(&format!("extra-{number}"));
            snapshot.bind(pod, &nodes()[*place]);
        }
        for number in 0..extra.len() {
            let key = journal_schema::facts::Key::new(name("default"), name(&format!("extra-{number}")));
            prop_assert!(snapshot.unbind(&key).is_some());
        }
        let mut reversed = crowd.clone();
        reversed.reverse();
        let other = filled(&reversed);
        for node in nodes() {
            prop_assert_eq!(snapshot.used(&node), other.used(&node));
        }
        prop_assert_eq!(snapshot.score(&new, &nodes()), other.score(&new, &nodes()));
        prop_assert_eq!(snapshot.choose(&new), other.choose(&new));
    }

    /// What is chosen fits, has the best score, and every score is within 0 and 100.
    #[test]
    fn the_choice_is_feasible_and_best(crowd in any_crowd(30), new in any_pod(101)) {
        let snapshot = filled(&crowd);
        let cycle = snapshot.cycle(&new);
        let feasible = cycle.feasible();
        for node in nodes() {
            prop_assert_eq!(snapshot.filter(&new, &node).is_ok(), feasible.contains(&node));
        }
        let scores = cycle.score(&feasible);
        for score in &scores {
            for part in [score.taint_toleration, score.node_affinity, score.spread, score.pod_affinity, score.least_allocated, score.balanced] {
                prop_assert!((0..=100).contains(&part), "{score:?}");
            }
        }
        match cycle.choose() {
            Ok(chosen) => {
                let best = scores.iter().map(planner::scheduler::Score::total).max();
                let first = scores.iter().find(|score| Some(score.total()) == best).map(|score| score.node.clone());
                prop_assert_eq!(first, Some(chosen));
            }
            Err(reasons) => {
                prop_assert!(feasible.is_empty());
                prop_assert_eq!(reasons.len(), nodes().len());
            }
        }
    }

    /// A pod that was bound where it fitted keeps every hard rule of the pods that repel it.
    #[test]
    fn a_cluster_filled_by_choice_breaks_no_anti_affinity(pods in vec(0..40_usize, 1..30).prop_flat_map(|numbers| {
        (0..numbers.len()).map(any_pod).collect::<Vec<_>>()
    })) {
        let mut snapshot = empty();
        for pod in &pods {
            if let Ok(node) = snapshot.choose(pod) {
                snapshot.bind(pod.clone(), &node);
            }
        }
        for node in nodes() {
            let used = snapshot.used(&node).unwrap();
            let fact = snapshot.node(&node).unwrap();
            prop_assert!(used.cpu <= fact.allocatable.cpu && used.memory <= fact.allocatable.memory);
            let here: Vec<&PodFact> = snapshot.pods_on(&node).collect();
            for pod in &here {
                for term in &pod.spec.pod_anti_affinity {
                    let selector = term.selector.as_ref().unwrap();
                    let others = here.iter().filter(|other| other.key != pod.key && selector.labels == *other.labels).count();
                    prop_assert_eq!(others, 0);
                }
            }
        }
    }
}
