//! Pods that move although their nodes stay.
//!
//! Nothing keeps such a pod from coming straight back but that its node is avoided while it moves, so each
//! moves in a wave that opens where it is to go and not where it is. It is never worth a machine: where it
//! finds no place it stays.

use journal_schema::facts::TaintEffect;
use journal_schema::plan::MoveMethod;
use journal_schema::policy::Actuation;
use journal_schema::reason::Reason;

use crate::eligibility::node_releases;
use crate::model::Model;
use crate::rules::{term_matches, tolerates};
use crate::sequence::{Change, Wave, joined};
use crate::state::State;

/// A pod that moves although its node stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) item: usize,
    pub(crate) aim: Aim,
}

/// What a shift is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// This item, which waits, or a pod that makes room for it, fits where the pod was.
    Room(usize),
    /// Requests of CPU and memory even out.
    Balance,
    /// Its node is used too much.
    Relief,
    /// Too much of its workload is in one place.
    Availability,
}

impl Shift {
    /// In words.
    pub(crate) fn reason(&self, model: &Model<'_>) -> Reason {
        match self.aim {
            Aim::Room(pending) => Reason::MakesRoom { pod: model.items[pending].fact.key.clone() },
            Aim::Balance => Reason::EvensOut,
            Aim::Availability => Reason::SpreadsOut,
            Aim::Relief => Reason::RelievesNode { limit: model.input.policy.optimize.node_usage },
        }
    }
}

/// Whether the scheduler may be led, without which no pod is shifted. A rolling update replaces every pod of its
/// workload, wherever that is.
pub(crate) fn led(model: &Model<'_>) -> bool {
    let policy = &model.input.policy.disruption;
    policy.steering && policy.actuation != Actuation::RollingUpdate
}

/// By present node: whether its pods may be shifted.
pub(crate) fn releasing(model: &Model<'_>) -> Vec<bool> {
    let releases = |slot: usize| model.is_steered(slot) && node_releases(model.input, model.hosts[slot].fact);
    (0..model.hosts.len()).map(releases).collect()
}

/// Whether an item may move once its node lets it go.
pub(crate) fn may_shift(model: &Model<'_>, item: usize) -> bool {
    let standing = &model.items[item].standing;
    standing.blocked.is_none() && standing.method != MoveMethod::RollingUpdate
}

/// Whether a pod is as well off on a host by its own preferences as where it is.
pub(crate) fn suits(model: &Model<'_>, item: usize, host: usize) -> bool {
    model.items[item].home.is_none_or(|home| regard(model, item, host) >= regard(model, item, home))
}

/// What a pod says of a present host by itself: the weights of its preferred terms that match, less one for
/// each taint that it would rather avoid.
fn regard(model: &Model<'_>, item: usize, host: usize) -> i64 {
    let (spec, node) = (&model.items[item].fact.spec, model.hosts[host].fact);
    let liked = spec.node_preferences.iter().filter(|(_, term)| term_matches(term, &node.labels, &node.name));
    let avoided = node.taints.iter().filter(|taint| {
        taint.effect == TaintEffect::PreferNoSchedule && !spec.tolerations.iter().any(|t| tolerates(t, taint))
    });
    liked.map(|(weight, _)| i64::from(*weight)).sum::<i64>() - i64::try_from(avoided.count()).unwrap_or(0)
}

/// Whether more pods of its workload would be together with an item on a host than are where it is: what is
/// gained by evenness is not paid for with availability.
pub(crate) fn crowds(state: &State<'_, '_>, item: usize, host: usize) -> bool {
    let model = state.model;
    let Some(workload) = &model.items[item].standing.workload else { return false };
    let siblings = |host: usize| {
        let fixed = model.hosts.get(host).into_iter().flat_map(|host| &host.fixed);
        let all = state.pods[host].iter().chain(fixed);
        all.filter(|other| **other != item && model.items[**other].standing.workload.as_ref() == Some(workload)).count()
    };
    siblings(host) > siblings(state.at[item])
}

/// Moves an item to a host as its method does, if that is possible while nothing else moves; whether it was.
pub(crate) fn try_move(state: &mut State<'_, '_>, item: usize, host: usize) -> bool {
    let entry = &state.model.items[item];
    let (class, home) = (entry.class, state.at[item]);
    let beside = entry.standing.method != MoveMethod::Evict;
    if beside && !state.admits(class, host) {
        return false;
    }
    state.lift(item);
    let fits = (beside || state.admits(class, host)) && !state.exceeds_cap(class, host);
    state.place(item, if fits { host } else { home });
    fits
}

/// The change in which these items go to these hosts, one after the other; `None` when there are none.
pub(crate) fn change_of(model: &Model<'_>, steps: &[(usize, usize)], aim: Aim) -> Option<Change> {
    if steps.is_empty() {
        return None;
    }
    let mut shifting: Vec<Shift> = steps.iter().map(|(item, _)| Shift { item: *item, aim }).collect();
    shifting.sort_by_key(|shift| shift.item);
    let waves = steps.iter().map(|(item, host)| Wave { opens: vec![*host], items: vec![*item] }).collect();
    let mut change = Change { leaving: Vec::new(), machines: Vec::new(), shifting, waves };
    change.waves = joined(model, &change);
    Some(change)
}

/// What it takes to move one, in thousandths of an ordinary move.
pub(crate) fn toll_of(model: &Model<'_>, item: usize) -> i64 {
    model.items[item].toll
}

/// What it takes to move these.
pub(crate) fn toll(model: &Model<'_>, shifting: &[Shift]) -> i64 {
    shifting.iter().map(|shift| toll_of(model, shift.item)).sum()
}
