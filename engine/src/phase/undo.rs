//! How each debt but a machine is undone. What somebody else changed meanwhile is theirs and stays.
//!
//! A debt is paid when its undoing was answered, or when what it is about is gone; never because the
//! watch does not show it: the watch may be older than the change.

use canary::{Canary, planted};
use journal_schema::effect::{Answer, Effect, FailureCode, NodeRole, OPTIMAL_KEY};
use journal_schema::facts::WorkloadFact;
use journal_schema::text::Few;

use super::{Ctx, affinity};
use crate::debts::Debt;
use crate::table::Progress;

/// Goes on with undoing a debt. True when nothing is left of it, and it is paid then.
pub(crate) fn undo(ctx: &mut Ctx<'_>, debt: &Debt) -> bool {
    let paid = match debt {
        // Machines are removed, or taken into service, by the phases.
        Debt::Instance { .. } => false,
        Debt::Mark { node, uid } => {
            let gone = ctx.state.world.node(node, uid).is_none();
            let (node, uid) = (node.clone(), uid.clone());
            gone || carried_out(ctx, Effect::MarkNode { node, uid, role: NodeRole::None, iteration: 0 })
        }
        Debt::DeletionCost { pod, uid, before } => {
            let gone = ctx.state.world.pod(pod, uid).is_none_or(|fact| fact.deletion_at.is_some());
            let cost = (*before != 0).then_some(*before);
            gone || carried_out(ctx, Effect::SetDeletionCost { pod: pod.clone(), uid: uid.clone(), cost })
        }
        Debt::Surge { workload, uid, base, surged } => {
            let gone = workload_of(ctx, debt).is_none();
            let (workload, uid) = (workload.clone(), uid.clone());
            gone || carried_out(ctx, Effect::Scale { workload, uid, from: *surged, to: *base })
        }
        Debt::Template { .. } => workload_of(ctx, debt).is_none() || restore(ctx, debt),
    };
    if paid {
        ctx.state.debts.pay(debt);
    }
    paid
}

fn workload_of<'a>(ctx: &'a Ctx<'_>, debt: &Debt) -> Option<&'a WorkloadFact> {
    match debt {
        Debt::Surge { workload, uid, .. } | Debt::Template { workload, uid, .. } => {
            ctx.state.world.cluster().workloads.get(workload).filter(|fact| fact.uid == *uid)
        }
        Debt::Instance { .. } | Debt::Mark { .. } | Debt::DeletionCost { .. } => None,
    }
}

/// Whether an undoing effect was answered, or refused because what it expects is not there any more:
/// then somebody else changed it, and knows why. Other refusals are tried again.
fn carried_out(ctx: &mut Ctx<'_>, effect: Effect) -> bool {
    match ctx.want(effect.clone()) {
        Progress::Asked => planted(Canary::PaysUnanswered),
        Progress::Done => true,
        Progress::Refused(failure) => {
            let theirs = matches!(failure.code, FailureCode::NotFound | FailureCode::Precondition);
            if theirs || planted(Canary::PaysRefused) {
                ctx.state.table.forget(&effect);
                return true;
            }
            ctx.try_later(&effect);
            false
        }
    }
}

/// Puts a template back. When it is not as we left it, only our terms are taken out of what is there.
fn restore(ctx: &mut Ctx<'_>, debt: &Debt) -> bool {
    let Debt::Template { workload, uid, affinity, max_unavailable } = debt else { return false };
    let (before, ours) = affinity.clone();
    let effect = Effect::PatchTemplate {
        workload: workload.clone(),
        uid: uid.clone(),
        from: ours,
        to: before,
        max_unavailable: max_unavailable.clone().map(|(before, ours)| (ours, before)),
        requests: Few::default(),
    };
    match ctx.want(effect.clone()) {
        Progress::Asked => return false,
        Progress::Done => return true,
        Progress::Refused(failure) if failure.code == FailureCode::NotFound => return true,
        Progress::Refused(failure) if failure.code == FailureCode::Precondition => {}
        Progress::Refused(_) => {
            ctx.try_later(&effect);
            return false;
        }
    }
    let read = Effect::ReadAffinity { workload: workload.clone(), uid: uid.clone() };
    match ctx.want(read.clone()) {
        Progress::Asked => false,
        Progress::Refused(failure) => {
            ctx.try_later(&read);
            failure.code == FailureCode::NotFound
        }
        Progress::Done => {
            let present = match ctx.state.table.take_answer(&read) {
                Some(Answer::Affinity(present, _)) => present,
                Some(_) | None => return false,
            };
            ctx.state.table.forget(&effect);
            let Some(without) = affinity::without_ours(present.as_ref()) else { return true };
            ctx.state.debts.owe(Debt::Template {
                workload: workload.clone(),
                uid: uid.clone(),
                affinity: (without, present),
                // Theirs, since they changed the template.
                max_unavailable: None,
            });
            false
        }
    }
}

/// Whether a template carries affinity of ours.
pub(crate) fn carries_ours(workload: &WorkloadFact) -> bool {
    workload
        .template
        .node_preferences
        .iter()
        .any(|(_, term)| term.labels.iter().any(|requirement| requirement.key == OPTIMAL_KEY))
}
