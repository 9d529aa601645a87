//! Reads from a quorum.

use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode};
use journal_schema::facts::{Object, PodFact};
use journal_schema::text::Many;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::failure;
use crate::project::Project;
use crate::rest::{CallError, Rest, path, text};

/// Pods per answer.
const PAGE: usize = 500;

/// Every pod of a node. Without a resource version, which makes the API server ask a quorum; its
/// cache may be behind.
pub(super) async fn node_pods(rest: &Rest, node: &str) -> Result<Answer, Failure> {
    // The name is checked as a part of a path: it needs no encoding in the query either.
    path(&[node]).map_err(|error: CallError| error.classed(false))?;
    let mut pods: Vec<PodFact> = Vec::new();
    let mut continued = String::new();
    loop {
        let mut query = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&limit={PAGE}");
        if !continued.is_empty() {
            query.push_str("&continue=");
            query.push_str(&encoded(&continued));
        }
        let page = rest.get(&query).await.map_err(|error| error.classed(false))?;
        for item in page.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
            pods.push(pod(item)?);
        }
        text(&page, "/metadata/continue").clone_into(&mut continued);
        if continued.is_empty() {
            break;
        }
    }
    let pods = Many::new(pods).map_err(|_| unreadable())?;
    Ok(Answer::NodePods(pods))
}

fn unreadable() -> Failure {
    failure(FailureClass::Retryable, FailureCode::Internal, "a pod of the node could not be read")
}

/// A pod that cannot be read is no reason to count the node as empty.
fn pod(item: &Value) -> Result<PodFact, Failure> {
    let pod = Pod::deserialize(item).map_err(|_| unreadable())?;
    match pod.project().map_err(|_| unreadable())?.object {
        Object::Pod(fact) => Ok(fact),
        _ => Err(unreadable()),
    }
}

/// A token as a value in a query.
fn encoded(token: &str) -> String {
    let mut text = String::with_capacity(token.len());
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
