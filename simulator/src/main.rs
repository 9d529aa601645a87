//! The prover's command line: `cargo run -p simulator --release -- prove --budget smoke`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the command line reads files and a clock; the simulated worlds do not"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use simulator::prove::{Part, Repro, Tally, prove, shrink, swarm};

/// Runs that prove what kinema promises.
#[derive(Parser)]
#[command(name = "simulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tries what can go wrong, and says what does
    Prove {
        /// How much is tried
        #[arg(long, value_enum, default_value_t = Budget::Smoke)]
        budget: Budget,
        /// Only this part
        #[arg(long, value_enum)]
        part: Option<PartName>,
        /// Seeds of the swarm, FROM..TO
        #[arg(long, value_name = "FROM..TO")]
        seeds: Option<String>,
        /// Threads; the figures do not depend on them
        #[arg(long)]
        threads: Option<usize>,
        /// Writes what fails, made small, into this directory
        #[arg(long, value_name = "DIR")]
        save: Option<PathBuf>,
        /// Puts the figures between the marks of this file
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Shows what a seed of the swarm is made of, and runs it
    Seed {
        /// The seed
        seed: u64,
    },
    /// Plants every bug, and says which run sees it
    #[cfg(feature = "canaries")]
    Canaries {
        /// Only the bugs whose name contains this
        #[arg(long, default_value = "")]
        only: String,
        /// Cases that caught a bug before: a directory of repros
        #[arg(long, value_name = "DIR")]
        known: Option<PathBuf>,
        /// Threads
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Draws sequences of requests, and says what the simulated cluster answers and becomes: one sequence a line,
    /// for `tests/e2e/fakes`
    Answers {
        /// Seeds, FROM..TO
        #[arg(long, value_name = "FROM..TO", default_value = "1..31")]
        seeds: String,
        /// Requests of each
        #[arg(long, default_value_t = 25)]
        requests: usize,
    },
    /// Runs what a file holds again
    Repro {
        /// The file
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Budget {
    /// Seconds: each part a little
    Smoke,
    /// Minutes: every place to die at, every fate of every request, 5,000 seeds
    Ci,
    /// Half an hour: the same, more pairs of places, 20,000 seeds
    Full,
    /// Hours: pairs of places, 250,000 seeds
    Nightly,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartName {
    Places,
    Pairs,
    Requests,
    Disk,
    Swarm,
}

fn parts(budget: Budget) -> Vec<(PartName, Part)> {
    let (places, pairs, requests, disk, seeds) = match budget {
        Budget::Smoke => (29, 20_011, 61, 61, 60),
        Budget::Ci => (1, 20_011, 1, 1, 5_000),
        Budget::Full => (1, 2_003, 1, 1, 20_000),
        Budget::Nightly => (1, 11, 1, 1, 250_000),
    };
    vec![
        (PartName::Places, Part::Places { stride: places }),
        (PartName::Requests, Part::Requests { stride: requests }),
        (PartName::Pairs, Part::Pairs { stride: pairs }),
        (PartName::Disk, Part::Disk { stride: disk }),
        (PartName::Swarm, Part::Swarm { seeds: 1..seeds + 1 }),
    ]
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Prove { budget, part, seeds, threads, save, write } => {
            all(budget, part, seeds.as_deref(), threads, save.as_ref(), write.as_deref())
        }
        Command::Seed { seed } => one(seed),
        Command::Answers { seeds, requests } => answers(&seeds, requests),
        Command::Repro { file } => again(&file),
        #[cfg(feature = "canaries")]
        Command::Canaries { only, known, threads } => canaries(&only, known.as_deref(), threads),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let wrong = || format!("--seeds {text:?} is not FROM..TO");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    Ok(from.parse().map_err(|_| wrong())?..to.parse().map_err(|_| wrong())?)
}

fn all(
    budget: Budget,
    only: Option<PartName>,
    seeds: Option<&str>,
    threads: Option<usize>,
    save: Option<&PathBuf>,
    write: Option<&Path>,
) -> Result<bool, String> {
    // A panic is an answer here: it is told with its case.
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = seeds.map(range).transpose()?;
    let mut well = true;
    let mut total = Tally::default();
    let mut rows = String::new();
    let began = Instant::now();
    for (name, mut part) in parts(budget) {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        if let (Part::Swarm { seeds: drawn }, Some(given)) = (&mut part, &seeds) {
            *drawn = given.clone();
        }
        let since = Instant::now();
        let mut told = Instant::now();
        let tally = prove(&part, threads, &mut |done, of| {
            if told.elapsed().as_secs() >= 20 {
                told = Instant::now();
                eprintln!("  {done} of {of} {}", part.name());
            }
        })
        .map_err(|error| error.to_string())?;
        let seconds = since.elapsed().as_secs_f64();
        println!("{}", line(part.name(), &tally, seconds));
        let _ = std::io::stdout().flush();
        rows.push_str(&row(part.name(), &tally));
        well &= tally.failed == 0;
        for failure in &tally.failures {
            tell(failure, save)?;
        }
        total.cases += tally.cases;
        total.runs += tally.runs;
        total.virtual_seconds += tally.virtual_seconds;
        total.failed += tally.failed;
        total.kills += tally.kills;
        total.coverage.join(&tally.coverage);
    }
    println!("\n{}", total.coverage.table());
    println!("{}", line("altogether", &total, began.elapsed().as_secs_f64()));
    if let Some(file) = write {
        let head = "| what is tried | cases | runs | kills | things that went wrong | virtual days | failed |";
        let lines = "|---|---:|---:|---:|---:|---:|---:|";
        let (cells, empty) = total.coverage.cells();
        let table = total.coverage.table();
        let text = format!("{head}\n{lines}\n{rows}\n{table}\n{empty} of {cells} cells are empty.\n");
        put(file, &text)?;
    }
    Ok(well)
}

/// A part's figures as a row in Markdown.
fn row(name: &str, tally: &Tally) -> String {
    let (struck, days) = (tally.coverage.total(), tally.virtual_seconds / 86_400);
    let Tally { cases, runs, kills, failed, .. } = tally;
    format!("| {name} | {cases} | {runs} | {kills} | {struck} | {days} | {failed} |\n")
}

const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->";

/// Puts a text between the marks of a file.
fn put(file: &Path, text: &str) -> Result<(), String> {
    let said = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let before = std::fs::read_to_string(file).map_err(|error| said(&error))?;
    let marks = before.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = marks.ok_or_else(|| said(&"the marks of the figures are not there"))?;
    std::fs::write(file, format!("{head}{BEGIN}{text}{END}{tail}")).map_err(|error| said(&error))
}

fn line(name: &str, tally: &Tally, seconds: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let speed = tally.virtual_seconds as f64 / seconds.max(0.001);
    let endings: Vec<String> = tally.endings.iter().map(|(ending, count)| format!("{ending} {count}")).collect();
    format!(
        "{name}: {} cases, {} runs, {} kills, {} things went wrong, {} days of virtual time in {seconds:.0} s ({speed:.0} times as fast); {}{} failed",
        tally.cases,
        tally.runs,
        tally.kills,
        tally.coverage.total(),
        tally.virtual_seconds / 86_400,
        endings.join(", "),
        if tally.failed == 0 { "; none".to_owned() } else { format!("; {}", tally.failed) },
    )
}

fn tell(failure: &simulator::prove::Failure, save: Option<&PathBuf>) -> Result<(), String> {
    println!("  ! {}", failure.case.name);
    for complaint in &failure.complaints {
        println!("      {complaint}");
    }
    let (Some(directory), Some(complaint)) = (save, failure.complaints.first()) else { return Ok(()) };
    let (small, complaints) = shrink::shrink(&failure.case, complaint);
    let complaints = if complaints.is_empty() { failure.complaints.clone() } else { complaints };
    let word: String = small.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = directory.join(format!("{word}.json"));
    let text = Repro::new(small, complaints).text().map_err(|error| error.to_string())?;
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("      written to {}", path.display());
    Ok(())
}

/// The repros of a directory, by name.
#[cfg(feature = "canaries")]
fn known(directory: &Path) -> Result<Vec<Repro>, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
    let entries = std::fs::read_dir(directory).map_err(|error| said(&error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

#[cfg(feature = "canaries")]
fn canaries(only: &str, directory: Option<&Path>, threads: Option<usize>) -> Result<bool, String> {
    use canary::Canary;
    use simulator::prove::canaries::catch;
    std::panic::set_hook(Box::new(|_| {}));
    let planted: Vec<Canary> = Canary::ALL.iter().copied().filter(|canary| canary.name().contains(only)).collect();
    let known = directory.map(known).transpose()?.unwrap_or_default();
    let (mut caught, mut runs) = (0, Vec::new());
    let began = Instant::now();
    catch(&planted, &known, threads, |_, found| {
        let how = match &found.by {
            Some((case, complaint)) => format!("{case}: {complaint}"),
            None => "NOT CAUGHT".to_owned(),
        };
        caught += usize::from(found.by.is_some());
        runs.push(found.runs);
        println!("{:<26} {:>5} runs  {how}", found.canary.name(), found.runs);
        let _ = std::io::stdout().flush();
    })
    .map_err(|error| error.to_string())?;
    runs.sort_unstable();
    let median = runs.get(runs.len() / 2).copied().unwrap_or(0);
    let (of, seconds) = (planted.len(), began.elapsed().as_secs());
    println!("planted bugs: {caught} of {of} caught, {median} runs in the median, in {seconds} s");
    Ok(caught == of)
}

fn answers(seeds: &str, requests: usize) -> Result<bool, String> {
    for seed in range(seeds)? {
        let sequence = simulator::answers::draw(seed, requests).map_err(|error| error.to_string())?;
        println!("{}", serde_json::to_string(&sequence).map_err(|error| error.to_string())?);
    }
    Ok(true)
}

fn one(seed: u64) -> Result<bool, String> {
    let case = swarm::case(seed);
    println!("{}", swarm::options(&case));
    let verdict = simulator::prove::twice(&case);
    Ok(verdict_of(&verdict))
}

/// The repro of a file.
fn read(file: &Path) -> Result<Repro, String> {
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Repro::read(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn again(file: &Path) -> Result<bool, String> {
    let repro = read(file)?;
    println!("{}", swarm::options(&repro.case));
    Ok(verdict_of(&repro.judge()))
}

fn verdict_of(verdict: &simulator::prove::Verdict) -> bool {
    if let Some((report, evidence)) = &verdict.run {
        println!("ended {:?} {:?} after {} s", report.ending, report.reason, report.virtual_seconds);
        for struck in &evidence.struck {
            println!("  {} in {:?}", struck.name, struck.phase);
        }
    }
    for complaint in &verdict.complaints {
        println!("  ! {complaint}");
    }
    verdict.complaints.is_empty()
}
