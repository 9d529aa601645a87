//! Effects on the cluster, carried out.
//!
//! Every effect may come twice, so each reads the object first, from a quorum, compares what it
//! must find (UID, old value) with what is there, and writes with the resource version that it
//! read. What is in place already is done. A lost race on a resource version is tried again a few
//! times with a fresh read; every other failure is classed and returned, because retries are the
//! journaled machine's.
//!
//! A mutation is held back unless the [`Fence`] has enough of the lease left, when it is begun and again
//! when a connection takes it, and no mutation is awaited beyond that lease.

use std::time::Duration;

use journal_schema::effect::{Answer, Effect, Failure, FailureClass, FailureCode, Outcome};
use kube::Client;

use crate::failure::failure;
use crate::lease::Fence;
use crate::rest::{Rest, held_back};

mod evict;
mod managers;
mod mark;
mod notice;
mod read;
mod scale;
mod template;

pub use notice::Reporter;

/// No request lasts longer than this; the client's own read timeout is below it.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How often a lost race on a resource version is tried again.
const RACES: usize = 5;

/// Carries out effects on one cluster.
#[derive(Clone)]
pub struct Performer {
    rest: Rest,
    fence: Fence,
    reporter: Reporter,
    allow_mutations: bool,
}

impl Performer {
    /// A performer that may change the cluster while `fence` permits it.
    pub fn new(client: Client, fence: Fence, reporter: Reporter) -> Self {
        Self { rest: Rest::new(client, REQUEST_LIMIT), fence, reporter, allow_mutations: true }
    }

    /// A performer that refuses every mutation, whatever it is asked: for modes that only recommend.
    pub fn read_only(client: Client, reporter: Reporter) -> Self {
        Self { rest: Rest::new(client, REQUEST_LIMIT), fence: Fence::open(), reporter, allow_mutations: false }
    }

    /// Carries out one effect. Effects that are not the cluster's (the cloud's, the planner's) are
    /// refused as [`FailureCode::Internal`]. Never panics and never hangs: every request has a limit.
    pub async fn perform(&self, effect: &Effect) -> Outcome {
        let mut rest = self.rest.clone();
        if effect.mutates() {
            if !self.allow_mutations {
                return Outcome::Failed(failure(
                    FailureClass::Refused,
                    FailureCode::Forbidden,
                    "this mode changes nothing",
                ));
            }
            match self.fence.margin_for_mutation() {
                Some(margin) => rest = rest.fenced(&self.fence, margin),
                None => return Outcome::Failed(held_back()),
            }
        }
        match self.answer(&rest, effect).await {
            Ok(answer) => Outcome::Answered(answer),
            Err(failure) => {
                tracing::debug!(effect = effect.name(), class = ?failure.class, code = ?failure.code, message = %failure.message, "effect failed");
                Outcome::Failed(failure)
            }
        }
    }

    async fn answer(&self, rest: &Rest, effect: &Effect) -> Result<Answer, Failure> {
        match effect {
            Effect::MarkNode { node, uid, role, iteration } => mark::mark(rest, node, uid, *role, *iteration).await,
            Effect::SetDeletionCost { pod, uid, cost } => mark::deletion_cost(rest, pod, uid, *cost).await,
            Effect::Scale { workload, uid, from, to } => scale::scale(rest, workload, uid, *from, *to).await,
            Effect::Evict { pod, uid } => evict::evict(rest, pod, uid).await,
            Effect::PatchTemplate { workload, uid, from, to, max_unavailable, requests } => {
                let change = template::Change {
                    from: from.as_ref(),
                    to: to.as_ref(),
                    max_unavailable: max_unavailable.as_ref(),
                    requests,
                };
                template::patch(rest, workload, uid, &change).await
            }
            Effect::ReadAffinity { workload, uid } => template::read(rest, workload, uid).await,
            Effect::ReadNodePods { node } => read::node_pods(rest, node).await,
            Effect::Notice { regarding, reason, note, warning } => {
                self.reporter.report(rest, regarding, reason, note, *warning).await
            }
            Effect::DiscoverPools
            | Effect::ListInstances { .. }
            | Effect::ReadPrices
            | Effect::ReadUsage { .. }
            | Effect::Forecast
            | Effect::Plan { .. }
            | Effect::CreateInstances { .. }
            | Effect::DeleteInstances { .. } => {
                Err(failure(FailureClass::Refused, FailureCode::Internal, "not an effect on the cluster"))
            }
        }
    }
}

/// The race was lost every time.
fn raced() -> Failure {
    failure(FailureClass::Retryable, FailureCode::Throttled, "409 Conflict: the object changes too often")
}
