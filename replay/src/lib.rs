//! Reading a recorded journal again.
//!
//! Everything here works on any [`journal::Source`]: a journal's directory, one that a daemon is
//! writing, a capture, or a journal in memory. Nothing here can change a cluster: there is no adapter
//! in this crate's dependencies.
//!
//! - [`check()`] folds a journal through the same engine and computes every forecast and plan again,
//!   and tells the first place where what comes out is not what was recorded.
//! - [`state_at`] gives the state after any entry.

#![warn(missing_docs, clippy::wildcard_enum_match_arm)]

pub mod check;
pub mod difference;
mod state_at;

pub use check::{CheckError, CheckOptions, CheckReport, PlanCheck, check};
pub use difference::Difference;
pub use state_at::{StateAtError, state_at};
