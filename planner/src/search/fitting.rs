//! Fitting: pods that are left over are worked into the room that open hosts have.
//!
//! Hosts that are nearly full have room together for more than any of them has alone. A pod that fits nowhere takes the
//! place of another that is worth less and looks for room in turn; what made room somewhere may not come back there for
//! a while, so that the way leads on where no exchange is a gain by itself.

use super::ruin::Search;
use crate::model::{Amounts, subtract};
use crate::state::{State, has_room};

/// Exchanges at most, and those in a row after which no less is left over than ever before.
const MOST_TURNS: u32 = 60;
const PATIENCE: u32 = 15;
/// Turns in which a pod may not come back to where it made room: so many, and some more that are drawn.
const AWAY: u32 = 12;
const MORE_AWAY: usize = 8;

/// What is known of fitting a pod of a class onto a host.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The change of the host after which this was worked out.
    change: u32,
    /// The turn before which it is not tried.
    barred: u32,
    /// What is left over becomes worth so much less by it; `None` where it cannot be done.
    gain: Option<i64>,
    /// What must leave the host for it.
    out: Option<usize>,
}

/// An exchange.
struct Turn {
    gain: i64,
    /// Which of the pods that are left, and which of the hosts.
    left: usize,
    place: usize,
    out: Option<usize>,
}

/// The working memory, which serves many attempts.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    hosts: Vec<usize>,
    /// By class and place in the list of hosts.
    known: Vec<Known>,
    /// By place in the list of hosts: its last change, by number.
    changed: Vec<u32>,
    changes: u32,
    turn: u32,
}

impl Fitting {
    /// Works pods into the room of all hosts of the search's scope; whether all of them found a place. Classes of pods
    /// that made room are added to those that the step lifted.
    ///
    /// Time: turns × hosts × pods that are left over, and pods of a host for each exchange and class.
    pub(super) fn work_in(
        &mut self,
        search: &mut Search<'_, '_>,
        state: &mut State<'_, '_>,
        mut left: Vec<usize>,
    ) -> bool {
        let model = state.model;
        let takes = |host: &usize| state.open[*host] && model.hosts.get(*host).is_none_or(|node| node.receives);
        self.begin(search.scope.slots.iter().copied().filter(takes), model.classes.len());
        let worth = |item: usize| worth_of(search, model.items[item].class);
        let mut sum: i64 = left.iter().map(|item| worth(*item)).sum();
        let (mut least, mut in_vain) = (sum, 0);
        for _ in 0..MOST_TURNS {
            if left.is_empty() || in_vain > PATIENCE {
                break;
            }
            self.turn += 1;
            in_vain += 1;
            let Some(turn) = self.best(search, state, &left) else { break };
            let host = self.hosts[turn.place];
            let item = left[turn.left];
            let mark = state.mark();
            if let Some(out) = turn.out {
                state.lift(out);
            }
            if !state.fits(model.items[item].class, host) {
                // Rules are against it, and may be for some time.
                state.undo(mark);
                self.bar(model.items[item].class, turn.place, AWAY);
                continue;
            }
            state.place(item, host);
            left.swap_remove(turn.left);
            sum -= worth_of(search, model.items[item].class);
            if let Some(out) = turn.out {
                let class = model.items[out].class;
                let more = u32::try_from(search.random.below(MORE_AWAY)).unwrap_or(0);
                left.push(out);
                search.lifted.push(class);
                sum += worth_of(search, class);
                self.bar(class, turn.place, AWAY + more);
            }
            self.changes += 1;
            self.changed[turn.place] = self.changes;
            if sum < least {
                (least, in_vain) = (sum, 0);
            }
        }
        left.is_empty()
    }

    /// Forgets what was known of other hosts.
    fn begin(&mut self, hosts: impl Iterator<Item = usize>, classes: usize) {
        self.hosts.clear();
        self.hosts.extend(hosts);
        self.changes += 1;
        self.changed.clear();
        self.changed.resize(self.hosts.len(), self.changes);
        let needed = self.hosts.len() * classes;
        if self.known.len() < needed {
            self.known.resize(needed, Known::default());
        }
        self.turn += AWAY + u32::try_from(MORE_AWAY).unwrap_or(0);
    }

    fn bar(&mut self, class: usize, place: usize, turns: u32) {
        self.known[class * self.hosts.len() + place].barred = self.turn + turns;
    }

    /// The exchange by which what is left over becomes worth least.
    fn best(&mut self, search: &mut Search<'_, '_>, state: &State<'_, '_>, left: &[usize]) -> Option<Turn> {
        let model = state.model;
        let count = self.hosts.len();
        // Of equal ones the first from here on.
        let first = search.random.below(count);
        let mut best: Option<Turn> = None;
        for (number, item) in left.iter().enumerate() {
            let class = model.items[*item].class;
            if left[..number].iter().any(|other| model.items[*other].class == class) {
                continue;
            }
            let admitted = &model.compatible[model.classes[class].statics];
            for place in (first..count).chain(0..first) {
                let host = self.hosts[place];
                let known = &mut self.known[class * count + place];
                if known.barred > self.turn || !admitted[state.sig[host]] {
                    continue;
                }
                if known.change != self.changed[place] {
                    let found = room_for(search, state, class, host);
                    let (gain, out) = found.map_or((None, None), |(gain, out)| (Some(gain), out));
                    *known = Known { change: self.changed[place], barred: known.barred, gain, out };
                }
                let (gain, out) = (known.gain, known.out);
                if let Some(gain) = gain
                    && best.as_ref().is_none_or(|best| gain > best.gain)
                {
                    best = Some(Turn { gain, left: number, place, out });
                }
            }
        }
        best
    }
}

/// What a pod is worth, at least one.
fn worth_of(search: &Search<'_, '_>, class: usize) -> i64 {
    search.goal.bound.worth[class].max(1)
}

/// How a pod of a class fits onto a host by its resources: as things are, or once the pod that is worth least of those
/// that make enough room is out. Pods at home on a node that stays do not move.
fn room_for(search: &Search<'_, '_>, state: &State<'_, '_>, class: usize, host: usize) -> Option<(i64, Option<usize>)> {
    let model = state.model;
    let (request, room) = (&model.classes[class].request, &state.room[host]);
    let worth = worth_of(search, class);
    if has_room(request, room, model.dims) {
        return Some((worth, None));
    }
    let mut lack: Amounts = *request;
    subtract(&mut lack, room);
    let suffices =
        |out: &Amounts| (0..model.dims).all(|dim| request[dim] == 0 || out[dim] >= lack[dim] || lack[dim] <= 0);
    let makes_room = |item: &&usize| {
        let theirs = model.items[**item].class;
        theirs != class && model.items[**item].home != Some(host) && suffices(&model.classes[theirs].request)
    };
    let cheapest = state.pods[host].iter().filter(makes_room).min_by_key(|item| {
        let theirs = model.items[**item].class;
        (worth_of(search, theirs), **item)
    })?;
    Some((worth - worth_of(search, model.items[*cheapest].class), Some(*cheapest)))
}
