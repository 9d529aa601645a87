//! Replicas through the scale subresource.

use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode};
use journal_schema::facts::{WorkloadId, WorkloadKind};
use serde_json::{Value, json};

use super::{RACES, managers, raced};
use crate::failure::{failure, precondition};
use crate::rest::{Rest, path, text};

/// The field in a workload's `managedFields`.
const REPLICAS: &str = "/f:spec/f:replicas";

/// The plural of a workload's kind.
pub(super) const fn plural(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployments",
        WorkloadKind::ReplicaSet => "replicasets",
        WorkloadKind::StatefulSet => "statefulsets",
        WorkloadKind::DaemonSet => "daemonsets",
    }
}

/// Scales from one number to another; a number that somebody else set is left alone, also where it
/// is the one that is asked for. What is answered with done is thus ours to take back, and what is
/// taken back was ours.
pub(super) async fn scale(
    rest: &Rest,
    workload: &WorkloadId,
    uid: &str,
    from: i32,
    to: i32,
) -> Result<Answer, Failure> {
    if workload.kind == WorkloadKind::DaemonSet {
        return Err(failure(FailureClass::Refused, FailureCode::Invalid, "a DaemonSet cannot be scaled"));
    }
    let key = &workload.key;
    let path = path(&["apis", "apps", "v1", "namespaces", &key.namespace, plural(workload.kind), &key.name])
        .map_err(|error| error.classed(true))?;
    for _ in 0..RACES {
        // The workload itself, and not its scale: only it tells who owns the field.
        let object = rest.get(&path).await.map_err(|error| error.classed(false))?;
        if text(&object, "/metadata/uid") != uid {
            return Err(precondition("another object has the name now"));
        }
        let now = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        let ours = managers::only_ours(&object, REPLICAS);
        let set_by = || managers::last_other(&object, REPLICAS);
        // Back to fewer there is nothing left to do, whoever did it.
        if now == i64::from(to) && (ours || to < from) {
            return Ok(Answer::Done);
        }
        if now != i64::from(from) {
            let by = set_by().map(|manager| format!(", set by {manager}")).unwrap_or_default();
            return Err(precondition(format!("replicas are {now} now{by}; expected {from}")));
        }
        if to < from && !ours {
            let by = set_by().map(|manager| format!(", by {manager}")).unwrap_or_default();
            return Err(precondition(format!("replicas were set to {now} meanwhile{by}")));
        }
        let scale = json!({
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            // With the resource version that was read: whoever scales in between wins.
            "metadata": {
                "name": key.name.as_str(),
                "namespace": key.namespace.as_str(),
                "resourceVersion": text(&object, "/metadata/resourceVersion"),
            },
            "spec": {"replicas": to},
        });
        match rest.put(&format!("{path}/scale"), &scale).await {
            Ok(_) => return Ok(Answer::Done),
            Err(error) if error.code() == 409 => {}
            Err(error) => return Err(error.classed(true)),
        }
    }
    Err(raced())
}
