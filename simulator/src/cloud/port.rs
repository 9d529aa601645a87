//! The cloud's effects, as the real adapter answers them: for a simulated world that holds a [`Cloud`].
//!
//! An effect that began an operation is answered when the operation is over, or when the caller
//! has waited long enough: ask [`Cloud::settled`].

use std::collections::BTreeMap;

use journal_schema::cloud::{CloudFault, Ended, Instance, PoolId, PoolInstances};
use journal_schema::effect::{Answer, Effect, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::text::{Many, Message, Name};
use journal_schema::units::{Millis, Timestamp};

use super::operation::{CodedError, OperationStatus};
use super::{CallError, Cloud};
use crate::rng::noise;

/// For how long the times of a machine's beginning and end are told.
const TOLD: Millis = Millis::from_minutes(10);

/// What became of an effect so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is over.
    Over(Outcome),
    /// It was accepted as this operation.
    Accepted(Name),
    /// It is no effect of the cloud.
    NotOurs,
}

impl Cloud {
    /// Carries out an effect: reads at once; creations and deletions by an operation. As the real
    /// adapter does, a creation asks only for the names that the group does not have, and a deletion
    /// only for machines whose name and id both match.
    pub fn perform(&mut self, now: Timestamp, effect: &Effect) -> Progress {
        let done = match effect {
            Effect::DiscoverPools => self.groups(now).map(|groups| {
                let pools = groups.into_iter().map(|group| group.pool).collect();
                bounded(pools, Answer::Pools)
            }),
            Effect::ReadPrices => Ok(Outcome::Answered(Answer::Prices(self.prices()))),
            Effect::ListInstances { pools } => pools
                .iter()
                .map(|pool| self.list_with_times(now, pool))
                .collect::<Result<Vec<_>, CallError>>()
                .map(|lists| bounded(lists, Answer::Instances)),
            Effect::CreateInstances { pool, names, request_id } => match self.missing(now, pool, names) {
                Ok(missing) if missing.is_empty() => Ok(Outcome::Answered(Answer::Done)),
                Ok(missing) => match self.create_instances(now, pool, &missing, &derived(request_id, missing.iter())) {
                    Ok(operation) => return Progress::Accepted(operation),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
            Effect::DeleteInstances { pool, instances, request_id } => match self.list_managed(now, pool) {
                Ok(listed) => {
                    let present: Vec<_> = instances
                        .iter()
                        .filter(|wanted| is_present(&listed, &wanted.name, wanted.id))
                        .cloned()
                        .collect();
                    if present.is_empty() {
                        Ok(Outcome::Answered(Answer::Done))
                    } else {
                        match self.delete_instances(
                            now,
                            pool,
                            &present,
                            &derived(request_id, present.iter().map(|wanted| &wanted.name)),
                        ) {
                            Ok(operation) => return Progress::Accepted(operation),
                            Err(error) => Err(error),
                        }
                    }
                }
                Err(error) => Err(error),
            },
            _ => return Progress::NotOurs,
        };
        Progress::Over(done.unwrap_or_else(|error| call_failed(&error)))
    }

    /// The outcome of an accepted effect once its operation is over or cannot be read any more;
    /// `None` while it is under way.
    pub fn settled(&mut self, now: Timestamp, operation: &str) -> Option<Outcome> {
        match self.operation(now, operation) {
            Ok(Some(operation)) if operation.status != OperationStatus::Done => None,
            Ok(Some(operation)) => {
                Some(operation.error.as_ref().map_or(Outcome::Answered(Answer::Done), operation_failed))
            }
            // A forgotten operation is no news: the list is the truth.
            Ok(None) => Some(Outcome::Answered(Answer::Done)),
            Err(_) => None,
        }
    }

    /// A pool's machines, with the times of those that began or ended lately.
    fn list_with_times(&mut self, now: Timestamp, pool: &PoolId) -> Result<PoolInstances, CallError> {
        let mut instances = self.list_managed(now, pool)?;
        let of_pool = || self.lifetimes().iter().filter(|life| life.pool == *pool);
        let recent = |at: &Timestamp| now.since(*at) < TOLD;
        let created: BTreeMap<u64, Timestamp> =
            of_pool().filter(|life| recent(&life.from)).map(|life| (life.id, life.from)).collect();
        let ended: Vec<Ended> = of_pool()
            .filter_map(|life| Some(Ended { name: life.name.clone(), id: life.id, at: life.to.filter(recent)? }))
            .collect();
        for instance in &mut instances {
            instance.created_at = instance.id.and_then(|id| created.get(&id)).copied();
        }
        let (instances, ended) = (Many::new(instances).unwrap_or_default(), Many::new(ended).unwrap_or_default());
        Ok(PoolInstances { pool: pool.clone(), instances, ended })
    }

    fn missing(&mut self, now: Timestamp, pool: &str, names: &[Name]) -> Result<Vec<Name>, CallError> {
        let listed = self.list_managed(now, pool)?;
        Ok(names.iter().filter(|name| !listed.iter().any(|instance| instance.name == **name)).cloned().collect())
    }
}

/// The id of one request of an intent: another set of names is another request, because the cloud
/// answers a repeated id with the first operation whatever is asked.
fn derived<'a>(request_id: &str, names: impl Iterator<Item = &'a Name>) -> String {
    let all: Vec<&str> = names.map(Name::as_str).collect();
    format!("{request_id}/{:016x}", noise(0, &all.join(","), 0))
}

fn is_present(listed: &[Instance], name: &Name, id: Option<u64>) -> bool {
    listed.iter().any(|instance| instance.name == *name && instance.id == id)
}

fn bounded<T>(items: Vec<T>, answer: impl FnOnce(Many<T>) -> Answer) -> Outcome {
    match Many::new(items) {
        Ok(items) => Outcome::Answered(answer(items)),
        Err(error) => failed(FailureClass::Refused, FailureCode::Internal, &error.to_string()),
    }
}

fn failed(class: FailureClass, code: FailureCode, message: &str) -> Outcome {
    Outcome::Failed(Failure { class, code, message: Message::truncated(message) })
}

fn call_failed(error: &CallError) -> Outcome {
    let (class, code) = match error {
        CallError::Throttled => (FailureClass::Retryable, FailureCode::Throttled),
        CallError::Unavailable => (FailureClass::Retryable, FailureCode::Unavailable),
        // The caller cannot tell the two apart: it may have happened.
        CallError::Dropped | CallError::AnswerLost => (FailureClass::Unknown, FailureCode::Unavailable),
        CallError::Forbidden => (FailureClass::Refused, FailureCode::Forbidden),
        CallError::NoPool(_) => (FailureClass::Refused, FailureCode::NotFound),
        CallError::RequestIdReused(_) => (FailureClass::Refused, FailureCode::Precondition),
        CallError::BadNames => (FailureClass::Refused, FailureCode::Invalid),
    };
    failed(class, code, &error.to_string())
}

fn operation_failed(error: &CodedError) -> Outcome {
    let code = match error.code.as_str() {
        "CONDITION_NOT_MET" => FailureCode::Cloud(CloudFault::Config),
        "ZONE_RESOURCE_POOL_EXHAUSTED" | "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS" | "RESOURCE_POOL_EXHAUSTED" => {
            FailureCode::Cloud(CloudFault::Stockout)
        }
        code if code.contains("QUOTA") => FailureCode::Cloud(CloudFault::Quota),
        "IP_SPACE_EXHAUSTED" => FailureCode::Cloud(CloudFault::Addresses),
        // Somebody's creation came first: the list tells whose.
        "RESOURCE_ALREADY_EXISTS" => return failed(FailureClass::Unknown, FailureCode::Precondition, &error.message),
        _ => FailureCode::Cloud(CloudFault::Other),
    };
    failed(FailureClass::Refused, code, &format!("{} {}: {}", error.status, error.code, error.message))
}
