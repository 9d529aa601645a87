//! The client against canned answers on loopback.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_prometheus::{Config, ConnectError, Prometheus};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Router, routing::post};
use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::units::{Bytes, MilliCpu, Millis, Timestamp};
use journal_schema::usage::UsageWindow;

/// The forms and headers that were sent.
type Seen = Arc<Mutex<Vec<(BTreeMap<String, String>, HeaderMap)>>>;

/// What the server says: to counts, to CPU, to memory.
#[derive(Clone)]
struct Canned {
    status: u16,
    cpu_count: String,
    memory_count: String,
    cpu: String,
    memory: String,
    delay: Duration,
    seen: Seen,
}

fn success(result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#)
}

fn number(value: &str) -> String {
    success(&format!(r#"{{"metric":{{}},"value":[1000,"{value}"]}}"#))
}

fn series(pod: &str, values: &str) -> String {
    format!(r#"{{"metric":{{"namespace":"default","pod":"{pod}","container":"app"}},"values":[{values}]}}"#)
}

impl Default for Canned {
    fn default() -> Self {
        Self {
            status: 200,
            cpu_count: number("2"),
            memory_count: number("2"),
            cpu: success(&series("a", r#"[880,"0.1"],[940,"0.2"],[1000,"0.3"]"#)),
            memory: success(&series("a", r#"[880,"100"],[940,"200"],[1000,"300"]"#)),
            delay: Duration::ZERO,
            seen: Arc::default(),
        }
    }
}

async fn answer(
    State(canned): State<Canned>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    tokio::time::sleep(canned.delay).await;
    let query = form.get("query").cloned().unwrap_or_default();
    canned.seen.lock().unwrap().push((form, headers));
    let body = match (query.starts_with("count("), query.contains("container_cpu_usage_seconds_total")) {
        (true, true) => canned.cpu_count,
        (true, false) => canned.memory_count,
        (false, true) => canned.cpu,
        (false, false) => canned.memory,
    };
    (StatusCode::from_u16(canned.status).unwrap(), body).into_response()
}

async fn serve(canned: Canned) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let router = Router::new()
        .route("/api/v1/query", post(answer))
        .route("/api/v1/query_range", post(answer))
        .with_state(canned);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Three points: 880, 940 and 1000 s.
async fn read(config: Config) -> Outcome {
    Prometheus::connect(config)
        .unwrap()
        .read_usage(Timestamp(1_000_500), Millis::from_minutes(3), Millis::from_minutes(1))
        .await
}

async fn usage(canned: Canned) -> UsageWindow {
    let outcome = read(Config::new(serve(canned).await)).await;
    let Outcome::Answered(Answer::Usage(window)) = outcome else { panic!("{outcome:?}") };
    window
}

async fn failure(canned: Canned) -> Failure {
    failure_of(Config::new(serve(canned).await)).await
}

async fn failure_of(config: Config) -> Failure {
    let outcome = read(config).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    failure
}

fn about(failure: &Failure) -> (FailureClass, FailureCode) {
    (failure.class, failure.code)
}

#[tokio::test]
async fn usage_is_read_on_the_grid() {
    let canned = Canned::default();
    let window = usage(canned.clone()).await;
    assert_eq!((window.start, window.step), (Timestamp(880_000), Millis::from_minutes(1)));
    assert_eq!(window.series.len(), 1);
    assert_eq!(window.series[0].pod.to_string(), "default/a");
    assert_eq!(window.series[0].cpu.to_vec(), vec![Some(MilliCpu(100)), Some(MilliCpu(200)), Some(MilliCpu(300))]);
    assert_eq!(window.series[0].memory.to_vec(), vec![Some(Bytes(100)), Some(Bytes(200)), Some(Bytes(300))]);
    assert!(window.warnings.is_empty());
    let seen = canned.seen.lock().unwrap();
    let range = &seen[2].0;
    assert_eq!((range["start"].as_str(), range["end"].as_str(), range["step"].as_str()), ("880", "1000", "60"));
    assert!(range["query"].contains("rate(container_cpu_usage_seconds_total{"), "{}", range["query"]);
    assert!(range["query"].contains("[120s]"), "{}", range["query"]);
}

#[tokio::test]
async fn gaps_nonsense_and_strangers_are_gaps() {
    let cpu = [series("b", r#"[880,"NaN"],[940,"+Inf"],[1000,"0.25"]"#), series("a", r#"[1000.4,"0.5"],[5000,"9"]"#)]
        .join(",");
    let strange = r#"{"metric":{"namespace":"default","container":"app"},"values":[[880,"1"]]}"#;
    let memory = [series("b", r#"[880,"-1"],[1000,"7"]"#), strange.to_owned()].join(",");
    let window = usage(Canned { cpu: success(&cpu), memory: success(&memory), ..Canned::default() }).await;
    let pods: Vec<String> = window.series.iter().map(|series| series.pod.to_string()).collect();
    assert_eq!(pods, vec!["default/a", "default/b"], "sorted");
    assert_eq!(window.series[0].cpu.to_vec(), vec![None, None, Some(MilliCpu(500))]);
    assert_eq!(window.series[0].memory.to_vec(), vec![None; 3]);
    assert_eq!(window.series[1].cpu.to_vec(), vec![None, None, Some(MilliCpu(250))]);
    assert_eq!(window.series[1].memory.to_vec(), vec![None, None, Some(Bytes(7))]);
    assert_eq!(window.warnings[0].as_str(), "1 series name no container and were left out");
}

#[tokio::test]
async fn warnings_of_a_partial_answer_are_kept() {
    let partial =
        r#"{"status":"success","warnings":["store a did not answer"],"data":{"resultType":"matrix","result":[]}}"#
            .to_owned();
    let window = usage(Canned { memory: partial.clone(), cpu: partial, ..Canned::default() }).await;
    assert_eq!(window.warnings.len(), 2, "the same warning twice is one");
    assert!(window.warnings[0].starts_with("no container has a rate of container_cpu_usage_seconds_total over 2m"));
    assert_eq!(window.warnings[1].as_str(), "store a did not answer");
    assert!(window.series.is_empty());
}

#[tokio::test]
async fn a_missing_series_is_named() {
    let none = Canned { memory_count: success(""), ..Canned::default() };
    let failure = failure(none).await;
    assert_eq!(about(&failure), (FailureClass::Refused, FailureCode::NotFound));
    assert!(failure.message.contains("no series of container_memory_working_set_bytes"), "{}", failure.message);
}

#[tokio::test]
async fn a_flood_of_series_is_refused_before_it_is_read() {
    let canned = Canned { cpu_count: number("1e6"), ..Canned::default() };
    let failure = failure(canned.clone()).await;
    assert_eq!(about(&failure), (FailureClass::Refused, FailureCode::Invalid));
    assert!(
        failure
            .message
            .contains("1000000 containers have a series of container_cpu_usage_seconds_total, more than the 200000"),
        "{}",
        failure.message
    );
    assert_eq!(canned.seen.lock().unwrap().len(), 1, "nothing more was asked");

    let long = Canned { cpu: success(&series(&"x".repeat(5000), r#"[880,"1"]"#)), ..Canned::default() };
    let failure = failure_of(Config { max_bytes: 4096, ..Config::new(serve(long).await) }).await;
    assert!(failure.message.contains("longer than 4096 bytes"), "{}", failure.message);
}

#[tokio::test]
async fn a_server_that_lies_about_the_number_of_its_series_is_not_believed() {
    let many: Vec<String> = (0..50).map(|at| series(&format!("p{at}"), r#"[880,"1"]"#)).collect();
    let lie = Canned { cpu: success(&many.join(",")), ..Canned::default() };
    let failure = failure_of(Config { max_series: 49, ..Config::new(serve(lie).await) }).await;
    assert_eq!(about(&failure), (FailureClass::Refused, FailureCode::Invalid));
    assert!(failure.message.contains("more containers than the 49 that are allowed"), "{}", failure.message);
}

#[tokio::test]
async fn of_an_error_only_a_word_is_repeated() {
    let error = |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}"}}"#);
    for status in [200, 400] {
        for (kind, kept) in [("bad_data", true), ("a secret text", false), ("Secret", false)] {
            let failure = failure(Canned { status, cpu_count: error(kind), ..Canned::default() }).await;
            assert_eq!(failure.message.contains(kind), kept, "{status}: {}", failure.message);
        }
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    use FailureClass::{Refused, Retryable};
    use FailureCode::{Forbidden, Invalid, NotFound, Throttled, Timeout, Unavailable};
    let text = |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"secret text"}}"#);
    let cases = [
        (401, "", Refused, Forbidden),
        (404, "", Refused, NotFound),
        (400, "bad_data", Refused, Invalid),
        (422, "execution", Refused, Invalid),
        (429, "", Retryable, Throttled),
        (302, "", Refused, Invalid),
        (500, "internal", Retryable, Unavailable),
        (502, "", Retryable, Unavailable),
        (503, "timeout", Retryable, Timeout),
    ];
    for (status, kind, class, code) in cases {
        let body = if kind.is_empty() { "<html>".to_owned() } else { text(kind) };
        let failure = failure(Canned { status, cpu_count: body, ..Canned::default() }).await;
        assert_eq!(about(&failure), (class, code), "{status}");
        assert!(
            failure.message.contains(&status.to_string()) && !failure.message.contains("secret"),
            "{}",
            failure.message
        );
    }
    let page = failure(Canned { cpu_count: "<html>".to_owned(), ..Canned::default() }).await;
    assert_eq!(about(&page), (Refused, Invalid));
}

#[tokio::test]
async fn nothing_listens_or_nothing_answers() {
    let _ = serve(Canned::default()).await;
    assert_eq!(
        about(&failure_of(Config::new("http://127.0.0.1:9")).await),
        (FailureClass::Retryable, FailureCode::Unavailable)
    );
    let slow = serve(Canned { delay: Duration::from_secs(5), ..Canned::default() }).await;
    let failure = failure_of(Config { timeout: Duration::from_millis(200), ..Config::new(slow) }).await;
    assert_eq!(about(&failure), (FailureClass::Retryable, FailureCode::Timeout));
}

#[tokio::test]
async fn a_token_is_read_anew_and_headers_are_sent() {
    let canned = Canned::default();
    let mut file = tempfile();
    file.1.write_all(b"one\n").unwrap();
    let headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
    let config = Config { bearer_file: Some(file.0.clone()), headers, ..Config::new(serve(canned.clone()).await) };
    let client = Prometheus::connect(config).unwrap();
    let ask = || client.read_usage(Timestamp(1_000_000), Millis::from_minutes(3), Millis::from_minutes(1));
    assert!(matches!(ask().await, Outcome::Answered(_)));
    std::fs::write(&file.0, "two").unwrap();
    assert!(matches!(ask().await, Outcome::Answered(_)));
    {
        let seen = canned.seen.lock().unwrap();
        assert_eq!(seen[0].1["authorization"], "Bearer one");
        assert_eq!(seen[7].1["authorization"], "Bearer two");
        assert_eq!(seen[7].1["x-scope-orgid"], "tenant");
    }
    std::fs::remove_file(&file.0).unwrap();
    assert!(matches!(ask().await, Outcome::Failed(Failure { code: FailureCode::Forbidden, .. })));
}

fn tempfile() -> (std::path::PathBuf, std::fs::File) {
    let path = std::env::temp_dir().join(format!("kinema-token-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    (path, file)
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_at_once() {
    let url = serve(Canned::default()).await;
    let client = Prometheus::connect(Config::new(url)).unwrap();
    let outcome = client.read_usage(Timestamp(0), Millis::from_minutes(60_000), Millis::from_secs(1)).await;
    assert!(matches!(
        outcome,
        Outcome::Failed(Failure { class: FailureClass::Refused, code: FailureCode::Invalid, .. })
    ));
    assert!(matches!(Prometheus::connect(Config::new("prometheus:9090")), Err(ConnectError::Url(_))));
    let headers = vec![("bad header".to_owned(), "x".to_owned())];
    assert!(matches!(Prometheus::connect(Config { headers, ..Config::new("http://p") }), Err(ConnectError::Header(_))));
}
