//! Which nodes may leave, which pods may move, and how.
//!
//! Every "no" is a [`Reason`]. A rule that nothing here knows (`unknown` on a fact) is a "no" as well.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::cloud::{CapacityType, Pool, PoolRefusal};
use journal_schema::facts::{
    DoNotDisrupt, IntOrPercent, NodeFact, OwnerKind, PdbFact, PodFact, PodPhase, UpdateStrategy, WorkloadFact,
    WorkloadId, WorkloadKind,
};
use journal_schema::plan::{Managed, MoveMethod, PlanningInput};
use journal_schema::policy::{Actuation, SingleReplica};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

use crate::commitments::{Commitments, Tariff};
use crate::model::first_static_failure;
use crate::pricing::effective_in;
use crate::rules::{HOSTNAME, REGION, ZONE, selector_matches};
use crate::waiver::Waiver;

/// What may be done with a pod that is bound to a node.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Why it must stay, if it must.
    pub(crate) blocked: Option<Reason>,
    /// How it would be moved.
    pub(crate) method: MoveMethod,
    /// Its workload, where that is watched.
    pub(crate) workload: Option<WorkloadId>,
    /// How many pods of its workload are moved at once.
    pub(crate) at_once: usize,
}

/// The capacity type that a node's labels tell.
pub(crate) fn capacity_type_of(node: &NodeFact) -> CapacityType {
    let spot = node.label("cloud.google.com/gke-spot") == "true"
        || node.label("cloud.google.com/gke-provisioning") == "spot"
        || node.label("cloud.google.com/gke-preemptible") == "true"
        || node.label("karpenter.sh/capacity-type") == "spot";
    if spot { CapacityType::Spot } else { CapacityType::OnDemand }
}

/// The region of a node: its label, else its zone without the last part, else the pools' only one.
fn region_of<'a>(input: &'a PlanningInput, node: &'a NodeFact) -> &'a str {
    let labelled = [REGION, "failure-domain.beta.kubernetes.io/region"]
        .map(|key| node.label(key))
        .into_iter()
        .find(|v| !v.is_empty());
    let from_zone = || zone_of(node).rsplit_once('-').map(|(region, _)| region);
    let only = || {
        let first = input.pools.first()?.region.as_str();
        input.pools.iter().all(|pool| pool.region == first).then_some(first)
    };
    labelled.or_else(from_zone).or_else(only).unwrap_or("")
}

/// The zone of a node, by the standard or the legacy label; empty when neither is there.
pub(crate) fn zone_of(node: &NodeFact) -> &str {
    let zone = node.label(ZONE);
    if zone.is_empty() { node.label("failure-domain.beta.kubernetes.io/zone") } else { zone }
}

/// The machine type of a node, by the standard or the legacy label; empty when neither is there.
pub(crate) fn machine_type_of(node: &NodeFact) -> &str {
    let machine_type = node.machine_type();
    if machine_type.is_empty() { node.label("beta.kubernetes.io/instance-type") } else { machine_type }
}

/// The pool of a node, where pools are known.
pub(crate) fn pool_of<'a>(input: &'a PlanningInput, node: &NodeFact) -> Option<&'a Pool> {
    match &input.managed {
        Managed::All => None,
        Managed::Listed(pools) => {
            let id = pools.get(&node.name)?;
            input.pools.iter().find(|pool| pool.id == *id)
        }
    }
}

/// What a node costs by the policy's pricing, if the price book knows.
pub(crate) fn tariff_of(input: &PlanningInput, commitments: &Commitments, node: &NodeFact) -> Option<Tariff> {
    let pool = pool_of(input, node);
    let capacity_type = pool.map_or_else(|| capacity_type_of(node), |pool| pool.capacity_type);
    let region = pool.map_or_else(|| region_of(input, node), |pool| pool.region.as_str());
    let (pricing, machine_type) = (&input.policy.optimize.pricing, machine_type_of(node));
    let paid = effective_in(pricing, &input.prices, region, machine_type, capacity_type)?;
    Some(Tariff { paid: paid.0, commitment: commitments.of(region, machine_type, capacity_type) })
}

fn is_priced(input: &PlanningInput, node: &NodeFact) -> bool {
    tariff_of(input, &Commitments::default(), node).is_some()
}

fn protected(wish: DoNotDisrupt, now: Timestamp) -> bool {
    match wish {
        DoNotDisrupt::No => false,
        DoNotDisrupt::Always => true,
        DoNotDisrupt::Until(moment) => moment > now,
    }
}

/// The first of these rules that holds and counts. What comes later is not looked at.
fn first_of(counts: impl Fn(&Reason) -> bool, rules: &[&dyn Fn() -> Option<Reason>]) -> Option<Reason> {
    rules.iter().find_map(|rule| rule().filter(&counts))
}

/// Why a node must stay whatever its pods are; `None` when it may leave.
pub(crate) fn node_keeps(input: &PlanningInput, node: &NodeFact, waiver: &Waiver) -> Option<Reason> {
    node_rule(input, node, |reason| !waiver.covers(reason))
}

/// Whether pods may be moved off a node that stays: it may be marked, is in good health, and neither it nor
/// the policy asks to be left alone.
pub(crate) fn node_releases(input: &PlanningInput, node: &NodeFact) -> bool {
    // What speaks against its removal only.
    let of_removal = |reason: &Reason| {
        matches!(
            reason,
            Reason::ScaleDownDisabled | Reason::TooYoung { .. } | Reason::PriceUnknown { .. } | Reason::HostsKinema
        )
    };
    node_rule(input, node, |reason| !of_removal(reason)).is_none()
}

/// The first rule that a node itself, its pool or the policy has against touching it, of those that count.
fn node_rule(input: &PlanningInput, node: &NodeFact, counts: impl Fn(&Reason) -> bool) -> Option<Reason> {
    let control_plane = || {
        node.labels.contains_key("node-role.kubernetes.io/control-plane")
            || node.labels.contains_key("node-role.kubernetes.io/master")
    };
    let too_young = || {
        let (age, least) = (input.now.since(node.created_at), input.policy.observe.min_node_age);
        (age < least).then_some(Reason::TooYoung { age, least })
    };
    let price_unknown = || {
        let unknown = || Reason::PriceUnknown { machine_type: Name::truncated(machine_type_of(node)) };
        (!is_priced(input, node)).then(unknown)
    };
    let hosts_kinema = || {
        let own = input.own_pod.as_ref().and_then(|key| input.cluster.pods.get(key))?;
        (own.node.as_ref() == Some(&node.name)).then_some(Reason::HostsKinema)
    };
    first_of(
        counts,
        &[
            &|| node.deletion_at.is_some().then_some(Reason::BeingDeleted),
            &|| control_plane().then_some(Reason::ControlPlane),
            &|| not_managed(input, node),
            &|| node.excluded.then_some(Reason::Excluded),
            &|| protected(node.do_not_disrupt, input.now).then_some(Reason::DoNotDisrupt),
            &|| node.scale_down_disabled.then_some(Reason::ScaleDownDisabled),
            &|| (!node.ready || node.unschedulable).then_some(Reason::NodeNotReady),
            &|| node.unknown.first().map(|rule| Reason::UnknownConstraint { rule: rule.clone() }),
            &too_young,
            &price_unknown,
            &hosts_kinema,
        ],
    )
}

/// Why a node's pool is not one whose nodes may leave.
fn not_managed(input: &PlanningInput, node: &NodeFact) -> Option<Reason> {
    if let Managed::Listed(pools) = &input.managed {
        let Some(pool) = pools.get(&node.name).and_then(|id| input.pools.iter().find(|pool| pool.id == *id)) else {
            return Some(Reason::NotManaged { refusal: None });
        };
        if pool.refusal.is_some() {
            return Some(Reason::NotManaged { refusal: pool.refusal });
        }
    }
    let selected = selector_matches(&input.policy.nodes, &node.labels);
    (!selected).then_some(Reason::NotManaged { refusal: Some(PoolRefusal::NotSelected) })
}

/// Evictions that a budget allows now. A budget whose status nobody has written yet (a cluster read
/// from files, a controller that lags) is counted from its pods.
fn disruptions_allowed(pdb: &PdbFact, pods: &[&PodFact]) -> i32 {
    let unwritten =
        pdb.expected == 0 && pdb.current_healthy == 0 && pdb.desired_healthy == 0 && pdb.disruptions_allowed == 0;
    if !unwritten {
        return pdb.disruptions_allowed;
    }
    let expected = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    let healthy = i32::try_from(pods.iter().filter(|pod| pod.ready).count()).unwrap_or(i32::MAX);
    let share = |percent: i32| (i64::from(expected) * i64::from(percent) + 99) / 100;
    let desired = match (pdb.min_available, pdb.max_unavailable) {
        (Some(IntOrPercent::Int(least)), _) => i64::from(least),
        (Some(IntOrPercent::Percent(percent)), _) => share(percent),
        (None, Some(IntOrPercent::Int(most))) => i64::from(expected) - i64::from(most),
        (None, Some(IntOrPercent::Percent(percent))) => i64::from(expected) - share(percent),
        (None, None) => i64::from(expected),
    };
    i32::try_from(i64::from(healthy) - desired).unwrap_or(0).max(0)
}

/// The budgets of each pod, by the pod's place in the cluster's order, and what each allows.
struct Budgets<'a> {
    of_pod: Vec<Vec<usize>>,
    allowed: Vec<i32>,
    facts: Vec<&'a PdbFact>,
}

impl<'a> Budgets<'a> {
    fn new(input: &'a PlanningInput, pods: &[&'a PodFact]) -> Self {
        let facts: Vec<&PdbFact> = input.cluster.pdbs.values().collect();
        let mut by_namespace: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
        for (index, pdb) in facts.iter().enumerate() {
            by_namespace.entry(&pdb.key.namespace).or_default().push(index);
        }
        let mut of_pod = vec![Vec::new(); pods.len()];
        let mut members: Vec<Vec<&PodFact>> = vec![Vec::new(); facts.len()];
        for (position, pod) in pods.iter().enumerate() {
            if pod.finished() {
                continue;
            }
            for index in by_namespace.get(&pod.key.namespace).into_iter().flatten() {
                if facts[*index].selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels)) {
                    of_pod[position].push(*index);
                    members[*index].push(pod);
                }
            }
        }
        let allowed = facts.iter().zip(&members).map(|(pdb, pods)| disruptions_allowed(pdb, pods)).collect();
        Self { of_pod, allowed, facts }
    }

    fn blocks(&self, position: usize, pod: &PodFact) -> Option<Reason> {
        let budgets = &self.of_pod[position];
        if budgets.len() > 1 {
            return Some(Reason::SeveralBudgets { budgets: u32::try_from(budgets.len()).unwrap_or(u32::MAX) });
        }
        let index = *budgets.first()?;
        let pdb = self.facts[index];
        let harmless = pdb.always_allow_unhealthy && !pod.ready;
        (self.allowed[index] <= 0 && !harmless)
            .then(|| Reason::PodDisruptionBudget { pdb: pdb.key.clone(), allowed: self.allowed[index] })
    }
}

/// Assesses every pod, in the order of `input.cluster.pods`.
pub(crate) fn standings(input: &PlanningInput, waiver: &Waiver) -> Vec<Standing> {
    let pods: Vec<&PodFact> = input.cluster.pods.values().collect();
    let budgets = Budgets::new(input, &pods);
    let scaled: BTreeSet<&WorkloadId> = input.cluster.hpas.values().filter_map(|hpa| hpa.target.as_ref()).collect();
    let mut siblings: BTreeMap<&Name, u32> = BTreeMap::new();
    for pod in &pods {
        if let (Some(owner), false) = (&pod.owner, pod.finished()) {
            *siblings.entry(&owner.uid).or_default() += 1;
        }
    }
    // Nodes that the scheduler may choose and of which nobody knows whether pods run there.
    let doubtful: Vec<&NodeFact> = input
        .cluster
        .nodes
        .values()
        .filter(|node| !node.unknown.is_empty() && node.ready && !node.unschedulable && node.allocatable.pods > 0)
        .collect();
    pods.iter()
        .enumerate()
        .map(|(position, pod)| {
            let workload = input.cluster.workload_of(pod);
            let id = workload.map(|w| w.id.clone());
            let replicas = match (workload, &pod.owner) {
                (Some(w), _) => i64::from(w.replicas),
                (None, Some(owner)) => siblings.get(&owner.uid).copied().unwrap_or(0).into(),
                (None, None) => 1,
            };
            let has_hpa = id.as_ref().is_some_and(|id| scaled.contains(id));
            let (method, hindrance) = method_of(input, pod, workload, replicas, has_hpa);
            let blocked = own_reason(input, pod, workload, waiver)
                .or_else(|| waiver.keep(budgets.blocks(position, pod)))
                .or_else(|| {
                    let system = pod.key.namespace == "kube-system"
                        && budgets.of_pod[position].is_empty()
                        && pod.safe_to_evict != Some(true);
                    waiver.keep(system.then_some(Reason::KubeSystemWithoutPdb))
                })
                .or_else(|| waiver.keep(hindrance))
                .or_else(|| lands_in_doubt(input, pod, &doubtful));
            Standing { blocked, method, workload: id, at_once: method.most_at_once(replicas) }
        })
        .collect()
}

/// A pod that is moved lands where the scheduler puts it, not where the plan does: not even another
/// node's pod is moved while one that it fits by its rules is not understood.
fn lands_in_doubt(input: &PlanningInput, pod: &PodFact, doubtful: &[&NodeFact]) -> Option<Reason> {
    let node = doubtful
        .iter()
        .find(|node| first_static_failure(input, pod, &node.labels, &node.taints, &node.name).is_none())?;
    let rule = node.unknown.first().map(Name::as_str).unwrap_or_default();
    Some(Reason::UnknownConstraint { rule: Name::truncated(format!("it could land on {}: {rule}", node.name)) })
}

/// What the pod, its owner, its namespace or its workload say by themselves.
fn own_reason(
    input: &PlanningInput,
    pod: &PodFact,
    workload: Option<&WorkloadFact>,
    waiver: &Waiver,
) -> Option<Reason> {
    let of_node = || pod.mirror || pod.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::Node);
    let not_running = || {
        pod.deletion_at.is_some()
            || pod.phase == PodPhase::Unknown
            || (pod.phase == PodPhase::Pending && pod.node.is_some())
    };
    let excluded = || {
        let namespace = input.cluster.namespaces.get(&pod.key.namespace);
        pod.excluded || workload.is_some_and(|w| w.excluded) || namespace.is_some_and(|n| n.excluded)
    };
    let other_scheduler = || {
        let other = !pod.spec.scheduler.is_empty() && pod.spec.scheduler != "default-scheduler";
        other.then(|| Reason::OtherScheduler { scheduler: pod.spec.scheduler.clone() })
    };
    let unknown = || {
        let rule = pod.spec.unknown.first().or_else(|| workload?.template.unknown.first())?;
        Some(Reason::UnknownConstraint { rule: rule.clone() })
    };
    let local_storage = || {
        let kept = |volume: &&Name| !pod.spec.safe_local_volumes.contains(*volume);
        let volume = pod.spec.local_volumes.iter().find(kept).filter(|_| pod.safe_to_evict != Some(true))?;
        Some(Reason::LocalStorage { volume: volume.clone() })
    };
    first_of(
        |reason| !waiver.covers(reason),
        &[
            &|| of_node().then_some(Reason::StaticPod),
            &|| pod.of_daemon_set().then_some(Reason::DaemonSet),
            &|| not_running().then_some(Reason::NotRunning),
            &|| excluded().then_some(Reason::Excluded),
            &|| protected(pod.do_not_disrupt, input.now).then_some(Reason::DoNotDisrupt),
            &|| (pod.safe_to_evict == Some(false)).then_some(Reason::NotSafeToEvict),
            &|| pod.prefer_no_eviction.then_some(Reason::PreferNoEviction),
            &other_scheduler,
            &unknown,
            &|| owner_hinders(input, pod),
            &|| workload.and_then(|w| input.quarantined.get(&w.id)).cloned(),
            &|| workload.is_some_and(|w| w.deletion_at.is_some()).then_some(Reason::WorkloadUnsettled),
            &local_storage,
            &|| unresolved_claim(input, pod).map(|claim| Reason::VolumeUnknown { claim }),
        ],
    )
}

/// Whether nobody would create the pod again, or would start it over.
fn owner_hinders(input: &PlanningInput, pod: &PodFact) -> Option<Reason> {
    match pod.owner.as_ref().map(|owner| owner.kind) {
        None | Some(OwnerKind::Other) => Some(Reason::NotBackedByController),
        Some(OwnerKind::Job) if !input.policy.disruption.evict_jobs => Some(Reason::JobWouldRestart),
        Some(
            OwnerKind::Job
            | OwnerKind::Deployment
            | OwnerKind::ReplicaSet
            | OwnerKind::StatefulSet
            | OwnerKind::DaemonSet
            | OwnerKind::Node,
        ) => None,
    }
}

/// The first claim of a pod whose volume is not known.
pub(crate) fn unresolved_claim(input: &PlanningInput, pod: &PodFact) -> Option<Name> {
    let resolved = |claim: &Name| {
        let key = journal_schema::facts::Key::new(pod.key.namespace.clone(), claim.clone());
        let volume = input.cluster.pvcs.get(&key).and_then(|pvc| pvc.volume.as_ref());
        volume.is_some_and(|volume| input.cluster.pvs.contains_key(volume))
    };
    pod.spec.claims.iter().find(|claim| !resolved(claim)).cloned()
}

/// How a pod would be moved, and why that is not possible, if it is not.
fn method_of(
    input: &PlanningInput,
    pod: &PodFact,
    workload: Option<&WorkloadFact>,
    replicas: i64,
    has_hpa: bool,
) -> (MoveMethod, Option<Reason>) {
    let policy = &input.policy.disruption;
    let single = replicas <= 1;
    let kind = workload.map(|w| w.id.kind);
    let stateless = matches!(kind, Some(WorkloadKind::Deployment | WorkloadKind::ReplicaSet));
    let recreate = workload.is_some_and(|w| w.strategy == UpdateStrategy::Recreate);
    let tied_volume = pod.spec.claims.iter().any(|claim| {
        let key = journal_schema::facts::Key::new(pod.key.namespace.clone(), claim.clone());
        input.cluster.pvcs.get(&key).is_none_or(|pvc| pvc.single_node)
    });
    // A second replica beside the first would break its own rule in any wider topology than a node.
    let repels_itself = pod.spec.pod_anti_affinity.iter().any(|term| {
        term.topology_key != HOSTNAME
            && term.selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels))
    });
    let can_double = stateless && !recreate && !tied_volume && !repels_itself;
    let method = match policy.actuation {
        Actuation::RollingUpdate if kind == Some(WorkloadKind::Deployment) && can_double => MoveMethod::RollingUpdate,
        Actuation::SurgeThenEvict if can_double && (single || !has_hpa) => MoveMethod::Surge,
        Actuation::RollingUpdate | Actuation::SurgeThenEvict | Actuation::Evict => MoveMethod::Evict,
    };
    // A Job's pod has no replicas to keep up.
    if !single || kind.is_none() && pod.owner.as_ref().is_some_and(|owner| owner.kind == OwnerKind::Job) {
        return (method, None);
    }
    let hindrance = match (policy.single_replica, method) {
        (SingleReplica::Skip, _) => Some(Reason::SingleReplica),
        (SingleReplica::Surge, MoveMethod::Evict) if recreate => Some(Reason::RecreateStrategy),
        (SingleReplica::Surge, MoveMethod::Evict) => Some(Reason::SingleReplica),
        (SingleReplica::Surge, MoveMethod::Surge | MoveMethod::RollingUpdate) | (SingleReplica::Allow, _) => None,
    };
    (method, hindrance)
}
