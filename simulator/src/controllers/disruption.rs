//! The disruption controller and the Eviction API, as upstream counts them.

use journal_schema::facts::{Key, PdbFact, PodPhase, WorkloadId};
use journal_schema::text::Name;
use journal_schema::units::Millis;
use std::collections::BTreeSet;

use super::{scaled, selector_matches};
use crate::world::World;

/// A granted eviction is forgotten after this, when the pod was not seen terminating.
const DISRUPTED_FOR: Millis = Millis::from_minutes(2);

/// What the Eviction API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// 201: the pod terminates, or did already.
    Granted,
    /// 404.
    NotFound,
    /// 409: another pod has the name now.
    Conflict,
    /// 429 with cause DisruptionBudget.
    Budget,
    /// 500: several budgets cover the pod.
    SeveralBudgets,
}

impl World {
    /// Computes a budget's status: upstream's `updatePdbStatus`.
    pub(crate) fn reconcile_pdb(&mut self, key: &Key) {
        let Some(mut pdb) = self.facts.pdbs.get(key).cloned() else { return };
        let selector = pdb.selector.clone();
        let covered: Vec<_> = self
            .facts
            .pods
            .range(Key::new(key.namespace.clone(), Name::default())..)
            .take_while(|(pod, _)| pod.namespace == key.namespace)
            .map(|(_, pod)| pod)
            .filter(|pod| selector.as_ref().is_some_and(|selector| selector_matches(selector, &pod.labels)))
            .collect();
        let now = self.now;
        let terminating: BTreeSet<Name> =
            covered.iter().filter(|pod| pod.deletion_at.is_some()).map(|pod| pod.uid.clone()).collect();
        let alive: BTreeSet<Name> = covered.iter().map(|pod| pod.uid.clone()).collect();
        if let Some(disrupted) = self.inner.disrupted.get_mut(key) {
            disrupted.retain(|uid, since| {
                alive.contains(uid) && !terminating.contains(uid) && now.since(*since) < DISRUPTED_FOR
            });
        }
        let disrupted = self.inner.disrupted.get(key);
        let healthy = covered.iter().filter(|pod| {
            pod.ready
                && pod.deletion_at.is_none()
                && !disrupted.is_some_and(|disrupted| disrupted.contains_key(&pod.uid))
        });
        let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
        let pods = i32::try_from(covered.len()).unwrap_or(i32::MAX);
        let by_controllers = || {
            let ids: BTreeSet<&WorkloadId> =
                covered.iter().filter_map(|pod| self.facts.workload_of(pod)).map(|workload| &workload.id).collect();
            ids.into_iter().filter_map(|id| self.facts.workloads.get(id)).map(|workload| workload.replicas).sum::<i32>()
        };
        let (expected, desired) = match (pdb.max_unavailable, pdb.min_available) {
            (Some(most), _) => {
                let expected = by_controllers();
                (expected, (expected - scaled(most, expected, true)).max(0))
            }
            (None, Some(journal_schema::facts::IntOrPercent::Int(least))) => (pods, least),
            (None, Some(share)) => {
                let expected = by_controllers();
                (expected, scaled(share, expected, true))
            }
            (None, None) => (pods, 0),
        };
        pdb.expected = expected;
        pdb.desired_healthy = desired;
        pdb.current_healthy = healthy;
        pdb.disruptions_allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
        if self.inner.blocked_pdbs.contains(key) {
            pdb.disruptions_allowed = 0;
        }
        let before = self.facts.pdbs.get(key).map(|pdb| (pdb.current_healthy, pdb.desired_healthy));
        if before.is_some_and(|(had, needed)| had >= needed && healthy < had && healthy < desired) {
            let workloads: BTreeSet<WorkloadId> = covered
                .iter()
                .filter_map(|pod| self.facts.workload_of(pod))
                .map(|workload| workload.id.clone())
                .collect();
            let workloads: Vec<WorkloadId> = workloads.into_iter().collect();
            self.judge.budget_broken(now, key, &workloads);
        }
        self.put_pdb(pdb);
    }

    /// The Eviction API: upstream's `EvictionREST.Create`, with the UID as precondition.
    pub(crate) fn evict(&mut self, key: &Key, uid: &Name) -> Evicted {
        let Some(pod) = self.facts.pods.get(key).cloned() else { return Evicted::NotFound };
        if pod.uid != *uid {
            return Evicted::Conflict;
        }
        let ignores_budgets = pod.finished() || pod.phase == PodPhase::Pending || pod.deletion_at.is_some();
        if ignores_budgets {
            self.terminate_pod(key);
            return Evicted::Granted;
        }
        let budgets: Vec<PdbFact> = self.pdbs_of(&pod).into_iter().cloned().collect();
        let [pdb] = &budgets[..] else {
            if budgets.is_empty() {
                self.terminate_pod(key);
                return Evicted::Granted;
            }
            return Evicted::SeveralBudgets;
        };
        // An unhealthy pod may go when the policy says so, or when the budget is met without it.
        let met = pdb.current_healthy >= pdb.desired_healthy && pdb.desired_healthy > 0;
        if !pod.ready && (pdb.always_allow_unhealthy || met) {
            self.terminate_pod(key);
            return Evicted::Granted;
        }
        if pdb.disruptions_allowed <= 0 {
            return Evicted::Budget;
        }
        let mut pdb = pdb.clone();
        pdb.disruptions_allowed -= 1;
        self.inner.disrupted.entry(pdb.key.clone()).or_default().insert(pod.uid.clone(), self.now);
        self.put_pdb(pdb);
        self.terminate_pod(key);
        Evicted::Granted
    }
}
