//! A world as lines that say nothing of drawn names, of UIDs and of times: two worlds with the same lines are the same
//! as far as requests go.

use std::collections::BTreeMap;

use journal_schema::facts::{OwnerKind, PdbFact, PodFact, TaintEffect, WorkloadFact, WorkloadKind};

use super::bench::{NAMESPACE, VISIBLE};
use crate::World;

/// What is told of a world: what it is about, and how it is.
pub type Lines = BTreeMap<String, String>;

/// What nodes are called in the lines.
pub(super) type Slots = BTreeMap<journal_schema::text::Name, String>;

/// A pod as a line. Pods with the same line are taken for the same.
pub(super) fn pod_line(pod: &PodFact, slots: &Slots) -> String {
    let node = match &pod.node {
        Some(node) => slots.get(node).map_or("lost", String::as_str),
        None if pod.unschedulable => "unschedulable",
        None => "unbound",
    };
    // Pods of a StatefulSet, and those of nobody, have names that last.
    let name = match pod.owner.as_ref().map(|owner| owner.kind) {
        None | Some(OwnerKind::StatefulSet) => pod.key.name.as_str(),
        Some(_) => pod.labels.get("app").map_or("", |app| app.as_str()),
    };
    let ready = if pod.ready { "ready" } else { "unready" };
    let going = if pod.deletion_at.is_some() { " going" } else { "" };
    let cpu = pod.spec.requests.cpu.0;
    format!("{name} on {node} {:?} {ready} cost {} cpu {cpu}{going}", pod.phase, pod.deletion_cost)
}

fn workload_line(workload: &WorkloadFact, sets: usize) -> String {
    let seen = if workload.observed_generation == workload.generation { "seen" } else { "unseen" };
    let counts = format!("wanted {} current {} ready {}", workload.replicas, workload.current, workload.ready);
    match workload.id.kind {
        WorkloadKind::Deployment => {
            let paused = if workload.paused { " paused" } else { "" };
            format!("{counts} updated {} sets {sets} {seen}{paused}", workload.updated)
        }
        WorkloadKind::StatefulSet => format!("{counts} updated {} {seen}", workload.updated),
        WorkloadKind::ReplicaSet | WorkloadKind::DaemonSet => format!("{counts} {seen}"),
    }
}

fn budget_line(budget: &PdbFact) -> String {
    let PdbFact { disruptions_allowed, current_healthy, desired_healthy, expected, .. } = budget;
    format!("allowed {disruptions_allowed} healthy {current_healthy} of {desired_healthy} expected {expected}")
}

fn effect_name(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

/// The world as lines.
pub(super) fn lines(world: &World, slots: &Slots) -> Lines {
    let mut lines = Lines::new();
    let cluster = world.cluster();
    for node in cluster.nodes.values() {
        let Some(slot) = slots.get(&node.name) else { continue };
        let mut taints: Vec<String> = node
            .taints
            .iter()
            .map(|taint| format!("{}={}:{}", taint.key, taint.value, effect_name(taint.effect)))
            .collect();
        taints.sort();
        let labels = node.labels.iter().filter(|(key, _)| VISIBLE.iter().any(|start| key.starts_with(start)));
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        let ready = if node.ready { "ready" } else { "unready" };
        let open = if node.unschedulable { "cordoned" } else { "open" };
        let text = format!("{ready} {open} taints [{}] labels [{}]", taints.join(" "), labels.join(" "));
        lines.insert(format!("node {slot}"), text);
    }
    for workload in cluster.workloads.values().filter(|workload| workload.id.key.namespace == NAMESPACE) {
        if workload.owner.is_some() {
            continue;
        }
        let owned = |set: &&WorkloadFact| set.owner.as_ref().is_some_and(|owner| owner.uid == workload.uid);
        let sets = cluster.workloads.values().filter(owned).filter(|set| set.replicas > 0).count();
        lines.insert(format!("workload {}", workload.id.key.name), workload_line(workload, sets));
    }
    for budget in cluster.pdbs.values().filter(|budget| budget.key.namespace == NAMESPACE) {
        lines.insert(format!("budget {}", budget.key.name), budget_line(budget));
    }
    let mut pods: BTreeMap<String, usize> = BTreeMap::new();
    for pod in cluster.pods.values().filter(|pod| pod.key.namespace == NAMESPACE) {
        *pods.entry(pod_line(pod, slots)).or_default() += 1;
    }
    lines.extend(pods.into_iter().map(|(pod, count)| (format!("pod {pod}"), format!("{count}"))));
    lines
}
