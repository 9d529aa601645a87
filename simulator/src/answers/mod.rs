//! How like the real thing the simulated cluster is: sequences of requests drawn from seeds, and what is answered and
//! what becomes of the world after each. `tests/e2e/fakes` asks a real control plane the same.
//!
//! A real control plane leaves some things to chance: which of two equal nodes a pod goes to, which of two equal pods
//! a scale-down takes, what comes first. A request whose consequences hang on that cannot be compared. Every sequence
//! is therefore put to several worlds at once, in which all that may be left to chance is drawn differently; a request
//! after which they are not all the same is taken back, and another drawn.

mod bench;
mod draw;
mod projection;
mod request;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use bench::Bench;
use draw::Drawer;

pub use projection::Lines;
pub use request::{Pick, Request};

use crate::world::BuildError;

/// In how many worlds a request must have the same consequences. Where two nodes are equal, all choose the same one
/// by chance once in half a million times.
const WORLDS: u64 = 20;
/// How many requests are drawn for one that is kept.
const TRIES: usize = 40;

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub answer: Value,
    /// The world once it had settled; nothing where the next request comes at once.
    pub world: Option<Lines>,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// What it was drawn from.
    pub seed: u64,
    /// Requests in their order.
    pub steps: Vec<Step>,
    /// How many requests were drawn and taken back, because their consequences hang on chance.
    pub left_to_chance: usize,
}

/// Draws a sequence from a seed.
///
/// # Errors
/// When a world cannot be built, which is a bug here.
pub fn draw(seed: u64, requests: usize) -> Result<Sequence, BuildError> {
    let mut benches = (0..WORLDS).map(|world| Bench::new(seed * WORLDS + world)).collect::<Result<Vec<_>, _>>()?;
    let mut drawer = Drawer::new(seed);
    let mut sequence = Sequence { seed, steps: Vec::new(), left_to_chance: 0 };
    while sequence.steps.len() < requests {
        let mut kept = None;
        for _ in 0..TRIES {
            let Some(first) = benches.first() else { break };
            let drawn = drawer.draw(first, sequence.steps.len(), requests);
            if let Some(asked) = asked(&benches, &drawn) {
                kept = Some(asked);
                break;
            }
            sequence.left_to_chance += 1;
        }
        let Some((after, steps)) = kept else { break };
        for step in &steps {
            drawer.keep(&step.request);
        }
        benches = after;
        sequence.steps.extend(steps);
    }
    Ok(sequence)
}

/// Puts requests to copies of the worlds. The worlds after that, if all are the same and answered the same.
fn asked(benches: &[Bench], requests: &[Request]) -> Option<(Vec<Bench>, Vec<Step>)> {
    let mut after = Vec::new();
    let mut all: Option<Vec<Step>> = None;
    for bench in benches {
        let mut bench = bench.clone();
        let steps: Vec<Step> = requests
            .iter()
            .map(|request| {
                let answer = bench.ask(request);
                Step { request: request.clone(), answer, world: (!request.at_once()).then(|| bench.lines()) }
            })
            .collect();
        if all.as_ref().is_some_and(|all| *all != steps) {
            return None;
        }
        all = Some(steps);
        after.push(bench);
    }
    all.map(|steps| (after, steps))
}

/// Puts given requests to one world: for a case of one's own.
///
/// # Errors
/// When a world cannot be built, which is a bug here.
pub fn answer(requests: &[Request]) -> Result<Vec<Step>, BuildError> {
    let bench = Bench::new(0)?;
    Ok(asked(&[bench], requests).map(|(_, steps)| steps).unwrap_or_default())
}
