//! A cluster of the benchmark as `kubectl get -o json` prints one, for `kinema plan`.
//!
//! Only what the clusters of the benchmark have is written: requests, affinity to node labels, anti-affinity and spread
//! by labels, controllers, and conditions as of a cluster at rest.

use journal_schema::facts::{
    NodeFact, NodeOperator, NodeTerm, Owner, OwnerKind, PodFact, PodSpecFact, Selector, WorkloadFact, WorkloadKind,
};
use journal_schema::plan::PlanningInput;
use journal_schema::units::Timestamp;
use serde_json::{Value, json};

/// When everything was made and came to rest.
const LONG_AGO: Timestamp = Timestamp(0);

/// The cluster as a list of objects.
pub(crate) fn dump(input: &PlanningInput) -> Value {
    let cluster = &input.cluster;
    let nodes = cluster.nodes.values().map(node);
    let workloads = cluster.workloads.values().map(workload);
    let pods = cluster.pods.values().map(pod);
    json!({ "apiVersion": "v1", "kind": "List", "items": nodes.chain(workloads).chain(pods).collect::<Vec<Value>>() })
}

fn node(node: &NodeFact) -> Value {
    let allocatable = json!({
        "cpu": format!("{}m", node.allocatable.cpu.0),
        "memory": node.allocatable.memory.0.to_string(),
        "ephemeral-storage": node.allocatable.ephemeral.0.to_string(),
        "pods": node.allocatable.pods.to_string(),
    });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node.name, "uid": node.uid, "creationTimestamp": LONG_AGO.to_string(), "labels": node.labels,
        },
        "spec": { "providerID": node.provider_id },
        "status": { "allocatable": allocatable, "conditions": [condition("Ready")] },
    })
}

fn condition(kind: &str) -> Value {
    json!({ "type": kind, "status": "True", "lastTransitionTime": LONG_AGO.to_string() })
}

fn workload(workload: &WorkloadFact) -> Value {
    let kind = match workload.id.kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::ReplicaSet => "ReplicaSet",
        WorkloadKind::StatefulSet => "StatefulSet",
        WorkloadKind::DaemonSet => "DaemonSet",
    };
    let count = workload.replicas;
    // A DaemonSet counts nodes, the others replicas.
    let status = json!({
        "observedGeneration": 1, "replicas": count, "updatedReplicas": count, "readyReplicas": count,
        "availableReplicas": count, "desiredNumberScheduled": count, "currentNumberScheduled": count,
        "updatedNumberScheduled": count, "numberReady": count, "numberAvailable": count,
    });
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {
            "namespace": workload.id.key.namespace, "name": workload.id.key.name, "uid": workload.uid, "generation": 1,
            "creationTimestamp": LONG_AGO.to_string(), "ownerReferences": owner(workload.owner.as_ref()),
        },
        "spec": {
            "replicas": count, "selector": selector(&workload.selector),
            "template": { "metadata": { "labels": workload.template_labels }, "spec": spec(&workload.template) },
        },
        "status": status,
    })
}

fn owner(owner: Option<&Owner>) -> Value {
    let Some(owner) = owner else { return json!([]) };
    let kind = match owner.kind {
        OwnerKind::Deployment => "Deployment",
        OwnerKind::ReplicaSet => "ReplicaSet",
        OwnerKind::StatefulSet => "StatefulSet",
        OwnerKind::DaemonSet => "DaemonSet",
        OwnerKind::Job | OwnerKind::Node | OwnerKind::Other => unreachable!("no cluster of the benchmark has such"),
    };
    json!([{ "apiVersion": "apps/v1", "kind": kind, "name": owner.name, "uid": owner.uid, "controller": true }])
}

fn pod(pod: &PodFact) -> Value {
    let mut spec = spec(&pod.spec);
    let conditions = match &pod.node {
        Some(node) => {
            spec["nodeName"] = json!(node);
            vec![condition("PodScheduled"), condition("Ready")]
        }
        None => vec![json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" })],
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": pod.key.namespace, "name": pod.key.name, "uid": pod.uid,
            "creationTimestamp": LONG_AGO.to_string(), "labels": *pod.labels, "ownerReferences": owner(pod.owner.as_ref()),
        },
        "spec": spec,
        "status": { "phase": if pod.node.is_some() { "Running" } else { "Pending" }, "conditions": conditions },
    })
}

fn selector(selector: &Selector) -> Value {
    assert!(selector.expressions.is_empty(), "no cluster of the benchmark has such");
    json!({ "matchLabels": selector.labels })
}

fn spec(spec: &PodSpecFact) -> Value {
    let requests = json!({ "cpu": format!("{}m", spec.requests.cpu.0), "memory": spec.requests.memory.0.to_string() });
    let apart: Vec<Value> = spec
        .pod_anti_affinity
        .iter()
        .map(|term| json!({ "labelSelector": term.selector.as_ref().map(selector), "topologyKey": term.topology_key }))
        .collect();
    let spread: Vec<Value> = spec
        .spread
        .iter()
        .map(|rule| {
            json!({
                "maxSkew": rule.max_skew, "topologyKey": rule.topology_key,
                "whenUnsatisfiable": if rule.hard { "DoNotSchedule" } else { "ScheduleAnyway" },
                "labelSelector": rule.selector.as_ref().map(selector),
            })
        })
        .collect();
    let mut affinity = json!({});
    if !apart.is_empty() {
        affinity["podAntiAffinity"] = json!({ "requiredDuringSchedulingIgnoredDuringExecution": apart });
    }
    if let Some(terms) = &spec.node_affinity {
        let terms: Vec<Value> = terms.iter().map(node_term).collect();
        affinity["nodeAffinity"] =
            json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
    }
    json!({
        "containers": [{ "name": "main", "resources": { "requests": requests } }],
        "affinity": affinity, "topologySpreadConstraints": spread,
    })
}

fn node_term(term: &NodeTerm) -> Value {
    let expressions: Vec<Value> = term
        .labels
        .iter()
        .map(|requirement| {
            assert_eq!(requirement.operator, NodeOperator::In, "no cluster of the benchmark has another");
            json!({ "key": requirement.key, "operator": "In", "values": requirement.values })
        })
        .collect();
    json!({ "matchExpressions": expressions })
}
