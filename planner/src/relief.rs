//! Relief: nodes that are used above a limit lose pods to nodes that stay below it.
//!
//! What counts is the usage that is forecast, of nodes and of the pods of each workload, and what is requested
//! where nothing is known; on a new machine that of the pods that come there, and what system pods ask for. CPU and
//! memory weigh alike: a node's excess is by how much of its CPU and of its memory is used above the limit, as shares
//! of the node. The hottest node is relieved first, by the pod whose leaving takes away what is too much, of those by
//! the one that takes least to move; where no single one does, by the one that takes away most.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::WorkloadId;
use journal_schema::plan::Heat;
use journal_schema::text::Name;
use journal_schema::units::Ppm;

use crate::model::{CPU, Host, MEMORY, Machine, Model};
use crate::sequence::Change;
use crate::shifts::{self, Aim};
use crate::state::{NOWHERE, State};

/// Most pods that move.
const MOST_MOVES: usize = 50;
/// Nodes that are tried for a pod, the coolest first.
const CONSIDERED: usize = 16;

/// CPU in thousandths and memory in bytes.
type Usage = [i64; 2];

/// What nodes and pods use, and what is too much.
pub(crate) struct Thermometer {
    limit: Ppm,
    /// By present node.
    total: Vec<Usage>,
    /// By present node, as the pods are now.
    nodes: Vec<Usage>,
    /// By item.
    items: Vec<Usage>,
}

impl Thermometer {
    pub(crate) fn new(model: &Model<'_>) -> Self {
        let input = model.input;
        let known: BTreeMap<&Name, Usage> =
            input.forecasts.nodes.iter().map(|(node, cpu, memory)| (node, [cpu.0, memory.0])).collect();
        let mut of_workload: BTreeMap<&WorkloadId, BTreeMap<&Name, Usage>> = BTreeMap::new();
        for forecast in &input.forecasts.containers {
            let containers = of_workload.entry(&forecast.workload).or_default();
            containers.insert(&forecast.container, [forecast.cpu.0, forecast.memory.0]);
        }
        let requested = |room: &crate::model::Amounts, total: &Usage| [total[0] - room[CPU], total[1] - room[MEMORY]];
        let total: Vec<Usage> = model.hosts.iter().map(Host::offers).collect();
        let nodes =
            model.hosts.iter().zip(&total).map(|(host, total)| {
                known.get(&host.fact.name).copied().unwrap_or_else(|| requested(&host.room, total))
            });
        let items = model.items.iter().map(|item| {
            let request = &model.classes[item.class].request;
            let containers = item.standing.workload.as_ref().and_then(|workload| of_workload.get(workload));
            // Known only where it is of all of its containers.
            let forecast = containers.filter(|_| !item.fact.spec.containers.is_empty()).and_then(|containers| {
                let of = |name: &Name| containers.get(name).copied();
                item.fact.spec.containers.iter().map(|container| of(&container.name)).sum::<Option<Sum>>()
            });
            forecast.map_or([request[CPU], request[MEMORY]], |sum| sum.0)
        });
        Self { limit: input.policy.optimize.node_usage, nodes: nodes.collect(), items: items.collect(), total }
    }

    /// By slot: its usage in a placement; nothing where there is no machine.
    fn usage(&self, state: &State<'_, '_>) -> Vec<Usage> {
        let mut nodes = self.nodes.clone();
        let new = (nodes.len()..state.open.len()).map(|slot| match machine_of(state, slot) {
            Some(machine) => machine.daemons(state.model),
            None => [0; 2],
        });
        nodes.extend(new);
        for (item, entry) in state.model.items.iter().enumerate() {
            let (home, at) = (entry.home, state.at[item]);
            if home == Some(at) {
                continue;
            }
            let own = self.items[item];
            if let Some(home) = home {
                nodes[home].iter_mut().zip(own).for_each(|(used, own)| *used = (*used - own).max(0));
            }
            if at != NOWHERE {
                nodes[at].iter_mut().zip(own).for_each(|(used, own)| *used += own);
            }
        }
        nodes
    }

    /// What the machine of a slot offers in a placement.
    fn offered(&self, state: &State<'_, '_>, slot: usize) -> Usage {
        let new = || machine_of(state, slot).map_or([0; 2], |machine| machine.offers(state.model));
        self.total.get(slot).copied().unwrap_or_else(new)
    }

    /// By how much a node with such usage is above the limit, CPU and memory together, in millionths of it.
    fn excess(&self, host: usize, usage: &Usage) -> i64 {
        self.above(&self.total[host], usage)
    }

    /// The same of any machine by what it offers.
    fn above(&self, total: &Usage, usage: &Usage) -> i64 {
        let above = |dim: usize| (Ppm::of(usage[dim], total[dim]).0 - self.limit.0).max(0);
        (0..2).filter(|dim| total[*dim] > 0).map(above).sum()
    }

    /// By slot: by how much it is above the limit in a placement; nothing for nodes that leave.
    fn excesses(&self, state: &State<'_, '_>, change: &Change) -> Vec<i64> {
        let usage = self.usage(state).into_iter().enumerate();
        let of = |(slot, usage): (usize, Usage)| {
            if change.leaves(slot) { 0 } else { self.above(&self.offered(state, slot), &usage) }
        };
        usage.map(of).collect()
    }

    /// The sum of the excesses of a placement's nodes, without those that leave.
    pub(crate) fn heat(&self, state: &State<'_, '_>, change: &Change) -> i64 {
        self.excesses(state, change).iter().sum()
    }

    /// For the report.
    pub(crate) fn report(&self, before: &State<'_, '_>, after: &State<'_, '_>, change: &Change) -> Heat {
        let (now, end) = (self.excesses(before, &Change::nothing()), self.excesses(after, change));
        let count =
            |excesses: &[i64]| u32::try_from(excesses.iter().filter(|excess| **excess > 0).count()).unwrap_or(u32::MAX);
        Heat {
            limit: self.limit,
            hot_before: count(&now),
            hot_after: count(&end),
            before: Ppm(now.iter().sum()),
            after: Ppm(end.iter().sum()),
        }
    }
}

/// The machine that a slot beyond the present nodes stands for, while it is open.
fn machine_of<'m>(state: &State<'m, '_>, slot: usize) -> Option<&'m Machine> {
    state.open[slot].then(|| &state.model.machines[state.machine[slot]])
}

/// A sum of usages.
struct Sum(Usage);

impl std::iter::Sum<Usage> for Sum {
    fn sum<I: Iterator<Item = Usage>>(usages: I) -> Self {
        Self(usages.fold([0; 2], |sum, usage| [sum[0] + usage[0], sum[1] + usage[1]]))
    }
}

/// The change that relieves nodes; `None` where none is hot or none can be relieved.
pub(crate) fn propose<'m, 'a>(model: &'m Model<'a>, thermometer: &Thermometer) -> Option<(Change, State<'m, 'a>)> {
    let releasing = shifts::releasing(model);
    let state = State::present(model, 0);
    let mut relief =
        Relief { usage: thermometer.usage(&state), thermometer, state, moved: vec![false; model.items.len()] };
    let (mut steps, mut given_up) = (Vec::new(), BTreeSet::new());
    while steps.len() < MOST_MOVES {
        let excess = |host: &usize| thermometer.excess(*host, &relief.usage[*host]);
        let hot = (0..model.hosts.len()).filter(|host| releasing[*host] && !given_up.contains(host));
        let hottest = hot.map(|host| (excess(&host), host)).filter(|(excess, _)| *excess > 0);
        let Some((_, host)) = hottest.max_by_key(|(excess, host)| (*excess, std::cmp::Reverse(*host))) else { break };
        match relief.step(host) {
            Some(step) => steps.push(step),
            None => {
                given_up.insert(host);
            }
        }
    }
    shifts::change_of(model, &steps, Aim::Relief).map(|change| (change, relief.state))
}

struct Relief<'t, 'm, 'a> {
    thermometer: &'t Thermometer,
    state: State<'m, 'a>,
    usage: Vec<Usage>,
    /// By item.
    moved: Vec<bool>,
}

impl Relief<'_, '_, '_> {
    /// Moves the pod off a hot node that helps most; where it went.
    fn step(&mut self, hot: usize) -> Option<(usize, usize)> {
        let model = self.state.model;
        let mut pods: Vec<(i64, i64, i64, usize)> = Vec::new();
        for item in self.state.pods[hot].iter().copied() {
            let left = self.thermometer.excess(hot, &self.with(hot, item, -1));
            let helps = left < self.thermometer.excess(hot, &self.usage[hot]);
            if helps && !self.moved[item] && shifts::may_shift(model, item) {
                // All that suffice come first, then the others by what they leave.
                let size = self.share(hot, &self.thermometer.items[item]);
                pods.push((left, shifts::toll_of(model, item), size, item));
            }
        }
        pods.sort_unstable();
        let mut cool: Vec<(i64, usize)> = (0..self.usage.len())
            .filter(|host| *host != hot && model.hosts[*host].receives)
            .map(|host| (self.share(host, &self.usage[host]), host))
            .collect();
        cool.sort_unstable();
        for (.., item) in pods {
            let mut tried = 0;
            for (_, host) in &cool {
                if tried == CONSIDERED {
                    break;
                }
                let class = model.items[item].class;
                if self.thermometer.excess(*host, &self.with(*host, item, 1)) > 0 || !self.state.fits(class, *host) {
                    continue;
                }
                tried += 1;
                if shifts::suits(model, item, *host) && !shifts::crowds(&self.state, item, *host) {
                    self.usage[hot] = self.with(hot, item, -1);
                    self.usage[*host] = self.with(*host, item, 1);
                    self.state.lift(item);
                    self.state.place(item, *host);
                    self.moved[item] = true;
                    return Some((item, *host));
                }
            }
        }
        None
    }

    /// A node's usage with an item more, or less.
    fn with(&self, host: usize, item: usize, sign: i64) -> Usage {
        let of = |dim: usize| (self.usage[host][dim] + sign * self.thermometer.items[item][dim]).max(0);
        [of(0), of(1)]
    }

    /// The larger of the shares of a node that a usage comes to.
    fn share(&self, host: usize, usage: &Usage) -> i64 {
        (0..2).map(|dim| Ppm::of(usage[dim], self.thermometer.total[host][dim]).0).max().unwrap_or(0)
    }
}
