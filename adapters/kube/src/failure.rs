//! Failures of requests, classed: did it not happen, will it never, or may it have happened?
//!
//! Messages hold the status code, its reason and what we derive of them; never a body, because
//! bodies carry what users wrote.

use std::error::Error as _;

use journal_schema::effect::{Failure, FailureClass, FailureCode};
use journal_schema::text::Message;
use kube::core::Status;

/// Builds a failure.
pub(crate) fn failure(class: FailureClass, code: FailureCode, message: impl AsRef<str>) -> Failure {
    Failure { class, code, message: Message::truncated(message) }
}

/// A precondition of the effect does not hold.
pub(crate) fn precondition(message: impl AsRef<str>) -> Failure {
    failure(FailureClass::Refused, FailureCode::Precondition, message)
}

/// Classes an error. `mutating` tells whether the request would have changed something: then what
/// was sent and not answered may have happened.
pub(crate) fn classify(error: &kube::Error, mutating: bool) -> Failure {
    let unanswered = if mutating { FailureClass::Unknown } else { FailureClass::Retryable };
    match error {
        kube::Error::Api(status) => of_status(status, mutating),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => match transport(error) {
            Transport::NotConnected => {
                failure(FailureClass::Retryable, FailureCode::Unavailable, "the API server could not be reached")
            }
            Transport::NotSent => failure(
                FailureClass::Retryable,
                FailureCode::Unavailable,
                "the request could not be authenticated or sent",
            ),
            Transport::TimedOut => failure(unanswered, FailureCode::Timeout, "no answer in time"),
            Transport::Broken => {
                failure(unanswered, FailureCode::Unavailable, "the connection broke before the answer")
            }
        },
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            failure(unanswered, FailureCode::Unavailable, "the answer could not be read")
        }
        kube::Error::Auth(_) | kube::Error::InferConfig(_) => {
            failure(FailureClass::Retryable, FailureCode::Forbidden, "no credentials could be had")
        }
        // What is left happens before anything is sent.
        _ => failure(FailureClass::Refused, FailureCode::Internal, "the request could not be built"),
    }
}

/// Status code and reason, for example `409 Conflict`.
pub(crate) fn status_text(status: &Status) -> String {
    // What a proxy answered has no reason of Kubernetes, and its text is a body.
    let known = !status.reason.is_empty() && status.reason.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if known { format!("{} {}", status.code, status.reason) } else { status.code.to_string() }
}

fn of_status(status: &Status, mutating: bool) -> Failure {
    let text = status_text(status);
    let unanswered = if mutating { FailureClass::Unknown } else { FailureClass::Retryable };
    match status.code {
        401 => failure(FailureClass::Retryable, FailureCode::Forbidden, text),
        403 => failure(FailureClass::Refused, FailureCode::Forbidden, text),
        404 => failure(FailureClass::Refused, FailureCode::NotFound, text),
        409 => failure(FailureClass::Refused, FailureCode::Precondition, text),
        410 => failure(FailureClass::Retryable, FailureCode::Unavailable, text),
        400 | 405 | 406 | 413 | 415 | 422 => failure(FailureClass::Refused, FailureCode::Invalid, text),
        429 => {
            let wait = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            let text = if wait > 0 { format!("{text}: retry after {wait} s") } else { text };
            failure(FailureClass::Retryable, FailureCode::Throttled, text)
        }
        // The API server says so itself before it begins. A proxy's 503 may come after.
        503 if status.reason == "ServiceUnavailable" => {
            failure(FailureClass::Retryable, FailureCode::Unavailable, text)
        }
        504 => failure(unanswered, FailureCode::Timeout, text),
        code if code >= 500 => failure(unanswered, FailureCode::Unavailable, text),
        _ => failure(FailureClass::Refused, FailureCode::Invalid, text),
    }
}

/// How far a request without an answer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// No connection: nothing was sent.
    NotConnected,
    /// It failed in a layer before the connection: nothing was sent.
    NotSent,
    /// Sent, and no answer in time.
    TimedOut,
    /// Sent, and the connection broke.
    Broken,
}

/// Looks through the causes of an error.
pub(crate) fn transport(error: &kube::Error) -> Transport {
    let mut cause = error.source();
    let mut found = Transport::Broken;
    while let Some(error) = cause {
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        if client.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return Transport::NotConnected;
        }
        if error.downcast_ref::<kube::client::AuthError>().is_some() {
            return Transport::NotSent;
        }
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            found = Transport::TimedOut;
        }
        cause = error.source();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("a body with a secret", reason).with_code(code).boxed())
    }

    #[test]
    fn statuses_are_classed() {
        use FailureClass::{Refused, Retryable, Unknown};
        let cases = [
            (401, "Unauthorized", Retryable, Retryable, FailureCode::Forbidden),
            (403, "Forbidden", Refused, Refused, FailureCode::Forbidden),
            (404, "NotFound", Refused, Refused, FailureCode::NotFound),
            (409, "Conflict", Refused, Refused, FailureCode::Precondition),
            (422, "Invalid", Refused, Refused, FailureCode::Invalid),
            (429, "TooManyRequests", Retryable, Retryable, FailureCode::Throttled),
            (500, "InternalError", Unknown, Retryable, FailureCode::Unavailable),
            (503, "ServiceUnavailable", Retryable, Retryable, FailureCode::Unavailable),
            (503, "Failed to parse error data", Unknown, Retryable, FailureCode::Unavailable),
            (504, "Timeout", Unknown, Retryable, FailureCode::Timeout),
        ];
        for (code, reason, mutating, reading, kind) in cases {
            let error = status(code, reason);
            assert_eq!(
                (classify(&error, true).class, classify(&error, true).code),
                (mutating, kind),
                "{code} mutating"
            );
            assert_eq!(
                (classify(&error, false).class, classify(&error, false).code),
                (reading, kind),
                "{code} reading"
            );
        }
    }

    #[test]
    fn messages_hold_no_body() {
        assert_eq!(classify(&status(403, "Forbidden"), true).message, "403 Forbidden");
        assert_eq!(classify(&status(502, "Failed to parse error data"), true).message, "502");
    }

    #[test]
    fn what_was_sent_and_not_answered_may_have_happened() {
        let timed_out = || kube::Error::Service(Box::new(std::io::Error::new(std::io::ErrorKind::TimedOut, "x")));
        assert_eq!(classify(&timed_out(), true).class, FailureClass::Unknown);
        assert_eq!(classify(&timed_out(), true).code, FailureCode::Timeout);
        assert_eq!(classify(&timed_out(), false).class, FailureClass::Retryable);
        let broken = kube::Error::Service(Box::new(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "x")));
        assert_eq!(classify(&broken, true).class, FailureClass::Unknown);
    }
}
