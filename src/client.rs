//! Commands that talk to a running daemon: status, approve, reject, apply, pause, resume, abort.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::cli::{ApplyArgs, DigestArgs, PauseArgs, ServerArgs, StatusArgs};
use crate::config::Span;
use crate::daemon::api::{CommandAnswer, CommandBody, DIGEST_DIGITS, short};
use crate::daemon::status::{LastStatus, ReasonView, Status};
use crate::exit::{Exit, Problem};
use crate::output::{Format, Streams, wrap};

/// The longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often `apply` looks.
const LOOK: Duration = Duration::from_millis(500);
/// How often `apply` says that it still waits.
const SAY: Duration = Duration::from_secs(10);

struct Daemon {
    base: String,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Daemon {
    fn new(args: &ServerArgs) -> Result<Self, Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::failed("no runtime").because(&error))?;
        let http = reqwest::Client::builder()
            .timeout(ANSWER)
            .build()
            .map_err(|error| Problem::failed("no HTTP client").because(&error))?;
        Ok(Self { base: args.server.trim_end_matches('/').to_owned(), runtime, http })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Problem {
        Problem::new(Exit::Unreachable, format!("the daemon at {} does not answer", self.base))
            .because(error)
            .fix("is kinema run running? give its address with --server or KINEMA_SERVER (in a cluster: kubectl port-forward)")
    }

    /// Sends and reads a JSON answer with its status code.
    fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<(u16, T), Problem> {
        let (code, text) = self
            .runtime
            .block_on(async {
                let answer = request.send().await?;
                let code = answer.status().as_u16();
                Ok::<_, reqwest::Error>((code, answer.text().await?))
            })
            .map_err(|error| self.unreachable(&error))?;
        let value = serde_json::from_str(&text).map_err(|error| {
            Problem::new(Exit::Unreachable, format!("{} answers, but not like kinema (HTTP {code})", self.base))
                .because(&error)
                .fix("check --server")
        })?;
        Ok((code, value))
    }

    fn status(&self) -> Result<Status, Problem> {
        Ok(self.ask(self.http.get(format!("{}/api/v1/status", self.base)))?.1)
    }

    fn post(&self, command: &str, body: &CommandBody) -> Result<CommandAnswer, Problem> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Problem::failed("the command cannot be written").because(&error))?;
        let request = self
            .http
            .post(format!("{}/api/v1/{command}", self.base))
            .header("content-type", "application/json")
            .body(body);
        let (code, answer) = self.ask::<CommandAnswer>(request)?;
        if answer.accepted {
            return Ok(answer);
        }
        let exit = match code {
            400 | 422 => Exit::Usage,
            409 => Exit::Refused,
            _ => Exit::Failed,
        };
        Err(Problem::new(exit, answer.message))
    }
}

/// Who asks, for the journal.
fn who() -> String {
    ["KINEMA_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "somebody".to_owned())
}

fn span(text: &str, flag: &str) -> Result<i64, Problem> {
    text.parse::<Span>().map(|span| span.0.0).map_err(|error| Problem::new(Exit::Usage, format!("{flag}: {error}")))
}

/// `kinema approve` and `kinema reject`
pub(crate) fn review(args: &DigestArgs, approve: bool, streams: &mut Streams) -> Result<Exit, Problem> {
    check_digest(&args.digest)?;
    let body = CommandBody { by: who(), digest: Some(args.digest.clone()), ..CommandBody::default() };
    let answer = Daemon::new(&args.server)?.post(if approve { "approve" } else { "reject" }, &body)?;
    streams.line(format!("rescheduleplan/{} {}", args.digest, answer.message))?;
    Ok(Exit::Done)
}

fn check_digest(digest: &str) -> Result<(), Problem> {
    if digest.len() < DIGEST_DIGITS || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Problem::new(
            Exit::Usage,
            format!("`{digest}` is not a plan's digest: at least {DIGEST_DIGITS} hexadecimal digits"),
        )
        .fix("kinema status shows the digest of the plan that waits"));
    }
    Ok(())
}

/// `kinema pause`
pub(crate) fn pause(args: &PauseArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let for_millis = args.span.as_deref().map(|text| span(text, "--for")).transpose()?;
    let body = CommandBody { by: who(), reason: Some(args.reason.clone()), for_millis, ..CommandBody::default() };
    let answer = Daemon::new(&args.server)?.post("pause", &body)?;
    streams.line(format!("kinema {}", answer.message))?;
    Ok(Exit::Done)
}

/// `kinema resume` and `kinema abort`
pub(crate) fn plain(command: &str, args: &ServerArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let answer = Daemon::new(args)?.post(command, &CommandBody { by: who(), ..CommandBody::default() })?;
    streams.line(format!("kinema {}", answer.message))?;
    Ok(Exit::Done)
}

/// `kinema status`
pub(crate) fn status(args: &StatusArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let status = Daemon::new(&args.server)?.status()?;
    match args.output.output {
        Format::Text => {
            for line in lines(&status) {
                streams.line(line)?;
            }
        }
        format @ (Format::Json | Format::Yaml) => streams.document(format, &status)?,
    }
    Ok(Exit::Done)
}

/// Width of the labels.
const LABEL: usize = 15;
/// How many reasons are shown before the rest is counted.
const SHOWN: usize = 8;

/// `Code: what is so -> what to do`
fn with_fix(reason: &ReasonView) -> String {
    let fix = reason.fix.as_ref().map(|fix| format!(" -> {fix}")).unwrap_or_default();
    format!("{}: {}{fix}", reason.code, reason.message)
}

fn lines(status: &Status) -> Vec<String> {
    let since = status.phase_since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let mut lines = vec![format!("Mode {}   Phase {}{since}", status.mode, status.phase)];
    if let Some(holder) = &status.lease_holder {
        lines.push(format!("Not leader     {holder} holds the lease"));
    } else if !status.ready {
        lines.push("Starting".to_owned());
    }
    if let Some(pause) = &status.pause {
        let until = pause.until.as_deref().unwrap_or("resumed");
        let text = format!("Paused         by {} until {until}: {}", pause.by, pause.reason);
        lines.extend(wrap(&text, &" ".repeat(LABEL)));
    }
    let mut row = |label: &str, text: &str| {
        lines.extend(wrap(&format!("{label:<LABEL$}{text}"), &" ".repeat(LABEL)));
    };
    for (index, reason) in status.waiting_for.iter().take(SHOWN).enumerate() {
        row(if index == 0 { "Waiting for" } else { "" }, &with_fix(reason));
    }
    if status.waiting_for.len() > SHOWN {
        row("", &format!("... and {} more (-o json)", status.waiting_for.len() - SHOWN));
    }
    for (index, reason) in status.missing.iter().enumerate() {
        row(if index == 0 { "Missing" } else { "" }, &with_fix(reason));
    }
    if let Some(held) = &status.held_back {
        let text = format!(
            "{} {} at {}, which would break invariant {}: {}",
            held.id, held.effect, held.at, held.invariant, held.message
        );
        row("Held back", &text);
    }
    if let Some(plan) = &status.plan {
        lines.push(format!(
            "Plan           {}  +{} -{} nodes, {} pods move",
            short(&plan.digest),
            plan.nodes_to_add,
            plan.nodes_to_remove,
            plan.moves
        ));
        lines.push(format!(
            "{:<LABEL$}${}/h -> ${}/h, saves {:.1} %",
            "",
            plan.cost_per_hour_now,
            plan.cost_per_hour_after,
            plan.savings * 100.0
        ));
        if plan.waiting_for_approval {
            let expires = plan.expires_at.as_deref().unwrap_or("it expires");
            lines.push(format!("{:<LABEL$}waits for approval until {expires}:", ""));
            lines.push(format!("{:<LABEL$}kinema apply {}", "", short(&plan.digest)));
        }
    }
    if let Some(last) = &status.last {
        lines.extend(wrap(&format!("Last           {}", last_text(last)), &" ".repeat(LABEL)));
    }
    for (index, debt) in status.debts.iter().take(5).enumerate() {
        let label = if index == 0 { "To be undone" } else { "" };
        lines.extend(wrap(&format!("{label:<LABEL$}{debt}"), &" ".repeat(LABEL)));
    }
    lines.push(format!("Cluster        {} nodes, {} pods, ${}/h", status.nodes, status.pods, status.cost_per_hour));
    lines.push(format!(
        "Journal        #{}, iteration {}: ${} spent, {} pods moved since it began",
        status.journal.seq, status.iteration, status.spent, status.pods_moved
    ));
    lines
}

fn last_text(last: &LastStatus) -> String {
    let reason =
        last.reason.as_ref().map(|reason| format!(" ({}: {})", reason.code, reason.message)).unwrap_or_default();
    let counts = if last.result == "Dropped" {
        String::new()
    } else {
        format!(
            ": {} nodes added, {} removed, {} pods moved, now ${}/h",
            last.nodes_added, last.nodes_removed, last.pods_moved, last.reached_cost_per_hour
        )
    };
    format!("iteration {} {} at {}{reason}{counts}", last.iteration, last.result, last.ended_at)
}

/// `kinema apply`
pub(crate) fn apply(args: &ApplyArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let timeout = Duration::from_millis(u64::try_from(span(&args.timeout, "--timeout")?).unwrap_or(0));
    let daemon = Daemon::new(&args.server)?;
    let status = daemon.status()?;
    let waiting = status.plan.as_ref().filter(|plan| plan.waiting_for_approval);
    let digest = match (&args.digest, waiting) {
        (Some(digest), _) => {
            check_digest(digest)?;
            waiting
                .filter(|plan| plan.digest.starts_with(digest.as_str()))
                .map_or_else(|| digest.clone(), |plan| plan.digest.clone())
        }
        (None, Some(plan)) => plan.digest.clone(),
        (None, None) => {
            return Err(Problem::new(Exit::Refused, "no plan waits for approval")
                .fix("kinema status tells what the daemon waits for"));
        }
    };
    daemon.post("approve", &CommandBody { by: who(), digest: Some(digest.clone()), ..CommandBody::default() })?;
    streams.say(format!("Approved {}. Ctrl-C detaches, the daemon goes on; kinema abort undoes.", short(&digest)));
    let before = status.last.as_ref().map_or(0, |last| last.iteration);
    wait(&daemon, &digest, before, timeout, streams)
}

fn wait(daemon: &Daemon, digest: &str, before: u64, timeout: Duration, streams: &mut Streams) -> Result<Exit, Problem> {
    let started = Instant::now();
    let mut said = Instant::now();
    let mut phase = String::new();
    loop {
        // A daemon that restarts is not a reason to give up: the plan is in its journal.
        match daemon.status() {
            Ok(status) => {
                if let Some(last) =
                    status.last.filter(|last| last.iteration > before && last.digest.as_deref() == Some(digest))
                {
                    return finished(&last, started.elapsed(), streams);
                }
                if status.phase != phase {
                    phase = status.phase;
                    streams.say(format!("{phase} ..."));
                } else if said.elapsed() >= SAY {
                    said = Instant::now();
                    streams.say(format!("Still {phase} ... [{}s elapsed]", started.elapsed().as_secs()));
                }
            }
            Err(problem) if problem.exit == Exit::Unreachable => {
                if said.elapsed() >= SAY {
                    said = Instant::now();
                    streams.say(format!("{} [{}s elapsed]", problem.message, started.elapsed().as_secs()));
                }
            }
            Err(problem) => return Err(problem),
        }
        if started.elapsed() >= timeout {
            return Err(Problem::new(
                Exit::TimedOut,
                format!("plan {} is not finished after {}s; the daemon goes on", short(digest), timeout.as_secs()),
            )
            .fix("kinema status shows how far it is"));
        }
        std::thread::sleep(LOOK);
    }
}

fn finished(last: &LastStatus, took: Duration, streams: &mut Streams) -> Result<Exit, Problem> {
    let counts =
        format!("{} nodes added, {} removed, {} pods moved", last.nodes_added, last.nodes_removed, last.pods_moved);
    let reason =
        last.reason.as_ref().map(|reason| format!(": {}: {}", reason.code, reason.message)).unwrap_or_default();
    match last.result.as_str() {
        "Applied" => {
            let planned =
                last.planned_cost_per_hour.as_ref().map(|cost| format!(" (planned ${cost}/h)")).unwrap_or_default();
            streams.line(format!(
                "Apply complete! {counts} in {}s. Cost ${}/h{planned}.",
                took.as_secs(),
                last.reached_cost_per_hour
            ))?;
            Ok(Exit::Done)
        }
        "RolledBack" => {
            streams.line(format!("Rolled back{reason}. {counts}."))?;
            Ok(Exit::Partial)
        }
        _ => Err(Problem::new(Exit::Refused, format!("the plan was dropped{reason}"))),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
