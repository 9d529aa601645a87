//! Why a pending pod fits nowhere: the predicate that keeps it off the node that came closest.

use journal_schema::reason::Reason;

use crate::counters::Conflict;
use crate::model::{Model, first_static_failure};
use crate::state::State;

/// The first failing predicate of the host or offer on which the most predicates held.
pub(crate) fn why_unplaced(state: &State<'_, '_>, item: usize) -> Reason {
    let model = state.model;
    let fact = model.items[item].fact;
    let class = model.items[item].class;
    let mut best: Option<(u32, Reason)> = None;
    let mut offer = |rank: u32, reason: Reason| {
        if best.as_ref().is_none_or(|(most, _)| rank > *most) {
            best = Some((rank, reason));
        }
    };
    for (index, host) in model.hosts.iter().enumerate() {
        if !host.receives {
            offer(0, Reason::Unschedulable);
        } else if let Some(reason) =
            first_static_failure(model.input, fact, &host.fact.labels, &host.fact.taints, &host.fact.name)
        {
            offer(1, reason);
        } else if let Some(reason) = shortage(model, class, &state.room[index]) {
            offer(2, reason);
        } else if let Some(conflict) = state.conflict(class, index) {
            offer(3, conflict_reason(model, conflict));
        }
    }
    for machine in &model.machines {
        if let Some(reason) = first_static_failure(
            model.input,
            fact,
            &machine.offer.labels,
            &machine.offer.taints,
            crate::rules::NEW_NODE_NAME,
        ) {
            offer(1, reason);
        } else if let Some(reason) = shortage(model, class, &machine.room) {
            offer(2, reason);
        }
    }
    best.map_or(
        Reason::InsufficientResource { resource: journal_schema::text::Name::truncated("nodes") },
        |(_, reason)| reason,
    )
}

fn shortage(model: &Model<'_>, class: usize, room: &crate::model::Amounts) -> Option<Reason> {
    let request = &model.classes[class].request;
    (0..model.dims).find(|dim| request[*dim] > 0 && request[*dim] > room[*dim]).map(|dim| model.extra.shortage(dim))
}

/// A conflict as a reason.
fn conflict_reason(model: &Model<'_>, conflict: Conflict) -> Reason {
    match conflict {
        Conflict::Anti => Reason::PodAntiAffinity,
        Conflict::Affinity => Reason::PodAffinity,
        Conflict::Spread(spread) => Reason::TopologySpread { key: model.relations.spreads[spread].key.clone() },
    }
}
