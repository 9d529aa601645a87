//! What is wrong with the input is said with its place and its fix, and an exit code of its kind.

use crate::support::{files, kinema, path};

const CLUSTER: &str = "tests/cli/cluster.json";

#[test]
fn usage_errors_exit_64_and_help_exits_0() {
    for arguments in [&["plna"][..], &["plan", "--nosuch"], &["simulate", "--seed", "x"], &[]] {
        assert_eq!(kinema(arguments).code, 64, "{arguments:?}");
    }
    assert!(kinema(&["plna"]).err.contains("'plan'"), "the nearest command is suggested");
    for arguments in [&["--help"][..], &["plan", "--help"], &["--version"]] {
        assert_eq!(kinema(arguments).code, 0, "{arguments:?}");
    }
}

#[test]
fn a_price_file_with_a_bad_row_names_line_and_column() {
    let head = "region,machine_type,vcpu,memory_gib,on_demand_usd_hour,spot_usd_hour\n";
    let text = format!("{head}europe-west3,e2-standard-4,4,16,0.17,0.05\neurope-west3,e2-standard-8,8,32,cheap,0.1\n");
    let directory = files(&[("prices.csv", &text)]);
    let ran = kinema(&["plan", "--cluster", CLUSTER, "--prices", &path(&directory, "prices.csv")]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains("prices.csv") && ran.err.contains("line 3") && ran.err.contains("on_demand_usd_hour"),
        "{}",
        ran.err
    );
}

#[test]
fn a_cluster_file_that_is_none_names_the_place() {
    let directory = files(&[
        ("broken.json", "{\"apiVersion\": \"v1\",\n \"kind\": }"),
        ("empty.json", ""),
        (
            "quantity.json",
            "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"status\":{\"allocatable\":{\"cpu\":\"two\"}}}",
        ),
    ]);
    for (file, expected) in [
        ("broken.json", "line 2"),
        ("empty.json", "empty"),
        ("quantity.json", "allocatable"),
        ("nosuch.json", "cannot be read"),
    ] {
        let ran = kinema(&["plan", "--cluster", &path(&directory, file)]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{file}: {}", ran.err);
        assert!(ran.err.contains(file) && ran.err.contains(expected), "{file}: {}", ran.err);
    }
}

#[test]
fn regions_and_machine_types_that_do_not_exist_are_named() {
    let ran = kinema(&["plan", "--cluster", CLUSTER, "--region", "europe-wset3"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("europe-wset3") && ran.err.contains("did you mean --region europe-west3?"), "{}", ran.err);
    let ran = kinema(&["plan", "--cluster", CLUSTER, "--machine-types", "zz-*"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("zz-*"), "{}", ran.err);
    let ran = kinema(&["plan", "--cluster", CLUSTER, "--now", "yesterday"]);
    assert_eq!(ran.code, 64, "{}", ran.err);
}

#[test]
fn an_unknown_key_of_the_policy_stops_a_plan() {
    let directory =
        files(&[("policy.yaml", "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {mod: Auto}\n")]);
    let ran = kinema(&["plan", "--cluster", CLUSTER, "--policy", &path(&directory, "policy.yaml")]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    assert!(ran.err.contains("did you mean `mode`?"), "{}", ran.err);
}

#[test]
fn a_broken_kubeconfig_names_the_file_and_the_fix() {
    let directory = files(&[("broken", "apiVersion: v1\nclusters: [\n"), ("empty", "apiVersion: v1\nkind: Config\n")]);
    for (file, expected) in [("broken", "line"), ("empty", "context"), ("nosuch", "cannot be read")] {
        let ran = kinema(&["plan", "--kubeconfig", &path(&directory, file)]);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{file}: {}", ran.err);
        assert!(ran.err.contains(file) && ran.err.contains(expected), "{file}: {}", ran.err);
    }
    let ran = kinema(&["plan"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("--kubeconfig"), "{}", ran.err);
}

#[test]
fn a_login_program_that_is_not_installed_is_named_as_that() {
    let exec =
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-auth-plugin, interactiveMode: Never}}";
    let text = kubeconfig("http://127.0.0.1:1").replace("user: {}", &format!("user: {exec}"));
    let directory = files(&[("config", &text)]);
    let ran = kinema(&["plan", "--kubeconfig", &path(&directory, "config")]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{}", ran.err);
    assert!(ran.err.contains("is not installed; install it (users[].user.exec.command"), "{}", ran.err);
}

#[test]
fn a_cluster_that_does_not_answer_is_unreachable() {
    // A port that was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let directory = files(&[("config", &kubeconfig(&format!("http://127.0.0.1:{port}")))]);
    let ran = kinema(&["plan", "--kubeconfig", &path(&directory, "config")]);
    assert_eq!((ran.code, ran.out.as_str()), (69, ""), "{}", ran.err);
    assert!(ran.err.contains(&port.to_string()), "{}", ran.err);
}

#[test]
fn a_daemon_that_does_not_answer_is_unreachable() {
    let ran = kinema(&["status", "--server", "http://127.0.0.1:1"]);
    assert_eq!((ran.code, ran.out.as_str()), (69, ""), "{}", ran.err);
    assert!(ran.err.contains("--server"), "{}", ran.err);
    assert_eq!(kinema(&["approve", "xyz"]).code, 64, "no digest");
    assert_eq!(kinema(&["pause", "--reason", "x", "--for", "soon"]).code, 64, "no span");
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the full device");
    let output = crate::support::command(&["plan", "--cluster", CLUSTER, "--machine-types", "e2-*", "-o", "json"])
        .stdout(full)
        .output()
        .expect("the program starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("No space left") && err.contains("make room"), "{err}");
}

/// A kubeconfig for a server without TLS.
pub(crate) fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\ncontexts: [{{name: test, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    )
}
