//! Volumes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Key, NodeTerm};
use crate::text::{Few, Name};

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PvcFact {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Name,
    /// The bound volume's name; `None` until bound.
    #[serde(default)]
    pub volume: Option<Name>,
    /// Storage class.
    #[serde(default)]
    pub storage_class: Name,
    /// Access modes ReadWriteOnce or ReadWriteOncePod: one node at a time.
    #[serde(default)]
    pub single_node: bool,
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PvFact {
    /// Name.
    pub name: Name,
    /// UID.
    pub uid: Name,
    /// CSI driver, or the in-tree plugin's name; empty when unknown.
    #[serde(default)]
    pub driver: Name,
    /// Required node affinity: terms are ORed; `None` when absent.
    #[serde(default)]
    pub node_affinity: Option<Few<NodeTerm>>,
    /// Zones of the legacy zone label; empty when absent.
    #[serde(default)]
    pub zones: Few<Name>,
}

/// A CSINode: how many volumes of each driver a node may have attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsiNodeFact {
    /// The node's name.
    pub name: Name,
    /// Limit by driver, where the driver tells one.
    #[serde(default)]
    pub limits: BTreeMap<Name, i64>,
}
