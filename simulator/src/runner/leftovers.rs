//! What kinema left behind in the world.

use journal_schema::effect::{EXPIRING_KEY, LATER_KEY, OPTIMAL_KEY};
use journal_schema::text::Name;

use crate::affinity;
use crate::world::World;

/// Everything of kinema's that is still there, for people.
pub(super) fn list(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for node in world.facts.nodes.values() {
        for key in [OPTIMAL_KEY, EXPIRING_KEY] {
            if node.labels.contains_key(&Name::truncated(key)) {
                found.push(format!("label {key} on node {}", node.name));
            }
        }
        for taint in node.taints.iter().filter(|taint| taint.key == EXPIRING_KEY || taint.key == LATER_KEY) {
            found.push(format!("taint {} on node {}", taint.key, node.name));
        }
    }
    let costs = world.facts.pods.values().filter(|pod| pod.deletion_cost != 0 && pod.deletion_at.is_none());
    found.extend(costs.map(|pod| format!("deletion cost on pod {}", pod.key)));
    for (id, workload) in &world.facts.workloads {
        if let Some(wanted) = world.judge.wanted_of(id)
            && wanted != workload.replicas
        {
            found.push(format!("{id} has {} replicas where {wanted} are wanted", workload.replicas));
        }
    }
    for (id, (affinity, limit)) in &world.inner.original_templates {
        let Some(inner) = world.inner.workloads.get(id) else { continue };
        if !affinity::same(inner.affinity.as_deref(), affinity.as_deref()) {
            found.push(format!("affinity of {id}"));
        }
        if !affinity::same(inner.max_unavailable.as_deref(), limit.as_deref()) {
            found.push(format!("maxUnavailable of {id}"));
        }
    }
    // The cloud makes a machine that it took back again, whenever it can: that is not ours to wait for.
    let preempts = |rule: &crate::cloud::FaultRule| matches!(rule.kind, crate::cloud::FaultKind::Preempt { .. });
    let replaced =
        |rule: &crate::faults::FaultRule| matches!(rule.kind, crate::faults::FaultKind::MachineReplaced { .. });
    if world.scenario.cloud_faults.iter().any(preempts) || world.scenario.faults.iter().any(replaced) {
        return found;
    }
    let created: Vec<&Name> = world.judge.created().collect();
    for name in created {
        // One that died in service is its owner's.
        let died = world.inner.nodes.get(name).is_some_and(|node| node.crashed);
        let serves = died || world.facts.nodes.get(name).is_some_and(|node| node.ready);
        if !serves && listed(world, name) {
            found.push(format!("machine {name} is no node in service"));
        }
    }
    found
}

fn listed(world: &World, name: &Name) -> bool {
    let mut cloud = world.cloud.clone();
    cloud.set_faults(Vec::new());
    let pools: Vec<Name> = world.scenario.pools.iter().map(crate::scenario::PoolSpec::id).collect();
    pools.iter().any(|pool| {
        let instances = cloud.list_managed(world.now, pool).unwrap_or_default();
        instances.iter().any(|instance| instance.name == *name)
    })
}
