//! Rules that look at one node and its pods only.

use journal_schema::facts::{HostPort, NodeFact, PodFact, PodSpecFact, Taint, TaintEffect};
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::Resources;

use super::matching::{node_affinity_matches, tolerates, untolerated};

/// The taint that stands for a cordon.
const UNSCHEDULABLE_KEY: &str = "node.kubernetes.io/unschedulable";
/// The address that means every address.
const ANY_ADDRESS: &str = "0.0.0.0";

/// Plugin NodeUnschedulable: a cordoned node takes a pod only if the pod tolerates the cordon's taint.
pub(super) fn node_unschedulable(spec: &PodSpecFact, node: &NodeFact) -> Result<(), Reason> {
    if !node.unschedulable {
        return Ok(());
    }
    let cordon =
        Taint { key: Name::truncated(UNSCHEDULABLE_KEY), value: Name::default(), effect: TaintEffect::NoSchedule };
    if !tolerates(&spec.tolerations, &cordon) {
        return Err(Reason::Unschedulable);
    }
    Ok(())
}

/// Plugin TaintToleration: every NoSchedule and NoExecute taint is tolerated.
pub(super) fn taint_toleration(spec: &PodSpecFact, node: &NodeFact) -> Result<(), Reason> {
    match untolerated(&spec.tolerations, &node.taints) {
        Some(taint) => Err(Reason::Taint { key: taint.key.clone() }),
        None => Ok(()),
    }
}

/// Plugin NodeAffinity.
pub(super) fn node_affinity(spec: &PodSpecFact, node: &NodeFact) -> Result<(), Reason> {
    if node_affinity_matches(spec, node) { Ok(()) } else { Err(Reason::NodeAffinity) }
}

/// Plugin NodePorts: no other pod of the node has the port and protocol on the same address, where
/// 0.0.0.0 is the same as any.
pub(super) fn node_ports<'a>(spec: &PodSpecFact, mut pods: impl Iterator<Item = &'a PodFact>) -> Result<(), Reason> {
    if spec.host_ports.is_empty() {
        return Ok(());
    }
    let clash = pods.find_map(|pod| {
        spec.host_ports.iter().find(|wanted| pod.spec.host_ports.iter().any(|taken| ports_clash(wanted, taken)))
    });
    match clash {
        Some(wanted) => Err(Reason::HostPort { port: wanted.port }),
        None => Ok(()),
    }
}

fn ports_clash(wanted: &HostPort, taken: &HostPort) -> bool {
    let any = |ip: &Name| ip.is_empty() || ip.as_str() == ANY_ADDRESS;
    wanted.port > 0
        && wanted.port == taken.port
        && protocol(wanted) == protocol(taken)
        && (any(&wanted.ip) || any(&taken.ip) || wanted.ip == taken.ip)
}

fn protocol(port: &HostPort) -> &str {
    if port.protocol.is_empty() { "TCP" } else { &port.protocol }
}

/// Plugin NodeResourcesFit: room for one more pod, and for every resource that the pod asks for. A
/// resource that is not asked for is not looked at, even when the node has less than nothing left.
pub(super) fn resources_fit(spec: &PodSpecFact, used: &Resources, allocatable: &Resources) -> Result<(), Reason> {
    let short = |resource: &str| Err(Reason::InsufficientResource { resource: Name::truncated(resource) });
    let wanted = &spec.requests;
    if used.pods + 1 > allocatable.pods {
        return short("pods");
    }
    if wanted.cpu.0 > 0 && wanted.cpu > allocatable.cpu - used.cpu {
        return short("cpu");
    }
    if wanted.memory.0 > 0 && wanted.memory > allocatable.memory - used.memory {
        return short("memory");
    }
    if wanted.ephemeral.0 > 0 && wanted.ephemeral > allocatable.ephemeral - used.ephemeral {
        return short("ephemeral-storage");
    }
    for (name, amount) in &wanted.extended {
        let of = |amounts: &Resources| amounts.extended.get(name).copied().unwrap_or(0);
        if *amount > 0 && *amount > of(allocatable) - of(used) {
            return short(name);
        }
    }
    Ok(())
}
