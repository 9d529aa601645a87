//! Projection of objects as an API server serves them.

use adapter_kube::project::{Project, Projected};
use journal_schema::facts::*;
use journal_schema::units::{Bytes, MilliCpu, Millis, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::CSINode;
use serde::de::DeserializeOwned;

fn projected<T: DeserializeOwned + Project>(yaml: &str) -> Projected {
    serde_saphyr::from_str::<T>(yaml).expect(yaml).project().expect(yaml)
}

macro_rules! fact {
    ($name:ident, $kind:ty, $variant:ident, $fact:ty) => {
        fn $name(yaml: &str) -> $fact {
            let projected = projected::<$kind>(yaml);
            assert_eq!(projected.faults, []);
            let Object::$variant(fact) = projected.object else { panic!("{:?}", projected.object) };
            fact
        }
    };
}
fact!(node, Node, Node, NodeFact);
fact!(pod, Pod, Pod, PodFact);
fact!(namespace, Namespace, Namespace, NamespaceFact);
fact!(deployment, Deployment, Workload, WorkloadFact);
fact!(replica_set, ReplicaSet, Workload, WorkloadFact);
fact!(stateful_set, StatefulSet, Workload, WorkloadFact);
fact!(daemon_set, DaemonSet, Workload, WorkloadFact);
fact!(pdb, PodDisruptionBudget, Pdb, PdbFact);
fact!(hpa, HorizontalPodAutoscaler, Hpa, HpaFact);
fact!(pvc, PersistentVolumeClaim, Pvc, PvcFact);
fact!(pv, PersistentVolume, Pv, PvFact);
fact!(csi_node, CSINode, CsiNode, CsiNodeFact);

/// A pod with `spec` (indented by two) and, where given, more of metadata and status.
fn pod_of(metadata: &str, spec: &str, status: &str) -> PodFact {
    pod(&format!(
        "metadata:\n  name: p\n  namespace: ns\n  uid: u\n{metadata}spec:\n{spec}status:\n  phase: Running\n{status}"
    ))
}

fn name(text: &str) -> journal_schema::text::Name {
    journal_schema::text::Name::new(text).unwrap()
}

fn names(list: &[journal_schema::text::Name]) -> Vec<&str> {
    list.iter().map(|name| name.as_str()).collect()
}

const NODE: &str = r#"
metadata:
  name: n1
  uid: u1
  creationTimestamp: "2026-01-01T00:00:00Z"
  resourceVersion: "RV"
  labels: {topology.kubernetes.io/zone: europe-west1-b, node.kubernetes.io/instance-type: e2-standard-4}
  annotations: {container.googleapis.com/instance_id: "1234567890123456789"}
spec:
  providerID: gce://p/europe-west1-b/n1
  unschedulable: true
  taints:
  - {key: node.kubernetes.io/unreachable, effect: NoExecute, timeAdded: "2026-01-02T00:00:00Z"}
  - {key: dedicated, value: db, effect: NoSchedule}
status:
  allocatable: {cpu: 3920m, memory: 12872712Ki, ephemeral-storage: "47093746742", pods: "110", nvidia.com/gpu: "1", hugepages-2Mi: "0"}
  conditions:
  - {type: MemoryPressure, status: "False", lastHeartbeatTime: "HEARTBEAT", lastTransitionTime: "2026-01-01T00:00:05Z"}
  - {type: Ready, status: "True", lastHeartbeatTime: "HEARTBEAT", lastTransitionTime: "2026-01-01T00:01:00Z", message: kubelet}
"#;

fn node_at(heartbeat: &str, version: &str) -> NodeFact {
    node(&NODE.replace("HEARTBEAT", heartbeat).replace("RV", version))
}

#[test]
fn a_node() {
    let fact = node_at("2026-01-02T00:00:00Z", "1");
    assert_eq!(fact.provider_id, "gce://p/europe-west1-b/n1");
    assert_eq!(fact.instance_id, Some(1_234_567_890_123_456_789));
    assert_eq!((fact.zone(), fact.machine_type()), ("europe-west1-b", "e2-standard-4"));
    assert!(fact.ready && fact.unschedulable);
    assert_eq!(fact.ready_changed_at, Some(Timestamp(1_767_225_660_000)));
    assert_eq!(fact.allocatable.cpu, MilliCpu(3920));
    assert_eq!(fact.allocatable.memory, Bytes(12_872_712 << 10));
    assert_eq!(fact.allocatable.ephemeral, Bytes(47_093_746_742));
    assert_eq!(fact.allocatable.pods, 110);
    assert_eq!(fact.allocatable.extended.get("nvidia.com/gpu"), Some(&1));
    // Taints of a node in trouble are kept: the scheduler obeys them.
    let taints: Vec<_> =
        fact.taints.iter().map(|taint| (taint.key.as_str(), taint.value.as_str(), taint.effect)).collect();
    assert_eq!(
        taints,
        [("dedicated", "db", TaintEffect::NoSchedule), ("node.kubernetes.io/unreachable", "", TaintEffect::NoExecute)]
    );
    assert!(fact.unknown.is_empty());
}

#[test]
fn a_heartbeat_changes_nothing() {
    assert_eq!(node_at("2026-01-02T00:00:00Z", "1"), node_at("2026-01-02T00:00:10Z", "2"));
}

#[test]
fn marks_on_nodes() {
    let marked = |annotations: &str| {
        node(&format!(
            "metadata: {{name: n, uid: u, creationTimestamp: \"1970-01-01T00:00:10Z\", annotations: {{{annotations}}}}}"
        ))
    };
    assert!(marked("cluster-autoscaler.kubernetes.io/scale-down-disabled: \"true\"").scale_down_disabled);
    assert!(!marked("cluster-autoscaler.kubernetes.io/scale-down-disabled: \"false\"").scale_down_disabled);
    assert!(marked("kinema.dev/exclude: \"\"").excluded);
    assert!(marked("kinema.dev/pause: maintenance").excluded);
    assert!(!marked("kinema.dev/exclude: \"false\"").excluded);
    let cases = [
        ("true", DoNotDisrupt::Always),
        ("false", DoNotDisrupt::No),
        ("1h30m", DoNotDisrupt::Until(Timestamp(10_000 + 5_400_000))),
        ("soon", DoNotDisrupt::Always),
        ("9999999999h", DoNotDisrupt::Always),
    ];
    for (value, expected) in cases {
        assert_eq!(marked(&format!("karpenter.sh/do-not-disrupt: \"{value}\"")).do_not_disrupt, expected, "{value}");
    }
    let label = node("metadata: {name: n, uid: u, labels: {kinema.dev/exclude: \"true\"}}");
    assert!(label.excluded, "an opt-out by label counts, too");
}

#[test]
fn an_unknown_taint_effect_is_named() {
    let room = "status: {allocatable: {cpu: \"2\", memory: 4Gi, pods: \"110\"}}";
    let fact = node(&format!("metadata: {{name: n}}\nspec: {{taints: [{{key: a, effect: NoAdmit}}]}}\n{room}"));
    assert_eq!(names(&fact.unknown), ["taint effect"]);
}

#[test]
fn requests_are_the_larger_of_start_up_and_running() {
    let container = |name: &str, cpu: &str, memory: &str, more: &str| {
        format!("  - {{name: {name}, {more}resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}}}\n")
    };
    let spec = format!(
        "  containers:\n{}{}  initContainers:\n{}{}{}",
        container("a", "100m", "100Mi", ""),
        container("b", "200m", "50Mi", ""),
        container("first", "50m", "500Mi", ""),
        container("sidecar", "10m", "20Mi", "restartPolicy: Always, "),
        container("last", "400m", "10Mi", ""),
    );
    let fact = pod_of("", &format!("{spec}  overhead: {{cpu: 5m, memory: 1Mi}}\n"), "");
    // Running: 100 + 200 + 10. Starting: last with the sidecar before it, 400 + 10. Then the overhead.
    assert_eq!(fact.spec.requests.cpu, MilliCpu(415));
    // Running: 170 Mi. Starting: first, alone, 500 Mi.
    assert_eq!(fact.spec.requests.memory, Bytes(501 << 20));
    assert_eq!(fact.spec.requests.pods, 1);
    let containers: Vec<_> = fact.spec.containers.iter().map(|c| (c.name.as_str(), c.cpu_request)).collect();
    assert_eq!(containers, [("a", Some(MilliCpu(100))), ("b", Some(MilliCpu(200))), ("sidecar", Some(MilliCpu(10)))]);
}

#[test]
fn sums_are_rounded_once() {
    let spec = "  containers:\n  - {name: a, resources: {requests: {cpu: 400u, memory: 500m}}}\n  - {name: b, resources: {requests: {cpu: 400u, memory: 500m}}}\n";
    let fact = pod_of("", spec, "");
    assert_eq!((fact.spec.requests.cpu, fact.spec.requests.memory), (MilliCpu(1), Bytes(1)));
}

#[test]
fn pod_level_requests_replace_the_sum() {
    let spec = "  resources: {requests: {cpu: \"1\", example.com/x: \"9\"}, limits: {memory: 1Gi}}\n  containers:\n  - {name: a, resources: {requests: {cpu: 3}}}\n";
    let requests = pod_of("", spec, "").spec.requests.clone();
    assert_eq!((requests.cpu, requests.memory), (MilliCpu(1000), Bytes(1 << 30)));
    assert!(requests.extended.is_empty(), "only CPU, memory and huge pages count on the level of the pod");
}

#[test]
fn a_limit_without_a_request_is_the_request() {
    let fact = deployment(
        "metadata: {name: d, namespace: ns}\nspec:\n  selector: {}\n  template:\n    spec:\n      containers:\n      - {name: a, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 250m}}}\n",
    );
    assert_eq!((fact.template.requests.cpu, fact.template.requests.memory), (MilliCpu(250), Bytes(1 << 30)));
    assert_eq!(fact.template.containers[0].cpu_limit, Some(MilliCpu(1000)));
}

#[test]
fn a_resize_under_way_holds_the_larger() {
    let spec = "  containers:\n  - {name: a, resources: {requests: {cpu: 100m}}}\n";
    let status = "  containerStatuses:\n  - {name: a, image: i, imageID: x, ready: true, restartCount: 0, resources: {requests: {cpu: 300m}}, allocatedResources: {cpu: 200m}}\n";
    assert_eq!(pod_of("", spec, status).spec.requests.cpu, MilliCpu(300));
    let spec = "  containers:\n  - {name: a, resources: {requests: {cpu: 900m}}}\n";
    assert_eq!(pod_of("", spec, status).spec.requests.cpu, MilliCpu(900));
    let refused =
        format!("{status}  conditions:\n  - {{type: PodResizePending, status: \"True\", reason: Infeasible}}\n");
    assert_eq!(pod_of("", spec, &refused).spec.requests.cpu, MilliCpu(300));
}

#[test]
fn an_amount_that_no_node_has_is_named_and_cut() {
    let fact = pod_of("", "  containers:\n  - {name: a, resources: {requests: {memory: 8Ei}}}\n", "");
    assert_eq!(fact.spec.requests.memory, Bytes(1 << 46));
    assert_eq!(names(&fact.spec.unknown), ["requests: more than any node has"]);
}

#[test]
fn a_quantity_that_is_none_is_a_fault_and_binds_the_pod() {
    let projected = projected::<Pod>(
        "metadata: {name: p, namespace: ns}\nspec: {containers: [{name: a, resources: {limits: {cpu: lots}}}]}",
    );
    assert_eq!(projected.faults.len(), 1);
    assert_eq!(projected.faults[0].field, "spec.containers[0].resources.limits.cpu");
    let Object::Pod(fact) = projected.object else { panic!() };
    assert_eq!(names(&fact.spec.unknown), ["unreadable spec.containers[0].resources.limits.cpu"]);
}

#[test]
fn volumes() {
    let spec = r"  containers: []
  volumes:
  - {name: cache, emptyDir: {}}
  - {name: scratch, emptyDir: {}}
  - {name: shm, emptyDir: {medium: Memory}}
  - {name: host, hostPath: {path: /var/log}}
  - {name: data, persistentVolumeClaim: {claimName: data-0}}
  - {name: tmp, ephemeral: {volumeClaimTemplate: {spec: {}}}}
  - {name: token, secret: {secretName: hidden}}
  - {name: config, configMap: {name: hidden}}
";
    let metadata =
        "  annotations:\n    cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes: \"scratch, other\"\n";
    let fact = pod_of(metadata, spec, "");
    assert_eq!(names(&fact.spec.local_volumes), ["cache", "scratch", "host"]);
    assert_eq!(names(&fact.spec.safe_local_volumes), ["scratch"]);
    assert_eq!(names(&fact.spec.claims), ["data-0", "p-tmp"]);
    assert!(fact.spec.unknown.is_empty());
    let disk = pod_of("", "  containers: []\n  volumes:\n  - {name: d, gcePersistentDisk: {pdName: x}}\n", "");
    assert_eq!(names(&disk.spec.unknown), ["volume type"]);
}

#[test]
fn annotations_of_pods() {
    let annotated = |key: &str, value: &str| {
        pod_of(&format!("  annotations: {{\"{key}\": \"{value}\"}}\n"), "  containers: []\n", "")
    };
    let safe = "cluster-autoscaler.kubernetes.io/safe-to-evict";
    assert_eq!(annotated(safe, "true").safe_to_evict, Some(true));
    assert_eq!(annotated(safe, "false").safe_to_evict, Some(false));
    assert_eq!(annotated(safe, "maybe").safe_to_evict, None);
    assert!(annotated("descheduler.alpha.kubernetes.io/prefer-no-eviction", "").prefer_no_eviction);
    assert_eq!(annotated("controller.kubernetes.io/pod-deletion-cost", "-1000").deletion_cost, -1000);
    assert_eq!(annotated("controller.kubernetes.io/pod-deletion-cost", "x").deletion_cost, 0);
    assert!(annotated("kubernetes.io/config.mirror", "hash").mirror);
    assert!(annotated("kinema.dev/exclude", "true").excluded);
    assert_eq!(annotated("karpenter.sh/do-not-disrupt", "true").do_not_disrupt, DoNotDisrupt::Always);
    let plain = annotated("other", "x");
    assert_eq!((plain.mirror, plain.excluded, plain.deletion_cost, plain.prefer_no_eviction), (false, false, 0, false));
}

/// A cost that cannot be read is a rule that is not understood: the pod stays where it is, and its verdict says why.
#[test]
fn what_it_takes_to_move_a_pod_is_said_in_ordinary_moves() {
    let annotated = |value: &str| {
        pod_of(&format!("  annotations: {{\"kinema.dev/move-cost\": \"{value}\"}}\n"), "  containers: []\n", "")
    };
    for (text, expected) in
        [("2", 2_000), ("0.5", 500), ("1.25", 1_250), ("1000", 1_000_000), ("0.1", 100), (" 3 ", 3_000), ("0.125", 125)]
    {
        let fact = annotated(text);
        assert_eq!((fact.move_cost, fact.spec.unknown.len()), (Some(expected), 0), "{text}");
    }
    for rubbish in [
        "",
        "dear",
        "-1",
        "+2",
        "0",
        "0.05",
        "1000.001",
        "1.2345",
        "1e3",
        "2.",
        ".5",
        "1,5",
        "99999999999999999999",
        "٣",
    ] {
        let fact = annotated(rubbish);
        assert_eq!(fact.move_cost, None, "{rubbish}");
        assert_eq!(
            names(&fact.spec.unknown),
            ["annotation kinema.dev/move-cost that is no number from 0.1 to 1000"],
            "{rubbish}"
        );
    }
    assert_eq!(pod_of("", "  containers: []\n", "").move_cost, None);
}

#[test]
fn a_pod_tells_how_long_it_took_to_be_ready() {
    let status = |ready: &str, at: i64| {
        format!(
            "  conditions:\n  - {{type: PodScheduled, status: \"True\", lastTransitionTime: \"1970-01-01T00:00:10Z\"}}\n  - {{type: Ready, status: \"{ready}\", lastTransitionTime: \"1970-01-01T00:00:{at:02}Z\"}}\n"
        )
    };
    let after = |ready: &str, at: i64| pod_of("", "  containers: []\n", &status(ready, at)).ready_after;
    assert_eq!(after("True", 45), Some(Millis(35_000)));
    assert_eq!(after("False", 45), None);
    assert_eq!(after("True", 9), None, "no pod is ready before it is bound");
    let without = "  conditions:\n  - {type: Ready, status: \"True\", lastTransitionTime: \"1970-01-01T00:00:45Z\"}\n";
    assert_eq!(pod_of("", "  containers: []\n", without).ready_after, None);
}

#[test]
fn owners_are_controllers_of_the_group_that_is_meant() {
    let owned = |version: &str, kind: &str, controller: bool| {
        let metadata = format!(
            "  ownerReferences:\n  - {{apiVersion: {version}, kind: {kind}, name: o, uid: ou, controller: {controller}}}\n"
        );
        pod_of(&metadata, "  containers: []\n", "").owner.map(|owner| owner.kind)
    };
    assert_eq!(owned("apps/v1", "ReplicaSet", true), Some(OwnerKind::ReplicaSet));
    assert_eq!(owned("batch/v1", "Job", true), Some(OwnerKind::Job));
    assert_eq!(owned("v1", "Node", true), Some(OwnerKind::Node));
    assert_eq!(owned("apps.kruise.io/v1beta1", "StatefulSet", true), Some(OwnerKind::Other));
    assert_eq!(owned("apps/v1", "ReplicaSet", false), None);
}

#[test]
fn state_of_pods() {
    let status = "  conditions:\n  - {type: Ready, status: \"True\"}\n  - {type: PodScheduled, status: \"False\", reason: Unschedulable}\n";
    let fact = pod_of("  deletionTimestamp: \"1970-01-01T00:00:01Z\"\n", "  nodeName: n1\n  containers: []\n", status);
    assert!(fact.ready && fact.unschedulable);
    assert_eq!((fact.node, fact.deletion_at), (Some(name("n1")), Some(Timestamp(1000))));
    let gated = "  conditions:\n  - {type: PodScheduled, status: \"False\", reason: SchedulingGated}\n";
    assert!(!pod_of("", "  containers: []\n", gated).unschedulable);
    assert_eq!(pod("metadata: {name: p}\nstatus: {phase: Odd}").spec.unknown.len(), 1);
}

#[test]
fn affinities() {
    let spec = r"  containers: []
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions: [{key: zone, operator: In, values: [a, b]}, {key: cores, operator: Gt, values: ['4']}]
        - matchFields: [{key: metadata.name, operator: In, values: [n1]}]
      preferredDuringSchedulingIgnoredDuringExecution:
      - {weight: 7, preference: {matchExpressions: [{key: ssd, operator: Exists}]}}
      - {weight: 9, preference: {}}
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: zone, labelSelector: {matchLabels: {app: db}}, namespaces: [x], namespaceSelector: {}}
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: host, labelSelector: {matchLabels: {app: web}}, matchLabelKeys: [rev, absent], mismatchLabelKeys: [tenant]}
      preferredDuringSchedulingIgnoredDuringExecution:
      - {weight: 5, podAffinityTerm: {topologyKey: host, labelSelector: {}}}
";
    let fact = pod_of("  labels: {rev: r1, tenant: t1}\n", spec, "").spec;
    let required = fact.node_affinity.clone().unwrap();
    assert_eq!(required.len(), 2);
    assert_eq!(required[0].labels[1].operator, NodeOperator::Gt);
    assert_eq!(required[1].fields[0].key, "metadata.name");
    assert_eq!(fact.node_preferences.len(), 1, "an empty preference is a no-op");
    assert_eq!(
        fact.pod_affinity[0].namespace_selector,
        Some(Selector::default()),
        "an empty selector is all namespaces"
    );
    let far = fact.pod_anti_affinity[0].selector.as_ref().unwrap();
    let expressions: Vec<_> =
        far.expressions.iter().map(|e| (e.key.as_str(), e.operator, e.values[0].as_str())).collect();
    assert_eq!(expressions, [("rev", NodeOperator::In, "r1"), ("tenant", NodeOperator::NotIn, "t1")]);
    assert_eq!(fact.pod_preferences[0].0, -5);
    assert!(fact.unknown.is_empty());

    let merged = spec.replace(
        "labelSelector: {matchLabels: {app: web}}",
        "labelSelector: {matchLabels: {app: web}, matchExpressions: [{key: rev, operator: In, values: [r1]}]}",
    );
    let again = pod_of("  labels: {rev: r1, tenant: t1}\n", &merged, "").spec;
    assert_eq!(
        again.pod_anti_affinity[0].selector.as_ref().unwrap().expressions.len(),
        2,
        "what the API server merged is not merged twice"
    );
}

#[test]
fn spread() {
    let spec = "  containers: []\n  topologySpreadConstraints:\n  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: a}}, matchLabelKeys: [pod-template-hash], minDomains: 3, nodeTaintsPolicy: Honor}\n  - {maxSkew: 2, topologyKey: host, whenUnsatisfiable: ScheduleAnyway, nodeAffinityPolicy: Ignore}\n";
    let fact = pod_of("  labels: {app: a, pod-template-hash: h1}\n", spec, "").spec;
    let hard = &fact.spread[0];
    assert_eq!(
        (hard.max_skew, hard.hard, hard.min_domains, hard.honor_affinity, hard.honor_taints),
        (1, true, Some(3), true, true)
    );
    assert_eq!(hard.selector.as_ref().unwrap().expressions[0].values[0], "h1");
    let soft = &fact.spread[1];
    assert_eq!((soft.hard, soft.honor_affinity, soft.honor_taints, &soft.selector), (false, false, false, &None));
    let odd = pod_of("", &spec.replace("nodeTaintsPolicy: Honor", "nodeTaintsPolicy: Sometimes"), "").spec;
    assert_eq!(names(&odd.unknown), ["topology spread: node inclusion policy"]);
}

#[test]
fn rules_that_are_not_known_are_named() {
    let cases = [
        ("  resourceClaims: [{name: gpu, resourceClaimName: x}]\n", "resourceClaims"),
        ("  schedulingGates: [{name: example.com/wait}]\n", "schedulingGates"),
        ("  schedulingGroup: {podGroupName: g}\n", "schedulingGroup"),
        ("  tolerations: [{key: a, operator: Gt, value: '5'}]\n", "toleration operator"),
        ("  tolerations: [{key: a, operator: Exists, effect: NoAdmit}]\n", "toleration effect"),
        (
            "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Like}]}]}}}\n",
            "required node affinity: operator",
        ),
        (
            "  affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: z, labelSelector: {matchExpressions: [{key: a, operator: Like}]}}]}}\n",
            "pod affinity: selector operator",
        ),
    ];
    for (spec, expected) in cases {
        let fact = pod_of("", &format!("  containers: []\n{spec}"), "");
        assert_eq!(names(&fact.spec.unknown), [expected], "{spec}");
    }
    let claim = pod_of("", "  containers: [{name: a, resources: {claims: [{name: gpu}]}}]\n", "");
    assert_eq!(names(&claim.spec.unknown), ["resourceClaims"]);
    let many: Vec<String> = (0..1025).map(|n| format!("{{key: k{n}, operator: Exists}}")).collect();
    let many = pod_of("", &format!("  containers: []\n  tolerations: [{}]\n", many.join(", ")), "");
    assert_eq!((many.spec.tolerations.len(), names(&many.spec.unknown)), (1024, vec!["too many tolerations"]));
}

#[test]
fn host_ports_priority_and_grace() {
    let spec = "  priority: 7\n  schedulerName: other\n  terminationGracePeriodSeconds: 90\n  containers:\n  - {name: a, ports: [{containerPort: 80, hostPort: 8080}, {containerPort: 81}]}\n";
    let fact = pod_of("", spec, "").spec;
    let ports: Vec<_> = fact.host_ports.iter().map(|p| (p.ip.as_str(), p.protocol.as_str(), p.port)).collect();
    assert_eq!(ports, [("0.0.0.0", "TCP", 8080)]);
    assert_eq!((fact.priority, fact.scheduler.as_str(), fact.grace_secs), (7, "other", 90));
    let host = pod_of("", "  hostNetwork: true\n  schedulerName: default-scheduler\n  containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}]}]\n", "").spec;
    assert_eq!((host.host_ports[0].port, host.host_ports[0].protocol.as_str()), (53, "UDP"));
    assert_eq!((host.scheduler.as_str(), host.grace_secs), ("", 30));
}

#[test]
fn workloads() {
    let fact = deployment(
        "metadata: {name: cart, namespace: shop, uid: u, generation: 4, labels: {kinema.dev/pause: 'true'}}\nspec:\n  replicas: 3\n  paused: true\n  selector: {matchLabels: {app: cart}}\n  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}\n  template: {metadata: {labels: {app: cart}}, spec: {containers: [], priorityClassName: system-cluster-critical}}\nstatus: {observedGeneration: 3, replicas: 4, readyReplicas: 2, updatedReplicas: 1, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]}\n",
    );
    assert_eq!(fact.id.to_string(), "Deployment shop/cart");
    assert_eq!((fact.generation, fact.observed_generation), (4, 3));
    assert_eq!((fact.replicas, fact.current, fact.ready, fact.updated), (3, 4, 2, 1));
    assert!(fact.paused && fact.stalled && fact.excluded);
    assert_eq!(
        fact.strategy,
        UpdateStrategy::RollingUpdate { max_unavailable: IntOrPercent::Int(0), max_surge: IntOrPercent::Percent(25) }
    );
    assert_eq!(fact.template.priority, 2_000_000_000);
    assert_eq!(fact.template_labels.get("app"), Some(&name("cart")));

    let recreate =
        deployment("metadata: {name: d, namespace: n}\nspec: {selector: {}, strategy: {type: Recreate}, template: {}}");
    assert_eq!((recreate.strategy, recreate.replicas), (UpdateStrategy::Recreate, 1));

    let rs = replica_set(
        "metadata: {name: r, namespace: n, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: d, uid: du, controller: true}]}\nspec: {selector: {}, replicas: 2}\nstatus: {replicas: 2, readyReplicas: 1}",
    );
    assert_eq!(rs.owner.unwrap().kind, OwnerKind::Deployment);
    assert_eq!((rs.replicas, rs.current, rs.ready), (2, 2, 1));

    let set = stateful_set(
        "metadata: {name: db, namespace: n}\nspec: {serviceName: db, selector: {}, template: {}, replicas: 2, volumeClaimTemplates: [{metadata: {name: data}, spec: {}}], updateStrategy: {type: OnDelete}}\nstatus: {replicas: 2, readyReplicas: 2, updatedReplicas: 2}",
    );
    assert_eq!((names(&set.claim_templates), set.strategy), (vec!["data"], UpdateStrategy::OnDelete));

    let agents = daemon_set(
        "metadata: {name: a, namespace: n}\nspec: {selector: {}, template: {}}\nstatus: {desiredNumberScheduled: 5, currentNumberScheduled: 4, numberReady: 3, updatedNumberScheduled: 2, numberMisscheduled: 0}",
    );
    assert_eq!((agents.replicas, agents.current, agents.ready, agents.updated), (5, 4, 3, 2));
    assert_eq!(
        agents.strategy,
        UpdateStrategy::RollingUpdate { max_unavailable: IntOrPercent::Int(1), max_surge: IntOrPercent::Int(0) }
    );

    let odd = deployment(
        "metadata: {name: d, namespace: n}\nspec: {selector: {}, strategy: {type: BlueGreen}, template: {}}",
    );
    assert_eq!(names(&odd.template.unknown), ["deployment strategy"]);
}

#[test]
fn budgets() {
    let yaml = "metadata: {name: b, namespace: n, generation: 2}\nspec: {maxUnavailable: 30%, selector: {matchLabels: {app: a}}, unhealthyPodEvictionPolicy: AlwaysAllow}\nstatus: {observedGeneration: 2, disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3}";
    let fact = pdb(yaml);
    assert_eq!((fact.max_unavailable, fact.min_available), (Some(IntOrPercent::Percent(30)), None));
    assert_eq!((fact.disruptions_allowed, fact.current_healthy, fact.desired_healthy, fact.expected), (1, 3, 2, 3));
    assert!(fact.always_allow_unhealthy);
    assert_eq!(
        pdb(&yaml.replace("observedGeneration: 2", "observedGeneration: 1")).disruptions_allowed,
        0,
        "its controller is behind"
    );
    assert_eq!(pdb("metadata: {name: b, namespace: n}\nspec: {minAvailable: 1}").selector, None);
    assert_eq!(
        pdb("metadata: {name: b, namespace: n}\nspec: {minAvailable: 1, selector: {}}").selector,
        Some(Selector::default())
    );
    let odd =
        pdb(&yaml
            .replace("selector: {matchLabels: {app: a}}", "selector: {matchExpressions: [{key: a, operator: Like}]}"));
    assert_eq!(
        (odd.disruptions_allowed, odd.selector),
        (0, Some(Selector::default())),
        "a budget that is not understood allows nothing"
    );
    assert_eq!(projected::<PodDisruptionBudget>(&yaml.replace("30%", "some")).faults[0].field, "spec.maxUnavailable");
}

#[test]
fn autoscalers() {
    let yaml = "metadata: {name: h, namespace: n}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, minReplicas: 2, maxReplicas: 9, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}\nstatus: {currentReplicas: 3, desiredReplicas: 4, lastScaleTime: '1970-01-01T00:00:01Z', currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 75, averageValue: 10m}}}]}";
    let fact = hpa(yaml);
    assert_eq!(fact.target.unwrap().to_string(), "Deployment n/d");
    assert_eq!((fact.min_replicas, fact.max_replicas, fact.current_replicas, fact.desired_replicas), (2, 9, 3, 4));
    assert_eq!((fact.cpu_target_percent, fact.cpu_current_percent, fact.other_metrics), (Some(60), Some(75), false));
    assert_eq!(fact.last_scaled_at, Some(Timestamp(1000)));
    let other = hpa(&yaml.replace(
        "name: cpu, target: {type: Utilization, averageUtilization: 60}",
        "name: memory, target: {type: Utilization, averageUtilization: 60}",
    ));
    assert_eq!((other.cpu_target_percent, other.other_metrics), (None, true));
    assert_eq!(hpa(&yaml.replace("apps/v1", "argoproj.io/v1alpha1")).target, None);
}

#[test]
fn volumes_and_claims() {
    let claim = pvc(
        "metadata: {name: c, namespace: n}\nspec: {volumeName: v, storageClassName: fast, accessModes: [ReadWriteOnce]}\nstatus: {phase: Bound}",
    );
    assert_eq!((claim.volume, claim.storage_class.as_str(), claim.single_node), (Some(name("v")), "fast", true));
    let pending = pvc(
        "metadata: {name: c, namespace: n}\nspec: {volumeName: v, accessModes: [ReadWriteMany]}\nstatus: {phase: Pending}",
    );
    assert_eq!((pending.volume, pending.single_node), (None, false));
    let disk = pv(
        "metadata: {name: v, labels: {topology.kubernetes.io/zone: a__b}}\nspec: {csi: {driver: pd.csi.storage.gke.io, volumeHandle: x}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: z, operator: In, values: [a]}]}]}}}",
    );
    assert_eq!(disk.driver, "pd.csi.storage.gke.io");
    assert_eq!(names(&disk.zones), ["a", "b"]);
    assert_eq!(disk.node_affinity.unwrap()[0].labels[0].key, "z");
    assert_eq!(
        pv("metadata: {name: v}\nspec: {gcePersistentDisk: {pdName: x}}").driver,
        "pd.csi.storage.gke.io",
        "counted with the driver that took it over"
    );
    let limits = csi_node(
        "metadata: {name: n1}\nspec: {drivers: [{name: a, nodeID: x, allocatable: {count: 15}}, {name: b, nodeID: x}]}",
    )
    .limits;
    assert_eq!(limits.into_iter().collect::<Vec<_>>(), [(name("a"), 15)]);
}

#[test]
fn namespaces() {
    let fact = namespace("metadata: {name: shop, labels: {team: a}, annotations: {kinema.dev/exclude: 'true'}}");
    assert!(fact.excluded);
    assert_eq!(fact.labels.get("team"), Some(&name("a")));
}

#[test]
fn an_object_without_a_name_is_refused() {
    let error = serde_saphyr::from_str::<Pod>("metadata: {namespace: n}").unwrap().project().unwrap_err();
    assert_eq!(error.to_string(), "metadata.name: it is missing");
}
