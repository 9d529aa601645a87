//! The clusters that are planned.

use std::collections::BTreeMap;
use std::path::PathBuf;

use journal_schema::plan::PlanningInput;
use journal_schema::units::{Bytes, MilliCpu};
use planner::MachineSpec;

use crate::synthetic::{App, MachineType, Random, Scene, Shape, apps, generate, machine_types, name, scattered};

const MIB: i64 = 1 << 20;
/// Machine families that may be booted where all rules are asked about.
const FAMILIES: &[&str] = &["e2", "n2", "c3"];
const ALL_FAMILIES: &[&str] = &[""];

type Make = fn() -> Result<PlanningInput, String>;

/// The clusters by name, small ones first.
pub(crate) fn all() -> Vec<(&'static str, Make)> {
    vec![
        ("published-121", || published("msvc_n100")),
        ("made-121", || Ok(made(136, 1))),
        ("made-365", || Ok(made(385, 2))),
        ("published-1064", || published("msvc_n1000")),
        ("made-1060", || Ok(made(1_085, 3))),
        ("made-1000-e2-denser", || {
            Ok(generate(&Shape { nodes: 1_085, deleted_percent: 20, families: &["e2"], seed: 10 }))
        }),
        ("made-1313-small-workloads", || Ok(small_workloads())),
        ("openb-cpu", || trace("openb_cpu_classes.csv")),
        ("openb-all", || trace("openb_all_classes.csv")),
        ("made-4840", || Ok(made(4_900, 4))),
        ("made-15800", || Ok(made(16_000, 5))),
        ("made-15000-full", || {
            Ok(generate(&Shape { nodes: 15_200, deleted_percent: 15, families: FAMILIES, seed: 6 }))
        }),
    ]
}

/// By the generator of the published start states: half of the pods are gone.
fn made(nodes: usize, seed: u64) -> PlanningInput {
    generate(&Shape { nodes, deleted_percent: 50, families: FAMILIES, seed })
}

/// As many workloads as possible: most have a pod or two.
fn small_workloads() -> PlanningInput {
    let mut random = Random(7);
    let apps = apps(&mut random, 1_330, 0.28);
    scattered(apps, &machine_types(), 10, &mut random).input(FAMILIES)
}

fn data(file: &str) -> Result<String, String> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let path = std::env::var_os("KINEMA_DATA").map_or_else(beside, PathBuf::from).join("optimizer").join(file);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The rows of a table, by the names of its columns.
fn rows(file: &str) -> Result<Vec<BTreeMap<String, String>>, String> {
    let text = data(file)?;
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap_or("").split(',').collect();
    let row = |line: &str| columns.iter().map(|c| (*c).to_owned()).zip(line.split(',').map(str::to_owned)).collect();
    Ok(lines.map(row).collect())
}

fn number(row: &BTreeMap<String, String>, column: &str) -> Result<i64, String> {
    let text = row.get(column).map_or("", String::as_str);
    text.parse().map_err(|error| format!("{column} {text:?}: {error}"))
}

/// The machine types of us-central1 that pods without a word about their architecture run on.
fn us_central() -> Result<Vec<MachineType>, String> {
    let rows = rows("machines_us-central1.csv")?;
    let machine = |row: &BTreeMap<String, String>| {
        let spec = MachineSpec {
            machine_type: name(&row["name"]),
            cpu: MilliCpu(number(row, "vcpu")? * 1_000),
            memory: Bytes(number(row, "memory_mib")? * MIB),
            shared_core: false,
            arch: name(&row["arch"]),
            gpu: None,
        };
        let mut allocatable = planner::gke_allocatable(&spec);
        allocatable.cpu = MilliCpu(number(row, "alloc_cpu_milli")?);
        allocatable.memory = Bytes(number(row, "alloc_mem_mib")? * MIB);
        Ok(MachineType { spec, allocatable, price: number(row, "price_micro_usd_h")? })
    };
    rows.iter().filter(|row| row["arch"] == "amd64").map(machine).collect()
}

/// A published start state.
fn published(stem: &str) -> Result<PlanningInput, String> {
    let machines = us_central()?;
    let mut apps: Vec<App> = Vec::new();
    let mut app_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut class_app: BTreeMap<i64, usize> = BTreeMap::new();
    for row in rows(&format!("{stem}_classes.csv"))? {
        let app = *app_of.entry(row["app"].clone()).or_insert(apps.len());
        if app == apps.len() {
            apps.push(App {
                cpu: number(&row, "cpu_milli")?,
                memory: number(&row, "mem_mib")? * MIB,
                replicas: 0,
                per_node: usize::try_from(number(&row, "max_per_node")?).ok(),
                spread: row["zones_mask"] != "7",
                family: row["families"] != "any",
            });
        }
        class_app.insert(number(&row, "class")?, app);
    }
    let mut nodes: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
    let mut bound: Vec<(usize, i64)> = Vec::new();
    for row in rows(&format!("{stem}_start.csv"))? {
        let machine_type = &row["machine_type"];
        let kind = machines.iter().position(|machine| machine.spec.machine_type == **machine_type);
        let kind = kind.ok_or_else(|| format!("unknown machine type {machine_type}"))?;
        let node = number(&row, "node")?;
        nodes.insert(node, (kind, usize::try_from(number(&row, "zone")?).unwrap_or(0)));
        if !row["class"].is_empty() {
            let app = class_app.get(&number(&row, "class")?).ok_or("unknown class")?;
            bound.extend((0..number(&row, "replicas")?).map(|_| (*app, node)));
        }
    }
    let places: BTreeMap<i64, usize> = nodes.keys().enumerate().map(|(place, node)| (*node, place)).collect();
    let mut bound: Vec<(usize, usize)> = bound.into_iter().map(|(app, node)| (app, places[&node])).collect();
    bound.sort_unstable();
    Ok(Scene { machines, apps, nodes: nodes.into_values().collect(), bound }.input(ALL_FAMILIES))
}

/// A trace's pods, one workload for all that ask for the same, half of them gone; without their GPUs.
fn trace(file: &str) -> Result<PlanningInput, String> {
    let machines = us_central()?;
    let mut alike: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for row in rows(file)? {
        let replicas = usize::try_from(number(&row, "replicas")?).unwrap_or(0);
        *alike.entry((number(&row, "cpu_milli")?, number(&row, "mem_mib")?)).or_default() += replicas;
    }
    let app = |((cpu, memory), replicas): ((i64, i64), usize)| App {
        cpu,
        memory: memory * MIB,
        replicas,
        per_node: None,
        spread: false,
        family: false,
    };
    let apps = alike.into_iter().map(app).collect();
    Ok(scattered(apps, &machines, 50, &mut Random(8)).input(ALL_FAMILIES))
}
