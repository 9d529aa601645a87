//! Small worlds, one for each kind of movement and of trouble.

use journal_schema::cloud::CapacityType;
use journal_schema::event::OperatorCommand;
use journal_schema::facts::{IntOrPercent, Kind, WorkloadKind};
use journal_schema::policy::{Actuation, Availability, Mode, Objective, RightSizing, SingleReplica};
use journal_schema::text::Text;
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Millis, Ppm};

use super::default::{ZONES, automatic, system};
use super::spec::{Expected, JobSpec, PdbSpec, PoolSpec, Scenario, WorkloadSpec};
use crate::cloud::{FaultKind as CloudFault, FaultRule as CloudFaultRule};
use crate::faults::{FaultKind, FaultRule, RequestFault, Trigger};
use crate::text::name;

pub(super) fn deployment(app: &str, replicas: i32, before: i32, cpu: i64, memory_mib: i64) -> WorkloadSpec {
    let mut spec = WorkloadSpec::new(WorkloadKind::Deployment, "shop", app, replicas, cpu, memory_mib);
    spec.replicas_before = (before > replicas).then_some(before);
    spec
}

fn budget(app: &str, min_available: i32) -> PdbSpec {
    PdbSpec {
        namespace: name("shop"),
        name: name(app),
        app: name(app),
        min_available: Some(IntOrPercent::Int(min_available)),
        max_unavailable: None,
        always_allow_unhealthy: false,
    }
}

/// Six small machines, half empty, and one bigger type to go to.
pub(super) fn small_world(scenario: &str, about: &str) -> Scenario {
    Scenario {
        name: scenario.to_owned(),
        about: about.to_owned(),
        pools: vec![
            PoolSpec::new("e2-standard-2", ZONES[0], 6),
            PoolSpec::new("e2-standard-4", ZONES[0], 0),
            PoolSpec::new("e2-standard-8", ZONES[0], 0),
        ],
        workloads: [
            system(),
            vec![
                deployment("cart", 3, 6, 300, 600),
                deployment("orders", 2, 5, 250, 500),
                deployment("mailer", 1, 3, 200, 400),
            ],
        ]
        .concat(),
        pdbs: Vec::new(),
        hpas: Vec::new(),
        jobs: Vec::new(),
        excluded_namespaces: Vec::new(),
        late: Vec::new(),
        faults: Vec::new(),
        cloud_faults: Vec::new(),
        policy: automatic(),
        warm_up: Millis::from_minutes(15),
        limit: Millis::from_minutes(120),
        expected: Expected::Completed,
        because: None,
    }
}

/// A world in which machines must be booted: dear machines, half used, and a cheaper pool.
pub(super) fn dear_world(scenario: &str, about: &str) -> Scenario {
    let mut this = small_world(scenario, about);
    this.pools = vec![
        PoolSpec::new("n2-standard-8", ZONES[0], 2),
        PoolSpec::new("e2-standard-4", ZONES[0], 0),
        PoolSpec::new("e2-standard-8", ZONES[0], 0),
    ];
    this.workloads =
        [system(), vec![deployment("cart", 8, 8, 900, 1_800), deployment("orders", 6, 6, 700, 1_400)]].concat();
    this
}

pub(super) fn operator(minutes: i64, command: OperatorCommand) -> FaultRule {
    FaultRule::at(Millis::from_minutes(minutes), FaultKind::Operator(command))
}

fn pure_removal() -> Scenario {
    let mut this = small_world("pure-removal", "the pods fit on fewer of the machines that are there");
    this.pools.truncate(1);
    this
}

fn pure_boot() -> Scenario {
    let mut this = small_world("pure-boot", "a pod waits that fits nowhere: a machine is booted for it");
    this.workloads = [system(), vec![deployment("cart", 6, 6, 1_200, 1_200)]].concat();
    this.late = vec![deployment("trainer", 1, 1, 3_000, 6_000)];
    // Nothing is saved by it, so that the threshold must not stand in the way.
    this.policy.decide.min_savings = Ppm(0);
    this.expected = Expected::Any;
    this
}

fn make_room() -> Scenario {
    let mut this = small_world("make-room", "a pod waits that fits nowhere: another makes room, no machine is booted");
    this.pools = vec![PoolSpec::new("e2-standard-2", ZONES[0], 3)];
    let cart = deployment("cart", 3, 3, 900, 1_200).spread_over("kubernetes.io/hostname", 1);
    this.workloads = [system(), vec![cart, deployment("mailer", 3, 3, 400, 600)]].concat();
    this.late = vec![deployment("trainer", 1, 1, 700, 900)];
    this
}

fn no_room() -> Scenario {
    let mut this = make_room();
    this.name = "no-room".to_owned();
    this.about = "the pod that makes room never becomes ready elsewhere: the iteration is unwound".to_owned();
    this.faults = vec![FaultRule::on("MarkNode", 1, FaultKind::NeverReady { workload: "shop/mailer".to_owned() })];
    this.expected = Expected::Unwound;
    this
}

fn balance() -> Scenario {
    let mut this = small_world("balance", "pods move until CPU and memory are mixed alike on all machines, which stay");
    this.pools = vec![PoolSpec::new("e2-standard-4", ZONES[0], 3)];
    let leaves = |app: &str, cpu, memory| deployment(app, 2, 6, cpu, memory);
    this.workloads = [
        system(),
        vec![
            leaves("encoder", 500, 300),
            leaves("resizer", 400, 300),
            leaves("cache", 50, 1_900),
            leaves("index", 50, 1_600),
        ],
    ]
    .concat();
    this.policy.optimize.objective = Objective::Balance;
    this
}

fn spread_out() -> Scenario {
    let mut this = small_world("spread-out", "one machine runs all of a workload: half of it moves, machines stay");
    this.pools = vec![PoolSpec::new("e2-standard-2", ZONES[0], 2), PoolSpec::new("e2-standard-8", ZONES[0], 1)];
    // While the small machines are full of the first there is room on the large one only.
    this.workloads =
        [system(), vec![deployment("batch", 1, 3, 1_300, 900), deployment("cart", 4, 4, 600, 600)]].concat();
    this.policy.optimize.objective = Objective::Availability;
    this.policy.optimize.availability = Availability { max_per_node: Some(Ppm::percent(50)), max_per_zone: None };
    this
}

fn evict() -> Scenario {
    let mut this = small_world("evict", "pods are moved by eviction, within a budget");
    this.policy.disruption.actuation = Actuation::Evict;
    this.policy.disruption.single_replica = SingleReplica::Allow;
    this.pdbs = vec![budget("cart", 2), budget("orders", 1)];
    this
}

fn evict_freely() -> Scenario {
    let mut this =
        small_world("evict-freely", "pods are moved by eviction, one of a workload at a time, without a budget");
    this.policy.disruption.actuation = Actuation::Evict;
    this.workloads = [system(), vec![deployment("cart", 6, 12, 250, 500)]].concat();
    this
}

fn surge_single() -> Scenario {
    let mut this = small_world("surge-single", "single replicas are moved without a gap");
    let single = |app: &str| deployment(app, 1, 3, 300, 600);
    this.workloads = [system(), ["auth", "cache", "mailer", "search"].map(single).to_vec()].concat();
    this
}

fn rolling_update() -> Scenario {
    let mut this = dear_world("rolling-update", "pods are moved by each Deployment's own rolling update");
    this.policy.disruption.actuation = Actuation::RollingUpdate;
    let affinity = r#"{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":10,"podAffinityTerm":{"labelSelector":{"matchLabels":{"app":"cart"}},"topologyKey":"kubernetes.io/hostname"}}]}}"#;
    if let Some(cart) = this.workloads.iter_mut().find(|spec| spec.name == "cart") {
        cart.affinity = Some(affinity.to_owned());
    }
    this
}

fn stateful() -> Scenario {
    let mut this = small_world("stateful", "a StatefulSet's pods move within their volumes' zones");
    this.pools = vec![
        PoolSpec::new("e2-standard-2", ZONES[0], 3),
        PoolSpec::new("e2-standard-2", ZONES[1], 3),
        PoolSpec::new("e2-standard-4", ZONES[0], 0),
        PoolSpec::new("e2-standard-4", ZONES[1], 0),
    ];
    let mut database = WorkloadSpec::new(WorkloadKind::StatefulSet, "shop", "postgres", 2, 300, 900);
    database.volume = true;
    this.workloads.push(database);
    this.pdbs = vec![budget("postgres", 1)];
    this
}

fn stockout() -> Scenario {
    let mut this = dear_world("stockout", "no machine can be had: the iteration falls back or is unwound");
    this.cloud_faults = vec![CloudFaultRule::new(CloudFault::Stockout { free: 0 })];
    this.expected = Expected::Unwound;
    this
}

fn never_joins() -> Scenario {
    let mut this = dear_world("never-joins", "machines run and never become nodes: they are deleted again");
    this.cloud_faults = vec![CloudFaultRule { times: Some(1), ..CloudFaultRule::new(CloudFault::NeverJoins) }];
    this.expected = Expected::Unwound;
    this
}

fn slow_boot() -> Scenario {
    let mut this = dear_world("slow-boot", "machines come late, but in time");
    let kind = CloudFault::SlowBoot { extra: Millis::from_minutes(8) };
    this.cloud_faults = vec![CloudFaultRule::new(kind)];
    this
}

fn blocked_pdb() -> Scenario {
    let mut this = evict();
    this.name = "blocked-pdb".to_owned();
    this.about = "a budget allows nothing any more once pods are moved: the iteration is unwound".to_owned();
    let block = |app: &str| FaultRule::on("MarkNode", 1, FaultKind::BlockPdb { pdb: format!("shop/{app}") });
    this.faults = vec![block("cart"), block("orders")];
    this.expected = Expected::Unwound;
    this
}

fn never_ready() -> Scenario {
    let mut this = small_world("never-ready", "new pods of a Deployment never become ready: the iteration is unwound");
    let broken = |app: &str| FaultRule::on("MarkNode", 1, FaultKind::NeverReady { workload: format!("shop/{app}") });
    this.faults = vec![broken("cart"), broken("orders"), broken("mailer")];
    this.expected = Expected::Unwound;
    this
}

fn approval() -> Scenario {
    let mut this = small_world("approval", "a plan waits for an operator and nothing is changed");
    this.policy.mode = Mode::Approve;
    this.expected = Expected::Untouched;
    this.limit = Millis::from_minutes(60);
    this
}

fn approved() -> Scenario {
    let mut this = small_world("approved", "a plan waits until an operator approves it");
    this.policy.mode = Mode::Approve;
    this.faults = (1..=6).map(|time| FaultRule::at(Millis::from_minutes(time * 7), FaultKind::ApprovePlan)).collect();
    this
}

fn right_size() -> Scenario {
    let mut this = rolling_update();
    this.name = "right-size".to_owned();
    this.about = "requests follow what is used, in the same rolling update that moves the pods".to_owned();
    this.policy.predict.right_sizing = RightSizing::WithRollout;
    this
}

fn approved_another() -> Scenario {
    let mut this = approval();
    this.name = "approved-another".to_owned();
    this.about = "an operator approves a plan that is not the one that waits: nothing is changed".to_owned();
    let approve = |minutes| operator(minutes, OperatorCommand::Approve { digest: Text::truncated("0123456789abcdef") });
    this.faults = (1..=5).map(|time| approve(time * 10)).collect();
    this
}

fn mass_not_ready() -> Scenario {
    let mut this = small_world("mass-not-ready", "half of the nodes are not ready: nothing is changed");
    let crash = |index| FaultRule::at(Millis(0), FaultKind::NodeCrash { index, back: None });
    this.faults = (0..3).map(crash).collect();
    // Nothing but the breaker stands in the way.
    this.policy.observe.max_unsettled = Ppm::percent(100);
    this.policy.decide.max_change = Ppm::percent(100);
    this.expected = Expected::Untouched;
    this.limit = Millis::from_minutes(60);
    this
}

fn vanished_pods() -> Scenario {
    let mut this = small_world("vanished-pods", "a list shows no pods at all: nothing is changed");
    this.faults = vec![
        FaultRule::at(Millis(1_000), FaultKind::EmptyList { kind: Kind::Pod }),
        FaultRule::at(Millis(2_000), FaultKind::InterruptWatch { kind: Kind::Pod }),
    ];
    this.policy.decide.max_change = Ppm::percent(100);
    this.expected = Expected::Untouched;
    this.limit = Millis::from_minutes(60);
    this
}

fn not_worth_it() -> Scenario {
    let mut this = small_world("not-worth-it", "less would be saved than is asked for: nothing is changed");
    this.policy.decide.min_savings = Ppm::percent(95);
    this.expected = Expected::Untouched;
    this.limit = Millis::from_minutes(60);
    this
}

fn hidden_pod() -> Scenario {
    let mut this =
        small_world("hidden-pod", "pods come to nodes that look empty, and no watch tells: those nodes stay");
    this.workloads = [system(), vec![deployment("cart", 4, 30, 300, 600)]].concat();
    // Empty nodes go, and no pod moves for it.
    this.policy.optimize.move_penalty = MicroUsdPerHour(10_000_000);
    this.faults = vec![
        FaultRule::on("ReadUsage", 1, FaultKind::ForeignScale { workload: "shop/cart".to_owned(), by: 8 }),
        FaultRule::on("ReadUsage", 1, FaultKind::StaleWatch { kind: Kind::Pod, span: Millis::from_minutes(10) }),
    ];
    this.expected = Expected::Any;
    this
}

fn stuck_deletion() -> Scenario {
    let mut this = small_world("stuck-deletion", "machines are not deleted although it was accepted: it is unwound");
    this.cloud_faults = vec![CloudFaultRule::new(CloudFault::IgnoreDelete)];
    this.expected = Expected::Unwound;
    this
}

fn no_rights() -> Scenario {
    let mut this = small_world("no-rights", "nodes may not be labelled: the iteration is unwound");
    let forbidden = FaultKind::Request(RequestFault::Forbidden);
    let trigger = Trigger::Effect { name: "MarkNode".into(), nth: 1, times: 1_000 };
    this.faults = vec![FaultRule { trigger, kind: forbidden }];
    this.expected = Expected::Any;
    this
}

fn late_requests() -> Scenario {
    let mut this = small_world("late-requests", "an operator aborts while labels are on their way: none of them stays");
    let late = FaultKind::Request(RequestFault::Delayed(Millis::from_secs(40)));
    let trigger = Trigger::Effect { name: "MarkNode".into(), nth: 1, times: 6 };
    this.faults = vec![
        FaultRule { trigger, kind: late },
        FaultRule::on("MarkNode", 3, FaultKind::Operator(OperatorCommand::Abort)),
    ];
    this.expected = Expected::Unwound;
    this
}

fn late_machines() -> Scenario {
    let mut this = dear_world("late-machines", "an operator aborts while machines are asked for: none of them stays");
    let late = FaultKind::Request(RequestFault::Delayed(Millis::from_secs(60)));
    let trigger = Trigger::Effect { name: "CreateInstances".into(), nth: 1, times: 6 };
    let abort = FaultKind::Operator(OperatorCommand::Abort);
    // The plan is made five minutes after the start.
    this.faults = vec![FaultRule { trigger, kind: late }, FaultRule::at(Millis::from_secs(325), abort)];
    this.expected = Expected::Any;
    this
}

fn recommend() -> Scenario {
    let mut this = small_world("recommend", "plans are shown and nothing is changed");
    this.policy.mode = Mode::Recommend;
    this.expected = Expected::Untouched;
    this.limit = Millis::from_minutes(60);
    this
}

fn abort() -> Scenario {
    let mut this = small_world("abort", "an operator aborts in the middle: everything is taken back");
    this.faults = vec![FaultRule::on("Scale", 2, FaultKind::Operator(OperatorCommand::Abort))];
    this.expected = Expected::Unwound;
    this
}

fn pause() -> Scenario {
    let mut this = small_world("pause", "an operator pauses before anything is done, and resumes later");
    let command = OperatorCommand::Pause { reason: crate::text::message("maintenance"), span: None };
    this.faults = vec![operator(0, command), operator(30, OperatorCommand::Resume)];
    this
}

fn node_crash() -> Scenario {
    let mut this = small_world("node-crash", "a node dies in the middle of an iteration");
    this.faults = vec![FaultRule::on("Scale", 1, FaultKind::NodeCrash { index: 0, back: None })];
    this.expected = Expected::Any;
    this
}

fn gitops() -> Scenario {
    let mut this = rolling_update();
    this.name = "gitops-revert".to_owned();
    this.about = "another manager takes template changes back: the iteration is unwound".to_owned();
    let after = Millis::from_secs(20);
    let revert =
        |app: &str| FaultRule::at(Millis(0), FaultKind::GitOpsRevert { workload: format!("shop/{app}"), after });
    this.faults = vec![revert("cart"), revert("orders")];
    this.expected = Expected::Any;
    this
}

fn foreign_scale() -> Scenario {
    let mut this = small_world("foreign-scale", "a user scales a Deployment while its pods are moved");
    this.faults = vec![
        FaultRule::on("Scale", 1, FaultKind::ForeignScale { workload: "shop/cart".to_owned(), by: 2 }),
        FaultRule::on("Scale", 1, FaultKind::ForeignScale { workload: "shop/orders".to_owned(), by: 2 }),
        FaultRule::on("Scale", 1, FaultKind::ForeignScale { workload: "shop/mailer".to_owned(), by: 2 }),
    ];
    this.expected = Expected::Any;
    this
}

fn jobs() -> Scenario {
    let mut this = small_world("jobs", "a Job's pod holds its node until it is over");
    this.jobs = vec![JobSpec {
        namespace: name("shop"),
        name: name("import"),
        cpu: MilliCpu(300),
        memory: Bytes(500 << 20),
        duration: Millis::from_minutes(240),
    }];
    this.expected = Expected::Any;
    this
}

fn mixed_pools() -> Scenario {
    let mut this = small_world("mixed-pools", "spot machines, and a pool that another autoscaler resizes");
    let mut spot = PoolSpec::new("e2-standard-4", ZONES[0], 0);
    spot.name = name("spot-4-a");
    spot.capacity_type = CapacityType::Spot;
    let mut autoscaled = PoolSpec::new("e2-standard-2", ZONES[1], 2);
    autoscaled.autoscaled = true;
    this.pools.extend([spot, autoscaled]);
    this.expected = Expected::Any;
    this
}

/// Every small world.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        small_world("small", "six half-empty machines: one whole iteration"),
        dear_world("replace", "dear machines are replaced by cheaper ones"),
        pure_removal(),
        pure_boot(),
        make_room(),
        no_room(),
        balance(),
        spread_out(),
        surge_single(),
        evict(),
        evict_freely(),
        rolling_update(),
        stateful(),
        stockout(),
        never_joins(),
        slow_boot(),
        blocked_pdb(),
        never_ready(),
        right_size(),
        approval(),
        approved(),
        approved_another(),
        mass_not_ready(),
        vanished_pods(),
        not_worth_it(),
        hidden_pod(),
        late_requests(),
        late_machines(),
        stuck_deletion(),
        no_rights(),
        recommend(),
        abort(),
        pause(),
        node_crash(),
        gitops(),
        foreign_scale(),
        jobs(),
        mixed_pools(),
    ]
}
