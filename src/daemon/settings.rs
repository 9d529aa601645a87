//! What the daemon runs with: the configuration file, with the command line over it.

use std::path::PathBuf;
use std::time::Duration;

use adapter_kube::client::Target;
use adapter_kube::lease::LeaseConfig;
use journal_schema::facts::Key;
use journal_schema::policy::{Mode, Policy};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

use super::status::ReasonView;
use crate::cli::{ModeArg, RunArgs};
use crate::config::{self, File, file};
use crate::exit::{Exit, Problem};

/// What the daemon runs with.
pub(super) struct Settings {
    /// The configuration file, to be looked at again.
    pub config: Option<PathBuf>,
    /// The policy.
    pub policy: Policy,
    /// The journal's directory.
    pub journal: PathBuf,
    /// The API's address.
    pub listen: String,
    /// Prometheus.
    pub prometheus: Option<String>,
    /// Price file.
    pub prices: Option<PathBuf>,
    /// The cloud.
    pub cloud: file::Cloud,
    /// The cluster.
    pub cluster: Target,
    /// The lease.
    pub lease: file::Lease,
    /// Who this process is.
    pub identity: String,
    /// The pod that it runs in.
    pub own_pod: Option<Key>,
    mode: Option<ModeArg>,
    /// The configuration file as it was read.
    pub file: File,
}

impl Settings {
    /// Takes file and command line together.
    pub(super) fn new(args: &RunArgs) -> Result<Self, Problem> {
        let file = config::load_or_default(args.config.as_deref())?;
        let spec = &file.spec;
        if spec.lease.duration.0.0 < 5_000 {
            return Err(Problem::new(Exit::Config, "spec.lease.duration is shorter than 5s")
                .fix("use at least 5s; 30s is usual"));
        }
        let prices = args.prices.clone().or_else(|| spec.cloud.prices.clone());
        if let Some(refresh) = spec.cloud.refresh_prices {
            if refresh.0.0 < 60_000 {
                return Err(Problem::new(
                    Exit::Config,
                    format!("spec.cloud.refreshPrices is {refresh}: shorter than 1m"),
                )
                .fix("use at least 1m; 12h is usual, as the list changes about once a day"));
            }
            if let Some(file) = &prices {
                return Err(Problem::new(
                    Exit::Config,
                    format!("spec.cloud.refreshPrices would change the prices of the file {}", file.display()),
                )
                .fix("leave out one of the two: the file, or refreshPrices"));
            }
        }
        let prometheus = args.prometheus.clone().or_else(|| spec.prometheus.url.clone());
        let mut cloud = spec.cloud.clone();
        cloud.endpoint = args.compute_endpoint.clone().or(cloud.endpoint);
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let own_pod = env("POD_NAMESPACE")
            .zip(env("POD_NAME"))
            .map(|(namespace, name)| Key::new(Name::truncated(namespace), Name::truncated(name)));
        let mut settings = Self {
            config: args.config.clone(),
            policy: Policy::default(),
            journal: args.journal.clone().unwrap_or_else(|| spec.journal.path.clone()),
            listen: args.listen.clone().unwrap_or_else(|| spec.server.listen.clone()),
            prices,
            cluster: Target { kubeconfig: args.kube.kubeconfig.clone(), context: args.kube.context.clone() },
            lease: spec.lease.clone(),
            identity: args.identity.clone().or_else(|| env("HOSTNAME")).unwrap_or_else(host_name),
            own_pod,
            mode: args.mode,
            file: file.clone(),
            prometheus,
            cloud,
        };
        settings.policy = settings.policy_of(&file, super::outside::now());
        Ok(settings)
    }

    /// The policy of a file at a moment, under this command line. Without Prometheus there is nothing to wait for.
    pub(super) fn policy_of(&self, file: &File, now: Timestamp) -> Policy {
        let mut policy = file.spec.at(now).policy();
        if let Some(mode) = self.mode {
            policy.mode = match mode {
                ModeArg::Recommend => Mode::Recommend,
                ModeArg::Approve => Mode::Approve,
                ModeArg::Auto => Mode::Auto,
            };
        }
        policy.predict.without_metrics |= self.prometheus.is_none();
        policy
    }

    /// What is not configured, and so never done.
    pub(super) fn missing(&self) -> Vec<ReasonView> {
        let reason = |code: &str, message: &str, fix: &str| ReasonView {
            code: code.to_owned(),
            message: message.to_owned(),
            fix: Some(fix.to_owned()),
        };
        let mut missing = Vec::new();
        if self.cloud.project.is_none() {
            missing.push(reason(
                "NoCloud",
                "no machine can be added or removed, and so no plan is made: spec.cloud.project is not set",
                "set it to the Google Cloud project of the cluster; for a proposal without it: kinema plan",
            ));
        }
        if self.prometheus.is_none() {
            missing.push(reason(
                "NoPrometheus",
                "plans are made of requests alone: spec.prometheus.url is not set",
                "set it to the base URL of Prometheus",
            ));
        }
        missing
    }

    /// The lease's names and times. The journal's id is part of the identity: who holds the lock on
    /// that journal knows that its last holder is dead, and need not wait for its lease to expire.
    pub(super) fn lease_config(&self, journal_id: &str) -> LeaseConfig {
        let short = journal_id.get(..8).unwrap_or(journal_id);
        let mut config =
            LeaseConfig::new(&self.lease.namespace, &self.lease.name, format!("{}_{short}", self.identity));
        let duration = Duration::from_millis(u64::try_from(self.lease.duration.0.0).unwrap_or(30_000));
        config.duration = duration;
        config.renew_deadline = duration * 2 / 3;
        config.retry_period = (duration / 7).max(Duration::from_millis(500));
        config.mutation_margin = duration / 6;
        config.trust_own_identity = true;
        config
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname").map_or_else(|_| "kinema".to_owned(), |name| name.trim().to_owned())
}
