//! How each debt but a machine is undone. What somebody else changed meanwhile is theirs and stays.

use journal_schema::effect::{Effect, NodeRole, OPTIMAL_KEY};
use journal_schema::facts::WorkloadFact;
use journal_schema::text::Few;

use super::Ctx;
use crate::debts::Debt;
use crate::table::Progress;

/// Goes on with undoing a debt. True when nothing is left of it, and it is paid then.
pub(crate) fn undo(ctx: &mut Ctx<'_>, debt: &Debt) -> bool {
    let paid =
        match debt {
            // Machines are removed, or taken into service, by the phases.
            Debt::Instance { .. } => false,
            Debt::Mark { node, uid } => match ctx.state.world.node(node, uid).cloned() {
                None => true,
                Some(fact) => ctx.mark(&fact, NodeRole::None, 0),
            },
            Debt::DeletionCost { pod, uid, before } => match ctx.state.world.pod(pod, uid) {
                None => true,
                Some(fact) if fact.deletion_at.is_some() || fact.deletion_cost == *before => {
                    // The watch may not show the cost yet that was asked for a moment ago.
                    !ctx.state
                        .table
                        .in_flight()
                        .any(|(_, effect)| matches!(effect, Effect::SetDeletionCost { pod: about, .. } if about == pod))
                }
                Some(_) => {
                    let cost = (*before != 0).then_some(*before);
                    ctx.want_again(Effect::SetDeletionCost { pod: pod.clone(), uid: uid.clone(), cost });
                    false
                }
            },
            Debt::Surge { workload, uid, base, surged } => {
                let fact = ctx.state.world.cluster().workloads.get(workload).filter(|fact| fact.uid == *uid);
                match fact.map(|fact| fact.replicas) {
                    None => true,
                    Some(replicas) if replicas != *surged => !ctx.state.table.in_flight().any(
                        |(_, effect)| matches!(effect, Effect::Scale { workload: about, .. } if about == workload),
                    ),
                    Some(_) => {
                        let effect =
                            Effect::Scale { workload: workload.clone(), uid: uid.clone(), from: *surged, to: *base };
                        match ctx.want(effect.clone()) {
                            Progress::Asked | Progress::Done => false,
                            // Not what we left: somebody else scaled, and knows why.
                            Progress::Refused(_) => {
                                ctx.state.table.forget(&effect);
                                true
                            }
                        }
                    }
                }
            }
            Debt::Template { workload, uid, affinity, max_unavailable } => {
                let fact = ctx.state.world.cluster().workloads.get(workload).filter(|fact| fact.uid == *uid);
                match fact {
                None => true,
                Some(fact) if !carries_ours(fact) => !ctx.state.table.in_flight().any(
                    |(_, effect)| matches!(effect, Effect::PatchTemplate { workload: about, .. } if about == workload),
                ),
                Some(_) => {
                    let (before, ours) = affinity.clone();
                    let effect = Effect::PatchTemplate {
                        workload: workload.clone(),
                        uid: uid.clone(),
                        from: ours,
                        to: before,
                        max_unavailable: max_unavailable.clone().map(|(before, ours)| (ours, before)),
                        requests: Few::default(),
                    };
                    ctx.want_again(effect);
                    false
                }
            }
            }
        };
    if paid {
        ctx.state.debts.pay(debt);
    }
    paid
}

/// Whether a template carries affinity of ours.
pub(crate) fn carries_ours(workload: &WorkloadFact) -> bool {
    workload
        .template
        .node_preferences
        .iter()
        .any(|(_, term)| term.labels.iter().any(|requirement| requirement.key == OPTIMAL_KEY))
}
