//! The container API: which groups GKE's own autoscaler resizes.
//!
//! One read of all clusters of the project.

use std::collections::BTreeMap;

use journal_schema::effect::{Failure, FailureClass, FailureCode};
use serde::Deserialize;

use crate::config::Config;
use crate::failure::Called;
use crate::rest::Rest;

const ENDPOINT: &str = "https://container.googleapis.com";

/// The client.
#[derive(Debug)]
pub(crate) struct Container {
    rest: Rest,
    url: String,
    target: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Clusters {
    clusters: Vec<Cluster>,
    missing_zones: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Cluster {
    name: String,
    node_pools: Vec<NodePool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodePool {
    instance_group_urls: Vec<String>,
    autoscaling: Autoscaling,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Autoscaling {
    enabled: bool,
}

/// What GKE knows of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GkeGroup {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// Whether GKE's autoscaler resizes it.
    pub(crate) autoscaled: bool,
}

/// Groups by `zone/name`.
pub(crate) type GkeGroups = BTreeMap<String, GkeGroup>;

impl Container {
    pub(crate) fn new(config: &Config, rest: Rest) -> Self {
        let endpoint = config.container_endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
        let url = format!("{endpoint}/v1/projects/{}/locations/-/clusters", config.project);
        Self { rest, url, target: config.project.clone() }
    }

    /// Every node pool's groups. A zone that did not answer fails the call: its pools would else
    /// look as if nothing resized them.
    pub(crate) async fn groups(&self) -> Result<GkeGroups, Failure> {
        let called = Called {
            method: "clusters.list",
            permission: "container.clusters.list",
            target: &self.target,
            mutates: false,
        };
        let clusters: Clusters = self.rest.get(&self.url, &called).await?;
        if let Some(zone) = clusters.missing_zones.first() {
            return Err(called.failed(
                FailureClass::Retryable,
                FailureCode::Unavailable,
                &format!("zone {zone} did not answer"),
            ));
        }
        Ok(by_group(clusters))
    }
}

fn by_group(clusters: Clusters) -> GkeGroups {
    let mut groups = GkeGroups::new();
    for cluster in clusters.clusters {
        for pool in cluster.node_pools {
            for url in &pool.instance_group_urls {
                if let Some(key) = key_of(url) {
                    groups
                        .insert(key, GkeGroup { cluster: cluster.name.clone(), autoscaled: pool.autoscaling.enabled });
                }
            }
        }
    }
    groups
}

/// `…/zones/Z/instanceGroupManagers/G` as `Z/G`; the API also writes `instanceGroups`.
fn key_of(url: &str) -> Option<String> {
    let mut parts = url.rsplit('/');
    let (group, kind, zone, zones) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (zones == "zones" && kind.starts_with("instanceGroup")).then(|| format!("{zone}/{group}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_their_urls() {
        let text = r#"{"clusters":[{"name":"demo","nodePools":[
            {"name":"a","instanceGroupUrls":["https://www.googleapis.com/compute/v1/projects/p/zones/z-a/instanceGroupManagers/g1"],"autoscaling":{"enabled":true,"minNodeCount":1}},
            {"name":"b","instanceGroupUrls":["https://www.googleapis.com/compute/v1/projects/p/zones/z-b/instanceGroups/g2","nonsense"]}]}]}"#;
        let groups = by_group(serde_json::from_str(text).unwrap());
        assert_eq!(groups.len(), 2);
        assert!(groups["z-a/g1"].autoscaled);
        assert!(!groups["z-b/g2"].autoscaled);
        assert_eq!(groups["z-b/g2"].cluster, "demo");
    }
}
