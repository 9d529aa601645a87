//! Pools made up from a price list, for a plan of a cluster whose real pools are not known.
//!
//! Allocatable follows GKE's published reservations; where a node of the same machine type lives in
//! the cluster, the least that such a node offers is used instead, because it is a fact. The formula
//! was within 0.2 % of real nodes; such a plan is a proposal and is never carried out as it is.

use journal_schema::cloud::{CapacityType, Pool};
use journal_schema::facts::{Labels, NodeFact, Taint, TaintEffect};
use journal_schema::plan::Cluster;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Bytes, MilliCpu, Resources};

use crate::eligibility::machine_type_of;
use crate::rules::{HOSTNAME, REGION, ZONE};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;
/// GKE's default boot disk, in GiB.
const BOOT_DISK_GIB: i64 = 100;

/// A machine type, as a price list names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// Name, for example `e2-standard-4`.
    pub machine_type: Name,
    /// vCPUs that the machine shows.
    pub cpu: MilliCpu,
    /// Physical memory.
    pub memory: Bytes,
    /// It shares its cores (e2-micro, e2-small, e2-medium): less of them is allocatable.
    pub shared_core: bool,
    /// `amd64` or `arm64`.
    pub arch: Name,
    /// Accelerator type and count.
    pub gpu: Option<(Name, i64)>,
}

/// One pool for each zone, machine type and way of paying, in that order.
///
/// Labels that have one and the same value on every present node without taints are assumed on new
/// nodes too, but for those that tell nodes, pools, zones or machine types apart.
pub fn synthetic_pools(
    cluster: &Cluster,
    region: &Name,
    zones: &[Name],
    machines: &[MachineSpec],
    capacity_types: &[CapacityType],
) -> Vec<Pool> {
    let common = common_labels(cluster);
    let mut pools = Vec::new();
    for zone in zones {
        for machine in machines {
            for capacity_type in capacity_types {
                pools.push(pool(cluster, region, zone, machine, *capacity_type, &common));
            }
        }
    }
    pools
}

fn pool(
    cluster: &Cluster,
    region: &Name,
    zone: &Name,
    machine: &MachineSpec,
    capacity_type: CapacityType,
    common: &Labels,
) -> Pool {
    let id = Name::truncated(format!("{zone}/{}-{}", machine.machine_type, capacity_type.as_str()));
    let mut labels = common.clone();
    let mut set = |key: &str, value: &str| {
        labels.insert(Name::truncated(key), Name::truncated(value));
    };
    for key in ["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"] {
        set(key, &machine.machine_type);
    }
    for key in [ZONE, "failure-domain.beta.kubernetes.io/zone", "topology.gke.io/zone"] {
        set(key, zone);
    }
    for key in [REGION, "failure-domain.beta.kubernetes.io/region"] {
        set(key, region);
    }
    for key in ["kubernetes.io/arch", "beta.kubernetes.io/arch"] {
        set(key, &machine.arch);
    }
    for key in ["kubernetes.io/os", "beta.kubernetes.io/os"] {
        set(key, "linux");
    }
    set("cloud.google.com/machine-family", machine.machine_type.split('-').next().unwrap_or_default());
    match capacity_type {
        CapacityType::OnDemand => set("cloud.google.com/gke-provisioning", "standard"),
        CapacityType::Spot => {
            set("cloud.google.com/gke-provisioning", "spot");
            set("cloud.google.com/gke-spot", "true");
        }
    }
    let mut taints = Vec::new();
    if let Some((kind, count)) = &machine.gpu {
        set("cloud.google.com/gke-accelerator", kind);
        set("cloud.google.com/gke-accelerator-count", &count.to_string());
        taints.push(Taint {
            key: Name::truncated("nvidia.com/gpu"),
            value: Name::truncated("present"),
            effect: TaintEffect::NoSchedule,
        });
    }
    Pool {
        base_name: Name::truncated(format!("kinema-{}", machine.machine_type)),
        id,
        machine_type: machine.machine_type.clone(),
        region: region.clone(),
        zone: zone.clone(),
        capacity_type,
        labels,
        taints: Few::new(taints).unwrap_or_default(),
        allocatable: observed(cluster, &machine.machine_type).unwrap_or_else(|| gke_allocatable(machine)),
        size: 0,
        max_size: None,
        refusal: None,
    }
}

/// The least that living nodes of a machine type offer.
fn observed(cluster: &Cluster, machine_type: &str) -> Option<Resources> {
    let twins = cluster
        .nodes
        .values()
        .filter(|node| node.ready && machine_type_of(node) == machine_type && node.allocatable.pods > 0);
    twins.map(|node| node.allocatable.clone()).reduce(|mut least, other| {
        least.cpu = least.cpu.min(other.cpu);
        least.memory = least.memory.min(other.memory);
        least.ephemeral = least.ephemeral.min(other.ephemeral);
        least.pods = least.pods.min(other.pods);
        least.extended.retain(|name, _| other.extended.contains_key(name));
        for (name, amount) in &mut least.extended {
            *amount = (*amount).min(other.extended.get(name).copied().unwrap_or(0));
        }
        least
    })
}

/// GKE's allocatable: capacity less what it reserves for the system and for eviction.
///
/// CPU: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % above; shared-core
/// types keep 940 m. Memory: 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the next 8, 6 % of
/// the next 112, 2 % above (255 MiB below 1 GiB), and 100 MiB for eviction; the kernel takes its part
/// before. Ephemeral storage: of a 100 GiB boot disk.
pub fn gke_allocatable(machine: &MachineSpec) -> Resources {
    let mut resources = Resources {
        cpu: MilliCpu(allocatable_cpu(machine)),
        memory: Bytes(allocatable_memory(machine.memory.0).max(0)),
        ephemeral: Bytes(allocatable_ephemeral()),
        pods: 110,
        ..Resources::default()
    };
    if let Some((_, count)) = &machine.gpu {
        resources.extended.insert(Name::truncated("nvidia.com/gpu"), *count);
    }
    resources
}

fn allocatable_cpu(machine: &MachineSpec) -> i64 {
    if machine.shared_core {
        return 940;
    }
    let cpu = machine.cpu.0;
    // In hundredths of a milli-CPU per thousand: 6 %, 1 %, 0.5 %, 0.25 %.
    let part = |from: i64, to: i64| (cpu.min(to) - from).max(0);
    let reserved = part(0, 1000) * 600 + part(1000, 2000) * 100 + part(2000, 4000) * 50 + part(4000, i64::MAX) * 25;
    cpu - (reserved + 9_999) / 10_000
}

fn allocatable_memory(physical: i64) -> i64 {
    let mut kernel = physical / 64 + 16 * MIB + (physical / 1_000_000 * 1_750).min(248 * MIB);
    if physical > 3 * GIB {
        kernel += 64 * MIB;
    }
    if physical <= 8 * GIB {
        kernel += 8 * MIB;
    }
    let part = |from: i64, to: i64| (physical.min(to) - from).max(0);
    let reserved = if physical < GIB {
        255 * MIB
    } else {
        part(0, 4 * GIB) / 4
            + part(4 * GIB, 8 * GIB) / 5
            + part(8 * GIB, 16 * GIB) / 10
            + part(16 * GIB, 128 * GIB) / 100 * 6
            + part(128 * GIB, i64::MAX) / 50
    };
    (physical - kernel - reserved - 100 * MIB) / MIB * MIB
}

fn allocatable_ephemeral() -> i64 {
    let disk = BOOT_DISK_GIB * GIB;
    let filesystem = disk - (disk / 1_000_000 * 15_635 + 4_148 * GIB / 1000 + (disk / 1000).min(100 * MIB));
    let reserved = (disk / 2).min(disk / 100 * 35 + 6 * GIB).min(100 * GIB);
    filesystem - reserved - filesystem / 10
}

/// Labels with one value on every present node that is ready, not of the control plane and has no taint.
fn common_labels(cluster: &Cluster) -> Labels {
    const PER_NODE: [&str; 8] = [
        HOSTNAME,
        "cloud.google.com/gke-nodepool",
        "cloud.google.com/gke-spot",
        "cloud.google.com/gke-preemptible",
        "cloud.google.com/gke-accelerator",
        "cloud.google.com/gke-accelerator-count",
        "cloud.google.com/gke-cpu-scaling-level",
        "cloud.google.com/gke-memory-gb-scaling-level",
    ];
    let worker = |node: &&NodeFact| {
        node.ready && node.taints.is_empty() && !node.labels.contains_key("node-role.kubernetes.io/control-plane")
    };
    let mut workers = cluster.nodes.values().filter(worker);
    let Some(first) = workers.next() else { return Labels::new() };
    let mut common = first.labels.clone();
    for node in workers {
        common.retain(|key, value| node.labels.get(key) == Some(value));
    }
    common.retain(|key, _| !PER_NODE.contains(&key.as_str()) && !key.starts_with("kinema.dev/"));
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(machine_type: &str, cpu: i64, memory: i64, shared_core: bool) -> MachineSpec {
        MachineSpec {
            machine_type: Name::truncated(machine_type),
            cpu: MilliCpu(cpu),
            memory: Bytes(memory),
            shared_core,
            arch: Name::truncated("amd64"),
            gpu: None,
        }
    }

    #[test]
    fn allocatable_follows_gke() {
        let cpu = |cores: i64| gke_allocatable(&spec("n2", cores * 1000, 64 * GIB, false)).cpu.0;
        assert_eq!([1, 2, 4, 8, 16, 32].map(cpu), [940, 1930, 3920, 7910, 15_890, 31_850]);
        let standard_4 = gke_allocatable(&spec("n2-standard-4", 4000, 16 * GIB, false));
        assert!((standard_4.memory.0 / MIB - 13_257).abs() <= 2, "{}", standard_4.memory);
        let medium = gke_allocatable(&spec("e2-medium", 2000, 4 * GIB, true));
        assert_eq!(medium.cpu, MilliCpu(940));
        assert!((medium.memory.0 / MIB - 2812).abs() <= 2, "{}", medium.memory);
        assert!((standard_4.ephemeral.0 * 100 / GIB - 4377).abs() <= 3, "{}", standard_4.ephemeral);
    }

    #[test]
    fn a_living_twin_is_believed_more_than_the_formula() {
        let mut cluster = Cluster::default();
        let node = NodeFact {
            name: Name::truncated("n1"),
            uid: Name::default(),
            provider_id: Name::default(),
            instance_id: None,
            labels: [("node.kubernetes.io/instance-type", "e2-standard-4"), (HOSTNAME, "n1"), ("team", "shop")]
                .map(|(k, v)| (Name::truncated(k), Name::truncated(v)))
                .into(),
            taints: Few::default(),
            unschedulable: false,
            allocatable: Resources { cpu: MilliCpu(3_900), memory: Bytes(12 * GIB), pods: 64, ..Resources::default() },
            ready: true,
            ready_changed_at: None,
            created_at: journal_schema::units::Timestamp(0),
            deletion_at: None,
            scale_down_disabled: false,
            do_not_disrupt: journal_schema::facts::DoNotDisrupt::No,
            excluded: false,
            unknown: Few::default(),
        };
        cluster.nodes.insert(node.name.clone(), node);
        let zone = [Name::truncated("r-a")];
        let pools = synthetic_pools(
            &cluster,
            &Name::truncated("r"),
            &zone,
            &[spec("e2-standard-4", 4000, 16 * GIB, false), spec("e2-standard-8", 8000, 32 * GIB, false)],
            &[CapacityType::OnDemand, CapacityType::Spot],
        );
        assert_eq!(pools.len(), 4);
        assert_eq!(pools[0].allocatable.pods, 64);
        assert_eq!(pools[2].allocatable.pods, 110);
        assert_eq!(pools[0].labels.get("team").map(Name::as_str), Some("shop"));
        assert!(!pools[0].labels.contains_key(HOSTNAME));
        assert_eq!(pools[1].labels.get("cloud.google.com/gke-spot").map(Name::as_str), Some("true"));
    }
}
