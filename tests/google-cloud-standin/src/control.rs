//! What a test steers and reads: faults, state, cost, log, and taking a machine back.
//!
//! - `GET/PUT /_sim/faults`: the rules, as the simulator has them; with `?relative=true` the times
//!   of the rules that are put count from now.
//! - `GET /_sim/state`: groups, machines, operations.
//! - `GET /_sim/cost?from=&to=`: the judge's account in micro-USD; times in milliseconds since 1970,
//!   by default the whole run.
//! - `GET /_sim/log`: every call. `POST /_sim/preempt?pool=&name=`: take a machine back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use journal_schema::units::Timestamp;
use serde_json::{Value, json};
use simulator::cloud::{FaultRule, Group, ManagedInstance};

use crate::scenario::shifted;
use crate::server::StandIn;

type Shared = Arc<StandIn>;
type Parameters = Query<BTreeMap<String, String>>;

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/_sim/faults", get(faults).put(set_faults))
        .route("/_sim/state", get(state))
        .route("/_sim/cost", get(cost))
        .route("/_sim/log", get(log))
        .route("/_sim/preempt", post(preempt))
}

async fn faults(State(this): State<Shared>) -> Response {
    let rules = this.with(|cloud, _| cloud.faults());
    let shown: Vec<Value> =
        rules.into_iter().map(|(rule, applied)| json!({ "rule": rule, "applied": applied })).collect();
    axum::Json(shown).into_response()
}

async fn set_faults(State(this): State<Shared>, Query(query): Parameters, body: axum::body::Bytes) -> Response {
    let rules: Vec<FaultRule> = match serde_json::from_slice(&body) {
        Ok(rules) => rules,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("not a list of rules: {error}\n")).into_response(),
    };
    let relative = query.get("relative").is_some_and(|value| value == "true" || value == "1");
    this.with(|cloud, now| {
        cloud.set_faults(rules.into_iter().map(|rule| if relative { shifted(rule, now) } else { rule }).collect());
    });
    StatusCode::NO_CONTENT.into_response()
}

fn shown_pool(group: &Group, machines: &[ManagedInstance]) -> Value {
    let machines: Vec<Value> = machines
        .iter()
        .map(|machine| {
            json!({
                "name": machine.name.as_str(),
                "id": machine.id.map(|id| id.to_string()),
                "status": machine.status.map(|status| status.as_str()),
                "action": machine.action.as_str(),
                "lastAttempt": machine.last_attempt.as_ref().map(|error| error.code.to_string()),
            })
        })
        .collect();
    json!({
        "id": group.pool.id.as_str(), "machineType": group.pool.machine_type.as_str(),
        "targetSize": group.pool.size, "stable": group.stable(), "machines": machines,
    })
}

/// Groups, machines and operations, as the cloud has them.
async fn state(State(this): State<Shared>) -> Response {
    let now = this.clock().now();
    let pools: Vec<Value> =
        this.with(|cloud, _| cloud.inspect()).iter().map(|(group, machines)| shown_pool(group, machines)).collect();
    let operations: Vec<Value> = this
        .with(|cloud, now| cloud.operations(now))
        .iter()
        .map(|operation| {
            json!({
                "name": operation.name.as_str(), "kind": operation.kind.as_str(), "pool": operation.pool.as_str(),
                "status": operation.status.as_str(), "error": operation.error.as_ref().map(|error| error.code.to_string()),
            })
        })
        .collect();
    axum::Json(json!({ "now": now.0, "pools": pools, "operations": operations })).into_response()
}

async fn cost(State(this): State<Shared>, Query(query): Parameters) -> Response {
    let time = |key: &str| query.get(key).map(|value| value.parse::<i64>().map(Timestamp)).transpose();
    let (Ok(from), Ok(to)) = (time("from"), time("to")) else {
        return (StatusCode::BAD_REQUEST, "from and to are milliseconds since 1970\n").into_response();
    };
    let from = from.unwrap_or_else(|| this.clock().origin());
    let answer = this.with(|cloud, now| {
        let to = to.unwrap_or(now);
        let cost = cloud.cost(from, to);
        json!({
            "from": from.0, "to": to.0, "microUsd": cost.0, "usd": cost.to_string(),
            "machines": cloud.lifetimes().len(), "unpriced": cloud.unpriced(),
            "lifetimes": cloud.lifetimes().iter().map(|life| json!({
                "pool": life.pool.as_str(), "name": life.name.as_str(), "id": life.id.to_string(),
                "machineType": life.machine_type.as_str(), "from": life.from.0, "to": life.to.map(|to| to.0),
            })).collect::<Vec<_>>(),
        })
    });
    axum::Json(answer).into_response()
}

async fn log(State(this): State<Shared>) -> Response {
    axum::Json(this.log()).into_response()
}

async fn preempt(State(this): State<Shared>, Query(query): Parameters) -> Response {
    let text = |key: &str| query.get(key).map_or("", String::as_str);
    let taken = this.with(|cloud, now| cloud.preempt(now, text("pool"), text("name")));
    if taken {
        StatusCode::NO_CONTENT.into_response()
    } else {
        (StatusCode::NOT_FOUND, "no such machine runs\n").into_response()
    }
}
