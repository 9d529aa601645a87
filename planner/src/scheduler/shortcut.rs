//! The scheduler's choice while few nodes are open and all others are to be avoided, without looking at those.
//!
//! While a plan is carried out nearly every node shows a PreferNoSchedule taint, and what is open nearly always wins.
//! A full choice filters and scores every node; this one filters the open nodes only, and proves from bounds that the
//! best of them is the scheduler's choice, or gives up. It never guesses: what it returns is what all nodes' scores
//! would say.
//!
//! A node is *open* for a pod when the pod tolerates all of its taints, of either kind; it is *avoided* when one or
//! more of those that are not tolerated are PreferNoSchedule, and none is harder. Others are not feasible. Let `o` be
//! a feasible open node, `t` any feasible avoided one, each score between 0 and 100, and weights as in [`score`]:
//!
//! - TaintToleration: `o` has 100 whatever the others show. With `c ≥ least` intolerable taints of at most `most` on
//!   any avoided node, `t` has `100 − ⌊100·c / max⌋ ≤ 100 − ⌊100·least / most⌋`, as `max ≤ most`.
//! - NodeAffinity: with the weight `p` of the preferred terms that match `o`, of `all` there are, `o` has at least
//!   `⌊100·p / all⌋`, and `t` at most 100. Without preferred terms both have 0.
//! - PodTopologySpread: `o` has at least what [`spread_bounds`](super::spread_bounds) say, and `t` at most 100. Without
//!   soft constraints both have 0.
//! - InterPodAffinity: where no node can be worth more than `o`, `t` has at most its score; else it may have 100 more.
//!   Without preferences both have 0.
//! - LeastAllocated and BalancedAllocation: what `o` has is known, and `t` has at most 100 of each.
//!
//! Where the sum says that every `t` has a smaller total than `o`, the choice is among the open nodes. Two of these
//! are compared by the same parts: what is known exactly, and from where to where the rest may differ. The order of
//! two raw scores is the order of their normalised scores, and equal raw scores are equal scores. With equal totals
//! the first by name is chosen, as always. Where an order does not follow, nothing is returned.

use std::cmp::Ordering;

use journal_schema::facts::{NodeFact, PodFact};
use journal_schema::text::Name;

use super::affinity::Preferences;
use super::matching::untolerated;
use super::score::{
    MAX_SCORE, NODE_AFFINITY_WEIGHT, POD_AFFINITY_WEIGHT, SPREAD_WEIGHT, TAINT_TOLERATION_WEIGHT,
    intolerable_preferences, most_room, preferred_weight, room,
};
use super::snapshot::{NodeState, Snapshot, asks_for_debt};
use super::spread::SoftSpread;
use super::spread_bounds::{RawScore, SpreadBounds};

/// Open nodes beyond which all nodes are looked at.
const MOST_OPEN: usize = 64;

/// The node that the scheduler would bind a pod to, if that can be told from the open nodes alone. `fits` filters.
///
/// Time: open nodes, and pods that rules of this one are about.
pub(super) fn choose<'a>(
    snapshot: &'a Snapshot,
    pod: &'a PodFact,
    fits: impl Fn(&NodeFact, &NodeState) -> bool,
) -> Option<&'a Name> {
    // The bounds hold for what an API server lets through.
    let odd = asks_for_debt(&pod.spec) || pod.spec.node_preferences.iter().any(|(weight, _)| *weight < 0);
    if odd || snapshot.in_debt() {
        return None;
    }
    let sides = Sides::of(snapshot, pod)?;
    let known = |place: &usize| Some((snapshot.at(*place).fact.as_deref()?, snapshot.at(*place)));
    let feasible: Vec<(&NodeFact, &NodeState)> = sides
        .open
        .iter()
        .filter(|place| snapshot.has_room(**place, &pod.spec.requests))
        .filter_map(known)
        .filter(|(fact, state)| fits(fact, state))
        .collect();
    if feasible.is_empty() {
        return None;
    }
    let judge = Judge::new(snapshot, pod)?;
    let mut contenders = feasible.into_iter().map(|(fact, state)| judge.contender(fact, state));
    let first = contenders.next()?;
    let best = contenders.try_fold(first, |best, other| match judge.order(&best, &other)? {
        Ordering::Less => Some(other),
        Ordering::Equal | Ordering::Greater => Some(best),
    })?;
    judge.beats(&best, sides.taint_toleration).then_some(&best.fact.name)
}

/// The nodes that a pod's tolerations let it on.
struct Sides {
    /// Places of the open ones.
    open: Vec<usize>,
    /// By how much TaintToleration puts each of these above every avoided one, at least.
    taint_toleration: i64,
}

impl Sides {
    /// `None` when nothing is avoided, or too much is open.
    fn of(snapshot: &Snapshot, pod: &PodFact) -> Option<Self> {
        let mut open = Vec::new();
        let mut avoided: Option<(i64, i64)> = None;
        for shown in snapshot.taints.lists().iter().filter(|shown| !shown.places.is_empty()) {
            if untolerated(&pod.spec.tolerations, &shown.taints).is_some() {
                continue;
            }
            let count = intolerable_preferences(pod, &shown.taints);
            if count > 0 {
                avoided = Some(avoided.map_or((count, count), |(least, most)| (least.min(count), most.max(count))));
            } else if open.len() + shown.places.len() > MOST_OPEN {
                return None;
            } else {
                open.extend(&shown.places);
            }
        }
        let (least, most) = avoided?;
        Some(Self { open, taint_toleration: MAX_SCORE * least / most })
    }
}

/// A feasible open node and what decides about it.
struct Contender<'a> {
    fact: &'a NodeFact,
    /// What is known exactly.
    room: i64,
    /// Weight of the preferred terms of node affinity that match.
    preferred: i64,
    spread: Option<RawScore>,
    /// What other pods make it worth.
    company: i64,
}

/// What a pod's preferences are about.
struct Judge<'a> {
    pod: &'a PodFact,
    /// The weight of all preferred terms of node affinity.
    preferences: i64,
    /// `None` where the plugin is silent.
    spread: Option<SpreadBounds<'a>>,
    /// The same.
    company: Option<Preferences>,
}

impl<'a> Judge<'a> {
    /// `None` where nothing can be said.
    fn new(snapshot: &'a Snapshot, pod: &'a PodFact) -> Option<Self> {
        let spread = match SoftSpread::new(snapshot, pod) {
            Some(spread) => Some(SpreadBounds::new(snapshot, spread)?),
            None => None,
        };
        let preferences = pod.spec.node_preferences.iter().map(|(weight, _)| i64::from(*weight)).sum();
        Some(Self { pod, preferences, spread, company: Preferences::new(snapshot, pod) })
    }

    fn contender(&self, fact: &'a NodeFact, state: &NodeState) -> Contender<'a> {
        Contender {
            fact,
            room: room(self.pod, fact, state),
            preferred: preferred_weight(self.pod, fact),
            spread: self.spread.as_ref().and_then(|spread| spread.raw(state)),
            company: self.company.as_ref().map_or(0, |company| company.of(state)),
        }
    }

    /// Which of two the scheduler prefers, if that is certain.
    fn order(&self, one: &Contender<'_>, other: &Contender<'_>) -> Option<Ordering> {
        let spread = self.spread.as_ref().map_or((0, 0), |spread| {
            let (one, other) = (one.spread.as_ref(), other.spread.as_ref());
            spread.difference(one, other)
        });
        let parts = [
            (NODE_AFFINITY_WEIGHT, difference(one.preferred, other.preferred)),
            (SPREAD_WEIGHT, spread),
            (POD_AFFINITY_WEIGHT, difference(one.company, other.company)),
        ];
        let known = one.room - other.room;
        let least = known + parts.iter().map(|(weight, (least, _))| weight * least).sum::<i64>();
        let most = known + parts.iter().map(|(weight, (_, most))| weight * most).sum::<i64>();
        // The first by name is preferred among equals.
        let by_name = other.fact.name.cmp(&one.fact.name);
        match (least.cmp(&0), most.cmp(&0)) {
            (Ordering::Greater, _) => Some(Ordering::Greater),
            (_, Ordering::Less) => Some(Ordering::Less),
            (Ordering::Equal, Ordering::Equal) => Some(by_name),
            (Ordering::Equal, _) => (by_name == Ordering::Greater).then_some(by_name),
            (_, Ordering::Equal) => (by_name == Ordering::Less).then_some(by_name),
            (Ordering::Less, Ordering::Greater) => None,
        }
    }

    /// Whether a contender has a larger total than every avoided node, by how much TaintToleration puts it above them.
    fn beats(&self, one: &Contender<'_>, taint_toleration: i64) -> bool {
        let node_affinity = match self.preferences {
            0 => 0,
            all => MAX_SCORE - MAX_SCORE * one.preferred / all,
        };
        let spread = self.spread.as_ref().map_or(0, |spread| MAX_SCORE - spread.least(one.spread.as_ref()));
        let unmatched = self.company.as_ref().is_none_or(|company| one.company >= company.most());
        let pod_affinity = if unmatched { 0 } else { MAX_SCORE };
        let lost = NODE_AFFINITY_WEIGHT * node_affinity
            + SPREAD_WEIGHT * spread
            + POD_AFFINITY_WEIGHT * pod_affinity
            + most_room(self.pod);
        TAINT_TOLERATION_WEIGHT * taint_toleration + one.room > lost
    }
}

/// By how much one normalised score may be above another, at least and at most, by their raw scores.
fn difference(one: i64, other: i64) -> (i64, i64) {
    match one.cmp(&other) {
        Ordering::Less => (-MAX_SCORE, 0),
        Ordering::Equal => (0, 0),
        Ordering::Greater => (0, MAX_SCORE),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use journal_schema::facts::{Key, Labels, PodSpecFact, PodTerm, Selector, Taint, TaintEffect};
    use journal_schema::text::Few;
    use journal_schema::units::{Bytes, MilliCpu, Resources, Timestamp};

    use super::*;
    use crate::scheduler::newcomer;

    const HOSTNAME: &str = "kubernetes.io/hostname";

    fn name(text: &str) -> Name {
        Name::truncated(text)
    }

    /// Nodes of 4 CPUs and 16 GiB; all but the first so many are avoided.
    fn led(nodes: usize, open: usize) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for number in 0..nodes {
            let node = name(&format!("n{number}"));
            let later = Taint { key: name("later"), value: name(""), effect: TaintEffect::PreferNoSchedule };
            let taints = Few::new([later].into_iter().filter(|_| number >= open).collect()).unwrap_or_default();
            let labels = Labels::from([(name(HOSTNAME), node.clone())]);
            let allocatable =
                Resources { cpu: MilliCpu(4_000), memory: Bytes(16 << 30), pods: 9, ..Resources::default() };
            snapshot.put_node(newcomer::node(&node, labels, taints, allocatable, Timestamp(0)));
        }
        snapshot
    }

    fn pod(text: &str, cpu: i64) -> PodFact {
        let requests = Resources { cpu: MilliCpu(cpu), memory: Bytes(4 << 30), pods: 1, ..Resources::default() };
        let spec = PodSpecFact { requests, ..PodSpecFact::default() };
        let key = Key::new(name("default"), name(text));
        let labels = Labels::from([(name("app"), name("web"))]).into();
        PodFact { labels, ..PodFact::new(key, name(text), spec, Timestamp(0)) }
    }

    /// What is chosen, and what was filtered.
    fn chosen(snapshot: &Snapshot, pod: &PodFact) -> (Option<String>, Vec<String>) {
        let filtered = RefCell::new(Vec::new());
        let cycle = snapshot.cycle(pod);
        let fits = |fact: &NodeFact, _: &NodeState| {
            filtered.borrow_mut().push(fact.name.to_string());
            cycle.filter(&fact.name).is_ok()
        };
        let chosen = choose(snapshot, pod, fits).map(Name::to_string);
        (chosen, filtered.into_inner())
    }

    #[test]
    fn only_open_nodes_are_looked_at() {
        let snapshot = led(50, 1);
        assert_eq!(chosen(&snapshot, &pod("web", 1_000)), (Some("n0".to_owned()), vec!["n0".to_owned()]));
        let snapshot = led(50, 2);
        let both = vec!["n0".to_owned(), "n1".to_owned()];
        assert_eq!(chosen(&snapshot, &pod("web", 1_000)), (Some("n0".to_owned()), both));
    }

    #[test]
    fn the_emptier_of_two_open_nodes_is_chosen() {
        let mut snapshot = led(50, 2);
        snapshot.bind(pod("other", 1_000), &name("n0"));
        assert_eq!(chosen(&snapshot, &pod("web", 1_000)).0, Some("n1".to_owned()));
    }

    #[test]
    fn without_room_on_an_open_node_nothing_is_said() {
        let mut snapshot = led(50, 1);
        snapshot.bind(pod("other", 3_500), &name("n0"));
        assert_eq!(chosen(&snapshot, &pod("web", 1_000)).0, None);
        assert_eq!(chosen(&led(50, 50), &pod("web", 1_000)).0, None, "nothing is avoided");
    }

    /// Other pods that are to be avoided may weigh as much as the taint: 200 of 300, and up to 200 of room.
    #[test]
    fn where_preferences_outweigh_the_taint_nothing_is_said() {
        let mut snapshot = led(50, 1);
        let mut shy = pod("web", 1_000);
        let selector = Some(Selector { labels: Labels::clone(&shy.labels), expressions: Few::default() });
        let term =
            PodTerm { selector, namespaces: Few::default(), namespace_selector: None, topology_key: name(HOSTNAME) };
        shy.spec.pod_preferences = Few::new(vec![(-100, term)]).unwrap_or_default();
        assert_eq!(chosen(&snapshot, &shy).0, Some("n0".to_owned()), "nobody is there to avoid");
        snapshot.bind(pod("other", 1_000), &name("n0"));
        assert_eq!(chosen(&snapshot, &shy).0, Some("n0".to_owned()), "300 and 150 of room are more than 400");
        snapshot.bind(pod("another", 1_000), &name("n0"));
        assert_eq!(chosen(&snapshot, &shy).0, None, "300 and 100 of room are not");
    }
}
