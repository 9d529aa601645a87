//! The cluster compiled into indexes: resource dimensions, host signatures, pod classes, offers.
//!
//! Pods that no rule can tell apart share a class, and hosts that no rule can tell apart share a
//! signature, so that the answers to "may this pod run there" are a small table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal_schema::binding::Bottleneck;
use journal_schema::facts::{Key, Labels, NodeFact, NodeTerm, PodFact, PvFact, Taint, Toleration};
use journal_schema::plan::{Managed, MoveMethod, PlanningInput};
use journal_schema::policy::{Actuation, RightSizing};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::Resources;

use crate::availability::Rules;
use crate::commitments::{Account, Commitments, Tariff};
use crate::eligibility::{Standing, node_keeps, standings, tariff_of, unresolved_claim};
use crate::groups::Groups;
use crate::moves::{self, Starts};
use crate::offers::{Offer, offers};
use crate::relations::{Few, Relations};
use crate::rules::{HOSTNAME, ZONE, node_affinity_matches, repelling_taint, volume_reaches};
use crate::state::State;
use crate::waiver::Waiver;

/// Most resource dimensions: CPU, memory, ephemeral storage, pods, and four more.
pub(crate) const DIMS: usize = 8;
/// An amount of every dimension.
pub(crate) type Amounts = [i64; DIMS];
/// Stands for "no limit"; small enough that sums do not overflow.
pub(crate) const UNLIMITED: i64 = i64::MAX / 1024;

/// CPU, in milli-CPU.
pub(crate) const CPU: usize = 0;
/// Memory, in bytes.
pub(crate) const MEMORY: usize = 1;
const EPHEMERAL: usize = 2;
/// Number of pods.
pub(crate) const PODS: usize = 3;
pub(crate) const FIRST_EXTRA: usize = 4;

/// The dimensions beyond the first four.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// Extended resources, from dimension four on.
    pub(crate) resources: Vec<Name>,
    /// CSI drivers with attach limits, after them.
    pub(crate) drivers: Vec<Name>,
}

impl Extra {
    /// How many dimensions are in use.
    pub(crate) fn dims(&self) -> usize {
        FIRST_EXTRA + self.resources.len() + self.drivers.len()
    }

    /// The attach limits in an amount of every dimension, by driver, where there is a limit.
    pub(crate) fn attach_limits(&self, amounts: &Amounts) -> BTreeMap<Name, i64> {
        let first = FIRST_EXTRA + self.resources.len();
        self.drivers
            .iter()
            .enumerate()
            .map(|(i, driver)| (driver.clone(), amounts[first + i]))
            .filter(|(_, limit)| *limit < UNLIMITED)
            .collect()
    }

    /// What binds where a dimension has a price.
    pub(crate) fn bottleneck(&self, dim: usize) -> Bottleneck {
        match self.named(dim) {
            Dimension::Resource(resource) => Bottleneck::Resource { resource },
            Dimension::Attachments(driver) => Bottleneck::AttachLimit { driver },
        }
    }

    /// What is short when a dimension is short.
    pub(crate) fn shortage(&self, dim: usize) -> Reason {
        match self.named(dim) {
            Dimension::Resource(resource) => Reason::InsufficientResource { resource },
            Dimension::Attachments(driver) => Reason::AttachLimit { driver },
        }
    }

    fn named(&self, dim: usize) -> Dimension {
        let resource = |name: &str| Dimension::Resource(Name::truncated(name));
        match dim {
            CPU => resource("cpu"),
            MEMORY => resource("memory"),
            EPHEMERAL => resource("ephemeral-storage"),
            PODS => resource("pods"),
            _ => match self.resources.get(dim - FIRST_EXTRA) {
                Some(name) => resource(name),
                None => Dimension::Attachments(
                    self.drivers.get(dim - FIRST_EXTRA - self.resources.len()).cloned().unwrap_or_default(),
                ),
            },
        }
    }
}

/// What is counted in one dimension.
enum Dimension {
    /// A resource, as the scheduler names it.
    Resource(Name),
    /// Volumes of a CSI driver.
    Attachments(Name),
}

/// What rules can tell of a host: nothing else of it matters to a placement but its room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Signature {
    /// Labels that some rule mentions.
    pub(crate) labels: Labels,
    /// Taints.
    pub(crate) taints: Vec<Taint>,
    /// Name, where some rule asks for it.
    pub(crate) name: Name,
}

/// A node that exists.
#[derive(Debug)]
pub(crate) struct Host<'a> {
    pub(crate) fact: &'a NodeFact,
    pub(crate) sig: usize,
    /// What it costs, where known.
    pub(crate) tariff: Option<Tariff>,
    /// What it is weighed at against others, in micro-USD per hour: less than it costs where it may be covered by
    /// a commitment.
    pub(crate) price: Option<i64>,
    /// Why it must stay; `None` when it may leave.
    pub(crate) keep: Option<Reason>,
    /// Whether the scheduler puts pods here at all.
    pub(crate) receives: bool,
    /// Pods that would move if it left, by index into the items.
    pub(crate) home: Vec<usize>,
    /// What it takes to move those, in thousandths of an ordinary move.
    pub(crate) toll: i64,
    /// All other pods that use it (DaemonSets', static, blocked, terminating).
    pub(crate) fixed: Vec<usize>,
    /// Allocatable less everything that runs; negative when more runs than fits.
    pub(crate) room: Amounts,
}

impl Host<'_> {
    /// Allocatable CPU and memory.
    pub(crate) fn offers(&self) -> [i64; 2] {
        let allocatable = &self.fact.allocatable;
        [allocatable.cpu.0.max(0), allocatable.memory.0.max(0)]
    }
}

/// A machine that may be booted.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) offer: Offer,
    pub(crate) sig: usize,
    pub(crate) room: Amounts,
}

impl Machine {
    /// CPU and memory that it offers before system pods run there.
    pub(crate) fn offers(&self, model: &Model<'_>) -> [i64; 2] {
        let allocatable = &model.input.pools[self.offer.pool].allocatable;
        [allocatable.cpu.0.max(0), allocatable.memory.0.max(0)]
    }

    /// What system pods ask for there.
    pub(crate) fn daemons(&self, model: &Model<'_>) -> [i64; 2] {
        let [cpu, memory] = self.offers(model);
        [(cpu - self.offer.capacity.cpu.0).max(0), (memory - self.offer.capacity.memory.0).max(0)]
    }
}

/// Pods that no rule can tell apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) request: Amounts,
    /// Row of the compatibility table.
    pub(crate) statics: usize,
    /// Profile in the relations.
    pub(crate) profile: usize,
}

/// A pod that uses or needs room.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) fact: &'a PodFact,
    pub(crate) class: usize,
    /// The host it is bound to; `None` when it is pending.
    pub(crate) home: Option<usize>,
    pub(crate) standing: Standing,
    /// What it takes to move it, in thousandths of an ordinary move.
    pub(crate) toll: i64,
}

/// The compiled input.
pub(crate) struct Model<'a> {
    pub(crate) input: &'a PlanningInput,
    pub(crate) extra: Extra,
    pub(crate) dims: usize,
    pub(crate) hosts: Vec<Host<'a>>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) commitments: Commitments,
    /// What the present nodes cost, in micro-USD per hour.
    pub(crate) present_cost: i64,
    /// The commitments that they use.
    pub(crate) present_account: Account,
    /// All machines, cheapest first.
    pub(crate) by_price: Vec<usize>,
    pub(crate) items: Vec<Item<'a>>,
    /// Items that wait for a place.
    pub(crate) pending: Vec<usize>,
    pub(crate) classes: Vec<Class>,
    /// The least that any class asks for, by dimension.
    pub(crate) least_request: Amounts,
    /// How many signatures there are.
    pub(crate) signatures: usize,
    /// By static row and signature.
    pub(crate) compatible: Vec<Vec<bool>>,
    pub(crate) relations: Relations,
    /// Pods that the scheduler spreads together by default.
    pub(crate) groups: Arc<Groups>,
}

/// What a placement rule of a pod reads of a host by itself, without other pods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct StaticKey<'a> {
    selector: &'a Labels,
    affinity: Option<&'a [NodeTerm]>,
    tolerations: &'a [Toleration],
    volumes: Vec<&'a Name>,
}

fn volumes_of<'a>(input: &'a PlanningInput, pod: &PodFact) -> Vec<&'a PvFact> {
    let volume = |claim: &Name| {
        let key = Key::new(pod.key.namespace.clone(), claim.clone());
        input.cluster.pvcs.get(&key)?.volume.as_ref().and_then(|name| input.cluster.pvs.get(name))
    };
    let mut volumes: Vec<&PvFact> = pod.spec.claims.iter().filter_map(volume).collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes.dedup_by(|a, b| a.name == b.name);
    volumes
}

/// Chooses the extra dimensions: extended resources that pods ask for, then limited CSI drivers,
/// most asked for first, as many as there is room for.
fn choose_extra(input: &PlanningInput) -> Extra {
    let mut resources: BTreeMap<&Name, u32> = BTreeMap::new();
    let mut drivers: BTreeMap<&Name, u32> = BTreeMap::new();
    let limited: BTreeSet<&Name> = input.cluster.csi_nodes.values().flat_map(|node| node.limits.keys()).collect();
    for pod in input.cluster.pods.values().filter(|pod| !pod.finished()) {
        for (name, _) in pod.spec.requests.extended.iter().filter(|(_, amount)| **amount > 0) {
            *resources.entry(name).or_default() += 1;
        }
        for volume in volumes_of(input, pod).into_iter().filter(|volume| limited.contains(&volume.driver)) {
            *drivers.entry(&volume.driver).or_default() += 1;
        }
    }
    let ranked = |counts: BTreeMap<&Name, u32>| {
        let mut names: Vec<(&Name, u32)> = counts.into_iter().collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        names.into_iter().map(|(name, _)| name.clone()).collect::<Vec<Name>>()
    };
    let resources: Vec<Name> = ranked(resources).into_iter().take(DIMS - FIRST_EXTRA).collect();
    let drivers = ranked(drivers).into_iter().take(DIMS - FIRST_EXTRA - resources.len()).collect();
    Extra { resources, drivers }
}

/// A pod's request in the model's dimensions, or what cannot be expressed.
fn request_of(
    input: &PlanningInput,
    extra: &Extra,
    pod: &PodFact,
    sized: &BTreeMap<Key, (i64, i64)>,
) -> Result<Amounts, Name> {
    let mut amounts = vector(extra, &pod.spec.requests);
    amounts[PODS] = 1;
    if let Some((cpu, memory)) = sized.get(&pod.key) {
        amounts[CPU] = amounts[CPU].max(*cpu);
        amounts[MEMORY] = amounts[MEMORY].max(*memory);
    }
    if let Some((name, _)) =
        pod.spec.requests.extended.iter().find(|(name, amount)| **amount > 0 && !extra.resources.contains(name))
    {
        return Err(name.clone());
    }
    for volume in volumes_of(input, pod) {
        if let Some(index) = extra.drivers.iter().position(|driver| *driver == volume.driver) {
            amounts[FIRST_EXTRA + extra.resources.len() + index] += 1;
        } else if input.cluster.csi_nodes.values().any(|node| node.limits.contains_key(&volume.driver)) {
            return Err(volume.driver.clone());
        }
    }
    Ok(amounts)
}

fn vector(extra: &Extra, resources: &Resources) -> Amounts {
    let mut amounts = [0; DIMS];
    amounts[CPU] = resources.cpu.0;
    amounts[MEMORY] = resources.memory.0;
    amounts[EPHEMERAL] = resources.ephemeral.0;
    amounts[PODS] = resources.pods;
    for (index, name) in extra.resources.iter().enumerate() {
        amounts[FIRST_EXTRA + index] = resources.extended.get(name).copied().unwrap_or(0);
    }
    amounts
}

/// Sets the attach limits of a capacity vector: a node's own, or for a new machine the least known.
fn set_attach_limits(input: &PlanningInput, extra: &Extra, node: Option<&Name>, amounts: &mut Amounts) {
    for (index, driver) in extra.drivers.iter().enumerate() {
        let own = node.and_then(|name| input.cluster.csi_nodes.get(name)).map(|csi| csi.limits.get(driver).copied());
        let least = || input.cluster.csi_nodes.values().filter_map(|csi| csi.limits.get(driver).copied()).min();
        let limit = match (node, own) {
            (Some(_), Some(limit)) => limit,
            (Some(_), None) | (None, _) => least(),
        };
        amounts[FIRST_EXTRA + extra.resources.len() + index] = limit.unwrap_or(UNLIMITED);
    }
}

/// With right-sizing by rollout a touched workload's pods come back with the proposed requests: what
/// must fit is the larger of both, for every pod whose workload could be rolled.
fn resized(input: &PlanningInput) -> BTreeMap<Key, (i64, i64)> {
    let mut sized = BTreeMap::new();
    let active = input.policy.predict.right_sizing == RightSizing::WithRollout
        && input.policy.disruption.actuation == Actuation::RollingUpdate;
    if !active {
        return sized;
    }
    for pod in input.cluster.pods.values().filter(|pod| !pod.finished()) {
        let Some(workload) = input.cluster.workload_of(pod) else { continue };
        let (mut cpu, mut memory, mut changed) = (pod.spec.requests.cpu.0, pod.spec.requests.memory.0, false);
        for container in &pod.spec.containers {
            let place = input
                .forecasts
                .containers
                .binary_search_by(|f| (&f.workload, &f.container).cmp(&(&workload.id, &container.name)));
            let Ok(index) = place else { continue };
            let forecast = &input.forecasts.containers[index];
            cpu += (forecast.cpu_request.0 - container.cpu_request.map_or(0, |r| r.0)).max(0);
            memory += (forecast.memory_request.0 - container.memory_request.map_or(0, |r| r.0)).max(0);
            changed = true;
        }
        if changed {
            sized.insert(pod.key.clone(), (cpu, memory));
        }
    }
    sized
}

/// Which labels and whether names tell hosts apart.
#[derive(Default)]
struct Mentioned {
    keys: BTreeSet<Name>,
    names: bool,
}

impl Mentioned {
    fn terms(&mut self, terms: &[NodeTerm]) {
        for term in terms {
            self.keys.extend(term.labels.iter().map(|r| r.key.clone()));
            self.names |= !term.fields.is_empty();
        }
    }

    fn pod(&mut self, input: &PlanningInput, pod: &PodFact) {
        self.keys.extend(pod.spec.node_selector.keys().cloned());
        self.terms(pod.spec.node_affinity.as_deref().unwrap_or_default());
        for volume in volumes_of(input, pod) {
            self.terms(volume.node_affinity.as_deref().unwrap_or_default());
            if !volume.zones.is_empty() {
                self.keys.extend([ZONE, "failure-domain.beta.kubernetes.io/zone"].map(Name::truncated));
            }
        }
    }

    fn topology(&mut self, pod: &PodFact) {
        let terms = pod.spec.pod_affinity.iter().chain(pod.spec.pod_anti_affinity.iter());
        let spread = pod.spec.spread.iter().filter(|s| s.hard).map(|s| &s.topology_key);
        self.keys.extend(terms.map(|term| &term.topology_key).chain(spread).filter(|key| **key != HOSTNAME).cloned());
    }

    fn signature(&self, labels: &Labels, taints: &[Taint], name: &str) -> Signature {
        let labels =
            labels.iter().filter(|(key, _)| self.keys.contains(*key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut taints = taints.to_vec();
        taints.sort();
        Signature { labels, taints, name: if self.names { Name::truncated(name) } else { Name::default() } }
    }
}

/// Gives each distinct value a number in order of appearance.
struct Interner<T: Ord + Clone> {
    ids: BTreeMap<T, usize>,
    values: Vec<T>,
}

impl<T: Ord + Clone> Interner<T> {
    fn new() -> Self {
        Self { ids: BTreeMap::new(), values: Vec::new() }
    }

    fn id(&mut self, value: T) -> usize {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = self.values.len();
        self.values.push(value.clone());
        self.ids.insert(value, id);
        id
    }
}

impl<'a> Model<'a> {
    /// Whether the node of a slot may be tainted while others are open: a new machine, or one that is managed.
    pub(crate) fn is_steered(&self, slot: usize) -> bool {
        match (&self.input.managed, self.hosts.get(slot)) {
            (Managed::All, _) | (_, None) => true,
            (Managed::Listed(nodes), Some(host)) => nodes.contains_key(&host.fact.name),
        }
    }

    /// Compiles the input. Time grows with pods × rules that mention them.
    pub(crate) fn new(input: &'a PlanningInput) -> Self {
        Self::waiving(input, &Waiver::NONE)
    }

    /// Compiles the input as if one rule that keeps nodes and pods were not there.
    #[expect(clippy::too_many_lines, reason = "one pass over the input, in the order of the model's fields")]
    pub(crate) fn waiving(input: &'a PlanningInput, waiver: &Waiver) -> Self {
        let extra = choose_extra(input);
        let dims = extra.dims();
        let sized = resized(input);
        let host_index: BTreeMap<&Name, usize> =
            input.cluster.nodes.keys().enumerate().map(|(i, name)| (name, i)).collect();

        let mut drafts: Vec<(&PodFact, Standing, Amounts)> = Vec::new();
        let mut mentioned = Mentioned::default();
        if input.policy.optimize.availability.max_per_zone.is_some() {
            mentioned.keys.insert(Name::truncated(ZONE));
        }
        for (pod, mut standing) in input.cluster.pods.values().zip(standings(input, waiver)) {
            let waiting = pod.node.is_none() && pod.deletion_at.is_none();
            let known = pod.node.as_ref().is_some_and(|node| host_index.contains_key(node));
            if pod.finished() || !(waiting || known) {
                continue;
            }
            let request = request_of(input, &extra, pod, &sized).unwrap_or_else(|rule| {
                standing.blocked.get_or_insert(Reason::UnknownConstraint { rule });
                let mut amounts = vector(&extra, &pod.spec.requests);
                amounts[PODS] = 1;
                amounts
            });
            if standing.blocked.is_none() {
                mentioned.pod(input, pod);
            }
            mentioned.topology(pod);
            drafts.push((pod, standing, request));
        }
        for (pod, standing, _) in &mut drafts {
            if pod.node.is_none() {
                standing.blocked = pending_hindrance(input, pod, standing.blocked.take());
                if standing.blocked.is_none() {
                    mentioned.pod(input, pod);
                }
            }
        }

        let commitments = Commitments::new(input);
        let mut signatures = Interner::new();
        let mut hosts: Vec<Host<'a>> = Vec::new();
        for node in input.cluster.nodes.values() {
            let sig = signatures.id(mentioned.signature(&node.labels, &node.taints, &node.name));
            let mut room = vector(&extra, &node.allocatable);
            set_attach_limits(input, &extra, Some(&node.name), &mut room);
            let tariff = tariff_of(input, &commitments, node);
            hosts.push(Host {
                fact: node,
                sig,
                tariff,
                price: tariff.map(|tariff| tariff.paid),
                keep: node_keeps(input, node, waiver),
                // What is not known of a node may be a reason not to run there.
                receives: node.ready && !node.unschedulable && node.deletion_at.is_none() && node.unknown.is_empty(),
                home: Vec::new(),
                toll: 0,
                fixed: Vec::new(),
                room,
            });
        }
        let machines: Vec<Machine> = offers(input, &commitments)
            .into_iter()
            .map(|offer| {
                let sig = signatures.id(mentioned.signature(&offer.labels, &offer.taints, crate::rules::NEW_NODE_NAME));
                let mut room = vector(&extra, &offer.capacity);
                set_attach_limits(input, &extra, None, &mut room);
                Machine { offer, sig, room }
            })
            .collect();
        let signatures = signatures.values;

        let of_workload = drafts.iter().map(|(pod, standing, _)| (*pod, standing.workload.as_ref()));
        let rules = Rules::new(&input.policy.optimize.availability, of_workload);
        let placeable: Vec<(&PodFact, bool)> = drafts.iter().map(|(pod, s, _)| (*pod, s.blocked.is_none())).collect();
        let mut relations = Relations::new(input, &placeable, &signatures, &rules);
        relations.note_present(&hosts.iter().map(|host| host.sig).collect::<Vec<_>>());
        let mut statics: Interner<StaticKey<'_>> = Interner::new();
        let mut classes = Interner::new();
        let mut items = Vec::new();
        let mut pending = Vec::new();
        let starts = Starts::new(&input.cluster);
        let free = PodFactStatics::default();
        // Row zero asks for nothing: it is the row of pods that never move.
        statics.id(StaticKey {
            selector: &free.selector,
            affinity: None,
            tolerations: &free.tolerations,
            volumes: Vec::new(),
        });
        for (index, (pod, standing, request)) in drafts.into_iter().enumerate() {
            let row = if standing.blocked.is_some() {
                0
            } else {
                let volumes =
                    volumes_of(input, pod).into_iter().filter(|v| v.node_affinity.is_some() || !v.zones.is_empty());
                statics.id(StaticKey {
                    selector: &pod.spec.node_selector,
                    affinity: pod.spec.node_affinity.as_deref(),
                    tolerations: &pod.spec.tolerations,
                    volumes: volumes.map(|v| &v.name).collect(),
                })
            };
            let class = classes.id(Class { request, statics: row, profile: relations.profile_of[index] });
            let home = pod.node.as_ref().and_then(|node| host_index.get(node).copied());
            match home {
                Some(host) => {
                    subtract(&mut hosts[host].room, &request);
                    if standing.blocked.is_none() {
                        hosts[host].home.push(index)
                    } else {
                        hosts[host].fixed.push(index)
                    }
                }
                None => pending.push(index),
            }
            items.push(Item { fact: pod, class, home, standing, toll: moves::toll(pod, &starts, input.now) });
        }
        let mut present_account = Account::new(&commitments);
        let tariffs = hosts.iter().filter_map(|host| host.tariff);
        let present_cost = tariffs.map(|tariff| present_account.add(&commitments, tariff)).sum();
        let compatible = table(input, &statics.values, &signatures);
        let least = |dim: usize| classes.values.iter().map(|class| class.request[dim]).min().unwrap_or(0);
        let mut model = Self {
            input,
            extra,
            least_request: std::array::from_fn(least),
            signatures: signatures.len(),
            dims,
            hosts,
            machines,
            present_cost,
            present_account,
            commitments,
            by_price: Vec::new(),
            groups: Arc::new(Groups::new(input, &items)),
            items,
            pending,
            classes: classes.values,
            compatible,
            relations,
        };
        model.pin();
        model.keep_blocked();
        for host in &mut model.hosts {
            host.toll = host.home.iter().map(|item| model.items[*item].toll).sum();
        }
        model.drop_new_domains();
        model.rank_machines();
        model.note_spreads();
        model.note_caps();
        model
    }

    /// Where a workload has more in one place than its limit, that is what a plan keeps to.
    fn note_caps(&mut self) {
        if self.relations.caps.is_empty() {
            return;
        }
        for (cap, _, excess) in State::present(self, 0).crowds() {
            let own = &mut self.relations.caps[cap];
            own.most = own.most.max(own.limit + excess);
        }
    }

    fn rank_machines(&mut self) {
        self.by_price = (0..self.machines.len()).collect();
        self.by_price.sort_by_key(|machine| (self.machines[*machine].offer.price, *machine));
    }

    /// Weighs what a commitment may cover at less than it costs, by the relief of each commitment.
    pub(crate) fn weigh(&mut self, relief: &[i64]) {
        if relief.is_empty() {
            return;
        }
        for host in &mut self.hosts {
            host.price = host.tariff.map(|tariff| tariff.weighed(relief));
        }
        for machine in &mut self.machines {
            machine.offer.price = machine.offer.tariff.weighed(relief);
        }
        self.rank_machines();
    }

    /// Notes how spread constraints stand in the present placement.
    fn note_spreads(&mut self) {
        let present = State::present(self, 0);
        let spreads = 0..self.relations.spreads.len();
        let skews: Vec<i64> = spreads.clone().map(|spread| present.skew(spread)).collect();
        let taken: Vec<Option<Vec<usize>>> = spreads.map(|spread| present.few(spread)).collect();
        // Hosts of the pods that have the constraint; `None` where one of them leaves before its successor comes.
        let mut homes: Vec<Option<Vec<usize>>> = vec![Some(Vec::new()); taken.len()];
        for item in &self.items {
            let profile = &self.relations.profiles[self.classes[item.class].profile];
            for (spread, _) in &profile.spread_own {
                match item.home.filter(|_| item.standing.method != MoveMethod::Evict) {
                    Some(home) => homes[*spread].as_mut().into_iter().for_each(|homes| homes.push(home)),
                    None => homes[*spread] = None,
                }
            }
        }
        for (index, (domains, homes)) in taken.into_iter().zip(homes).enumerate() {
            let spread = &mut self.relations.spreads[index];
            spread.skew_now = skews[index];
            spread.few = domains.zip(homes).map(|(domains, homes)| Few { domains, homes });
        }
    }

    /// Present nodes that may leave.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &Host<'a>> {
        self.hosts.iter().filter(|host| host.keep.is_none())
    }

    /// What nodes cost that may leave, in micro-USD per hour, and what emptying them takes, in thousandths of an
    /// ordinary move.
    pub(crate) fn stakes(&self) -> (i64, i64) {
        self.leaving().fold((0, 0), |(cost, toll), host| (cost + host.price.unwrap_or(0), toll + host.toll))
    }

    /// Pods of each class that run after a plan: those that are bound now, and the pending ones that `placed` says get
    /// a place.
    pub(crate) fn demand(&self, placed: &dyn Fn(usize) -> bool) -> BTreeMap<usize, usize> {
        let pending = self.pending.iter().filter(|item| placed(**item));
        let mut demand = BTreeMap::new();
        for item in self.hosts.iter().flat_map(|host| &host.home).chain(pending) {
            *demand.entry(self.items[*item].class).or_default() += 1;
        }
        demand
    }

    /// Whether a class may run on hosts of a signature, other pods and room left aside.
    pub(crate) fn allowed(&self, class: usize, sig: usize) -> bool {
        self.compatible[self.classes[class].statics][sig]
    }

    /// Pods that may run nowhere but where they are stay there.
    fn pin(&mut self) {
        for index in 0..self.items.len() {
            let item = &self.items[index];
            let (Some(home), None) = (item.home, &item.standing.blocked) else { continue };
            let class = item.class;
            let elsewhere = self.hosts.iter().enumerate().any(|(h, host)| h != home && self.allowed(class, host.sig))
                || self.machines.iter().any(|machine| self.allowed(class, machine.sig));
            if elsewhere {
                continue;
            }
            let fact = item.fact;
            let claim = fact
                .spec
                .claims
                .first()
                .filter(|_| fact.spec.node_selector.is_empty() && fact.spec.node_affinity.is_none());
            let reason = claim.map_or(Reason::NodeAffinity, |claim| Reason::VolumeZone { claim: claim.clone() });
            self.items[index].standing.blocked = Some(reason);
            self.hosts[home].home.retain(|other| *other != index);
            self.hosts[home].fixed.push(index);
        }
    }

    /// A node with a pod that may not move stays.
    fn keep_blocked(&mut self) {
        for host in &mut self.hosts {
            if host.keep.is_some() {
                continue;
            }
            let mut blockers: Vec<usize> = host.fixed.clone();
            blockers.sort_unstable();
            let blocker = blockers.into_iter().find_map(|index| {
                let item = &self.items[index];
                let reason = item.standing.blocked.as_ref()?;
                let harmless = matches!(reason, Reason::DaemonSet | Reason::StaticPod);
                (!harmless).then(|| (item.fact.key.clone(), Name::truncated(reason.code())))
            });
            host.keep = blocker.map(|(pod, code)| Reason::PodBlocks { pod, code });
        }
    }

    /// A machine in a topology domain that no node is in yet would change what every spread
    /// constraint over that topology means for pods that are not moved: such machines are not used.
    fn drop_new_domains(&mut self) {
        let relations = &self.relations;
        self.machines.retain(|machine| !relations.opens_domain(machine.sig));
    }
}

/// Empty rules with a lifetime of their own.
#[derive(Default)]
struct PodFactStatics {
    selector: Labels,
    tolerations: Vec<Toleration>,
}

/// Whether a waiting pod is one that the planner may place: only what concerns placing it counts.
fn pending_hindrance(input: &PlanningInput, pod: &PodFact, blocked: Option<Reason>) -> Option<Reason> {
    if let Some(rule) = pod.spec.unknown.first() {
        return Some(Reason::UnknownConstraint { rule: rule.clone() });
    }
    if !pod.spec.scheduler.is_empty() && pod.spec.scheduler != "default-scheduler" {
        return Some(Reason::OtherScheduler { scheduler: pod.spec.scheduler.clone() });
    }
    if let Some(claim) = unresolved_claim(input, pod) {
        return Some(Reason::VolumeUnknown { claim });
    }
    match blocked {
        Some(reason @ (Reason::DaemonSet | Reason::StaticPod | Reason::UnknownConstraint { .. })) => Some(reason),
        _ => None,
    }
}

fn table(input: &PlanningInput, statics: &[StaticKey<'_>], signatures: &[Signature]) -> Vec<Vec<bool>> {
    let fits = |key: &StaticKey<'_>, sig: &Signature| {
        let spec = |labels: &Labels| {
            key.selector.iter().all(|(k, v)| labels.get(k) == Some(v))
                && crate::rules::any_term_matches(key.affinity, labels, &sig.name)
        };
        let volumes = || {
            key.volumes
                .iter()
                .filter_map(|name| input.cluster.pvs.get(*name))
                .all(|v| volume_reaches(v, &sig.labels, &sig.name))
        };
        spec(&sig.labels) && repelling_taint(key.tolerations, &sig.taints).is_none() && volumes()
    };
    statics.iter().map(|key| signatures.iter().map(|sig| fits(key, sig)).collect()).collect()
}

/// Takes `other` away.
pub(crate) fn subtract(amounts: &mut Amounts, other: &Amounts) {
    for (amount, take) in amounts.iter_mut().zip(other) {
        *amount -= take;
    }
}

/// Adds `other`.
pub(crate) fn add(amounts: &mut Amounts, other: &Amounts) {
    for (amount, give) in amounts.iter_mut().zip(other) {
        *amount += give;
    }
}

/// Whether a pod's own placement rules (not its room, not other pods) let it run on a node.
pub(crate) fn first_static_failure(
    input: &PlanningInput,
    pod: &PodFact,
    labels: &Labels,
    taints: &[Taint],
    name: &str,
) -> Option<Reason> {
    if let Some(taint) = repelling_taint(&pod.spec.tolerations, taints) {
        return Some(Reason::Taint { key: taint.key.clone() });
    }
    if !node_affinity_matches(&pod.spec, labels, name) {
        return Some(Reason::NodeAffinity);
    }
    let unreachable = volumes_of(input, pod).into_iter().any(|volume| !volume_reaches(volume, labels, name));
    unreachable.then(|| Reason::VolumeZone { claim: pod.spec.claims.first().cloned().unwrap_or_default() })
}
