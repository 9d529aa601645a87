//! Nothing but the allow-list gets into a journal.
//!
//! A text of its own stands in every field of an object of every watched kind. What the journal's
//! entry of that object holds of them must be the list below: neither more, nor less.

use std::collections::BTreeSet;

use adapter_kube::project::{Project, meta};
use journal_schema::codec;
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::units::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::CSINode;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::planted::{How, Planted, plant};

/// Words of closed vocabularies, by which the projection reads on.
const WORDS: &[(&str, &str)] = &[
    ("tolerations[].operator", "Equal"),
    ("tolerations[].effect", "NoSchedule"),
    ("taints[].effect", "NoSchedule"),
    ("matchExpressions[].operator", "In"),
    ("matchFields[].operator", "In"),
    ("whenUnsatisfiable", "DoNotSchedule"),
    ("nodeAffinityPolicy", "Honor"),
    ("nodeTaintsPolicy", "Ignore"),
    ("initContainers[].restartPolicy", "Always"),
    ("scaleTargetRef.apiVersion", "apps/v1"),
    ("scaleTargetRef.kind", "Deployment"),
    ("status.phase", "Bound"),
    CLAIM[0],
    CLAIM[1],
];

/// What an object with other words would not be read with at all.
const CLAIM: &[(&str, &str)] =
    &[("volumeClaimTemplates[].apiVersion", "v1"), ("volumeClaimTemplates[].kind", "PersistentVolumeClaim")];

/// Annotations that are read. Of none of them the text is kept.
const READ: &[&str] = &[
    meta::DO_NOT_DISRUPT,
    meta::SAFE_TO_EVICT,
    meta::SAFE_LOCAL_VOLUMES,
    meta::SCALE_DOWN_DISABLED,
    meta::PREFER_NO_EVICTION,
    meta::POD_DELETION_COST,
    meta::EXCLUDE,
    meta::PAUSE,
    meta::MOVE_COST,
    meta::MIRROR,
    meta::INSTANCE_ID,
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Adds an object with these properties, and what was found of it.
pub(crate) fn look<T: DeserializeOwned + Project + JsonSchema>(how: How<'_>, found: &mut BTreeSet<String>) -> Planted {
    let mut planted = plant::<T>(how);
    for place in ["/metadata", "/spec/template/metadata"] {
        for key in READ {
            let text = planted.text(&format!("{place} {key}"));
            if let Some(annotations) = planted.object.pointer_mut(&format!("{place}/annotations")) {
                annotations[key] = json!(text);
            }
        }
    }
    // A status is found by its container's name.
    for (containers, statuses) in [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")] {
        let name = planted.object.pointer(&format!("/spec/{containers}/0/name")).cloned();
        if let Some(status) = planted.object.pointer_mut(&format!("/status/{statuses}/0/name")) {
            *status = name.expect("a container");
        }
    }
    let text = serde_json::to_string(&planted.object).unwrap();
    let projected = serde_json::from_str::<T>(&text).unwrap().project().unwrap();
    assert!(!how.amounts || projected.faults.is_empty(), "{:?}: {:?}", T::KIND, projected.faults);
    let event = Event::Watch(WatchEvent::Applied(projected.object));
    let mut bytes = codec::encode(&Entry { seq: 1, at: Timestamp(1), event }).unwrap();
    // A field that cannot be read is named in the log.
    for fault in &projected.faults {
        bytes.extend_from_slice(fault.field.as_bytes());
    }
    found.extend(planted.found(&bytes).map(str::to_owned));
    planted
}

/// `unions` are the paths of objects whose properties exclude each other.
fn check<T: DeserializeOwned + Project + JsonSchema>(least: usize, unions: &[&str], allowed: &[Vec<String>]) {
    let mut found = BTreeSet::new();
    let amounts = How { words: WORDS, amounts: true, only: None };
    let whole = look::<T>(amounts, &mut found);
    assert!(whole.len() >= least, "{:?}: only {} texts were planted", T::KIND, whole.len());
    // Words and amounts that are none are told of without themselves.
    look::<T>(How { words: CLAIM, ..amounts }, &mut found);
    look::<T>(How { words: WORDS, ..How::default() }, &mut found);
    look::<T>(How { words: CLAIM, ..How::default() }, &mut found);
    for at in unions {
        let properties = &whole.properties[*at];
        assert!(properties.len() > 5, "{at}");
        for property in properties {
            look::<T>(How { only: Some((at, property)), ..amounts }, &mut found);
        }
    }
    let allowed: BTreeSet<String> = allowed.iter().flatten().cloned().collect();
    let leaked: Vec<&String> = found.difference(&allowed).collect();
    let missed: Vec<&String> = allowed.difference(&found).collect();
    assert!(leaked.is_empty(), "{:?} keeps what it shall not: {leaked:#?}", T::KIND);
    assert!(missed.is_empty(), "{:?} does not keep what is permitted: {missed:#?}", T::KIND);
}

fn below(at: &str, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| format!("{at}.{path}")).collect()
}

fn metadata(paths: &[&str]) -> Vec<String> {
    let labels = below("metadata", &["labels.<key>", "labels.<value>"]);
    [below("metadata", paths), labels].concat()
}

const NAMED: &[&str] = &["name", "namespace", "uid"];
const OWNED: &[&str] = &["name", "namespace", "uid", "ownerReferences[].name", "ownerReferences[].uid"];

fn selector(at: &str) -> Vec<String> {
    below(at, &["matchLabels.<key>", "matchLabels.<value>", "matchExpressions[].key", "matchExpressions[].values[]"])
}

fn node_term(at: &str) -> Vec<String> {
    below(at, &["matchExpressions[].key", "matchExpressions[].values[]", "matchFields[].key", "matchFields[].values[]"])
}

fn pod_term(at: &str) -> Vec<String> {
    let selectors = [selector(&format!("{at}.labelSelector")), selector(&format!("{at}.namespaceSelector"))];
    [below(at, &["namespaces[]", "topologyKey"]), selectors.concat()].concat()
}

fn pod_spec(at: &str) -> Vec<String> {
    let mut all = below(
        at,
        &[
            "nodeSelector.<key>",
            "nodeSelector.<value>",
            "tolerations[].key",
            "tolerations[].value",
            "schedulerName",
            "topologySpreadConstraints[].topologyKey",
            "volumes[].name",
            "volumes[].persistentVolumeClaim.claimName",
            // Names of resources.
            "overhead.<key>",
            "resources.requests.<key>",
            "resources.limits.<key>",
        ],
    );
    all.extend(selector(&format!("{at}.topologySpreadConstraints[].labelSelector")));
    for containers in ["containers[]", "initContainers[]"] {
        let of = ["name", "ports[].hostIP", "ports[].protocol", "resources.requests.<key>", "resources.limits.<key>"];
        all.extend(below(&format!("{at}.{containers}"), &of));
    }
    let (required, preferred) =
        ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
    let node = format!("{at}.affinity.nodeAffinity");
    all.extend(node_term(&format!("{node}.{required}.nodeSelectorTerms[]")));
    all.extend(node_term(&format!("{node}.{preferred}[].preference")));
    for kind in ["podAffinity", "podAntiAffinity"] {
        all.extend(pod_term(&format!("{at}.affinity.{kind}.{required}[]")));
        all.extend(pod_term(&format!("{at}.affinity.{kind}.{preferred}[].podAffinityTerm")));
    }
    all
}

fn workload() -> Vec<String> {
    let labels = below("spec.template.metadata", &["labels.<key>", "labels.<value>"]);
    [below("metadata", OWNED), selector("spec.selector"), labels, pod_spec("spec.template.spec")].concat()
}

#[test]
fn of_a_pod_its_journal_keeps_what_is_permitted_and_nothing_else() {
    let resources = ["resources.requests.<key>", "allocatedResources.<key>"];
    let statuses =
        [below("status.containerStatuses[]", &resources), below("status.initContainerStatuses[]", &resources)];
    let own = vec!["spec.nodeName".to_owned()];
    check::<Pod>(500, &["spec.volumes[]"], &[metadata(OWNED), pod_spec("spec"), own, statuses.concat()]);
}

#[test]
fn of_a_workload_its_journal_keeps_what_is_permitted_and_nothing_else() {
    let volumes = &["spec.template.spec.volumes[]"];
    check::<Deployment>(400, volumes, &[workload()]);
    check::<ReplicaSet>(400, volumes, &[workload()]);
    check::<DaemonSet>(400, volumes, &[workload()]);
    let claims = vec!["spec.volumeClaimTemplates[].metadata.name".to_owned()];
    check::<StatefulSet>(400, volumes, &[workload(), claims]);
}

#[test]
fn of_other_objects_their_journal_keeps_what_is_permitted_and_nothing_else() {
    let node = ["taints[].key", "taints[].value", "providerID"];
    let allocatable = vec!["status.allocatable.<key>".to_owned()];
    check::<Node>(60, &[], &[metadata(&["name", "uid"]), below("spec", &node), allocatable]);
    check::<Namespace>(20, &[], &[metadata(&["name"])]);
    check::<CSINode>(20, &[], &[below("metadata", &["name"]), below("spec", &["drivers[].name"])]);
    let named = || below("metadata", NAMED);
    check::<PodDisruptionBudget>(20, &[], &[named(), selector("spec.selector")]);
    check::<HorizontalPodAutoscaler>(60, &[], &[named(), below("spec", &["scaleTargetRef.name"])]);
    check::<PersistentVolumeClaim>(20, &[], &[named(), below("spec", &["volumeName", "storageClassName"])]);
    let volume = [below("metadata", &["name", "uid"]), below("spec", &["csi.driver"])];
    let terms = node_term("spec.nodeAffinity.required.nodeSelectorTerms[]");
    check::<PersistentVolume>(80, &["spec"], &[volume.concat(), terms]);
}
