//! Resource lists, and what a pod effectively asks of a node.
//!
//! The effective request follows `PodRequests` of k8s.io/component-helpers/resource, which
//! kube-scheduler uses: the sum of the containers and of the restartable init containers, or the
//! largest moment of the start-up if that is more; then the pod-level requests, then the overhead.

use std::collections::BTreeMap;

use journal_schema::facts::ContainerFact;
use journal_schema::units::{Bytes, MilliCpu, Resources};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Raw;

use super::Notes;
use crate::quantity::Quantity;

/// Exact amounts by resource name.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// No node has more of anything: 64 Ti, in bytes, milli-CPU or pieces. Larger amounts are cut to
/// it, so that the sum over the largest cluster stays within 64 bits.
const LARGEST: i64 = 1 << 46;

/// Reads a resource list. An amount that cannot be read, or is negative, is a fault and left out.
pub(crate) fn amounts(notes: &mut Notes, field: &str, list: Option<&BTreeMap<String, Raw>>) -> Amounts {
    let mut amounts = Amounts::new();
    for (name, raw) in list.into_iter().flatten() {
        match raw.0.parse::<Quantity>() {
            Ok(quantity) if quantity.is_negative() => {
                notes.fault(
                    format!("{field}.{name}"),
                    format!("{:?} is negative; an amount of a resource is not", raw.0),
                );
            }
            Ok(quantity) => {
                amounts.insert(name.clone(), quantity);
            }
            Err(error) => notes.fault(format!("{field}.{name}"), error.to_string()),
        }
    }
    amounts
}

fn add(into: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = into.entry(name.clone()).or_default();
        *sum = *sum + *amount;
    }
}

fn raise(into: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let most = into.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

fn capped(notes: &mut Notes, field: &str, amount: i64) -> i64 {
    if amount > LARGEST {
        notes.unknown(format!("{field}: more than any node has"));
    }
    amount.min(LARGEST)
}

/// Exact amounts as the scheduler counts them: CPU in thousandths, everything else in whole units,
/// both rounded up.
pub(crate) fn resources(notes: &mut Notes, field: &str, amounts: &Amounts) -> Resources {
    let mut resources = Resources::default();
    for (name, amount) in amounts {
        match name.as_str() {
            "cpu" => resources.cpu = MilliCpu(capped(notes, field, amount.milli())),
            "memory" => resources.memory = Bytes(capped(notes, field, amount.value())),
            "ephemeral-storage" => resources.ephemeral = Bytes(capped(notes, field, amount.value())),
            "pods" => resources.pods = capped(notes, field, amount.value()),
            _ => {
                let value = capped(notes, field, amount.value());
                resources.extended.insert(notes.name(field, name), value);
            }
        }
    }
    resources
}

fn restartable(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Requests, with the limit where no request is given: the API server does so for pods, but leaves
/// templates as they were written.
fn requests(notes: &mut Notes, field: &str, from: Option<&ResourceRequirements>) -> Amounts {
    let Some(from) = from else { return Amounts::new() };
    let mut requests = amounts(notes, &format!("{field}.requests"), from.requests.as_ref());
    for (name, limit) in amounts(notes, &format!("{field}.limits"), from.limits.as_ref()) {
        if from.requests.as_ref().is_none_or(|given| !given.contains_key(&name)) {
            requests.insert(name, limit);
        }
    }
    requests
}

/// While a running pod is resized in place, the node holds the larger of old and new; of a resize
/// that the node refused, only the old counts.
fn resized(notes: &mut Notes, asked: Amounts, status: Option<&ContainerStatus>, infeasible: bool) -> Amounts {
    let Some(status) = status else { return asked };
    let Some(actual) = &status.resources else { return asked };
    let mut held = amounts(notes, "status.containerStatuses.resources.requests", actual.requests.as_ref());
    raise(
        &mut held,
        &amounts(notes, "status.containerStatuses.allocatedResources", status.allocated_resources.as_ref()),
    );
    if !infeasible {
        raise(&mut held, &asked);
    }
    held
}

fn statuses(list: Option<&Vec<ContainerStatus>>) -> BTreeMap<&str, &ContainerStatus> {
    list.into_iter().flatten().map(|status| (status.name.as_str(), status)).collect()
}

fn pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// What the pod, or a pod of this template (no status), effectively asks of a node.
pub(crate) fn effective(notes: &mut Notes, prefix: &str, spec: &PodSpec, status: Option<&PodStatus>) -> Resources {
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let infeasible =
        conditions.iter().any(|c| c.type_ == "PodResizePending" && c.reason.as_deref() == Some("Infeasible"));
    let running = statuses(status.and_then(|status| status.container_statuses.as_ref()));
    let starting = statuses(status.and_then(|status| status.init_container_statuses.as_ref()));

    let mut total = Amounts::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let asked = requests(notes, &format!("{prefix}.containers[{index}].resources"), container.resources.as_ref());
        add(&mut total, &resized(notes, asked, running.get(container.name.as_str()).copied(), infeasible));
    }
    let mut sidecars = Amounts::new();
    let mut start_up = Amounts::new();
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let asked =
            requests(notes, &format!("{prefix}.initContainers[{index}].resources"), container.resources.as_ref());
        if restartable(container) {
            let held = resized(notes, asked, starting.get(container.name.as_str()).copied(), infeasible);
            add(&mut total, &held);
            add(&mut sidecars, &held);
            raise(&mut start_up, &sidecars);
        } else {
            let mut moment = asked;
            add(&mut moment, &sidecars);
            raise(&mut start_up, &moment);
        }
    }
    raise(&mut total, &start_up);

    if let Some(whole) = &spec.resources {
        let field = format!("{prefix}.resources");
        let given = amounts(notes, &format!("{field}.requests"), whole.requests.as_ref());
        let limits = amounts(notes, &format!("{field}.limits"), whole.limits.as_ref());
        // A pod-level limit without a request defaults to the containers' sum, or else to itself.
        for (name, limit) in limits {
            if pod_level(&name) && !total.contains_key(&name) {
                total.insert(name, limit);
            }
        }
        for (name, amount) in given {
            if pod_level(&name) {
                total.insert(name, amount);
            }
        }
    }
    add(&mut total, &amounts(notes, &format!("{prefix}.overhead"), spec.overhead.as_ref()));
    total.retain(|_, amount| *amount != Quantity::ZERO);
    let mut resources = resources(notes, "requests", &total);
    resources.pods = 1;
    resources
}

/// The containers that run for as long as the pod does, with their requests and limits.
pub(crate) fn containers(notes: &mut Notes, spec: &PodSpec) -> Vec<ContainerFact> {
    let sidecars = spec.init_containers.iter().flatten().filter(|container| restartable(container));
    let mut facts = Vec::with_capacity(spec.containers.len());
    for container in spec.containers.iter().chain(sidecars) {
        // Faults were noted, with their place, when the effective request was read.
        let quiet = &mut Notes::default();
        let asked = requests(quiet, "", container.resources.as_ref());
        let limits = amounts(quiet, "", container.resources.as_ref().and_then(|resources| resources.limits.as_ref()));
        let cpu = |from: &Amounts| from.get("cpu").map(|amount| MilliCpu(amount.milli().min(LARGEST)));
        let memory = |from: &Amounts| from.get("memory").map(|amount| Bytes(amount.value().min(LARGEST)));
        facts.push(ContainerFact {
            name: notes.name("containers.name", &container.name),
            cpu_request: cpu(&asked),
            memory_request: memory(&asked),
            cpu_limit: cpu(&limits),
            memory_limit: memory(&limits),
        });
    }
    facts
}
