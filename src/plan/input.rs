//! The planner's input from files, or from one look at a live cluster.
//!
//! Pools are not known then, so they are made up from the price list (`offers`). Such a plan is a
//! proposal; a daemon makes its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use adapter_kube::file::{ClusterFile, ReadError};
use adapter_prices::{Catalogue, PriceKind};
use journal_schema::cloud::{CapacityType, Pool, PriceBook};
use journal_schema::facts::{Kind, WorkloadFact, WorkloadId};
use journal_schema::plan::{Cluster, Managed, PlanningInput};
use journal_schema::policy::Policy;
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Millis, Timestamp};
use journal_schema::usage::Forecasts;

use super::notes;
use crate::cli::{CapacityArg, PlanArgs};
use crate::exit::{Exit, Problem};

/// What prints a cluster file.
const KUBECTL: &str = "kubectl get nodes,pods,deployments,replicasets,statefulsets,daemonsets,poddisruptionbudgets,horizontalpodautoscalers -A -o json";

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
            let fix = match &error {
                // The file is the right one and something in it is not.
                ReadError::Item { .. } => "correct the object in the file, or take it out".to_owned(),
                _ => format!("give what this prints: {KUBECTL}"),
            };
            Problem::failed(format!("{}: {error}", path.display())).fix(fix)
        })?;
    }
    let file = file.finish().map_err(|error| {
        Problem::failed(format!("{}: {error}", list(paths))).fix(format!("give what this prints: {KUBECTL}"))
    })?;
    if file.missing_kinds().contains(&Kind::Pod) {
        return Err(Problem::failed(format!("{}: no Pod was read: every node would look empty", list(paths)))
            .fix(format!("give what this prints: {KUBECTL}")));
    }
    let warnings = notes::of_file(&file);
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
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(Problem::new(Exit::Usage, format!("{what} has an empty name"))
                .fix("name at least one, separated by commas, or leave the flag out"));
        }
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

/// Workloads that are not as they want to be, with the reason.
fn unsettled(cluster: &Cluster, policy: &Policy) -> BTreeMap<WorkloadId, Reason> {
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
    // The first reason stays: a workload that is not settled is that before all else.
    let mut quarantined: BTreeMap<WorkloadId, Reason> =
        engine::gates::scaling_up(cluster, policy.observe.hpa_threshold_percent).into_iter().collect();
    quarantined.extend(
        cluster
            .workloads
            .values()
            .filter(|workload| !engine::world::settled(workload) && !without_status(workload))
            .map(|workload| (workload.id.clone(), reason(workload))),
    );
    quarantined
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
        quarantined: unsettled(&cluster, &policy),
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
