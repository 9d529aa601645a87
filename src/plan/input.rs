//! The planner's input from files, or from one look at a live cluster.
//!
//! Pools are not known then, so they are made up from the price list: one for each zone of the
//! cluster, machine type and way of paying. Such a plan is a proposal; a daemon makes its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use adapter_kube::file::ClusterFile;
use adapter_prices::{Arch, Catalogue, PriceKind};
use journal_schema::cloud::{CapacityType, Pool, PriceBook};
use journal_schema::facts::{Kind, WorkloadFact, WorkloadId};
use journal_schema::plan::{Cluster, Managed, PlanningInput};
use journal_schema::policy::Policy;
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Millis, Timestamp};
use journal_schema::usage::Forecasts;
use planner::{MachineSpec, synthetic_pools};

use crate::cli::{CapacityArg, PlanArgs};
use crate::exit::{Exit, Problem};

/// Kinds without which a plan from files would be wrong rather than only less good.
const NEEDED: [Kind; 2] = [Kind::Pod, Kind::ReplicaSet];

/// A cluster and what a reader should know of how it was read.
pub struct Seen {
    /// Name for people.
    pub name: String,
    /// The cluster.
    pub cluster: Cluster,
    /// The time to plan for.
    pub now: Timestamp,
    /// What should be known.
    pub warnings: Vec<String>,
}

/// Reads files as one cluster.
pub fn read_files(paths: &[PathBuf], now: Option<Timestamp>, policy: &Policy) -> Result<Seen, Problem> {
    let mut file = ClusterFile::default();
    for path in paths {
        let bytes = std::fs::read(path).map_err(|error| {
            Problem::failed(format!("the cluster file {} cannot be read", path.display())).because(&error)
        })?;
        file.add(&bytes).map_err(|error| {
            Problem::failed(format!("{}: {error}", path.display()))
                .fix("give what this prints: kubectl get nodes,pods,deployments,replicasets,statefulsets,daemonsets,poddisruptionbudgets,horizontalpodautoscalers -A -o json")
        })?;
    }
    let file = file.finish().map_err(|error| Problem::failed(format!("{}: {error}", list(paths))))?;
    let mut warnings = Vec::new();
    let missing = file.missing_kinds();
    if missing.contains(&NEEDED[0]) {
        warnings.push("no pods were read: every node looks empty".to_owned());
    } else if missing.contains(&NEEDED[1]) && file.cluster.workloads.keys().any(|id| id.kind.kind() == Kind::Deployment)
    {
        warnings.push("no ReplicaSets were read: the pods of Deployments are not recognised and stay".to_owned());
    }
    let claims = file.cluster.pods.values().any(|pod| !pod.spec.claims.is_empty());
    if claims && missing.contains(&Kind::PersistentVolumeClaim) {
        warnings
            .push("no PersistentVolumeClaims were read: pods with volumes stay (add pvc,pv to kubectl get)".to_owned());
    }
    let skipped: usize = file.skipped.values().sum();
    if skipped > 0 {
        let kinds: Vec<&str> = file.skipped.keys().map(String::as_str).take(4).collect();
        warnings.push(format!("{skipped} objects of kinds that no decision reads were skipped: {}", kinds.join(", ")));
    }
    let now = now.unwrap_or_else(|| settled_time(&file.cluster, policy));
    let name = paths
        .first()
        .and_then(|path| path.file_name())
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Seen { name, cluster: file.cluster, now, warnings })
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The time to plan for when a file does not tell when it was made: the newest time in it and as much
/// later as anything must be settled for. It was taken of a cluster at rest, as far as it says.
fn settled_time(cluster: &Cluster, policy: &Policy) -> Timestamp {
    let nodes = cluster.nodes.values().flat_map(|node| [Some(node.created_at), node.ready_changed_at]);
    let pods = cluster.pods.values().map(|pod| Some(pod.created_at));
    let workloads = cluster.workloads.values().map(|workload| Some(workload.created_at));
    let hpas = cluster.hpas.values().map(|hpa| hpa.last_scaled_at);
    let newest = nodes.chain(pods).chain(workloads).chain(hpas).flatten().max().unwrap_or_default();
    let rest = policy.observe.stable_for.max(policy.observe.min_node_age);
    newest.plus(rest).plus(Millis(1))
}

/// The prices to plan with: a file's, or the built-in ones.
pub fn catalogue(path: Option<&Path>, as_of: Timestamp) -> Result<Catalogue, Problem> {
    let Some(path) = path else {
        return Catalogue::built_in()
            .map_err(|error| Problem::failed("the built-in prices cannot be read").because(&error));
    };
    let bytes = std::fs::read(path).map_err(|error| {
        Problem::failed(format!("the price file {} cannot be read", path.display())).because(&error)
    })?;
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    Catalogue::read_csv(&name, as_of, &bytes).map_err(|error| {
        Problem::failed(format!("the price file {} is wrong: {error}", path.display())).fix(
            "columns: region, machine_type, vcpu, memory_gib, on_demand_usd_hour, and optionally spot_usd_hour and others; prices in US dollars per hour",
        )
    })
}

/// The book that the planner reads.
pub fn book(catalogue: &Catalogue) -> Result<PriceBook, Problem> {
    catalogue.book(PriceKind::OnDemand).map_err(|error| Problem::failed("the price list is too long").because(&error))
}

/// Takes the choices of the command line into the policy.
pub fn narrow(policy: &mut Policy, args: &PlanArgs) -> Result<(), Problem> {
    let names = |texts: &[String], what: &str| {
        let names: Result<Vec<Name>, _> = texts.iter().map(|text| Name::new(text.trim())).collect();
        names
            .ok()
            .and_then(|names| Few::new(names).ok())
            .ok_or_else(|| Problem::new(Exit::Usage, format!("{what} is too long")))
    };
    if !args.machine_types.is_empty() {
        policy.optimize.machine_types = names(&args.machine_types, "--machine-types")?;
    }
    if !args.zones.is_empty() {
        policy.optimize.zones = names(&args.zones, "--zones")?;
    }
    if !args.capacity_type.is_empty() {
        let mut types: Vec<CapacityType> = args
            .capacity_type
            .iter()
            .map(|capacity| match capacity {
                CapacityArg::OnDemand => CapacityType::OnDemand,
                CapacityArg::Spot => CapacityType::Spot,
            })
            .collect();
        types.sort_unstable();
        types.dedup();
        policy.optimize.capacity_types = Few::new(types).unwrap_or_default();
    } else if policy.optimize.capacity_types.is_empty() {
        // Spot machines are taken back: nobody gets them without having asked for them.
        policy.optimize.capacity_types = Few::new(vec![CapacityType::OnDemand]).unwrap_or_default();
    }
    Ok(())
}

/// Whether `text` matches a glob of `*` and `?`.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // matches[j]: the pattern so far matches the first j characters.
    let mut matches = vec![false; text.len() + 1];
    matches[0] = true;
    for c in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = c == '*' && matches[0];
        for (j, character) in text.iter().enumerate() {
            next[j + 1] = match c {
                '*' => matches[j + 1] || next[j],
                '?' => matches[j],
                c => matches[j] && c == *character,
            };
        }
        matches = next;
    }
    matches[text.len()]
}

/// The regions that machines may be booted in, with their zones.
fn places(
    cluster: &Cluster,
    args: &PlanArgs,
    catalogue: &Catalogue,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<Name, Vec<Name>>, Problem> {
    let mut regions: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for node in cluster.nodes.values() {
        let region = args.region.as_deref().unwrap_or_else(|| engine::cloud::region(node));
        if !region.is_empty() {
            let zones = regions.entry(Name::truncated(region)).or_default();
            if !node.zone().is_empty() && node.zone().starts_with(region) {
                zones.insert(Name::truncated(node.zone()));
            }
        }
    }
    if regions.is_empty() {
        return Err(
            Problem::failed("no node has a region or zone label (topology.kubernetes.io/region)").fix("give --region")
        );
    }
    let known = catalogue.regions();
    for region in regions.keys() {
        if !known.contains(&region) {
            let nearest = known
                .iter()
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, region).total_cmp(&strsim::jaro_winkler(b, region)).then(b.cmp(a))
                })
                .map(|name| format!("did you mean --region {name}?"));
            let problem = Problem::failed(format!("the price list {} has no region {region}", catalogue.source));
            return Err(match nearest {
                Some(nearest) => problem.fix(nearest),
                None => problem,
            });
        }
    }
    Ok(regions
        .into_iter()
        .map(|(region, zones)| {
            let mut zones: Vec<Name> = zones.into_iter().collect();
            zones.extend(args.zones.iter().map(Name::truncated).filter(|zone| zone.starts_with(region.as_str())));
            zones.sort();
            zones.dedup();
            if zones.is_empty() {
                warnings.push(format!("no node has a zone label: new machines are counted in zone {region}-a"));
                zones.push(Name::truncated(format!("{region}-a")));
            }
            (region, zones)
        })
        .collect())
}

/// Made-up pools of everything that may be booted.
pub fn pools(
    cluster: &Cluster,
    catalogue: &Catalogue,
    policy: &Policy,
    args: &PlanArgs,
    warnings: &mut Vec<String>,
) -> Result<Vec<Pool>, Problem> {
    let label = |key: &str, value: &str| cluster.nodes.values().any(|node| node.label(key) == value);
    let arm = label("kubernetes.io/arch", "arm64");
    let present: BTreeSet<&str> = cluster.nodes.values().map(|node| node.machine_type()).collect();
    let globs = &policy.optimize.machine_types;
    let mut pools = Vec::new();
    for (region, zones) in places(cluster, args, catalogue, warnings)? {
        let machines: Vec<MachineSpec> = catalogue
            .region(&region)
            .filter(|(name, machine, _)| {
                if !globs.is_empty() {
                    return globs.iter().any(|pattern| glob(pattern, name));
                }
                // Not without being asked for: another architecture than the images may have, cores
                // that are shared, and devices that no pod here uses.
                present.contains(name.as_str())
                    || ((machine.arch == Arch::Amd64 || arm)
                        && !machine.shared_core
                        && machine.gpus == 0
                        && !machine.local_ssd)
            })
            .map(|(name, machine, _)| MachineSpec {
                machine_type: name.clone(),
                cpu: machine.cpu,
                memory: machine.memory,
                shared_core: machine.shared_core,
                arch: Name::truncated(match machine.arch {
                    Arch::Amd64 => "amd64",
                    Arch::Arm64 => "arm64",
                }),
                gpu: (machine.gpus > 0).then(|| (machine.gpu.clone(), i64::from(machine.gpus))),
            })
            .collect();
        if machines.is_empty() {
            let patterns = globs.iter().map(|glob| glob.as_str()).collect::<Vec<_>>().join(",");
            return Err(Problem::failed(format!(
                "no machine type of {region} in the price list {} matches {patterns}",
                catalogue.source
            ))
            .fix("check --machine-types (globs, for example \"e2-*,n2d-standard-8\")"));
        }
        let capacity: Vec<CapacityType> = policy.optimize.capacity_types.to_vec();
        pools.extend(synthetic_pools(cluster, &region, &zones, &machines, &capacity));
    }
    Ok(pools)
}

/// Workloads that are not as they want to be, with the reason.
fn unsettled(cluster: &Cluster) -> BTreeMap<WorkloadId, Reason> {
    // An object without a status was not taken from a cluster but written; its pods speak for it.
    let without_status = |workload: &WorkloadFact| {
        workload.observed_generation == 0 && workload.current == 0 && workload.ready == 0 && workload.updated == 0
    };
    let reason = |workload: &WorkloadFact| {
        if workload.ready == workload.replicas {
            Reason::RolloutInProgress { workload: workload.id.clone() }
        } else {
            Reason::NotReady { workload: workload.id.clone(), ready: workload.ready, desired: workload.replicas }
        }
    };
    cluster
        .workloads
        .values()
        .filter(|workload| !engine::world::settled(workload) && !without_status(workload))
        .map(|workload| (workload.id.clone(), reason(workload)))
        .collect()
}

/// Everything together.
pub fn assemble(
    cluster: Cluster,
    now: Timestamp,
    pools: Vec<Pool>,
    prices: PriceBook,
    forecasts: Forecasts,
    policy: Policy,
) -> PlanningInput {
    PlanningInput {
        iteration: 1,
        basis: 0,
        now,
        quarantined: unsettled(&cluster),
        cluster,
        pools,
        excluded_pools: BTreeSet::new(),
        prices,
        managed: Managed::All,
        forecasts,
        own_pod: None,
        policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("e2-*", "e2-standard-4", true),
            ("e2-*", "n2-standard-4", false),
            ("*-standard-?", "e2-standard-8", true),
            ("*-standard-?", "e2-standard-16", false),
            ("*", "", true),
            ("", "x", false),
            ("a*b*c", "axxbyyc", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
