//! Nodes in a real control plane: the parts of kubelet registration and of GKE's cloud controller.
//!
//! KWOK takes over every Node that is annotated `kwok.x-k8s.io/node=fake`. A node that shall never be
//! Ready goes without the annotation, so that nobody sends its heartbeats.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use journal_schema::cloud::Pool;
use journal_schema::units::Resources;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use simulator::cloud::{CloudChange, Happening};

use crate::server::StandIn;
use crate::wire::effect;

/// The annotation that carries a machine's numeric id.
pub const INSTANCE_ID: &str = "container.googleapis.com/instance_id";

/// A Node could not be written.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The API server refused.
    #[error("the API server refused a change of node {node}")]
    Api {
        /// Node.
        node: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The node cannot be described.
    #[error("node {node} cannot be described")]
    Form {
        /// Node.
        node: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Keeps the cluster's Nodes as the cloud's machines are, until the task is aborted.
///
/// # Errors
/// The first Nodes cannot be created.
pub async fn keep(
    stand_in: Arc<StandIn>,
    client: Client,
    project: String,
) -> Result<tokio::task::JoinHandle<()>, NodeError> {
    let keeper = Keeper { nodes: Api::all(client), stand_in, project };
    keeper.first_nodes().await?;
    Ok(tokio::spawn(keeper.follow()))
}

struct Keeper {
    nodes: Api<Node>,
    stand_in: Arc<StandIn>,
    project: String,
}

impl Keeper {
    async fn first_nodes(&self) -> Result<(), NodeError> {
        let living = self.stand_in.with(|cloud, _| cloud.lifetimes().to_vec());
        for life in living.iter().filter(|life| life.to.is_none()) {
            let Some(allocatable) = self.allocatable(life.pool.as_str()) else { continue };
            let change = CloudChange {
                at: life.from,
                pool: life.pool.clone(),
                name: life.name.clone(),
                id: life.id,
                what: Happening::NodeJoins { allocatable, ready: true },
            };
            self.apply(&change).await?;
        }
        Ok(())
    }

    fn allocatable(&self, pool: &str) -> Option<Resources> {
        self.pool(pool).map(|pool| pool.allocatable)
    }

    fn pool(&self, id: &str) -> Option<Pool> {
        let groups = self.stand_in.with(|cloud, _| cloud.inspect());
        groups.into_iter().map(|(group, _)| group.pool).find(|pool| pool.id.as_str() == id)
    }

    /// Applies changes in order; one that fails is tried again until the API server takes it.
    async fn follow(self) {
        let mut waiting: VecDeque<CloudChange> = VecDeque::new();
        loop {
            waiting.extend(self.stand_in.changes());
            let Some(change) = waiting.front() else {
                tokio::select! {
                    () = tokio::time::sleep(self.stand_in.pause()) => {}
                    () = self.stand_in.called.notified() => {}
                }
                continue;
            };
            match self.apply(change).await {
                Ok(()) => {
                    self.stand_in.note(json!({
                        "at": crate::wire::time(change.at), "node": change.name.as_str(), "id": change.id.to_string(), "what": format!("{:?}", change.what),
                    }));
                    waiting.pop_front();
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a node cannot be changed; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    async fn apply(&self, change: &CloudChange) -> Result<(), NodeError> {
        match &change.what {
            Happening::Running | Happening::Gone => Ok(()),
            Happening::NodeJoins { allocatable, ready } => self.create(change, allocatable, *ready).await,
            Happening::NodeLeaves => self.delete(change.name.as_str(), |id| id == change.id.to_string()).await,
        }
    }

    async fn create(&self, change: &CloudChange, allocatable: &Resources, ready: bool) -> Result<(), NodeError> {
        let name = change.name.as_str();
        let failed = |source| NodeError::Api { node: name.to_owned(), source: Box::new(source) };
        let node: Node = serde_json::from_value(self.describe(change, allocatable, ready))
            .map_err(|source| NodeError::Form { node: name.to_owned(), source })?;
        match self.nodes.create(&PostParams::default(), &node).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                // Another machine had the name, or this Node was made before the answer was lost.
                let own = change.id.to_string();
                self.delete(name, |id| id != own).await?;
                match self.nodes.create(&PostParams::default(), &node).await {
                    Ok(_) => Ok(()),
                    Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                    Err(source) => Err(failed(source)),
                }
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Deletes the Node of that name if its machine's id passes.
    async fn delete(&self, name: &str, of: impl Fn(&str) -> bool) -> Result<(), NodeError> {
        let failed = |source| NodeError::Api { node: name.to_owned(), source: Box::new(source) };
        let Some(node) = self.nodes.get_opt(name).await.map_err(failed)? else { return Ok(()) };
        let id = node
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(INSTANCE_ID))
            .map_or("", String::as_str);
        if !of(id) {
            return Ok(());
        }
        let exactly = DeleteParams {
            preconditions: Some(Preconditions { uid: node.metadata.uid, resource_version: None }),
            ..DeleteParams::default()
        };
        match self.nodes.delete(name, &exactly).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(source) => Err(failed(source)),
        }
    }

    fn describe(&self, change: &CloudChange, allocatable: &Resources, ready: bool) -> Value {
        let name = change.name.as_str();
        let pool = self.pool(&change.pool);
        let (labels, taints, zone) =
            pool.map_or_else(Default::default, |pool| (pool.labels, pool.taints.into_vec(), pool.zone));
        let mut labels: Map<String, Value> =
            labels.iter().map(|(key, value)| (key.to_string(), json!(value.as_str()))).collect();
        labels.insert("kubernetes.io/hostname".to_owned(), json!(name));
        let taints: Vec<Value> =
            taints.iter().map(|taint| json!({ "key": taint.key.as_str(), "value": taint.value.as_str(), "effect": effect(taint.effect) })).collect();
        let mut annotations = json!({ INSTANCE_ID: change.id.to_string() });
        if ready {
            annotations["kwok.x-k8s.io/node"] = json!("fake");
        }
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": labels, "annotations": annotations },
            "spec": { "providerID": format!("gce://{}/{zone}/{name}", self.project), "taints": taints },
            "status": {
                "allocatable": quantities(allocatable),
                "capacity": quantities(&self.capacity(change, allocatable)),
                "phase": "Running",
                "nodeInfo": {
                    "architecture": labels_arch(&labels), "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                    "kubeletVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": "",
                },
            },
        })
    }

    /// The machine's whole size, beside what is left of it for pods.
    fn capacity(&self, change: &CloudChange, allocatable: &Resources) -> Resources {
        let Some(shown) = self.stand_in.shown().get(&change.pool) else { return allocatable.clone() };
        let mut capacity = allocatable.clone();
        capacity.cpu = shown.machine.cpu;
        capacity.memory = adapter_prices::allocatable::visible_memory(&shown.machine);
        capacity
    }
}

fn labels_arch(labels: &Map<String, Value>) -> &str {
    labels.get("kubernetes.io/arch").and_then(Value::as_str).unwrap_or("amd64")
}

fn quantities(resources: &Resources) -> Value {
    let mut values = json!({
        "cpu": format!("{}m", resources.cpu.0),
        "memory": format!("{}Ki", resources.memory.0 >> 10),
        "ephemeral-storage": resources.ephemeral.0.to_string(),
        "pods": resources.pods.to_string(),
    });
    for (name, amount) in &resources.extended {
        values[name.as_str()] = json!(amount.to_string());
    }
    values
}
