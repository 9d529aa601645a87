//! What the stand-in starts from.
//!
//! ```json
//! { "project": "demo", "cluster": "demo", "seed": 7,
//!   "pools": [ { "name": "gke-demo-e2-grp", "baseName": "gke-demo-e2", "zone": "us-central1-b",
//!                "machineType": "e2-standard-4", "instances": 10, "labels": { "team": "a" } } ],
//!   "timings": { "boot": { "least": 1000, "most": 2000 } },
//!   "faults": [ { "kind": { "Stockout": { "free": 0 } }, "machine_type": "n2-standard-8", "until": 60000 } ] }
//! ```
//! Spans are in milliseconds; a fault's `from` and `until` count from the start. Machine types and
//! prices are those of the catalogue.

use std::collections::BTreeMap;

use adapter_prices::{Catalogue, Machine, PriceKind, allocatable};
use journal_schema::cloud::{CapacityType, Pool, PoolRefusal};
use journal_schema::facts::{Labels, Taint};
use journal_schema::text::{Few, Many, Name, Text};
use journal_schema::units::{Bytes, MicroUsdPerHour, Millis, Resources, Timestamp};
use serde::{Deserialize, Serialize};
use simulator::cloud::{Cloud, ExistingName, FaultRule, PoolSetting, Quota, Settings, Timings};

/// Which autoscaler resizes a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Autoscaler {
    /// GKE's cluster autoscaler.
    Gke,
    /// An autoscaler of Compute Engine on the group itself.
    Compute,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioPool {
    /// The group's name.
    pub name: String,
    /// Prefix of machine names; the group's name without `-grp` when absent.
    #[serde(default)]
    pub base_name: Option<String>,
    /// Zone.
    pub zone: String,
    /// Machine type; the catalogue must have it.
    pub machine_type: String,
    /// Spot machines.
    #[serde(default)]
    pub spot: bool,
    /// Machines that run from the start, named `<base name>-<number>`.
    #[serde(default)]
    pub instances: u32,
    /// More machines that run from the start, by name.
    #[serde(default)]
    pub names: Vec<String>,
    /// Labels of its nodes, besides those that GKE sets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Boot disk in GiB.
    #[serde(default = "default_disk")]
    pub disk_gib: i64,
    /// Pods per node.
    #[serde(default = "default_pods")]
    pub max_pods: i64,
    /// Who resizes it, when another does.
    #[serde(default)]
    pub autoscaler: Option<Autoscaler>,
    /// Its update policy is PROACTIVE with SUBSTITUTE.
    #[serde(default)]
    pub proactive: bool,
}

fn default_disk() -> i64 {
    100
}

fn default_pods() -> i64 {
    allocatable::MAX_PODS
}

/// What the parts of a family's machines cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FamilyRates {
    /// Family, for example `e2`.
    pub family: String,
    /// How its articles' descriptions begin, for example `E2 Instance`.
    pub description: String,
    /// An hour of a vCPU, in billionths of a dollar.
    pub core_nanos: i64,
    /// An hour of a GiB, in billionths of a dollar.
    pub gib_nanos: i64,
}

impl FamilyRates {
    fn price(&self, machine: &Machine) -> MicroUsdPerHour {
        let cores = self.core_nanos * machine.cpu.0 / 1000;
        let memory = self.gib_nanos * (machine.memory.0 >> 20) / 1024;
        MicroUsdPerHour((cores + memory + 500) / 1000)
    }
}

/// The whole start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Scenario {
    /// Project id.
    pub project: String,
    /// The GKE cluster's name.
    pub cluster: String,
    /// Seed of every draw.
    pub seed: u64,
    /// Pools.
    pub pools: Vec<ScenarioPool>,
    /// How long things take.
    pub timings: Timings,
    /// What goes wrong; times count from the start.
    pub faults: Vec<FaultRule>,
    /// Quotas.
    pub quotas: Vec<Quota>,
    /// What a creation does with a name that exists.
    pub existing_name: ExistingName,
    /// What the billing API lists; machines of these families cost that, all others what the catalogue says.
    pub rates: Vec<FamilyRates>,
}

/// A scenario that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not a scenario.
    #[error("the scenario cannot be read")]
    Malformed(#[from] serde_json::Error),
    /// A machine type is not known.
    #[error("pool {pool}: the catalogue has no machine type {machine_type}")]
    UnknownMachine {
        /// Pool.
        pool: String,
        /// Machine type.
        machine_type: String,
    },
    /// A text is too long for its place.
    #[error("pool {pool}: a name, label or taint is too long, or there are too many")]
    TooLong {
        /// Pool.
        pool: String,
    },
    /// The prices do not fit into a book.
    #[error("the catalogue has too many prices")]
    Prices,
}

/// A pool with what only the API shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Where it came from.
    pub from: ScenarioPool,
    /// Its machine type.
    pub machine: Machine,
    /// Labels that the template gives to its nodes.
    pub template_labels: Labels,
}

/// What a scenario becomes.
#[derive(Debug)]
pub struct Staged {
    /// The cloud, with its first machines.
    pub cloud: Cloud,
    /// What the billing API lists.
    pub rates: Vec<FamilyRates>,
    /// Pools by id.
    pub shown: BTreeMap<Name, Shown>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// It is none.
    pub fn read(text: &str) -> Result<Self, ScenarioError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Puts the scenario on stage at `now`.
    ///
    /// # Errors
    /// A machine type that the catalogue does not have, or a text that is too long.
    pub fn stage(&self, catalogue: &Catalogue, now: Timestamp) -> Result<Staged, ScenarioError> {
        let mut shown = BTreeMap::new();
        let mut pools = Vec::new();
        for from in &self.pools {
            let unknown =
                || ScenarioError::UnknownMachine { pool: from.name.clone(), machine_type: from.machine_type.clone() };
            let machine = catalogue.machine(&from.machine_type).ok_or_else(unknown)?.clone();
            let too_long = || ScenarioError::TooLong { pool: from.name.clone() };
            let template_labels = from.template_labels(&machine, &self.cluster).ok_or_else(too_long)?;
            let pool = from.pool(&machine, &template_labels).ok_or_else(too_long)?;
            let vcpus = u32::try_from(machine.cpu.0 / 1000).unwrap_or(0);
            shown.insert(pool.id.clone(), Shown { from: from.clone(), machine, template_labels });
            pools.push(PoolSetting { pool, vcpus });
        }
        let settings = Settings {
            seed: self.seed,
            pools,
            timings: self.timings.clone(),
            faults: self.faults.iter().map(|rule| shifted(rule.clone(), now)).collect(),
            quotas: self.quotas.clone(),
            existing_name: self.existing_name,
        };
        let mut book = catalogue.book(PriceKind::OnDemand).map_err(|_| ScenarioError::Prices)?;
        let mut entries = book.entries.into_vec();
        for entry in entries.iter_mut().filter(|entry| entry.capacity_type == CapacityType::OnDemand) {
            let Some(machine) = catalogue.machine(&entry.machine_type) else { continue };
            if let Some(rates) = self.rates.iter().find(|rates| rates.family == machine.family.as_str()) {
                entry.price = rates.price(machine);
            }
        }
        book.entries = Many::new(entries).map_err(|_| ScenarioError::Prices)?;
        let mut cloud = Cloud::new(settings, book, now);
        for (id, pool) in &shown {
            // The pools are those that were just put in.
            let _ = cloud.adopt(now, id, &pool.from.first_names());
        }
        Ok(Staged { cloud, rates: self.rates.clone(), shown })
    }
}

/// A rule whose times counted from `start`.
pub fn shifted(mut rule: FaultRule, start: Timestamp) -> FaultRule {
    rule.from = rule.from.map(|at| start.plus(Millis(at.0)));
    rule.until = rule.until.map(|at| start.plus(Millis(at.0)));
    rule
}

impl ScenarioPool {
    fn base(&self) -> &str {
        self.base_name.as_deref().unwrap_or_else(|| self.name.strip_suffix("-grp").unwrap_or(&self.name))
    }

    fn first_names(&self) -> Vec<Name> {
        let numbered = (0..self.instances).map(|number| format!("{}-{number:04}", self.base()));
        numbered.chain(self.names.iter().cloned()).map(Text::truncated).collect()
    }

    /// The labels that GKE writes into a template.
    fn template_labels(&self, machine: &Machine, cluster: &str) -> Option<Labels> {
        let provisioning = if self.spot { "spot" } else { "standard" };
        let pool_name = self.name.strip_prefix(&format!("gke-{cluster}-")).unwrap_or(&self.name);
        let pool_name = pool_name.strip_suffix("-grp").unwrap_or(pool_name);
        let own = [
            ("cloud.google.com/gke-boot-disk", "pd-balanced".to_owned()),
            ("cloud.google.com/gke-container-runtime", "containerd".to_owned()),
            ("cloud.google.com/gke-cpu-scaling-level", (machine.cpu.0 / 1000).to_string()),
            ("cloud.google.com/gke-max-pods-per-node", self.max_pods.to_string()),
            ("cloud.google.com/gke-memory-gb-scaling-level", (machine.memory.0 >> 30).to_string()),
            ("cloud.google.com/gke-nodepool", pool_name.to_owned()),
            ("cloud.google.com/gke-os-distribution", "cos".to_owned()),
            ("cloud.google.com/gke-provisioning", provisioning.to_owned()),
            ("cloud.google.com/machine-family", machine.family.to_string()),
        ];
        let mut labels = Labels::new();
        for (key, value) in own
            .iter()
            .map(|(key, value)| (*key, value))
            .chain(self.labels.iter().map(|(key, value)| (key.as_str(), value)))
        {
            labels.insert(Name::new(key).ok()?, Name::new(value).ok()?);
        }
        if self.spot {
            labels.insert(Name::truncated("cloud.google.com/gke-spot"), Name::truncated("true"));
        }
        Some(labels)
    }

    fn pool(&self, machine: &Machine, template_labels: &Labels) -> Option<Pool> {
        let region = self.zone.rsplit_once('-').map_or(self.zone.as_str(), |(region, _)| region);
        let mut labels = template_labels.clone();
        let standard = [
            ("beta.kubernetes.io/arch", machine.arch.as_str()),
            ("beta.kubernetes.io/instance-type", &self.machine_type),
            ("beta.kubernetes.io/os", "linux"),
            ("failure-domain.beta.kubernetes.io/region", region),
            ("failure-domain.beta.kubernetes.io/zone", &self.zone),
            ("kubernetes.io/arch", machine.arch.as_str()),
            ("kubernetes.io/os", "linux"),
            ("node.kubernetes.io/instance-type", &self.machine_type),
            ("topology.gke.io/zone", &self.zone),
            ("topology.kubernetes.io/region", region),
            ("topology.kubernetes.io/zone", &self.zone),
        ];
        for (key, value) in standard {
            labels.insert(Name::truncated(key), Name::new(value).ok()?);
        }
        let refusal = match (self.proactive, self.autoscaler) {
            (true, _) => Some(PoolRefusal::ProactiveUpdates),
            (false, Some(_)) => Some(PoolRefusal::Autoscaled),
            (false, None) => None,
        };
        Some(Pool {
            id: Name::new(format!("{}/{}", self.zone, self.name)).ok()?,
            base_name: Name::new(self.base()).ok()?,
            machine_type: Name::new(&self.machine_type).ok()?,
            region: Name::new(region).ok()?,
            zone: Name::new(&self.zone).ok()?,
            capacity_type: if self.spot { CapacityType::Spot } else { CapacityType::OnDemand },
            labels,
            taints: Few::new(self.taints.clone()).ok()?,
            allocatable: living(machine, self.disk_gib, self.max_pods),
            size: 0,
            max_size: None,
            refusal,
        })
    }
}

/// What a living node offers: a whole number of MiB, as kubelets round it.
fn living(machine: &Machine, disk_gib: i64, max_pods: i64) -> Resources {
    let mut offered = allocatable::by_formula(machine, Bytes(disk_gib << 30), max_pods);
    offered.memory = Bytes(offered.memory.0 >> 20 << 20);
    offered
}
