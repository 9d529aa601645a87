//! Watches: lists and streams in, the journal's words out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_kube::rights::{Enrolled, to_move};
use adapter_kube::watch::watch_all;
use http::{Request, Response};
use journal_schema::event::WatchEvent;
use journal_schema::facts::{Kind, Object};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What the server does with the next request for namespaces. Every other kind is empty and silent.
enum Step {
    List(&'static [&'static str], &'static str, &'static str),
    ListFails(u16),
    Watch(Vec<Value>),
    WatchFails(u16),
}

type Script = Arc<Mutex<VecDeque<Step>>>;
type Queries = Arc<Mutex<Vec<String>>>;

fn namespace(name: &str, label: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "resourceVersion": version, "labels": {"l": label}}})
}

fn list(items: &[Value], version: &str, token: &str) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version, "continue": token}, "items": items})
}

fn client(script: &Script, queries: &Queries) -> Client {
    let (script, queries) = (script.clone(), queries.clone());
    Client::new(
        tower::service_fn(move |request: Request<Body>| {
            let (script, queries) = (script.clone(), queries.clone());
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let watching = query.contains("watch=true");
                let empty = (200, list(&[], "1", "").to_string());
                let step = if request.uri().path() == "/api/v1/namespaces" {
                    queries.lock().unwrap().push(query);
                    script.lock().unwrap().pop_front()
                } else {
                    None
                };
                let (code, body) = match step {
                    None if watching => {
                        std::future::pending::<()>().await;
                        empty
                    }
                    None => empty,
                    Some(Step::List(names, version, token)) => {
                        let items: Vec<Value> = names.iter().map(|name| namespace(name, "a", "1")).collect();
                        (200, list(&items, version, token).to_string())
                    }
                    Some(Step::Watch(events)) => (200, events.iter().map(|event| format!("{event}\n")).collect()),
                    Some(Step::ListFails(code) | Step::WatchFails(code)) => {
                        (code, json!({"kind": "Status", "code": code, "reason": "Expired", "message": "m"}).to_string())
                    }
                };
                Ok::<_, std::io::Error>(Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap())
            }
        }),
        "default",
    )
}

/// Runs the script for a while; the events about namespaces in words, and the queries.
async fn run(steps: Vec<Step>, span: Duration) -> (Vec<String>, Vec<String>) {
    run_within(Enrolled::default(), steps, span).await
}

/// The same of an account that may move pods here and there only.
async fn run_within(enrolled: Enrolled, steps: Vec<Step>, span: Duration) -> (Vec<String>, Vec<String>) {
    let script: Script = Arc::new(Mutex::new(steps.into()));
    let queries = Queries::default();
    let (sender, mut receiver) = mpsc::channel(8);
    let tasks = watch_all(&client(&script, &queries), &sender, &Arc::new(enrolled));
    let mut words = Vec::new();
    let end = tokio::time::Instant::now() + span;
    while let Ok(Some(event)) = tokio::time::timeout_at(end, receiver.recv()).await {
        let word = match event {
            WatchEvent::RelistStarted { kind: Kind::Namespace } => "started".to_owned(),
            WatchEvent::RelistFinished { kind: Kind::Namespace } => "finished".to_owned(),
            WatchEvent::Interrupted { kind: Kind::Namespace } => "interrupted".to_owned(),
            WatchEvent::Deleted { kind: Kind::Namespace, key } => format!("deleted {key}"),
            WatchEvent::Listed(Object::Namespace(fact)) if fact.excluded => format!("opted out {}", fact.name),
            WatchEvent::Applied(Object::Namespace(fact)) if fact.excluded => format!("opted out {}", fact.name),
            WatchEvent::Listed(object) => format!("listed {}", object.key()),
            WatchEvent::Applied(object) => format!("applied {}", object.key()),
            _ => continue,
        };
        words.push(word);
    }
    drop(tasks);
    let queries = queries.lock().unwrap().clone();
    (words, queries)
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn bookmark(version: &str) -> Value {
    event(
        "BOOKMARK",
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"resourceVersion": version, "creationTimestamp": null}}),
    )
}

#[tokio::test(start_paused = true)]
async fn a_list_in_pages_then_changes() {
    let steps = vec![
        Step::List(&["a", "b"], "5", "token"),
        Step::List(&["c"], "5", ""),
        Step::Watch(vec![
            event("MODIFIED", &namespace("a", "a", "6")),
            event("MODIFIED", &namespace("a", "b", "7")),
            event("ADDED", &namespace("d", "a", "8")),
            event("DELETED", &namespace("b", "a", "9")),
            bookmark("12"),
        ]),
    ];
    let (words, queries) = run(steps, Duration::from_secs(5)).await;
    // The first change is none for us: the fact is equal.
    assert_eq!(
        words,
        ["started", "listed a", "listed b", "listed c", "finished", "applied a", "applied d", "deleted b"]
    );
    assert!(!queries[0].contains("resourceVersion"), "the list asks a quorum: {}", queries[0]);
    assert!(queries[1].contains("continue=token"), "{}", queries[1]);
    assert!(
        queries[2].contains("resourceVersion=5") && queries[2].contains("allowWatchBookmarks=true"),
        "{}",
        queries[2]
    );
    assert!(queries[3].contains("resourceVersion=12"), "a watch that ended goes on from the bookmark: {}", queries[3]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_is_an_interruption_and_a_relist() {
    let gone = event(
        "ERROR",
        &json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}),
    );
    for expired in [Step::WatchFails(410), Step::Watch(vec![gone])] {
        let steps = vec![Step::List(&["a", "b"], "5", ""), expired, Step::List(&["b"], "9", "")];
        let (words, _) = run(steps, Duration::from_secs(5)).await;
        assert_eq!(
            words,
            ["started", "listed a", "listed b", "finished", "interrupted", "started", "listed b", "finished"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_break_loses_nothing_and_says_nothing() {
    let steps = vec![
        Step::List(&["a"], "5", ""),
        Step::WatchFails(503),
        Step::WatchFails(503),
        Step::Watch(vec![event("DELETED", &namespace("a", "a", "6"))]),
    ];
    let (words, queries) = run(steps, Duration::from_secs(8)).await;
    assert_eq!(words, ["started", "listed a", "finished", "deleted a"]);
    assert!(queries[3].contains("resourceVersion=5"));
}

#[tokio::test(start_paused = true)]
async fn a_long_break_is_an_interruption() {
    let mut steps = vec![Step::List(&["a"], "5", "")];
    steps.extend((0..7).map(|_| Step::WatchFails(503)));
    steps.push(Step::List(&["a"], "9", ""));
    let (words, _) = run(steps, Duration::from_secs(20)).await;
    assert_eq!(words, ["started", "listed a", "finished", "interrupted", "started", "listed a", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_relist_that_fails_begins_again() {
    let steps =
        vec![Step::ListFails(500), Step::List(&["a"], "5", "token"), Step::ListFails(410), Step::List(&["a"], "6", "")];
    let (words, _) = run(steps, Duration::from_secs(10)).await;
    assert_eq!(words, ["started", "started", "listed a", "started", "listed a", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_not_skipped() {
    let odd = event("MODIFIED", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": 7}));
    let steps = vec![Step::List(&["a"], "5", ""), Step::Watch(vec![odd]), Step::List(&["a"], "6", "")];
    let (words, _) = run(steps, Duration::from_secs(5)).await;
    assert_eq!(words, ["started", "listed a", "finished", "interrupted", "started", "listed a", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_not_enrolled_is_opted_out_also_when_it_comes_later() {
    let enrolled =
        || Enrolled { complete: vec!["a".to_owned()], incomplete: vec!["b".to_owned()], missing: to_move(None) };
    let steps = || vec![Step::List(&["a", "b"], "3", ""), Step::Watch(vec![event("ADDED", &namespace("c", "1", "4"))])];
    let (words, _) = run_within(enrolled(), steps(), Duration::from_secs(5)).await;
    assert_eq!(words, ["started", "listed a", "opted out b", "finished", "opted out c"]);
    let everywhere = Enrolled { missing: Vec::new(), ..enrolled() };
    let (words, _) = run_within(everywhere, steps(), Duration::from_secs(5)).await;
    assert_eq!(words, ["started", "listed a", "listed b", "finished", "applied c"]);
}
