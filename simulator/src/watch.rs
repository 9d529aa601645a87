//! Watches: the API server's watch cache, which lags behind the truth, and the stream of its
//! changes to the daemon.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// What a replica knows that stands still.
    old: Option<BTreeMap<Kind, BTreeMap<Key, Object>>>,
    /// The kinds whose next list shows nothing.
    empty_next: BTreeSet<Kind>,
    /// The kinds whose list came from there.
    misled: BTreeSet<Kind>,
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

    /// The first kind that the daemon does not follow.
    pub(crate) fn first_unfollowed(&self) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| !self.misled.contains(kind) && self.streams.get(kind).is_none_or(|stream| !stream.followed))
    }

    /// The daemon is gone, or begins anew.
    pub(crate) fn unfollow(&mut self) {
        self.misled.clear();
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
    /// Whether the daemon was told everything that is true now.
    pub(crate) fn told_everything(&self) -> bool {
        let quiet = |stream: &Stream| stream.coming.is_empty();
        let followed = self.watch.first_unfollowed().is_none() && self.watch.misled.is_empty();
        self.connected && self.inbox.is_empty() && followed && self.watch.streams.values().all(quiet)
    }

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
        let Watch { streams, old, misled, empty_next, .. } = &mut self.watch;
        let stream = streams.entry(kind).or_default();
        let mut nothing = BTreeMap::new();
        let known = match old {
            _ if empty_next.remove(&kind) => {
                stream.followed = true;
                &mut nothing
            }
            // It stands still: nothing comes from it until it is current again.
            Some(replica) => {
                misled.insert(kind);
                replica.entry(kind).or_default()
            }
            None => {
                stream.followed = true;
                &mut stream.cache
            }
        };
        self.inbox.push(Event::Watch(WatchEvent::RelistStarted { kind }));
        self.inbox.extend(known.values().map(|object| Event::Watch(WatchEvent::Listed(object.clone()))));
        self.inbox.push(Event::Watch(WatchEvent::RelistFinished { kind }));
    }

    /// The next list of a kind shows nothing.
    pub(crate) fn empty_next_list(&mut self, kind: Kind) {
        self.watch.empty_next.insert(kind);
    }

    /// From now on, and for a while, whoever lists is answered by a replica that stands still.
    pub(crate) fn mislead(&mut self, span: Millis) {
        let known = self.watch.streams.iter().map(|(kind, stream)| (*kind, stream.cache.clone())).collect();
        if self.watch.old.is_none() {
            self.watch.old = Some(known);
            self.after(span, Action::ReplicaCurrent);
        }
    }

    /// The old replica has gone away: who followed it lists again, from one that is current.
    pub(crate) fn replica_current(&mut self) {
        self.watch.old = None;
        for kind in std::mem::take(&mut self.watch.misled) {
            if self.connected {
                self.list_again(kind);
            }
        }
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
            self.list_again(kind);
        }
    }

    /// The daemon hears that its watch is broken, and lists again after a back-off.
    fn list_again(&mut self, kind: Kind) {
        self.inbox.push(Event::Watch(WatchEvent::Interrupted { kind }));
        let session = self.session;
        let span = Millis(self.rng.of("relist").between(800, 1_600));
        self.after(span, Action::Relist { kind, session });
    }

    /// The cache of a kind stands still for a while.
    pub(crate) fn hold_watch(&mut self, kind: Kind, span: Millis) {
        self.watch.hold(kind, self.now.plus(span));
        self.after(span, Action::CacheKind(kind));
    }
}
