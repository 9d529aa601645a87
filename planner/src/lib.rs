//! The planner: from what is known of a cluster to the cheapest set of machines that runs it.
//!
//! [`plan`] is a pure function: the same input and limits give the same bytes on any machine. It is
//! bounded by counts of work, never by time. What it returns says of every node and every pod what
//! happens to it and why, and carries a lower bound that is proven in integers.
//!
//! How it works, in the order of the modules:
//! 1. `rules` answers, on plain facts, whether a rule of Kubernetes is met.
//! 2. `eligibility` says which nodes may leave and which pods may move, and how.
//! 3. [`offers`] says which machines may be booted and what they offer once system pods run there; [`mod@pricing`]
//!    what machines cost by the policy, and `commitments` what is paid for already.
//! 4. `model` compiles all of it into classes and indexes, `relations` and `groups` what pods mean to each other (`hooks` finds the rules about one);
//!    `state` is a placement over that model, and `counters` count for it what those rules ask about.
//! 5. `search` improves a placement, a large one in parts side by side; `bound` proves how far it may be from the optimum.
//!    `placement` gives pending pods room by moving few others; `shifts` are moves of pods whose nodes stay.
//!    `frontier` asks it again at other prices of a move, for what moves buy.
//!    Under another objective than cost (`aims`) machines stay: `balance` swaps pods, `relief` takes them off hot
//!    nodes, `availability` spreads workloads of which one failure takes too much, and caps those that may move.
//! 6. `sequence` puts the moves into an order in which each is feasible when its turn comes, as
//!    kube-scheduler would carry it out; `waves` and `steer` lead it to where the search put the pods, `ahead` in
//!    such an order that no pods wait for each other for good; `remedies` help those that get stuck, `settle` seeks
//!    the machines that are cheapest where nobody leads it, and `outlook` what they cost in the mean when the
//!    scheduler does otherwise; `choice` says which candidate is believed,
//!    `weights` what counts for it beside cost;
//!    `moves` says what it takes to move a pod; `verify` checks the outcome against the facts again.
//! 7. `assemble` writes the plan and its verdicts; `waste` says where it costs more than the bound, `binding` of
//!    what the bound is made; `relaxations` estimates what rules cost, and `counterfactual` measures the dearest
//!    by going on with the search as if a rule were not there (`waiver`).
//!
//! [`mod@forecast`], [`mod@scheduler`], [`mod@lint`] and [`mod@rivals`] stand beside it.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

mod ahead;
mod aims;
mod assemble;
mod availability;
mod balance;
mod binding;
mod bound;
mod choice;
mod commitments;
mod counterfactual;
mod counters;
mod eligibility;
pub mod forecast;
mod frontier;
mod groups;
mod hooks;
pub mod lint;
mod model;
mod moves;
pub mod offers;
mod outlook;
mod parallel;
mod placement;
pub mod pricing;
mod relations;
mod relaxations;
mod relief;
mod remedies;
pub mod rivals;
mod rules;
pub mod scheduler;
mod search;
mod sequence;
mod settle;
mod shifts;
mod state;
mod steer;
mod verify;
mod waiver;
mod waste;
mod waves;
mod weights;
mod why;
mod worth;

pub use offers::{MachineSpec, gke_allocatable, synthetic_pools};

use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::policy::{Limits, Objective};
use journal_schema::text::{Few, Name};

use crate::choice::Choice;
use crate::counterfactual::Found;
use crate::model::Model;
use crate::relaxations::relaxations;
use crate::search::{Goal, Outset};
use crate::weights::Weighing;

/// Why there is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A list of the plan or its report would exceed what the journal can hold.
    #[error("the cluster is too large for a plan: {what}")]
    TooLarge {
        /// Which list.
        what: Name,
    },
    /// The plan did not pass the planner's own checks; nothing of it may be carried out.
    #[error("the plan failed an internal check: {what}")]
    Inconsistent {
        /// What the check found.
        what: Name,
    },
}

/// Computes a plan and its report.
///
/// Pure and deterministic. Work is bounded by `limits`; `limits.threads` does not change the result.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(input: &PlanningInput, limits: &Limits) -> Result<Planned, PlanError> {
    let mut model = Model::new(input);
    let guide = bound::of(&model, &|item| model.items[item].standing.blocked.is_none());
    model.weigh(&guide.relief);
    let placeable = |item: usize| model.items[item].standing.blocked.is_none();
    let weighing = Weighing::new(&model);
    let goal = Goal {
        bound: &guide,
        move_penalty: input.policy.optimize.move_penalty.0.max(0),
        steps: limits.search_steps,
        branches: limits.mip_nodes,
        seed: input.iteration,
        threads: limits.threads,
        weighing: weighing.as_ref(),
    };
    let by_cost = input.policy.optimize.objective == Objective::Cost;
    let (found, frontier) = if by_cost {
        let outset = Outset::new(&model, &goal);
        let mut found = search::solve(&outset, &goal);
        let frontier = frontier::explore(&model, &outset, &goal, &mut found);
        (found, frontier)
    } else {
        (vec![aims::staying(&model, &goal)], Few::default())
    };
    let mut choice = Choice::new(&model, &goal, found);
    let mut refused = PlanError::Inconsistent { what: Name::truncated("no candidate") };
    while let Some(candidate) = choice.next() {
        // The bound that is shown is about the pods that get a place.
        let placed = |item: usize| assemble::has_place(&candidate.rehearsal, item);
        let all = model.pending.iter().all(|item| placeable(*item) == placed(*item));
        let fewer = if all { None } else { Some(bound::of(&model, &placed)) };
        let bound = fewer.as_ref().unwrap_or(&guide);
        let planned = assemble::assemble(&model, bound, &candidate.change, &candidate.rehearsal)?;
        let sound = verify::verify(&model, &candidate.change, &candidate.rehearsal)
            .map_err(|what| PlanError::Inconsistent { what: Name::truncated(what) })
            .and_then(|()| check(input, &planned));
        match sound {
            Ok(()) => {
                let (change, rehearsal) = (&candidate.change, &candidate.rehearsal);
                let found = Found { model: &model, goal: &goal, change, rehearsal, steered: shifts::led(&model) };
                let estimated = relaxations(&model, bound);
                let measured = by_cost && change.shifting.is_empty();
                let list = if measured { counterfactual::measure(&found, estimated) } else { estimated };
                return assemble::explain(planned, list, frontier);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// What must hold of every plan.
fn check(input: &PlanningInput, planned: &Planned) -> Result<(), PlanError> {
    if planned.plan.cost_after < planned.plan.lower_bound {
        let what = format!("the cost {} is below the bound {}", planned.plan.cost_after, planned.plan.lower_bound);
        return Err(PlanError::Inconsistent { what: Name::truncated(what) });
    }
    let nodes = input.cluster.nodes.len() + planned.plan.add.len();
    let added: i64 = planned.plan.add.iter().map(|node| node.price.0).sum();
    let policy = &input.policy.optimize;
    let pending_only = planned.plan.remove.is_empty() && planned.plan.add.is_empty();
    let too_many = policy.max_nodes.is_some_and(|most| nodes > most as usize);
    let too_dear = policy.max_cost.is_some_and(|most| planned.plan.cost_now.0 + added > most.0);
    if !pending_only && (too_many || too_dear) {
        return Err(PlanError::Inconsistent {
            what: Name::truncated("the transition exceeds the policy's most nodes or most cost"),
        });
    }
    let findings = lint::lint(input, planned);
    if let Some(finding) = findings.into_iter().find(|finding| finding.severity == lint::Severity::Error) {
        return Err(PlanError::Inconsistent { what: Name::truncated(finding.to_string()) });
    }
    Ok(())
}
