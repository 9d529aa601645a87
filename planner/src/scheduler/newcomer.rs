//! Machines that are not there yet, as the scheduler will see them.

use journal_schema::facts::{DoNotDisrupt, Key, Labels, NodeFact, PodFact, PodPhase, PodSpecFact, Taint};
use journal_schema::plan::Slot;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Resources, Timestamp};

/// The name of a new machine: a space cannot be in the name of a real node.
pub(crate) fn machine_name(slot: Slot) -> Name {
    Name::truncated(format!("new machine {}", slot.0))
}

/// A ready node without a pod.
pub(crate) fn node(
    name: &Name,
    labels: Labels,
    taints: Few<Taint>,
    allocatable: Resources,
    created_at: Timestamp,
) -> NodeFact {
    NodeFact {
        name: name.clone(),
        uid: Name::default(),
        provider_id: Name::default(),
        instance_id: None,
        labels,
        taints,
        unschedulable: false,
        allocatable,
        ready: true,
        ready_changed_at: None,
        created_at,
        deletion_at: None,
        scale_down_disabled: false,
        do_not_disrupt: DoNotDisrupt::No,
        excluded: false,
        unknown: Few::default(),
    }
}

/// A pod that starts on a new machine by itself; `number` tells those of one machine apart.
pub(crate) fn system_pod(node: &Name, number: usize, spec: PodSpecFact) -> PodFact {
    PodFact {
        node: Some(node.clone()),
        phase: PodPhase::Running,
        ready: true,
        ..PodFact::new(
            Key::new(Name::truncated("system of new machines"), Name::truncated(format!("{} {number}", node.as_str()))),
            Name::default(),
            spec,
            Timestamp(0),
        )
    }
}
