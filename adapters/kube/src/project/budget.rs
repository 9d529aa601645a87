//! PodDisruptionBudgets and HorizontalPodAutoscalers.

use journal_schema::facts::{HpaFact, IntOrPercent, Key, Kind, Object, PdbFact, WorkloadId, WorkloadKind};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec, MetricStatus};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{IdentityError, Notes, Project, Projected, meta, selector};

/// A number or a share. What is neither is a fault.
pub(crate) fn int_or_percent(notes: &mut Notes, field: &str, from: &IntOrString) -> Option<IntOrPercent> {
    match from {
        IntOrString::Int(number) => Some(IntOrPercent::Int(*number)),
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).map(IntOrPercent::Percent);
            if percent.is_none() {
                let short: String = text.chars().take(64).collect();
                notes.fault(
                    field,
                    format!("{short:?} is neither a number nor a share; expected for example 1 or \"25%\""),
                );
            }
            percent
        }
    }
}

impl Project for PodDisruptionBudget {
    const KIND: Kind = Kind::PodDisruptionBudget;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let selector = spec
            .and_then(|spec| spec.selector.as_ref())
            .map(|from| selector::selector(&mut notes, "spec.selector", from));
        let min = spec.and_then(|spec| spec.min_available.as_ref());
        let max = spec.and_then(|spec| spec.max_unavailable.as_ref());
        let mut fact = PdbFact {
            key: meta::key(&self.metadata)?,
            uid: meta::uid(&self.metadata)?,
            selector,
            min_available: min.and_then(|from| int_or_percent(&mut notes, "spec.minAvailable", from)),
            max_unavailable: max.and_then(|from| int_or_percent(&mut notes, "spec.maxUnavailable", from)),
            disruptions_allowed: status.and_then(|status| status.disruptions_allowed).unwrap_or(0),
            current_healthy: status.and_then(|status| status.current_healthy).unwrap_or(0),
            desired_healthy: status.and_then(|status| status.desired_healthy).unwrap_or(0),
            expected: status.and_then(|status| status.expected_pods).unwrap_or(0),
            always_allow_unhealthy: spec.and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref())
                == Some("AlwaysAllow"),
        };
        // The eviction API refuses while the controller has not seen the newest spec.
        let seen = status.and_then(|status| status.observed_generation).unwrap_or(0);
        let behind = self.metadata.generation.is_some_and(|generation| seen < generation);
        // A budget that is not understood allows nothing, and covers the whole namespace.
        let doubtful = !notes.take_unknown().is_empty();
        if behind || doubtful {
            fact.disruptions_allowed = 0;
        }
        if doubtful {
            fact.selector = Some(journal_schema::facts::Selector::default());
            fact.always_allow_unhealthy = false;
        }
        Ok(notes.done(Object::Pdb(fact)))
    }
}

/// The target of a metric on CPU utilisation.
fn cpu_target(metric: &MetricSpec) -> Option<i32> {
    let resource = metric.resource.as_ref().filter(|resource| resource.name == "cpu")?;
    resource.target.average_utilization
}

fn cpu_current(metric: &MetricStatus) -> Option<i32> {
    let resource = metric.resource.as_ref().filter(|resource| resource.name == "cpu")?;
    resource.current.average_utilization
}

/// The workload that an HPA scales, when it is of a kind that is read.
pub(crate) fn scaled(
    notes: &mut Notes,
    hpa: &Key,
    api_version: Option<&str>,
    kind: &str,
    name: &str,
) -> Option<WorkloadId> {
    let group = api_version.and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    let kind = match (group, kind) {
        ("apps", "Deployment") => WorkloadKind::Deployment,
        ("apps", "ReplicaSet") => WorkloadKind::ReplicaSet,
        ("apps", "StatefulSet") => WorkloadKind::StatefulSet,
        _ => return None,
    };
    let name = notes.name("spec.scaleTargetRef.name", name);
    Some(WorkloadId { kind, key: Key::new(hpa.namespace.clone(), name) })
}

impl Project for HorizontalPodAutoscaler {
    const KIND: Kind = Kind::HorizontalPodAutoscaler;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let key = meta::key(&self.metadata)?;
        let spec = &self.spec;
        let status = self.status.as_ref();
        let target = &spec.scale_target_ref;
        let target = scaled(&mut notes, &key, target.api_version.as_deref(), &target.kind, &target.name);
        let metrics = spec.metrics.as_deref().unwrap_or_default();
        let current = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
        let fact = HpaFact {
            uid: meta::uid(&self.metadata)?,
            target,
            min_replicas: spec.min_replicas.unwrap_or(1),
            max_replicas: spec.max_replicas,
            current_replicas: status.and_then(|status| status.current_replicas).unwrap_or(0),
            desired_replicas: status.map_or(0, |status| status.desired_replicas),
            cpu_target_percent: metrics.iter().find_map(cpu_target),
            cpu_current_percent: current.iter().find_map(cpu_current),
            other_metrics: metrics.iter().any(|metric| cpu_target(metric).is_none()),
            last_scaled_at: status.and_then(|status| status.last_scale_time.as_ref()).map(meta::time),
            key,
        };
        Ok(notes.done(Object::Hpa(fact)))
    }
}
