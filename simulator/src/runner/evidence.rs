//! What a run leaves behind for those who judge it, beside its report.

use std::collections::BTreeMap;

use engine::{PhaseName, State};
use journal_schema::codec;
use journal_schema::event::Digest;
use journal_schema::facts::WorkloadId;
use journal_schema::text::Name;
use journal_schema::units::Millis;

use super::crash::Place;
use crate::faults::Struck;
use crate::world::World;

/// A kind of change and what it was of.
pub type Update = (&'static str, String);

/// What a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Digest of the daemon's last state.
    pub state: Digest,
    /// Digest of the world at the end.
    pub world: Digest,
    /// How often each kind of effect changed each object.
    pub updates: BTreeMap<Update, u32>,
    /// The most pods that each workload missed at once by the daemon's doing.
    pub worst: BTreeMap<WorkloadId, i32>,
    /// Nodes at the end, by pool.
    pub nodes: BTreeMap<Name, u32>,
    /// Where the daemon's view differs from the truth at the end, although every watch has told everything.
    pub unseen: Vec<String>,
    /// Effects that the core's own last check held back.
    pub withheld: Vec<String>,
    /// The first iteration that moved far more pods than its plan had: how many of how many.
    pub overmoved: Option<(u64, u64)>,
    /// The iteration of an older release that was carried on.
    pub carried_on: Option<u64>,
    /// What went wrong, in order.
    pub struck: Vec<Struck>,
    /// Requests that were sent.
    pub requests: u32,
    /// Calls of the journal's to its simulated disk.
    pub disk_calls: u64,
    /// Where the daemon was killed, and in which phase.
    pub killed: Vec<(Place, PhaseName)>,
    /// Each phase that an entry was folded in, and how many were.
    pub phases: BTreeMap<PhaseName, u64>,
    /// When the world was last changed by the daemon, since its first start.
    pub last_change: Option<Millis>,
    /// When the daemon was last seen in the middle of an iteration, since its first start.
    pub last_busy: Option<Millis>,
}

/// Where the daemon's view differs from the truth, although it has been told everything.
pub(super) fn unseen(world: &World, state: &State) -> Vec<String> {
    let mut found = Vec::new();
    if !world.told_everything() {
        return found;
    }
    let (view, truth) = (state.cluster(), world.cluster());
    differing(&view.nodes, &truth.nodes, "node", &mut found);
    differing(&view.pods, &truth.pods, "pod", &mut found);
    differing(&view.namespaces, &truth.namespaces, "namespace", &mut found);
    differing(&view.workloads, &truth.workloads, "workload", &mut found);
    differing(&view.pdbs, &truth.pdbs, "budget", &mut found);
    differing(&view.hpas, &truth.hpas, "autoscaler", &mut found);
    differing(&view.pvcs, &truth.pvcs, "claim", &mut found);
    differing(&view.pvs, &truth.pvs, "volume", &mut found);
    differing(&view.csi_nodes, &truth.csi_nodes, "CSINode", &mut found);
    found
}

fn differing<K: Ord + std::fmt::Display, V: PartialEq>(
    view: &BTreeMap<K, V>,
    truth: &BTreeMap<K, V>,
    what: &str,
    found: &mut Vec<String>,
) {
    for (key, fact) in truth {
        match view.get(key) {
            None => found.push(format!("{what} {key} is not seen")),
            Some(seen) if seen != fact => found.push(format!("{what} {key} is seen as it is not")),
            Some(_) => {}
        }
    }
    found.extend(view.keys().filter(|key| !truth.contains_key(key)).map(|key| format!("{what} {key} is gone")));
}

/// The digest of what can be encoded; empty otherwise.
pub(super) fn digest<T: serde::Serialize>(value: &T) -> Digest {
    codec::digest(value).unwrap_or_default()
}

/// Nodes by pool.
pub(super) fn nodes(world: &World) -> BTreeMap<Name, u32> {
    let mut nodes: BTreeMap<Name, u32> = BTreeMap::new();
    let label = Name::truncated("cloud.google.com/gke-nodepool");
    for node in world.cluster().nodes.values() {
        *nodes.entry(node.labels.get(&label).cloned().unwrap_or_default()).or_default() += 1;
    }
    nodes
}
