//! Scores of nodes that a pod fits, by the default plugins and weights.

use journal_schema::facts::{NodeFact, PodFact, Taint, TaintEffect};
use journal_schema::text::Name;

use super::matching::{node_term_matches, tolerates};
use super::snapshot::{NodeState, Snapshot, scored_requests};
use super::{affinity, spread};

/// Every plugin's score lies between 0 and this.
pub(super) const MAX_SCORE: i64 = 100;

pub(super) const TAINT_TOLERATION_WEIGHT: i64 = 3;
pub(super) const NODE_AFFINITY_WEIGHT: i64 = 2;
pub(super) const SPREAD_WEIGHT: i64 = 2;
pub(super) const POD_AFFINITY_WEIGHT: i64 = 2;
const FIT_WEIGHT: i64 = 1;
const BALANCE_WEIGHT: i64 = 1;

/// A node's scores for one pod, each from 0 to 100 and not weighted. A plugin that has nothing to
/// say gives every node the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// Node.
    pub node: Name,
    /// TaintToleration: few PreferNoSchedule taints that are not tolerated. Weight 3.
    pub taint_toleration: i64,
    /// NodeAffinity: preferred terms. Weight 2.
    pub node_affinity: i64,
    /// PodTopologySpread: soft constraints, or the default ones. Weight 2.
    pub spread: i64,
    /// InterPodAffinity: preferred terms. Weight 2.
    pub pod_affinity: i64,
    /// NodeResourcesFit, LeastAllocated: free CPU and memory. Weight 1.
    pub least_allocated: i64,
    /// NodeResourcesBalancedAllocation: CPU and memory evenly used. Weight 1.
    pub balanced: i64,
}

impl Score {
    /// The weighted sum that the scheduler compares.
    pub fn total(&self) -> i64 {
        TAINT_TOLERATION_WEIGHT * self.taint_toleration
            + NODE_AFFINITY_WEIGHT * self.node_affinity
            + SPREAD_WEIGHT * self.spread
            + POD_AFFINITY_WEIGHT * self.pod_affinity
            + FIT_WEIGHT * self.least_allocated
            + BALANCE_WEIGHT * self.balanced
    }
}

/// Scores the nodes, in their order.
pub(super) fn score(snapshot: &Snapshot, pod: &PodFact, states: &[(&NodeFact, &NodeState)]) -> Vec<Score> {
    let facts: Vec<&NodeFact> = states.iter().map(|(fact, _)| *fact).collect();
    let silent = || vec![0; facts.len()];

    let taint_toleration =
        normalise(facts.iter().map(|node| intolerable_preferences(pod, &node.taints)).collect(), true);
    let node_affinity = normalise(facts.iter().map(|node| preferred_weight(pod, node)).collect(), false);
    let spread = spread::score(snapshot, pod, states).unwrap_or_else(silent);
    let pod_affinity = affinity::score(snapshot, pod, states).unwrap_or_else(silent);

    states
        .iter()
        .enumerate()
        .map(|(index, (fact, state))| Score {
            node: fact.name.clone(),
            taint_toleration: taint_toleration[index],
            node_affinity: node_affinity[index],
            spread: spread[index],
            pod_affinity: pod_affinity[index],
            least_allocated: least_allocated(pod, fact, state),
            balanced: balanced(pod, fact, state),
        })
        .collect()
}

/// PreferNoSchedule taints of a node that the pod's tolerations do not cover.
pub(super) fn intolerable_preferences(pod: &PodFact, taints: &[Taint]) -> i64 {
    let count = taints
        .iter()
        .filter(|taint| match taint.effect {
            TaintEffect::PreferNoSchedule => !tolerates(&pod.spec.tolerations, taint),
            TaintEffect::NoSchedule | TaintEffect::NoExecute => false,
        })
        .count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Weights of the preferred node affinity terms that match.
pub(super) fn preferred_weight(pod: &PodFact, node: &NodeFact) -> i64 {
    pod.spec
        .node_preferences
        .iter()
        .filter(|(_, term)| node_term_matches(term, node))
        .map(|(weight, _)| i64::from(*weight))
        .sum()
}

/// What the two plugins that look at the node's own room add to its total.
pub(super) fn room(pod: &PodFact, node: &NodeFact, state: &NodeState) -> i64 {
    FIT_WEIGHT * least_allocated(pod, node, state) + BALANCE_WEIGHT * balanced(pod, node, state)
}

/// The most that they add to any node's, where no pod asks for less than nothing.
pub(super) fn most_room(pod: &PodFact) -> i64 {
    MAX_SCORE * if is_balanced(pod) { FIT_WEIGHT + BALANCE_WEIGHT } else { FIT_WEIGHT }
}

/// Share of CPU and memory left free after the pod, their mean, rounded down twice as the plugin
/// does: per resource and over both. Containers without requests count with the defaults.
fn least_allocated(pod: &PodFact, node: &NodeFact, state: &NodeState) -> i64 {
    let (cpu, memory) = scored_requests(&pod.spec);
    let pairs =
        [((state.scored.0 + cpu).0, node.allocatable.cpu.0), ((state.scored.1 + memory).0, node.allocatable.memory.0)];
    let scores: Vec<i64> = pairs
        .iter()
        .filter(|(_, capacity)| *capacity > 0)
        .map(|(requested, capacity)| if requested > capacity { 0 } else { share(capacity - requested, *capacity) })
        .collect();
    match i64::try_from(scores.len()) {
        Ok(count) if count > 0 => scores.iter().sum::<i64>() / count,
        Ok(_) | Err(_) => 0,
    }
}

/// `part` of `whole` in hundredths, rounded down.
fn share(part: i64, whole: i64) -> i64 {
    i64::try_from(i128::from(part) * i128::from(MAX_SCORE) / i128::from(whole)).unwrap_or(0)
}

/// Whether the balance of CPU and memory is looked at: a pod that asks for neither does not change it.
fn is_balanced(pod: &PodFact) -> bool {
    let wanted = &pod.spec.requests;
    wanted.cpu.0 != 0 || wanted.memory.0 != 0
}

/// How much the pod improves the balance of CPU and memory: 50 is worst, about 75 no change, 100
/// best. A pod that asks for neither is not scored.
fn balanced(pod: &PodFact, node: &NodeFact, state: &NodeState) -> i64 {
    if !is_balanced(pod) {
        return 0;
    }
    let wanted = &pod.spec.requests;
    let capacity = [node.allocatable.cpu.0, node.allocatable.memory.0];
    let without = balance([state.used.cpu.0, state.used.memory.0], capacity);
    let with = balance([(state.used.cpu + wanted.cpu).0, (state.used.memory + wanted.memory).0], capacity);
    MAX_SCORE / 2 + (MAX_SCORE / 2 + with - without) / 2
}

/// 100 × (1 − standard deviation of the used shares), rounded down; shares above one count as one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the plugin's own arithmetic; the result is within 0..=100"
)]
fn balance(used: [i64; 2], capacity: [i64; 2]) -> i64 {
    let fraction = |index: usize| (used[index] as f64 / capacity[index] as f64).min(1.0);
    let deviation = if capacity[0] > 0 && capacity[1] > 0 { ((fraction(0) - fraction(1)) / 2.0).abs() } else { 0.0 };
    ((1.0 - deviation) * 100.0) as i64
}

/// Scales counts so that the largest is 100; with `reverse` the smallest counts are best.
fn normalise(raw: Vec<i64>, reverse: bool) -> Vec<i64> {
    let largest = raw.iter().copied().max().unwrap_or(0);
    if largest == 0 {
        return vec![if reverse { MAX_SCORE } else { 0 }; raw.len()];
    }
    raw.iter()
        .map(|count| MAX_SCORE * count / largest)
        .map(|scaled| if reverse { MAX_SCORE - scaled } else { scaled })
        .collect()
}

/// Few matching pods are best. A node without the topology keys (`None`) gets nothing.
#[expect(clippy::cast_possible_truncation, reason = "the plugin's own rounding; counts of pods are small")]
pub(super) fn normalise_spread(raw: &[Option<f64>]) -> Vec<i64> {
    let rounded: Vec<Option<i64>> = raw.iter().map(|score| score.map(|score| score.round() as i64)).collect();
    let largest = rounded.iter().flatten().copied().max().unwrap_or(0).max(0);
    let least = rounded.iter().flatten().copied().min().unwrap_or(0);
    rounded
        .iter()
        .map(|score| match score {
            None => 0,
            Some(_) if largest == 0 => MAX_SCORE,
            Some(score) => MAX_SCORE * (largest + least - score) / largest,
        })
        .collect()
}

/// The least sum becomes 0 and the largest 100; when all are equal, all are 0.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the plugin's own arithmetic; the result is within 0..=100"
)]
pub(super) fn normalise_affinity(raw: &[i64]) -> Vec<i64> {
    let largest = raw.iter().copied().max().unwrap_or(0);
    let least = raw.iter().copied().min().unwrap_or(0);
    let span = largest - least;
    raw.iter().map(|score| if span > 0 { (100.0 * ((score - least) as f64 / span as f64)) as i64 } else { 0 }).collect()
}
