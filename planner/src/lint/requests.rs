//! Changes of requests are the forecast's, within bounds.

use journal_schema::facts::ContainerFact;
use journal_schema::plan::{Plan, PlanningInput, RequestChange};
use journal_schema::policy::RightSizing;
use journal_schema::usage::Forecast;

use super::{Check, Findings};

pub(super) fn check(input: &PlanningInput, plan: &Plan, findings: &mut Findings) {
    if input.policy.predict.right_sizing == RightSizing::Off && !plan.requests.is_empty() {
        findings.error(Check::Requests, format_args!("right-sizing is off, and the plan changes requests"));
    }
    for change in &plan.requests {
        if let Some(wrong) = wrong_with(input, change) {
            findings.error(
                Check::Requests,
                format_args!("{} container {}: {wrong}", change.workload, change.container.as_str()),
            );
        }
    }
}

fn wrong_with(input: &PlanningInput, change: &RequestChange) -> Option<&'static str> {
    let workload = input.cluster.workloads.get(&change.workload);
    let Some(container) =
        workload.and_then(|workload| workload.template.containers.iter().find(|c| c.name == change.container))
    else {
        return Some("there is no such workload or container");
    };
    if workload.is_some_and(|workload| workload.excluded) || input.quarantined.contains_key(&change.workload) {
        return Some("the workload is not to be touched");
    }
    let same = |container: &ContainerFact| {
        container.cpu_request.unwrap_or_default() == change.cpu.0
            && container.memory_request.unwrap_or_default() == change.memory.0
    };
    if !same(container) {
        return Some("the present requests are others");
    }
    let key = (&change.workload, &change.container);
    let Some(forecast) =
        input.forecasts.containers.iter().find(|forecast| (&forecast.workload, &forecast.container) == key)
    else {
        return Some("there is no forecast");
    };
    cpu_wrong(container, change, forecast).or_else(|| memory_wrong(input, container, change, forecast))
}

/// A resource without a request keeps none; one with a request keeps its own or takes the proposal.
fn cpu_wrong(container: &ContainerFact, change: &RequestChange, forecast: &Forecast) -> Option<&'static str> {
    if change.cpu.1 == change.cpu.0 {
        return None;
    }
    if container.cpu_request.is_none() {
        return Some("it requests no CPU, and one is proposed");
    }
    if change.cpu.1 != forecast.cpu_request {
        return Some("the CPU request is not the proposed one");
    }
    if container.cpu_limit.is_some_and(|limit| change.cpu.1 > limit) {
        return Some("the CPU request is above the limit");
    }
    None
}

fn memory_wrong(
    input: &PlanningInput,
    container: &ContainerFact,
    change: &RequestChange,
    forecast: &Forecast,
) -> Option<&'static str> {
    if change.memory.1 == change.memory.0 {
        return None;
    }
    if container.memory_request.is_none() {
        return Some("it requests no memory, and one is proposed");
    }
    if change.memory.1 != forecast.memory_request {
        return Some("the memory request is not the proposed one");
    }
    if container.memory_limit.is_some_and(|limit| change.memory.1 > limit) {
        return Some("the memory request is above the limit");
    }
    // In whole millionths of a byte, so that nothing is rounded: request ≥ peak × (1 + margin).
    let guard = i128::from(forecast.memory_peak.0) * i128::from(1_000_000 + input.policy.predict.memory_margin.0);
    let at_limit = container.memory_limit == Some(change.memory.1);
    if i128::from(change.memory.1.0) * 1_000_000 < guard && !at_limit {
        return Some("the memory request is below the peak and its margin");
    }
    None
}
