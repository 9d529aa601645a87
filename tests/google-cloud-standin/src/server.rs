//! The HTTP API of Google that the adapter uses, over the simulated cloud.
//!
//! Query parameters that are not known (`$alt`, `$apiVersion`, `prettyPrint`) are passed over, as
//! the real server does with system parameters.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;
use serde_json::{Value, json};
use simulator::cloud::{CallError, Cloud, CloudChange, Group, OperationStatus};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::scenario::{FamilyRates, Shown, Staged};
use crate::wire::{Links, error, time};

/// Most lines of the log that are kept.
const LOG: usize = 10_000;

/// The stand-in: shared by the HTTP handlers, the control plane's part and tests.
#[derive(Debug)]
pub struct StandIn {
    clock: Clock,
    project: String,
    cluster: String,
    shown: BTreeMap<Name, Shown>,
    rates: Vec<FamilyRates>,
    cloud: Mutex<Cloud>,
    log: Mutex<VecDeque<Value>>,
    base: Mutex<String>,
    /// Told whenever a call may have changed what is due.
    pub(crate) called: Notify,
}

type Shared = Arc<StandIn>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves whole values: every change is made by one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandIn {
    /// A stand-in over a staged scenario.
    pub fn new(clock: Clock, project: &str, cluster: &str, staged: Staged) -> Arc<Self> {
        Arc::new(Self {
            clock,
            project: project.to_owned(),
            cluster: cluster.to_owned(),
            shown: staged.shown,
            rates: staged.rates,
            cloud: Mutex::new(staged.cloud),
            log: Mutex::new(VecDeque::new()),
            base: Mutex::new(String::new()),
            called: Notify::new(),
        })
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The pools as the API shows them.
    pub fn shown(&self) -> &BTreeMap<Name, Shown> {
        &self.shown
    }

    /// Works on the cloud at the present time.
    pub fn with<T>(&self, work: impl FnOnce(&mut Cloud, Timestamp) -> T) -> T {
        let result = work(&mut locked(&self.cloud), self.clock.now());
        self.called.notify_waiters();
        result
    }

    /// What changed since the last call.
    pub fn changes(&self) -> Vec<CloudChange> {
        locked(&self.cloud).advance(self.clock.now())
    }

    /// How long to wait until something is due.
    pub(crate) fn pause(&self) -> Duration {
        let next = locked(&self.cloud).next_change();
        next.map_or(Duration::from_secs(1), |at| self.clock.until(at))
            .clamp(Duration::from_millis(5), Duration::from_secs(1))
    }

    /// Every call so far, oldest first.
    pub fn log(&self) -> Vec<Value> {
        locked(&self.log).iter().cloned().collect()
    }

    pub(crate) fn note(&self, line: Value) {
        let mut log = locked(&self.log);
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(line);
    }

    /// The routes.
    pub fn router(self: &Arc<Self>) -> Router {
        let project = "/compute/v1/projects/{project}";
        let zone = format!("{project}/zones/{{zone}}");
        let group = format!("{zone}/instanceGroupManagers/{{group}}");
        let api = Router::new()
            .route(&format!("{project}/aggregated/instanceGroupManagers"), get(aggregated_groups))
            .route(&format!("{zone}/instanceGroupManagers"), get(groups))
            .route(&group, get(one_group))
            .route(&format!("{group}/createInstances"), post(create_instances))
            .route(&format!("{group}/deleteInstances"), post(delete_instances))
            .route(&format!("{group}/listManagedInstances"), post(list_managed))
            .route(&format!("{zone}/operations"), get(operations))
            .route(&format!("{zone}/operations/{{operation}}"), get(operation))
            .route(&format!("{zone}/operations/{{operation}}/wait"), post(wait))
            .route(&format!("{zone}/machineTypes/{{machine_type}}"), get(machine_type))
            .route(&format!("{project}/global/instanceTemplates/{{template}}"), get(template))
            .route("/v1/projects/{project}/locations/{location}/clusters", get(clusters))
            .route("/v1/services/{service}/skus", get(skus))
            .layer(middleware::from_fn_with_state(Arc::clone(self), logged));
        api.merge(crate::control::router()).fallback(missing).with_state(Arc::clone(self))
    }

    /// Serves on `listener` until the returned task is aborted; the address is its own.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn serve(
        self: &Arc<Self>,
        listener: TcpListener,
    ) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
        let address = listener.local_addr()?;
        *locked(&self.base) = format!("http://{address}");
        let router = self.router();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the stand-in's server ended");
            }
        });
        Ok((address, task))
    }

    fn linked<T>(&self, work: impl FnOnce(&Links<'_>) -> T) -> T {
        let base = locked(&self.base).clone();
        work(&Links { base: &base, project: &self.project })
    }
}

/// Writes every call with its virtual time and status into the log.
async fn logged(State(this): State<Shared>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let at = this.clock.now();
    // Prices are nobody's.
    if uri.path().contains("/projects/") && !uri.path().contains(&format!("/projects/{}/", this.project)) {
        return failed(404, "global", "notFound", "The project was not found");
    }
    let response = next.run(request).await;
    this.note(json!({ "at": time(at), "method": method.as_str(), "path": uri.path(), "query": uri.query(), "status": response.status().as_u16() }));
    response
}

async fn missing(request: Request) -> Response {
    failed(404, "global", "notFound", &format!("the stand-in has no {} {}", request.method(), request.uri().path()))
}

fn failed(code: u16, domain: &str, reason: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(error(code, domain, reason, message))).into_response()
}

/// The answer to a call that failed. A lost answer is a connection that breaks in mid-answer.
fn refused(error: &CallError) -> Response {
    let message = error.to_string();
    match error {
        CallError::Throttled => failed(403, "usageLimits", "rateLimitExceeded", &message),
        CallError::Unavailable => failed(503, "global", "backendError", &message),
        CallError::Forbidden => failed(403, "global", "forbidden", &message),
        CallError::NoPool(_) => failed(404, "global", "notFound", &message),
        CallError::RequestIdReused(_) => failed(409, "global", "duplicate", &message),
        CallError::BadNames => failed(400, "global", "invalid", &message),
        CallError::Dropped | CallError::AnswerLost => {
            let broken =
                futures::stream::iter([Err::<String, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
            Response::builder().header("content-length", "1000").body(Body::from_stream(broken)).unwrap_or_default()
        }
    }
}

fn answered(value: Value) -> Response {
    axum::Json(value).into_response()
}

type Parameters = Query<BTreeMap<String, String>>;

fn pool_id(zone: &str, group: &str) -> Name {
    Name::truncated(format!("{zone}/{group}"))
}

impl StandIn {
    fn groups(&self) -> Result<Vec<(Group, &Shown)>, CallError> {
        let groups = self.with(|cloud, now| cloud.groups(now))?;
        Ok(groups
            .into_iter()
            .filter_map(|group| Some((self.shown.get(&group.pool.id)?, group)))
            .map(|(shown, group)| (group, shown))
            .collect())
    }

    fn shown_as(&self, groups: &[(Group, &Shown)], zone: &str) -> Vec<Value> {
        self.linked(|links| {
            groups
                .iter()
                .filter(|(_, shown)| shown.from.zone == zone)
                .map(|(group, shown)| links.group(group, shown))
                .collect()
        })
    }
}

async fn groups(State(this): State<Shared>, Path((_, zone)): Path<(String, String)>) -> Response {
    match this.groups() {
        Ok(groups) => {
            answered(json!({ "kind": "compute#instanceGroupManagerList", "items": this.shown_as(&groups, &zone) }))
        }
        Err(error) => refused(&error),
    }
}

async fn aggregated_groups(State(this): State<Shared>) -> Response {
    match this.groups() {
        Ok(groups) => {
            let mut zones: Vec<&str> = groups.iter().map(|(_, shown)| shown.from.zone.as_str()).collect();
            zones.sort_unstable();
            zones.dedup();
            let items: BTreeMap<String, Value> = zones
                .iter()
                .map(|zone| (format!("zones/{zone}"), json!({ "instanceGroupManagers": this.shown_as(&groups, zone) })))
                .collect();
            answered(json!({ "kind": "compute#instanceGroupManagerAggregatedList", "items": items }))
        }
        Err(error) => refused(&error),
    }
}

async fn one_group(State(this): State<Shared>, Path((_, zone, group)): Path<(String, String, String)>) -> Response {
    let wanted = pool_id(&zone, &group);
    match this.groups() {
        Ok(groups) => match groups.iter().find(|(group, _)| group.pool.id == wanted) {
            Some((group, shown)) => answered(this.linked(|links| links.group(group, shown))),
            None => refused(&CallError::NoPool(wanted)),
        },
        Err(error) => refused(&error),
    }
}

/// Answers with the operation that a call began.
fn began(this: &StandIn, result: Result<Name, CallError>) -> Response {
    let name = match result {
        Ok(name) => name,
        Err(error) => return refused(&error),
    };
    let begun = this.with(|cloud, now| cloud.operations(now).into_iter().find(|operation| operation.name == name));
    match begun {
        Some(operation) => answered(this.linked(|links| links.operation(&operation))),
        // Lost from the start: the caller only gets its name.
        None => answered(json!({ "kind": "compute#operation", "name": name.as_str(), "status": "PENDING" })),
    }
}

fn strings(body: &[u8], list: &str, field: Option<&str>) -> Option<(Value, Vec<Name>)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let items = body.get(list)?.as_array()?;
    let read = |item: &Value| match field {
        Some(field) => item.get(field)?.as_str().map(Name::truncated),
        None => item.as_str().map(Name::truncated),
    };
    let names = items.iter().map(read).collect::<Option<Vec<_>>>()?;
    Some((body, names))
}

async fn create_instances(
    State(this): State<Shared>,
    Path((_, zone, group)): Path<(String, String, String)>,
    Query(query): Parameters,
    body: axum::body::Bytes,
) -> Response {
    let Some((_, names)) = strings(&body, "instances", Some("name")) else {
        return failed(400, "global", "invalid", "Invalid value for field 'instances'");
    };
    if let Some(refusal) = bad_request_id(&query) {
        return refusal;
    }
    let request_id = query.get("requestId").map_or("", String::as_str);
    let result = this.with(|cloud, now| cloud.create_instances(now, &pool_id(&zone, &group), &names, request_id));
    began(&this, result)
}

async fn delete_instances(
    State(this): State<Shared>,
    Path((_, zone, group)): Path<(String, String, String)>,
    Query(query): Parameters,
    body: axum::body::Bytes,
) -> Response {
    let Some((body, urls)) = strings(&body, "instances", None) else {
        return failed(400, "global", "invalid", "Invalid value for field 'instances'");
    };
    if let Some(refusal) = bad_request_id(&query) {
        return refusal;
    }
    let prefix = format!("zones/{zone}/instances/");
    let names: Option<Vec<Name>> =
        urls.iter().map(|url| url.split_once(&prefix).map(|(_, name)| Name::truncated(name))).collect();
    let Some(names) = names else {
        return failed(400, "global", "invalid", "An instance URL is malformed or of another zone");
    };
    let skip = body.get("skipInstancesOnValidationError").and_then(Value::as_bool).unwrap_or(false);
    let request_id = query.get("requestId").map_or("", String::as_str);
    let result = this.with(|cloud, now| cloud.delete_named(now, &pool_id(&zone, &group), &names, skip, request_id));
    began(&this, result)
}

/// A request id must be a UUID that is not zero.
fn bad_request_id(query: &BTreeMap<String, String>) -> Option<Response> {
    let id = query.get("requestId")?;
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let uuid = groups == [8, 4, 4, 4, 12]
        && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
        && id.chars().any(|c| c != '-' && c != '0');
    (!uuid).then(|| failed(400, "global", "invalid", "Invalid value for field 'requestId': it must be a non-zero UUID"))
}

async fn list_managed(
    State(this): State<Shared>,
    Path((_, zone, group)): Path<(String, String, String)>,
    Query(query): Parameters,
) -> Response {
    let id = pool_id(&zone, &group);
    let (Some(shown), result) = (this.shown.get(&id), this.with(|cloud, now| cloud.list_raw(now, &id))) else {
        return refused(&CallError::NoPool(id));
    };
    let machines = match result {
        Ok(machines) => machines,
        Err(error) => return refused(&error),
    };
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<usize>().ok());
    let (from, most) = (number("pageToken").unwrap_or(0), number("maxResults").unwrap_or(500).clamp(1, 500));
    let page: Vec<Value> = this
        .linked(|links| machines.iter().skip(from).take(most).map(|machine| links.managed(machine, shown)).collect());
    let mut answer = json!({ "managedInstances": page });
    if from + most < machines.len() {
        answer["nextPageToken"] = json!((from + most).to_string());
    }
    answered(answer)
}

/// The operations on groups and on machines, the newest first whatever order is asked for.
async fn operations(State(this): State<Shared>, Path((_, zone)): Path<(String, String)>) -> Response {
    let prefix = format!("{zone}/");
    let (listed, lives) = this.with(|cloud, now| (cloud.operations(now), cloud.lifetimes().to_vec()));
    let mut items: Vec<Value> = this.linked(|links| {
        let groups = listed.iter().filter(|operation| operation.pool.starts_with(&prefix));
        let lives = lives.iter().filter(|life| life.pool.starts_with(&prefix));
        groups.map(|operation| links.operation(operation)).chain(lives.flat_map(|life| links.life(life))).collect()
    });
    items.sort_by(|one, other| other["insertTime"].as_str().cmp(&one["insertTime"].as_str()));
    answered(json!({ "kind": "compute#operationList", "items": items }))
}

async fn operation(State(this): State<Shared>, Path((_, _, name)): Path<(String, String, String)>) -> Response {
    match this.with(|cloud, now| cloud.operation(now, &name)) {
        Ok(Some(operation)) => answered(this.linked(|links| links.operation(&operation))),
        Ok(None) => failed(404, "global", "notFound", &format!("The resource operations/{name} was not found")),
        Err(error) => refused(&error),
    }
}

async fn wait(State(this): State<Shared>, Path((_, _, name)): Path<(String, String, String)>) -> Response {
    // Google answers after two minutes at most, and may answer at once.
    for _ in 0..40 {
        match this.with(|cloud, now| cloud.operation(now, &name)) {
            Ok(Some(operation)) if operation.status != OperationStatus::Done => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            _ => break,
        }
    }
    operation(State(Arc::clone(&this)), Path((String::new(), String::new(), name))).await
}

async fn machine_type(State(this): State<Shared>, Path((_, zone, name)): Path<(String, String, String)>) -> Response {
    match this.shown.values().find(|shown| shown.from.machine_type == name) {
        Some(shown) => answered(this.linked(|links| links.machine_type(&name, &zone, shown))),
        None => failed(404, "global", "notFound", &format!("The resource machineTypes/{name} was not found")),
    }
}

async fn template(State(this): State<Shared>, Path((_, name)): Path<(String, String)>) -> Response {
    match this.shown.values().find(|shown| shown.from.name == name) {
        Some(shown) => answered(this.linked(|links| links.template(shown, &this.cluster))),
        None => failed(404, "global", "notFound", &format!("The resource instanceTemplates/{name} was not found")),
    }
}

async fn skus(State(this): State<Shared>, Query(query): Parameters) -> Response {
    if this.rates.is_empty() {
        return failed(
            403,
            "usageLimits",
            "accessNotConfigured",
            "Cloud Billing API has not been used in this project",
        );
    }
    let token = query.get("pageToken").map_or("", String::as_str);
    answered(crate::billing::page(&this.rates, this.shown.values(), token))
}

async fn clusters(State(this): State<Shared>) -> Response {
    answered(this.linked(|links| links.clusters(&this.cluster, this.shown.values())))
}
