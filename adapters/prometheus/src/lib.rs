//! Usage of containers from Prometheus: CPU and memory of every container over a window.
//!
//! Two range queries over cAdvisor's series, after two counts that keep a flood of series out and
//! name a series that is missing. Counter resets are `rate()`'s work; what is not a number, or
//! absent, is a gap.
//!
//! - [`Prometheus`]: the client. [`Config`]: address, sign-in, bounds.
//! - `query`: PromQL. `answer`: Prometheus's JSON into series. `failure`: errors.

#![warn(missing_docs)]

mod answer;
mod client;
mod failure;
#[cfg(test)]
mod hostile_test;
mod query;

pub use client::{Config, ConnectError, Prometheus};
