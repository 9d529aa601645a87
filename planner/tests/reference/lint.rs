//! The linter: a sound plan has no finding, and every mistake in it is found.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::cloud::{CapacityType, Pool, PoolRefusal, PriceBook, PriceEntry};
use journal_schema::facts::{
    CsiNodeFact, DoNotDisrupt, IntOrPercent, Key, NamespaceFact, Owner, OwnerKind, PdbFact, PodFact, PvFact, PvcFact,
    TaintEffect, UpdateStrategy, WorkloadFact, WorkloadId, WorkloadKind,
};
use journal_schema::plan::{
    Balance, Cluster, FrontierPoint, Managed, Move, MoveMethod, NodeAction, NodeToAdd, NodeToRemove, NodeVerdict, Plan,
    Planned, PlanningInput, PodAction, PodVerdict, Report, RequestChange, Slot, Target, Wave,
};
use journal_schema::policy::{Actuation, Policy, RightSizing, SingleReplica};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, List, Many, Name};
use journal_schema::units::{Bytes, MicroUsd, MicroUsdPerHour, MilliCpu, Millis, Ppm, Timestamp};
use journal_schema::usage::{Forecast, Forecasts};
use planner::lint::{Check, Severity, lint};

use crate::facts::{GIB, app_selector, few, labels, name, names, node, pod, pod_term, resources, spec, spread, taint};

const NOW: Timestamp = Timestamp(86_400_000);

fn many<T>(items: Vec<T>) -> Many<T> {
    Many::new(items).unwrap()
}

fn point(moves: u32, cost: i64, move_price: i64) -> FrontierPoint {
    FrontierPoint { moves, cost: MicroUsdPerHour(cost), move_price: MicroUsdPerHour(move_price) }
}

/// Changes a list in place.
fn edit<T, const N: usize>(list: &mut List<T, N>, change: impl FnOnce(&mut Vec<T>)) {
    let mut items = std::mem::take(list).into_vec();
    change(&mut items);
    *list = List::new(items).unwrap();
}

fn workload(kind: WorkloadKind, text: &str, app: &str, replicas: i32) -> WorkloadFact {
    let owner = (kind == WorkloadKind::ReplicaSet).then(|| Owner {
        kind: OwnerKind::Deployment,
        name: name(app),
        uid: name(app),
    });
    let id = WorkloadId { kind, key: Key::new(name("default"), name(text)) };
    WorkloadFact {
        owner,
        strategy: UpdateStrategy::RollingUpdate {
            max_unavailable: IntOrPercent::Percent(25),
            max_surge: IntOrPercent::Percent(25),
        },
        selector: app_selector(app),
        template_labels: labels(&[("app", app)]).into(),
        template: spec(500, GIB).into(),
        ..WorkloadFact::new(id, name(&format!("uid-{text}")), replicas, Timestamp(0)).at_rest()
    }
}

fn owned(app: &str, number: usize, kind: OwnerKind, owner: &str, on: &str) -> PodFact {
    let mut pod = pod(app, number, 500, GIB);
    pod.owner = Some(Owner { kind, name: name(owner), uid: name(owner) });
    pod.node = (!on.is_empty()).then(|| name(on));
    pod
}

fn pool(id: &str, machine_type: &str, cpu: i64, size: u32) -> Pool {
    Pool {
        id: name(id),
        base_name: name(id),
        machine_type: name(machine_type),
        region: name("r"),
        zone: name("a"),
        capacity_type: CapacityType::OnDemand,
        labels: labels(&[("pool", id)]),
        taints: Few::default(),
        allocatable: resources(cpu, cpu * GIB / 250, 110),
        size,
        max_size: Some(3),
        refusal: None,
    }
}

fn price(machine_type: &str, price: i64) -> PriceEntry {
    PriceEntry {
        region: name("r"),
        machine_type: name(machine_type),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(price),
    }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    for text in ["keep", "old-1", "old-2"] {
        cluster.nodes.insert(name(text), node(text, "a"));
        let agent = owned("agent", cluster.nodes.len(), OwnerKind::DaemonSet, "agent", text);
        cluster.pods.insert(agent.key.clone(), agent);
    }
    let mut agent = workload(WorkloadKind::DaemonSet, "agent", "agent", 3);
    agent.template = spec(100, GIB / 8).into();
    for workload in [
        agent,
        workload(WorkloadKind::Deployment, "web", "web", 3),
        workload(WorkloadKind::ReplicaSet, "web-1", "web", 3),
        workload(WorkloadKind::StatefulSet, "db", "db", 2),
    ] {
        cluster.workloads.insert(workload.id.clone(), workload);
    }
    let mut bare = owned("bare", 0, OwnerKind::Other, "somebody", "keep");
    bare.owner = None;
    let mut static_pod = owned("proxy", 0, OwnerKind::Node, "old-1", "old-1");
    static_pod.mirror = true;
    let mut done = owned("web", 9, OwnerKind::ReplicaSet, "web-1", "old-1");
    done.phase = journal_schema::facts::PodPhase::Succeeded;
    let mut waiting = owned("web", 2, OwnerKind::ReplicaSet, "web-1", "");
    waiting.phase = journal_schema::facts::PodPhase::Pending;
    for pod in [
        bare,
        static_pod,
        done,
        waiting,
        owned("web", 0, OwnerKind::ReplicaSet, "web-1", "old-1"),
        owned("web", 1, OwnerKind::ReplicaSet, "web-1", "old-2"),
        owned("db", 0, OwnerKind::StatefulSet, "db", "old-2"),
    ] {
        cluster.pods.insert(pod.key.clone(), pod);
    }
    cluster
}

fn key(text: &str) -> Key {
    Key::new(name("default"), name(text))
}

fn web() -> WorkloadId {
    WorkloadId { kind: WorkloadKind::Deployment, key: key("web") }
}

fn input() -> PlanningInput {
    let forecast = Forecast {
        workload: web(),
        container: name("main"),
        cpu: MilliCpu(300),
        memory: Bytes(GIB / 2),
        cpu_peak: MilliCpu(300),
        memory_peak: Bytes(GIB / 2),
        points: 15,
        cpu_request: MilliCpu(480),
        memory_request: Bytes(GIB - GIB / 20),
    };
    PlanningInput {
        iteration: 7,
        basis: 42,
        now: NOW,
        cluster: cluster(),
        pools: vec![pool("big", "n2-standard-4", 4000, 3), pool("small", "e2-standard-2", 2000, 0)],
        excluded_pools: BTreeSet::new(),
        prices: PriceBook {
            source: name("test"),
            as_of: NOW,
            entries: many(vec![price("e2-standard-2", 80_000), price("n2-standard-4", 200_000)]),
        },
        managed: Managed::Listed(
            ["keep", "old-1", "old-2"].into_iter().map(|text| (name(text), name("big"))).collect(),
        ),
        quarantined: BTreeMap::new(),
        forecasts: Forecasts { containers: many(vec![forecast]), nodes: Many::default() },
        own_pod: None,
        policy: Policy::default(),
    }
}

fn step(pod: &PodFact, workload: WorkloadId, to: Target, method: MoveMethod) -> Move {
    Move {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        workload: Some(workload),
        from: pod.node.clone().unwrap(),
        to,
        method,
        wave: 0,
    }
}

fn wave(opens: Target) -> Wave {
    Wave { opens: few(vec![opens]) }
}

/// Removes old-1 and old-2, adds one small machine: 600,000 now, 280,000 after.
fn planned(input: &PlanningInput) -> Planned {
    let pods = &input.cluster.pods;
    let new = Target::New(Slot(0));
    let keep = Target::Node(name("keep"));
    let db = WorkloadId { kind: WorkloadKind::StatefulSet, key: key("db") };
    let moves = vec![
        step(&pods[&key("web-1-0000")], web(), new.clone(), MoveMethod::Surge),
        step(&pods[&key("web-1-0001")], web(), keep.clone(), MoveMethod::Surge),
        step(&pods[&key("db-1-0000")], db, keep, MoveMethod::Evict),
    ];
    let remove = ["old-1", "old-2"].map(|text| NodeToRemove {
        node: name(text),
        uid: name(&format!("uid-{text}")),
        provider_id: name(&format!("gce://project/a/{text}")),
        pool: Some(name("big")),
        machine_type: name("n2-standard-4"),
        zone: name("a"),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(200_000),
    });
    let nodes = input.cluster.nodes.keys().map(|node| {
        let (action, waste) =
            if node.as_str() == "keep" { (NodeAction::Keep, 20_000) } else { (NodeAction::Remove, 0) };
        let waste = MicroUsdPerHour(waste);
        NodeVerdict { node: node.clone(), action, reason: Reason::Needed, waste }
    });
    let verdicts = input.cluster.pods.keys().map(|pod| {
        let moved = moves.iter().find(|step| step.pod == *pod);
        let action = match moved {
            Some(step) => PodAction::Move(step.to.clone()),
            None if *pod == key("web-1-0002") => PodAction::Place(new.clone()),
            None => PodAction::Stay,
        };
        PodVerdict { pod: pod.clone(), action, reason: Reason::NodeLeaves }
    });
    let (nodes, verdicts) = (many(nodes.collect()), many(verdicts.collect()));
    Planned {
        plan: Plan {
            iteration: 7,
            basis: 42,
            at: NOW,
            add: many(vec![NodeToAdd {
                slot: Slot(0),
                pool: name("small"),
                machine_type: name("e2-standard-2"),
                zone: name("a"),
                capacity_type: CapacityType::OnDemand,
                price: MicroUsdPerHour(80_000),
            }]),
            remove: many(remove.into()),
            moves: many(moves),
            waves: Many::default(),
            requests: many(vec![RequestChange {
                workload: web(),
                container: name("main"),
                cpu: (MilliCpu(500), MilliCpu(480)),
                memory: (Bytes(GIB), Bytes(GIB - GIB / 20)),
            }]),
            cost_now: MicroUsdPerHour(600_000),
            cost_after: MicroUsdPerHour(280_000),
            lower_bound: MicroUsdPerHour(250_000),
            transition: MicroUsd(10_000),
        },
        report: Report {
            nodes,
            pods: verdicts,
            relaxations: Many::default(),
            bound_method: Name::default(),
            balance: Balance::default(),
            heat: None,
            waste_of_added: many(vec![MicroUsdPerHour(6_000)]),
            unused: MicroUsdPerHour(4_000),
            binding: Many::default(),
            frontier: few(vec![point(0, 600_000, 90_000), point(3, 330_000, 25_000), point(5, 280_000, 0)]),
            commitments: Few::default(),
            dispersion: None,
        },
    }
}

fn show(input: &PlanningInput, planned: &Planned) -> String {
    lint(input, planned).iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn a_sound_plan_has_no_finding() {
    let input = input();
    assert_eq!(show(&input, &planned(&input)), "");
}

#[test]
fn an_empty_plan_of_an_empty_cluster_has_no_finding() {
    let mut input = input();
    input.cluster = Cluster::default();
    let mut planned = planned(&self::input());
    planned.plan = Plan {
        add: Many::default(),
        remove: Many::default(),
        moves: Many::default(),
        requests: Many::default(),
        cost_now: MicroUsdPerHour(0),
        cost_after: MicroUsdPerHour(0),
        lower_bound: MicroUsdPerHour(0),
        ..planned.plan
    };
    planned.report.nodes = Many::default();
    planned.report.pods = Many::default();
    planned.report.waste_of_added = Many::default();
    planned.report.unused = MicroUsdPerHour(0);
    assert_eq!(show(&input, &planned), "");
}

type Mutation = fn(&mut PlanningInput, &mut Planned);

/// Applies each mutation to the sound plan and expects a finding of the check; the list is the
/// table of mistakes that the linter knows.
fn caught(mutations: &[(&str, Check, Mutation)]) {
    for (what, check, mutate) in mutations {
        let mut input = input();
        let mut planned = planned(&input);
        mutate(&mut input, &mut planned);
        let findings = lint(&input, &planned);
        assert!(
            findings.iter().any(|finding| finding.check == *check),
            "{what}: {check:?} expected, found {findings:?}"
        );
        assert!(findings.is_sorted(), "{what}");
        let severe = findings.iter().any(|finding| finding.severity == Severity::Error);
        assert!(severe || *check == Check::UnusedMachine, "{what} must be an error");
    }
}

fn the_pod<'a>(input: &'a mut PlanningInput, text: &str) -> &'a mut PodFact {
    input.cluster.pods.get_mut(&key(text)).unwrap()
}

fn the_node<'a>(input: &'a mut PlanningInput, text: &str) -> &'a mut journal_schema::facts::NodeFact {
    input.cluster.nodes.get_mut(text).unwrap()
}

fn the_workload<'a>(input: &'a mut PlanningInput, kind: WorkloadKind, text: &str) -> &'a mut WorkloadFact {
    input.cluster.workloads.get_mut(&WorkloadId { kind, key: key(text) }).unwrap()
}

fn budget(text: &str, allowed: i32) -> PdbFact {
    PdbFact {
        key: key(text),
        uid: name(text),
        selector: Some(app_selector("web")),
        min_available: Some(IntOrPercent::Int(2)),
        max_unavailable: None,
        disruptions_allowed: allowed,
        current_healthy: 2,
        desired_healthy: 2,
        expected: 2,
        always_allow_unhealthy: false,
    }
}

fn add_budget(input: &mut PlanningInput, budget: PdbFact) {
    input.cluster.pdbs.insert(budget.key.clone(), budget);
}

#[test]
fn basics_and_costs() {
    caught(&[
        ("another iteration", Check::Basis, |_, p| p.plan.iteration = 8),
        ("another basis", Check::Basis, |_, p| p.plan.basis = 41),
        ("another time", Check::Basis, |_, p| p.plan.at = Timestamp(0)),
        ("slots with a hole", Check::Basis, |_, p| edit(&mut p.plan.add, |add| add[0].slot = Slot(1))),
        ("removed out of order", Check::Basis, |_, p| edit(&mut p.plan.remove, |remove| remove.reverse())),
        ("removed twice", Check::Basis, |_, p| edit(&mut p.plan.remove, |remove| remove.push(remove[1].clone()))),
        ("requests twice", Check::Basis, |_, p| {
            edit(&mut p.plan.requests, |requests| requests.push(requests[0].clone()))
        }),
        ("cost now", Check::Cost, |_, p| p.plan.cost_now.0 += 1),
        ("cost after", Check::Cost, |_, p| p.plan.cost_after.0 -= 1),
        ("negative transition", Check::Cost, |_, p| p.plan.transition = MicroUsd(-1)),
        ("bound above cost", Check::LowerBound, |_, p| p.plan.lower_bound.0 = 280_001),
        ("negative bound", Check::LowerBound, |_, p| p.plan.lower_bound.0 = -1),
        ("too many nodes", Check::Budget, |i, _| i.policy.optimize.max_nodes = Some(3)),
        ("too dear", Check::Budget, |i, _| i.policy.optimize.max_cost = Some(MicroUsdPerHour(679_999))),
    ]);
}

#[test]
fn the_certificate() {
    use journal_schema::binding::{Binding, Bottleneck};
    let cpu = |zone: Option<&str>, share| Binding {
        zone: zone.map(name),
        by: Bottleneck::Resource { resource: name("cpu") },
        share: Ppm(share),
    };
    caught(&[
        ("waste does not sum up", Check::Certificate, |_, p| p.report.unused.0 += 1),
        ("no machine's waste", Check::Certificate, |_, p| {
            p.report.waste_of_added = Many::default();
            p.report.unused.0 = 10_000;
        }),
        ("a machine wastes less than nothing", Check::Certificate, |_, p| {
            p.report.waste_of_added = many(vec![MicroUsdPerHour(-1)]);
            p.report.unused.0 = 10_001;
        }),
        ("unused less than nothing", Check::Certificate, |_, p| {
            p.report.waste_of_added = many(vec![MicroUsdPerHour(10_001)]);
            p.report.unused.0 = -1;
        }),
        ("a node wastes less than nothing", Check::Certificate, |_, p| {
            edit(&mut p.report.nodes, |nodes| nodes.iter_mut().for_each(|n| n.waste.0 = -n.waste.0));
            p.report.unused.0 = 44_000;
        }),
        ("more moves cost more", Check::Certificate, |_, p| {
            p.report.frontier = few(vec![point(0, 5, 9), point(1, 6, 0)])
        }),
        ("fewer moves cost less", Check::Certificate, |_, p| {
            p.report.frontier = few(vec![point(2, 6, 9), point(1, 5, 0)])
        }),
        ("moves buy more and more", Check::Certificate, |_, p| {
            p.report.frontier = few(vec![point(0, 9, 1), point(1, 8, 2), point(2, 6, 0)]);
        }),
        ("the cheapest has a price", Check::Certificate, |_, p| p.report.frontier = few(vec![point(0, 9, 1)])),
        ("a node that leaves wastes", Check::Certificate, |_, p| {
            edit(&mut p.report.nodes, |nodes| {
                nodes.iter_mut().filter(|n| n.action == NodeAction::Remove).take(1).for_each(|n| n.waste.0 = 1);
            });
            p.report.unused.0 = 3_999;
        }),
    ]);
    let sound = [cpu(None, 600_000), cpu(None, 400_000), cpu(Some("a"), 1_000_000)];
    let found = |binding: &[Binding]| {
        let input = input();
        let mut planned = planned(&input);
        planned.report.binding = many(binding.to_vec());
        lint(&input, &planned).iter().any(|finding| finding.check == Check::Certificate)
    };
    assert!(!found(&sound));
    assert!(found(&[cpu(None, 1_000_001)]), "more than all");
    assert!(found(&[cpu(None, -1)]), "less than nothing");
    assert!(found(&[cpu(None, 600_000), cpu(None, 400_001)]), "more than all together");
    assert!(found(&[cpu(None, 400_000), cpu(None, 600_000)]), "out of order");
}

#[test]
fn machines_to_add() {
    caught(&[
        ("unknown pool", Check::AddedMachine, |_, p| edit(&mut p.plan.add, |add| add[0].pool = name("none"))),
        ("refused pool", Check::AddedMachine, |i, _| i.pools[1].refusal = Some(PoolRefusal::Autoscaled)),
        ("excluded pool", Check::AddedMachine, |i, _| {
            i.excluded_pools.insert(name("small"));
        }),
        ("another type", Check::AddedMachine, |_, p| {
            edit(&mut p.plan.add, |add| add[0].machine_type = name("n2-standard-4"))
        }),
        ("another zone", Check::AddedMachine, |_, p| edit(&mut p.plan.add, |add| add[0].zone = name("b"))),
        ("spot", Check::AddedMachine, |_, p| edit(&mut p.plan.add, |add| add[0].capacity_type = CapacityType::Spot)),
        ("another price", Check::AddedMachine, |_, p| edit(&mut p.plan.add, |add| add[0].price.0 -= 1)),
        ("no price", Check::AddedMachine, |i, _| edit(&mut i.prices.entries, |entries| drop(entries.remove(0)))),
        ("type not allowed", Check::AddedMachine, |i, _| i.policy.optimize.machine_types = names(&["n2-*"])),
        ("zone not allowed", Check::AddedMachine, |i, _| i.policy.optimize.zones = names(&["b"])),
        ("capacity not allowed", Check::AddedMachine, |i, _| {
            i.policy.optimize.capacity_types = few(vec![CapacityType::Spot])
        }),
        ("pool full", Check::PoolSize, |i, _| i.pools[1].size = 3),
        ("nobody comes", Check::UnusedMachine, |_, p| {
            edit(&mut p.plan.moves, |moves| moves[0].to = Target::Node(name("keep")));
            set_verdict(p, "web-1-0000", PodAction::Move(Target::Node(name("keep"))));
            set_verdict(p, "web-1-0002", PodAction::Unplaced);
        }),
    ]);
}

fn set_verdict(planned: &mut Planned, pod: &str, action: PodAction) {
    edit(&mut planned.report.pods, |pods| {
        pods.iter_mut().find(|verdict| verdict.pod == key(pod)).unwrap().action = action
    });
}

#[test]
fn nodes_to_remove() {
    caught(&[
        ("unknown node", Check::RemovedNode, |_, p| edit(&mut p.plan.remove, |remove| remove[0].node = name("none"))),
        ("another UID", Check::RemovedNode, |_, p| edit(&mut p.plan.remove, |remove| remove[0].uid = name("x"))),
        ("another provider id", Check::RemovedNode, |_, p| {
            edit(&mut p.plan.remove, |remove| remove[0].provider_id = name("x"))
        }),
        ("another pool", Check::RemovedNode, |_, p| {
            edit(&mut p.plan.remove, |remove| remove[0].pool = Some(name("small")))
        }),
        ("another type", Check::RemovedNode, |_, p| {
            edit(&mut p.plan.remove, |remove| remove[0].machine_type = name("x"))
        }),
        ("another zone", Check::RemovedNode, |_, p| edit(&mut p.plan.remove, |remove| remove[0].zone = name("x"))),
        ("spot", Check::RemovedNode, |_, p| {
            edit(&mut p.plan.remove, |remove| remove[0].capacity_type = CapacityType::Spot)
        }),
        ("another price", Check::RemovedNode, |_, p| edit(&mut p.plan.remove, |remove| remove[0].price.0 += 1)),
        ("unknown price", Check::RemovedNode, |i, _| edit(&mut i.prices.entries, |entries| drop(entries.pop()))),
        ("not ours", Check::ProtectedNode, |i, _| i.managed = Managed::Listed(BTreeMap::new())),
        ("refused pool", Check::ProtectedNode, |i, _| i.pools[0].refusal = Some(PoolRefusal::ProactiveUpdates)),
        ("not selected", Check::ProtectedNode, |i, _| i.policy.nodes = app_selector("x")),
        ("control plane", Check::ProtectedNode, |i, _| {
            the_node(i, "old-1").labels.insert(name("node-role.kubernetes.io/control-plane"), name(""));
        }),
        ("excluded", Check::ProtectedNode, |i, _| the_node(i, "old-1").excluded = true),
        ("do not disrupt", Check::ProtectedNode, |i, _| the_node(i, "old-1").do_not_disrupt = DoNotDisrupt::Always),
        ("not yet", Check::ProtectedNode, |i, _| {
            the_node(i, "old-1").do_not_disrupt = DoNotDisrupt::Until(NOW.plus(Millis(1)))
        }),
        ("no scale-down", Check::ProtectedNode, |i, _| the_node(i, "old-1").scale_down_disabled = true),
        ("unknown rule", Check::ProtectedNode, |i, _| the_node(i, "old-1").unknown = names(&["x"])),
        ("being deleted", Check::ProtectedNode, |i, _| the_node(i, "old-1").deletion_at = Some(NOW)),
        ("not ready", Check::ProtectedNode, |i, _| the_node(i, "old-1").ready = false),
        ("cordoned", Check::ProtectedNode, |i, _| the_node(i, "old-1").unschedulable = true),
        ("too young", Check::ProtectedNode, |i, _| the_node(i, "old-1").created_at = NOW),
        ("hosts kinema", Check::ProtectedNode, |i, _| i.own_pod = Some(key("web-1-0000"))),
    ]);
}

#[test]
fn pods_to_move() {
    caught(&[
        ("unknown pod", Check::MovedPod, |_, p| edit(&mut p.plan.moves, |moves| moves[0].pod = key("none"))),
        ("another UID", Check::MovedPod, |_, p| edit(&mut p.plan.moves, |moves| moves[0].uid = name("x"))),
        ("another node", Check::MovedPod, |_, p| edit(&mut p.plan.moves, |moves| moves[0].from = name("old-2"))),
        ("no workload", Check::MovedPod, |_, p| edit(&mut p.plan.moves, |moves| moves[0].workload = None)),
        ("twice", Check::MovedPod, |_, p| edit(&mut p.plan.moves, |moves| moves.push(moves[0].clone()))),
        ("no such slot", Check::MoveTarget, |_, p| edit(&mut p.plan.moves, |moves| moves[0].to = Target::New(Slot(1)))),
        ("no such node", Check::MoveTarget, |_, p| {
            edit(&mut p.plan.moves, |moves| moves[0].to = Target::Node(name("none")))
        }),
        ("to where it is", Check::MoveTarget, |_, p| {
            edit(&mut p.plan.moves, |moves| moves[0].to = Target::Node(name("old-1")))
        }),
        ("to a node that leaves", Check::MoveTarget, |_, p| {
            edit(&mut p.plan.moves, |moves| moves[0].to = Target::Node(name("old-2")))
        }),
        ("no such wave", Check::Wave, |_, p| edit(&mut p.plan.moves, |moves| moves[0].wave = 1)),
        ("a wave too early", Check::Wave, |_, p| {
            p.plan.waves = many(vec![wave(Target::New(Slot(0))), wave(Target::New(Slot(0)))]);
            edit(&mut p.plan.moves, |moves| moves[0].wave = 1);
        }),
        ("a wave of nothing", Check::Wave, |_, p| p.plan.waves = many(vec![Wave { opens: few(Vec::new()) }])),
        ("a wave to no such slot", Check::Wave, |_, p| p.plan.waves = many(vec![wave(Target::New(Slot(1)))])),
        ("a wave to a node that leaves", Check::Wave, |_, p| {
            p.plan.waves = many(vec![wave(Target::Node(name("old-2")))])
        }),
        ("static", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").mirror = true),
        ("DaemonSet", Check::ProtectedPod, |i, _| {
            the_pod(i, "web-1-0000").owner.as_mut().unwrap().kind = OwnerKind::DaemonSet
        }),
        ("no controller", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").owner = None),
        ("unknown controller", Check::ProtectedPod, |i, _| {
            the_pod(i, "web-1-0000").owner.as_mut().unwrap().kind = OwnerKind::Other
        }),
        ("Job", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").owner.as_mut().unwrap().kind = OwnerKind::Job),
        ("terminating", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").deletion_at = Some(NOW)),
        ("do not disrupt", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").do_not_disrupt = DoNotDisrupt::Always),
        ("not safe to evict", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").safe_to_evict = Some(false)),
        ("prefers no eviction", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").prefer_no_eviction = true),
        ("excluded", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").excluded = true),
        ("excluded workload", Check::ProtectedPod, |i, _| {
            the_workload(i, WorkloadKind::Deployment, "web").excluded = true
        }),
        ("excluded namespace", Check::ProtectedPod, |i, _| {
            let namespace = NamespaceFact { name: name("default"), labels: BTreeMap::new(), excluded: true };
            i.cluster.namespaces.insert(namespace.name.clone(), namespace);
        }),
        ("quarantined", Check::ProtectedPod, |i, _| {
            i.quarantined.insert(web(), Reason::WorkloadUnsettled);
        }),
        ("workload goes", Check::ProtectedPod, |i, _| {
            the_workload(i, WorkloadKind::Deployment, "web").deletion_at = Some(NOW)
        }),
        ("unknown rule", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").spec.unknown = names(&["x"])),
        ("unknown rule of the template", Check::ProtectedPod, |i, _| {
            the_workload(i, WorkloadKind::Deployment, "web").template.unknown = names(&["x"]);
        }),
        ("another scheduler", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").spec.scheduler = name("volcano")),
        ("kinema", Check::ProtectedPod, |i, _| i.own_pod = Some(key("web-1-0000"))),
        ("data on the node", Check::ProtectedPod, |i, _| {
            the_pod(i, "web-1-0000").spec.local_volumes = names(&["cache"])
        }),
        ("unknown volume", Check::ProtectedPod, |i, _| the_pod(i, "web-1-0000").spec.claims = names(&["data"])),
        ("no disruption allowed", Check::DisruptionBudget, |i, _| add_budget(i, budget("one", 0))),
        ("several budgets", Check::DisruptionBudget, |i, _| {
            add_budget(i, budget("one", 1));
            add_budget(i, budget("two", 1));
        }),
        ("a budget whose status nobody wrote", Check::DisruptionBudget, |i, _| {
            let unwritten = PdbFact {
                current_healthy: 0,
                desired_healthy: 0,
                expected: 0,
                min_available: Some(IntOrPercent::Int(3)),
                ..budget("one", 0)
            };
            add_budget(i, unwritten);
        }),
        ("system pod", Check::ProtectedPod, |i, p| {
            let mut pod = i.cluster.pods.remove(&key("web-1-0000")).unwrap();
            pod.key.namespace = name("kube-system");
            edit(&mut p.plan.moves, |moves| moves[0].pod = pod.key.clone());
            i.cluster.pods.insert(pod.key.clone(), pod);
        }),
    ]);
}

#[test]
fn ways_of_moving() {
    fn method(planned: &mut Planned, index: usize, method: MoveMethod) {
        edit(&mut planned.plan.moves, |moves| moves[index].method = method);
    }
    caught(&[
        ("surge of a StatefulSet", Check::MoveMethod, |_, p| method(p, 2, MoveMethod::Surge)),
        ("rolling update when the policy surges", Check::MoveMethod, |_, p| method(p, 0, MoveMethod::RollingUpdate)),
        ("surge when the policy evicts", Check::MoveMethod, |i, _| i.policy.disruption.actuation = Actuation::Evict),
        ("rolling update of a StatefulSet", Check::MoveMethod, |i, p| {
            i.policy.disruption.actuation = Actuation::RollingUpdate;
            method(p, 2, MoveMethod::RollingUpdate);
        }),
        ("rolling update with the strategy Recreate", Check::MoveMethod, |i, p| {
            i.policy.disruption.actuation = Actuation::RollingUpdate;
            the_workload(i, WorkloadKind::Deployment, "web").strategy = UpdateStrategy::Recreate;
            method(p, 0, MoveMethod::RollingUpdate);
        }),
        ("evicting the only replica", Check::MoveMethod, |i, _| {
            the_workload(i, WorkloadKind::StatefulSet, "db").replicas = 1
        }),
        ("moving the only replica at all", Check::MoveMethod, |i, _| {
            i.policy.disruption.single_replica = SingleReplica::Skip;
            the_workload(i, WorkloadKind::Deployment, "web").replicas = 1;
        }),
        ("surge with a volume of one node", Check::MoveMethod, |i, _| {
            the_pod(i, "web-1-0000").spec.claims = names(&["data"]);
            add_volume(i);
        }),
    ]);
}

fn add_volume(input: &mut PlanningInput) {
    let claim = PvcFact {
        key: key("data"),
        uid: name("c"),
        volume: Some(name("pv")),
        storage_class: Name::default(),
        single_node: true,
    };
    let volume =
        PvFact { name: name("pv"), uid: name("v"), driver: name("csi"), node_affinity: None, zones: Few::default() };
    input.cluster.pvcs.insert(claim.key.clone(), claim);
    input.cluster.pvs.insert(volume.name.clone(), volume);
}

#[test]
fn the_replay() {
    caught(&[
        ("too big for its target", Check::Placement, |i, _| {
            the_pod(i, "web-1-0000").spec.requests.cpu = MilliCpu(1950)
        }),
        ("the target is tainted", Check::Placement, |i, _| {
            the_node(i, "keep").taints = few(vec![taint("x", "", TaintEffect::NoSchedule)])
        }),
        ("the new machine is tainted", Check::Placement, |i, _| {
            i.pools[1].taints = few(vec![taint("x", "", TaintEffect::NoSchedule)])
        }),
        ("anti-affinity with a pod on the target", Check::Placement, |i, _| {
            the_pod(i, "db-1-0000").spec.pod_anti_affinity = few(vec![pod_term("bare", "kubernetes.io/hostname")]);
        }),
        ("the surged pod stands beside the old one", Check::Placement, |i, _| {
            the_pod(i, "web-1-0000").spec.pod_anti_affinity = few(vec![pod_term("web", "topology.kubernetes.io/zone")]);
        }),
        ("spread", Check::Placement, |i, p| {
            // The domains are the pools. With the pending pod and the first the new one has two,
            // the old one has one left: a third would make the difference two.
            edit(&mut p.plan.moves, |moves| moves[1].to = Target::New(Slot(0)));
            for text in ["keep", "old-1", "old-2"] {
                the_node(i, text).labels.insert(name("pool"), name("big"));
            }
            the_pod(i, "web-1-0001").spec.spread = few(vec![spread("web", "pool", 1, true)]);
        }),
        ("the DaemonSet's pod takes the room", Check::Placement, |i, _| {
            the_workload(i, WorkloadKind::DaemonSet, "agent").template = spec(1200, GIB).into();
        }),
        ("static pods take the room", Check::Placement, |i, _| {
            for (number, text) in ["keep", "old-1", "old-2"].into_iter().enumerate() {
                let mut proxy = owned("big-proxy", number, OwnerKind::Node, text, text);
                proxy.mirror = true;
                proxy.spec.requests.cpu = MilliCpu(1450);
                i.cluster.pods.insert(proxy.key.clone(), proxy);
            }
        }),
        ("attach limit of the target", Check::Placement, |i, _| {
            the_pod(i, "db-1-0000").spec.claims = names(&["data"]);
            add_volume(i);
            let none_left = CsiNodeFact { name: name("keep"), limits: BTreeMap::from([(name("csi"), 0)]) };
            i.cluster.csi_nodes.insert(name("keep"), none_left);
        }),
        ("moves in the wrong order", Check::Placement, |i, p| {
            // web-1 leaves keep's room to db-0 only after it went to the new machine.
            the_pod(i, "web-1-0001").node = Some(name("keep"));
            the_pod(i, "bare-1-0000").spec.requests.cpu = MilliCpu(2700);
            edit(&mut p.plan.moves, |moves| {
                moves[1].from = name("keep");
                moves[1].to = Target::New(Slot(0));
                moves.swap(1, 2);
            });
        }),
        ("nowhere to go but the node that leaves", Check::Stranded, |i, _| {
            the_pod(i, "web-1-0000").spec.node_selector = labels(&[("kubernetes.io/hostname", "old-2")]);
        }),
        ("a pod stays on a node that leaves", Check::NotEmptied, |_, p| {
            edit(&mut p.plan.moves, |moves| drop(moves.pop()));
        }),
        ("a bare pod on a node that leaves", Check::NotEmptied, |i, _| {
            the_pod(i, "bare-1-0000").node = Some(name("old-1"))
        }),
        ("a pending pod does not fit", Check::PendingPod, |i, _| {
            the_pod(i, "web-1-0002").spec.requests.cpu = MilliCpu(1901)
        }),
        ("a pending pod to no machine", Check::PendingPod, |_, p| {
            set_verdict(p, "web-1-0002", PodAction::Place(Target::New(Slot(9))))
        }),
        ("a pending pod to a node that leaves", Check::PendingPod, |_, p| {
            set_verdict(p, "web-1-0002", PodAction::Place(Target::Node(name("old-1"))));
        }),
    ]);
}

/// As in "moves in the wrong order", in the right one: web-1-0001 leaves keep, which stays, to make room.
fn shift(input: &mut PlanningInput, planned: &mut Planned) {
    the_pod(input, "web-1-0001").node = Some(name("keep"));
    the_pod(input, "bare-1-0000").spec.requests.cpu = MilliCpu(2700);
    let new = Target::New(Slot(0));
    edit(&mut planned.plan.moves, |moves| {
        moves[1].from = name("keep");
        moves[1].to = new.clone();
        moves[2].wave = 1;
    });
    set_verdict(planned, "web-1-0001", PodAction::Move(new.clone()));
    planned.plan.waves = many(vec![wave(new), wave(Target::Node(name("keep")))]);
}

#[test]
fn the_order_of_moves_that_make_room_is_accepted() {
    let mut input = input();
    let mut planned = planned(&input);
    shift(&mut input, &mut planned);
    assert_eq!(show(&input, &planned), "");
}

#[test]
fn shifts() {
    caught(&[
        ("nothing leads it", Check::Shift, |i, p| {
            shift(i, p);
            p.plan.waves = many(Vec::new());
            edit(&mut p.plan.moves, |moves| moves[2].wave = 0);
        }),
        ("its node is open", Check::Shift, |i, p| {
            shift(i, p);
            let both = few(vec![Target::New(Slot(0)), Target::Node(name("keep"))]);
            edit(&mut p.plan.waves, |waves| waves[0].opens = both);
        }),
        ("its node is not ours", Check::Shift, |i, p| {
            shift(i, p);
            i.managed = Managed::Listed(["old-1", "old-2"].map(|text| (name(text), name("big"))).into());
        }),
        ("its node is excluded", Check::Shift, |i, p| {
            shift(i, p);
            the_node(i, "keep").excluded = true;
        }),
        ("its node asks not to be disrupted", Check::Shift, |i, p| {
            shift(i, p);
            the_node(i, "keep").do_not_disrupt = DoNotDisrupt::Always;
        }),
        ("its node is cordoned", Check::Shift, |i, p| {
            shift(i, p);
            the_node(i, "keep").unschedulable = true;
        }),
        ("a rolling update", Check::Shift, |i, p| {
            shift(i, p);
            edit(&mut p.plan.moves, |moves| moves[1].method = MoveMethod::RollingUpdate);
        }),
        ("a pod waits for nothing", Check::PendingPod, |i, p| {
            shift(i, p);
            the_pod(i, "web-1-0002").spec.requests.cpu = MilliCpu(1901);
        }),
        ("it comes back", Check::Stranded, |i, p| {
            shift(i, p);
            the_pod(i, "bare-1-0000").spec.requests.cpu = MilliCpu(100);
            the_pod(i, "web-1-0001").spec.node_selector = labels(&[("kubernetes.io/hostname", "keep")]);
        }),
    ]);
}

#[test]
fn requests() {
    fn change(planned: &mut Planned, change: impl FnOnce(&mut RequestChange)) {
        edit(&mut planned.plan.requests, |requests| change(&mut requests[0]));
    }
    caught(&[
        ("switched off", Check::Requests, |i, _| i.policy.predict.right_sizing = RightSizing::Off),
        ("unknown workload", Check::Requests, |_, p| change(p, |c| c.workload.key = key("none"))),
        ("unknown container", Check::Requests, |_, p| change(p, |c| c.container = name("none"))),
        ("another present request", Check::Requests, |_, p| change(p, |c| c.cpu.0 = MilliCpu(400))),
        ("not the proposal", Check::Requests, |_, p| change(p, |c| c.cpu.1 = MilliCpu(100))),
        ("not the proposed memory", Check::Requests, |_, p| change(p, |c| c.memory.1 = Bytes(GIB / 2))),
        ("no forecast", Check::Requests, |i, _| i.forecasts.containers = Many::default()),
        ("excluded", Check::Requests, |i, _| the_workload(i, WorkloadKind::Deployment, "web").excluded = true),
        ("above the limit", Check::Requests, |i, _| {
            template(i, |container| container.cpu_limit = Some(MilliCpu(479)));
        }),
        ("memory above the limit", Check::Requests, |i, _| {
            template(i, |container| container.memory_limit = Some(Bytes(GIB / 2)));
        }),
        ("memory below the peak", Check::Requests, |i, _| {
            edit(&mut i.forecasts.containers, |containers| containers[0].memory_peak = Bytes(GIB));
        }),
        ("none requested", Check::Requests, |i, p| {
            template(i, |container| container.cpu_request = None);
            change(p, |c| c.cpu.0 = MilliCpu(0));
        }),
    ]);
}

fn template(input: &mut PlanningInput, change: impl FnOnce(&mut journal_schema::facts::ContainerFact)) {
    edit(&mut the_workload(input, WorkloadKind::Deployment, "web").template.containers, |containers| {
        change(&mut containers[0])
    });
}

#[test]
fn verdicts() {
    fn nodes(planned: &mut Planned, change: impl FnOnce(&mut Vec<NodeVerdict>)) {
        edit(&mut planned.report.nodes, change);
    }
    fn pods(planned: &mut Planned, change: impl FnOnce(&mut Vec<PodVerdict>)) {
        edit(&mut planned.report.pods, change);
    }
    caught(&[
        ("a node without", Check::NodeVerdict, |_, p| nodes(p, |nodes| drop(nodes.pop()))),
        ("a node twice", Check::NodeVerdict, |_, p| nodes(p, |nodes| nodes.push(nodes[2].clone()))),
        ("a node that is not there", Check::NodeVerdict, |_, p| nodes(p, |nodes| nodes[2].node = name("zzz"))),
        ("out of order", Check::NodeVerdict, |_, p| nodes(p, |nodes| nodes.reverse())),
        ("keeps what is removed", Check::NodeVerdict, |_, p| nodes(p, |nodes| nodes[1].action = NodeAction::Keep)),
        ("removes what is kept", Check::NodeVerdict, |_, p| nodes(p, |nodes| nodes[0].action = NodeAction::Remove)),
        ("a pod without", Check::PodVerdict, |_, p| pods(p, |pods| drop(pods.pop()))),
        ("a pod twice", Check::PodVerdict, |_, p| pods(p, |pods| pods.push(pods[pods.len() - 1].clone()))),
        ("a pod that is not there", Check::PodVerdict, |_, p| pods(p, |pods| pods[0].pod = key("a"))),
        ("pods out of order", Check::PodVerdict, |_, p| pods(p, |pods| pods.reverse())),
        ("stays and moves", Check::PodVerdict, |_, p| set_verdict(p, "web-1-0000", PodAction::Stay)),
        ("moves elsewhere", Check::PodVerdict, |_, p| {
            set_verdict(p, "web-1-0000", PodAction::Move(Target::Node(name("keep"))))
        }),
        ("moves and stays", Check::PodVerdict, |_, p| {
            set_verdict(p, "bare-1-0000", PodAction::Move(Target::New(Slot(0))))
        }),
        ("places what runs", Check::PodVerdict, |_, p| {
            set_verdict(p, "bare-1-0000", PodAction::Place(Target::New(Slot(0))))
        }),
        ("gives up what runs", Check::PodVerdict, |_, p| set_verdict(p, "bare-1-0000", PodAction::Unplaced)),
    ]);
}

#[test]
fn changed_requests_count_when_the_rollout_brings_them() {
    let mut input = input();
    let mut planned = planned(&input);
    input.policy.predict.right_sizing = RightSizing::WithRollout;
    input.policy.disruption.actuation = Actuation::RollingUpdate;
    // The new machine holds 2000 − 100 for the agent: two pods of 900m, but not of 1000m.
    for text in ["web-1-0000", "web-1-0001"] {
        the_pod(&mut input, text).spec.requests.cpu = MilliCpu(900);
    }
    edit(&mut planned.plan.moves, |moves| {
        for step in &mut moves[..2] {
            step.method = MoveMethod::RollingUpdate;
            step.to = Target::New(Slot(0));
        }
    });
    set_verdict(&mut planned, "web-1-0000", PodAction::Move(Target::New(Slot(0))));
    set_verdict(&mut planned, "web-1-0001", PodAction::Move(Target::New(Slot(0))));
    set_verdict(&mut planned, "web-1-0002", PodAction::Unplaced);
    assert_eq!(show(&input, &planned), "");
    // The template's requests rise by 100m.
    edit(&mut planned.plan.requests, |requests| requests[0].cpu.1 = MilliCpu(600));
    edit(&mut input.forecasts.containers, |containers| containers[0].cpu_request = MilliCpu(600));
    let found = show(&input, &planned);
    assert!(found.starts_with("Placement: pod default/web-1-0001 does not fit new machine 0"), "{found}");
}
