//! Kubernetes as kinema sees and changes it.
//!
//! - [`quantity`]: Kubernetes quantities, exactly.
//! - [`project`]: Kubernetes objects projected onto the journal's facts, by an allow-list.
//! - [`file`](mod@file): clusters from what `kubectl get -o json` or `-o yaml` printed.
//! - [`client`]: connections to a cluster.
//! - [`rights`]: which permissions are needed, and which of them are missing.
//! - [`watch`](mod@watch): the cluster as a stream of the journal's watch events.
//! - [`perform`]: effects carried out with preconditions, and their failures classed.
//! - [`lease`]: leadership by a Lease, and the fence that holds mutations back without it.
//!
//! Absences: no decision is taken here, and nothing is tried again that changes the cluster, but for
//! a lost race on a resource version. Failures are classed and reported; the journaled machine
//! decides whether to try again. No pod is ever deleted, and nothing is forced.

#![warn(missing_docs)]

pub mod client;
pub mod file;
pub mod lease;
pub mod perform;
pub mod project;
pub mod quantity;
pub mod rights;
pub mod watch;

mod failure;
mod gate;
mod rest;
