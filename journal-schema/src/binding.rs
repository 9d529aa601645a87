//! What binds: of what a proven bound is made, as data and in words.
//!
//! A bound gives every pod a worth. Where a pod costs what it asks of a resource, that resource binds;
//! where it costs more, other pods are kept off its machine, or its size leaves room that nothing fills.

use serde::{Deserialize, Serialize};

use crate::facts::WorkloadId;
use crate::reason::ReasonText;
use crate::text::Name;
use crate::units::Ppm;

/// What keeps a set of machines from being cheaper.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Bottleneck {
    /// A resource, as the scheduler names it: `cpu`, `memory`, `pods`, `ephemeral-storage`, or an extended one.
    Resource {
        /// Which.
        resource: Name,
    },
    /// How many volumes of a driver can be attached to a node.
    AttachLimit {
        /// Driver.
        driver: Name,
    },
    /// Pods that keep each other off a node, by anti-affinity or a host port.
    KeptApart {
        /// Of how many workloads.
        workloads: u32,
        /// The workload to which most of it is due; `None` when its pods belong to none.
        most: Option<WorkloadId>,
    },
    /// Pods of which a machine takes so few that they leave room which nothing fills.
    Size {
        /// Of how many workloads.
        workloads: u32,
        /// The workload to which most of it is due; `None` when its pods belong to none.
        most: Option<WorkloadId>,
    },
}

/// The share of one bottleneck in what the pods of a place are worth at the prices that prove the bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The zone; `None` for the cluster as a whole.
    pub zone: Option<Name>,
    /// What binds.
    pub by: Bottleneck,
    /// Its share.
    pub share: Ppm,
}

impl Bottleneck {
    /// The bottleneck in words: what follows "bound by".
    pub fn text(&self) -> ReasonText {
        let (code, sentence, fix) = match self {
            Self::Resource { resource } => match resource.as_str() {
                "cpu" => ("Cpu", "CPU".to_owned(), "lower CPU requests that are not used"),
                "memory" => ("Memory", "memory".to_owned(), "lower memory requests that are not used"),
                "pods" => ("Pods", "pods per node".to_owned(), "let a node run more pods"),
                "ephemeral-storage" => ("EphemeralStorage", "ephemeral storage".to_owned(), "use larger boot disks"),
                other => ("ExtendedResource", other.to_owned(), ""),
            },
            Self::AttachLimit { driver } => ("AttachLimit", format!("the attach limit of {driver}"), ""),
            Self::KeptApart { workloads, most } => (
                "KeptApart",
                format!("anti-affinity of {}", whose(*workloads, most.as_ref())),
                "keep replicas apart by zone, or by a preference",
            ),
            Self::Size { workloads, most } => (
                "Size",
                format!("the size of pods of {}", whose(*workloads, most.as_ref())),
                "split large pods, or offer machine types that they fill",
            ),
        };
        ReasonText { code, sentence, fix: (!fix.is_empty()).then_some(fix) }
    }
}

/// `Deployment shop/cart`, or `12 workloads (Deployment shop/cart first)`.
fn whose(workloads: u32, most: Option<&WorkloadId>) -> String {
    match (workloads, most) {
        (0 | 1, Some(most)) => most.to_string(),
        (0 | 1, None) => "pods without a workload".to_owned(),
        (workloads, Some(most)) => format!("{workloads} workloads ({most} first)"),
        (workloads, None) => format!("{workloads} workloads"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Key, WorkloadKind};

    fn cart() -> WorkloadId {
        WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(Name::truncated("shop"), Name::truncated("cart")) }
    }

    #[test]
    fn what_binds_reads_after_bound_by() {
        let sentence = |by: Bottleneck| by.text().sentence;
        assert_eq!(sentence(Bottleneck::Resource { resource: Name::truncated("cpu") }), "CPU");
        assert_eq!(sentence(Bottleneck::Resource { resource: Name::truncated("pods") }), "pods per node");
        assert_eq!(sentence(Bottleneck::Resource { resource: Name::truncated("a.io/gpu") }), "a.io/gpu");
        let one = Bottleneck::KeptApart { workloads: 1, most: Some(cart()) };
        assert_eq!(sentence(one), "anti-affinity of Deployment shop/cart");
        let many = Bottleneck::Size { workloads: 12, most: Some(cart()) };
        assert_eq!(sentence(many), "the size of pods of 12 workloads (Deployment shop/cart first)");
        let nobody = Bottleneck::KeptApart { workloads: 1, most: None };
        assert_eq!(sentence(nobody), "anti-affinity of pods without a workload");
    }
}
