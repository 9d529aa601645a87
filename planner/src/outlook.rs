//! What a change is likely to come to.
//!
//! The scheduler takes any of the nodes that score highest, and pods that are moved at the same time
//! reach it in an order that nobody knows. A packing that comes true in one order only is not worth its
//! price: where a pod finds no place its node stays, and where too many stay the plan is undone. So a
//! change is rehearsed in several orders drawn by lot, and what it costs in the mean is what counts.

use std::collections::BTreeSet;

use journal_schema::plan::SPARED_DIVISOR;

use crate::model::Model;
use crate::sequence::{Change, Rehearsal, Rules, rehearse, work_of};

/// Rehearsals drawn by lot, where they are cheap.
const MOST_DRAWS: usize = 16;
/// Moves × hosts of all of them together, beyond which there are fewer; there is one at least.
const WORK: usize = 8_000_000;

/// The mean of several rehearsals.
pub(crate) struct Outlook<'m, 'a> {
    /// What nodes cost in the mean that stay although the change removes them.
    pub(crate) regret: i64,
    /// The rehearsals in which a node stayed.
    pub(crate) failed: Vec<Rehearsal<'m, 'a>>,
    /// The work of all.
    pub(crate) work: usize,
}

/// Rehearses a change in orders drawn by lot; `moves` says how many pods it moves.
pub(crate) fn outlook<'m, 'a>(model: &'m Model<'a>, change: &Change, moves: usize) -> Outlook<'m, 'a> {
    let work = work_of(model, change, moves);
    let draws = (WORK / work.max(1)).clamp(1, MOST_DRAWS);
    let price = |host: usize| model.hosts[host].price.unwrap_or(0);
    let removed: i64 = change.leaving.iter().map(|host| price(*host)).sum();
    let added: i64 = change.machines.iter().map(|machine| model.machines[*machine].offer.price).sum();
    let mut outlook = Outlook { regret: 0, failed: Vec::new(), work: work * draws };
    if change.leaving.is_empty() {
        return outlook;
    }
    let mut sum = 0;
    for draw in 0..draws {
        let rehearsal = rehearse(model, change, Rules::Drawn(draw as u64));
        let stay: BTreeSet<usize> = rehearsal.stuck.iter().filter_map(|item| model.items[*item].home).collect();
        // The machines of an undone plan are paid for a while, which is not reckoned here.
        let undone = stay.len() > change.leaving.len() / SPARED_DIVISOR;
        let staying: i64 = stay.iter().map(|host| price(*host)).sum();
        sum += if undone { (removed - added).max(staying) } else { staying };
        if !stay.is_empty() {
            outlook.failed.push(rehearsal);
        }
    }
    outlook.regret = sum / i64::try_from(draws).unwrap_or(1);
    outlook
}
