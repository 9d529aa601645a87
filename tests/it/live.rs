//! A live cluster and a live Prometheus, as far as a loopback server plays them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::api_server::{Cluster, prometheus};
use crate::bad_input::kubeconfig;
use crate::support::{Ran, command, files, kinema, path};

const CLUSTER: &str = "tests/cli/cluster.json";

fn plan(server: &str, more: &[&str]) -> Ran {
    let directory = files(&[("config", &kubeconfig(server))]);
    let config = path(&directory, "config");
    let mut arguments = vec!["plan", "--kubeconfig", &config, "--machine-types", "e2-*"];
    arguments.extend(more);
    kinema(&arguments)
}

#[test]
fn a_live_cluster_gives_the_plan_of_its_dump() {
    let cluster = Cluster::of(CLUSTER);
    let now = "2026-11-20T08:15:00.001Z";
    let live = plan(&cluster.serve(), &["--now", now, "-o", "json"]);
    assert_eq!(live.code, 0, "{}", live.transcript());
    let dump = kinema(&["plan", "--cluster", CLUSTER, "--machine-types", "e2-*", "--now", now, "-o", "json"]).json();
    assert_eq!(live.json()["digest"], dump["digest"]);
    assert_eq!(cluster.changes(), Vec::<String>::new(), "a plan changes nothing");
}

#[test]
fn a_list_that_is_refused_is_named() {
    // The review says yes and the API server no: an authorizer that changed its mind, or a webhook.
    let cluster = Cluster::of(CLUSTER).forbidding(&["replicasets"]);
    let ran = plan(&cluster.serve(), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (69, ""), "{}", ran.transcript());
    assert!(ran.err.contains("does not list: ReplicaSet") && ran.err.contains("fix:"), "{}", ran.err);
    assert_eq!(cluster.changes(), Vec::<String>::new());
}

#[test]
fn an_address_that_is_no_api_server_is_said_to_be_none() {
    for (code, body) in [(200, "<html>sign in</html>"), (404, "not found"), (503, "no healthy upstream")] {
        let ran = plan(&prometheus(code, body), &[]);
        assert!([1, 69].contains(&ran.code) && ran.out.is_empty(), "{code}: {}", ran.transcript());
        assert!(ran.err.contains("http://127.0.0.1:") && !ran.err.contains("panicked"), "{code}: {}", ran.err);
    }
}

#[test]
fn a_prometheus_without_what_is_needed_is_told_apart_from_one_that_is_away() {
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    for (code, body, exit, expected) in [
        (200, empty, 1, "no series of container_cpu_usage_seconds_total"),
        (200, "<html>sign in</html>", 1, "the answer is not Prometheus's"),
        (403, "forbidden", 1, "does not permit to query"),
        (404, "not found", 1, "there is no query API at this address"),
        (503, "overloaded", 69, "503"),
    ] {
        let url = prometheus(code, body);
        let ran = kinema(&["plan", "--cluster", CLUSTER, "--prometheus", &url]);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{code}: {}", ran.transcript());
        assert!(ran.err.contains(expected) && ran.err.contains(&url), "{code}: {}", ran.err);
        assert!(ran.err.contains("leave --prometheus out"), "{code}: {}", ran.err);
    }
}

/// A daemon on a loopback cluster, killed when the test ends.
struct Daemon {
    child: Child,
    server: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daemon(arguments: &[&str]) -> Daemon {
    let mut child =
        command(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut server = String::new();
    for line in said.by_ref() {
        let line = line.expect("text");
        if let Some((_, address)) = line.split_once("--server ") {
            server = address.trim_end_matches(')').to_owned();
        }
        if line.contains("Leading in epoch") {
            break;
        }
    }
    // Its pipe must not fill up.
    std::thread::spawn(move || said.for_each(drop));
    Daemon { child, server }
}

#[test]
fn without_a_cloud_the_status_says_what_is_missing_and_nothing_is_changed() {
    let cluster = Cluster::of(CLUSTER);
    let directory = files(&[("config", &kubeconfig(&cluster.serve()))]);
    let (config, journal) = (path(&directory, "config"), path(&directory, "journal"));
    let daemon = daemon(&["run", "--kubeconfig", &config, "--journal", &journal, "--listen", "127.0.0.1:0"]);
    let mut status = kinema(&["status", "--server", &daemon.server]);
    for _ in 0..100 {
        if status.out.contains("12 nodes, 36 pods") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        status = kinema(&["status", "--server", &daemon.server]);
    }
    assert_eq!(status.code, 0, "{}", status.transcript());
    assert!(status.out.contains("Mode Recommend") && status.out.contains("12 nodes, 36 pods"), "{}", status.out);
    let words = status.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Missing NoCloud:") && words.contains("spec.cloud.project is not set"), "{}", status.out);
    assert!(words.contains("for a proposal without it: kinema plan"), "{}", status.out);
    assert!(words.contains("NoPrometheus:"), "{}", status.out);
    for line in status.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(cluster.changes(), Vec::<String>::new());
}

#[test]
fn a_full_disk_under_the_daemon_stops_it_and_the_journal_goes_on_later() {
    let cluster = Cluster::of(CLUSTER);
    let directory = files(&[("config", &kubeconfig(&cluster.serve()))]);
    let (config, journal) = (path(&directory, "config"), path(&directory, "journal"));
    let arguments = ["run", "--kubeconfig", &config, "--journal", &journal, "--listen", "127.0.0.1:0"];
    let full = crate::support::with_file_limit(16, &arguments);
    assert_eq!(full.code, 1, "{}", full.transcript());
    assert!(full.err.contains(&journal) && full.err.contains("fix: make room on the disk"), "{}", full.err);
    assert!(!full.err.contains("panicked"), "{}", full.err);
    let verified = kinema(&["journal", "verify", &journal, "-o", "json"]);
    assert_eq!(verified.code, 0, "{}", verified.transcript());

    let last = |journal: &str| {
        let verified = kinema(&["journal", "verify", journal, "-o", "json"]);
        assert_eq!(verified.code, 0, "{}", verified.transcript());
        verified.json()["lastSeq"].as_u64().expect("a number")
    };
    let before = last(&journal);
    let mut again = daemon(&arguments);
    for _ in 0..100 {
        if kinema(&["status", "--server", &again.server]).out.contains("12 nodes, 36 pods") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let killed = std::process::Command::new("kill").args(["-TERM", &again.child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    assert_eq!(again.child.wait().expect("an end").code(), Some(143));
    assert!(last(&journal) > before, "it goes on where it was: {before}");
    assert_eq!(cluster.changes(), Vec::<String>::new());
}
