//! The configuration file: reading it, checking it, showing it.

mod check;
mod convert;
mod diagnose;
mod environment;
pub mod file;
mod labels;
mod print;
mod scalars;
mod schedule;

use std::path::Path;

pub use file::File;
pub use labels::LabelSelector;
pub use scalars::{Amount, BadScalar, Cpu, Dollars, Memory, Percent, Span};

pub(crate) use diagnose::problem as yaml_problem;

use crate::cli::{ConfigCommand, ConfigPrintArgs, SchemaOf};
use crate::exit::{Exit, Problem};
use crate::output::{Format, Streams};

/// Largest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Reads and checks a configuration file.
pub fn load(path: &Path) -> Result<File, Problem> {
    let text = read_text(path, "configuration file", MAX_BYTES)?;
    parse(&path.display().to_string(), &text)
}

/// Reads a file that a person wrote; `what` is shown in errors.
pub(crate) fn read_text(path: &Path, what: &str, most: u64) -> Result<String, Problem> {
    let cannot = |error: &std::io::Error| {
        Problem::new(Exit::Config, format!("the {what} {} cannot be read", path.display())).because(error)
    };
    let size = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if size > most {
        return Err(Problem::new(Exit::Config, format!("the {what} {} has {size} bytes", path.display()))
            .fix(format!("a {what} has at most {most} bytes: is this another file?")));
    }
    std::fs::read_to_string(path).map_err(|error| cannot(&error))
}

/// Reads a configuration file, or takes the defaults when there is none. What the environment says
/// instead (`KINEMA_DECIDE__MIN_SAVINGS=15%`) comes over it.
pub fn load_or_default(path: Option<&Path>) -> Result<File, Problem> {
    with_environment(path.map_or_else(|| Ok(File::default()), load)?)
}

/// The file with what the environment says instead.
pub(crate) fn with_environment(file: File) -> Result<File, Problem> {
    let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let file = environment::over(file, std::env::vars_os().filter_map(readable))?;
    check::check("the configuration with its environment", &file)?;
    Ok(file)
}

/// Reads and checks the text of a configuration file; `name` is shown in errors.
pub fn parse(name: &str, text: &str) -> Result<File, Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    let file = serde_saphyr::from_str_with_options::<File>(text, options)
        .map_err(|error| diagnose::problem(name, text, &error))?;
    check::check(name, &file)?;
    Ok(file)
}

/// `kinema config ...`
pub fn command(command: &ConfigCommand, streams: &mut Streams) -> Result<Exit, Problem> {
    match command {
        ConfigCommand::Print(args) => print(args, streams),
        ConfigCommand::Validate { file } => {
            load(file)?;
            streams.line(format!("{} is valid.", file.display()))?;
            Ok(Exit::Done)
        }
        ConfigCommand::Schema { of } => {
            let schema = match of {
                SchemaOf::Policy => schema(),
                SchemaOf::Scenario => crate::scenario::schema(),
            };
            streams.document(Format::Json, &schema)?;
            Ok(Exit::Done)
        }
    }
}

/// The JSON Schema of the configuration file.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(File)
}

fn print(args: &ConfigPrintArgs, streams: &mut Streams) -> Result<Exit, Problem> {
    let file = load_or_default(args.config.as_deref())?;
    match args.output.output {
        Format::Text => streams.bytes(print::marked(&file)?.as_bytes())?,
        format @ (Format::Json | Format::Yaml) => streams.document(format, &file)?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    /// The example that people copy is valid.
    #[test]
    fn the_example_of_the_documentation_is_valid() {
        let page = include_str!("../../docs/objectives.md");
        let (_, rest) = page.split_once("```yaml\n").expect("an example");
        let (example, _) = rest.split_once("```").expect("its end");
        let file = super::parse("docs/objectives.md", example).expect("valid");
        assert_eq!((file.spec.schedule.len(), file.spec.optimize.pricing.commitments.len()), (1, 1));
    }
}
