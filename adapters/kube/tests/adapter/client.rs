//! Kubeconfigs that cannot be used.

use std::io::Write;
use std::path::PathBuf;

use adapter_kube::client::{ErrorClass, Target, connect};

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
