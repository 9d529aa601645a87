//! What a pod, or a workload's template, asks of a node.

use journal_schema::facts::{HostPort, PodSpecFact, TaintEffect, Toleration};
use journal_schema::text::Name;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodStatus, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Notes, affinity, meta, resources};

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_SECS: i64 = 30;

/// A taint's or toleration's effect.
pub(crate) fn taint_effect(text: &str) -> Option<TaintEffect> {
    match text {
        "NoSchedule" => Some(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
        "NoExecute" => Some(TaintEffect::NoExecute),
        _ => None,
    }
}

fn toleration(notes: &mut Notes, from: &k8s_openapi::api::core::v1::Toleration) -> Option<Toleration> {
    let exists = match from.operator.as_deref() {
        None | Some("" | "Equal") => false,
        Some("Exists") => true,
        Some(_) => {
            notes.unknown("toleration operator");
            return None;
        }
    };
    let effect = match from.effect.as_deref() {
        None | Some("") => None,
        Some(text) => match taint_effect(text) {
            Some(effect) => Some(effect),
            None => {
                notes.unknown("toleration effect");
                return None;
            }
        },
    };
    Some(Toleration {
        key: notes.name("tolerations.key", from.key.as_deref().unwrap_or_default()),
        exists,
        value: notes.name("tolerations.value", from.value.as_deref().unwrap_or_default()),
        effect,
    })
}

/// What a pod's volumes mean for its placement.
#[derive(Default)]
struct Volumes {
    claims: Vec<Name>,
    local: Vec<Name>,
}

fn volume(notes: &mut Notes, pod: Option<&str>, from: &Volume, into: &mut Volumes) {
    if let Some(claim) = &from.persistent_volume_claim {
        into.claims.push(notes.name("volumes.persistentVolumeClaim", &claim.claim_name));
    } else if from.ephemeral.is_some() {
        // The claim's name is derived from the pod's; a template has none yet.
        if let Some(pod) = pod {
            into.claims.push(notes.name("volumes.ephemeral", &format!("{pod}-{}", from.name)));
        }
    } else if let Some(empty) = &from.empty_dir {
        if !empty.medium.as_deref().unwrap_or_default().starts_with("Memory") {
            into.local.push(notes.name("volumes.name", &from.name));
        }
    } else if from.host_path.is_some() {
        into.local.push(notes.name("volumes.name", &from.name));
    } else if from.config_map.is_none()
        && from.secret.is_none()
        && from.projected.is_none()
        && from.downward_api.is_none()
        && from.csi.is_none()
        && from.image.is_none()
        && from.nfs.is_none()
        && from.azure_file.is_none()
        && from.cephfs.is_none()
    {
        // Disks attached without a claim bind to zones and to attach limits that are not modelled.
        notes.unknown("volume type");
    }
}

fn host_ports(notes: &mut Notes, spec: &PodSpec) -> Vec<HostPort> {
    let restartable = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(restartable);
    let mut ports = Vec::new();
    for port in spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten()) {
        let on_host = match port.host_port {
            Some(number) if number != 0 => number,
            _ if spec.host_network == Some(true) => port.container_port,
            _ => continue,
        };
        let Ok(number) = u16::try_from(on_host) else {
            notes.unknown("host port");
            continue;
        };
        let text = |given: Option<&str>, default: &'static str| match given {
            None | Some("") => default.to_owned(),
            Some(given) => given.to_owned(),
        };
        ports.push(HostPort {
            ip: notes.name("ports.hostIP", &text(port.host_ip.as_deref(), "0.0.0.0")),
            protocol: notes.name("ports.protocol", &text(port.protocol.as_deref(), "TCP")),
            port: number,
        });
    }
    ports
}

fn unknown_rules(notes: &mut Notes, spec: &PodSpec, status: Option<&PodStatus>) {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let claims_devices = containers
        .filter_map(|container| container.resources.as_ref())
        .chain(spec.resources.as_ref())
        .any(|resources| resources.claims.as_ref().is_some_and(|claims| !claims.is_empty()));
    let of_pod = spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty());
    if claims_devices || of_pod || status.is_some_and(|status| status.extended_resource_claim_status.is_some()) {
        notes.unknown("resourceClaims");
    }
    if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        notes.unknown("schedulingGates");
    }
    if spec.scheduling_group.is_some() {
        notes.unknown("schedulingGroup");
    }
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        notes.unknown("an operating system other than Linux");
    }
}

/// The priority of a template, which the API server resolves for pods only.
fn priority(spec: &PodSpec) -> i32 {
    spec.priority.unwrap_or(match spec.priority_class_name.as_deref() {
        Some("system-cluster-critical") => 2_000_000_000,
        Some("system-node-critical") => 2_000_001_000,
        _ => 0,
    })
}

/// Projects a pod's spec. `meta` is the pod's, or the template's (then without a name and a status);
/// `prefix` is the spec's path inside the object.
pub(crate) fn pod_spec(
    notes: &mut Notes,
    prefix: &str,
    meta: Option<&ObjectMeta>,
    spec: &PodSpec,
    status: Option<&PodStatus>,
) -> PodSpecFact {
    let own = meta.and_then(|meta| meta.labels.as_ref());
    unknown_rules(notes, spec, status);

    let mut volumes = Volumes::default();
    let pod_name = meta.and_then(|meta| meta.name.as_deref());
    for from in spec.volumes.iter().flatten() {
        volume(notes, pod_name, from, &mut volumes);
    }
    let safe = meta.and_then(|meta| meta::annotation(meta, meta::SAFE_LOCAL_VOLUMES)).unwrap_or_default();
    // The annotation is free text: only the names of volumes that exist are kept of it.
    let safe: Vec<Name> = volumes
        .local
        .iter()
        .filter(|name| safe.split(',').any(|listed| listed.trim() == name.as_str()))
        .cloned()
        .collect();

    let tolerations: Vec<Toleration> =
        spec.tolerations.iter().flatten().filter_map(|from| toleration(notes, from)).collect();
    let spread =
        spec.topology_spread_constraints.iter().flatten().map(|from| affinity::spread(notes, own, from)).collect();
    let containers = resources::containers(notes, spec);
    let ports = host_ports(notes, spec);
    let scheduler = spec.scheduler_name.as_deref().filter(|name| *name != "default-scheduler").unwrap_or_default();
    let grace = spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_SECS).max(0);

    let mut fact = PodSpecFact {
        requests: resources::effective(notes, prefix, spec, status),
        containers: notes.few("containers", containers),
        node_selector: meta::pairs(notes, "nodeSelector", spec.node_selector.as_ref()),
        spread: notes.few("topology spread constraints", spread),
        tolerations: notes.few("tolerations", tolerations),
        claims: notes.few("volumes", volumes.claims),
        local_volumes: notes.few("volumes", volumes.local),
        safe_local_volumes: notes.few("volumes", safe),
        host_ports: notes.few("host ports", ports),
        priority: priority(spec),
        scheduler: notes.name("schedulerName", scheduler),
        grace_secs: u32::try_from(grace).unwrap_or(u32::MAX),
        ..PodSpecFact::default()
    };
    if let Some(from) = &spec.affinity {
        affinity::affinity(notes, own, from, &mut fact);
    }
    fact.unknown = notes.take_unknown();
    fact
}
