//! Notices: Kubernetes Events (events.k8s.io/v1), for the people who watch the cluster.

use std::hash::{DefaultHasher, Hash, Hasher};

use journal_schema::effect::{Answer, Failure, Regarding};
use journal_schema::facts::Key;
use serde_json::{Value, json};

use crate::rest::{Rest, path};

/// Who reports.
const CONTROLLER: &str = "kinema.dev/kinema";
/// The API's limit of a note, in bytes.
const NOTE_BYTES: usize = 1024;
/// The API's limit of a reason, in bytes.
const REASON_BYTES: usize = 128;

/// Writes notices in the name of one instance of kinema.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The pod that kinema runs in, or where there is none a name for it.
    own: Key,
    /// The instance: a pod's or a host's name.
    instance: String,
}

fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What was done, as the API asks for besides the reason.
fn action(reason: &str) -> &'static str {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| reason.starts_with(prefix));
    if starts(&["NodeBoot"]) {
        "Boot"
    } else if starts(&["NodeMarked"]) {
        "Label"
    } else if starts(&["NodeRemoved"]) {
        "Delete"
    } else if starts(&["Pods", "Move"]) {
        "Move"
    } else if starts(&["Evict"]) {
        "Evict"
    } else if starts(&["Plan"]) {
        "Plan"
    } else {
        "Reschedule"
    }
}

impl Reporter {
    /// A reporter. `own` is the pod that kinema runs in; outside of a cluster any namespace and
    /// name, under which notices about kinema itself are filed.
    pub fn new(own: Key, instance: impl Into<String>) -> Self {
        Self { own, instance: instance.into() }
    }

    fn regarding(&self, about: &Regarding) -> (Value, String, String) {
        let reference = |version: &str, kind: &str, key: &Key, uid: &str| {
            let mut reference = json!({"apiVersion": version, "kind": kind, "name": key.name.as_str()});
            if !key.namespace.is_empty() {
                reference["namespace"] = json!(key.namespace.as_str());
            }
            if !uid.is_empty() {
                reference["uid"] = json!(uid);
            }
            reference
        };
        let (reference, key) = match about {
            // kubelets, too, give a node's name as its UID here; tools look notices up by it.
            Regarding::Node(name, uid) => {
                let key = Key::cluster(name.clone());
                (reference("v1", "Node", &key, uid), key)
            }
            Regarding::Workload(id, uid) => {
                (reference("apps/v1", id.kind.kind().as_str(), &id.key, uid), id.key.clone())
            }
            Regarding::Pod(key, uid) => (reference("v1", "Pod", key, uid), key.clone()),
            Regarding::Kinema => (reference("v1", "Pod", &self.own, ""), self.own.clone()),
        };
        // Notices about objects without a namespace are kept in `default`.
        let namespace = if key.namespace.is_empty() { "default" } else { key.namespace.as_str() };
        (reference, namespace.to_owned(), key.name.as_str().to_owned())
    }

    /// Writes a notice. Its name derives from its content, so that the same one sent twice is one.
    pub(super) async fn report(
        &self,
        rest: &Rest,
        about: &Regarding,
        reason: &str,
        note: &str,
        warning: bool,
    ) -> Result<Answer, Failure> {
        let (regarding, namespace, name) = self.regarding(about);
        let mut hasher = DefaultHasher::new();
        (regarding.to_string(), reason, note, warning).hash(&mut hasher);
        let event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": format!("{}.{:016x}", cut(&name, 230), hasher.finish()), "namespace": namespace},
            "eventTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
            "reportingController": CONTROLLER,
            "reportingInstance": cut(&self.instance, 128),
            "action": action(reason),
            "reason": cut(reason, REASON_BYTES),
            "regarding": regarding,
            "note": cut(note, NOTE_BYTES),
            "type": if warning { "Warning" } else { "Normal" },
        });
        let path = path(&["apis", "events.k8s.io", "v1", "namespaces", &namespace, "events"])
            .map_err(|error| error.classed(false))?;
        match rest.post(&path, &event).await {
            Ok(_) => Ok(Answer::Done),
            // It stands there already.
            Err(error) if error.code() == 409 => Ok(Answer::Done),
            Err(error) => Err(error.classed(false)),
        }
    }
}
