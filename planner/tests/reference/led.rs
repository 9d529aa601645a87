//! Where few nodes are open, the choice is the one that all nodes' scores say.

use std::collections::BTreeMap;

use journal_schema::facts::{
    Key, NodeFact, NodeOperator, Object, PodFact, SpreadConstraint, Taint, TaintEffect, Toleration, WorkloadFact,
    WorkloadId, WorkloadKind,
};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;
use planner::scheduler::{Score, Snapshot};

use crate::facts::{
    GIB, HOSTNAME, ZONE, app_selector, few, name, node, node_term, pod, pod_term, requirement, resources, spread,
    taint, tolerate,
};
use crate::synthetic::Random;

const APPS: [&str; 3] = ["web", "db", "cache"];
const LATER: &str = "kinema.dev/later";

struct Draw(Random);

impl Draw {
    fn below(&mut self, n: i64) -> i64 {
        i64::try_from(self.0.below(usize::try_from(n).unwrap())).unwrap()
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.0.below(list.len())]
    }

    fn sign(&mut self) -> i32 {
        if self.one_in(2) { 1 } else { -1 }
    }
}

fn later() -> Taint {
    taint(LATER, "1", TaintEffect::PreferNoSchedule)
}

/// Taints of the operator's own.
fn taints(draw: &mut Draw) -> Vec<Taint> {
    let mut taints = Vec::new();
    for (key, effect, rarity) in [
        ("slow", TaintEffect::PreferNoSchedule, 5),
        ("old", TaintEffect::PreferNoSchedule, 9),
        ("gpu", TaintEffect::NoSchedule, 9),
        ("down", TaintEffect::NoExecute, 20),
    ] {
        if draw.one_in(rarity) {
            taints.push(taint(key, "", effect));
        }
    }
    taints
}

/// A node that need not have every label.
fn any_node(draw: &mut Draw, number: i64) -> NodeFact {
    let mut node = node(&format!("n{number}"), draw.of::<&str>(&["a", "a", "b", "c"]));
    if draw.one_in(15) {
        node.labels.remove(ZONE);
    }
    if draw.one_in(25) {
        node.labels.remove(HOSTNAME);
    }
    let disk = *draw.of(&["ssd", "hdd"]);
    node.labels.insert(name("disk"), name(disk));
    node.unschedulable = draw.one_in(20);
    node.allocatable = resources(*draw.of(&[2000, 4000, 16_000]), *draw.of(&[4, 16, 64]) * GIB, *draw.of(&[5, 110]));
    node.taints = few(taints(draw));
    node
}

fn any_spread(draw: &mut Draw, app: &str, hard: bool) -> SpreadConstraint {
    let skew = i32::try_from(1 + draw.below(3)).unwrap();
    let key = *draw.of(&[ZONE, HOSTNAME, HOSTNAME, "disk", "missing"]);
    SpreadConstraint { honor_affinity: !draw.one_in(3), honor_taints: draw.one_in(3), ..spread(app, key, skew, hard) }
}

fn any_pod(draw: &mut Draw, number: usize) -> PodFact {
    let app = *draw.of(&APPS);
    let other = *draw.of(&APPS);
    let mut pod = pod(app, number, *draw.of(&[0, 100, 500, 1500]), *draw.of(&[0, 1, 2, 12]) * GIB / 2);
    if draw.one_in(4) {
        pod.owner = None;
    }
    let key = *draw.of(&[ZONE, HOSTNAME]);
    match draw.below(14) {
        0 => pod.spec.pod_anti_affinity = few(vec![pod_term(other, key)]),
        1 => pod.spec.pod_affinity = few(vec![pod_term(other, key)]),
        2 => pod.spec.spread = few(vec![any_spread(draw, app, true)]),
        3 => pod.spec.spread = few(vec![any_spread(draw, app, false)]),
        4 => pod.spec.spread = few(vec![any_spread(draw, app, false), any_spread(draw, other, false)]),
        5 => pod.spec.spread = few(vec![any_spread(draw, app, true), any_spread(draw, other, false)]),
        6 => pod.spec.pod_preferences = few(vec![(draw.sign() * 10, pod_term(other, key))]),
        7 => {
            let second = (draw.sign() * 3, pod_term(app, HOSTNAME));
            pod.spec.pod_preferences = few(vec![(draw.sign() * 10, pod_term(other, ZONE)), second]);
        }
        8 => {
            let term = |key: &str, value: &str| node_term(vec![requirement(key, NodeOperator::In, &[value])]);
            pod.spec.node_preferences = few(vec![(2, term("disk", "ssd")), (5, term(ZONE, "a"))]);
        }
        9 => pod.spec.node_selector.extend([(name("disk"), name("ssd"))]),
        _ => {}
    }
    let mut tolerations: Vec<Toleration> = Vec::new();
    for key in ["slow", "gpu"] {
        if draw.one_in(6) {
            tolerations.push(tolerate(key, true, "", None));
        }
    }
    if draw.one_in(30) {
        tolerations.push(tolerate("", true, "", None));
    }
    pod.spec.tolerations = few(tolerations);
    pod
}

/// The first by name of the nodes with the best score of all.
fn by_all_scores(snapshot: &Snapshot, pod: &PodFact) -> Option<Name> {
    let cycle = snapshot.cycle(pod);
    let scores = cycle.score(&cycle.feasible());
    let best = scores.iter().map(Score::total).max()?;
    scores.into_iter().filter(|score| score.total() == best).map(|score| score.node).min()
}

/// Opens few of the nodes, as a plan does, or all.
fn lead(draw: &mut Draw, snapshot: &mut Snapshot, nodes: &BTreeMap<Name, NodeFact>) {
    let led = !draw.one_in(6);
    let open = 1 + draw.below(3);
    let first = draw.below(i64::try_from(nodes.len()).unwrap());
    for (place, node) in (0..).zip(nodes.values()) {
        let mut node = node.clone();
        let is_open = (first..first + open).contains(&place);
        if led && !is_open {
            node.taints = few(node.taints.iter().cloned().chain([later()]).collect());
        }
        snapshot.put_node(node);
    }
}

#[test]
fn a_choice_among_open_nodes_is_the_choice_among_all() {
    let mut choices = BTreeMap::new();
    for seed in 0..1_500 {
        let mut draw = Draw(Random(seed));
        let mut snapshot = Snapshot::default();
        for app in APPS {
            let id = WorkloadId {
                kind: WorkloadKind::ReplicaSet,
                key: Key::new(name("default"), name(&format!("{app}-1"))),
            };
            let set = WorkloadFact::new(id, name(app), 1, Timestamp(0)).at_rest();
            snapshot.apply(&Object::Workload(WorkloadFact { selector: app_selector(app), ..set }));
        }
        let count = 3 + draw.below(10);
        let mut nodes: BTreeMap<Name, NodeFact> = BTreeMap::new();
        for number in 0..count {
            let node = any_node(&mut draw, number);
            nodes.insert(node.name.clone(), node);
        }
        lead(&mut draw, &mut snapshot, &nodes);
        let crowded = draw.below(25);
        for number in 0..30 {
            let pod = any_pod(&mut draw, number);
            let expected = by_all_scores(&snapshot, &pod);
            let chosen = snapshot.choose(&pod).ok();
            assert_eq!(chosen, expected, "seed {seed}, pod {number}");
            *choices.entry(chosen.is_some()).or_insert(0) += 1;
            let somewhere = || name(&format!("n{}", number % usize::try_from(count).unwrap()));
            if i64::try_from(number).unwrap() < crowded {
                snapshot.bind(pod, &somewhere());
            } else if let Some(node) = chosen {
                snapshot.bind(pod, &node);
            }
            if draw.one_in(6) {
                lead(&mut draw, &mut snapshot, &nodes);
            }
            if draw.one_in(20) && nodes.len() > 2 {
                snapshot.remove_node(&nodes.pop_first().unwrap().0);
            }
        }
    }
    assert!(choices.get(&true) > choices.get(&false), "{choices:?}");
}
