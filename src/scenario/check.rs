//! Whether a scenario file describes a world that can be: what one value alone cannot tell.

use std::collections::BTreeSet;

use journal_schema::facts::PodSpecFact;
use simulator::scenario::PoolSpec;

use super::faults::{Fault, FaultKind};
use super::file::{Spec, Workload, WorkloadKind};
use super::names::suggestion;

/// Most machines and most pods of a world.
const MOST_NODES: u64 = 20_000;
const MOST_PODS: u64 = 200_000;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(super) struct Wrong {
    /// The key's path, for example `spec.pools[2].nodes`.
    place: String,
    /// What is wrong with it, and what would be right.
    what: String,
}

fn wrong(place: impl Into<String>, what: impl Into<String>) -> Wrong {
    Wrong { place: place.into(), what: what.into() }
}

/// The first thing that is wrong.
pub(super) fn check(spec: &Spec) -> Result<(), Wrong> {
    let machines = pools(spec)?;
    let known = workloads(spec)?;
    let mut budgets = BTreeSet::new();
    for (index, budget) in spec.budgets.iter().enumerate() {
        let place = format!("spec.budgets[{index}]");
        let workload = format!("{}/{}", budget.namespace.0, budget.workload.0);
        exists(&known, &workload, &format!("{place}.workload"), "workload")?;
        if budget.min_available.is_some() == budget.max_unavailable.is_some() {
            return Err(wrong(place, "give one of minAvailable and maxUnavailable"));
        }
        let name = budget.name.as_ref().unwrap_or(&budget.workload);
        budgets.insert(format!("{}/{}", budget.namespace.0, name.0));
    }
    for (index, autoscaler) in spec.autoscalers.iter().enumerate() {
        let place = format!("spec.autoscalers[{index}]");
        let workload = format!("{}/{}", autoscaler.namespace.0, autoscaler.workload.0);
        exists(&known, &workload, &format!("{place}.workload"), "workload")?;
        let deployment = spec.workloads.iter().any(|of| of.kind == WorkloadKind::Deployment && key(of) == workload);
        if !deployment {
            return Err(wrong(format!("{place}.workload"), format!("{workload} is not a Deployment")));
        }
        if autoscaler.min_replicas.0 < 1 || autoscaler.min_replicas > autoscaler.max_replicas {
            return Err(wrong(place, "minReplicas is at least 1 and at most maxReplicas"));
        }
        if autoscaler.target_cpu.0.0 < 10_000 {
            return Err(wrong(format!("{place}.targetCpu"), "it is at least 1%"));
        }
    }
    for (index, fault) in spec.faults.iter().enumerate() {
        check_fault(fault, &format!("spec.faults[{index}]"), &known, &budgets, machines)?;
    }
    if spec.limit.0.0 <= 0 {
        return Err(wrong("spec.limit", "a run lasts longer than nothing"));
    }
    Ok(())
}

/// How many machines there are at the beginning.
fn pools(spec: &Spec) -> Result<u64, Wrong> {
    let mut ids = BTreeSet::new();
    for (index, pool) in spec.pools.iter().enumerate() {
        let id = PoolSpec::from(pool).id();
        if !ids.insert(id.clone()) {
            return Err(wrong(format!("spec.pools[{index}]"), format!("there is another pool {id}: give it a name")));
        }
        if pool.max_nodes.is_some_and(|most| most < pool.nodes) {
            return Err(wrong(format!("spec.pools[{index}].maxNodes"), "it is less than nodes"));
        }
    }
    let machines: u64 = spec.pools.iter().map(|pool| u64::from(pool.nodes.0)).sum();
    if machines == 0 {
        return Err(wrong("spec.pools", "no pool has machines at the beginning: give one of them nodes, at least 1"));
    }
    if machines > MOST_NODES {
        return Err(wrong("spec.pools", format!("{machines} machines are more than {MOST_NODES}")));
    }
    Ok(machines)
}

fn key(workload: &Workload) -> String {
    format!("{}/{}", workload.namespace.0, workload.name.0)
}

/// The workloads, as `namespace/name`.
fn workloads(spec: &Spec) -> Result<BTreeSet<String>, Wrong> {
    let own = spec.workloads.iter().enumerate().map(|(index, of)| (format!("spec.workloads[{index}]"), of));
    let late = spec.late_workloads.iter().enumerate().map(|(index, of)| (format!("spec.lateWorkloads[{index}]"), of));
    let mut known = BTreeSet::new();
    let mut pods = spec.jobs.len() as u64;
    for (place, workload) in own.chain(late) {
        // Their pods carry the same label, by which budgets and controllers find them.
        if !known.insert(key(workload)) {
            return Err(wrong(place, format!("there is another workload {}", key(workload))));
        }
        if workload.volume && workload.kind != WorkloadKind::StatefulSet {
            return Err(wrong(format!("{place}.volume"), "only the pods of a StatefulSet have volumes of their own"));
        }
        let affinity = workload.affinity.as_ref().and_then(|affinity| serde_json::to_string(affinity).ok());
        simulator::affinity::apply(&mut PodSpecFact::default(), affinity.as_deref())
            .map_err(|error| wrong(format!("{place}.affinity"), error.to_string()))?;
        pods += u64::from(workload.replicas_before.max(workload.replicas).map_or(1, |pods| pods.0));
    }
    if pods > MOST_PODS {
        return Err(wrong("spec.workloads", format!("{pods} pods are more than {MOST_PODS}")));
    }
    Ok(known)
}

fn exists(known: &BTreeSet<String>, wanted: &str, place: &str, what: &str) -> Result<(), Wrong> {
    if known.contains(wanted) {
        return Ok(());
    }
    let nearest = suggestion(wanted, known.iter().map(String::as_str));
    Err(wrong(place, format!("there is no {what} {wanted} (namespace/name){nearest}")))
}

fn check_fault(
    fault: &Fault,
    place: &str,
    workloads: &BTreeSet<String>,
    budgets: &BTreeSet<String>,
    machines: u64,
) -> Result<(), Wrong> {
    let triggers = [fault.at.is_some(), fault.on.is_some(), fault.chance.is_some()];
    if triggers.into_iter().filter(|given| *given).count() != 1 {
        return Err(wrong(place, "give one of at, on and chance"));
    }
    if let Some(on) = &fault.on
        && (on.nth.0 < 1 || on.times.0 < 1)
    {
        return Err(wrong(format!("{place}.on"), "nth and times are at least 1"));
    }
    let place_of_fault = format!("{place}.fault");
    match &fault.fault {
        FaultKind::Lost
        | FaultKind::AnswerLost
        | FaultKind::Silent
        | FaultKind::Throttled
        | FaultKind::ServerError
        | FaultKind::ServerErrorAfter
        | FaultKind::Forbidden
        | FaultKind::Delayed { .. }
        | FaultKind::AnsweredLate { .. }
        | FaultKind::AnsweredTwice
        | FaultKind::Twice => {
            if fault.at.is_some() {
                return Err(wrong(place, "this is the fate of a request: give on or chance instead of at"));
            }
            Ok(())
        }
        FaultKind::NeverReady { workload }
        | FaultKind::ForeignScale { workload, .. }
        | FaultKind::GitOpsRevert { workload, .. } => exists(workloads, workload, &place_of_fault, "workload"),
        FaultKind::BlockBudget { budget } => exists(budgets, budget, &place_of_fault, "budget"),
        FaultKind::NodeCrash { index, .. } | FaultKind::MachineReplaced { index } if u64::from(index.0) >= machines => {
            Err(wrong(place_of_fault, format!("node {} of {machines}: the first is 0", index.0)))
        }
        FaultKind::ClockStep { forward, back } if forward.is_some() == back.is_some() => {
            Err(wrong(place_of_fault, "give one of forward and back"))
        }
        FaultKind::ClockStep { .. }
        | FaultKind::EmptyList { .. }
        | FaultKind::OldReplica { .. }
        | FaultKind::ApprovePlan
        | FaultKind::NodeCrash { .. }
        | FaultKind::MachineReplaced { .. }
        | FaultKind::StaleWatch { .. }
        | FaultKind::InterruptWatch { .. }
        | FaultKind::DuplicateEvents
        | FaultKind::UsageGaps { .. }
        | FaultKind::MetricsAway { .. }
        | FaultKind::ApiServerAway { .. }
        | FaultKind::Approve { .. }
        | FaultKind::Reject { .. }
        | FaultKind::Pause { .. }
        | FaultKind::Resume
        | FaultKind::Abort
        | FaultKind::PlanNow
        | FaultKind::Policy { .. } => Ok(()),
    }
}
