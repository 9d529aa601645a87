//! From the scenario file to the simulator's scenario and back.

use journal_schema::cloud::CapacityType;
use journal_schema::facts::{self, IntOrPercent, Labels, UpdateStrategy};
use journal_schema::policy::Policy;
use journal_schema::text::Name;
use journal_schema::units::Millis;
use simulator::load::Load as SimLoad;
use simulator::scenario::{self as sim, Behaviour, Scenario};

use super::file::{
    Autoscaler, Budget, Expected, File, FileKind, Job, Load, Metadata, Pool, ScenarioPolicy, Spec, Spread, Strategy,
    TaintEffect, Toleration, WhenUnsatisfiable, Workload, WorkloadKind,
};
use super::names::{Count, KubeName, MachineName, ZoneName};
use crate::config::file::{self as config, ApiVersion, Capacity};
use crate::config::{Amount, Cpu, Memory, Percent, Span};

pub(super) fn name(text: impl AsRef<str>) -> Name {
    Name::truncated(text)
}

fn kube_name(name: &Name) -> KubeName {
    KubeName(name.to_string())
}

fn count(number: i32) -> Count {
    Count(u32::try_from(number).unwrap_or(0))
}

macro_rules! same_names {
    ($file:ty, $other:ty, $($variant:ident),+) => {
        impl From<$file> for $other {
            fn from(value: $file) -> Self {
                type File = $file;
                match value { $(File::$variant => Self::$variant),+ }
            }
        }
        impl From<$other> for $file {
            fn from(value: $other) -> Self {
                type Other = $other;
                match value { $(Other::$variant => Self::$variant),+ }
            }
        }
    };
}
same_names!(WorkloadKind, facts::WorkloadKind, Deployment, StatefulSet, DaemonSet, ReplicaSet);
same_names!(TaintEffect, facts::TaintEffect, NoSchedule, PreferNoSchedule, NoExecute);
same_names!(Expected, sim::Expected, Completed, Unwound, Untouched, Any);
pub(super) use same_names;

impl From<&ScenarioPolicy> for Policy {
    fn from(from: &ScenarioPolicy) -> Self {
        let ScenarioPolicy { mode, nodes, observe, predict, optimize, decide, disruption, deadlines, breakers } =
            from.clone();
        config::Spec {
            mode,
            nodes,
            observe,
            predict,
            optimize,
            decide,
            disruption,
            deadlines,
            breakers,
            ..config::Spec::default()
        }
        .policy()
    }
}

impl From<&Policy> for ScenarioPolicy {
    fn from(policy: &Policy) -> Self {
        let config::Spec { mode, nodes, observe, predict, optimize, decide, disruption, deadlines, breakers, .. } =
            config::Spec::of_policy(policy);
        Self { mode, nodes, observe, predict, optimize, decide, disruption, deadlines, breakers }
    }
}

impl From<&Pool> for sim::PoolSpec {
    fn from(pool: &Pool) -> Self {
        let mut spec = Self::new(&pool.machine_type.0, &pool.zone.0, pool.nodes.0);
        if let Some(given) = &pool.name {
            spec.name = name(&given.0);
        }
        spec.capacity_type = match pool.capacity_type {
            Capacity::OnDemand => CapacityType::OnDemand,
            Capacity::Spot => CapacityType::Spot,
        };
        spec.max_size = pool.max_nodes.map(|most| most.0);
        spec.autoscaled = pool.autoscaled;
        spec
    }
}

impl From<&sim::PoolSpec> for Pool {
    fn from(spec: &sim::PoolSpec) -> Self {
        let usual = sim::PoolSpec::new(&spec.machine_type, &spec.zone, 0).name;
        Self {
            name: (spec.name != usual).then(|| kube_name(&spec.name)),
            machine_type: MachineName(spec.machine_type.to_string()),
            zone: ZoneName(spec.zone.to_string()),
            capacity_type: spec.capacity_type.into(),
            nodes: Count(spec.initial),
            max_nodes: spec.max_size.map(Count),
            autoscaled: spec.autoscaled,
        }
    }
}

impl From<Load> for SimLoad {
    fn from(load: Load) -> Self {
        match load {
            Load::Constant(share) => Self::Constant(share.0),
            Load::Wave { mean, swing, period } => Self::Wave { mean: mean.0, swing: swing.0, period: period.0 },
            Load::Ramp { from, to, begin, over } => Self::Ramp { from: from.0, to: to.0, begin: begin.0, over: over.0 },
        }
    }
}

impl From<SimLoad> for Load {
    fn from(load: SimLoad) -> Self {
        match load {
            SimLoad::Constant(share) => Self::Constant(Percent(share)),
            SimLoad::Wave { mean, swing, period } => {
                Self::Wave { mean: Percent(mean), swing: Percent(swing), period: Span(period) }
            }
            SimLoad::Ramp { from, to, begin, over } => {
                Self::Ramp { from: Percent(from), to: Percent(to), begin: Span(begin), over: Span(over) }
            }
        }
    }
}

fn strategy(from: Strategy) -> UpdateStrategy {
    match from {
        Strategy::RollingUpdate { max_unavailable, max_surge } => {
            UpdateStrategy::RollingUpdate { max_unavailable: max_unavailable.0, max_surge: max_surge.0 }
        }
        Strategy::Recreate => UpdateStrategy::Recreate,
        Strategy::OnDelete => UpdateStrategy::OnDelete,
    }
}

fn strategy_written(from: UpdateStrategy) -> Strategy {
    match from {
        UpdateStrategy::RollingUpdate { max_unavailable, max_surge } => {
            Strategy::RollingUpdate { max_unavailable: Amount(max_unavailable), max_surge: Amount(max_surge) }
        }
        UpdateStrategy::Recreate => Strategy::Recreate,
        UpdateStrategy::OnDelete => Strategy::OnDelete,
    }
}

impl From<&Toleration> for facts::Toleration {
    fn from(from: &Toleration) -> Self {
        Self {
            key: name(&from.key),
            exists: from.value.is_none(),
            value: name(from.value.as_deref().unwrap_or_default()),
            effect: from.effect.map(Into::into),
        }
    }
}

impl From<&facts::Toleration> for Toleration {
    fn from(from: &facts::Toleration) -> Self {
        Self {
            key: from.key.to_string(),
            value: (!from.exists).then(|| from.value.to_string()),
            effect: from.effect.map(Into::into),
        }
    }
}

impl From<&Workload> for sim::WorkloadSpec {
    fn from(from: &Workload) -> Self {
        let wanted = match from.kind {
            WorkloadKind::DaemonSet => 0,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::ReplicaSet => {
                from.replicas.map_or(1, Count::signed)
            }
        };
        let mut spec = Self::new(from.kind.into(), &from.namespace.0, &from.name.0, wanted, 0, 0);
        let usual = Behaviour::default();
        spec.cpu = from.cpu.0;
        spec.memory = from.memory.0;
        spec.replicas_before = from.replicas_before.map(Count::signed);
        spec.behaviour = Behaviour {
            start: from.start_time.map_or(usual.start, |span| span.0),
            ready: from.ready_time.map_or(usual.ready, |span| span.0),
            stop: from.stop_time.map_or(usual.stop, |span| span.0),
            load: from.load.map_or(usual.load, Into::into),
            broken: from.never_ready,
        };
        if let Some(given) = from.strategy {
            spec.strategy = strategy(given);
        }
        // A map of JSON values is always JSON.
        spec.affinity = from.affinity.as_ref().and_then(|affinity| serde_json::to_string(affinity).ok());
        spec.node_selector = from.node_selector.iter().map(|(key, value)| (name(key), name(value))).collect();
        if let Some(given) = &from.tolerations {
            spec.tolerations = given.iter().map(Into::into).collect();
        }
        for rule in &from.spread {
            spec = spec.spread_over(&rule.topology_key, rule.max_skew.signed());
            if let Some(added) = spec.spread.last_mut() {
                added.hard = rule.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule;
            }
        }
        spec.volume = from.volume;
        if let Some(span) = from.grace_period {
            spec.grace_secs = u32::try_from(span.0.0 / 1000).unwrap_or(u32::MAX);
        }
        spec.priority = from.priority;
        spec
    }
}

impl From<&sim::WorkloadSpec> for Workload {
    fn from(spec: &sim::WorkloadSpec) -> Self {
        let usual = sim::WorkloadSpec::new(spec.kind, &spec.namespace, &spec.name, 0, 0, 0);
        let Behaviour { start, ready, stop, load, broken } = spec.behaviour;
        let span = |own: Millis, usual: Millis| (own != usual).then_some(Span(own));
        Self {
            kind: spec.kind.into(),
            namespace: kube_name(&spec.namespace),
            name: kube_name(&spec.name),
            replicas: (spec.kind != facts::WorkloadKind::DaemonSet).then(|| count(spec.replicas)),
            replicas_before: spec.replicas_before.map(count),
            cpu: Cpu(spec.cpu),
            memory: Memory(spec.memory),
            load: (load != usual.behaviour.load).then(|| load.into()),
            start_time: span(start, usual.behaviour.start),
            ready_time: span(ready, usual.behaviour.ready),
            stop_time: span(stop, usual.behaviour.stop),
            never_ready: broken,
            strategy: (spec.strategy != usual.strategy).then(|| strategy_written(spec.strategy)),
            affinity: spec.affinity.as_ref().and_then(|affinity| serde_json::from_str(affinity).ok()),
            node_selector: labels(&spec.node_selector),
            tolerations: (spec.tolerations != usual.tolerations)
                .then(|| spec.tolerations.iter().map(Into::into).collect()),
            spread: spec
                .spread
                .iter()
                .map(|rule| Spread {
                    topology_key: rule.topology_key.to_string(),
                    max_skew: count(rule.max_skew),
                    when_unsatisfiable: if rule.hard {
                        WhenUnsatisfiable::DoNotSchedule
                    } else {
                        WhenUnsatisfiable::ScheduleAnyway
                    },
                })
                .collect(),
            volume: spec.volume,
            grace_period: (spec.grace_secs != usual.grace_secs)
                .then(|| Span(Millis::from_secs(i64::from(spec.grace_secs)))),
            priority: spec.priority,
        }
    }
}

fn labels(from: &Labels) -> std::collections::BTreeMap<String, String> {
    from.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

impl From<&Budget> for sim::PdbSpec {
    fn from(from: &Budget) -> Self {
        Self {
            namespace: name(&from.namespace.0),
            name: name(&from.name.as_ref().unwrap_or(&from.workload).0),
            app: name(&from.workload.0),
            min_available: from.min_available.map(|amount| amount.0),
            max_unavailable: from.max_unavailable.map(|amount| amount.0),
            always_allow_unhealthy: from.always_allow_unhealthy,
        }
    }
}

impl From<&sim::PdbSpec> for Budget {
    fn from(spec: &sim::PdbSpec) -> Self {
        let amount = |amount: Option<IntOrPercent>| amount.map(Amount);
        Self {
            namespace: kube_name(&spec.namespace),
            name: (spec.name != spec.app).then(|| kube_name(&spec.name)),
            workload: kube_name(&spec.app),
            min_available: amount(spec.min_available),
            max_unavailable: amount(spec.max_unavailable),
            always_allow_unhealthy: spec.always_allow_unhealthy,
        }
    }
}

impl From<&Autoscaler> for sim::HpaSpec {
    fn from(from: &Autoscaler) -> Self {
        Self {
            namespace: name(&from.namespace.0),
            app: name(&from.workload.0),
            min: from.min_replicas.signed(),
            max: from.max_replicas.signed(),
            target_percent: i32::try_from(from.target_cpu.0.0 / 10_000).unwrap_or(i32::MAX),
        }
    }
}

impl From<&sim::HpaSpec> for Autoscaler {
    fn from(spec: &sim::HpaSpec) -> Self {
        Self {
            namespace: kube_name(&spec.namespace),
            workload: kube_name(&spec.app),
            min_replicas: count(spec.min),
            max_replicas: count(spec.max),
            target_cpu: Percent(journal_schema::units::Ppm::percent(i64::from(spec.target_percent))),
        }
    }
}

impl From<&Job> for sim::JobSpec {
    fn from(from: &Job) -> Self {
        Self {
            namespace: name(&from.namespace.0),
            name: name(&from.name.0),
            cpu: from.cpu.0,
            memory: from.memory.0,
            duration: from.duration.0,
        }
    }
}

impl From<&sim::JobSpec> for Job {
    fn from(spec: &sim::JobSpec) -> Self {
        Self {
            namespace: kube_name(&spec.namespace),
            name: kube_name(&spec.name),
            cpu: Cpu(spec.cpu),
            memory: Memory(spec.memory),
            duration: Span(spec.duration),
        }
    }
}

impl From<&File> for Scenario {
    fn from(file: &File) -> Self {
        let Spec {
            about,
            pools,
            workloads,
            budgets,
            autoscalers,
            jobs,
            excluded_namespaces,
            late_workloads,
            faults,
            cloud_faults,
            policy,
            warm_up,
            limit,
            expected,
            because,
        } = &file.spec;
        Self {
            name: file.metadata.name.0.clone(),
            about: about.clone(),
            pools: pools.iter().map(Into::into).collect(),
            workloads: workloads.iter().map(Into::into).collect(),
            pdbs: budgets.iter().map(Into::into).collect(),
            hpas: autoscalers.iter().map(Into::into).collect(),
            jobs: jobs.iter().map(Into::into).collect(),
            excluded_namespaces: excluded_namespaces.iter().map(|namespace| name(&namespace.0)).collect(),
            late: late_workloads.iter().map(Into::into).collect(),
            faults: faults.iter().map(Into::into).collect(),
            cloud_faults: cloud_faults.iter().map(Into::into).collect(),
            policy: policy.into(),
            warm_up: warm_up.0,
            limit: limit.0,
            expected: (*expected).into(),
            because: because.clone(),
        }
    }
}

impl From<&Scenario> for File {
    fn from(scenario: &Scenario) -> Self {
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: FileKind::Scenario,
            metadata: Metadata { name: KubeName(scenario.name.clone()) },
            spec: Spec {
                about: scenario.about.clone(),
                pools: scenario.pools.iter().map(Into::into).collect(),
                workloads: scenario.workloads.iter().map(Into::into).collect(),
                budgets: scenario.pdbs.iter().map(Into::into).collect(),
                autoscalers: scenario.hpas.iter().map(Into::into).collect(),
                jobs: scenario.jobs.iter().map(Into::into).collect(),
                excluded_namespaces: scenario.excluded_namespaces.iter().map(kube_name).collect(),
                late_workloads: scenario.late.iter().map(Into::into).collect(),
                faults: scenario.faults.iter().map(Into::into).collect(),
                cloud_faults: scenario.cloud_faults.iter().map(Into::into).collect(),
                policy: (&scenario.policy).into(),
                warm_up: Span(scenario.warm_up),
                limit: Span(scenario.limit),
                expected: scenario.expected.into(),
                because: scenario.because.clone(),
            },
        }
    }
}
