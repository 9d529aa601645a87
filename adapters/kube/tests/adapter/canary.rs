//! Nothing but the allow-list gets into a fact.
//!
//! Objects are generated from the schemas of k8s-openapi, with every field present and a canary in
//! every string. The paths below are all that may show up in a journal.

use adapter_kube::project::Project;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::CSINode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

const CANARY: &str = "canary";

/// Ends of the paths whose text a fact may hold. `*` stands for a key that the cluster chooses.
const ALLOWED: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels.*",
    "ownerReferences[].name",
    "ownerReferences[].uid",
    "matchLabels.*",
    "matchExpressions[].key",
    "matchExpressions[].values[]",
    "matchFields[].key",
    "matchFields[].values[]",
    "namespaces[]",
    "topologyKey",
    "nodeSelector.*",
    "tolerations[].key",
    "tolerations[].value",
    "taints[].key",
    "taints[].value",
    "containers[].name",
    "initContainers[].name",
    "ports[].hostIP",
    "ports[].protocol",
    "volumes[].name",
    "persistentVolumeClaim.claimName",
    "requests.*",
    "limits.*",
    "overhead.*",
    "allocatable.*",
    "allocatedResources.*",
    "spec.schedulerName",
    "spec.nodeName",
    "spec.providerID",
    "spec.volumeName",
    "spec.storageClassName",
    "spec.csi.driver",
    "scaleTargetRef.name",
    "spec.drivers[].name",
];

fn allowed(path: &str) -> bool {
    ALLOWED.iter().any(|end| path == *end || path.ends_with(&format!(".{end}")))
}

/// Values that let the projection read on, where a canary would make it stop at once.
fn closed_vocabulary(path: &str) -> Option<Value> {
    let pairs: &[(&str, &str)] = &[
        ("tolerations[].operator", "Equal"),
        ("tolerations[].effect", "NoSchedule"),
        ("taints[].effect", "NoSchedule"),
        ("matchExpressions[].operator", "In"),
        ("matchFields[].operator", "In"),
        ("whenUnsatisfiable", "DoNotSchedule"),
        ("nodeAffinityPolicy", "Honor"),
        ("nodeTaintsPolicy", "Ignore"),
        ("status.phase", "Running"),
        ("volumeClaimTemplates[].apiVersion", "v1"),
        ("volumeClaimTemplates[].kind", "PersistentVolumeClaim"),
    ];
    pairs.iter().find(|(end, _)| path.ends_with(end)).map(|(_, value)| json!(value))
}

struct Generator {
    root: Value,
    planted: usize,
}

impl Generator {
    fn value(&mut self, schema: &Value, path: &str, depth: usize) -> Option<Value> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = reference.trim_start_matches('#');
            let target = self.root.pointer(pointer).cloned().expect(reference);
            if reference.ends_with("Quantity") {
                return Some(json!("1"));
            }
            if reference.ends_with("IntOrString") {
                return Some(json!("25%"));
            }
            return self.value(&target, path, depth + 1);
        }
        for list in ["allOf", "anyOf", "oneOf"] {
            if let Some(first) = schema.get(list).and_then(Value::as_array).and_then(|all| all.first()).cloned() {
                return self.value(&first, path, depth);
            }
        }
        let kind = match schema.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")?.to_owned()
            }
            _ => return None,
        };
        Some(match kind.as_str() {
            "string" if schema.get("format").and_then(Value::as_str) == Some("date-time") => {
                json!("2026-01-02T03:04:05Z")
            }
            "string" if schema.get("format").and_then(Value::as_str) == Some("byte") => json!("Y2FuYXJ5"),
            "string" => match closed_vocabulary(path) {
                Some(value) => value,
                None if allowed(path) => json!("permitted"),
                None => {
                    self.planted += 1;
                    json!(format!("{CANARY}-{}", self.planted))
                }
            },
            "integer" => json!(1),
            "number" => json!(1),
            "boolean" => json!(true),
            "array" => {
                let items = schema.get("items").cloned()?;
                json!([self.value(&items, &format!("{path}[]"), depth + 1)?])
            }
            "object" if depth > 60 => return None,
            "object" => {
                let mut object = Map::new();
                if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()).cloned() {
                    let within = format!("{path}.*");
                    let key = if allowed(&within) { "permitted-key".to_owned() } else { format!("{CANARY}-key") };
                    let value = self.value(&more, &within, depth + 1)?;
                    object.insert(key, value);
                }
                let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
                for (name, schema) in properties {
                    let within = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    if let Some(value) = self.value(&schema, &within, depth + 1) {
                        object.insert(name, value);
                    }
                }
                Value::Object(object)
            }
            other => panic!("{path}: {other}"),
        })
    }
}

fn check<T: DeserializeOwned + Project + schemars::JsonSchema>(least: usize) {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let root = schema.root_schema_for::<T>().to_value();
    let mut generator = Generator { root: root.clone(), planted: 0 };
    let mut object = generator.value(&root, "", 0).unwrap();
    object.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
    // Every annotation that is read, with a canary in it, beside those that are not.
    let annotations: Map<String, Value> = [
        "karpenter.sh/do-not-disrupt",
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
        "cluster-autoscaler.kubernetes.io/scale-down-disabled",
        "descheduler.alpha.kubernetes.io/prefer-no-eviction",
        "controller.kubernetes.io/pod-deletion-cost",
        "kinema.dev/exclude",
        "kinema.dev/pause",
        "kubernetes.io/config.mirror",
        "container.googleapis.com/instance_id",
        "kubectl.kubernetes.io/last-applied-configuration",
    ]
    .into_iter()
    .map(|key| (key.to_owned(), json!(CANARY)))
    .collect();
    object["metadata"]["annotations"] = Value::Object(annotations);
    assert!(generator.planted >= least, "only {} canaries were planted", generator.planted);

    let text = serde_json::to_string(&object).unwrap();
    let projected = serde_json::from_str::<T>(&text).unwrap().project().unwrap();
    let bytes = journal_schema::codec::to_bytes(&projected.object).unwrap();
    let encoded = String::from_utf8_lossy(&bytes);
    let hits: Vec<_> = encoded.match_indices(CANARY).map(|(at, _)| &encoded[at.saturating_sub(60)..at + 12]).collect();
    assert!(hits.is_empty(), "{:?}: {hits:#?}", T::KIND);
    assert!(encoded.contains("permitted"), "{:?}: the permitted texts are kept", T::KIND);
    assert_eq!(projected.faults, [], "{:?}", T::KIND);
}

#[test]
fn no_other_string_of_an_object_gets_into_its_fact() {
    check::<Pod>(300);
    check::<Node>(20);
    check::<Namespace>(5);
    check::<Deployment>(200);
    check::<ReplicaSet>(200);
    check::<StatefulSet>(200);
    check::<DaemonSet>(200);
    check::<PodDisruptionBudget>(5);
    check::<HorizontalPodAutoscaler>(10);
    check::<PersistentVolumeClaim>(10);
    check::<PersistentVolume>(40);
    check::<CSINode>(5);
}
