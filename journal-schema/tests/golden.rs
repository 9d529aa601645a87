//! Version 1 of the schema is frozen: the bytes in `golden/` are read for ever, and the same entries
//! are still written as the same bytes.
//!
//! `KINEMA_WRITE_GOLDEN=1 cargo test -p journal-schema --test golden` writes the files anew; do that
//! only before a version is released.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its golden file")]

use journal_schema::binding::{Binding, Bottleneck};
use journal_schema::cloud::*;
use journal_schema::codec;
use journal_schema::effect::*;
use journal_schema::entry::{Entry, SCHEMA_VERSION};
use journal_schema::event::*;
use journal_schema::facts::*;
use journal_schema::plan::*;
use journal_schema::policy::{Limits, Policy};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, JsonText, List, Many, Message, Name};
use journal_schema::units::*;
use journal_schema::usage::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key(text: &str) -> Key {
    let (namespace, name_part) = text.split_once('/').unwrap();
    Key::new(name(namespace), name(name_part))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (name(key), name(value))).collect()
}

fn few<T>(items: Vec<T>) -> Few<T> {
    List::new(items).unwrap()
}

fn many<T>(items: Vec<T>) -> Many<T> {
    List::new(items).unwrap()
}

fn resources(cpu: i64, memory: i64) -> Resources {
    let extended = BTreeMap::from([(name("nvidia.com/gpu"), 1)]);
    Resources { cpu: MilliCpu(cpu), memory: Bytes(memory), ephemeral: Bytes(7), pods: 1, extended }
}

fn node_term() -> NodeTerm {
    let requirement = |operator, values: &[&str]| NodeRequirement {
        key: name("topology.kubernetes.io/zone"),
        operator,
        values: few(values.iter().map(|value| name(value)).collect()),
    };
    NodeTerm {
        labels: few(vec![
            requirement(NodeOperator::In, &["a", "b"]),
            requirement(NodeOperator::NotIn, &["c"]),
            requirement(NodeOperator::Exists, &[]),
            requirement(NodeOperator::DoesNotExist, &[]),
            requirement(NodeOperator::Gt, &["1"]),
            requirement(NodeOperator::Lt, &["9"]),
        ]),
        fields: few(vec![requirement(NodeOperator::In, &["node-1"])]),
    }
}

fn selector() -> Selector {
    Selector { labels: labels(&[("app", "cart")]), expressions: node_term().labels }
}

fn spec() -> PodSpecFact {
    let term = PodTerm {
        selector: Some(selector()),
        namespaces: few(vec![name("shop")]),
        namespace_selector: Some(Selector::default()),
        topology_key: name("kubernetes.io/hostname"),
    };
    PodSpecFact {
        requests: resources(250, 1 << 30),
        containers: few(vec![ContainerFact {
            name: name("main"),
            cpu_request: Some(MilliCpu(250)),
            memory_request: Some(Bytes(1 << 30)),
            cpu_limit: None,
            memory_limit: Some(Bytes(2 << 30)),
        }]),
        node_selector: labels(&[("disk", "ssd")]),
        node_affinity: Some(few(vec![node_term()])),
        node_preferences: few(vec![(10, node_term())]),
        pod_affinity: few(vec![term.clone()]),
        pod_anti_affinity: few(vec![term.clone()]),
        pod_preferences: few(vec![(-5, term)]),
        spread: few(vec![SpreadConstraint {
            max_skew: 1,
            topology_key: name("topology.kubernetes.io/zone"),
            hard: true,
            selector: Some(selector()),
            min_domains: Some(3),
            honor_affinity: true,
            honor_taints: false,
        }]),
        tolerations: few(vec![Toleration {
            key: name("dedicated"),
            exists: false,
            value: name("batch"),
            effect: Some(TaintEffect::NoExecute),
        }]),
        claims: few(vec![name("data")]),
        local_volumes: few(vec![name("scratch")]),
        safe_local_volumes: few(vec![name("scratch")]),
        host_ports: few(vec![HostPort { ip: name("0.0.0.0"), protocol: name("TCP"), port: 8080 }]),
        priority: 1000,
        scheduler: name("other"),
        grace_secs: 30,
        unknown: few(vec![name("resourceClaims")]),
    }
}

fn owner(kind: OwnerKind) -> Option<Owner> {
    Some(Owner { kind, name: name("cart-5d7"), uid: name("uid-rs") })
}

fn pod() -> PodFact {
    PodFact {
        key: key("shop/cart-5d7-x"),
        uid: name("uid-pod"),
        owner: owner(OwnerKind::ReplicaSet),
        node: Some(name("node-1")),
        phase: PodPhase::Running,
        ready: true,
        unschedulable: false,
        created_at: Timestamp(1),
        deletion_at: Some(Timestamp(2)),
        labels: labels(&[("app", "cart")]).into(),
        spec: spec().into(),
        mirror: false,
        safe_to_evict: Some(false),
        do_not_disrupt: DoNotDisrupt::Until(Timestamp(3)),
        prefer_no_eviction: true,
        deletion_cost: -7,
        move_cost: Some(2_500),
        ready_after: Some(Millis(90_000)),
        excluded: false,
    }
}

fn workload_id() -> WorkloadId {
    WorkloadId { kind: WorkloadKind::Deployment, key: key("shop/cart") }
}

fn workload(kind: WorkloadKind, strategy: UpdateStrategy) -> Object {
    Object::Workload(WorkloadFact {
        id: WorkloadId { kind, key: key("shop/cart") },
        uid: name("uid-w"),
        owner: owner(OwnerKind::Deployment),
        generation: 3,
        observed_generation: 2,
        replicas: 4,
        current: 5,
        ready: 3,
        updated: 2,
        paused: true,
        stalled: true,
        strategy,
        selector: selector(),
        template_labels: labels(&[("app", "cart")]).into(),
        template: spec().into(),
        claim_templates: few(vec![name("data")]),
        excluded: true,
        created_at: Timestamp(4),
        deletion_at: None,
    })
}

fn node() -> NodeFact {
    NodeFact {
        name: name("node-1"),
        uid: name("uid-node"),
        provider_id: name("gce://p/z/node-1"),
        instance_id: Some(42),
        labels: labels(&[("node.kubernetes.io/instance-type", "e2-standard-4")]),
        taints: few(vec![Taint { key: name("k"), value: name("v"), effect: TaintEffect::NoSchedule }]),
        unschedulable: true,
        allocatable: resources(3920, 13 << 30),
        ready: true,
        ready_changed_at: Some(Timestamp(5)),
        created_at: Timestamp(6),
        deletion_at: None,
        scale_down_disabled: true,
        do_not_disrupt: DoNotDisrupt::Always,
        excluded: true,
        unknown: few(vec![name("x")]),
    }
}

fn objects() -> Vec<Object> {
    let rolling =
        UpdateStrategy::RollingUpdate { max_unavailable: IntOrPercent::Percent(25), max_surge: IntOrPercent::Int(1) };
    vec![
        Object::Node(node()),
        Object::Pod(pod()),
        Object::Namespace(NamespaceFact { name: name("shop"), labels: labels(&[("team", "a")]), excluded: true }),
        workload(WorkloadKind::Deployment, rolling),
        workload(WorkloadKind::ReplicaSet, UpdateStrategy::Recreate),
        workload(WorkloadKind::StatefulSet, UpdateStrategy::OnDelete),
        workload(WorkloadKind::DaemonSet, rolling),
        Object::Pdb(PdbFact {
            key: key("shop/cart-pdb"),
            uid: name("uid-pdb"),
            selector: Some(selector()),
            min_available: Some(IntOrPercent::Int(2)),
            max_unavailable: Some(IntOrPercent::Percent(50)),
            disruptions_allowed: 1,
            current_healthy: 3,
            desired_healthy: 2,
            expected: 3,
            always_allow_unhealthy: true,
        }),
        Object::Hpa(HpaFact {
            key: key("shop/cart-hpa"),
            uid: name("uid-hpa"),
            target: Some(workload_id()),
            min_replicas: 1,
            max_replicas: 9,
            current_replicas: 3,
            desired_replicas: 4,
            cpu_target_percent: Some(80),
            cpu_current_percent: Some(75),
            other_metrics: true,
            last_scaled_at: Some(Timestamp(8)),
        }),
        Object::Pvc(PvcFact {
            key: key("shop/data"),
            uid: name("uid-pvc"),
            volume: Some(name("pv-1")),
            storage_class: name("fast"),
            single_node: true,
        }),
        Object::Pv(PvFact {
            name: name("pv-1"),
            uid: name("uid-pv"),
            driver: name("pd.csi.storage.gke.io"),
            node_affinity: Some(few(vec![node_term()])),
            zones: few(vec![name("us-central1-a")]),
        }),
        Object::CsiNode(CsiNodeFact { name: name("node-1"), limits: BTreeMap::from([(name("pd"), 15)]) }),
    ]
}

fn commitment_use() -> CommitmentUse {
    CommitmentUse {
        machine_type: name("n2-standard-4"),
        region: name("us-central1"),
        committed: 2,
        now: 1,
        after: 3,
        covers: MicroUsdPerHour(190_000),
    }
}

fn dispersion() -> Dispersion {
    Dispersion {
        max_per_node: Some(Ppm::percent(50)),
        max_per_zone: None,
        workloads: 3,
        above_before: 2,
        above_after: 1,
        pods_before: 4,
        pods_after: 1,
    }
}

fn plan() -> Planned {
    let plan = Plan {
        iteration: 1,
        basis: 2,
        at: Timestamp(9),
        add: many(vec![NodeToAdd {
            slot: Slot(0),
            pool: name("z/grp"),
            machine_type: name("e2-standard-8"),
            zone: name("z"),
            capacity_type: CapacityType::Spot,
            price: MicroUsdPerHour(268_024),
        }]),
        remove: many(vec![NodeToRemove {
            node: name("node-1"),
            uid: name("uid-node"),
            provider_id: name("gce://p/z/node-1"),
            pool: Some(name("z/grp")),
            machine_type: name("e2-standard-4"),
            zone: name("z"),
            capacity_type: CapacityType::OnDemand,
            price: MicroUsdPerHour(134_012),
        }]),
        moves: many(vec![
            Move {
                pod: key("shop/cart-5d7-x"),
                uid: name("uid-pod"),
                workload: Some(workload_id()),
                from: name("node-1"),
                to: Target::New(Slot(0)),
                method: MoveMethod::Surge,
                wave: 0,
            },
            Move {
                pod: key("shop/job-1"),
                uid: name("uid-job"),
                workload: None,
                from: name("node-1"),
                to: Target::Node(name("node-2")),
                method: MoveMethod::Evict,
                wave: 1,
            },
        ]),
        waves: many(vec![
            Wave { opens: few(vec![Target::New(Slot(0))]) },
            Wave { opens: few(vec![Target::Node(name("node-2"))]) },
        ]),
        requests: many(vec![RequestChange {
            workload: workload_id(),
            container: name("main"),
            cpu: (MilliCpu(500), MilliCpu(481)),
            memory: (Bytes(2), Bytes(1)),
        }]),
        cost_now: MicroUsdPerHour(10),
        cost_after: MicroUsdPerHour(9),
        lower_bound: MicroUsdPerHour(8),
        transition: MicroUsd(7),
    };
    let report = Report {
        nodes: many(vec![NodeVerdict {
            node: name("node-1"),
            action: NodeAction::Remove,
            reason: Reason::Superfluous,
            waste: MicroUsdPerHour(0),
        }]),
        pods: many(vec![
            PodVerdict { pod: key("a/b"), action: PodAction::Stay, reason: Reason::DaemonSet },
            PodVerdict { pod: key("a/c"), action: PodAction::Move(Target::New(Slot(0))), reason: Reason::NodeLeaves },
            PodVerdict {
                pod: key("a/d"),
                action: PodAction::Place(Target::Node(name("n"))),
                reason: Reason::InsufficientResource { resource: name("cpu") },
            },
            PodVerdict {
                pod: key("a/e"),
                action: PodAction::Unplaced,
                reason: Reason::PodDisruptionBudget { pdb: key("a/p"), allowed: 0 },
            },
        ]),
        relaxations: many(vec![Relaxation {
            reason: Reason::PodBlocks { pod: key("a/b"), code: name("LocalStorage") },
            nodes: 1,
            saves: MicroUsdPerHour(5),
            basis: Basis::Measured,
        }]),
        bound_method: name("volume"),
        balance: Balance { pivot: MilliCpu(250), before: Ppm(2), after: Ppm(1) },
        heat: Some(Heat { limit: Ppm(800_000), hot_before: 2, hot_after: 1, before: Ppm(4), after: Ppm(3) }),
        waste_of_added: many(vec![MicroUsdPerHour(1)]),
        unused: MicroUsdPerHour(0),
        binding: many(vec![
            Binding { zone: None, by: Bottleneck::Resource { resource: name("memory") }, share: Ppm::percent(60) },
            Binding {
                zone: Some(name("b")),
                by: Bottleneck::KeptApart { workloads: 2, most: Some(workload_id()) },
                share: Ppm::percent(70),
            },
            Binding { zone: Some(name("b")), by: Bottleneck::Size { workloads: 1, most: None }, share: Ppm(5) },
            Binding {
                zone: Some(name("c")),
                by: Bottleneck::AttachLimit { driver: name("pd.csi.storage.gke.io") },
                share: Ppm(5),
            },
        ]),
        frontier: few(vec![
            FrontierPoint { moves: 0, cost: MicroUsdPerHour(9), move_price: MicroUsdPerHour(4) },
            FrontierPoint { moves: 2, cost: MicroUsdPerHour(1), move_price: MicroUsdPerHour(0) },
        ]),
        commitments: few(vec![commitment_use()]),
        dispersion: Some(dispersion()),
    };
    Planned { plan, report }
}

fn effects() -> Vec<Effect> {
    vec![
        Effect::DiscoverPools,
        Effect::ListInstances { pools: few(vec![name("z/grp")]) },
        Effect::ReadPrices,
        Effect::ReadUsage { end: Timestamp(1), window: Millis(2), step: Millis(3) },
        Effect::ReadNodePods { node: name("node-1") },
        Effect::ReadAffinity { workload: workload_id(), uid: name("u") },
        Effect::Forecast,
        Effect::Plan { limits: Limits::default() },
        Effect::CreateInstances { pool: name("z/grp"), names: few(vec![name("n")]), request_id: name("r") },
        Effect::DeleteInstances {
            pool: name("z/grp"),
            instances: few(vec![InstanceRef { name: name("n"), id: Some(1) }]),
            request_id: name("r"),
        },
        Effect::MarkNode { node: name("n"), uid: name("u"), role: NodeRole::Expiring, iteration: 3 },
        Effect::SetDeletionCost { pod: key("a/b"), uid: name("u"), cost: Some(-1000) },
        Effect::Scale { workload: workload_id(), uid: name("u"), from: 1, to: 2 },
        Effect::Evict { pod: key("a/b"), uid: name("u") },
        Effect::PatchTemplate {
            workload: workload_id(),
            uid: name("u"),
            from: None,
            to: Some(JsonText::new("{}").unwrap()),
            max_unavailable: Some((JsonText::new("1").unwrap(), JsonText::new("2").unwrap())),
            requests: few(vec![(name("main"), MilliCpu(1), Bytes(2))]),
        },
        Effect::Notice {
            regarding: Regarding::Node(name("n"), name("u")),
            reason: name("NodeRemoved"),
            note: Message::new("gone").unwrap(),
            warning: true,
        },
    ]
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Done,
        Answer::Pools(many(vec![Pool {
            id: name("z/grp"),
            base_name: name("gke-demo"),
            machine_type: name("e2-standard-4"),
            region: name("r"),
            zone: name("z"),
            capacity_type: CapacityType::Spot,
            labels: labels(&[("a", "b")]),
            taints: few(vec![]),
            allocatable: resources(3920, 13 << 30),
            size: 3,
            max_size: Some(10),
            refusal: Some(PoolRefusal::Autoscaled),
        }])),
        Answer::Instances(many(vec![PoolInstances {
            pool: name("z/grp"),
            instances: many(vec![Instance {
                name: name("n"),
                id: Some(9),
                state: InstanceState::Requested,
                fault: Some(CloudFault::Stockout),
                created_at: None,
            }]),
            ended: many(vec![]),
        }])),
        Answer::Prices(PriceBook {
            source: name("built-in"),
            as_of: Timestamp(1),
            entries: many(vec![PriceEntry {
                region: name("r"),
                machine_type: name("e2-standard-4"),
                capacity_type: CapacityType::OnDemand,
                price: MicroUsdPerHour(134_012),
            }]),
        }),
        Answer::Usage(UsageWindow {
            start: Timestamp(1),
            step: Millis(60_000),
            series: many(vec![ContainerSeries {
                pod: key("a/b"),
                container: name("main"),
                cpu: few(vec![Some(MilliCpu(1)), None]),
                memory: few(vec![Some(Bytes(1)), None]),
            }]),
            warnings: few(vec![name("partial")]),
        }),
        Answer::NodePods(many(vec![pod()])),
        Answer::Affinity(Some(JsonText::new("{}").unwrap()), None),
        Answer::Forecasts(Forecasts {
            containers: many(vec![Forecast {
                workload: workload_id(),
                container: name("main"),
                cpu: MilliCpu(1),
                memory: Bytes(2),
                cpu_peak: MilliCpu(3),
                memory_peak: Bytes(4),
                points: 5,
                cpu_request: MilliCpu(6),
                memory_request: Bytes(7),
            }]),
            nodes: many(vec![(name("n"), MilliCpu(1), Bytes(2))]),
        }),
        Answer::Planned(Box::new(plan())),
    ]
}

fn events() -> Vec<Event> {
    let id = |index| EffectId { cause: 7, index };
    let mut events = vec![
        Event::TailCut { bytes: 12 },
        Event::DaemonStarted {
            epoch: 1,
            behaviour: 1,
            build: name("0.1.0"),
            own_pod: Some(key("kube-system/kinema-0")),
            policy: Box::default(),
        },
        Event::PolicyChanged { policy: Box::<Policy>::default() },
        Event::Watch(WatchEvent::RelistStarted { kind: Kind::Node }),
        Event::Watch(WatchEvent::RelistFinished { kind: Kind::CsiNode }),
        Event::Watch(WatchEvent::Deleted { kind: Kind::Pod, key: key("a/b") }),
        Event::Watch(WatchEvent::Interrupted { kind: Kind::StatefulSet }),
        Event::DeadlineReached { deadline: Deadline::Gates },
        Event::ClockStepped { by: Millis(-90_000) },
    ];
    for command in [
        OperatorCommand::Approve { digest: Digest::new("9f3c2a").unwrap() },
        OperatorCommand::Reject { digest: Digest::new("9f3c2a").unwrap() },
        OperatorCommand::Pause { reason: Message::new("INC-1").unwrap(), span: Some(Millis(5)) },
        OperatorCommand::Resume,
        OperatorCommand::Abort,
        OperatorCommand::PlanNow,
    ] {
        events.push(Event::Operator { by: name("alice"), command });
    }
    for object in objects() {
        events.push(Event::Watch(WatchEvent::Listed(object.clone())));
        events.push(Event::Watch(WatchEvent::Applied(object)));
    }
    let intents = effects().into_iter().enumerate().map(|(index, effect)| (id(index as u32), effect)).collect();
    events.push(Event::Intents { effects: many(intents) });
    for (index, answer) in answers().into_iter().enumerate() {
        events.push(Event::Outcome { id: id(index as u32), outcome: Outcome::Answered(answer) });
    }
    let failure = Failure {
        class: FailureClass::Unknown,
        code: FailureCode::Cloud(CloudFault::Quota),
        message: Message::new("503").unwrap(),
    };
    events.push(Event::Outcome { id: id(99), outcome: Outcome::Failed(failure) });
    events
}

fn entries() -> Vec<Entry> {
    events().into_iter().zip(1..).map(|(event, seq)| Entry { seq, at: Timestamp(1_000 + seq as i64), event }).collect()
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.frames")
}

#[test]
fn version_1_is_written_and_read_as_ever() {
    // A frame here is a length of four bytes, little-endian, and the entry.
    let mut written = Vec::new();
    for entry in entries() {
        let bytes = codec::encode(&entry).unwrap();
        written.extend((bytes.len() as u32).to_le_bytes());
        written.extend(bytes);
    }
    if std::env::var_os("KINEMA_WRITE_GOLDEN").is_some() {
        std::fs::write(golden(), &written).unwrap();
    }
    let kept = std::fs::read(golden()).unwrap();
    let mut rest = kept.as_slice();
    let mut read = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_at(4);
        let (bytes, tail) = tail.split_at(u32::from_le_bytes(length.try_into().unwrap()) as usize);
        read.push(codec::decode(1, bytes).unwrap());
        rest = tail;
    }
    assert_eq!(read, entries());
    assert!(kept == written, "the encoding of version 1 changed");
}

#[test]
fn a_field_of_a_newer_minor_is_ignored_and_a_missing_one_has_its_default() {
    #[derive(serde::Serialize)]
    struct NewerTaint<'a> {
        key: &'a str,
        effect: TaintEffect,
        invented_later: u8,
    }
    let bytes = codec::to_bytes(&NewerTaint { key: "k", effect: TaintEffect::NoSchedule, invented_later: 1 }).unwrap();
    let taint: Taint = codec::from_bytes(&bytes).unwrap();
    assert_eq!(taint, Taint { key: name("k"), value: name(""), effect: TaintEffect::NoSchedule });
}

#[test]
fn a_newer_version_an_unknown_variant_and_left_over_bytes_are_refused() {
    let entry = &entries()[0];
    let mut bytes = codec::encode(entry).unwrap();
    let error = codec::decode(SCHEMA_VERSION + 1, &bytes).unwrap_err();
    assert!(error.to_string().contains("schema version 2"), "{error}");
    bytes.push(0);
    assert!(matches!(codec::decode(1, &bytes), Err(codec::DecodeError::Trailing { bytes: 1 })));
    #[derive(serde::Serialize)]
    enum Later {
        InventedLater,
    }
    let bytes = codec::to_bytes(&Later::InventedLater).unwrap();
    assert!(codec::from_bytes::<TaintEffect>(&bytes).is_err());
}

#[test]
fn texts_and_lists_have_bounds() {
    let long = codec::to_bytes(&"x".repeat(318)).unwrap();
    assert!(codec::from_bytes::<Name>(&long).is_err());
    let list = codec::to_bytes(&vec![0_u8; 1025]).unwrap();
    assert!(codec::from_bytes::<Few<u8>>(&list).is_err());
    // A header that announces 4 G elements and brings none must fail without allocating them.
    assert!(codec::from_bytes::<Many<u64>>(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
}
