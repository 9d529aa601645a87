//! The last look at the fence: when a connection takes a request.
//!
//! Between the call and the wire a request may wait: for its turn, for credentials, for a connection. A
//! process that is stopped there and goes on after its lease ran out would send what it began long ago. So
//! the fence is asked again when the connection asks for the request's body, which is when it writes the
//! request; a body that is refused there breaks the request off, and what has no body or half of one is not
//! carried out. Later than this is only the kernel.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use crate::lease::Fence;

/// A request's own look at the fence. It travels in the request's extensions.
#[derive(Clone)]
pub(crate) struct Gate {
    fence: Fence,
    held_back: Arc<AtomicBool>,
}

impl Gate {
    pub(crate) fn new(fence: Fence) -> Self {
        Self { fence, held_back: Arc::default() }
    }

    fn permits(&self) -> bool {
        let permits = self.fence.margin_for_mutation().is_some();
        if !permits {
            self.held_back.store(true, Ordering::SeqCst);
        }
        permits
    }

    /// Whether the request was refused at the connection: then it was certainly not carried out.
    pub(crate) fn held_back(&self) -> bool {
        self.held_back.load(Ordering::SeqCst)
    }
}

/// A body that the connection gets only while the gate permits it.
struct Gated {
    body: Body,
    gate: Option<Gate>,
}

impl http_body::Body for Gated {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.gate.as_ref().is_some_and(|gate| !gate.permits()) {
            return Poll::Ready(Some(Err("held back: the lease has too little time left, or is not ours".into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

fn gated(mut request: Request<Body>) -> Request<Gated> {
    let gate = request.extensions_mut().remove::<Gate>();
    request.map(|body| Gated { body, gate })
}

/// A client over a connector as kube builds its own, but with the gate at the connection, and without
/// retries. Proxies are the connector's business.
pub(crate) fn client<C>(config: &Config, connector: C) -> kube::Result<Client>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let connections = hyper_util::client::legacy::Builder::new(TokioExecutor::new()).build::<_, Gated>(connector);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .map_request(gated)
        .service(connections);
    Ok(ClientBuilder::new(stack, config.default_namespace.clone()).build())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use http::Uri;
    use hyper_util::rt::TokioIo;
    use journal_schema::effect::{FailureClass, FailureCode};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::rest::{CallError, Rest};

    /// A server that answers every request, and all that it was sent.
    async fn server() -> (String, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let sent: Arc<Mutex<String>> = Arc::default();
        let all = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                        all.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&bytes[..length]));
                        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                        stream.write_all(answer.as_bytes()).await.expect("a reader");
                    }
                });
            }
        });
        (address, sent)
    }

    /// What comes of a change if the whole process stands still for 300 ms while it gets a connection, and what
    /// arrived. The lease is ours for so long.
    async fn changed(left: Duration) -> (Result<Value, CallError>, String) {
        let (address, sent) = server().await;
        let config = Config::new(format!("http://{address}/").parse().expect("a URL"));
        let connector = tower::service_fn(move |_: Uri| {
            let address = address.clone();
            Box::pin(async move {
                let stream = TcpStream::connect(&address).await?;
                // No timer and no other task goes on meanwhile, as after SIGSTOP.
                std::thread::sleep(Duration::from_millis(300));
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            })
        });
        let client = client(&config, connector).expect("a client");
        let minute = Duration::from_secs(60);
        let rest = Rest::new(client, minute).fenced(&Fence::open_for(left), minute);
        let answer = rest.patch("/api/v1/nodes/n1", &[json!({"op": "test"})]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sent = sent.lock().expect("not poisoned").clone();
        (answer, sent)
    }

    #[tokio::test]
    async fn a_change_whose_process_was_stopped_past_the_lease_is_not_sent() {
        let (answer, sent) = changed(Duration::from_secs(60)).await;
        assert!(answer.is_ok());
        assert!(sent.starts_with("PATCH /api/v1/nodes/n1?") && sent.ends_with(r#"[{"op":"test"}]"#), "{sent}");

        let (answer, sent) = changed(Duration::from_millis(200)).await;
        assert_eq!(sent, "", "not a byte of it");
        let failure = answer.expect_err("held back").classed(true);
        assert_eq!((failure.class, failure.code), (FailureClass::Refused, FailureCode::NotLeader));
    }
}
