//! What each rule that keeps nodes holds in money.
//!
//! An estimate, of which [`crate::counterfactual`] measures the dearest: what the nodes cost less what their pods
//! would cost at the prices of the bound. A node that several rules hold counts for the first of them only.

use std::collections::BTreeMap;

use journal_schema::plan::{Basis, Relaxation};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::MicroUsdPerHour;

use crate::bound::Bound;
use crate::model::Model;

/// One relaxation for each budget and for each other kind of reason, dearest first.
pub(crate) fn relaxations(model: &Model<'_>, bound: &Bound) -> Vec<Relaxation> {
    let mut groups: BTreeMap<(Name, String), Relaxation> = BTreeMap::new();
    for host in &model.hosts {
        let (Some(keep), Some(price)) = (&host.keep, host.price) else { continue };
        let mut reason = keep.clone();
        if let Reason::PodBlocks { pod, .. } = keep {
            let blocker = host.fixed.iter().map(|item| &model.items[*item]).find(|item| item.fact.key == *pod);
            reason = blocker.and_then(|item| item.standing.blocked.clone()).unwrap_or(reason);
        }
        let runs: i64 = host
            .home
            .iter()
            .chain(&host.fixed)
            .map(|item| &model.items[*item])
            .filter(|item| !matches!(item.standing.blocked, Some(Reason::DaemonSet | Reason::StaticPod)))
            .map(|item| bound.units.worth(&model.classes[item.class].request))
            .sum();
        let saves = (price - runs / 1000).max(0);
        let own = if let Reason::PodDisruptionBudget { pdb, .. } = &reason { pdb.to_string() } else { String::new() };
        let group = groups.entry((Name::truncated(reason.code()), own)).or_insert(Relaxation {
            reason,
            nodes: 0,
            saves: MicroUsdPerHour(0),
            basis: Basis::Estimated,
        });
        group.nodes += 1;
        group.saves += MicroUsdPerHour(saves);
    }
    let mut list: Vec<Relaxation> = groups.into_values().filter(|group| group.saves.0 > 0).collect();
    list.sort_by(|a, b| b.saves.cmp(&a.saves).then_with(|| a.reason.cmp(&b.reason)));
    list
}
