//! What a change is likely to come to.
//!
//! The scheduler takes any of the nodes that score highest, and pods that are moved at the same time
//! reach it in an order that nobody knows. A packing that comes true in one order only is not worth its
//! price: where a pod finds no place its node stays, and where too many stay the plan is undone. So a
//! change is rehearsed in several orders drawn by lot, and what it costs in the mean is what counts.

use std::collections::BTreeSet;

use journal_schema::plan::SPARED_DIVISOR;

use crate::model::Model;
use crate::parallel::in_parallel;
use crate::sequence::{Change, Rehearsal, rehearse_drawn, work_of};

/// Rehearsals drawn by lot.
const DRAWS: usize = 16;
/// Moves × hosts of a rehearsal beyond which none is drawn: the search would have little work left, and
/// of so many nodes the few that stay are a small share.
const LARGE: usize = 150_000;

/// The mean of several rehearsals.
pub(crate) struct Outlook<'m, 'a> {
    /// What nodes cost in the mean that stay although the change removes them.
    pub(crate) regret: i64,
    /// The rehearsals in which a node stayed.
    pub(crate) failed: Vec<Rehearsal<'m, 'a>>,
    /// The work of all.
    pub(crate) work: usize,
}

/// Whether rehearsals of such a change are drawn.
pub(crate) fn is_drawn(model: &Model<'_>, change: &Change, moves: usize) -> bool {
    !change.leaving.is_empty() && work_of(model, change, moves) <= LARGE
}

/// Rehearses a change in orders drawn by lot; `moves` says how many pods it moves. The outcome is
/// the same for any number of threads.
pub(crate) fn outlook<'m, 'a>(model: &'m Model<'a>, change: &Change, moves: usize, threads: u32) -> Outlook<'m, 'a> {
    let mut outlook = Outlook { regret: 0, failed: Vec::new(), work: 0 };
    if !is_drawn(model, change, moves) {
        return outlook;
    }
    let cost = change.cost(model);
    outlook.work = work_of(model, change, moves) * DRAWS;
    let draws: Vec<u64> = (0..).take(DRAWS).collect();
    let drawn = in_parallel(threads, &draws, |draw| {
        let rehearsal = rehearse_drawn(model, change, *draw);
        let homes = rehearsal.stuck.iter().filter_map(|item| model.items[*item].home);
        let stay: BTreeSet<usize> = homes.filter(|home| change.leaves(*home)).collect();
        (!stay.is_empty()).then_some((stay, rehearsal))
    });
    let mut sum = 0;
    for (stay, rehearsal) in drawn.into_iter().flatten() {
        // The machines of an undone plan are paid for a while, which is not reckoned here.
        let undone = stay.len() > change.leaving.len() / SPARED_DIVISOR;
        let staying: i64 = stay.iter().filter_map(|host| model.hosts[*host].price).sum();
        sum += if undone { staying.max(-cost) } else { staying };
        outlook.failed.push(rehearsal);
    }
    outlook.regret = sum / i64::try_from(DRAWS).unwrap_or(1);
    outlook
}
