//! Google's APIs that are asked for one thing only, in plain REST: a client crate for each would bring
//! more code than the call is worth.

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use journal_schema::effect::{Failure, FailureClass, FailureCode};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::failure::Called;

/// A signed client.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    http: reqwest::Client,
    signed: Credentials,
}

impl Rest {
    pub(crate) fn new(config: &Config, signed: Credentials) -> Result<Self, reqwest::Error> {
        let http =
            reqwest::Client::builder().timeout(config.timeout).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, signed })
    }

    /// Reads one document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str, called: &Called<'_>) -> Result<T, Failure> {
        let signed = self.signed.headers(http::Extensions::new()).await.map_err(|_| {
            called.failed(
                FailureClass::Retryable,
                FailureCode::Forbidden,
                "no credentials could be had: check Workload Identity or the key file",
            )
        })?;
        let headers = match signed {
            CacheableResource::New { data, .. } => data,
            CacheableResource::NotModified => http::HeaderMap::new(),
        };
        let answer = self.http.get(url).headers(headers).send().await.map_err(|error| {
            let code = if error.is_timeout() { FailureCode::Timeout } else { FailureCode::Unavailable };
            called.failed(FailureClass::Retryable, code, "no answer")
        })?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(called.by_status(status, "", ""));
        }
        answer
            .json()
            .await
            .map_err(|_| called.failed(FailureClass::Retryable, FailureCode::Unavailable, "the answer cannot be read"))
    }
}
