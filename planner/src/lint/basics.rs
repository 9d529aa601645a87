//! The plan is of this input, and its lists are in their order.

use journal_schema::plan::{Plan, PlanningInput, Slot};

use super::{Check, Findings};

pub(super) fn check(input: &PlanningInput, plan: &Plan, findings: &mut Findings) {
    if (plan.iteration, plan.basis, plan.at) != (input.iteration, input.basis, input.now) {
        findings.error(
            Check::Basis,
            format_args!(
                "the plan is of iteration {} at entry {}, the input of iteration {} at entry {}",
                plan.iteration, plan.basis, input.iteration, input.basis
            ),
        );
    }
    for (expected, machine) in (0_u32..).zip(&plan.add) {
        if machine.slot != Slot(expected) {
            findings.error(Check::Basis, format_args!("the machine at place {expected} has slot {}", machine.slot.0));
        }
    }
    for pair in plan.remove.windows(2) {
        if pair[0].node >= pair[1].node {
            findings.error(Check::Basis, format_args!("nodes to remove are out of order at {}", pair[1].node.as_str()));
        }
    }
    for pair in plan.requests.windows(2) {
        if (&pair[0].workload, &pair[0].container) >= (&pair[1].workload, &pair[1].container) {
            findings.error(Check::Basis, format_args!("changes of requests are out of order at {}", pair[1].workload));
        }
    }
}
