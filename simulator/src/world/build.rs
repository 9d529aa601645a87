//! Building a world from a scenario and letting it settle.

use std::collections::BTreeMap;

use journal_schema::cloud::{Pool, PoolRefusal};
use journal_schema::facts::{
    ContainerFact, HpaFact, Key, Labels, NamespaceFact, Object, PdbFact, PodSpecFact, Selector, UpdateStrategy,
    WorkloadFact, WorkloadId, WorkloadKind,
};
use journal_schema::plan::Cluster;
use journal_schema::text::Name;
use journal_schema::units::{Millis, Resources, Timestamp};
use planner::scheduler::Snapshot;

use super::{Action, BEGIN, HpaInner, Inner, NodeInner, Work, WorkloadInner, World};
use crate::affinity;
use crate::api::int_or_percent_json;
use crate::cloud::{Cloud, PoolSetting, Settings};
use crate::controllers::{HPA_SYNC, pool_labels, template_hash};
use crate::faults::Faults;
use crate::judge::Judge;
use crate::machines::{MachineType, REGION, price_book};
use crate::rng::Streams;
use crate::scenario::{HpaSpec, JobSpec, PdbSpec, Scenario, WorkloadSpec};
use crate::text::{list, name};
use crate::watch::Watch;

/// A scenario that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A machine type without a price.
    #[error("machine type {0} is not known here")]
    MachineType(Name),
    /// A workload's affinity is no affinity.
    #[error("affinity of {workload} is wrong")]
    Affinity {
        /// Which workload.
        workload: String,
        /// Why.
        #[source]
        source: affinity::AffinityError,
    },
}

/// Nodes have been there for so long when the world begins.
const NODE_AGE: Millis = Millis::from_minutes(24 * 60);

impl World {
    /// Builds a scenario's world and lets it live until the daemon would start.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn new(scenario: Scenario, seed: u64) -> Result<Self, BuildError> {
        let mut pools = Vec::new();
        for spec in &scenario.pools {
            let machine = MachineType::find(&spec.machine_type)
                .ok_or_else(|| BuildError::MachineType(spec.machine_type.clone()))?;
            let pool = Pool {
                id: spec.id(),
                base_name: name(format!("gke-sim-{}", spec.name)),
                machine_type: spec.machine_type.clone(),
                region: name(REGION),
                zone: spec.zone.clone(),
                capacity_type: spec.capacity_type,
                labels: pool_labels(spec),
                taints: list([]),
                allocatable: machine.allocatable(),
                size: 0,
                max_size: spec.max_size,
                refusal: spec.autoscaled.then_some(PoolRefusal::Autoscaled),
            };
            pools.push(PoolSetting { pool, vcpus: u32::try_from((machine.cpu + 999) / 1000).unwrap_or(0) });
        }
        let prices = price_book(BEGIN);
        let settings = Settings { seed, pools, ..Settings::default() };
        let mut world = Self {
            now: BEGIN,
            queue: BTreeMap::new(),
            order: 0,
            queued: std::collections::BTreeSet::new(),
            rng: Streams::new(seed),
            facts: Cluster::default(),
            inner: Inner::default(),
            snapshot: Snapshot::new(&Cluster::default()),
            watch: Watch::default(),
            cloud: Cloud::new(settings, prices.clone(), BEGIN),
            cloud_due: None,
            prices,
            faults: Faults::new(&scenario.faults),
            judge: Judge::default(),
            scenario: scenario.clone(),
            session: 0,
            connected: false,
            inbox: Vec::new(),
            daemon_since: None,
            api_away_until: Timestamp(0),
            metrics_away_until: Timestamp(0),
            clock_ahead: Millis(0),
            usage_gaps: 0,
            stop_at: None,
            next_uid: 0,
        };
        world.populate(&scenario)?;
        world.run_for(scenario.warm_up);
        Ok(world)
    }

    fn populate(&mut self, scenario: &Scenario) -> Result<(), BuildError> {
        let excluded = |namespace: &Name| scenario.excluded_namespaces.contains(namespace);
        let mut namespaces: Vec<Name> = [name("default"), name("kube-system")].into();
        namespaces.extend(scenario.workloads.iter().chain(&scenario.late).map(|spec| spec.namespace.clone()));
        namespaces.sort();
        namespaces.dedup();
        for namespace in namespaces {
            let labels: Labels = [(name("kubernetes.io/metadata.name"), namespace.clone())].into();
            let excluded = excluded(&namespace);
            self.put_object(Object::Namespace(NamespaceFact { name: namespace, labels, excluded }));
        }
        self.adopt_machines(scenario);
        for spec in &scenario.workloads {
            let replicas = spec.replicas_before.unwrap_or(spec.replicas);
            self.create_workload(spec, replicas)?;
        }
        for spec in &scenario.pdbs {
            self.create_pdb(spec);
        }
        for job in &scenario.jobs {
            self.create_job(job);
        }
        // Long enough for everything to run, then the scale-down that leaves the holes.
        self.run_for(Millis::from_minutes(5));
        for spec in scenario.workloads.iter().filter(|spec| spec.replicas_before.is_some()) {
            let id = id_of(spec);
            self.scale_by_others(&id, spec.replicas);
        }
        for spec in &scenario.hpas {
            self.create_hpa(spec);
        }
        Ok(())
    }

    /// The machines that are there from the beginning, joined and ready.
    fn adopt_machines(&mut self, scenario: &Scenario) {
        for spec in &scenario.pools {
            let names: Vec<Name> = (0..spec.initial)
                .map(|_| name(format!("gke-sim-{}-{}", spec.name, self.rng.of("names").suffix(4))))
                .collect();
            let adopted = self.cloud.adopt(self.now, &spec.id(), &names).unwrap_or_default();
            let allocatable = MachineType::find(&spec.machine_type).map(MachineType::allocatable).unwrap_or_default();
            for instance in adopted {
                let Some(id) = instance.id else { continue };
                self.node_joins(&spec.id(), &instance.name, id, allocatable.clone(), false);
                let uid = self.facts.nodes.get(&instance.name).map(|node| node.uid.clone()).unwrap_or_default();
                self.node_ready(&instance.name, &uid);
                let created = Timestamp(BEGIN.0 - NODE_AGE.0);
                self.update_node(&instance.name, |node| {
                    node.created_at = created;
                    node.ready_changed_at = Some(created);
                });
                self.inner.nodes.insert(instance.name.clone(), NodeInner { instance_id: id, crashed: false });
            }
        }
        self.take_cloud_changes();
    }

    pub(crate) fn create_workload(&mut self, spec: &WorkloadSpec, replicas: i32) -> Result<(), BuildError> {
        let id = id_of(spec);
        let labels: Labels = [(name("app"), spec.name.clone())].into();
        let container = ContainerFact {
            name: name("main"),
            cpu_request: Some(spec.cpu),
            memory_request: Some(spec.memory),
            cpu_limit: None,
            memory_limit: None,
        };
        let mut template = PodSpecFact {
            requests: Resources { cpu: spec.cpu, memory: spec.memory, pods: 1, ..Resources::default() },
            containers: list([container]),
            node_selector: spec.node_selector.clone(),
            spread: list(spec.spread.clone()),
            tolerations: list(spec.tolerations.clone()),
            grace_secs: spec.grace_secs,
            priority: spec.priority,
            ..PodSpecFact::default()
        };
        affinity::apply(&mut template, spec.affinity.as_deref())
            .map_err(|source| BuildError::Affinity { workload: id.to_string(), source })?;
        let max_unavailable = match spec.strategy {
            UpdateStrategy::RollingUpdate { max_unavailable, .. } => Some(int_or_percent_json(max_unavailable)),
            UpdateStrategy::Recreate | UpdateStrategy::OnDelete => None,
        };
        let fact = WorkloadFact {
            strategy: spec.strategy,
            selector: Selector { labels: labels.clone(), expressions: list([]) },
            template_labels: labels.into(),
            template: template.into(),
            claim_templates: list(spec.volume.then(|| name("data"))),
            ..WorkloadFact::new(id.clone(), self.uid(), replicas, self.now)
        };
        let inner = WorkloadInner {
            behaviour: spec.behaviour,
            affinity: spec.affinity.clone(),
            max_unavailable,
            hash: template_hash(&fact),
            revision: 1,
            noted: (0, 0),
            progress_at: self.now,
            gitops: None,
            replicas_by_daemon: false,
        };
        self.add_workload(fact, inner);
        Ok(())
    }

    /// The workloads that come with the daemon's start.
    pub(crate) fn start_late_workloads(&mut self) {
        for spec in self.scenario.late.clone() {
            // Their affinity was read when the scenario was made, if they have one.
            if self.create_workload(&spec, spec.replicas).is_err() {
                continue;
            }
        }
    }

    pub(crate) fn create_pdb(&mut self, spec: &PdbSpec) {
        let labels: Labels = [(name("app"), spec.app.clone())].into();
        let key = Key::new(spec.namespace.clone(), spec.name.clone());
        let fact = PdbFact {
            key: key.clone(),
            uid: self.uid(),
            selector: Some(Selector { labels, expressions: list([]) }),
            min_available: spec.min_available,
            max_unavailable: spec.max_unavailable,
            disruptions_allowed: 0,
            current_healthy: 0,
            desired_healthy: 0,
            expected: 0,
            always_allow_unhealthy: spec.always_allow_unhealthy,
        };
        self.put_pdb(fact);
        self.enqueue(Work::Pdb(key));
    }

    fn create_hpa(&mut self, spec: &HpaSpec) {
        let key = Key::new(spec.namespace.clone(), spec.app.clone());
        let target = WorkloadId { kind: WorkloadKind::Deployment, key: key.clone() };
        let replicas = self.facts.workloads.get(&target).map_or(0, |workload| workload.replicas);
        let fact = HpaFact {
            key: key.clone(),
            uid: self.uid(),
            target: Some(target),
            min_replicas: spec.min,
            max_replicas: spec.max,
            current_replicas: replicas,
            desired_replicas: replicas,
            cpu_target_percent: Some(spec.target_percent),
            cpu_current_percent: None,
            other_metrics: false,
            last_scaled_at: None,
        };
        self.put_hpa(fact);
        self.inner.hpas.insert(key.clone(), HpaInner::default());
        self.after(HPA_SYNC, Action::HpaSync(key));
    }

    fn create_job(&mut self, job: &JobSpec) {
        let key = Key::new(job.namespace.clone(), job.name.clone());
        self.inner.jobs.insert(key.clone(), job.clone());
        self.enqueue(Work::Job(key));
    }
}

fn id_of(spec: &WorkloadSpec) -> WorkloadId {
    WorkloadId { kind: spec.kind, key: Key::new(spec.namespace.clone(), spec.name.clone()) }
}
