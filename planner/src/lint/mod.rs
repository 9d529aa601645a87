//! Checks of a finished plan, by other means than the planner's own.
//!
//! The linter knows nothing of how a plan is found. It reads the input's facts again, carries the
//! plan out step by step on the model of the scheduler ([`crate::scheduler`]), adds the prices up
//! and compares the report with the plan. It runs on every plan: in tests, in simulation and live.
//! A plan with a finding of severity [`Severity::Error`] is not carried out.
//!
//! The rules about what may be touched are written here a second time on purpose: one mistake in
//! one place must not be enough to move a pod that asked to be left alone.

mod availability;
mod basics;
mod certificate;
mod costs;
mod machines;
mod moves;
mod replay;
mod requests;
mod verdicts;

pub use replay::stranded;

use std::fmt;

use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::text::Message;

use crate::parallel::in_parallel;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The plan must not be carried out.
    Error,
    /// The plan may be carried out; a person should look.
    Warning,
}

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The plan is of this iteration, basis and time, and its lists are in order.
    Basis,
    /// A machine to add is of a usable pool, allowed by the policy, and priced by the book.
    AddedMachine,
    /// The pool has room for the machines to add.
    PoolSize,
    /// The policy's most nodes and most cost hold during the transition.
    Budget,
    /// Every machine to add gets a pod.
    UnusedMachine,
    /// A node to remove exists and is the one that the plan says.
    RemovedNode,
    /// A node to remove may be removed.
    ProtectedNode,
    /// A pod to move exists, runs on the node named and is moved once.
    MovedPod,
    /// The way of moving suits the workload and the policy.
    MoveMethod,
    /// A pod to move may be moved.
    ProtectedPod,
    /// The budgets that cover a pod allow its move.
    DisruptionBudget,
    /// A move's target exists and stays.
    MoveTarget,
    /// A pod that moves although its node stays is led away from it, and its node lets it go.
    Shift,
    /// Moves stand wave by wave, and what a wave opens stays or is new.
    Wave,
    /// A pod fits its target when its turn comes.
    Placement,
    /// The scheduler, left to itself, finds a node for every pod in the order of the plan.
    Stranded,
    /// A node to remove is empty at the end, but for what leaves with it.
    NotEmptied,
    /// A pending pod fits where the report places it.
    PendingPod,
    /// The costs are the sums of the prices.
    Cost,
    /// No workload whose pods move is above the limits of availability for it, and the report says how it is.
    Availability,
    /// The lower bound is not above the cost.
    LowerBound,
    /// What the report says of the distance between cost and bound sums to it, no node wastes less than nothing, and
    /// what moves buy is in order.
    Certificate,
    /// A change of requests is the forecast's, within its bounds.
    Requests,
    /// Every node has exactly one verdict, and it agrees with the plan.
    NodeVerdict,
    /// Every pod has exactly one verdict, and it agrees with the plan.
    PodVerdict,
}

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What was checked.
    pub check: Check,
    /// Who is concerned, and what is wrong.
    pub message: Message,
}

/// `Placement: pod default/web-1: …`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.check, self.message.as_str())
    }
}

/// Checks a plan and its report against the input that they were made from. An empty list means
/// that nothing was found; errors come first.
///
/// Cost: two replays of the plan, each of one scheduling cycle per move.
pub fn lint(input: &PlanningInput, planned: &Planned) -> Vec<Finding> {
    let mut findings = Findings::default();
    for found in in_parallel(input.policy.optimize.limits.threads, &[read, replayed], |check| check(input, planned)) {
        findings.0.extend(found.0);
    }
    findings.into_sorted()
}

/// What is found by reading a plan.
fn read(input: &PlanningInput, planned: &Planned) -> Findings {
    let mut findings = Findings::default();
    basics::check(input, &planned.plan, &mut findings);
    machines::check(input, planned, &mut findings);
    moves::check(input, &planned.plan, &mut findings);
    requests::check(input, &planned.plan, &mut findings);
    costs::check(input, planned, &mut findings);
    availability::check(input, planned, &mut findings);
    certificate::check(planned, &mut findings);
    verdicts::check(input, planned, &mut findings);
    findings
}

/// What is found by carrying it out.
fn replayed(input: &PlanningInput, planned: &Planned) -> Findings {
    let mut findings = Findings::default();
    replay::check(input, planned, &mut findings);
    findings
}

/// What has been found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, check: Check, message: fmt::Arguments<'_>) {
        self.push(Severity::Error, check, message);
    }

    fn warning(&mut self, check: Check, message: fmt::Arguments<'_>) {
        self.push(Severity::Warning, check, message);
    }

    fn push(&mut self, severity: Severity, check: Check, message: fmt::Arguments<'_>) {
        self.0.push(Finding { severity, check, message: Message::truncated(message.to_string()) });
    }

    fn into_sorted(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}
