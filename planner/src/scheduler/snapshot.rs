//! What the scheduler sees: nodes with the pods bound to them, and what rules refer to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};
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
use super::score::Score;

/// What a container without a CPU request counts as when nodes are scored.
const DEFAULT_CPU: MilliCpu = MilliCpu(100);
/// What a container without a memory request counts as when nodes are scored.
const DEFAULT_MEMORY: Bytes = Bytes(200 << 20);

/// A mutable picture of a cluster for the scheduler's rules.
///
/// Adding, removing, binding and unbinding cost O(log n). A clone shares the facts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(super) nodes: BTreeMap<Name, NodeState>,
    pub(super) pods: BTreeMap<Key, BoundPod>,
    /// Where the bound pods are, by what selectors see of them.
    pub(super) kinds: Grouped<PodKind>,
    /// Where the required anti-affinity terms of the bound pods hold.
    pub(super) repelling: Grouped<OwnedTerm>,
    /// Where the terms of the bound pods are that weigh when nodes are scored, with their weights.
    pub(super) weighing: Grouped<(OwnedTerm, i64)>,
    pub(super) namespaces: BTreeMap<Name, Labels>,
    /// Volume of each claim; `None` until bound.
    pub(super) claims: BTreeMap<Key, Option<Name>>,
    pub(super) volumes: BTreeMap<Name, Arc<PvFact>>,
    /// Attach limits: node, driver, volumes.
    pub(super) attach_limits: BTreeMap<Name, BTreeMap<Name, i64>>,
    /// Selectors of the ReplicaSets and StatefulSets, for default spreading.
    pub(super) selectors: BTreeMap<WorkloadId, Selector>,
}

/// How many bound pods of each group are on each node. Pods of one workload are alike, so a rule is
/// asked once for all of them.
pub(super) type Grouped<G> = BTreeMap<G, BTreeMap<Name, i64>>;

/// What selectors see of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodKind {
    pub(super) namespace: Name,
    pub(super) labels: Labels,
    pub(super) terminating: bool,
}

/// A term of pod (anti-)affinity and the namespace of the pod that has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OwnedTerm {
    pub(super) namespace: Name,
    pub(super) term: PodTerm,
}

/// Weight, when nodes are scored, of another pod's *required* affinity.
const REQUIRED_AFFINITY_WEIGHT: i64 = 1;

/// One node, or only the pods bound to a name whose node is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeState {
    pub(super) fact: Option<Arc<NodeFact>>,
    pub(super) pods: BTreeSet<Key>,
    /// Sum of requests; `pods` is the number of pods.
    pub(super) used: Resources,
    /// Sum of CPU and memory with defaults for containers that request none.
    pub(super) scored: (MilliCpu, Bytes),
}

#[derive(Clone, Debug)]
pub(super) struct BoundPod {
    pub(super) pod: Arc<PodFact>,
    pub(super) node: Name,
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
        let name = node.name.clone();
        self.nodes.entry(name).or_default().fact = Some(node);
    }

    /// Takes a node away. Pods bound to it stay bound to its name and count nowhere.
    pub fn remove_node(&mut self, name: &str) -> Option<Arc<NodeFact>> {
        let state = self.nodes.get_mut(name)?;
        let fact = state.fact.take();
        if state.pods.is_empty() {
            self.nodes.remove(name);
        }
        fact
    }

    /// Binds a pod to a node, from wherever it was bound before. No rule is asked.
    pub fn bind(&mut self, pod: impl Into<Arc<PodFact>>, node: &Name) {
        let pod = pod.into();
        self.unbind(&pod.key);
        let state = self.nodes.entry(node.clone()).or_default();
        state.pods.insert(pod.key.clone());
        state.used.add(&pod.spec.requests);
        state.used.pods = count(&state.pods);
        let (cpu, memory) = scored_requests(&pod.spec);
        state.scored = (state.scored.0 + cpu, state.scored.1 + memory);
        self.count(&pod, node, 1);
        self.pods.insert(pod.key.clone(), BoundPod { pod, node: node.clone() });
    }

    /// Takes a pod from its node; tells both, or `None` when it was not bound.
    pub fn unbind(&mut self, key: &Key) -> Option<(Arc<PodFact>, Name)> {
        let BoundPod { pod, node } = self.pods.remove(key)?;
        self.count(&pod, &node, -1);
        if let Some(state) = self.nodes.get_mut(&node) {
            state.pods.remove(key);
            state.used.sub(&pod.spec.requests);
            state.used.pods = count(&state.pods);
            let (cpu, memory) = scored_requests(&pod.spec);
            state.scored = (state.scored.0 - cpu, state.scored.1 - memory);
            if state.fact.is_none() && state.pods.is_empty() {
                self.nodes.remove(&node);
            }
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
        self.nodes.values().filter_map(|state| state.fact.as_deref())
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
        self.nodes.get(node)
    }

    /// The kinds of bound pods of a namespace, with their numbers by node.
    pub(super) fn namespace_kinds(&self, namespace: &Name) -> impl Iterator<Item = (&PodKind, &BTreeMap<Name, i64>)> {
        let first = PodKind { namespace: namespace.clone(), labels: Labels::new(), terminating: false };
        self.kinds.range((Included(first), Unbounded)).take_while(move |(kind, _)| kind.namespace == *namespace)
    }

    /// A known node's value of a topology key.
    pub(super) fn domain(&self, node: &Name, key: &Name) -> Option<&Name> {
        self.nodes.get(node)?.fact.as_ref()?.labels.get(key)
    }

    /// Enters a pod into the groups, or takes it out.
    fn count(&mut self, pod: &PodFact, node: &Name, by: i64) {
        let namespace = &pod.key.namespace;
        let kind = PodKind {
            namespace: namespace.clone(),
            labels: pod.labels.clone(),
            terminating: pod.deletion_at.is_some(),
        };
        enter(&mut self.kinds, kind, node, by);
        let owned = |term: &PodTerm| OwnedTerm { namespace: namespace.clone(), term: term.clone() };
        for term in &pod.spec.pod_anti_affinity {
            enter(&mut self.repelling, owned(term), node, by);
        }
        for term in &pod.spec.pod_affinity {
            enter(&mut self.weighing, (owned(term), REQUIRED_AFFINITY_WEIGHT), node, by);
        }
        for (weight, term) in &pod.spec.pod_preferences {
            enter(&mut self.weighing, (owned(term), i64::from(*weight)), node, by);
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

/// Changes a group's number on a node; what comes to zero is taken out.
fn enter<G: Ord>(groups: &mut Grouped<G>, group: G, node: &Name, by: i64) {
    let mut nodes = match groups.entry(group) {
        Entry::Vacant(vacant) => vacant.insert_entry(BTreeMap::new()),
        Entry::Occupied(occupied) => occupied,
    };
    let number = nodes.get_mut().entry(node.clone()).or_default();
    *number += by;
    if *number == 0 {
        nodes.get_mut().remove(node);
        if nodes.get().is_empty() {
            nodes.remove();
        }
    }
}

/// CPU and memory as NodeResourcesFit scores them: each container without a request counts as
/// 100m and 200 MiB.
///
/// The facts keep one effective request per pod, so the defaults of the ordinary containers are
/// added to it; where an init container alone decides the effective request, this is a little more
/// than the real scheduler counts.
pub(super) fn scored_requests(spec: &PodSpecFact) -> (MilliCpu, Bytes) {
    let mut cpu = spec.requests.cpu;
    let mut memory = spec.requests.memory;
    for container in &spec.containers {
        if container.cpu_request.is_none() {
            cpu += DEFAULT_CPU;
        }
        if container.memory_request.is_none() {
            memory += DEFAULT_MEMORY;
        }
    }
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
