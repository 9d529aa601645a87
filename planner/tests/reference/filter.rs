//! The scheduler's filters, one small case after the other. What each must answer was worked out
//! from the plugin that the rule mirrors.

use std::collections::BTreeMap;

use journal_schema::facts::{
    CsiNodeFact, Key, Kind, NamespaceFact, NodeFact, NodeOperator, NodeTerm, Object, PodFact, PodPhase, PodTerm,
    PvFact, PvcFact, Selector, TaintEffect,
};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Bytes, MilliCpu, Timestamp};
use planner::scheduler::Snapshot;

use crate::facts::{
    GIB, HOSTNAME, ZONE, few, labels, name, names, node, node_term, pod, pod_term, port, requirement, spread, taint,
    tolerate,
};

fn with(nodes: &[NodeFact]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.put_node(node.clone());
    }
    snapshot
}

fn one(node: NodeFact) -> Snapshot {
    with(&[node])
}

/// Nodes `<zone><n>`: two in zone a, two in zone b.
fn two_zones() -> Snapshot {
    with(&[node("a1", "a"), node("a2", "a"), node("b1", "b"), node("b2", "b")])
}

fn bind(snapshot: &mut Snapshot, app: &str, number: usize, on: &str) {
    snapshot.bind(pod(app, number, 100, GIB / 8), &name(on));
}

fn short_of(resource: &str) -> Result<(), Reason> {
    Err(Reason::InsufficientResource { resource: name(resource) })
}

fn fits(snapshot: &Snapshot, pod: &PodFact) -> Vec<String> {
    snapshot.cycle(pod).feasible().iter().map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn a_node_that_is_not_known_is_refused() {
    let pod = pod("web", 0, 1, 1);
    assert_eq!(Snapshot::default().filter(&pod, "n"), Err(Reason::NodeChanged { node: name("n") }));
}

#[test]
fn a_cordon_is_tolerated_by_its_taint_only() {
    let mut cordoned = node("n", "a");
    cordoned.unschedulable = true;
    let snapshot = one(cordoned);
    let mut pod = pod("web", 0, 100, GIB);
    assert_eq!(snapshot.filter(&pod, "n"), Err(Reason::Unschedulable));
    pod.spec.tolerations = few(vec![tolerate("other", true, "", None)]);
    assert_eq!(snapshot.filter(&pod, "n"), Err(Reason::Unschedulable));
    pod.spec.tolerations =
        few(vec![tolerate("node.kubernetes.io/unschedulable", true, "", Some(TaintEffect::NoSchedule))]);
    assert_eq!(snapshot.filter(&pod, "n"), Ok(()));
    pod.spec.tolerations = few(vec![tolerate("", true, "", None)]);
    assert_eq!(snapshot.filter(&pod, "n"), Ok(()));
}

#[test]
fn taints_and_tolerations() {
    use TaintEffect::{NoExecute, NoSchedule, PreferNoSchedule};
    let refused = Err(Reason::Taint { key: name("dedicated") });
    let cases = [
        // effect of the taint dedicated=user1, tolerations, answer
        (NoSchedule, vec![], refused.clone()),
        (NoExecute, vec![], refused.clone()),
        (PreferNoSchedule, vec![], Ok(())),
        (NoSchedule, vec![tolerate("dedicated", false, "user1", Some(NoSchedule))], Ok(())),
        (NoSchedule, vec![tolerate("dedicated", false, "user2", Some(NoSchedule))], refused.clone()),
        (NoSchedule, vec![tolerate("dedicated", true, "", Some(NoSchedule))], Ok(())),
        (NoSchedule, vec![tolerate("dedicated", true, "", Some(NoExecute))], refused.clone()),
        (NoExecute, vec![tolerate("dedicated", true, "", Some(NoExecute))], Ok(())),
        (NoExecute, vec![tolerate("dedicated", true, "", None)], Ok(())),
        (NoSchedule, vec![tolerate("foo", true, "", None)], refused.clone()),
        (NoSchedule, vec![tolerate("", true, "", None)], Ok(())),
        (NoSchedule, vec![tolerate("foo", true, "", None), tolerate("dedicated", false, "user1", None)], Ok(())),
    ];
    for (number, (effect, tolerations, expected)) in cases.into_iter().enumerate() {
        let mut tainted = node("n", "a");
        tainted.taints = few(vec![taint("dedicated", "user1", effect)]);
        let mut pod = pod("web", 0, 100, GIB);
        pod.spec.tolerations = few(tolerations);
        assert_eq!(one(tainted).filter(&pod, "n"), expected, "case {number}");
    }
}

#[test]
fn node_selector_and_affinity() {
    use NodeOperator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
    // Each case: requirements of one term, and whether a node foo=bar, GPU=2 matches.
    let cases = [
        (vec![requirement("foo", In, &["bar", "value2"])], true),
        (vec![requirement("foo", In, &["value1"])], false),
        (vec![requirement("missing", In, &["bar"])], false),
        (vec![requirement("foo", NotIn, &["bar"])], false),
        (vec![requirement("missing", NotIn, &["bar"])], true),
        (vec![requirement("foo", Exists, &[])], true),
        (vec![requirement("missing", Exists, &[])], false),
        (vec![requirement("foo", DoesNotExist, &[])], false),
        (vec![requirement("missing", DoesNotExist, &[])], true),
        (vec![requirement("GPU", Gt, &["1"])], true),
        (vec![requirement("GPU", Gt, &["2"])], false),
        (vec![requirement("GPU", Lt, &["3"])], true),
        (vec![requirement("GPU", Lt, &["-3"])], false),
        (vec![requirement("GPU", Gt, &["-3"])], false),
        (vec![requirement("foo", Gt, &["1"])], false),
        (vec![requirement("GPU", Gt, &["one"])], false),
        (vec![requirement("GPU", Gt, &["0", "1"])], false),
        (vec![requirement("missing", Gt, &["0"])], false),
        (vec![requirement("foo", In, &["bar"]), requirement("GPU", Gt, &["5"])], false),
        (vec![], false),
    ];
    for (number, (requirements, expected)) in cases.into_iter().enumerate() {
        let mut labelled = node("n", "a");
        labelled.labels.extend(labels(&[("foo", "bar"), ("GPU", "2")]));
        let snapshot = one(labelled);
        let mut pod = pod("web", 0, 100, GIB);
        pod.spec.node_affinity = Some(few(vec![node_term(requirements)]));
        assert_eq!(snapshot.filter(&pod, "n").is_ok(), expected, "case {number}");
    }
}

#[test]
fn terms_are_alternatives_and_the_selector_is_needed_as_well() {
    let mut labelled = node("n", "a");
    labelled.labels.extend(labels(&[("foo", "bar")]));
    let snapshot = one(labelled);
    let yes = node_term(vec![requirement("foo", NodeOperator::Exists, &[])]);
    let no = node_term(vec![requirement("foo", NodeOperator::DoesNotExist, &[])]);
    let mut pod = pod("web", 0, 100, GIB);
    pod.spec.node_affinity = Some(few(vec![no.clone(), yes.clone()]));
    assert_eq!(snapshot.filter(&pod, "n"), Ok(()));
    pod.spec.node_selector = labels(&[("foo", "other")]);
    assert_eq!(snapshot.filter(&pod, "n"), Err(Reason::NodeAffinity));
    pod.spec.node_selector = labels(&[("foo", "bar")]);
    assert_eq!(snapshot.filter(&pod, "n"), Ok(()));
    pod.spec.node_affinity = Some(few(vec![no]));
    assert_eq!(snapshot.filter(&pod, "n"), Err(Reason::NodeAffinity));
    // A list without terms matches no node.
    pod.spec.node_affinity = Some(Few::default());
    assert_eq!(snapshot.filter(&pod, "n"), Err(Reason::NodeAffinity));
}

#[test]
fn metadata_name_is_a_field() {
    use NodeOperator::{Exists, In, NotIn};
    let cases = [
        (vec![requirement("metadata.name", In, &["n"])], true),
        (vec![requirement("metadata.name", In, &["other"])], false),
        (vec![requirement("metadata.name", NotIn, &["other"])], true),
        (vec![requirement("metadata.name", NotIn, &["n"])], false),
        (vec![requirement("metadata.name", In, &["n", "other"])], false),
        (vec![requirement("metadata.name", Exists, &[])], false),
        (vec![requirement("spec.unschedulable", In, &["n"])], false),
    ];
    for (number, (fields, expected)) in cases.into_iter().enumerate() {
        let snapshot = one(node("n", "a"));
        let mut pod = pod("web", 0, 100, GIB);
        pod.spec.node_affinity = Some(few(vec![NodeTerm { labels: Few::default(), fields: few(fields) }]));
        assert_eq!(snapshot.filter(&pod, "n").is_ok(), expected, "case {number}");
    }
}

#[test]
fn host_ports() {
    let taken = Err(Reason::HostPort { port: 8080 });
    let cases = [
        (port("127.0.0.1", "TCP", 8080), port("127.0.0.1", "TCP", 8080), taken.clone()),
        (port("127.0.0.1", "TCP", 8080), port("127.0.0.2", "TCP", 8080), Ok(())),
        (port("127.0.0.1", "TCP", 8080), port("127.0.0.1", "UDP", 8080), Ok(())),
        (port("127.0.0.1", "TCP", 8080), port("127.0.0.1", "TCP", 8081), Ok(())),
        (port("0.0.0.0", "TCP", 8080), port("127.0.0.1", "TCP", 8080), taken.clone()),
        (port("127.0.0.1", "TCP", 8080), port("0.0.0.0", "TCP", 8080), taken.clone()),
        (port("", "", 8080), port("10.0.0.1", "TCP", 8080), taken.clone()),
        (port("0.0.0.0", "UDP", 8080), port("0.0.0.0", "TCP", 8080), Ok(())),
    ];
    for (number, (wanted, there, expected)) in cases.into_iter().enumerate() {
        let mut snapshot = one(node("n", "a"));
        let mut first = pod("first", 0, 100, GIB);
        first.spec.host_ports = few(vec![there]);
        snapshot.bind(first, &name("n"));
        let mut second = pod("second", 0, 100, GIB);
        second.spec.host_ports = few(vec![wanted]);
        assert_eq!(snapshot.filter(&second, "n"), expected, "case {number}");
    }
}

#[test]
fn resources_fit_to_the_last_unit_and_not_beyond() {
    let mut snapshot = one(node("n", "a"));
    snapshot.bind(pod("first", 0, 3000, 12 * GIB), &name("n"));
    assert_eq!(snapshot.filter(&pod("p", 0, 1000, 4 * GIB), "n"), Ok(()));
    assert_eq!(snapshot.filter(&pod("p", 0, 1001, 4 * GIB), "n"), short_of("cpu"));
    assert_eq!(snapshot.filter(&pod("p", 0, 1000, 4 * GIB + 1), "n"), short_of("memory"));
    let mut disk = pod("p", 0, 0, 0);
    disk.spec.requests.ephemeral = Bytes(100 * GIB + 1);
    assert_eq!(snapshot.filter(&disk, "n"), short_of("ephemeral-storage"));
}

#[test]
fn a_pod_that_asks_for_nothing_fits_a_node_with_less_than_nothing_left() {
    let mut snapshot = one(node("n", "a"));
    snapshot.bind(pod("first", 0, 5000, 17 * GIB), &name("n"));
    assert_eq!(snapshot.filter(&pod("p", 0, 0, 0), "n"), Ok(()));
    assert_eq!(snapshot.filter(&pod("p", 0, 1, 0), "n"), short_of("cpu"));
    assert_eq!(snapshot.filter(&pod("p", 0, 0, 1), "n"), short_of("memory"));
}

#[test]
fn the_number_of_pods_is_limited_even_for_pods_that_ask_for_nothing() {
    let mut small = node("n", "a");
    small.allocatable.pods = 2;
    let mut snapshot = one(small);
    bind(&mut snapshot, "first", 0, "n");
    assert_eq!(snapshot.filter(&pod("p", 0, 0, 0), "n"), Ok(()));
    bind(&mut snapshot, "first", 1, "n");
    assert_eq!(snapshot.filter(&pod("p", 0, 0, 0), "n"), short_of("pods"));
}

#[test]
fn extended_resources_are_counted_by_name() {
    let gpu = name("nvidia.com/gpu");
    let mut big = node("n", "a");
    big.allocatable.extended = BTreeMap::from([(gpu.clone(), 2)]);
    let mut snapshot = one(big);
    let mut wants = pod("p", 0, 100, GIB);
    wants.spec.requests.extended = BTreeMap::from([(gpu.clone(), 1)]);
    snapshot.bind(wants.clone(), &name("n"));
    wants.key.name = name("p2");
    assert_eq!(snapshot.filter(&wants, "n"), Ok(()));
    wants.spec.requests.extended.insert(gpu.clone(), 2);
    assert_eq!(snapshot.filter(&wants, "n"), short_of("nvidia.com/gpu"));
    wants.spec.requests.extended = BTreeMap::from([(name("example.com/other"), 0)]);
    assert_eq!(snapshot.filter(&wants, "n"), Ok(()));
    wants.spec.requests.extended = BTreeMap::from([(name("example.com/other"), 1)]);
    assert_eq!(snapshot.filter(&wants, "n"), short_of("example.com/other"));
}

fn claim(snapshot: &mut Snapshot, claim: &str, volume: Option<&str>) {
    snapshot.apply(&Object::Pvc(PvcFact {
        key: Key::new(name("default"), name(claim)),
        uid: name(claim),
        volume: volume.map(name),
        storage_class: Name::default(),
        single_node: true,
    }));
}

fn volume(text: &str) -> PvFact {
    PvFact { name: name(text), uid: name(text), driver: name("csi"), node_affinity: None, zones: Few::default() }
}

#[test]
fn a_claim_without_a_known_volume_is_refused() {
    let mut snapshot = one(node("n", "a"));
    let mut pod = pod("db", 0, 100, GIB);
    pod.spec.claims = names(&["data"]);
    let unknown = Err(Reason::VolumeUnknown { claim: name("data") });
    assert_eq!(snapshot.filter(&pod, "n"), unknown, "no such claim");
    claim(&mut snapshot, "data", None);
    assert_eq!(snapshot.filter(&pod, "n"), unknown, "not bound");
    claim(&mut snapshot, "data", Some("pv"));
    assert_eq!(snapshot.filter(&pod, "n"), unknown, "no such volume");
    snapshot.apply(&Object::Pv(volume("pv")));
    assert_eq!(snapshot.filter(&pod, "n"), Ok(()));
    snapshot.delete(Kind::PersistentVolume, &Key::cluster(name("pv")));
    assert_eq!(snapshot.filter(&pod, "n"), unknown, "gone again");
}

#[test]
fn a_volume_is_reached_from_its_own_nodes_and_zones() {
    let mut snapshot = two_zones();
    let mut unlabelled = node("c1", "c");
    unlabelled.labels = labels(&[(HOSTNAME, "c1")]);
    snapshot.put_node(unlabelled);
    claim(&mut snapshot, "data", Some("pv"));
    let mut pod = pod("db", 0, 100, GIB);
    pod.spec.claims = names(&["data"]);

    let mut pinned = volume("pv");
    pinned.node_affinity = Some(few(vec![node_term(vec![requirement(ZONE, NodeOperator::In, &["a"])])]));
    snapshot.apply(&Object::Pv(pinned));
    assert_eq!(fits(&snapshot, &pod), ["a1", "a2"]);
    assert_eq!(snapshot.filter(&pod, "b1"), Err(Reason::VolumeZone { claim: name("data") }));

    // The zone label of an old volume does not bind a node that has no topology label at all.
    let mut labelled = volume("pv");
    labelled.zones = names(&["b"]);
    snapshot.apply(&Object::Pv(labelled));
    assert_eq!(fits(&snapshot, &pod), ["b1", "b2", "c1"]);

    let mut impossible = volume("pv");
    impossible.node_affinity = Some(Few::default());
    snapshot.apply(&Object::Pv(impossible));
    assert!(fits(&snapshot, &pod).is_empty());
}

#[test]
fn attached_volumes_are_counted_once_each() {
    let mut snapshot = one(node("n", "a"));
    snapshot.apply(&Object::CsiNode(CsiNodeFact { name: name("n"), limits: BTreeMap::from([(name("csi"), 2)]) }));
    for index in 0..4 {
        claim(&mut snapshot, &format!("claim-{index}"), Some(&format!("pv-{index}")));
        snapshot.apply(&Object::Pv(volume(&format!("pv-{index}"))));
    }
    let with_claims = |number: usize, claims: &[&str]| {
        let mut pod = pod("db", number, 100, GIB / 8);
        pod.spec.claims = names(claims);
        pod
    };
    let full = Err(Reason::AttachLimit { driver: name("csi") });
    assert_eq!(snapshot.filter(&with_claims(0, &["claim-0", "claim-1", "claim-2"]), "n"), full);
    snapshot.bind(with_claims(0, &["claim-0", "claim-1"]), &name("n"));
    assert_eq!(snapshot.filter(&with_claims(1, &["claim-2"]), "n"), full);
    assert_eq!(snapshot.filter(&with_claims(1, &["claim-1"]), "n"), Ok(()), "the same volume again");
    assert_eq!(snapshot.filter(&pod("web", 0, 100, GIB / 8), "n"), Ok(()), "no volume");
    let mut other = volume("pv-3");
    other.driver = name("nfs");
    snapshot.apply(&Object::Pv(other));
    assert_eq!(snapshot.filter(&with_claims(1, &["claim-3"]), "n"), Ok(()), "another driver without a limit");
}

fn spreading(constraints: Vec<journal_schema::facts::SpreadConstraint>) -> PodFact {
    let mut pod = pod("foo", 99, 100, GIB / 8);
    pod.spec.spread = few(constraints);
    pod
}

#[test]
fn spread_over_zones() {
    let mut snapshot = two_zones();
    let even = spreading(vec![spread("foo", ZONE, 1, true)]);
    assert_eq!(fits(&snapshot, &even), ["a1", "a2", "b1", "b2"]);
    bind(&mut snapshot, "foo", 0, "a1");
    assert_eq!(fits(&snapshot, &even), ["b1", "b2"]);
    assert_eq!(snapshot.filter(&even, "a2"), Err(Reason::TopologySpread { key: name(ZONE) }));
    assert_eq!(fits(&snapshot, &spreading(vec![spread("foo", ZONE, 2, true)])), ["a1", "a2", "b1", "b2"]);
    // Another namespace and a terminating pod do not count.
    let mut elsewhere = pod("foo", 1, 100, GIB / 8);
    elsewhere.key.namespace = name("other");
    snapshot.bind(elsewhere, &name("b1"));
    let mut leaving = pod("foo", 2, 100, GIB / 8);
    leaving.deletion_at = Some(Timestamp(1));
    snapshot.bind(leaving, &name("b1"));
    assert_eq!(fits(&snapshot, &even), ["b1", "b2"]);
    // A soft constraint refuses nothing.
    assert_eq!(fits(&snapshot, &spreading(vec![spread("foo", ZONE, 1, false)])).len(), 4);
}

#[test]
fn a_pod_that_its_own_constraint_does_not_select_adds_nothing() {
    let mut snapshot = two_zones();
    bind(&mut snapshot, "bar", 0, "a1");
    let other = spreading(vec![spread("bar", ZONE, 1, true)]);
    assert_eq!(fits(&snapshot, &other), ["a1", "a2", "b1", "b2"]);
    bind(&mut snapshot, "bar", 1, "a2");
    assert_eq!(fits(&snapshot, &other), ["b1", "b2"]);
}

#[test]
fn several_constraints_must_all_hold() {
    let mut snapshot = two_zones();
    // foo: a1 two, a2 one, b1 one, b2 none: the zone allows b only, the node b2 and any with one less.
    for (number, on) in [(0, "a1"), (1, "a1"), (2, "a2"), (3, "b1")] {
        bind(&mut snapshot, "foo", number, on);
    }
    let both = spreading(vec![spread("foo", ZONE, 1, true), spread("foo", HOSTNAME, 1, true)]);
    assert_eq!(fits(&snapshot, &both), ["b2"]);
}

#[test]
fn nodes_without_the_key_neither_count_nor_fit() {
    let mut bare = node("c1", "c");
    bare.labels.remove(ZONE);
    let mut snapshot = two_zones();
    snapshot.put_node(bare);
    bind(&mut snapshot, "foo", 0, "c1");
    let even = spreading(vec![spread("foo", ZONE, 1, true)]);
    assert_eq!(fits(&snapshot, &even), ["a1", "a2", "b1", "b2"]);
    assert_eq!(snapshot.filter(&even, "c1"), Err(Reason::TopologySpread { key: name(ZONE) }));
}

#[test]
fn too_few_domains_count_as_an_empty_one() {
    let mut snapshot = two_zones();
    for (number, on) in [(0, "a1"), (1, "b1")] {
        bind(&mut snapshot, "foo", number, on);
    }
    let mut constraint = spread("foo", ZONE, 1, true);
    assert_eq!(fits(&snapshot, &spreading(vec![constraint.clone()])).len(), 4);
    constraint.min_domains = Some(2);
    assert_eq!(fits(&snapshot, &spreading(vec![constraint.clone()])).len(), 4);
    constraint.min_domains = Some(3);
    assert!(fits(&snapshot, &spreading(vec![constraint])).is_empty());
}

#[test]
fn inclusion_policies_decide_which_domains_count() {
    let mut tainted = node("c1", "c");
    tainted.taints = few(vec![taint("dedicated", "x", TaintEffect::NoSchedule)]);
    let mut snapshot = two_zones();
    snapshot.put_node(tainted);
    for (number, on) in [(0, "a1"), (1, "b1")] {
        bind(&mut snapshot, "foo", number, on);
    }
    // Zone c is empty. By default its taint is ignored, so that it holds the minimum at zero.
    let mut constraint = spread("foo", ZONE, 1, true);
    assert!(fits(&snapshot, &spreading(vec![constraint.clone()])).is_empty());
    constraint.honor_taints = true;
    assert_eq!(fits(&snapshot, &spreading(vec![constraint.clone()])).len(), 4);
    // The same by node affinity, which is honoured by default.
    constraint.honor_taints = false;
    let mut choosy = spreading(vec![constraint.clone()]);
    choosy.spec.node_affinity = Some(few(vec![node_term(vec![requirement(ZONE, NodeOperator::In, &["a", "b"])])]));
    assert_eq!(fits(&snapshot, &choosy).len(), 4);
    constraint.honor_affinity = false;
    choosy.spec.spread = few(vec![constraint]);
    assert!(fits(&snapshot, &choosy).is_empty());
}

#[test]
fn an_empty_spread_selector_counts_no_pod_but_the_new_one() {
    let mut snapshot = two_zones();
    bind(&mut snapshot, "foo", 0, "a1");
    let mut constraint = spread("foo", ZONE, 1, true);
    constraint.selector = Some(Selector::default());
    assert_eq!(fits(&snapshot, &spreading(vec![constraint.clone()])).len(), 4);
    constraint.selector = None;
    assert_eq!(fits(&snapshot, &spreading(vec![constraint])).len(), 4);
}

fn drawn_to(terms: Vec<PodTerm>) -> PodFact {
    let mut pod = pod("web", 99, 100, GIB / 8);
    pod.spec.pod_affinity = few(terms);
    pod
}

fn repelled_by(terms: Vec<PodTerm>) -> PodFact {
    let mut pod = pod("web", 99, 100, GIB / 8);
    pod.spec.pod_anti_affinity = few(terms);
    pod
}

#[test]
fn affinity_wants_company_in_the_domain() {
    let mut snapshot = two_zones();
    let near_db = drawn_to(vec![pod_term("db", ZONE)]);
    assert!(fits(&snapshot, &near_db).is_empty());
    assert_eq!(snapshot.filter(&near_db, "a1"), Err(Reason::PodAffinity));
    bind(&mut snapshot, "db", 0, "a1");
    assert_eq!(fits(&snapshot, &near_db), ["a1", "a2"]);
    assert_eq!(fits(&snapshot, &drawn_to(vec![pod_term("db", HOSTNAME)])), ["a1"]);
    assert!(fits(&snapshot, &drawn_to(vec![pod_term("db", "rack")])).is_empty(), "no node has the key");
}

#[test]
fn all_affinity_terms_must_match_the_same_pod() {
    let mut snapshot = two_zones();
    bind(&mut snapshot, "db", 0, "a1");
    bind(&mut snapshot, "cache", 0, "a1");
    let both = drawn_to(vec![pod_term("db", ZONE), pod_term("cache", ZONE)]);
    assert!(fits(&snapshot, &both).is_empty(), "two pods that match one term each are no company");
}

#[test]
fn the_first_pod_of_a_group_may_go_anywhere_with_the_key() {
    let mut bare = node("c1", "c");
    bare.labels.remove(ZONE);
    let mut snapshot = two_zones();
    snapshot.put_node(bare);
    let group = drawn_to(vec![pod_term("web", ZONE)]);
    assert_eq!(fits(&snapshot, &group), ["a1", "a2", "b1", "b2"]);
    bind(&mut snapshot, "web", 0, "b1");
    assert_eq!(fits(&snapshot, &group), ["b1", "b2"], "the second follows the first");
    // A pod that does not match its own terms is no first of any group.
    assert!(fits(&two_zones(), &drawn_to(vec![pod_term("db", ZONE)])).is_empty());
}

#[test]
fn anti_affinity_keeps_away_in_both_directions() {
    let mut snapshot = two_zones();
    bind(&mut snapshot, "db", 0, "a1");
    let away = Err(Reason::PodAntiAffinity);
    assert_eq!(fits(&snapshot, &repelled_by(vec![pod_term("db", ZONE)])), ["b1", "b2"]);
    assert_eq!(snapshot.filter(&repelled_by(vec![pod_term("db", HOSTNAME)]), "a1"), away);
    assert_eq!(fits(&snapshot, &repelled_by(vec![pod_term("db", HOSTNAME)])), ["a2", "b1", "b2"]);
    // One of several terms is enough.
    assert_eq!(
        fits(&snapshot, &repelled_by(vec![pod_term("cache", ZONE), pod_term("db", HOSTNAME)])),
        ["a2", "b1", "b2"]
    );

    let mut hermit = pod("hermit", 0, 100, GIB / 8);
    hermit.spec.pod_anti_affinity = few(vec![pod_term("web", ZONE)]);
    snapshot.bind(hermit.clone(), &name("b1"));
    let plain = pod("web", 1, 100, GIB / 8);
    assert_eq!(fits(&snapshot, &plain), ["a1", "a2"]);
    assert_eq!(snapshot.filter(&plain, "b2"), away);
    snapshot.unbind(&hermit.key);
    assert_eq!(fits(&snapshot, &plain).len(), 4, "an unbound pod repels nobody");
}

#[test]
fn a_pod_that_is_still_there_stands_in_its_own_way() {
    let mut snapshot = two_zones();
    let mut single = repelled_by(vec![pod_term("web", HOSTNAME)]);
    snapshot.bind(single.clone(), &name("a1"));
    assert_eq!(fits(&snapshot, &single), ["a2", "b1", "b2"]);
    snapshot.unbind(&single.key);
    assert_eq!(fits(&snapshot, &single).len(), 4);
    single.spec.pod_anti_affinity = few(vec![PodTerm { selector: None, ..pod_term("web", HOSTNAME) }]);
    snapshot.bind(pod("web", 0, 1, 1), &name("a1"));
    assert_eq!(fits(&snapshot, &single).len(), 4, "no selector selects nothing");
}

#[test]
fn namespaces_of_a_term() {
    let mut snapshot = two_zones();
    for (namespace, team) in [("default", "x"), ("other", "y")] {
        snapshot.apply(&Object::Namespace(NamespaceFact {
            name: name(namespace),
            labels: labels(&[("team", team)]),
            excluded: false,
        }));
    }
    let mut elsewhere = pod("db", 0, 100, GIB / 8);
    elsewhere.key.namespace = name("other");
    snapshot.bind(elsewhere, &name("a1"));
    let term = |namespaces: &[&str], selector: Option<&[(&str, &str)]>| PodTerm {
        namespaces: names(namespaces),
        namespace_selector: selector.map(|pairs| Selector { labels: labels(pairs), expressions: Few::default() }),
        ..pod_term("db", ZONE)
    };
    for (number, (term, sees)) in [
        (term(&[], None), false),
        (term(&["other"], None), true),
        (term(&["default"], None), false),
        (term(&[], Some(&[])), true),
        (term(&[], Some(&[("team", "y")])), true),
        (term(&[], Some(&[("team", "x")])), false),
        (term(&["other"], Some(&[("team", "x")])), true),
    ]
    .into_iter()
    .enumerate()
    {
        let expected: &[&str] = if sees { &["b1", "b2"] } else { &["a1", "a2", "b1", "b2"] };
        assert_eq!(fits(&snapshot, &repelled_by(vec![term])), expected, "case {number}");
    }
}

#[test]
fn pods_with_unknown_rules_or_another_scheduler_fit_nowhere() {
    let snapshot = one(node("n", "a"));
    let mut gated = pod("web", 0, 100, GIB);
    gated.spec.unknown = names(&["schedulingGates"]);
    assert_eq!(snapshot.filter(&gated, "n"), Err(Reason::UnknownConstraint { rule: name("schedulingGates") }));
    let mut foreign = pod("web", 0, 100, GIB);
    foreign.spec.scheduler = name("volcano");
    assert_eq!(snapshot.filter(&foreign, "n"), Err(Reason::OtherScheduler { scheduler: name("volcano") }));
    foreign.spec.scheduler = name("default-scheduler");
    assert_eq!(snapshot.filter(&foreign, "n"), Ok(()));
}

#[test]
fn the_snapshot_follows_watches() {
    let mut snapshot = one(node("n", "a"));
    let mut first = pod("web", 0, 1000, GIB);
    snapshot.apply(&Object::Pod(first.clone()));
    assert_eq!(snapshot.used("n").unwrap().cpu, MilliCpu(0), "pending");
    first.node = Some(name("n"));
    snapshot.apply(&Object::Pod(first.clone()));
    snapshot.apply(&Object::Pod(first.clone()));
    assert_eq!(
        (snapshot.used("n").unwrap().cpu, snapshot.used("n").unwrap().pods),
        (MilliCpu(1000), 1),
        "counted once"
    );
    first.spec.requests.cpu = MilliCpu(1500);
    snapshot.apply(&Object::Pod(first.clone()));
    assert_eq!(snapshot.used("n").unwrap().cpu, MilliCpu(1500), "resized");
    first.phase = PodPhase::Succeeded;
    snapshot.apply(&Object::Pod(first.clone()));
    assert_eq!(snapshot.used("n").unwrap().pods, 0, "finished");
    // A pod may be seen before its node, and a node may come back with its pods.
    let mut early = pod("web", 1, 250, GIB);
    early.node = Some(name("later"));
    snapshot.apply(&Object::Pod(early.clone()));
    assert!(snapshot.used("later").is_none());
    snapshot.apply(&Object::Node(node("later", "a")));
    assert_eq!(snapshot.used("later").unwrap().cpu, MilliCpu(250));
    snapshot.delete(Kind::Node, &Key::cluster(name("later")));
    assert!(snapshot.node("later").is_none());
    assert_eq!(snapshot.node_of(&early.key), Some(&name("later")));
    snapshot.delete(Kind::Pod, &early.key);
    assert_eq!(snapshot.node_of(&early.key), None);
}
