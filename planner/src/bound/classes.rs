//! The bound by class: what one pod of each class is worth, found by generating rows.
//!
//! Prices per resource cannot see that a pod may use few machine types only, or that pods of an app
//! keep each other off a host. Here each class has a worth of its own. The worths are proposed by the
//! dual of the covering problem: maximise what all pods are worth, such that no filling of any kind
//! of host is worth more than the host costs; fillings are generated as they are violated, by the
//! knapsack of one host: in whole pods where classes are few ([`whole`]), relaxed where they are
//! many. Where there are more classes than the program can have variables, most of them are worth what
//! their resources are, at prices that the program chooses, and only those that matter most have a worth
//! beyond that. What is proposed is then proven: for each kind, prices of its resources bound the worth of
//! any filling from above, in integers.

use microlp::{ComparisonOp, OptimizationDirection, Problem as Program, Solution, Variable};

use super::groups::Proposal;
use super::prices;
use super::problem::{Kind, Problem};
use super::volume::NANO;
use super::whole;
use crate::model::DIMS;
use crate::worth::UnitPrices;

/// Most classes × kinds that are tried; beyond, the bound by volume must do.
const MOST_PAIRS: usize = 60_000;
/// Most classes with a variable of the program for each.
const MOST_CLASSES: usize = 110;
/// With more classes: those with a worth beyond their resources.
const MOST_OWN: usize = 40;
/// Most groups of classes with prices of their own.
const MOST_GROUPS: usize = 12;
/// Classes × kinds of all rounds of generating rows together.
const MOST_WORK: usize = 600_000;
/// Most rounds.
const MOST_ROUNDS: usize = 120;
/// How near to the best proven worths rows are sought.
const NEAR: f64 = 0.7;
/// The same where most classes have no variable of their own: one variable moves many worths.
const NEARER: f64 = 0.9;
/// Most classes for which hosts are filled with whole pods: with more the rounds do not converge in time.
const MOST_WHOLE: usize = 40;
/// Branches for one host, and for all of them together.
const WHOLE_NODES: u64 = 20_000;
const WHOLE_WORK: u64 = 20_000_000;
/// Of the branches for one host, one in this many is looked at before its prices are sought by a program.
const WHOLE_FIRST: u64 = 10;
/// How often each price of a host filled with parts of pods is sought along its line, and in how many steps.
const LINE_ROUNDS: usize = 2;
const LINE_STEPS: u32 = 24;
/// Most rows.
const MOST_ROWS: usize = 1_500;
/// A filling is a new row when it is worth this much more than its host.
const VIOLATION: f64 = 1.0005;
/// Most that integers of a proof may reach without risk of overflow when multiplied.
const LARGEST: f64 = 1e15;

/// A proven worth of each class, in nano-USD per hour.
pub(super) struct Proof {
    /// Micro-USD per hour beyond what is fixed.
    pub(super) cost: i64,
    /// By demand.
    pub(super) worth: Vec<i64>,
    /// By kind, in nano-USD per hour: what is taken off for each host because it is worth more than its price.
    pub(super) rents: Vec<i128>,
}

/// Proves what a proposal of worths and prices of hosts is good for.
pub(super) fn prove_proposal(problem: &Problem, proposal: &Proposal) -> Proof {
    certify(problem, &proposal.worths, &proposal.prices.iter().collect::<Vec<_>>())
}

/// Improves a proof by generating rows. `None` when there are too many classes, or nothing better was found.
pub(super) fn improve(problem: &Problem, units: &UnitPrices, start: &Proof) -> Option<Proof> {
    let (classes, kinds) = (problem.classes.len(), problem.kinds.len());
    if classes == 0 || classes * kinds > MOST_PAIRS {
        return None;
    }
    let in_whole = (classes <= MOST_WHOLE).then(|| Pods::whole(problem, units));
    in_whole
        .and_then(|pods| improve_in(pods, problem, units, start))
        .or_else(|| improve_in(Pods::Parts, problem, units, start))
}

fn improve_in(mut pods: Pods, problem: &Problem, units: &UnitPrices, start: &Proof) -> Option<Proof> {
    let classes = problem.classes.len();
    let scale = unit(problem);
    // The program's own worths jump about; rows are sought near the best proven ones instead.
    let mut centre: Vec<f64> = start.worth.iter().map(|worth| *worth as f64 / scale).collect();
    let mut master = Master::new(problem, units, pods.first(problem, units, start))?;
    let mut proven = start.cost;
    let mut best: Option<Proof> = None;
    let closest = if classes > MOST_CLASSES { NEARER } else { NEAR };
    let mut near = closest;
    for _ in 0..pods.most_rounds(problem) {
        let proposed = master.worths();
        let worths: Vec<f64> = centre.iter().zip(&proposed).map(|(c, p)| near * c + (1.0 - near) * p).collect();
        let worth: Vec<i64> = worths.iter().map(|worth| rounded(*worth, scale)).collect();
        let Some(filled) = pods.fill(problem, units, &worths, &worth) else { break };
        let proof = conclude(problem, &worth, &filled.ceilings);
        if proof.cost > proven {
            proven = proof.cost;
            centre = proof.worth.iter().map(|worth| *worth as f64 / scale).collect();
            best = Some(proof);
        }
        let mut rows = 0;
        for (index, counts) in filled.rows {
            let worth: f64 = counts.iter().zip(&proposed).map(|(count, worth)| count * worth).sum();
            if worth > master.allowed(index) * VIOLATION + 1e-9 && master.rows < MOST_ROWS {
                if master.add(index, &counts).is_none() {
                    return best;
                }
                rows += 1;
            }
        }
        // Nothing found near the centre: look at the program's own worths next, and end when they are sound.
        match (rows, near > 0.0) {
            (0, true) => near = 0.0,
            (0, false) => break,
            _ => near = closest,
        }
    }
    best
}

/// In what hosts are filled to find rows, and to bound what they hold.
enum Pods {
    /// Parts of pods.
    Parts,
    /// Whole pods: what is proven is tighter, and takes a search per host.
    Whole {
        /// By kind: prices of the resources in nano-USD per unit, from one round to the next.
        prices: Vec<[f64; DIMS]>,
        /// Branches that are left.
        work: u64,
    },
}

/// One filling of each kind, or a few.
struct Filled {
    /// By kind, in nano-USD: no filling is worth more, or not more than the kind's price.
    ceilings: Vec<i128>,
    /// Kinds, and how many of each class they take.
    rows: Vec<(usize, Vec<f64>)>,
}

impl Pods {
    fn whole(problem: &Problem, units: &UnitPrices) -> Self {
        let prices = vec![units.0.map(|price| price as f64); problem.kinds.len()];
        Self::Whole { prices, work: WHOLE_WORK }
    }

    fn most_rounds(&self, problem: &Problem) -> usize {
        match self {
            Self::Parts => (MOST_WORK / (problem.classes.len() * problem.kinds.len())).min(MOST_ROUNDS),
            Self::Whole { .. } => MOST_ROUNDS,
        }
    }

    /// A first filling for each kind, by the worths that are proven.
    fn first(&mut self, problem: &Problem, units: &UnitPrices, start: &Proof) -> Vec<Vec<f64>> {
        match self {
            Self::Parts => {
                let scale = unit(problem);
                let worths: Vec<f64> = start.worth.iter().map(|worth| *worth as f64 / scale).collect();
                problem.kinds.iter().map(|kind| fill(problem, kind, &worths, units).counts).collect()
            }
            Self::Whole { prices, .. } => {
                let first = |(kind, prices): (&Kind, &mut [f64; DIMS])| {
                    let filling = whole::fill(problem, kind, &start.worth, prices, 0, &mut { WHOLE_NODES });
                    floats(&filling.counts.unwrap_or_default())
                };
                problem.kinds.iter().zip(prices).map(first).collect()
            }
        }
    }

    /// Fills a host of each kind by worths, which `worth` has in nano-USD; `None` when the work is used up.
    fn fill(&mut self, problem: &Problem, units: &UnitPrices, worths: &[f64], worth: &[i64]) -> Option<Filled> {
        let scale = unit(problem);
        let mut filled = Filled { ceilings: Vec::new(), rows: Vec::new() };
        match self {
            Self::Parts => {
                for (index, kind) in problem.kinds.iter().enumerate() {
                    let parts = fill(problem, kind, worths, units);
                    filled.ceilings.push(certified(problem, kind, worth, &parts.prices, scale));
                    filled.rows.push((index, parts.counts));
                }
            }
            Self::Whole { work: 0, .. } => return None,
            Self::Whole { prices, work } => {
                for ((index, kind), prices) in problem.kinds.iter().enumerate().zip(prices) {
                    let enough = i128::from(kind.price) * NANO;
                    let mut look = |most: u64, prices: &mut [f64; DIMS]| {
                        let given = most.min(*work);
                        let mut left = given;
                        let found = whole::fill(problem, kind, worth, prices, enough, &mut left);
                        *work -= given - left;
                        (found, left == 0)
                    };
                    let (mut found, mut unsettled) = look(WHOLE_NODES / WHOLE_FIRST, prices);
                    if unsettled {
                        // Prices that were found line by line may be far from the best.
                        let parts = fill(problem, kind, worths, units);
                        *prices = parts.prices.map(|price| price * scale);
                        (found, unsettled) = look(WHOLE_NODES, prices);
                        if unsettled && found.counts.is_none() {
                            // What cannot be settled in whole pods is settled in parts, which proves less.
                            filled.rows.push((index, parts.counts));
                        }
                    }
                    filled.ceilings.push(found.ceiling);
                    filled.rows.extend(found.counts.map(|counts| (index, floats(&counts))));
                }
            }
        }
        Some(filled)
    }
}

fn floats(counts: &[i64]) -> Vec<f64> {
    counts.iter().map(|count| *count as f64).collect()
}

/// The dual program. Worths are in units of the dearest kind's price.
struct Master<'p> {
    problem: &'p Problem,
    solution: Option<Solution>,
    variables: Vec<Variable>,
    /// By class: what it is worth in terms of the variables.
    basis: Vec<Vec<(usize, f64)>>,
    /// By kind: what a host of it may be worth above its price, where their number is limited.
    excess: Vec<Option<Variable>>,
    scale: f64,
    rows: usize,
}

impl<'p> Master<'p> {
    /// The program with a first filling for each kind.
    fn new(problem: &'p Problem, units: &UnitPrices, first: Vec<Vec<f64>>) -> Option<Self> {
        let scale = problem.kinds.iter().map(|kind| kind.price).max()?.max(1) as f64;
        let mut program = Program::new(OptimizationDirection::Maximize);
        let pods: f64 = problem.classes.iter().map(|class| class.count as f64).sum();
        let (bounds, basis) = basis(problem, units, scale);
        let mut objective = vec![0.0; bounds.len()];
        for (class, terms) in problem.classes.iter().zip(&basis) {
            for (variable, factor) in terms {
                objective[*variable] += class.count as f64 * factor / pods;
            }
        }
        let variables: Vec<Variable> =
            objective.iter().zip(&bounds).map(|(value, most)| program.add_var(*value, (0.0, *most))).collect();
        let excess: Vec<Option<Variable>> = problem
            .kinds
            .iter()
            .map(|kind| kind.limit.map(|limit| program.add_var(-(limit as f64) / pods, (0.0, f64::INFINITY))))
            .collect();
        let mut rows = 0;
        for ((index, kind), counts) in problem.kinds.iter().enumerate().zip(first) {
            let row = row(&variables, &basis, excess[index], &counts);
            if row.len() > 1 || excess[index].is_none() && !row.is_empty() {
                program.add_constraint(row.as_slice(), ComparisonOp::Le, kind.price as f64 / scale);
                rows += 1;
            }
        }
        let solution = program.solve().ok()?.into_solution().ok()?;
        Some(Self { problem, solution: Some(solution), variables, basis, excess, scale, rows })
    }

    fn worths(&self) -> Vec<f64> {
        let value = |var: &Variable| self.solution.as_ref().map_or(0.0, |s| s.var_value(*var)).max(0.0);
        let values: Vec<f64> = self.variables.iter().map(value).collect();
        self.basis.iter().map(|terms| terms.iter().map(|(variable, factor)| values[*variable] * factor).sum()).collect()
    }

    /// What a filling of a kind may be worth now, in units of the scale.
    fn allowed(&self, kind: usize) -> f64 {
        let excess = self.excess[kind].and_then(|var| self.solution.as_ref().map(|s| s.var_value(var))).unwrap_or(0.0);
        self.problem.kinds[kind].price as f64 / self.scale + excess
    }

    /// Adds a filling as a row; `None` when the solver fails, which ends the search with what is proven.
    fn add(&mut self, kind: usize, counts: &[f64]) -> Option<()> {
        let row = row(&self.variables, &self.basis, self.excess[kind], counts);
        let price = self.problem.kinds[kind].price as f64 / self.scale;
        let next = self.solution.take()?.add_constraint(row.as_slice(), ComparisonOp::Le, price).ok()?;
        self.solution = Some(next.into_solution().ok()?);
        self.rows += 1;
        Some(())
    }
}

fn row(
    variables: &[Variable],
    basis: &[Vec<(usize, f64)>],
    excess: Option<Variable>,
    counts: &[f64],
) -> Vec<(Variable, f64)> {
    let mut sums = vec![0.0; variables.len()];
    for (terms, count) in basis.iter().zip(counts).filter(|(_, count)| **count > 1e-6) {
        for (variable, factor) in terms {
            sums[*variable] += count * factor;
        }
    }
    let filled = variables.iter().zip(sums).filter(|(_, sum)| *sum > 1e-6).map(|(var, sum)| (*var, sum));
    filled.chain(excess.map(|var| (var, -1.0))).collect()
}

/// The most of each variable, and each class's worth in terms of them.
fn basis(problem: &Problem, units: &UnitPrices, scale: f64) -> (Vec<f64>, Vec<Vec<(usize, f64)>>) {
    // Alone on the cheapest kind that takes it, a pod is worth no more than that host.
    let alone = |class: usize| {
        let takes = problem.kinds.iter().filter(|kind| kind.limit.is_none() && kind.most[class] > 0);
        let least = takes.map(|kind| kind.price as f64).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least / scale } else { 4.0 }
    };
    let count = problem.classes.len();
    if count <= MOST_CLASSES {
        return ((0..count).map(alone).collect(), (0..count).map(|class| vec![(class, 1.0)]).collect());
    }
    let (dims, largest) = (problem.priced_dims(), problem.largest());
    // Groups of classes by the kinds that take them, the largest first; the rest share the last.
    let mut members: std::collections::BTreeMap<Vec<bool>, Vec<usize>> = std::collections::BTreeMap::new();
    for class in 0..count {
        members.entry(problem.takers(class)).or_default().push(class);
    }
    let mut groups: Vec<Vec<usize>> = members.into_values().collect();
    groups.sort_by_key(|classes| (std::cmp::Reverse(classes.len()), classes.first().copied()));
    let (mut bounds, mut terms) = (Vec::new(), vec![Vec::new(); count]);
    for (index, classes) in groups.iter().enumerate() {
        let first = index.min(MOST_GROUPS - 1) * dims.len();
        bounds.resize(bounds.len().max(first + dims.len()), 1e4);
        for class in classes {
            let share = |dim: &usize| problem.classes[*class].request[*dim] as f64 / largest[*dim] as f64;
            terms[*class] = dims.iter().enumerate().map(|(d, dim)| (first + d, share(dim))).collect();
        }
    }
    for class in own_classes(problem, units) {
        terms[class].push((bounds.len(), 1.0));
        bounds.push(alone(class));
    }
    (bounds, terms)
}

/// Classes whose worth is likely to be above that of their resources: half of them have most pods
/// among those that keep each other off a host, the others are worth most in all.
fn own_classes(problem: &Problem, units: &UnitPrices) -> Vec<usize> {
    let apart =
        |class: usize| problem.kinds.iter().filter(|kind| kind.limit.is_none()).all(|kind| kind.most[class] <= 1);
    let (mut lonely, mut others): (Vec<usize>, Vec<usize>) =
        (0..problem.classes.len()).partition(|class| apart(*class));
    lonely.sort_by_key(|class| (-problem.classes[*class].count, *class));
    let worth = |class: usize| -> i128 {
        let own = &problem.classes[class];
        let each: i128 = units.0.iter().zip(&own.request).map(|(u, a)| i128::from(*u) * i128::from(*a)).sum();
        each * i128::from(own.count)
    };
    others.sort_by_key(|class| (-worth(*class), *class));
    lonely.truncate(MOST_OWN / 2);
    others.truncate(MOST_OWN - lonely.len());
    lonely.extend(others);
    lonely
}

/// The best relaxed filling of one host.
struct Filling {
    counts: Vec<f64>,
    /// Prices of its resources that prove about as much.
    prices: [f64; DIMS],
}

/// Fills a host with parts of pods, each class up to its most, worth as much as possible.
///
/// The filling is the solver's; prices of the resources follow from it. Neither need be the best: a
/// worse filling is still a valid row, and prices of any quality prove a bound.
fn fill(problem: &Problem, kind: &Kind, worths: &[f64], units: &UnitPrices) -> Filling {
    let capacity: Vec<f64> = kind.capacity.iter().map(|c| *c as f64).collect();
    let dims: Vec<usize> = (0..problem.dims).filter(|d| capacity[*d] < 1e12).collect();
    let items: Vec<usize> = (0..problem.classes.len()).filter(|c| kind.most[*c] > 0 && worths[*c] > 0.0).collect();
    let mut program = Program::new(OptimizationDirection::Maximize);
    let vars: Vec<Variable> = items.iter().map(|c| program.add_var(worths[*c], (0.0, kind.most[*c] as f64))).collect();
    let mut binding = Vec::new();
    for dim in &dims {
        let row: Vec<(Variable, f64)> = items
            .iter()
            .zip(&vars)
            .filter(|(c, _)| problem.classes[**c].request[*dim] > 0)
            .map(|(c, var)| (*var, problem.classes[*c].request[*dim] as f64 / capacity[*dim].max(1.0)))
            .collect();
        if !row.is_empty() {
            program.add_constraint(row.as_slice(), ComparisonOp::Le, if capacity[*dim] > 0.0 { 1.0 } else { 0.0 });
            binding.push(*dim);
        }
    }
    let solution = program.solve().ok().and_then(|outcome| outcome.into_solution().ok());
    let mut counts = vec![0.0; problem.classes.len()];
    let mut prices = [0.0; DIMS];
    let Some(solution) = solution else {
        for (price, unit) in prices.iter_mut().zip(&units.0) {
            *price = *unit as f64;
        }
        return Filling { counts, prices };
    };
    for (class, var) in items.iter().zip(&vars) {
        counts[*class] = solution.var_value(*var).max(0.0);
    }
    let used = |dim: usize| -> f64 { items.iter().map(|c| counts[*c] * problem.classes[*c].request[dim] as f64).sum() };
    let tight: Vec<usize> =
        binding.into_iter().filter(|d| used(*d) >= capacity[*d] * (1.0 - 1e-7) && capacity[*d] > 0.0).collect();
    descend(problem, kind, worths, &items, &counts, &tight, &mut prices);
    Filling { counts, prices }
}

/// Prices of the tight resources from complementary slackness: classes that are filled in part are
/// worth exactly their resources. Solved as a small linear system; what does not solve is searched.
fn descend(
    problem: &Problem,
    kind: &Kind,
    worths: &[f64],
    items: &[usize],
    counts: &[f64],
    tight: &[usize],
    prices: &mut [f64; DIMS],
) {
    let partial: Vec<usize> =
        items.iter().copied().filter(|c| counts[*c] > 1e-7 && counts[*c] < kind.most[*c] as f64 - 1e-7).collect();
    if let Some(solved) = solve_square(problem, worths, &partial, tight) {
        *prices = solved;
    }
    for _ in 0..LINE_ROUNDS {
        prices::lower(problem, kind, worths, items, tight, LINE_STEPS, prices);
    }
}

/// Solves Σ price·request = worth for as many partly filled classes as there are tight resources.
fn solve_square(problem: &Problem, worths: &[f64], partial: &[usize], tight: &[usize]) -> Option<[f64; DIMS]> {
    let n = tight.len();
    if n == 0 || partial.len() < n {
        return None;
    }
    let scale: Vec<f64> = tight
        .iter()
        .map(|d| partial.iter().map(|c| problem.classes[*c].request[*d] as f64).fold(1.0, f64::max))
        .collect();
    let mut rows: Vec<Vec<f64>> = partial
        .iter()
        .take(n)
        .map(|c| {
            let mut row: Vec<f64> =
                tight.iter().zip(&scale).map(|(d, s)| problem.classes[*c].request[*d] as f64 / s).collect();
            row.push(worths[*c]);
            row
        })
        .collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let (head, tail) = rows.split_at_mut(column + 1);
        let lead = &head[column];
        for row in tail {
            let factor = row[column] / lead[column];
            for (value, above) in row.iter_mut().zip(lead).skip(column) {
                *value -= factor * above;
            }
        }
    }
    let mut values = vec![0.0; n];
    for index in (0..n).rev() {
        let known: f64 = (index + 1..n).map(|other| rows[index][other] * values[other]).sum();
        values[index] = (rows[index][n] - known) / rows[index][index];
    }
    let mut prices = [0.0; DIMS];
    for ((dim, value), s) in tight.iter().zip(&values).zip(&scale) {
        prices[*dim] = (value / s).max(0.0);
    }
    prices.iter().all(|p| p.is_finite()).then_some(prices)
}

/// Rounds the proposal to integers and proves what holds of it.
///
/// For each kind: no filling is worth more than Σ price·capacity + Σ most·max(0, worth − Σ
/// price·request), whatever the prices are.
fn certify(problem: &Problem, worths: &[f64], prices: &[&[f64; DIMS]]) -> Proof {
    let unit = unit(problem);
    let worth: Vec<i64> = worths.iter().map(|worth| rounded(*worth, unit)).collect();
    let ceilings: Vec<i128> =
        problem.kinds.iter().zip(prices).map(|(kind, own)| certified(problem, kind, &worth, own, unit)).collect();
    conclude(problem, &worth, &ceilings)
}

/// Nano-USD per hour of one in units of the dearest kind's price.
pub(super) fn unit(problem: &Problem) -> f64 {
    problem.kinds.iter().map(|kind| kind.price).max().unwrap_or(0).max(1) as f64 * NANO as f64
}

/// A worth in nano-USD per hour, rounded down.
fn rounded(worth: f64, unit: f64) -> i64 {
    if worth.is_finite() { (worth * unit).clamp(0.0, LARGEST) as i64 } else { 0 }
}

/// What worths prove when no filling of a kind is worth more than its ceiling, all in nano-USD per hour.
///
/// Where a ceiling exceeds the price of a kind of unlimited number, all worths are scaled down until it does
/// not; for kinds of limited number the excess is taken off the sum.
fn conclude(problem: &Problem, worth: &[i64], ceilings: &[i128]) -> Proof {
    let mut worth: Vec<i128> = worth.iter().copied().map(i128::from).collect();
    let mut worst: Option<(i128, i128)> = None;
    for (kind, ceiling) in problem.kinds.iter().zip(ceilings).filter(|(kind, _)| kind.limit.is_none()) {
        let price = i128::from(kind.price) * NANO;
        if *ceiling > price && worst.is_none_or(|(p, c)| price * c < p * ceiling) {
            worst = Some((price, *ceiling));
        }
    }
    // Scaling worths and prices by one factor scales every ceiling by it: what was proven of the
    // unscaled ones proves the scaled ones, and rounding down only lowers a worth.
    let (numerator, denominator) = worst.unwrap_or((1, 1));
    for value in &mut worth {
        *value = *value * numerator / denominator;
    }
    let mut proven: i128 = problem.classes.iter().zip(&worth).map(|(class, w)| w * i128::from(class.count)).sum();
    let mut rents = vec![0; problem.kinds.len()];
    for ((kind, ceiling), rent) in problem.kinds.iter().zip(ceilings).zip(&mut rents) {
        let Some(limit) = kind.limit else { continue };
        let scaled = (ceiling * numerator).div_euclid(denominator) + 1;
        *rent = (scaled - i128::from(kind.price) * NANO).max(0);
        proven -= *rent * i128::from(limit);
    }
    let micro = (proven + NANO - 1).div_euclid(NANO);
    Proof {
        cost: i64::try_from(micro.max(0)).unwrap_or(0),
        worth: worth.into_iter().map(|w| i64::try_from(w).unwrap_or(0)).collect(),
        rents,
    }
}

/// The most that a filling of one host is worth, proven in integers with prices rounded down.
///
/// Prices carry a factor of a million beyond nano-USD, so that a price per MiB keeps its digits.
fn certified(problem: &Problem, kind: &Kind, worth: &[i64], prices: &[f64; DIMS], unit: f64) -> i128 {
    const FINE: i128 = 1_000_000;
    let fine: Vec<i128> = prices
        .iter()
        .map(|price| if price.is_finite() { (price * unit * FINE as f64).clamp(0.0, LARGEST) as i128 } else { 0 })
        .collect();
    let total = |amounts: &[i64; DIMS]| -> i128 {
        fine.iter().zip(amounts).map(|(price, amount)| price * i128::from(*amount)).sum()
    };
    let mut sum: i128 = total(&kind.capacity);
    for (index, class) in problem.classes.iter().enumerate().filter(|(index, _)| kind.most[*index] > 0) {
        let above = i128::from(worth[index]) * FINE - total(&class.request);
        if above > 0 {
            sum += above * i128::from(kind.most[index]);
        }
    }
    (sum + FINE - 1).div_euclid(FINE)
}
