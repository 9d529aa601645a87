//! Clusters that cannot be meant, or leave nothing to decide: each gets a verdict or a clear error, never a panic.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::facts::*;
use journal_schema::plan::{Cluster, NodeAction, Planned, PodAction, Target};
use journal_schema::policy::Limits;
use journal_schema::reason::Reason;
use journal_schema::text::Few;
use journal_schema::units::{MicroUsdPerHour, Ppm};
use synthetic::{input, name, pod_spec};
use world::{GIB, World, ZONE, plan, removed};

fn verdict<'p>(planned: &'p Planned, pod: &str) -> (&'p PodAction, &'p Reason) {
    let verdict = planned.report.pods.iter().find(|verdict| verdict.pod.name == pod).expect("a verdict");
    (&verdict.action, &verdict.reason)
}

fn term(app: &str, topology: &str) -> PodTerm {
    PodTerm {
        selector: Some(Selector { labels: [(name("app"), name(app))].into(), expressions: Few::default() }),
        namespaces: Few::default(),
        namespace_selector: None,
        topology_key: name(topology),
    }
}

/// Two half-empty nodes, and what waits.
fn waiting(spec: PodSpecFact) -> World {
    World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1", "n2"]).app_with("new", spec, &[""])
}

#[test]
fn a_pod_larger_than_any_machine_waits_and_the_rest_is_planned() {
    for (cpu, memory, short) in [(500_000, GIB, "cpu"), (500, 5_000 * GIB, "memory")] {
        let planned = plan(&waiting(pod_spec(cpu, memory)).input(&["e2-standard-4", "e2-standard-32"]));
        let reason = Reason::InsufficientResource { resource: name(short) };
        assert_eq!(verdict(&planned, "new-0"), (&PodAction::Unplaced, &reason));
        assert_eq!(removed(&planned).len(), 1, "what can be saved is saved all the same");
        assert!(planned.plan.add.is_empty());
    }
}

#[test]
fn a_pod_larger_than_its_own_node_is_left_there() {
    let world = World::default().nodes("e2-standard-2", &["n1", "n2"]).app("huge", 50_000, &["n1"]);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-4"]));
    assert_eq!(verdict(&planned, "huge-0").0, &PodAction::Stay);
    assert_eq!(removed(&planned), ["n2"]);
}

#[test]
fn contradictory_affinities_keep_a_pod_waiting() {
    let requirement = |operator| NodeRequirement {
        key: name("topology.kubernetes.io/zone"),
        operator,
        values: Few::new(vec![name(ZONE)]).unwrap(),
    };
    let mut nowhere = pod_spec(100, GIB / 8);
    let both = vec![requirement(NodeOperator::In), requirement(NodeOperator::NotIn)];
    let terms = vec![NodeTerm { labels: Few::new(both).unwrap(), fields: Few::default() }];
    nowhere.node_affinity = Some(Few::new(terms).unwrap());
    let planned = plan(&waiting(nowhere).input(&["e2-standard-4"]));
    assert_eq!(verdict(&planned, "new-0"), (&PodAction::Unplaced, &Reason::NodeAffinity));

    let mut torn = pod_spec(100, GIB / 8);
    torn.pod_affinity = Few::new(vec![term("web", "kubernetes.io/hostname")]).unwrap();
    torn.pod_anti_affinity = Few::new(vec![term("web", "kubernetes.io/hostname")]).unwrap();
    let planned = plan(&waiting(torn).input(&["e2-standard-4"]));
    let (action, reason) = verdict(&planned, "new-0");
    assert_eq!(action, &PodAction::Unplaced);
    assert!(matches!(reason, Reason::PodAffinity | Reason::PodAntiAffinity), "{reason:?}");
    assert_eq!(removed(&planned).len(), 1);
}

#[test]
fn pods_that_want_each_other_and_cannot_have_it_stay_where_they_are() {
    let wants = |other: &str| {
        let mut spec = pod_spec(500, GIB / 2);
        spec.pod_affinity = Few::new(vec![term(other, "kubernetes.io/hostname")]).unwrap();
        spec.pod_anti_affinity = Few::new(vec![term(other, "topology.kubernetes.io/zone")]).unwrap();
        spec
    };
    let world = World::default()
        .nodes("e2-standard-4", &["n1", "n2", "n3"])
        .app_with("hen", wants("egg"), &["n1"])
        .app_with("egg", wants("hen"), &["n2"])
        .app("web", 500, &["n3"]);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-4"]));
    for pod in ["hen-0", "egg-0"] {
        assert_eq!(verdict(&planned, pod).0, &PodAction::Stay);
    }
}

#[test]
fn a_budget_of_zero_holds_its_nodes_and_a_budget_for_nobody_holds_none() {
    let with = |app: &str| {
        let mut world =
            World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1"]).app("api", 500, &["n2"]);
        world.budget_of_zero(app);
        plan(&world.input(&[]))
    };
    let held = with("web");
    assert!(matches!(verdict(&held, "web-0"), (PodAction::Stay, Reason::PodDisruptionBudget { allowed: 0, .. })));
    assert_eq!(removed(&held), ["n2"]);
    assert_eq!(removed(&with("nobody")).len(), 1);
}

#[test]
fn a_type_without_a_price_is_not_booted_and_its_nodes_stay() {
    let world = || World::default().nodes("e2-standard-16", &["big"]).app("web", 300, &["big"]);
    let mut unpriced = world().input(&["e2-standard-2", "e2-standard-4"]);
    let without = |input: &journal_schema::plan::PlanningInput, machine_type: &str| {
        let entries = input.prices.entries.iter().filter(|entry| entry.machine_type != machine_type).cloned();
        entries.collect::<Vec<_>>().try_into().expect("fewer than before")
    };
    unpriced.prices.entries = without(&unpriced, "e2-standard-2");
    let planned = plan(&unpriced);
    let added: Vec<&str> = planned.plan.add.iter().map(|add| add.machine_type.as_str()).collect();
    assert_eq!(added, ["e2-standard-4"], "the smaller one has no price");

    let mut unpriced = world().input(&["e2-standard-2"]);
    unpriced.prices.entries = without(&unpriced, "e2-standard-16");
    let planned = plan(&unpriced);
    assert!(planned.plan.is_empty());
    let reason = Reason::PriceUnknown { machine_type: name("e2-standard-16") };
    assert_eq!((planned.report.nodes[0].action, &planned.report.nodes[0].reason), (NodeAction::Keep, &reason));
    assert_eq!(planned.plan.cost_now, MicroUsdPerHour::ZERO, "what is not known is not counted");
}

#[test]
fn pools_without_offers_leave_only_what_is_there() {
    let changes: [fn(&mut journal_schema::plan::PlanningInput); 3] = [
        |input| input.pools.iter_mut().for_each(|pool| (pool.size, pool.max_size) = (3, Some(3))),
        |input| input.excluded_pools = input.pools.iter().map(|pool| pool.id.clone()).collect(),
        |input| input.pools.clear(),
    ];
    for change in changes {
        let mut input = waiting(pod_spec(6_000, GIB)).input(&["e2-standard-2", "e2-standard-8"]);
        change(&mut input);
        let planned = plan(&input);
        assert!(planned.plan.add.is_empty());
        assert_eq!(verdict(&planned, "new-0").0, &PodAction::Unplaced);
        assert_eq!(removed(&planned).len(), 1, "a node that is not needed leaves without a new one");
    }
}

#[test]
fn nodes_without_pods_leave() {
    let planned = plan(&World::default().nodes("e2-standard-4", &["n1", "n2"]).input(&["e2-standard-2"]));
    assert_eq!(removed(&planned), ["n1", "n2"]);
    assert_eq!((planned.plan.cost_after, planned.plan.lower_bound), (MicroUsdPerHour::ZERO, MicroUsdPerHour::ZERO));
    assert!(planned.plan.moves.is_empty());
}

#[test]
fn a_cluster_without_anything_has_an_empty_plan() {
    let planned = plan(&input(Cluster::default(), Vec::new()));
    assert!(planned.plan.is_empty() && planned.report.nodes.is_empty() && planned.report.pods.is_empty());
    assert!(planned.report.binding.is_empty());
}

#[test]
fn pods_without_a_node_get_machines() {
    let planned = plan(&World::default().app("new", 500, &["", ""]).input(&["e2-standard-2"]));
    assert_eq!(planned.plan.add.len(), 1);
    assert!(matches!(verdict(&planned, "new-0").0, PodAction::Place(Target::New(_))));
    assert_eq!(planned.plan.lower_bound, planned.plan.cost_after);
}

#[test]
fn requests_as_large_as_facts_may_hold_fit_nowhere_and_overflow_nothing() {
    // The most that a fact may say; larger amounts are cut to it.
    let most = 1 << 46;
    for spec in [pod_spec(most, GIB), pod_spec(100, most), pod_spec(most, most)] {
        let planned = plan(&waiting(spec.clone()).input(&["e2-standard-4"]));
        assert_eq!(verdict(&planned, "new-0").0, &PodAction::Unplaced);
        let world = World::default()
            .nodes("e2-standard-4", &["n1", "n2", "n3"])
            .app_with("huge", spec, &["n1", "n2"])
            .app("web", 500, &["n3"]);
        let planned = plan(&world.input(&["e2-standard-2"]));
        for pod in ["huge-0", "huge-1"] {
            assert_eq!(verdict(&planned, pod).0, &PodAction::Stay);
        }
    }
    let mut many = pod_spec(100, GIB);
    many.requests.extended = [(name("example.com/gpu"), most)].into();
    let planned = plan(&waiting(many).input(&["e2-standard-4"]));
    assert_eq!(
        verdict(&planned, "new-0"),
        (&PodAction::Unplaced, &Reason::InsufficientResource { resource: name("example.com/gpu") })
    );
}

#[test]
fn an_optimal_cluster_is_left_alone_with_the_proof() {
    let world = World::default().nodes("e2-standard-2", &["n1"]).app("web", 900, &["n1"]).app("api", 800, &["n1"]);
    let planned = plan(&world.input(&["e2-standard-2", "e2-standard-4"]));
    assert!(planned.plan.is_empty());
    assert_eq!(planned.plan.lower_bound, planned.plan.cost_now);
    assert_eq!(planned.plan.gap(), Ppm(0));
    let node = &planned.report.nodes[0];
    assert_eq!((node.action, node.waste), (NodeAction::Keep, MicroUsdPerHour::ZERO));
}

#[test]
fn no_step_of_search_still_gives_a_plan() {
    let input =
        World::default().nodes("e2-standard-4", &["n1", "n2"]).app("web", 500, &["n1", "n2"]).input(&["e2-standard-2"]);
    let none = Limits { search_steps: 0, mip_nodes: 0, threads: 0 };
    let planned = planner::plan(&input, &none).expect("a plan");
    assert!(planned.plan.lower_bound <= planned.plan.cost_after && planned.plan.cost_after <= planned.plan.cost_now);
}

#[test]
fn a_node_that_is_not_ready_and_not_tainted_does_not_break_the_bound() {
    // The scheduler looks at taints only, so the waiting pod goes there: for nothing.
    let mut world = World::default().nodes("e2-standard-4", &["n1"]).app("new", 500, &[""]);
    world.cluster.nodes.get_mut("n1").unwrap().ready = false;
    let planned = plan(&world.input(&["e2-standard-2"]));
    assert!(planned.plan.lower_bound <= planned.plan.cost_after);
    assert_eq!(verdict(&planned, "new-0").0, &PodAction::Place(Target::Node(name("n1"))));
}
