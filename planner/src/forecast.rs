//! Forecast of usage, and the requests that follow from it.
//!
//! For each container of a workload's template: the mean over the workload's running pods at each
//! step, a straight line through the means (ordinary least squares), its value one horizon after
//! the window's end. The proposed request goes a part of the way from the present request to that
//! value and is then bounded.
//!
//! Rounding: floating point is used for the line only, in a fixed order and with the four basic
//! operations, so that every machine gives the same bits; the line's value is rounded to the
//! nearest integer, halves away from zero, and bounded in integers. The step of a request is
//! computed in integers and rounded up.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{ContainerFact, Key, PodFact, PodPhase, WorkloadFact, WorkloadId};
use journal_schema::plan::Cluster;
use journal_schema::policy::Predict;
use journal_schema::text::{Many, Name};
use journal_schema::units::{Bytes, MilliCpu, Ppm};
use journal_schema::usage::{ContainerSeries, Forecast, Forecasts, UsageWindow};

/// A line through fewer points says nothing.
const LEAST_POINTS: usize = 5;
/// The points must span at least this part of the policy's window: 1/3.
const LEAST_SPAN_DIVISOR: i64 = 3;
/// A forecast never exceeds this multiple of the highest value seen: a line through a short climb
/// goes to the sky.
const MOST_OF_PEAK: i64 = 2;

/// Forecasts every container of every workload that has enough usage.
///
/// - At each step the mean is over the pods that run and have a point there. A negative value is no
///   usage and counts as a gap; a step without any point is left out.
/// - A container without at least 5 steps of both CPU and memory, spanning a third of the policy's
///   window, has no forecast.
/// - One of whose usage more steps in a row are missing than the policy allows, since its first point and up to the
///   window's end, has none either: what happened meanwhile is not known.
/// - A resource that the container does not request gets none proposed: its proposal is zero.
/// - Usage per node is the sum over its containers of a line through each one's own points, or, with
///   too few of them, of the last point. Nodes without any usage are left out.
///
/// Cost: O(points · log series).
pub fn forecast(cluster: &Cluster, usage: &UsageWindow, policy: &Predict) -> Forecasts {
    let horizon = Horizon::new(usage, policy);
    let mut groups: BTreeMap<(&WorkloadId, &Name), Group<'_>> = BTreeMap::new();
    let mut nodes: BTreeMap<&Name, (MilliCpu, Bytes)> = BTreeMap::new();
    let mut seen: BTreeSet<(&Key, &Name)> = BTreeSet::new();
    for series in &usage.series {
        let Some(pod) = cluster.pods.get(&series.pod).filter(|pod| runs(pod)) else { continue };
        if !seen.insert((&series.pod, &series.container)) {
            continue;
        }
        if let Some(node) = &pod.node
            && let Some((cpu, memory)) = expected_usage(series, &horizon)
        {
            let sum = nodes.entry(node).or_default();
            *sum = (MilliCpu(sum.0.0.saturating_add(cpu.0)), Bytes(sum.1.0.saturating_add(memory.0)));
        }
        if let Some(workload) = cluster.workload_of(pod)
            && let Some(container) = template_container(workload, &series.container)
        {
            groups.entry((&workload.id, &container.name)).or_insert_with(|| Group::new(container)).add(series);
        }
    }
    let containers: Vec<Forecast> =
        groups.iter().filter_map(|((workload, _), group)| group.forecast(workload, &horizon, policy)).collect();
    let nodes: Vec<_> = nodes.into_iter().map(|(node, (cpu, memory))| (node.clone(), cpu, memory)).collect();
    // Both lists are no longer than the list of series, which has the same limit.
    Forecasts { containers: Many::new(containers).unwrap_or_default(), nodes: Many::new(nodes).unwrap_or_default() }
}

fn runs(pod: &PodFact) -> bool {
    pod.phase == PodPhase::Running && pod.deletion_at.is_none()
}

fn template_container<'a>(workload: &'a WorkloadFact, name: &Name) -> Option<&'a ContainerFact> {
    workload.template.containers.iter().find(|container| container.name == *name)
}

/// The pods' usage of one container of a template.
struct Group<'a> {
    container: &'a ContainerFact,
    cpu: Means,
    memory: Means,
}

impl<'a> Group<'a> {
    fn new(container: &'a ContainerFact) -> Self {
        Self { container, cpu: Means::default(), memory: Means::default() }
    }

    fn add(&mut self, series: &ContainerSeries) {
        self.cpu.add(series.cpu.iter().map(|value| value.map(|cpu| cpu.0)));
        self.memory.add(series.memory.iter().map(|value| value.map(|memory| memory.0)));
    }

    fn forecast(&self, workload: &WorkloadId, horizon: &Horizon, policy: &Predict) -> Option<Forecast> {
        let cpu = MilliCpu(horizon.value(&self.cpu)?);
        let memory = Bytes(horizon.value(&self.memory)?);
        let cpu_peak = MilliCpu(self.cpu.peak);
        let memory_peak = Bytes(self.memory.peak);
        let points = self.cpu.sums.len().min(self.memory.sums.len());
        Some(Forecast {
            workload: workload.clone(),
            container: self.container.name.clone(),
            cpu,
            memory,
            cpu_peak,
            memory_peak,
            points: u32::try_from(points).unwrap_or(u32::MAX),
            cpu_request: proposed_cpu(self.container, cpu, policy),
            memory_request: proposed_memory(self.container, memory, memory_peak, policy),
        })
    }
}

/// The CPU request to propose: stepped, then at least the policy's minimum, then at most the
/// container's limit. Zero when the container requests none.
fn proposed_cpu(container: &ContainerFact, forecast: MilliCpu, policy: &Predict) -> MilliCpu {
    let Some(request) = container.cpu_request else { return MilliCpu::ZERO };
    let wanted = MilliCpu(step(request.0, forecast.0, policy.adjust)).max(policy.min_cpu);
    container.cpu_limit.map_or(wanted, |limit| wanted.min(limit))
}

/// The memory request to propose: stepped, then at least the policy's minimum and the highest
/// usage seen with its margin (a container that needs more than the node kept for it is the first
/// to be killed), then at most the container's limit. Zero when the container requests none.
fn proposed_memory(container: &ContainerFact, forecast: Bytes, peak: Bytes, policy: &Predict) -> Bytes {
    let Some(request) = container.memory_request else { return Bytes::ZERO };
    let guard = Bytes(scaled_up(peak.0, 1_000_000 + policy.memory_margin.0));
    let wanted = Bytes(step(request.0, forecast.0, policy.adjust)).max(policy.min_memory).max(guard);
    container.memory_limit.map_or(wanted, |limit| wanted.min(limit))
}

/// `request + adjust × (forecast − request)`, rounded up, never negative.
fn step(request: i64, forecast: i64, adjust: Ppm) -> i64 {
    let difference = i128::from(forecast) - i128::from(request);
    let change = divided_up(difference * i128::from(adjust.0), 1_000_000);
    saturated(i128::from(request) + change).max(0)
}

/// `value × ppm / 1,000,000`, rounded up.
fn scaled_up(value: i64, ppm: i64) -> i64 {
    saturated(divided_up(i128::from(value) * i128::from(ppm), 1_000_000))
}

fn divided_up(dividend: i128, divisor: i128) -> i128 {
    dividend.div_euclid(divisor) + i128::from(dividend.rem_euclid(divisor) != 0)
}

fn saturated(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Sums of several series at each step, and the highest single value.
#[derive(Default)]
struct Means {
    /// Step, sum of the values there and their number; steps without a value are absent.
    sums: BTreeMap<usize, (i128, u32)>,
    peak: i64,
}

impl Means {
    fn add(&mut self, values: impl Iterator<Item = Option<i64>>) {
        for (step, value) in values.enumerate() {
            let Some(value) = value.filter(|value| *value >= 0) else { continue };
            let (sum, count) = self.sums.entry(step).or_default();
            *sum += i128::from(value);
            *count += 1;
            self.peak = self.peak.max(value);
        }
    }
}

/// Where the line is read.
struct Horizon {
    /// Distance from the first step to the horizon, in steps.
    at: f64,
    /// Least distance between the first and the last point, in steps, rounded up.
    least_span: usize,
    /// Number of the last step.
    last: usize,
    /// Most steps in a row that may be missing.
    max_gap: usize,
}

impl Horizon {
    #[expect(clippy::cast_precision_loss, reason = "spans of time in milliseconds are exact in a double")]
    fn new(usage: &UsageWindow, policy: &Predict) -> Self {
        let steps = usage.series.iter().map(|series| series.cpu.len().max(series.memory.len())).max().unwrap_or(0);
        let step = usage.step.0.max(1);
        let last = i64::try_from(steps).unwrap_or(i64::MAX).saturating_sub(1);
        let least_span = divided_up(i128::from(policy.window.0), i128::from(step) * i128::from(LEAST_SPAN_DIVISOR));
        Self {
            at: last as f64 + policy.horizon.0 as f64 / step as f64,
            least_span: usize::try_from(least_span).unwrap_or(0),
            last: steps.saturating_sub(1),
            max_gap: usize::try_from(policy.max_gap).unwrap_or(usize::MAX),
        }
    }

    /// The line's value at the horizon, between zero and twice the peak; `None` without enough points.
    fn value(&self, means: &Means) -> Option<i64> {
        let first = *means.sums.keys().next()?;
        let last = *means.sums.keys().next_back()?;
        if means.sums.len() < LEAST_POINTS || last - first < self.least_span || self.gap(means) > self.max_gap {
            return None;
        }
        let most = means.peak.saturating_mul(MOST_OF_PEAK);
        Some(rounded(self.line(means)).clamp(0, most))
    }

    /// The most steps in a row that are missing after the first point.
    fn gap(&self, means: &Means) -> usize {
        let steps = means.sums.keys().copied();
        let after = means.sums.keys().skip(1).copied().chain(std::iter::once(self.last + 1));
        steps.zip(after).map(|(step, next)| next.saturating_sub(step + 1)).max().unwrap_or(0)
    }

    /// Ordinary least squares: slope = Σ(x−x̄)(y−ȳ) / Σ(x−x̄)². At least two different steps are
    /// given, so the divisor is positive.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a step's number and a count are exact in a double; usage is rounded to 53 bits"
    )]
    fn line(&self, means: &Means) -> f64 {
        let points: Vec<(f64, f64)> =
            means.sums.iter().map(|(step, (sum, count))| (*step as f64, *sum as f64 / f64::from(*count))).collect();
        let count = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let mut products = 0.0;
        let mut squares = 0.0;
        for (x, y) in &points {
            products += (x - mean_x) * (y - mean_y);
            squares += (x - mean_x) * (x - mean_x);
        }
        mean_y + products / squares * (self.at - mean_x)
    }
}

/// To the nearest integer, halves away from zero. A value beyond the range of integers becomes the
/// nearest end of it.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn rounded(value: f64) -> i64 {
    value.round() as i64
}

/// What one container is expected to use at the horizon: by its own line, or its last point.
fn expected_usage(series: &ContainerSeries, horizon: &Horizon) -> Option<(MilliCpu, Bytes)> {
    let mut cpu = Means::default();
    cpu.add(series.cpu.iter().map(|value| value.map(|cpu| cpu.0)));
    let mut memory = Means::default();
    memory.add(series.memory.iter().map(|value| value.map(|memory| memory.0)));
    if cpu.sums.is_empty() && memory.sums.is_empty() {
        return None;
    }
    let value = |means: &Means| horizon.value(means).unwrap_or_else(|| last_point(means));
    Some((MilliCpu(value(&cpu)), Bytes(value(&memory))))
}

fn last_point(means: &Means) -> i64 {
    means.sums.values().next_back().map_or(0, |(sum, _)| saturated(*sum))
}
