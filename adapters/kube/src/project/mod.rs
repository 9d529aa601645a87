//! Kubernetes objects projected onto the journal's facts.
//!
//! An allow-list: a field that is not named here never reaches the journal. Environment variables,
//! arguments, commands, messages, Secrets' names and all annotations but a short list
//! ([`meta`]) stay outside, because a journal is kept, exported and shared.
//!
//! A projection never fails on an object that an API server can hold. What it does not understand
//! it names in the fact's `unknown`, and the planner leaves the object where it is. What is plainly
//! wrong (a quantity that is none) is also returned as a [`Fault`], so that a reader of files can
//! refuse the file with the place.
//!
//! No heartbeat, resource version or message gets into a fact: an object that changed in nothing
//! that matters gives an equal fact.

use std::collections::BTreeSet;

use journal_schema::facts::{Kind, Object};
use journal_schema::text::{Few, Name};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub mod affinity;
pub mod budget;
pub mod meta;
pub mod node;
pub mod old_versions;
pub mod pod;
pub mod pod_spec;
pub mod resources;
pub mod selector;
pub mod storage;
pub mod workload;

/// A field whose value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct Fault {
    /// The field's path inside the object, for example `spec.containers[0].resources.requests.cpu`.
    pub field: String,
    /// What is wrong, and what was expected.
    pub what: String,
}

/// The object cannot be named: its name, namespace or UID is missing or longer than Kubernetes permits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct IdentityError {
    /// The field's path.
    pub field: &'static str,
    /// What is wrong.
    pub what: String,
}

/// A projected object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projected {
    /// The fact.
    pub object: Object,
    /// Fields that could not be read, in the order they were met.
    pub faults: Vec<Fault>,
}

/// An object of a watched kind.
pub trait Project {
    /// Its kind.
    const KIND: Kind;

    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;

    /// The fact of it.
    fn project(&self) -> Result<Projected, IdentityError>;
}

/// Collects, while an object is projected, what was not understood.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    unknown: BTreeSet<String>,
    faults: Vec<Fault>,
}

impl Notes {
    /// A rule that this projection does not know. `what` is made of our own words and of values
    /// that the API limits to a closed vocabulary; never of free text.
    pub(crate) fn unknown(&mut self, what: impl Into<String>) {
        self.unknown.insert(what.into());
    }

    /// A field that cannot be read. It binds like an unknown rule.
    pub(crate) fn fault(&mut self, field: impl Into<String>, what: impl Into<String>) {
        let field = field.into();
        self.unknown.insert(format!("unreadable {field}"));
        self.faults.push(Fault { field, what: what.into() });
    }

    /// A list, cut to what a fact holds; a longer one is named as not understood.
    pub(crate) fn few<T>(&mut self, field: &str, items: Vec<T>) -> Few<T> {
        const LIMIT: usize = 1024;
        let mut items = items;
        if items.len() > LIMIT {
            self.unknown(format!("too many {field}"));
            items.truncate(LIMIT);
        }
        Few::new(items).unwrap_or_default()
    }

    /// A text that is not the object's identity.
    pub(crate) fn name(&mut self, field: &str, text: &str) -> Name {
        Name::new(text).unwrap_or_else(|_| {
            self.fault(field, format!("{} bytes are longer than Kubernetes permits", text.len()));
            Name::truncated(text)
        })
    }

    /// The same for a list of texts.
    pub(crate) fn names(&mut self, field: &str, texts: &[String]) -> Few<Name> {
        let names = texts.iter().map(|text| self.name(field, text)).collect();
        self.few(field, names)
    }

    /// What was not understood, for the fact's `unknown`.
    pub(crate) fn take_unknown(&mut self) -> Few<Name> {
        let mut names: Vec<Name> = std::mem::take(&mut self.unknown).iter().map(Name::truncated).collect();
        names.truncate(1024);
        Few::new(names).unwrap_or_default()
    }

    /// The object with what could not be read.
    pub(crate) fn done(self, object: Object) -> Projected {
        Projected { object, faults: self.faults }
    }
}
