//! S13: whatever a watch did, the fold is the same as that of a fresh list.

use journal_schema::event::WatchEvent;
use journal_schema::facts::{Key, Kind, NodeFact, Object, Owner, OwnerKind, PodFact, PodPhase, PodSpecFact};
use journal_schema::policy::Breakers;
use journal_schema::text::{Few, Name};
use journal_schema::units::{MilliCpu, Resources, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

use super::World;

fn name(text: impl AsRef<str>) -> Name {
    Name::truncated(text)
}

fn node(name: Name) -> NodeFact {
    NodeFact {
        uid: name.clone(),
        name,
        provider_id: Name::default(),
        instance_id: None,
        labels: Default::default(),
        taints: Few::default(),
        unschedulable: false,
        allocatable: Resources::default(),
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

fn pod(index: u8, node: u8, owner: u8, unschedulable: bool) -> PodFact {
    PodFact {
        owner: (owner > 0).then(|| Owner {
            kind: OwnerKind::ReplicaSet,
            name: name(format!("rs{owner}")),
            uid: name(format!("rs-uid-{owner}")),
        }),
        node: (node > 0 && !unschedulable).then(|| name(format!("n{node}"))),
        phase: PodPhase::Running,
        ready: true,
        unschedulable,
        ..PodFact::new(
            Key::new(name("ns"), name(format!("p{index}"))),
            name(format!("uid-{index}")),
            PodSpecFact {
                requests: Resources { cpu: MilliCpu(i64::from(node % 2)), ..Resources::default() },
                ..PodSpecFact::default()
            },
            Timestamp(0),
        )
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// The pod changes and the watch tells it.
    Change(PodFact),
    /// The pod goes and the watch tells it.
    Delete(u8),
    /// The pod changes and the event is lost.
    LostChange(PodFact),
    /// The pod goes and the event is lost.
    LostDelete(u8),
    /// The watch breaks and lists again; changes may happen while it does.
    Relist(Vec<PodFact>),
    /// The watch breaks.
    Interrupt,
}

fn pods() -> impl Strategy<Value = PodFact> {
    (0..12_u8, 0..4_u8, 0..3_u8, any::<bool>()).prop_map(|(index, node, owner, lost)| pod(index, node, owner, lost))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => pods().prop_map(Op::Change),
        2 => (0..12_u8).prop_map(Op::Delete),
        1 => pods().prop_map(Op::LostChange),
        1 => (0..12_u8).prop_map(Op::LostDelete),
        1 => prop::collection::vec(pods(), 0..3).prop_map(Op::Relist),
        1 => Just(Op::Interrupt),
    ];
    prop::collection::vec(op, 0..60)
}

fn relist(world: &mut World, truth: &mut BTreeMap<Key, PodFact>, meanwhile: Vec<PodFact>) {
    let now = Timestamp(1);
    world.apply(now, &WatchEvent::RelistStarted { kind: Kind::Pod });
    for listed in truth.clone().into_values() {
        world.apply(now, &WatchEvent::Listed(Object::Pod(listed)));
    }
    for changed in meanwhile {
        truth.insert(changed.key.clone(), changed.clone());
        world.apply(now, &WatchEvent::Applied(Object::Pod(changed)));
    }
    world.apply(now, &WatchEvent::RelistFinished { kind: Kind::Pod });
}

proptest! {
    #[test]
    fn any_watch_history_ends_as_a_fresh_list(ops in ops()) {
        let mut world = World::default();
        let mut truth: BTreeMap<Key, PodFact> = BTreeMap::new();
        let now = Timestamp(1);
        for op in ops {
            match op {
                Op::Change(pod) => {
                    truth.insert(pod.key.clone(), pod.clone());
                    world.apply(now, &WatchEvent::Applied(Object::Pod(pod)));
                }
                Op::Delete(index) => {
                    let key = pod(index, 0, 0, false).key;
                    truth.remove(&key);
                    world.apply(now, &WatchEvent::Deleted { kind: Kind::Pod, key });
                }
                Op::LostChange(pod) => {
                    truth.insert(pod.key.clone(), pod);
                }
                Op::LostDelete(index) => {
                    truth.remove(&pod(index, 0, 0, false).key);
                }
                Op::Relist(meanwhile) => relist(&mut world, &mut truth, meanwhile),
                Op::Interrupt => world.apply(now, &WatchEvent::Interrupted { kind: Kind::Pod }),
            }
        }
        relist(&mut world, &mut truth, Vec::new());
        let mut fresh = World::default();
        relist(&mut fresh, &mut truth, Vec::new());
        prop_assert_eq!(&world.cluster, &fresh.cluster);
        prop_assert_eq!(&world.pods_by_node, &fresh.pods_by_node);
        prop_assert_eq!(&world.pods_by_owner, &fresh.pods_by_owner);
        prop_assert_eq!(&world.unschedulable, &fresh.unschedulable);
    }
}

#[test]
fn a_finish_without_a_start_proves_nothing() {
    let mut world = World::default();
    world.apply(Timestamp(1), &WatchEvent::Applied(Object::Pod(pod(1, 1, 1, false))));
    world.apply(Timestamp(2), &WatchEvent::RelistFinished { kind: Kind::Pod });
    assert_eq!(world.cluster().pods.len(), 1);
    assert!(!world.synced());
}

#[test]
fn most_pods_vanishing_in_one_list_trips_the_breaker() {
    let mut world = World::default();
    let mut truth: BTreeMap<Key, PodFact> =
        (0..50).map(|index| pod(index, 1, 1, false)).map(|pod| (pod.key.clone(), pod)).collect();
    relist(&mut world, &mut truth, Vec::new());
    let vanished = |world: &World, minutes| world.vanished(Timestamp(minutes * 60_000_i64), &Breakers::default());
    assert_eq!(vanished(&world, 0), None);
    relist(&mut world, &mut BTreeMap::new(), Vec::new());
    assert!(vanished(&world, 0).is_some());
    assert!(vanished(&world, 600).is_some(), "no time makes it believable");
    world.forgive_vanished();
    assert_eq!(vanished(&world, 600), None);
}

#[test]
fn nodes_that_one_list_shows_empty_together_trip_the_breaker_for_a_while() {
    let after = |gone: u64| {
        let mut world = World::default();
        let pods = (1..=10).map(|index| pod(index, index, 1, false));
        let mut truth: BTreeMap<Key, PodFact> = pods.map(|pod| (pod.key.clone(), pod)).collect();
        for pod in truth.values() {
            let name = pod.node.clone().expect("bound");
            world.apply(Timestamp(1), &WatchEvent::Applied(Object::Node(node(name))));
        }
        relist(&mut world, &mut truth, Vec::new());
        let mut left = truth.into_iter().skip(usize::try_from(gone).expect("few")).collect();
        relist(&mut world, &mut left, Vec::new());
        world
    };
    let vanished = |world: &World, minutes| world.vanished(Timestamp(minutes * 60_000_i64), &Breakers::default());
    assert_eq!(vanished(&after(4), 1), Some((4, 10)), "40 % of the nodes");
    assert_eq!(vanished(&after(4), 20), None, "15 minutes later they are believed");
    assert_eq!(vanished(&after(3), 1), None, "30 % are allowed");
}

#[test]
fn the_pods_of_a_workload_hold_one_spec_in_memory() {
    let shared = |world: &World| {
        let specs: Vec<_> = world.cluster().pods.values().map(|pod| &pod.spec).collect();
        specs.windows(2).all(|pair| std::ptr::eq(&**pair[0], &**pair[1]))
    };
    let mut world = World::default();
    for index in 0..3 {
        world.apply(Timestamp(1), &WatchEvent::Applied(Object::Pod(pod(index, 1, 1, false))));
    }
    assert!(shared(&world));
    let before = world.clone();
    for pod in world.cluster.pods.values_mut() {
        pod.spec = (*pod.spec).clone().into();
    }
    assert!(!shared(&world), "as read from a checkpoint");
    world.restart();
    assert!(shared(&world));
    assert_eq!(world.cluster(), before.cluster());
}
