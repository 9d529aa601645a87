//! Every move is of a pod that may be moved, in a way that suits it, to a node that stays.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{
    IntOrPercent, Key, OwnerKind, PdbFact, PodFact, PodPhase, UpdateStrategy, WorkloadFact, WorkloadKind,
};
use journal_schema::plan::{Move, MoveMethod, Plan, PlanningInput, Target};
use journal_schema::policy::{Actuation, SingleReplica};
use journal_schema::text::Name;

use super::machines::{self, protected};
use super::{Check, Findings};
use crate::scheduler::matching::selector_matches;

/// Namespace whose pods are not touched without a budget that says how.
const SYSTEM_NAMESPACE: &str = "kube-system";
const DEFAULT_SCHEDULER: &str = "default-scheduler";

pub(super) fn check(input: &PlanningInput, plan: &Plan, findings: &mut Findings) {
    let removed: BTreeSet<&Name> = plan.remove.iter().map(|node| &node.node).collect();
    let mut moved: BTreeSet<&Key> = BTreeSet::new();
    let budgets = Budgets::new(input);
    waves(input, plan, &removed, findings);
    for step in &plan.moves {
        if !moved.insert(&step.pod) {
            findings.error(Check::MovedPod, format_args!("pod {} moves twice", step.pod));
        }
        let Some(pod) = input.cluster.pods.get(&step.pod) else {
            findings.error(Check::MovedPod, format_args!("pod {} does not exist", step.pod));
            continue;
        };
        let workload = input.cluster.workload_of(pod);
        if let Some(wrong) = wrong_with_identity(step, pod, workload) {
            findings.error(Check::MovedPod, format_args!("pod {}: {wrong}", step.pod));
        }
        if let Some(protection) = protection(input, pod, workload) {
            findings.error(Check::ProtectedPod, format_args!("pod {}: {protection}", step.pod));
        }
        let covering = budgets.covering(pod);
        if let Some(refusal) = budgets.refusal(pod, &covering) {
            findings.error(Check::DisruptionBudget, format_args!("pod {}: {refusal}", step.pod));
        }
        if pod.key.namespace.as_str() == SYSTEM_NAMESPACE && covering.is_empty() && pod.safe_to_evict != Some(true) {
            findings
                .error(Check::ProtectedPod, format_args!("pod {}: it is of the system and has no budget", step.pod));
        }
        if let Some(wrong) = wrong_with_method(input, step.method, pod, workload) {
            findings.error(Check::MoveMethod, format_args!("pod {}: {:?} {wrong}", step.pod, step.method));
        }
        if let Some(wrong) = wrong_with_target(input, plan, &removed, step) {
            findings.error(Check::MoveTarget, format_args!("pod {}: {wrong}", step.pod));
        }
        if !removed.contains(&step.from)
            && let Some(wrong) = wrong_with_shift(input, plan, step)
        {
            findings.error(Check::Shift, format_args!("pod {}: its node {} stays, and {wrong}", step.pod, step.from));
        }
    }
}

/// Why a pod cannot move off a node that stays, if it cannot.
fn wrong_with_shift(input: &PlanningInput, plan: &Plan, step: &Move) -> Option<&'static str> {
    let Some(node) = input.cluster.nodes.get(&step.from) else { return Some("does not exist") };
    if let Some(wrong) = machines::tied(input, node) {
        return Some(wrong);
    }
    if step.method == MoveMethod::RollingUpdate {
        return Some("a rolling update leads no single pod");
    }
    let wave = usize::try_from(step.wave).ok().and_then(|wave| plan.waves.get(wave));
    match wave {
        None => Some("nothing leads the pod away from it"),
        Some(wave) => wave.opens.contains(&Target::Node(step.from.clone())).then_some("it is open meanwhile"),
    }
}

fn waves(input: &PlanningInput, plan: &Plan, removed: &BTreeSet<&Name>, findings: &mut Findings) {
    for (number, wave) in plan.waves.iter().enumerate() {
        if wave.opens.is_empty() {
            findings.error(Check::Wave, format_args!("wave {number} opens nothing"));
        }
        for target in &wave.opens {
            let stands = match target {
                Target::Node(node) => input.cluster.nodes.contains_key(node) && !removed.contains(node),
                Target::New(slot) => plan.add.iter().any(|machine| machine.slot == *slot),
            };
            if !stands {
                findings.error(Check::Wave, format_args!("wave {number} opens {target:?}, which does not stay"));
            }
        }
    }
    let mut last = 0;
    for step in &plan.moves {
        let known = usize::try_from(step.wave).is_ok_and(|wave| wave < plan.waves.len().max(1));
        if !known {
            findings
                .error(Check::Wave, format_args!("pod {} moves in wave {}, which there is not", step.pod, step.wave));
        } else if step.wave < last {
            findings.error(
                Check::Wave,
                format_args!("pod {} moves in wave {} after one of wave {last}", step.pod, step.wave),
            );
        }
        last = last.max(step.wave);
    }
}

fn wrong_with_identity(step: &Move, pod: &PodFact, workload: Option<&WorkloadFact>) -> Option<&'static str> {
    if step.uid != pod.uid {
        return Some("the UID is another");
    }
    if pod.node.as_ref() != Some(&step.from) {
        return Some("it is not on the node that it leaves");
    }
    if step.workload.as_ref() != workload.map(|workload| &workload.id) {
        return Some("its workload is another");
    }
    None
}

fn wrong_with_target(
    input: &PlanningInput,
    plan: &Plan,
    removed: &BTreeSet<&Name>,
    step: &Move,
) -> Option<&'static str> {
    match &step.to {
        Target::New(slot) => {
            (!plan.add.iter().any(|machine| machine.slot == *slot)).then_some("no machine has the slot")
        }
        Target::Node(node) if *node == step.from => Some("it goes where it is"),
        Target::Node(node) if removed.contains(node) => Some("its target is removed"),
        Target::Node(node) => (!input.cluster.nodes.contains_key(node)).then_some("its target does not exist"),
    }
}

/// Why a pod must not be moved by anybody, if it must not.
fn protection(input: &PlanningInput, pod: &PodFact, workload: Option<&WorkloadFact>) -> Option<&'static str> {
    let owner = pod.owner.as_ref().map(|owner| owner.kind);
    let namespace = input.cluster.namespaces.get(&pod.key.namespace);
    let scheduler = pod.spec.scheduler.as_str();
    let unsafe_volume = || pod.spec.local_volumes.iter().any(|volume| !pod.spec.safe_local_volumes.contains(volume));
    let volume_known = |claim: &Name| {
        let claim = input.cluster.pvcs.get(&Key::new(pod.key.namespace.clone(), claim.clone()));
        claim.and_then(|claim| claim.volume.as_ref()).is_some_and(|volume| input.cluster.pvs.contains_key(volume))
    };
    let rules = [
        (pod.mirror || owner == Some(OwnerKind::Node), "it is a static pod"),
        (owner == Some(OwnerKind::DaemonSet), "it belongs to a DaemonSet"),
        (matches!(owner, None | Some(OwnerKind::Other)), "no controller that is known would create it again"),
        (owner == Some(OwnerKind::Job) && !input.policy.disruption.evict_jobs, "its Job would start over"),
        (pod.phase != PodPhase::Running || pod.deletion_at.is_some(), "it does not run"),
        (protected(pod.do_not_disrupt, input.now), "it asks not to be disrupted"),
        (pod.safe_to_evict == Some(false), "it is not safe to evict"),
        (pod.prefer_no_eviction, "it prefers no eviction"),
        (pod.excluded, "it is excluded"),
        (workload.is_some_and(|workload| workload.excluded), "its workload is excluded"),
        (namespace.is_some_and(|namespace| namespace.excluded), "its namespace is excluded"),
        (
            workload.is_some_and(|workload| input.quarantined.contains_key(&workload.id)),
            "its workload is in quarantine",
        ),
        (workload.is_some_and(|workload| workload.deletion_at.is_some()), "its workload is being deleted"),
        (!pod.spec.unknown.is_empty(), "it has a rule that is not known"),
        (
            workload.is_some_and(|workload| !workload.template.unknown.is_empty()),
            "its template has a rule that is not known",
        ),
        (!scheduler.is_empty() && scheduler != DEFAULT_SCHEDULER, "another scheduler places it"),
        (input.own_pod.as_ref() == Some(&pod.key), "it is kinema itself"),
        (pod.safe_to_evict != Some(true) && unsafe_volume(), "it has data on the node"),
        (!pod.spec.claims.iter().all(volume_known), "its volume is not known"),
    ];
    rules.into_iter().find_map(|(holds, why)| holds.then_some(why))
}

/// Why the way of moving is not possible or not allowed, if so.
fn wrong_with_method(
    input: &PlanningInput,
    method: MoveMethod,
    pod: &PodFact,
    workload: Option<&WorkloadFact>,
) -> Option<&'static str> {
    let policy = &input.policy.disruption;
    let kind = workload.map(|workload| workload.id.kind);
    let single = workload.is_some_and(|workload| workload.replicas <= 1);
    if single && policy.single_replica == SingleReplica::Skip {
        return Some("moves the only replica, which the policy leaves where it is");
    }
    match method {
        MoveMethod::Surge => {
            if policy.actuation != Actuation::SurgeThenEvict {
                return Some("is not the policy's way");
            }
            if !matches!(kind, Some(WorkloadKind::Deployment | WorkloadKind::ReplicaSet)) {
                return Some(
                    "needs a Deployment or ReplicaSet: others do not let a chosen pod go when they are scaled back",
                );
            }
            shares_no_volume(input, pod)
        }
        MoveMethod::Evict => {
            let allowed = policy.single_replica == SingleReplica::Allow;
            (single && !allowed).then_some("leaves a gap: it is the only replica")
        }
        MoveMethod::RollingUpdate => {
            if policy.actuation != Actuation::RollingUpdate {
                return Some("is not the policy's way");
            }
            if kind != Some(WorkloadKind::Deployment) {
                return Some("needs a Deployment");
            }
            let rolls =
                workload.is_some_and(|workload| matches!(workload.strategy, UpdateStrategy::RollingUpdate { .. }));
            (!rolls).then_some("needs the strategy RollingUpdate")
        }
    }
}

/// Two pods at once cannot hold a volume that only one node may have.
fn shares_no_volume(input: &PlanningInput, pod: &PodFact) -> Option<&'static str> {
    let single_node = |claim: &Name| {
        let key = Key::new(pod.key.namespace.clone(), claim.clone());
        input.cluster.pvcs.get(&key).is_some_and(|claim| claim.single_node)
    };
    pod.spec.claims.iter().any(single_node).then_some("would need a volume on two nodes that only one may have")
}

/// PodDisruptionBudgets and what each allows.
struct Budgets<'a> {
    by_namespace: BTreeMap<&'a Name, Vec<(&'a PdbFact, i64)>>,
}

impl<'a> Budgets<'a> {
    fn new(input: &'a PlanningInput) -> Self {
        let mut by_namespace: BTreeMap<&Name, Vec<(&PdbFact, i64)>> = BTreeMap::new();
        for budget in input.cluster.pdbs.values() {
            by_namespace.entry(&budget.key.namespace).or_default().push((budget, allowed(input, budget)));
        }
        Self { by_namespace }
    }

    fn covering(&self, pod: &PodFact) -> Vec<(&'a PdbFact, i64)> {
        let budgets = self.by_namespace.get(&pod.key.namespace);
        budgets.into_iter().flatten().filter(|(budget, _)| covers(budget, pod)).copied().collect()
    }

    fn refusal(&self, pod: &PodFact, covering: &[(&PdbFact, i64)]) -> Option<String> {
        match covering {
            [] => None,
            [(budget, allowed)] => {
                let may_go_unready = budget.always_allow_unhealthy && !pod.ready;
                (*allowed < 1 && !may_go_unready).then(|| format!("budget {} allows no disruption", budget.key))
            }
            [..] => Some(format!("{} budgets cover it, which the eviction API refuses", covering.len())),
        }
    }
}

fn covers(budget: &PdbFact, pod: &PodFact) -> bool {
    budget.key.namespace == pod.key.namespace
        && budget.selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels))
}

/// Disruptions that a budget allows. Where its controller has written no status (all zero: a
/// cluster without that controller, or the budget is new), it is worked out from the pods.
fn allowed(input: &PlanningInput, budget: &PdbFact) -> i64 {
    if (budget.disruptions_allowed, budget.current_healthy, budget.desired_healthy, budget.expected) != (0, 0, 0, 0) {
        return i64::from(budget.disruptions_allowed);
    }
    let pods: Vec<&PodFact> =
        input.cluster.pods.values().filter(|pod| !pod.finished() && covers(budget, pod)).collect();
    let whole = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let healthy = i64::try_from(pods.iter().filter(|pod| pod.ready).count()).unwrap_or(i64::MAX);
    // Both kinds of percentage are rounded up, as the controller does.
    let number = |amount: IntOrPercent| match amount {
        IntOrPercent::Int(count) => i64::from(count),
        IntOrPercent::Percent(percent) => (whole * i64::from(percent) + 99).div_euclid(100),
    };
    let needed = match (budget.min_available, budget.max_unavailable) {
        (Some(least), _) => number(least),
        (None, Some(most)) => whole - number(most),
        (None, None) => whole,
    };
    (healthy - needed).max(0)
}
