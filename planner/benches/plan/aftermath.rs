//! A cluster once a plan of it was carried out, and what time makes of it.

use journal_schema::facts::{NodeFact, PodFact, PodPhase};
use journal_schema::plan::{Plan, PlanningInput, Target};
use journal_schema::text::Name;
use planner::scheduler::Snapshot;

use crate::synthetic::{Random, name, node};

/// The cluster when every step of a plan has come true.
pub(crate) fn carried_out(input: &PlanningInput, plan: &Plan) -> PlanningInput {
    let mut after = input.clone();
    after.iteration += 1;
    let new_name = |slot: u32| name(format!("new-{}-{slot:05}", input.iteration));
    let of_target = |target: &Target| match target {
        Target::Node(node) => node.clone(),
        Target::New(slot) => new_name(slot.0),
    };
    for (slot, add) in (0..).zip(plan.add.iter()) {
        let pool = input.pools.iter().find(|pool| pool.id == add.pool).expect("a pool of the input");
        let booted = node(&new_name(slot), &add.machine_type, &add.zone, pool.allocatable.clone());
        after.cluster.nodes.insert(booted.name.clone(), booted);
    }
    for step in plan.moves.iter() {
        let pod = after.cluster.pods.get_mut(&step.pod).expect("a pod of the input");
        pod.node = Some(of_target(&step.to));
    }
    for removed in plan.remove.iter() {
        after.cluster.nodes.remove(&removed.node);
    }
    with_system_pods(input, &mut after);
    after
}

/// Every node runs the pods of DaemonSets that the nodes of the input run.
fn with_system_pods(input: &PlanningInput, after: &mut PlanningInput) {
    let PlanningInput { cluster, .. } = after;
    let first = input.cluster.nodes.keys().next().expect("a node");
    let model: Vec<&PodFact> =
        input.cluster.pods.values().filter(|pod| pod.of_daemon_set() && pod.node.as_ref() == Some(first)).collect();
    cluster.pods.retain(|_, pod| pod.node.as_ref().is_none_or(|node| cluster.nodes.contains_key(node)));
    for NodeFact { name: node, .. } in
        cluster.nodes.values().filter(|node| !input.cluster.nodes.contains_key(&node.name))
    {
        for pod in &model {
            let mut own = (*pod).clone();
            let text = own.key.name.replace(first.as_str(), node);
            (own.key.name, own.uid, own.node) = (name(&text), name(format!("uid-{text}")), Some(node.clone()));
            cluster.pods.insert(own.key.clone(), own);
        }
    }
}

/// So many in a thousand of the pods that are no DaemonSet's go, and as many come: of the same workloads, in
/// proportion. The scheduler places those that fit; the others wait.
pub(crate) fn churned(input: &PlanningInput, per_mille: usize, random: &mut Random) -> PlanningInput {
    let mut after = input.clone();
    let mut movable: Vec<PodFact> = after.cluster.pods.values().filter(|pod| !pod.of_daemon_set()).cloned().collect();
    let count = movable.len() * per_mille / 1_000;
    let mut arrived = Vec::new();
    for serial in 0..count {
        let gone = movable.swap_remove(random.below(movable.len()));
        after.cluster.pods.remove(&gone.key);
        let like = &movable[random.below(movable.len())];
        let mut come = like.clone();
        let text: Name = name(format!("{}-churn-{serial:05}", like.key.name));
        (come.key.name, come.uid, come.node) = (text.clone(), name(format!("uid-{text}")), None);
        (come.phase, come.ready, come.unschedulable) = (PodPhase::Pending, false, true);
        arrived.push(come);
    }
    let mut scheduler = Snapshot::new(&after.cluster);
    for mut come in arrived {
        if let Ok(node) = scheduler.choose(&come) {
            (come.phase, come.ready, come.unschedulable, come.node) =
                (PodPhase::Running, true, false, Some(node.clone()));
            scheduler.bind(come.clone(), &node);
        }
        after.cluster.pods.insert(come.key.clone(), come);
    }
    after
}
