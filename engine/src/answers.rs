//! How API server and cloud have been answering lately.
//!
//! A share of failures over a sliding window, kept in slices of time, so that its size does not depend on how much is
//! asked. Refusals are answers: only what the other side could not do, or did not say, counts as its failure.

use journal_schema::effect::{Effect, FailureCode, Outcome};
use journal_schema::policy::Breakers;
use journal_schema::units::{Millis, Ppm, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Span of a slice.
const SLICE: Millis = Millis::from_secs(10);

/// Answers of the last window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Answers and failures among them, by the number of the slice that they came in.
    slices: BTreeMap<i64, (u32, u32)>,
}

/// Whether API server or cloud were asked; metrics, prices and what is computed are other matters.
fn counts(effect: &Effect) -> bool {
    match effect {
        Effect::Forecast | Effect::Plan { .. } | Effect::ReadUsage { .. } | Effect::ReadPrices => false,
        Effect::DiscoverPools
        | Effect::ListInstances { .. }
        | Effect::ReadNodePods { .. }
        | Effect::ReadAffinity { .. }
        | Effect::CreateInstances { .. }
        | Effect::DeleteInstances { .. }
        | Effect::MarkNode { .. }
        | Effect::SetDeletionCost { .. }
        | Effect::Scale { .. }
        | Effect::Evict { .. }
        | Effect::PatchTemplate { .. }
        | Effect::Notice { .. } => true,
    }
}

/// Whether an outcome is a failure of the other side.
fn failed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answered(_) => false,
        Outcome::Failed(failure) => match failure.code {
            FailureCode::Throttled | FailureCode::Unavailable | FailureCode::Timeout => true,
            FailureCode::DisruptionBudget
            | FailureCode::NotFound
            | FailureCode::Precondition
            | FailureCode::Forbidden
            | FailureCode::Invalid
            | FailureCode::Cloud(_)
            | FailureCode::NotLeader
            | FailureCode::Internal => false,
        },
    }
}

impl Answers {
    /// Takes an outcome, and lets go of what is older than the window.
    pub(crate) fn note(&mut self, now: Timestamp, window: Millis, effect: &Effect, outcome: &Outcome) {
        if !counts(effect) {
            return;
        }
        let (of, failures) = self.slices.entry(slice(now)).or_default();
        *of = of.saturating_add(1);
        *failures = failures.saturating_add(u32::from(failed(outcome)));
        let first = slice(Timestamp(now.0 - window.0));
        self.slices.retain(|number, _| *number >= first);
    }

    /// Failures and answers of the window, if the failures are too many.
    pub(crate) fn failing(&self, now: Timestamp, breakers: &Breakers) -> Option<(u32, u32)> {
        let first = slice(Timestamp(now.0 - breakers.api_error_window.0));
        let recent = self.slices.range(first..).map(|(_, counts)| *counts);
        let (of, failures) = recent.fold((0_u32, 0_u32), |(of, failed), (more, worse)| {
            (of.saturating_add(more), failed.saturating_add(worse))
        });
        let share = Ppm::of(failures.into(), of.into());
        (of >= breakers.api_error_answers && share > breakers.api_error_share).then_some((failures, of))
    }
}

fn slice(at: Timestamp) -> i64 {
    at.0.div_euclid(SLICE.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal_schema::effect::{Answer, Failure, FailureClass};
    use journal_schema::text::{Message, Name};

    fn outcome(code: Option<FailureCode>) -> Outcome {
        match code {
            None => Outcome::Answered(Answer::Done),
            Some(code) => {
                Outcome::Failed(Failure { class: FailureClass::Retryable, code, message: Message::default() })
            }
        }
    }

    fn after(codes: &[(i64, Option<FailureCode>)]) -> Answers {
        let effect = Effect::ReadNodePods { node: Name::truncated("a") };
        let mut answers = Answers::default();
        for (at, code) in codes {
            answers.note(Timestamp(*at), Breakers::default().api_error_window, &effect, &outcome(*code));
        }
        answers
    }

    #[test]
    fn a_third_of_failures_trips_it_and_time_resets_it() {
        let unavailable = Some(FailureCode::Unavailable);
        let mixed: Vec<_> = (0..30).map(|n| (n * 1_000, unavailable.filter(|_| n % 3 != 0))).collect();
        let answers = after(&mixed);
        let breakers = Breakers::default();
        assert_eq!(answers.failing(Timestamp(30_000), &breakers), Some((20, 30)));
        assert_eq!(answers.failing(Timestamp(160_000), &breakers), None, "the window has passed");
        let rare: Vec<_> = (0..30).map(|n| (n * 1_000, unavailable.filter(|_| n % 5 == 0))).collect();
        assert_eq!(after(&rare).failing(Timestamp(30_000), &breakers), None, "a fifth is not enough");
        assert_eq!(after(&mixed[..15]).failing(Timestamp(15_000), &breakers), None, "too few to say");
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let refused: Vec<_> = (0..30)
            .map(|n| (n, Some(if n % 2 == 0 { FailureCode::DisruptionBudget } else { FailureCode::Precondition })))
            .collect();
        assert_eq!(after(&refused).failing(Timestamp(30), &Breakers::default()), None);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let codes: Vec<_> = (0..1_000).map(|n| (n * 7_000, None)).collect();
        assert!(after(&codes).slices.len() <= 14);
    }
}
