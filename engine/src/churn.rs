//! What plans replaced lately: the memory that keeps them from going round in circles.
//!
//! Two rules, both looked at before a plan is carried out. No more nodes are replaced within a day than the policy
//! allows. And no plan goes back to a pool that an earlier one left, unless what is asked for, or what the pool costs,
//! changed by as much as a plan must save.

use journal_schema::cloud::PoolId;
use journal_schema::plan::{Cluster, Plan};
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Millis, Ppm, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::world::{holds_node, saturate};

/// What counts as a day.
const DAY: Millis = Millis::from_minutes(24 * 60);

/// How a pool stood when a plan took machines of it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Left {
    at: Timestamp,
    price: MicroUsdPerHour,
    requested: (MilliCpu, Bytes),
}

/// The memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churn {
    /// When plans were begun, and how many nodes they replace.
    replaced: Vec<(Timestamp, u32)>,
    left: BTreeMap<PoolId, Left>,
}

/// Nodes that a plan replaces: those it boots or those it removes, whichever are more.
fn replaces(plan: &Plan) -> u32 {
    saturate(plan.add.len().max(plan.remove.len()))
}

/// What all pods that hold nodes ask for.
fn requested(cluster: &Cluster) -> (MilliCpu, Bytes) {
    let pods = cluster.pods.values().filter(|pod| holds_node(pod) && pod.deletion_at.is_none());
    pods.fold(Default::default(), |(cpu, memory): (MilliCpu, Bytes), pod| {
        let more = &pod.spec.requests;
        (MilliCpu(cpu.0.saturating_add(more.cpu.0)), Bytes(memory.0.saturating_add(more.memory.0)))
    })
}

/// Whether a quantity is now what it was then, but for less than a share of it.
fn alike(then: i64, now: i64, share: Ppm) -> bool {
    then == now || Ppm::of((now - then).abs(), then.max(1)) < share
}

impl Churn {
    /// A plan is carried out from now on.
    pub(crate) fn begin(&mut self, now: Timestamp, plan: &Plan) {
        self.replaced.retain(|(at, _)| *at > Timestamp(now.0 - DAY.0));
        self.replaced.push((now, replaces(plan)));
    }

    /// A plan was carried out.
    pub(crate) fn complete(&mut self, now: Timestamp, plan: &Plan, cluster: &Cluster) {
        let requested = requested(cluster);
        for removed in &plan.remove {
            if let Some(pool) = &removed.pool {
                self.left.insert(pool.clone(), Left { at: now, price: removed.price, requested });
            }
        }
        self.left.retain(|_, left| left.at > Timestamp(now.0 - DAY.0));
    }

    /// Nodes that would have been replaced within a day, with this plan.
    pub(crate) fn with(&self, now: Timestamp, plan: &Plan) -> u32 {
        let day = self.replaced.iter().filter(|(at, _)| *at > Timestamp(now.0 - DAY.0));
        day.fold(replaces(plan), |sum, (_, nodes)| sum.saturating_add(*nodes))
    }

    /// A pool that the plan goes back to within `life`, and how long ago it was left, although neither the pool's price
    /// nor what is asked for has changed by `share` since.
    pub(crate) fn goes_back(
        &self,
        now: Timestamp,
        plan: &Plan,
        cluster: &Cluster,
        (life, share): (Millis, Ppm),
    ) -> Option<(PoolId, Millis)> {
        let recent = |left: &&Left| left.at > Timestamp(now.0 - life.0);
        let mut back =
            plan.add.iter().filter_map(|add| Some((add, self.left.get(&add.pool).filter(recent)?))).peekable();
        back.peek()?;
        let (cpu, memory) = requested(cluster);
        back.find(|(add, left)| {
            alike(left.price.0, add.price.0, share)
                && alike(left.requested.0.0, cpu.0, share)
                && alike(left.requested.1.0, memory.0, share)
        })
        .map(|(add, left)| (add.pool.clone(), now.since(left.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal_schema::cloud::CapacityType;
    use journal_schema::facts::{Key, PodFact, PodPhase, PodSpecFact};
    use journal_schema::plan::{NodeToAdd, NodeToRemove, Slot};
    use journal_schema::text::{Many, Name};
    use journal_schema::units::{MicroUsd, Resources};

    const HOURS: i64 = 3_600_000;
    const WITHIN: (Millis, Ppm) = (Millis(8 * HOURS), Ppm::percent(10));

    fn name(text: &str) -> Name {
        Name::truncated(text)
    }

    /// A plan that boots so many machines of one pool and removes so many of another.
    fn plan(boots: (&str, u32), removes: (&str, u32), price: i64) -> Plan {
        let price = MicroUsdPerHour(price);
        let (zone, capacity_type) = (name("a"), CapacityType::OnDemand);
        let add = (0..boots.1).map(|slot| NodeToAdd {
            slot: Slot(slot),
            pool: name(boots.0),
            machine_type: name(boots.0),
            zone: zone.clone(),
            capacity_type,
            price,
        });
        let remove = (0..removes.1).map(|index| NodeToRemove {
            node: name(&format!("node-{index:02}")),
            uid: Name::default(),
            provider_id: Name::default(),
            pool: Some(name(removes.0)),
            machine_type: name(removes.0),
            zone: zone.clone(),
            capacity_type,
            price,
        });
        Plan {
            iteration: 1,
            basis: 1,
            at: Timestamp(0),
            add: Many::new(add.collect()).expect("few"),
            remove: Many::new(remove.collect()).expect("few"),
            moves: Many::default(),
            waves: Many::default(),
            requests: Many::default(),
            cost_now: price,
            cost_after: price,
            lower_bound: price,
            transition: MicroUsd(0),
        }
    }

    fn cluster(cpu: i64) -> Cluster {
        let requests = Resources { cpu: MilliCpu(cpu), memory: Bytes(1 << 30), ..Resources::default() };
        let spec = PodSpecFact { requests, ..PodSpecFact::default() };
        let key = Key::new(name("shop"), name("cart"));
        let pod = PodFact { phase: PodPhase::Running, ..PodFact::new(key.clone(), name("uid"), spec, Timestamp(0)) };
        Cluster { pods: [(key, pod)].into(), ..Cluster::default() }
    }

    #[test]
    fn a_plan_that_goes_back_for_the_same_is_one_too_many() {
        let mut churn = Churn::default();
        churn.complete(Timestamp(0), &plan(("new", 1), ("old", 2), 100), &cluster(1_000));
        let back = |price, cpu, at| {
            churn
                .goes_back(Timestamp(at), &plan(("old", 1), ("new", 1), price), &cluster(cpu), WITHIN)
                .map(|back| back.0)
        };
        assert_eq!(back(100, 1_000, HOURS), Some(name("old")));
        assert_eq!(back(105, 1_050, HOURS), Some(name("old")), "a twentieth is no change");
        assert_eq!(back(111, 1_000, HOURS), None, "prices changed");
        assert_eq!(back(100, 1_111, HOURS), None, "more is asked for");
        assert_eq!(back(100, 1_000, 9 * HOURS), None, "a plan's life is over");
        let onward = plan(("third", 1), ("new", 1), 100);
        assert_eq!(churn.goes_back(Timestamp(HOURS), &onward, &cluster(1_000), WITHIN), None);
    }

    #[test]
    fn nodes_replaced_within_a_day_add_up() {
        let mut churn = Churn::default();
        let five = plan(("new", 5), ("old", 3), 100);
        assert_eq!(churn.with(Timestamp(0), &five), 5);
        churn.begin(Timestamp(0), &five);
        churn.begin(Timestamp(12 * HOURS), &plan(("new", 0), ("old", 7), 100));
        assert_eq!(churn.with(Timestamp(13 * HOURS), &five), 17);
        assert_eq!(churn.with(Timestamp(25 * HOURS), &five), 12, "the first was a day ago");
    }
}
