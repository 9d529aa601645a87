//! Google's APIs that are asked for one thing only, in plain REST: a client crate for each would bring
//! more code than the call is worth.

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use journal_schema::effect::{Failure, FailureClass, FailureCode};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::failure::Called;

/// A longer answer is not read to its end. A page of prices has about 10 MB.
const MOST_BYTES: usize = 64 << 20;

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
        let mut answer = self.http.get(url).headers(headers).send().await.map_err(|error| {
            let code = if error.is_timeout() { FailureCode::Timeout } else { FailureCode::Unavailable };
            called.failed(FailureClass::Retryable, code, "no answer")
        })?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(called.by_status(status, "", ""));
        }
        let unreadable =
            || called.failed(FailureClass::Retryable, FailureCode::Unavailable, "the answer cannot be read");
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| unreadable())? {
            if body.len() + chunk.len() > MOST_BYTES {
                let what = format!("the answer is longer than {MOST_BYTES} bytes");
                return Err(called.failed(FailureClass::Refused, FailureCode::Invalid, &what));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| unreadable())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use adapter_prices::Catalogue;
    use google_cloud_auth::credentials::anonymous;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const CALLED: Called<'static> = Called { method: "things.list", permission: "none", target: "x", mutates: false };

    /// What comes of an answer: its head, and then these bytes again and again.
    async fn answered(
        head: &'static str,
        body: &'static [u8],
        times: usize,
        timeout: Duration,
    ) -> Result<u64, Failure> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..times {
                // Nobody may listen any more.
                if stream.write_all(body).await.is_err() {
                    return;
                }
            }
            // Neither an end nor more of it.
            std::future::pending::<()>().await;
        });
        let config = Config { timeout, ..Config::new("p", Catalogue::default()) };
        let rest = Rest::new(&config, anonymous::Builder::new().build()).unwrap();
        let answer = rest.get::<Vec<u64>>(&url, &CALLED).await;
        server.abort();
        answer.map(|numbers| numbers.iter().sum())
    }

    #[tokio::test]
    async fn an_answer_is_read_as_far_as_it_is_believable() {
        let long = Duration::from_secs(30);
        let whole = answered("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"[1,2]", 1, long).await;
        assert_eq!(whole.unwrap(), 3);
        let endless = answered("HTTP/1.1 200 OK\r\n\r\n", &[b' '; 65_536], 4096, long).await.unwrap_err();
        assert_eq!((endless.class, endless.code), (FailureClass::Refused, FailureCode::Invalid));
        assert!(endless.message.contains("longer than 67108864 bytes"), "{}", endless.message);
        let deep = answered("HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n", &[b'['; 65_536], 1, long).await;
        assert!(deep.unwrap_err().message.contains("cannot be read"));
        let silent =
            answered("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"[", 1, Duration::from_millis(300)).await;
        assert_eq!(silent.unwrap_err().class, FailureClass::Retryable);
    }
}
