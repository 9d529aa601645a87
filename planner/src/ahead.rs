//! Looking ahead: in which order pods move that a spread constraint binds together.
//!
//! A pod that is surged counts twice for a while, so with a skew of one it may only go to a domain that has fewest. Each
//! move makes another domain that one; where the wrong pod goes first the last ones wait for each other for good. So
//! before a pod is sent it is asked whether all others of its class can still follow.

use std::collections::BTreeMap;

use crate::relations::Spread;

/// Pods of a class that are looked at, at most: of more there is nearly always one that may go.
pub(crate) const MOST_PODS: usize = 24;
/// Orders that are looked at before it is taken that there is one.
const MOST_LOOKED_AT: usize = 2_000;

/// Pods that are still to move under one spread constraint, by domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ahead {
    /// How many pods the constraint counts.
    pub(crate) counted: Vec<u32>,
    /// How many pods are still to leave.
    pub(crate) from: Vec<u32>,
    /// How many hosts there still need.
    pub(crate) to: Vec<u32>,
}

impl Ahead {
    /// What is left once a pod has moved; `None` when it may not.
    pub(crate) fn after(&self, rule: &Spread, from: usize, to: usize, surges: bool) -> Option<Self> {
        let mut next = self.clone();
        next.from[from] = next.from[from].checked_sub(1)?;
        next.to[to] = next.to[to].checked_sub(1)?;
        if !surges {
            next.counted[from] = next.counted[from].saturating_sub(1);
        }
        next.counted[to] += 1;
        let least = rule.least(&|domain| next.counted[domain] - u32::from(domain == to));
        if i64::from(next.counted[to]) - least > rule.max_skew {
            return None;
        }
        if surges {
            next.counted[from] = next.counted[from].saturating_sub(1);
        }
        Some(next)
    }

    /// Whether all can move one after the other; taken for granted where that is not seen soon.
    pub(crate) fn can_end(&self, rule: &Spread, surges: bool) -> bool {
        let mut looked_at = BTreeMap::new();
        self.ends(rule, surges, &mut looked_at)
    }

    fn ends(&self, rule: &Spread, surges: bool, looked_at: &mut BTreeMap<Self, bool>) -> bool {
        if self.from.iter().all(|count| *count == 0) || self.to.iter().all(|count| *count == 0) {
            return true;
        }
        if let Some(known) = looked_at.get(self) {
            return *known;
        }
        if looked_at.len() >= MOST_LOOKED_AT {
            return true;
        }
        let domains = self.counted.len();
        let moves = (0..domains).flat_map(|to| (0..domains).map(move |from| (from, to)));
        let ends = moves
            .filter(|(from, to)| self.from[*from] > 0 && self.to[*to] > 0)
            .filter_map(|(from, to)| self.after(rule, from, to, surges))
            .any(|next| next.ends(rule, surges, looked_at));
        looked_at.insert(self.clone(), ends);
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::Ahead;
    use crate::relations::{Spread, Topology};

    fn rule() -> Spread {
        Spread {
            topology: Topology::Key(0),
            key: journal_schema::text::Name::truncated("zone"),
            max_skew: 1,
            min_domains: 1,
            eligible: vec![true; 3],
            domains: vec![0, 1, 2],
            skew_now: 1,
            few: None,
        }
    }

    /// Two, two and one: the one whose domain is to have one again must come last.
    #[test]
    fn of_pods_that_wait_for_each_other_the_right_one_comes_last() {
        let rule = rule();
        let all = Ahead { counted: vec![2, 2, 1], from: vec![2, 2, 1], to: vec![2, 2, 1] };
        assert!(all.can_end(&rule, true));
        // Only the domain that has fewest takes a pod.
        assert!(all.after(&rule, 0, 1, true).is_none());
        let begun = all.after(&rule, 0, 2, true).expect("a move").after(&rule, 1, 0, true).expect("a move");
        assert!(begun.can_end(&rule, true));
        let wrong = begun.after(&rule, 2, 1, true).expect("a move");
        assert_eq!(wrong.counted, [2, 2, 1]);
        assert!(!wrong.can_end(&rule, true), "nobody goes where there are fewest");
        assert!(begun.after(&rule, 0, 1, true).expect("a move").can_end(&rule, true));
    }

    /// One goes to where none is, and that domain has fewest from then on; but it is to have no other.
    #[test]
    fn surged_pods_do_not_get_to_every_spread_that_is_allowed() {
        let spread = |to: [u32; 3]| Ahead { counted: vec![2, 3, 0], from: vec![2, 3, 0], to: to.to_vec() };
        assert!(!spread([2, 2, 1]).can_end(&rule(), true));
        assert!(spread([2, 1, 2]).can_end(&rule(), true));
        assert!(spread([1, 2, 2]).can_end(&rule(), true));
    }

    /// A pod that is evicted does not count any more when its successor comes.
    #[test]
    fn evicted_pods_wait_for_nobody() {
        let all = Ahead { counted: vec![2, 2, 1], from: vec![1, 1, 0], to: vec![1, 1, 0] };
        assert!(!all.can_end(&rule(), true));
        assert!(all.can_end(&rule(), false));
    }
}
