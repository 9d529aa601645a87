//! What is written where: data to standard output, talk to standard error.
//!
//! Nothing is animated and nothing is coloured off a terminal. A reader that goes away
//! (`kinema plan | head`) ends the program quietly.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::Problem;

/// How a reading command writes its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
    /// The same document as YAML.
    Yaml,
}

/// No line of text is longer, but for a word that is.
pub const COLUMNS: usize = 80;

/// The two streams.
pub struct Streams {
    data: io::BufWriter<Box<dyn Write + Send>>,
    talk: Box<dyn Write + Send>,
    quiet: bool,
    colour: bool,
}

impl Streams {
    /// The process's own streams. Colour is used on a terminal, unless `no_color`, `NO_COLOR` or
    /// `TERM=dumb` says otherwise.
    pub fn process(no_color: bool, quiet: bool) -> Self {
        let forbidden = no_color
            || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let stdout = io::stdout();
        let colour = !forbidden && stdout.is_terminal();
        Self { data: io::BufWriter::new(Box::new(stdout)), talk: Box::new(io::stderr()), quiet, colour }
    }

    /// Streams into buffers of the caller, for tests.
    pub fn into(data: Box<dyn Write + Send>, talk: Box<dyn Write + Send>) -> Self {
        Self { data: io::BufWriter::new(data), talk, quiet: false, colour: false }
    }

    /// Writes a line of data.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Problem> {
        let text = &*printable(text.as_ref());
        if self.colour {
            self.data.write_all(paint(text).as_bytes())?;
        } else {
            self.data.write_all(text.as_bytes())?;
        }
        self.data.write_all(b"\n")?;
        Ok(())
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.data.write_all(bytes)?;
        Ok(())
    }

    /// Hands everything over to the reader.
    pub fn flush(&mut self) -> Result<(), Problem> {
        self.data.flush()?;
        Ok(())
    }

    /// Says something about what is being done; silent with `--quiet`.
    pub fn say(&mut self, text: impl AsRef<str>) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says something that `--quiet` does not silence. Talk that cannot be written is not worth an error.
    pub fn insist(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.talk, "{}", printable(text.as_ref()));
    }

    /// Says what is drawn already, with its colours.
    pub fn drawn(&mut self, text: &str) {
        let _ = writeln!(self.talk, "{text}");
    }

    /// Writes a document as JSON or YAML.
    pub fn document<T: Serialize>(&mut self, format: Format, value: &T) -> Result<(), Problem> {
        let text = match format {
            Format::Yaml => serde_saphyr::to_string(value)
                .map_err(|error| Problem::failed("the answer cannot be written as YAML").because(&error))?,
            Format::Json | Format::Text => {
                let mut text = serde_json::to_string_pretty(value)
                    .map_err(|error| Problem::failed("the answer cannot be written as JSON").because(&error))?;
                text.push('\n');
                text
            }
        };
        self.bytes(text.as_bytes())
    }
}

/// Breaks a line at spaces so that it fits, with `indent` before every line but the first.
pub fn wrap(line: &str, indent: &str) -> Vec<String> {
    if line.chars().count() <= COLUMNS {
        return vec![line.to_owned()];
    }
    let lead: String = line.chars().take_while(|c| *c == ' ').collect();
    let mut lines = Vec::new();
    let mut current = lead;
    for word in line.split(' ').skip_while(|word| word.is_empty()) {
        let length = current.chars().count() + word.chars().count();
        if length > COLUMNS && !current.trim().is_empty() {
            lines.push(current.trim_end().to_owned());
            current = indent.to_owned();
        }
        current.push_str(word);
        current.push(' ');
    }
    lines.push(current.trim_end().to_owned());
    lines
}

/// The text with control characters shown instead of obeyed: a name in a file that somebody sent may
/// hold what moves a terminal's cursor.
fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if obeyed(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Colours a line by the symbol it begins with: what is created, deleted, changed. The symbol says
/// the same without colour.
fn paint(line: &str) -> String {
    let code = match line.trim_start().as_bytes() {
        [b'+', b' ', ..] => "32",
        [b'-', b' ', ..] => "31",
        [b'~', b' ', ..] => "33",
        _ => return line.to_owned(),
    };
    format!("\u{1b}[{code}m{line}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_a_quiet_end() {
        let mut streams = Streams::into(Box::new(Gone), Box::new(io::sink()));
        streams.line("something").expect("buffered");
        let problem = streams.flush().expect_err("nobody reads");
        assert!(problem.quiet);
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31mb\r\u{7}\n\tc"), "a\\u{1b}[31mb\\r\\u{7}\n\tc");
        assert!(matches!(printable("plain – text"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_lines_that_begin_with_a_symbol_are_coloured() {
        assert_eq!(paint("  + 3 nodes"), "\u{1b}[32m  + 3 nodes\u{1b}[0m");
        assert_eq!(paint("  nodes 12"), "  nodes 12");
        assert_eq!(paint("-1"), "-1");
    }
}
