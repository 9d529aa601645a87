//! The model of the scheduler against the real one: where a kube-scheduler on a control plane put the pods of
//! random clusters. `tests/e2e/agreement` records more of them.
//!
//! Objects are read as files are, so the projection onto facts is compared as well. A pod is placed where the
//! real scheduler put it before the next one is asked about: one disagreement does not lead to others.

use std::collections::BTreeMap;

use adapter_kube::file::ClusterFile;
use journal_schema::facts::PodFact;
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use planner::scheduler::{Score, Snapshot};
use serde_json::Value;

const RECORDED: &str = include_str!("../../fixtures/scheduler/v1.36.3.ndjson");

/// Where the model says otherwise, and why it may: cluster, pod, reason.
const DISAGREEMENTS: [(u64, &str, &str); 1] = [(
    3,
    "p7",
    "an init container of p5, on s3-n4, requests nothing: for scores the scheduler counts it as 100m and 200 MiB, \
     and facts have the effective request of a pod only. That makes three nodes equal which the model tells apart.",
)];

/// What has been compared.
#[derive(Default)]
struct Tally {
    verdicts: usize,
    verdicts_alike: usize,
    /// Of pods that were refused: whether each node is refused for the same rule.
    reasons: usize,
    reasons_alike: usize,
    choices: usize,
    choices_alike: usize,
    /// Choices among nodes that do not all have the best score.
    told_apart: usize,
    differences: Vec<(u64, String, String)>,
}

#[test]
fn the_model_agrees_with_the_real_scheduler() {
    let mut tally = Tally::default();
    for line in RECORDED.lines() {
        let recorded: Value = serde_json::from_str(line).expect("a line of JSON");
        replay(&recorded, &mut tally);
    }
    println!(
        "agreement: {} of {} choices ({} where scores differ), {} of {} verdicts, {} of {} refusals node by node",
        tally.choices_alike,
        tally.choices,
        tally.told_apart,
        tally.verdicts_alike,
        tally.verdicts,
        tally.reasons_alike,
        tally.reasons
    );
    let known: Vec<(u64, &str)> = DISAGREEMENTS.iter().map(|(seed, pod, _)| (*seed, *pod)).collect();
    let found: Vec<(u64, &str)> = tally.differences.iter().map(|(seed, pod, _)| (*seed, pod.as_str())).collect();
    assert_eq!(found, known, "{:#?}", tally.differences);
    assert!(tally.told_apart >= 300 && tally.reasons >= 100, "the recording is too small to say anything");
    // The rate that is claimed: all but what is listed above.
    assert_eq!(tally.verdicts - tally.verdicts_alike + tally.choices - tally.choices_alike, DISAGREEMENTS.len());
}

fn replay(recorded: &Value, tally: &mut Tally) {
    let seed = recorded["seed"].as_u64().expect("a seed");
    let mut file = ClusterFile::default();
    for object in recorded["objects"].as_array().expect("objects") {
        file.add(object.to_string().as_bytes()).expect("an object of the API server");
    }
    let mut snapshot = Snapshot::new(&file.cluster);
    for step in recorded["steps"].as_array().expect("steps") {
        let pod = pod_of(&step["pod"]);
        let chosen = step["node"].as_str();
        if let Some(what) = compare(&snapshot, &pod, chosen, step["message"].as_str(), tally) {
            tally.differences.push((seed, pod.key.name.to_string(), what));
        }
        if let Some(node) = chosen {
            snapshot.bind(pod, &Name::truncated(node));
        }
    }
}

fn pod_of(value: &Value) -> PodFact {
    let mut file = ClusterFile::default();
    file.add(value.to_string().as_bytes()).expect("a pod of the API server");
    let pod = file.cluster.pods.into_values().next().expect("a pod");
    assert!(pod.spec.unknown.is_empty(), "{}: {:?}", pod.key, pod.spec.unknown);
    pod
}

/// Compares one pod's verdict and choice; what differs, if anything does.
fn compare(
    snapshot: &Snapshot,
    pod: &PodFact,
    chosen: Option<&str>,
    message: Option<&str>,
    tally: &mut Tally,
) -> Option<String> {
    let cycle = snapshot.cycle(pod);
    let feasible = cycle.feasible();
    tally.verdicts += 1;
    if feasible.is_empty() != chosen.is_none() {
        return Some(format!("it fits {feasible:?}; the real one: {chosen:?} {message:?}"));
    }
    tally.verdicts_alike += 1;
    let Some(chosen) = chosen else {
        tally.reasons += 1;
        let (ours, theirs) = (refusals(snapshot, pod), recorded_refusals(message.unwrap_or_default()));
        if ours != theirs {
            return Some(format!("refused for {ours:?}; the real one: {theirs:?} ({message:?})"));
        }
        tally.reasons_alike += 1;
        return None;
    };
    tally.choices += 1;
    let scores = cycle.score(&feasible);
    let best = scores.iter().map(Score::total).max();
    tally.told_apart += usize::from(scores.iter().any(|score| Some(score.total()) != best));
    if scores.iter().any(|score| score.node == chosen && Some(score.total()) == best) {
        tally.choices_alike += 1;
        return None;
    }
    Some(format!("it would not go to {chosen}: {scores:?}"))
}

/// What the scheduler's message says of a rule.
const WORDS: [(&str, &str); 11] = [
    ("node(s) were unschedulable", "Unschedulable"),
    ("node(s) had untolerated taint", "Taint"),
    ("node(s) didn't match Pod's node affinity/selector", "NodeAffinity"),
    ("node(s) didn't have free ports", "HostPort"),
    ("node(s) exceed max volume count", "AttachLimit"),
    ("node(s) didn't match PersistentVolume's node affinity", "VolumeZone"),
    ("node(s) had volume node affinity conflict", "VolumeZone"),
    ("node(s) didn't match pod topology spread constraints", "TopologySpread"),
    ("node(s) didn't match pod affinity rules", "PodAffinity"),
    ("node(s) didn't match pod anti-affinity rules", "PodAntiAffinity"),
    ("node(s) didn't satisfy existing pods anti-affinity rules", "PodAntiAffinity"),
];

/// How many nodes the model refuses for each rule, resources left out: of those the scheduler names all that
/// are short, and the model the first. What is left of the nodes lacks a resource, in both.
fn refusals(snapshot: &Snapshot, pod: &PodFact) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, reason) in snapshot.choose(pod).expect_err("it fits nowhere") {
        if !matches!(reason, Reason::InsufficientResource { .. }) {
            *counts.entry(reason.code()).or_default() += 1;
        }
    }
    counts
}

/// The same from `0/5 nodes are available: 1 Too many pods, 4 node(s) were unschedulable`.
fn recorded_refusals(message: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let (_, parts) = message.split_once(": ").expect("a message of the scheduler");
    for part in parts.split(", ") {
        let (count, words) = part.split_once(' ').expect("a number of nodes");
        if words.starts_with("Insufficient") || words.starts_with("Too many pods") {
            continue;
        }
        let known = WORDS.iter().find(|(start, _)| words.starts_with(start));
        let (_, code) = known.unwrap_or_else(|| panic!("what does {words:?} mean?"));
        *counts.entry(*code).or_default() += count.parse::<usize>().expect("a number");
    }
    counts
}
