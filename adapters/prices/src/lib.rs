//! Prices and machine types of Google Compute Engine, without a connection to it.
//!
//! A [`Catalogue`] is what a region offers and what it costs: built into the program
//! ([`Catalogue::built_in`]) or read from a file ([`Catalogue::read_csv`]), and made newer by what Cloud
//! Billing lists ([`billing`]). [`allocatable`] tells
//! what a machine of a type offers to pods on GKE. This crate has no dependency on Google's client,
//! so that a plan from files, the simulator and a replay need none.
//!
//! Prices leave out boot disk, addresses, licences, the cluster's fee and network.

#![warn(missing_docs)]

pub mod allocatable;
pub mod billing;
mod built_in;
mod catalogue;
mod decimal;
mod table;

pub use built_in::BuiltInError;
pub use catalogue::{Arch, Catalogue, Machine, PriceKind, Prices, UnknownPriceKind};
pub use table::TableError;
