//! The daemon's HTTP API: status, an operator's commands, probes, metrics.
//!
//! Without authentication: it listens on loopback unless it is told otherwise, and whoever reaches
//! it acts under the daemon's policy.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use journal_schema::event::{Event, OperatorCommand};
use journal_schema::text::{Message, Name, Text};
use journal_schema::units::Millis;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::metrics;
use super::shared::Shared;
use super::status::Status;

/// Fewest digits that name a plan.
pub const DIGEST_DIGITS: usize = 6;

/// A command's body. Which fields are needed depends on the command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CommandBody {
    /// Who asks.
    pub by: String,
    /// A plan's digest, or a prefix of at least 6 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why (pause).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long, in milliseconds (pause).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_millis: Option<i64>,
}

/// What a command is answered with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandAnswer {
    /// The command was taken into the journal's queue.
    pub accepted: bool,
    /// Why not, or what it will do.
    pub message: String,
}

/// Serves until the daemon stops.
pub async fn serve(listener: TcpListener, shared: Shared) -> std::io::Result<()> {
    let until = shared.clone();
    axum::serve(listener, router(shared)).with_graceful_shutdown(async move { until.until_stop().await }).await
}

/// Binds the address; only loopback without a word of warning.
pub async fn bind(address: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    if !bound.ip().is_loopback() {
        tracing::warn!(%bound, "the API has no authentication and listens beyond loopback");
    }
    Ok((listener, bound))
}

/// The routes.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(measure))
        .route("/api/v1/status", get(status))
        .route("/api/v1/approve", post(approve))
        .route("/api/v1/reject", post(reject))
        .route("/api/v1/pause", post(pause))
        .route("/api/v1/resume", post(resume))
        .route("/api/v1/abort", post(abort))
        .route("/api/v1/plan-now", post(plan_now))
        .with_state(shared)
}

async fn ready(State(shared): State<Shared>) -> Response {
    // A follower is ready too: it is doing what it should.
    let status = shared.status();
    if status.ready || status.lease_holder.is_some() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    }
}

async fn measure(State(shared): State<Shared>) -> Response {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&shared.status())).into_response()
}

async fn status(State(shared): State<Shared>) -> Json<Arc<Status>> {
    Json(shared.status())
}

type Body = Result<Json<CommandBody>, axum::extract::rejection::JsonRejection>;

async fn approve(State(shared): State<Shared>, body: Body) -> Response {
    review(&shared, body, true).await
}

async fn reject(State(shared): State<Shared>, body: Body) -> Response {
    review(&shared, body, false).await
}

async fn review(shared: &Shared, body: Body, approve: bool) -> Response {
    let body = match parsed(body) {
        Ok(body) => body,
        Err(answer) => return *answer,
    };
    let digest = body.digest.clone().unwrap_or_default();
    if digest.len() < DIGEST_DIGITS || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
        return answer(
            StatusCode::BAD_REQUEST,
            false,
            format!("a digest has at least {DIGEST_DIGITS} hexadecimal digits"),
        );
    }
    let status = shared.status();
    let waiting = status.plan.as_ref().filter(|plan| plan.waiting_for_approval);
    match waiting {
        Some(plan) if plan.digest.starts_with(&digest) => {}
        Some(plan) => {
            return answer(
                StatusCode::CONFLICT,
                false,
                format!("plan {digest} is stale: the plan that waits is {}", short(&plan.digest)),
            );
        }
        None if status.mode == "Recommend" => {
            return answer(StatusCode::CONFLICT, false, "the mode is Recommend: plans are shown, never carried out");
        }
        None => return answer(StatusCode::CONFLICT, false, "no plan waits for approval"),
    }
    let digest = Text::truncated(&digest);
    let command = if approve { OperatorCommand::Approve { digest } } else { OperatorCommand::Reject { digest } };
    taken(shared, &body, command, if approve { "approved" } else { "rejected" }).await
}

async fn pause(State(shared): State<Shared>, body: Body) -> Response {
    match parsed(body) {
        Ok(body) => {
            let reason = body.reason.clone().unwrap_or_default();
            if reason.trim().is_empty() {
                return answer(StatusCode::BAD_REQUEST, false, "a pause needs a reason");
            }
            if body.for_millis.is_some_and(|millis| millis <= 0) {
                return answer(StatusCode::BAD_REQUEST, false, "a pause lasts longer than nothing");
            }
            let command =
                OperatorCommand::Pause { reason: Message::truncated(&reason), span: body.for_millis.map(Millis) };
            taken(&shared, &body, command, "paused").await
        }
        Err(answer) => *answer,
    }
}

async fn resume(State(shared): State<Shared>, body: Body) -> Response {
    plain(&shared, body, OperatorCommand::Resume, "resumed").await
}

async fn abort(State(shared): State<Shared>, body: Body) -> Response {
    plain(&shared, body, OperatorCommand::Abort, "aborting: what was changed is undone").await
}

async fn plan_now(State(shared): State<Shared>, body: Body) -> Response {
    plain(&shared, body, OperatorCommand::PlanNow, "planning as soon as every gate is open").await
}

async fn plain(shared: &Shared, body: Body, command: OperatorCommand, message: &str) -> Response {
    match parsed(body) {
        Ok(body) => taken(shared, &body, command, message).await,
        Err(answer) => *answer,
    }
}

fn parsed(body: Body) -> Result<CommandBody, Box<Response>> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(rejection) => Err(Box::new(answer(rejection.status(), false, rejection.body_text()))),
    }
}

async fn taken(shared: &Shared, body: &CommandBody, command: OperatorCommand, message: &str) -> Response {
    if !shared.status().ready {
        return answer(StatusCode::CONFLICT, false, "this process is not the leader");
    }
    let by = if body.by.is_empty() { "somebody" } else { &body.by };
    if shared.send(Event::Operator { by: Name::truncated(by), command }).await {
        answer(StatusCode::ACCEPTED, true, message)
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, false, "the daemon is ending")
    }
}

fn answer(status: StatusCode, accepted: bool, message: impl Into<String>) -> Response {
    (status, Json(CommandAnswer { accepted, message: message.into() })).into_response()
}

/// A digest as people read it.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
