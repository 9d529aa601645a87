//! A Deployment's template: its affinity, `maxUnavailable` and requests.
//!
//! The affinity is read and written whole. Its preferred terms are an atomic list, so that
//! server-side apply would take over the users' terms; a JSON patch with tests on what was read
//! replaces exactly what is known, and restores exactly what was there.

use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode};
use journal_schema::facts::{WorkloadId, WorkloadKind};
use journal_schema::text::{Few, JsonText, Name};
use journal_schema::units::{Bytes, MilliCpu};
use serde_json::{Map, Value, json};

use super::{RACES, managers, raced};
use crate::failure::{failure, precondition};
use crate::rest::{Rest, canonical, path, segment, text};

const AFFINITY: &str = "/spec/template/spec/affinity";
/// The same in `managedFields`.
const AFFINITY_FIELD: &str = "/f:spec/f:template/f:spec/f:affinity";
const MAX_UNAVAILABLE: &str = "/spec/strategy/rollingUpdate/maxUnavailable";
const CONTAINERS: &str = "/spec/template/spec/containers";
/// Shown by `kubectl rollout history`.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// What we write there.
const OUR_CAUSE: &str = "kinema: pods move to other nodes";
/// What an affinity of ours contains.
const OUR_PREFIX: &str = "kinema.dev/";

/// What is to be changed.
pub(super) struct Change<'a> {
    pub(super) from: Option<&'a JsonText>,
    pub(super) to: Option<&'a JsonText>,
    pub(super) max_unavailable: Option<&'a (JsonText, JsonText)>,
    pub(super) requests: &'a Few<(Name, MilliCpu, Bytes)>,
}

fn deployment(workload: &WorkloadId) -> Result<String, Failure> {
    if workload.kind != WorkloadKind::Deployment {
        return Err(failure(FailureClass::Refused, FailureCode::Invalid, "only a Deployment's template is changed"));
    }
    let key = &workload.key;
    path(&["apis", "apps", "v1", "namespaces", &key.namespace, "deployments", &key.name])
        .map_err(|error| error.classed(true))
}

async fn fetch(rest: &Rest, path: &str, uid: &str) -> Result<Value, Failure> {
    let object = rest.get(path).await.map_err(|error| error.classed(false))?;
    if text(&object, "/metadata/uid") != uid {
        return Err(precondition("another object has the name now"));
    }
    Ok(object)
}

/// Reads affinity and `maxUnavailable`, canonical, so that equal values have equal texts.
pub(super) async fn read(rest: &Rest, workload: &WorkloadId, uid: &str) -> Result<Answer, Failure> {
    let object = fetch(rest, &deployment(workload)?, uid).await?;
    let json = |pointer: &str| {
        let value = object.pointer(pointer).filter(|value| !value.is_null());
        value
            .map(|value| JsonText::new(canonical(value)))
            .transpose()
            .map_err(|error| failure(FailureClass::Refused, FailureCode::Invalid, format!("{pointer}: {error}")))
    };
    Ok(Answer::Affinity(json(AFFINITY)?, json(MAX_UNAVAILABLE)?))
}

fn parsed(json: Option<&JsonText>) -> Result<Option<Value>, Failure> {
    json.map(|json| serde_json::from_str(json.as_str()))
        .transpose()
        .map_err(|_| failure(FailureClass::Refused, FailureCode::Invalid, "the affinity is not JSON"))
}

fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    a.map(canonical) == b.map(canonical)
}

/// The operation that brings what is at `pointer` to `to`; nothing when it is there already.
fn replacement(object: &Value, pointer: &str, to: Option<&Value>) -> Option<Value> {
    let now = object.pointer(pointer);
    match (now, to) {
        (now, to) if same(now, to) => None,
        (Some(_), Some(to)) => Some(json!({"op": "replace", "path": pointer, "value": to})),
        (None, Some(to)) => Some(json!({"op": "add", "path": pointer, "value": to})),
        (_, None) => Some(json!({"op": "remove", "path": pointer})),
    }
}

fn changed_by_other(object: &Value, what: &str) -> Failure {
    match managers::last_other(object, AFFINITY_FIELD) {
        Some(manager) => precondition(format!("{what} was changed meanwhile, by {manager}")),
        None => precondition(format!("{what} was changed meanwhile")),
    }
}

/// Operations on the requests of the containers that are named.
fn requests(object: &Value, wanted: &Few<(Name, MilliCpu, Bytes)>) -> Result<Vec<Value>, Failure> {
    let containers = object.pointer(CONTAINERS).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut operations = Vec::new();
    for (name, cpu, memory) in wanted {
        let index = containers.iter().position(|container| text(container, "/name") == name.as_str());
        let Some(index) = index else {
            return Err(precondition("a container is not in the template any more"));
        };
        let at = format!("{CONTAINERS}/{index}");
        let now = containers[index].pointer("/resources/requests").and_then(Value::as_object);
        let mut requests = now.cloned().unwrap_or_default();
        // Written as Kubernetes writes them, so that what is equal compares equal.
        for (resource, quantity) in [("cpu", cpu.to_string()), ("memory", memory.to_string())] {
            let known = requests
                .get(resource)
                .and_then(Value::as_str)
                .and_then(|text| text.parse::<crate::quantity::Quantity>().ok());
            if known != quantity.parse().ok() {
                requests.insert(resource.to_owned(), Value::String(quantity));
            }
        }
        if now == Some(&requests) {
            continue;
        }
        operations.push(json!({"op": "test", "path": format!("{at}/name"), "value": name.as_str()}));
        if containers[index].pointer("/resources").is_none() {
            operations.push(json!({"op": "add", "path": format!("{at}/resources"), "value": Map::new()}));
        }
        operations.push(json!({"op": "add", "path": format!("{at}/resources/requests"), "value": requests}));
    }
    Ok(operations)
}

/// Our note in the rollout's history: written with our affinity, taken away with it, and never over
/// a note of the user's.
fn change_cause(object: &Value, ours: bool) -> Option<Value> {
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let now = annotations.and_then(|annotations| annotations.get(CHANGE_CAUSE)).and_then(Value::as_str);
    let at = format!("/metadata/annotations/{}", segment(CHANGE_CAUSE));
    match (ours, now, annotations.is_some()) {
        (true, None, true) => Some(json!({"op": "add", "path": at, "value": OUR_CAUSE})),
        (true, None, false) => {
            Some(json!({"op": "add", "path": "/metadata/annotations", "value": {CHANGE_CAUSE: OUR_CAUSE}}))
        }
        (false, Some(OUR_CAUSE), _) => Some(json!({"op": "remove", "path": at})),
        _ => None,
    }
}

/// What must be changed; nothing when all of it is in place.
fn operations(object: &Value, change: &Change<'_>) -> Result<Vec<Value>, Failure> {
    let (from, to) = (parsed(change.from)?, parsed(change.to)?);
    let now = object.pointer(AFFINITY).filter(|value| !value.is_null());
    if !same(now, from.as_ref()) && !same(now, to.as_ref()) {
        return Err(changed_by_other(object, "the template's affinity"));
    }
    let mut operations = Vec::new();
    if let Some(operation) = replacement(object, AFFINITY, to.as_ref()) {
        operations.push(operation);
    }
    if let Some((before, after)) = change.max_unavailable {
        let (before, after) = (parsed(Some(before))?, parsed(Some(after))?);
        let now = object.pointer(MAX_UNAVAILABLE);
        if !same(now, before.as_ref()) && !same(now, after.as_ref()) {
            return Err(changed_by_other(object, "maxUnavailable"));
        }
        operations.extend(replacement(object, MAX_UNAVAILABLE, after.as_ref()));
    }
    operations.extend(requests(object, change.requests)?);
    if !operations.is_empty() {
        let ours = change.to.is_some_and(|to| to.contains(OUR_PREFIX));
        operations.extend(change_cause(object, ours));
    }
    Ok(operations)
}

/// Changes the template, if it is what is expected.
pub(super) async fn patch(
    rest: &Rest,
    workload: &WorkloadId,
    uid: &str,
    change: &Change<'_>,
) -> Result<Answer, Failure> {
    let path = deployment(workload)?;
    let mut refused_at = String::new();
    for _ in 0..RACES {
        let object = fetch(rest, &path, uid).await?;
        let changes = operations(&object, change)?;
        if changes.is_empty() {
            return Ok(Answer::Done);
        }
        let version = text(&object, "/metadata/resourceVersion").to_owned();
        if refused_at == version {
            return Err(failure(FailureClass::Refused, FailureCode::Invalid, "422 Invalid"));
        }
        let mut patch = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": uid}),
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
        ];
        // The tests name what is replaced, so that the patch says by itself what it relies on.
        if let Some(now) = object.pointer(AFFINITY) {
            patch.push(json!({"op": "test", "path": AFFINITY, "value": now}));
        }
        patch.extend(changes);
        match rest.patch(&path, &patch).await {
            Ok(_) => return Ok(Answer::Done),
            Err(error) if error.code() == 409 => {}
            Err(error) if error.code() == 422 => refused_at = version,
            Err(error) => return Err(error.classed(true)),
        }
    }
    Err(raced())
}
