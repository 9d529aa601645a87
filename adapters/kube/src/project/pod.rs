//! Pods and namespaces.

use journal_schema::facts::{Kind, NamespaceFact, Object, PodFact, PodPhase};
use journal_schema::units::Millis;
use k8s_openapi::api::core::v1::{Namespace, Pod, PodCondition, PodSpec};
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

/// Least and most that a pod may be said to take to move, in thousandths of an ordinary move.
const MOVE_COST: std::ops::RangeInclusive<u32> = 100..=1_000_000;

/// `move-cost` in thousandths of an ordinary move. What cannot be read is named, so that the pod is left where it is:
/// whoever wrote it meant to say something of its moves.
fn move_cost(notes: &mut Notes, meta: &ObjectMeta) -> Option<u32> {
    let text = meta::annotation(meta, meta::MOVE_COST)?;
    let cost = thousandths(text.trim()).filter(|cost| MOVE_COST.contains(cost));
    if cost.is_none() {
        notes.unknown(format!("annotation {} that is no number from 0.1 to 1000", meta::MOVE_COST));
    }
    cost
}

/// A decimal of at most three digits after the point, in thousandths.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(part)
}

/// From being bound to being ready, by the times at which the conditions came to hold.
fn ready_after(conditions: &[PodCondition]) -> Option<Millis> {
    let since = |kind: &str| {
        let condition = conditions.iter().find(|c| c.type_ == kind && c.status == "True")?;
        condition.last_transition_time.as_ref().map(meta::time)
    };
    let took = since("Ready")?.since(since("PodScheduled")?);
    (took >= Millis::ZERO).then_some(took)
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
        let move_cost = move_cost(&mut notes, meta);
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
            move_cost,
            ready_after: ready_after(conditions),
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
