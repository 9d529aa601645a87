//! What the operator configures about Google Cloud.

use std::path::PathBuf;
use std::time::Duration;

use adapter_prices::Catalogue;

use crate::billing::BillingConfig;

/// How to sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Application Default Credentials: environment, gcloud's file, or the metadata server
    /// (Workload Identity).
    #[default]
    Default,
    /// A service account's key file.
    KeyFile(PathBuf),
    /// None: for a stand-in on loopback.
    Anonymous,
}

/// Which groups are pools of this cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The GKE cluster's name, as the template's metadata `cluster-name` has it. A group of another
    /// cluster is left out altogether. `None`: every group that carries Kubernetes' node metadata.
    pub cluster: Option<String>,
    /// Group names or base instance names begin with one of these; empty for all. A group that does
    /// not is shown, and refused as not selected.
    pub name_prefixes: Vec<String>,
    /// Labels that a pool's nodes must carry; a group without them is refused as not selected.
    pub labels: Vec<(String, String)>,
}

/// The adapter's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Project id.
    pub project: String,
    /// Zones to look in; empty for every zone of the project.
    pub zones: Vec<String>,
    /// Which groups are ours.
    pub selection: Selection,
    /// How to sign in.
    pub credentials: Credentials,
    /// Compute Engine's endpoint; `None` for Google's.
    pub endpoint: Option<String>,
    /// Whether to ask the container API which pools GKE's autoscaler resizes. Off only for clusters
    /// that are not GKE's: their groups must not be autoscaled by other means than Compute's autoscaler.
    pub gke: bool,
    /// The container API's endpoint; `None` for Google's.
    pub container_endpoint: Option<String>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Longest wait for an operation, whose end is only a hint.
    pub operation_wait: Duration,
    /// Prices that `ReadPrices` answers with.
    pub prices: Catalogue,
    /// Whether these are made newer by what the billing API lists, and how.
    pub billing: Option<BillingConfig>,
}

impl Config {
    /// Google's endpoints, default credentials, every zone, 15 s per call and 10 s per operation.
    pub fn new(project: impl Into<String>, prices: Catalogue) -> Self {
        Self {
            project: project.into(),
            zones: Vec::new(),
            selection: Selection::default(),
            credentials: Credentials::Default,
            endpoint: None,
            gke: true,
            container_endpoint: None,
            timeout: Duration::from_secs(15),
            operation_wait: Duration::from_secs(10),
            prices,
            billing: None,
        }
    }
}
