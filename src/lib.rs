//! The program: its command line, the daemon, and what both show to people.
//!
//! - [`cli`]: what can be asked.
//! - [`exit`]: how the program ends, and the error that says so.
//! - [`output`]: what is written where.
//! - [`config`]: the configuration file.
//! - [`plan`]: a plan from files or from a live cluster, and how plans are shown.
//! - [`daemon`]: `kinema run` and its API; `client` talks to it.
//! - `scenario`: worlds to simulate, from files.
//! - `simulate`, `replay_command`, `journal_command`: the other commands.

pub mod cli;
mod client;
mod cluster_access;
pub mod config;
pub mod daemon;
mod entry_text;
pub mod exit;
mod journal_command;
pub mod output;
pub mod plan;
mod replay_command;
mod scenario;
mod simulate;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Problem};
use crate::output::Streams;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    // Before anything that may open a connection: without a provider the HTTP clients panic, even
    // for plain HTTP. An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print();
            return ExitCode::from(if usage { Exit::Usage } else { Exit::Done }.code());
        }
    };
    log(&cli);
    let mut streams = Streams::process(cli.no_color, cli.quiet);
    let ended = run(&cli, &mut streams).and_then(|exit| streams.flush().map(|()| exit));
    let exit = match ended {
        Ok(exit) => exit,
        Err(problem) => {
            if !problem.quiet {
                let _ = streams.flush();
                match &problem.report {
                    Some(report) => streams.drawn(&format!("{report:?}")),
                    None => streams.insist(problem.to_string()),
                }
            }
            problem.exit
        }
    };
    ExitCode::from(exit.code())
}

fn run(cli: &Cli, streams: &mut Streams) -> Result<Exit, Problem> {
    match &cli.command {
        Command::Run(args) => daemon::command(args, streams),
        Command::Plan(args) => plan::command(args, streams),
        Command::Apply(args) => client::apply(args, streams),
        Command::Approve(args) => client::review(args, true, streams),
        Command::Reject(args) => client::review(args, false, streams),
        Command::Pause(args) => client::pause(args, streams),
        Command::Resume(args) => client::plain("resume", args, streams),
        Command::Abort(args) => client::plain("abort", args, streams),
        Command::Status(args) => client::status(args, streams),
        Command::Simulate(args) => simulate::command(args, streams),
        Command::Journal(command) => journal_command::command(command, streams),
        Command::Config(command) => config::command(command, streams),
        Command::Replay(args) => replay_command::command(args, streams),
        Command::Version(args) => version(args, streams),
    }
}

fn version(args: &cli::OutputArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let view = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "behaviour": engine::BEHAVIOUR,
        "journalSchema": journal_schema::SCHEMA_VERSION,
        "journalFormat": journal::FORMAT_VERSION,
    });
    match args.output {
        output::Format::Text => streams.line(format!(
            "kinema {}  behaviour {}  journal schema {}  journal format {}",
            env!("CARGO_PKG_VERSION"),
            engine::BEHAVIOUR,
            journal_schema::SCHEMA_VERSION,
            journal::FORMAT_VERSION
        ))?,
        format @ (output::Format::Json | output::Format::Yaml) => streams.document(format, &view)?,
    }
    Ok(Exit::Done)
}

/// Logs to standard error: for the daemon what it does, for everything else only warnings.
fn log(cli: &Cli) {
    use tracing_subscriber::EnvFilter;
    let daemon = matches!(cli.command, Command::Run(_));
    let level = match (daemon, cli.verbose, cli.quiet) {
        (_, _, true) => "error",
        (false, 0, _) => "warn",
        (true, 0, _) | (false, 1, _) => "info",
        (true, 1, _) | (false, 2, _) => "debug",
        (_, _, _) => "trace",
    };
    let filter = EnvFilter::try_from_env("KINEMA_LOG").or_else(|_| EnvFilter::try_from_default_env()).unwrap_or_else(|_| {
        // The libraries below are chatty at levels where the program itself is interesting.
        EnvFilter::new(format!("warn,kinema={level},driver={level},engine={level},journal={level},adapter_kube={level},adapter_google_cloud={level},adapter_prometheus={level}"))
    });
    // A test that runs commands in one process may have done it already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}
