//! Replicas through the scale subresource.

use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode};
use journal_schema::facts::{WorkloadId, WorkloadKind};
use serde_json::{Value, json};

use super::{RACES, raced};
use crate::failure::{failure, precondition};
use crate::rest::{Rest, path, text};

/// The plural of a workload's kind.
pub(super) const fn plural(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployments",
        WorkloadKind::ReplicaSet => "replicasets",
        WorkloadKind::StatefulSet => "statefulsets",
        WorkloadKind::DaemonSet => "daemonsets",
    }
}

/// Scales from one number to another; another number in between is left alone.
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
    let path = path(&["apis", "apps", "v1", "namespaces", &key.namespace, plural(workload.kind), &key.name, "scale"])
        .map_err(|error| error.classed(true))?;
    for _ in 0..RACES {
        let mut scale = rest.get(&path).await.map_err(|error| error.classed(false))?;
        if text(&scale, "/metadata/uid") != uid {
            return Err(precondition("another object has the name now"));
        }
        // A missing number is zero: the API leaves zero out.
        let now = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        if now == i64::from(to) {
            return Ok(Answer::Done);
        }
        if now != i64::from(from) {
            return Err(precondition(format!("replicas are {now}, expected {from}")));
        }
        // With the resource version that was read: whoever scales in between wins.
        scale["spec"] = json!({"replicas": to});
        match rest.put(&path, &scale).await {
            Ok(_) => return Ok(Answer::Done),
            Err(error) if error.code() == 409 => {}
            Err(error) => return Err(error.classed(true)),
        }
    }
    Err(raced())
}
