//! The cheapest placement as an integer program, where the cluster is small.
//!
//! A variable counts equal hosts that hold equal fillings, so nothing that has an equal is a variable of its
//! own: present nodes of one kind that stay and take the same guests, machines of one type that take the
//! same pods. Every filling that cannot take one more pod is listed; a cluster with too many of them is left
//! to the search. Rules between pods are not stated, but for those that keep pods of a class apart: a
//! placement that breaks one is not taken.

use std::collections::BTreeMap;

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOptions, Variable};

use super::{Goal, is_sound};
use crate::model::{Amounts, Model, subtract};
use crate::moves::MOVE;
use crate::state::{NOWHERE, State, has_room};

/// Classes of pods that may move or wait for a place.
const MOST_CLASSES: usize = 16;
/// Fillings, and steps in which they are sought.
const MOST_FILLINGS: usize = 1_000;
const MOST_STEPS: usize = 100_000;

/// The best placement that the program finds within so many branches; `None` where the cluster is too
/// large for it, or where its placement breaks a rule that it does not know.
pub(super) fn solve<'m, 'a>(present: &State<'m, 'a>, goal: &Goal<'_>) -> Option<State<'m, 'a>> {
    let program = Program::new(present)?;
    let counts = program.solve(present.model, goal)?;
    program.place(present, &counts)
}

/// Hosts that nothing tells apart.
enum Kind {
    /// Present nodes, by index; whether they may leave.
    Nodes(Vec<usize>, bool),
    Machine(usize),
}

/// What a host of a kind takes, by the number of a class.
struct Filling {
    kind: usize,
    counts: Vec<usize>,
}

struct Program {
    /// Classes by number.
    classes: Vec<usize>,
    /// By number of a class: pods that wait for a place.
    pending: Vec<usize>,
    kinds: Vec<Kind>,
    fillings: Vec<Filling>,
}

impl Program {
    fn new(present: &State<'_, '_>) -> Option<Self> {
        let model = present.model;
        let mut demand: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for item in model.pending.iter().filter(|item| model.items[**item].standing.blocked.is_none()) {
            demand.entry(model.items[*item].class).or_default().0 += 1;
        }
        for item in model.leaving().flat_map(|host| &host.home) {
            demand.entry(model.items[*item].class).or_default().1 += 1;
        }
        if demand.len() > MOST_CLASSES {
            return None;
        }
        let most: Vec<usize> = demand.values().map(|(pending, moving)| pending + moving).collect();
        let mut program = Self {
            classes: demand.keys().copied().collect(),
            pending: demand.values().map(|(pending, _)| *pending).collect(),
            kinds: kinds(model),
            fillings: Vec::new(),
        };
        let mut steps = MOST_STEPS;
        for (number, kind) in program.kinds.iter().enumerate() {
            let (room, sig, first) = match kind {
                Kind::Nodes(hosts, _) => (model.hosts[hosts[0]].room, model.hosts[hosts[0]].sig, Some(hosts[0])),
                Kind::Machine(machine) => (model.machines[*machine].room, model.machines[*machine].sig, None),
            };
            let limit = |class: usize, most: usize| {
                if !model.allowed(class, sig) || first.is_some_and(|host| !model.hosts[host].receives) {
                    return 0;
                }
                let alone = model.relations.alone_on_host(model.classes[class].profile);
                let home = first.is_some_and(|host| home_of(model, host, class) > 0);
                if alone { usize::from(!home) } else { most }
            };
            let takes: Vec<(Amounts, usize)> = program
                .classes
                .iter()
                .zip(&most)
                .map(|(class, most)| (model.classes[*class].request, limit(*class, *most)))
                .collect();
            let mut walk = Walk { dims: model.dims, takes, steps, counts: Vec::new(), full: Vec::new() };
            walk.on(room)?;
            steps = walk.steps;
            let filled = |counts: &Vec<usize>| first.is_some() || counts.iter().any(|count| *count > 0);
            program
                .fillings
                .extend(walk.full.into_iter().filter(filled).map(|counts| Filling { kind: number, counts }));
            if program.fillings.len() > MOST_FILLINGS {
                return None;
            }
        }
        Some(program)
    }

    /// How many hosts hold each filling.
    fn solve(&self, model: &Model<'_>, goal: &Goal<'_>) -> Option<Vec<usize>> {
        let count_of = |value: usize| i32::try_from(value).ok();
        let dearest =
            model.hosts.iter().filter_map(|host| host.price).chain(model.machines.iter().map(|m| m.offer.price));
        let scale = dearest.max()?.max(1) as f64;
        let pods: usize = self.pending.iter().sum::<usize>() + model.items.len();
        let mut program = Problem::new(OptimizationDirection::Minimize);
        let mut variables: Vec<Variable> = Vec::new();
        for filling in &self.fillings {
            let (cost, most) = match &self.kinds[filling.kind] {
                // What staying costs more than leaving.
                Kind::Nodes(hosts, _) => {
                    let host = &model.hosts[hosts[0]];
                    (host.price.unwrap_or(0) - host.toll * goal.move_penalty / MOVE, hosts.len())
                }
                Kind::Machine(machine) => (model.machines[*machine].offer.price, pods),
            };
            variables.push(program.add_integer_var(cost as f64 / scale, (0, count_of(most)?)));
        }
        for (number, kind) in self.kinds.iter().enumerate() {
            let own = self.fillings.iter().zip(&variables).filter(|(filling, _)| filling.kind == number);
            let row: Vec<(Variable, f64)> = own.map(|(_, variable)| (*variable, 1.0)).collect();
            let (comparison, most) = match kind {
                Kind::Nodes(hosts, true) => (ComparisonOp::Le, hosts.len()),
                Kind::Nodes(hosts, false) => (ComparisonOp::Eq, hosts.len()),
                Kind::Machine(machine) => match model.machines[*machine].offer.most {
                    Some(most) => (ComparisonOp::Le, usize::try_from(most).ok()?),
                    None => continue,
                },
            };
            if !row.is_empty() {
                program.add_constraint(row.as_slice(), comparison, most as f64);
            }
        }
        for (number, class) in self.classes.iter().enumerate() {
            let mut needed = self.pending[number];
            for kind in &self.kinds {
                if let Kind::Nodes(hosts, true) = kind {
                    needed += hosts.len() * home_of(model, hosts[0], *class);
                }
            }
            let takes = |filling: &Filling| match &self.kinds[filling.kind] {
                Kind::Nodes(hosts, true) => filling.counts[number] + home_of(model, hosts[0], *class),
                Kind::Nodes(_, false) | Kind::Machine(_) => filling.counts[number],
            };
            let row: Vec<(Variable, f64)> = self
                .fillings
                .iter()
                .zip(&variables)
                .map(|(filling, variable)| (*variable, takes(filling) as f64))
                .filter(|(_, takes)| *takes > 0.0)
                .collect();
            program.add_constraint(row.as_slice(), ComparisonOp::Ge, needed as f64);
        }
        let mut options = SolveOptions::default();
        options.node_limit = Some(goal.branches.into());
        let solution = program.solve_with(options).ok()?.into_solution().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of hosts")]
        let rounded = variables.iter().map(|variable| solution.var_value(*variable).round().max(0.0) as usize);
        Some(rounded.collect())
    }

    /// The placement, if no rule is broken.
    fn place<'m, 'a>(&self, present: &State<'m, 'a>, counts: &[usize]) -> Option<State<'m, 'a>> {
        let mut state = present.clone();
        let model = state.model;
        let mut stays = vec![false; state.nodes()];
        let mut filled: Vec<(usize, &Filling)> = Vec::new();
        for (kind, hosts) in self.kinds.iter().enumerate() {
            let Kind::Nodes(hosts, _) = hosts else { continue };
            let own = self.fillings.iter().zip(counts).filter(|(filling, _)| filling.kind == kind);
            let fillings = own.flat_map(|(filling, count)| std::iter::repeat_n(filling, *count));
            for (host, filling) in hosts.iter().zip(fillings) {
                stays[*host] = true;
                filled.push((*host, filling));
            }
        }
        for host in (0..state.nodes()).filter(|host| !stays[*host] && model.hosts[*host].keep.is_none()) {
            for item in state.pods[host].clone() {
                state.lift(item);
            }
            state.close(host);
        }
        for (filling, count) in self.fillings.iter().zip(counts) {
            if let Kind::Machine(machine) = self.kinds[filling.kind] {
                for _ in 0..*count {
                    filled.push((state.boot(machine)?, filling));
                }
            }
        }
        let mut waiting: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for item in (0..model.items.len()).filter(|item| state.at[*item] == NOWHERE) {
            if model.items[item].home.is_some() || model.items[item].standing.blocked.is_none() {
                waiting.entry(model.items[item].class).or_default().push(item);
            }
        }
        for (host, filling) in filled {
            for (class, count) in self.classes.iter().zip(&filling.counts) {
                for _ in 0..*count {
                    let Some(item) = waiting.get_mut(class).and_then(Vec::pop) else { break };
                    if !state.fits(*class, host) {
                        return None;
                    }
                    state.place(item, host);
                }
            }
        }
        if waiting.values().any(|items| !items.is_empty()) || !is_sound(&state, present.lonely()) {
            return None;
        }
        state.commit();
        Some(state)
    }
}

/// How many pods of a class are at home on a host.
fn home_of(model: &Model<'_>, host: usize, class: usize) -> usize {
    model.hosts[host].home.iter().filter(|item| model.items[**item].class == class).count()
}

/// The walk over the fillings of a host that cannot take one more pod.
struct Walk {
    dims: usize,
    /// By number of a class: the request, and how many the host may take.
    takes: Vec<(Amounts, usize)>,
    /// Steps that are left.
    steps: usize,
    /// The present filling, as far as it is decided.
    counts: Vec<usize>,
    full: Vec<Vec<usize>>,
}

impl Walk {
    /// Goes on with what is left of the host; `None` when it takes too long.
    fn on(&mut self, mut left: Amounts) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        let number = self.counts.len();
        let Some((request, most)) = self.takes.get(number).copied() else {
            let one_more = |((request, most), count): (&(Amounts, usize), &usize)| {
                count < most && has_room(request, &left, self.dims)
            };
            if !self.takes.iter().zip(&self.counts).any(one_more) {
                self.full.push(self.counts.clone());
            }
            return Some(());
        };
        for count in 0..=most {
            if count > 0 {
                if !has_room(&request, &left, self.dims) {
                    break;
                }
                subtract(&mut left, &request);
            }
            self.counts.push(count);
            let walked = self.on(left);
            self.counts.pop();
            walked?;
        }
        Some(())
    }
}

/// What present nodes of a kind have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    sig: usize,
    price: Option<i64>,
    leaves: bool,
    receives: bool,
    room: Amounts,
    /// Classes of the pods at home.
    home: Vec<usize>,
    toll: i64,
}

/// Present nodes that are alike, and the machines that no other is at least as good as.
fn kinds(model: &Model<'_>) -> Vec<Kind> {
    let mut nodes: BTreeMap<Alike, Vec<usize>> = BTreeMap::new();
    for (index, host) in model.hosts.iter().enumerate() {
        let mut home: Vec<usize> = host.home.iter().map(|item| model.items[*item].class).collect();
        home.sort_unstable();
        let (sig, price, leaves) = (host.sig, host.price, host.keep.is_none());
        let alike = Alike { sig, price, leaves, receives: host.receives, room: host.room, home, toll: host.toll };
        nodes.entry(alike).or_default().push(index);
    }
    let nodes = nodes.into_iter().map(|(alike, hosts)| Kind::Nodes(hosts, alike.leaves));
    let better = |a: usize, b: usize| {
        let (one, other) = (&model.machines[a], &model.machines[b]);
        let covers = (0..model.dims).all(|dim| one.room[dim] >= other.room[dim]);
        let same = one.room == other.room && one.offer.price == other.offer.price;
        one.sig == other.sig
            && one.offer.most.is_none()
            && covers
            && one.offer.price <= other.offer.price
            && (!same || other.offer.most.is_some() || a < b)
    };
    let machines = 0..model.machines.len();
    let best =
        machines.clone().filter(|machine| !machines.clone().any(|other| other != *machine && better(other, *machine)));
    nodes.chain(best.map(Kind::Machine)).collect()
}
