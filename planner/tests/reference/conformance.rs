//! The model against the real kube-scheduler v1.36.3: recorded answers of its plugins to random
//! clusters and pods. `kube-scheduler/generate.go` makes more of them; a new version of Kubernetes
//! or a change of a rule is worth a run over some ten thousand.

use journal_schema::facts::{
    Key, NamespaceFact, NodeFact, Object, PodFact, Selector, WorkloadFact, WorkloadId, WorkloadKind,
};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;
use planner::scheduler::{Score, Snapshot};
use serde_json::Value;

use crate::facts::{app_selector, name};

const ANSWERS: &str = include_str!("kube-scheduler/v1.36.3.ndjson");

#[test]
fn the_model_answers_as_the_real_scheduler_does() {
    let (mut cases, mut refused, mut scored) = (0, 0, 0);
    for line in ANSWERS.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let snapshot = cluster(&recorded);
        for case in recorded["cases"].as_array().unwrap() {
            let pod: PodFact = serde_json::from_value(case["pod"].clone()).unwrap();
            let what = format!("seed {} pod {}", recorded["seed"], pod.key);
            let cycle = snapshot.cycle(&pod);
            let feasible = cycle.feasible();
            let mut theirs: Vec<&Value> = case["scores"].as_array().unwrap().iter().collect();
            theirs.sort_by_key(|score| score["node"].as_str().unwrap());
            let nodes: Vec<Name> = theirs.iter().map(|score| name(score["node"].as_str().unwrap())).collect();
            assert_eq!(feasible, nodes, "{what}: nodes that fit");
            for (ours, theirs) in cycle.score(&feasible).iter().zip(theirs) {
                compare(ours, theirs, &what);
            }
            cases += 1;
            refused += snapshot.nodes().count() - feasible.len();
            scored += feasible.len();
        }
    }
    println!("{cases} pods: {refused} nodes refused and {scored} scored alike");
    assert!(cases >= 100 && refused >= 100 && scored >= 100, "the recording is too small to say anything");
}

/// The recorded scores are weighted; a plugin that stayed silent is not among them.
fn compare(ours: &Score, theirs: &Value, what: &str) {
    for (plugin, weight, score) in [
        ("TaintToleration", 3, ours.taint_toleration),
        ("NodeAffinity", 2, ours.node_affinity),
        ("PodTopologySpread", 2, ours.spread),
        ("InterPodAffinity", 2, ours.pod_affinity),
        ("NodeResourcesFit", 1, ours.least_allocated),
        ("NodeResourcesBalancedAllocation", 1, ours.balanced),
    ] {
        let recorded = theirs["by"][plugin].as_i64().unwrap_or(0);
        assert_eq!(weight * score, recorded, "{what} on {}: {plugin}", ours.node.as_str());
    }
    assert_eq!(Some(ours.total()), theirs["total"].as_i64(), "{what} on {}", ours.node.as_str());
}

fn cluster(recorded: &Value) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in recorded["nodes"].as_array().unwrap() {
        snapshot.put_node(serde_json::from_value::<NodeFact>(node.clone()).unwrap());
    }
    for namespace in recorded["namespaces"].as_array().unwrap() {
        snapshot.apply(&Object::Namespace(serde_json::from_value::<NamespaceFact>(namespace.clone()).unwrap()));
    }
    for app in recorded["replica_sets"].as_array().unwrap() {
        for namespace in ["default", "other"] {
            let app = app.as_str().unwrap();
            let key = Key::new(name(namespace), name(&format!("rs-{app}")));
            snapshot.apply(&replica_set(key, app_selector(app)));
        }
    }
    for pod in recorded["pods"].as_array().unwrap() {
        snapshot.apply(&Object::Pod(serde_json::from_value(pod.clone()).unwrap()));
    }
    snapshot
}

pub(crate) fn replica_set(key: Key, selector: Selector) -> Object {
    let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key };
    Object::Workload(WorkloadFact { selector, ..WorkloadFact::new(id, name("uid"), 1, Timestamp(0)).at_rest() })
}
