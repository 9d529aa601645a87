//! Predicting: what will the workloads use?

use journal_schema::effect::{Answer, Effect};
use journal_schema::reason::Reason;
use journal_schema::text::Message;
use journal_schema::units::Timestamp;
use journal_schema::usage::Forecasts;
use serde::{Deserialize, Serialize};

use super::optimizing::Optimizing;
use super::{Ctx, Phase};
use crate::table::Progress;

/// How often usage is asked for before the iteration is given up.
const ATTEMPTS_MAX: u32 = 3;

/// Reading usage and forecasting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicting {
    /// Number of the iteration.
    pub number: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// Usage was read.
    read: bool,
}

impl Predicting {
    pub(crate) fn new(number: u64, started_at: Timestamp) -> Self {
        Self { number, started_at, read: false }
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        if !self.read {
            let predict = &ctx.state.policy.predict;
            // The end stands on a whole step, so that two reads of one minute ask the same.
            let step = predict.step.0.max(1);
            let end = Timestamp(self.started_at.0 / step * step);
            let effect = Effect::ReadUsage { end, window: predict.window, step: predict.step };
            let progress = ctx.want(effect.clone());
            let attempts =
                ctx.state.table.failure(&effect).map(|(attempts, failure)| (attempts, failure.message.clone()));
            match (progress, attempts) {
                (Progress::Done, _) => self.read = true,
                (Progress::Refused(failure), _) => {
                    return self.without_usage(ctx, &effect, failure.message);
                }
                (Progress::Asked, Some((attempts, message))) if attempts >= ATTEMPTS_MAX => {
                    return self.without_usage(ctx, &effect, message);
                }
                (Progress::Asked, _) => return Phase::Predicting(self),
            }
        }
        let effect = Effect::Forecast;
        match ctx.want(effect.clone()) {
            Progress::Done => match ctx.state.table.take_answer(&effect) {
                Some(Answer::Forecasts(forecasts)) => self.go_on(ctx, forecasts),
                Some(_) | None => self.without_usage(ctx, &effect, Message::truncated("the forecast gave no answer")),
            },
            Progress::Refused(failure) => self.without_usage(ctx, &effect, failure.message),
            Progress::Asked => Phase::Predicting(self),
        }
    }

    fn go_on(self, ctx: &mut Ctx<'_>, forecasts: Forecasts) -> Phase {
        ctx.state.forecasts = forecasts;
        // Whatever decides from here on reads the forecasts; the series are in the journal.
        ctx.state.usage = None;
        ctx.state.table.abandon(|effect| matches!(effect, Effect::ReadUsage { .. } | Effect::Forecast));
        Phase::Optimizing(Optimizing::new(self.number, self.started_at))
    }

    fn without_usage(self, ctx: &mut Ctx<'_>, effect: &Effect, message: Message) -> Phase {
        ctx.state.table.forget(effect);
        if ctx.state.policy.predict.without_metrics {
            return self.go_on(ctx, Forecasts::default());
        }
        ctx.state.usage = None;
        ctx.dismiss(self.number, self.started_at, Reason::MetricsMissing { message })
    }
}
