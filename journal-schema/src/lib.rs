//! The language of the journal: every word that a durable entry may contain.
//!
//! This crate has types and their encoding, and no logic. Whoever reads a journal (the daemon, a
//! replay, the dashboard, a script) needs this crate and nothing else to know what an entry says.
//!
//! - [`units`]: money, resources and time as integers whose type names the unit.
//! - [`shared`]: values that many facts have in common.
//! - [`text`]: bounded strings; what a hostile cluster can put into a journal has a limit.
//! - [`facts`]: what was seen of the cluster, projected onto the fields that a decision reads.
//! - [`cloud`]: pools, offers, instances and prices.
//! - [`usage`]: usage series and forecasts.
//! - [`policy`]: what the operator allows; journaled, so that a replay decides by the same rules.
//! - [`plan`]: the plan and the report that explains it.
//! - [`binding`]: what the proven bound of a plan is made of.
//! - [`reason`]: the closed list of reasons, shared by every surface.
//! - [`effect`]: requests of the core to the outside, and their outcomes.
//! - [`event`] and [`entry`]: what happened, and the record that holds it.
//! - [`codec`]: MessagePack with named fields, schema versions, digests.
//!
//! Absences: no IO, no clock, no randomness, no unordered map, no floating point, no recursive
//! type, and no string or list without a bound.

#![warn(missing_docs, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

pub mod binding;
pub mod cloud;
pub mod codec;
pub mod effect;
pub mod entry;
pub mod event;
pub mod facts;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod shared;
pub mod text;
pub mod units;
pub mod usage;

pub use entry::{Entry, SCHEMA_VERSION};
pub use text::Text;
