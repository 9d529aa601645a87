//! The program that deals out pods to kinds of hosts, and what solves it.
//!
//! Columns: for each class and each kind that takes it, the share of the class's pods that goes there; how many hosts
//! of each kind; and for each class the share that stays without a host, at a price. Rows: every class is dealt out;
//! what a kind gets of each resource is no more than its hosts have; of a class that is counted, they hold no more than
//! so many; and of a kind of limited number there are no more hosts.
//!
//! Nearly all columns are shares, and a share touches one class and one kind only. So a step of the solver first removes
//! the shares, then the classes, and what is left is a dense system of one row for each kind and each of its
//! resources: some hundred, however many classes there are. That is a tenth of the work of a solver that knows
//! nothing of it.

use super::interior::{Point, Solver, System, back, factor};
use crate::model::DIMS;

/// How large the products of numbers and their partners are at first, as a share of what all costs.
const LARGE: f64 = 10.0;

/// Hosts that are alike.
pub(super) struct Hosts {
    pub(super) price: f64,
    /// How many there are at most.
    pub(super) limit: Option<f64>,
    /// How many resources it has that bind somebody.
    pub(super) rooms: usize,
}

/// A kind that takes a class.
pub(super) struct Taker {
    pub(super) kind: usize,
    /// By resource of the kind: how much of one host's room all pods of the class would take.
    pub(super) shares: [f64; DIMS],
    /// The share of the class that one host may hold, if that is counted.
    pub(super) most: Option<f64>,
}

/// Pods that are alike.
pub(super) struct Pods {
    /// What it costs that all of them stay without a host.
    pub(super) alone: f64,
    pub(super) takers: Vec<Taker>,
}

/// The program.
pub(super) struct Dealing {
    pub(super) kinds: Vec<Hosts>,
    pub(super) classes: Vec<Pods>,
}

/// What a program's rows are worth.
pub(super) struct Worths {
    /// By class: of all its pods together.
    pub(super) pods: Vec<f64>,
    /// By kind and resource: of the room of one host.
    pub(super) rooms: Vec<[f64; DIMS]>,
}

/// Where the numbers of a point are.
struct Layout {
    /// By class: where its shares begin.
    shares: Vec<usize>,
    /// By share: where the slack of its count is.
    counted: Vec<Option<usize>>,
    hosts: usize,
    /// By kind: where the slack of its limit is.
    limited: Vec<Option<usize>>,
    spare: usize,
    /// What is dealt out beyond need; its partner is the worth of the class.
    beyond: usize,
    /// By kind: where its resources begin: room left; the partner is its price.
    rooms: Vec<usize>,
    length: usize,
}

impl Layout {
    fn new(dealing: &Dealing) -> Self {
        let mut length = 0;
        let mut take = |count: usize| {
            length += count;
            length - count
        };
        let shares: Vec<usize> = dealing.classes.iter().map(|class| take(class.takers.len())).collect();
        let takers = dealing.classes.iter().flat_map(|class| &class.takers);
        let counted = takers.map(|taker| taker.most.map(|_| take(1))).collect();
        let hosts = take(dealing.kinds.len());
        let limited = dealing.kinds.iter().map(|kind| kind.limit.map(|_| take(1))).collect();
        let (spare, beyond) = (take(dealing.classes.len()), take(dealing.classes.len()));
        let rooms = dealing.kinds.iter().map(|kind| take(kind.rooms)).collect();
        Self { shares, counted, hosts, limited, spare, beyond, rooms, length }
    }
}

/// By how much a point misses the rows, and the prices of the columns.
struct Missing {
    /// By class, and by kind and resource as in the layout.
    dealt: Vec<f64>,
    rooms: Vec<f64>,
    /// By share.
    counts: Vec<f64>,
    shares: Vec<f64>,
    /// By kind.
    limits: Vec<f64>,
    hosts: Vec<f64>,
    /// By class.
    spare: Vec<f64>,
}

/// What is left of a step's system of equations once shares and classes are removed.
struct Reduced {
    /// By share: what one more of it costs, and how much of that is its count.
    stiff: Vec<(f64, f64)>,
    /// By class: how far its worth gives way.
    give: Vec<f64>,
    /// The dense system: above the diagonal the factors, on it the pivots.
    matrix: Vec<f64>,
}

/// The program as the steps of the solver see it.
struct Steps<'d> {
    dealing: &'d Dealing,
    at: Layout,
    /// By kind: where it begins in the dense system: its number of hosts, then its prices.
    start: Vec<usize>,
    /// By row of the dense system: numbers of hosts have pivots above zero and prices below.
    sign: Vec<f64>,
    reduced: Reduced,
}

/// The program on its way to a solution.
pub(super) struct Dealt<'d>(Solver<Steps<'d>>);

impl<'d> Dealt<'d> {
    /// `None` when there is nothing to solve.
    pub(super) fn new(dealing: &'d Dealing) -> Option<Self> {
        if dealing.kinds.is_empty() || dealing.classes.is_empty() {
            return None;
        }
        let (mut start, mut sign) = (Vec::with_capacity(dealing.kinds.len()), Vec::new());
        for kind in &dealing.kinds {
            start.push(sign.len());
            sign.push(1.0);
            sign.resize(sign.len() + kind.rooms, -1.0);
        }
        let at = Layout::new(dealing);
        let stiff = vec![(0.0, 0.0); at.counted.len()];
        let matrix = vec![0.0; sign.len() * sign.len()];
        let reduced = Reduced { stiff, give: vec![0.0; dealing.classes.len()], matrix };
        let steps = Steps { dealing, at, start, sign, reduced };
        let first = steps.first();
        Some(Self(Solver::new(steps, first)))
    }

    /// Goes on until the worths are as near to the best ones as that, as a share of what all costs, or it gets no
    /// nearer.
    pub(super) fn solve(&mut self, tolerance: f64) -> Worths {
        self.0.solve(tolerance);
        let Steps { dealing, at, .. } = &self.0.system;
        let partner = &self.0.point.partner;
        let rooms = dealing.kinds.iter().zip(&at.rooms).map(|(kind, from)| {
            let mut prices = [0.0; DIMS];
            prices[..kind.rooms].copy_from_slice(&partner[*from..from + kind.rooms]);
            prices
        });
        let pods = partner[at.beyond..at.beyond + dealing.classes.len()].to_vec();
        Worths { pods, rooms: rooms.collect() }
    }
}

impl Steps<'_> {
    /// Classes dealt out evenly to as many hosts as that takes, with half as many again; all partners in proportion.
    fn first(&self) -> Point {
        let at = &self.at;
        let mut own = vec![1.0; at.length];
        let kinds = &self.dealing.kinds;
        let mut used: Vec<[f64; DIMS]> = vec![[0.0; DIMS]; kinds.len()];
        let mut hosts = vec![1e-3_f64; kinds.len()];
        for (class, pods) in self.dealing.classes.iter().enumerate() {
            let share = 1.0 / (pods.takers.len() as f64 + 1.0);
            own[at.spare + class] = share * 1.5;
            own[at.beyond + class] = share * 0.5;
            for (place, taker) in (at.shares[class]..).zip(&pods.takers) {
                own[place] = share;
                for (used, amount) in used[taker.kind].iter_mut().zip(&taker.shares) {
                    *used += share * amount;
                }
                if let Some(most) = taker.most {
                    hosts[taker.kind] = hosts[taker.kind].max(share / most);
                }
            }
        }
        for (kind, used) in used.iter().enumerate() {
            hosts[kind] = used.iter().fold(hosts[kind], |most, used| most.max(*used)) * 1.5;
            own[at.hosts + kind] = hosts[kind];
            for dim in 0..kinds[kind].rooms {
                own[at.rooms[kind] + dim] = hosts[kind] - used[dim];
            }
            if let (Some(place), Some(limit)) = (at.limited[kind], kinds[kind].limit) {
                own[place] = (limit - hosts[kind]).max(limit * 0.1);
            }
        }
        for (class, pods) in self.dealing.classes.iter().enumerate() {
            for (place, taker) in (at.shares[class]..).zip(&pods.takers) {
                if let (Some(slack), Some(most)) = (at.counted[place], taker.most) {
                    own[slack] = hosts[taker.kind] * most - own[place];
                }
            }
        }
        let cost: f64 = kinds.iter().zip(&hosts).map(|(kind, hosts)| kind.price * hosts).sum::<f64>()
            + self.dealing.classes.iter().enumerate().map(|(c, pods)| pods.alone * own[at.spare + c]).sum::<f64>();
        let even = cost.max(1e-9) * LARGE / at.length as f64;
        let partner = own.iter().map(|own| even / own).collect();
        Point { own, partner }
    }

    /// The changes of everything, from those of hosts and prices.
    fn all(
        &self,
        point: &Point,
        missing: &Missing,
        target: &[f64],
        dense: &[f64],
        (sides, worths): (&[f64], &[f64]),
    ) -> Point {
        let (at, reduced) = (&self.at, &self.reduced);
        let (kinds, classes) = (&self.dealing.kinds, &self.dealing.classes);
        let (own, partner) = (&point.own, &point.partner);
        let mut change = Point { own: vec![0.0; at.length], partner: vec![0.0; at.length] };
        for (kind, of) in kinds.iter().enumerate() {
            let (place, first) = (at.hosts + kind, self.start[kind]);
            let hosts = dense[first];
            change.own[place] = hosts;
            change.partner[place] = (target[place] - partner[place] * hosts) / own[place];
            if let Some(place) = at.limited[kind] {
                change.own[place] = -hosts - missing.limits[kind];
                change.partner[place] = (target[place] - partner[place] * change.own[place]) / own[place];
            }
            for dim in 0..of.rooms {
                let place = at.rooms[kind] + dim;
                change.partner[place] = dense[first + 1 + dim];
                change.own[place] = (target[place] - own[place] * change.partner[place]) / partner[place];
            }
        }
        for (class, pods) in classes.iter().enumerate() {
            let pulled = |place: usize, taker: &Taker| {
                let first = self.start[taker.kind];
                let rooms = kinds[taker.kind].rooms;
                let asked: f64 =
                    taker.shares[..rooms].iter().zip(&dense[first + 1..]).map(|(share, price)| share * price).sum();
                taker.most.unwrap_or(0.0) * reduced.stiff[place].1 * dense[first] - asked
            };
            let from = at.shares[class];
            let used: f64 =
                (from..).zip(&pods.takers).map(|(place, taker)| pulled(place, taker) / reduced.stiff[place].0).sum();
            let worth = (worths[class] - used) / reduced.give[class];
            let (spare, beyond) = (at.spare + class, at.beyond + class);
            change.partner[beyond] = worth;
            change.own[beyond] = (target[beyond] - own[beyond] * worth) / partner[beyond];
            change.partner[spare] = missing.spare[class] - worth;
            change.own[spare] = (target[spare] - own[spare] * change.partner[spare]) / partner[spare];
            for (place, taker) in (from..).zip(&pods.takers) {
                let share = (sides[place] + pulled(place, taker) + worth) / reduced.stiff[place].0;
                change.own[place] = share;
                change.partner[place] = (target[place] - partner[place] * share) / own[place];
                if let (Some(slack), Some(most)) = (at.counted[place], taker.most) {
                    change.own[slack] = most * dense[self.start[taker.kind]] - share - missing.counts[place];
                    change.partner[slack] = (target[slack] - partner[slack] * change.own[slack]) / own[slack];
                }
            }
        }
        change
    }
}

impl System for Steps<'_> {
    type Missing = Missing;

    fn missing(&self, point: &Point) -> Missing {
        let at = &self.at;
        let (kinds, classes) = (&self.dealing.kinds, &self.dealing.classes);
        let (own, partner) = (&point.own, &point.partner);
        let mut dealt = Vec::with_capacity(classes.len());
        let mut spare = Vec::with_capacity(classes.len());
        let mut counts = vec![0.0; at.counted.len()];
        let mut shares = vec![0.0; at.counted.len()];
        let mut rooms = vec![0.0; at.length];
        let mut hosts: Vec<f64> =
            kinds.iter().enumerate().map(|(kind, of)| of.price - partner[at.hosts + kind]).collect();
        let mut limits = vec![0.0; kinds.len()];
        for (kind, of) in kinds.iter().enumerate() {
            let number = own[at.hosts + kind];
            for place in at.rooms[kind]..at.rooms[kind] + of.rooms {
                rooms[place] = own[place] - number;
                hosts[kind] -= partner[place];
            }
            if let (Some(place), Some(limit)) = (at.limited[kind], of.limit) {
                limits[kind] = number + own[place] - limit;
                hosts[kind] += partner[place];
            }
        }
        for (class, pods) in classes.iter().enumerate() {
            let worth = partner[at.beyond + class];
            let mut sum = own[at.spare + class] - own[at.beyond + class];
            spare.push(pods.alone - partner[at.spare + class] - worth);
            for (place, taker) in (at.shares[class]..).zip(&pods.takers) {
                sum += own[place];
                let from = at.rooms[taker.kind];
                let mut price = -worth - partner[place];
                for (dim, share) in taker.shares[..kinds[taker.kind].rooms].iter().enumerate() {
                    rooms[from + dim] += share * own[place];
                    price += share * partner[from + dim];
                }
                if let (Some(slack), Some(most)) = (at.counted[place], taker.most) {
                    counts[place] = own[place] + own[slack] - most * own[at.hosts + taker.kind];
                    price += partner[slack];
                    hosts[taker.kind] -= most * partner[slack];
                }
                shares[place] = price;
            }
            dealt.push(1.0 - sum);
        }
        Missing { dealt, rooms, counts, shares, limits, hosts, spare }
    }

    fn off(&self, point: &Point, missing: &Missing) -> f64 {
        let at = &self.at;
        let paid: f64 = self.dealing.kinds.iter().zip(&point.own[at.hosts..]).map(|(kind, own)| kind.price * own).sum();
        let alone: f64 =
            self.dealing.classes.iter().zip(&point.own[at.spare..]).map(|(pods, own)| pods.alone * own).sum();
        let worth: f64 = point.partner[at.beyond..at.beyond + self.dealing.classes.len()].iter().sum();
        let limits: f64 = at
            .limited
            .iter()
            .zip(&self.dealing.kinds)
            .filter_map(|(place, kind)| Some(point.partner[(*place)?] * kind.limit?))
            .sum();
        let cost = paid + alone;
        let gap = (cost - worth + limits).abs();
        let sum = |list: &[f64]| list.iter().map(|value| value.abs()).sum::<f64>();
        let most = |list: &[f64]| list.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let rows = most(&missing.dealt).max(most(&missing.rooms)).max(most(&missing.counts)).max(most(&missing.limits));
        let columns = sum(&missing.hosts).max(sum(&missing.spare)).max(most(&missing.shares));
        (gap / cost.abs().max(1e-9)).max(rows).max(columns)
    }

    /// Removes shares and classes, and factors what is left.
    fn reduce(&mut self, point: &Point) {
        let at = &self.at;
        let (kinds, classes) = (&self.dealing.kinds, &self.dealing.classes);
        let ratio = |place: usize| point.partner[place] / point.own[place];
        let order = self.sign.len();
        let Reduced { stiff, give, matrix } = &mut self.reduced;
        matrix.fill(0.0);
        for (kind, of) in kinds.iter().enumerate() {
            let first = self.start[kind];
            matrix[first * order + first] = ratio(at.hosts + kind) + at.limited[kind].map_or(0.0, ratio);
            for dim in 0..of.rooms {
                let row = first + 1 + dim;
                matrix[first * order + row] = -1.0;
                matrix[row * order + row] = -1.0 / ratio(at.rooms[kind] + dim);
            }
        }
        let mut touch = vec![0.0; order];
        let mut loose: Vec<f64> = Vec::new();
        for (class, pods) in classes.iter().enumerate() {
            let from = at.shares[class];
            loose.clear();
            for (place, taker) in (from..).zip(&pods.takers) {
                let own = ratio(place);
                let count = at.counted[place].map_or(0.0, ratio);
                stiff[place] = (own + count, count);
                loose.push(1.0 / (own + count));
                let rooms = kinds[taker.kind].rooms;
                let row = self.start[taker.kind];
                touch[row] = taker.most.unwrap_or(0.0) * count / (own + count);
                for (touch, share) in touch[row + 1..].iter_mut().zip(&taker.shares[..rooms]) {
                    *touch = -share / (own + count);
                }
            }
            let rest = 1.0 / ratio(at.spare + class) + 1.0 / ratio(at.beyond + class);
            let total = rest + loose.iter().sum::<f64>();
            give[class] = total;
            for (index, taker) in pods.takers.iter().enumerate() {
                let first = self.start[taker.kind];
                let rooms = kinds[taker.kind].rooms;
                let next = first + 1 + rooms;
                // Two kinds that share the class.
                for row in first..next {
                    let factor = touch[row] / total;
                    if factor != 0.0 {
                        let line = &mut matrix[row * order + next..(row + 1) * order];
                        for (value, other) in line.iter_mut().zip(&touch[next..]) {
                            *value += factor * other;
                        }
                    }
                }
                // The kind itself: what is nearly equal is not subtracted from each other.
                let (own, count) = (stiff[from + index].0 - stiff[from + index].1, stiff[from + index].1);
                let others = rest + loose[..index].iter().sum::<f64>() + loose[index + 1..].iter().sum::<f64>();
                let part = others / ((own + count) * others + 1.0);
                let most = taker.most.unwrap_or(0.0);
                matrix[first * order + first] +=
                    most * most * count * (own * others + 1.0) / ((own + count) * others + 1.0);
                for (dim, share) in taker.shares[..rooms].iter().enumerate() {
                    let row = first + 1 + dim;
                    matrix[first * order + row] += most * count * share * part;
                    for (to, other) in taker.shares[dim..rooms].iter().enumerate() {
                        matrix[row * order + row + to] -= share * other * part;
                    }
                }
            }
            for taker in &pods.takers {
                touch[self.start[taker.kind]..][..=kinds[taker.kind].rooms].fill(0.0);
            }
        }
        factor(matrix, &self.sign);
    }

    fn change(&self, point: &Point, missing: &Missing, target: &[f64]) -> Point {
        let (at, reduced) = (&self.at, &self.reduced);
        let (kinds, classes) = (&self.dealing.kinds, &self.dealing.classes);
        let (own, partner) = (&point.own, &point.partner);
        let mut right = vec![0.0; self.sign.len()];
        for (kind, of) in kinds.iter().enumerate() {
            let place = at.hosts + kind;
            let first = self.start[kind];
            right[first] = target[place] / own[place] - missing.hosts[kind];
            if let Some(place) = at.limited[kind] {
                right[first] -= partner[place] / own[place] * (missing.limits[kind] + target[place] / partner[place]);
            }
            for dim in 0..of.rooms {
                let place = at.rooms[kind] + dim;
                right[first + 1 + dim] = -missing.rooms[place] - target[place] / partner[place];
            }
        }
        // By share: the right side of its row; and what its count adds.
        let mut sides = vec![0.0; at.counted.len()];
        let mut worths = Vec::with_capacity(classes.len());
        for (class, pods) in classes.iter().enumerate() {
            let (spare, beyond) = (at.spare + class, at.beyond + class);
            let of_spare = target[spare] / own[spare] - missing.spare[class];
            let mut side =
                missing.dealt[class] + target[beyond] / partner[beyond] - of_spare * own[spare] / partner[spare];
            for (place, taker) in (at.shares[class]..).zip(&pods.takers) {
                let (stiff, count) = reduced.stiff[place];
                sides[place] = target[place] / own[place] - missing.shares[place];
                if let (Some(slack), Some(most)) = (at.counted[place], taker.most) {
                    let counted = count * (missing.counts[place] + target[slack] / partner[slack]);
                    sides[place] -= counted;
                    right[self.start[taker.kind]] += most * counted;
                }
                side -= sides[place] / stiff;
            }
            worths.push(side);
            let even = side / reduced.give[class];
            for (place, taker) in (at.shares[class]..).zip(&pods.takers) {
                let (stiff, count) = reduced.stiff[place];
                let factor = (sides[place] + even) / stiff;
                let first = self.start[taker.kind];
                right[first] += taker.most.unwrap_or(0.0) * count * factor;
                let rooms = kinds[taker.kind].rooms;
                for (value, share) in right[first + 1..].iter_mut().zip(&taker.shares[..rooms]) {
                    *value -= share * factor;
                }
            }
        }
        back(&reduced.matrix, &mut right);
        self.all(point, missing, target, &right, (&sides, &worths))
    }
}

#[cfg(test)]
mod tests {
    use microlp::{ComparisonOp, OptimizationDirection, Problem};

    use super::{Dealing, Dealt, Hosts, Pods, Taker};
    use crate::model::DIMS;
    use crate::search::random::Random;

    /// What a program costs, by a solver that knows nothing of it.
    fn cost(dealing: &Dealing) -> f64 {
        let mut program = Problem::new(OptimizationDirection::Minimize);
        let hosts: Vec<_> = dealing
            .kinds
            .iter()
            .map(|kind| program.add_var(kind.price, (0.0, kind.limit.unwrap_or(f64::INFINITY))))
            .collect();
        let mut rooms: Vec<Vec<Vec<_>>> = dealing.kinds.iter().map(|kind| vec![Vec::new(); kind.rooms]).collect();
        for pods in &dealing.classes {
            let mut row = vec![(program.add_var(pods.alone, (0.0, f64::INFINITY)), 1.0)];
            for taker in &pods.takers {
                let share = program.add_var(0.0, (0.0, f64::INFINITY));
                row.push((share, 1.0));
                for (room, amount) in rooms[taker.kind].iter_mut().zip(&taker.shares) {
                    room.push((share, *amount));
                }
                if let Some(most) = taker.most {
                    program.add_constraint([(share, 1.0), (hosts[taker.kind], -most)], ComparisonOp::Le, 0.0);
                }
            }
            program.add_constraint(row.as_slice(), ComparisonOp::Ge, 1.0);
        }
        for (kind, rooms) in rooms.into_iter().enumerate() {
            for mut row in rooms {
                row.push((hosts[kind], -1.0));
                program.add_constraint(row.as_slice(), ComparisonOp::Le, 0.0);
            }
        }
        program.solve().expect("solved").into_solution().expect("a solution").objective()
    }

    /// What the worths come to, and by how much they break what they must keep.
    fn worth(dealing: &Dealing, tolerance: f64) -> (f64, f64) {
        let worths = Dealt::new(dealing).expect("a program").solve(tolerance);
        let (mut sum, mut broken): (f64, f64) = (worths.pods.iter().sum(), 0.0);
        for (kind, of) in dealing.kinds.iter().enumerate() {
            let mut holds: f64 = worths.rooms[kind].iter().sum();
            for (pods, worth) in dealing.classes.iter().zip(&worths.pods) {
                for taker in pods.takers.iter().filter(|taker| taker.kind == kind) {
                    let asked: f64 = worths.rooms[kind].iter().zip(&taker.shares).map(|(price, own)| price * own).sum();
                    match taker.most {
                        Some(most) => holds += most * (worth - asked).max(0.0),
                        None => broken = broken.max(worth - asked),
                    }
                }
            }
            match of.limit {
                Some(limit) => sum -= limit * (holds - of.price).max(0.0),
                None => broken = broken.max(holds - of.price),
            }
        }
        for (pods, worth) in dealing.classes.iter().zip(&worths.pods) {
            broken = broken.max(worth - pods.alone);
        }
        (sum, broken)
    }

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-5 * expected.max(1.0), "{value} for {expected}");
    }

    /// One kind holds half of what each of two classes asks for, the other twice that at thrice the price.
    #[test]
    fn worths_come_to_what_the_cheapest_hosts_cost() {
        let taker = |kind, share| {
            let mut shares = [0.0; DIMS];
            shares[0] = share;
            Taker { kind, shares, most: None }
        };
        let pods = || Pods { alone: 9.0, takers: vec![taker(0, 2.0), taker(1, 1.0)] };
        let kinds = vec![Hosts { price: 1.0, limit: None, rooms: 1 }, Hosts { price: 3.0, limit: None, rooms: 1 }];
        let mut dealing = Dealing { kinds, classes: vec![pods(), pods()] };
        near(worth(&dealing, 1e-7).0, 4.0);
        dealing.kinds[0].limit = Some(1.0);
        near(worth(&dealing, 1e-7).0, 1.0 + 1.5 * 3.0);
        // Of the dear kind a host holds no more than a third of the first class: what is left comes to it no more.
        dealing.classes[0].takers[1].most = Some(1.0 / 3.0);
        near(worth(&dealing, 1e-7).0, cost(&dealing));
    }

    #[test]
    fn any_program_is_solved_as_by_a_solver_that_knows_nothing_of_it() {
        let mut random = Random::new(5);
        let mut below = |most: usize| random.below(most) as f64;
        for number in 0..300 {
            let kinds: Vec<Hosts> = (0..1 + number % 5)
                .map(|_| Hosts {
                    price: below(4) / 2.0,
                    limit: (below(3) < 1.0).then_some(0.1 + below(20) / 10.0),
                    rooms: 1 + below(3) as usize,
                })
                .collect();
            let class = |_| {
                let mut takers = Vec::new();
                for (kind, of) in kinds.iter().enumerate() {
                    let mut shares = [0.0; DIMS];
                    for share in &mut shares[..of.rooms] {
                        *share = below(10) / 20.0;
                    }
                    let most = (below(3) < 1.0).then_some(0.1 + below(9));
                    takers.extend((below(4) < 3.0).then_some(Taker { kind, shares, most }));
                }
                Pods { alone: 1.0 + below(3), takers }
            };
            let dealing = Dealing { classes: (0..1 + number % 13).map(class).collect(), kinds };
            let (value, broken) = worth(&dealing, 1e-7);
            assert!(broken < 1e-5, "{number}: {broken}");
            let expected = cost(&dealing);
            assert!((value - expected).abs() < 2e-5 * expected.max(1.0), "{number}: {value} for {expected}");
        }
    }

    #[test]
    fn what_cannot_be_solved_is_no_panic() {
        assert!(Dealt::new(&Dealing { kinds: Vec::new(), classes: Vec::new() }).is_none());
        let shares = [f64::NAN; DIMS];
        let pods = Pods { alone: f64::INFINITY, takers: vec![Taker { kind: 0, shares, most: Some(f64::MAX) }] };
        let wild = Dealing { kinds: vec![Hosts { price: -1.0, limit: Some(0.0), rooms: 2 }], classes: vec![pods] };
        Dealt::new(&wild).expect("a program").solve(1e-6);
    }
}
