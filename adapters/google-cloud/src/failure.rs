//! What an error of Google's means for the core.
//!
//! HTTP status first, then the reason in the details, then the text; never the status code that
//! the client library derives, which is `Unknown` for the errors that Compute Engine really sends.
//! Whatever may have happened is `Unknown`: the core then looks at the list.

use google_cloud_compute_v1::errors::OperationError;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::StatusDetails;
use journal_schema::cloud::CloudFault;
use journal_schema::effect::{Failure, FailureClass, FailureCode};
use journal_schema::text::Message;

use crate::gate;

/// What was called, for messages, and whether it may have changed something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    /// Method, as Google's reference names it.
    pub(crate) method: &'static str,
    /// IAM permission that it needs.
    pub(crate) permission: &'static str,
    /// What it was called on.
    pub(crate) target: &'a str,
    /// Whether it changes the cloud.
    pub(crate) mutates: bool,
}

impl Called<'_> {
    pub(crate) fn failed(&self, class: FailureClass, code: FailureCode, what: &str) -> Failure {
        Failure { class, code, message: Message::truncated(format!("{} {}: {what}", self.method, self.target)) }
    }

    /// The class of a failure whose request may have arrived.
    fn perhaps(&self) -> FailureClass {
        if self.mutates { FailureClass::Unknown } else { FailureClass::Retryable }
    }

    /// Classifies an error of a call.
    pub(crate) fn classify(&self, error: &Error) -> Failure {
        let reason = reason(error).unwrap_or_default();
        if let Some(status) = error.http_status_code() {
            return self.by_status(status, &reason, error.status().map_or("", |status| status.message.as_str()));
        }
        if gate::held_back(error) {
            let what = "the lease has too little time left, or is not ours";
            return self.failed(FailureClass::Refused, FailureCode::NotLeader, what);
        }
        if error.is_authentication() {
            // Nothing was sent. Whether signing in works later is not known; asking again is harmless.
            return self.failed(
                FailureClass::Retryable,
                FailureCode::Forbidden,
                "no credentials could be had: check Workload Identity or the key file",
            );
        }
        if error.is_connect() {
            return self.failed(FailureClass::Retryable, FailureCode::Unavailable, "no connection");
        }
        if error.is_timeout() {
            return self.failed(self.perhaps(), FailureCode::Timeout, "no answer in time");
        }
        if error.is_serialization() || error.is_binding() {
            return self.failed(FailureClass::Refused, FailureCode::Invalid, "the request cannot be written");
        }
        if error.is_deserialization() {
            return self.failed(self.perhaps(), FailureCode::Unavailable, "the answer cannot be read");
        }
        self.failed(self.perhaps(), FailureCode::Unavailable, "the connection broke")
    }

    /// Classifies an answer by its HTTP status and reason.
    pub(crate) fn by_status(&self, status: u16, reason: &str, message: &str) -> Failure {
        let throttled =
            matches!(reason, "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded" | "RATE_LIMIT_EXCEEDED")
                || (reason.is_empty()
                    && (message.contains("Rate Limit") || message.contains("Quota exceeded for quota")));
        let what = if reason.is_empty() { status.to_string() } else { format!("{status} {reason}") };
        match status {
            403 | 429 if throttled || status == 429 => {
                self.failed(FailureClass::Retryable, FailureCode::Throttled, &what)
            }
            401 | 403 => {
                let what = format!("{what}: permission {} is needed", self.permission);
                self.failed(FailureClass::Refused, FailureCode::Forbidden, &what)
            }
            404 | 410 => self.failed(FailureClass::Refused, FailureCode::NotFound, &what),
            408 => self.failed(self.perhaps(), FailureCode::Timeout, &what),
            // Somebody was first, perhaps ourselves: the list tells.
            409 => self.failed(self.perhaps(), FailureCode::Precondition, &what),
            412 => self.failed(FailureClass::Refused, FailureCode::Precondition, &what),
            400..=499 => self.failed(FailureClass::Refused, FailureCode::Invalid, &what),
            // 503 is the one that says it did not begin.
            503 => self.failed(FailureClass::Retryable, FailureCode::Unavailable, &what),
            _ => self.failed(self.perhaps(), FailureCode::Unavailable, &what),
        }
    }

    /// Classifies the error that an operation ended with.
    pub(crate) fn operation(&self, error: &OperationError) -> Failure {
        let OperationError::Generic(error) = error else {
            return self.failed(FailureClass::Unknown, FailureCode::Cloud(CloudFault::Other), "the operation failed");
        };
        let first = error.details.as_ref().and_then(|details| details.errors.first());
        let code = first.and_then(|first| first.code.as_deref()).unwrap_or("");
        let message = first.and_then(|first| first.message.as_deref()).or(error.message.as_deref()).unwrap_or("");
        let status = error.status_code.unwrap_or(0);
        let what = format!("the operation ended with {status} {code}");
        match (fault(code, message), status) {
            (CloudFault::Permission, _) => self.failed(FailureClass::Refused, FailureCode::Forbidden, &what),
            (CloudFault::Other, _) if code.contains("ALREADY_EXISTS") => {
                self.failed(FailureClass::Unknown, FailureCode::Precondition, &what)
            }
            (CloudFault::Other, 500..=599) => {
                self.failed(FailureClass::Unknown, FailureCode::Cloud(CloudFault::Other), &what)
            }
            (fault, _) => self.failed(FailureClass::Refused, FailureCode::Cloud(fault), &what),
        }
    }
}

/// The reason that the answer's details carry, for example `rateLimitExceeded`.
fn reason(error: &Error) -> Option<String> {
    error.status()?.details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) => Some(info.reason.clone()),
        _ => None,
    })
}

/// What a code of an operation or of a machine's last attempt means; the same reading as
/// cluster-autoscaler's (`GetErrorInfo` in its gce client).
pub(crate) fn fault(code: &str, message: &str) -> CloudFault {
    match code {
        "RESOURCE_POOL_EXHAUSTED"
        | "ZONE_RESOURCE_POOL_EXHAUSTED"
        | "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
        | "INSUFFICIENT_CAPACITY" => CloudFault::Stockout,
        "CONDITION_NOT_MET" | "INVALID_FIELD_VALUE" | "INVALID_USAGE" | "RESOURCE_NOT_FOUND" => CloudFault::Config,
        code if code.contains("IP_SPACE_EXHAUSTED") => CloudFault::Addresses,
        code if code.contains("QUOTA") => CloudFault::Quota,
        code if code.contains("PERMISSIONS_ERROR") => CloudFault::Permission,
        _ if message.contains("does not have enough resources available") => CloudFault::Stockout,
        _ => CloudFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_compute_v1::errors::GenericOperationError;
    use google_cloud_compute_v1::model::operation::{Error as Details, error::Errors};

    const CALL: Called<'static> = Called {
        method: "createInstances",
        permission: "compute.instanceGroupManagers.update",
        target: "z/p",
        mutates: true,
    };
    const READ: Called<'static> = Called { mutates: false, ..CALL };

    #[test]
    fn a_status_is_read_with_its_reason() {
        use FailureClass::{Refused, Retryable, Unknown};
        use FailureCode::{Forbidden, Invalid, NotFound, Precondition, Throttled, Timeout, Unavailable};
        let cases = [
            (403, "rateLimitExceeded", "", Retryable, Throttled),
            (403, "", "Rate Limit Exceeded", Retryable, Throttled),
            (403, "forbidden", "", Refused, Forbidden),
            (401, "", "", Refused, Forbidden),
            (429, "", "", Retryable, Throttled),
            (404, "notFound", "", Refused, NotFound),
            (409, "alreadyExists", "", Unknown, Precondition),
            (412, "conditionNotMet", "", Refused, Precondition),
            (400, "invalid", "", Refused, Invalid),
            (408, "", "", Unknown, Timeout),
            (503, "backendError", "", Retryable, Unavailable),
            (500, "", "", Unknown, Unavailable),
            (502, "", "", Unknown, Unavailable),
        ];
        for (status, reason, message, class, code) in cases {
            let failure = CALL.by_status(status, reason, message);
            assert_eq!((failure.class, failure.code), (class, code), "{status} {reason}");
        }
        assert_eq!(READ.by_status(500, "", "").class, Retryable, "a read never happened");
        assert_eq!(
            CALL.by_status(403, "forbidden", "").message.as_str(),
            "createInstances z/p: 403 forbidden: permission compute.instanceGroupManagers.update is needed"
        );
    }

    #[test]
    fn a_broken_call_may_have_happened_and_one_that_never_left_did_not() {
        assert_eq!(CALL.classify(&Error::io("reset")).class, FailureClass::Unknown);
        assert_eq!(CALL.classify(&Error::timeout("slow")).class, FailureClass::Unknown);
        assert_eq!(CALL.classify(&Error::connect("refused")).class, FailureClass::Retryable);
        assert_eq!(READ.classify(&Error::timeout("slow")).class, FailureClass::Retryable);
        assert_eq!(CALL.classify(&Error::deser("not JSON")).class, FailureClass::Unknown);
    }

    fn ended(status: i32, code: &str) -> Failure {
        let details = Details::new().set_errors([Errors::new().set_code(code)]);
        CALL.operation(&OperationError::Generic(
            GenericOperationError::new().set_status_code(status).set_details(details),
        ))
    }

    #[test]
    fn an_operations_error_is_read_by_its_code() {
        assert_eq!(ended(412, "CONDITION_NOT_MET").code, FailureCode::Cloud(CloudFault::Config));
        assert_eq!(
            ended(503, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS").code,
            FailureCode::Cloud(CloudFault::Stockout)
        );
        assert_eq!(ended(403, "QUOTA_EXCEEDED").code, FailureCode::Cloud(CloudFault::Quota));
        assert_eq!(ended(400, "IP_SPACE_EXHAUSTED_WITH_DETAILS").code, FailureCode::Cloud(CloudFault::Addresses));
        assert_eq!(ended(403, "PERMISSIONS_ERROR").code, FailureCode::Forbidden);
        assert_eq!(ended(409, "RESOURCE_ALREADY_EXISTS").class, FailureClass::Unknown);
        assert_eq!(ended(500, "INTERNAL_ERROR").class, FailureClass::Unknown);
        assert_eq!(ended(400, "BAD").class, FailureClass::Refused);
    }
}
