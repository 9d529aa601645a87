//! The machines to add may be booted, and the nodes to remove may be removed.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{DoNotDisrupt, NodeFact};
use journal_schema::plan::{Managed, NodeToAdd, NodeToRemove, Plan, Planned, PlanningInput, PodAction, Slot, Target};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

use super::{Check, Findings, costs};
use crate::scheduler::matching::selector_matches;

/// Labels of nodes that run the control plane.
const CONTROL_PLANE_KEYS: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

pub(super) fn check(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    let plan = &planned.plan;
    for machine in &plan.add {
        if let Some(wrong) = wrong_with_added(input, machine) {
            findings.error(
                Check::AddedMachine,
                format_args!("machine {} in pool {}: {wrong}", machine.slot.0, machine.pool.as_str()),
            );
        }
    }
    pool_sizes(input, plan, findings);
    let used = used_slots(planned);
    for machine in plan.add.iter().filter(|machine| !used.contains(&machine.slot)) {
        findings.warning(
            Check::UnusedMachine,
            format_args!("no pod comes to machine {} in pool {}", machine.slot.0, machine.pool.as_str()),
        );
    }
    for removed in &plan.remove {
        let Some(node) = input.cluster.nodes.get(&removed.node) else {
            findings.error(Check::RemovedNode, format_args!("node {} does not exist", removed.node.as_str()));
            continue;
        };
        if let Some(wrong) = wrong_with_removed(input, node, removed) {
            findings.error(Check::RemovedNode, format_args!("node {}: {wrong}", node.name.as_str()));
        }
        if let Some(protection) = protection(input, node) {
            findings.error(Check::ProtectedNode, format_args!("node {}: {protection}", node.name.as_str()));
        }
    }
}

fn wrong_with_added(input: &PlanningInput, machine: &NodeToAdd) -> Option<&'static str> {
    let Some(pool) = input.pools.iter().find(|pool| pool.id == machine.pool) else {
        return Some("there is no such pool");
    };
    let policy = &input.policy.optimize;
    if pool.refusal.is_some() {
        return Some("the pool is refused");
    }
    if input.excluded_pools.contains(&pool.id) {
        return Some("the pool is left alone for now");
    }
    if (&machine.machine_type, &machine.zone, machine.capacity_type)
        != (&pool.machine_type, &pool.zone, pool.capacity_type)
    {
        return Some("machine type, zone or capacity type is not the pool's");
    }
    if !policy.machine_types.is_empty()
        && !policy.machine_types.iter().any(|glob| glob_matches(glob, &machine.machine_type))
    {
        return Some("the policy does not allow the machine type");
    }
    if !policy.zones.is_empty() && !policy.zones.contains(&machine.zone) {
        return Some("the policy does not allow the zone");
    }
    if !policy.capacity_types.is_empty() && !policy.capacity_types.contains(&machine.capacity_type) {
        return Some("the policy does not allow the capacity type");
    }
    match costs::effective(input, &pool.region, &pool.machine_type, pool.capacity_type) {
        None => Some("the price book does not have it"),
        Some(price) if price != machine.price => Some("the price is not the book's by the policy's pricing"),
        Some(_) => None,
    }
}

/// `*` stands for any characters, `?` for one.
fn glob_matches(glob: &str, text: &str) -> bool {
    match (glob.chars().next(), text.chars().next()) {
        (None, found) => found.is_none(),
        (Some('*'), found) => {
            let rest = &glob[1..];
            glob_matches(rest, text) || found.is_some_and(|first| glob_matches(glob, &text[first.len_utf8()..]))
        }
        (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
            glob_matches(&glob[wanted.len_utf8()..], &text[found.len_utf8()..])
        }
        (Some(_), Some(_) | None) => false,
    }
}

/// New machines boot before old ones leave, so the pool must hold both.
fn pool_sizes(input: &PlanningInput, plan: &Plan, findings: &mut Findings) {
    let mut added: BTreeMap<&Name, u32> = BTreeMap::new();
    for machine in &plan.add {
        *added.entry(&machine.pool).or_default() += 1;
    }
    for (id, count) in added {
        let pool = input.pools.iter().find(|pool| pool.id == *id);
        if let Some((pool, most)) = pool.and_then(|pool| Some((pool, pool.max_size?)))
            && u64::from(pool.size) + u64::from(count) > u64::from(most)
        {
            findings.error(
                Check::PoolSize,
                format_args!("pool {}: {} machines and {count} more exceed {most}", id.as_str(), pool.size),
            );
        }
    }
}

/// The slots that some pod comes to, moved or pending.
fn used_slots(planned: &Planned) -> BTreeSet<Slot> {
    let placed = planned.report.pods.iter().filter_map(|verdict| match &verdict.action {
        PodAction::Place(target) => Some(target),
        PodAction::Stay | PodAction::Move(_) | PodAction::Unplaced => None,
    });
    let targets = planned.plan.moves.iter().map(|step| &step.to).chain(placed);
    targets
        .filter_map(|target| match target {
            Target::New(slot) => Some(*slot),
            Target::Node(_) => None,
        })
        .collect()
}

fn wrong_with_removed(input: &PlanningInput, node: &NodeFact, removed: &NodeToRemove) -> Option<&'static str> {
    let pool = costs::pool(input, node);
    if removed.uid != node.uid {
        return Some("the UID is another");
    }
    if removed.provider_id != node.provider_id {
        return Some("the provider id is another");
    }
    if removed.pool.as_ref() != pool.map(|pool| &pool.id) {
        return Some("the pool is another");
    }
    let capacity_type = pool.map_or_else(|| costs::capacity_type(node), |pool| pool.capacity_type);
    if removed.machine_type.as_str() != costs::machine_type(node) || removed.zone.as_str() != costs::zone(node) {
        return Some("machine type or zone is another");
    }
    if removed.capacity_type != capacity_type {
        return Some("the capacity type is another");
    }
    match costs::price(input, node) {
        None => Some("its price is not known"),
        Some(price) if price != removed.price => Some("the price is another"),
        Some(_) => None,
    }
}

/// Why the pods of a node that stays must not be moved off it, if they must not.
pub(super) fn tied(input: &PlanningInput, node: &NodeFact) -> Option<&'static str> {
    let usable = match &input.managed {
        Managed::All => true,
        Managed::Listed(_) => costs::pool(input, node).is_some_and(|pool| pool.refusal.is_none()),
    };
    if !usable {
        return Some("it is not ours to mark");
    }
    let ties = |rule: &&Rule| rule.of != Of::Removal;
    rules(input, node).iter().filter(ties).find_map(|rule| rule.holds.then_some(rule.why))
}

/// What a rule of a node forbids.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Its removal.
    Removal,
    /// That, and moving its pods while it stays.
    Both,
}

/// Something that speaks for leaving a node alone.
struct Rule {
    of: Of,
    holds: bool,
    why: &'static str,
}

/// What a node, the policy and kinema's own pod say.
fn rules(input: &PlanningInput, node: &NodeFact) -> [Rule; 11] {
    let own_pod = input.own_pod.as_ref().and_then(|key| input.cluster.pods.get(key));
    let hosts_kinema = own_pod.is_some_and(|pod| pod.node.as_ref() == Some(&node.name));
    let too_young = input.now.since(node.created_at) < input.policy.observe.min_node_age;
    let control_plane = CONTROL_PLANE_KEYS.iter().any(|key| node.labels.contains_key(*key));
    [
        (Of::Both, !selector_matches(&input.policy.nodes, &node.labels), "the policy does not select it"),
        (Of::Both, control_plane, "it runs the control plane"),
        (Of::Both, node.excluded, "it is excluded"),
        (Of::Both, protected(node.do_not_disrupt, input.now), "it asks not to be disrupted"),
        (Of::Removal, node.scale_down_disabled, "scaling down is disabled on it"),
        (Of::Both, !node.unknown.is_empty(), "it has a rule that is not known"),
        (Of::Both, node.deletion_at.is_some(), "it is being deleted already"),
        (Of::Both, !node.ready, "it is not ready"),
        (Of::Both, node.unschedulable, "somebody cordoned it"),
        (Of::Removal, too_young, "it is too young"),
        (Of::Removal, hosts_kinema, "kinema runs on it"),
    ]
    .map(|(of, holds, why)| Rule { of, holds, why })
}

/// Why a node must stay, if it must.
fn protection(input: &PlanningInput, node: &NodeFact) -> Option<&'static str> {
    match &input.managed {
        Managed::All => {}
        Managed::Listed(_) => match costs::pool(input, node) {
            None => return Some("its pool is not known"),
            Some(pool) if pool.refusal.is_some() => return Some("its pool is refused"),
            Some(_) => {}
        },
    }
    rules(input, node).iter().find_map(|rule| rule.holds.then_some(rule.why))
}

/// Whether a wish not to be disrupted still holds.
pub(super) fn protected(wish: DoNotDisrupt, now: Timestamp) -> bool {
    match wish {
        DoNotDisrupt::No => false,
        DoNotDisrupt::Always => true,
        DoNotDisrupt::Until(moment) => now < moment,
    }
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("n2-*", "n2-standard-4", true),
            ("*", "", true),
            ("n2-standard-?", "n2-standard-4", true),
            ("n2-standard-?", "n2-standard-16", false),
            ("*-4", "n2-standard-4", true),
            ("n2", "n2-standard-4", false),
            ("*std*4*", "n2-std-4", true),
        ] {
            assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
        }
    }
}
