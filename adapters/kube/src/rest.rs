//! Requests on objects as JSON trees.
//!
//! Trees, and not types, because what is written back must keep every field that another manager
//! put there, also those that this build does not know.

use std::time::Duration;

use http::{Method, Request};
use journal_schema::effect::{Failure, FailureClass, FailureCode};
use kube::Client;
use serde_json::Value;

use crate::failure::{classify, failure};
use crate::gate::Gate;
use crate::lease::Fence;

/// Who owns the fields that we write.
pub(crate) const FIELD_MANAGER: &str = "kinema";

/// The API server, for one call after another.
#[derive(Clone)]
pub(crate) struct Rest {
    client: Client,
    /// No call lasts longer.
    limit: Duration,
    /// What is looked at again when a connection takes a change.
    fence: Option<Fence>,
}

/// Why a call gave no object.
pub(crate) enum CallError {
    /// The request's own error.
    Kube(kube::Error),
    /// No answer within the limit.
    TimedOut,
    /// A name that cannot be part of a path.
    Name(String),
    /// The lease ran out before a connection took the request.
    HeldBack,
}

impl CallError {
    /// The failure that it is.
    pub(crate) fn classed(&self, mutating: bool) -> Failure {
        match self {
            Self::Kube(error) => classify(error, mutating),
            Self::TimedOut => {
                let class = if mutating { FailureClass::Unknown } else { FailureClass::Retryable };
                failure(class, FailureCode::Timeout, "no answer in time")
            }
            Self::Name(what) => failure(FailureClass::Refused, FailureCode::Invalid, what),
            Self::HeldBack => held_back(),
        }
    }

    /// The status that the API server answered.
    pub(crate) fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            Self::Kube(_) | Self::TimedOut | Self::Name(_) | Self::HeldBack => None,
        }
    }

    /// The status code that the API server answered, or 0.
    pub(crate) fn code(&self) -> u16 {
        self.status().map_or(0, |status| status.code)
    }
}

/// A path of the API. Names come from a journal, which may have been forged: what could leave its
/// segment of the path is refused.
pub(crate) fn path(parts: &[&str]) -> Result<String, CallError> {
    let mut path = String::new();
    for part in parts {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        if part.is_empty() || *part == "." || *part == ".." || !part.bytes().all(plain) {
            return Err(CallError::Name("a name has characters that Kubernetes does not permit".to_owned()));
        }
        path.push('/');
        path.push_str(part);
    }
    Ok(path)
}

impl Rest {
    pub(crate) fn new(client: Client, limit: Duration) -> Self {
        Self { client, limit, fence: None }
    }

    /// The same with a shorter limit, and for changes that the fence may hold back to the last.
    pub(crate) fn fenced(&self, fence: &Fence, limit: Duration) -> Self {
        Self { client: self.client.clone(), limit: self.limit.min(limit), fence: Some(fence.clone()) }
    }

    /// Reads an object from a quorum: no resource version is given.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path.to_owned(), "", None).await
    }

    /// Replaces an object.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::PUT, managed(path), "application/json", Some(body)).await
    }

    /// Creates an object.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::POST, managed(path), "application/json", Some(body)).await
    }

    /// Changes an object by a JSON patch.
    pub(crate) async fn patch(&self, path: &str, operations: &[Value]) -> Result<Value, CallError> {
        let body = Value::Array(operations.to_vec());
        self.call(Method::PATCH, managed(path), "application/json-patch+json", Some(&body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: String,
        content: &str,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let gate = self.fence.clone().filter(|_| method != Method::GET).map(Gate::new);
        let mut request = Request::builder().method(method).uri(path);
        if !content.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, content);
        }
        let bytes = body
            .map(serde_json::to_vec)
            .transpose()
            .map_err(|error| CallError::Kube(kube::Error::SerdeError(error)))?;
        let mut request =
            request.body(bytes.unwrap_or_default()).map_err(|error| CallError::Kube(kube::Error::HttpError(error)))?;
        if let Some(gate) = &gate {
            request.extensions_mut().insert(gate.clone());
        }
        match tokio::time::timeout(self.limit, self.client.request::<Value>(request)).await {
            Err(_) | Ok(Err(_)) if gate.as_ref().is_some_and(Gate::held_back) => Err(CallError::HeldBack),
            Ok(answer) => answer.map_err(CallError::Kube),
            Err(_) => Err(CallError::TimedOut),
        }
    }
}

/// The fence is closed: nothing was sent.
pub(crate) fn held_back() -> Failure {
    let what = "the lease has too little time left, or is not ours";
    failure(FailureClass::Refused, FailureCode::NotLeader, what)
}

fn managed(path: &str) -> String {
    format!("{path}?fieldManager={FIELD_MANAGER}")
}

/// A text at a JSON pointer, or empty.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A key as a segment of a JSON pointer.
pub(crate) fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The text of a JSON value with the keys of every object sorted, so that equal values have equal texts.
pub(crate) fn canonical(value: &Value) -> String {
    fn write(value: &Value, into: &mut String) {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                into.push('{');
                for (at, key) in keys.into_iter().enumerate() {
                    if at > 0 {
                        into.push(',');
                    }
                    into.push_str(&Value::String(key.clone()).to_string());
                    into.push(':');
                    write(&map[key], into);
                }
                into.push('}');
            }
            Value::Array(items) => {
                into.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        into.push(',');
                    }
                    write(item, into);
                }
                into.push(']');
            }
            other => into.push_str(&other.to_string()),
        }
    }
    let mut text = String::new();
    write(value, &mut text);
    text
}
