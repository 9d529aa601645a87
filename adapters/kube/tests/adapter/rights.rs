//! Permissions that are missing.

use adapter_kube::rights::{Access, Enrolled, Own, enrolled, needed, preflight, to_move};
use http::Method;
use serde_json::json;

use crate::mock::{Fault, Server};

const OWN: Own<'static> = Own { lease: ("kinema", "leader"), namespace: "kinema" };

fn review(server: &Server, allowed: bool) {
    server.fault(Method::POST, Fault::Status(201, json!({"status": {"allowed": allowed}})));
}

#[tokio::test]
async fn missing_permissions_are_named_by_verb_and_resource() {
    let server = Server::default();
    let wanted = needed(Access::Act, OWN);
    // The mock answers in order; the third, those on the lease and the last are refused.
    for permission in &wanted {
        let at = permission.to_string();
        let refused = at == "list pods" || at.contains("update leases") || at.contains("in namespace default");
        review(&server, !refused);
    }
    let missing = preflight(&server.client(), wanted).await.unwrap();
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "list pods",
            "update leases.coordination.k8s.io leader in namespace kinema",
            "create events.events.k8s.io in namespace default"
        ]
    );
    assert_eq!(server.seen()[0].body["spec"]["resourceAttributes"]["verb"], "list");
    let update = server.seen().into_iter().find(|seen| seen.body["spec"]["resourceAttributes"]["verb"] == "update");
    assert_eq!(update.unwrap().body["spec"]["resourceAttributes"]["name"], "leader");
}

#[tokio::test]
async fn namespaces_are_enrolled_or_not_and_those_that_are_opted_out_are_not_missed() {
    let everywhere = to_move(None).len();
    let server = Server::default();
    (0..everywhere).for_each(|_| review(&server, true));
    assert_eq!(enrolled(&server.client()).await.unwrap(), Enrolled::default());
    assert_eq!(server.seen().len(), everywhere, "a right to all namespaces needs no list of them");

    let server = Server::default();
    let namespace = |name: &str, labels| json!({"metadata": {"name": name, "labels": labels}});
    let items = [
        namespace("shop", json!({})),
        namespace("bank", json!({})),
        namespace("kube-system", json!({"kinema.dev/exclude": "true"})),
        namespace("later", json!({"kinema.dev/exclude": "true"})),
    ];
    server.fault(Method::GET, Fault::Status(200, json!({"kind": "NamespaceList", "items": items})));
    (0..everywhere).for_each(|at| review(&server, at != 1 && at != 2));
    for allowed in [true, true, true, false, false, false, true, true] {
        review(&server, allowed);
    }
    let found = enrolled(&server.client()).await.unwrap();
    assert_eq!(
        (found.complete, found.incomplete),
        (vec!["shop".to_owned(), "later".to_owned()], vec!["bank".to_owned()])
    );
    let missing: Vec<String> = found.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["patch pods", "create pods/eviction"]);
    assert_eq!(server.seen().last().unwrap().body["spec"]["resourceAttributes"]["namespace"], "later");
}

#[test]
fn looking_needs_no_verb_that_changes() {
    let verbs: Vec<_> = needed(Access::Look, OWN).iter().map(|permission| permission.verb).collect();
    assert!(verbs.iter().all(|verb| *verb == "list"));
    let own = |text: &str| text.ends_with("in namespace kinema");
    for permission in needed(Access::Observe, OWN) {
        let text = permission.to_string();
        assert!(["list", "watch"].contains(&permission.verb) || own(&text), "{text}: only its own lease and notices");
    }
    let act: Vec<String> = needed(Access::Act, OWN).iter().chain(&to_move(None)).map(ToString::to_string).collect();
    assert!(act.contains(&"create pods/eviction".to_owned()));
    assert!(!act.iter().any(|text| text.starts_with("delete")), "pods and nodes are never deleted");
}
