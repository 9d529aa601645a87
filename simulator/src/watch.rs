//! Watches: the API server's watch cache, which lags behind the truth, and the stream of its
//! changes to the daemon.

use std::collections::{BTreeMap, VecDeque};

use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind, Object};
use journal_schema::units::{Millis, Timestamp};

use crate::world::{Action, World};

/// One kind's cache.
#[derive(Clone, Debug, Default)]
struct Stream {
    /// What the cache knows.
    cache: BTreeMap<Key, Object>,
    /// What it will know, in order.
    coming: VecDeque<(Timestamp, Key, Option<Object>)>,
    /// Nothing comes before this moment: the replica is stale.
    held_until: Timestamp,
    /// The daemon listed and follows.
    followed: bool,
}

/// All caches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    streams: BTreeMap<Kind, Stream>,
    /// Everything is delivered twice.
    pub(crate) duplicates: bool,
}

impl Watch {
    /// A change of the truth, to be known at `due` at the earliest. Order is kept. Returns when it
    /// will be known.
    pub(crate) fn push(&mut self, kind: Kind, key: Key, object: Option<Object>, due: Timestamp) -> Timestamp {
        let stream = self.streams.entry(kind).or_default();
        let last = stream.coming.back().map_or(due, |(last, ..)| *last);
        let due = due.max(last).max(stream.held_until);
        stream.coming.push_back((due, key, object));
        due
    }

    /// The daemon is gone, or begins anew.
    pub(crate) fn unfollow(&mut self) {
        for stream in self.streams.values_mut() {
            stream.followed = false;
        }
    }

    fn interrupt(&mut self, kind: Kind) -> bool {
        self.streams.get_mut(&kind).is_some_and(|stream| std::mem::replace(&mut stream.followed, false))
    }

    /// Holds a kind back. What was coming before comes late.
    fn hold(&mut self, kind: Kind, until: Timestamp) {
        let stream = self.streams.entry(kind).or_default();
        stream.held_until = stream.held_until.max(until);
        for (due, ..) in &mut stream.coming {
            *due = (*due).max(until);
        }
    }
}

impl World {
    /// The cache takes in what is due; a daemon that follows is told.
    pub(crate) fn cache_kind(&mut self, kind: Kind) {
        let now = self.now;
        let duplicates = self.watch.duplicates;
        let Some(stream) = self.watch.streams.get_mut(&kind) else { return };
        while stream.coming.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, key, object)) = stream.coming.pop_front() else { return };
            let event = match object {
                Some(object) => {
                    stream.cache.insert(key, object.clone());
                    WatchEvent::Applied(object)
                }
                None => {
                    stream.cache.remove(&key);
                    WatchEvent::Deleted { kind, key }
                }
            };
            if stream.followed && self.connected {
                if duplicates {
                    self.inbox.push(Event::Watch(event.clone()));
                }
                self.inbox.push(Event::Watch(event));
            }
        }
    }

    /// The daemon lists a kind: it gets what the cache knows, and follows from there.
    pub(crate) fn relist(&mut self, kind: Kind, session: u64) {
        if session != self.session || !self.connected {
            return;
        }
        if self.now < self.api_away_until {
            let span = self.api_away_until.since(self.now);
            self.after(Millis(span.0 + 500), Action::Relist { kind, session });
            return;
        }
        let stream = self.watch.streams.entry(kind).or_default();
        self.inbox.push(Event::Watch(WatchEvent::RelistStarted { kind }));
        self.inbox.extend(stream.cache.values().map(|object| Event::Watch(WatchEvent::Listed(object.clone()))));
        self.inbox.push(Event::Watch(WatchEvent::RelistFinished { kind }));
        stream.followed = true;
    }

    /// The daemon begins to watch everything.
    pub(crate) fn follow_all(&mut self) {
        self.watch.unfollow();
        let session = self.session;
        for kind in Kind::ALL {
            let span = Millis(self.rng.of("relist").between(20, 400));
            self.after(span, Action::Relist { kind, session });
        }
    }

    /// A watch breaks; the daemon lists again after a back-off.
    pub(crate) fn interrupt_watch(&mut self, kind: Kind) {
        if self.watch.interrupt(kind) && self.connected {
            self.inbox.push(Event::Watch(WatchEvent::Interrupted { kind }));
            let session = self.session;
            let span = Millis(self.rng.of("relist").between(800, 1_600));
            self.after(span, Action::Relist { kind, session });
        }
    }

    /// The cache of a kind stands still for a while.
    pub(crate) fn hold_watch(&mut self, kind: Kind, span: Millis) {
        self.watch.hold(kind, self.now.plus(span));
        self.after(span, Action::CacheKind(kind));
    }
}
