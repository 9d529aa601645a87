//! The default world: about thirty machines over three zones, some forty Deployments, fragmented
//! because most of them were scaled down, and pools of other machine types that stand empty.

use journal_schema::facts::{IntOrPercent, WorkloadKind};
use journal_schema::policy::{Mode, Policy};
use journal_schema::units::{Millis, Ppm};

use super::spec::{Behaviour, Expected, HpaSpec, PdbSpec, PoolSpec, Scenario, WorkloadSpec};
use crate::load::Load;
use crate::rng::Stream;
use crate::text::name;

/// The zones of the simulated worlds.
pub(super) const ZONES: [&str; 3] = ["us-central1-a", "us-central1-b", "us-central1-c"];

const NAMESPACES: [&str; 4] = ["shop", "search", "billing", "media"];
const NAMES: [&str; 40] = [
    "cart",
    "catalog",
    "checkout",
    "gateway",
    "inventory",
    "orders",
    "pricing",
    "profile",
    "recommend",
    "reviews",
    "crawler",
    "indexer",
    "query",
    "ranker",
    "suggest",
    "synonyms",
    "tokenizer",
    "warmer",
    "analytics",
    "facets",
    "invoices",
    "ledger",
    "payments",
    "payouts",
    "quotas",
    "receipts",
    "refunds",
    "reports",
    "statements",
    "taxes",
    "encoder",
    "frontend",
    "images",
    "labels",
    "player",
    "resizer",
    "streams",
    "thumbs",
    "uploads",
    "watermark",
];

/// A policy that acts by itself and has metrics to act on.
pub(crate) fn automatic() -> Policy {
    Policy { mode: Mode::Auto, ..Policy::default() }
}

/// The DaemonSets that a cluster comes with, and its DNS.
pub(crate) fn system() -> Vec<WorkloadSpec> {
    let daemon = |workload: &str, cpu, memory| WorkloadSpec {
        priority: 2_000_001_000,
        ..WorkloadSpec::new(WorkloadKind::DaemonSet, "kube-system", workload, 0, cpu, memory)
    };
    vec![daemon("fluentbit-gke", 100, 200), daemon("pdcsi-node", 10, 20), daemon("gke-metrics-agent", 8, 100)]
}

/// A load that fits a workload's nature: steady, daily, growing.
fn load(stream: &mut Stream) -> Load {
    let mean = Ppm::percent(stream.between(20, 60));
    match stream.below(3) {
        0 => Load::Constant(mean),
        1 => Load::Wave { mean, swing: Ppm::percent(15), period: Millis::from_minutes(stream.between(60, 600)) },
        _ => Load::Ramp {
            from: mean,
            to: Ppm(mean.0 + 100_000),
            begin: Millis::from_minutes(10),
            over: Millis::from_minutes(60),
        },
    }
}

/// The default world of a seed.
pub(super) fn scenario(seed: u64) -> Scenario {
    let mut stream = Stream::new(seed, "default scenario");
    let mut pools = Vec::new();
    for zone in ZONES {
        for (machine, least, most) in [("e2-standard-2", 3, 5), ("e2-standard-4", 4, 6), ("e2-standard-8", 1, 2)] {
            let initial = u32::try_from(stream.between(least, most)).unwrap_or(1);
            pools.push(PoolSpec::new(machine, zone, initial));
        }
        for machine in ["e2-standard-16", "e2-highmem-4", "e2-highcpu-8"] {
            pools.push(PoolSpec::new(machine, zone, 0));
        }
    }
    let mut workloads = system();
    let mut pdbs = Vec::new();
    let mut hpas = Vec::new();
    for (index, app) in NAMES.into_iter().enumerate() {
        let namespace = NAMESPACES[index / 10];
        let replicas = if index % 8 == 7 { 1 } else { i32::try_from(stream.between(2, 5)).unwrap_or(2) };
        let before = replicas + i32::try_from(stream.between(0, 4)).unwrap_or(0);
        let cpu = *stream.pick(&[100, 150, 200, 250, 400, 500]).unwrap_or(&200);
        let memory = cpu * stream.between(20, 50) / 10;
        let mut spec = WorkloadSpec::new(WorkloadKind::Deployment, namespace, app, replicas, cpu, memory);
        spec.replicas_before = (before > replicas).then_some(before);
        spec.behaviour = Behaviour {
            start: Millis(stream.between(2_000, 9_000)),
            ready: Millis(stream.between(2_000, 12_000)),
            load: load(&mut stream),
            ..Behaviour::default()
        };
        if index % 9 == 4 && replicas > 1 {
            spec = spec.spread_over("topology.kubernetes.io/zone", 1);
        }
        if index % 5 == 2 {
            pdbs.push(PdbSpec {
                namespace: name(namespace),
                name: name(app),
                app: name(app),
                min_available: None,
                max_unavailable: Some(IntOrPercent::Int(1)),
                always_allow_unhealthy: false,
            });
        }
        if index % 20 == 3 {
            spec.behaviour.load = Load::Constant(Ppm::percent(50));
            hpas.push(HpaSpec {
                namespace: name(namespace),
                app: name(app),
                min: replicas,
                max: replicas + 4,
                target_percent: 70,
            });
        }
        workloads.push(spec);
    }
    for (namespace, app, cpu, memory) in [("billing", "postgres", 500, 2_048), ("search", "elastic", 400, 3_072)] {
        let mut spec = WorkloadSpec::new(WorkloadKind::StatefulSet, namespace, app, 3, cpu, memory);
        spec.volume = true;
        workloads.push(spec);
        pdbs.push(PdbSpec {
            namespace: name(namespace),
            name: name(app),
            app: name(app),
            min_available: Some(IntOrPercent::Int(2)),
            max_unavailable: None,
            always_allow_unhealthy: false,
        });
    }
    Scenario {
        name: "default".to_owned(),
        about: "a fragmented cluster over three zones: one whole iteration".to_owned(),
        pools,
        workloads,
        pdbs,
        hpas,
        jobs: Vec::new(),
        excluded_namespaces: Vec::new(),
        late: Vec::new(),
        faults: Vec::new(),
        cloud_faults: Vec::new(),
        policy: automatic(),
        warm_up: Millis::from_minutes(20),
        limit: Millis::from_minutes(180),
        expected: Expected::Completed,
        because: None,
    }
}
