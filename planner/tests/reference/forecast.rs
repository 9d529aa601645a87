//! Forecast: known lines, gaps, resets, outliers, and the bounds of the proposed requests.

use journal_schema::facts::{
    Key, NodeFact, Owner, OwnerKind, PodPhase, UpdateStrategy, WorkloadFact, WorkloadId, WorkloadKind,
};
use journal_schema::plan::Cluster;
use journal_schema::policy::Predict;
use journal_schema::text::{Few, Many};
use journal_schema::units::{Bytes, MilliCpu, Millis, Ppm, Timestamp};
use journal_schema::usage::{ContainerSeries, Forecast, UsageWindow};
use planner::forecast::forecast;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::facts::{app_selector, few, name, node, pod, spec};

const MIB: i64 = 1 << 20;

/// A Deployment `web` of pods of one container (500m, 512 MiB), through its ReplicaSet, on node `n`.
fn cluster(pods: usize) -> Cluster {
    let mut cluster = Cluster::default();
    let node: NodeFact = node("n", "a");
    cluster.nodes.insert(node.name.clone(), node);
    let deployment = workload(WorkloadKind::Deployment, "web", None);
    let owner = Owner { kind: OwnerKind::Deployment, name: name("web"), uid: name("d") };
    let replica_set = workload(WorkloadKind::ReplicaSet, "web-1", Some(owner));
    for workload in [deployment, replica_set] {
        cluster.workloads.insert(workload.id.clone(), workload);
    }
    for number in 0..pods {
        let mut pod = pod("web", number, 500, 512 * MIB);
        pod.node = Some(name("n"));
        cluster.pods.insert(pod.key.clone(), pod);
    }
    cluster
}

fn workload(kind: WorkloadKind, text: &str, owner: Option<Owner>) -> WorkloadFact {
    let id = WorkloadId { kind, key: Key::new(name("default"), name(text)) };
    WorkloadFact {
        owner,
        strategy: UpdateStrategy::Recreate,
        selector: app_selector("web"),
        template: spec(500, 512 * MIB).into(),
        ..WorkloadFact::new(id, name(text), 1, Timestamp(0)).at_rest()
    }
}

type Points = Vec<Option<i64>>;

/// Usage at steps of a minute; the series of pod `i` is `series[i]`: CPU in milli, memory in MiB.
fn window(series: &[(Points, Points)]) -> UsageWindow {
    let series = series.iter().enumerate().map(|(number, (cpu, memory))| ContainerSeries {
        pod: pod("web", number, 0, 0).key,
        container: name("main"),
        cpu: few(cpu.iter().map(|value| value.map(MilliCpu)).collect()),
        memory: few(memory.iter().map(|value| value.map(|mib| Bytes(mib * MIB))).collect()),
    });
    UsageWindow {
        start: Timestamp(0),
        step: Millis::from_minutes(1),
        series: Many::new(series.collect()).unwrap(),
        warnings: Few::default(),
    }
}

fn flat(value: i64) -> Points {
    vec![Some(value); 16]
}

fn line(from: i64, slope: i64) -> Points {
    (0..16).map(|step| Some(from + slope * step)).collect()
}

fn forecasts(series: &[(Points, Points)], policy: &Predict) -> Vec<Forecast> {
    forecast(&cluster(series.len()), &window(series), policy).containers.to_vec()
}

fn only(series: &[(Points, Points)]) -> Forecast {
    let all = forecasts(series, &Predict::default());
    assert_eq!(all.len(), 1);
    all[0].clone()
}

#[test]
fn a_flat_line_stays_flat() {
    let found = only(&[(flat(300), flat(200))]);
    assert_eq!((found.cpu, found.memory, found.points), (MilliCpu(300), Bytes(200 * MIB), 16));
    assert_eq!(found.workload.kind, WorkloadKind::Deployment, "the Deployment, not its ReplicaSet");
    // 500 + 0.1 × (300 − 500) = 480; 512 + 0.1 × (200 − 512) = 480.8 MiB.
    assert_eq!(found.cpu_request, MilliCpu(480));
    assert_eq!(found.memory_request, Bytes((4808 * MIB + 9) / 10));
}

#[test]
fn a_rising_line_is_followed_to_the_horizon() {
    // 100 + 10 per minute: 250 at the last of 16 points, 400 fifteen minutes later.
    let found = only(&[(line(100, 10), line(100, 5))]);
    assert_eq!((found.cpu, found.memory), (MilliCpu(400), Bytes(250 * MIB)));
    assert_eq!((found.cpu_peak, found.memory_peak), (MilliCpu(250), Bytes(175 * MIB)));
}

#[test]
fn the_forecast_is_of_the_mean_over_the_running_pods() {
    assert_eq!(only(&[(flat(100), flat(100)), (flat(300), flat(200))]).cpu, MilliCpu(200));
    let mut cluster = cluster(4);
    let pods: Vec<Key> = cluster.pods.keys().cloned().collect();
    cluster.pods.get_mut(&pods[1]).unwrap().phase = PodPhase::Succeeded;
    cluster.pods.get_mut(&pods[2]).unwrap().deletion_at = Some(Timestamp(1));
    cluster.pods.remove(&pods[3]);
    let usage =
        window(&[(flat(100), flat(100)), (flat(999), flat(999)), (flat(999), flat(999)), (flat(999), flat(999))]);
    let found = forecast(&cluster, &usage, &Predict::default());
    assert_eq!(found.containers[0].cpu, MilliCpu(100));
    assert_eq!(found.containers[0].cpu_peak, MilliCpu(100));
    assert_eq!(found.nodes.to_vec(), [(name("n"), MilliCpu(100), Bytes(100 * MIB))]);
}

#[test]
fn gaps_are_left_out_and_not_filled() {
    let mut points = line(100, 10);
    for step in [1, 2, 6, 9, 12] {
        points[step] = None;
    }
    assert_eq!(only(&[(points, flat(100))]).cpu, MilliCpu(400), "the line through what is left is the same");
    // A step that only one of two pods has is that pod's.
    let mut half = flat(300);
    half.truncate(8);
    let found = only(&[(flat(100), flat(100)), (half, flat(100))]);
    assert!(found.cpu < MilliCpu(100), "200 falls to 100: the line goes on down, {}", found.cpu);
}

#[test]
fn too_few_or_too_close_points_give_no_forecast() {
    let with = |steps: &[usize]| {
        let mut points = vec![None; 16];
        for step in steps {
            points[*step] = Some(100);
        }
        let any_gap = Predict { max_gap: u32::MAX, ..Predict::default() };
        !forecasts(&[(points, flat(100))], &any_gap).is_empty()
    };
    assert!(!with(&[]));
    assert!(!with(&[0, 5, 10, 15]), "four points");
    assert!(with(&[0, 5, 10, 14, 15]), "five points");
    assert!(!with(&[0, 1, 2, 3, 4]), "five points within four minutes of fifteen");
    assert!(with(&[0, 1, 2, 3, 5]), "five points within five minutes");
    assert!(forecasts(&[(flat(100), vec![])], &Predict::default()).is_empty(), "no memory");
    assert!(forecasts(&[], &Predict::default()).is_empty());
}

/// What happened meanwhile is not known: the container keeps its requests.
#[test]
fn after_a_gap_of_three_steps_there_is_no_forecast() {
    let without = |gap: std::ops::Range<usize>| {
        let mut points = flat(100);
        points[gap].fill(None);
        forecasts(&[(flat(100), points)], &Predict::default()).len()
    };
    assert_eq!(without(5..7), 1, "two steps");
    assert_eq!(without(5..8), 0, "three");
    assert_eq!(without(14..16), 1, "the last two");
    assert_eq!(without(13..16), 0, "the last three");
    assert_eq!(without(0..5), 1, "it began later");
    // Where one pod's usage is missing, the others' tell.
    let mut half = flat(300);
    half[5..8].fill(None);
    assert_eq!(forecasts(&[(flat(100), flat(100)), (half, flat(100))], &Predict::default()).len(), 1);
}

#[test]
fn a_falling_line_ends_at_zero() {
    // 160 − 10 per minute: 10 at the end, and far below zero at the horizon.
    let found = only(&[(line(160, -10), line(160, -10))]);
    assert_eq!((found.cpu, found.memory), (MilliCpu(0), Bytes(0)));
    // 500 + 0.1 × (0 − 500) = 450; memory is held by its peak of 160 MiB and 20 %: 192 < 460.8.
    assert_eq!(found.cpu_request, MilliCpu(450));
}

#[test]
fn negative_usage_is_a_gap() {
    let mut points = flat(100);
    points[4] = Some(-5000);
    points[7] = Some(-1);
    let found = only(&[(points, flat(100))]);
    assert_eq!((found.cpu, found.points), (MilliCpu(100), 14));
}

#[test]
fn an_outlier_cannot_take_the_forecast_beyond_twice_the_peak() {
    let mut points = flat(100);
    points[15] = Some(10_000);
    let found = only(&[(points.clone(), flat(100))]);
    assert!(found.cpu > MilliCpu(100) && found.cpu <= MilliCpu(20_000), "{}", found.cpu);
    // A short steep climb on a long horizon is capped at twice the highest point.
    let policy = Predict { horizon: Millis::from_minutes(600), ..Predict::default() };
    assert_eq!(forecasts(&[(line(0, 10), flat(100))], &policy)[0].cpu, MilliCpu(300));
}

fn with_template(
    change: impl Fn(&mut journal_schema::facts::ContainerFact),
    series: (Points, Points),
    policy: &Predict,
) -> Forecast {
    let mut cluster = cluster(1);
    for workload in cluster.workloads.values_mut() {
        let mut container = workload.template.containers[0].clone();
        change(&mut container);
        workload.template.containers = few(vec![container]);
    }
    forecast(&cluster, &window(&[series]), policy).containers[0].clone()
}

#[test]
fn requests_stay_within_minima_limits_and_the_memory_guard() {
    let policy = Predict::default();
    let idle = || (flat(0), flat(0));
    let busy = || (flat(4000), flat(1000));
    let tiny =
        with_template(|c| (c.cpu_request, c.memory_request) = (Some(MilliCpu(5)), Some(Bytes(MIB))), idle(), &policy);
    assert_eq!((tiny.cpu_request, tiny.memory_request), (policy.min_cpu, policy.min_memory));
    // 512 + 0.1 × (1000 − 512) = 560.8 MiB is below the peak of 1000 MiB and its 20 %.
    let guarded = with_template(|_| (), busy(), &policy);
    assert_eq!((guarded.cpu_request, guarded.memory_request), (MilliCpu(850), Bytes(1200 * MIB)));
    let limited = with_template(
        |c| (c.cpu_limit, c.memory_limit) = (Some(MilliCpu(600)), Some(Bytes(1100 * MIB))),
        busy(),
        &policy,
    );
    assert_eq!((limited.cpu_request, limited.memory_request), (MilliCpu(600), Bytes(1100 * MIB)));
    let none = with_template(|c| (c.cpu_request, c.memory_request) = (None, None), busy(), &policy);
    assert_eq!(
        (none.cpu_request, none.memory_request),
        (MilliCpu(0), Bytes(0)),
        "none is proposed where there was none"
    );
    let whole = Predict { adjust: Ppm::percent(100), ..Predict::default() };
    assert_eq!(with_template(|_| (), busy(), &whole).cpu_request, MilliCpu(4000));
    let still = Predict { adjust: Ppm(0), ..Predict::default() };
    assert_eq!(with_template(|_| (), busy(), &still).cpu_request, MilliCpu(500));
}

#[test]
fn a_step_is_rounded_up() {
    // 500 + 0.1 × (301 − 500) = 480.1; 500 + 0.1 × (501 − 500) = 500.1.
    assert_eq!(only(&[(flat(301), flat(100))]).cpu_request, MilliCpu(481));
    assert_eq!(only(&[(flat(501), flat(100))]).cpu_request, MilliCpu(501));
}

#[test]
fn a_nodes_usage_is_the_sum_of_its_containers_own_lines() {
    let mut cluster = cluster(3);
    let pods: Vec<Key> = cluster.pods.keys().cloned().collect();
    let mut other = node("m", "a");
    other.name = name("m");
    cluster.nodes.insert(other.name.clone(), other);
    cluster.pods.get_mut(&pods[2]).unwrap().node = Some(name("m"));
    // The first rises to 400, the second is flat, the third has too few points: its last one.
    let short = vec![Some(10), Some(70)];
    let usage = window(&[(line(100, 10), flat(10)), (flat(50), flat(20)), (short.clone(), short)]);
    let found = forecast(&cluster, &usage, &Predict::default());
    assert_eq!(
        found.nodes.to_vec(),
        [(name("m"), MilliCpu(70), Bytes(70 * MIB)), (name("n"), MilliCpu(450), Bytes(30 * MIB))]
    );
}

#[test]
fn containers_that_the_template_does_not_have_count_for_the_node_only() {
    let mut usage = window(&[(flat(100), flat(100))]);
    let mut injected = usage.series[0].clone();
    injected.container = name("sidecar");
    let twice = usage.series[0].clone();
    usage.series = Many::new(vec![usage.series[0].clone(), twice, injected]).unwrap();
    let found = forecast(&cluster(1), &usage, &Predict::default());
    assert_eq!(found.containers.len(), 1);
    assert_eq!(found.nodes[0].1, MilliCpu(200), "once for each container, even when a series comes twice");
}

fn any_points() -> impl Strategy<Value = Points> {
    vec(proptest::option::weighted(0.8, -10..100_000_i64), 0..20)
}

proptest! {
    /// Whatever the usage: forecasts within 0 and twice the peak, requests within their bounds.
    #[test]
    fn bounds_hold(
        series in vec((any_points(), any_points()), 1..4),
        request in 1..5000_i64,
        memory_request in 1..100_000_i64,
        cpu_limit in proptest::option::of(1..10_000_i64),
        memory_limit in proptest::option::of(1..200_000_i64),
        adjust in 0..=1_000_000_i64,
    ) {
        let mut cluster = cluster(series.len());
        for workload in cluster.workloads.values_mut() {
            let mut container = workload.template.containers[0].clone();
            container.cpu_request = Some(MilliCpu(request));
            container.memory_request = Some(Bytes(memory_request * MIB));
            container.cpu_limit = cpu_limit.map(MilliCpu);
            container.memory_limit = memory_limit.map(|mib| Bytes(mib * MIB));
            workload.template.containers = few(vec![container]);
        }
        let policy = Predict { adjust: Ppm(adjust), ..Predict::default() };
        let usage = window(&series);
        let found = forecast(&cluster, &usage, &policy);
        prop_assert_eq!(&found, &forecast(&cluster, &usage, &policy));
        for forecast in &found.containers {
            prop_assert!(forecast.cpu.0 >= 0 && forecast.cpu.0 <= 2 * forecast.cpu_peak.0);
            prop_assert!(forecast.memory.0 >= 0 && forecast.memory.0 <= 2 * forecast.memory_peak.0);
            prop_assert!(forecast.points >= 5);
            let limit = cpu_limit.unwrap_or(i64::MAX);
            prop_assert!(forecast.cpu_request.0 <= limit);
            prop_assert!(forecast.cpu_request.0 >= policy.min_cpu.0.min(limit));
            let limit = memory_limit.map_or(i64::MAX, |mib| mib * MIB);
            prop_assert!(forecast.memory_request.0 <= limit);
            prop_assert!(forecast.memory_request.0 >= policy.min_memory.0.min(limit));
            prop_assert!(forecast.memory_request.0 * 10 >= (forecast.memory_peak.0 * 12).min(limit.saturating_mul(10)));
            // Between the present request and the forecast, where no bound takes it elsewhere.
            let between = request.min(forecast.cpu.0)..=request.max(forecast.cpu.0);
            let bounded = forecast.cpu_request == policy.min_cpu || Some(forecast.cpu_request.0) == cpu_limit;
            prop_assert!(bounded || between.contains(&forecast.cpu_request.0));
        }
        for (_, cpu, memory) in &found.nodes {
            prop_assert!(cpu.0 >= 0 && memory.0 >= 0);
        }
    }

    /// Absurd values are bounded, not overflowed.
    #[test]
    fn extremes_do_not_overflow(values in vec(proptest::option::of(0..=i64::MAX), 16)) {
        let cluster = cluster(1);
        let mut usage = window(&[(flat(1), flat(1))]);
        let mut series = usage.series[0].clone();
        series.cpu = few(values.iter().map(|value| value.map(|value| MilliCpu(value / 4))).collect());
        series.memory = few(values.iter().map(|value| value.map(|value| Bytes(value / 4))).collect());
        usage.series = Many::new(vec![series]).unwrap();
        for forecast in &forecast(&cluster, &usage, &Predict::default()).containers {
            prop_assert!(forecast.cpu.0 >= 0 && forecast.memory_request.0 > 0);
        }
    }
}
