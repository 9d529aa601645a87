//! Draws requests: such as fit the world as it is, and some that do not.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::WorkloadKind;
use serde_json::{Value, json};

use super::bench::{Bench, MACHINES, NAMESPACE, ZONES};
use super::projection::pod_line;
use super::request::{Pick, Request};
use crate::machines::MachineType;
use crate::rng::Stream;

const DEPLOYMENTS: [&str; 3] = ["web", "api", "job"];
const STATEFUL_SET: &str = "db";
const REPLICA_SET: &str = "set";
const NODES: [&str; 5] = ["n0", "n1", "n2", "n3", "n4"];
const BUDGETS: [&str; 2] = ["b0", "b1"];
const CPUS: [i64; 5] = [100, 250, 400, 700, 1_100];

/// Affinities that an API server takes.
const AFFINITIES: [&str; 6] = [
    r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kinema.dev/expiring","operator":"DoesNotExist"}]}]}}}"#,
    r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kinema.dev/expiring","operator":"DoesNotExist"}]}]},"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"preference":{"matchExpressions":[{"key":"kinema.dev/optimal","operator":"In","values":["7"]}]}}]}}"#,
    r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"tier","operator":"In","values":["gold"]}]}]}}}"#,
    r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"preference":{"matchExpressions":[{"key":"tier","operator":"In","values":["gold"]}]}},{"weight":40,"preference":{"matchExpressions":[{"key":"tier","operator":"In","values":["iron"]}]}}]}}"#,
    r#"{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"APP"}},"topologyKey":"kubernetes.io/hostname"}]}}"#,
    r#"{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"APP"}},"topologyKey":"topology.kubernetes.io/zone"}]}}"#,
];

/// Affinities that it does not take.
const NONSENSE: [&str; 6] = [
    "{",
    r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{}}}"#,
    r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"tier","operator":"Near","values":["gold"]}]}]}}}"#,
    r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"tier","operator":"In","values":[]}]}]}}}"#,
    r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":101,"preference":{"matchExpressions":[{"key":"tier","operator":"Exists"}]}}]}}"#,
    r#"{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{},"topologyKey":""}]}}"#,
];

/// Draws the requests of one sequence.
pub(super) struct Drawer {
    seed: u64,
    stream: Stream,
    silent: BTreeSet<String>,
    /// A node was deleted, which takes a real control plane a minute.
    deleted: bool,
    broken: BTreeSet<String>,
    /// The apps that a budget was made for.
    budgeted: BTreeSet<String>,
}

/// What can be asked of the world as it is.
struct View {
    nodes: Vec<String>,
    pods: Vec<String>,
    /// Name and kind.
    workloads: BTreeMap<String, WorkloadKind>,
    budgets: Vec<String>,
}

impl View {
    fn of(bench: &Bench) -> Self {
        let cluster = bench.world.cluster();
        let own = |namespace: &str| namespace == NAMESPACE;
        let mut nodes: Vec<String> = bench.slots.values().cloned().collect();
        nodes.sort();
        let here = cluster.pods.values().filter(|pod| own(&pod.key.namespace));
        let mut pods: Vec<String> = here.map(|pod| pod_line(pod, &bench.slots)).collect();
        // Each kind of pod is as likely as another, however many there are.
        pods.sort();
        pods.dedup();
        let workloads = cluster.workloads.values();
        let workloads = workloads.filter(|workload| own(&workload.id.key.namespace) && workload.owner.is_none());
        Self {
            nodes,
            pods,
            workloads: workloads.map(|workload| (workload.id.key.name.to_string(), workload.id.kind)).collect(),
            budgets: cluster.pdbs.keys().filter(|key| own(&key.namespace)).map(|key| key.name.to_string()).collect(),
        }
    }
}

impl Drawer {
    pub(super) fn new(seed: u64) -> Self {
        let stream = Stream::new(seed, "requests");
        Self {
            seed,
            stream,
            silent: BTreeSet::new(),
            deleted: false,
            broken: BTreeSet::new(),
            budgeted: BTreeSet::new(),
        }
    }

    /// Remembers what the world does not show.
    pub(super) fn keep(&mut self, request: &Request) {
        match request {
            Request::Crash { node } => {
                self.silent.insert(node.clone());
            }
            Request::Revive { node } => {
                self.silent.remove(node);
            }
            Request::DeleteNode { .. } => self.deleted = true,
            Request::CreateBudget { app, .. } => {
                self.budgeted.insert(app.clone());
            }
            Request::Break { app } => {
                self.broken.insert(app.clone());
            }
            Request::Heal { app } => {
                self.broken.remove(app);
            }
            _ => {}
        }
    }

    fn one<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        self.stream.pick(items).cloned()
    }

    fn percent(&mut self, share: i64) -> bool {
        self.stream.chance(share * 10_000)
    }

    /// The next request, or several that come at once.
    pub(super) fn draw(&mut self, bench: &Bench, at: usize, of: usize) -> Vec<Request> {
        let view = View::of(bench);
        if view.nodes.len() < 3 && !self.deleted {
            return vec![self.create_node(&view)];
        }
        if view.workloads.is_empty() {
            return vec![self.create_workload("web", WorkloadKind::Deployment)];
        }
        loop {
            let drawn = match self.stream.below(20) {
                0..=9 => self.effect(bench, &view),
                10..=13 => self.workload(bench, &view),
                14..=15 => self.budget(&view),
                16..=17 => self.node(&view, at, of),
                _ => self.pod(&view),
            };
            if let Some(drawn) = drawn {
                return drawn;
            }
        }
    }

    fn create_node(&mut self, view: &View) -> Request {
        let free = NODES.iter().find(|node| !view.nodes.iter().any(|other| other == *node));
        let machine = self.one(&MACHINES).unwrap_or(MACHINES[0]);
        let room = MachineType::find(machine).map_or((0, 0), |machine| (machine.cpu, machine.memory_mib));
        Request::CreateNode {
            node: (*free.unwrap_or(&"n0")).to_owned(),
            machine: machine.to_owned(),
            cpu: room.0,
            memory: room.1,
            zone: self.one(&ZONES).unwrap_or(ZONES[0]).to_owned(),
        }
    }

    /// An affinity that is taken, or none.
    fn affinity(&mut self, app: &str) -> Option<String> {
        if self.percent(35) {
            return None;
        }
        self.one(&AFFINITIES).map(|text| text.replace("APP", app))
    }

    fn rolling(&mut self) -> Option<(Value, Value)> {
        if self.percent(8) {
            return None;
        }
        let shares = [json!("25%"), json!("25%"), json!(1), json!(0), json!("50%"), json!(2), json!("100%")];
        let surge = self.one(&shares)?;
        let unavailable = self.one(&shares)?;
        // Both at nothing is not taken.
        Some(if surge == json!(0) && unavailable == json!(0) { (json!(1), json!(0)) } else { (surge, unavailable) })
    }

    fn create_workload(&mut self, app: &str, kind: WorkloadKind) -> Request {
        Request::CreateWorkload {
            kind: kind.kind().as_str().to_owned(),
            app: app.to_owned(),
            replicas: i32::try_from(self.stream.between(1, 4)).unwrap_or(1),
            cpu: self.one(&CPUS).unwrap_or(100),
            memory: self.one(&[64, 300, 900]).unwrap_or(64),
            affinity: if self.percent(40) { self.affinity(app) } else { None },
            rolling: self.rolling(),
        }
    }

    fn pick(&mut self, view: &View) -> Option<Pick> {
        let pod = if self.percent(4) { "ghost".to_owned() } else { self.one(&view.pods)? };
        Some(Pick { pod, uid: !self.percent(8) })
    }

    /// A pick of a pod by somebody who does not know of UIDs.
    fn plain(&mut self, view: &View) -> Option<Pick> {
        self.pick(view).map(|pick| Pick { uid: true, ..pick })
    }

    fn app(&mut self, view: &View) -> Option<String> {
        if self.percent(3) {
            return Some("nobody".to_owned());
        }
        let names: Vec<String> = view.workloads.keys().cloned().collect();
        self.one(&names)
    }

    fn effect(&mut self, bench: &Bench, view: &View) -> Option<Vec<Request>> {
        let uid = !self.percent(6);
        Some(vec![match self.stream.below(14) {
            0..=2 => {
                let known = self.one(&view.nodes)?;
                let node = if self.percent(4) { "n9".to_owned() } else { known };
                let role = self.one(&["Optimal", "Later", "Expiring", "Expiring", "None"])?.to_owned();
                Request::Mark { node, uid, role, iteration: self.one(&[7, 8])? }
            }
            3 => Request::Cost { pick: self.pick(view)?, cost: self.one(&[Some(-1000), Some(-1000), Some(5), None])? },
            4..=6 => {
                let app = self.app(view)?;
                let now = bench.world.cluster().workloads.get(&bench.workload(&app)).map_or(1, |found| found.replicas);
                let from = if self.percent(15) { now + 2 } else { now };
                let by = if self.percent(2) { 0 } else { self.one(&[1, 1, 1, -1, -1, 2, -2])? };
                Request::Scale { app, uid, from, to: (from + by).max(0) }
            }
            7..=10 => Request::Evict { pick: self.pick(view)? },
            11..=12 => self.template(bench, view, uid)?,
            _ if self.percent(50) => Request::ReadAffinity { app: self.app(view)?, uid },
            _ => Request::ReadNodePods { node: self.one(&view.nodes)? },
        }])
    }

    fn template(&mut self, bench: &Bench, view: &View, uid: bool) -> Option<Request> {
        let app = self.app(view)?;
        let id = bench.workload(&app);
        let inner = bench.world.inner.workloads.get(&id);
        let now = inner.and_then(|inner| inner.affinity.clone());
        let limit = inner.and_then(|inner| inner.max_unavailable.clone());
        let from = if self.percent(12) { self.affinity(&app) } else { now };
        let to = if self.percent(10) { self.one(&NONSENSE).map(str::to_owned) } else { self.affinity(&app) };
        let max_unavailable = match limit {
            Some(limit) if self.percent(35) => {
                let before = if self.percent(15) { "3".to_owned() } else { limit };
                Some((before, self.one(&["0", "1", "\"50%\""])?.to_owned()))
            }
            _ => None,
        };
        let mut requests = Vec::new();
        if self.percent(20) {
            let container = if self.percent(15) { "other" } else { "main" };
            requests.push((container.to_owned(), self.one(&CPUS)?, self.one(&[64, 300])?));
        }
        Some(Request::Template { app, uid, from, to, max_unavailable, requests })
    }

    fn workload(&mut self, bench: &Bench, view: &View) -> Option<Vec<Request>> {
        let deployments: Vec<String> = view
            .workloads
            .iter()
            .filter(|(_, kind)| **kind == WorkloadKind::Deployment)
            .map(|(app, _)| app.clone())
            .collect();
        let every: Vec<String> = view.workloads.keys().cloned().collect();
        Some(vec![match self.stream.below(12) {
            0..=2 => {
                let (app, kind) = match self.stream.below(5) {
                    0..=2 => (self.one(&DEPLOYMENTS)?, WorkloadKind::Deployment),
                    3 => (STATEFUL_SET, WorkloadKind::StatefulSet),
                    _ => (REPLICA_SET, WorkloadKind::ReplicaSet),
                };
                if view.workloads.contains_key(app) {
                    return None;
                }
                self.create_workload(app, kind)
            }
            3..=5 => {
                let replicas = i32::try_from(self.stream.between(0, 6)).unwrap_or(0);
                Request::UserScale { app: self.one(&every)?, replicas }
            }
            6..=7 => {
                let app = self.one(&every)?;
                let affinity = self.affinity(&app);
                Request::UserTemplate { app, cpu: self.one(&CPUS)?, affinity }
            }
            8 => {
                let app = self.one(&deployments)?;
                let paused = bench.world.cluster().workloads.get(&bench.workload(&app)).is_some_and(|one| one.paused);
                Request::Pause { app, on: !paused }
            }
            9 => Request::Strategy { app: self.one(&deployments)?, rolling: self.rolling() },
            _ => {
                let app = self.one(&every)?;
                if self.broken.contains(&app) { Request::Heal { app } } else { Request::Break { app } }
            }
        }])
    }

    fn numbers(&mut self) -> (Option<Value>, Option<Value>) {
        let values = [json!(0), json!(1), json!(1), json!(2), json!("50%"), json!("34%"), json!("100%")];
        let value = self.one(&values);
        if self.percent(50) { (value, None) } else { (None, value) }
    }

    fn budget(&mut self, view: &View) -> Option<Vec<Request>> {
        let budget = self.one(&BUDGETS)?.to_owned();
        let (min, max) = self.numbers();
        let always = self.percent(25);
        if !view.budgets.contains(&budget) {
            let names: Vec<String> = view.workloads.keys().cloned().collect();
            let app = self.one(&names)?;
            // Two budgets over the same pods, now and then.
            if !view.budgets.is_empty() && self.budgeted.contains(&app) && !self.percent(20) {
                return None;
            }
            return Some(vec![Request::CreateBudget { budget, app, min, max, always }]);
        }
        Some(vec![if self.percent(25) {
            Request::DeleteBudget { budget }
        } else {
            Request::ChangeBudget { budget, min, max, always }
        }])
    }

    fn node(&mut self, view: &View, at: usize, of: usize) -> Option<Vec<Request>> {
        let node = self.one(&view.nodes)?;
        // Silence and deletion take a real control plane long: few sequences have them, once, and not at their end.
        let rare = at * 2 > of && at + 3 < of;
        if rare && self.seed % 6 == 1 && self.silent.is_empty() {
            return Some(vec![Request::Crash { node }]);
        }
        if rare && self.seed % 6 == 4 && !self.deleted {
            return Some(vec![Request::DeleteNode { node }]);
        }
        if let Some(silent) = self.silent.first().cloned() {
            return Some(vec![Request::Revive { node: silent }]);
        }
        Some(vec![match self.stream.below(8) {
            0 if view.nodes.len() < NODES.len() => self.create_node(view),
            0..=2 => Request::Cordon { node, on: self.percent(60) },
            3..=4 => {
                let effect = self
                    .one(&["NoSchedule", "NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute"])?
                    .to_owned();
                Request::Taint { node, key: "tier/own".to_owned(), effect, on: self.percent(60) }
            }
            _ => {
                let value = self.one(&[Some("gold"), Some("iron"), None])?.map(str::to_owned);
                Request::Label { node, key: "tier".to_owned(), value }
            }
        }])
    }

    fn pod(&mut self, view: &View) -> Option<Vec<Request>> {
        Some(match self.stream.below(10) {
            // Several evictions before anybody has counted again, and something after which all settles.
            0..=3 => {
                let count = self.stream.between(1, 3);
                let mut drawn = Vec::new();
                for _ in 0..count {
                    drawn.push(Request::Drain { pick: self.plain(view)? });
                }
                drawn.push(Request::ReadNodePods { node: "n9".to_owned() });
                drawn
            }
            4..=5 => vec![Request::DeletePod { pick: self.plain(view)? }],
            6..=7 => vec![Request::Probe { pick: self.plain(view)?, ready: self.percent(30) }],
            _ => {
                // A ReplicaSet would take a pod with its labels for its own.
                let others = view.workloads.iter().filter(|(_, kind)| **kind != WorkloadKind::ReplicaSet);
                let names: Vec<String> = others.map(|(app, _)| app.clone()).collect();
                let app = self.one(&names)?;
                let pod = self.one(&["bare-0", "bare-1"])?;
                if view.pods.iter().any(|line| line.starts_with(&format!("{pod} "))) {
                    return None;
                }
                vec![Request::CreatePod { pod: pod.to_owned(), app, cpu: self.one(&CPUS)? }]
            }
        })
    }
}
