//! Rules about the volumes of a pod.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal_schema::facts::{Key, NodeFact, PodFact, PvFact};
use journal_schema::reason::Reason;
use journal_schema::text::Name;

use super::matching::node_term_matches;
use super::snapshot::Snapshot;

const ZONE_KEYS: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
const REGION_KEYS: [&str; 2] = ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];

/// The volumes of a pod by claim, or why they are not known.
pub(super) fn resolve(snapshot: &Snapshot, pod: &PodFact) -> Result<Vec<(Name, Arc<PvFact>)>, Reason> {
    pod.spec
        .claims
        .iter()
        .map(|claim| {
            let key = Key::new(pod.key.namespace.clone(), claim.clone());
            let volume = snapshot.claims.get(&key).and_then(Option::as_ref).and_then(|name| snapshot.volumes.get(name));
            match volume {
                Some(volume) => Ok((claim.clone(), Arc::clone(volume))),
                None => Err(Reason::VolumeUnknown { claim: claim.clone() }),
            }
        })
        .collect()
}

/// Plugins VolumeBinding (the volume's node affinity) and VolumeZone (the zone label of old
/// volumes, which binds only on nodes that have a topology label at all).
pub(super) fn volumes_reach(volumes: &[(Name, Arc<PvFact>)], node: &NodeFact) -> Result<(), Reason> {
    for (claim, volume) in volumes {
        let bound_here =
            volume.node_affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| node_term_matches(term, node)));
        if !bound_here || !zone_matches(volume, node) {
            return Err(Reason::VolumeZone { claim: claim.clone() });
        }
    }
    Ok(())
}

fn zone_matches(volume: &PvFact, node: &NodeFact) -> bool {
    let label = |key: &&str| node.labels.get(*key);
    let has_topology = ZONE_KEYS.iter().chain(&REGION_KEYS).any(|key| label(key).is_some());
    if volume.zones.is_empty() || !has_topology {
        return true;
    }
    ZONE_KEYS.iter().find_map(label).is_some_and(|zone| volume.zones.contains(zone))
}

/// Plugin NodeVolumeLimits: for each CSI driver with a limit on this node, the volumes of the
/// node's pods and of the new pod, each counted once, are within it.
pub(super) fn volume_limits(
    snapshot: &Snapshot,
    volumes: &[(Name, Arc<PvFact>)],
    node: &NodeFact,
) -> Result<(), Reason> {
    let Some(limits) = snapshot.attach_limits.get(&node.name) else { return Ok(()) };
    if volumes.is_empty() || limits.is_empty() {
        return Ok(());
    }
    let mut attached: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
    for pod in snapshot.pods_on(&node.name) {
        for claim in &pod.spec.claims {
            let key = Key::new(pod.key.namespace.clone(), claim.clone());
            let volume = snapshot.claims.get(&key).and_then(Option::as_ref).and_then(|name| snapshot.volumes.get(name));
            // A volume of a running pod that is not known cannot be counted, as in the real plugin.
            if let Some(volume) = volume {
                attached.entry(&volume.driver).or_default().insert(&volume.name);
            }
        }
    }
    for (driver, limit) in limits {
        let present = attached.get(driver);
        let new: BTreeSet<&Name> = volumes
            .iter()
            .filter(|(_, volume)| {
                volume.driver == *driver && !present.is_some_and(|names| names.contains(&volume.name))
            })
            .map(|(_, volume)| &volume.name)
            .collect();
        let total = present.map_or(0, BTreeSet::len) + new.len();
        if !new.is_empty() && i64::try_from(total).unwrap_or(i64::MAX) > *limit {
            return Err(Reason::AttachLimit { driver: driver.clone() });
        }
    }
    Ok(())
}
