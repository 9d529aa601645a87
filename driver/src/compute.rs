//! Effects that are pure functions of the state: the loop computes them itself, and a replay
//! computes them again and compares.

use engine::State;
use journal_schema::effect::{Answer, Effect, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::text::Message;
use std::thread;

/// As large as a main thread's usually is.
const STACK_BYTES: usize = 8 << 20;

/// Whether an effect is computed from the state rather than carried out.
pub fn is_computed(effect: &Effect) -> bool {
    matches!(effect, Effect::Forecast | Effect::Plan { .. })
}

/// Computes an effect from the state as it is after the entry that records its intent. `None` when
/// the effect is one for the outside.
///
/// A panic of the planner is an answer too: the cluster is left alone, and the journal tells why.
///
/// It is computed on a thread of its own, and the answer is copied: what a plan needs for a moment is
/// several times what it leaves behind, and an allocator gives a thread's memory back once all is free.
pub fn compute(state: &State, effect: &Effect) -> Option<Outcome> {
    if !is_computed(effect) {
        return None;
    }
    let computed = thread::scope(|scope| {
        let thread = thread::Builder::new().name("planner".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, || answer(state, effect)).map(thread::ScopedJoinHandle::join)
    });
    Some(match computed {
        Ok(Ok(Ok(answer))) => Outcome::Answered(answer.clone()),
        Ok(Ok(Err(message))) => refused(&message),
        Ok(Err(panic)) => refused(&format!("the planner panicked: {}", panic_text(&*panic))),
        Err(error) => refused(&format!("no thread for the planner: {error}")),
    })
}

fn answer(state: &State, effect: &Effect) -> Result<Answer, String> {
    match effect {
        Effect::Forecast => {
            let usage = state.usage().ok_or("no usage was read")?;
            Ok(Answer::Forecasts(planner::forecast::forecast(state.cluster(), usage, &state.policy().predict)))
        }
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
