//! Connections to a cluster.
//!
//! Two clients: one for requests, with a read timeout, without which a hung API server would block
//! a read for ever; one for watches, which are silent for long. Both without kube's own retries:
//! those repeat a refused eviction until a budget gives in, behind the journal's back. The one for
//! requests looks at the lease's fence once more when a connection takes what changes something.

use std::path::PathBuf;
use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use journal_schema::effect::FailureCode;
use kube::client::ConfigExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::failure::{Transport, classify, transport};
use crate::gate;

/// How long a request waits for the next byte of its answer.
pub const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Kubeconfig file; otherwise `$KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context; otherwise the file's current one.
    pub context: Option<String>,
}

/// A connected cluster.
#[derive(Clone)]
pub struct Clients {
    /// For requests.
    pub requests: Client,
    /// For watches.
    pub watches: Client,
    /// Address of the API server, for messages.
    pub server: String,
    /// The context's namespace, or the pod's own.
    pub namespace: String,
    /// Version of the API server, for example `v1.36.3`.
    pub version: String,
}

/// Which kind of failure, for exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The configuration must be changed.
    Configuration,
    /// The cluster is not to be reached.
    Unreachable,
    /// The cluster does not permit it.
    Forbidden,
}

/// The cluster could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no configuration.
    #[error(
        "no cluster is configured: no --kubeconfig, no $KUBECONFIG, no ~/.kube/config, and this is not a pod; pass --kubeconfig FILE"
    )]
    NotConfigured,
    /// The kubeconfig cannot be used.
    #[error("{file}: {what}; {fix}")]
    Kubeconfig {
        /// The file, or the variable that names it.
        file: String,
        /// What is wrong.
        what: String,
        /// What helps.
        fix: String,
    },
    /// The pod's service account cannot be used.
    #[error("the pod's service account cannot be used: {what}; mount its token, or pass --kubeconfig FILE")]
    InCluster {
        /// What is wrong.
        what: String,
    },
    /// No answer.
    #[error("{server} does not answer: {what}; check the address, the network and the VPN")]
    Unreachable {
        /// Address.
        server: String,
        /// What happened.
        what: String,
    },
    /// The program that the kubeconfig logs in with is not there.
    #[error(
        "the program that the kubeconfig logs in to {server} with is not installed; install it (users[].user.exec.command, for GKE gke-gcloud-auth-plugin) or put it in the PATH"
    )]
    LoginProgram {
        /// Address.
        server: String,
    },
    /// The credentials are refused, or cannot be had.
    #[error("{server} refuses the credentials: {what}; log in again")]
    Credentials {
        /// Address.
        server: String,
        /// What was answered.
        what: String,
    },
}

impl ConnectError {
    /// Which kind of failure, for the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotConfigured | Self::Kubeconfig { .. } | Self::InCluster { .. } | Self::LoginProgram { .. } => {
                ErrorClass::Configuration
            }
            Self::Unreachable { .. } => ErrorClass::Unreachable,
            Self::Credentials { .. } => ErrorClass::Forbidden,
        }
    }
}

/// Where a kubeconfig comes from.
fn located(target: &Target) -> Result<Option<(String, Kubeconfig)>, ConnectError> {
    if let Some(path) = &target.kubeconfig {
        let file = path.display().to_string();
        return match Kubeconfig::read_from(path) {
            Ok(config) => Ok(Some((file, config))),
            Err(error) => Err(broken(file, &error)),
        };
    }
    match Kubeconfig::from_env() {
        Ok(Some(config)) => return Ok(Some(("$KUBECONFIG".to_owned(), config))),
        Ok(None) => {}
        Err(error) => return Err(broken("$KUBECONFIG".to_owned(), &error)),
    }
    let Some(path) = std::env::home_dir().map(|home| home.join(".kube/config")).filter(|path| path.exists()) else {
        return Ok(None);
    };
    let file = path.display().to_string();
    Kubeconfig::read_from(&path).map(|config| Some((file.clone(), config))).map_err(|error| broken(file, &error))
}

fn broken(file: String, error: &KubeconfigError) -> ConnectError {
    let (what, fix): (String, &str) = match error {
        KubeconfigError::ReadConfig(io, path) => {
            let fix = "check the path given by --kubeconfig or $KUBECONFIG";
            return ConnectError::Kubeconfig {
                file: path.display().to_string(),
                what: format!("it cannot be read: {io}"),
                fix: fix.to_owned(),
            };
        }
        KubeconfigError::Parse(parse) => {
            let place =
                parse.location().map(|at| format!("line {}, column {}: ", at.line(), at.column())).unwrap_or_default();
            let text = parse.without_snippet().to_string();
            (
                format!("{place}not a kubeconfig: {}", text.lines().next().unwrap_or_default()),
                "repair the file, or write it anew with your cloud's command",
            )
        }
        KubeconfigError::CurrentContextNotSet => {
            ("no current context is set".to_owned(), "pass --context NAME, or run `kubectl config use-context NAME`")
        }
        KubeconfigError::LoadContext(name) => {
            (format!("there is no context {name:?}"), "pass --context with one of the file's contexts")
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            (format!("there is no cluster {name:?}, which the context names"), "repair the context's `cluster`")
        }
        KubeconfigError::MissingClusterUrl => {
            ("the cluster has no `server`".to_owned(), "add the API server's address")
        }
        KubeconfigError::ParseClusterUrl(_) => {
            ("the cluster's `server` is not an address".to_owned(), "expected for example https://10.0.0.1:6443")
        }
        other => (other.to_string(), "repair the file, or write it anew with your cloud's command"),
    };
    ConnectError::Kubeconfig { file, what, fix: fix.to_owned() }
}

async fn configured(target: &Target) -> Result<Config, ConnectError> {
    let Some((file, kubeconfig)) = located(target)? else {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Err(ConnectError::NotConfigured);
        }
        return Config::incluster().map_err(|error| ConnectError::InCluster { what: error.to_string() });
    };
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    if let Some(wanted) = target.context.as_ref().filter(|wanted| !contexts.contains(wanted)) {
        let fix = if contexts.is_empty() {
            "the file has none".to_owned()
        } else {
            format!("it has: {}", contexts.join(", "))
        };
        return Err(ConnectError::Kubeconfig { file, what: format!("there is no context {wanted:?}"), fix });
    }
    let options = KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| broken(file, &error))
}

/// Connects, and asks the API server for its version to know that it answers.
///
/// The process must have installed rustls' ring provider before.
pub async fn connect(target: &Target) -> Result<Clients, ConnectError> {
    let mut config = configured(target).await?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let server = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let mut for_requests = config.clone();
    for_requests.read_timeout = Some(READ_TIMEOUT);
    config.read_timeout = None;
    let unusable = |error: kube::Error| {
        if login_program_missing(&error) {
            ConnectError::LoginProgram { server: server.clone() }
        } else {
            ConnectError::Credentials { server: server.clone(), what: causes(&error) }
        }
    };
    // First kube's own, which refuses a proxy that this build cannot go through.
    let watches = Client::try_from(config).map_err(unusable)?;
    let requests = gated(&for_requests).map_err(unusable)?;
    let version = match tokio::time::timeout(READ_TIMEOUT + CONNECT_TIMEOUT, requests.apiserver_version()).await {
        Ok(Ok(version)) => version.git_version,
        Ok(Err(error)) => return Err(unanswered(server, &error)),
        Err(_) => return Err(ConnectError::Unreachable { server, what: "no answer in time".to_owned() }),
    };
    Ok(Clients { requests, watches, server, namespace, version })
}

/// A client whose connections look at the fence.
fn gated(config: &Config) -> kube::Result<Client> {
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    gate::client(config, connector)
}

/// Whether the program that gives the credentials is not there.
fn login_program_missing(error: &kube::Error) -> bool {
    use kube::client::AuthError;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(AuthError::AuthExecStart(io)) = error.downcast_ref::<AuthError>() {
            return io.kind() == std::io::ErrorKind::NotFound;
        }
        next = error.source();
    }
    false
}

fn unanswered(server: String, error: &kube::Error) -> ConnectError {
    if login_program_missing(error) {
        return ConnectError::LoginProgram { server };
    }
    let failure = classify(error, false);
    match (failure.code, error) {
        (FailureCode::Forbidden, _) => ConnectError::Credentials { server, what: failure.message.as_str().to_owned() },
        (_, kube::Error::Api(_)) => ConnectError::Unreachable { server, what: failure.message.as_str().to_owned() },
        _ if transport(error) == Transport::NotSent => ConnectError::Credentials { server, what: causes(error) },
        _ => ConnectError::Unreachable { server, what: causes(error) },
    }
}

/// The innermost cause: what the outer layers say of it ("ServiceError: client error") helps nobody.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
