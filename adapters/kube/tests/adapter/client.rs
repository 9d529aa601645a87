//! Kubeconfigs that cannot be used, and permissions that are missing.

use std::io::Write;
use std::path::PathBuf;

use adapter_kube::client::{Access, ErrorClass, Target, connect, needed, preflight};
use http::Method;
use serde_json::json;

use crate::mock::{Fault, Server};

async fn refused(text: &str, context: Option<&str>) -> (ErrorClass, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let target = Target { kubeconfig: Some(file.path().to_owned()), context: context.map(str::to_owned) };
    let error = connect(&target).await.err().expect("an error");
    (error.class(), error.to_string().replace(&file.path().display().to_string(), "FILE"))
}

const CONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- {name: a, context: {cluster: c, user: u}}\n- {name: b, context: {cluster: gone, user: u}}\nclusters:\n- {name: c, cluster: {server: 'http://127.0.0.1:1'}}\nusers:\n- {name: u, user: {}}\n";

#[tokio::test]
async fn a_broken_kubeconfig_names_the_file_the_fault_and_the_fix() {
    let target = Target { kubeconfig: Some(PathBuf::from("/nowhere/config")), context: None };
    let error = connect(&target).await.err().unwrap();
    assert_eq!(error.class(), ErrorClass::Configuration);
    assert!(error.to_string().starts_with("/nowhere/config: it cannot be read: No such file"), "{error}");

    let (class, text) = refused("apiVersion: v1\ncontexts: 7\n", None).await;
    assert_eq!(class, ErrorClass::Configuration);
    assert!(text.starts_with("FILE: line 2, column 11: not a kubeconfig: "), "{text}");

    let (_, text) = refused(CONFIG, Some("prod")).await;
    assert_eq!(text, "FILE: there is no context \"prod\"; it has: a, b");
    let (_, text) = refused(CONFIG, Some("b")).await;
    assert_eq!(text, "FILE: there is no cluster \"gone\", which the context names; repair the context's `cluster`");
    let (_, text) = refused(&CONFIG.replace("current-context: a\n", ""), None).await;
    assert!(text.starts_with("FILE: no current context is set; pass --context NAME"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable() {
    let (class, text) = refused(CONFIG, None).await;
    assert_eq!(class, ErrorClass::Unreachable);
    assert!(text.starts_with("http://127.0.0.1:1/ does not answer: Connection refused"), "{text}");
}

#[tokio::test]
async fn missing_permissions_are_named_by_verb_and_resource() {
    let server = Server::default();
    let wanted = needed(Access::Act, "kinema");
    // The mock answers in order; the third, fifteenth and last are refused.
    for at in 0..wanted.len() {
        let allowed = !(at == 2 || at == wanted.len() - 1);
        server.fault(Method::POST, Fault::Status(201, json!({"status": {"allowed": allowed}})));
    }
    let missing = preflight(&server.client(), wanted).await.unwrap();
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["list pods", "update leases.coordination.k8s.io in namespace kinema"]);
    assert_eq!(server.seen()[0].body["spec"]["resourceAttributes"]["verb"], "list");
}

#[test]
fn looking_needs_no_verb_that_changes() {
    let verbs: Vec<_> = needed(Access::Observe, "kinema").iter().map(|permission| permission.verb).collect();
    assert!(verbs.iter().all(|verb| *verb == "list"));
    let act = needed(Access::Act, "kinema");
    assert!(act.iter().any(|permission| permission.to_string() == "create pods/eviction"));
    assert!(!act.iter().any(|permission| permission.verb == "delete"), "pods and nodes are never deleted");
}
