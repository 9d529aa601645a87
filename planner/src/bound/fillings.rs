//! The bound in whole pods: hosts are filled with pods, not with parts of them.
//!
//! Where pods are large for the machines, what a host holds is far less than its room. Here the program asks for the
//! cheapest fillings of hosts that hold all pods, each filling as often as need be (the configuration program of
//! Gilmore and Gomory). Fillings are far too many to write down: those that the worths of the last program show to be
//! worth more than their host are taken in, until there are none, or the work is used up; whatever the worths, what
//! no filling exceeds is a proof (Farley's bound).
//!
//! The fillings that the program uses are also where a search may begin.

use super::prices::{self, floats};
use super::problem::{KindKey, Problem};
use super::program::Columns;
use super::proof::{Proof, conclude, rounded, unit};
use super::volume::NANO;
use super::whole;

/// Up to so many classes it is tried in any case, and up to so many where pods are large: where the hosts that matter
/// hold no more than so many of them on average. With more there are too many ways to fill a host to rule all of them
/// out, and hosts that hold many pods can be filled.
const FEW_CLASSES: usize = 40;
const MOST_CLASSES: usize = 250;
const LARGE: f64 = 4.0;
/// A kind of host matters if it holds so much of its price.
const MATTERS: f64 = 0.97;
/// Most programs, and most fillings in one.
const MOST_ROUNDS: usize = 150;
const MOST_FILLINGS: usize = 3_000;
/// Fillings of one kind that a round takes in at most, and that the first program has.
const MORE_FILLINGS: usize = 8;
const FIRST_FILLINGS: usize = 3;
/// Branches for one host, and for all of them together.
const NODES: u64 = 20_000;
const WORK: u64 = 10_000_000;
/// How far from the best proven ones a program may propose worths, at first, as a share of them; further by
/// a factor whenever nothing is found there.
const AWAY: f64 = 0.05;
const FURTHER: f64 = 4.0;
/// The same as a share of the most that a pod may be worth, so that what was proven nothing may rise.
const AWAY_OF_MOST: f64 = 0.005;
const FURTHEST: f64 = 2.0;
/// A filling is taken in when it is worth so much more than its host, as a share of that.
const VIOLATION: f64 = 5e-5;
/// The search ends when the proof is this near to what the program costs.
const SETTLED: f64 = 2e-4;
/// Fillings used less often than this are not.
const UNUSED: f64 = 1e-3;

/// Pods that one host holds together.
#[derive(Clone, Debug)]
pub(crate) struct Filling {
    /// On which host.
    pub(crate) of: KindKey,
    /// Classes of the model, and how many pods of each.
    pub(crate) pods: Vec<(usize, usize)>,
    /// How many such hosts, not a whole number.
    pub(crate) hosts: f64,
}

/// A filling of a kind in terms of the problem.
struct Row {
    kind: usize,
    counts: Vec<f64>,
}

/// Improves a proof, and proposes how to fill hosts.
pub(super) fn improve(problem: &Problem, start: &Proof) -> (Option<Proof>, Vec<Filling>) {
    let scale = unit(problem);
    let mut work = WORK;
    let count = problem.classes.len();
    if count > MOST_CLASSES || count > FEW_CLASSES && pods_of_a_host(problem, start) > LARGE {
        return (None, Vec::new());
    }
    let mut rows: Vec<Row> = Vec::new();
    for (kind, of) in problem.kinds.iter().enumerate() {
        let filling = whole::fill(problem, of, &start.worth, 0, &mut NODES.min(work));
        let best = filling.counts.iter().rev().take(FIRST_FILLINGS);
        rows.extend(best.map(|counts| Row { kind, counts: floats(counts) }));
    }
    let mut best: Option<Proof> = None;
    let mut proven = start.cost;
    let mut centre: Vec<f64> = start.worth.iter().map(|worth| *worth as f64 / scale).collect();
    let mut away = AWAY;
    let mut used = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let Some((worths, hosts, cost)) = solve(problem, &rows, &centre, away) else { break };
        used = hosts;
        if proven as f64 >= cost * (1.0 - SETTLED) || rows.len() >= MOST_FILLINGS || work == 0 {
            break;
        }
        let worth: Vec<i64> = worths.iter().map(|worth| rounded(*worth, scale)).collect();
        let mut ceilings = Vec::new();
        let before = rows.len();
        for (kind, of) in problem.kinds.iter().enumerate() {
            let enough = i128::from(of.price) * NANO;
            let mut left = NODES.min(work);
            let given = left;
            let filling = whole::fill(problem, of, &worth, enough, &mut left);
            work -= given - left;
            ceilings.push(filling.ceiling);
            let whole = filling.counts.iter().rev().take(MORE_FILLINGS);
            let found = whole.map(|counts| floats(counts)).chain(filling.parts);
            let value =
                |counts: &[f64]| -> f64 { counts.iter().zip(&worths).map(|(count, worth)| count * worth).sum() };
            let allowed = of.price as f64 / problem.dearest() as f64 * (1.0 + VIOLATION);
            rows.extend(found.filter(|counts| value(counts) > allowed).map(|counts| Row { kind, counts }));
        }
        let proof = conclude(problem, &worth, &ceilings);
        if proof.cost > proven {
            proven = proof.cost;
            centre = proof.worth.iter().map(|worth| *worth as f64 / scale).collect();
            best = Some(proof);
        }
        if rows.len() == before {
            if away >= FURTHEST {
                break;
            }
            away *= FURTHER;
        }
    }
    // A round may have taken in more since the last program.
    let hosts = used.into_iter().chain(std::iter::repeat(0.0));
    let whole = |row: &Row| row.counts.iter().all(|count| count.fract() == 0.0) && row.counts.iter().any(|c| *c > 0.0);
    let fillings = rows.iter().zip(hosts).filter(|(row, _)| whole(row)).map(|(row, hosts)| {
        let counts = problem.classes.iter().zip(&row.counts).filter(|(_, count)| **count >= 1.0);
        let pods = counts.map(|(class, count)| (class.class, count.round() as usize)).collect();
        Filling { of: problem.kinds[row.kind].of, pods, hosts: if hosts > UNUSED { hosts } else { 0.0 } }
    });
    let fillings: Vec<Filling> = fillings.collect();
    (best, fillings)
}

/// How many pods a host holds in the mean of the kinds that matter, by parts of pods.
fn pods_of_a_host(problem: &Problem, start: &Proof) -> f64 {
    let worths = floats(&start.worth);
    let mut hosts = Vec::new();
    for kind in problem.kinds.iter().filter(|kind| kind.price > 0) {
        let counts = prices::fill(problem, kind, &worths).counts;
        let holds: f64 = counts.iter().zip(&worths).map(|(count, worth)| count * worth).sum();
        if holds > kind.price as f64 * NANO as f64 * MATTERS {
            hosts.push(counts.iter().sum::<f64>());
        }
    }
    hosts.iter().sum::<f64>() / hosts.len().max(1) as f64
}

/// What pods are worth, in units of the dearest host's price; how often each filling is used; and what that costs in
/// micro-USD per hour. Worths keep near `centre`: pods may stay without a host, or have one too many, at a price
/// that is so much higher or lower.
fn solve(problem: &Problem, rows: &[Row], centre: &[f64], away: f64) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    let dearest = problem.dearest() as f64;
    let mut program = Columns::default();
    let hosts: Vec<usize> =
        rows.iter().map(|row| program.column(problem.kinds[row.kind].price as f64 / dearest)).collect();
    let mut demands = Vec::new();
    for (class, demand) in problem.classes.iter().enumerate() {
        let count = demand.count.max(1) as f64;
        let alone = problem.alone(class) as f64 / dearest;
        let high = (centre[class] * (1.0 + away) + alone * AWAY_OF_MOST * away / AWAY).min(alone.max(centre[class]));
        let low = centre[class] * (1.0 - away).max(0.0);
        let (spare, over) = (program.column(high), program.column(-low));
        let holding = rows.iter().zip(&hosts).filter(|(row, _)| row.counts[class] > 0.0);
        let terms = holding.map(|(row, host)| (*host, -row.counts[class] / count));
        program.row(-1.0, terms.chain([(spare, -1.0 / count), (over, 1.0 / count)]));
        demands.push(count);
    }
    for (kind, limit) in problem.kinds.iter().enumerate().filter_map(|(kind, of)| Some((kind, of.limit?))) {
        let own = rows.iter().zip(&hosts).filter(|(row, _)| row.kind == kind);
        program.row(limit as f64, own.map(|(_, host)| (*host, 1.0)));
    }
    let solved = program.solve()?;
    let worths = demands.iter().zip(&solved.worth).map(|(count, worth)| worth.max(0.0) / count).collect();
    let used: Vec<f64> = hosts.iter().map(|host| solved.amounts[*host].max(0.0)).collect();
    Some((worths, used, solved.cost * dearest))
}
