//! `kinema run` as far as it goes without a cluster; with one it is tested in tests/e2e.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;

use crate::bad_input::kubeconfig;
use crate::support::{command, files, kinema, path};

/// What the API server plays.
#[derive(Clone, Copy)]
enum Plays {
    /// Listing pods and writing leases is forbidden.
    Forbids,
    /// Everything is permitted, and another daemon leads.
    AnotherLeads,
}

/// An API server that knows its version, permissions and a lease, and nothing else.
fn api_server(plays: Plays) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, plays));
        }
    });
    address
}

fn serve(stream: std::net::TcpStream, plays: Plays) {
    let mut writer = stream.try_clone().expect("a stream");
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if std::io::Read::read_exact(&mut reader, &mut body).is_err() {
            return;
        }
        let answer = if request.contains("/version") {
            r#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#.to_owned()
        } else if request.contains("/leases/") {
            r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"kinema","namespace":"kinema","resourceVersion":"1"},"spec":{"holderIdentity":"another","leaseDurationSeconds":30,"leaseTransitions":4}}"#.to_owned()
        } else {
            let body = String::from_utf8_lossy(&body);
            let spared = body.contains("\"pods\"") || body.contains("\"leases\"");
            let allowed = matches!(plays, Plays::AnotherLeads) || !spared;
            format!(
                r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","status":{{"allowed":{allowed}}}}}"#
            )
        };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(answer.as_bytes())).is_err() {
            return;
        }
    }
}

#[test]
fn a_missing_permission_is_named_by_verb_and_resource() {
    let directory = files(&[("config", &kubeconfig(&api_server(Plays::Forbids)))]);
    let (config, journal) = (path(&directory, "config"), path(&directory, "journal"));
    let plan = kinema(&["plan", "--kubeconfig", &config]);
    assert_eq!((plan.code, plan.out.as_str()), (1, ""), "{}", plan.err);
    assert!(plan.err.contains("list pods"), "{}", plan.err);
    assert!(!plan.err.contains("list nodes"), "only what is missing: {}", plan.err);

    let run =
        kinema(&["run", "--kubeconfig", &config, "--journal", &journal, "--listen", "127.0.0.1:0", "--mode", "Auto"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(
        run.err.contains("watch pods")
            && run.err.contains("update leases.coordination.k8s.io kinema in namespace kinema"),
        "{}",
        run.err
    );
}

#[test]
fn two_daemons_on_one_journal_are_an_error_with_the_place() {
    let directory = files(&[]);
    let journal = directory.path().join("journal");
    let (held, _) = journal::FileJournal::open(&journal, journal::Options::default()).expect("opened");
    let run = kinema(&["run", "--journal", &journal.display().to_string(), "--listen", "127.0.0.1:0"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(
        run.err.contains("is in use by process") && run.err.contains(&journal.display().to_string()),
        "{}",
        run.err
    );
    drop(held);
}

#[test]
fn a_journal_of_a_capture_is_not_resumed() {
    let directory = files(&[]);
    let (journal, capture, imported) =
        (path(&directory, "journal"), path(&directory, "a.kjl"), path(&directory, "imported"));
    assert_eq!(kinema(&["simulate", "--scenario", "small", "--journal", &journal, "-o", "json"]).code, 0);
    assert_eq!(kinema(&["journal", "export", &journal, "--out", &capture]).code, 0);
    assert_eq!(kinema(&["journal", "import", &capture, "--into", &imported]).code, 0);
    let run = kinema(&["run", "--journal", &imported, "--listen", "127.0.0.1:0"]);
    assert_eq!(run.code, 1, "{}", run.transcript());
    assert!(run.err.contains("no daemon may resume it"), "{}", run.err);
}

#[test]
fn a_short_lease_is_a_configuration_error() {
    let text = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {lease: {duration: 1s}}\n";
    let directory = files(&[("policy.yaml", text)]);
    let run = kinema(&["run", "--config", &path(&directory, "policy.yaml"), "--journal", &path(&directory, "journal")]);
    assert_eq!(run.code, 78, "{}", run.transcript());
}

#[test]
fn prices_of_a_file_are_not_refreshed_and_no_price_by_the_second() {
    let text = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {cloud: {refreshPrices: 12h, prices: agreed.csv}}\n";
    let often = text.replace("12h, prices: agreed.csv", "5s");
    let directory = files(&[("policy.yaml", text), ("often.yaml", &often)]);
    let run = |file| kinema(&["run", "--config", &path(&directory, file), "--journal", &path(&directory, "journal")]);
    let both = run("policy.yaml");
    assert_eq!(both.code, 78, "{}", both.transcript());
    assert!(both.err.contains("agreed.csv") && both.err.contains("leave out one of the two"), "{}", both.err);
    let often = run("often.yaml");
    assert_eq!(often.code, 78, "{}", often.transcript());
    assert!(often.err.contains("spec.cloud.refreshPrices is 5s"), "{}", often.err);
}

#[test]
fn a_follower_says_who_leads_and_ends_cleanly_on_a_signal() {
    let directory = files(&[("config", &kubeconfig(&api_server(Plays::AnotherLeads)))]);
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut child = command(&[
            "run",
            "--kubeconfig",
            &path(&directory, "config"),
            "--journal",
            &path(&directory, "journal"),
            "--listen",
            "127.0.0.1:0",
            "--mode",
            "Auto",
        ])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
        let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut server = String::new();
        loop {
            let line = said.next().expect("it waits for the lease").expect("text");
            if let Some((_, address)) = line.split_once("--server ") {
                server = address.trim_end_matches(')').to_owned();
            }
            if line.contains("another leads") {
                break;
            }
        }
        let status = kinema(&["status", "--server", &server]);
        assert_eq!(status.code, 0, "{}", status.transcript());
        assert!(status.out.contains("Not leader     another holds the lease"), "{}", status.out);
        let refused = kinema(&["pause", "--reason", "x", "--server", &server]);
        assert_eq!(refused.code, 3, "{}", refused.transcript());
        let killed = std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(killed.expect("kill").success());
        assert_eq!(child.wait().expect("an end").code(), Some(code));
    }
}
