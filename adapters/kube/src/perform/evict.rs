//! Evictions.
//!
//! The body is built here: kube's own `Api::evict` writes the options under a name that the API
//! server does not know (`delete_options`), so that the UID precondition would be lost.

use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode};
use journal_schema::facts::Key;
use kube::core::Status;
use serde_json::json;

use crate::failure::{failure, precondition, status_text};
use crate::rest::{CallError, Rest, path, text};

/// The cause that the API server gives when a budget forbids the eviction.
const BUDGET_CAUSE: &str = "DisruptionBudget";

/// Evicts exactly this pod. A pod that is gone, or on its way, is done. Grace is the pod's own.
///
/// The pod is read first although the eviction names its UID: an eviction that fails on the UID
/// has taken its place in the budget already, and later ones are refused (seen with Kubernetes 1.36)
/// until the budget's controller gives the place up.
pub(super) async fn evict(rest: &Rest, pod: &Key, uid: &str) -> Result<Answer, Failure> {
    let object =
        path(&["api", "v1", "namespaces", &pod.namespace, "pods", &pod.name]).map_err(|error| error.classed(true))?;
    match rest.get(&object).await {
        Ok(found) if text(&found, "/metadata/uid") != uid => return Err(precondition("another pod has the name now")),
        Ok(found) if !text(&found, "/metadata/deletionTimestamp").is_empty() => return Ok(Answer::Done),
        Ok(_) => {}
        Err(error) if error.code() == 404 => return Ok(Answer::Done),
        Err(error) => return Err(error.classed(false)),
    }
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name.as_str(), "namespace": pod.namespace.as_str()},
        "deleteOptions": {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}},
    });
    let error = match rest.post(&format!("{object}/eviction"), &eviction).await {
        Ok(_) => return Ok(Answer::Done),
        Err(error) => error,
    };
    match error.code() {
        404 => Ok(Answer::Done),
        409 => Err(conflict(rest, &object, uid).await),
        429 => Err(error.status().and_then(budget).unwrap_or_else(|| error.classed(true))),
        500 if error.status().is_some_and(several_budgets) => {
            let what = "500 InternalError: more than one PodDisruptionBudget covers the pod";
            Err(failure(FailureClass::Refused, FailureCode::Invalid, what))
        }
        _ => Err(error.classed(true)),
    }
}

/// Another pod under the name, or only a lost race?
async fn conflict(rest: &Rest, object: &str, uid: &str) -> Failure {
    match rest.get(object).await {
        Ok(found) if text(&found, "/metadata/uid") == uid => {
            failure(FailureClass::Retryable, FailureCode::Throttled, "409 Conflict: the pod changed meanwhile")
        }
        Ok(_) => precondition("409 Conflict: another pod has the name now"),
        Err(error) if error.code() == 404 => precondition("409 Conflict: the pod is gone"),
        Err(CallError::Kube(_) | CallError::TimedOut | CallError::Name(_) | CallError::HeldBack) => {
            failure(FailureClass::Retryable, FailureCode::Throttled, "409 Conflict")
        }
    }
}

fn several_budgets(status: &Status) -> bool {
    status.message.contains("more than one PodDisruptionBudget")
}

/// The budget that forbids the eviction, if it is one: throttling of requests has the same code.
fn budget(status: &Status) -> Option<Failure> {
    let causes = &status.details.as_ref()?.causes;
    let cause = causes.iter().find(|cause| cause.reason == BUDGET_CAUSE)?;
    // The name stands at one place of the message; the rest of it is not kept.
    let name = cause.message.strip_prefix("The disruption budget ").and_then(|rest| rest.split(' ').next());
    let plain =
        |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let text = match name.filter(plain) {
        Some(name) => format!("{}: PodDisruptionBudget {name}", status_text(status)),
        None => format!("{}: a PodDisruptionBudget", status_text(status)),
    };
    Some(failure(FailureClass::Retryable, FailureCode::DisruptionBudget, text))
}
