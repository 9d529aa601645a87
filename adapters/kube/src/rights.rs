//! Which permissions are needed, and which of them this account does not have.
//!
//! The same as the files in `deploy/rbac` give; a test on a real API server compares both with what
//! is used.

use futures::{StreamExt, stream};
use journal_schema::effect::Failure;
use journal_schema::facts::Object;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::READ_TIMEOUT;
use crate::project::Project;
use crate::rest::{Rest, text};

/// What is done with the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// One look: `kinema plan`.
    Look,
    /// The daemon in mode Recommend: it watches, leads, and tells what it would do.
    Observe,
    /// The daemon in modes Approve and Auto. What is changed in namespaces is [`to_move`].
    Act,
}

/// A permission that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Verb.
    pub verb: &'static str,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Resource, with its subresource after a slash.
    pub resource: &'static str,
    /// Namespace; `None` for all.
    pub namespace: Option<String>,
    /// The one object that it is about; `None` for all.
    pub name: Option<String>,
}

/// `patch nodes`, `create pods/eviction`, `list deployments.apps`.
impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        write!(f, "{} {}{group}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

impl Permission {
    fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group, resource, namespace: None, name: None }
    }

    fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    fn of(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }
}

/// Where the daemon's own objects live.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Namespace and name of the Lease.
    pub lease: (&'a str, &'a str),
    /// The namespace that notices about kinema itself are filed in.
    pub namespace: &'a str,
}

/// What is needed beside [`to_move`].
pub fn needed(access: Access, own: Own<'_>) -> Vec<Permission> {
    let watched = [
        ("", "nodes"),
        ("", "pods"),
        ("", "namespaces"),
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("policy", "poddisruptionbudgets"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("storage.k8s.io", "csinodes"),
    ];
    let verbs: &[&'static str] = match access {
        Access::Look => &["list"],
        Access::Observe | Access::Act => &["list", "watch"],
    };
    let mut needed: Vec<Permission> = watched
        .iter()
        .flat_map(|(group, resource)| verbs.iter().map(|verb| Permission::new(verb, group, resource)))
        .collect();
    if access != Access::Look {
        let (namespace, name) = own.lease;
        let lease = |verb| Permission::new(verb, "coordination.k8s.io", "leases").within(namespace);
        needed.extend([lease("create"), lease("get").of(name), lease("update").of(name)]);
        needed.push(notices(own.namespace));
    }
    if access == Access::Act {
        needed.extend([Permission::new("get", "", "nodes"), Permission::new("patch", "", "nodes")]);
        // Notices about nodes are filed here.
        needed.push(notices("default"));
    }
    needed
}

fn notices(namespace: &str) -> Permission {
    Permission::new("create", "events.k8s.io", "events").within(namespace)
}

/// What is needed to move the pods of a namespace, or of all of them.
pub fn to_move(namespace: Option<&str>) -> Vec<Permission> {
    let all = [
        ("get", "", "pods"),
        ("patch", "", "pods"),
        ("create", "", "pods/eviction"),
        ("get", "apps", "deployments"),
        ("patch", "apps", "deployments"),
        ("update", "apps", "deployments/scale"),
        ("get", "apps", "replicasets"),
        ("update", "apps", "replicasets/scale"),
    ];
    let namespace = namespace.map(str::to_owned);
    all.into_iter()
        .map(|(verb, group, resource)| Permission {
            namespace: namespace.clone(),
            ..Permission::new(verb, group, resource)
        })
        .collect()
}

/// Asks the API server which of the permissions this account does not have, in their order.
pub async fn preflight(client: &Client, needed: Vec<Permission>) -> Result<Vec<Permission>, Failure> {
    let rest = Rest::new(client.clone(), READ_TIMEOUT);
    let answers: Vec<Result<Option<Permission>, Failure>> = stream::iter(needed)
        .map(|permission| {
            let rest = rest.clone();
            async move { Ok((!allowed(&rest, &permission).await?).then_some(permission)) }
        })
        .buffered(8)
        .collect()
        .await;
    answers.into_iter().filter_map(Result::transpose).collect()
}

async fn allowed(rest: &Rest, permission: &Permission) -> Result<bool, Failure> {
    let (resource, subresource) = permission.resource.split_once('/').unwrap_or((permission.resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "verb": permission.verb,
            "group": permission.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": permission.namespace.as_deref().unwrap_or_default(),
            "name": permission.name.as_deref().unwrap_or_default(),
        }},
    });
    let answer = rest.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
    let answer = answer.map_err(|error| error.classed(false))?;
    Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
}

/// In which namespaces this account may move pods; by default in all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolled {
    /// All of [`to_move`] is given there.
    pub complete: Vec<String>,
    /// Something is missing there, and they are not opted out by `kinema.dev/exclude`.
    pub incomplete: Vec<String>,
    /// What is missing, where the whole cluster is asked about at once; empty: every namespace is enrolled.
    pub missing: Vec<Permission>,
}

impl Enrolled {
    /// Whether pods of a namespace may be moved. One that came after the question may not.
    pub fn may_move(&self, namespace: &str) -> bool {
        self.missing.is_empty() || self.complete.iter().any(|name| name == namespace)
    }
}

/// Asks where the account may move pods: everywhere, or namespace by namespace.
pub async fn enrolled(client: &Client) -> Result<Enrolled, Failure> {
    let missing = preflight(client, to_move(None)).await?;
    let mut enrolled = Enrolled { missing, ..Enrolled::default() };
    if enrolled.missing.is_empty() {
        return Ok(enrolled);
    }
    let rest = Rest::new(client.clone(), READ_TIMEOUT);
    let list = rest.get("/api/v1/namespaces").await.map_err(|error| error.classed(false))?;
    for item in list.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
        let name = text(item, "/metadata/name").to_owned();
        let asked: Vec<Permission> = enrolled.missing.iter().map(|one| one.clone().within(&name)).collect();
        let fact = Namespace::deserialize(item).ok().and_then(|namespace| namespace.project().ok());
        let opted_out = matches!(fact.map(|fact| fact.object), Some(Object::Namespace(fact)) if fact.excluded);
        if preflight(client, asked).await?.is_empty() {
            enrolled.complete.push(name);
        } else if !opted_out {
            enrolled.incomplete.push(name);
        }
    }
    Ok(enrolled)
}
