//! A seeded world in virtual time: a Kubernetes cluster, a cloud and metrics behind the same port
//! that the real adapters implement, so that the program that is proven here is the one that runs.
//!
//! One thread, no clock, no ambient randomness, no unordered map: a scenario and a seed give the
//! same run, bit for bit.
//!
//! - [`world`]: the truth and the queue of what happens when. `controllers`: what runs inside a
//!   cluster. `watch` and `api`: how the daemon sees it and changes it; `others`: how everybody else does. [`link`]:
//!   the daemon's connection.
//! - [`cloud`]: the cloud as a state machine of its own; [`machines`]: its machine types.
//! - [`faults`]: what goes wrong, as an explicit list. [`disk`]: the daemon's disk, and what goes wrong with that.
//! - [`judge`]: an independent account of availability, double effects and invariants.
//! - [`scenario`]: worlds to start from. [`runner`]: runs one to its end, with crashes, and reports.
//! - [`prove`]: runs by the thousand, each with something else going wrong, and what must be true of each.
//! - [`answers`]: random requests, to be put to a real control plane, too.

#![warn(missing_docs)]

pub mod affinity;
pub mod answers;
mod api;
pub mod cloud;
mod controllers;
pub mod disk;
pub mod faults;
pub mod judge;
pub mod link;
pub mod load;
pub mod machines;
mod others;
pub mod prove;
pub mod rng;
pub mod runner;
pub mod scenario;
mod text;
mod watch;
pub mod world;

pub use scenario::Scenario;
pub use world::World;
