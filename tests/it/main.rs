//! The program as its users meet it: commands in; output, exit code and files out.

mod bad_input;
mod config;
mod journal;
mod plan;
mod readme;
mod run;
mod simulate;
mod support;
