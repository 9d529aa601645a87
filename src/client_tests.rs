//! The client against the real API, with a loop that is played.

use std::sync::{Arc, Mutex};

use journal_schema::event::{Event, OperatorCommand};
use tokio::sync::mpsc;

use super::*;
use crate::daemon::api;
use crate::daemon::shared::Shared;
use crate::daemon::status::{HeldBackView, PlanStatus, ReasonView};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn waiting_plan() -> PlanStatus {
    PlanStatus {
        digest: DIGEST.to_owned(),
        at: "2026-11-22T01:00:00Z".to_owned(),
        waiting_for_approval: true,
        expires_at: Some("2026-11-22T01:15:00Z".to_owned()),
        nodes_to_add: 1,
        nodes_to_remove: 2,
        moves: 3,
        cost_per_hour_now: "1.00".to_owned(),
        cost_per_hour_after: "0.50".to_owned(),
        lower_bound_per_hour: "0.40".to_owned(),
        savings_per_month: "365.00".to_owned(),
        savings: 0.5,
    }
}

fn leading(mode: &str, plan: Option<PlanStatus>) -> Status {
    Status { ready: true, leader: true, mode: mode.to_owned(), phase: "Deciding".to_owned(), plan, ..Status::default() }
}

/// The API on a port of its own; `play` answers each command as the loop would.
struct Played {
    server: ServerArgs,
    commands: Arc<Mutex<Vec<(String, OperatorCommand)>>>,
    _runtime: tokio::runtime::Runtime,
}

fn play(status: Status, answer: impl Fn(&OperatorCommand, &Shared) + Send + 'static) -> Played {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (news, mut incoming) = mpsc::channel(8);
    let shared = Shared::new(news, status);
    let (listener, address) = runtime.block_on(api::bind("127.0.0.1:0")).expect("a port");
    runtime.spawn(api::serve(listener, shared.clone()));
    let commands = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&commands);
    runtime.spawn(async move {
        while let Some(Event::Operator { by, command }) = incoming.recv().await {
            answer(&command, &shared);
            seen.lock().expect("not poisoned").push((by.to_string(), command));
        }
    });
    Played { server: ServerArgs { server: format!("http://{address}/") }, commands, _runtime: runtime }
}

fn streams() -> Streams {
    Streams::into(Box::new(std::io::sink()), Box::new(std::io::sink()))
}

fn apply_args(played: &Played, digest: Option<&str>, timeout: &str) -> ApplyArgs {
    ApplyArgs { digest: digest.map(str::to_owned), timeout: timeout.to_owned(), server: played.server.clone() }
}

/// A loop that ends the iteration with this result as soon as it is approved.
fn ends_with(result: &'static str) -> impl Fn(&OperatorCommand, &Shared) + Send + 'static {
    move |command, shared| {
        if matches!(command, OperatorCommand::Approve { .. }) {
            shared.update(|status| {
                status.plan = None;
                status.last = Some(LastStatus {
                    iteration: 7,
                    digest: Some(DIGEST.to_owned()),
                    ended_at: "2026-11-22T01:05:00Z".to_owned(),
                    result: result.to_owned(),
                    reason: (result != "Applied").then(|| ReasonView {
                        code: "MoveStuck".to_owned(),
                        message: "stuck".to_owned(),
                        fix: None,
                    }),
                    nodes_added: 1,
                    nodes_removed: 2,
                    pods_moved: 3,
                    planned_cost_per_hour: Some("0.50".to_owned()),
                    reached_cost_per_hour: "0.50".to_owned(),
                });
            });
        }
    }
}

#[test]
fn apply_approves_the_plan_that_waits_and_tells_how_it_ended() {
    for (result, exit) in [("Applied", Exit::Done), ("RolledBack", Exit::Partial)] {
        let played = play(leading("Approve", Some(waiting_plan())), ends_with(result));
        assert_eq!(apply(&apply_args(&played, None, "10s"), &mut streams()).expect(result), exit);
        let commands = played.commands.lock().expect("not poisoned");
        let [(_, OperatorCommand::Approve { digest })] = commands.as_slice() else { panic!("{commands:?}") };
        assert_eq!(digest.as_str(), DIGEST, "the whole digest is named, whatever was typed");
    }
    let played = play(leading("Approve", Some(waiting_plan())), ends_with("Dropped"));
    let problem = apply(&apply_args(&played, Some("012345"), "10s"), &mut streams()).expect_err("dropped");
    assert_eq!(problem.exit, Exit::Refused);
    assert!(problem.message.contains("MoveStuck"), "{problem}");
}

#[test]
fn apply_that_takes_too_long_times_out() {
    let played = play(leading("Approve", Some(waiting_plan())), |_, _| {});
    let problem = apply(&apply_args(&played, None, "0"), &mut streams()).expect_err("never ends");
    assert_eq!(problem.exit, Exit::TimedOut);
}

#[test]
fn what_may_not_be_approved_is_refused_and_reaches_no_loop() {
    let cases = [
        (leading("Recommend", None), "the mode is Recommend"),
        (leading("Auto", None), "no plan waits"),
        (leading("Approve", Some(waiting_plan())), "is stale"),
        (
            Status {
                ready: false,
                ..leading("Approve", Some(PlanStatus { digest: "ffffff00".to_owned(), ..waiting_plan() }))
            },
            "not the leader",
        ),
    ];
    for (status, expected) in cases {
        let played = play(status, |_, _| {});
        let args = DigestArgs { digest: "ffffff".to_owned(), server: played.server.clone() };
        let problem = review(&args, true, &mut streams()).expect_err(expected);
        assert_eq!(problem.exit, Exit::Refused, "{expected}");
        assert!(problem.message.contains(expected), "{problem}");
        assert!(played.commands.lock().expect("not poisoned").is_empty());
    }
}

#[test]
fn a_pause_carries_its_reason_and_its_span() {
    let played = play(leading("Auto", None), |_, _| {});
    let args = PauseArgs { reason: "INC-1234".to_owned(), span: Some("2h".to_owned()), server: played.server.clone() };
    assert_eq!(pause(&args, &mut streams()).expect("paused"), Exit::Done);
    plain("resume", &played.server, &mut streams()).expect("resumed");
    plain("abort", &played.server, &mut streams()).expect("aborting");
    let wanted = Instant::now() + Duration::from_secs(5);
    while played.commands.lock().expect("not poisoned").len() < 3 && Instant::now() < wanted {
        std::thread::sleep(Duration::from_millis(10));
    }
    let commands = played.commands.lock().expect("not poisoned");
    let kinds: Vec<&OperatorCommand> = commands.iter().map(|(_, command)| command).collect();
    let [OperatorCommand::Pause { reason, span }, OperatorCommand::Resume, OperatorCommand::Abort] = kinds.as_slice()
    else {
        panic!("{commands:?}")
    };
    assert_eq!(reason.as_str(), "INC-1234");
    assert_eq!(span.map(|span| span.0), Some(7_200_000));
    let nameless = PauseArgs { reason: " ".to_owned(), span: None, server: played.server.clone() };
    assert_eq!(pause(&nameless, &mut streams()).expect_err("no reason").exit, Exit::Usage);
}

#[test]
fn the_status_names_what_is_waited_for_in_80_columns() {
    let reason = ReasonView {
        code: "NotReady".to_owned(),
        message: "Deployment shop/web has 2 of 3 pods ready".to_owned(),
        fix: None,
    };
    let status = Status {
        phase_since: Some("2026-11-22T01:00:00Z".to_owned()),
        waiting_for: vec![reason; 10],
        missing: vec![ReasonView {
            code: "NoPrometheus".to_owned(),
            message: "plans are made of requests alone: spec.prometheus.url is not set".to_owned(),
            fix: Some("set it to the base URL of Prometheus".to_owned()),
        }],
        held_back: Some(HeldBackView {
            id: "812.3".to_owned(),
            at: "2026-11-22T01:00:07Z".to_owned(),
            invariant: "4".to_owned(),
            effect: "DeleteInstances".to_owned(),
            message: "node gke-demo-a is not empty".to_owned(),
        }),
        debts: vec!["labels on node a".to_owned()],
        cost_per_hour: "1.00".to_owned(),
        spent: "0.12".to_owned(),
        ..leading("Approve", Some(waiting_plan()))
    };
    let lines = lines(&status);
    insta::assert_snapshot!(lines.join("\n"));
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
}
