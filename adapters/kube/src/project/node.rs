//! Nodes and CSINodes.

use journal_schema::facts::{CsiNodeFact, Kind, NodeFact, Object, Taint};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::CSINode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{IdentityError, Notes, Project, Projected, meta, pod_spec, resources};

fn taints(notes: &mut Notes, from: &[k8s_openapi::api::core::v1::Taint]) -> Vec<Taint> {
    let mut taints = Vec::with_capacity(from.len());
    for taint in from {
        let Some(effect) = pod_spec::taint_effect(&taint.effect) else {
            notes.unknown("taint effect");
            continue;
        };
        taints.push(Taint {
            key: notes.name("spec.taints.key", &taint.key),
            value: notes.name("spec.taints.value", taint.value.as_deref().unwrap_or_default()),
            effect,
        });
    }
    // Controllers rewrite the list in any order; the order means nothing.
    taints.sort();
    taints
}

impl Project for Node {
    const KIND: Kind = Kind::Node;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let meta = &self.metadata;
        let mut notes = Notes::default();
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .and_then(|conditions| conditions.iter().find(|condition| condition.type_ == "Ready"));
        let provider_id = spec.and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
        let allocatable =
            resources::amounts(&mut notes, "status.allocatable", status.and_then(|status| status.allocatable.as_ref()));
        let taints = taints(&mut notes, spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default());
        let mut fact = NodeFact {
            name: meta::name(meta)?,
            uid: meta::uid(meta)?,
            provider_id: notes.name("spec.providerID", provider_id),
            instance_id: meta::annotation(meta, meta::INSTANCE_ID).and_then(|text| text.parse().ok()),
            labels: meta::labels(&mut notes, meta),
            taints: notes.few("taints", taints),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            allocatable: resources::resources(&mut notes, "status.allocatable", &allocatable),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_changed_at: ready.and_then(|condition| condition.last_transition_time.as_ref()).map(meta::time),
            created_at: meta::created(meta),
            deletion_at: meta::deleted(meta),
            scale_down_disabled: meta::says_true(meta, meta::SCALE_DOWN_DISABLED),
            do_not_disrupt: meta::do_not_disrupt(meta),
            excluded: meta::excluded(meta),
            unknown: journal_schema::text::Few::default(),
        };
        // What runs on another system cannot run on a machine that kinema boots, whatever the rules say.
        if !matches!(fact.label("kubernetes.io/os"), "" | "linux") {
            notes.unknown("an operating system other than Linux");
        }
        let room = &fact.allocatable;
        if room.cpu.0 <= 0 || room.memory.0 <= 0 || room.pods <= 0 {
            notes.unknown("status.allocatable: no cpu, memory or pods");
        }
        fact.unknown = notes.take_unknown();
        Ok(notes.done(Object::Node(fact)))
    }
}

impl Project for CSINode {
    const KIND: Kind = Kind::CsiNode;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let mut fact = CsiNodeFact { name: meta::name(&self.metadata)?, limits: std::collections::BTreeMap::new() };
        for driver in &self.spec.drivers {
            if let Some(count) = driver.allocatable.as_ref().and_then(|allocatable| allocatable.count) {
                fact.limits.insert(notes.name("spec.drivers.name", &driver.name), i64::from(count));
            }
        }
        Ok(notes.done(Object::CsiNode(fact)))
    }
}
