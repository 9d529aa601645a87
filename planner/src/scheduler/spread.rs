//! Plugin PodTopologySpread: pods of a kind are spread evenly over zones, nodes or other domains.

use std::collections::BTreeMap;

use journal_schema::facts::{Key, NodeFact, OwnerKind, PodFact, Selector, SpreadConstraint, WorkloadId, WorkloadKind};
use journal_schema::reason::Reason;
use journal_schema::text::Name;

use super::matching::{node_affinity_matches, selector_is_empty, selector_matches, untolerated};
use super::score::normalise_spread;
use super::snapshot::Snapshot;

/// Key of the label that every node has by its own name.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Default constraints of a pod that has none, when it belongs to a ReplicaSet or StatefulSet.
const DEFAULTS: [(&str, i32); 2] = [(HOSTNAME, 3), (ZONE, 5)];

/// The hard constraints of one pod, counted over the cluster.
pub(super) struct HardSpread<'a> {
    counted: Vec<Counted<'a>>,
}

struct Counted<'a> {
    constraint: &'a SpreadConstraint,
    /// Matching pods per domain that counts; a domain without any is there with zero.
    domains: BTreeMap<&'a Name, i64>,
    /// The fewest in any domain; zero with fewer domains than `minDomains`.
    least: i64,
}

impl<'a> HardSpread<'a> {
    /// Counts matching pods per domain. A domain counts when it has a node with all topology keys
    /// of the pod's hard constraints that the constraint's policies let in.
    pub(super) fn new(snapshot: &'a Snapshot, pod: &'a PodFact) -> Self {
        let hard: Vec<&SpreadConstraint> = pod.spec.spread.iter().filter(|constraint| constraint.hard).collect();
        let counted = hard
            .iter()
            .map(|constraint| {
                let mut domains: BTreeMap<&Name, i64> = BTreeMap::new();
                for node in snapshot.nodes() {
                    if has_all_keys(&hard, node)
                        && lets_in(constraint, pod, node)
                        && let Some(value) = node.labels.get(&constraint.topology_key)
                    {
                        domains.entry(value).or_default();
                    }
                }
                for (node, count) in matching_pods(snapshot, pod, constraint.selector.as_ref()) {
                    if has_all_keys(&hard, node)
                        && lets_in(constraint, pod, node)
                        && let Some(value) = node.labels.get(&constraint.topology_key)
                    {
                        *domains.entry(value).or_default() += count;
                    }
                }
                let least_domains = usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(0);
                let least =
                    if domains.len() < least_domains { 0 } else { domains.values().copied().min().unwrap_or(0) };
                Counted { constraint, domains, least }
            })
            .collect();
        Self { counted }
    }

    /// Whether one more pod on this node keeps each constraint: with `m` matching pods in the
    /// node's domain and at least `g` in every domain, `m + self − g ≤ maxSkew`. With fewer domains
    /// than `minDomains`, `g` is zero. A node without the key is refused.
    pub(super) fn filter(&self, pod: &PodFact, node: &NodeFact) -> Result<(), Reason> {
        for Counted { constraint, domains, least } in &self.counted {
            let refuse = || Err(Reason::TopologySpread { key: constraint.topology_key.clone() });
            let Some(value) = node.labels.get(&constraint.topology_key) else { return refuse() };
            let own =
                i64::from(constraint.selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels)));
            let here = domains.get(value).copied().unwrap_or(0);
            if here + own - least > i64::from(constraint.max_skew) {
                return refuse();
            }
        }
        Ok(())
    }
}

fn has_all_keys(constraints: &[&SpreadConstraint], node: &NodeFact) -> bool {
    constraints.iter().all(|constraint| node.labels.contains_key(&constraint.topology_key))
}

/// The constraint's inclusion policies: whether a node counts for it.
fn lets_in(constraint: &SpreadConstraint, pod: &PodFact, node: &NodeFact) -> bool {
    (!constraint.honor_affinity || node_affinity_matches(&pod.spec, node))
        && (!constraint.honor_taints || untolerated(&pod.spec.tolerations, &node.taints).is_none())
}

/// Known nodes with bound pods that a constraint counts, and how many: of the pod's namespace,
/// selected, not terminating. An empty selector counts none, although it matches the pod itself. A
/// node may come more than once.
fn matching_pods<'a>(
    snapshot: &'a Snapshot,
    pod: &'a PodFact,
    selector: Option<&'a Selector>,
) -> impl Iterator<Item = (&'a NodeFact, i64)> {
    selector.filter(|selector| !selector_is_empty(selector)).into_iter().flat_map(move |selector| {
        snapshot
            .namespace_kinds(&pod.key.namespace)
            .filter(|(kind, _)| !kind.terminating && selector_matches(selector, &kind.labels))
            .flat_map(|(_, nodes)| nodes)
            .filter_map(|(node, count)| Some((snapshot.node(node)?, *count)))
    })
}

/// Scores of nodes by soft constraints (or the defaults), normalised to 0–100; `None` when the pod
/// has none and the plugin stays silent.
pub(super) fn score(snapshot: &Snapshot, pod: &PodFact, nodes: &[&NodeFact]) -> Option<Vec<i64>> {
    let own = !pod.spec.spread.is_empty();
    let constraints: Vec<SpreadConstraint> = if own {
        pod.spec.spread.iter().filter(|constraint| !constraint.hard).cloned().collect()
    } else {
        default_constraints(snapshot, pod)
    };
    if constraints.is_empty() {
        return None;
    }
    let soft: Vec<&SpreadConstraint> = constraints.iter().collect();
    // With the defaults a node without a zone is still spread by its name.
    let ignored = |node: &NodeFact| own && !has_all_keys(&soft, node);

    let mut raw: Vec<Option<f64>> = nodes.iter().map(|node| (!ignored(node)).then_some(0.0)).collect();
    for constraint in &soft {
        let by_node = constraint.topology_key.as_str() == HOSTNAME;
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for node in nodes.iter().filter(|node| !ignored(node)) {
            counts.entry(if by_node { &node.name } else { node.label(&constraint.topology_key) }).or_default();
        }
        for (node, number) in matching_pods(snapshot, pod, constraint.selector.as_ref()) {
            // A node's own pods count whatever the policies say, as in the real plugin.
            if by_node || (!ignored(node) && lets_in(constraint, pod, node)) {
                let domain = if by_node { &node.name } else { node.label(&constraint.topology_key) };
                if let Some(count) = counts.get_mut(domain) {
                    *count += number;
                }
            }
        }
        let weight = natural_log(counts.len() + 2);
        for (node, score) in nodes.iter().zip(&mut raw) {
            if let Some(score) = score
                && node.labels.contains_key(&constraint.topology_key)
            {
                let domain = if by_node { &node.name } else { node.label(&constraint.topology_key) };
                let count = counts.get(domain).copied().unwrap_or(0);
                *score += exact(count) * weight + f64::from(constraint.max_skew - 1);
            }
        }
    }
    Some(normalise_spread(&raw))
}

/// The scheduler's own soft constraints for a pod without any: three per node, five per zone, by
/// the selector of the pod's ReplicaSet or StatefulSet.
fn default_constraints(snapshot: &Snapshot, pod: &PodFact) -> Vec<SpreadConstraint> {
    let Some(selector) = owner_selector(snapshot, pod).filter(|selector| !selector_is_empty(selector)) else {
        return Vec::new();
    };
    DEFAULTS
        .iter()
        .map(|(key, max_skew)| SpreadConstraint {
            max_skew: *max_skew,
            topology_key: Name::truncated(key),
            hard: false,
            selector: Some(selector.clone()),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        })
        .collect()
}

fn owner_selector<'a>(snapshot: &'a Snapshot, pod: &PodFact) -> Option<&'a Selector> {
    let owner = pod.owner.as_ref()?;
    let kind = match owner.kind {
        OwnerKind::ReplicaSet => WorkloadKind::ReplicaSet,
        OwnerKind::StatefulSet => WorkloadKind::StatefulSet,
        OwnerKind::Deployment | OwnerKind::DaemonSet | OwnerKind::Job | OwnerKind::Node | OwnerKind::Other => {
            return None;
        }
    };
    snapshot.selectors.get(&WorkloadId { kind, key: Key::new(pod.key.namespace.clone(), owner.name.clone()) })
}

/// A count as a float. Counts of pods are far below 2^53, where every integer is exact.
#[expect(clippy::cast_precision_loss, reason = "counts of pods are exact in a double")]
fn exact(count: i64) -> f64 {
    count as f64
}

/// Natural logarithm by the four basic operations, so that every machine gives the same bits.
/// ln(n) = k·ln 2 + 2·artanh((m−1)/(m+1)) for n = m·2^k with 1 ≤ m < 2.
fn natural_log(n: usize) -> f64 {
    let halvings = n.max(1).ilog2();
    let m = exact(i64::try_from(n.max(1)).unwrap_or(i64::MAX)) / exact(1 << halvings);
    let ratio = (m - 1.0) / (m + 1.0);
    let square = ratio * ratio;
    let mut power = ratio;
    let mut sum = 0.0;
    // The ratio is below 1/3: after twenty terms what is left is below the last bit.
    for term in 0..20_u32 {
        sum += power / f64::from(2 * term + 1);
        power *= square;
    }
    f64::from(halvings) * std::f64::consts::LN_2 + 2.0 * sum
}

#[cfg(test)]
mod tests {
    use super::natural_log;

    #[test]
    fn logarithm_agrees_with_the_library() {
        for n in 1..20_000_usize {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let expected = (n as f64).ln();
            assert!((natural_log(n) - expected).abs() < 1e-12, "ln({n})");
        }
    }
}
