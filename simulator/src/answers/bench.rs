//! A simulated world that requests are put to. What is drawn in it (names, UIDs, how long everything takes, which of
//! equal pods is meant) differs from one bench to the next.

use journal_schema::effect::{Answer, Effect, EffectId, NodeRole, Outcome};
use journal_schema::event::Event;
use journal_schema::facts::{IntOrPercent, Key, Labels, TaintEffect, UpdateStrategy, WorkloadId, WorkloadKind};
use journal_schema::text::{JsonText, Name};
use journal_schema::units::{Bytes, MilliCpu, Millis};
use serde_json::{Value, json};

use super::projection::{Lines, Slots, lines, pod_line};
use super::request::{Pick, Request};
use crate::World;
use crate::api::int_or_percent;
use crate::controllers::Evicted;
use crate::machines::MachineType;
use crate::rng::Stream;
use crate::scenario::{Behaviour, Expected, PdbSpec, PoolSpec, Scenario, WorkloadSpec, small_policy};
use crate::text::{list, name};
use crate::world::BuildError;

/// Where everything of a sequence is.
pub(super) const NAMESPACE: &str = "answers";
/// Nodes of a sequence have this label, and its pods select it: others may have nodes beside them.
pub(super) const WORLD: &str = "answers/world";
/// Label keys that are told begin with one of these.
pub(super) const VISIBLE: [&str; 2] = ["kinema.dev/", "tier"];
/// Machine types of the nodes.
pub(super) const MACHINES: [&str; 3] = ["e2-standard-2", "e2-standard-4", "e2-highcpu-4"];
/// Zones of the nodes.
pub(super) const ZONES: [&str; 2] = ["us-central1-a", "us-central1-b"];
/// A UID that nothing has.
const OTHER: &str = "00000000-0000-4000-8000-000000000000";
/// Whatever a request begins is over after this.
const SETTLED: Millis = Millis::from_minutes(3);
/// The same where a node's silence must be noticed, and its pods are waited for.
const NOTICED: Millis = Millis::from_minutes(8);

/// One world.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) slots: Slots,
    stream: Stream,
    sent: u64,
}

fn scenario() -> Scenario {
    let pools = ZONES.iter().flat_map(|zone| MACHINES.iter().map(|machine| PoolSpec::new(machine, zone, 0))).collect();
    Scenario {
        name: "answers".to_owned(),
        about: "an empty cluster".to_owned(),
        pools,
        workloads: Vec::new(),
        pdbs: Vec::new(),
        hpas: Vec::new(),
        jobs: Vec::new(),
        excluded_namespaces: Vec::new(),
        late: Vec::new(),
        faults: Vec::new(),
        cloud_faults: Vec::new(),
        policy: small_policy(),
        warm_up: Millis(0),
        limit: Millis::from_minutes(60),
        expected: Expected::Any,
        because: None,
    }
}

fn selector() -> Labels {
    [(name(WORLD), name(NAMESPACE))].into()
}

fn share(value: &Value) -> IntOrPercent {
    int_or_percent(&value.to_string()).unwrap_or(IntOrPercent::Int(0))
}

fn strategy(rolling: Option<&(Value, Value)>) -> UpdateStrategy {
    match rolling {
        Some((surge, unavailable)) => {
            UpdateStrategy::RollingUpdate { max_surge: share(surge), max_unavailable: share(unavailable) }
        }
        None => UpdateStrategy::Recreate,
    }
}

fn effect_of(text: &str) -> TaintEffect {
    match text {
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => TaintEffect::NoSchedule,
    }
}

fn role_of(text: &str) -> NodeRole {
    match text {
        "Optimal" => NodeRole::Optimal,
        "Later" => NodeRole::Later,
        "Expiring" => NodeRole::Expiring,
        _ => NodeRole::None,
    }
}

/// JSON as a value; what is none stays as it is written.
fn read(json: Option<&JsonText>) -> Value {
    json.map_or(Value::Null, |json| serde_json::from_str(json.as_str()).unwrap_or_else(|_| json!(json.as_str())))
}

impl Bench {
    /// An empty world. `salt`: of what is drawn in it.
    pub(super) fn new(salt: u64) -> Result<Self, BuildError> {
        let mut world = World::new(scenario(), salt)?;
        world.connect();
        world.run_for(Millis::from_secs(2));
        Ok(Self { world, slots: Slots::new(), stream: Stream::new(salt, "bench"), sent: 0 })
    }

    /// The world as lines.
    pub(super) fn lines(&self) -> Lines {
        lines(&self.world, &self.slots)
    }

    /// Puts a request to the world, and lets it settle.
    pub(super) fn ask(&mut self, request: &Request) -> Value {
        let answer = self.carry_out(request);
        if !request.at_once() {
            let least = if matches!(request, Request::Crash { .. }) { NOTICED } else { SETTLED };
            // How old pods are when the next request comes decides which of them go first, and is left to chance.
            let times = self.stream.pick(&[1, 2, 4, 8]).copied().unwrap_or(1);
            self.world.run_for(Millis(least.0 * times));
            // What the daemon would hear is no part of this.
            self.world.disconnect();
            self.world.connect();
            self.world.run_for(Millis::from_secs(2));
        } else {
            // Mostly what the two bring about overlaps.
            let most = self.stream.pick(&[10, 10, 250]).copied().unwrap_or(0);
            let span = self.stream.between(0, most);
            self.world.run_for(Millis(span));
        }
        answer
    }

    fn node(&self, slot: &str) -> Name {
        let found = self.slots.iter().find(|(_, other)| *other == slot);
        found.map_or_else(|| name(format!("no-{slot}")), |(node, _)| node.clone())
    }

    fn node_uid(&self, node: &Name, own: bool) -> Name {
        let found = self.world.facts.nodes.get(node).filter(|_| own);
        found.map_or_else(|| name(OTHER), |node| node.uid.clone())
    }

    /// The workload of a name, whatever its kind.
    pub(super) fn workload(&self, app: &str) -> WorkloadId {
        let key = Key::new(name(NAMESPACE), name(app));
        let kinds = [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::ReplicaSet];
        let ids = kinds.map(|kind| WorkloadId { kind, key: key.clone() });
        let found = ids.iter().find(|id| self.world.facts.workloads.contains_key(*id)).cloned();
        found.unwrap_or(WorkloadId { kind: WorkloadKind::Deployment, key })
    }

    fn workload_uid(&self, id: &WorkloadId, own: bool) -> Name {
        let found = self.world.facts.workloads.get(id).filter(|_| own);
        found.map_or_else(|| name(OTHER), |workload| workload.uid.clone())
    }

    /// One of the pods that look as the request says, with the UID that it names.
    fn pod(&mut self, pick: &Pick) -> (Key, Name) {
        let alike: Vec<(Key, Name)> = self
            .world
            .facts
            .pods
            .values()
            .filter(|pod| pod.key.namespace == NAMESPACE && pod_line(pod, &self.slots) == pick.pod)
            .map(|pod| (pod.key.clone(), pod.uid.clone()))
            .collect();
        match self.stream.pick(&alike) {
            Some((key, uid)) if pick.uid => (key.clone(), uid.clone()),
            Some((key, _)) => (key.clone(), name(OTHER)),
            None => (Key::new(name(NAMESPACE), name("ghost")), name(OTHER)),
        }
    }

    /// How long the pods of a workload take for everything.
    fn behaviour(&mut self) -> Behaviour {
        let mut span = || Millis(self.stream.between(200, 3_000));
        Behaviour { start: span(), ready: span(), stop: span(), ..Behaviour::default() }
    }

    /// Sends an effect as the daemon does, and waits for its answer.
    fn send(&mut self, effect: Effect) -> Value {
        self.sent += 1;
        let id = EffectId { cause: self.sent, index: 0 };
        self.world.send(vec![(id, effect)]);
        loop {
            let news = self.world.wait_for_news(None);
            let answer = news.events.into_iter().find_map(|event| match event {
                Event::Outcome { id: of, outcome } if of == id => Some(outcome),
                _ => None,
            });
            if let Some(outcome) = answer {
                return self.told(&outcome);
            }
        }
    }

    fn told(&self, outcome: &Outcome) -> Value {
        match outcome {
            Outcome::Failed(failure) => json!(format!("{:?} {:?}", failure.class, failure.code)),
            Outcome::Answered(Answer::Affinity(affinity, limit)) => {
                json!({"affinity": read(affinity.as_ref()), "maxUnavailable": read(limit.as_ref())})
            }
            Outcome::Answered(Answer::NodePods(pods)) => {
                let own = pods.iter().filter(|pod| pod.key.namespace == NAMESPACE);
                let mut pods: Vec<String> = own.map(|pod| pod_line(pod, &self.slots)).collect();
                pods.sort();
                json!(pods)
            }
            Outcome::Answered(_) => json!("Done"),
        }
    }

    fn carry_out(&mut self, request: &Request) -> Value {
        match self.effect(request) {
            Some(effect) => self.send(effect),
            None => self.others(request),
        }
    }

    /// The daemon's effect that a request stands for.
    fn effect(&mut self, request: &Request) -> Option<Effect> {
        Some(match request {
            Request::Mark { node, uid, role, iteration } => {
                let node = self.node(node);
                let uid = self.node_uid(&node, *uid);
                Effect::MarkNode { node, uid, role: role_of(role), iteration: *iteration }
            }
            Request::Cost { pick, cost } => {
                let (pod, uid) = self.pod(pick);
                Effect::SetDeletionCost { pod, uid, cost: *cost }
            }
            Request::Scale { app, uid, from, to } => {
                let workload = self.workload(app);
                let uid = self.workload_uid(&workload, *uid);
                Effect::Scale { workload, uid, from: *from, to: *to }
            }
            Request::Evict { pick } => {
                let (pod, uid) = self.pod(pick);
                Effect::Evict { pod, uid }
            }
            Request::Template { app, uid, from, to, max_unavailable, requests } => {
                let workload = self.workload(app);
                let uid = self.workload_uid(&workload, *uid);
                let json = |text: &String| JsonText::truncated(text);
                Effect::PatchTemplate {
                    workload,
                    uid,
                    from: from.as_ref().map(json),
                    to: to.as_ref().map(json),
                    max_unavailable: max_unavailable.as_ref().map(|(from, to)| (json(from), json(to))),
                    requests: list(
                        requests
                            .iter()
                            .map(|(container, cpu, mib)| (name(container), MilliCpu(*cpu), Bytes(mib << 20))),
                    ),
                }
            }
            Request::ReadAffinity { app, uid } => {
                let workload = self.workload(app);
                let uid = self.workload_uid(&workload, *uid);
                Effect::ReadAffinity { workload, uid }
            }
            Request::ReadNodePods { node } => Effect::ReadNodePods { node: self.node(node) },
            _ => return None,
        })
    }

    fn others(&mut self, request: &Request) -> Value {
        match request {
            Request::Drain { pick } => {
                let (key, _) = self.pod(pick);
                let uid = self.world.facts.pods.get(&key).map(|pod| pod.uid.clone()).unwrap_or_default();
                return json!(match self.world.evict(&key, &uid) {
                    Evicted::Granted => 201,
                    Evicted::NotFound => 404,
                    Evicted::Conflict => 409,
                    Evicted::Budget => 429,
                    Evicted::SeveralBudgets => 500,
                });
            }
            Request::DeletePod { pick } => {
                let (key, _) = self.pod(pick);
                self.world.terminate_pod(&key);
            }
            Request::Probe { pick, ready } => {
                let (key, _) = self.pod(pick);
                self.world.probe(&key, *ready);
            }
            Request::Break { app } => {
                let id = self.workload(app);
                if let Some(inner) = self.world.inner.workloads.get_mut(&id) {
                    inner.behaviour.broken = true;
                }
            }
            Request::Heal { app } => {
                let id = self.workload(app);
                self.world.heal(&id);
            }
            Request::CreatePod { pod, app, cpu } => {
                let behaviour = self.behaviour();
                let key = Key::new(name(NAMESPACE), name(pod));
                self.world.create_bare_pod(key, app, *cpu, selector(), behaviour);
            }
            Request::CreateBudget { budget, app, min, max, always } => self.world.create_pdb(&PdbSpec {
                namespace: name(NAMESPACE),
                name: name(budget),
                app: name(app),
                min_available: min.as_ref().map(share),
                max_unavailable: max.as_ref().map(share),
                always_allow_unhealthy: *always,
            }),
            Request::ChangeBudget { budget, min, max, always } => {
                self.world.change_budget(&Key::new(name(NAMESPACE), name(budget)), |fact| {
                    fact.min_available = min.as_ref().map(share);
                    fact.max_unavailable = max.as_ref().map(share);
                    fact.always_allow_unhealthy = *always;
                });
            }
            Request::DeleteBudget { budget } => self.world.delete_pdb(&Key::new(name(NAMESPACE), name(budget))),
            Request::UserScale { .. }
            | Request::UserTemplate { .. }
            | Request::Pause { .. }
            | Request::Strategy { .. }
            | Request::CreateWorkload { .. } => return self.workloads(request),
            _ => self.nodes(request),
        }
        json!("ok")
    }

    fn workloads(&mut self, request: &Request) -> Value {
        match request {
            Request::UserScale { app, replicas } => {
                let id = self.workload(app);
                self.world.scale_by_others(&id, *replicas);
            }
            Request::UserTemplate { app, cpu, affinity } => {
                let id = self.workload(app);
                if self.world.change_template(&id, *cpu, affinity.as_deref()).is_err() {
                    return json!(422);
                }
            }
            Request::Pause { app, on } => {
                let id = self.workload(app);
                self.world.pause(&id, *on);
            }
            Request::Strategy { app, rolling } => {
                let id = self.workload(app);
                self.world.set_strategy(&id, strategy(rolling.as_ref()));
            }
            Request::CreateWorkload { kind, app, replicas, cpu, memory, affinity, rolling } => {
                let kind = match kind.as_str() {
                    "StatefulSet" => WorkloadKind::StatefulSet,
                    "ReplicaSet" => WorkloadKind::ReplicaSet,
                    _ => WorkloadKind::Deployment,
                };
                let mut spec = WorkloadSpec::new(kind, NAMESPACE, app, *replicas, *cpu, *memory);
                if kind == WorkloadKind::Deployment {
                    spec.strategy = strategy(rolling.as_ref());
                }
                spec.affinity = affinity.clone();
                spec.node_selector = selector();
                spec.behaviour = self.behaviour();
                if self.world.create_workload(&spec, *replicas).is_err() {
                    return json!(422);
                }
            }
            _ => {}
        }
        json!("ok")
    }

    fn nodes(&mut self, request: &Request) {
        match request {
            Request::CreateNode { node, machine, zone, .. } => self.create_node(node, machine, zone),
            Request::DeleteNode { node } => {
                let node = self.node(node);
                self.world.remove_node(&node);
                self.slots.remove(&node);
            }
            Request::Crash { node } => {
                let node = self.node(node);
                self.world.crash_node(&node, None);
            }
            Request::Revive { node } => {
                let node = self.node(node);
                let uid = self.node_uid(&node, true);
                self.world.node_back(&node, &uid);
            }
            Request::Cordon { node, on } => {
                let node = self.node(node);
                self.world.cordon(&node, *on);
            }
            Request::Taint { node, key, effect, on } => {
                let node = self.node(node);
                self.world.taint(&node, key, effect_of(effect), *on);
            }
            Request::Label { node, key, value } => {
                let node = self.node(node);
                self.world.label(&node, key, value.as_deref());
            }
            _ => {}
        }
    }

    fn create_node(&mut self, slot: &str, machine: &str, zone: &str) {
        // The order of names differs from bench to bench: nothing may depend on it.
        let node = name(format!("{}-{slot}", self.stream.suffix(4)));
        let pool = PoolSpec::new(machine, zone, 0).id();
        let allocatable = MachineType::find(machine).map(MachineType::allocatable).unwrap_or_default();
        self.slots.insert(node.clone(), slot.to_owned());
        self.world.node_joins(&pool, &node, self.sent, allocatable, true);
        // A cluster without static pods.
        self.world.remove_pod(&Key::new(name("kube-system"), name(format!("kube-proxy-{node}"))));
        self.world.label(&node, WORLD, Some(NAMESPACE));
    }
}
