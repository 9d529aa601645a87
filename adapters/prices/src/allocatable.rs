//! What a GKE node of a machine type offers to pods, before system pods.
//!
//! GKE's published reservations ("Plan GKE Standard node sizes") and what the kernel keeps, as
//! cluster-autoscaler models it (`gce_reserved.go`). Checked on living nodes: n2-standard-4 has
//! 3920 m and 13273 MiB (formula: 3920 m, 13257 MiB), e2-medium 940 m and 2812.6 MiB (2812.8).
//! A living node of the same pool is always the better source.

use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu, Resources};

use crate::catalogue::{Arch, Machine};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// GKE's default boot disk.
pub const BOOT_DISK: Bytes = Bytes(100 * GIB);
/// GKE's default number of pods per node.
pub const MAX_PODS: i64 = 110;

/// `amount` × `ppm` / 1,000,000, rounded down.
fn share(amount: i64, ppm: i64) -> i64 {
    i64::try_from(i128::from(amount) * i128::from(ppm) / 1_000_000).unwrap_or(i64::MAX)
}

/// Adds up the parts of `amount` within tiers, each (upper end, ppm of it).
fn tiers(amount: i64, tiers: &[(i64, i64)]) -> i64 {
    let mut below = 0;
    let mut sum = 0;
    for (end, ppm) in tiers {
        sum += share(amount.min(*end).saturating_sub(below).max(0), *ppm);
        below = *end;
    }
    sum
}

/// CPU that GKE reserves: 6 % of the first core, 1 % of the second, 0.5 % of the third and fourth,
/// 0.25 % of the others; 1060 m of a shared core.
pub fn reserved_cpu(machine: &Machine) -> MilliCpu {
    if machine.shared_core {
        return MilliCpu(1060);
    }
    MilliCpu(tiers(machine.cpu.0, &[(1000, 60_000), (2000, 10_000), (4000, 5_000), (i64::MAX, 2_500)]))
}

/// Memory that GKE reserves, without the eviction threshold: 255 MiB below 1 GiB; else 25 % of the
/// first 4 GiB, 20 % of the next 4, 10 % of the next 8, 6 % up to 128, 2 % above.
pub fn reserved_memory(machine: &Machine) -> Bytes {
    let memory = machine.memory.0;
    if memory < GIB {
        return Bytes(255 * MIB);
    }
    Bytes(tiers(
        memory,
        &[(4 * GIB, 250_000), (8 * GIB, 200_000), (16 * GIB, 100_000), (128 * GIB, 60_000), (i64::MAX, 20_000)],
    ))
}

/// Memory that the operating system sees (Container-Optimized OS).
pub fn visible_memory(machine: &Machine) -> Bytes {
    let memory = machine.memory.0;
    let mut kept = memory / 64 + 16 * MIB + share(memory, 1_750).min(248 * MIB);
    if memory > 3 * GIB {
        kept += 64 * MIB;
    }
    if memory <= 8 * GIB {
        kept += 8 * MIB;
    }
    let visible = memory - kept;
    Bytes(if machine.arch == Arch::Arm64 { share(visible, 997_100) } else { visible })
}

/// Ephemeral storage on a boot disk: of the file system, less GKE's reservation and 10 % for eviction.
pub fn ephemeral(disk: Bytes) -> Bytes {
    let disk = disk.0;
    let filesystem = disk - share(disk, 15_635) - share(GIB, 4_148_000) - share(disk, 1_000).min(100 * MIB);
    let reserved = (disk / 2).min(share(disk, 350_000) + 6 * GIB).min(100 * GIB);
    Bytes((filesystem - reserved - filesystem / 10).max(0))
}

/// What a node offers by the formulas.
pub fn by_formula(machine: &Machine, boot_disk: Bytes, max_pods: i64) -> Resources {
    let mut resources = Resources {
        cpu: MilliCpu((machine.cpu - reserved_cpu(machine)).0.max(0)),
        memory: Bytes((visible_memory(machine) - reserved_memory(machine)).0.saturating_sub(100 * MIB).max(0)),
        ephemeral: ephemeral(boot_disk),
        pods: max_pods,
        ..Resources::default()
    };
    if machine.gpus > 0 {
        resources.extended.insert(Name::truncated("nvidia.com/gpu"), i64::from(machine.gpus));
    }
    resources
}

/// The same with 1 % of the memory kept back, for plans about nodes that do not exist yet: an image
/// of another release keeps a little more, and a promise that is 20 MiB too large strands a pod.
pub fn cautious(machine: &Machine, boot_disk: Bytes, max_pods: i64) -> Resources {
    let mut resources = by_formula(machine, boot_disk, max_pods);
    resources.memory = resources.memory - Bytes(resources.memory.0 / 100);
    resources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    fn offers(machine_type: &str) -> Resources {
        by_formula(Catalogue::built_in().unwrap().machine(machine_type).unwrap(), BOOT_DISK, MAX_PODS)
    }

    #[test]
    fn cpu_is_what_gke_publishes() {
        let cpu = |machine_type| offers(machine_type).cpu.0;
        let shown = [
            cpu("n1-standard-1"),
            cpu("e2-standard-2"),
            cpu("n2-standard-4"),
            cpu("e2-standard-8"),
            cpu("n2-standard-32"),
            cpu("e2-medium"),
        ];
        assert_eq!(shown, [940, 1930, 3920, 7910, 31850, 940]);
    }

    #[test]
    fn memory_and_disk_are_within_a_hundredth_of_two_living_nodes() {
        let mib = |machine_type| (offers(machine_type).memory.0 + MIB / 2) / MIB;
        assert_eq!(mib("n2-standard-4"), 13257);
        assert_eq!(mib("e2-medium"), 2813);
        assert!(mib("n2-standard-4").abs_diff(13273) * 100 < 13273);
        // 43.83 GiB on the living node.
        assert_eq!(offers("n2-standard-4").ephemeral.0 * 100 / GIB, 4377);
        let cautious = cautious(Catalogue::built_in().unwrap().machine("n2-standard-4").unwrap(), BOOT_DISK, MAX_PODS);
        assert_eq!(cautious.memory.0 / MIB, 13124);
    }

    #[test]
    fn accelerators_are_offered_and_tiny_machines_offer_nothing_negative() {
        assert_eq!(offers("a2-highgpu-1g").extended.get("nvidia.com/gpu"), Some(&1));
        let tiny = Machine {
            memory: Bytes(300 * MIB),
            cpu: MilliCpu(250),
            ..Catalogue::built_in().unwrap().machine("e2-micro").unwrap().clone()
        };
        let offered = by_formula(&tiny, Bytes(GIB), 8);
        assert_eq!((offered.cpu, offered.memory, offered.ephemeral), (MilliCpu(0), Bytes(0), Bytes(0)));
    }
}
