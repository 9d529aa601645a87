//! Effects: what goes over the wire, and how failures are classed.

use adapter_kube::lease::Fence;
use adapter_kube::perform::{Performer, Reporter};
use http::Method;
use journal_schema::effect::{Answer, Effect, FailureClass, FailureCode, NodeRole, Outcome, Regarding};
use journal_schema::facts::{Key, WorkloadId, WorkloadKind};
use journal_schema::text::{Few, JsonText, Message, Name};
use journal_schema::units::{Bytes, MilliCpu};
use serde_json::{Value, json};
use std::time::Duration;

use crate::mock::{Fault, Server, touched};

const NODE: &str = "/api/v1/nodes/n1";
const POD: &str = "/api/v1/namespaces/shop/pods/cart-1";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/cart";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key() -> Key {
    Key::new(name("shop"), name("cart-1"))
}

fn workload() -> WorkloadId {
    WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name("cart")) }
}

fn performer(server: &Server) -> Performer {
    Performer::new(
        server.client(),
        Fence::open(),
        Reporter::new(Key::new(name("kinema"), name("kinema-0")), "kinema-0"),
    )
}

async fn perform(server: &Server, effect: &Effect) -> Outcome {
    performer(server).perform(effect).await
}

fn class(outcome: &Outcome) -> (FailureClass, FailureCode, String) {
    match outcome {
        Outcome::Failed(failure) => (failure.class, failure.code, failure.message.as_str().to_owned()),
        Outcome::Answered(answer) => panic!("{answer:?}"),
    }
}

const DONE: Outcome = Outcome::Answered(Answer::Done);

fn mark(role: NodeRole) -> Effect {
    Effect::MarkNode { node: name("n1"), uid: name("u1"), role, iteration: 7 }
}

fn node() -> Value {
    json!({"metadata": {"name": "n1", "uid": "u1", "labels": {"zone": "b"}}, "spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]}})
}

#[tokio::test]
async fn a_node_gets_its_role_and_keeps_what_is_not_ours() {
    let server = Server::with(&[(NODE, node())]);
    assert_eq!(perform(&server, &mark(NodeRole::Optimal)).await, DONE);
    assert_eq!(server.object(NODE)["metadata"]["labels"], json!({"zone": "b", "kinema.dev/optimal": "7"}));
    assert_eq!(perform(&server, &mark(NodeRole::Expiring)).await, DONE);
    let marked = server.object(NODE);
    assert_eq!(marked["metadata"]["labels"], json!({"zone": "b", "kinema.dev/expiring": "7"}));
    assert_eq!(
        marked["spec"]["taints"],
        json!([node()["spec"]["taints"][0], {"key": "kinema.dev/expiring", "value": "7", "effect": "NoSchedule"}])
    );
    let before = server.seen().len();
    assert_eq!(perform(&server, &mark(NodeRole::Expiring)).await, DONE);
    assert_eq!(server.methods()[before..], ["GET"], "the second time changes nothing");
    assert_eq!(perform(&server, &mark(NodeRole::None)).await, DONE);
    let left = server.object(NODE);
    assert_eq!((&left["metadata"]["labels"], &left["spec"]), (&node()["metadata"]["labels"], &node()["spec"]));
    let patch = server.seen().into_iter().find(|seen| seen.method == Method::PATCH).unwrap();
    assert_eq!(patch.query, "fieldManager=kinema");
    assert_eq!(patch.body[0], json!({"op": "test", "path": "/metadata/uid", "value": "u1"}));
    assert_eq!(patch.body[1]["path"], "/metadata/resourceVersion");
}

#[tokio::test]
async fn a_node_that_takes_pods_later_stays_and_is_avoided_until_it_is_opened() {
    let server = Server::with(&[(NODE, node())]);
    let theirs = node()["spec"]["taints"][0].clone();
    for _ in 0..2 {
        assert_eq!(perform(&server, &mark(NodeRole::Later)).await, DONE);
        let marked = server.object(NODE);
        assert_eq!(marked["metadata"]["labels"], json!({"zone": "b", "kinema.dev/optimal": "7"}));
        assert_eq!(
            marked["spec"]["taints"],
            json!([theirs, {"key": "kinema.dev/later", "value": "7", "effect": "PreferNoSchedule"}])
        );
    }
    assert_eq!(server.methods(), ["GET", "PATCH", "GET"], "the second time changes nothing");
    assert_eq!(perform(&server, &mark(NodeRole::Optimal)).await, DONE);
    assert_eq!(server.object(NODE)["spec"]["taints"], json!([theirs]));
    assert_eq!(perform(&server, &mark(NodeRole::Later)).await, DONE);
    assert_eq!(perform(&server, &mark(NodeRole::None)).await, DONE);
    let left = server.object(NODE);
    assert_eq!((&left["metadata"]["labels"], &left["spec"]), (&node()["metadata"]["labels"], &node()["spec"]));
}

#[tokio::test]
async fn a_bare_node_is_left_bare() {
    let server = Server::with(&[(NODE, json!({"metadata": {"name": "n1", "uid": "u1"}, "spec": {}}))]);
    assert_eq!(perform(&server, &mark(NodeRole::Expiring)).await, DONE);
    assert_eq!(server.object(NODE)["spec"]["taints"].as_array().unwrap().len(), 1);
    assert_eq!(perform(&server, &mark(NodeRole::None)).await, DONE);
    assert_eq!(server.object(NODE)["spec"], json!({}));
}

#[tokio::test]
async fn a_mark_of_an_older_iteration_is_replaced() {
    let mut object = node();
    object["metadata"]["labels"]["kinema.dev/expiring"] = json!("3");
    object["spec"]["taints"] = json!([{"key": "kinema.dev/expiring", "value": "3", "effect": "NoSchedule"}]);
    let server = Server::with(&[(NODE, object)]);
    assert_eq!(perform(&server, &mark(NodeRole::Expiring)).await, DONE);
    assert_eq!(
        server.object(NODE)["spec"]["taints"],
        json!([{"key": "kinema.dev/expiring", "value": "7", "effect": "NoSchedule"}])
    );
}

#[tokio::test]
async fn another_machine_under_the_name_is_left_alone() {
    let mut other = node();
    other["metadata"]["uid"] = json!("u2");
    let server = Server::with(&[(NODE, other)]);
    let (class, code, _) = class(&perform(&server, &mark(NodeRole::Expiring)).await);
    assert_eq!((class, code), (FailureClass::Refused, FailureCode::Precondition));
    assert_eq!(server.methods(), ["GET"]);
}

#[tokio::test]
async fn a_lost_race_is_run_again_with_a_fresh_read() {
    let server = Server::with(&[(NODE, node())]);
    server.fault(Method::PATCH, Fault::Meanwhile(Box::new(|objects| touched(objects.get_mut(NODE).unwrap()))));
    assert_eq!(perform(&server, &mark(NodeRole::Optimal)).await, DONE);
    assert_eq!(server.methods(), ["GET", "PATCH", "GET", "PATCH"]);
}

#[tokio::test]
async fn a_patch_that_is_not_acceptable_is_not_repeated_for_ever() {
    let server = Server::with(&[(NODE, node())]);
    let invalid =
        || Fault::Status(422, json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "labels: secret"}));
    server.fault(Method::PATCH, invalid());
    server.fault(Method::PATCH, invalid());
    let outcome = class(&perform(&server, &mark(NodeRole::Optimal)).await);
    assert_eq!(outcome, (FailureClass::Refused, FailureCode::Invalid, "422 Invalid".to_owned()));
    assert_eq!(server.methods(), ["GET", "PATCH", "GET"]);
}

#[tokio::test]
async fn a_node_that_is_gone_is_not_found() {
    let outcome = class(&perform(&Server::default(), &mark(NodeRole::None)).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Refused, FailureCode::NotFound));
}

#[tokio::test]
async fn a_deletion_cost_is_set_and_cleared() {
    let effect = |cost| Effect::SetDeletionCost { pod: key(), uid: name("u1"), cost };
    let server = Server::with(&[(POD, json!({"metadata": {"name": "cart-1", "uid": "u1"}}))]);
    assert_eq!(perform(&server, &effect(None)).await, DONE);
    assert_eq!(server.methods(), ["GET"]);
    assert_eq!(perform(&server, &effect(Some(-1000))).await, DONE);
    assert_eq!(
        server.object(POD)["metadata"]["annotations"],
        json!({"controller.kubernetes.io/pod-deletion-cost": "-1000"})
    );
    assert_eq!(perform(&server, &effect(None)).await, DONE);
    assert_eq!(server.object(POD)["metadata"]["annotations"], json!({}));
}

fn replicas(count: i32, owners: &[&str]) -> Value {
    let entry = |manager: &&str| json!({"manager": manager, "operation": "Update", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
    let managers: Vec<Value> = owners.iter().map(entry).collect();
    json!({"metadata": {"name": "cart", "namespace": "shop", "uid": "u1", "managedFields": managers}, "spec": {"replicas": count}})
}

fn scale(from: i32, to: i32) -> Effect {
    Effect::Scale { workload: workload(), uid: name("u1"), from, to }
}

#[tokio::test]
async fn scaling_compares_what_is_there() {
    let server = Server::with(&[(DEPLOYMENT, replicas(3, &["kubectl"]))]);
    assert_eq!(perform(&server, &scale(3, 4)).await, DONE);
    assert_eq!(server.object(DEPLOYMENT)["spec"]["replicas"], 4);
    assert_eq!(server.seen()[1].path, format!("{DEPLOYMENT}/scale"));
    assert_eq!(perform(&server, &scale(3, 4)).await, DONE, "it is scaled already, by us");
    assert_eq!(server.methods(), ["GET", "PUT", "GET"]);
    assert_eq!(perform(&server, &scale(4, 3)).await, DONE);
    assert_eq!(perform(&server, &scale(4, 3)).await, DONE, "it is scaled back already");
    assert_eq!(server.object(DEPLOYMENT)["spec"]["replicas"], 3);

    let server = Server::with(&[(DEPLOYMENT, replicas(9, &["kubectl"]))]);
    let outcome = class(&perform(&server, &scale(3, 4)).await);
    let text = "replicas are 9 now, set by kubectl; expected 3".to_owned();
    assert_eq!(outcome, (FailureClass::Refused, FailureCode::Precondition, text));

    // Someone scales between our read and our write.
    let server = Server::with(&[(DEPLOYMENT, replicas(3, &["kubectl"]))]);
    server.fault(
        Method::PUT,
        Fault::Meanwhile(Box::new(|objects| {
            let object = objects.get_mut(DEPLOYMENT).unwrap();
            touched(object);
            object["spec"]["replicas"] = json!(8);
        })),
    );
    let outcome = class(&perform(&server, &scale(3, 4)).await);
    assert_eq!(
        (outcome.1, outcome.2.as_str()),
        (FailureCode::Precondition, "replicas are 8 now, set by kubectl; expected 3")
    );
    assert_eq!(server.object(DEPLOYMENT)["spec"]["replicas"], 8);
}

/// Somebody else's number is a conflict even where it is the one that we would set, or have set.
#[tokio::test]
async fn replicas_that_somebody_else_set_are_left_alone() {
    let refused = async |server: &Server, effect: Effect| {
        let (class, code, text) = class(&perform(server, &effect).await);
        assert_eq!((class, code), (FailureClass::Refused, FailureCode::Precondition), "{text}");
        assert_eq!(server.methods(), ["GET"], "nothing is written");
        text
    };
    // A user has set by hand what our surge would have set.
    let server = Server::with(&[(DEPLOYMENT, replicas(4, &["kubectl"]))]);
    assert_eq!(refused(&server, scale(3, 4)).await, "replicas are 4 now, set by kubectl; expected 3");
    // Our surge, and then a user who went elsewhere and came back to the same number.
    let server = Server::with(&[(DEPLOYMENT, replicas(4, &["kubectl"]))]);
    assert_eq!(refused(&server, scale(4, 3)).await, "replicas were set to 4 meanwhile, by kubectl");
    // Our surge, and then a user who applied the same number: both own it.
    let server = Server::with(&[(DEPLOYMENT, replicas(4, &["kinema", "flux"]))]);
    assert_eq!(refused(&server, scale(4, 3)).await, "replicas were set to 4 meanwhile, by flux");
    let server = Server::with(&[(DEPLOYMENT, replicas(4, &["kinema", "flux"]))]);
    assert_eq!(refused(&server, scale(3, 4)).await, "replicas are 4 now, set by flux; expected 3");
    // Nobody knows who set it.
    let server = Server::with(&[(DEPLOYMENT, replicas(4, &[]))]);
    assert_eq!(refused(&server, scale(4, 3)).await, "replicas were set to 4 meanwhile");
}

#[tokio::test]
async fn an_eviction_names_the_uid_and_forces_nothing() {
    let pod = json!({"metadata": {"name": "cart-1", "uid": "u1"}});
    let effect = Effect::Evict { pod: key(), uid: name("u1") };
    let server = Server::with(&[(POD, pod.clone())]);
    assert_eq!(perform(&server, &effect).await, DONE);
    let seen = server.seen().remove(1);
    assert_eq!((seen.method, seen.path), (Method::POST, format!("{POD}/eviction")));
    assert_eq!(
        seen.body["deleteOptions"],
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u1"}})
    );
    assert_eq!(perform(&server, &effect).await, DONE, "a pod that is gone is evicted");

    let mut other = pod.clone();
    other["metadata"]["uid"] = json!("u2");
    let server = Server::with(&[(POD, other)]);
    let outcome = class(&perform(&server, &effect).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Refused, FailureCode::Precondition));
    assert_eq!(server.methods(), ["GET"], "a failed eviction would take its place in the budget");

    // Another pod comes between our read and the eviction.
    let server = Server::with(&[(POD, pod.clone())]);
    let replace = |objects: &mut std::collections::BTreeMap<String, Value>| {
        objects.get_mut(POD).unwrap()["metadata"]["uid"] = json!("u2");
    };
    server.fault(Method::POST, Fault::Meanwhile(Box::new(replace)));
    let outcome = class(&perform(&server, &effect).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Refused, FailureCode::Precondition));
    assert!(!server.object(POD).is_null());

    let mut leaving = pod;
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let server = Server::with(&[(POD, leaving)]);
    assert_eq!(perform(&server, &effect).await, DONE);
    assert_eq!(server.methods(), ["GET"]);
}

#[tokio::test]
async fn a_budget_is_told_from_throttling() {
    let answer = |code: u16, status: Value| async move {
        let server = Server::with(&[(POD, json!({"metadata": {"name": "cart-1", "uid": "u1"}}))]);
        server.fault(Method::POST, Fault::Status(code, status));
        let outcome = class(&perform(&server, &Effect::Evict { pod: key(), uid: name("u1") }).await);
        assert_eq!(server.methods().iter().filter(|method| *method == "POST").count(), 1, "one eviction, not several");
        outcome
    };
    let budget = json!({"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "Cannot evict pod as it would violate the pod's disruption budget.", "details": {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget cart-pdb needs 2 healthy pods and has 2 currently"}]}});
    assert_eq!(
        answer(429, budget).await,
        (
            FailureClass::Retryable,
            FailureCode::DisruptionBudget,
            "429 TooManyRequests: PodDisruptionBudget cart-pdb".to_owned()
        )
    );
    let throttled = json!({"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "too many requests", "details": {"retryAfterSeconds": 3}});
    assert_eq!(
        answer(429, throttled).await,
        (FailureClass::Retryable, FailureCode::Throttled, "429 TooManyRequests: retry after 3 s".to_owned())
    );
    let several = json!({"kind": "Status", "code": 500, "reason": "InternalError", "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."});
    assert_eq!(answer(500, several).await.0, FailureClass::Refused);
    let other =
        json!({"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcdserver: request timed out"});
    assert_eq!(
        answer(500, other).await,
        (FailureClass::Unknown, FailureCode::Unavailable, "500 InternalError".to_owned())
    );
    let conflict =
        json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "the object has been modified"});
    assert_eq!(answer(409, conflict).await.0, FailureClass::Retryable, "the same pod is still there");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_unknown_and_the_second_time_settles_it() {
    let effect = Effect::Evict { pod: key(), uid: name("u1") };
    let server = Server::with(&[(POD, json!({"metadata": {"name": "cart-1", "uid": "u1"}}))]);
    server.fault(Method::POST, Fault::AnswerLost);
    let outcome = class(&perform(&server, &effect).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Unknown, FailureCode::Timeout));
    assert_eq!(perform(&server, &effect).await, DONE);

    let server = Server::with(&[(NODE, node())]);
    server.fault(Method::GET, Fault::Silence);
    assert_eq!(
        class(&perform(&server, &mark(NodeRole::Optimal)).await).0,
        FailureClass::Retryable,
        "nothing was sent that changes anything"
    );
    server.fault(Method::PATCH, Fault::Reset);
    assert_eq!(class(&perform(&server, &mark(NodeRole::Optimal)).await).0, FailureClass::Unknown);
}

#[tokio::test]
async fn what_is_not_permitted_is_refused_without_the_body() {
    let server = Server::with(&[(NODE, node())]);
    server.fault(
        Method::PATCH,
        Fault::Status(
            403,
            json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "nodes \"n1\" is forbidden"}),
        ),
    );
    let outcome = class(&perform(&server, &mark(NodeRole::Optimal)).await);
    assert_eq!(outcome, (FailureClass::Refused, FailureCode::Forbidden, "403 Forbidden".to_owned()));
}

fn deployment(affinity: Option<Value>) -> Value {
    let mut object = json!({"metadata": {"name": "cart", "uid": "u1"}, "spec": {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {"spec": {"containers": [
            {"name": "proxy", "image": "p"},
            {"name": "app", "image": "a", "resources": {"requests": {"cpu": "500m", "memory": "1Gi", "example.com/x": "1"}}}]}}}});
    if let Some(affinity) = affinity {
        object["spec"]["template"]["spec"]["affinity"] = affinity;
    }
    object
}

fn json_text(value: &Value) -> JsonText {
    JsonText::new(value.to_string()).unwrap()
}

fn users_affinity() -> Value {
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "host"}}]}})
}

fn our_affinity() -> Value {
    let mut affinity = users_affinity();
    affinity["nodeAffinity"] = json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": [{"key": "kinema.dev/optimal", "operator": "In", "values": ["7"]}]}}]});
    affinity
}

fn patch(from: Option<&Value>, to: Option<&Value>, max_unavailable: Option<(&str, &str)>) -> Effect {
    Effect::PatchTemplate {
        workload: workload(),
        uid: name("u1"),
        from: from.map(json_text),
        to: to.map(json_text),
        max_unavailable: max_unavailable.map(|(from, to)| (JsonText::new(from).unwrap(), JsonText::new(to).unwrap())),
        requests: Few::default(),
    }
}

#[tokio::test]
async fn a_template_is_changed_and_restored_exactly() {
    for before in [None, Some(users_affinity())] {
        let server = Server::with(&[(DEPLOYMENT, deployment(before.clone()))]);
        let original = server.object(DEPLOYMENT);
        let read = Effect::ReadAffinity { workload: workload(), uid: name("u1") };
        let Outcome::Answered(Answer::Affinity(affinity, max_unavailable)) = perform(&server, &read).await else {
            panic!()
        };
        assert_eq!(affinity.as_ref().map(|text| serde_json::from_str::<Value>(text).unwrap()), before);
        assert_eq!(max_unavailable.unwrap().as_str(), "\"25%\"");

        let forth = patch(before.as_ref(), Some(&our_affinity()), Some(("\"25%\"", "0")));
        assert_eq!(perform(&server, &forth).await, DONE);
        let changed = server.object(DEPLOYMENT);
        assert_eq!(changed["spec"]["template"]["spec"]["affinity"], our_affinity());
        assert_eq!(changed["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        assert!(changed["metadata"]["annotations"]["kubernetes.io/change-cause"].is_string());
        let count = server.seen().len();
        assert_eq!(perform(&server, &forth).await, DONE);
        assert_eq!(server.methods()[count..], ["GET"], "the second time changes nothing");

        let back = patch(Some(&our_affinity()), before.as_ref(), Some(("0", "\"25%\"")));
        assert_eq!(perform(&server, &back).await, DONE);
        let restored = server.object(DEPLOYMENT);
        assert_eq!(restored["spec"], original["spec"]);
        assert_eq!(restored["metadata"]["annotations"], json!({}));
    }
}

#[tokio::test]
async fn a_template_that_another_manager_changed_is_left_alone() {
    let mut object = deployment(Some(json!({"nodeAffinity": {}})));
    object["metadata"]["managedFields"] = json!([
        {"manager": "kinema", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:affinity": {}}}}}},
        {"manager": "argocd-controller", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:affinity": {}}}}}},
    ]);
    let server = Server::with(&[(DEPLOYMENT, object)]);
    let outcome = class(&perform(&server, &patch(Some(&users_affinity()), Some(&our_affinity()), None)).await);
    assert_eq!(
        outcome,
        (
            FailureClass::Refused,
            FailureCode::Precondition,
            "the template's affinity was changed meanwhile, by argocd-controller".to_owned()
        )
    );
    assert_eq!(server.methods(), ["GET"]);

    let server = Server::with(&[(DEPLOYMENT, deployment(None))]);
    let outcome = class(&perform(&server, &patch(None, Some(&our_affinity()), Some(("1", "0")))).await);
    assert_eq!((outcome.1, outcome.2.as_str()), (FailureCode::Precondition, "maxUnavailable was changed meanwhile"));
}

#[tokio::test]
async fn a_users_change_cause_is_kept() {
    let mut object = deployment(None);
    object["metadata"]["annotations"] = json!({"kubernetes.io/change-cause": "release 12"});
    let server = Server::with(&[(DEPLOYMENT, object)]);
    assert_eq!(perform(&server, &patch(None, Some(&our_affinity()), None)).await, DONE);
    assert_eq!(perform(&server, &patch(Some(&our_affinity()), None, None)).await, DONE);
    assert_eq!(
        server.object(DEPLOYMENT)["metadata"]["annotations"],
        json!({"kubernetes.io/change-cause": "release 12"})
    );
}

#[tokio::test]
async fn requests_of_named_containers_are_changed() {
    let server = Server::with(&[(DEPLOYMENT, deployment(None))]);
    let requests = |containers: Vec<(Name, MilliCpu, Bytes)>| Effect::PatchTemplate {
        workload: workload(),
        uid: name("u1"),
        from: None,
        to: None,
        max_unavailable: None,
        requests: Few::new(containers).unwrap(),
    };
    let effect =
        requests(vec![(name("app"), MilliCpu(250), Bytes(1 << 30)), (name("proxy"), MilliCpu(50), Bytes(64 << 20))]);
    assert_eq!(perform(&server, &effect).await, DONE);
    let containers = &server.object(DEPLOYMENT)["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[1]["resources"]["requests"], json!({"cpu": "250m", "memory": "1Gi", "example.com/x": "1"}));
    assert_eq!(containers[0]["resources"]["requests"], json!({"cpu": "50m", "memory": "64Mi"}));
    let count = server.seen().len();
    assert_eq!(perform(&server, &effect).await, DONE);
    assert_eq!(server.methods()[count..], ["GET"]);
    let gone = requests(vec![(name("gone"), MilliCpu(1), Bytes(1))]);
    assert_eq!(class(&perform(&server, &gone).await).1, FailureCode::Precondition);
}

#[tokio::test]
async fn pods_of_a_node_are_read_from_a_quorum_page_by_page() {
    let page = |names: &[&str], token: &str| {
        let items: Vec<Value> =
            names.iter().map(|name| json!({"metadata": {"name": name, "namespace": "x", "uid": name}})).collect();
        json!({"metadata": {"continue": token}, "items": items})
    };
    let server = Server::default();
    server.fault(Method::GET, Fault::Status(200, page(&["a", "b"], "to+ken")));
    server.fault(Method::GET, Fault::Status(200, page(&["c"], "")));
    let effect = Effect::ReadNodePods { node: name("n1") };
    let Outcome::Answered(Answer::NodePods(pods)) = perform(&server, &effect).await else { panic!() };
    assert_eq!(pods.iter().map(|pod| pod.key.to_string()).collect::<Vec<_>>(), ["x/a", "x/b", "x/c"]);
    let queries: Vec<String> = server.seen().into_iter().map(|seen| seen.query).collect();
    assert_eq!(
        queries,
        ["fieldSelector=spec.nodeName%3Dn1&limit=500", "fieldSelector=spec.nodeName%3Dn1&limit=500&continue=to%2Bken"]
    );

    // A pod that cannot be read does not make the node look empty.
    server.fault(Method::GET, Fault::Status(200, json!({"items": [{"metadata": {"namespace": "x"}}]})));
    assert_eq!(class(&perform(&server, &effect).await).0, FailureClass::Retryable);
}

#[tokio::test]
async fn a_notice_sent_twice_is_one() {
    let server = Server::default();
    let effect = Effect::Notice {
        regarding: Regarding::Workload(workload(), name("u1")),
        reason: name("PodsMoving"),
        note: Message::truncated("x".repeat(3000)),
        warning: false,
    };
    assert_eq!(perform(&server, &effect).await, DONE);
    assert_eq!(perform(&server, &effect).await, DONE);
    let state = server.0.lock().unwrap();
    assert_eq!(state.objects.len(), 1);
    let event = state.objects.values().next().unwrap();
    assert_eq!(
        event["regarding"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "cart", "uid": "u1"})
    );
    assert_eq!(
        (&event["action"], &event["type"], &event["reportingController"]),
        (&json!("Move"), &json!("Normal"), &json!("kinema.dev/kinema"))
    );
    assert!(event["note"].as_str().unwrap().len() <= 1024);
}

#[tokio::test]
async fn names_of_a_forged_journal_do_not_leave_their_path() {
    let server = Server::default();
    for bad in ["../../secrets/x", "a/b", "..", "", "a?b=c", "a b", "n%2f"] {
        let effect = Effect::MarkNode { node: name(bad), uid: name("u"), role: NodeRole::None, iteration: 1 };
        assert_eq!(class(&perform(&server, &effect).await).1, FailureCode::Invalid, "{bad}");
        let effect = Effect::ReadNodePods { node: name(bad) };
        assert_eq!(class(&perform(&server, &effect).await).1, FailureCode::Invalid, "{bad}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_lease_nothing_is_changed_but_reads_go_on() {
    let server = Server::with(&[(NODE, node())]);
    let reporter = Reporter::new(Key::default(), "x");
    let held_back = Performer::new(server.client(), Fence::closed(Duration::from_secs(5)), reporter.clone());
    let outcome = class(&held_back.perform(&mark(NodeRole::Expiring)).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Refused, FailureCode::NotLeader));
    let read_only = Performer::read_only(server.client(), reporter);
    let outcome = class(&read_only.perform(&mark(NodeRole::Expiring)).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Refused, FailureCode::Forbidden));
    assert!(server.seen().is_empty(), "not one request");
    server.fault(Method::GET, Fault::Status(200, json!({"items": []})));
    assert!(matches!(held_back.perform(&Effect::ReadNodePods { node: name("n1") }).await, Outcome::Answered(_)));
}

#[tokio::test]
async fn effects_of_others_are_refused() {
    let outcome = class(&perform(&Server::default(), &Effect::DiscoverPools).await);
    assert_eq!((outcome.0, outcome.1), (FailureClass::Refused, FailureCode::Internal));
}
