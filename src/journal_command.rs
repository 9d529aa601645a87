//! `kinema journal ...`, and what journal errors mean to people.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use journal::ndjson::NdjsonError;
use journal::verify::{HeadReport, IndexReport, Verification};
use journal::{
    AnySource, AppendError, Capture, IoError, OpenError, ReadError, Source, SourceError, capture, open_source,
};
use journal_schema::entry::Entry;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{
    ExportFormat, JournalCommand, JournalExportArgs, JournalImportArgs, JournalLogArgs, JournalReadArgs,
    JournalRepairArgs, JournalShowArgs,
};
use crate::entry_text;
use crate::exit::{Exit, Problem};
use crate::output::{Format, Streams};

/// Entries between two lines of progress.
const PROGRESS_EVERY: u64 = 200_000;

/// `kinema journal ...`
pub(crate) fn command(command: &JournalCommand, streams: &mut Streams) -> Result<Exit, Problem> {
    match command {
        JournalCommand::Log(args) => log(args, streams),
        JournalCommand::Show(args) => show(args, streams),
        JournalCommand::Verify(args) => verify(args, streams),
        JournalCommand::Repair(args) => repair(args, streams),
        JournalCommand::Export(args) => export(args, streams),
        JournalCommand::Import(args) => import(args, streams),
    }
}

/// Opens a journal's directory or a capture to read.
pub(crate) fn open(path: &Path) -> Result<AnySource, Problem> {
    if !path.exists() {
        return Err(Problem::failed(format!("{} does not exist", path.display()))
            .fix("give a capture (.kjl) or the directory of a journal"));
    }
    open_source(path).map_err(|error| match &error {
        SourceError::Journal(open) => open_problem(open),
        SourceError::Capture(_) => Problem::failed(format!("{} cannot be read", path.display())).because(&error),
    })
}

/// A journal could not be opened.
pub(crate) fn open_problem(error: &OpenError) -> Problem {
    let problem = Problem::failed("the journal cannot be opened").because(error);
    match error {
        OpenError::Io(io) => io_problem(io),
        OpenError::Locked { dir, .. } => problem.fix(format!(
            "only one daemon works on a journal: stop the other one, or give this one its own directory (--journal), not {}",
            dir.display()
        )),
        OpenError::NotAJournal { .. } => problem.fix("give the directory that was given to kinema run --journal"),
        // These say in their own words what to do.
        OpenError::Damaged { .. } | OpenError::TailLost { .. } => problem,
        OpenError::NewerFormat { .. } | OpenError::NewerSchema { .. } => problem.fix("use the version of kinema that wrote it, or a later one"),
        OpenError::Foreign { .. } => problem.fix("give kinema run a directory of its own"),
    }
}

/// An entry could not be made durable.
pub(crate) fn append_problem(error: &AppendError, dir: &Path) -> Problem {
    match error {
        AppendError::Io(io) => io_problem(io),
        AppendError::Encode { .. }
        | AppendError::Sequence { .. }
        | AppendError::Time { .. }
        | AppendError::Stopped { .. } => Problem::failed(format!(
            "the journal in {} takes no entries; nothing was done that is not in it",
            dir.display()
        ))
        .because(error),
    }
}

fn io_problem(error: &IoError) -> Problem {
    let path = error.path.display();
    let problem = Problem::failed(format!("cannot {} {path}", error.action)).because(&error.source);
    match error.source.kind() {
        // A file that may not grow is a full disk to whoever writes it.
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::QuotaExceeded
        | std::io::ErrorKind::FileTooLarge => problem.fix(format!(
            "make room on the disk that holds {path} (or raise the quota or ulimit -f), then start again: nothing was done that is not in the journal"
        )),
        std::io::ErrorKind::PermissionDenied => {
            problem.fix("give this user the right to write there, or choose another directory")
        }
        std::io::ErrorKind::ReadOnlyFilesystem => problem.fix("choose a directory on a disk that can be written"),
        _ => problem,
    }
}

/// An entry could not be read.
pub(crate) fn read_problem(error: &ReadError) -> Problem {
    let problem = Problem::failed("the journal cannot be read to its end").because(error);
    match error {
        ReadError::Io(io) => io_problem(io),
        ReadError::Damaged(_) => {
            problem.fix("kinema journal verify shows all of the damage, kinema journal repair mends it")
        }
        ReadError::BeforeStart { .. } | ReadError::NewerSchema { .. } | ReadError::Capture(_) => problem,
    }
}

fn document(entry: &Entry) -> Result<Value, Problem> {
    let text = journal::ndjson::line(entry)
        .map_err(|error| Problem::failed(format!("entry {} cannot be written", entry.seq)).because(&error))?;
    serde_json::from_str(&text)
        .map_err(|error| Problem::failed(format!("entry {} cannot be written", entry.seq)).because(&error))
}

fn log(args: &JournalLogArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let source = open(&args.journal)?;
    let from = args.from.unwrap_or(0).max(source.first_seq());
    let mut tail: VecDeque<Entry> = VecDeque::new();
    for entry in source.read(from) {
        let entry = entry.map_err(|error| read_problem(&error))?;
        if args.to.is_some_and(|to| entry.seq > to) {
            break;
        }
        if entry.seq % PROGRESS_EVERY == 0 {
            streams.say(format!("... entry {}", entry.seq));
        }
        if args.kind.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case(entry.event.name())) {
            continue;
        }
        match args.tail {
            None => write_entry(&entry, args.output.output, streams)?,
            Some(most) => {
                tail.push_back(entry);
                if tail.len() > most {
                    tail.pop_front();
                }
            }
        }
    }
    for entry in &tail {
        write_entry(entry, args.output.output, streams)?;
    }
    Ok(Exit::Done)
}

/// Text: a line; JSON: a line of NDJSON, so that a log of any length can be streamed; YAML: a document.
fn write_entry(entry: &Entry, format: Format, streams: &mut Streams) -> Result<(), Problem> {
    match format {
        Format::Text => streams.line(entry_text::line(entry)),
        Format::Json => streams.line(document(entry)?.to_string()),
        Format::Yaml => {
            streams.line("---")?;
            streams.document(Format::Yaml, &document(entry)?)
        }
    }
}

fn show(args: &JournalShowArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let source = open(&args.journal)?;
    let last = source.durable_last().map_or(0, |last| last.seq);
    let missing = || {
        Problem::failed(format!("there is no entry {} in {}", args.seq, args.journal.display()))
            .fix(format!("it has entries {} to {last}", source.first_seq()))
    };
    if args.seq < source.first_seq() || args.seq > last {
        return Err(missing());
    }
    let entry = source.read(args.seq).next().ok_or_else(missing)?.map_err(|error| read_problem(&error))?;
    match args.output.output {
        Format::Text => {
            streams.line(entry_text::line(&entry))?;
            streams.document(Format::Yaml, &document(&entry)?["event"])?;
        }
        format @ (Format::Json | Format::Yaml) => streams.document(format, &document(&entry)?)?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationView {
    sound: bool,
    id: Option<String>,
    imported: bool,
    in_use: bool,
    segments: usize,
    entries: u64,
    last_seq: u64,
    chain: Option<String>,
    torn_tail_bytes: u64,
    head: &'static str,
    index: &'static str,
    newest_schema: u16,
    damage: Vec<String>,
}

fn verification(report: &Verification) -> VerificationView {
    VerificationView {
        sound: report.sound(),
        id: report.id.map(|id| id.to_string()),
        imported: report.foreign,
        in_use: report.in_use,
        segments: report.segments.len(),
        entries: report.entries,
        last_seq: report.last_seq,
        chain: report.chain.map(|chain| chain.to_string()),
        torn_tail_bytes: report.torn_tail,
        head: match report.head {
            HeadReport::Agrees => "Agrees",
            HeadReport::Lags { .. } => "Lags",
            HeadReport::Leads { .. } => "Leads",
            HeadReport::Differs => "Differs",
            HeadReport::Damaged => "Damaged",
            HeadReport::Missing => "Missing",
        },
        index: match report.index {
            IndexReport::Agrees { .. } => "Agrees",
            IndexReport::Differs(_) => "Differs",
            IndexReport::Missing => "Missing",
            IndexReport::NotRead => "NotRead",
        },
        newest_schema: report.newest_schema,
        damage: report.damage.iter().map(ToString::to_string).collect(),
    }
}

fn verify(args: &JournalReadArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    if args.journal.is_dir() {
        let report = journal::verify::verify(&args.journal).map_err(|error| open_problem(&error))?;
        match args.output.output {
            Format::Text => streams.line(report.to_string())?,
            format @ (Format::Json | Format::Yaml) => streams.document(format, &verification(&report))?,
        }
        return Ok(if report.sound() { Exit::Done } else { Exit::Failed });
    }
    // A capture's hash is verified by opening it; its entries by reading them.
    let source = open(&args.journal)?;
    let mut entries = 0_u64;
    for entry in source.read(source.first_seq()) {
        entry.map_err(|error| read_problem(&error))?;
        entries += 1;
    }
    let last = source.durable_last().map_or(0, |last| last.seq);
    match args.output.output {
        Format::Text => {
            streams.line(format!("Capture {}, id {}", args.journal.display(), source.id()))?;
            streams.line(format!("  entries   {entries}: {} to {last}", source.first_seq()))?;
            streams.line("Sound.")?;
        }
        format @ (Format::Json | Format::Yaml) => {
            let view = json!({"sound": true, "id": source.id().to_string(), "entries": entries, "lastSeq": last, "damage": []});
            streams.document(format, &view)?;
        }
    }
    Ok(Exit::Done)
}

fn repair(args: &JournalRepairArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let repaired = if args.accept_prefix {
        journal::repair::accept_prefix(&args.journal)
    } else {
        journal::repair::from_index(&args.journal)
    };
    let repaired = repaired.map_err(|error| {
        use journal::repair::RepairError;
        let problem = Problem::failed("the journal was not repaired").because(&error);
        match &error {
            RepairError::Open(open) => open_problem(open),
            RepairError::Io(io) => io_problem(io),
            RepairError::Incomplete { .. } => {
                problem.fix(format!("kinema journal repair {} --accept-prefix", args.journal.display()))
            }
            RepairError::NothingLeft { .. } => problem,
        }
    })?;
    streams.line(repaired.to_string())?;
    Ok(Exit::Done)
}

fn export(args: &JournalExportArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let source = open(&args.journal)?;
    let (from, to) = (args.from.unwrap_or(0).max(source.first_seq()), args.to.unwrap_or(u64::MAX));
    match args.format {
        ExportFormat::Ndjson => {
            let entries = source.read(from).take_while(|entry| entry.as_ref().map_or(true, |entry| entry.seq <= to));
            match &args.out {
                Some(path) => {
                    let file = std::fs::File::create(path).map_err(|error| {
                        Problem::failed(format!("{} cannot be written", path.display())).because(&error)
                    })?;
                    let mut out = std::io::BufWriter::new(file);
                    let count = journal::ndjson::write(entries, &mut out).map_err(ndjson_problem)?;
                    out.flush().map_err(|error| {
                        Problem::failed(format!("{} cannot be written", path.display())).because(&error)
                    })?;
                    streams.say(format!("Wrote {count} entries to {}", path.display()));
                }
                None => {
                    for entry in entries {
                        let entry = entry.map_err(|error| read_problem(&error))?;
                        let line = journal::ndjson::line(&entry).map_err(|error| {
                            Problem::failed(format!("entry {} cannot be written", entry.seq)).because(&error)
                        })?;
                        streams.line(line)?;
                    }
                }
            }
        }
        ExportFormat::Kjl => {
            let Some(path) = &args.out else {
                return Err(Problem::new(Exit::Usage, "a capture is binary: give --out FILE.kjl, or --format ndjson"));
            };
            let AnySource::Journal(reader) = &source else {
                return Err(Problem::failed(format!("{} is a capture already", args.journal.display()))
                    .fix("copy it, or use --format ndjson"));
            };
            let captured = capture::export(reader, from, to, true, path).map_err(|error| {
                Problem::failed(format!("{} cannot be captured", args.journal.display())).because(&error)
            })?;
            streams.say(format!(
                "Captured entries {} to {} in {} ({} bytes)",
                captured.first,
                captured.last,
                path.display(),
                captured.bytes
            ));
        }
    }
    Ok(Exit::Done)
}

fn ndjson_problem(error: NdjsonError) -> Problem {
    match error {
        NdjsonError::Read(error) => read_problem(&error),
        NdjsonError::Write { source, .. } => source.into(),
    }
}

fn import(args: &JournalImportArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let cannot = |error: &dyn std::error::Error| {
        Problem::failed(format!("{} cannot be imported", args.capture.display())).because(error)
    };
    let capture = Capture::open(&args.capture).map_err(|error| cannot(&error))?;
    let imported = journal::import::import(&capture, &args.into, journal::Options::default().segment_bytes)
        .map_err(|error| cannot(&error))?;
    streams.line(format!(
        "Imported entries {} to {} into {}. It can be read and replayed; no daemon resumes it.",
        imported.first,
        imported.last,
        args.into.display()
    ))?;
    Ok(Exit::Done)
}
