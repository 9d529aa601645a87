//! The arguments of every command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::Format;

/// Keeps a Kubernetes cluster on the cheapest machines that run its workloads well.
#[derive(Debug, Parser)]
#[command(name = "kinema", version, propagate_version = true, max_term_width = 96)]
#[command(after_help = "Examples:
  kinema simulate                          an iteration in a simulated world
  kinema plan                              what would be done; changes nothing
  kinema plan --cluster dump.json -o json  the same for what kubectl printed
  kinema run --config policy.yaml          the daemon
  kinema replay capture.kjl --check        does a journal give the same plans?

Exit codes:
  0 done            1 failed             2 there is a difference   3 refused
  4 timed out       5 applied in part    64 usage                  69 unreachable
  78 configuration  130, 143 ended by a signal

Settings: flags over the environment over the configuration file over defaults.
In the environment KINEMA_DECIDE__MIN_SAVINGS=15% is spec.decide.minSavings.")]
pub struct Cli {
    /// No colours (as with NO_COLOR in the environment).
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say nothing but the answer.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more to standard error; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Run(RunArgs),
    /// Show what would be done, and change nothing
    Plan(PlanArgs),
    /// Approve a plan and wait until it is carried out
    Apply(ApplyArgs),
    /// Approve a plan by its digest
    Approve(DigestArgs),
    /// Reject a plan by its digest
    Reject(DigestArgs),
    /// Start nothing new until resumed or until the pause expires
    Pause(PauseArgs),
    /// End a pause
    Resume(ServerArgs),
    /// Unwind the iteration that is under way
    Abort(ServerArgs),
    /// Show what the daemon is doing and what it waits for
    Status(StatusArgs),
    /// Run an iteration in a simulated world, with a crash on the way
    Simulate(SimulateArgs),
    /// Fold a recorded journal again and compare every plan
    Replay(ReplayArgs),
    /// Read, check, repair, export and import journals
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show the version
    Version(OutputArgs),
}

/// `-o`.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Which cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct KubeArgs {
    /// Kubeconfig file (default: KUBECONFIG, ~/.kube/config, or the pod's own account).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// `kinema run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file; see `kinema config print` for every setting and its default.
    #[arg(long, value_name = "FILE", env = "KINEMA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Directory of the journal (over spec.journal.path).
    #[arg(long, value_name = "DIR", env = "KINEMA_JOURNAL")]
    pub journal: Option<PathBuf>,
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Recommend, Approve or Auto (over spec.mode).
    #[arg(long, value_enum)]
    pub mode: Option<ModeArg>,
    /// Address of the status and command API (over spec.server.listen).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Base URL of Prometheus (over spec.prometheus.url).
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// Price file (over spec.cloud.prices).
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Base URL of the Compute API, for a stand-in (over spec.cloud.endpoint).
    #[arg(long, value_name = "URL")]
    pub compute_endpoint: Option<String>,
    /// Name of this process in the leader lease (default: POD_NAME or the host's name).
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,
}

/// The mode, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum ModeArg {
    /// Plans are shown.
    Recommend,
    /// Plans wait for approval.
    Approve,
    /// Plans that pass the gates are carried out.
    Auto,
}

/// How a machine is paid for, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CapacityArg {
    /// Until deleted.
    OnDemand,
    /// May be taken back.
    Spot,
}

/// `kinema plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What `kubectl get nodes,pods,... -A -o json` (or yaml) prints; several times for several files. Without it the cluster of the kubeconfig is read.
    #[arg(long, value_name = "FILE")]
    pub cluster: Vec<PathBuf>,
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Price file: CSV with columns region, machine_type, on_demand_usd_hour, spot_usd_hour, vcpu, memory_gib (default: built-in prices).
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Region of new machines (default: that of the nodes).
    #[arg(long)]
    pub region: Option<String>,
    /// Machine types that may be booted, as globs: "e2-*,n2d-standard-8".
    #[arg(long, value_name = "GLOB,...", value_delimiter = ',')]
    pub machine_types: Vec<String>,
    /// Zones that may be booted in (default: those of the nodes).
    #[arg(long, value_name = "ZONE,...", value_delimiter = ',')]
    pub zones: Vec<String>,
    /// How new machines are paid for (default: on-demand, unless the policy says otherwise).
    #[arg(long, value_enum, value_delimiter = ',')]
    pub capacity_type: Vec<CapacityArg>,
    /// Policy file (the configuration file of the daemon).
    #[arg(long, alias = "config", value_name = "FILE", env = "KINEMA_CONFIG")]
    pub policy: Option<PathBuf>,
    /// Base URL of Prometheus: usage is read from there and requests are proposed.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// The time to plan for (default: the newest time in the files, or now for a live cluster).
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<String>,
    /// Exit with 2 when there is something to do.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Save the plan and its report as JSON.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// List every node and every pod with its reason.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which daemon.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Base URL of the daemon.
    #[arg(long, value_name = "URL", env = "KINEMA_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// `kinema apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Digest of the plan, at least 6 digits (default: the plan that waits for approval).
    #[arg(value_name = "DIGEST")]
    pub digest: Option<String>,
    /// How long to wait, for example 30m.
    #[arg(long, default_value = "1h", value_name = "SPAN")]
    pub timeout: String,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `kinema approve` and `kinema reject`.
#[derive(Debug, Args)]
pub struct DigestArgs {
    /// Digest of the plan, at least 6 digits.
    #[arg(value_name = "DIGEST")]
    pub digest: String,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `kinema pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Why; shown wherever the pause is.
    #[arg(long)]
    pub reason: String,
    /// How long, for example 2h (default: until resumed).
    #[arg(long = "for", value_name = "SPAN")]
    pub span: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `kinema status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kinema simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// A built-in scenario (see --list), or a scenario file (.yaml).
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub scenario: String,
    /// List the built-in scenarios.
    #[arg(long)]
    pub list: bool,
    /// Print a scenario as a file, to begin your own from.
    #[arg(long, value_name = "NAME|FILE")]
    pub print_scenario: Option<String>,
    /// Run what a file of the prover holds, a case that once went wrong, and say what is wrong with it now.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "seed", "crashes", "journal", "flushes"])]
    pub repro: Option<PathBuf>,
    /// Seed of everything random; the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How often the daemon is killed and resumed in the middle.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub crashes: u32,
    /// Keep the journal in this directory (default: a temporary one).
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Tell each time that entries were made durable, and up to which.
    #[arg(long)]
    pub flushes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kinema replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A capture (.kjl) or the directory of a journal.
    #[arg(value_name = "FILE|DIR")]
    pub journal: PathBuf,
    /// Compute every forecast and plan again, compare, and exit with 2 at a difference.
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kinema journal`.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// List entries
    Log(JournalLogArgs),
    /// Show one entry whole
    Show(JournalShowArgs),
    /// Check every byte
    Verify(JournalReadArgs),
    /// Put damaged entries back from the index, or give up a damaged tail
    Repair(JournalRepairArgs),
    /// Write a capture (.kjl) or NDJSON
    Export(JournalExportArgs),
    /// Make a journal from a capture
    Import(JournalImportArgs),
}

/// A journal to read.
#[derive(Debug, Args)]
pub struct JournalReadArgs {
    /// A capture (.kjl) or the directory of a journal.
    #[arg(value_name = "FILE|DIR")]
    pub journal: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kinema journal log`.
#[derive(Debug, Args)]
pub struct JournalLogArgs {
    /// A capture (.kjl) or the directory of a journal.
    #[arg(value_name = "FILE|DIR")]
    pub journal: PathBuf,
    /// First sequence number.
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// Last sequence number.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// Only entries of this kind: DaemonStarted, Watch, Intents, Outcome, Operator ...
    #[arg(long)]
    pub kind: Option<String>,
    /// Only the last N.
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kinema journal show`.
#[derive(Debug, Args)]
pub struct JournalShowArgs {
    /// A capture (.kjl) or the directory of a journal.
    #[arg(value_name = "FILE|DIR")]
    pub journal: PathBuf,
    /// Sequence number.
    #[arg(value_name = "SEQ")]
    pub seq: u64,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kinema journal repair`.
#[derive(Debug, Args)]
pub struct JournalRepairArgs {
    /// Directory of the journal.
    #[arg(value_name = "DIR")]
    pub journal: PathBuf,
    /// Keep the whole entries before the first damage and give up the rest.
    #[arg(long)]
    pub accept_prefix: bool,
}

/// What `kinema journal export` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A capture: the journal's own segments in one file.
    #[default]
    Kjl,
    /// One JSON document per line and entry.
    Ndjson,
}

/// `kinema journal export`.
#[derive(Debug, Args)]
pub struct JournalExportArgs {
    /// Directory of the journal, or a capture.
    #[arg(value_name = "FILE|DIR")]
    pub journal: PathBuf,
    /// Where to; standard output for NDJSON when absent.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What to write.
    #[arg(long, value_enum, default_value_t)]
    pub format: ExportFormat,
    /// First sequence number.
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// Last sequence number.
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
}

/// `kinema journal import`.
#[derive(Debug, Args)]
pub struct JournalImportArgs {
    /// A capture (.kjl).
    #[arg(value_name = "FILE")]
    pub capture: PathBuf,
    /// Directory of the new journal; must not exist.
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
}

/// `kinema config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the effective configuration; defaults are marked
    Print(ConfigPrintArgs),
    /// Check a configuration file
    Validate {
        /// Configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON Schema of the configuration file, or of a scenario file
    Schema {
        /// Which file.
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
}

/// What `kinema config schema` describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The configuration file.
    #[default]
    Policy,
    /// A scenario file.
    Scenario,
}

/// `kinema config print`.
#[derive(Debug, Args)]
pub struct ConfigPrintArgs {
    /// Configuration file (default: all defaults).
    #[arg(long, alias = "policy", value_name = "FILE", env = "KINEMA_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}
