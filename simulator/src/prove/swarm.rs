//! A case from a seed: a world, a policy, and a choice of what goes wrong.
//!
//! Every kind of trouble is in with a chance of one half at most, and its rate is drawn: a run with a few kinds goes
//! deeper than one with all of them (Groce et al., "Swarm Testing", ISSTA 2012). What comes and goes is over after
//! [`TROUBLE`]; what stays is part of the world that the daemon has to come to terms with. Then the run must converge.

use std::collections::BTreeSet;

use journal_schema::event::OperatorCommand;
use journal_schema::facts::{IntOrPercent, Kind, WorkloadKind};
use journal_schema::policy::{Actuation, Mode, RightSizing, SingleReplica};
use journal_schema::units::{MicroUsdPerHour, Millis, Ppm, Timestamp};

use super::case::Case;
use super::worlds::quick;
use crate::cloud::{Call, FaultKind as CloudFault, FaultRule as CloudFaultRule};
use crate::disk::{DiskCall, DiskFault, DiskPlan, DiskRule};
use crate::faults::{FaultKind, FaultRule, RequestFault, Trigger};
use crate::load::Load;
use crate::rng::Stream;
use crate::scenario::{Expected, HpaSpec, JobSpec, PdbSpec, PoolSpec, Scenario, WorkloadSpec, small_policy, system};
use crate::text::{message, name};

/// For so long after the daemon's first start things go wrong.
pub const TROUBLE: Millis = Millis::from_minutes(20);

const ZONES: [&str; 3] = ["us-central1-a", "us-central1-b", "us-central1-c"];
const NAMED: [&str; 14] = [
    "small",
    "replace",
    "pure-removal",
    "pure-boot",
    "make-room",
    "balance",
    "spread-out",
    "surge-single",
    "evict",
    "rolling-update",
    "stateful",
    "jobs",
    "mixed-pools",
    "right-size",
];

/// The case of a seed.
pub fn case(seed: u64) -> Case {
    let mut stream = Stream::new(seed, "swarm");
    let mut scenario = if stream.chance(400_000) {
        let named = stream.pick(&NAMED).copied().unwrap_or("small");
        Scenario::find(named, seed).unwrap_or_else(|_| world(&mut stream))
    } else {
        world(&mut stream)
    };
    scenario.expected = Expected::Any;
    scenario.because = None;
    let mut scenario = quick(scenario);
    let apps: Vec<String> = movable(&scenario).collect();
    let budgets: Vec<String> = scenario.pdbs.iter().map(|pdb| format!("{}/{}", pdb.namespace, pdb.name)).collect();
    scenario.faults.extend(of_requests(&mut stream));
    scenario.faults.extend(of_views(&mut stream));
    scenario.faults.extend(of_others(&mut stream, &apps, &budgets));
    scenario.cloud_faults.extend(of_cloud(&mut stream));
    scenario.faults.extend(of_machines(&mut Stream::new(seed, "swarm of machines")));
    let mut crashes = BTreeSet::new();
    if stream.chance(600_000) {
        let places = 1 << stream.below(11);
        crashes = (0..=stream.below(4)).map(|_| 1 + stream.below(places)).collect();
    }
    let upgrade = !crashes.is_empty() && stream.chance(100_000);
    let checkpoint_every = stream.pick(&[10_000, 10_000, 20, 150]).copied().unwrap_or(10_000);
    let old_lives = u64::from(upgrade);
    Case { name: format!("seed {seed}"), scenario, seed, crashes, old_lives, checkpoint_every, disk: disk(seed) }
}

/// For a third of the seeds the journal is written to a disk, on which things may go wrong, too.
fn disk(seed: u64) -> Option<DiskPlan> {
    let mut stream = Stream::new(seed, "disk of the swarm");
    if !stream.chance(333_333) {
        return None;
    }
    let mut plan = DiskPlan {
        seed,
        power: *stream.pick(&[Ppm(0), Ppm::percent(50), Ppm::percent(100)]).unwrap_or(&Ppm(0)),
        segment_bytes: *stream.pick(&[32 << 10, 256 << 10, 64 << 20]).unwrap_or(&(64 << 20)),
        head_sync_every: *stream.pick(&[1, 3, 64]).unwrap_or(&64),
        rules: Vec::new(),
    };
    // Half of the calls that are struck are anywhere; for the others early and late ones count alike, on a scale of
    // doublings.
    let nth = |stream: &mut Stream, doublings: u64| {
        let below = 1 << if stream.chance(500_000) { doublings } else { stream.below(doublings) };
        1 + stream.below(below)
    };
    let fails = [(DiskCall::Write, 12), (DiskCall::Sync, 11), (DiskCall::Name, 6), (DiskCall::Read, 8)];
    for (call, doublings) in fails {
        if stream.chance(400_000) {
            let rules = 0..=stream.below(2);
            plan.rules.extend(rules.map(|_| DiskRule {
                call,
                nth: nth(&mut stream, doublings),
                fault: DiskFault::Fails,
            }));
        }
    }
    if stream.chance(250_000) {
        let (room, span) = (stream.below(4_096), Millis(stream.between(2_000, 120_000)));
        let nth = nth(&mut stream, 12);
        plan.rules.push(DiskRule { call: DiskCall::Write, nth, fault: DiskFault::Full { room, span } });
    }
    if stream.chance(400_000) {
        for _ in 0..=stream.below(3) {
            let nth = nth(&mut stream, 13);
            plan.rules.push(DiskRule { call: DiskCall::Any, nth, fault: DiskFault::PowerCut });
        }
    }
    Some(plan)
}

/// What was drawn for the journal's disk.
fn of_disk(plan: &DiskPlan) -> String {
    let rules: Vec<String> = plan
        .rules
        .iter()
        .map(|DiskRule { call, nth, fault }| format!("{fault:?} at {call:?} {nth}").to_lowercase())
        .collect();
    format!(
        ", journal on a disk (segments of {}, head every {}, power cut {} %: {})",
        plan.segment_bytes,
        plan.head_sync_every,
        plan.power.0 / 10_000,
        if rules.is_empty() { "nothing fails".to_owned() } else { rules.join(", ") },
    )
}

/// Everything that was drawn for a case, in a line.
pub fn options(case: &Case) -> String {
    let mut kinds: Vec<&str> = case.scenario.faults.iter().map(|rule| rule.kind.name()).collect();
    kinds.extend(case.scenario.cloud_faults.iter().map(|rule| rule.kind.name()));
    kinds.sort_unstable();
    kinds.dedup();
    let policy = &case.scenario.policy;
    format!(
        "{}: {} {:?} {:?}, killed at {:?}{}, checkpoint every {}{}; {}",
        case.name,
        case.scenario.name,
        policy.mode,
        policy.disruption.actuation,
        case.crashes,
        if case.old_lives > 0 { ", upgraded" } else { "" },
        case.checkpoint_every,
        case.disk.as_ref().map(of_disk).unwrap_or_default(),
        if kinds.is_empty() { "nothing goes wrong".to_owned() } else { kinds.join(", ") },
    )
}

fn movable(scenario: &Scenario) -> impl Iterator<Item = String> + '_ {
    let moves = |spec: &&WorkloadSpec| spec.kind != WorkloadKind::DaemonSet;
    scenario.workloads.iter().filter(moves).map(|spec| format!("{}/{}", spec.namespace, spec.name))
}

fn count(stream: &mut Stream, least: i64, most: i64) -> i32 {
    i32::try_from(stream.between(least, most)).unwrap_or(1)
}

/// A small world: at most a dozen machines and some forty pods.
fn world(stream: &mut Stream) -> Scenario {
    let zones = &ZONES[..1 + usize::try_from(stream.below(3)).unwrap_or(0)];
    let mut pools = Vec::new();
    let machines = ["e2-standard-2", "e2-standard-4", "n2-standard-8", "e2-highmem-4", "e2-highcpu-8"];
    let first = stream.pick(&machines).copied().unwrap_or("e2-standard-2");
    for zone in zones {
        for machine in machines {
            let initial = if machine == first { stream.between(1, 5) } else { 0 };
            let also = machine != first && stream.chance(150_000);
            if initial > 0 || also || stream.chance(500_000) {
                let mut pool = PoolSpec::new(machine, zone, u32::try_from(initial + i64::from(also)).unwrap_or(1));
                pool.max_size = stream.chance(150_000).then(|| pool.initial + 2);
                pools.push(pool);
            }
        }
    }
    let mut workloads = system();
    let (mut pdbs, mut hpas, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..2 + stream.below(5) {
        let app = format!("app-{index}");
        let kind = if stream.chance(850_000) { WorkloadKind::Deployment } else { WorkloadKind::StatefulSet };
        let replicas = count(stream, 1, 5);
        let cpu = *stream.pick(&[50, 100, 200, 300, 500, 900]).unwrap_or(&200);
        let memory = cpu * stream.between(10, 50) / 10;
        let mut spec = WorkloadSpec::new(kind, "shop", &app, replicas, cpu, memory);
        spec.replicas_before = stream.chance(600_000).then(|| replicas + count(stream, 1, 4));
        spec.behaviour.start = Millis(stream.between(500, 15_000));
        spec.behaviour.ready = Millis(stream.between(500, 30_000));
        spec.behaviour.stop = Millis(stream.between(100, 20_000));
        spec.behaviour.load = Load::Constant(Ppm::percent(stream.between(10, 90)));
        spec.volume = kind == WorkloadKind::StatefulSet && stream.chance(500_000);
        if stream.chance(200_000) {
            let key = *stream.pick(&["kubernetes.io/hostname", "topology.kubernetes.io/zone"]).unwrap_or(&"");
            spec = spec.spread_over(key, count(stream, 1, 2));
        }
        if stream.chance(350_000) {
            let least = IntOrPercent::Int((replicas - 1).max(0));
            let (min_available, max_unavailable) =
                if stream.chance(500_000) { (Some(least), None) } else { (None, Some(IntOrPercent::Int(1))) };
            pdbs.push(PdbSpec {
                namespace: name("shop"),
                name: name(&app),
                app: name(&app),
                min_available,
                max_unavailable,
                always_allow_unhealthy: stream.chance(300_000),
            });
        }
        if kind == WorkloadKind::Deployment && stream.chance(150_000) {
            spec.replicas_before = None;
            let (min, max) = (replicas, replicas + 3);
            hpas.push(HpaSpec { namespace: name("shop"), app: name(&app), min, max, target_percent: 70 });
        }
        workloads.push(spec);
    }
    if stream.chance(150_000) {
        jobs.push(JobSpec {
            namespace: name("shop"),
            name: name("import"),
            cpu: journal_schema::units::MilliCpu(200),
            memory: journal_schema::units::Bytes(300 << 20),
            duration: Millis::from_minutes(stream.between(5, 60)),
        });
    }
    let mut late = Vec::new();
    if stream.chance(200_000) {
        late.push(WorkloadSpec::new(WorkloadKind::Deployment, "shop", "late", 1, stream.between(200, 1_500), 900));
    }
    let mut policy = small_policy();
    policy.disruption.actuation = *stream
        .pick(&[Actuation::SurgeThenEvict, Actuation::SurgeThenEvict, Actuation::Evict, Actuation::RollingUpdate])
        .unwrap_or(&Actuation::SurgeThenEvict);
    policy.disruption.single_replica = *stream
        .pick(&[SingleReplica::Surge, SingleReplica::Skip, SingleReplica::Allow])
        .unwrap_or(&SingleReplica::Surge);
    policy.disruption.max_parallel_moves = u32::try_from(stream.between(1, 8)).unwrap_or(1);
    policy.disruption.steering = stream.chance(800_000);
    policy.optimize.move_penalty = MicroUsdPerHour(*stream.pick(&[0, 1_000, 5_000]).unwrap_or(&1_000));
    policy.decide.min_savings = Ppm::percent(*stream.pick(&[0, 5, 10]).unwrap_or(&10));
    if policy.disruption.actuation == Actuation::RollingUpdate && stream.chance(300_000) {
        policy.predict.right_sizing = RightSizing::WithRollout;
    }
    let mut faults = Vec::new();
    if stream.chance(100_000) {
        policy.mode = Mode::Approve;
        faults.extend((1..20).map(|half| FaultRule::at(Millis::from_minutes(half * 10), FaultKind::ApprovePlan)));
    }
    Scenario {
        name: "random".to_owned(),
        about: "a world of a seed".to_owned(),
        pools,
        workloads,
        pdbs,
        hpas,
        jobs,
        excluded_namespaces: Vec::new(),
        late,
        faults,
        cloud_faults: Vec::new(),
        policy,
        warm_up: Millis::from_minutes(15),
        limit: Millis::from_minutes(240),
        expected: Expected::Any,
        because: None,
    }
}

/// Fates of requests, each at a rate of its own.
fn of_requests(stream: &mut Stream) -> Vec<FaultRule> {
    let late = Millis(stream.between(1_000, 60_000));
    let answered = Millis(stream.between(1_000, 90_000));
    // Rights that are taken away are no passing trouble.
    let fates = RequestFault::all(late, answered).into_iter().filter(|fate| *fate != RequestFault::Forbidden);
    let mut rules = Vec::new();
    let all = stream.chance(300_000);
    for fate in fates {
        if stream.chance(350_000) {
            // From 0.1 % to 12.8 %, each doubling equally likely.
            let chance = Ppm(1_000 << stream.below(8));
            let name = if all { crate::faults::ANY_REQUEST } else { "" };
            let trigger = Trigger::Chance { name: name.into(), chance, until: TROUBLE };
            rules.push(FaultRule { trigger, kind: FaultKind::Request(fate) });
        }
    }
    rules
}

fn moment(stream: &mut Stream) -> Millis {
    Millis(stream.between(0, TROUBLE.0))
}

/// What is wrong with what the daemon sees, and with its clock.
fn of_views(stream: &mut Stream) -> Vec<FaultRule> {
    let mut rules = Vec::new();
    for kind in Kind::ALL {
        if stream.chance(120_000) {
            rules.push(FaultRule::at(moment(stream), FaultKind::InterruptWatch { kind }));
        }
        if stream.chance(120_000) {
            let span = Millis(stream.between(1_000, 180_000));
            rules.push(FaultRule::at(moment(stream), FaultKind::StaleWatch { kind, span }));
        }
    }
    if stream.chance(200_000) {
        let span = Millis(stream.between(5_000, 180_000));
        let at = moment(stream);
        rules.push(FaultRule::at(at, FaultKind::OldReplica { span }));
        // It matters to who lists anew.
        for kind in Kind::ALL.into_iter().filter(|_| stream.chance(300_000)) {
            rules.push(FaultRule::at(Millis(at.0 + span.0 / 2), FaultKind::InterruptWatch { kind }));
        }
    }
    let spans = [
        (200_000, FaultKind::ApiServerAway { span: Millis(stream.between(5_000, 300_000)) }),
        (150_000, FaultKind::MetricsAway { span: Millis(stream.between(60_000, 900_000)) }),
        (150_000, FaultKind::UsageGaps { share: Ppm::percent(stream.between(1, 40)) }),
        (200_000, FaultKind::DuplicateEvents),
        (100_000, FaultKind::ClockStep { by: Millis(stream.between(-3_600_000, 3_600_000)) }),
        (100_000, FaultKind::ClockStep { by: Millis(stream.between(-90_000, 90_000)) }),
    ];
    for (chance, kind) in spans {
        if stream.chance(chance) {
            rules.push(FaultRule::at(moment(stream), kind));
        }
    }
    rules
}

/// What others do: users, autoscalers, machines.
fn of_others(stream: &mut Stream, apps: &[String], budgets: &[String]) -> Vec<FaultRule> {
    let mut rules = Vec::new();
    let app = |stream: &mut Stream| stream.pick(apps).cloned().unwrap_or_default();
    for _ in 0..3 {
        if stream.chance(120_000) {
            let back = stream.chance(500_000).then(|| Millis(stream.between(20_000, 600_000)));
            let index = usize::try_from(stream.below(12)).unwrap_or(0);
            rules.push(FaultRule::at(moment(stream), FaultKind::NodeCrash { index, back }));
        }
        if stream.chance(150_000) {
            let by = count(stream, -2, 3);
            rules.push(FaultRule::at(moment(stream), FaultKind::ForeignScale { workload: app(stream), by }));
        }
        if stream.chance(60_000) {
            rules.push(FaultRule::at(moment(stream), FaultKind::NeverReady { workload: app(stream) }));
        }
    }
    if stream.chance(80_000) {
        let after = Millis(stream.between(2_000, 120_000));
        rules.push(FaultRule::at(Millis(0), FaultKind::GitOpsRevert { workload: app(stream), after }));
    }
    if stream.chance(80_000)
        && let Some(pdb) = stream.pick(budgets).cloned()
    {
        rules.push(FaultRule::at(moment(stream), FaultKind::BlockPdb { pdb }));
    }
    if stream.chance(100_000) {
        rules.push(FaultRule::at(moment(stream), FaultKind::Operator(OperatorCommand::Abort)));
    }
    if stream.chance(80_000) {
        let span = Some(Millis(stream.between(10_000, 900_000)));
        let command = OperatorCommand::Pause { reason: message("maintenance"), span };
        rules.push(FaultRule::at(moment(stream), FaultKind::Operator(command)));
    }
    rules
}

/// Machines that others make anew.
fn of_machines(stream: &mut Stream) -> Vec<FaultRule> {
    let mut rules = Vec::new();
    while rules.len() < 3 && stream.chance(100_000) {
        let index = usize::try_from(stream.below(12)).unwrap_or(0);
        rules.push(FaultRule::at(moment(stream), FaultKind::MachineReplaced { index }));
    }
    rules
}

/// What is wrong with the cloud.
fn of_cloud(stream: &mut Stream) -> Vec<CloudFaultRule> {
    let extra = Millis(stream.between(30_000, 1_800_000));
    let kinds = [
        CloudFault::Throttle,
        CloudFault::Unavailable,
        CloudFault::DropCall,
        CloudFault::LoseAnswer,
        CloudFault::ForgetRequestId,
        CloudFault::FailOperation {
            status: 412,
            code: name("CONDITION_NOT_MET"),
            message: name("the condition is not met"),
        },
        CloudFault::LoseOperation,
        CloudFault::StallOperation,
        CloudFault::Partial { created: 1 },
        CloudFault::SlowDelete { extra },
        CloudFault::IgnoreDelete,
        CloudFault::Stockout { free: u32::try_from(stream.below(3)).unwrap_or(0) },
        CloudFault::NoAddresses,
        CloudFault::SlowBoot { extra },
        CloudFault::NeverJoins,
        CloudFault::SlowJoin { extra },
        CloudFault::JoinsNotReady,
        CloudFault::JoinsSmaller { share: Ppm::percent(50) },
        CloudFault::Preempt { after: extra },
    ];
    let mut rules = Vec::new();
    for kind in kinds {
        if !stream.chance(80_000) {
            continue;
        }
        let until = stream.chance(800_000).then_some(Timestamp(TROUBLE.0));
        let times = u32::try_from(1 + stream.below(4)).ok();
        let mut rule = CloudFaultRule::new(kind);
        rule.skip = u32::try_from(stream.below(4)).unwrap_or(0);
        rule.until = until;
        // What never ends must be rare enough to be got over.
        rule.times = if until.is_none() || stream.chance(500_000) { times } else { None };
        if matches!(
            rule.kind,
            CloudFault::Throttle | CloudFault::Unavailable | CloudFault::DropCall | CloudFault::LoseAnswer
        ) {
            rule.call = stream.pick(&[Call::Create, Call::Delete, Call::List, Call::Operation]).copied();
        }
        rules.push(rule);
    }
    rules
}
