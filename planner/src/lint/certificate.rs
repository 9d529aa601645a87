//! What the report says of the distance between cost and bound sums to that distance, and what it says that moves buy
//! is in order.

use journal_schema::plan::{NodeAction, Planned};
use journal_schema::units::{MicroUsdPerHour, Ppm};

use super::{Check, Findings};

pub(super) fn check(planned: &Planned, findings: &mut Findings) {
    waste(planned, findings);
    binding(planned, findings);
    frontier(planned, findings);
}

/// Each point takes more moves than the one before, costs less, and is best at lower prices of a move.
fn frontier(planned: &Planned, findings: &mut Findings) {
    let points = &planned.report.frontier;
    for pair in points.windows(2) {
        let (one, next) = (pair[0], pair[1]);
        if one.moves >= next.moves || one.cost <= next.cost || one.move_price <= next.move_price {
            findings.error(
                Check::Certificate,
                format_args!("{} moves for {} stand before {} for {}", one.moves, one.cost, next.moves, next.cost),
            );
        }
    }
    if let Some(last) = points.last().filter(|last| last.move_price != MicroUsdPerHour::ZERO) {
        findings
            .error(Check::Certificate, format_args!("the cheapest point is best from {} a move on", last.move_price));
    }
}

fn waste(planned: &Planned, findings: &mut Findings) {
    let (plan, report) = (&planned.plan, &planned.report);
    for verdict in &report.nodes {
        let expected = verdict.action == NodeAction::Keep || verdict.waste == MicroUsdPerHour::ZERO;
        if verdict.waste < MicroUsdPerHour::ZERO || !expected {
            findings.error(
                Check::Certificate,
                format_args!("node {} wastes {}, and it is {:?}", verdict.node.as_str(), verdict.waste, verdict.action),
            );
        }
    }
    if report.waste_of_added.len() != plan.add.len() {
        findings.error(
            Check::Certificate,
            format_args!("the waste of {} machines is told, {} are added", report.waste_of_added.len(), plan.add.len()),
        );
    }
    for (slot, waste) in report.waste_of_added.iter().enumerate().filter(|(_, waste)| waste.0 < 0) {
        findings.error(Check::Certificate, format_args!("new machine {slot} wastes {waste}"));
    }
    if report.unused < MicroUsdPerHour::ZERO {
        findings.error(Check::Certificate, format_args!("what is not used is worth {}", report.unused));
    }
    let of_nodes: i128 = report.nodes.iter().map(|verdict| i128::from(verdict.waste.0)).sum();
    let of_added: i128 = report.waste_of_added.iter().map(|waste| i128::from(waste.0)).sum();
    let told = of_nodes + of_added + i128::from(report.unused.0);
    let distance = i128::from(plan.cost_after.0) - i128::from(plan.lower_bound.0);
    if told != distance {
        findings.error(
            Check::Certificate,
            format_args!("the waste sums to {told} micro-USD per hour, the cost is {distance} above the bound"),
        );
    }
}

fn binding(planned: &Planned, findings: &mut Findings) {
    let list = &planned.report.binding;
    for binding in list.iter().filter(|binding| !(0..=Ppm::percent(100).0).contains(&binding.share.0)) {
        findings.error(Check::Certificate, format_args!("{:?} has a share of {}", binding.by, binding.share));
    }
    for place in list.chunk_by(|a, b| a.zone == b.zone) {
        let sum: i64 = place.iter().map(|binding| binding.share.0).sum();
        if sum > Ppm::percent(100).0 || !place.is_sorted_by_key(|binding| std::cmp::Reverse(binding.share)) {
            findings.error(Check::Certificate, format_args!("shares of {:?} are not shares of one", place[0].zone));
        }
    }
}
