//! What a GKE instance template says about the nodes made from it.
//!
//! Labels and taints stand in the metadata `kube-labels` and, with the values meant for
//! autoscalers, in `kube-env`. That file also holds certificates and keys: only the variables
//! named here are looked at, and nothing of it is logged.

use std::collections::BTreeMap;

use journal_schema::facts::{Labels, Taint, TaintEffect};
use journal_schema::text::Name;

/// Labels and taints of a template's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeTemplate {
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    /// The GKE cluster's name.
    pub(crate) cluster: Option<String>,
}

/// The label that tells how many pods a node of the pool takes.
pub(crate) const MAX_PODS_LABEL: &str = "cloud.google.com/gke-max-pods-per-node";

impl NodeTemplate {
    /// Reads a template's metadata; `None` when it is not a Kubernetes node's, or has a label or
    /// taint that cannot be read (guessing would place pods wrongly).
    pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let environment = metadata.get("kube-env").map_or("", String::as_str);
        let labels_text = metadata
            .get("kube-labels")
            .cloned()
            .or_else(|| autoscaler_variable(environment, "node_labels"))
            .or_else(|| variable(environment, "NODE_LABELS"));
        if labels_text.is_none() && environment.is_empty() {
            return None;
        }
        let taints_text = autoscaler_variable(environment, "node_taints")
            .or_else(|| variable(environment, "NODE_TAINTS"))
            .or_else(|| metadata.get("kube-taints").cloned())
            .unwrap_or_default();
        let labels = labels_text
            .as_deref()
            .unwrap_or("")
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .map(read_label)
            .collect::<Option<_>>()?;
        let taints =
            taints_text.split(',').filter(|taint| !taint.trim().is_empty()).map(read_taint).collect::<Option<_>>()?;
        Some(Self { labels, taints, cluster: metadata.get("cluster-name").cloned() })
    }

    /// How many pods a node takes.
    pub(crate) fn max_pods(&self) -> Option<i64> {
        self.labels.get(MAX_PODS_LABEL)?.parse().ok()
    }
}

fn read_label(pair: &str) -> Option<(Name, Name)> {
    let (key, value) = pair.trim().split_once('=')?;
    Some((Name::new(key).ok()?, Name::new(value).ok()?))
}

/// `key=value:Effect` or `key:Effect`.
fn read_taint(text: &str) -> Option<Taint> {
    let (pair, effect) = text.trim().rsplit_once(':')?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let effect = match effect {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => return None,
    };
    Some(Taint { key: Name::new(key).ok()?, value: Name::new(value).ok()?, effect })
}

/// The value of `NAME: value` in the YAML lines of kube-env, quotes taken away.
fn variable(environment: &str, name: &str) -> Option<String> {
    environment.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?.trim();
        Some(value.trim_matches(['\'', '"']).to_owned())
    })
}

/// The value of a variable within `AUTOSCALER_ENV_VARS: name=value;name='value';…`.
fn autoscaler_variable(environment: &str, name: &str) -> Option<String> {
    let all = variable(environment, "AUTOSCALER_ENV_VARS")?;
    let value = all.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches(['\'', '"']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_and_taints_are_read_from_the_autoscalers_variables() {
        let environment = "CA_CERT: c2VjcmV0\n\
            AUTOSCALER_ENV_VARS: node_labels=a=b,cloud.google.com/gke-max-pods-per-node=22;node_taints='dedicated=ml:NoSchedule,test:PreferNoSchedule';arch=amd64\n\
            NODE_LABELS: old=1\n";
        let template = NodeTemplate::read(&metadata(&[("kube-env", environment), ("cluster-name", "demo")])).unwrap();
        assert_eq!(template.labels.len(), 2);
        assert_eq!(template.max_pods(), Some(22));
        let taints: Vec<_> =
            template.taints.iter().map(|taint| (taint.key.as_str(), taint.value.as_str(), taint.effect)).collect();
        assert_eq!(
            taints,
            vec![("dedicated", "ml", TaintEffect::NoSchedule), ("test", "", TaintEffect::PreferNoSchedule)]
        );
        assert_eq!(template.cluster.as_deref(), Some("demo"));
    }

    #[test]
    fn older_places_are_read_too() {
        let template = NodeTemplate::read(&metadata(&[
            ("kube-labels", "x=y"),
            ("kube-env", "NODE_TAINTS: 'gpu=yes:NoExecute'\n"),
        ]))
        .unwrap();
        assert_eq!(template.labels.get("x").unwrap().as_str(), "y");
        assert_eq!(template.taints[0].effect, TaintEffect::NoExecute);
        assert_eq!(NodeTemplate::read(&metadata(&[("kube-env", "NODE_LABELS: a=b")])).unwrap().labels.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed() {
        assert_eq!(NodeTemplate::read(&metadata(&[("startup-script", "x")])), None, "no node");
        assert_eq!(NodeTemplate::read(&metadata(&[("kube-labels", "novalue")])), None);
        assert_eq!(NodeTemplate::read(&metadata(&[("kube-labels", "a=b"), ("kube-taints", "a=b:Never")])), None);
        assert_eq!(NodeTemplate::read(&metadata(&[("kube-labels", "")])), Some(NodeTemplate::default()));
    }
}
