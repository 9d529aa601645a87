//! The rehearsal on the reference model of the scheduler.

use std::collections::BTreeMap;

use journal_schema::facts::{OwnerKind, PodFact, PodSpecFact};
use journal_schema::plan::{MoveMethod, Slot};
use journal_schema::text::{Few, Name};
use journal_schema::units::{Bytes, MilliCpu};

use super::Change;
use crate::model::{CPU, MEMORY, Model};
use crate::rules::HOSTNAME;
use crate::scheduler::marks::{self, Led};
use crate::scheduler::{Snapshot, newcomer};

/// The name of a new machine: the linter uses the same, so that ties fall alike.
pub(super) fn new_name(slot: usize) -> Name {
    newcomer::machine_name(Slot(u32::try_from(slot).unwrap_or(u32::MAX)))
}

/// The reference scheduler over the cluster as the change leaves it.
pub(super) struct Reference<'a> {
    snapshot: Snapshot,
    slots: BTreeMap<Name, usize>,
    input: &'a journal_schema::plan::PlanningInput,
    /// By slot: nodes that the scheduler can be led away from.
    led: Led<usize>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(model: &Model<'a>, change: &Change) -> Self {
        let mut snapshot = Snapshot::new(&model.input.cluster);
        let mut slots: BTreeMap<Name, usize> =
            model.hosts.iter().enumerate().map(|(slot, host)| (host.fact.name.clone(), slot)).collect();
        for host in &change.leaving {
            marks::expire(&mut snapshot, &model.hosts[*host].fact.name, model.input.iteration);
        }
        let mut steered: BTreeMap<usize, Name> = (0..model.hosts.len())
            .filter(|host| model.is_steered(*host) && !change.leaves(*host))
            .map(|host| (host, model.hosts[host].fact.name.clone()))
            .collect();
        for (slot, machine) in change.machines.iter().enumerate() {
            let name = new_name(slot);
            steered.insert(model.hosts.len() + slot, name.clone());
            boot(model, *machine, &name, &mut snapshot);
            slots.insert(name, model.hosts.len() + slot);
        }
        Self { snapshot, slots, input: model.input, led: Led::new(steered) }
    }

    /// Leads the scheduler to these hosts: all others that can be are tainted.
    pub(super) fn open(&mut self, hosts: &[usize]) {
        self.led.open(&mut self.snapshot, hosts.iter().copied().collect(), self.input.iteration);
    }

    /// Moves one item as its method does; the slot it goes to, or `None` when no node takes it but its own.
    pub(super) fn step(&mut self, model: &Model<'_>, item: usize) -> Option<usize> {
        let item = &model.items[item];
        let Some(home) = item.home else {
            let node = self.snapshot.choose(item.fact).ok()?;
            self.snapshot.bind(item.fact.clone(), &node);
            return self.slots.get(&node).copied();
        };
        let replacement = replacement(model, item);
        let method = item.standing.method;
        let own = &model.hosts[home].fact.name;
        let choose = |snapshot: &mut Snapshot| snapshot.choose(&replacement).ok().filter(|node| node != own);
        let mut choice = if method == MoveMethod::Evict { None } else { choose(&mut self.snapshot) };
        if choice.is_none() && method == MoveMethod::Surge {
            return None;
        }
        self.snapshot.unbind(&item.fact.key);
        if choice.is_none() {
            choice = choose(&mut self.snapshot);
        }
        match choice {
            Some(node) => {
                self.snapshot.bind(replacement, &node);
                self.slots.get(&node).copied()
            }
            None => {
                if let Some(pod) = self.input.cluster.pods.get(&item.fact.key) {
                    self.snapshot.bind(pod.clone(), own);
                }
                None
            }
        }
    }
}

/// The pod that comes in a moved one's place.
fn replacement(model: &Model<'_>, item: &crate::model::Item<'_>) -> PodFact {
    let mut pod = item.fact.clone();
    pod.node = None;
    if pod.owner.as_ref().is_none_or(|owner| owner.kind != OwnerKind::StatefulSet) {
        pod.key.name = Name::truncated(format!("{} moved", pod.key.name));
    }
    let request = &model.classes[item.class].request;
    pod.spec.requests.cpu = MilliCpu(request[CPU]);
    pod.spec.requests.memory = Bytes(request[MEMORY]);
    pod
}

/// Puts a new machine into the snapshot, with its system pods as one pod.
fn boot(model: &Model<'_>, machine: usize, name: &Name, snapshot: &mut Snapshot) {
    let offer = &model.machines[machine].offer;
    let pool = &model.input.pools[offer.pool];
    let mut labels = offer.labels.clone();
    labels.insert(Name::truncated(HOSTNAME), name.clone());
    let mut overhead = pool.allocatable.clone();
    overhead.sub(&offer.capacity);
    let mut allocatable = pool.allocatable.clone();
    // One pod stands for several: the others' places are taken off.
    allocatable.pods -= (overhead.pods - 1).max(0);
    let taints = Few::new(offer.taints.clone()).unwrap_or_default();
    snapshot.put_node(newcomer::node(name, labels, taints, allocatable, model.input.now));
    if overhead.pods > 0 {
        let spec = PodSpecFact { requests: overhead, ..PodSpecFact::default() };
        snapshot.bind(newcomer::system_pod(name, 0, spec), name);
    }
    if !model.extra.drivers.is_empty() {
        let limits = model.extra.attach_limits(&model.machines[machine].room);
        snapshot.set_attach_limits(name.clone(), limits);
    }
}
