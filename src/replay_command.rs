//! `kinema replay`: fold a recorded journal again and compare.

use std::time::{Duration, Instant};

use journal::Source;
use replay::{CheckError, CheckOptions, check};
use serde_json::{Value, json};

use crate::cli::ReplayArgs;
use crate::exit::{Exit, Problem};
use crate::journal_command;
use crate::output::{Format, Streams};

/// How often progress is said.
const SAY: Duration = Duration::from_secs(2);

/// `kinema replay`
pub(crate) fn command(args: &ReplayArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let source = journal_command::open(&args.journal)?;
    let last = source.durable_last().map_or(0, |last| last.seq);
    let mut said = Instant::now();
    let options = CheckOptions { recompute: args.check, restore: args.check, ..CheckOptions::default() };
    let report = check(&source, &options, |seq| {
        // Asking the clock for every entry would cost more than folding one.
        if seq % 1024 == 0 && said.elapsed() >= SAY {
            said = Instant::now();
            streams.say(format!("... entry {seq} of {last}"));
        }
    })
    .map_err(|error| match &error {
        CheckError::Read(read) => journal_command::read_problem(read),
        CheckError::NoBeginning { .. } => Problem::failed(format!("{} cannot be replayed", args.journal.display()))
            .because(&error)
            .fix("capture from the first entry on: kinema journal export DIR --out FILE.kjl"),
        CheckError::Digest(_) | CheckError::Checkpoint { .. } => {
            Problem::failed(format!("{} cannot be replayed", args.journal.display())).because(&error)
        }
    })?;
    match args.output.output {
        Format::Text => streams.line(report.to_string())?,
        format @ (Format::Json | Format::Yaml) => {
            let mut document = serde_json::to_value(&report).unwrap_or(Value::Null);
            document["identical"] = json!(report.identical());
            document["plansIdentical"] = json!(report.plans_identical());
            streams.document(format, &document)?;
        }
    }
    Ok(if report.identical() { Exit::Done } else { Exit::Difference })
}
