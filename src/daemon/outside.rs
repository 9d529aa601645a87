//! The real world as the loop sees it: a channel of news, a clock, and tasks that carry effects out.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use driver::{Moment, Outside, Woken};
use engine::State;
use journal_schema::effect::{Effect, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::units::{Millis, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;

use super::effects::Effects;
use super::shared::Shared;
/// Events taken at once: bounds how long the loop goes without a flush of what matters.
const BATCH: usize = 256;
/// The longest wait without looking up.
const LONGEST: Duration = Duration::from_secs(60);
/// How long effects under way are waited for at the end. Those that take longer are asked about
/// again after the next start: their intents are in the journal.
const LAST_EFFECTS: Duration = Duration::from_secs(8);
/// How often the status follows watch events, which come by the thousand.
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// The real world.
pub(super) struct Live {
    runtime: Handle,
    watches: Receiver<WatchEvent>,
    news: Receiver<Event>,
    shared: Shared,
    effects: Option<Effects>,
    told: Option<Instant>,
}

/// The system's time.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The moment, by the system's clock and by one that nobody sets.
pub(super) fn moment() -> Moment {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let passed = BEGAN.get_or_init(Instant::now).elapsed();
    Moment { wall: now(), steady: Millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)) }
}

impl Live {
    /// With the receiving sides of the channels. Effects are carried out once there is somebody to.
    pub(super) fn new(runtime: Handle, watches: Receiver<WatchEvent>, news: Receiver<Event>, shared: Shared) -> Self {
        Self { runtime, watches, news, shared, effects: None, told: None }
    }

    /// From now on effects are carried out.
    pub(super) fn set_effects(&mut self, effects: Effects) {
        self.effects = Some(effects);
    }

    /// The first event, or nothing when the time is over or the daemon shall stop.
    fn first(&mut self, longest: Duration) -> Option<Event> {
        let Self { runtime, watches, news, shared, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = shared.until_stop() => None,
                Some(event) = news.recv() => Some(event),
                Some(event) = watches.recv() => Some(Event::Watch(event)),
                () = tokio::time::sleep(longest) => None,
            }
        })
    }

    /// Whatever else is there already.
    fn drain(&mut self, events: &mut Vec<Event>) {
        while events.len() < BATCH {
            if let Ok(event) = self.news.try_recv() {
                events.push(event);
            } else if let Ok(event) = self.watches.try_recv() {
                events.push(Event::Watch(event));
            } else {
                break;
            }
        }
    }

    /// The last events: outcomes of what is under way, as far as they come soon. A watch is listed
    /// again after the next start, and an operator asks again.
    fn last_events(&mut self, mut events: Vec<Event>) -> Woken {
        let until = Instant::now() + LAST_EFFECTS;
        while self.shared.performing() > 0 && Instant::now() < until {
            let Self { runtime, news, .. } = self;
            let next = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(50), news.recv()).await });
            events.extend(next.ok().flatten());
        }
        while let Ok(event) = self.news.try_recv() {
            events.push(event);
        }
        events.retain(|event| matches!(event, Event::Outcome { .. }));
        Woken { now: moment(), events, stop: true }
    }
}

impl Outside for Live {
    fn wait(&mut self, longest: Option<Millis>) -> Woken {
        let mut events = Vec::new();
        if self.shared.stopping().is_none() {
            let left = longest.map_or(LONGEST, |span| Duration::from_millis(u64::try_from(span.0).unwrap_or(0)));
            events.extend(self.first(left.min(LONGEST)));
            self.drain(&mut events);
        }
        if self.shared.stopping().is_some() {
            return self.last_events(events);
        }
        Woken { now: moment(), events, stop: false }
    }

    fn perform(&mut self, effects: Vec<(EffectId, Effect)>) {
        let Some(performer) = &self.effects else { return };
        for (id, effect) in effects {
            performer.start(id, effect);
        }
    }

    fn observed(&mut self, entry: &Entry, state: &State) {
        if matches!(entry.event, Event::Watch(_)) && self.told.is_some_and(|told| told.elapsed() < STATUS_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        self.shared.update(|status| status.observe(state));
        if let Event::Outcome { id, outcome: Outcome::Failed(failure) } = &entry.event {
            tracing::warn!(%id, class = ?failure.class, code = ?failure.code, "effect failed: {}", failure.message);
        }
    }
}
