//! `kinema plan`: look, plan, show, and change nothing.

pub mod input;
mod live;
pub mod money;
mod notes;
pub mod offers;
pub mod text;
pub mod view;

use journal_schema::plan::{Planned, PlanningInput};
use journal_schema::units::Timestamp;
use journal_schema::usage::Forecasts;
use serde::Serialize;

use crate::cli::PlanArgs;
use crate::config;
use crate::exit::{Exit, Problem};
use crate::output::{Format, Streams};
use view::PlanView;

/// What `--out` saves: the plan and its report, under a name and a version of the format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SavedPlan<'a> {
    api_version: &'static str,
    kind: &'static str,
    digest: &'a str,
    planned: &'a Planned,
}

/// `kinema plan`
pub fn command(args: &PlanArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let file = config::load_or_default(args.policy.as_deref())?;
    let now = args.now.as_deref().map(parse_time).transpose()?;

    let mut seen = if args.cluster.is_empty() {
        streams.say("Reading the cluster (read-only) ...");
        live::read(&args.kube, now)?
    } else {
        input::read_files(&args.cluster, now, &file.spec.policy())?
    };
    let mut policy = file.spec.at(seen.now).policy();
    input::narrow(&mut policy, args)?;
    let prices = args.prices.as_deref().or(file.spec.cloud.prices.as_deref());
    let catalogue = input::catalogue(prices, seen.now)?;
    let book = input::book(&catalogue)?;
    let free = catalogue.free_of_charge();
    if !free.is_empty() {
        seen.warnings.push(format!(
            "prices of zero are not believed and left out: {}",
            notes::named(free.iter().map(String::as_str))
        ));
    }
    seen.warnings.extend(notes::of_cluster(&seen.cluster, &book, seen.now));
    let pools = offers::pools(&seen.cluster, &catalogue, &policy, args, &mut seen.warnings)?;
    let forecasts = match args.prometheus.as_deref().or(file.spec.prometheus.url.as_deref()) {
        Some(url) => {
            streams.say(format!("Reading usage from {url} ..."));
            live::forecasts(url, &seen, &policy)?
        }
        None => Forecasts::default(),
    };
    streams.say(format!(
        "Planning {} nodes and {} pods over {} offers ...",
        money::grouped(seen.cluster.nodes.len() as u64),
        money::grouped(seen.cluster.pods.len() as u64),
        money::grouped(pools.len() as u64)
    ));
    let input = input::assemble(seen.cluster, seen.now, pools, book, forecasts, policy);
    let planned = compute(&input)?;
    seen.warnings.extend(notes::of_plan(&input.cluster, &planned));
    let view = PlanView::new(seen.name, &input, &planned, seen.warnings)
        .map_err(|error| Problem::failed("the plan cannot be encoded").because(&error))?;

    match args.output.output {
        Format::Text => text::write(&view, text::Detail { all: args.all, appliable: false }, streams)?,
        format @ (Format::Json | Format::Yaml) => streams.document(format, &view)?,
    }
    if let Some(path) = &args.out {
        let saved = SavedPlan {
            api_version: "kinema.dev/v1alpha1",
            kind: "ReschedulePlan",
            digest: &view.digest,
            planned: &planned,
        };
        let bytes = serde_json::to_vec_pretty(&saved)
            .map_err(|error| Problem::failed("the plan cannot be encoded").because(&error))?;
        std::fs::write(path, bytes).map_err(|error| {
            let problem = Problem::failed(format!("the plan cannot be saved to {}", path.display())).because(&error);
            problem.fix("give --out a file in a directory that exists, on a disk with room")
        })?;
        streams.say(format!("Saved the plan to {}", path.display()));
    }
    Ok(if args.detailed_exitcode && !view.is_empty() { Exit::Difference } else { Exit::Done })
}

fn compute(input: &PlanningInput) -> Result<Planned, Problem> {
    planner::plan(input, &input.policy.optimize.limits)
        .map_err(|error| Problem::failed("no plan could be made").because(&error))
}

fn parse_time(text: &str) -> Result<Timestamp, Problem> {
    text.parse::<jiff::Timestamp>().map(|moment| Timestamp(moment.as_millisecond())).map_err(|error| {
        Problem::new(Exit::Usage, format!("--now {text} is not a time"))
            .because(&error)
            .fix("write it as 2026-11-22T01:00:00Z")
    })
}
