//! An API server of a few lines, without sockets: objects by path, resource versions, JSON patches
//! with their tests, scale and eviction, and faults put in front of it.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// One request as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// What is answered instead of what the server would answer.
pub(crate) enum Fault {
    /// This status; the request has no effect.
    Status(u16, Value),
    /// The request has its effect, and the answer is lost.
    AnswerLost,
    /// The request has no effect and no answer.
    Silence,
    /// The connection breaks.
    Reset,
    /// The server changes this object before it looks at the request.
    Meanwhile(Box<Change>),
}

/// A change of the server's objects.
type Change = dyn FnOnce(&mut BTreeMap<String, Value>) + Send;
/// For which request a fault is meant.
type Rule = (Method, Fault);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) seen: Vec<Seen>,
    faults: VecDeque<Rule>,
    version: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Server(pub(crate) Arc<Mutex<State>>);

fn status(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "a message with a body"}),
    )
}

impl State {
    fn bump(&mut self, object: &mut Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    fn put(&mut self, path: &str, query: &str, mut body: Value) -> (u16, Value) {
        if let Some(parent) = path.strip_suffix("/scale") {
            let Some(mut object) = self.objects.get(parent).cloned() else { return status(404, "NotFound") };
            if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                return status(409, "Conflict");
            }
            if object["spec"]["replicas"] != body["spec"]["replicas"] {
                object["spec"]["replicas"] = body["spec"]["replicas"].clone();
                // Whoever changes a field takes it over.
                let manager = query.strip_prefix("fieldManager=").unwrap_or("unknown");
                object["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
            }
            self.bump(&mut object);
            self.objects.insert(parent.to_owned(), object);
            return (200, body);
        }
        let Some(now) = self.objects.get(path) else { return status(404, "NotFound") };
        let version = &body["metadata"]["resourceVersion"];
        if !version.is_null() && *version != now["metadata"]["resourceVersion"] {
            return status(409, "Conflict");
        }
        self.bump(&mut body);
        self.objects.insert(path.to_owned(), body.clone());
        (200, body)
    }

    fn answer(&mut self, seen: &Seen) -> (u16, Value) {
        let path = seen.path.as_str();
        match seen.method {
            Method::GET => match path.strip_suffix("/scale") {
                Some(parent) => match self.objects.get(parent) {
                    Some(object) => (
                        200,
                        json!({"kind": "Scale", "metadata": object["metadata"], "spec": {"replicas": object["spec"]["replicas"]}}),
                    ),
                    None => status(404, "NotFound"),
                },
                None => self.objects.get(path).map_or_else(|| status(404, "NotFound"), |object| (200, object.clone())),
            },
            Method::PUT => self.put(path, &seen.query, seen.body.clone()),
            Method::PATCH => {
                let Some(mut object) = self.objects.get(path).cloned() else { return status(404, "NotFound") };
                let patch: json_patch::Patch = serde_json::from_value(seen.body.clone()).expect("a JSON patch");
                if json_patch::patch(&mut object, &patch).is_err() {
                    return status(422, "Invalid");
                }
                self.bump(&mut object);
                self.objects.insert(path.to_owned(), object.clone());
                (200, object)
            }
            Method::POST => {
                if let Some(pod) = path.strip_suffix("/eviction") {
                    let Some(object) = self.objects.get(pod) else { return status(404, "NotFound") };
                    if seen.body["deleteOptions"]["preconditions"]["uid"] != object["metadata"]["uid"] {
                        return status(409, "Conflict");
                    }
                    self.objects.remove(pod);
                    return (201, json!({"kind": "Status", "status": "Success"}));
                }
                let at = format!("{path}/{}", seen.body["metadata"]["name"].as_str().unwrap_or("review"));
                if self.objects.contains_key(&at) {
                    return status(409, "AlreadyExists");
                }
                let mut object = seen.body.clone();
                self.bump(&mut object);
                self.objects.insert(at, object.clone());
                (201, object)
            }
            _ => status(405, "MethodNotAllowed"),
        }
    }
}

impl Server {
    pub(crate) fn with(objects: &[(&str, Value)]) -> Self {
        let server = Self::default();
        for (path, object) in objects {
            server.insert(path, object.clone());
        }
        server
    }

    pub(crate) fn insert(&self, path: &str, mut object: Value) {
        let mut state = self.0.lock().unwrap();
        state.bump(&mut object);
        state.objects.insert(path.to_owned(), object);
    }

    pub(crate) fn object(&self, path: &str) -> Value {
        self.0.lock().unwrap().objects.get(path).cloned().unwrap_or(Value::Null)
    }

    /// The next request with this method meets this fault.
    pub(crate) fn fault(&self, method: Method, fault: Fault) {
        self.0.lock().unwrap().faults.push_back((method, fault));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }

    /// Methods of the requests so far.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.method.to_string()).collect()
    }

    pub(crate) async fn handle(self, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await.unwrap();
        let seen = Seen {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        let (code, answer) = {
            let mut guard = self.0.lock().unwrap();
            let state = &mut *guard;
            state.seen.push(seen.clone());
            let fault = state
                .faults
                .iter()
                .position(|(method, _)| *method == parts.method)
                .and_then(|at| state.faults.remove(at));
            match fault.map(|(_, fault)| fault) {
                None => Ok(state.answer(&seen)),
                Some(Fault::Status(code, body)) => Ok((code, body)),
                Some(Fault::AnswerLost) => {
                    state.answer(&seen);
                    Err(None)
                }
                Some(Fault::Silence) => Err(None),
                Some(Fault::Reset) => Err(Some(std::io::ErrorKind::ConnectionReset)),
                Some(Fault::Meanwhile(change)) => {
                    change(&mut state.objects);
                    Ok(state.answer(&seen))
                }
            }
        }
        .or_else(|broken| match broken {
            Some(kind) => Err(std::io::Error::from(kind)),
            None => Ok((0, Value::Null)),
        })?;
        if code == 0 {
            std::future::pending::<Infallible>().await;
        }
        Ok(Response::builder().status(code).body(Body::from(serde_json::to_vec(&answer).unwrap())).unwrap())
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        Client::new(tower::service_fn(move |request| server.clone().handle(request)), "default")
    }
}

/// Gives an object another resource version, as if its status had changed.
pub(crate) fn touched(object: &mut Value) {
    object["metadata"]["resourceVersion"] = json!("touched");
}
