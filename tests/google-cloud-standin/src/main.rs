//! The stand-in as a program: `google-cloud-standin --scenario FILE [--kubeconfig FILE]`.

use std::io::Write as _;
use std::path::PathBuf;

use adapter_prices::Catalogue;
use clap::Parser;
use google_cloud_standin::clock::Clock;
use google_cloud_standin::{Scenario, StandIn, nodes};

/// Serves Google's API over a simulated cloud, and its machines as KWOK nodes.
#[derive(Parser)]
struct Arguments {
    /// What to start from, in JSON.
    #[arg(long)]
    scenario: PathBuf,
    /// Where to listen; port 0 takes a free one, which the first line tells.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The control plane whose Nodes to keep; none when absent.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Prices as CSV; the built-in ones when absent.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// How many times as fast the cloud's time runs.
    #[arg(long, default_value_t = 1)]
    factor: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let scenario = Scenario::read(&std::fs::read_to_string(&arguments.scenario)?)?;
    let clock = Clock::start(arguments.factor);
    let catalogue = match &arguments.prices {
        Some(file) => Catalogue::read_csv(&file.display().to_string(), clock.origin(), &std::fs::read(file)?)?,
        None => Catalogue::built_in()?,
    };
    let stand_in = StandIn::new(clock, &scenario.project, &scenario.cluster, scenario.stage(&catalogue, clock.now())?);
    let listener = tokio::net::TcpListener::bind(&arguments.listen).await?;
    let keeper = match &arguments.kubeconfig {
        Some(file) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(file)?;
            let config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
            let client = kube::Client::try_from(config)?;
            Some(nodes::keep(std::sync::Arc::clone(&stand_in), client, scenario.project.clone()).await?)
        }
        None => None,
    };
    let (address, server) = stand_in.serve(listener)?;
    // The first line tells a script that the first nodes are there and where to call.
    writeln!(std::io::stdout(), "listening on http://{address}")?;
    std::io::stdout().flush()?;
    server.await?;
    if let Some(keeper) = keeper {
        keeper.abort();
    }
    Ok(())
}
