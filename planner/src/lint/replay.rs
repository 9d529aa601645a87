//! The plan carried out, step by step, on the model of the scheduler.
//!
//! Twice. First each pod is put where the plan says, which must be possible when its turn comes.
//! Then each pod is left to the scheduler, as it will be in truth: wherever it lands, every later
//! pod must still find a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal_schema::cloud::{Pool, PoolId};
use journal_schema::facts::{Key, NodeFact, OwnerKind, PodFact, PodSpecFact, Toleration, WorkloadKind};
use journal_schema::plan::{Managed, Move, MoveMethod, NodeToAdd, Planned, PlanningInput, PodAction, Slot, Target};
use journal_schema::policy::RightSizing;
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Resources};

use super::verdicts::pending;
use super::{Check, Findings, costs};
use crate::parallel::in_parallel;
use crate::scheduler::marks::{self, Led};
use crate::scheduler::matching::{node_affinity_matches, untolerated};
use crate::scheduler::{Snapshot, newcomer};

pub(super) fn check(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    let start = Start::new(input, planned);
    let threads = input.policy.optimize.limits.threads;
    for found in in_parallel(threads, &[as_planned, as_scheduled], |carried_out| carried_out(input, planned, &start)) {
        findings.0.extend(found.0);
    }
}

/// The cluster with the new machines up and the leaving nodes tainted: nothing has moved yet.
struct Start {
    snapshot: Snapshot,
    machines: BTreeMap<Slot, Name>,
    /// Nodes that the daemon marks while pods move, but for those that leave.
    led: Vec<Name>,
}

impl Start {
    fn new(input: &PlanningInput, planned: &Planned) -> Self {
        let mut snapshot = Snapshot::new(&input.cluster);
        let mut machines = BTreeMap::new();
        let pools: BTreeMap<_, &Pool> = input.pools.iter().map(|pool| (&pool.id, pool)).collect();
        let newcomers = Newcomers::new(input);
        for machine in &planned.plan.add {
            // A machine of an unknown pool is reported elsewhere; nothing can be put on it.
            if let Some(pool) = pools.get(&machine.pool).copied() {
                machines.insert(machine.slot, boot(input, &mut snapshot, machine, pool, &newcomers));
            }
        }
        for removed in &planned.plan.remove {
            marks::expire(&mut snapshot, &removed.node, planned.plan.iteration);
        }
        let leaving: BTreeSet<&Name> = planned.plan.remove.iter().map(|removed| &removed.node).collect();
        let managed = |name: &Name| match &input.managed {
            Managed::All => true,
            Managed::Listed(nodes) => nodes.contains_key(name),
        };
        let staying = input.cluster.nodes.keys().filter(|name| managed(name) && !leaving.contains(name));
        let led = staying.chain(machines.values()).cloned().collect();
        Self { snapshot, machines, led }
    }

    fn node_of<'a>(&'a self, target: &'a Target) -> Option<&'a Name> {
        match target {
            Target::Node(node) => Some(node),
            Target::New(slot) => self.machines.get(slot),
        }
    }
}

/// What is expected of new machines, by the nodes that are there.
struct Newcomers<'a> {
    /// What static pods take at least on every node of a pool.
    of_pool: BTreeMap<&'a PoolId, Resources>,
    /// The same of every node of the cluster: for a pool that has none yet.
    of_any: Option<Resources>,
    /// The smallest attach limits by machine type and driver, where they are known.
    attach_limits: BTreeMap<&'a str, BTreeMap<Name, i64>>,
}

impl<'a> Newcomers<'a> {
    fn new(input: &'a PlanningInput) -> Self {
        let mut sums: BTreeMap<&Name, Resources> =
            input.cluster.nodes.keys().map(|name| (name, Resources::default())).collect();
        for pod in input.cluster.pods.values().filter(|pod| pod.mirror && !pod.finished()) {
            if let Some(sum) = pod.node.as_ref().and_then(|node| sums.get_mut(node)) {
                sum.add(&pod.spec.requests);
            }
        }
        let mut newcomers = Self { of_pool: BTreeMap::new(), of_any: None, attach_limits: BTreeMap::new() };
        for (node, sum) in input.cluster.nodes.values().zip(sums.into_values()) {
            if let Some(pool) = costs::pool(input, node) {
                let least = newcomers.of_pool.remove(&pool.id);
                newcomers.of_pool.insert(&pool.id, least_of(least, &sum));
            }
            newcomers.of_any = Some(least_of(newcomers.of_any, &sum));
            if let Some(csi_node) = input.cluster.csi_nodes.get(&node.name) {
                let least = newcomers.attach_limits.entry(costs::machine_type(node)).or_default();
                for (driver, limit) in &csi_node.limits {
                    let entry = least.entry(driver.clone()).or_insert(*limit);
                    *entry = (*entry).min(*limit);
                }
            }
        }
        newcomers
    }

    /// What the static pods of a machine of this pool ask for.
    fn static_pods(&self, pool: &Pool) -> impl Iterator<Item = PodSpecFact> {
        let least = self.of_pool.get(&pool.id).or(self.of_any.as_ref()).cloned().unwrap_or_default();
        // The sum is put on the first; the others only take their place among the pods.
        (0..least.pods.max(0)).map(move |number| {
            let requests = if number == 0 { least.clone() } else { Resources::default() };
            PodSpecFact { requests: Resources { pods: 1, ..requests }, ..PodSpecFact::default() }
        })
    }
}

/// The least of each resource that is wanted everywhere.
fn least_of(least: Option<Resources>, other: &Resources) -> Resources {
    least.map_or_else(
        || other.clone(),
        |least| Resources {
            cpu: least.cpu.min(other.cpu),
            memory: least.memory.min(other.memory),
            ephemeral: least.ephemeral.min(other.ephemeral),
            pods: least.pods.min(other.pods),
            extended: BTreeMap::new(),
        },
    )
}

/// Puts a new machine into the snapshot, with the system pods that start on it by themselves.
fn boot(
    input: &PlanningInput,
    snapshot: &mut Snapshot,
    machine: &NodeToAdd,
    pool: &Pool,
    newcomers: &Newcomers<'_>,
) -> Name {
    let name = newcomer::machine_name(machine.slot);
    let mut labels = pool.labels.clone();
    for (key, value) in [
        ("kubernetes.io/hostname", &name),
        ("topology.kubernetes.io/zone", &pool.zone),
        ("topology.kubernetes.io/region", &pool.region),
        ("node.kubernetes.io/instance-type", &pool.machine_type),
    ] {
        labels.insert(Name::truncated(key), value.clone());
    }
    let node = newcomer::node(&name, labels, pool.taints.clone(), pool.allocatable.clone(), input.now);
    snapshot.put_node(node.clone());
    for (number, spec) in daemons(input, &node).into_iter().chain(newcomers.static_pods(pool)).enumerate() {
        snapshot.bind(newcomer::system_pod(&name, number, spec), &name);
    }
    if let Some(limits) = newcomers.attach_limits.get(pool.machine_type.as_str()) {
        snapshot.set_attach_limits(name.clone(), limits.clone());
    }
    name
}

/// Taints of a node in trouble or just born, which the DaemonSet controller makes its pods tolerate.
const TOLERATED_BY_DAEMONS: [&str; 7] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/network-unavailable",
];

/// What each DaemonSet that runs on the node asks for.
fn daemons(input: &PlanningInput, node: &NodeFact) -> Vec<PodSpecFact> {
    let of_the_controller = TOLERATED_BY_DAEMONS.map(|key| Toleration {
        key: Name::truncated(key),
        exists: true,
        value: Name::default(),
        effect: None,
    });
    let runs_here = |spec: &PodSpecFact| {
        let tolerations: Vec<Toleration> = spec.tolerations.iter().chain(&of_the_controller).cloned().collect();
        node_affinity_matches(spec, node) && untolerated(&tolerations, &node.taints).is_none()
    };
    let daemon_sets = input.cluster.workloads.values().filter(|workload| workload.id.kind == WorkloadKind::DaemonSet);
    daemon_sets
        .map(|workload| &workload.template)
        .filter(|spec| runs_here(spec))
        .map(|spec| PodSpecFact {
            requests: spec.requests.clone(),
            host_ports: spec.host_ports.clone(),
            ..PodSpecFact::default()
        })
        .collect()
}

/// Each pod goes where the plan says.
fn as_planned(input: &PlanningInput, planned: &Planned, start: &Start) -> Findings {
    let mut findings = Findings::default();
    let mut snapshot = start.snapshot.clone();
    // Pending pods are placed as soon as they fit: before anything moves, or once all has moved.
    let mut waiting = placed_pods(input, planned);
    waiting.retain(|(pod, target)| !place(&mut snapshot, pod, start.node_of(target)));
    for step in &planned.plan.moves {
        let (Some(pod), Some(node)) = (input.cluster.pods.get(&step.pod), start.node_of(&step.to)) else { continue };
        if snapshot.node_of(&step.pod).is_none() {
            continue;
        }
        let replacement = replacement(input, planned, step, pod);
        let fits = |snapshot: &Snapshot| snapshot.filter(&replacement, node);
        let outcome = match step.method {
            MoveMethod::Surge => fits(&snapshot).inspect(|()| drop_pod(&mut snapshot, &step.pod)),
            MoveMethod::Evict => {
                drop_pod(&mut snapshot, &step.pod);
                fits(&snapshot)
            }
            MoveMethod::RollingUpdate => {
                // The old pod may leave before the new one comes, or after.
                let beside = fits(&snapshot);
                drop_pod(&mut snapshot, &step.pod);
                beside.or_else(|_| fits(&snapshot))
            }
        };
        if let Err(reason) = outcome {
            drop_pod(&mut snapshot, &step.pod);
            findings.error(
                Check::Placement,
                format_args!("pod {} does not fit {}: {}", step.pod, node.as_str(), brief(&reason)),
            );
        }
        snapshot.bind(replacement, node);
    }
    for (pod, target) in waiting {
        let node = start.node_of(target);
        if !place(&mut snapshot, pod, node) {
            let reason = node.map(|node| snapshot.filter(pod, node));
            let why = match &reason {
                Some(Err(reason)) => brief(reason),
                Some(Ok(())) | None => "there is no such node".to_owned(),
            };
            findings.error(Check::PendingPod, format_args!("pod {} does not fit where it is placed: {why}", pod.key));
        }
    }
    left_behind(planned, &snapshot, &mut findings);
    findings
}

fn drop_pod(snapshot: &mut Snapshot, pod: &Key) {
    snapshot.unbind(pod);
}

/// Pending pods with the place that the report gives them.
fn placed_pods<'a>(input: &'a PlanningInput, planned: &'a Planned) -> Vec<(&'a PodFact, &'a Target)> {
    planned
        .report
        .pods
        .iter()
        .filter_map(|verdict| match &verdict.action {
            PodAction::Place(target) => {
                Some((input.cluster.pods.get(&verdict.pod).filter(|pod| pending(pod))?, target))
            }
            PodAction::Stay | PodAction::Move(_) | PodAction::Unplaced => None,
        })
        .collect()
}

/// Binds a pending pod if it fits now and its node stays.
fn place(snapshot: &mut Snapshot, pod: &PodFact, node: Option<&Name>) -> bool {
    let Some(node) = node.filter(|node| snapshot.filter(pod, node).is_ok()) else { return false };
    snapshot.bind(pod.clone(), node);
    true
}

/// The pod that comes in a moved pod's place: the same rules, and the changed requests when the
/// move is a rolling update that brings them.
fn replacement(input: &PlanningInput, planned: &Planned, step: &Move, pod: &PodFact) -> Arc<PodFact> {
    let mut new = pod.clone();
    new.node = None;
    let same_name = pod.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::StatefulSet);
    if !same_name {
        new.key.name = Name::truncated(format!("{} moved", pod.key.name.as_str()));
    }
    if step.method == MoveMethod::RollingUpdate && input.policy.predict.right_sizing == RightSizing::WithRollout {
        let changes = planned.plan.requests.iter().filter(|change| Some(&change.workload) == step.workload.as_ref());
        for change in changes {
            let requests = &mut new.spec.requests;
            requests.cpu = (requests.cpu + change.cpu.1 - change.cpu.0).max(MilliCpu::ZERO);
            requests.memory = (requests.memory + change.memory.1 - change.memory.0).max(Bytes::ZERO);
        }
    }
    Arc::new(new)
}

/// A node to remove may hold only what leaves with it: pods of DaemonSets, static pods, and pods
/// that are on their way out. (Finished pods are not in the snapshot.)
fn left_behind(planned: &Planned, snapshot: &Snapshot, findings: &mut Findings) {
    for removed in &planned.plan.remove {
        for pod in snapshot.pods_on(&removed.node) {
            let leaves = pod.mirror || pod.of_daemon_set() || pod.deletion_at.is_some();
            if !leaves {
                findings
                    .error(Check::NotEmptied, format_args!("node {} still has pod {}", removed.node.as_str(), pod.key));
            }
        }
    }
}

/// Reports the pods that the scheduler finds no node for. Evicted, such a pod is missing, which is
/// an error; surged or rolled, its predecessor still runs and the iteration is unwound without harm.
/// Pods that move although their nodes stay do so for something: where it does not come about, they are
/// disturbed for nothing, which is an error as well.
fn as_scheduled(input: &PlanningInput, planned: &Planned, start: &Start) -> Findings {
    let mut findings = Findings::default();
    let (stranded, waiting) = stranded_steps(input, planned, start);
    for pod in waiting.into_iter().filter(|_| planned.plan.shifts().next().is_some()) {
        findings.error(
            Check::PendingPod,
            format_args!("pod {}: left to the scheduler, it finds no node although pods make room for it", pod.key),
        );
    }
    for step in stranded {
        let message = format_args!("pod {}: left to the scheduler, it finds no node when its turn comes", step.pod);
        match step.method {
            MoveMethod::Evict => findings.error(Check::Stranded, message),
            MoveMethod::Surge | MoveMethod::RollingUpdate => findings.warning(Check::Stranded, message),
        }
    }
    findings
}

/// The pods of a plan that would find no node if all were left to the scheduler, in the plan's
/// order. Where this is not empty the plan should be repaired: the nodes of these pods stay, or a
/// machine more is booted.
///
/// Equal scores go to the first name, where the real scheduler draws lots: an empty answer is good
/// evidence and no proof.
pub fn stranded(input: &PlanningInput, planned: &Planned) -> Vec<Key> {
    let start = Start::new(input, planned);
    stranded_steps(input, planned, &start).0.into_iter().map(|step| step.pod.clone()).collect()
}

/// Each pod goes where the scheduler puts it: pending pods as soon as machines are up, or room is made, and
/// each moved pod in its turn, led as the plan says. Returns the moves and the pending pods of the plan that
/// find no node.
fn stranded_steps<'a>(
    input: &'a PlanningInput,
    planned: &'a Planned,
    start: &Start,
) -> (Vec<&'a Move>, Vec<&'a PodFact>) {
    let mut snapshot = start.snapshot.clone();
    let mut waiting: Vec<&PodFact> = placed_pods(input, planned).into_iter().map(|(pod, _)| pod).collect();
    let try_waiting = |snapshot: &mut Snapshot, waiting: &mut Vec<&PodFact>| {
        waiting.retain(|pod| match snapshot.choose(pod) {
            Ok(node) => {
                snapshot.bind((*pod).clone(), &node);
                false
            }
            Err(_) => true,
        });
    };
    try_waiting(&mut snapshot, &mut waiting);
    let mut stranded = Vec::new();
    let mut marks = Led::new(start.led.iter().map(|name| (name, name.clone())).collect());
    let mut led = None;
    for step in &planned.plan.moves {
        if let Some(wave) = planned.plan.waves.get(step.wave as usize).filter(|_| led != Some(step.wave)) {
            led = Some(step.wave);
            let open: BTreeSet<&Name> = wave.opens.iter().filter_map(|target| start.node_of(target)).collect();
            marks.open(&mut snapshot, open, input.iteration);
        }
        let Some(pod) = input.cluster.pods.get(&step.pod) else { continue };
        let replacement = replacement(input, planned, step, pod);
        if step.method == MoveMethod::Evict {
            drop_pod(&mut snapshot, &step.pod);
        }
        // Where it was is no other place.
        let choose = |snapshot: &mut Snapshot| snapshot.choose(&replacement).ok().filter(|node| *node != step.from);
        let mut choice = choose(&mut snapshot);
        if choice.is_none() && step.method == MoveMethod::RollingUpdate {
            drop_pod(&mut snapshot, &step.pod);
            choice = choose(&mut snapshot);
        }
        match choice {
            Some(node) => {
                drop_pod(&mut snapshot, &step.pod);
                snapshot.bind(replacement, &node);
            }
            None => stranded.push(step),
        }
        if !planned.plan.removes(&step.from) {
            try_waiting(&mut snapshot, &mut waiting);
        }
    }
    (stranded, waiting)
}

/// A reason in few words: its name and what it is about.
fn brief(reason: &Reason) -> String {
    format!("{reason:?}")
}
