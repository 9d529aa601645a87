//! What an error of Prometheus, or of a proxy before it, means for the core. All are reads: nothing
//! ever happened, so a failure is either worth another try or it is not.

use journal_schema::effect::{Failure, FailureClass, FailureCode};
use journal_schema::text::Message;
use prometheus_http_query::Error;

pub(crate) fn failed(class: FailureClass, code: FailureCode, what: &str) -> Failure {
    Failure { class, code, message: Message::truncated(format!("Prometheus: {what}")) }
}

/// Classifies an error before there is an answer.
pub(crate) fn unanswered(error: &Error) -> Failure {
    let Error::Client(error) = error else {
        return failed(FailureClass::Refused, FailureCode::Invalid, "the query cannot be sent");
    };
    error.inner().map_or_else(|| failed(FailureClass::Retryable, FailureCode::Unavailable, "no answer"), broken)
}

/// Classifies an error of the connection.
pub(crate) fn broken(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        failed(FailureClass::Retryable, FailureCode::Timeout, "no answer in time")
    } else if error.is_connect() {
        failed(
            FailureClass::Retryable,
            FailureCode::Unavailable,
            "no connection: is the address right, and does it run?",
        )
    } else {
        failed(FailureClass::Retryable, FailureCode::Unavailable, "the connection broke")
    }
}

/// Classifies an answer that is not 200, by its status and Prometheus's own kind of error.
pub(crate) fn by_status(status: u16, kind: &str) -> Failure {
    use FailureClass::{Refused, Retryable};
    let what = if kind.is_empty() { status.to_string() } else { format!("{status} {kind}") };
    match status {
        401 | 403 => {
            failed(Refused, FailureCode::Forbidden, &format!("{what}: the token or header does not permit to query"))
        }
        404 | 405 => failed(Refused, FailureCode::NotFound, &format!("{what}: there is no query API at this address")),
        408 => failed(Retryable, FailureCode::Timeout, &what),
        429 => failed(Retryable, FailureCode::Throttled, &what),
        300..=399 => failed(
            Refused,
            FailureCode::Invalid,
            &format!("{what}: the address redirects, perhaps to a sign-in; use the address behind it"),
        ),
        422 => failed(
            Refused,
            FailureCode::Invalid,
            &format!("{what}: the query asks for more than the server allows, or cannot be computed"),
        ),
        400..=499 => failed(Refused, FailureCode::Invalid, &what),
        _ if kind == "timeout" || kind == "canceled" => failed(Retryable, FailureCode::Timeout, &what),
        _ => failed(Retryable, FailureCode::Unavailable, &what),
    }
}
