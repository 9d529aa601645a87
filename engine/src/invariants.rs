//! What must hold for each effect, checked at the moment it is emitted.
//!
//! The numbers are those of the safety list in docs/hazards.md. An effect that fails its check is not
//! sent, and the state remembers why. It would be a bug of ours, or somebody changed the world under
//! us (took our taint away, say); the phase's deadline then turns back.

use journal_schema::effect::{Effect, EffectId, NodeRole};
use journal_schema::policy::Mode;
use journal_schema::text::{Message, Name};
use journal_schema::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::phase::Phase;
use crate::state::State;
use crate::world::{avoided, holds_node, tainted};

/// The last effect that was held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The id it would have had.
    pub id: EffectId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub violation: Violation,
}

/// An effect that must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("invariant {number} would be broken by {effect}: {detail}")]
pub struct Violation {
    /// Number in the safety list.
    pub number: Name,
    /// The effect's name.
    pub effect: Name,
    /// What is wrong.
    pub detail: Message,
}

/// Checks an effect against the state that emits it.
pub(crate) fn check(state: &State, effect: &Effect) -> Result<(), Violation> {
    let violation = |number: &str, detail: String| {
        let (number, effect) = (Name::truncated(number), Name::truncated(effect.name()));
        Err(Violation { number, effect, detail: Message::truncated(detail) })
    };
    if !state.world.synced() {
        return violation("S3", format!("{:?} is not synced", state.world.first_unsynced()));
    }
    if state.epoch == 0 {
        return violation("S14", "no daemon has started on this journal".to_owned());
    }
    let unwinding = matches!(state.phase, Phase::Unwinding(_));
    if effect.mutates() && state.policy.mode == Mode::Recommend && !unwinding {
        return violation("S20", "mode Recommend changes nothing".to_owned());
    }
    match effect {
        Effect::CreateInstances { pool, names, .. } => {
            let Some(iteration) = state.phase.iteration() else {
                return violation("S6", "no iteration is under way".to_owned());
            };
            let planned: BTreeSet<_> = iteration
                .machines
                .iter()
                .filter(|machine| machine.pool == *pool)
                .map(|machine| &machine.name)
                .collect();
            match names.iter().find(|name| !planned.contains(name)) {
                Some(name) => violation("S6", format!("{name} is not in the plan for {pool}")),
                None if names.iter().any(|name| !state.debts.has_instance(name)) => {
                    violation("S7", "a machine is not on the list of debts".to_owned())
                }
                None => Ok(()),
            }
        }
        Effect::DeleteInstances { instances, .. } => {
            for instance in instances {
                let Some(node) = state.world.cluster().nodes.get(&instance.name) else {
                    // A machine that never became a node may only be deleted when it is ours.
                    let leaving = state.phase.iteration().is_some_and(|iteration| iteration.removes(&instance.name));
                    if state.debts.has_instance(&instance.name) || leaving {
                        continue;
                    }
                    return violation("S2", format!("{} is not ours", instance.name));
                };
                if !tainted(node) {
                    return violation("S2", format!("node {} is not marked as expiring", node.name));
                }
                if let Some(pod) = state.world.pods_on(&node.name).find(|pod| holds_node(pod)) {
                    return violation("S1", format!("pod {} is on node {}", pod.key, node.name));
                }
                if let (Some(ours), Some(theirs)) = (instance.id, node.instance_id)
                    && ours != theirs
                {
                    return violation("S2", format!("node {} is instance {theirs}, not {ours}", node.name));
                }
                let planned =
                    state.phase.iteration().is_some_and(|iteration| iteration.removes_uid(&node.name, &node.uid));
                if !planned && !state.debts.has_instance(&instance.name) {
                    return violation("S2", format!("node {} is neither in the plan nor ours", node.name));
                }
            }
            Ok(())
        }
        Effect::Evict { pod, uid } => match state.world.pod(pod, uid) {
            Some(fact) if !holds_node(fact) => violation("S10", format!("pod {pod} need not be evicted")),
            Some(fact) => {
                let node = fact.node.as_ref().and_then(|node| state.world.cluster().nodes.get(node));
                // A pod of a node that stays moves under a plan only, and while the scheduler avoids its node.
                let shifts = || state.phase.iteration().is_some_and(|iteration| iteration.shifts_uid(uid));
                if node.is_some_and(tainted) || node.is_some_and(avoided) && shifts() {
                    Ok(())
                } else {
                    violation("S10", format!("pod {pod} is not on an expiring node"))
                }
            }
            None => violation("S10", format!("pod {pod} is not known")),
        },
        Effect::MarkNode { node, uid, role: NodeRole::Expiring, .. } => {
            let planned = state.phase.iteration().is_some_and(|iteration| iteration.removes_uid(node, uid));
            if planned || state.debts.has_instance(node) {
                Ok(())
            } else {
                violation("S2", format!("node {node} does not leave under the plan"))
            }
        }
        Effect::Scale { workload, from, to, .. } => {
            let surging =
                state.debts.surge(workload) == Some((*from, *to)) || state.debts.surge(workload) == Some((*to, *from));
            if surging { Ok(()) } else { violation("S11", format!("{workload} has no surge from {from} to {to}")) }
        }
        Effect::PatchTemplate { .. }
        | Effect::SetDeletionCost { .. }
        | Effect::MarkNode { role: NodeRole::Optimal | NodeRole::Later | NodeRole::None, .. }
        | Effect::DiscoverPools
        | Effect::ListInstances { .. }
        | Effect::ReadPrices
        | Effect::ReadUsage { .. }
        | Effect::ReadNodePods { .. }
        | Effect::ReadAffinity { .. }
        | Effect::Forecast
        | Effect::Plan { .. }
        | Effect::Notice { .. } => Ok(()),
    }
}
