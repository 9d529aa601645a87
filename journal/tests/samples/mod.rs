//! Entries of every kind, for the tests of this crate.

#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;

use journal::{FileJournal, Journal, JournalId, Options};
use journal_schema::cloud::*;
use journal_schema::effect::*;
use journal_schema::entry::Entry;
use journal_schema::event::*;
use journal_schema::facts::*;
use journal_schema::plan::*;
use journal_schema::policy::{Limits, Policy};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, List, Text};
use journal_schema::units::*;
use journal_schema::usage::*;

pub fn text<const N: usize>(value: &str) -> Text<N> {
    Text::new(value).unwrap()
}

pub fn list<T, const N: usize>(items: Vec<T>) -> List<T, N> {
    List::new(items).map_err(|error| error.to_string()).unwrap()
}

pub fn key(namespace: &str, name: &str) -> Key {
    Key::new(text(namespace), text(name))
}

pub fn id() -> JournalId {
    JournalId::derived("tests")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn resources(cpu: i64, memory: i64, pods: i64) -> Resources {
    let extended = BTreeMap::from([(text("example.com/gpu"), 1)]);
    Resources { cpu: MilliCpu(cpu), memory: Bytes(memory), ephemeral: Bytes(0), pods, extended }
}

fn node() -> NodeFact {
    NodeFact {
        name: text("node-1"),
        uid: text("uid-node-1"),
        provider_id: text("gce://project/zone-b/node-1"),
        instance_id: Some(42),
        labels: labels(&[("topology.kubernetes.io/zone", "zone-b")]),
        taints: list(vec![Taint { key: text("dedicated"), value: text("a"), effect: TaintEffect::NoSchedule }]),
        unschedulable: false,
        allocatable: resources(3920, 12 << 30, 110),
        ready: true,
        ready_changed_at: Some(Timestamp(5)),
        created_at: Timestamp(1),
        deletion_at: None,
        scale_down_disabled: false,
        do_not_disrupt: DoNotDisrupt::Until(Timestamp(99)),
        excluded: false,
        unknown: Few::default(),
    }
}

fn selector() -> Selector {
    let expression = NodeRequirement { key: text("app"), operator: NodeOperator::In, values: list(vec![text("cart")]) };
    Selector { labels: labels(&[("app", "cart")]), expressions: list(vec![expression]) }
}

fn spec() -> PodSpecFact {
    let requirement = |operator| NodeRequirement { key: text("disk"), operator, values: list(vec![text("ssd")]) };
    let term = NodeTerm {
        labels: list(vec![requirement(NodeOperator::NotIn)]),
        fields: list(vec![requirement(NodeOperator::In)]),
    };
    let pods = PodTerm {
        selector: Some(selector()),
        namespaces: list(vec![text("shop")]),
        namespace_selector: Some(Selector::default()),
        topology_key: text("kubernetes.io/hostname"),
    };
    PodSpecFact {
        requests: resources(250, 512 << 20, 1),
        containers: list(vec![ContainerFact {
            name: text("main"),
            cpu_request: Some(MilliCpu(250)),
            memory_request: Some(Bytes(512 << 20)),
            cpu_limit: None,
            memory_limit: Some(Bytes(1 << 30)),
        }]),
        node_selector: labels(&[("disk", "ssd")]),
        node_affinity: Some(list(vec![term.clone()])),
        node_preferences: list(vec![(5, term)]),
        pod_affinity: list(vec![pods.clone()]),
        pod_anti_affinity: list(vec![pods.clone()]),
        pod_preferences: list(vec![(-7, pods)]),
        spread: list(vec![SpreadConstraint {
            max_skew: 1,
            topology_key: text("topology.kubernetes.io/zone"),
            hard: true,
            selector: Some(selector()),
            min_domains: Some(2),
            honor_affinity: true,
            honor_taints: false,
        }]),
        tolerations: list(vec![Toleration { key: text("dedicated"), exists: true, value: text(""), effect: None }]),
        claims: list(vec![text("data")]),
        local_volumes: list(vec![text("tmp")]),
        safe_local_volumes: list(vec![text("tmp")]),
        host_ports: list(vec![HostPort { ip: text("0.0.0.0"), protocol: text("TCP"), port: 80 }]),
        priority: 1000,
        scheduler: text(""),
        grace_secs: 30,
        unknown: list(vec![text("schedulingGates")]),
    }
}

pub fn pod(name: &str) -> PodFact {
    PodFact {
        key: key("shop", name),
        uid: text(&format!("uid-{name}")),
        owner: Some(Owner { kind: OwnerKind::ReplicaSet, name: text("cart-7c"), uid: text("uid-rs") }),
        node: Some(text("node-1")),
        phase: PodPhase::Running,
        ready: true,
        unschedulable: false,
        created_at: Timestamp(2),
        deletion_at: None,
        labels: labels(&[("app", "cart")]).into(),
        spec: spec().into(),
        mirror: false,
        safe_to_evict: Some(true),
        do_not_disrupt: DoNotDisrupt::Always,
        prefer_no_eviction: false,
        deletion_cost: -1000,
        move_cost: None,
        ready_after: Some(Millis(4_000)),
        excluded: false,
    }
}

fn workload_id() -> WorkloadId {
    WorkloadId { kind: WorkloadKind::Deployment, key: key("shop", "cart") }
}

fn workload() -> WorkloadFact {
    WorkloadFact {
        id: workload_id(),
        uid: text("uid-cart"),
        owner: None,
        generation: 3,
        observed_generation: 3,
        replicas: 2,
        current: 2,
        ready: 2,
        updated: 2,
        paused: false,
        stalled: false,
        strategy: UpdateStrategy::RollingUpdate {
            max_unavailable: IntOrPercent::Percent(25),
            max_surge: IntOrPercent::Int(1),
        },
        selector: selector(),
        template_labels: labels(&[("app", "cart")]).into(),
        template: spec().into(),
        claim_templates: Few::default(),
        excluded: false,
        created_at: Timestamp(1),
        deletion_at: None,
    }
}

pub fn objects() -> Vec<Object> {
    vec![
        Object::Node(node()),
        Object::Pod(pod("cart-7c-x")),
        Object::Namespace(NamespaceFact { name: text("shop"), labels: labels(&[("team", "a")]), excluded: false }),
        Object::Workload(workload()),
        Object::Pdb(PdbFact {
            key: key("shop", "cart"),
            uid: text("uid-pdb"),
            selector: Some(selector()),
            min_available: Some(IntOrPercent::Int(1)),
            max_unavailable: None,
            disruptions_allowed: 1,
            current_healthy: 2,
            desired_healthy: 1,
            expected: 2,
            always_allow_unhealthy: true,
        }),
        Object::Hpa(HpaFact {
            key: key("shop", "cart"),
            uid: text("uid-hpa"),
            target: Some(workload_id()),
            min_replicas: 1,
            max_replicas: 5,
            current_replicas: 2,
            desired_replicas: 2,
            cpu_target_percent: Some(70),
            cpu_current_percent: Some(50),
            other_metrics: false,
            last_scaled_at: Some(Timestamp(3)),
        }),
        Object::Pvc(PvcFact {
            key: key("shop", "data"),
            uid: text("uid-pvc"),
            volume: Some(text("pv-1")),
            storage_class: text("standard"),
            single_node: true,
        }),
        Object::Pv(PvFact {
            name: text("pv-1"),
            uid: text("uid-pv"),
            driver: text("pd.csi.storage.gke.io"),
            node_affinity: None,
            zones: list(vec![text("zone-b")]),
        }),
        Object::CsiNode(CsiNodeFact {
            name: text("node-1"),
            limits: BTreeMap::from([(text("pd.csi.storage.gke.io"), 15)]),
        }),
    ]
}

fn pool() -> Pool {
    Pool {
        id: text("zone-b/pool-1"),
        base_name: text("pool-1"),
        machine_type: text("e2-standard-4"),
        region: text("region"),
        zone: text("zone-b"),
        capacity_type: CapacityType::Spot,
        labels: labels(&[("pool", "1")]),
        taints: Few::default(),
        allocatable: resources(3920, 12 << 30, 110),
        size: 3,
        max_size: Some(10),
        refusal: Some(PoolRefusal::Autoscaled),
    }
}

pub fn planned() -> Planned {
    Planned {
        plan: Plan {
            iteration: 7,
            basis: 10,
            at: Timestamp(1000),
            add: list(vec![NodeToAdd {
                slot: Slot(0),
                pool: text("zone-b/pool-1"),
                machine_type: text("e2-standard-4"),
                zone: text("zone-b"),
                capacity_type: CapacityType::OnDemand,
                price: MicroUsdPerHour(134_012),
            }]),
            remove: list(vec![NodeToRemove {
                node: text("node-1"),
                uid: text("uid-node-1"),
                provider_id: text("gce://project/zone-b/node-1"),
                pool: None,
                machine_type: text("e2-standard-8"),
                zone: text("zone-b"),
                capacity_type: CapacityType::OnDemand,
                price: MicroUsdPerHour(268_024),
            }]),
            moves: list(vec![Move {
                pod: key("shop", "cart-7c-x"),
                uid: text("uid-cart-7c-x"),
                workload: Some(workload_id()),
                from: text("node-1"),
                to: Target::New(Slot(0)),
                method: MoveMethod::Surge,
                wave: 0,
            }]),
            waves: list(Vec::new()),
            requests: list(vec![RequestChange {
                workload: workload_id(),
                container: text("main"),
                cpu: (MilliCpu(250), MilliCpu(240)),
                memory: (Bytes(512 << 20), Bytes(512 << 20)),
            }]),
            cost_now: MicroUsdPerHour(268_024),
            cost_after: MicroUsdPerHour(134_012),
            lower_bound: MicroUsdPerHour(134_012),
            transition: MicroUsd(33_503),
        },
        report: Report {
            nodes: list(vec![NodeVerdict {
                node: text("node-1"),
                action: NodeAction::Remove,
                reason: Reason::CloudUnknown,
                waste: MicroUsdPerHour(0),
            }]),
            pods: list(vec![PodVerdict {
                pod: key("shop", "cart-7c-x"),
                action: PodAction::Move(Target::New(Slot(0))),
                reason: Reason::ApprovalPending,
            }]),
            relaxations: list(vec![Relaxation {
                reason: Reason::NothingManaged,
                nodes: 1,
                saves: MicroUsdPerHour(5),
                basis: Basis::Estimated,
            }]),
            bound_method: text("per-resource bound"),
            balance: Balance { pivot: MilliCpu(250), before: Ppm(400_000), after: Ppm(100_000) },
            heat: Some(Heat { limit: Ppm(800_000), hot_before: 2, hot_after: 1, before: Ppm(4), after: Ppm(3) }),
            waste_of_added: list(vec![MicroUsdPerHour(0)]),
            unused: MicroUsdPerHour(0),
            binding: list(vec![]),
            frontier: list(vec![FrontierPoint { moves: 0, cost: MicroUsdPerHour(9), move_price: MicroUsdPerHour(0) }]),
            commitments: list(vec![]),
            dispersion: None,
        },
    }
}

fn effects() -> Vec<Effect> {
    let workload = workload_id();
    let uid = || text("uid-cart");
    let instance = InstanceRef { name: text("pool-1-kabcd-0"), id: Some(7) };
    let notice =
        |regarding| Effect::Notice { regarding, reason: text("Planned"), note: text("saves 50.0 %"), warning: false };
    vec![
        Effect::DiscoverPools,
        Effect::ListInstances { pools: list(vec![text("zone-b/pool-1")]) },
        Effect::ReadPrices,
        Effect::ReadUsage { end: Timestamp(900), window: Millis::from_minutes(15), step: Millis::from_minutes(1) },
        Effect::ReadNodePods { node: text("node-1") },
        Effect::ReadAffinity { workload: workload.clone(), uid: uid() },
        Effect::Forecast,
        Effect::Plan { limits: Limits::default() },
        Effect::CreateInstances {
            pool: text("zone-b/pool-1"),
            names: list(vec![text("pool-1-kabcd-0")]),
            request_id: text("r-1"),
        },
        Effect::DeleteInstances {
            pool: text("zone-b/pool-1"),
            instances: list(vec![instance]),
            request_id: text("r-2"),
        },
        Effect::MarkNode { node: text("node-1"), uid: text("uid-node-1"), role: NodeRole::Expiring, iteration: 7 },
        Effect::SetDeletionCost { pod: key("shop", "cart-7c-x"), uid: text("u"), cost: Some(-1000) },
        Effect::Scale { workload: workload.clone(), uid: uid(), from: 2, to: 3 },
        Effect::Evict { pod: key("shop", "cart-7c-x"), uid: text("u") },
        Effect::PatchTemplate {
            workload: workload.clone(),
            uid: uid(),
            from: None,
            to: Some(text("{\"nodeAffinity\":{}}")),
            max_unavailable: Some((text("\"25%\""), text("1"))),
            requests: list(vec![(text("main"), MilliCpu(240), Bytes(512 << 20))]),
        },
        notice(Regarding::Kinema),
        notice(Regarding::Node(text("node-1"), text("uid-node-1"))),
        notice(Regarding::Workload(workload, uid())),
        notice(Regarding::Pod(key("shop", "cart-7c-x"), text("u"))),
    ]
}

fn outcomes() -> Vec<Outcome> {
    let instances = [InstanceState::Requested, InstanceState::Running].map(|state| Instance {
        name: text(&format!("i-{state:?}")),
        id: Some(9),
        state,
        fault: Some(CloudFault::Stockout),
        created_at: Some(Timestamp(4)),
    });
    let ended = Ended { name: text("i-gone"), id: 8, at: Timestamp(5) };
    let usage = UsageWindow {
        start: Timestamp(0),
        step: Millis::from_minutes(1),
        series: list(vec![ContainerSeries {
            pod: key("shop", "cart-7c-x"),
            container: text("main"),
            cpu: list(vec![Some(MilliCpu(100)), None]),
            memory: list(vec![None, Some(Bytes(1 << 28))]),
        }]),
        warnings: list(vec![text("partial")]),
    };
    let forecasts = Forecasts {
        containers: list(vec![Forecast {
            workload: workload_id(),
            container: text("main"),
            cpu: MilliCpu(110),
            memory: Bytes(1 << 28),
            cpu_peak: MilliCpu(120),
            memory_peak: Bytes(1 << 28),
            points: 15,
            cpu_request: MilliCpu(236),
            memory_request: Bytes(1 << 29),
        }]),
        nodes: list(vec![(text("node-1"), MilliCpu(500), Bytes(1 << 30))]),
    };
    let prices = PriceBook {
        source: text("built-in"),
        as_of: Timestamp(0),
        entries: list(vec![PriceEntry {
            region: text("region"),
            machine_type: text("e2-standard-4"),
            capacity_type: CapacityType::OnDemand,
            price: MicroUsdPerHour(134_012),
        }]),
    };
    let mut outcomes: Vec<Outcome> = [
        Answer::Done,
        Answer::Pools(list(vec![pool()])),
        Answer::Instances(list(vec![PoolInstances {
            pool: text("zone-b/pool-1"),
            instances: list(instances.into()),
            ended: list(vec![ended]),
        }])),
        Answer::Prices(prices),
        Answer::Usage(usage),
        Answer::NodePods(list(vec![pod("cart-7c-x")])),
        Answer::Affinity(Some(text("{}")), None),
        Answer::Forecasts(forecasts),
        Answer::Planned(Box::new(planned())),
    ]
    .into_iter()
    .map(Outcome::Answered)
    .collect();
    for (class, code) in [
        (FailureClass::Retryable, FailureCode::DisruptionBudget),
        (FailureClass::Refused, FailureCode::Cloud(CloudFault::Quota)),
        (FailureClass::Unknown, FailureCode::Timeout),
    ] {
        outcomes.push(Outcome::Failed(Failure { class, code, message: text("429 TooManyRequests") }));
    }
    outcomes
}

/// Every event, and in them every object, effect, answer and command.
pub fn events() -> Vec<Event> {
    let mut policy = Policy { nodes: selector(), ..Policy::default() };
    policy.optimize.zones = list(vec![text("zone-b")]);
    policy.optimize.capacity_types = list(vec![CapacityType::Spot]);
    let started = Event::DaemonStarted {
        epoch: 3,
        behaviour: 1,
        build: text("0.1.0"),
        own_pod: Some(key("kube-system", "kinema-0")),
        policy: Box::default(),
    };
    let mut events = vec![started, Event::PolicyChanged { policy: Box::new(policy) }];
    for kind in Kind::ALL {
        events.push(Event::Watch(WatchEvent::RelistStarted { kind }));
    }
    events.extend(objects().into_iter().map(|object| Event::Watch(WatchEvent::Listed(object))));
    events.push(Event::Watch(WatchEvent::RelistFinished { kind: Kind::Pod }));
    events.extend(objects().into_iter().map(|object| Event::Watch(WatchEvent::Applied(object))));
    events.push(Event::Watch(WatchEvent::Deleted { kind: Kind::Pod, key: key("shop", "cart-7c-x") }));
    events.push(Event::Watch(WatchEvent::Interrupted { kind: Kind::Node }));
    let effects = effects().into_iter().zip(0..).map(|(effect, index)| (EffectId { cause: 40, index }, effect));
    events.push(Event::Intents { effects: list(effects.collect()) });
    events.extend(
        outcomes()
            .into_iter()
            .zip(0..)
            .map(|(outcome, index)| Event::Outcome { id: EffectId { cause: 40, index }, outcome }),
    );
    for deadline in [
        Deadline::PauseEnds,
        Deadline::Gates,
        Deadline::CloudRefresh,
        Deadline::Effect,
        Deadline::PlanExpires,
        Deadline::Poll,
        Deadline::Phase,
        Deadline::Move,
        Deadline::Settled,
    ] {
        events.push(Event::DeadlineReached { deadline });
    }
    for command in [
        OperatorCommand::Approve { digest: text("8c1e22") },
        OperatorCommand::Reject { digest: text("8c1e22") },
        OperatorCommand::Pause { reason: text("maintenance"), span: Some(Millis::from_minutes(5)) },
        OperatorCommand::Resume,
        OperatorCommand::Abort,
        OperatorCommand::PlanNow,
    ] {
        events.push(Event::Operator { by: text("ana"), command });
    }
    events.push(Event::TailCut { bytes: 1234 });
    events.push(Event::ClockStepped { by: Millis::from_minutes(-5) });
    events
}

/// One entry of each event, from seq `first` on, a second apart.
pub fn entries(first: u64) -> Vec<Entry> {
    events().into_iter().zip(first..).map(|(event, seq)| entry(seq, event)).collect()
}

pub fn entry(seq: u64, event: Event) -> Entry {
    Entry { seq, at: Timestamp(1_772_357_400_000 + 1000 * i64::try_from(seq).unwrap()), event }
}

/// A small entry.
pub fn small(seq: u64) -> Entry {
    let name = format!("pod-{}", seq % 50);
    entry(seq, Event::Watch(WatchEvent::Deleted { kind: Kind::Pod, key: key("shop", &name) }))
}

/// Options without an index, with small segments.
pub fn plain() -> Options {
    Options { index: false, id: Some(id()), segment_bytes: 16 << 10, ..Options::default() }
}

/// Appends small entries `from..=to` in batches of `batch`.
pub fn fill(journal: &mut FileJournal, from: u64, to: u64, batch: u64) {
    for seq in from..=to {
        journal.append(&small(seq)).unwrap();
        if seq % batch == 0 || seq == to {
            journal.flush().unwrap();
        }
    }
}
