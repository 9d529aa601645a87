//! Plugin PodTopologySpread: pods of a kind are spread evenly over zones, nodes or other domains.

use journal_schema::facts::{NodeFact, PodFact, Selector, SpreadConstraint, WorkloadId, WorkloadKind};
use journal_schema::reason::Reason;

use super::matching::{node_affinity_matches, selector_is_empty, selector_matches, untolerated};
use super::score::normalise_spread;
use super::snapshot::{NodeState, Snapshot};

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
    /// The number of its topology key; `None` when no node has it.
    key: Option<u32>,
    /// Matching pods per domain; what does not count is `None`.
    domains: Vec<Option<i64>>,
    /// The fewest in any domain; zero with fewer domains than `minDomains`.
    least: i64,
    /// Whether the pod counts itself.
    own: i64,
}

impl<'a> HardSpread<'a> {
    /// Counts matching pods per domain. A domain counts when it has a node with all topology keys
    /// of the pod's hard constraints that the constraint's policies let in.
    pub(super) fn new(snapshot: &'a Snapshot, pod: &'a PodFact) -> Self {
        let hard: Vec<&SpreadConstraint> = pod.spec.spread.iter().filter(|constraint| constraint.hard).collect();
        let keys = numbers(snapshot, &hard);
        let counted = hard
            .iter()
            .zip(&keys)
            .map(|(constraint, key)| {
                let mut domains = vec![None; key.map_or(0, |key| snapshot.domains(key))];
                let domain = |state: &NodeState| {
                    let counts = has_all(keys.iter().copied(), state)
                        && state.fact.as_deref().is_some_and(|node| Policies::of(constraint).let_in(pod, node));
                    if counts { key.and_then(|key| state.domain(key)) } else { None }
                };
                for (place, count) in matching_pods(snapshot, pod, constraint.selector.as_ref()) {
                    if let Some(domain) = domain(snapshot.at(place)) {
                        *domains[domain as usize].get_or_insert(0) += count;
                    }
                }
                // A domain that counts and has none makes the fewest zero, so that no more need be looked for.
                let all = domains.iter().all(Option::is_some);
                let none = |domain: u32| domains[domain as usize].is_none();
                let empty = !all && snapshot.states().filter_map(domain).any(none);
                let least_domains = usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(0);
                let present = domains.iter().flatten();
                let too_few = empty || present.clone().count() < least_domains;
                let least = if too_few { 0 } else { present.copied().min().unwrap_or(0) };
                let own = constraint.selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels));
                Counted { constraint, key: *key, domains, least, own: i64::from(own) }
            })
            .collect();
        Self { counted }
    }

    /// Whether one more pod on this node keeps each constraint: with `m` matching pods in the
    /// node's domain and at least `g` in every domain, `m + self − g ≤ maxSkew`. With fewer domains
    /// than `minDomains`, `g` is zero. A node without the key is refused.
    pub(super) fn filter(&self, node: &NodeState) -> Result<(), Reason> {
        for Counted { constraint, key, domains, least, own } in &self.counted {
            let refuse = || Err(Reason::TopologySpread { key: constraint.topology_key.clone() });
            let Some(domain) = key.and_then(|key| node.domain(key)) else { return refuse() };
            let here = domains.get(domain as usize).copied().flatten().unwrap_or(0);
            if here + own - least > i64::from(constraint.max_skew) {
                return refuse();
            }
        }
        Ok(())
    }
}

/// The numbers of the constraints' topology keys.
fn numbers(snapshot: &Snapshot, constraints: &[&SpreadConstraint]) -> Vec<Option<u32>> {
    constraints.iter().map(|constraint| snapshot.key(&constraint.topology_key)).collect()
}

fn has_all(keys: impl IntoIterator<Item = Option<u32>>, node: &NodeState) -> bool {
    keys.into_iter().all(|key| key.is_some_and(|key| node.domain(key).is_some()))
}

/// A constraint's inclusion policies: which nodes count for it.
#[derive(Clone, Copy)]
struct Policies {
    honor_affinity: bool,
    honor_taints: bool,
}

impl Policies {
    fn of(constraint: &SpreadConstraint) -> Self {
        Self { honor_affinity: constraint.honor_affinity, honor_taints: constraint.honor_taints }
    }

    fn let_in(self, pod: &PodFact, node: &NodeFact) -> bool {
        (!self.honor_affinity || node_affinity_matches(&pod.spec, node))
            && (!self.honor_taints || untolerated(&pod.spec.tolerations, &node.taints).is_none())
    }
}

/// Places of known nodes with bound pods that a constraint counts, and how many: of the pod's
/// namespace, selected, not terminating. An empty selector counts none, although it matches the pod
/// itself. A place may come more than once.
fn matching_pods<'a>(
    snapshot: &'a Snapshot,
    pod: &'a PodFact,
    selector: Option<&'a Selector>,
) -> impl Iterator<Item = (usize, i64)> {
    selector.filter(|selector| !selector_is_empty(selector)).into_iter().flat_map(move |selector| {
        snapshot
            .kinds
            .hooked(selector)
            .filter(|(kind, _)| {
                kind.namespace == pod.key.namespace && !kind.terminating && selector_matches(selector, &kind.labels)
            })
            .flat_map(|(_, places)| places)
            .map(|(place, count)| (*place, *count))
            .filter(|(place, _)| snapshot.at(*place).fact.is_some())
    })
}

/// A soft constraint of a pod: one of its own, or one of the defaults.
pub(super) struct Soft<'a> {
    /// The number of its topology key; `None` when no node has it.
    pub(super) key: Option<u32>,
    /// Its domains are the nodes themselves.
    pub(super) by_node: bool,
    pub(super) max_skew: i32,
    selector: Option<&'a Selector>,
    policies: Policies,
}

/// The soft constraints of one pod.
pub(super) struct SoftSpread<'a> {
    snapshot: &'a Snapshot,
    pod: &'a PodFact,
    /// They are the pod's own: nodes without all of their keys are not scored. With the defaults a node
    /// without a zone is still spread by its name.
    pub(super) own: bool,
    pub(super) constraints: Vec<Soft<'a>>,
}

impl<'a> SoftSpread<'a> {
    /// `None` when the pod has none and the plugin stays silent.
    pub(super) fn new(snapshot: &'a Snapshot, pod: &'a PodFact) -> Option<Self> {
        let own = !pod.spec.spread.is_empty();
        let constraints: Vec<Soft<'a>> = if own {
            let soft = pod.spec.spread.iter().filter(|constraint| !constraint.hard);
            soft.map(|constraint| Soft {
                key: snapshot.key(&constraint.topology_key),
                by_node: constraint.topology_key.as_str() == HOSTNAME,
                max_skew: constraint.max_skew,
                selector: constraint.selector.as_ref(),
                policies: Policies::of(constraint),
            })
            .collect()
        } else {
            // The scheduler's own: three per node, five per zone, by the selector of the pod's ReplicaSet or
            // StatefulSet.
            let selector = owner_selector(snapshot, pod).filter(|selector| !selector_is_empty(selector))?;
            let soft = |(key, max_skew): &(&str, i32)| Soft {
                key: snapshot.key(key),
                by_node: *key == HOSTNAME,
                max_skew: *max_skew,
                selector: Some(selector),
                policies: Policies { honor_affinity: true, honor_taints: false },
            };
            DEFAULTS.iter().map(soft).collect()
        };
        (!constraints.is_empty()).then_some(Self { snapshot, pod, own, constraints })
    }

    /// Whether a node is not scored.
    pub(super) fn ignores(&self, state: &NodeState) -> bool {
        self.own && !has_all(self.constraints.iter().map(|soft| soft.key), state)
    }

    /// Where pods are that count for a constraint, and how many.
    pub(super) fn counted(&self, soft: &Soft<'a>) -> impl Iterator<Item = (&'a NodeState, i64)> {
        let (by_node, policies) = (soft.by_node, soft.policies);
        matching_pods(self.snapshot, self.pod, soft.selector)
            .map(|(place, number)| (self.snapshot.at(place), number))
            .filter(move |(state, _)| {
                // A node's own pods count whatever the policies say, as in the real plugin.
                let counts_here = || state.fact.as_deref().is_some_and(|node| policies.let_in(self.pod, node));
                by_node || (!self.ignores(state) && counts_here())
            })
    }
}

/// Scores of nodes by soft constraints (or the defaults), normalised to 0–100; `None` when the pod
/// has none and the plugin stays silent.
pub(super) fn score(snapshot: &Snapshot, pod: &PodFact, nodes: &[(&NodeFact, &NodeState)]) -> Option<Vec<i64>> {
    let spread = SoftSpread::new(snapshot, pod)?;
    let mut raw: Vec<Option<f64>> = nodes.iter().map(|(_, state)| (!spread.ignores(state)).then_some(0.0)).collect();
    for soft in &spread.constraints {
        let Soft { key, by_node, .. } = *soft;
        // By place, or by domain with one more for the nodes that have none.
        let none = key.map_or(0, |key| snapshot.domains(key));
        let index = |state: &NodeState| {
            if by_node { state.place } else { key.and_then(|key| state.domain(key)).map_or(none, |d| d as usize) }
        };
        let mut counts: Vec<Option<i64>> = vec![None; if by_node { snapshot.most_places() } else { none + 1 }];
        for (_, state) in nodes.iter().filter(|(_, state)| !spread.ignores(state)) {
            counts[index(state)].get_or_insert(0);
        }
        for (state, number) in spread.counted(soft) {
            if let Some(count) = &mut counts[index(state)] {
                *count += number;
            }
        }
        let weight = weight(counts.iter().flatten().count());
        for ((_, state), score) in nodes.iter().zip(&mut raw) {
            if let Some(score) = score
                && key.is_some_and(|key| state.domain(key).is_some())
            {
                let count = counts[index(state)].unwrap_or(0);
                *score += exact(count) * weight + f64::from(soft.max_skew - 1);
            }
        }
    }
    Some(normalise_spread(&raw))
}

/// What a pod in a domain weighs, by the number of domains.
pub(super) fn weight(domains: usize) -> f64 {
    natural_log(domains + 2)
}

/// The owner whose pods the scheduler spreads by default.
pub(crate) fn spread_owner(pod: &PodFact) -> Option<WorkloadId> {
    pod.controller().filter(|owner| matches!(owner.kind, WorkloadKind::ReplicaSet | WorkloadKind::StatefulSet))
}

fn owner_selector<'a>(snapshot: &'a Snapshot, pod: &PodFact) -> Option<&'a Selector> {
    snapshot.selectors.get(&spread_owner(pod)?)
}

/// A count as a float. Counts of pods are far below 2^53, where every integer is exact.
#[expect(clippy::cast_precision_loss, reason = "counts of pods are exact in a double")]
pub(super) fn exact(count: i64) -> f64 {
    count as f64
}

/// Natural logarithm by the four basic operations, so that every machine gives the same bits.
/// ln(n) = k·ln 2 + 2·artanh((m−1)/(m+1)) for n = m·2^k with 1 ≤ m < 2.
pub(crate) fn natural_log(n: usize) -> f64 {
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
