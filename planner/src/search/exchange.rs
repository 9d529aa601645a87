//! Exchanges: a node that was closed comes back with its pods, and others are closed into the room that these leave.
//!
//! Where moves are dear many nodes stay, and what is sought is which. To close another node is not enough then: room
//! is short, because the placement is good already. What is better is nearly always as many nodes of which some are
//! others. Neither half of such a change is worth anything alone, so both are one step. It asks for no machine, and so
//! costs a fraction of what ruin and recreate does.

use super::drain;
use super::ruin::Search;
use crate::moves::MOVE;
use crate::state::State;

/// Of a hundred steps, those that are exchanges where as many nodes stay as leave.
const MOST_PERCENT: usize = 90;
/// Hosts of which the most wasteful are closed.
const LOOKED_AT: usize = 16;
/// Hosts that one step tries to close.
const TRIED: usize = 4;
/// Open hosts beside those that got room, of which one number is drawn: pods of what is closed may go there too.
const MORE_RECEIVERS: [usize; 4] = [0, 6, 16, 48];

/// Moves are dear where emptying all nodes that may leave takes this share of what they cost, as a divisor. Where they
/// are cheaper nearly all nodes leave, and what is sought is how new machines are filled.
const DEAR_SHARE: i128 = 25;

/// Whether moves are dear at a price of one, where nodes that may leave cost so much and emptying them takes so much.
pub(super) fn are_dear((cost, toll): (i64, i64), move_penalty: i64) -> bool {
    i128::from(toll) * i128::from(move_penalty) * DEAR_SHARE >= i128::from(cost) * i128::from(MOVE)
}

/// How many of a hundred steps are exchanges where moves are dear: the more, the nearer to each other the numbers of
/// nodes are that could leave and stay, and that left.
pub(super) fn percent(stay: usize, left: usize) -> u64 {
    let fewer = stay.min(left);
    u64::try_from(MOST_PERCENT * 2 * fewer / (stay + left).max(1)).unwrap_or(0)
}

impl Search<'_, '_> {
    /// Brings a closed node back and closes others, until the placement costs no more than `most`; whether that was
    /// tried to the end.
    pub(super) fn exchange(&mut self, state: &mut State<'_, '_>, most: i64) -> bool {
        self.lifted.clear();
        self.ruined.clear();
        self.pool.clear();
        let Some(back) = self.random.pick(&self.closed).filter(|host| !state.open[*host]) else { return false };
        let model = state.model;
        let mut near: Vec<usize> = model.hosts[back].home.iter().map(|item| state.at[*item]).collect();
        if !self.bring_home(state, back) {
            return false;
        }
        near.push(back);
        let more = MORE_RECEIVERS[self.random.below(MORE_RECEIVERS.len())];
        near.extend((0..more).filter_map(|_| self.random.pick(&self.receivers)));
        near.retain(|host| state.open.get(*host) == Some(&true));
        near.sort_unstable();
        near.dedup();
        for host in self.wasteful(state, back) {
            if self.goal.price(state) <= most {
                break;
            }
            if self.cost_of(state, host) > 0 {
                self.empty_into(state, host, &near);
            }
        }
        true
    }

    /// Hosts that may be closed, the most wasteful of some first.
    fn wasteful(&mut self, state: &State<'_, '_>, but: usize) -> Vec<usize> {
        let picks = (0..LOOKED_AT).filter_map(|_| self.random.pick(&self.closable));
        let mut hosts: Vec<usize> = picks.filter(|host| state.open[*host] && *host != but).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.sort_by_cached_key(|host| (-self.waste(state, *host), *host));
        hosts.truncate(TRIED);
        hosts
    }

    /// Closes a host if its pods fit onto others.
    fn empty_into(&mut self, state: &mut State<'_, '_>, host: usize, others: &[usize]) {
        let (mark, known) = (state.mark(), self.lifted.len());
        let mut lifted = Vec::new();
        self.ruin(state, host, &mut lifted);
        drain::by_worth(state, self.goal, &mut lifted);
        let tied: Vec<Option<usize>> = lifted.iter().map(|item| self.tied_to(state, *item)).collect();
        self.fill_pool(state, lifted.into_iter().zip(tied));
        self.lifted.extend(self.pool.lots.iter().map(|lot| lot.class));
        let open: Vec<usize> = others.iter().copied().filter(|other| state.open[*other]).collect();
        self.fill_from(state, &open);
        if !self.pool.is_empty() {
            state.undo(mark);
            self.lifted.truncate(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{are_dear, percent};

    /// A thousand ordinary moves at a tenth of a cent come to a dollar.
    #[test]
    fn moves_are_dear_by_what_the_nodes_cost_that_they_empty() {
        assert!(are_dear((25_000_000, 1_000_000), 1_000));
        assert!(!are_dear((25_000_001, 1_000_000), 1_000));
        assert!(!are_dear((25_000_000, 1_000_000), 999));
    }

    #[test]
    fn exchanges_are_for_clusters_of_which_a_part_stays() {
        assert_eq!([percent(0, 0), percent(0, 100), percent(100, 0)], [0, 0, 0]);
        assert_eq!([percent(1, 400), percent(10, 90), percent(50, 50)], [0, 18, 90]);
    }
}
