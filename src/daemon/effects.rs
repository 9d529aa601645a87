//! Effects on their way: each to the adapter it is for, a bounded number at once, and each answered
//! with exactly one outcome.

use std::sync::Arc;

use adapter_google_cloud::GoogleCloud;
use adapter_kube::lease::Fence;
use adapter_kube::perform::Performer;
use adapter_prometheus::Prometheus;
use journal_schema::cloud::PriceBook;
use journal_schema::effect::{Answer, Effect, EffectId, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::event::Event;
use journal_schema::text::{Many, Message};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::shared::Shared;

/// Effects under way at once.
const AT_ONCE: usize = 32;

/// Where effects go.
pub(super) struct Places {
    /// The cluster.
    pub cluster: Performer,
    /// What holds mutations back without the lease.
    pub fence: Fence,
    /// The cloud, when one is configured.
    pub cloud: Option<GoogleCloud>,
    /// Prometheus, when one is configured.
    pub usage: Option<Prometheus>,
    /// Prices, when there is no cloud to ask.
    pub prices: PriceBook,
}

/// Carries effects out in the background. Cheap to clone.
#[derive(Clone)]
pub(super) struct Effects {
    runtime: Handle,
    shared: Shared,
    places: Arc<Places>,
    slots: Arc<Semaphore>,
}

impl Effects {
    /// On a runtime, with places to go to.
    pub(super) fn new(runtime: Handle, shared: Shared, places: Places) -> Self {
        Self { runtime, shared, places: Arc::new(places), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins one effect.
    pub(super) fn start(&self, id: EffectId, effect: Effect) {
        self.shared.begin();
        let own = self.clone();
        self.runtime.spawn(async move {
            let outcome = match own.slots.acquire().await {
                Ok(_slot) => own.places.perform(&effect).await,
                Err(_) => failed(FailureClass::Retryable, FailureCode::Internal, "the program is ending"),
            };
            tracing::debug!(%id, effect = effect.name(), answered = matches!(outcome, Outcome::Answered(_)), "effect");
            own.shared.send(Event::Outcome { id, outcome }).await;
            own.shared.end();
        });
    }
}

fn failed(class: FailureClass, code: FailureCode, message: &str) -> Outcome {
    Outcome::Failed(Failure { class, code, message: Message::truncated(message) })
}

impl Places {
    async fn perform(&self, effect: &Effect) -> Outcome {
        match effect {
            Effect::DiscoverPools
            | Effect::ListInstances { .. }
            | Effect::ReadPrices
            | Effect::CreateInstances { .. }
            | Effect::DeleteInstances { .. } => self.in_cloud(effect).await,
            Effect::ReadUsage { end, window, step } => match &self.usage {
                Some(usage) => usage.read_usage(*end, *window, *step).await,
                None => failed(
                    FailureClass::Refused,
                    FailureCode::Unavailable,
                    "no Prometheus is configured (spec.prometheus.url)",
                ),
            },
            Effect::ReadNodePods { .. }
            | Effect::ReadAffinity { .. }
            | Effect::MarkNode { .. }
            | Effect::SetDeletionCost { .. }
            | Effect::Scale { .. }
            | Effect::Evict { .. }
            | Effect::PatchTemplate { .. }
            | Effect::Notice { .. } => self.cluster.perform(effect).await,
            Effect::Forecast | Effect::Plan { .. } => {
                failed(FailureClass::Refused, FailureCode::Internal, "computed by the loop, never sent outside")
            }
        }
    }

    async fn in_cloud(&self, effect: &Effect) -> Outcome {
        if let Some(cloud) = &self.cloud {
            // The fence stands before the cloud, too: a daemon that lost its lease boots and deletes nothing.
            if effect.mutates() && self.fence.margin_for_mutation().is_none() {
                return failed(
                    FailureClass::Refused,
                    FailureCode::NotLeader,
                    "the lease has too little time left, or is not ours",
                );
            }
            return adapter_google_cloud::perform(cloud, effect)
                .await
                .unwrap_or_else(|| failed(FailureClass::Refused, FailureCode::Internal, "not an effect on the cloud"));
        }
        match effect {
            Effect::DiscoverPools => Outcome::Answered(Answer::Pools(Many::default())),
            Effect::ListInstances { .. } => Outcome::Answered(Answer::Instances(Many::default())),
            Effect::ReadPrices => Outcome::Answered(Answer::Prices(self.prices.clone())),
            _ => failed(FailureClass::Refused, FailureCode::Unavailable, "no cloud is configured (spec.cloud.project)"),
        }
    }
}
