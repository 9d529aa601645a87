//! The state machine that folds the journal. Pure: no IO, no clock, no randomness.
//!
//! [`State::step`] takes one entry and returns the effects that it causes; nothing else changes a
//! state. Whatever the daemon knows, decided, asked for or owes is in the state, so that a crash is
//! answered by folding the journal again, and a replay sees what the daemon saw.
//!
//! # Phases
//!
//! One iteration goes round once. Every edge that exists is in this table, and in
//! [`phase::TRANSITIONS`]; a test compares the two.
//!
//! ```text
//! from        to          when
//! Observing   Predicting  every gate is open and the cloud was read
//! Predicting  Optimizing  usage was read and forecast, or the policy plans without
//! Predicting  Observing   usage cannot be read
//! Optimizing  Deciding    the planner answered
//! Optimizing  Observing   the planner failed
//! Deciding    Booting     accepted, and there are machines to boot
//! Deciding    Labelling   accepted, and there is nothing to boot
//! Deciding    Observing   refused, expired, or only recommended
//! Booting     Labelling   every new machine is a ready node
//! Booting     Unwinding   a machine failed, or time ran out
//! Labelling   Rolling     every node shows its role
//! Labelling   Unwinding   a node changed, or time ran out
//! Rolling     Draining    no pod that must move is left on a leaving node
//! Rolling     Unwinding   a move is stuck
//! Draining    Observing   every leaving machine is gone and nothing is owed
//! Draining    Unwinding   a machine cannot be removed
//! Unwinding   Observing   nothing is owed
//! ```
//!
//! # Rooms
//!
//! - [`world`]: the fold of the watches. [`cloud`]: what the cloud said last.
//! - [`table`]: effects under way, their retries and answers.
//! - [`debts`]: what was changed and must be undone. [`removal`]: how one node is removed.
//! - [`gates`]: what must hold before anything starts, and the breakers. [`invariants`]: what must hold for each
//!   effect, checked at the moment it is emitted.
//! - [`answers`]: how often API server and cloud fail. [`churn`]: what plans replaced lately.
//! - [`phase`]: one file a phase.

#![warn(missing_docs, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

pub mod answers;
pub mod churn;
pub mod cloud;
pub mod debts;
pub mod gates;
pub mod invariants;
pub mod ledger;
pub mod names;
pub mod phase;
pub mod removal;
mod state;
mod step;
pub mod table;
pub mod world;

pub use phase::{Phase, PhaseName};
pub use state::{Finished, Pause, State};
pub use step::StepError;

/// Number of the rules in this crate. It changes with every change that makes an old journal in
/// mid-iteration mean something else; such an iteration is then unwound instead of continued.
pub const BEHAVIOUR: u32 = 5;
