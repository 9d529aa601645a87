//! Effects under way: what was asked, what came back, what is tried again and when.
//!
//! A phase says what it *wants* every time it runs, derived from the world; the table turns that into
//! at most one request under way per subject. An effect that is tried again keeps its id, so that the
//! outside can tell a repetition from a new wish.

use canary::{Canary, planted};
use journal_schema::effect::{Answer, Effect, EffectId, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an effect is about: two effects on one subject never run at once.
type Subject = (u8, String);

fn subject(effect: &Effect) -> Subject {
    match effect {
        Effect::DiscoverPools => (0, String::new()),
        Effect::ListInstances { .. } => (1, String::new()),
        Effect::ReadPrices => (2, String::new()),
        Effect::ReadUsage { .. } => (3, String::new()),
        Effect::ReadNodePods { node } => (4, node.to_string()),
        Effect::ReadAffinity { workload, .. } => (5, workload.to_string()),
        Effect::Forecast => (6, String::new()),
        Effect::Plan { .. } => (7, String::new()),
        Effect::CreateInstances { pool, names, .. } => {
            (8, format!("{pool} {}", names.first().map_or("", |name| name.as_str())))
        }
        Effect::DeleteInstances { pool, instances, .. } => {
            (9, format!("{pool} {}", instances.first().map_or("", |instance| instance.name.as_str())))
        }
        Effect::MarkNode { node, .. } => (10, node.to_string()),
        Effect::SetDeletionCost { pod, .. } => (11, pod.to_string()),
        Effect::Scale { workload, .. } => (12, workload.to_string()),
        Effect::Evict { pod, .. } => (13, pod.to_string()),
        Effect::PatchTemplate { workload, .. } => (14, workload.to_string()),
        Effect::Notice { regarding, reason, .. } => (15, format!("{reason} {regarding:?}")),
    }
}

/// How an effect stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Status {
    /// Handed to the outside; no answer yet.
    Sent,
    /// Failed for now; sent again at this time.
    Backoff(Timestamp),
    /// Was under way when the process ended; sent again once the world is synced.
    Stale,
    /// Done. An answer that carries data waits here until it is taken.
    Done(Option<Answer>),
    /// Did not happen and will not.
    Refused(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tracked {
    effect: Effect,
    status: Status,
    /// When it was last sent, or when its answer came.
    at: Timestamp,
    /// When it was first asked for.
    first_at: Timestamp,
    attempts: u32,
    last_failure: Option<Failure>,
    /// No phase wants it any more: its outcome is awaited, but it is never sent again.
    abandoned: bool,
}

/// Whether a failure counts as success: never, unless a bug is planted.
fn taken_as_done(class: FailureClass) -> bool {
    match class {
        FailureClass::Retryable => false,
        FailureClass::Unknown => planted(Canary::UnknownIsDone),
        FailureClass::Refused => planted(Canary::RefusedIsDone),
    }
}

impl Tracked {
    /// Whether it changes the world, was sent, and nobody knows that it did not arrive.
    fn may_arrive(&self) -> bool {
        let unknown = match self.status {
            Status::Stale => true,
            Status::Sent | Status::Backoff(_) => {
                self.last_failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Unknown)
            }
            Status::Done(_) | Status::Refused(_) => false,
        };
        unknown && self.effect.mutates()
    }
}

/// How a wish stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Under way, or waiting to be tried again.
    Asked,
    /// Done; the world may not show it yet.
    Done,
    /// It did not happen and will not.
    Refused(Failure),
}

/// The effects under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectTable {
    tracked: BTreeMap<EffectId, Tracked>,
    by_subject: BTreeMap<Subject, EffectId>,
}

/// What the table needs to know of time and limits.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Time of the entry.
    pub now: Timestamp,
    /// How long an effect may go without an answer.
    pub effect: Millis,
    /// First pause before trying again.
    pub retry: Millis,
}

impl EffectTable {
    /// Wants an effect. `next` is its id if it must be asked for now, in which case it is added to `out`.
    pub fn want(&mut self, clock: Clock, effect: Effect, out: &mut Vec<(EffectId, Effect)>, cause: u64) -> Progress {
        let key = subject(&effect);
        if let Some(id) = self.by_subject.get(&key)
            && let Some(tracked) = self.tracked.get_mut(id)
        {
            let same = tracked.effect == effect;
            match &tracked.status {
                Status::Sent => {
                    // Another is wanted now: this one is awaited, and never sent again.
                    tracked.abandoned |= !same;
                    return Progress::Asked;
                }
                Status::Backoff(_) | Status::Stale if same && !tracked.abandoned => {
                    return Progress::Asked;
                }
                Status::Done(_) if same && clock.now.since(tracked.at) < clock.effect => {
                    return Progress::Done;
                }
                Status::Refused(failure) if same => return Progress::Refused(failure.clone()),
                // The wish changed, or what was done did not last: ask anew.
                Status::Backoff(_) | Status::Stale | Status::Done(_) | Status::Refused(_) => {
                    let id = *id;
                    self.tracked.remove(&id);
                }
            }
        }
        let index = u32::try_from(out.len()).unwrap_or(u32::MAX);
        let id = EffectId { cause, index };
        self.by_subject.insert(key, id);
        self.tracked.insert(
            id,
            Tracked {
                effect: effect.clone(),
                status: Status::Sent,
                at: clock.now,
                first_at: clock.now,
                attempts: 1,
                last_failure: None,
                abandoned: false,
            },
        );
        out.push((id, effect));
        Progress::Asked
    }

    /// Takes an outcome. Returns the effect and its answer when it is one that is awaited and it worked.
    pub fn settle(&mut self, clock: Clock, id: EffectId, outcome: &Outcome) -> Option<(Effect, Answer)> {
        let tracked = self.tracked.get_mut(&id)?;
        if !matches!(tracked.status, Status::Sent | Status::Stale | Status::Backoff(_)) {
            return None;
        }
        match outcome {
            Outcome::Answered(answer) => {
                tracked.at = clock.now;
                tracked.status = Status::Done(keeps(answer).then(|| answer.clone()));
                let answered = (tracked.effect.clone(), answer.clone());
                if tracked.abandoned || matches!(tracked.effect, Effect::Notice { .. }) {
                    self.forget_id(id);
                }
                Some(answered)
            }
            Outcome::Failed(failure) => {
                tracked.last_failure = Some(failure.clone());
                if taken_as_done(failure.class) {
                    tracked.at = clock.now;
                    tracked.status = Status::Done(None);
                    return None;
                }
                let again = match failure.class {
                    FailureClass::Retryable => !planted(Canary::RetryableIsRefused),
                    FailureClass::Unknown => !planted(Canary::UnknownIsRefused),
                    FailureClass::Refused => false,
                };
                if tracked.abandoned && tracked.may_arrive() {
                    tracked.status = Status::Stale;
                } else if tracked.abandoned || matches!(tracked.effect, Effect::Notice { .. }) {
                    self.forget_id(id);
                } else if again {
                    tracked.status = Status::Backoff(clock.now.plus(backoff(clock.retry, tracked.attempts)));
                } else {
                    tracked.at = clock.now;
                    tracked.status = Status::Refused(failure.clone());
                }
                None
            }
        }
    }

    /// The effect of this id, if its outcome is awaited.
    pub fn awaited(&self, id: EffectId) -> Option<&Effect> {
        let tracked = self.tracked.get(&id)?;
        matches!(tracked.status, Status::Sent | Status::Stale | Status::Backoff(_)).then_some(&tracked.effect)
    }

    /// Everything that is waited for takes so much longer by the clock.
    pub fn postpone(&mut self, by: Millis) {
        for tracked in self.tracked.values_mut() {
            tracked.at = tracked.at.plus(by);
            tracked.first_at = tracked.first_at.plus(by);
            if let Status::Backoff(until) = &mut tracked.status {
                *until = until.plus(by);
            }
        }
    }

    /// Sends again what is due: after a pause, after an answer that never came, or after a restart.
    pub fn resend(&mut self, clock: Clock) -> Vec<(EffectId, Effect)> {
        let mut due = Vec::new();
        let mut lost = Vec::new();
        for (id, tracked) in &mut self.tracked {
            let is_due = match tracked.status {
                Status::Sent => clock.now.since(tracked.at) >= clock.effect && !planted(Canary::NeverAsksAgain),
                Status::Backoff(until) => until <= clock.now,
                Status::Stale => !tracked.abandoned || clock.now.since(tracked.at) >= clock.effect,
                Status::Done(_) | Status::Refused(_) => false,
            };
            if !is_due {
                continue;
            }
            if tracked.abandoned || matches!(tracked.effect, Effect::Notice { .. }) {
                lost.push(*id);
                continue;
            }
            tracked.status = Status::Sent;
            tracked.at = clock.now;
            tracked.attempts = tracked.attempts.saturating_add(1);
            due.push((*id, tracked.effect.clone()));
        }
        for id in lost {
            self.forget_id(id);
        }
        due
    }

    /// The process ended: nothing that was sent can be counted on.
    pub fn restart(&mut self) {
        if planted(Canary::ForgetsStale) {
            *self = Self::default();
        }
        for tracked in self.tracked.values_mut() {
            if tracked.status == Status::Sent {
                tracked.status = Status::Stale;
            }
        }
    }

    /// No phase wants these any more. What is under way is awaited; what waits to be sent is not sent.
    pub fn abandon(&mut self, unwanted: impl Fn(&Effect) -> bool) {
        let mut gone = Vec::new();
        for (id, tracked) in &mut self.tracked {
            if !unwanted(&tracked.effect) {
                continue;
            }
            match tracked.status {
                // What was sent before a crash, or was never answered, may still arrive.
                Status::Stale | Status::Backoff(_) if tracked.may_arrive() => {
                    tracked.abandoned = true;
                    tracked.status = Status::Stale;
                }
                Status::Sent => tracked.abandoned = true,
                Status::Stale | Status::Backoff(_) | Status::Done(_) | Status::Refused(_) => gone.push(*id),
            }
        }
        for id in gone {
            self.forget_id(id);
        }
    }

    /// Takes the answer of a done effect that carries data, and forgets the effect.
    pub fn take_answer(&mut self, effect: &Effect) -> Option<Answer> {
        let id = *self.by_subject.get(&subject(effect))?;
        let tracked = self.tracked.get_mut(&id)?;
        if tracked.effect != *effect {
            return None;
        }
        let Status::Done(answer) = &mut tracked.status else {
            return None;
        };
        let answer = answer.take();
        self.forget_id(id);
        answer
    }

    /// Forgets a settled effect, so that it may be asked for again.
    pub fn forget(&mut self, effect: &Effect) {
        if let Some(id) = self.by_subject.get(&subject(effect)).copied()
            && self
                .tracked
                .get(&id)
                .is_some_and(|tracked| matches!(tracked.status, Status::Done(_) | Status::Refused(_)))
        {
            self.forget_id(id);
        }
    }

    /// Forgets an effect that is done, so that it may be asked for again; one that was refused stays so.
    pub fn forget_done(&mut self, effect: &Effect) {
        let id = self.by_subject.get(&subject(effect)).copied();
        let done = |id: &EffectId| self.tracked.get(id).is_some_and(|known| matches!(known.status, Status::Done(_)));
        if let Some(id) = id.filter(done) {
            self.forget_id(id);
        }
    }

    /// What was refused is tried again by and by: at once it would be refused again.
    pub fn try_later(&mut self, clock: Clock, effect: &Effect) {
        if let Some(id) = self.by_subject.get(&subject(effect))
            && let Some(tracked) = self.tracked.get_mut(id)
            && tracked.effect == *effect
            && matches!(tracked.status, Status::Refused(_))
        {
            tracked.status = Status::Backoff(clock.now.plus(backoff(clock.retry, tracked.attempts)));
        }
    }

    /// Whether an effect is under way, waits to be tried again, or was done lately.
    pub fn knows(&self, effect: &Effect) -> bool {
        let tracked = self.by_subject.get(&subject(effect)).and_then(|id| self.tracked.get(id));
        tracked.is_some_and(|tracked| tracked.effect == *effect && !matches!(tracked.status, Status::Refused(_)))
    }

    /// Whether no phase wants this effect any more.
    pub fn is_abandoned(&self, id: EffectId) -> bool {
        !planted(Canary::SendsAbandoned) && self.tracked.get(&id).is_none_or(|tracked| tracked.abandoned)
    }

    /// An effect was not sent after all.
    pub fn withdraw(&mut self, id: EffectId) {
        self.forget_id(id);
    }

    fn forget_id(&mut self, id: EffectId) {
        if let Some(tracked) = self.tracked.remove(&id) {
            let key = subject(&tracked.effect);
            if self.by_subject.get(&key) == Some(&id) {
                self.by_subject.remove(&key);
            }
        }
    }

    /// How often an effect was tried and how it failed last, if it is tracked.
    pub fn failure(&self, effect: &Effect) -> Option<(u32, &Failure)> {
        let id = self.by_subject.get(&subject(effect))?;
        let tracked = self.tracked.get(id)?;
        (tracked.effect == *effect).then_some(())?;
        tracked.last_failure.as_ref().map(|failure| (tracked.attempts, failure))
    }

    /// Whether an eviction is being held back by a budget.
    pub fn held_by_budget(&self, effect: &Effect) -> bool {
        self.failure(effect).is_some_and(|(_, failure)| failure.code == FailureCode::DisruptionBudget)
    }

    /// Whether anything that changes the world has been sent and not answered.
    pub fn mutation_under_way(&self) -> bool {
        self.tracked
            .values()
            .any(|tracked| matches!(tracked.status, Status::Sent | Status::Stale) && tracked.effect.mutates())
    }

    /// Effects that are under way or waiting, with their ids: what recovery sends again.
    pub fn in_flight(&self) -> impl Iterator<Item = (EffectId, &Effect)> {
        self.tracked
            .iter()
            .filter(|(_, tracked)| matches!(tracked.status, Status::Sent | Status::Backoff(_) | Status::Stale))
            .map(|(id, tracked)| (*id, &tracked.effect))
    }

    /// How many effects are under way or waiting.
    pub fn in_flight_count(&self) -> usize {
        self.in_flight().count()
    }

    /// When something is due to be sent again.
    pub fn next_due(&self, clock: Clock) -> Option<Timestamp> {
        self.tracked
            .values()
            .filter_map(|tracked| match tracked.status {
                Status::Sent => Some(tracked.at.plus(clock.effect)),
                Status::Backoff(until) => Some(until),
                Status::Stale if tracked.abandoned => Some(tracked.at.plus(clock.effect)),
                Status::Stale => Some(clock.now),
                Status::Done(_) | Status::Refused(_) => None,
            })
            .min()
    }
}

/// Answers that a phase takes later. Others are folded into a view at once.
fn keeps(answer: &Answer) -> bool {
    match answer {
        Answer::NodePods(_) | Answer::Affinity(..) | Answer::Forecasts(_) | Answer::Planned(_) => true,
        Answer::Done | Answer::Pools(_) | Answer::Instances(_) | Answer::Prices(_) | Answer::Usage(_) => false,
    }
}

/// The pause before the next try: doubles from `first` up to ten times itself.
fn backoff(first: Millis, attempts: u32) -> Millis {
    let factor = 1_i64 << attempts.saturating_sub(1).min(4);
    Millis(first.0 * factor.min(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal_schema::text::{Message, Name};

    const CLOCK: Clock = Clock { now: Timestamp(1_000), effect: Millis(60_000), retry: Millis(2_000) };

    fn at(ms: i64) -> Clock {
        Clock { now: Timestamp(ms), ..CLOCK }
    }

    fn read(node: &str) -> Effect {
        Effect::ReadNodePods { node: Name::truncated(node) }
    }

    fn failed(class: FailureClass) -> Outcome {
        Outcome::Failed(Failure { class, code: FailureCode::Unavailable, message: Message::default() })
    }

    #[test]
    fn a_wish_is_asked_once_and_tried_again_under_the_same_id() {
        let mut table = EffectTable::default();
        let mut out = Vec::new();
        assert_eq!(table.want(CLOCK, read("a"), &mut out, 7), Progress::Asked);
        assert_eq!(table.want(CLOCK, read("a"), &mut out, 8), Progress::Asked);
        assert_eq!(out.len(), 1);
        let id = out[0].0;
        assert!(table.settle(at(2_000), id, &failed(FailureClass::Unknown)).is_none());
        assert!(table.resend(at(3_999)).is_empty());
        assert_eq!(table.resend(at(4_000)), vec![(id, read("a"))]);
        assert!(table.resend(at(4_001)).is_empty());
    }

    #[test]
    fn an_answer_that_never_comes_is_asked_for_again() {
        let mut table = EffectTable::default();
        let mut out = Vec::new();
        table.want(CLOCK, read("a"), &mut out, 7);
        assert_eq!(table.next_due(CLOCK), Some(Timestamp(61_000)));
        assert_eq!(table.resend(at(61_000)).len(), 1);
    }

    #[test]
    fn what_was_sent_before_a_crash_is_sent_again_under_the_same_id() {
        let mut table = EffectTable::default();
        let mut out = Vec::new();
        table.want(CLOCK, read("a"), &mut out, 7);
        table.restart();
        assert_eq!(table.resend(at(1_001)), out);
    }

    #[test]
    fn an_abandoned_effect_is_awaited_and_never_sent_again() {
        let mut table = EffectTable::default();
        let mut out = Vec::new();
        table.want(CLOCK, Effect::Evict { pod: Default::default(), uid: Name::default() }, &mut out, 7);
        table.abandon(Effect::mutates);
        assert!(table.mutation_under_way());
        assert!(table.resend(at(61_000)).is_empty());
        assert!(!table.mutation_under_way());
    }

    #[test]
    fn pauses_double_up_to_ten_times_the_first() {
        let pauses: Vec<i64> = (1..8).map(|attempts| backoff(Millis(2_000), attempts).0).collect();
        assert_eq!(pauses, [2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
    }
}
