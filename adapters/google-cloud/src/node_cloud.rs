//! The port: what the core asks of any cloud, and how its effects map to it.

use std::future::Future;

use journal_schema::cloud::{Pool, PoolId, PoolInstances, PriceBook};
use journal_schema::effect::{Answer, Effect, Failure, FailureClass, FailureCode, InstanceRef, Outcome};
use journal_schema::text::{List, ListTooLong, Message, Name};

/// A cloud that boots and deletes machines by pool. Every method is idempotent and looks at the
/// world first: the core may ask again after a crash, under the same request id.
pub trait NodeCloud: Send + Sync {
    /// The pools, with templates, sizes and reasons not to use them; sorted by id.
    fn discover(&self) -> impl Future<Output = Result<Vec<Pool>, Failure>> + Send;

    /// The machines of each pool, by name; in the order asked.
    fn list(&self, pools: &[PoolId]) -> impl Future<Output = Result<Vec<PoolInstances>, Failure>> + Send;

    /// Boots machines with these names, as far as they do not exist. `Ok` says that the cloud
    /// accepted it, not that they exist.
    fn create(
        &self,
        pool: &PoolId,
        names: &[Name],
        request_id: &Name,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Deletes exactly these machines; one that is gone or has another id is left alone.
    fn delete(
        &self,
        pool: &PoolId,
        instances: &[InstanceRef],
        request_id: &Name,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Prices.
    fn prices(&self) -> impl Future<Output = Result<PriceBook, Failure>> + Send;
}

/// Carries out an effect of the cloud. `None` when it is none.
pub async fn perform<C: NodeCloud>(cloud: &C, effect: &Effect) -> Option<Outcome> {
    let result = match effect {
        Effect::DiscoverPools => cloud.discover().await.and_then(|pools| bounded(pools).map(Answer::Pools)),
        Effect::ListInstances { pools } => {
            cloud.list(pools).await.and_then(|lists| bounded(lists).map(Answer::Instances))
        }
        Effect::ReadPrices => cloud.prices().await.map(Answer::Prices),
        Effect::CreateInstances { pool, names, request_id } => {
            cloud.create(pool, names, request_id).await.map(|()| Answer::Done)
        }
        Effect::DeleteInstances { pool, instances, request_id } => {
            cloud.delete(pool, instances, request_id).await.map(|()| Answer::Done)
        }
        Effect::ReadUsage { .. }
        | Effect::ReadNodePods { .. }
        | Effect::ReadAffinity { .. }
        | Effect::Forecast
        | Effect::Plan { .. }
        | Effect::MarkNode { .. }
        | Effect::SetDeletionCost { .. }
        | Effect::Scale { .. }
        | Effect::Evict { .. }
        | Effect::PatchTemplate { .. }
        | Effect::Notice { .. } => return None,
    };
    Some(match result {
        Ok(answer) => Outcome::Answered(answer),
        Err(failure) => Outcome::Failed(failure),
    })
}

/// A list within its bound; a longer one is refused rather than cut.
pub(crate) fn bounded<T, const N: usize>(items: Vec<T>) -> Result<List<T, N>, Failure> {
    List::new(items).map_err(|error: ListTooLong| Failure {
        class: FailureClass::Refused,
        code: FailureCode::Internal,
        message: Message::truncated(error.to_string()),
    })
}
