//! The configuration file's type: what may be written, under which names.
//!
//! Another type than the journal's policy, because a file is for people (camelCase, `15m`, `10%`) and the
//! journal is for ever. Defaults are not repeated here: every section takes those of the policy
//! (see `convert`).

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels::LabelSelector;
use super::scalars::{Count, Cpu, Dollars, Factor, Memory, Percent, Span, Usd};
use super::schedule::Window;

/// A policy: what kinema may do, and where it finds what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// `kinema.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `ReschedulePolicy`
    pub kind: FileKind,
    /// Name of the policy.
    #[serde(default)]
    pub metadata: Metadata,
    /// The policy.
    #[serde(default)]
    pub spec: Spec,
}

impl Default for File {
    fn default() -> Self {
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: FileKind::ReschedulePolicy,
            metadata: Metadata::default(),
            spec: Spec::default(),
        }
    }
}

/// Version of the file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only one.
    #[serde(rename = "kinema.dev/v1alpha1")]
    V1Alpha1,
}

/// Kind of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FileKind {
    /// The only one.
    ReschedulePolicy,
}

/// Metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name.
    pub name: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Self { name: "default".to_owned() }
    }
}

/// How far kinema may go by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Plans are shown; nothing is changed.
    Recommend,
    /// A plan is carried out once an operator named its digest.
    Approve,
    /// A plan that passes the gates is carried out.
    Auto,
}

/// How pods are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Actuation {
    /// One more replica first where the workload allows it, else the Eviction API.
    SurgeThenEvict,
    /// The Eviction API only.
    Evict,
    /// A rolling update of each touched Deployment, with affinity to the optimal nodes.
    RollingUpdate,
}

/// What to do with a workload of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SingleReplica {
    /// Move it by surge; leave it where surge is not possible.
    Surge,
    /// Leave it where it is.
    Skip,
    /// Evict it when surge is not possible.
    Allow,
}

/// What plans are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Objective {
    /// The cheapest machines.
    Cost,
    /// CPU and memory requested in proportion on every node: machines stay, pods change places. Needs
    /// disruption.steering, and another actuation than RollingUpdate.
    Balance,
    /// No node used above optimize.nodeUsage, by forecast usage or else by requests: machines stay, pods of hot
    /// nodes go to cool ones. Needs the same.
    NodeUsage,
    /// No more of a workload in one place than optimize.availability allows: machines stay, pods of workloads above
    /// it go elsewhere. Needs the same.
    Availability,
}

/// What is done with forecast requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RightSizing {
    /// Requests stay as they are.
    Off,
    /// Proposed requests are shown.
    Recommend,
    /// Requests change together with the rolling update.
    WithRollout,
}

/// How a machine is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// Until deleted.
    OnDemand,
    /// May be taken back.
    Spot,
}

/// The policy and the places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spec {
    /// How far kinema may go by itself.
    pub mode: Mode,
    /// Nodes that may be removed.
    pub nodes: Nodes,
    /// When the cluster is quiet enough.
    pub observe: Observe,
    /// Forecast and right-sizing.
    pub predict: Predict,
    /// What the planner may choose from.
    pub optimize: Optimize,
    /// When a plan is worth carrying out.
    pub decide: Decide,
    /// How gently pods are moved.
    pub disruption: Disruption,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// What stops everything.
    pub breakers: Breakers,
    /// Times of the week at which plans are for something else.
    pub schedule: Vec<Window>,
    /// Where machines come from.
    pub cloud: Cloud,
    /// Where usage comes from.
    pub prometheus: Prometheus,
    /// Where everything is written down.
    pub journal: Journal,
    /// The daemon's own API.
    pub server: Server,
    /// The leader's lease.
    pub lease: Lease,
}

/// Which nodes may be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Nodes {
    /// Label selector; empty for every node of a usable pool.
    pub include: LabelSelector,
}

/// When the cluster is quiet enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Observe {
    /// How long a workload must have been settled before its pods are moved.
    pub stable_for: Span,
    /// Above this share of an HPA's target its workload is left alone.
    pub hpa_threshold: Percent,
    /// With more than this share of workloads unsettled, nothing is planned.
    pub max_unsettled: Percent,
    /// Pause between iterations.
    pub cool_down: Span,
    /// A node younger than this stays.
    pub min_node_age: Span,
    /// How often pools, instances and prices are read again.
    pub cloud_refresh: Span,
}

/// Forecast and right-sizing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Predict {
    /// Window of usage that is looked at.
    pub window: Span,
    /// Distance between points.
    pub step: Span,
    /// How far ahead the line is drawn.
    pub horizon: Span,
    /// request := request + adjustFactor x (forecast - request).
    pub adjust_factor: Factor,
    /// Least requests proposed.
    pub min_requests: MinRequests,
    /// A memory request is never proposed below the observed peak plus this share.
    pub memory_margin: Percent,
    /// What is done with the proposals.
    pub right_sizing: RightSizing,
    /// With usage unavailable, plan on requests alone instead of waiting.
    pub without_metrics: bool,
    /// A container of whose usage more steps in a row are missing keeps its requests.
    pub max_gap: u32,
}

/// Least requests proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MinRequests {
    /// CPU.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
}

/// What the planner may choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Optimize {
    /// What plans are for. Pods that wait for a place come first under each.
    pub objective: Objective,
    /// Share of a node's CPU, or of its memory, above which it is hot: under the objective NodeUsage, or where
    /// weights.nodeUsage has a price.
    pub node_usage: Percent,
    /// How much work the planner may do.
    pub limits: Limits,
    /// Price of moving one ordinary pod, in dollars per hour: it is not moved to save less. Some pods are dearer or
    /// cheaper to move; the annotation `kinema.dev/move-cost` says how many ordinary moves one takes (0.1 to 1000).
    pub move_penalty: Dollars,
    /// Machines that may be booted.
    pub machine_types: MachineTypes,
    /// Most nodes the cluster may have during the transition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    /// Most the cluster may cost during the transition, where no commitment covers a new machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_hour: Option<Dollars>,
    /// What machines are reckoned to cost.
    pub pricing: Pricing,
    /// How much of a workload one failure may take. A plan for any objective keeps to it, or to what there is now
    /// where that is more.
    pub availability: Availability,
    /// Under the objective Cost: what else counts, in dollars per hour. The cheapest plan by the sum is taken.
    pub weights: Weights,
}

/// How much of a workload one failure may take: of workloads of two replicas and more, rounded down, never below one
/// pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Availability {
    /// Most of a workload's replicas on one node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_node: Option<Percent>,
    /// Most of a workload's replicas in one zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_zone: Option<Percent>,
}

/// What it is worth to have less of what other objectives are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Weights {
    /// For each node of distance from an even mix of CPU and memory.
    pub balance: Dollars,
    /// For each node that is used above nodeUsage.
    pub node_usage: Dollars,
    /// For each pod beyond the limits of availability.
    pub availability: Dollars,
}

/// What machines are reckoned to cost: list prices, less discounts, and with what comes with a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pricing {
    /// Which price of a machine counts.
    pub basis: PriceBasis,
    /// What the boot disk of a node costs, in dollars per hour: at equal prices fewer nodes are preferred.
    pub boot_disk: Dollars,
    /// What it costs that spot machines are taken back.
    pub spot_interruption: SpotInterruption,
    /// Machines that are paid for whether they run or not.
    pub commitments: Vec<Commitment>,
}

/// Which price of a machine counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PriceBasis {
    /// The list price of an hour.
    List,
    /// That of an hour of a machine that runs all month: on demand, 30 % less for n1 and m1, 20 % for n2, n2d, c2.
    SustainedUse,
}

/// What it costs that spot machines are taken back: as often as expected, times the cost of each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SpotInterruption {
    /// How often a spot machine is expected to be taken back within 30 days.
    #[serde(rename = "per30Days")]
    pub per_thirty_days: Count,
    /// What each time costs, in dollars.
    pub cost_per_interruption: Usd,
}

/// The first so many machines of a type in a region, on demand, cost nothing but their boot disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Commitment {
    /// Machine type.
    pub machine_type: String,
    /// Region.
    pub region: String,
    /// How many.
    pub count: u32,
}

/// How much work the planner may do; counted in steps, so that the same input gives the same plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Steps of the improvement search.
    pub search_steps: u32,
    /// Branch nodes of an exact solve.
    pub mip_nodes: u32,
    /// Threads; does not change the result.
    pub threads: u32,
}

/// Machines that may be booted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MachineTypes {
    /// Machine types as globs; empty for all.
    pub include: Vec<String>,
    /// Ways of paying; empty for all.
    pub capacity_types: Vec<Capacity>,
    /// Zones; empty for all.
    pub zones: Vec<String>,
}

/// When a plan is worth carrying out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Decide {
    /// Least saving, as a share of the present cost. Under the objective Balance, the least share of the imbalance
    /// that a plan takes away; under NodeUsage, of what is used above the limit.
    pub min_savings: Percent,
    /// A plan is dropped when more than this share of the cluster changed since its basis.
    pub max_change: Percent,
    /// A plan's saving over this time must exceed what carrying it out costs.
    pub plan_life: Span,
    /// How long a plan waits for approval.
    pub plan_ttl: Span,
}

/// How gently pods are moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Disruption {
    /// How pods are moved.
    pub actuation: Actuation,
    /// Workloads of one replica.
    pub single_replica: SingleReplica,
    /// Moves under way at once, over the cluster; per workload always one.
    pub max_parallel_moves: u32,
    /// `maxUnavailable` of a rolling update; the workload's own when smaller.
    pub max_unavailable: Percent,
    /// Whether the pods of Jobs may be evicted.
    pub evict_jobs: bool,
    /// Whether a plan may lead the scheduler by a taint kinema.dev/later:PreferNoSchedule on the nodes that are to
    /// take pods at another time. Packings come out tighter; no pod waits for it.
    pub steering: bool,
}

/// How long things may take before the iteration is unwound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Deadlines {
    /// From asking for machines to all of them being ready nodes.
    pub boot: Span,
    /// Labels and taints.
    pub label: Span,
    /// One pod's move.
    pub one_move: Span,
    /// From the last pod's move to the last machine gone.
    pub drain: Span,
    /// An effect without an answer is looked at again after this.
    pub effect: Span,
    /// How often the world is polled while waiting for the cloud.
    pub poll: Span,
    /// How long a node must have been empty before it is deleted.
    pub settle: Span,
    /// First pause before a failed effect is tried again.
    pub retry: Span,
    /// How long an offer that was stocked out is left alone.
    pub stockout: Span,
}

/// What stops everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Breakers {
    /// Freeze when more than this share of nodes is NotReady ...
    pub not_ready_share: Percent,
    /// ... and more than this many.
    pub not_ready_nodes: u32,
    /// Freeze when more than this share of the nodes turned empty within one list of the pods ...
    pub empty_share: Percent,
    /// ... and more than this many.
    pub empty_nodes: u32,
    /// How long that freezes. Pods that vanished by the dozen freeze until an operator resumes.
    pub empty_hold: Span,
    /// Begin nothing while more than this share of the answers of API server and cloud are failures of theirs ...
    pub api_error_share: Percent,
    /// ... among the answers of so long ...
    pub api_error_window: Span,
    /// ... of which there are at least this many.
    pub api_error_answers: u32,
    /// A system clock that is set by more than this makes what was observed worthless: it is observed anew.
    pub clock_step: Span,
    /// Only recommend after this many unwound iterations within an hour.
    pub aborts_per_hour: u32,
    /// Most nodes replaced within a day, as a share of the nodes there are ...
    pub replaced_per_day: Percent,
    /// ... but no fewer than this many.
    pub replaced_nodes: u32,
}

/// Where machines come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cloud {
    /// Google Cloud project; without it nothing is booted or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Zones whose managed instance groups are read; empty for every zone of the project.
    pub zones: Vec<String>,
    /// Name of the GKE cluster; groups of other clusters are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Groups whose name begins with one of these are pools of ours; empty for all.
    pub pools: Vec<String>,
    /// Price file; the built-in prices when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<PathBuf>,
    /// Key file of a service account; Application Default Credentials when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// Whether to ask GKE which pools its autoscaler resizes.
    pub gke: bool,
    /// Base URL of the Compute API, for a stand-in; Google's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Base URL of the container API, for a stand-in; Google's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_endpoint: Option<String>,
    /// How often the built-in prices are made newer by what Cloud Billing lists, for example 12h; never
    /// when absent. The Cloud Billing API must be enabled in the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_prices: Option<Span>,
    /// Base URL of the Cloud Billing API, for a stand-in; Google's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_endpoint: Option<String>,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            project: None,
            zones: Vec::new(),
            cluster: None,
            pools: Vec::new(),
            prices: None,
            credentials: None,
            gke: true,
            endpoint: None,
            container_endpoint: None,
            refresh_prices: None,
            billing_endpoint: None,
        }
    }
}

/// Where usage comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Prometheus {
    /// Base URL, for example `http://prometheus.monitoring:9090`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Where everything is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Journal {
    /// Directory.
    pub path: PathBuf,
}

impl Default for Journal {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/kinema") }
    }
}

/// The daemon's own API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Server {
    /// Address and port. The API has no authentication of its own: keep it on loopback.
    pub listen: String,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned() }
    }
}

/// The leader's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lease {
    /// Namespace, which must exist.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How long it is held without being renewed.
    pub duration: Span,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            namespace: "kinema".to_owned(),
            name: "kinema".to_owned(),
            duration: Span(journal_schema::units::Millis::from_secs(30)),
        }
    }
}
