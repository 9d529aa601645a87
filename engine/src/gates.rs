//! What must hold before an iteration starts, and which workloads are left alone meanwhile.
//!
//! Only what concerns the whole cluster closes a gate. What concerns one workload puts that workload
//! in quarantine (the planner leaves its pods, and so their nodes, where they are) and never stops
//! the rest.

use canary::{Canary, planted};
use journal_schema::cloud::PoolId;
use journal_schema::facts::{HpaFact, OwnerKind, WorkloadFact, WorkloadId, WorkloadKind};
use journal_schema::plan::Cluster;
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::{Millis, Ppm, Timestamp};
use std::collections::BTreeMap;

use crate::state::State;
use crate::world::{saturate, settled};

/// Every reason why nothing may start now, most fundamental first.
pub(crate) fn closed(state: &State) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(kind) = state.world.first_unsynced() {
        // Without a complete view nothing else that could be said is known to be true.
        return vec![Reason::NotSynced { kind }];
    }
    if let Some(pause) = &state.pause {
        reasons.push(pause.reason());
    }
    reasons.extend(breakers(state, 0));
    if let Some(until) = cooling_until(state)
        && until > state.now
        && !state.plan_now
    {
        reasons.push(Reason::CoolingDown { left: state.left(until) });
    }
    if state.world.unschedulable_pods().is_empty() {
        reasons.extend(unsettled(state));
    }
    reasons
}

/// The breakers that have tripped: signs that what is seen cannot be trusted or must not be made worse.
/// `leaving` of the nodes that are not ready are on their way out.
pub(crate) fn breakers(state: &State, leaving: usize) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let breakers = &state.policy.breakers;
    let nodes = state.world.cluster().nodes.len();
    let not_ready = state.world.not_ready_nodes().len() - leaving;
    let share = Ppm::of(not_ready as i64, nodes as i64);
    let tripped = saturate(not_ready) > breakers.not_ready_nodes && share > breakers.not_ready_share;
    if tripped && !planted(Canary::MissesMassNotReady) {
        reasons.push(Reason::MassNotReady { nodes: saturate(not_ready), of: saturate(nodes) });
    }
    if !planted(Canary::MissesVanished) {
        reasons.extend(state.world.vanished(state.now, breakers).map(|(nodes, of)| Reason::MassEmpty { nodes, of }));
    }
    let failing = state.answers.failing(state.now, breakers).filter(|_| !planted(Canary::MissesApiFailing));
    reasons.extend(failing.map(|(failed, of)| Reason::ApiFailing { failed, of }));
    reasons
}

/// Why nothing more is begun of a plan that is being carried out, if a breaker has tripped.
///
/// Nodes whose machines were asked to go do not count as lost.
pub(crate) fn frozen(state: &State, going: &BTreeMap<Name, PoolId>) -> Option<Reason> {
    if planted(Canary::NeverFreezes) {
        return None;
    }
    let leaving = state.world.not_ready_nodes().iter().filter(|node| going.contains_key(*node)).count();
    breakers(state, leaving).into_iter().next()
}

/// When the next iteration may start. A world that changed since the last plan does not wait longer
/// than one ordinary cool-down.
pub(crate) fn cooling_until(state: &State) -> Option<Timestamp> {
    let until = state.cool_until?;
    if state.world.version() == state.planned_version {
        return Some(until);
    }
    let ended = state.last_finished.as_ref().map_or(state.now, |finished| finished.ended_at);
    Some(until.min(ended.plus(state.policy.observe.cool_down)))
}

fn unsettled(state: &State) -> Option<Reason> {
    let all = state.world.cluster().workloads.values().filter(|workload| counts(workload)).count();
    let quarantined = quarantined(state).len();
    let share = Ppm::of(quarantined as i64, all as i64);
    (share > state.policy.observe.max_unsettled)
        .then(|| Reason::NotStable { unsettled: saturate(quarantined), of: saturate(all) })
}

/// Workloads whose pods may be moved at all: not DaemonSets, and not the ReplicaSets of Deployments.
fn counts(workload: &WorkloadFact) -> bool {
    let owned = workload.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::Deployment);
    workload.id.kind != WorkloadKind::DaemonSet && !owned && (workload.replicas > 0 || workload.current > 0)
}

/// The workloads that are left alone now, and why.
pub(crate) fn quarantined(state: &State) -> BTreeMap<WorkloadId, Reason> {
    let mut quarantined = BTreeMap::new();
    for workload in state.world.cluster().workloads.values().filter(|workload| counts(workload)) {
        if let Some(reason) = disturbed(state, workload) {
            quarantined.insert(workload.id.clone(), reason);
        }
    }
    for (workload, reason) in scaling_up(state.world.cluster(), state.policy.observe.hpa_threshold_percent) {
        quarantined.entry(workload).or_insert(reason);
    }
    quarantined
}

/// The workloads that their HPA is about to scale up: what is planned for their replicas is soon wrong.
pub fn scaling_up(cluster: &Cluster, threshold_percent: i32) -> Vec<(WorkloadId, Reason)> {
    let about_to = |hpa: &HpaFact| {
        let target = hpa.target.clone()?;
        let percent = match (hpa.cpu_current_percent, hpa.cpu_target_percent) {
            (Some(current), Some(wanted)) if wanted > 0 => i64::from(current) * 100 / i64::from(wanted),
            (Some(_) | None, Some(_) | None) => 0,
        };
        let rising = hpa.desired_replicas > hpa.current_replicas;
        let percent_shown = i32::try_from(percent).unwrap_or(i32::MAX);
        (rising || percent > i64::from(threshold_percent))
            .then(|| (target, Reason::HpaAboveThreshold { hpa: hpa.key.clone(), percent: percent_shown }))
    };
    cluster.hpas.values().filter_map(about_to).collect()
}

fn disturbed(state: &State, workload: &WorkloadFact) -> Option<Reason> {
    let id = workload.id.clone();
    if !settled(workload) {
        let rolling = workload.observed_generation < workload.generation
            || workload.updated != workload.replicas && workload.id.kind != WorkloadKind::ReplicaSet;
        return Some(if rolling && !workload.stalled {
            Reason::RolloutInProgress { workload: id }
        } else {
            Reason::NotReady { workload: id, ready: workload.ready, desired: workload.replicas }
        });
    }
    let since = state.world.settled_since(&workload.id)?;
    let left = Millis(since.plus(state.policy.observe.stable_for).since(state.now).0);
    (left > Millis::ZERO).then_some(Reason::SettlingDown { workload: id, left })
}
