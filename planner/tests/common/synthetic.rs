//! Synthetic clusters of microservices, seeded: the instance generator of the benchmarks.
//!
//! Replicas are log-normal (median 5), requests weighted over usual sizes with memory log-normal
//! around 3 GiB per vCPU; a quarter of the apps allow one pod per node, a tenth two, 40 % spread over
//! three zones, 3 % are bound to a machine family. Pods arrive in random order on the least allocated
//! of a sampled window of nodes, a node is added when nothing fits, then a share of the pods goes.
//! Prices are Google's list prices of us-central1 of July 2026.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::cloud::{CapacityType, Pool, PriceBook, PriceEntry};
use journal_schema::facts::*;
use journal_schema::plan::{Cluster, Managed, PlanningInput};
use journal_schema::policy::Policy;
use journal_schema::text::{Few, Many, Name};
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Resources, Timestamp};
use journal_schema::usage::Forecasts;
use planner::{MachineSpec, synthetic_pools};

const GIB: i64 = 1 << 30;
const MIB: i64 = 1 << 20;

/// Machine type, vCPU, GiB, micro-USD per hour.
pub const MACHINES: [(&str, i64, i64, i64); 33] = [
    ("e2-standard-2", 2, 8, 67_011),
    ("e2-standard-4", 4, 16, 134_023),
    ("e2-standard-8", 8, 32, 268_046),
    ("e2-standard-16", 16, 64, 536_091),
    ("e2-standard-32", 32, 128, 1_072_183),
    ("e2-highmem-2", 2, 16, 90_400),
    ("e2-highmem-4", 4, 32, 180_799),
    ("e2-highmem-8", 8, 64, 361_599),
    ("e2-highmem-16", 16, 128, 723_197),
    ("e2-highcpu-2", 2, 2, 49_470),
    ("e2-highcpu-4", 4, 4, 98_940),
    ("e2-highcpu-8", 8, 8, 197_881),
    ("e2-highcpu-16", 16, 16, 395_762),
    ("e2-highcpu-32", 32, 32, 791_524),
    ("n2-standard-2", 2, 8, 97_118),
    ("n2-standard-4", 4, 16, 194_236),
    ("n2-standard-8", 8, 32, 388_472),
    ("n2-standard-16", 16, 64, 776_944),
    ("n2-standard-32", 32, 128, 1_553_888),
    ("n2-highmem-2", 2, 16, 131_014),
    ("n2-highmem-4", 4, 32, 262_028),
    ("n2-highmem-8", 8, 64, 524_056),
    ("n2-highmem-16", 16, 128, 1_048_112),
    ("n2-highcpu-4", 4, 4, 143_392),
    ("n2-highcpu-8", 8, 8, 286_784),
    ("n2-highcpu-16", 16, 16, 573_568),
    ("c3-standard-4", 4, 16, 201_608),
    ("c3-standard-8", 8, 32, 403_216),
    ("c3-standard-22", 22, 88, 1_108_844),
    ("c3-highcpu-4", 4, 8, 170_104),
    ("c3-highcpu-8", 8, 16, 340_208),
    ("c3-highmem-4", 4, 32, 264_616),
    ("c3-highmem-8", 8, 64, 529_232),
];

const ZONES: [&str; 3] = ["us-central1-a", "us-central1-b", "us-central1-c"];
const REGION: &str = "us-central1";

pub fn name(text: impl AsRef<str>) -> Name {
    Name::new(text).expect("generated names are short")
}

fn few<T>(items: Vec<T>) -> Few<T> {
    Few::new(items).expect("generated lists are short")
}

/// SplitMix64: enough for tests, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.unit().max(1e-12), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// What to generate.
pub struct Shape {
    /// Nodes before pods go, roughly.
    pub nodes: usize,
    /// Percent of the pods that go.
    pub deleted_percent: u64,
    /// Machine types that may be booted start with one of these.
    pub families: &'static [&'static str],
    pub seed: u64,
}

/// A Deployment.
pub struct App {
    /// Milli-CPU.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    pub replicas: usize,
    /// Most on one node.
    pub per_node: Option<usize>,
    /// Spread over the zones.
    pub spread: bool,
    /// Bound to n2 and c3.
    pub family: bool,
}

/// The replicas of the middle app.
const MEDIAN_REPLICAS: f64 = 5.0;

fn app(random: &mut Random, median_replicas: f64) -> App {
    const CPUS: [(i64, u64); 9] =
        [(50, 8), (100, 18), (200, 12), (250, 14), (500, 18), (1000, 14), (2000, 9), (4000, 5), (8000, 2)];
    const MEMORY_MIB: [i64; 16] =
        [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 12_288, 16_384, 32_768];
    let replicas = ((median_replicas * (1.4 * random.normal()).exp()).round() as usize).clamp(1, 400);
    let mut pick = random.next() % CPUS.iter().map(|c| c.1).sum::<u64>();
    let mut cpu = 8000;
    for (value, weight) in CPUS {
        if pick < weight {
            cpu = value;
            break;
        }
        pick -= weight;
    }
    let wish = cpu as f64 / 1000.0 * 3.0 * 1024.0 * (0.8 * random.normal()).exp();
    let memory = MEMORY_MIB
        .iter()
        .copied()
        .min_by(|a, b| (*a as f64 - wish).abs().total_cmp(&(*b as f64 - wish).abs()))
        .unwrap_or(1024);
    let dice = random.unit();
    let per_node = match dice {
        d if d < 0.25 && replicas >= 2 => Some(1),
        d if d < 0.35 && replicas >= 4 => Some(2),
        _ => None,
    };
    App {
        cpu,
        memory: memory * MIB,
        replicas,
        per_node,
        spread: random.unit() < 0.4 && replicas >= 3,
        family: random.unit() < 0.03,
    }
}

/// A machine type and its price.
#[derive(Clone)]
pub struct MachineType {
    pub spec: MachineSpec,
    /// What a node of it offers to pods.
    pub allocatable: Resources,
    /// Micro-USD per hour.
    pub price: i64,
}

/// Those of [`MACHINES`].
pub fn machine_types() -> Vec<MachineType> {
    let machine_type = |machine| {
        let spec = spec_of(machine);
        MachineType { allocatable: planner::gke_allocatable(&spec), spec, price: machine.3 }
    };
    MACHINES.iter().map(machine_type).collect()
}

/// Apps and where their pods are.
pub struct Scene {
    pub machines: Vec<MachineType>,
    pub apps: Vec<App>,
    /// Machine type and zone, by index.
    pub nodes: Vec<(usize, usize)>,
    /// App and node of each pod.
    pub bound: Vec<(usize, usize)>,
}

struct Sim {
    node: Vec<(usize, usize)>,
    free: Vec<(i64, i64, i64)>,
    total: Vec<(i64, i64)>,
    apps_on: Vec<BTreeMap<usize, usize>>,
}

/// Generates an input whose pools are made up from the price table.
pub fn generate(shape: &Shape) -> PlanningInput {
    let mut random = Random(shape.seed);
    let apps = apps(&mut random, shape.nodes, MEDIAN_REPLICAS);
    scattered(apps, &machine_types(), shape.deleted_percent, &mut random).input(shape.families)
}

/// Apps that fill so many nodes.
pub fn apps(random: &mut Random, nodes: usize, median_replicas: f64) -> Vec<App> {
    let mut apps: Vec<App> = Vec::new();
    let mut expected_cpu = 0;
    while expected_cpu < nodes as i64 * 8_600 {
        let next = app(random, median_replicas);
        expected_cpu += next.cpu * next.replicas as i64;
        apps.push(next);
    }
    apps
}

/// Puts the pods of apps in random order onto nodes as a scheduler and an autoscaler would, and takes so many
/// percent of them away.
pub fn scattered(apps: Vec<App>, machines: &[MachineType], deleted_percent: u64, random: &mut Random) -> Scene {
    let start_types: Vec<usize> = ["e2-standard-8", "e2-standard-16", "n2-standard-8", "n2-standard-16"]
        .iter()
        .filter_map(|t| machines.iter().position(|m| m.spec.machine_type == **t))
        .collect();
    let rooms: Vec<&Resources> = machines.iter().map(|machine| &machine.allocatable).collect();
    // DaemonSets: 250 m, 400 MiB and three pods on every node.
    let overhead = (250, 400 * MIB, 3);
    let is_e2 = |kind: usize| machines[kind].spec.machine_type.starts_with("e2");
    let mut arrivals: Vec<usize> =
        apps.iter().enumerate().flat_map(|(i, a)| std::iter::repeat_n(i, a.replicas)).collect();
    for i in (1..arrivals.len()).rev() {
        arrivals.swap(i, random.below(i + 1));
    }
    let mut sim = Sim { node: Vec::new(), free: Vec::new(), total: Vec::new(), apps_on: Vec::new() };
    let mut zone_counts: BTreeMap<usize, [usize; 3]> = BTreeMap::new();
    let mut bound: Vec<(usize, usize)> = Vec::new();
    for a in arrivals {
        let app = &apps[a];
        let counts = zone_counts.entry(a).or_default();
        let least = counts.iter().copied().min().unwrap_or(0);
        let fits = |sim: &Sim, n: usize| {
            let (kind, zone) = sim.node[n];
            sim.free[n].0 >= app.cpu
                && sim.free[n].1 >= app.memory
                && sim.free[n].2 >= 1
                && (!app.family || !is_e2(kind))
                && app.per_node.is_none_or(|most| sim.apps_on[n].get(&a).copied().unwrap_or(0) < most)
                && (!app.spread || counts[zone] < least + 1)
        };
        let window = sim.node.len().min(100.max(sim.node.len() / 4));
        let from = random.below(sim.node.len());
        let chosen = (0..sim.node.len())
            .map(|i| (from + i) % sim.node.len())
            .filter(|n| fits(&sim, *n))
            .take(window)
            .max_by_key(|n| {
                (sim.free[*n].0 * 1000 / sim.total[*n].0 + sim.free[*n].1 * 1000 / sim.total[*n].1, usize::MAX - n)
            });
        let n = chosen.unwrap_or_else(|| {
            let zone = if app.spread { (0..3).min_by_key(|z| counts[*z]).unwrap_or(0) } else { random.below(3) };
            let suits = |t: &usize| {
                (!app.family || !is_e2(*t))
                    && rooms[*t].cpu.0 - overhead.0 >= app.cpu
                    && rooms[*t].memory.0 - overhead.1 >= app.memory
            };
            let cheapest = || (0..machines.len()).filter(suits).min_by_key(|t| (machines[*t].price, *t));
            let waste = |t: usize| (rooms[t].cpu.0 - app.cpu) * 1000 / rooms[t].cpu.0;
            let kind = start_types
                .iter()
                .copied()
                .filter(suits)
                .min_by_key(|t| (waste(*t), machines[*t].price))
                .or_else(cheapest)
                .expect("a machine type takes every app");
            sim.node.push((kind, zone));
            sim.free.push((rooms[kind].cpu.0 - overhead.0, rooms[kind].memory.0 - overhead.1, 110 - overhead.2));
            sim.total.push((rooms[kind].cpu.0, rooms[kind].memory.0));
            sim.apps_on.push(BTreeMap::new());
            sim.node.len() - 1
        });
        sim.free[n].0 -= app.cpu;
        sim.free[n].1 -= app.memory;
        sim.free[n].2 -= 1;
        *sim.apps_on[n].entry(a).or_default() += 1;
        counts[sim.node[n].1] += 1;
        bound.push((a, n));
    }
    for i in (1..bound.len()).rev() {
        bound.swap(i, random.below(i + 1));
    }
    let keep = bound.len() - bound.len() * deleted_percent as usize / 100;
    bound.truncate(keep);
    bound.sort_unstable();
    Scene { machines: machines.to_vec(), apps, nodes: sim.node, bound }
}

/// A machine type of [`MACHINES`].
pub fn spec(machine_type: &str) -> MachineSpec {
    spec_of(MACHINES.iter().find(|m| m.0 == machine_type).expect("known type"))
}

/// Its price in micro-USD per hour.
pub fn price(machine_type: &str) -> i64 {
    MACHINES.iter().find(|m| m.0 == machine_type).expect("known type").3
}

fn spec_of(machine: &(&str, i64, i64, i64)) -> MachineSpec {
    MachineSpec {
        machine_type: name(machine.0),
        cpu: MilliCpu(machine.1 * 1000),
        memory: Bytes(machine.2 * GIB),
        shared_core: false,
        arch: name("amd64"),
        gpu: None,
    }
}

impl Scene {
    /// An input whose pools are made up from the machine types of these families.
    pub fn input(&self, families: &[&str]) -> PlanningInput {
        let Self { machines, apps, nodes, bound } = self;
        let mut cluster = Cluster::default();
        for (index, (kind, zone)) in nodes.iter().enumerate() {
            let machine_type = machines[*kind].spec.machine_type.as_str();
            let allocatable = machines[*kind].allocatable.clone();
            let node = node(&format!("node-{index:05}"), machine_type, ZONES[*zone], allocatable);
            cluster.nodes.insert(node.name.clone(), node);
        }
        for (d, (cpu, memory)) in [(100, 200 * MIB), (100, 150 * MIB), (50, 50 * MIB)].into_iter().enumerate() {
            let id = WorkloadId {
                kind: WorkloadKind::DaemonSet,
                key: Key::new(name("kube-system"), name(format!("agent-{d}"))),
            };
            let spec = pod_spec(cpu, memory);
            for node in cluster.nodes.keys().cloned().collect::<Vec<_>>() {
                let mut pod = pod(&id.key.namespace, &format!("agent-{d}-{node}"), Some(&node), spec.clone());
                pod.owner =
                    Some(Owner { kind: OwnerKind::DaemonSet, name: id.key.name.clone(), uid: name(format!("ds-{d}")) });
                cluster.pods.insert(pod.key.clone(), pod);
            }
            cluster.workloads.insert(id.clone(), workload(id, spec, nodes.len() as i32));
        }
        let mut replicas: BTreeMap<usize, i32> = BTreeMap::new();
        for (a, n) in bound {
            let serial = replicas.entry(*a).or_default();
            *serial += 1;
            let app_name = format!("app-{a:04}");
            let mut pod = pod(
                &name("default"),
                &format!("{app_name}-{serial:04}"),
                Some(&name(format!("node-{n:05}"))),
                app_spec(&apps[*a], &app_name),
            );
            pod.labels = [(name("app"), name(&app_name))].into();
            pod.owner = Some(Owner {
                kind: OwnerKind::ReplicaSet,
                name: name(format!("{app_name}-rs")),
                uid: name(format!("rs-{a}")),
            });
            cluster.pods.insert(pod.key.clone(), pod);
        }
        for (a, count) in replicas {
            let app_name = format!("app-{a:04}");
            let deployment =
                WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("default"), name(&app_name)) };
            let set = WorkloadId {
                kind: WorkloadKind::ReplicaSet,
                key: Key::new(name("default"), name(format!("{app_name}-rs"))),
            };
            let spec = app_spec(&apps[a], &app_name);
            let mut rs = workload(set.clone(), spec.clone(), count);
            rs.owner = Some(Owner {
                kind: OwnerKind::Deployment,
                name: name(&app_name),
                uid: name(format!("uid-{app_name}")),
            });
            cluster.workloads.insert(set, rs);
            cluster.workloads.insert(deployment.clone(), workload(deployment, spec, count));
        }
        let zones = ZONES.map(name);
        let usable: Vec<MachineSpec> = machines
            .iter()
            .map(|machine| &machine.spec)
            .filter(|spec| families.iter().any(|family| spec.machine_type.starts_with(family)))
            .cloned()
            .collect();
        let mut pools = synthetic_pools(&cluster, &name(REGION), &zones, &usable, &[CapacityType::OnDemand]);
        let of: BTreeMap<&Name, &Resources> =
            machines.iter().map(|machine| (&machine.spec.machine_type, &machine.allocatable)).collect();
        for pool in &mut pools {
            pool.allocatable.cpu = of[&pool.machine_type].cpu;
            pool.allocatable.memory = of[&pool.machine_type].memory;
        }
        input_at(cluster, pools, machines)
    }
}

/// An input over a cluster and pools, at the prices of [`MACHINES`].
pub fn input(cluster: Cluster, pools: Vec<Pool>) -> PlanningInput {
    input_at(cluster, pools, &machine_types())
}

fn input_at(cluster: Cluster, pools: Vec<Pool>, machines: &[MachineType]) -> PlanningInput {
    let mut entries: Vec<PriceEntry> = machines
        .iter()
        .map(|machine| PriceEntry {
            region: name(REGION),
            machine_type: machine.spec.machine_type.clone(),
            capacity_type: CapacityType::OnDemand,
            price: MicroUsdPerHour(machine.price),
        })
        .collect();
    entries.sort();
    PlanningInput {
        iteration: 1,
        basis: 1,
        now: Timestamp(1_000_000_000),
        cluster,
        pools,
        excluded_pools: BTreeSet::new(),
        prices: PriceBook {
            source: name("test"),
            as_of: Timestamp(0),
            entries: Many::new(entries).expect("few prices"),
        },
        managed: Managed::All,
        quarantined: BTreeMap::new(),
        forecasts: Forecasts::default(),
        own_pod: None,
        policy: Policy::default(),
    }
}

pub fn node(node_name: &str, machine_type: &str, zone: &str, allocatable: Resources) -> NodeFact {
    let labels = [
        ("kubernetes.io/hostname", node_name),
        ("node.kubernetes.io/instance-type", machine_type),
        ("topology.kubernetes.io/zone", zone),
        ("topology.kubernetes.io/region", REGION),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/os", "linux"),
        ("cloud.google.com/machine-family", machine_type.split('-').next().unwrap_or("")),
    ];
    NodeFact {
        name: name(node_name),
        uid: name(format!("uid-{node_name}")),
        provider_id: name(format!("gce://project/{zone}/{node_name}")),
        instance_id: None,
        labels: labels.map(|(k, v)| (name(k), name(v))).into(),
        taints: Few::default(),
        unschedulable: false,
        allocatable,
        ready: true,
        ready_changed_at: None,
        created_at: Timestamp(0),
        deletion_at: None,
        scale_down_disabled: false,
        do_not_disrupt: DoNotDisrupt::No,
        excluded: false,
        unknown: Few::default(),
    }
}

pub fn pod_spec(cpu: i64, memory: i64) -> PodSpecFact {
    PodSpecFact {
        requests: Resources { cpu: MilliCpu(cpu), memory: Bytes(memory), pods: 1, ..Resources::default() },
        ..PodSpecFact::default()
    }
}

pub fn pod(namespace: &Name, pod_name: &str, node: Option<&Name>, spec: PodSpecFact) -> PodFact {
    PodFact {
        node: node.cloned(),
        phase: if node.is_some() { PodPhase::Running } else { PodPhase::Pending },
        ready: node.is_some(),
        unschedulable: node.is_none(),
        ..PodFact::new(Key::new(namespace.clone(), name(pod_name)), name(format!("uid-{pod_name}")), spec, Timestamp(0))
    }
}

pub fn workload(id: WorkloadId, template: PodSpecFact, replicas: i32) -> WorkloadFact {
    let uid = name(format!("uid-{}", id.key.name));
    WorkloadFact {
        strategy: UpdateStrategy::RollingUpdate {
            max_unavailable: IntOrPercent::Percent(25),
            max_surge: IntOrPercent::Percent(25),
        },
        selector: Selector { labels: [(name("app"), id.key.name.clone())].into(), expressions: Few::default() },
        template_labels: [(name("app"), id.key.name.clone())].into(),
        template: template.into(),
        ..WorkloadFact::new(id, uid, replicas, Timestamp(0)).at_rest()
    }
}

fn app_spec(app: &App, app_name: &str) -> PodSpecFact {
    let mut spec = pod_spec(app.cpu, app.memory);
    let own = || Some(Selector { labels: [(name("app"), name(app_name))].into(), expressions: Few::default() });
    let mut spread = Vec::new();
    let constraint = |key: &str, max_skew| SpreadConstraint {
        max_skew,
        topology_key: name(key),
        hard: true,
        selector: own(),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    };
    match app.per_node {
        Some(1) => {
            spec.pod_anti_affinity = few(vec![PodTerm {
                selector: own(),
                namespaces: Few::default(),
                namespace_selector: None,
                topology_key: name("kubernetes.io/hostname"),
            }]);
        }
        Some(most) => spread.push(constraint("kubernetes.io/hostname", most as i32)),
        None => {}
    }
    if app.spread {
        spread.push(constraint("topology.kubernetes.io/zone", 1));
    }
    spec.spread = few(spread);
    if app.family {
        let requirement = NodeRequirement {
            key: name("cloud.google.com/machine-family"),
            operator: NodeOperator::In,
            values: few(vec![name("n2"), name("c3")]),
        };
        spec.node_affinity = Some(few(vec![NodeTerm { labels: few(vec![requirement]), fields: Few::default() }]));
    }
    spec
}
