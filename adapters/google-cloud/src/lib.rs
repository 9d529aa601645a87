//! Google Cloud: pools are managed instance groups, instances are their members.
//!
//! Only two calls change anything: `createInstances` and `deleteInstances`, both by name. Retries
//! are the journaled machine's, so the client's own are off. An operation is a hint, the list of a
//! group is the truth.
//!
//! - [`NodeCloud`] and [`perform`]: the port, small enough for another cloud to implement.
//! - [`GoogleCloud`]: the client. [`Config`]: project, zones, selection, endpoints.
//! - `discovery`: pools from groups, templates and machine types. `container`: pools that GKE's
//!   autoscaler resizes, which are refused. `billing`: today's prices. Both are asked in plain `rest`.
//! - `failure`: what an error means for the core.
//! - `gate`: what holds changes back at the last moment.

#![warn(missing_docs)]

mod billing;
mod client;
mod config;
mod container;
mod discovery;
mod failure;
mod gate;
mod instances;
mod lifetimes;
mod node_cloud;
mod request_id;
mod rest;
mod template;

pub use billing::BillingConfig;
pub use client::{ConnectError, GoogleCloud};
pub use config::{Config, Credentials, Selection};
pub use node_cloud::{NodeCloud, perform};

use journal_schema::units::Timestamp;

/// Installs ring as the process's provider of cryptography. Call it first in `main` and in tests:
/// without a provider every client panics, even for plain HTTP. Installing twice does nothing.
pub fn install_crypto() {
    // An error only says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The system's time.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
