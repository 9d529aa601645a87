//! What effects answer is journaled as well: of an object that they read, and of an answer that says
//! no, nothing but the allow-list.

use std::collections::BTreeSet;

use adapter_kube::lease::Fence;
use adapter_kube::perform::{Performer, Reporter};
use http::Method;
use journal_schema::codec;
use journal_schema::effect::{Effect, EffectId, NodeRole, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::Event;
use journal_schema::facts::{Key, WorkloadId, WorkloadKind};
use journal_schema::text::{Few, JsonText, Name};
use journal_schema::units::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::mock::{Fault, Server};
use crate::planted::{How, Planted, plant};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/cart";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn bytes(outcome: Outcome) -> Vec<u8> {
    let event = Event::Outcome { id: EffectId { cause: 1, index: 0 }, outcome };
    codec::encode(&Entry { seq: 1, at: Timestamp(1), event }).unwrap()
}

async fn perform(server: &Server, effect: &Effect) -> Vec<u8> {
    let reporter = Reporter::new(Key::new(name("kinema"), name("kinema-0")), "kinema-0");
    bytes(Performer::new(server.client(), Fence::open(), reporter).perform(effect).await)
}

fn found(planted: &Planted, bytes: &[u8]) -> BTreeSet<String> {
    planted.found(bytes).map(str::to_owned).collect()
}

fn workload() -> WorkloadId {
    WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name("cart")) }
}

/// A Deployment under the path with a text in every field; its UID.
fn deployment() -> (Server, Planted, Name) {
    let mut planted = plant::<Deployment>(How::default());
    let manager = planted.text("metadata.managedFields[].manager");
    let fields = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:affinity": {}}}}});
    planted.object["metadata"]["managedFields"] = json!([{"manager": manager, "fieldsV1": fields}]);
    let uid = name(planted.object["metadata"]["uid"].as_str().unwrap());
    (Server::with(&[(DEPLOYMENT, planted.object.clone())]), planted, uid)
}

#[tokio::test]
async fn of_a_template_that_is_read_only_affinity_and_max_unavailable_are_kept() {
    let (server, planted, uid) = deployment();
    let kept = found(&planted, &perform(&server, &Effect::ReadAffinity { workload: workload(), uid }).await);
    let affinity = "spec.template.spec.affinity.";
    let bound = "spec.strategy.rollingUpdate.maxUnavailable";
    assert!(kept.iter().all(|path| path.starts_with(affinity) || path == bound), "{kept:?}");
    let all = planted.found(planted.object.to_string().as_bytes()).filter(|path| path.starts_with(affinity)).count();
    assert_eq!(kept.len(), all + 1, "all of the affinity is kept, so that it can be restored");
}

#[tokio::test]
async fn of_a_workload_that_somebody_else_changed_only_who_it_was_is_kept() {
    let (server, planted, uid) = deployment();
    let (workload, other) = (workload(), Some(JsonText::new("{}").unwrap()));
    let scale = Effect::Scale { workload: workload.clone(), uid: uid.clone(), from: 7, to: 8 };
    let (from, to, requests) = (other.clone(), other, Few::default());
    let patch = Effect::PatchTemplate { workload, uid, from, to, max_unavailable: None, requests };
    for effect in [scale, patch] {
        let kept = found(&planted, &perform(&server, &effect).await);
        assert_eq!(Vec::from_iter(kept), ["metadata.managedFields[].manager"], "{}", effect.name());
    }
}

#[tokio::test]
async fn of_the_pods_of_a_node_nothing_more_is_kept_than_of_watched_ones() {
    let planted = plant::<Pod>(How { amounts: true, ..How::default() });
    let server = Server::default();
    server.fault(Method::GET, Fault::Status(200, json!({"kind": "PodList", "items": [planted.object]})));
    let kept = found(&planted, &perform(&server, &Effect::ReadNodePods { node: name("n1") }).await);
    let mut watched = BTreeSet::new();
    crate::canary::look::<Pod>(How { amounts: true, ..How::default() }, &mut watched);
    assert!(kept.contains("metadata.name") && kept.is_subset(&watched), "{:?}", kept.difference(&watched));
}

/// What an API server, a webhook or a proxy may answer, with a text in every field.
fn refusal(code: u16) -> (Planted, Value) {
    let mut planted = plant::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Status>(How::default());
    planted.object["code"] = json!(code);
    planted.object["status"] = json!("Failure");
    let object = planted.object.clone();
    (planted, object)
}

#[tokio::test]
async fn of_an_answer_that_says_no_only_its_reason_is_kept() {
    let pod = json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u"}});
    let node = json!({"metadata": {"name": "n1", "uid": "u"}});
    let effects = [
        (Method::POST, Effect::Evict { pod: Key::new(name("shop"), name("p")), uid: name("u") }),
        (Method::PATCH, Effect::MarkNode { node: name("n1"), uid: name("u"), role: NodeRole::Optimal, iteration: 1 }),
        (Method::GET, Effect::ReadNodePods { node: name("n1") }),
    ];
    for code in [400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 502, 503, 504] {
        for (method, effect) in &effects {
            let server =
                Server::with(&[("/api/v1/namespaces/shop/pods/p", pod.clone()), ("/api/v1/nodes/n1", node.clone())]);
            let (planted, answer) = refusal(code);
            // A lost race is tried a few times.
            for _ in 0..8 {
                server.fault(method.clone(), Fault::Status(code, answer.clone()));
            }
            let kept = found(&planted, &perform(&server, effect).await);
            assert!(kept.iter().all(|path| path == "reason"), "{code} {}: {kept:?}", effect.name());
        }
    }
}
