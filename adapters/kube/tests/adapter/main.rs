//! Tests over the adapter's public interface: objects as an API server serves them in, facts out;
//! effects in, requests on a mocked wire out. No sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not recognised as tests")]

mod canary;
mod canary_effects;
mod client;
mod file;
mod file_limits;
mod lease;
mod mock;
mod perform;
mod planted;
mod project;
mod rights;
mod watch;
