//! How the program ends: exit codes, and the error that carries one.
//!
//! One enum, so that a script can rely on a number meaning one thing in every command. Usage errors
//! are 64 rather than clap's 2, because 2 says "it went well and there is a difference".

use std::error::Error;
use std::fmt;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done; where a difference was looked for, there is none.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It went well, and there is a difference.
    Difference = 2,
    /// It was refused: stale plan, paused, not leader, mode Recommend.
    Refused = 3,
    /// Timed out waiting.
    TimedOut = 4,
    /// Applied in part, or rolled back.
    Partial = 5,
    /// The command line is wrong.
    Usage = 64,
    /// Cluster, daemon or Prometheus cannot be reached.
    Unreachable = 69,
    /// The configuration is wrong.
    Config = 78,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command ended badly: for people, with the place and the fix, and an exit code for scripts.
#[derive(Debug)]
pub struct Problem {
    /// The exit code.
    pub exit: Exit,
    /// One sentence that names the place.
    pub message: String,
    /// What was underneath, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub fix: Option<String>,
    /// Shown instead of all this when there is a source to point into.
    pub report: Option<miette::Report>,
    /// Nothing is said: the reader of our output went away.
    pub quiet: bool,
}

impl Problem {
    /// A problem without a cause underneath.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), fix: None, report: None, quiet: false }
    }

    /// A failure (exit code 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Adds an error and everything underneath it.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries repeat their source in their own text.
            if self.causes.last().is_none_or(|last| !last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(report) = &self.report {
            return write!(f, "{report:?}");
        }
        write!(f, "Error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  cause: {cause}")?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "\n  fix: {fix}")?;
        }
        Ok(())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { quiet: true, ..Self::new(Exit::Done, "") };
        }
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge
        );
        let problem = Self::failed("writing failed").because(&error);
        if full { problem.fix("make room on the disk and run it again") } else { problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_the_documentation_promises() {
        let numbers = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Difference, 2),
            (Exit::Refused, 3),
            (Exit::TimedOut, 4),
            (Exit::Partial, 5),
            (Exit::Usage, 64),
            (Exit::Unreachable, 69),
            (Exit::Config, 78),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        for (exit, number) in numbers {
            assert_eq!(exit.code(), number, "{exit:?}");
        }
    }

    #[test]
    fn a_broken_pipe_is_quiet_and_a_full_disk_is_not() {
        let pipe: Problem = std::io::Error::from(std::io::ErrorKind::BrokenPipe).into();
        assert!(pipe.quiet);
        assert_eq!(pipe.exit, Exit::Done);
        let full: Problem = std::io::Error::from(std::io::ErrorKind::StorageFull).into();
        assert!(!full.quiet);
        assert_eq!(full.exit, Exit::Failed);
        assert!(full.to_string().contains("fix: make room on the disk"));
    }

    #[test]
    fn causes_are_listed_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner;
        let text = Problem::failed("it failed").because(&Outer(Inner)).to_string();
        assert_eq!(text, "Error: it failed\n  cause: outer: inner");
    }
}
