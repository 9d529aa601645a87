//! `kinema run`: the daemon.
//!
//! The loop is synchronous and has the main thread; everything that waits on a network is a task of
//! a runtime beside it. What they say to each other goes through two channels (watches, and the rest)
//! and [`shared::Shared`].
//!
//! The order at the start matters: the journal's lock first (two daemons on one journal are an
//! error), then the API (so that a waiting daemon can be asked), the cluster and its permissions,
//! the lease, and only then the loop.

pub mod api;
mod effects;
mod metrics;
mod outside;
mod reload;
mod rights;
mod settings;
pub mod shared;
pub mod status;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use adapter_google_cloud::{BillingConfig, Config as CloudConfig, Credentials, GoogleCloud};
use adapter_kube::client::{Clients, connect};
use adapter_kube::lease::{Attempt, Elector, Lost};
use adapter_kube::perform::{Performer, Reporter};
use adapter_kube::rights::Enrolled;
use adapter_prices::Catalogue;
use adapter_prometheus::{Config as PrometheusConfig, Prometheus};
use driver::{Driver, Identity};
use journal::{FileJournal, Source};
use journal_schema::effect::FailureCode;
use journal_schema::facts::Key;
use journal_schema::policy::Mode;
use journal_schema::text::Name;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use self::effects::{Effects, Places};
use self::outside::Live;
use self::settings::Settings;
use self::shared::Shared;
use self::status::{JournalStatus, Status, mode_name};
use crate::cli::RunArgs;
use crate::exit::{Exit, Problem};
use crate::output::Streams;
use crate::{cluster_access, journal_command, plan};

/// News that wait for the loop before their senders wait.
const NEWS: usize = 4096;
/// How long tasks may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// `kinema run`
pub fn command(args: &RunArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let settings = Settings::new(args)?;
    streams.say(format!(
        "kinema {} mode {} journal {}",
        env!("CARGO_PKG_VERSION"),
        mode_name(settings.policy.mode),
        settings.journal.display()
    ));
    let catalogue = plan::input::catalogue(settings.prices.as_deref(), outside::now())?;
    for row in catalogue.free_of_charge() {
        tracing::warn!("a price of zero is not believed and left out: {row}");
    }
    let options = journal::Options::default();
    let (journal, opened) =
        FileJournal::open(&settings.journal, options).map_err(|error| journal_command::open_problem(&error))?;
    if opened.tail_cut > 0 {
        streams.insist(format!("The journal's tail was cut: {} bytes that were never acknowledged.", opened.tail_cut));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("kinema")
        .enable_all()
        .build()
        .map_err(|error| Problem::failed("no threads for the daemon").because(&error))?;
    let (news, incoming) = mpsc::channel(NEWS);
    let status = Status {
        build: env!("CARGO_PKG_VERSION").to_owned(),
        mode: mode_name(settings.policy.mode).to_owned(),
        journal: JournalStatus {
            path: settings.journal.display().to_string(),
            id: journal.id().to_string(),
            seq: journal.durable_last().map_or(0, |last| last.seq),
            at: String::new(),
        },
        ..Status::default()
    };
    let missing = settings.missing();
    for reason in &missing {
        tracing::warn!("{}: {}", reason.message, reason.fix.as_deref().unwrap_or_default());
    }
    let shared = Shared::new(news, Status { missing, ..status });
    let daemon = Daemon { settings: Arc::new(settings), runtime, shared };
    let ended = daemon.run(journal, opened.tail_cut, incoming, catalogue, streams);
    daemon.runtime.shutdown_timeout(ENDING);
    ended
}

struct Daemon {
    settings: Arc<Settings>,
    runtime: Runtime,
    shared: Shared,
}

impl Daemon {
    fn run(
        &self,
        journal: FileJournal,
        tail_cut: u64,
        incoming: mpsc::Receiver<journal_schema::event::Event>,
        catalogue: Catalogue,
        streams: &mut Streams,
    ) -> Result<Exit, Problem> {
        let (settings, shared) = (&self.settings, &self.shared);
        let prices = plan::input::book(&catalogue)?;
        self.runtime.block_on(async { self.listen(streams).await })?;
        self.runtime.spawn(signals(shared.clone()));

        let (clients, enrolled) = self.runtime.block_on(async { self.cluster(streams).await })?;
        let cloud = self.runtime.block_on(async { self.cloud(catalogue).await })?;
        let Some((mut elector, epoch)) = self.runtime.block_on(self.elect(&journal, &clients, streams))? else {
            return Ok(self.ended(streams));
        };
        let fence = elector.fence();
        if let Some(cloud) = &cloud {
            let fence = fence.clone();
            cloud.hold_back(move || fence.margin_for_mutation());
        }
        let leading = self.runtime.spawn({
            let shared = shared.clone();
            async move {
                tokio::select! {
                    lost = elector.lead() => shared.stop(Exit::Refused, lost_text(&lost)),
                    () = shared.until_stop() => {}
                }
                elector
            }
        });

        let (watched, watches) = mpsc::channel(NEWS);
        let _watching =
            self.runtime.block_on(async { adapter_kube::watch::watch_all(&clients.watches, &watched, &enrolled) });
        drop(watched);
        self.runtime.spawn(reload::watch(Arc::clone(settings), shared.clone()));

        let live = Live::new(self.runtime.handle().clone(), watches, incoming, shared.clone());
        let identity = Identity {
            epoch,
            build: Name::truncated(env!("CARGO_PKG_VERSION")),
            own_pod: settings.own_pod.clone(),
            // Another window of the schedule may have begun while this process waited for the lease.
            policy: settings.policy_of(&settings.file, outside::now()),
            tail_cut,
            behaviour: engine::BEHAVIOUR,
            checkpoint_every: driver::CHECKPOINT_EVERY,
        };
        let mut driver =
            Driver::start(journal, live, identity, outside::moment()).map_err(|error| self.stopped(&error))?;

        let own = settings
            .own_pod
            .clone()
            .unwrap_or_else(|| Key::new(Name::truncated(&clients.namespace), Name::truncated("kinema")));
        let reporter = Reporter::new(own, settings.identity.clone());
        // Nothing to undo and nothing to do: then nothing can be done, whatever the loop asks.
        let only_looks = settings.policy.mode == Mode::Recommend && driver.state().at_rest();
        let cluster = if only_looks {
            Performer::read_only(clients.requests.clone(), reporter)
        } else {
            Performer::new(clients.requests.clone(), fence.clone(), reporter)
        };
        let usage = settings.prometheus.as_deref().map(prometheus).transpose()?;
        let places = Places { cluster, fence: fence.clone(), cloud, usage, prices };
        driver.outside().set_effects(Effects::new(self.runtime.handle().clone(), shared.clone(), places));
        shared.update(|status| {
            status.ready = true;
            status.leader = true;
            status.lease_holder = None;
        });
        streams.say(format!("Leading in epoch {epoch}."));

        while driver.turn().map_err(|error| self.stopped(&error))? {
            fence.set_head(witness::head(driver.journal()));
        }
        let (journal, _live, _state) = driver.into_parts();
        journal.close().map_err(|error| journal_command::append_problem(&error, &settings.journal))?;
        // Given back only after everything is durable and nothing is under way.
        if let Ok(mut elector) = self.runtime.block_on(leading)
            && let Err(failure) = self.runtime.block_on(elector.release())
        {
            tracing::warn!("the lease could not be given back, it will expire: {}", failure.message);
        }
        Ok(self.ended(streams))
    }

    fn ended(&self, streams: &mut Streams) -> Exit {
        match self.shared.stopping() {
            Some(stop) => {
                streams.insist(format!("Ended: {}.", stop.why));
                stop.exit
            }
            None => Exit::Done,
        }
    }

    /// The loop ended with an error. The lease is kept until it expires: whoever leads next has time
    /// to be looked at.
    fn stopped(&self, error: &driver::DriverError) -> Problem {
        self.shared.stop(Exit::Failed, "an error of the loop");
        let dir = self.settings.journal.display();
        let problem =
            Problem::failed(format!("the daemon stopped; the journal in {dir} is kept and nothing more is done"))
                .because(error);
        match error {
            driver::DriverError::Append(append) => journal_command::append_problem(append, &self.settings.journal),
            driver::DriverError::Fold(_) => problem.fix(format!("kinema journal verify {dir}")),
            driver::DriverError::Step(_) | driver::DriverError::TooManyEffects { .. } => {
                problem.fix(format!("report it with: kinema journal export {dir} --out incident.kjl"))
            }
        }
    }

    async fn listen(&self, streams: &mut Streams) -> Result<(), Problem> {
        let address = &self.settings.listen;
        let (listener, bound) = api::bind(address).await.map_err(|error| {
            Problem::failed(format!("the API cannot listen on {address}"))
                .because(&error)
                .fix("choose another address with --listen or spec.server.listen")
        })?;
        streams.say(format!("Status and commands: http://{bound} (kinema status --server http://{bound})"));
        tokio::spawn(api::serve(listener, self.shared.clone()));
        Ok(())
    }

    async fn cluster(&self, streams: &mut Streams) -> Result<(Clients, Arc<Enrolled>), Problem> {
        let clients = connect(&self.settings.cluster).await.map_err(|error| cluster_access::problem(&error))?;
        streams.say(format!("Cluster {} {}", clients.server, clients.version));
        let enrolled = rights::check(&self.settings, &clients).await?;
        Ok((clients, Arc::new(enrolled)))
    }

    async fn cloud(&self, catalogue: Catalogue) -> Result<Option<GoogleCloud>, Problem> {
        let cloud = &self.settings.cloud;
        let Some(project) = &cloud.project else { return Ok(None) };
        let mut config = CloudConfig::new(project.clone(), catalogue);
        config.zones.clone_from(&cloud.zones);
        config.endpoint.clone_from(&cloud.endpoint);
        config.container_endpoint.clone_from(&cloud.container_endpoint);
        config.gke = cloud.gke;
        config.billing = cloud.refresh_prices.map(|refresh| BillingConfig {
            refresh: Duration::from_millis(refresh.0.0.unsigned_abs()),
            endpoint: cloud.billing_endpoint.clone(),
        });
        config.selection.cluster.clone_from(&cloud.cluster);
        config.selection.name_prefixes.clone_from(&cloud.pools);
        config.credentials = match (&cloud.credentials, &cloud.endpoint) {
            (Some(path), _) => Credentials::KeyFile(path.clone()),
            // A stand-in is not told Google's secrets.
            (None, Some(_)) => Credentials::Anonymous,
            (None, None) => Credentials::Default,
        };
        GoogleCloud::connect(config).await.map(Some).map_err(|error| {
            Problem::new(Exit::Config, "Google Cloud cannot be used")
                .because(&error)
                .fix("see spec.cloud, or leave spec.cloud.project out to only look")
        })
    }

    async fn elect(
        &self,
        journal: &FileJournal,
        clients: &Clients,
        streams: &mut Streams,
    ) -> Result<Option<(Elector, u64)>, Problem> {
        let config = self.settings.lease_config(&journal.id().to_string());
        let mut elector = Elector::new(clients.requests.clone(), config, journal.epoch());
        let mut told = String::new();
        let (shared, namespace) = (self.shared.clone(), &self.settings.lease.namespace);
        let (epoch, mark) = tokio::select! {
            acquired = elector.acquire(|attempt| {
                let text = match attempt {
                    Attempt::HeldBy(holder) => {
                        shared.update(|status| status.lease_holder = Some(holder.clone()));
                        format!("Waiting for the lease: {holder} leads.")
                    }
                    // Only creating it is answered like this.
                    Attempt::Failed(failure) if failure.code == FailureCode::NotFound => {
                        format!("The lease cannot be had: there is no namespace {namespace}; create it, or set spec.lease.namespace")
                    }
                    Attempt::Failed(failure) => format!("The lease cannot be had: {}", failure.message),
                    Attempt::Acquired { .. } | Attempt::Renewed | Attempt::Raced => String::new(),
                };
                if !text.is_empty() && text != told {
                    streams.insist(&text);
                    told = text;
                }
            }) => acquired,
            () = self.shared.until_stop() => return Ok(None),
        };
        if let Some(mark) = mark
            && let Err(problem) = witness::check(journal, &self.settings.journal, &mark, &self.settings.lease)
        {
            // Whoever has the right journal need not wait. The mark stays.
            if let Err(failure) = elector.release().await {
                tracing::warn!("the lease could not be given back, it will expire: {}", failure.message);
            }
            return Err(problem);
        }
        Ok(Some((elector, epoch)))
    }
}

/// The client of Prometheus at `url`. Nothing is asked yet.
pub fn prometheus(url: &str) -> Result<Prometheus, Problem> {
    Prometheus::connect(PrometheusConfig::new(url)).map_err(|error| {
        Problem::new(Exit::Config, format!("Prometheus at {url} cannot be used"))
            .because(&error)
            .fix("give its base URL, for example http://prometheus.monitoring:9090")
    })
}

fn lost_text(lost: &Lost) -> String {
    match lost {
        Lost::TakenBy(holder) => format!("the lease was taken over by {holder}"),
        Lost::NotRenewed(last) => format!("the lease could not be renewed in time: {last}"),
        Lost::Interrupted => "the lease vanished; a new term needs a new start".to_owned(),
    }
}

/// The first signal asks for a clean end, the second one does not ask.
async fn signals(shared: Shared) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be handled");
        return;
    };
    for again in [false, true] {
        let exit = tokio::select! {
            _ = terminate.recv() => Exit::Terminated,
            _ = interrupt.recv() => Exit::Interrupted,
        };
        if again {
            // Crash-only: the journal is made for it.
            std::process::exit(i32::from(exit.code()));
        }
        shared.stop(exit, if exit == Exit::Terminated { "SIGTERM" } else { "SIGINT" });
    }
}
