//! What the daemon's tasks and its loop share: the latest status, the way to the loop, and the wish
//! to stop.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use journal_schema::event::Event;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use super::status::Status;
use crate::exit::Exit;

/// Why the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// In words.
    pub why: String,
}

/// Shared by the loop, the effects, the API and the lease. Cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    news: Sender<Event>,
    status: Mutex<Arc<Status>>,
    stop: Mutex<Option<Stop>>,
    stopped: Notify,
    performing: AtomicUsize,
}

impl Shared {
    /// With the sending side of the loop's channel.
    pub fn new(news: Sender<Event>, status: Status) -> Self {
        Self(Arc::new(Inner {
            news,
            status: Mutex::new(Arc::new(status)),
            stop: Mutex::new(None),
            stopped: Notify::new(),
            performing: AtomicUsize::new(0),
        }))
    }

    /// Hands an event to the loop; waits while the loop is behind. False when the loop is gone.
    pub async fn send(&self, event: Event) -> bool {
        self.0.news.send(event).await.is_ok()
    }

    /// The latest status.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.0.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.0.status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Status::clone(&status);
        change(&mut next);
        *status = Arc::new(next);
    }

    /// Asks everything to end. The first reason counts.
    pub fn stop(&self, exit: Exit, why: impl Into<String>) {
        self.0
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| Stop { exit, why: why.into() });
        self.0.stopped.notify_waiters();
    }

    /// Why everything is asked to end.
    pub fn stopping(&self) -> Option<Stop> {
        self.0.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the wish to stop.
    pub async fn until_stop(&self) {
        loop {
            let notified = self.0.stopped.notified();
            tokio::pin!(notified);
            // Registered before looking, so that a wish in between is not missed.
            notified.as_mut().enable();
            if self.stopping().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// An effect begins.
    pub fn begin(&self) {
        self.0.performing.fetch_add(1, Ordering::SeqCst);
    }

    /// An effect ended and its outcome was handed over.
    pub fn end(&self) {
        self.0.performing.fetch_sub(1, Ordering::SeqCst);
    }

    /// Effects that have begun and not ended.
    pub fn performing(&self) -> usize {
        self.0.performing.load(Ordering::SeqCst)
    }
}
