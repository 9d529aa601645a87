//! Opening several hosts at once, where pods go where they are meant to all the same.

use std::collections::BTreeMap;

use super::preferences::Preferences;
use super::{Change, Start, Wave, in_turns, overtaken, parallel_moves, step};
use crate::model::Model;
use crate::search::random::Random;
use crate::state::{NOWHERE, State};

/// Orders drawn by lot in which pods must reach the hosts that they are meant for.
const DRAWS: u64 = 3;
/// Hosts that are open at once, at most: what is looked at grows with their number.
const MOST_OPEN: usize = 8;

/// Joins waves of one host each that follow each other, as long as no more pods move in one than may at once
/// and each host takes the same pods, or pods of their class, in several orders.
///
/// Time: moves × hosts open at once.
pub(crate) fn joined(model: &Model<'_>, change: &Change) -> Vec<Wave> {
    let mut stage = Stage::new(model, change);
    let most = parallel_moves(model);
    let mut joined: Vec<Wave> = Vec::new();
    for wave in change.waves.iter().map(|wave| wave.in_turns(model)) {
        let both = joined.last().map(|last| last.and(&wave).in_turns(model));
        // A pod whose node is open would come back to it.
        let leads = |both: &Wave| {
            both.items.iter().all(|item| model.items[*item].home.is_none_or(|home| !both.opens.contains(&home)))
        };
        match both.filter(|both| both.items.len() <= most && both.opens.len() <= MOST_OPEN && leads(both)) {
            Some(both) if stage.holds(&both) => {
                joined.pop();
                joined.push(both);
            }
            _ => {
                if let Some(done) = joined.last() {
                    stage.carry_out(&done.opens, &done.items);
                    stage.state.commit();
                }
                joined.push(wave);
            }
        }
    }
    joined
}

impl Wave {
    /// The same, with the items in the order in which they begin to move.
    fn in_turns(&self, model: &Model<'_>) -> Self {
        let mut wave = self.clone();
        in_turns(model, &mut wave.items);
        wave
    }

    /// Both at once.
    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.opens.extend(other.opens.iter().filter(|host| !self.opens.contains(host)));
        both.items.extend(&other.items);
        both
    }
}

/// The cluster at the beginning of the last wave.
struct Stage<'m, 'a> {
    state: State<'m, 'a>,
    preferences: Preferences,
    /// By item: the host that it is meant for.
    meant: Vec<usize>,
}

impl<'m, 'a> Stage<'m, 'a> {
    fn new(model: &'m Model<'a>, change: &Change) -> Self {
        let Start { state, leaving, .. } = Start::new(model, change);
        let mut meant = vec![NOWHERE; model.items.len()];
        for wave in &change.waves {
            for item in &wave.items {
                meant[*item] = wave.opens[0];
            }
        }
        Self { preferences: Preferences::new(&state, &leaving), state, meant }
    }

    /// Whether the pods of a wave come where they are meant to, in its own order and in others.
    fn holds(&mut self, wave: &Wave) -> bool {
        let model = self.state.model;
        let taken = |at: &dyn Fn(usize) -> usize| {
            let mut taken: BTreeMap<(usize, usize), usize> = BTreeMap::new();
            for item in &wave.items {
                *taken.entry((at(*item), model.items[*item].class)).or_default() += 1;
            }
            taken
        };
        let meant = taken(&|item| self.meant[item]);
        (0..=DRAWS).all(|draw| {
            let items =
                if draw == 0 { wave.items.clone() } else { overtaken(model, &wave.items, &mut Random::new(draw)) };
            let mark = self.state.mark();
            let moved = self.carry_out(&wave.opens, &items);
            let holds = taken(&|item| self.state.at[item]) == meant;
            for (item, from) in moved.into_iter().rev() {
                self.preferences.left(item, self.state.at[item]);
                self.preferences.arrived(item, from);
            }
            self.state.undo(mark);
            holds
        })
    }

    /// Moves what can be moved; which items, and from where.
    fn carry_out(&mut self, opens: &[usize], items: &[usize]) -> Vec<(usize, usize)> {
        self.preferences.open(opens);
        let (mut moved, mut waiting) = (Vec::new(), items.to_vec());
        loop {
            let before = waiting.len();
            waiting.retain(|item| {
                let from = self.state.at[*item];
                let done = step(&mut self.state, &mut self.preferences, *item).is_some();
                if done {
                    moved.push((*item, from));
                }
                !done
            });
            if waiting.is_empty() || waiting.len() == before {
                return moved;
            }
        }
    }
}
