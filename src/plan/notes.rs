//! What a reader should know of a cluster before a plan of it is believed: what was left out, and
//! what looks like a mistake in how it was read.

use std::collections::{BTreeMap, BTreeSet};

use adapter_kube::file::ClusterFile;
use journal_schema::cloud::PriceBook;
use journal_schema::facts::Kind;
use journal_schema::plan::{Cluster, Planned};
use journal_schema::policy::Pricing;
use journal_schema::text::Name;
use journal_schema::units::Timestamp;

use super::view::node_price;

/// Names that are written out before the rest is counted.
const NAMED: usize = 3;

/// `3 nodes`, `1 node`
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `a, b, c and 4 more`
pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}

/// Of what files hold and leave out.
pub(super) fn of_file(file: &ClusterFile) -> Vec<String> {
    let mut notes = Vec::new();
    let missing = file.missing_kinds();
    let cluster = &file.cluster;
    if missing.contains(&Kind::ReplicaSet) && cluster.workloads.keys().any(|id| id.kind.kind() == Kind::Deployment) {
        notes.push("no ReplicaSets were read: the pods of Deployments are not recognised and stay".to_owned());
    }
    if missing.contains(&Kind::PersistentVolumeClaim) && cluster.pods.values().any(|pod| !pod.spec.claims.is_empty()) {
        notes
            .push("no PersistentVolumeClaims were read: pods with volumes stay (add pvc,pv to kubectl get)".to_owned());
    }
    if missing.contains(&Kind::PodDisruptionBudget) {
        notes.push(
            "no PodDisruptionBudgets were read: if the cluster has some, add poddisruptionbudgets to kubectl get"
                .to_owned(),
        );
    }
    // Without -A, kubectl prints one namespace, and whatever else runs looks like room.
    let namespaces: BTreeSet<&Name> = cluster.pods.keys().map(|key| &key.namespace).collect();
    if let (Some(only), 1) = (namespaces.first(), namespaces.len()) {
        notes
            .push(format!("every pod is of namespace {only}: if the cluster has others, give kubectl get the flag -A"));
    }
    let watched: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let matters = |name: &str| name.rsplit(' ').next().is_some_and(|kind| watched.contains(kind));
    let (unread, skipped): (BTreeMap<_, _>, BTreeMap<_, _>) = file.skipped.iter().partition(|(name, _)| matters(name));
    for (name, number) in unread {
        notes.push(format!(
            "{} of {name} left out: a version that is not known here, so what it protects is not protected in this plan",
            count(*number, "object")
        ));
    }
    let number: usize = skipped.values().copied().sum();
    if number > 0 {
        let kinds = named(skipped.keys().map(|name| name.as_str()));
        notes.push(format!("{} of kinds that no decision reads left out: {kinds}", count(number, "object")));
    }
    if !file.contradicted.is_empty() {
        let names = named(file.contradicted.iter().map(String::as_str));
        notes.push(format!("two versions of the same object, of which the later one counts: {names}"));
    }
    notes
}

/// Of what is strange in a cluster, however it was read.
pub(super) fn of_cluster(cluster: &Cluster, prices: &PriceBook, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    let mut of_nodes = |what: &dyn Fn(&journal_schema::facts::NodeFact) -> bool, text: &str| {
        let names: Vec<&str> =
            cluster.nodes.values().filter(|node| what(node)).map(|node| node.name.as_str()).collect();
        if !names.is_empty() {
            notes.push(format!("{text}: {} ({})", count(names.len(), "node"), named(names)));
        }
    };
    of_nodes(
        &|node| node_price(node, prices, &Pricing::default()).is_none(),
        "no known price, so kept and not counted in the cost",
    );
    of_nodes(
        &|node| node.allocatable.cpu.0 <= 0 || node.allocatable.memory.0 <= 0,
        "no allocatable resources, so kept",
    );
    of_nodes(
        &|node| !matches!(node.label("kubernetes.io/os"), "" | "linux"),
        "another system than Linux, so kept and given no pods",
    );
    of_nodes(
        &|node| !node.provider_id.is_empty() && !node.provider_id.starts_with("gce://"),
        "not machines of Google Cloud, which alone kinema run boots and deletes",
    );
    of_nodes(&|node| node.created_at > now, "created after the time that is planned for (--now), so kept");
    let ghosts: BTreeSet<&str> = cluster
        .pods
        .values()
        .filter_map(|pod| pod.node.as_ref())
        .filter(|node| !cluster.nodes.contains_key(*node))
        .map(Name::as_str)
        .collect();
    if !ghosts.is_empty() {
        let pods =
            cluster.pods.values().filter(|pod| pod.node.as_ref().is_some_and(|node| ghosts.contains(node.as_str())));
        notes.push(format!(
            "on nodes that were not read, so left out: {} ({})",
            count(pods.count(), "pod"),
            named(ghosts.iter().copied())
        ));
    }
    notes
}

/// Of what is strange in a plan.
pub(super) fn of_plan(cluster: &Cluster, planned: &Planned) -> Vec<String> {
    let plan = &planned.plan;
    if !plan.remove.is_empty() && plan.add.is_empty() && plan.remove.len() == cluster.nodes.len() {
        return vec![
            "this plan leaves no node: nothing but DaemonSets' and finished pods was seen. Was everything read?"
                .to_owned(),
        ];
    }
    Vec::new()
}
