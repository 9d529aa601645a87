//! Short ways to write facts.

use std::collections::BTreeMap;

use journal_schema::facts::{
    ContainerFact, HostPort, Key, Labels, NodeFact, NodeOperator, NodeRequirement, NodeTerm, Owner, OwnerKind, PodFact,
    PodPhase, PodSpecFact, PodTerm, Selector, SpreadConstraint, Taint, TaintEffect, Toleration,
};
use journal_schema::text::{Few, Name};
use journal_schema::units::{Bytes, MilliCpu, Resources, Timestamp};

pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";
pub(crate) const GIB: i64 = 1 << 30;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn few<T>(items: Vec<T>) -> Few<T> {
    Few::new(items).unwrap()
}

pub(crate) fn names(texts: &[&str]) -> Few<Name> {
    few(texts.iter().map(|text| name(text)).collect())
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (name(key), name(value))).collect()
}

pub(crate) fn resources(cpu: i64, memory: i64, pods: i64) -> Resources {
    Resources {
        cpu: MilliCpu(cpu),
        memory: Bytes(memory),
        ephemeral: Bytes(100 * GIB),
        pods,
        extended: BTreeMap::new(),
    }
}

/// A ready node of 4 CPUs, 16 GiB and 110 pods in a zone.
pub(crate) fn node(text: &str, zone: &str) -> NodeFact {
    NodeFact {
        name: name(text),
        uid: name(&format!("uid-{text}")),
        provider_id: name(&format!("gce://project/{zone}/{text}")),
        instance_id: None,
        labels: labels(&[
            (HOSTNAME, text),
            (ZONE, zone),
            ("topology.kubernetes.io/region", "r"),
            ("node.kubernetes.io/instance-type", "n2-standard-4"),
        ]),
        taints: Few::default(),
        unschedulable: false,
        allocatable: resources(4000, 16 * GIB, 110),
        ready: true,
        ready_changed_at: None,
        created_at: Timestamp(0),
        deletion_at: None,
        scale_down_disabled: false,
        do_not_disrupt: Default::default(),
        excluded: false,
        unknown: Few::default(),
    }
}

/// What a pod with one container asks for.
pub(crate) fn spec(cpu: i64, memory: i64) -> PodSpecFact {
    PodSpecFact {
        requests: Resources {
            cpu: MilliCpu(cpu),
            memory: Bytes(memory),
            ephemeral: Bytes(0),
            pods: 1,
            extended: BTreeMap::new(),
        },
        containers: few(vec![ContainerFact {
            name: name("main"),
            cpu_request: (cpu > 0).then_some(MilliCpu(cpu)),
            memory_request: (memory > 0).then_some(Bytes(memory)),
            cpu_limit: None,
            memory_limit: None,
        }]),
        ..PodSpecFact::default()
    }
}

/// A running pod in namespace `default`, labelled `app=<app>` and owned by the ReplicaSet `<app>-1`.
pub(crate) fn pod(app: &str, number: usize, cpu: i64, memory: i64) -> PodFact {
    PodFact {
        owner: Some(Owner {
            kind: OwnerKind::ReplicaSet,
            name: name(&format!("{app}-1")),
            uid: name(&format!("uid-{app}-1")),
        }),
        phase: PodPhase::Running,
        ready: true,
        labels: labels(&[("app", app)]).into(),
        ..PodFact::new(
            Key::new(name("default"), name(&format!("{app}-1-{number:04}"))),
            name(&format!("uid-{app}-{number}")),
            spec(cpu, memory),
            Timestamp(0),
        )
    }
}

pub(crate) fn app_selector(app: &str) -> Selector {
    Selector { labels: labels(&[("app", app)]), expressions: Few::default() }
}

pub(crate) fn requirement(key: &str, operator: NodeOperator, values: &[&str]) -> NodeRequirement {
    NodeRequirement { key: name(key), operator, values: names(values) }
}

pub(crate) fn node_term(requirements: Vec<NodeRequirement>) -> NodeTerm {
    NodeTerm { labels: few(requirements), fields: Few::default() }
}

pub(crate) fn pod_term(app: &str, topology_key: &str) -> PodTerm {
    PodTerm {
        selector: Some(app_selector(app)),
        namespaces: Few::default(),
        namespace_selector: None,
        topology_key: name(topology_key),
    }
}

pub(crate) fn spread(app: &str, topology_key: &str, max_skew: i32, hard: bool) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        topology_key: name(topology_key),
        hard,
        selector: Some(app_selector(app)),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    }
}

pub(crate) fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
    Taint { key: name(key), value: name(value), effect }
}

pub(crate) fn tolerate(key: &str, exists: bool, value: &str, effect: Option<TaintEffect>) -> Toleration {
    Toleration { key: name(key), exists, value: name(value), effect }
}

pub(crate) fn port(ip: &str, protocol: &str, port: u16) -> HostPort {
    HostPort { ip: name(ip), protocol: name(protocol), port }
}
