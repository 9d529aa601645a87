//! A stand-in for Google's API on loopback: the simulated cloud, served in real time.
//!
//! It answers the calls of Compute Engine, the container and the billing API that the real adapter
//! makes, as their reference and public recordings show them, and plays the role of GKE in a real control
//! plane: when a machine's kubelet registers it creates a Node that KWOK takes over, and it removes
//! the Node when the machine is gone.
//!
//! - [`scenario`]: what it starts from, one JSON file. [`clock`]: real time, sped up if asked.
//! - [`server`]: the HTTP API. `wire`, `billing`: its JSON. [`control`]: faults, state, cost and log.
//! - [`nodes`]: Nodes in a real cluster.

mod billing;
pub mod clock;
pub mod control;
pub mod nodes;
pub mod scenario;
pub mod server;
mod wire;

pub use scenario::Scenario;
pub use server::StandIn;
