//! One look at a live cluster and its metrics, read-only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use adapter_kube::client::{Target, connect};
use adapter_kube::file::insert;
use adapter_kube::rights::{Access, Own, needed, preflight};
use adapter_kube::watch::watch_all;
use journal_schema::effect::{Answer, FailureCode, Outcome};
use journal_schema::event::WatchEvent;
use journal_schema::facts::Kind;
use journal_schema::plan::Cluster;
use journal_schema::policy::Policy;
use journal_schema::units::Timestamp;
use journal_schema::usage::Forecasts;
use tokio::sync::mpsc;

use super::input::Seen;
use crate::cli::KubeArgs;
use crate::cluster_access;
use crate::exit::{Exit, Problem};

/// A cluster of which nothing more is listed within this time is not going to be.
const LISTING: Duration = Duration::from_secs(20);
/// Objects that wait to be taken in.
const BUFFER: usize = 4096;

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::failed("no runtime").because(&error))
}

/// Lists everything once. Asks first for the permissions, so that a missing one is named.
pub(super) fn read(args: &KubeArgs, now: Option<Timestamp>) -> Result<Seen, Problem> {
    runtime()?.block_on(async {
        let target = Target { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
        let clients = connect(&target).await.map_err(|error| cluster_access::problem(&error))?;
        // Nothing of its own is looked at.
        let own = Own { lease: ("", ""), namespace: "" };
        let missing = preflight(&clients.requests, needed(Access::Look, own))
            .await
            .map_err(|failure| cluster_access::unanswered(&clients.server, &failure))?;
        if !missing.is_empty() {
            return Err(cluster_access::forbidden(&missing));
        }
        let (sender, mut events) = mpsc::channel(BUFFER);
        let mut watching = watch_all(&clients.watches, &sender, &Arc::default());
        drop(sender);
        let mut lists = Lists::default();
        let complete = lists.fill(&mut events).await;
        watching.shutdown().await;
        if !complete {
            let left: Vec<&str> =
                Kind::ALL.into_iter().filter(|kind| !lists.complete.contains(kind)).map(Kind::as_str).collect();
            return Err(Problem::new(
                Exit::Unreachable,
                format!("{} does not list: {}", clients.server, left.join(", ")),
            )
            .fix("see what it answers: kubectl get KIND -A; -v shows what kinema saw"));
        }
        Ok(Seen {
            name: args.context.clone().unwrap_or_else(|| clients.server.clone()),
            cluster: lists.cluster,
            now: now.unwrap_or_else(|| Timestamp(jiff::Timestamp::now().as_millisecond())),
            warnings: Vec::new(),
        })
    })
}

/// The lists as they come in.
#[derive(Default)]
struct Lists {
    cluster: Cluster,
    complete: BTreeSet<Kind>,
}

impl Lists {
    /// Until every kind is complete. False when the watches ended before, or nothing more comes: a
    /// list that is refused begins again and again, which is no progress.
    async fn fill(&mut self, events: &mut mpsc::Receiver<WatchEvent>) -> bool {
        let mut until = tokio::time::Instant::now() + LISTING;
        while self.complete.len() < Kind::ALL.len() {
            let Ok(Some(event)) = tokio::time::timeout_at(until, events.recv()).await else { return false };
            if !matches!(event, WatchEvent::RelistStarted { .. } | WatchEvent::Interrupted { .. }) {
                until = tokio::time::Instant::now() + LISTING;
            }
            self.take(event);
        }
        true
    }

    fn take(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Listed(object) | WatchEvent::Applied(object) => drop(insert(&mut self.cluster, object)),
            WatchEvent::RelistFinished { kind } => drop(self.complete.insert(kind)),
            WatchEvent::Deleted { kind: Kind::Pod, key } => drop(self.cluster.pods.remove(&key)),
            WatchEvent::Deleted { kind: Kind::Node, key } => drop(self.cluster.nodes.remove(&key.name)),
            // Whatever else vanishes while the rest is still being listed is as good as there.
            WatchEvent::RelistStarted { .. } | WatchEvent::Deleted { .. } | WatchEvent::Interrupted { .. } => {}
        }
    }
}

/// Reads usage and forecasts from it.
pub(super) fn forecasts(url: &str, seen: &Seen, policy: &Policy) -> Result<Forecasts, Problem> {
    let client = crate::daemon::prometheus(url)?;
    let predict = &policy.predict;
    let outcome = runtime()?.block_on(client.read_usage(seen.now, predict.window, predict.step));
    match outcome {
        Outcome::Answered(Answer::Usage(window)) => Ok(planner::forecast::forecast(&seen.cluster, &window, predict)),
        Outcome::Answered(_) => Err(Problem::failed(format!("Prometheus at {url} answered something else than usage"))),
        Outcome::Failed(failure) => {
            let exit = if matches!(failure.code, FailureCode::Unavailable | FailureCode::Timeout) {
                Exit::Unreachable
            } else {
                Exit::Failed
            };
            Err(Problem::new(exit, format!("usage cannot be read from {url}: {}", failure.message))
                .fix("leave --prometheus out to plan on requests alone"))
        }
    }
}
