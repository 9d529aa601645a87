//! The last look at what holds changes back.
//!
//! Whoever is to change nothing any more, because its lease ran out while it stood still, must not send what
//! it began before. The client's library has no place of ours between the credentials and the wire, so the
//! gate is asked when the library asks for the credentials' headers, once they are there: after it come the
//! connection and the request. Neither is awaited for longer than the gate said that a change may last, and
//! the library looks at that limit before it looks at the connection.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::Error;

type Permits = dyn Fn() -> Option<Duration> + Send + Sync;

/// Says how long a change that begins now may last; without an order, for ever. All clones are one gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<OnceLock<Box<Permits>>>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?})", self.left())
    }
}

impl Gate {
    pub(crate) fn set(&self, permits: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
        // Once: who holds back is not to be replaced by who does not.
        let _ = self.0.set(Box::new(permits));
    }

    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.get().map_or(Some(Duration::MAX), |permits| permits())
    }

    /// Credentials that are given only while the gate is open.
    pub(crate) fn before(&self, credentials: Credentials) -> Credentials {
        Credentials::from(Gated { credentials, gate: self.clone() })
    }
}

#[derive(Debug)]
struct Gated {
    credentials: Credentials,
    gate: Gate,
}

impl CredentialsProvider for Gated {
    async fn headers(
        &self,
        extensions: http::Extensions,
    ) -> Result<CacheableResource<http::HeaderMap>, CredentialsError> {
        let headers = self.credentials.headers(extensions).await?;
        match self.gate.left() {
            Some(_) => Ok(headers),
            None => Err(CredentialsError::from_source(false, HeldBack)),
        }
    }

    async fn universe_domain(&self) -> Option<String> {
        self.credentials.universe_domain().await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("held back: the lease has too little time left, or is not ours")]
struct HeldBack;

/// Whether a call ended at the gate: then nothing was sent.
pub(crate) fn held_back(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<HeldBack>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use adapter_prices::Catalogue;
    use google_cloud_auth::credentials::EntityTag;
    use journal_schema::cloud::PoolId;
    use journal_schema::effect::{Failure, FailureClass, FailureCode};
    use journal_schema::text::Name;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{Config, GoogleCloud, NodeCloud as _};

    /// Credentials that are long in coming. What is waited for is counted.
    #[derive(Debug)]
    struct Slow(Arc<AtomicUsize>);

    impl CredentialsProvider for Slow {
        async fn headers(&self, _: http::Extensions) -> Result<CacheableResource<http::HeaderMap>, CredentialsError> {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(CacheableResource::New { entity_tag: EntityTag::default(), data: http::HeaderMap::new() })
        }

        async fn universe_domain(&self) -> Option<String> {
            None
        }
    }

    /// A cloud without machines, which leaves changes without an answer; and the paths that it was asked for.
    async fn cloud() -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let paths: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = Arc::clone(&paths);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut bytes = [0; 8192];
                    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                        let lists = path.contains("listManagedInstances");
                        all.lock().unwrap().push(path);
                        if lists {
                            let answer =
                                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        (url, paths)
    }

    /// What comes of a boot for which `left` is asked, and the paths that arrived.
    async fn booted(
        left: impl Fn(usize) -> Option<Duration> + Send + Sync + 'static,
    ) -> (Result<(), Failure>, Vec<String>) {
        crate::install_crypto();
        let (url, paths) = cloud().await;
        let waited = Arc::new(AtomicUsize::new(0));
        let config = Config { endpoint: Some(url), gke: false, ..Config::new("p", Catalogue::default()) };
        let cloud = GoogleCloud::signed(config, Slow(Arc::clone(&waited)).into()).await.unwrap();
        cloud.hold_back(move || left(waited.load(Ordering::SeqCst)));
        let name = |text: &str| Name::new(text).unwrap();
        let booted = cloud.create(&PoolId::new("z/g").unwrap(), &[name("a")], &name("intent")).await;
        let paths = paths.lock().unwrap().clone();
        (booted, paths)
    }

    #[tokio::test]
    async fn a_boot_that_waits_for_credentials_past_the_lease_is_not_sent() {
        // The lease runs out while the second headers are waited for: the list has its own before.
        let (booted, paths) = booted(|waited| (waited < 2).then_some(Duration::from_secs(60))).await;
        let failure = booted.unwrap_err();
        assert_eq!((failure.class, failure.code), (FailureClass::Refused, FailureCode::NotLeader));
        assert_eq!(paths.len(), 1, "{paths:?}");
    }

    #[tokio::test]
    async fn a_boot_is_not_awaited_beyond_the_lease() {
        let begun = tokio::time::Instant::now();
        let (booted, paths) = booted(|_| Some(Duration::from_millis(200))).await;
        let failure = booted.unwrap_err();
        assert_eq!((failure.class, failure.code), (FailureClass::Unknown, FailureCode::Timeout));
        assert!(paths[1].contains("createInstances"), "{paths:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
