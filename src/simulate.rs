//! `kinema simulate`: a whole iteration in a simulated world, over the real journal, with a crash in
//! the middle.

use std::path::{Path, PathBuf};

use engine::{PhaseName, State};
use journal_schema::entry::Entry;
use journal_schema::plan::Planned;
use journal_schema::units::{Millis, Timestamp};
use simulator::Scenario;
use simulator::runner::{Crashes, Ending, Place, Progress, RunOptions, SimulationReport, run_with};

use crate::cli::SimulateArgs;
use crate::daemon::status::phase_name;
use crate::exit::{Exit, Problem};
use crate::journal_command;
use crate::output::{Format, Streams};
use crate::plan::money::{amount, grouped, hourly, monthly};

/// Where the daemon is killed, in this order, over and over.
const KILLED_IN: [PhaseName; 4] = [PhaseName::Rolling, PhaseName::Draining, PhaseName::Booting, PhaseName::Labelling];
/// More crashes than this are not a demonstration; the crash tests visit every place.
const CRASHES_MAX: u32 = 100;

/// `kinema simulate`
pub(crate) fn command(args: &SimulateArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    if args.list {
        for name in Scenario::names() {
            streams.line(name)?;
        }
        return Ok(Exit::Done);
    }
    if args.crashes > CRASHES_MAX {
        return Err(Problem::new(Exit::Usage, format!("--crashes {} is more than {CRASHES_MAX}", args.crashes)));
    }
    let text = args.output.output == Format::Text;
    let head = format!("Simulating scenario {} with seed {}, in virtual time.", args.scenario, args.seed);
    if text {
        streams.line(&head)?;
        streams.flush()?;
    } else {
        streams.say(&head);
    }
    let scenario = Scenario::find(&args.scenario, args.seed).map_err(|error| {
        Problem::new(Exit::Usage, format!("--scenario {}", args.scenario)).because(&error).fix("kinema simulate --list")
    })?;

    let (directory, _temporary) = directory(args)?;
    let options = RunOptions {
        crashes: Crashes {
            phases: KILLED_IN.iter().copied().cycle().take(args.crashes as usize).collect(),
            ..Crashes::default()
        },
        directory: Some(directory.clone()),
        iterations: 1,
    };
    let mut story = Story::default();
    let mut trouble = None;
    let report = run_with(scenario, args.seed, &options, &mut |progress| {
        if text && trouble.is_none() {
            trouble = story.tell(progress, streams).err();
        }
    })
    .map_err(|error| Problem::failed("the simulation could not be finished").because(&error))?;
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
    Ok(if well { Exit::Done } else { Exit::Failed })
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
    began: Option<Timestamp>,
    phase: Option<PhaseName>,
    entries: u64,
    plan: Option<u64>,
    now: Timestamp,
}

impl Story {
    fn tell(&mut self, progress: Progress<'_>, streams: &mut Streams) -> Result<(), Problem> {
        match progress {
            Progress::Entry(entry, state) => self.entry(entry, state, streams),
            Progress::Killed(place) => {
                let place = match place {
                    Place::BeforeAppend => "before an entry was written",
                    Place::AfterAppend => "after an entry was written, not flushed",
                    Place::BeforeFlush => "before a flush",
                    Place::AfterFlush => "with intents in the journal and nothing sent",
                    Place::BeforeRequest => "before a request was sent",
                    Place::AfterRequest => "after a request was sent, its answer lost",
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
        PhaseName::Rolling => format!("{moves} pods, surge first"),
        PhaseName::Draining => format!("{remove} empty nodes are deleted"),
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
                "{} -> {}, proven to need {}",
                hourly(report.cost_per_hour_before),
                hourly(report.cost_per_hour_after),
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
        ("Crashes", format!("{}, each resumed from the journal", report.crashes)),
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
        Some(path) => streams.line(format!(
            "The journal is in {0}:  kinema journal log {0}   kinema replay {0} --check",
            path.display()
        )),
        None => {
            streams.line("Keep the journal with --journal DIR, then: kinema journal log DIR, kinema replay DIR --check")
        }
    }
}
