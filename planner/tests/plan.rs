//! What a plan must be, on small clusters made by hand and on generated ones.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use std::collections::BTreeSet;

use journal_schema::cloud::PoolRefusal;
use journal_schema::facts::*;
use journal_schema::plan::{Managed, MoveMethod, NodeAction, Planned, PlanningInput, PodAction, Target};
use journal_schema::policy::{Actuation, Limits, SingleReplica};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{MicroUsdPerHour, Timestamp};
use planner::lint::lint;
use synthetic::{Shape, generate, name, pod_spec};
use world::{GIB, World, ZONE, plan, removed};

/// Two half-empty nodes whose pods fit on one.
fn two_nodes() -> World {
    World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1", "n2"]).app("api", 300, &["n1", "n2"])
}

fn node_reason<'p>(planned: &'p Planned, node: &str) -> &'p Reason {
    &planned.report.nodes.iter().find(|v| v.node == node).expect("a verdict").reason
}

fn pod_verdict<'p>(planned: &'p Planned, pod: &str) -> (&'p PodAction, &'p Reason) {
    let verdict = planned.report.pods.iter().find(|v| v.pod.name == pod).expect("a verdict");
    (&verdict.action, &verdict.reason)
}

#[test]
fn regression_a_plan_that_only_removes_nodes_touches_no_other_workload() {
    let input = two_nodes().app("elsewhere", 100, &["n1"]).input(&[]);
    let planned = plan(&input);
    assert_eq!(removed(&planned).len(), 1);
    assert!(planned.plan.add.is_empty());
    let leaving = planned.plan.remove[0].node.clone();
    let on_it: BTreeSet<&Key> =
        input.cluster.pods.values().filter(|p| p.node.as_ref() == Some(&leaving)).map(|p| &p.key).collect();
    let moved: BTreeSet<&Key> = planned.plan.moves.iter().map(|m| &m.pod).collect();
    assert_eq!(moved, on_it);
    assert!(planned.plan.moves.iter().all(|m| m.from == leaving));
}

#[test]
fn regression_a_budget_without_room_is_honoured() {
    let mut world = two_nodes();
    let key = Key::new(name("shop"), name("web"));
    let pdb = PdbFact {
        key: key.clone(),
        uid: name("pdb"),
        selector: Some(Selector { labels: [(name("app"), name("web"))].into(), expressions: Few::default() }),
        min_available: None,
        max_unavailable: Some(IntOrPercent::Int(0)),
        disruptions_allowed: 0,
        current_healthy: 2,
        desired_healthy: 2,
        expected: 2,
        always_allow_unhealthy: false,
    };
    world.cluster.pdbs.insert(key.clone(), pdb.clone());
    let planned = plan(&world.input(&["e2-standard-2"]));
    assert!(planned.plan.is_empty());
    assert!(
        matches!(node_reason(&planned, "n1"), Reason::PodBlocks { pod, code } if pod.name == "web-0" && *code == "PodDisruptionBudget")
    );
    assert_eq!(
        pod_verdict(&planned, "web-0"),
        (&PodAction::Stay, &Reason::PodDisruptionBudget { pdb: key, allowed: 0 })
    );
    assert!(
        planned
            .report
            .relaxations
            .iter()
            .any(|r| matches!(r.reason, Reason::PodDisruptionBudget { .. }) && r.nodes == 2)
    );

    // A budget whose status nobody has written is counted from its pods.
    let mut world = two_nodes();
    let unwritten = PdbFact {
        max_unavailable: Some(IntOrPercent::Int(1)),
        expected: 0,
        current_healthy: 0,
        desired_healthy: 0,
        ..pdb
    };
    world.cluster.pdbs.insert(unwritten.key.clone(), unwritten);
    assert_eq!(plan(&world.input(&[])).plan.remove.len(), 1);
}

#[test]
fn regression_node_selectors_are_honoured() {
    let mut bound = pod_spec(300, GIB / 4);
    bound.node_selector = [(name("cloud.google.com/machine-family"), name("n2"))].into();
    let world = World::default()
        .nodes("n2-standard-4", &["n2a"])
        .nodes("e2-standard-4", &["e2a", "e2b"])
        .app_with("bound", bound, &["n2a"])
        .app("free", 300, &["e2a", "e2b"]);
    let planned = plan(&world.input(&["e2-standard-2", "n2-standard-2"]));
    // e2 is cheaper, but what the selector names must be n2: the pod is on n2a or on a new n2.
    let action = pod_verdict(&planned, "bound-0").0;
    match action {
        PodAction::Stay => assert!(!removed(&planned).contains(&"n2a")),
        PodAction::Move(Target::New(slot)) => assert!(planned.plan.add[slot.0 as usize].machine_type.starts_with("n2")),
        PodAction::Move(Target::Node(_)) | PodAction::Place(_) | PodAction::Unplaced => panic!("{action:?}"),
    }
    assert!(planned.plan.cost_after < planned.plan.cost_now);
}

#[test]
fn a_node_is_replaced_by_a_smaller_one() {
    let world = World::default().nodes("e2-standard-16", &["big"]).app("web", 300, &["big", "big", "big"]);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-4", "e2-standard-16"]));
    assert_eq!(removed(&planned), ["big"]);
    let added: Vec<&str> = planned.plan.add.iter().map(|a| a.machine_type.as_str()).collect();
    assert_eq!(added, ["e2-standard-2"]);
    assert!(planned.plan.moves.iter().all(|m| m.method == MoveMethod::Surge));
    assert!(planned.plan.transition.0 > 0);
    assert_eq!(node_reason(&planned, "big"), &Reason::Superfluous);
    assert_eq!(planned.plan.cost_after, MicroUsdPerHour(67_011));
}

#[test]
fn the_pods_of_a_workload_take_turns_with_those_of_others() {
    // A pod waits for those of its own workload that move before it, so an order by size alone is not
    // the one in which the scheduler sees them.
    let on = |count: usize| vec!["old"; count];
    let world = World::default()
        .nodes("e2-standard-16", &["old"])
        .app("large", 1500, &on(2))
        .app("small", 100, &on(2))
        .app("many", 200, &on(8));
    let planned = plan(&world.input(&["e2-standard-8"]));
    assert_eq!(removed(&planned), ["old"]);
    let order: Vec<&str> =
        planned.plan.moves.iter().map(|step| step.pod.name.rsplit_once('-').expect("a number").0).collect();
    // Eight replicas surge by two, and are what takes longest.
    let round = ["many", "many", "large", "small"];
    assert_eq!(order, [round.as_slice(), &round, &["many"; 4]].concat());
}

/// A change to a world of two nodes, and the code of the reason that it must give pod web-0.
type Case = (&'static str, fn(&mut World));

#[test]
fn what_asks_to_be_left_alone_is_left_alone() {
    let cases: [Case; 12] = [
        ("Excluded", |w| w.pod_mut("web-0").excluded = true),
        ("DoNotDisrupt", |w| w.pod_mut("web-0").do_not_disrupt = DoNotDisrupt::Always),
        ("NotSafeToEvict", |w| w.pod_mut("web-0").safe_to_evict = Some(false)),
        ("PreferNoEviction", |w| w.pod_mut("web-0").prefer_no_eviction = true),
        ("OtherScheduler", |w| w.pod_mut("web-0").spec.scheduler = name("volcano")),
        ("UnknownConstraint", |w| w.pod_mut("web-0").spec.unknown = Few::new(vec![name("resourceClaims")]).unwrap()),
        ("NotBackedByController", |w| w.pod_mut("web-0").owner = None),
        ("JobWouldRestart", |w| {
            w.pod_mut("web-0").owner = Some(Owner { kind: OwnerKind::Job, name: name("j"), uid: name("j") })
        }),
        ("LocalStorage", |w| w.pod_mut("web-0").spec.local_volumes = Few::new(vec![name("cache")]).unwrap()),
        ("VolumeUnknown", |w| w.pod_mut("web-0").spec.claims = Few::new(vec![name("data")]).unwrap()),
        ("NotRunning", |w| w.pod_mut("web-0").deletion_at = Some(Timestamp(1))),
        ("StaticPod", |w| w.pod_mut("web-0").mirror = true),
    ];
    for (code, change) in cases {
        let mut world = two_nodes();
        change(&mut world);
        let planned = plan(&world.input(&["e2-standard-2"]));
        let (action, reason) = pod_verdict(&planned, "web-0");
        assert_eq!(action, &PodAction::Stay, "{code}");
        assert!(format!("{reason:?}").starts_with(code), "{code}: {reason:?}");
        if code != "StaticPod" {
            assert!(!removed(&planned).contains(&"n1"), "{code}: its node leaves");
        }
    }
}

#[test]
fn nodes_that_must_stay_say_why() {
    type Node = fn(&mut NodeFact);
    let cases: [(&str, Node); 8] = [
        ("Excluded", |n| n.excluded = true),
        ("DoNotDisrupt", |n| n.do_not_disrupt = DoNotDisrupt::Always),
        ("ScaleDownDisabled", |n| n.scale_down_disabled = true),
        ("NodeNotReady", |n| n.unschedulable = true),
        ("BeingDeleted", |n| n.deletion_at = Some(Timestamp(1))),
        ("TooYoung", |n| n.created_at = Timestamp(999_999_999)),
        ("PriceUnknown", |n| {
            n.labels.insert(name("node.kubernetes.io/instance-type"), name("z9-mystery"));
        }),
        ("ControlPlane", |n| {
            n.labels.insert(name("node-role.kubernetes.io/control-plane"), name(""));
        }),
    ];
    for (code, change) in cases {
        let mut world = two_nodes();
        change(world.cluster.nodes.get_mut("n1").unwrap());
        let planned = plan(&world.input(&[]));
        assert!(!removed(&planned).contains(&"n1"), "{code}");
        let reason = node_reason(&planned, "n1");
        assert!(format!("{reason:?}").starts_with(code), "{code}: {reason:?}");
    }
}

#[test]
fn only_nodes_of_usable_pools_leave() {
    let mut input = two_nodes().input(&["e2-standard-4"]);
    let pool = input.pools[0].id.clone();
    input.managed = Managed::Listed([(name("n1"), pool)].into());
    let planned = plan(&input);
    assert_eq!(removed(&planned), ["n1"]);
    input.pools[0].refusal = Some(PoolRefusal::Autoscaled);
    let planned = plan(&input);
    assert!(planned.plan.is_empty());
    assert_eq!(node_reason(&planned, "n1"), &Reason::NotManaged { refusal: Some(PoolRefusal::Autoscaled) });
    assert_eq!(node_reason(&planned, "n2"), &Reason::NotManaged { refusal: None });
}

#[test]
fn the_method_suits_the_workload_and_the_policy() {
    let method = |change: &dyn Fn(&mut PlanningInput)| {
        let mut input = two_nodes().input(&[]);
        change(&mut input);
        let planned = planner::plan(&input, &Limits::default()).expect("a plan");
        planned.plan.moves.iter().map(|m| m.method).collect::<BTreeSet<_>>()
    };
    assert_eq!(method(&|_| {}), [MoveMethod::Surge].into());
    assert_eq!(method(&|i| i.policy.disruption.actuation = Actuation::Evict), [MoveMethod::Evict].into());
    assert_eq!(
        method(&|i| i.policy.disruption.actuation = Actuation::RollingUpdate),
        [MoveMethod::RollingUpdate].into()
    );
    let with_hpas = |input: &mut PlanningInput| {
        for app in ["web", "api"] {
            let target = WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name(app)) };
            let hpa = HpaFact {
                key: target.key.clone(),
                uid: name("hpa"),
                target: Some(target),
                min_replicas: 1,
                max_replicas: 9,
                current_replicas: 2,
                desired_replicas: 2,
                cpu_target_percent: None,
                cpu_current_percent: None,
                other_metrics: false,
                last_scaled_at: None,
            };
            input.cluster.hpas.insert(hpa.key.clone(), hpa);
        }
    };
    assert_eq!(method(&with_hpas), [MoveMethod::Evict].into());
}

#[test]
fn a_single_replica_is_surged_or_left() {
    let world =
        || World::default().nodes("e2-standard-4", &["n1", "n2"]).app("one", 500, &["n1"]).app("solo", 400, &["n2"]);
    let mut input = world().input(&[]);
    assert_eq!(plan(&input).plan.moves[0].method, MoveMethod::Surge);
    input.policy.disruption.single_replica = SingleReplica::Skip;
    let planned = plan(&input);
    assert!(planned.plan.is_empty());
    assert_eq!(pod_verdict(&planned, "one-0").1, &Reason::SingleReplica);
    let mut input = world().input(&[]);
    for workload in input.cluster.workloads.values_mut() {
        workload.strategy = UpdateStrategy::Recreate;
    }
    let planned = plan(&input);
    assert!(planned.plan.is_empty());
    assert_eq!(pod_verdict(&planned, "one-0").1, &Reason::RecreateStrategy);
}

#[test]
fn pending_pods_get_room_that_exists_before_a_machine_is_bought() {
    let planned = plan(&two_nodes().app("new", 1000, &[""]).input(&["e2-standard-4"]));
    assert!(matches!(pod_verdict(&planned, "new-0").0, PodAction::Place(Target::Node(_))));
    assert!(planned.plan.add.is_empty());
    let planned = plan(&two_nodes().app("new", 6000, &[""]).input(&["e2-standard-4", "e2-standard-8"]));
    assert!(matches!(pod_verdict(&planned, "new-0").0, PodAction::Place(Target::New(_))));
    assert_eq!(planned.plan.add.len(), 1);
    let planned = plan(&two_nodes().app("new", 60_000, &[""]).input(&["e2-standard-4"]));
    assert_eq!(
        pod_verdict(&planned, "new-0"),
        (&PodAction::Unplaced, &Reason::InsufficientResource { resource: name("cpu") })
    );
}

#[test]
fn pods_that_repel_each_other_stay_apart() {
    let mut apart = pod_spec(200, GIB / 4);
    let term = PodTerm {
        selector: Some(Selector { labels: [(name("app"), name("apart"))].into(), expressions: Few::default() }),
        namespaces: Few::default(),
        namespace_selector: None,
        topology_key: name("kubernetes.io/hostname"),
    };
    apart.pod_anti_affinity = Few::new(vec![term]).unwrap();
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2", "n3"])
        .app_with("apart", apart, &["n1", "n2"])
        .app("web", 200, &["n3"]);
    let planned = plan(&world.input(&[]));
    assert_eq!(removed(&planned).len(), 1, "two nodes are needed, the third is not");
    // One node for each is the least, and the bound knows.
    assert_eq!(planned.plan.lower_bound, planned.plan.cost_after);
}

#[test]
fn a_volume_holds_its_pod_in_its_zone() {
    let mut with_volume = pod_spec(200, GIB / 4);
    with_volume.claims = Few::new(vec![name("data")]).unwrap();
    let mut world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app_with("db", with_volume, &["n1"]).app(
        "web",
        200,
        &["n2"],
    );
    world
        .cluster
        .nodes
        .get_mut("n2")
        .unwrap()
        .labels
        .insert(name("topology.kubernetes.io/zone"), name("us-central1-b"));
    let key = Key::new(name("shop"), name("data"));
    let claim = PvcFact {
        key: key.clone(),
        uid: name("c"),
        volume: Some(name("pv")),
        storage_class: name(""),
        single_node: false,
    };
    world.cluster.pvcs.insert(key, claim);
    let requirement = NodeRequirement {
        key: name("topology.kubernetes.io/zone"),
        operator: NodeOperator::In,
        values: Few::new(vec![name(ZONE)]).unwrap(),
    };
    let term = NodeTerm { labels: Few::new(vec![requirement]).unwrap(), fields: Few::default() };
    let volume = PvFact {
        name: name("pv"),
        uid: name("v"),
        driver: name("pd.csi.storage.gke.io"),
        node_affinity: Some(Few::new(vec![term]).unwrap()),
        zones: Few::default(),
    };
    world.cluster.pvs.insert(volume.name.clone(), volume);
    let planned = plan(&world.input(&[]));
    // The database cannot go to n2; the other way round is free.
    assert_eq!(removed(&planned), ["n2"]);
    assert_eq!(pod_verdict(&planned, "db-0").1, &Reason::VolumeZone { claim: name("data") });
}

#[test]
fn a_pool_does_not_grow_beyond_its_most() {
    let mut world = World::default();
    world = world.nodes("e2-standard-16", &["big"]).app("web", 1500, &["big"; 4]);
    let mut input = world.input(&["e2-standard-2"]);
    input.pools[0].max_size = Some(1);
    let planned = plan(&input);
    assert!(planned.plan.add.len() <= 1);
    assert!(planned.plan.is_empty(), "one small machine does not hold what runs, so the large one stays");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let input = generate(&Shape { nodes: 40, deleted_percent: 40, families: &["e2", "n2"], seed: 7 });
    let bytes = |threads| {
        let limits = Limits { search_steps: 1500, threads, ..Limits::default() };
        journal_schema::codec::to_bytes(&planner::plan(&input, &limits).expect("a plan")).expect("encodes")
    };
    let first = bytes(1);
    assert_eq!(first, bytes(1));
    assert_eq!(first, bytes(4));
}

#[test]
fn generated_clusters_are_planned_without_a_finding() {
    let mut saved = 0;
    for seed in 0..8 {
        let families: &[&str] = if seed % 2 == 0 { &["e2", "n2", "c3"] } else { &["n2"] };
        let input = generate(&Shape { nodes: 12 + 6 * seed as usize, deleted_percent: 20 + 5 * seed, families, seed });
        let planned = planner::plan(&input, &Limits { search_steps: 2500, ..Limits::default() })
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let findings: Vec<String> = lint(&input, &planned).iter().map(ToString::to_string).collect();
        assert_eq!(findings, Vec::<String>::new(), "seed {seed}");
        let nodes: Vec<&Name> = planned.report.nodes.iter().map(|v| &v.node).collect();
        assert_eq!(nodes, input.cluster.nodes.keys().collect::<Vec<_>>());
        let pods: Vec<&Key> = planned.report.pods.iter().map(|v| &v.pod).collect();
        assert_eq!(pods, input.cluster.pods.keys().collect::<Vec<_>>());
        let leaving: BTreeSet<&Name> = planned.plan.remove.iter().map(|r| &r.node).collect();
        for verdict in &planned.report.nodes {
            assert_eq!(verdict.action == NodeAction::Remove, leaving.contains(&verdict.node));
        }
        assert!(
            planned.plan.lower_bound <= planned.plan.cost_after && planned.plan.cost_after <= planned.plan.cost_now
        );
        saved += planned.plan.savings().0;
    }
    assert!(saved / 8 > 200_000, "the mean saving is only {} ppm", saved / 8);
}

/// A tight packing does not come true by itself: the scheduler spreads pods over what is free.
#[test]
fn a_scheduler_that_is_led_comes_closer_to_the_bound() {
    let (mut led, mut unled) = (0, 0);
    for seed in 1..=4 {
        let mut input = generate(&Shape { nodes: 40, deleted_percent: 50, families: &["e2", "n2", "c3"], seed });
        let limits = Limits { search_steps: 2500, ..Limits::default() };
        let planned = planner::plan(&input, &limits).expect("a plan");
        assert!(!planned.plan.waves.is_empty(), "seed {seed}: nobody is led");
        let as_meant =
            planned.plan.moves.iter().filter(|step| planned.plan.waves[step.wave as usize].opens.contains(&step.to));
        let (as_meant, moves) = (as_meant.count(), planned.plan.moves.len());
        assert!(as_meant * 100 >= moves * 98, "seed {seed}: {as_meant} of {moves} pods come where they are led");
        led += planned.plan.cost_after.0;
        input.policy.disruption.steering = false;
        let planned = planner::plan(&input, &limits).expect("a plan");
        assert!(planned.plan.waves.is_empty(), "seed {seed}: led against the policy");
        unled += planned.plan.cost_after.0;
    }
    println!("{led} led, {unled} not");
    assert!(led * 100 <= unled * 95, "{led} led, {unled} not");
}

/// Pods that move at the same time may overtake each other; what that could spoil is done one after the other, and no
/// machine is booted for it.
#[test]
fn a_plan_costs_hardly_more_than_the_placement_that_was_found() {
    let (mut plans, mut placements) = (0, 0);
    for seed in 1..=4 {
        let mut input = generate(&Shape { nodes: 60, deleted_percent: 50, families: &["e2", "n2", "c3"], seed });
        // So the last point of the frontier is the cheapest placement.
        input.policy.optimize.move_penalty = MicroUsdPerHour(0);
        let planned = planner::plan(&input, &Limits { search_steps: 2500, ..Limits::default() }).expect("a plan");
        placements += planned.report.frontier.iter().last().expect("a placement").cost.0;
        plans += planned.plan.cost_after.0;
    }
    assert!(plans * 1_000 <= placements * 1_001, "{plans} for placements of {placements}");
}

#[test]
fn an_empty_cluster_has_an_empty_plan() {
    let planned = plan(&World::default().input(&["e2-standard-2"]));
    assert!(planned.plan.is_empty());
    assert_eq!(planned.plan.cost_after, MicroUsdPerHour(0));
    assert_eq!(planned.plan.lower_bound, MicroUsdPerHour(0));
}

#[test]
fn two_pods_do_not_take_one_port() {
    let mut port = pod_spec(100, GIB / 8);
    port.host_ports = Few::new(vec![HostPort { ip: name("0.0.0.0"), protocol: name("TCP"), port: 8080 }]).unwrap();
    let world = World::default().nodes("e2-standard-4", &["n1", "n2"]).app_with("port", port, &["n1", "n2"]);
    let planned = plan(&world.input(&[]));
    assert!(planned.plan.is_empty(), "both pods take the same port of a node");
}
