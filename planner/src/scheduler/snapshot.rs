//! What the scheduler sees: nodes with the pods bound to them, and what rules refer to.
//!
//! Nodes have places, and labels and their values have numbers, so that a cycle compares integers;
//! pods that rules cannot tell apart are one group, found by the labels that rules ask for.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use journal_schema::facts::{
    Key, Kind, Labels, NodeFact, Object, PodFact, PodSpecFact, PodTerm, PvFact, Selector, WorkloadFact, WorkloadId,
    WorkloadKind,
};
use journal_schema::plan::Cluster;
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Resources};

use super::cycle::Cycle;
use super::kinds::{KindNumber, Kinds, Places, add, hook_of};
use super::matching::untolerated;
use super::score::Score;
use super::taints::{Shown, Taints, TaintsNumber};

/// What a container without a CPU request counts as when nodes are scored.
const DEFAULT_CPU: MilliCpu = MilliCpu(100);
/// What a container without a memory request counts as when nodes are scored.
const DEFAULT_MEMORY: Bytes = Bytes(200 << 20);

/// A mutable picture of a cluster for the scheduler's rules.
///
/// Adding, removing, binding and unbinding cost O(log n). A clone shares the facts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The place of each node, by name.
    places: BTreeMap<Name, usize>,
    /// The places by name.
    order: Vec<usize>,
    slots: Vec<NodeState>,
    /// By place: what refuses most pods.
    glances: Vec<Glance>,
    /// The taints of the known nodes.
    pub(super) taints: Taints,
    /// Places that no node has.
    free: Vec<usize>,
    topology: Topology,
    pub(super) pods: BTreeMap<Key, BoundPod>,
    /// How many bound pods ask for less than nothing, which no API server lets through.
    in_debt: usize,
    /// Where the bound pods are, by what selectors see of them.
    pub(super) kinds: Kinds,
    /// Where the required anti-affinity terms of the bound pods hold.
    repelling: Hooked<OwnedTerm>,
    /// Where the terms of the bound pods are that weigh when nodes are scored, with their weights.
    weighing: Hooked<(OwnedTerm, i64)>,
    pub(super) namespaces: BTreeMap<Name, Labels>,
    /// Volume of each claim; `None` until bound.
    pub(super) claims: BTreeMap<Key, Option<Name>>,
    pub(super) volumes: BTreeMap<Name, Arc<PvFact>>,
    /// Attach limits: node, driver, volumes.
    pub(super) attach_limits: BTreeMap<Name, BTreeMap<Name, i64>>,
    /// Selectors of the ReplicaSets and StatefulSets, for default spreading.
    pub(super) selectors: BTreeMap<WorkloadId, Selector>,
}

/// Groups of bound pods. Pods of one workload are alike, so a rule is asked once for all of them.
type Grouped<G> = BTreeMap<G, Places>;

/// Terms by a label that a pod must have to be selected; `None` for those that ask for none.
type Hooked<T> = BTreeMap<Option<(Name, Name)>, Grouped<T>>;

/// Numbers of label keys, and of the values of each.
#[derive(Clone, Debug, Default)]
struct Topology {
    keys: BTreeMap<Name, u32>,
    values: Vec<BTreeMap<Name, u32>>,
    /// By key: the known nodes that have it.
    nodes: Vec<Holders>,
    /// How many nodes are known.
    known: usize,
}

/// The known nodes that have a label.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders {
    pub(super) all: usize,
    /// By the number of the label's value; values that no node ever had may be missing.
    pub(super) by_value: Vec<usize>,
}

impl Topology {
    /// The labels of a node by number, sorted.
    fn row(&mut self, labels: &Labels) -> Vec<(u32, u32)> {
        let mut row: Vec<(u32, u32)> = labels
            .iter()
            .map(|(key, value)| {
                let key = number(&mut self.keys, key);
                let index = key as usize;
                if self.values.len() <= index {
                    self.values.resize_with(index + 1, BTreeMap::new);
                }
                (key, number(&mut self.values[index], value))
            })
            .collect();
        row.sort_unstable();
        row
    }

    /// A node with these labels is known.
    fn enter(&mut self, row: &[(u32, u32)]) {
        self.known += 1;
        for (key, value) in row {
            let (key, value) = (*key as usize, *value as usize);
            if self.nodes.len() <= key {
                self.nodes.resize_with(key + 1, Holders::default);
            }
            let holders = &mut self.nodes[key];
            if holders.by_value.len() <= value {
                holders.by_value.resize(value + 1, 0);
            }
            holders.by_value[value] += 1;
            holders.all += 1;
        }
    }

    /// A node with these labels is known no longer.
    fn leave(&mut self, row: &[(u32, u32)]) {
        self.known -= 1;
        for (key, value) in row {
            let holders = &mut self.nodes[*key as usize];
            holders.by_value[*value as usize] -= 1;
            holders.all -= 1;
        }
    }
}

fn number(numbers: &mut BTreeMap<Name, u32>, name: &Name) -> u32 {
    if let Some(number) = numbers.get(name) {
        return *number;
    }
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    numbers.insert(name.clone(), next);
    next
}

/// A term of pod (anti-)affinity and the namespace of the pod that has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OwnedTerm {
    pub(super) namespace: Name,
    pub(super) term: PodTerm,
}

/// Weight, when nodes are scored, of another pod's *required* affinity.
const REQUIRED_AFFINITY_WEIGHT: i64 = 1;

/// What refuses most pods, in few words: all nodes are looked at for every pod.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Glance {
    cpu: i64,
    memory: i64,
    /// Zero where no node is known.
    pods: i64,
    /// The number of its taints.
    taints: TaintsNumber,
}

impl Glance {
    fn of(state: &NodeState, taints: TaintsNumber) -> Self {
        let Some(fact) = &state.fact else { return Self::default() };
        let (has, used) = (&fact.allocatable, &state.used);
        Self { cpu: has.cpu.0 - used.cpu.0, memory: has.memory.0 - used.memory.0, pods: has.pods - used.pods, taints }
    }

    /// Whether a node may take a pod, as far as room for one more pod, CPU and memory tell.
    fn has_room(&self, requests: &Resources) -> bool {
        self.pods > 0
            && (requests.cpu.0 <= 0 || requests.cpu.0 <= self.cpu)
            && (requests.memory.0 <= 0 || requests.memory.0 <= self.memory)
    }
}

/// One node, or only the pods bound to a name whose node is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeState {
    pub(super) place: usize,
    pub(super) fact: Option<Arc<NodeFact>>,
    /// Numbers of its labels' keys and values, sorted.
    row: Vec<(u32, u32)>,
    pub(super) pods: BTreeSet<Key>,
    /// Sum of requests; `pods` is the number of pods.
    pub(super) used: Resources,
    /// Sum of CPU and memory with defaults for containers that request none.
    pub(super) scored: (MilliCpu, Bytes),
}

impl NodeState {
    /// The number of its value of a label.
    pub(super) fn domain(&self, key: u32) -> Option<u32> {
        let found = self.row.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(self.row[found].1)
    }
}

#[derive(Clone, Debug)]
pub(super) struct BoundPod {
    pub(super) pod: Arc<PodFact>,
    pub(super) node: Name,
    kind: KindNumber,
}

impl Snapshot {
    /// The cluster as it is: every pod that has a node and is not finished is bound to it.
    pub fn new(cluster: &Cluster) -> Self {
        let mut snapshot = Self::default();
        for node in cluster.nodes.values() {
            snapshot.put_node(node.clone());
        }
        for namespace in cluster.namespaces.values() {
            snapshot.namespaces.insert(namespace.name.clone(), namespace.labels.clone());
        }
        for claim in cluster.pvcs.values() {
            snapshot.claims.insert(claim.key.clone(), claim.volume.clone());
        }
        for volume in cluster.pvs.values() {
            snapshot.volumes.insert(volume.name.clone(), Arc::new(volume.clone()));
        }
        for csi_node in cluster.csi_nodes.values() {
            snapshot.attach_limits.insert(csi_node.name.clone(), csi_node.limits.clone());
        }
        for workload in cluster.workloads.values() {
            snapshot.put_workload(workload);
        }
        for pod in cluster.pods.values() {
            snapshot.put_pod(pod);
        }
        snapshot
    }

    /// Follows a watch: takes an object in, or its new state. Kinds without a scheduling rule are
    /// ignored.
    pub fn apply(&mut self, object: &Object) {
        match object {
            Object::Node(node) => self.put_node(node.clone()),
            Object::Pod(pod) => self.put_pod(pod),
            Object::Namespace(namespace) => {
                self.namespaces.insert(namespace.name.clone(), namespace.labels.clone());
            }
            Object::Workload(workload) => self.put_workload(workload),
            Object::Pvc(claim) => {
                self.claims.insert(claim.key.clone(), claim.volume.clone());
            }
            Object::Pv(volume) => {
                self.volumes.insert(volume.name.clone(), Arc::new(volume.clone()));
            }
            Object::CsiNode(csi_node) => {
                self.attach_limits.insert(csi_node.name.clone(), csi_node.limits.clone());
            }
            Object::Pdb(_) | Object::Hpa(_) => {}
        }
    }

    /// Follows a watch: an object is gone.
    pub fn delete(&mut self, kind: Kind, key: &Key) {
        match kind {
            Kind::Node => {
                self.remove_node(&key.name);
            }
            Kind::Pod => {
                self.unbind(key);
            }
            Kind::Namespace => {
                self.namespaces.remove(&key.name);
            }
            Kind::ReplicaSet => {
                self.selectors.remove(&WorkloadId { kind: WorkloadKind::ReplicaSet, key: key.clone() });
            }
            Kind::StatefulSet => {
                self.selectors.remove(&WorkloadId { kind: WorkloadKind::StatefulSet, key: key.clone() });
            }
            Kind::PersistentVolumeClaim => {
                self.claims.remove(key);
            }
            Kind::PersistentVolume => {
                self.volumes.remove(&key.name);
            }
            Kind::CsiNode => {
                self.attach_limits.remove(&key.name);
            }
            Kind::Deployment | Kind::DaemonSet | Kind::PodDisruptionBudget | Kind::HorizontalPodAutoscaler => {}
        }
    }

    /// Adds a node, or replaces it; the pods bound to its name stay bound.
    pub fn put_node(&mut self, node: impl Into<Arc<NodeFact>>) {
        let node = node.into();
        let row = self.topology.row(&node.labels);
        let place = self.place(&node.name);
        self.forget_node(place);
        self.topology.enter(&row);
        let taints = self.taints.show(place, &node.taints);
        self.slots[place].row = row;
        self.slots[place].fact = Some(node);
        self.glances[place] = Glance::of(&self.slots[place], taints);
    }

    /// Takes a node away. Pods bound to it stay bound to its name and count nowhere.
    pub fn remove_node(&mut self, name: &str) -> Option<Arc<NodeFact>> {
        let place = *self.places.get(name)?;
        let fact = self.forget_node(place);
        self.forget_if_empty(name, place);
        fact
    }

    /// Forgets the node at a place, if one is known there.
    fn forget_node(&mut self, place: usize) -> Option<Arc<NodeFact>> {
        let fact = self.slots[place].fact.take()?;
        self.topology.leave(&self.slots[place].row);
        self.taints.hide(place, self.glances[place].taints);
        self.glances[place] = Glance::default();
        Some(fact)
    }

    /// The place of a name, made when it has none.
    fn place(&mut self, name: &Name) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.free.pop().unwrap_or(self.slots.len());
        let state = NodeState { place, ..NodeState::default() };
        if place == self.slots.len() {
            self.slots.push(state);
            self.glances.push(Glance::default());
        } else {
            self.slots[place] = state;
            self.glances[place] = Glance::default();
        }
        self.places.insert(name.clone(), place);
        let later = self.places.range::<str, _>((Bound::Excluded(name.as_str()), Bound::Unbounded)).next();
        let at = later.and_then(|(_, next)| self.order.iter().rposition(|place| place == next));
        self.order.insert(at.unwrap_or(self.order.len()), place);
        place
    }

    /// Frees the place of a name without a known node and without pods.
    fn forget_if_empty(&mut self, name: &str, place: usize) {
        if self.slots[place].fact.is_none() && self.slots[place].pods.is_empty() {
            self.places.remove(name);
            self.order.retain(|other| *other != place);
            self.free.push(place);
        }
    }

    /// Binds a pod to a node, from wherever it was bound before. No rule is asked.
    pub fn bind(&mut self, pod: impl Into<Arc<PodFact>>, node: &Name) {
        let pod = pod.into();
        self.unbind(&pod.key);
        let place = self.place(node);
        let state = &mut self.slots[place];
        state.pods.insert(pod.key.clone());
        state.used.add(&pod.spec.requests);
        state.used.pods = count(&state.pods);
        let (cpu, memory) = scored_requests(&pod.spec);
        state.scored = (state.scored.0 + cpu, state.scored.1 + memory);
        self.glances[place] = Glance::of(state, self.glances[place].taints);
        self.in_debt += usize::from(asks_for_debt(&pod.spec));
        let kind = self.kinds.number(&pod);
        self.count(&pod, kind, place, 1);
        self.pods.insert(pod.key.clone(), BoundPod { pod, node: node.clone(), kind });
    }

    /// Takes a pod from its node; tells both, or `None` when it was not bound.
    pub fn unbind(&mut self, key: &Key) -> Option<(Arc<PodFact>, Name)> {
        let BoundPod { pod, node, kind } = self.pods.remove(key)?;
        self.in_debt -= usize::from(asks_for_debt(&pod.spec));
        if let Some(place) = self.places.get(&node).copied() {
            self.count(&pod, kind, place, -1);
            let state = &mut self.slots[place];
            state.pods.remove(key);
            state.used.sub(&pod.spec.requests);
            state.used.pods = count(&state.pods);
            let (cpu, memory) = scored_requests(&pod.spec);
            state.scored = (state.scored.0 - cpu, state.scored.1 - memory);
            self.glances[place] = Glance::of(state, self.glances[place].taints);
            self.forget_if_empty(&node, place);
        }
        Some((pod, node))
    }

    /// Sets how many volumes of each CSI driver a node may have attached.
    pub fn set_attach_limits(&mut self, node: Name, limits: BTreeMap<Name, i64>) {
        self.attach_limits.insert(node, limits);
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&NodeFact> {
        self.state(name)?.fact.as_deref()
    }

    /// Every known node, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeFact> {
        self.states().filter_map(|state| state.fact.as_deref())
    }

    /// Every place that a name has, by name.
    pub(super) fn states(&self) -> impl Iterator<Item = &NodeState> {
        self.order.iter().map(|place| &self.slots[*place])
    }

    /// Known nodes, by place, that may take a pod as far as room and taints tell. A resource of another kind,
    /// and every other rule, may still refuse it.
    pub(super) fn at_a_glance<'s>(&'s self, spec: &'s PodSpecFact) -> impl Iterator<Item = &'s NodeState> {
        let tolerates = |shown: &Shown| untolerated(&spec.tolerations, &shown.taints).is_none();
        let tolerated: Vec<bool> = self.taints.lists().iter().map(tolerates).collect();
        let fits = move |glance: &Glance| glance.has_room(&spec.requests) && tolerated[glance.taints];
        self.glances.iter().zip(&self.slots).filter(move |(glance, _)| fits(glance)).map(|(_, state)| state)
    }

    /// One more than the largest place.
    pub(super) fn most_places(&self) -> usize {
        self.slots.len()
    }

    /// What is at a place.
    pub(super) fn at(&self, place: usize) -> &NodeState {
        &self.slots[place]
    }

    /// The node that a pod is bound to.
    pub fn node_of(&self, pod: &Key) -> Option<&Name> {
        self.pods.get(pod).map(|bound| &bound.node)
    }

    /// A bound pod.
    pub fn pod(&self, key: &Key) -> Option<&PodFact> {
        self.pods.get(key).map(|bound| bound.pod.as_ref())
    }

    /// The pods bound to a node, by key.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &PodFact> {
        self.state(node).into_iter().flat_map(|state| self.pods_of(state))
    }

    /// Sum of the requests on a node; `pods` is the number of pods. `None` for a name without a
    /// known node.
    pub fn used(&self, node: &str) -> Option<&Resources> {
        self.state(node).filter(|state| state.fact.is_some()).map(|state| &state.used)
    }

    /// Whether a pod fits a node, by every rule. A pod that is to be *moved* must be unbound first,
    /// or it stands in its own way; a pod that is surged must not be.
    ///
    /// With constraints between pods this looks at all pods of the cluster. For many nodes take one
    /// [`Snapshot::cycle`].
    ///
    /// # Errors
    /// The first rule that the node breaks, in the order of the scheduler's plugins.
    pub fn filter(&self, pod: &PodFact, node: &str) -> Result<(), Reason> {
        self.cycle(pod).filter(node)
    }

    /// One scheduling cycle of a pod: what must be counted over the whole cluster is counted once.
    pub fn cycle<'a>(&'a self, pod: &'a PodFact) -> Cycle<'a> {
        Cycle::new(self, pod)
    }

    /// Scores nodes that a pod fits, in the order given. Unknown names are left out.
    pub fn score(&self, pod: &PodFact, nodes: &[Name]) -> Vec<Score> {
        self.cycle(pod).score(nodes)
    }

    /// The node that the scheduler would bind a pod to; among equals the first by name.
    ///
    /// # Errors
    /// When it fits nowhere: each node and the first rule that it breaks.
    pub fn choose(&self, pod: &PodFact) -> Result<Name, Vec<(Name, Reason)>> {
        self.cycle(pod).choose()
    }

    pub(super) fn pods_of<'a>(&'a self, state: &'a NodeState) -> impl Iterator<Item = &'a PodFact> {
        state.pods.iter().filter_map(|key| self.pod(key))
    }

    pub(super) fn state(&self, node: &str) -> Option<&NodeState> {
        self.places.get(node).map(|place| &self.slots[*place])
    }

    /// The anti-affinity terms of bound pods that may select a pod with these labels.
    pub(super) fn repelling_for(&self, labels: &Labels) -> impl Iterator<Item = (&OwnedTerm, &Places)> {
        hooked_for(&self.repelling, labels)
    }

    /// The weighing terms of bound pods that may select a pod with these labels.
    pub(super) fn weighing_for(&self, labels: &Labels) -> impl Iterator<Item = (&(OwnedTerm, i64), &Places)> {
        hooked_for(&self.weighing, labels)
    }

    /// The number of a topology key; `None` when no node has it.
    pub(super) fn key(&self, key: &str) -> Option<u32> {
        self.topology.keys.get(key).copied()
    }

    /// The known nodes that have a label.
    pub(super) fn holders(&self, key: u32) -> Option<&Holders> {
        self.topology.nodes.get(key as usize)
    }

    /// Whether a bound pod asks for less than nothing.
    pub(super) fn in_debt(&self) -> bool {
        self.in_debt > 0
    }

    /// How many nodes are known.
    pub(super) fn known(&self) -> usize {
        self.topology.known
    }

    /// Whether the node at a place may take a pod, as far as room tells.
    pub(super) fn has_room(&self, place: usize, requests: &Resources) -> bool {
        self.glances[place].has_room(requests)
    }

    /// How many values of a key there are; all are numbered below.
    pub(super) fn domains(&self, key: u32) -> usize {
        self.topology.values.get(key as usize).map_or(0, BTreeMap::len)
    }

    /// Enters a pod into the groups, or takes it out.
    fn count(&mut self, pod: &PodFact, kind: KindNumber, place: usize, by: i64) {
        self.kinds.enter(kind, place, by);
        let namespace = &pod.key.namespace;
        let owned = |term: &PodTerm| OwnedTerm { namespace: namespace.clone(), term: term.clone() };
        for term in &pod.spec.pod_anti_affinity {
            enter_hooked(&mut self.repelling, term, owned(term), place, by);
        }
        for term in &pod.spec.pod_affinity {
            enter_hooked(&mut self.weighing, term, (owned(term), REQUIRED_AFFINITY_WEIGHT), place, by);
        }
        for (weight, term) in &pod.spec.pod_preferences {
            enter_hooked(&mut self.weighing, term, (owned(term), i64::from(*weight)), place, by);
        }
    }

    fn put_pod(&mut self, pod: &PodFact) {
        match &pod.node {
            Some(node) if !pod.finished() => self.bind(pod.clone(), node),
            Some(_) | None => {
                self.unbind(&pod.key);
            }
        }
    }

    fn put_workload(&mut self, workload: &WorkloadFact) {
        match workload.id.kind {
            WorkloadKind::ReplicaSet | WorkloadKind::StatefulSet => {
                self.selectors.insert(workload.id.clone(), workload.selector.clone());
            }
            WorkloadKind::Deployment | WorkloadKind::DaemonSet => {}
        }
    }
}

fn count(pods: &BTreeSet<Key>) -> i64 {
    i64::try_from(pods.len()).unwrap_or(i64::MAX)
}

/// Terms that may select a pod with these labels.
fn hooked_for<'a, T>(terms: &'a Hooked<T>, labels: &Labels) -> impl Iterator<Item = (&'a T, &'a Places)> {
    let hooks = labels.iter().map(|(key, value)| Some((key.clone(), value.clone()))).chain([None]);
    let lists: Vec<&Grouped<T>> =
        if terms.is_empty() { Vec::new() } else { hooks.filter_map(|hook| terms.get(&hook)).collect() };
    lists.into_iter().flatten()
}

fn enter_hooked<T: Ord>(terms: &mut Hooked<T>, term: &PodTerm, what: T, place: usize, by: i64) {
    let hook = term.selector.as_ref().and_then(hook_of);
    let groups = terms.entry(hook.clone()).or_default();
    enter(groups, what, place, by);
    if groups.is_empty() {
        terms.remove(&hook);
    }
}

/// Changes a group's number at a place; what comes to zero is taken out.
fn enter<G: Ord>(groups: &mut Grouped<G>, group: G, node: usize, by: i64) {
    let mut nodes = match groups.entry(group) {
        Entry::Vacant(vacant) => vacant.insert_entry(BTreeMap::new()),
        Entry::Occupied(occupied) => occupied,
    };
    add(nodes.get_mut(), node, by);
    if nodes.get().is_empty() {
        nodes.remove();
    }
}

/// Whether a pod asks for less than nothing of CPU or memory.
pub(super) fn asks_for_debt(spec: &PodSpecFact) -> bool {
    spec.requests.cpu < MilliCpu::ZERO || spec.requests.memory < Bytes::ZERO
}

/// CPU and memory as NodeResourcesFit scores them: each container without a request counts as
/// 100m and 200 MiB.
///
/// The facts keep one effective request per pod. Where that is more than the containers ask for, an init
/// container decided it, and does so against their defaults as well; one without a request, which the real
/// scheduler gives the defaults too, is not seen. (Of a pod with an overhead this is a little less than the
/// real scheduler counts, when a container asks for nothing.)
pub(super) fn scored_requests(spec: &PodSpecFact) -> (MilliCpu, Bytes) {
    let (mut cpu, mut memory) = (MilliCpu::ZERO, Bytes::ZERO);
    for container in &spec.containers {
        cpu += container.cpu_request.unwrap_or(DEFAULT_CPU);
        memory += container.memory_request.unwrap_or(DEFAULT_MEMORY);
    }
    (cpu, memory) = (cpu.max(spec.requests.cpu), memory.max(spec.requests.memory));
    if spec.containers.is_empty() {
        if cpu == MilliCpu::ZERO {
            cpu = DEFAULT_CPU;
        }
        if memory == Bytes::ZERO {
            memory = DEFAULT_MEMORY;
        }
    }
    (cpu, memory)
}
