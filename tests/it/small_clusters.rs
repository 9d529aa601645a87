//! Three clusters small enough to be read at a glance, and everything that `kinema plan` says of each.
//!
//! A change of a plan, of a verdict or of its words shows here as a difference of text.

use serde_json::{Value, json};

use crate::support::{files, kinema, path};

const CREATED: &str = "2026-11-20T08:00:00Z";
const STARTED: &str = "2026-11-20T08:05:00Z";
const NOW: &str = "2026-11-21T08:00:00Z";

/// A cluster in the making: objects as an API server prints them, but for what no plan reads.
#[derive(Default)]
struct Cluster(Vec<Value>);

impl Cluster {
    /// Nodes of a kind with four vCPUs and 16 GiB, in a zone.
    fn nodes(mut self, zone: &str, names: &[&str]) -> Self {
        self.0.extend(names.iter().map(|name| {
            json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "uid": name, "creationTimestamp": CREATED, "labels": {
                    "kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
                    "node.kubernetes.io/instance-type": "e2-standard-4",
                    "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "europe-west3"}},
                "spec": {"providerID": format!("gce://demo/{zone}/{name}")},
                "status": {
                    "allocatable": {"cpu": "3920m", "memory": "13300Mi", "pods": "110"},
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": STARTED}]}
            })
        }));
        self
    }

    /// A Deployment, its ReplicaSet and its pods; `-` for one that waits for a node. `change` is given each pod.
    fn app(mut self, name: &str, cpu: &str, on: &[&str], change: fn(&mut Value)) -> Self {
        let set = format!("{name}-1");
        let spec =
            json!({"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu, "memory": "512Mi"}}}]});
        let owned = |kind: &str, owner: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": true}]);
        let mut pods: Vec<Value> = on.iter().enumerate().map(|(number, node)| {
            let bound = *node != "-";
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "namespace": "shop", "name": format!("{set}-{number}"), "uid": format!("{set}-{number}"),
                    "creationTimestamp": STARTED, "labels": {"app": name}, "ownerReferences": owned("ReplicaSet", &set)},
                "spec": spec,
                "status": {"phase": if bound { "Running" } else { "Pending" }, "conditions": if bound {
                    json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": STARTED},
                           {"type": "Ready", "status": "True", "lastTransitionTime": STARTED}])
                } else {
                    json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}])
                }}
            });
            if bound {
                pod["spec"]["nodeName"] = json!(node);
            }
            pod
        }).collect();
        pods.iter_mut().for_each(change);
        // What the pods have, their template has.
        let spec = pods.first().map_or(spec, |pod| pod["spec"].clone());
        let ready = on.iter().filter(|node| **node != "-").count();
        let workload = |kind: &str, name: &str, owner: Value| {
            json!({
                "apiVersion": "apps/v1", "kind": kind,
                "metadata": {"namespace": "shop", "name": name, "uid": name, "generation": 1,
                    "creationTimestamp": CREATED, "ownerReferences": owner},
                "spec": {"replicas": on.len(), "selector": {"matchLabels": {"app": name.trim_end_matches("-1")}},
                    "template": {"metadata": {"labels": {"app": name.trim_end_matches("-1")}}, "spec": spec}},
                "status": {"observedGeneration": 1, "replicas": on.len(), "updatedReplicas": on.len(),
                    "readyReplicas": ready, "availableReplicas": ready}
            })
        };
        self.0.push(workload("Deployment", name, json!([])));
        self.0.push(workload("ReplicaSet", &set, owned("Deployment", name)));
        self.0.extend(pods);
        self
    }

    /// A budget that allows no eviction of an app's pods.
    fn budget_of_zero(mut self, name: &str) -> Self {
        self.0.push(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"namespace": "shop", "name": name, "uid": format!("budget-{name}")},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": name}}},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
        }));
        self
    }

    /// What `kinema plan` prints of it, and the digest.
    fn planned(self) -> String {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": self.0}).to_string();
        let directory = files(&[("cluster.json", &list)]);
        let file = path(&directory, "cluster.json");
        let plan = |format: &str| {
            let ran = kinema(&[
                "plan",
                "--cluster",
                &file,
                "--machine-types",
                "e2-*",
                "--now",
                NOW,
                "--all",
                "-o",
                format,
                "-q",
            ]);
            assert_eq!(ran.code, 0, "{}", ran.transcript());
            ran
        };
        let (text, json) = (plan("text").out, plan("json").json());
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        format!("{text}digest: {}\n", json["digest"].as_str().expect("a digest"))
    }
}

fn as_it_is(_: &mut Value) {}

fn annotate(pod: &mut Value, key: &str, value: &str) {
    pod["metadata"]["annotations"] = json!({ key: value });
}

/// Four nodes of which a quarter is used become fewer and smaller ones.
#[test]
fn a_cluster_that_is_half_empty() {
    let cluster = Cluster::default()
        .nodes("europe-west3-a", &["a1", "a2"])
        .nodes("europe-west3-b", &["b1", "b2"])
        .app("web", "500m", &["a1", "a2", "b1"], as_it_is)
        .app("api", "700m", &["a2", "b2"], as_it_is)
        .app("mail", "100m", &["b2"], as_it_is);
    insta::assert_snapshot!("plan_half_empty", cluster.planned());
}

/// Each node has a pod that keeps it, for another reason each; one of the operator's is merely dear to move.
#[test]
fn a_cluster_that_is_held() {
    let cluster = Cluster::default()
        .nodes("europe-west3-a", &["budget", "dear", "excluded", "forbidden", "free", "local", "single"])
        .app("cart", "200m", &["budget"], as_it_is)
        .budget_of_zero("cart")
        .app("cache", "200m", &["dear"], |pod| annotate(pod, "kinema.dev/move-cost", "500"))
        .app("batch", "200m", &["excluded"], |pod| annotate(pod, "kinema.dev/exclude", "true"))
        .app("pay", "200m", &["forbidden"], |pod| {
            annotate(pod, "cluster-autoscaler.kubernetes.io/safe-to-evict", "false");
        })
        .app("web", "200m", &["free"], as_it_is)
        .app("disk", "200m", &["local"], |pod| {
            pod["spec"]["volumes"] = json!([{"name": "scratch", "hostPath": {"path": "/scratch"}}]);
        })
        .app("tool", "200m", &["single"], |pod| pod["metadata"]["ownerReferences"] = json!([]));
    insta::assert_snapshot!("plan_held", cluster.planned());
}

/// Of three pods that wait two get a place, for which the cheapest machines replace all nodes, and one fits nowhere.
#[test]
fn a_cluster_in_which_pods_wait() {
    let cluster = Cluster::default()
        .nodes("europe-west3-a", &["a1", "a2"])
        .app("web", "3000m", &["a1", "a2"], as_it_is)
        .app("small", "500m", &["-"], as_it_is)
        .app("large", "6000m", &["-"], as_it_is)
        .app("lost", "100m", &["-"], |pod| pod["spec"]["nodeSelector"] = json!({"disk": "ssd"}));
    insta::assert_snapshot!("plan_pending", cluster.planned());
}
