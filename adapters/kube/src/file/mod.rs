//! Clusters from files: what `kubectl get … -A -o json` or `-o yaml` printed.
//!
//! Lists of mixed kinds, lists of one kind as the API serves them, single objects, and several
//! documents one after another are read. Kinds that no decision reads are skipped and counted. An
//! error names the place: line and column, item, kind, object and field.
//!
//! Item by item: beside the text, one object at a time is held before it is projected.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{Kind, Object};
use journal_schema::plan::Cluster;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::CSINode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::error::{ItemAt, Position, ReadError};
use self::source::{Head, Item, JsonDocument, Source};
use crate::project::Project;
use crate::project::old_versions::{BetaBudget, OldAutoscaler};

mod error;
mod source;

/// A cluster as files described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFile {
    /// The cluster.
    pub cluster: Cluster,
    /// Kinds of which at least one object was read.
    pub seen: BTreeSet<Kind>,
    /// Kinds that were met and are not read, as `apiVersion kind`, with the number of objects.
    pub skipped: BTreeMap<String, usize>,
    /// Objects that came a second time with other contents, `kind namespace/name`: the later one counts.
    pub contradicted: BTreeSet<String>,
}

impl ClusterFile {
    /// Watched kinds of which no object was read: the cluster has none, or the file leaves them out.
    pub fn missing_kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.seen.contains(kind)).collect()
    }

    /// Reads one more file into this cluster; of an object that comes twice the later one stays.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let text = source::decoded(bytes)?;
        match text.trim_start().as_bytes().first() {
            None => Err(ReadError::Empty),
            Some(b'{') => self.add_json(&text),
            Some(_) => self.add_yaml(&text),
        }
    }

    /// The cluster, if it can be one.
    pub fn finish(self) -> Result<Self, ReadError> {
        if self.cluster.nodes.is_empty() {
            return Err(ReadError::NoNodes { objects: self.seen.len() });
        }
        Ok(self)
    }

    fn add_json(&mut self, text: &str) -> Result<(), ReadError> {
        let mut index = 0;
        for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            let raw = document.map_err(|error| ReadError::Json {
                position: Position { line: error.line(), column: error.column() },
                what: source::without_position(&error),
            })?;
            // What has no items, or other items than objects, is an object itself.
            let list =
                serde_json::from_str::<JsonDocument<'_>>(raw.get()).ok().filter(|list| list.kind.ends_with("List"));
            if let Some((list, items)) = list.and_then(|mut list| list.items.take().map(|items| (list, items))) {
                for raw in items {
                    self.add_item(&Item { index, source: Source::Json { raw, text } }, &list.api_version, &list.kind)?;
                    index += 1;
                }
            } else {
                self.add_item(&Item { index, source: Source::Json { raw, text } }, "", "")?;
                index += 1;
            }
        }
        Ok(())
    }

    fn add_yaml(&mut self, text: &str) -> Result<(), ReadError> {
        let mut index = 0;
        for document in source::yaml_documents(text)? {
            let text_of = |key: &str| document.fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (api_version, kind) = (text_of("apiVersion"), text_of("kind"));
            if let Some(items) = document.items.filter(|_| kind.ends_with("List")) {
                for item in items {
                    let position = Some(source::yaml_position(item.referenced));
                    let source = Source::Yaml { value: item.value, position };
                    self.add_item(&Item { index, source }, &api_version, &kind)?;
                    index += 1;
                }
            } else {
                let source = Source::Yaml { value: Value::Object(document.fields), position: None };
                self.add_item(&Item { index, source }, "", "")?;
                index += 1;
            }
        }
        Ok(())
    }

    fn add_item(&mut self, item: &Item<'_>, list_version: &str, list_kind: &str) -> Result<(), ReadError> {
        let mut head: Head = item.read(&Head::default())?;
        if head.kind.is_empty() {
            // A list of one kind, as the API serves it, tells the kind of its items once.
            list_kind.strip_suffix("List").unwrap_or_default().clone_into(&mut head.kind);
            list_version.clone_into(&mut head.api_version);
        }
        match (head.api_version.as_str(), head.kind.as_str()) {
            (_, "") => {
                Err(item.fails(&head, "kind", "it is missing; expected an object of Kubernetes, or a List of them"))
            }
            ("v1", "Node") => self.add_object::<Node>(item, &head),
            ("v1", "Pod") => self.add_object::<Pod>(item, &head),
            ("v1", "Namespace") => self.add_object::<Namespace>(item, &head),
            ("v1", "PersistentVolumeClaim") => self.add_object::<PersistentVolumeClaim>(item, &head),
            ("v1", "PersistentVolume") => self.add_object::<PersistentVolume>(item, &head),
            ("apps/v1", "Deployment") => self.add_object::<Deployment>(item, &head),
            ("apps/v1", "ReplicaSet") => self.add_object::<ReplicaSet>(item, &head),
            ("apps/v1", "StatefulSet") => self.add_object::<StatefulSet>(item, &head),
            ("apps/v1", "DaemonSet") => self.add_object::<DaemonSet>(item, &head),
            ("policy/v1", "PodDisruptionBudget") => self.add_object::<PodDisruptionBudget>(item, &head),
            ("autoscaling/v2", "HorizontalPodAutoscaler") => self.add_object::<HorizontalPodAutoscaler>(item, &head),
            ("policy/v1beta1", "PodDisruptionBudget") => self.add_object::<BetaBudget>(item, &head),
            ("autoscaling/v1" | "autoscaling/v2beta1" | "autoscaling/v2beta2", "HorizontalPodAutoscaler") => {
                self.add_object::<OldAutoscaler>(item, &head)
            }
            ("storage.k8s.io/v1", "CSINode") => self.add_object::<CSINode>(item, &head),
            (version, kind) => {
                let name: String = format!("{version} {kind}").trim_start().chars().take(128).collect();
                *self.skipped.entry(name).or_default() += 1;
                Ok(())
            }
        }
    }

    fn add_object<T: DeserializeOwned + Project>(&mut self, item: &Item<'_>, head: &Head) -> Result<(), ReadError> {
        let object: T = item.read(head)?;
        let projected = object.project().map_err(|error| item.fails(head, error.field, error.what))?;
        if let Some(fault) = projected.faults.into_iter().next() {
            return Err(item.fails(head, fault.field, fault.what));
        }
        self.seen.insert(T::KIND);
        let name = format!("{} {}", T::KIND.as_str(), projected.object.key());
        if insert(&mut self.cluster, projected.object) {
            self.contradicted.insert(name);
        }
        Ok(())
    }
}

/// Puts an object into the cluster. True when it replaced another one than itself.
pub fn insert(cluster: &mut Cluster, object: Object) -> bool {
    fn put<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: V) -> bool {
        match map.entry(key) {
            Entry::Vacant(place) => {
                place.insert(value);
                false
            }
            Entry::Occupied(mut place) => {
                let another = *place.get() != value;
                place.insert(value);
                another
            }
        }
    }
    match object {
        Object::Node(fact) => put(&mut cluster.nodes, fact.name.clone(), fact),
        Object::Pod(fact) => put(&mut cluster.pods, fact.key.clone(), fact),
        Object::Namespace(fact) => put(&mut cluster.namespaces, fact.name.clone(), fact),
        Object::Workload(fact) => put(&mut cluster.workloads, fact.id.clone(), fact),
        Object::Pdb(fact) => put(&mut cluster.pdbs, fact.key.clone(), fact),
        Object::Hpa(fact) => put(&mut cluster.hpas, fact.key.clone(), fact),
        Object::Pvc(fact) => put(&mut cluster.pvcs, fact.key.clone(), fact),
        Object::Pv(fact) => put(&mut cluster.pvs, fact.name.clone(), fact),
        Object::CsiNode(fact) => put(&mut cluster.csi_nodes, fact.name.clone(), fact),
    }
}

/// Reads one file. Linear in its size.
///
/// An error when the text is neither JSON nor YAML, when an object's field cannot be read, or when
/// there is no Node in it.
pub fn read_cluster(bytes: &[u8]) -> Result<ClusterFile, ReadError> {
    let mut file = ClusterFile::default();
    file.add(bytes)?;
    file.finish()
}
