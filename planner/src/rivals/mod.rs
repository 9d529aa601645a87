//! What other tools make of the same cluster: baselines for plans.
//!
//! Each rival is written from its public description and works on the same compiled model, under the same
//! rules and prices. All of it favours them: every eviction succeeds at once, nothing is waited for, and
//! their loops run until they find nothing more to do.

mod autoscaler;
mod consolidation;
mod first_fit;

use journal_schema::plan::PlanningInput;
use journal_schema::units::MicroUsdPerHour;

use crate::bound::{self, Problem};
use crate::model::{CPU, MEMORY, Model};
use crate::search::{Goal, place_pending};
use crate::state::State;

/// A tool that removes or replaces nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Cluster autoscaler's scale-down: a node under half used leaves when its pods fit elsewhere.
    ClusterAutoscaler,
    /// Karpenter's consolidation: empty nodes, a prefix of many nodes, then single nodes; each command
    /// boots one node at most.
    Karpenter,
    /// Everything packed anew onto the best single machine type, each machine then made as small as it
    /// may be.
    FirstFitDecreasing,
}

impl Rival {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ClusterAutoscaler, Self::Karpenter, Self::FirstFitDecreasing];

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClusterAutoscaler => "cluster-autoscaler",
            Self::Karpenter => "Karpenter",
            Self::FirstFitDecreasing => "first-fit-decreasing",
        }
    }
}

/// What becomes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What all nodes cost in the end.
    pub cost: MicroUsdPerHour,
    /// How often it acted.
    pub commands: u32,
    /// Evictions, of the same pod as often as it was evicted.
    pub evictions: u32,
    /// Pods that are on another node in the end.
    pub moved: u32,
    /// Pods without a place in the end.
    pub pending: u32,
}

/// Lets a rival work on a cluster until it finds nothing more to do.
///
/// Deterministic. Time: for Karpenter commands × pods of a hundred nodes × nodes, far less for the others.
pub fn outcome(input: &PlanningInput, rival: Rival) -> Outcome {
    let model = Model::new(input);
    let mut run = Run::new(&model);
    match rival {
        Rival::ClusterAutoscaler => autoscaler::scale_down(&mut run),
        Rival::Karpenter => consolidation::consolidate(&mut run),
        Rival::FirstFitDecreasing => first_fit::pack(&mut run),
    }
    run.outcome()
}

/// A placement that a rival works on.
struct Run<'m, 'a> {
    state: State<'m, 'a>,
    commands: u32,
    evictions: u32,
}

impl<'m, 'a> Run<'m, 'a> {
    /// The cluster once pending pods have a place, which all of them see to first.
    fn new(model: &'m Model<'a>) -> Self {
        let movable: usize = model.leaving().map(|host| host.home.len()).sum();
        let mut state = State::present(model, movable + model.pending.len() + 1);
        let placeable = |item: usize| model.items[item].standing.blocked.is_none();
        let bound = bound::by_volume(
            &Problem::new(model, &placeable, vec![0; model.commitments.all().len()]),
            model.classes.len(),
        );
        place_pending(
            &mut state,
            &Goal { bound: &bound, move_penalty: 0, steps: 0, branches: 0, seed: 0, threads: 1, weighing: None },
        );
        state.commit();
        Self { state, commands: 0, evictions: 0 }
    }

    /// Whether a host may leave: not one that policy, rules or its pods keep.
    fn may_leave(&self, host: usize) -> bool {
        self.state.open[host] && self.state.model.hosts.get(host).is_none_or(|node| node.keep.is_none())
    }

    fn price(&self, host: usize) -> i64 {
        let model = self.state.model;
        match model.hosts.get(host) {
            Some(node) => node.price.unwrap_or(0),
            None => model.machines[self.state.machine[host]].offer.price,
        }
    }

    /// Takes the pods off a host and closes it.
    fn empty(&mut self, host: usize) -> Vec<usize> {
        let items = self.state.pods[host].clone();
        for item in &items {
            self.state.lift(*item);
        }
        self.state.close(host);
        items
    }

    /// Puts items, largest first, each onto the first open host that takes it; those that none takes.
    fn first_fit(&mut self, mut items: Vec<usize>) -> Vec<usize> {
        let model = self.state.model;
        items.sort_by_key(|item| {
            let request = &model.classes[model.items[*item].class].request;
            (-request[CPU], -request[MEMORY], *item)
        });
        let hosts: Vec<usize> = (0..self.state.open.len()).filter(|host| self.state.open[*host]).collect();
        items.retain(|item| !hosts.iter().any(|host| self.state.try_place(*item, *host)));
        items
    }

    /// Boots the cheapest machine that takes all of these; whether there is one that costs less than `most`
    /// says of it and of every cheaper one.
    fn boot_for_all(&mut self, items: &[usize], mut most: impl FnMut(usize) -> i64) -> bool {
        let model = self.state.model;
        for machine in model.by_price.iter().copied() {
            if model.machines[machine].offer.price >= most(machine) {
                return false;
            }
            let mark = self.state.mark();
            let booted = self.state.boot(machine);
            if booted.is_some_and(|host| items.iter().all(|item| self.state.try_place(*item, host))) {
                return true;
            }
            self.state.undo(mark);
        }
        false
    }

    /// Counts what was tried and came true.
    fn done(&mut self, evicted: usize) {
        self.state.commit();
        self.commands += 1;
        self.evictions += u32::try_from(evicted).unwrap_or(u32::MAX);
    }

    fn outcome(&self) -> Outcome {
        let (state, model) = (&self.state, self.state.model);
        let moved = model.items.iter().zip(&state.at).filter(|(item, at)| item.home.is_some_and(|home| home != **at));
        Outcome {
            cost: MicroUsdPerHour(state.cost),
            commands: self.commands,
            evictions: self.evictions,
            moved: u32::try_from(moved.count()).unwrap_or(u32::MAX),
            pending: u32::try_from(state.homeless).unwrap_or(u32::MAX),
        }
    }
}
