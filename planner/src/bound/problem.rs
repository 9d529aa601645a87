//! What the bound is about: classes to place, kinds of hosts, and what is paid in any case.

use std::collections::BTreeMap;

use journal_schema::policy::Actuation;

use crate::commitments::Tariff;
use crate::model::{Amounts, DIMS, Host, Model, add};
use crate::worth::{scaled, scaled_up};

/// Pods to place.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// Class in the model.
    pub(crate) class: usize,
    /// Request in scaled units, rounded down.
    pub(crate) request: Amounts,
    /// How many.
    pub(crate) count: i64,
}

/// Hosts that are alike.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// Which hosts these are.
    pub(crate) of: KindKey,
    /// Capacity in scaled units, rounded up.
    pub(crate) capacity: Amounts,
    /// Micro-USD per hour; zero for hosts that are paid for in any case.
    pub(crate) price: i64,
    /// The commitment that may cover such a host.
    pub(crate) commitment: Option<usize>,
    /// How many there are at most; `None` for any number.
    pub(crate) limit: Option<i64>,
    /// By demand: the most pods of it that one such host can hold, zero when none.
    pub(crate) most: Vec<i64>,
}

/// The relaxed problem.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) classes: Vec<Demand>,
    pub(crate) kinds: Vec<Kind>,
    /// Micro-USD per hour of hosts that stay whatever the plan is.
    pub(crate) fixed: i64,
    pub(crate) dims: usize,
    /// By commitment: how much less than it costs a host is priced at, in micro-USD per hour.
    pub(crate) relief: Vec<i64>,
    /// By commitment: what is left of it by hosts that stay, which may be less than nothing, and the cover of each.
    pub(crate) committed: Vec<(i64, i64)>,
}

/// Hosts that the relaxation need not tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KindKey {
    /// Hosts that stay, by signature: all of them as one large host.
    Staying(usize),
    /// Nodes that may leave, by signature and what they cost.
    Leaving(usize, Tariff),
    /// Offers.
    Offer(usize),
}

impl KindKey {
    /// The kind of a present node.
    pub(crate) fn of(host: &Host<'_>) -> Self {
        let unknown = Tariff { paid: 0, commitment: None };
        if host.keep.is_some() {
            Self::Staying(host.sig)
        } else {
            Self::Leaving(host.sig, host.tariff.unwrap_or(unknown))
        }
    }
}

struct Draft {
    capacity: Amounts,
    price: i64,
    commitment: Option<usize>,
    limit: Option<i64>,
    sig: usize,
    /// Classes that run there now, with the most on one host (all hosts, for those that stay).
    present: BTreeMap<usize, i64>,
    /// Of those that stay: pods of a class beyond the first on each host, which may remain there
    /// although the class allows one per host.
    crowded: BTreeMap<usize, i64>,
    hosts: i64,
}

/// From this capacity on a resource binds nobody; in units of the scaled amounts.
pub(super) const UNBOUNDED: i64 = 1_000_000_000_000;

/// A pod that no machine of unlimited number takes is worth this many of the dearest hosts at most.
const WORTH_OF_RARE: i64 = 4;

impl Problem {
    /// Micro-USD per hour that a pod of a class is worth at most: alone on the cheapest kind that takes it, it is
    /// worth no more than that host.
    pub(super) fn alone(&self, class: usize) -> i64 {
        let takes = self.kinds.iter().filter(|kind| kind.limit.is_none() && kind.most[class] > 0);
        takes.map(|kind| kind.price).min().unwrap_or_else(|| self.dearest() * WORTH_OF_RARE)
    }

    /// Pods for one kind of host, in four dimensions.
    #[cfg(test)]
    pub(super) fn of_one(classes: Vec<Demand>, kind: Kind) -> Self {
        Self { classes, kinds: vec![kind], fixed: 0, dims: 4, relief: Vec::new(), committed: Vec::new() }
    }

    /// Micro-USD per hour, at least one.
    pub(super) fn dearest(&self) -> i64 {
        self.kinds.iter().map(|kind| kind.price).max().unwrap_or(0).max(1)
    }

    /// By dimension: the largest capacity of any kind.
    pub(super) fn largest(&self) -> Amounts {
        std::array::from_fn(|dim| self.kinds.iter().map(|kind| kind.capacity[dim]).max().unwrap_or(0))
    }

    /// The dimensions in which prices mean something: somebody asks, and what there is has an end.
    pub(super) fn priced_dims(&self) -> Vec<usize> {
        let asked = |dim: usize| self.classes.iter().any(|class| class.request[dim] > 0);
        let largest = self.largest();
        (0..self.dims).filter(|dim| asked(*dim) && (1..UNBOUNDED).contains(&largest[*dim])).collect()
    }

    /// By kind: whether it takes pods of a class.
    pub(super) fn takers(&self, class: usize) -> Vec<bool> {
        self.kinds.iter().map(|kind| kind.most[class] > 0).collect()
    }

    /// States the problem for all pods that run after a plan: those that are bound now, and the
    /// pending ones that `placed` says get a place. Hosts are priced by what they cost less the relief of their
    /// commitment.
    pub(crate) fn new(model: &Model<'_>, placed: &dyn Fn(usize) -> bool, relief: Vec<i64>) -> Self {
        let mut committed: Vec<(i64, i64)> = model.commitments.all().iter().map(|own| (own.count, own.cover)).collect();
        let mut drafts: BTreeMap<KindKey, Draft> = BTreeMap::new();
        let mut fixed = 0;
        for host in &model.hosts {
            let mut here: BTreeMap<usize, i64> = BTreeMap::new();
            for item in &host.home {
                *here.entry(model.items[*item].class).or_default() += 1;
            }
            let capacity = capacity_of(model, host, &here);
            let stays = host.keep.is_some();
            let price = host.tariff.map_or(0, |tariff| tariff.weighed(&relief));
            let commitment = host.tariff.and_then(|tariff| tariff.commitment);
            if stays {
                fixed += price;
                if let Some(commitment) = commitment {
                    committed[commitment].0 -= 1;
                }
            }
            let draft = drafts.entry(KindKey::of(host)).or_insert_with(|| Draft {
                capacity: [0; DIMS],
                price: if stays { 0 } else { price },
                commitment: commitment.filter(|_| !stays),
                limit: Some(0),
                sig: host.sig,
                present: BTreeMap::new(),
                crowded: BTreeMap::new(),
                hosts: 0,
            });
            draft.hosts += 1;
            if stays {
                add(&mut draft.capacity, &capacity);
                draft.limit = Some(1);
            } else {
                for (most, own) in draft.capacity.iter_mut().zip(&capacity) {
                    *most = (*most).max(*own);
                }
                draft.limit = draft.limit.map(|limit| limit + 1);
            }
            for (class, count) in here {
                let entry = draft.present.entry(class).or_default();
                *entry = if stays { *entry + count } else { (*entry).max(count) };
                *draft.crowded.entry(class).or_default() += if stays { (count - 1).max(0) } else { 0 };
            }
        }
        for (index, machine) in model.machines.iter().enumerate() {
            let mut capacity = [0; DIMS];
            for (dim, amount) in capacity.iter_mut().enumerate() {
                *amount = scaled_up(dim, machine.room[dim].max(0));
            }
            let draft = Draft {
                capacity,
                price: machine.offer.tariff.weighed(&relief),
                commitment: machine.offer.tariff.commitment,
                limit: machine.offer.most.map(i64::from),
                sig: machine.sig,
                present: BTreeMap::new(),
                crowded: BTreeMap::new(),
                hosts: 1,
            };
            drafts.insert(KindKey::Offer(index), draft);
        }
        let classes: Vec<Demand> = model
            .demand(placed)
            .into_iter()
            .map(|(class, count)| {
                let mut request = [0; DIMS];
                for (dim, amount) in request.iter_mut().enumerate() {
                    *amount = scaled(dim, model.classes[class].request[dim]);
                }
                Demand { class, request, count: i64::try_from(count).unwrap_or(i64::MAX) }
            })
            .collect();
        let apart = Apart::new(model, &classes);
        let kinds = drafts.into_iter().map(|(key, draft)| finish(model, &classes, &apart, key, draft)).collect();
        Self { classes, kinds: without_dominated(kinds), fixed, dims: model.dims, relief, committed }
    }
}

/// What a present host can hold of movable pods: its room plus what they use now; pods that are
/// terminating make room; where more runs than fits, what runs counts.
fn capacity_of(model: &Model<'_>, host: &Host<'_>, here: &BTreeMap<usize, i64>) -> Amounts {
    let mut used = [0i64; DIMS];
    for (class, count) in here {
        for (sum, amount) in used.iter_mut().zip(&model.classes[*class].request) {
            *sum += amount * count;
        }
    }
    let mut free = host.room;
    for item in &host.fixed {
        if model.items[*item].fact.deletion_at.is_some() {
            add(&mut free, &model.classes[model.items[*item].class].request);
        }
    }
    let mut capacity = [0; DIMS];
    for (dim, amount) in capacity.iter_mut().enumerate() {
        *amount = scaled_up(dim, (free[dim] + used[dim]).max(used[dim]));
    }
    capacity
}

fn finish(model: &Model<'_>, classes: &[Demand], apart: &Apart, of: KindKey, draft: Draft) -> Kind {
    let most = classes
        .iter()
        .zip(&apart.most)
        .map(|(demand, most)| {
            let present = draft.present.get(&demand.class).copied().unwrap_or(0);
            // Whether the planner puts pods there is not asked: the scheduler may, as long as no taint says
            // that a node is not ready, and the bound must hold all the same.
            if !model.allowed(demand.class, draft.sig) {
                return present;
            }
            let room = (0..model.dims)
                .filter(|dim| demand.request[*dim] > 0)
                .map(|dim| draft.capacity[dim] / demand.request[dim])
                .min()
                .unwrap_or(demand.count);
            let crowded = draft.crowded.get(&demand.class).copied().unwrap_or(0);
            let room = most.map_or(room, |most| room.min(most * draft.hosts_as_one() + crowded));
            room.max(present).min(demand.count)
        })
        .collect();
    let (price, commitment) = (draft.price, draft.commitment);
    Kind { of, capacity: draft.capacity, price, commitment, limit: draft.limit, most }
}

/// How far rules keep pods of a class off each other.
struct Apart {
    /// By demand: the most that come to one host by the rules, if they say.
    most: Vec<Option<i64>>,
}

impl Apart {
    fn new(model: &Model<'_>, classes: &[Demand]) -> Self {
        let relations = &model.relations;
        let profile = |class: usize| model.classes[class].profile;
        // Wherever a plan ends, there are as many hosts as an app has pods that keep each other off a host.
        let alone = |demand: &Demand| relations.alone_on_host(profile(demand.class));
        let hosts = classes.iter().filter(|demand| alone(demand)).map(|demand| demand.count).max().unwrap_or(0).max(1);
        // A rolling update has several pods more at a time, so that rules say less of how they end.
        let rolled = model.input.policy.disruption.actuation == Actuation::RollingUpdate;
        let mut counted = vec![0; relations.spreads.len()];
        for item in &model.items {
            for spread in &relations.profiles[profile(item.class)].spread_hit {
                counted[*spread] += 1;
            }
        }
        let most = |demand: &Demand| {
            let own =
                relations.profiles[profile(demand.class)].spread_own.iter().filter(|(_, itself)| *itself && !rolled);
            let spread = own.filter_map(|(spread, _)| relations.spreads[*spread].most(counted[*spread], hosts)).min();
            if alone(demand) { Some(1) } else { spread }
        };
        Self { most: classes.iter().map(most).collect() }
    }
}

impl Draft {
    /// How many hosts the capacity stands for: several that stay are one large one.
    fn hosts_as_one(&self) -> i64 {
        if self.price == 0 && self.limit == Some(1) { self.hosts } else { 1 }
    }
}

/// Drops kinds that another of unlimited number replaces at no higher price, whatever the relief.
fn without_dominated(kinds: Vec<Kind>) -> Vec<Kind> {
    let covers = |a: &Kind, b: &Kind| {
        a.limit.is_none()
            && a.price <= b.price
            && (b.commitment.is_none() || a.commitment == b.commitment)
            && a.capacity.iter().zip(&b.capacity).all(|(x, y)| x >= y)
            && a.most.iter().zip(&b.most).all(|(x, y)| x >= y)
    };
    let mut kept: Vec<Kind> = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let better = kinds.iter().enumerate().any(|(other, candidate)| {
            other != index && covers(candidate, kind) && (other < index || !covers(kind, candidate))
        });
        if !better {
            kept.push(kind.clone());
        }
    }
    kept
}

/// What tests of the bound have in common.
#[cfg(test)]
pub(super) mod tried {
    use super::{Kind, Problem};
    use crate::model::Amounts;

    pub(in crate::bound) fn amounts(of: &[i64]) -> Amounts {
        std::array::from_fn(|dim| of.get(dim).copied().unwrap_or(0))
    }

    /// The most that classes from one on are worth in what is left of a host, by trying everything.
    pub(in crate::bound) fn most(problem: &Problem, kind: &Kind, worth: &[i64], class: usize, room: Amounts) -> i64 {
        let Some(demand) = problem.classes.get(class) else { return 0 };
        let mut best = 0;
        for count in 0..=kind.most[class] {
            let left: Amounts = std::array::from_fn(|dim| room[dim] - demand.request[dim] * count);
            if left.iter().zip(&demand.request).any(|(left, asked)| *left < 0 && *asked > 0) {
                break;
            }
            best = best.max(worth[class] * count + most(problem, kind, worth, class + 1, left));
        }
        best
    }
}
