//! Pods and namespaces.

use journal_schema::facts::{Kind, NamespaceFact, Object, PodFact, PodPhase};
use k8s_openapi::api::core::v1::{Namespace, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{IdentityError, Notes, Project, Projected, meta, pod_spec};

fn phase(notes: &mut Notes, text: Option<&str>) -> PodPhase {
    match text {
        None | Some("" | "Pending") => PodPhase::Pending,
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some("Unknown") => PodPhase::Unknown,
        Some(_) => {
            notes.unknown("pod phase");
            PodPhase::Unknown
        }
    }
}

/// `safe-to-evict`: what is neither yes nor no says nothing.
fn safe_to_evict(meta: &ObjectMeta) -> Option<bool> {
    match meta::annotation(meta, meta::SAFE_TO_EVICT) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) | None => None,
    }
}

impl Project for Pod {
    const KIND: Kind = Kind::Pod;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let meta = &self.metadata;
        let mut notes = Notes::default();
        let empty = PodSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        let status = self.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        // Noted first, because the spec takes what was not understood with it.
        let phase = phase(&mut notes, status.and_then(|status| status.phase.as_deref()));
        let labels = meta::labels(&mut notes, meta);
        let node =
            spec.node_name.as_deref().filter(|name| !name.is_empty()).map(|name| notes.name("spec.nodeName", name));
        let deletion_cost = match meta::annotation(meta, meta::POD_DELETION_COST) {
            None => 0,
            // What the ReplicaSet controller cannot read counts as zero there, too.
            Some(text) => text.parse().unwrap_or(0),
        };
        let fact = PodFact {
            key: meta::key(meta)?,
            uid: meta::uid(meta)?,
            owner: meta::owner(meta)?,
            node,
            phase,
            ready: conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
            unschedulable: conditions.iter().any(|c| {
                c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable")
            }),
            created_at: meta::created(meta),
            deletion_at: meta::deleted(meta),
            labels: labels.into(),
            spec: pod_spec::pod_spec(&mut notes, "spec", Some(meta), spec, status).into(),
            mirror: meta::annotation(meta, meta::MIRROR).is_some(),
            safe_to_evict: safe_to_evict(meta),
            do_not_disrupt: meta::do_not_disrupt(meta),
            prefer_no_eviction: meta::annotation(meta, meta::PREFER_NO_EVICTION).is_some_and(|value| value != "false"),
            deletion_cost,
            excluded: meta::excluded(meta),
        };
        Ok(notes.done(Object::Pod(fact)))
    }
}

impl Project for Namespace {
    const KIND: Kind = Kind::Namespace;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let labels = meta::labels(&mut notes, &self.metadata);
        let fact =
            NamespaceFact { name: meta::name(&self.metadata)?, labels, excluded: meta::excluded(&self.metadata) };
        Ok(notes.done(Object::Namespace(fact)))
    }
}
