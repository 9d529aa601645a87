//! The configuration file: reading it, checking it, showing it.

mod convert;
mod diagnose;
pub mod file;
mod labels;
mod print;
mod scalars;

use std::path::Path;

pub use file::File;
pub use labels::LabelSelector;
pub use scalars::{BadScalar, Dollars, Span};

use crate::cli::{ConfigCommand, ConfigPrintArgs};
use crate::exit::{Exit, Problem};
use crate::output::{Format, Streams};

/// Largest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Reads and checks a configuration file.
pub fn load(path: &Path) -> Result<File, Problem> {
    let cannot = |error: &std::io::Error| {
        Problem::new(Exit::Config, format!("the configuration file {} cannot be read", path.display())).because(error)
    };
    let size = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if size > MAX_BYTES {
        return Err(Problem::new(Exit::Config, format!("the configuration file {} has {size} bytes", path.display()))
            .fix(format!("a configuration file has at most {MAX_BYTES} bytes: is this another file?")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    parse(&path.display().to_string(), &text)
}

/// Reads a configuration file, or takes the defaults when there is none.
pub fn load_or_default(path: Option<&Path>) -> Result<File, Problem> {
    path.map_or_else(|| Ok(File::default()), load)
}

/// Reads and checks the text of a configuration file; `name` is shown in errors.
pub fn parse(name: &str, text: &str) -> Result<File, Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<File>(text, options).map_err(|error| diagnose::problem(name, text, &error))
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
        ConfigCommand::Schema => {
            streams.document(Format::Json, &schema())?;
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
