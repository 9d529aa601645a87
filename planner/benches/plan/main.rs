//! Plans and what they are worth: `cargo bench -p planner --bench plan [-- FIGURE… NAME…]`.
//!
//! For each cluster whose name contains a NAME, the figures that are asked for:
//! - `plans`, by default: time and memory of a plan, its cost and the proven bound, moves, and what rivals end with;
//! - `frontier`: what moves buy, as the plan's report says;
//! - `prices`: cost and moves of plans at several prices of a move;
//! - `evictions`: at the cost that Karpenter ends with, how many pods it evicts and how many a plan moves;
//! - `churn`: a plan of the cluster that the plan before left behind, after 1 % and 5 % of the pods were replaced;
//! - `steps`: what 4, 16 and 64 times the steps of the search buy;
//! - `seeds`: how far plans are above the bound when the search draws other lots;
//! - `first`: how soon there is a plan that is cheaper than what every rival ends with.
//!
//! `dump` writes each of them as `kubectl get -o json` would print it, for `kinema plan --cluster FILE`, into the
//! directory that KINEMA_DUMP names, or else that for temporary files.
//!
//! All but the time and the memory are the same on every run and on every machine. Clusters of
//! published traces and start states are read from the directory that KINEMA_DATA names, `../shared/data`
//! beside the project by default.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark measures time and memory")]
#![allow(clippy::print_stdout)]

#[path = "../../tests/common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;

mod aftermath;
mod dump;
mod figures;
mod instances;

use std::path::PathBuf;
use std::time::Instant;

use journal_schema::plan::PlanningInput;
use journal_schema::policy::Limits;
use journal_schema::units::MicroUsdPerHour;
use planner::rivals::{Rival, outcome};

/// Clusters beyond so many pods are left to the plan: the rivals take minutes there.
const MOST_PODS_FOR_RIVALS: usize = 40_000;

/// The most memory that this process has had, in MiB, since the last time it was forgotten.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Makes the present memory the most that this process has had.
fn forget_peak() {
    // Where the kernel does not allow that, the peak is that of all clusters so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// CPU seconds of all threads so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(") ") else { return 0.0 };
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// By how many percent a cost is above another.
fn percent_above(cost: MicroUsdPerHour, bound: MicroUsdPerHour) -> f64 {
    (cost.0 - bound.0) as f64 * 100.0 / bound.0.max(1) as f64
}

type Figure = fn(&PlanningInput);

/// What may be asked for besides `plans`.
const FIGURES: [(&str, Figure); 7] = [
    ("frontier", figures::frontier),
    ("prices", figures::prices),
    ("evictions", figures::evictions),
    ("churn", figures::churn),
    ("first", figures::first),
    ("steps", figures::steps),
    ("seeds", figures::seeds),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let is_figure = |arg: &String| arg == "plans" || arg == "dump" || FIGURES.iter().any(|(name, _)| name == arg);
    let (asked, wanted): (Vec<String>, Vec<String>) = arguments.into_iter().partition(is_figure);
    let plans = asked.is_empty() || asked.iter().any(|figure| figure == "plans");
    if plans {
        println!(
            "cluster: nodes / pods | wall, CPU, peak memory | $/h now, after, bound | above the bound | moves, share of the pods | digest"
        );
    }
    for (name, make) in instances::all() {
        if !(wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))) {
            continue;
        }
        let input = match make() {
            Ok(input) => input,
            Err(missing) => {
                println!("{name}: not measured: {missing}");
                continue;
            }
        };
        if asked.iter().any(|figure| figure == "dump") {
            write(name, &input);
        }
        if plans {
            measure(name, &input);
        }
        for (figure, print) in FIGURES.iter().filter(|(figure, _)| asked.iter().any(|asked| asked == figure)) {
            println!("{name}, {figure}:");
            print(&input);
        }
    }
}

/// Writes a cluster into a file and says where.
fn write(name: &str, input: &PlanningInput) {
    let directory = std::env::var_os("KINEMA_DUMP").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = directory.join(format!("{name}.json"));
    let written = serde_json::to_vec(&dump::dump(input)).map_err(std::io::Error::from);
    match written.and_then(|bytes| std::fs::write(&path, bytes)) {
        Ok(()) => println!("{name}: {}", path.display()),
        Err(error) => println!("{name}: {}: {error}", path.display()),
    }
}

fn measure(name: &str, input: &PlanningInput) {
    let (nodes, pods) = (input.cluster.nodes.len(), input.cluster.pods.len());
    forget_peak();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let planned = match planner::plan(input, &Limits::default()) {
        Ok(planned) => planned,
        Err(error) => {
            println!("{name}: {nodes} / {pods} | {:.2} s: {error}", began.elapsed().as_secs_f64());
            return;
        }
    };
    let (wall, cpu, peak) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu, peak_mib());
    let plan = &planned.plan;
    let digest = journal_schema::codec::digest(&planned).map(|digest| digest.to_string()).unwrap_or_default();
    println!(
        "{name}: {nodes} / {pods} | {wall:.2} s, {cpu:.2} s, {peak} MiB | {} {} {} | {:.2} % | {}, {:.1} % | {}",
        plan.cost_now,
        plan.cost_after,
        plan.lower_bound,
        percent_above(plan.cost_after, plan.lower_bound),
        plan.moves.len(),
        plan.moves.len() as f64 * 100.0 / figures::movable(input).max(1) as f64,
        &digest[..12.min(digest.len())],
    );
    if pods > MOST_PODS_FOR_RIVALS {
        return;
    }
    for rival in Rival::ALL {
        let cpu = cpu_seconds();
        let after = outcome(input, rival);
        println!(
            "  {}: {} | {:.2} % | {} moved, {} evictions in {} commands, {} pending | {:.1} s CPU",
            rival.name(),
            after.cost,
            percent_above(after.cost, plan.lower_bound),
            after.moved,
            after.evictions,
            after.commands,
            after.pending,
            cpu_seconds() - cpu,
        );
    }
}
