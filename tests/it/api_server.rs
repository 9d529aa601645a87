//! A stand-in for kube-apiserver and for Prometheus on a loopback port: it answers what a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What is behind the port.
#[derive(Clone, Default)]
pub(crate) struct Cluster {
    /// Objects by resource (`nodes`), as a list serves them.
    objects: Arc<BTreeMap<String, Vec<Value>>>,
    /// Resources whose list is answered with 403, whatever a permission review says.
    forbidden: Arc<Vec<&'static str>>,
    lease: Arc<Mutex<Option<Value>>>,
    /// Requests that change something, other than reviews and the lease.
    changes: Arc<Mutex<Vec<String>>>,
}

/// A server on a port of its own, as long as the test lives.
pub(crate) fn serve(router: Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            axum::serve(listener, router).await.expect("served");
        });
    });
    address
}

fn answer(code: u16, body: &Value) -> Response {
    let code = StatusCode::from_u16(code).expect("a code");
    (code, [("content-type", "application/json")], body.to_string()).into_response()
}

/// As kube-apiserver says no.
fn status(code: u16, reason: &str, message: &str) -> Response {
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}),
    )
}

impl Cluster {
    /// The cluster of a file.
    pub(crate) fn of(file: &str) -> Self {
        let text = std::fs::read_to_string(crate::support::root().join(file)).expect("the fixture");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let mut objects: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for item in list["items"].as_array().expect("items") {
            let resource = format!("{}s", item["kind"].as_str().expect("a kind").to_lowercase());
            objects.entry(resource).or_default().push(item.clone());
        }
        Self { objects: Arc::new(objects), ..Self::default() }
    }

    /// The same, but for lists that are forbidden although the review permits them.
    pub(crate) fn forbidding(self, resources: &[&'static str]) -> Self {
        Self { forbidden: Arc::new(resources.to_vec()), ..self }
    }

    /// What was changed by requests.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.changes.lock().expect("not poisoned").clone()
    }

    /// Serves it; the address.
    pub(crate) fn serve(&self) -> String {
        let own = self.clone();
        serve(Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let own = own.clone();
            async move { own.answer(&method, &uri, &body).await }
        }))
    }

    async fn answer(&self, method: &Method, uri: &Uri, body: &[u8]) -> Response {
        let path = uri.path();
        let resource = path.rsplit('/').next().unwrap_or_default();
        if path == "/version" {
            return answer(
                200,
                &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
            );
        }
        if path.contains("selfsubjectaccessreviews") {
            return answer(
                201,
                &json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {}, "spec": {}, "status": {"allowed": true}}),
            );
        }
        if path.contains("/leases") {
            return self.lease(method, body);
        }
        if method != Method::GET {
            self.changes.lock().expect("not poisoned").push(format!("{method} {path}"));
            return status(403, "Forbidden", "this cluster is only looked at");
        }
        if uri.query().is_some_and(|query| query.contains("watch=true") || query.contains("watch=1")) {
            // Nothing happens in this cluster.
            std::future::pending::<()>().await;
        }
        if self.forbidden.contains(&resource) {
            let message = format!("{resource} is forbidden: User \"tester\" cannot list resource \"{resource}\"");
            return status(403, "Forbidden", &message);
        }
        let items = self.objects.get(resource).cloned().unwrap_or_default();
        answer(200, &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items}))
    }

    fn lease(&self, method: &Method, body: &[u8]) -> Response {
        let mut lease = self.lease.lock().expect("not poisoned");
        if *method == Method::GET {
            return match &*lease {
                Some(lease) => answer(200, lease),
                None => status(404, "NotFound", "leases.coordination.k8s.io \"kinema\" not found"),
            };
        }
        let mut written: Value = serde_json::from_slice(body).expect("a lease");
        let version = lease.as_ref().map_or(1, |lease| {
            lease["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1
        });
        written["metadata"]["resourceVersion"] = json!(version.to_string());
        written["metadata"]["uid"] = json!("lease-uid");
        *lease = Some(written.clone());
        answer(if *method == Method::POST { 201 } else { 200 }, &written)
    }
}

/// A Prometheus that gives every query the same answer.
pub(crate) fn prometheus(code: u16, body: &'static str) -> String {
    serve(Router::new().fallback(move || async move {
        let code = StatusCode::from_u16(code).expect("a code");
        (code, [("content-type", "application/json")], body).into_response()
    }))
}
