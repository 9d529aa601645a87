//! Plans of synthetic clusters: time, memory, cost, bound, gap, moves.
//!
//! `cargo run -p planner --release --example bench_plan [-- NODES…] [--deleted PERCENT] [--families e2,n2,c3] [--seed N] [--steps N]`

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark measures time and memory")]

#[path = "../tests/common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;

use std::io::Write;
use std::time::Instant;

use journal_schema::policy::Limits;
use synthetic::{Shape, generate};

/// The most memory that this process has had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// CPU seconds that this process has used: on a busy machine the clock on the wall says little.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() -> std::io::Result<()> {
    let mut sizes: Vec<usize> = Vec::new();
    let (mut deleted, mut seed, mut families, mut steps) =
        (50, 1, "e2,n2,c3".to_owned(), Limits::default().search_steps);
    let mut penalty = None;
    let mut lint = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_default();
        match arg.as_str() {
            "--deleted" => deleted = value().parse().unwrap_or(deleted),
            "--seed" => seed = value().parse().unwrap_or(seed),
            "--steps" => steps = value().parse().unwrap_or(steps),
            "--families" => families = value(),
            "--lint" => lint = true,
            "--penalty" => penalty = value().parse::<i64>().ok(),
            size => sizes.extend(size.parse::<usize>()),
        }
    }
    if sizes.is_empty() {
        sizes = vec![100, 1000];
    }
    let families: &'static [&'static str] = Box::leak(
        families
            .split(',')
            .map(|f| &*Box::leak(f.to_owned().into_boxed_str()))
            .collect::<Vec<&'static str>>()
            .into_boxed_slice(),
    );
    let mut out = std::io::stdout().lock();
    for nodes in sizes {
        let mut input = generate(&Shape { nodes, deleted_percent: deleted, families, seed });
        if let Some(penalty) = penalty {
            input.policy.optimize.move_penalty.0 = penalty;
        }
        let (real_nodes, pods) = (input.cluster.nodes.len(), input.cluster.pods.len());
        let before = peak_mib();
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let planned = planner::plan(&input, &Limits { search_steps: steps, ..Limits::default() });
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - cpu;
        match planned {
            Ok(planned) => {
                let plan = &planned.plan;
                let digest = journal_schema::codec::digest(&planned).map(|d| d.to_string()).unwrap_or_default();
                writeln!(
                    out,
                    "{real_nodes} nodes / {pods} pods: {cpu:.2} s CPU, {seconds:.2} s wall, peak {} MiB (input {before} MiB); now {} after {} bound {} gap {} saving {}; {} moves, +{} -{} nodes; digest {}",
                    peak_mib(),
                    plan.cost_now,
                    plan.cost_after,
                    plan.lower_bound,
                    plan.gap(),
                    plan.savings(),
                    plan.moves.len(),
                    plan.add.len(),
                    plan.remove.len(),
                    &digest[..12.min(digest.len())],
                )?;
                if lint {
                    let start = Instant::now();
                    let findings = planner::lint::lint(&input, &planned);
                    writeln!(out, "  lint: {} findings in {:.2} s", findings.len(), start.elapsed().as_secs_f64())?;
                    for finding in findings.iter().take(12) {
                        writeln!(out, "  {finding}")?;
                    }
                }
            }
            Err(error) => writeln!(out, "{real_nodes} nodes / {pods} pods: {seconds:.2} s: {error}")?,
        }
    }
    Ok(())
}
