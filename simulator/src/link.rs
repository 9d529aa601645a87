//! The daemon's connection to the world: what it waits for and what it asks.

use driver::Moment;
use journal_schema::effect::{Effect, EffectId};
use journal_schema::event::Event;
use journal_schema::units::{Millis, Timestamp};

use crate::faults::{FaultKind, RequestFault};
use crate::world::{Action, World};

/// What a wait gave.
#[derive(Debug)]
pub struct News {
    /// The time now.
    pub now: Moment,
    /// What happened.
    pub events: Vec<Event>,
    /// The run's time is up.
    pub over: bool,
}

impl World {
    /// A daemon begins: it lists and watches everything. The first time, the judge begins to count
    /// and faults with a time are set.
    pub fn connect(&mut self) {
        self.session += 1;
        self.connected = true;
        self.inbox.clear();
        self.follow_all();
        if self.daemon_since.is_none() {
            self.daemon_since = Some(self.now);
            let cost = self.cost_per_hour();
            self.judge.begin(self.now, cost);
            self.start_late_workloads();
            for mut rule in self.scenario.cloud_faults.clone() {
                let later = |at: Timestamp| Timestamp(self.now.0 + at.0);
                rule.from = Some(rule.from.map_or(self.now, later));
                rule.until = rule.until.map(later);
                self.cloud.add_fault(rule);
            }
            for (after, kind) in self.faults.timed() {
                self.after(after, Action::Fault(kind));
            }
        }
    }

    /// The daemon dies: requests under way arrive all the same, answers reach nobody.
    pub fn disconnect(&mut self) {
        self.connected = false;
        self.inbox.clear();
        self.watch.unfollow();
        self.judge.forget_unflushed();
    }

    /// What the clocks of the daemon's machine show.
    pub fn daemon_clock(&self) -> Moment {
        Moment { wall: self.now.plus(self.clock_ahead), steady: Millis(self.now.0) }
    }

    /// Lets time pass until there is news for the daemon, this span is over, or the run's time is up.
    pub fn wait_for_news(&mut self, longest: Option<Millis>) -> News {
        let end = self.stop_at.unwrap_or(Timestamp(i64::MAX));
        let until = longest.map_or(end, |span| Timestamp(self.now.0.saturating_add(span.0)).min(end));
        while self.inbox.is_empty() && self.now < until && self.turn(until) {}
        if self.inbox.is_empty() && until < Timestamp(i64::MAX) {
            self.now = self.now.max(until);
        }
        let over = self.now >= end || (self.inbox.is_empty() && until == Timestamp(i64::MAX));
        News { now: self.daemon_clock(), events: std::mem::take(&mut self.inbox), over }
    }

    /// Sends requests.
    pub fn send(&mut self, effects: Vec<(EffectId, Effect)>) {
        let since = self.since_daemon();
        for (id, effect) in effects {
            self.judge.sent(self.now, id, &effect);
            if effect.mutates()
                && let Some(kind) = self.watch.first_unfollowed()
            {
                let text = format!("{} {id} was sent while no watch of {kind:?} was open", effect.name());
                self.judge.violation(self.now, "S3", text);
            }
            let struck = self.faults.strike(&effect, since, self.rng.of("faults"));
            let mut fault = None;
            for kind in struck {
                match kind {
                    FaultKind::Request(request) => fault = Some(request),
                    other => self.after(Millis(0), Action::Struck(other)),
                }
            }
            let mut latency = Millis(self.rng.of("latency").between(2, 25));
            let mut read = None;
            if let Some(RequestFault::Delayed(span)) = fault {
                latency.0 += span.0;
                read = self.version_of(&effect);
            }
            let session = self.session;
            self.after(latency, Action::Arrive { session, id, effect: Box::new(effect), fault, read });
        }
    }
}
