//! From a rehearsed change to the plan and its report.

use std::collections::BTreeMap;

use journal_schema::plan::{
    CommitmentUse, FrontierPoint, Managed, Move, NodeAction, NodeToAdd, NodeToRemove, NodeVerdict, Plan, Planned,
    PlanningInput, PodAction, PodVerdict, Relaxation, Report, RequestChange, Slot, Target, Wave,
};
use journal_schema::policy::{Objective, RightSizing};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Many, Name};
use journal_schema::units::{Bytes, MicroUsd, MicroUsdPerHour, MilliCpu};

use crate::PlanError;
use crate::availability;
use crate::balance::Scale;
use crate::binding::binding;
use crate::bound::Bound;
use crate::commitments::{Account, Commitment};
use crate::eligibility::{capacity_type_of, machine_type_of, pool_of, zone_of};
use crate::model::Model;
use crate::moves::{BATCH_MINUTES, BOOT_MINUTES, MOVE};
use crate::relief::Thermometer;
use crate::sequence::{Change, Rehearsal};
use crate::state::{NOWHERE, State};
use crate::waste::{Waste, waste};
use crate::why::why_unplaced;

fn many<T>(items: Vec<T>, what: &str) -> Result<Many<T>, PlanError> {
    Many::new(items).map_err(|_| PlanError::TooLarge { what: Name::truncated(what) })
}

/// Writes the plan and its report, but for what rules cost ([`explain`]).
pub(crate) fn assemble(
    model: &Model<'_>,
    bound: &Bound,
    change: &Change,
    rehearsal: &Rehearsal<'_, '_>,
) -> Result<Planned, PlanError> {
    let input = model.input;
    let add: Vec<NodeToAdd> =
        change.machines.iter().enumerate().map(|(slot, machine)| node_to_add(model, slot, *machine)).collect();
    let remove: Vec<NodeToRemove> = change.leaving.iter().map(|host| node_to_remove(model, *host)).collect();
    let nodes = model.hosts.len();
    let target = |host: usize| {
        if host < nodes {
            Target::Node(model.hosts[host].fact.name.clone())
        } else {
            Target::New(Slot(u32::try_from(host - nodes).unwrap_or(u32::MAX)))
        }
    };
    let mut targets: BTreeMap<usize, Target> = BTreeMap::new();
    let mut moves = Vec::new();
    for step in &rehearsal.steps {
        let item = &model.items[step.item];
        targets.insert(step.item, target(step.host));
        if let Some(home) = item.home {
            moves.push(Move {
                pod: item.fact.key.clone(),
                uid: item.fact.uid.clone(),
                workload: item.standing.workload.clone(),
                from: model.hosts[home].fact.name.clone(),
                to: target(step.host),
                method: item.standing.method,
                wave: u32::try_from(step.round.saturating_sub(1)).unwrap_or(u32::MAX),
            });
        }
    }
    let cost_now = model.present_cost;
    let (more, account) = change.reckoned(model);
    let waves = change.waves.iter().map(|wave| {
        let opens = Few::new(wave.opens.iter().map(|host| target(*host)).collect());
        Ok(Wave { opens: opens.map_err(|_| PlanError::TooLarge { what: Name::truncated("nodes of a wave") })? })
    });
    let waves = waves.collect::<Result<Vec<Wave>, PlanError>>()?;
    let minutes = BOOT_MINUTES + batches(&moves, input) * BATCH_MINUTES;
    let waste = waste(model, bound, change, rehearsal);
    let present = State::present(model, 0);
    let hot = input.policy.optimize.objective == Objective::NodeUsage || input.policy.optimize.weights.node_usage.0 > 0;
    let report = Report {
        nodes: many(node_verdicts(model, bound, change, rehearsal, &waste), "node verdicts")?,
        pods: many(pod_verdicts(model, change, &targets, rehearsal), "pod verdicts")?,
        relaxations: Many::default(),
        bound_method: bound.method.clone(),
        balance: Scale::new(model).report(&present, &rehearsal.state, change),
        heat: hot.then(|| Thermometer::new(model).report(&present, &rehearsal.state, change)),
        waste_of_added: many(waste.machines.into_iter().map(MicroUsdPerHour).collect(), "nodes to add")?,
        unused: MicroUsdPerHour(waste.unused),
        binding: many(binding(model, bound, change, rehearsal), "bottlenecks")?,
        frontier: Few::default(),
        commitments: Few::new(commitment_uses(model, &model.present_account, &account))
            .map_err(|_| PlanError::TooLarge { what: Name::truncated("commitments") })?,
        dispersion: availability::report(model, &present, &rehearsal.state),
    };
    let plan = Plan {
        iteration: input.iteration,
        basis: input.basis,
        at: input.now,
        add: many(add, "nodes to add")?,
        remove: many(remove, "nodes to remove")?,
        moves: many(moves, "moves")?,
        waves: many(waves, "waves")?,
        requests: many(request_changes(input), "request changes")?,
        cost_now: MicroUsdPerHour(cost_now),
        cost_after: MicroUsdPerHour(cost_now + more),
        lower_bound: MicroUsdPerHour(bound.cost),
        transition: MicroUsd(change.overlap(model) * minutes / 60),
    };
    Ok(Planned { plan, report })
}

/// How far commitments are used before and after.
fn commitment_uses(model: &Model<'_>, now: &Account, after: &Account) -> Vec<CommitmentUse> {
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let of = |(index, own): (usize, &Commitment)| CommitmentUse {
        machine_type: own.machine_type.clone(),
        region: own.region.clone(),
        committed: count(own.count),
        now: count(now.used(index)),
        after: count(after.used(index)),
        covers: MicroUsdPerHour(own.cover),
    };
    model.commitments.all().iter().enumerate().map(of).collect()
}

/// Adds what rules cost, which is sought once the plan is sound, and what moves buy.
pub(crate) fn explain(
    mut planned: Planned,
    relaxations: Vec<Relaxation>,
    frontier: Few<FrontierPoint>,
) -> Result<Planned, PlanError> {
    planned.report.relaxations = many(relaxations, "relaxations")?;
    planned.report.frontier = frontier;
    Ok(planned)
}

/// How many batches of parallel moves there are: those of a wave wait for those of the wave before.
fn batches(moves: &[Move], input: &PlanningInput) -> i64 {
    let parallel = usize::try_from(input.policy.disruption.max_parallel_moves.max(1)).unwrap_or(usize::MAX);
    let of_wave = moves.chunk_by(|a, b| a.wave == b.wave).map(|wave| wave.len().div_ceil(parallel));
    i64::try_from(of_wave.sum::<usize>()).unwrap_or(i64::MAX / BATCH_MINUTES / 2)
}

fn node_to_add(model: &Model<'_>, slot: usize, machine: usize) -> NodeToAdd {
    let offer = &model.machines[machine].offer;
    let pool = &model.input.pools[offer.pool];
    NodeToAdd {
        slot: Slot(u32::try_from(slot).unwrap_or(u32::MAX)),
        pool: pool.id.clone(),
        machine_type: pool.machine_type.clone(),
        zone: pool.zone.clone(),
        capacity_type: pool.capacity_type,
        price: MicroUsdPerHour(offer.tariff.paid),
    }
}

fn node_to_remove(model: &Model<'_>, host: usize) -> NodeToRemove {
    let host = &model.hosts[host];
    let pool = match &model.input.managed {
        Managed::All => None,
        Managed::Listed(pools) => pools.get(&host.fact.name).cloned(),
    };
    NodeToRemove {
        node: host.fact.name.clone(),
        uid: host.fact.uid.clone(),
        provider_id: host.fact.provider_id.clone(),
        pool,
        machine_type: Name::truncated(machine_type_of(host.fact)),
        zone: Name::truncated(zone_of(host.fact)),
        capacity_type: pool_of(model.input, host.fact)
            .map_or_else(|| capacity_type_of(host.fact), |pool| pool.capacity_type),
        price: MicroUsdPerHour(host.tariff.map_or(0, |tariff| tariff.paid)),
    }
}

/// One verdict for every node, by name.
fn node_verdicts(
    model: &Model<'_>,
    bound: &Bound,
    change: &Change,
    rehearsal: &Rehearsal<'_, '_>,
    waste: &Waste,
) -> Vec<NodeVerdict> {
    let mut receives = vec![false; model.hosts.len()];
    for step in rehearsal.steps.iter().filter(|step| step.host < model.hosts.len()) {
        receives[step.host] = true;
    }
    let penalty = model.input.policy.optimize.move_penalty.0;
    model
        .hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let leaves = change.leaves(index);
            let (action, reason) = match &host.keep {
                _ if leaves => (NodeAction::Remove, Reason::Superfluous),
                Some(reason) => (NodeAction::Keep, reason.clone()),
                None if receives[index] => (NodeAction::Keep, Reason::Needed),
                None => (NodeAction::Keep, keep_reason(model, bound, index, penalty)),
            };
            let waste = MicroUsdPerHour(waste.nodes[index]);
            NodeVerdict { node: host.fact.name.clone(), action, reason, waste }
        })
        .collect()
}

/// Why a node that could leave stays: what its removal would save at best, against what its pods cost elsewhere.
fn keep_reason(model: &Model<'_>, bound: &Bound, index: usize, penalty: i64) -> Reason {
    let host = &model.hosts[index];
    let worth = bound.worth_of(model, &host.home);
    let saving = host.price.unwrap_or(0) - worth / 1000;
    if saving > 0 && saving <= host.toll * penalty / MOVE {
        return Reason::SavingsNotWorthDisruption {
            saving: MicroUsdPerHour(saving),
            pods: u32::try_from(host.home.len()).unwrap_or(u32::MAX),
        };
    }
    Reason::NoCheaperPlacement
}

/// One verdict for every pod, by key.
fn pod_verdicts(
    model: &Model<'_>,
    change: &Change,
    targets: &BTreeMap<usize, Target>,
    rehearsal: &Rehearsal<'_, '_>,
) -> Vec<PodVerdict> {
    let items: BTreeMap<_, usize> =
        model.items.iter().enumerate().map(|(index, item)| (&item.fact.key, index)).collect();
    model
        .input
        .cluster
        .pods
        .values()
        .map(|pod| {
            let (action, reason) = match items.get(&pod.key) {
                // Finished, or bound to a node that is gone.
                None => (PodAction::Stay, Reason::NotRunning),
                Some(index) => {
                    let item = &model.items[*index];
                    match (targets.get(index), item.home, &item.standing.blocked) {
                        (Some(target), Some(_), _) => {
                            let shift = change.shift(*index).map(|shift| shift.reason(model));
                            (PodAction::Move(target.clone()), shift.unwrap_or(Reason::NodeLeaves))
                        }
                        (Some(target @ Target::Node(_)), None, _) => {
                            (PodAction::Place(target.clone()), Reason::NodeStays)
                        }
                        (Some(target @ Target::New(_)), None, _) => (PodAction::Place(target.clone()), Reason::Added),
                        (None, Some(_), Some(reason)) => (PodAction::Stay, reason.clone()),
                        (None, Some(_), None) => (PodAction::Stay, Reason::NodeStays),
                        (None, None, Some(reason)) => (PodAction::Unplaced, reason.clone()),
                        (None, None, None) => (PodAction::Unplaced, why_unplaced(&rehearsal.state, *index)),
                    }
                }
            };
            PodVerdict { pod: pod.key.clone(), action, reason }
        })
        .collect()
}

/// Requests that the forecast would change, by workload and container.
fn request_changes(input: &PlanningInput) -> Vec<RequestChange> {
    if input.policy.predict.right_sizing == RightSizing::Off {
        return Vec::new();
    }
    let mut changes = Vec::new();
    for forecast in &input.forecasts.containers {
        let Some(workload) = input.cluster.workloads.get(&forecast.workload) else { continue };
        let Some(container) = workload.template.containers.iter().find(|c| c.name == forecast.container) else {
            continue;
        };
        let (cpu, memory) =
            (container.cpu_request.unwrap_or(MilliCpu(0)), container.memory_request.unwrap_or(Bytes(0)));
        if (cpu, memory) != (forecast.cpu_request, forecast.memory_request) {
            changes.push(RequestChange {
                workload: forecast.workload.clone(),
                container: forecast.container.clone(),
                cpu: (cpu, forecast.cpu_request),
                memory: (memory, forecast.memory_request),
            });
        }
    }
    changes.sort();
    changes
}

/// Whether an item has a place at the end of a rehearsal.
pub(crate) fn has_place(rehearsal: &Rehearsal<'_, '_>, item: usize) -> bool {
    rehearsal.state.at[item] != NOWHERE
}
