//! `kinema simulate`: a whole iteration in a simulated world, over the real journal, with a crash in
//! the middle.

use std::path::{Path, PathBuf};

use driver::DriverError;
use engine::{PhaseName, State};
use journal_schema::entry::Entry;
use journal_schema::plan::Planned;
use journal_schema::units::{Millis, Timestamp};
use simulator::Scenario;
use simulator::prove::{Repro, swarm};
use simulator::runner::{Crashes, Ending, Place, Progress, RunError, RunOptions, SimulationReport, run_with};
use simulator::scenario::Expected;

use crate::cli::SimulateArgs;
use crate::daemon::status::phase_name;
use crate::exit::{Exit, Problem};
use crate::journal_command;
use crate::output::{Format, Streams};
use crate::plan::money::{amount, grouped, hourly, monthly};
use crate::scenario;

/// Where the daemon is killed, in this order, over and over.
const KILLED_IN: [PhaseName; 4] = [PhaseName::Rolling, PhaseName::Draining, PhaseName::Booting, PhaseName::Labelling];
/// More crashes than this are not a demonstration; the crash tests visit every place.
const CRASHES_MAX: u32 = 100;

/// `kinema simulate`
pub(crate) fn command(args: &SimulateArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    if args.list {
        return list(args, streams);
    }
    if let Some(given) = &args.print_scenario {
        streams.bytes(scenario::print(&scenario::find(given, args.seed)?)?.as_bytes())?;
        return Ok(Exit::Done);
    }
    if let Some(file) = &args.repro {
        return repro(file, args, streams);
    }
    if args.crashes > CRASHES_MAX {
        return Err(Problem::new(Exit::Usage, format!("--crashes {} is more than {CRASHES_MAX}", args.crashes)));
    }
    let text = args.output.output == Format::Text;
    if args.flushes && !text {
        return Err(Problem::new(Exit::Usage, "--flushes is a part of the text: leave out --output"));
    }
    let scenario = scenario::find(&args.scenario, args.seed)?;
    let expected = scenario.expected;
    let head = format!("Simulating scenario {} with seed {}, in virtual time.", scenario.name, args.seed);
    if text {
        streams.line(&head)?;
        streams.flush()?;
    } else {
        streams.say(&head);
    }
    let (directory, _temporary) = directory(args)?;
    let options = RunOptions {
        crashes: Crashes {
            phases: KILLED_IN.iter().copied().cycle().take(args.crashes as usize).collect(),
            ..Crashes::default()
        },
        directory: Some(directory.clone()),
        ..RunOptions::default()
    };
    let mut story = Story { flushes: args.flushes, ..Story::default() };
    let mut trouble = None;
    let report = run_with(scenario, args.seed, &options, &mut |progress| {
        if text && trouble.is_none() {
            trouble = story.tell(progress, streams).err();
        }
    })
    .map_err(|error| unfinished(&error, &directory))?;
    if let Some(problem) = trouble {
        return Err(problem);
    }
    if args.journal.is_some() {
        settle(&directory)?;
    }
    match args.output.output {
        Format::Text => summary(&report, args, streams)?,
        format @ (Format::Json | Format::Yaml) => streams.document(format, &report)?,
    }
    let well = report.replay_identical && report.leftovers == 0 && report.invariant_violations == 0;
    if !as_expected(expected, report.ending) {
        streams.insist(format!("The scenario expects another end: {expected:?}."));
        return Ok(Exit::Difference);
    }
    Ok(if well { Exit::Done } else { Exit::Failed })
}

/// Runs a case that once went wrong.
fn repro(file: &Path, args: &SimulateArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let wrong = |what: &str| Problem::new(Exit::Config, format!("{}: {what}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong("the file cannot be read").because(&error))?;
    let repro = Repro::read(&text).map_err(|error| {
        wrong("this is no repro")
            .because(&error)
            .fix("`cargo run -p simulator --release -- prove --save DIR` writes them")
    })?;
    let verdict = repro.judge();
    let report = verdict.run.as_ref().map(|(report, _)| report);
    match args.output.output {
        Format::Text => {
            streams.line(format!("{}, found by {}.", swarm::options(&repro.case), repro.found_by))?;
            if !repro.note.is_empty() {
                streams.line(&repro.note)?;
            }
            for complaint in &repro.complaints {
                streams.line(format!("  was wrong: {complaint}"))?;
            }
            if let Some(report) = report {
                let took = Millis::from_secs(report.virtual_seconds);
                streams.line(format!("It ends {:?} after {took} of virtual time.", report.ending))?;
            }
            for complaint in &verdict.complaints {
                streams.line(format!("  ! {complaint}"))?;
            }
            if verdict.complaints.is_empty() {
                streams.line("Nothing is wrong with it now.")?;
            }
        }
        format @ (Format::Json | Format::Yaml) => {
            let view = serde_json::json!({
                "case": repro.case.name,
                "foundBy": repro.found_by,
                "note": repro.note,
                "wasWrong": repro.complaints,
                "isWrong": verdict.complaints,
                "report": report,
            });
            streams.document(format, &view)?;
        }
    }
    Ok(if verdict.complaints.is_empty() { Exit::Done } else { Exit::Failed })
}

/// The built-in scenarios, each with what it is for.
fn list(args: &SimulateArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let mut all = Vec::new();
    for name in Scenario::names() {
        let about = Scenario::find(&name, args.seed).map(|scenario| scenario.about).unwrap_or_default();
        all.push((name, about));
    }
    match args.output.output {
        Format::Text => {
            for (name, about) in all {
                streams.line(format!("{name:<15} {about}"))?;
            }
        }
        format @ (Format::Json | Format::Yaml) => {
            let view: Vec<_> =
                all.iter().map(|(name, about)| serde_json::json!({"name": name, "about": about})).collect();
            streams.document(format, &view)?;
        }
    }
    Ok(Exit::Done)
}

fn as_expected(expected: Expected, ending: Ending) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Completed => ending == Ending::Completed,
        Expected::Unwound => ending == Ending::Unwound,
        Expected::Untouched => ending == Ending::Untouched,
    }
}

/// Why a run did not come to its end.
fn unfinished(error: &RunError, directory: &Path) -> Problem {
    match error {
        RunError::Build(build) => Problem::new(Exit::Config, "the scenario cannot be built").because(build),
        RunError::Open(open) => journal_command::open_problem(open),
        RunError::Driver(driver) => match driver.as_ref() {
            DriverError::Append(append) => journal_command::append_problem(append, directory),
            DriverError::Fold(_) | DriverError::Step(_) | DriverError::TooManyEffects { .. } => {
                Problem::failed("the simulation could not be finished").because(driver.as_ref())
            }
        },
    }
}

/// Brings the index of a journal that is kept up to date: a run of seconds ends before it is, and the
/// index is the second copy that `kinema journal repair` mends from.
fn settle(directory: &Path) -> Result<(), Problem> {
    let options = journal::Options { create: false, ..journal::Options::default() };
    let (journal, _) =
        journal::FileJournal::open(directory, options).map_err(|error| journal_command::open_problem(&error))?;
    journal.close().map_err(|error| journal_command::append_problem(&error, directory))
}

/// The journal's directory, and what removes it again when it is a temporary one.
fn directory(args: &SimulateArgs) -> Result<(PathBuf, Option<tempfile::TempDir>), Problem> {
    if let Some(path) = &args.journal {
        let used = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(Problem::failed(format!("{} is not empty", path.display()))
                .fix("a simulation begins a new journal: give a new directory"));
        }
        return Ok((path.clone(), None));
    }
    let temporary = tempfile::Builder::new().prefix("kinema-simulate-").tempdir().map_err(|error| {
        Problem::failed("no temporary directory for the journal").because(&error).fix("give one with --journal DIR")
    })?;
    Ok((temporary.path().join("journal"), Some(temporary)))
}

/// What is told of a run: the phases, the plan, the crashes.
#[derive(Default)]
struct Story {
    /// Tell each flush.
    flushes: bool,
    began: Option<Timestamp>,
    phase: Option<PhaseName>,
    entries: u64,
    plan: Option<u64>,
    /// Nodes of the iteration that stay against the plan.
    spared: usize,
    now: Timestamp,
}

impl Story {
    fn tell(&mut self, progress: Progress<'_>, streams: &mut Streams) -> Result<(), Problem> {
        match progress {
            Progress::Entry(entry, state) => self.entry(entry, state, streams),
            Progress::Flushed(seq) if self.flushes => {
                streams.line(format!("{}  durable up to entry {seq}", self.clock()))?;
                // Whoever kills the program goes by it.
                streams.flush()
            }
            Progress::Flushed(_) => Ok(()),
            Progress::Killed(place) => {
                let place = match place {
                    Place::BeforeAppend => "before an entry was written",
                    Place::AfterAppend => "after an entry was written, not flushed",
                    Place::BeforeFlush => "before a flush",
                    Place::AfterFlush => "with intents in the journal and nothing sent",
                    Place::BeforeRequest => "before a request was sent",
                    Place::AfterRequest => "after a request was sent, its answer lost",
                    Place::JournalFailed => "by itself, because its journal failed",
                };
                streams.line(format!("{}  ! killed {place}", self.clock()))
            }
            Progress::Resumes(at) => {
                self.now = at;
                streams.line(format!(
                    "{}  ! started again: the journal's {} entries are folded",
                    self.clock(),
                    grouped(self.entries)
                ))
            }
        }
    }

    fn clock(&self) -> String {
        let since = self.began.map_or(Millis(0), |began| self.now.since(began));
        let seconds = since.0 / 1000;
        format!("{:>3}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60)
    }

    fn entry(&mut self, entry: &Entry, state: &State, streams: &mut Streams) -> Result<(), Problem> {
        self.began.get_or_insert(entry.at);
        self.now = entry.at;
        self.entries = entry.seq;
        let phase = state.phase().name();
        let before = self.phase.replace(phase);
        // In mode Auto a plan is decided on in the step that receives it.
        if let Some((_, planned)) = state.planned()
            && self.plan.is_none_or(|told| told < planned.plan.iteration)
        {
            self.plan = Some(planned.plan.iteration);
            streams.line(format!("{}  {:<11}{}", self.clock(), phase_name(PhaseName::Deciding), plan_line(planned)))?;
        }
        let spared = state.phase().iteration().map_or(0, |iteration| iteration.spared.len());
        if spared > self.spared {
            let stay = if spared - self.spared == 1 { "a node stays" } else { "nodes stay" };
            streams.line(format!("{}  ! {stay} after all: a pod could not be moved", self.clock()))?;
        }
        self.spared = spared;
        let began = before.is_none() || before.is_some_and(|before| before != phase);
        if began && phase != PhaseName::Deciding {
            streams.line(format!("{}  {:<11}{}", self.clock(), phase_name(phase), about(phase, state)))?;
        }
        if began {
            // Whoever watches sees each phase as it begins.
            streams.flush()?;
        }
        Ok(())
    }
}

fn plan_line(planned: &Planned) -> String {
    let plan = &planned.plan;
    let (add, remove, moves) = (plan.add.len(), plan.remove.len(), plan.moves.len());
    let share = journal_schema::units::Ppm(-plan.savings().0);
    format!(
        "+{add} -{remove} nodes, {moves} pods move: {} -> {} ({share})",
        hourly(plan.cost_now),
        hourly(plan.cost_after)
    )
}

fn about(phase: PhaseName, state: &State) -> String {
    let plan = state.phase().iteration().map(|iteration| &iteration.planned.plan);
    let (add, remove, moves) = plan.map_or((0, 0, 0), |plan| (plan.add.len(), plan.remove.len(), plan.moves.len()));
    match phase {
        PhaseName::Observing => match state.last_finished() {
            Some(last) if last.unwound => "everything was undone".to_owned(),
            Some(last) if last.reason.is_some() => "nothing was changed".to_owned(),
            Some(_) => format!("done: the cluster costs {}", hourly(state.ledger().rate())),
            None => "until the cluster is at rest".to_owned(),
        },
        PhaseName::Predicting => {
            format!("{} nodes, {} pods at rest", state.cluster().nodes.len(), state.cluster().pods.len())
        }
        PhaseName::Optimizing => "every placement that the rules allow".to_owned(),
        PhaseName::Deciding => String::new(),
        PhaseName::Booting => format!("{add} machines"),
        PhaseName::Labelling => format!("{remove} nodes leave, the others stay"),
        PhaseName::Rolling => match plan.map_or(0, |plan| plan.waves.len()) {
            0 | 1 => format!("{moves} pods, surge first"),
            waves => format!("{moves} pods, surge first, in {waves} waves"),
        },
        PhaseName::Draining => {
            let leaving = state.phase().iteration().map_or(0, |iteration| iteration.leaving().count());
            format!("{leaving} empty nodes are deleted")
        }
        PhaseName::Unwinding => "everything is undone, newest first".to_owned(),
    }
}

fn summary(report: &SimulationReport, args: &SimulateArgs, streams: &mut Streams) -> Result<(), Problem> {
    let ending = match report.ending {
        Ending::Completed => "one iteration was carried out".to_owned(),
        Ending::Unwound => format!("one iteration was unwound ({})", report.reason.as_deref().unwrap_or("no reason")),
        Ending::Untouched => format!("nothing was changed ({})", report.reason.as_deref().unwrap_or("no reason")),
        Ending::Unfinished => "the time was up in the middle".to_owned(),
    };
    let saved = report.cost_per_hour_before - report.cost_per_hour_after;
    let found = |number: usize| if number == 0 { "none".to_owned() } else { grouped(number as u64) };
    let rows = [
        ("Result", ending),
        (
            "Cost",
            format!(
                "{} -> {}{}, proven to need {}",
                hourly(report.cost_per_hour_before),
                hourly(report.cost_per_hour_after),
                match report.planned_cost_per_hour {
                    Some(planned) if report.ending == Ending::Completed && planned < report.cost_per_hour_after =>
                        format!(" (planned {})", hourly(planned)),
                    _ => String::new(),
                },
                hourly(report.lower_bound_per_hour)
            ),
        ),
        ("Saves", format!("{} ({})", hourly(saved), monthly(saved))),
        (
            "Paid",
            format!(
                "{} in {}; without kinema it would have been {}",
                amount(report.integrated_cost),
                Millis::from_secs(report.virtual_seconds),
                amount(report.untouched_cost)
            ),
        ),
        (
            "Moved",
            format!(
                "{} pods; {} pod-seconds unavailable",
                grouped(report.moves),
                grouped(report.unavailable_pod_seconds.unsigned_abs())
            ),
        ),
        ("Machines", format!("{} booted, {} deleted", report.machines.0, report.machines.1)),
        (
            "Crashes",
            match report.crashes {
                0 => "none".to_owned(),
                crashes => format!("{crashes}, each resumed from the journal"),
            },
        ),
        (
            "Journal",
            format!(
                "{} entries, replayed {}",
                grouped(report.journal_entries),
                if report.replay_identical { "to the same bytes" } else { "DIFFERENTLY" }
            ),
        ),
        ("Left over", found(report.leftovers)),
        ("Rules broken", found(report.invariant_violations)),
    ];
    streams.line("")?;
    for (name, value) in rows {
        streams.line(format!("{name:<13} {value}"))?;
    }
    let details = report.replay_difference.iter().chain(&report.leftover_list).chain(&report.violation_list);
    for detail in details {
        streams.line(format!("  ! {detail}"))?;
    }
    streams.line("")?;
    match &args.journal {
        Some(path) => {
            streams.line(format!("The journal is in {}. To read it, and to fold it again:", path.display()))?;
            streams.line(format!("  kinema journal log {}", path.display()))?;
            streams.line(format!("  kinema replay {} --check", path.display()))
        }
        None => streams.line("To keep the journal: --journal DIR. Then: kinema replay DIR --check"),
    }
}
