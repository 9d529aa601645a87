//! The cluster as a stream of the journal's watch events.
//!
//! One task per kind: list from a quorum, page by page, then watch from the list's resource
//! version. Objects are projected as they come and dropped. The loop is ours rather than
//! kube's `watcher`, because the journal's words promise more than that one tells: after
//! `Interrupted` a relist follows always, and a short break that loses nothing is no interruption.
//!
//! - A watch that ends, or breaks for a short time, goes on from the last resource version.
//! - A version that is too old (410), an answer that cannot be read, or a break of more than
//!   [`GRACE`] gives `Interrupted`, and then a relist.
//! - A relist that fails begins again with `RelistStarted`.
//! - An update that leaves the fact equal gives no event, so that an idle cluster gives none.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use journal_schema::codec;
use journal_schema::event::WatchEvent;
use journal_schema::facts::{Key, Kind, Object};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::{ListParams, WatchEvent as Raw, WatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::failure::classify;
use crate::project::{Project, meta};
use crate::rights::Enrolled;

/// Objects per page of a list. Pages are the peak of the memory: with 500 each, the lists of 1,000
/// nodes and 10,000 pods took 124 MiB.
const PAGE: u32 = 100;
/// How long the API server keeps one watch open, in seconds. Bookmarks come about every minute.
const WATCH_SECS: u32 = 120;
/// A watch that is silent for longer than it may live is dead.
const IDLE: Duration = Duration::from_secs(WATCH_SECS as u64 + 10);
/// A watch whose answer does not even begin is dead.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
/// A list's page that takes longer is not coming.
const PAGE_LIMIT: Duration = Duration::from_secs(60);
/// How long a watch may be broken before what is known counts as stale.
pub const GRACE: Duration = Duration::from_secs(10);
/// First and longest pause between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Watches every kind of [`Kind::ALL`] until the set is dropped or the receiver is gone. The
/// channel's bound is the only buffer: a slow consumer slows the watches down.
///
/// A namespace that is not enrolled is shown as opted out: nothing can be moved there.
pub fn watch_all(client: &Client, events: &Sender<WatchEvent>, enrolled: &Arc<Enrolled>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for kind in Kind::ALL {
        let (client, events) = (client.clone(), Out { events: events.clone(), enrolled: Arc::clone(enrolled) });
        match kind {
            Kind::Node => tasks.spawn(watch_kind::<Node>(client, events)),
            Kind::Pod => tasks.spawn(watch_kind::<Pod>(client, events)),
            Kind::Namespace => tasks.spawn(watch_kind::<Namespace>(client, events)),
            Kind::Deployment => tasks.spawn(watch_kind::<Deployment>(client, events)),
            Kind::ReplicaSet => tasks.spawn(watch_kind::<ReplicaSet>(client, events)),
            Kind::StatefulSet => tasks.spawn(watch_kind::<StatefulSet>(client, events)),
            Kind::DaemonSet => tasks.spawn(watch_kind::<DaemonSet>(client, events)),
            Kind::PodDisruptionBudget => tasks.spawn(watch_kind::<PodDisruptionBudget>(client, events)),
            Kind::HorizontalPodAutoscaler => tasks.spawn(watch_kind::<HorizontalPodAutoscaler>(client, events)),
            Kind::PersistentVolumeClaim => tasks.spawn(watch_kind::<PersistentVolumeClaim>(client, events)),
            Kind::PersistentVolume => tasks.spawn(watch_kind::<PersistentVolume>(client, events)),
            Kind::CsiNode => tasks.spawn(watch_kind::<CSINode>(client, events)),
        };
    }
    tasks
}

/// The consumer is gone: there is nobody to watch for.
struct Gone;

/// Why a watch could not go on.
enum Broken {
    /// It may go on from the last version.
    Connection,
    /// It may not: only a list tells the truth now.
    Version,
    /// Nobody listens.
    Gone,
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The pauses between attempts, doubling, without chance.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(BACKOFF.0)
    }
    async fn pause(&mut self, at_most: Duration) {
        tokio::time::sleep(self.0.min(at_most)).await;
        self.0 = (self.0 * 2).min(BACKOFF.1);
    }
}

/// Where facts go, and what is known of them beside the object.
struct Out {
    events: Sender<WatchEvent>,
    enrolled: Arc<Enrolled>,
}

/// One kind's watch.
struct Watcher<T> {
    api: Api<T>,
    out: Out,
    /// A hash of every fact that was sent, to hold back updates that change nothing.
    known: HashMap<Key, u64>,
    version: String,
}

/// The projected object; `None` when it cannot even be named, which no API server's object is.
fn fact<T: Project>(object: &T, enrolled: &Enrolled) -> Option<Object> {
    match object.project() {
        Ok(mut projected) => {
            if let Object::Namespace(namespace) = &mut projected.object {
                namespace.excluded |= !enrolled.may_move(&namespace.name);
            }
            for fault in &projected.faults {
                tracing::warn!(kind = T::KIND.as_str(), object = %projected.object.key(), field = %fault.field, "field cannot be read: the object stays where it is");
            }
            Some(projected.object)
        }
        Err(error) => {
            tracing::error!(kind = T::KIND.as_str(), %error, "object without an identity");
            None
        }
    }
}

/// A hash of the fact. Two facts of one object with equal hashes are one in 2^64.
fn hashed(object: &Object) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Ok(bytes) = codec::to_bytes(object) {
        hasher.write(&bytes);
    }
    hasher.finish()
}

async fn watch_kind<T>(client: Client, out: Out)
where
    T: Resource<DynamicType = ()> + Project + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
{
    let watcher = Watcher::<T> { api: Api::all(client), out, known: HashMap::new(), version: String::new() };
    // The only way out is that nobody listens any more.
    let Err(Gone) = watcher.run().await;
}

impl<T> Watcher<T>
where
    T: Resource<DynamicType = ()> + Project + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
{
    async fn send(&self, event: WatchEvent) -> Result<(), Gone> {
        self.out.events.send(event).await.map_err(|_| Gone)
    }

    async fn run(mut self) -> Result<std::convert::Infallible, Gone> {
        loop {
            let mut pauses = Pauses::new();
            while !self.relist().await? {
                pauses.pause(BACKOFF.1).await;
            }
            self.follow().await?;
            self.send(WatchEvent::Interrupted { kind: T::KIND }).await?;
        }
    }

    /// Lists everything. False when the list broke.
    async fn relist(&mut self) -> Result<bool, Gone> {
        self.send(WatchEvent::RelistStarted { kind: T::KIND }).await?;
        self.known.clear();
        let mut continued: Option<String> = None;
        loop {
            let mut parameters = ListParams::default().limit(PAGE);
            if let Some(token) = &continued {
                parameters = parameters.continue_token(token);
            }
            let page = match tokio::time::timeout(PAGE_LIMIT, self.api.list(&parameters)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    self.warn("list", &error);
                    return Ok(false);
                }
                Err(_) => {
                    tracing::warn!(kind = T::KIND.as_str(), "the list did not come in time");
                    return Ok(false);
                }
            };
            let metadata = page.metadata;
            for object in page.items {
                let Some(fact) = fact(&object, &self.out.enrolled) else { continue };
                drop(object);
                self.known.insert(fact.key(), hashed(&fact));
                self.send(WatchEvent::Listed(fact)).await?;
            }
            continued = metadata.continue_.filter(|token| !token.is_empty());
            if continued.is_none() {
                self.version = metadata.resource_version.unwrap_or_default();
                self.send(WatchEvent::RelistFinished { kind: T::KIND }).await?;
                return Ok(true);
            }
        }
    }

    fn warn(&self, what: &'static str, error: &kube::Error) {
        let failure = classify(error, false);
        tracing::warn!(kind = T::KIND.as_str(), what, code = ?failure.code, message = %failure.message, "watching goes wrong");
    }

    /// Watches for as long as nothing is lost.
    async fn follow(&mut self) -> Result<(), Gone> {
        let mut pauses = Pauses::new();
        let mut broken_since: Option<Instant> = None;
        loop {
            let before = self.version.clone();
            match self.one_watch().await {
                Ok(()) => {
                    broken_since = None;
                    pauses = Pauses::new();
                }
                Err(Broken::Gone) => return Err(Gone),
                Err(Broken::Version) => return Ok(()),
                Err(Broken::Connection) => {
                    // News that came in between show that it is not broken for good.
                    if before != self.version {
                        broken_since = None;
                        pauses = Pauses::new();
                    }
                    let since = *broken_since.get_or_insert_with(Instant::now);
                    let left = GRACE.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        return Ok(());
                    }
                    pauses.pause(left).await;
                }
            }
        }
    }

    /// One watch, until it ends as it should.
    async fn one_watch(&mut self) -> Result<(), Broken> {
        let parameters = WatchParams::default().timeout(WATCH_SECS);
        let opened = tokio::time::timeout(OPEN_LIMIT, self.api.watch(&parameters, &self.version)).await;
        let stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.broken(&error)),
            Err(_) => return Err(Broken::Connection),
        };
        let mut stream = std::pin::pin!(stream);
        loop {
            match tokio::time::timeout(IDLE, stream.try_next()).await {
                Ok(Ok(Some(event))) => self.take(event).await?,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(self.broken(&error)),
                Err(_) => return Err(Broken::Connection),
            }
        }
    }

    fn broken(&self, error: &kube::Error) -> Broken {
        self.warn("watch", error);
        match error {
            // An event that cannot be read would be skipped for ever: a list may do without it. (kube
            // takes some of them for a status without a code.)
            kube::Error::SerdeError(_) => Broken::Version,
            kube::Error::Api(status) if matches!(status.code, 0 | 400 | 410) => Broken::Version,
            _ => Broken::Connection,
        }
    }

    async fn take(&mut self, event: Raw<T>) -> Result<(), Broken> {
        let object = match event {
            Raw::Added(object) | Raw::Modified(object) => {
                self.version_of(&object);
                if let Some(fact) = fact(&object, &self.out.enrolled) {
                    drop(object);
                    let hash = hashed(&fact);
                    if self.known.insert(fact.key(), hash) != Some(hash) {
                        self.send(WatchEvent::Applied(fact)).await?;
                    }
                }
                return Ok(());
            }
            Raw::Deleted(object) => object,
            Raw::Bookmark(bookmark) => {
                self.version = bookmark.metadata.resource_version;
                return Ok(());
            }
            Raw::Error(status) => return Err(self.broken(&kube::Error::Api(status))),
        };
        self.version_of(&object);
        let Some(key) = meta::key_of(T::KIND, Project::meta(&object)) else { return Ok(()) };
        self.known.remove(&key);
        self.send(WatchEvent::Deleted { kind: T::KIND, key }).await?;
        Ok(())
    }

    fn version_of(&mut self, object: &T) {
        if let Some(version) = &Project::meta(object).resource_version {
            self.version.clone_from(version);
        }
    }
}
