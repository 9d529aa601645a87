//! Budgets and autoscalers in older versions of their API, as files hold them: what they protect is
//! the same. A live API server is always asked for the newest version.

use journal_schema::facts::{HpaFact, Kind, Object};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;

use super::{IdentityError, Notes, Project, Projected, budget, meta};

/// A PodDisruptionBudget of policy/v1beta1.
#[derive(Clone, Debug, Deserialize)]
pub struct BetaBudget {
    metadata: ObjectMeta,
    spec: Option<PodDisruptionBudgetSpec>,
    status: Option<PodDisruptionBudgetStatus>,
}

impl Project for BetaBudget {
    const KIND: Kind = Kind::PodDisruptionBudget;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut spec = self.spec.clone();
        if let Some(spec) = &mut spec {
            // There, an empty selector selects nothing; in policy/v1 it selects the whole namespace.
            spec.selector = spec.selector.take().filter(|selector| {
                selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty())
                    || selector.match_expressions.as_ref().is_some_and(|expressions| !expressions.is_empty())
            });
        }
        PodDisruptionBudget { metadata: self.metadata.clone(), spec, status: self.status.clone() }.project()
    }
}

/// A HorizontalPodAutoscaler of autoscaling/v1, v2beta1 or v2beta2, as far as they agree: what is
/// scaled between which bounds, and whether more is wanted.
#[derive(Clone, Debug, Deserialize)]
pub struct OldAutoscaler {
    metadata: ObjectMeta,
    spec: OldSpec,
    status: Option<OldStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldSpec {
    scale_target_ref: OldTarget,
    min_replicas: Option<i32>,
    max_replicas: i32,
    /// autoscaling/v1 only.
    #[serde(rename = "targetCPUUtilizationPercentage")]
    target_cpu: Option<i32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldTarget {
    api_version: Option<String>,
    kind: String,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldStatus {
    #[serde(default)]
    current_replicas: i32,
    #[serde(default)]
    desired_replicas: i32,
    last_scale_time: Option<Time>,
    /// autoscaling/v1 only.
    #[serde(rename = "currentCPUUtilizationPercentage")]
    current_cpu: Option<i32>,
}

/// Where autoscaling/v1 keeps the metrics that it has no fields for.
const MORE_METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

impl Project for OldAutoscaler {
    const KIND: Kind = Kind::HorizontalPodAutoscaler;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let key = meta::key(&self.metadata)?;
        let (spec, status) = (&self.spec, self.status.as_ref());
        let target = &spec.scale_target_ref;
        let target = budget::scaled(&mut notes, &key, target.api_version.as_deref(), &target.kind, &target.name);
        let fact = HpaFact {
            uid: meta::uid(&self.metadata)?,
            target,
            min_replicas: spec.min_replicas.unwrap_or(1),
            max_replicas: spec.max_replicas,
            current_replicas: status.map_or(0, |status| status.current_replicas),
            desired_replicas: status.map_or(0, |status| status.desired_replicas),
            cpu_target_percent: spec.target_cpu,
            cpu_current_percent: status.and_then(|status| status.current_cpu),
            // The metrics of v2beta1 and v2beta2 are not read: whatever they are, they are others.
            other_metrics: spec.target_cpu.is_none() || meta::annotation(&self.metadata, MORE_METRICS).is_some(),
            last_scaled_at: status.and_then(|status| status.last_scale_time.as_ref()).map(meta::time),
            key,
        };
        Ok(notes.done(Object::Hpa(fact)))
    }
}
