//! Small clusters made by hand.

use journal_schema::cloud::CapacityType;
use journal_schema::facts::*;
use journal_schema::plan::{Cluster, Planned, PlanningInput, Target};
use journal_schema::policy::Limits;
use journal_schema::text::Few;
use planner::lint::{Severity, lint};
use planner::{MachineSpec, synthetic_pools};

use crate::synthetic::{input, name, node, pod, pod_spec, spec, workload};

pub const GIB: i64 = 1 << 30;
pub const ZONE: &str = "us-central1-a";

/// Nodes of one type in one zone, by number, and Deployments with one pod on each node named.
#[derive(Default)]
pub struct World {
    pub cluster: Cluster,
}

impl World {
    pub fn nodes(mut self, machine_type: &str, names: &[&str]) -> Self {
        for node_name in names {
            let fact = node(node_name, machine_type, ZONE, planner::gke_allocatable(&spec(machine_type)));
            self.cluster.nodes.insert(fact.name.clone(), fact);
        }
        self
    }

    pub fn app(self, app_name: &str, cpu: i64, on: &[&str]) -> Self {
        self.app_with(app_name, pod_spec(cpu, cpu * (GIB / 1000)), on)
    }

    pub fn app_with(mut self, app_name: &str, spec: PodSpecFact, on: &[&str]) -> Self {
        let id = WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name(app_name)) };
        let set = WorkloadId { kind: WorkloadKind::ReplicaSet, key: id.key.clone() };
        let mut rs = workload(set.clone(), spec.clone(), on.len() as i32);
        rs.owner =
            Some(Owner { kind: OwnerKind::Deployment, name: name(app_name), uid: name(format!("uid-{app_name}")) });
        self.cluster.workloads.insert(set, rs);
        self.cluster.workloads.insert(id.clone(), workload(id, spec.clone(), on.len() as i32));
        for (index, at) in on.iter().enumerate() {
            let at = name(at);
            let mut fact =
                pod(&name("shop"), &format!("{app_name}-{index}"), (!at.is_empty()).then_some(&at), spec.clone());
            fact.labels = [(name("app"), name(app_name))].into();
            fact.owner =
                Some(Owner { kind: OwnerKind::ReplicaSet, name: name(app_name), uid: name(format!("rs-{app_name}")) });
            self.cluster.pods.insert(fact.key.clone(), fact);
        }
        self
    }

    pub fn pod_mut(&mut self, pod_name: &str) -> &mut PodFact {
        self.cluster.pods.get_mut(&Key::new(name("shop"), name(pod_name))).expect("the pod exists")
    }

    /// A budget for the pods of an app that lets none be evicted.
    pub fn budget_of_zero(&mut self, app_name: &str) {
        let pdb = PdbFact {
            key: Key::new(name("shop"), name(app_name)),
            uid: name("pdb"),
            selector: Some(Selector { labels: [(name("app"), name(app_name))].into(), expressions: Few::default() }),
            min_available: None,
            max_unavailable: Some(IntOrPercent::Int(0)),
            disruptions_allowed: 0,
            current_healthy: 1,
            desired_healthy: 1,
            expected: 1,
            always_allow_unhealthy: false,
        };
        self.cluster.pdbs.insert(pdb.key.clone(), pdb);
    }

    pub fn input(self, types: &[&str]) -> PlanningInput {
        let specs: Vec<MachineSpec> = types.iter().map(|t| spec(t)).collect();
        let pools =
            synthetic_pools(&self.cluster, &name("us-central1"), &[name(ZONE)], &specs, &[CapacityType::OnDemand]);
        input(self.cluster, pools)
    }
}

/// A plan without an error of the linter.
pub fn plan(input: &PlanningInput) -> Planned {
    let planned = planner::plan(input, &Limits::default()).expect("a plan");
    let errors: Vec<String> =
        lint(input, &planned).into_iter().filter(|f| f.severity == Severity::Error).map(|f| f.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    planned
}

/// Moves as `pod -> node`, in order.
pub fn moves(planned: &Planned) -> Vec<String> {
    let to = |target: &Target| match target {
        Target::Node(node) => node.to_string(),
        Target::New(slot) => format!("new {}", slot.0),
    };
    planned.plan.moves.iter().map(|step| format!("{} -> {}", step.pod.name, to(&step.to))).collect()
}

/// Names of the nodes that leave.
pub fn removed(planned: &Planned) -> Vec<&str> {
    planned.plan.remove.iter().map(|node| node.node.as_str()).collect()
}
