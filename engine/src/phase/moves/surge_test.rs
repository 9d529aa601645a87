//! What a surge waits for, in worlds made by hand.

use journal_schema::event::WatchEvent;
use journal_schema::facts::{
    Key, Object, Owner, OwnerKind, PodFact, PodPhase, PodSpecFact, WorkloadFact, WorkloadId, WorkloadKind,
};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

use super::{Moved, Stage, Surge};
use crate::State;
use crate::phase::Ctx;
use crate::phase::moves::Leaving;

fn name(text: &str) -> Name {
    Name::truncated(text)
}

fn key(text: &str) -> Key {
    Key::new(name("shop"), name(text))
}

/// One replica wanted, and a status that says so.
fn workload(kind: WorkloadKind, text: &str, owner: Option<Owner>) -> WorkloadFact {
    let id = WorkloadId { kind, key: key(text) };
    WorkloadFact { owner, ..WorkloadFact::new(id, name(&format!("uid-{text}")), 1, Timestamp(0)).at_rest() }
}

fn owned_by(kind: OwnerKind, text: &str) -> Option<Owner> {
    Some(Owner { kind, name: name(text), uid: name(&format!("uid-{text}")) })
}

fn pod(text: &str) -> PodFact {
    PodFact {
        owner: owned_by(OwnerKind::ReplicaSet, "web-1"),
        node: Some(name("node")),
        phase: PodPhase::Running,
        ready: true,
        ..PodFact::new(key(text), name(&format!("uid-{text}")), PodSpecFact::default(), Timestamp(0))
    }
}

/// A Deployment of one replica after it was scaled back, with the pod that is to leave and another one,
/// and the surge that waits for the end.
fn scaled_back(new: PodFact) -> (State, Surge) {
    let mut state = State::new(name("test"));
    let deployment = workload(WorkloadKind::Deployment, "web", None);
    let set = workload(WorkloadKind::ReplicaSet, "web-1", owned_by(OwnerKind::Deployment, "web"));
    for object in
        [Object::Workload(deployment.clone()), Object::Workload(set), Object::Pod(pod("old")), Object::Pod(new)]
    {
        state.world.apply(Timestamp(1), &WatchEvent::Applied(object));
    }
    let leaving = Leaving { pod: key("old"), uid: name("uid-old"), node: name("node"), cost_before: 0 };
    let surge = Surge { stage: Stage::Settling, ..Surge::new(&deployment, vec![leaving]) };
    (state, surge)
}

fn terminating(text: &str) -> PodFact {
    PodFact { deletion_at: Some(Timestamp(2)), ..pod(text) }
}

/// A status may have been written before the surge's own pod was counted: it then says that there are
/// as many pods as are wanted while there is one too many.
#[test]
fn a_status_that_never_counted_the_surge_does_not_end_it() {
    let (mut state, mut surge) = scaled_back(pod("new"));
    let waiting = surge.advance(&mut Ctx::new(&mut state, &mut Vec::new()));
    assert!(matches!(waiting, Moved::Waiting(_)), "{waiting:?}");

    state.world.apply(Timestamp(2), &WatchEvent::Applied(Object::Pod(terminating("old"))));
    assert_eq!(surge.advance(&mut Ctx::new(&mut state, &mut Vec::new())), Moved::Done(1));
}

/// Another pod went in place of the leaving one: there is nothing left to wait for.
#[test]
fn another_pod_removed_in_its_place_ends_it_without_a_move() {
    let (mut state, mut surge) = scaled_back(terminating("new"));
    assert_eq!(surge.advance(&mut Ctx::new(&mut state, &mut Vec::new())), Moved::Done(0));
}
