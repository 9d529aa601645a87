//! Deployments, ReplicaSets, StatefulSets and DaemonSets.

use journal_schema::facts::{
    IntOrPercent, Kind, Labels, Object, PodSpecFact, Selector, UpdateStrategy, WorkloadFact, WorkloadId, WorkloadKind,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{IdentityError, Notes, Project, Projected, budget, meta, pod_spec, selector};

/// The parts that all four kinds share.
struct Common {
    selector: Selector,
    template_labels: Labels,
    template: PodSpecFact,
}

fn common(notes: &mut Notes, selector: &LabelSelector, template: Option<&PodTemplateSpec>) -> Common {
    let selector = selector::selector(notes, "spec.selector", selector);
    let meta = template.and_then(|template| template.metadata.as_ref());
    let template_labels =
        meta::pairs(notes, "spec.template.metadata.labels", meta.and_then(|meta| meta.labels.as_ref()));
    let empty = PodSpec::default();
    let spec = template.and_then(|template| template.spec.as_ref()).unwrap_or(&empty);
    // A template has no name of its own; one written there names no pod.
    let meta = meta.map(|meta| ObjectMeta { name: None, ..meta.clone() });
    let template = pod_spec::pod_spec(notes, "spec.template.spec", meta.as_ref(), spec, None);
    Common { selector, template_labels, template }
}

fn rolling(
    notes: &mut Notes,
    max_unavailable: Option<&IntOrString>,
    max_surge: Option<&IntOrString>,
    defaults: (IntOrPercent, IntOrPercent),
) -> UpdateStrategy {
    let field = "spec.strategy.rollingUpdate";
    let mut read = |from: Option<&IntOrString>, default| {
        from.and_then(|from| budget::int_or_percent(notes, field, from)).unwrap_or(default)
    };
    UpdateStrategy::RollingUpdate {
        max_unavailable: read(max_unavailable, defaults.0),
        max_surge: read(max_surge, defaults.1),
    }
}

/// The fact with what the kinds share; the caller fills in the numbers.
fn fact(
    notes: &mut Notes,
    kind: WorkloadKind,
    metadata: &ObjectMeta,
    common: Common,
    strategy: UpdateStrategy,
) -> Result<WorkloadFact, IdentityError> {
    let mut template = common.template;
    // What was met after the template binds it as well: a workload has no other place for it.
    let more = notes.take_unknown();
    if !more.is_empty() {
        let mut unknown = std::mem::take(&mut template.unknown).into_vec();
        unknown.extend(more.into_vec());
        unknown.sort();
        template.unknown = notes.few("unknown rules", unknown);
    }
    Ok(WorkloadFact {
        id: WorkloadId { kind, key: meta::key(metadata)? },
        uid: meta::uid(metadata)?,
        owner: meta::owner(metadata)?,
        generation: metadata.generation.unwrap_or(0),
        observed_generation: 0,
        replicas: 0,
        current: 0,
        ready: 0,
        updated: 0,
        paused: false,
        stalled: false,
        strategy,
        selector: common.selector,
        template_labels: common.template_labels.into(),
        template: template.into(),
        claim_templates: journal_schema::text::Few::default(),
        excluded: meta::excluded(metadata),
        created_at: meta::created(metadata),
        deletion_at: meta::deleted(metadata),
    })
}

impl Project for Deployment {
    const KIND: Kind = Kind::Deployment;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let spec = &self.spec;
        let common = common(&mut notes, &spec.selector, Some(&spec.template));
        let given = spec.strategy.as_ref();
        let strategy = match given.and_then(|strategy| strategy.type_.as_deref()) {
            Some("Recreate") => UpdateStrategy::Recreate,
            other => {
                if !matches!(other, None | Some("" | "RollingUpdate")) {
                    notes.unknown("deployment strategy");
                }
                let parameters = given.and_then(|strategy| strategy.rolling_update.as_ref());
                rolling(
                    &mut notes,
                    parameters.and_then(|parameters| parameters.max_unavailable.as_ref()),
                    parameters.and_then(|parameters| parameters.max_surge.as_ref()),
                    (IntOrPercent::Percent(25), IntOrPercent::Percent(25)),
                )
            }
        };
        let mut fact = fact(&mut notes, WorkloadKind::Deployment, &self.metadata, common, strategy)?;
        fact.replicas = spec.replicas.unwrap_or(1);
        fact.paused = spec.paused.unwrap_or(false);
        if let Some(status) = &self.status {
            fact.observed_generation = status.observed_generation.unwrap_or(0);
            fact.current = status.replicas.unwrap_or(0);
            fact.ready = status.ready_replicas.unwrap_or(0);
            fact.updated = status.updated_replicas.unwrap_or(0);
            fact.stalled = status.conditions.iter().flatten().any(|c| {
                c.type_.as_deref() == Some("Progressing")
                    && c.status.as_deref() == Some("False")
                    && c.reason.as_deref() == Some("ProgressDeadlineExceeded")
            });
        }
        Ok(notes.done(Object::Workload(fact)))
    }
}

impl Project for ReplicaSet {
    const KIND: Kind = Kind::ReplicaSet;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let spec = &self.spec;
        let common = common(&mut notes, &spec.selector, spec.template.as_ref());
        // A ReplicaSet does not replace pods when its template changes.
        let mut fact = fact(&mut notes, WorkloadKind::ReplicaSet, &self.metadata, common, UpdateStrategy::OnDelete)?;
        fact.replicas = spec.replicas.unwrap_or(1);
        if let Some(status) = &self.status {
            fact.observed_generation = status.observed_generation.unwrap_or(0);
            fact.current = status.replicas;
            fact.ready = status.ready_replicas.unwrap_or(0);
            fact.updated = status.replicas;
        }
        Ok(notes.done(Object::Workload(fact)))
    }
}

impl Project for StatefulSet {
    const KIND: Kind = Kind::StatefulSet;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let spec = &self.spec;
        let common = common(&mut notes, &spec.selector, Some(&spec.template));
        let given = spec.update_strategy.as_ref();
        let strategy = match given.and_then(|strategy| strategy.type_.as_deref()) {
            Some("OnDelete") => UpdateStrategy::OnDelete,
            other => {
                if !matches!(other, None | Some("" | "RollingUpdate")) {
                    notes.unknown("statefulset strategy");
                }
                let parameters = given.and_then(|strategy| strategy.rolling_update.as_ref());
                let max_unavailable = parameters.and_then(|parameters| parameters.max_unavailable.as_ref());
                rolling(&mut notes, max_unavailable, None, (IntOrPercent::Int(1), IntOrPercent::Int(0)))
            }
        };
        let templates = spec.volume_claim_templates.as_deref().unwrap_or_default();
        let claims = templates.iter().filter_map(|claim| claim.metadata.name.as_deref());
        let claims = claims.map(|name| notes.name("spec.volumeClaimTemplates", name)).collect();
        let claims = notes.few("volume claim templates", claims);
        let mut fact = fact(&mut notes, WorkloadKind::StatefulSet, &self.metadata, common, strategy)?;
        fact.claim_templates = claims;
        fact.replicas = spec.replicas.unwrap_or(1);
        if let Some(status) = &self.status {
            fact.observed_generation = status.observed_generation.unwrap_or(0);
            fact.current = status.replicas;
            fact.ready = status.ready_replicas.unwrap_or(0);
            fact.updated = status.updated_replicas.unwrap_or(0);
        }
        Ok(notes.done(Object::Workload(fact)))
    }
}

impl Project for DaemonSet {
    const KIND: Kind = Kind::DaemonSet;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let spec = &self.spec;
        let common = common(&mut notes, &spec.selector, Some(&spec.template));
        let given = spec.update_strategy.as_ref();
        let strategy = match given.and_then(|strategy| strategy.type_.as_deref()) {
            Some("OnDelete") => UpdateStrategy::OnDelete,
            other => {
                if !matches!(other, None | Some("" | "RollingUpdate")) {
                    notes.unknown("daemonset strategy");
                }
                let parameters = given.and_then(|strategy| strategy.rolling_update.as_ref());
                rolling(
                    &mut notes,
                    parameters.and_then(|parameters| parameters.max_unavailable.as_ref()),
                    parameters.and_then(|parameters| parameters.max_surge.as_ref()),
                    (IntOrPercent::Int(1), IntOrPercent::Int(0)),
                )
            }
        };
        let mut fact = fact(&mut notes, WorkloadKind::DaemonSet, &self.metadata, common, strategy)?;
        if let Some(status) = &self.status {
            fact.observed_generation = status.observed_generation.unwrap_or(0);
            fact.replicas = status.desired_number_scheduled;
            fact.current = status.current_number_scheduled;
            fact.ready = status.number_ready;
            fact.updated = status.updated_number_scheduled.unwrap_or(0);
        }
        Ok(notes.done(Object::Workload(fact)))
    }
}
