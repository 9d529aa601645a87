//! The connection: one client per service of the API, all with the same endpoint, sign-in and
//! time-out, and none with retries of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adapter_prices::PriceKind;
use google_cloud_auth::credentials::{
    Builder as DefaultCredentials, Credentials as Signed, anonymous, service_account,
};
use google_cloud_compute_v1::client::{
    InstanceGroupManagers, InstanceTemplates, MachineTypes, RegionInstanceTemplates, ZoneOperations,
};
use google_cloud_gax::retry_policy::NeverRetry;
use journal_schema::cloud::{Pool, PoolId, PoolInstances, PriceBook};
use journal_schema::effect::{Failure, FailureClass, FailureCode, InstanceRef};
use journal_schema::text::{Message, Name};
use tokio::sync::Mutex;

use crate::billing::Billing;
use crate::config::{Config, Credentials};
use crate::container::Container;
use crate::discovery::{Machine, TemplateFacts};
use crate::gate::Gate;
use crate::node_cloud::NodeCloud;
use crate::rest::Rest;

/// The clients could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The key file cannot be read.
    #[error("the service account's key file {path} cannot be read")]
    KeyFile {
        /// Path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key file is not one.
    #[error("{path} is not a service account's key: expected the JSON file that Google Cloud creates")]
    NotAKey {
        /// Path.
        path: String,
    },
    /// No way to sign in was found.
    #[error("no credentials for Google Cloud: set GOOGLE_APPLICATION_CREDENTIALS, or run with Workload Identity")]
    Credentials(#[source] google_cloud_auth::build_errors::Error),
    /// A client cannot be built.
    #[error("the client for Google Cloud cannot be built")]
    Client(#[source] google_cloud_gax::client_builder::Error),
    /// The HTTP client of the container and billing APIs cannot be built.
    #[error("the client for the container and billing APIs cannot be built")]
    Http(#[source] reqwest::Error),
}

/// Google Cloud.
#[derive(Debug)]
pub struct GoogleCloud {
    pub(crate) config: Config,
    /// For what only looks.
    pub(crate) groups: InstanceGroupManagers,
    /// For what changes something: asks the gate.
    pub(crate) changes: InstanceGroupManagers,
    pub(crate) gate: Gate,
    pub(crate) operations: ZoneOperations,
    pub(crate) global_templates: InstanceTemplates,
    pub(crate) regional_templates: RegionInstanceTemplates,
    pub(crate) machine_types: MachineTypes,
    pub(crate) container: Option<Container>,
    pub(crate) billing: Option<Billing>,
    /// Regions in which pools were seen.
    pub(crate) regions: Mutex<BTreeSet<Name>>,
    /// Templates by URL and machine types by zone and name: neither ever changes.
    pub(crate) templates: Mutex<BTreeMap<String, Option<TemplateFacts>>>,
    pub(crate) machines: Mutex<BTreeMap<(String, String), Machine>>,
}

fn sign_in(credentials: &Credentials) -> Result<Signed, ConnectError> {
    match credentials {
        Credentials::Default => DefaultCredentials::default().build().map_err(ConnectError::Credentials),
        Credentials::Anonymous => Ok(anonymous::Builder::new().build()),
        Credentials::KeyFile(path) => {
            let shown = path.display().to_string();
            let text = std::fs::read(path).map_err(|source| ConnectError::KeyFile { path: shown.clone(), source })?;
            let key = serde_json::from_slice(&text).map_err(|_| ConnectError::NotAKey { path: shown })?;
            service_account::Builder::new(key).build().map_err(ConnectError::Credentials)
        }
    }
}

macro_rules! build {
    ($client:ty, $config:expr, $signed:expr) => {{
        let mut builder = <$client>::builder()
            .with_credentials($signed.clone())
            .with_retry_policy(NeverRetry)
            .with_attempt_timeout($config.timeout);
        if let Some(endpoint) = &$config.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        builder.build().await.map_err(ConnectError::Client)?
    }};
}

impl GoogleCloud {
    /// Makes the clients. Nothing is asked of the cloud yet. [`crate::install_crypto`] must have run.
    ///
    /// # Errors
    /// No credentials, or a client that cannot be built.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let signed = sign_in(&config.credentials)?;
        Self::signed(config, signed).await
    }

    /// Asks `permits` before anything is changed, as late as can be: how long may a change that begins now
    /// last? `None` holds it back. The first order counts; without one nothing is held back.
    pub fn hold_back(&self, permits: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
        self.gate.set(permits);
    }

    pub(crate) async fn signed(config: Config, signed: Signed) -> Result<Self, ConnectError> {
        let gate = Gate::default();
        let rest = Rest::new(&config, signed.clone()).map_err(ConnectError::Http)?;
        let container = config.gke.then(|| Container::new(&config, rest.clone()));
        let billing = config.billing.as_ref().map(|billing| Billing::new(billing, rest));
        Ok(Self {
            groups: build!(InstanceGroupManagers, config, signed),
            changes: build!(InstanceGroupManagers, config, gate.before(signed.clone())),
            gate,
            operations: build!(ZoneOperations, config, signed),
            global_templates: build!(InstanceTemplates, config, signed),
            regional_templates: build!(RegionInstanceTemplates, config, signed),
            machine_types: build!(MachineTypes, config, signed),
            container,
            billing,
            regions: Mutex::default(),
            templates: Mutex::new(BTreeMap::new()),
            machines: Mutex::new(BTreeMap::new()),
            config,
        })
    }
}

/// How many groups are asked at once.
pub(crate) const PARALLEL: usize = 8;
/// Pause between looks at an operation.
pub(crate) const OPERATION_POLL: Duration = Duration::from_millis(500);

/// A pool's zone and group: `us-central1-b/gke-demo-pool-1-grp`.
pub(crate) fn zone_and_group(pool: &PoolId) -> Result<(&str, &str), Failure> {
    pool.as_str().split_once('/').filter(|(zone, group)| !zone.is_empty() && !group.is_empty()).ok_or_else(|| Failure {
        class: FailureClass::Refused,
        code: FailureCode::Invalid,
        message: Message::truncated(format!("{pool} is not a pool of Google Cloud: expected zone/group")),
    })
}

impl NodeCloud for GoogleCloud {
    async fn discover(&self) -> Result<Vec<Pool>, Failure> {
        let pools = self.discover_pools().await?;
        self.regions.lock().await.extend(pools.iter().map(|pool| pool.region.clone()));
        Ok(pools)
    }

    async fn list(&self, pools: &[PoolId]) -> Result<Vec<PoolInstances>, Failure> {
        self.list_pools(pools).await
    }

    async fn create(&self, pool: &PoolId, names: &[Name], request_id: &Name) -> Result<(), Failure> {
        self.create_missing(pool, names, request_id).await
    }

    async fn delete(&self, pool: &PoolId, instances: &[InstanceRef], request_id: &Name) -> Result<(), Failure> {
        self.delete_exactly(pool, instances, request_id).await
    }

    async fn prices(&self) -> Result<PriceBook, Failure> {
        let base = &self.config.prices;
        let refreshed = match &self.billing {
            Some(billing) => {
                let wanted: Vec<Name> = self.regions.lock().await.iter().cloned().collect();
                Some(billing.refreshed(base, &wanted).await)
            }
            None => None,
        };
        refreshed.as_ref().unwrap_or(base).book(PriceKind::OnDemand).map_err(|error| Failure {
            class: FailureClass::Refused,
            code: FailureCode::Invalid,
            message: Message::truncated(format!("the price list is too long: {error}")),
        })
    }
}
