//! Effects that are pure functions of the state: the loop computes them itself, and a replay
//! computes them again and compares.

use canary::{Canary, planted};
use engine::State;
use journal_schema::effect::{Answer, Effect, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::text::Message;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether an effect is computed from the state rather than carried out.
pub fn is_computed(effect: &Effect) -> bool {
    matches!(effect, Effect::Forecast | Effect::Plan { .. })
}

/// Computes an effect from the state as it is after the entry that records its intent. `None` when
/// the effect is one for the outside.
///
/// A panic of the planner is an answer too: the cluster is left alone, and the journal tells why.
pub fn compute(state: &State, effect: &Effect) -> Option<Outcome> {
    if !is_computed(effect) {
        return None;
    }
    let computed = catch_unwind(AssertUnwindSafe(|| answer(state, effect)));
    Some(match computed {
        Ok(Ok(answer)) => Outcome::Answered(answer),
        Ok(Err(message)) => refused(&message),
        Err(panic) => refused(&format!("the planner panicked: {}", panic_text(&*panic))),
    })
}

fn answer(state: &State, effect: &Effect) -> Result<Answer, String> {
    match effect {
        Effect::Forecast => {
            let usage = state.usage().ok_or("no usage was read")?;
            Ok(Answer::Forecasts(planner::forecast::forecast(state.cluster(), usage, &state.policy().predict)))
        }
        Effect::Plan { .. } if planted(Canary::PlansByChance) && canary::by_chance() => Err("no luck".to_owned()),
        Effect::Plan { limits } => {
            let planned = planner::plan(&state.planning_input(), limits).map_err(|error| error.to_string())?;
            Ok(Answer::Planned(Box::new(planned)))
        }
        Effect::DiscoverPools
        | Effect::ListInstances { .. }
        | Effect::ReadPrices
        | Effect::ReadUsage { .. }
        | Effect::ReadNodePods { .. }
        | Effect::ReadAffinity { .. }
        | Effect::CreateInstances { .. }
        | Effect::DeleteInstances { .. }
        | Effect::MarkNode { .. }
        | Effect::SetDeletionCost { .. }
        | Effect::Scale { .. }
        | Effect::Evict { .. }
        | Effect::PatchTemplate { .. }
        | Effect::Notice { .. } => Err(format!("{} is not computed", effect.name())),
    }
}

fn refused(message: &str) -> Outcome {
    Outcome::Failed(Failure {
        class: FailureClass::Refused,
        code: FailureCode::Internal,
        message: Message::truncated(message),
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
