//! The command line: what can be asked, and nothing of how it is answered.

mod args;

pub use args::*;
