//! Marks on nodes and pods: our labels, our taints, the deletion cost.

use journal_schema::effect::{
    Answer, EXPIRING_KEY, Failure, FailureClass, FailureCode, LATER_KEY, NodeRole, OPTIMAL_KEY,
};
use journal_schema::facts::Key;
use serde_json::{Value, json};

use super::{RACES, raced};
use crate::failure::{failure, precondition};
use crate::project::meta::POD_DELETION_COST;
use crate::rest::{CallError, Rest, path, segment, text};

/// Reads the object at `path`, lets `operations` say what must change (nothing: done), and patches
/// with tests on UID and resource version.
async fn patched(
    rest: &Rest,
    path: &str,
    uid: &str,
    operations: impl Fn(&Value) -> Vec<Value>,
) -> Result<Answer, Failure> {
    let mut refused_at = String::new();
    for _ in 0..RACES {
        let object = rest.get(path).await.map_err(|error| error.classed(false))?;
        if text(&object, "/metadata/uid") != uid {
            return Err(precondition("another object has the name now"));
        }
        let changes = operations(&object);
        if changes.is_empty() {
            return Ok(Answer::Done);
        }
        let version = text(&object, "/metadata/resourceVersion").to_owned();
        if refused_at == version {
            // The same object was refused before: it is the patch that is not acceptable.
            return Err(failure(FailureClass::Refused, FailureCode::Invalid, "422 Invalid"));
        }
        let mut patch = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": uid}),
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
        ];
        patch.extend(changes);
        match rest.patch(path, &patch).await {
            Ok(_) => return Ok(Answer::Done),
            Err(error) if error.code() == 409 => {}
            // A test that does not hold is answered with 422, as is a patch that is not acceptable.
            Err(error) if error.code() == 422 => refused_at = version,
            Err(error) => return Err(error.classed(true)),
        }
    }
    Err(raced())
}

/// Gives a node its role; labels and taints of others stay as they are.
pub(super) async fn mark(
    rest: &Rest,
    node: &str,
    uid: &str,
    role: NodeRole,
    iteration: u64,
) -> Result<Answer, Failure> {
    let path = path(&["api", "v1", "nodes", node]).map_err(|error: CallError| error.classed(true))?;
    let value = iteration.to_string();
    patched(rest, &path, uid, |object| {
        let mut operations = Vec::new();
        let wanted = |key: &str| match (role, key) {
            (NodeRole::Optimal | NodeRole::Later, OPTIMAL_KEY) | (NodeRole::Expiring, EXPIRING_KEY) => {
                Some(value.as_str())
            }
            _ => None,
        };
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        if labels.is_none() && role != NodeRole::None {
            operations.push(json!({"op": "add", "path": "/metadata/labels", "value": {}}));
        }
        for key in [OPTIMAL_KEY, EXPIRING_KEY] {
            let now = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            let at = format!("/metadata/labels/{}", segment(key));
            match (now, wanted(key)) {
                (now, wanted) if now == wanted => {}
                (_, Some(wanted)) => operations.push(json!({"op": "add", "path": at, "value": wanted})),
                (_, None) => operations.push(json!({"op": "remove", "path": at})),
            }
        }
        operations.extend(taint_change(object, role, &value));
        operations
    })
    .await
}

/// The change of the taints that leaves those of ours that the role asks for, with this value.
fn taint_change(object: &Value, role: NodeRole, value: &str) -> Option<Value> {
    let now = object.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = |taint: &Value| [EXPIRING_KEY, LATER_KEY].contains(&text(taint, "/key"));
    let wanted = match role {
        NodeRole::Expiring => Some((EXPIRING_KEY, value, "NoSchedule")),
        NodeRole::Later => Some((LATER_KEY, value, "PreferNoSchedule")),
        NodeRole::Optimal | NodeRole::None => None,
    };
    let ours_now: Vec<(&str, &str, &str)> = now
        .iter()
        .filter(|taint| ours(taint))
        .map(|taint| (text(taint, "/key"), text(taint, "/value"), text(taint, "/effect")))
        .collect();
    if ours_now == Vec::from_iter(wanted) {
        return None;
    }
    let mut taints: Vec<Value> = now.iter().filter(|taint| !ours(taint)).cloned().collect();
    if let Some((key, value, effect)) = wanted {
        taints.push(json!({"key": key, "value": value, "effect": effect}));
    }
    let had = object.pointer("/spec/taints").is_some();
    Some(match (had, taints.is_empty()) {
        (true, true) => json!({"op": "remove", "path": "/spec/taints"}),
        (true, false) => json!({"op": "replace", "path": "/spec/taints", "value": taints}),
        (false, _) => json!({"op": "add", "path": "/spec/taints", "value": taints}),
    })
}

/// Sets or clears a pod's deletion cost.
pub(super) async fn deletion_cost(rest: &Rest, pod: &Key, uid: &str, cost: Option<i32>) -> Result<Answer, Failure> {
    let path = path(&["api", "v1", "namespaces", &pod.namespace, "pods", &pod.name])
        .map_err(|error: CallError| error.classed(true))?;
    let wanted = cost.map(|cost| cost.to_string());
    patched(rest, &path, uid, |object| {
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
        let now = annotations.and_then(|annotations| annotations.get(POD_DELETION_COST)).and_then(Value::as_str);
        let at = format!("/metadata/annotations/{}", segment(POD_DELETION_COST));
        match (now, wanted.as_deref()) {
            (now, wanted) if now == wanted => Vec::new(),
            (_, Some(wanted)) if annotations.is_none() => {
                vec![json!({"op": "add", "path": "/metadata/annotations", "value": {POD_DELETION_COST: wanted}})]
            }
            (_, Some(wanted)) => vec![json!({"op": "add", "path": at, "value": wanted})],
            (_, None) => vec![json!({"op": "remove", "path": at})],
        }
    })
    .await
}
