//! Which spreads of pods over domains a plan can get to.
//!
//! Pods that are surged under a spread constraint move one after the other, each to a domain that has fewest. So from
//! where they are they do not get to every spread that the constraint allows ([`crate::ahead`]): of two placements that
//! cost the same one may come true and the other not.

use std::collections::BTreeMap;

use journal_schema::plan::MoveMethod;

use crate::ahead::{Ahead, MOST_PODS};
use crate::model::Model;
use crate::relations::Topology;
use crate::state::{NOWHERE, State};

/// Pods that one spread constraint binds together, all of one class.
#[derive(Debug)]
struct Watched {
    spread: usize,
    /// The items, and the domains of their homes.
    items: Vec<(usize, usize)>,
    /// By domain: how many there are now.
    counted: Vec<u32>,
    /// Whether they get to the placement that was accepted last.
    reached: bool,
}

/// What is known of it, for a placement that is being changed.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// By class.
    watched: BTreeMap<usize, Watched>,
    known: BTreeMap<(usize, Ahead), bool>,
}

impl Reach {
    pub(super) fn new(state: &State<'_, '_>) -> Self {
        let model = state.model;
        let mut classes_of = vec![0; model.relations.spreads.len()];
        for class in &model.classes {
            model.relations.profiles[class.profile].spread_hit.iter().for_each(|spread| classes_of[*spread] += 1);
        }
        let mut items: Vec<Vec<usize>> = vec![Vec::new(); model.classes.len()];
        (0..model.items.len()).for_each(|item| items[model.items[item].class].push(item));
        let mut reach = Self::default();
        for (class, items) in items.into_iter().enumerate().filter(|(_, items)| items.len() <= MOST_PODS) {
            if let Some(watched) = watched(model, class, &items, &classes_of) {
                reach.watched.insert(class, watched);
            }
        }
        let classes: Vec<usize> = reach.watched.keys().copied().collect();
        reach.accept(state, &classes);
        reach
    }

    /// Whether pods of these classes get to where they are in a placement, or did not before either.
    pub(super) fn keeps(&mut self, state: &State<'_, '_>, classes: &[usize]) -> bool {
        classes
            .iter()
            .all(|class| self.watched.get(class).is_none_or(|watched| !watched.reached) || self.gets_to(state, *class))
    }

    /// The placement is accepted.
    pub(super) fn accept(&mut self, state: &State<'_, '_>, classes: &[usize]) {
        for class in classes {
            if self.watched.get(class).is_some_and(|watched| !watched.reached) {
                let reached = self.gets_to(state, *class);
                if let Some(watched) = self.watched.get_mut(class) {
                    watched.reached = reached;
                }
            }
        }
    }

    /// Whether pods of a class get to where they are in a placement.
    fn gets_to(&mut self, state: &State<'_, '_>, class: usize) -> bool {
        let Some(watched) = self.watched.get(&class) else { return true };
        let relations = &state.model.relations;
        let rule = &relations.spreads[watched.spread];
        let none = vec![0; watched.counted.len()];
        let mut ahead = Ahead { counted: watched.counted.clone(), from: none.clone(), to: none };
        for (item, home) in &watched.items {
            let host = state.at[*item];
            if host == NOWHERE {
                return true;
            }
            if state.model.items[*item].home == Some(host) {
                continue;
            }
            let Some(to) = relations.domain(rule.topology, state.sig[host], host) else { return true };
            ahead.from[*home] += 1;
            ahead.to[to] += 1;
        }
        *self.known.entry((watched.spread, ahead)).or_insert_with_key(|(_, ahead)| ahead.can_end(rule, true))
    }
}

/// The pods of a class, where one spread constraint is about them alone, and all are surged.
fn watched(model: &Model<'_>, class: usize, items: &[usize], classes_of: &[usize]) -> Option<Watched> {
    let relations = &model.relations;
    let profile = &relations.profiles[model.classes[class].profile];
    let keyed = |spread: &usize| matches!(relations.spreads[*spread].topology, Topology::Key(_));
    let own: Vec<usize> = profile.spread_own.iter().map(|(spread, _)| *spread).filter(keyed).collect();
    let [spread] = own[..] else { return None };
    let rule = &relations.spreads[spread];
    let Topology::Key(key) = rule.topology else { return None };
    if classes_of[spread] != 1 || !profile.spread_hit.contains(&spread) {
        return None;
    }
    let mut counted = vec![0; relations.domain_counts[key]];
    let mut homes = Vec::new();
    for item in items {
        let own = &model.items[*item];
        let home = own.home.filter(|_| own.standing.method == MoveMethod::Surge)?;
        let domain = relations.domain(rule.topology, model.hosts[home].sig, home)?;
        counted[domain] += 1;
        homes.push((*item, domain));
    }
    Some(Watched { spread, items: homes, counted, reached: false })
}
