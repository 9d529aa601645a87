//! What soft spread constraints can make of nodes at most and at least, without looking at every node.
//!
//! For a pod, a node that is scored has the raw score `r = Σ c·w + maxSkew − 1` over the constraints whose key it has:
//! `c` pods are counted in its domain, and `w = ln(n + 2)` where `n` of the constraint's domains have a feasible node.
//! Rounded, and with `max` and `min` over the feasible nodes, its score is `⌊100·(max + min − r) / max⌋`.
//!
//! - `c` is exact for a feasible node: its domain has one.
//! - `n` is at least 1 and at most the number of domains with a known node, which bounds `w` from both sides. As a
//!   function of each `w` alone, a difference of raw scores is linear and a quotient of them is of one sign's slope, so
//!   that both take their extremes where every `w` takes one of its own.
//! - `min ≥ g`, the sum over the constraints of the least that any known node can get of each, with the same `w`.
//! - `max ≥ r` of every feasible node, so that `(max + min − r) / max = 1 − (r − min) / max ≥ min / r ≥ g / r`.
//! - Of two feasible nodes with `r ≤ s` the first has at least the second's score and at most `100·(s − r) / s + 1`
//!   more.
//!
//! Rounding moves a raw score by a half at most, and what floating point adds to that is far less than [`SLACK`].

use super::score::MAX_SCORE;
use super::snapshot::{NodeState, Snapshot};
use super::spread::{Soft, SoftSpread, exact, weight};

/// The most constraints that are bounded: extremes are looked for at 2^n points.
const MOST_CONSTRAINTS: usize = 4;
/// More than all roundings of floating point numbers come to.
const SLACK: f64 = 0.001;
/// How far rounding may move a raw score.
const HALF: f64 = 0.5 + SLACK;

/// Bounds of what a pod's soft constraints make of nodes.
pub(super) struct SpreadBounds<'a> {
    spread: SoftSpread<'a>,
    /// By constraint.
    counts: Vec<Counts>,
    /// The weights at which extremes are taken, each by constraint.
    corners: Vec<Vec<f64>>,
    least: RawScore,
}

/// Pods that a constraint counts.
enum Counts {
    /// By place; a place may come more than once.
    ByNode(Vec<(usize, i64)>),
    /// By domain.
    ByDomain(Vec<i64>),
}

/// A raw score for any weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawScore {
    /// By constraint: what its weight is multiplied with.
    counts: Vec<i64>,
    constant: i64,
}

impl RawScore {
    /// A constraint's part for a node that has its key.
    fn add(&mut self, soft: &Soft<'_>, count: i64) {
        self.counts.push(count);
        self.constant += i64::from(soft.max_skew) - 1;
    }

    /// A constraint's part for a node that has not.
    fn add_nothing(&mut self) {
        self.counts.push(0);
    }

    fn at(&self, weights: &[f64]) -> f64 {
        self.counts.iter().zip(weights).map(|(count, weight)| exact(*count) * weight).sum::<f64>()
            + exact(self.constant)
    }
}

impl<'a> SpreadBounds<'a> {
    /// `None` where nothing is known: constraints are many, or not such as the API lets through.
    pub(super) fn new(snapshot: &'a Snapshot, spread: SoftSpread<'a>) -> Option<Self> {
        if spread.constraints.len() > MOST_CONSTRAINTS || spread.constraints.iter().any(|soft| soft.max_skew < 1) {
            return None;
        }
        let mut bounds = Self { counts: Vec::new(), corners: vec![Vec::new()], least: RawScore::default(), spread };
        for soft in &bounds.spread.constraints {
            let holders = soft.key.and_then(|key| snapshot.holders(key));
            let all_have_it = bounds.spread.own || holders.is_some_and(|holders| holders.all == snapshot.known());
            let (counts, fewest, domains) = if soft.by_node {
                let counts = bounds.spread.counted(soft).map(|(state, number)| (state.place, number)).collect();
                (Counts::ByNode(counts), 0, snapshot.known())
            } else {
                let mut counts = vec![0; soft.key.map_or(0, |key| snapshot.domains(key))];
                for (state, number) in bounds.spread.counted(soft) {
                    if let Some(domain) = soft.key.and_then(|key| state.domain(key)) {
                        counts[domain as usize] += number;
                    }
                }
                let held = holders.map_or(&[][..], |holders| &holders.by_value);
                let present = || counts.iter().zip(held).filter(|(_, nodes)| **nodes > 0).map(|(count, _)| *count);
                let (fewest, domains) = (present().min().unwrap_or(0), present().count());
                (Counts::ByDomain(counts), fewest, domains + usize::from(!all_have_it))
            };
            bounds.counts.push(counts);
            if all_have_it {
                bounds.least.add(soft, fewest);
            } else {
                bounds.least.add_nothing();
            }
            let weights = [weight(1), weight(domains.max(1))];
            let with = |corner: &Vec<f64>, more: f64| corner.iter().copied().chain([more]).collect();
            bounds.corners =
                bounds.corners.iter().flat_map(|corner| weights.map(|weight| with(corner, weight))).collect();
        }
        Some(bounds)
    }

    /// The raw score of a feasible node; `None` for one that is not scored.
    pub(super) fn raw(&self, state: &NodeState) -> Option<RawScore> {
        if self.spread.ignores(state) {
            return None;
        }
        let mut raw = RawScore::default();
        for (soft, counts) in self.spread.constraints.iter().zip(&self.counts) {
            match (soft.key.and_then(|key| state.domain(key)), counts) {
                (None, _) => raw.add_nothing(),
                (Some(_), Counts::ByNode(counts)) => {
                    let here = counts.iter().filter(|(place, _)| *place == state.place);
                    raw.add(soft, here.map(|(_, count)| count).sum());
                }
                (Some(domain), Counts::ByDomain(counts)) => raw.add(soft, counts[domain as usize]),
            }
        }
        Some(raw)
    }

    /// A feasible node's score is at least this.
    pub(super) fn least(&self, raw: Option<&RawScore>) -> i64 {
        let Some(raw) = raw else { return 0 };
        if *raw == self.least {
            return MAX_SCORE;
        }
        let quotient = |weights: &Vec<f64>| (self.least.at(weights) - HALF) / (raw.at(weights) + HALF);
        let least = self.corners.iter().map(quotient).fold(1.0, f64::min);
        floor(100.0 * least - SLACK).clamp(0, MAX_SCORE)
    }

    /// By how much the score of one feasible node is above another's, at least and at most.
    pub(super) fn difference(&self, one: Option<&RawScore>, other: Option<&RawScore>) -> (i64, i64) {
        match (one, other) {
            (None, None) => (0, 0),
            (Some(_), None) => (self.least(one), MAX_SCORE),
            (None, Some(_)) => (-MAX_SCORE, -self.least(other)),
            (Some(one), Some(other)) if one == other => (0, 0),
            (Some(one), Some(other)) => (-self.lead(other, one), self.lead(one, other)),
        }
    }

    /// By how much the score of a feasible node may be above another's at most.
    fn lead(&self, one: &RawScore, other: &RawScore) -> i64 {
        let more = |weights: &Vec<f64>| other.at(weights) - one.at(weights);
        if self.corners.iter().map(more).fold(f64::MIN, f64::max) < -SLACK {
            return 0;
        }
        if self.corners.iter().any(|weights| other.at(weights) < 1.0 + HALF) {
            return MAX_SCORE;
        }
        // Both are rounded, towards each other or away.
        let quotient = |weights: &Vec<f64>| (more(weights) + 2.0 * HALF) / (other.at(weights) - HALF);
        let most = self.corners.iter().map(quotient).fold(0.0, f64::max);
        (floor(100.0 * most + SLACK) + 1).min(MAX_SCORE)
    }
}

/// Rounded down. What is bounded lies between −1,000 and some thousands times the number of pods.
#[expect(clippy::cast_possible_truncation, reason = "bounds of scores are small, and saturate else")]
fn floor(score: f64) -> i64 {
    score.floor() as i64
}
