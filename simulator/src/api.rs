//! The API servers' side of the daemon's requests: what each effect does to the truth, and what is
//! answered, with whatever a fault makes of it on the way.

use journal_schema::effect::{
    Answer, EXPIRING_KEY, Effect, EffectId, Failure, FailureClass, FailureCode, LATER_KEY, NodeRole, OPTIMAL_KEY,
    Outcome,
};
use journal_schema::event::OperatorCommand;
use journal_schema::facts::{
    IntOrPercent, Key, Kind, NodeFact, Taint, TaintEffect, UpdateStrategy, WorkloadId, WorkloadKind,
};
use journal_schema::text::{JsonText, Name};
use journal_schema::units::{Bytes, MilliCpu, Millis, Timestamp};
use journal_schema::usage::{ContainerSeries, UsageWindow};

use crate::affinity;
use crate::cloud::port::Progress;
use crate::controllers::{Evicted, template_hash};
use crate::faults::{FaultKind, RequestFault};
use crate::load::usage;
use crate::rng::noise;
use crate::text::{list, message, name};
use crate::world::{Action, BEGIN, Work, World};

/// The daemon's client gives up on a request after this.
const CLIENT_TIMEOUT: Millis = Millis::from_secs(30);
/// The daemon's client stops looking at a cloud operation after this.
const OPERATION_TIMEOUT: Millis = Millis::from_secs(90);
/// How often it looks.
const OPERATION_POLL: Millis = Millis::from_secs(1);
/// Nobody waits for an answer to this session.
const NOBODY: u64 = 0;

fn failed(class: FailureClass, code: FailureCode, text: &str) -> Outcome {
    Outcome::Failed(Failure { class, code, message: message(text) })
}

fn not_found() -> Outcome {
    failed(FailureClass::Refused, FailureCode::NotFound, "404 NotFound")
}

fn conflict() -> Outcome {
    failed(FailureClass::Refused, FailureCode::Precondition, "409 Conflict")
}

/// The API server's validation does not let it pass.
fn invalid() -> Outcome {
    failed(FailureClass::Refused, FailureCode::Invalid, "422 Invalid")
}

const DONE: Outcome = Outcome::Answered(Answer::Done);

impl World {
    /// A request arrives, or does not.
    pub(crate) fn arrive(&mut self, session: u64, id: EffectId, effect: &Effect, fault: Option<RequestFault>) {
        let of_cloud = matches!(
            effect,
            Effect::DiscoverPools
                | Effect::ListInstances { .. }
                | Effect::CreateInstances { .. }
                | Effect::DeleteInstances { .. }
                | Effect::ReadPrices
        );
        let of_metrics = matches!(effect, Effect::ReadUsage { .. });
        let away = !of_cloud && !of_metrics && self.now < self.api_away_until;
        let refused = match fault {
            _ if away => Some(failed(FailureClass::Retryable, FailureCode::Unavailable, "connection refused")),
            Some(RequestFault::Throttled) => {
                Some(failed(FailureClass::Retryable, FailureCode::Throttled, "429 TooManyRequests"))
            }
            Some(RequestFault::ServerError) => {
                Some(failed(FailureClass::Retryable, FailureCode::Unavailable, "500 InternalError"))
            }
            Some(RequestFault::Forbidden) => {
                Some(failed(FailureClass::Refused, FailureCode::Forbidden, "403 Forbidden"))
            }
            Some(RequestFault::Lost) => {
                self.answer(
                    session,
                    id,
                    CLIENT_TIMEOUT,
                    failed(FailureClass::Unknown, FailureCode::Timeout, "timed out"),
                );
                return;
            }
            _ => None,
        };
        if let Some(outcome) = refused {
            self.answer(session, id, Millis(5), outcome);
            return;
        }
        // A copy of what names the version that was read before conflicts.
        if fault == Some(RequestFault::Twice) && self.version_of(effect).is_none() {
            let again =
                Action::Arrive { session: NOBODY, id, effect: Box::new(effect.clone()), fault: None, read: None };
            self.after(Millis(60), again);
        }
        if of_cloud {
            self.judge_cloud(id, effect);
            let progress = self.cloud.perform(self.now, effect);
            self.take_cloud_changes();
            match progress {
                Progress::Over(outcome) => self.reply(session, id, outcome, fault),
                Progress::Accepted(operation) => {
                    let until = self.now.plus(OPERATION_TIMEOUT);
                    self.after(OPERATION_POLL, Action::Settle { session, id, operation, fault, until });
                }
                Progress::NotOurs => {}
            }
            return;
        }
        let before = self.judge.changes_before();
        let object = self.object_of(effect);
        let outcome = self.apply(effect);
        if effect.mutates() {
            self.judge.after_effect(self.now, id, effect, object, before);
        }
        self.reply(session, id, outcome, fault);
    }

    /// The present version of what an effect writes: such a request names the version that was read for it.
    pub(crate) fn version_of(&self, effect: &Effect) -> Option<u64> {
        let (kind, key) = match effect {
            Effect::MarkNode { node, .. } => (Kind::Node, Key::cluster(node.clone())),
            Effect::Scale { workload, .. } | Effect::PatchTemplate { workload, .. } => {
                (workload.kind.kind(), workload.key.clone())
            }
            Effect::SetDeletionCost { pod, .. } => (Kind::Pod, pod.clone()),
            _ => return None,
        };
        Some(self.inner.versions.get(&(kind, key)).copied().unwrap_or(0))
    }

    /// Whether a request names a version that is no more, and whoever sent it is not there to read anew.
    pub(crate) fn is_outdated(&self, session: u64, effect: &Effect, read: Option<u64>) -> bool {
        read.is_some() && session != self.session && self.version_of(effect) != read
    }

    /// What an effect on the cluster is about; a pod by its workload.
    fn object_of(&self, effect: &Effect) -> String {
        match effect {
            Effect::MarkNode { node, .. } => node.to_string(),
            Effect::Scale { workload, .. } | Effect::PatchTemplate { workload, .. } => workload.to_string(),
            Effect::SetDeletionCost { pod, .. } | Effect::Evict { pod, .. } => {
                let workload = self.facts.pods.get(pod).and_then(|fact| self.facts.workload_of(fact));
                workload.map_or_else(|| pod.to_string(), |workload| workload.id.to_string())
            }
            _ => String::new(),
        }
    }

    /// Looks at a cloud operation until it is over.
    pub(crate) fn settle(
        &mut self,
        session: u64,
        id: EffectId,
        operation: Name,
        fault: Option<RequestFault>,
        until: Timestamp,
    ) {
        if session != self.session {
            return;
        }
        match self.cloud.settled(self.now, &operation) {
            Some(outcome) => self.reply(session, id, outcome, fault),
            None if self.now >= until => {
                let outcome = failed(FailureClass::Unknown, FailureCode::Timeout, "operation not over in time");
                self.reply(session, id, outcome, fault);
            }
            None => self.after(OPERATION_POLL, Action::Settle { session, id, operation, fault, until }),
        }
        self.take_cloud_changes();
    }

    /// Answers what was carried out, as far as the fault lets the answer through.
    fn reply(&mut self, session: u64, id: EffectId, outcome: Outcome, fault: Option<RequestFault>) {
        let latency = Millis(self.rng.of("latency").between(2, 25));
        match fault {
            Some(RequestFault::AnswerLost) => {
                let timed_out = failed(FailureClass::Unknown, FailureCode::Timeout, "timed out");
                self.answer(session, id, CLIENT_TIMEOUT, timed_out);
            }
            Some(RequestFault::ServerErrorAfter) => {
                let error = failed(FailureClass::Unknown, FailureCode::Unavailable, "504 GatewayTimeout");
                self.answer(session, id, latency, error);
            }
            Some(RequestFault::Silent) => {}
            Some(RequestFault::AnsweredTwice) => {
                self.answer(session, id, latency, outcome.clone());
                self.answer(session, id, Millis(latency.0 + 5_000), outcome);
            }
            Some(RequestFault::AnsweredLate(span)) => self.answer(session, id, Millis(latency.0 + span.0), outcome),
            _ => self.answer(session, id, latency, outcome),
        }
    }

    fn answer(&mut self, session: u64, id: EffectId, after: Millis, outcome: Outcome) {
        self.after(after, Action::Answer { session, id, outcome: Box::new(outcome) });
    }

    fn apply(&mut self, effect: &Effect) -> Outcome {
        match effect {
            Effect::MarkNode { node, uid, role, iteration } => self.mark_node(node, uid, *role, *iteration),
            Effect::SetDeletionCost { pod, uid, cost } => {
                let Some(fact) = self.facts.pods.get(pod) else { return not_found() };
                if fact.uid != *uid {
                    return conflict();
                }
                if self.update_pod(pod, |pod| pod.deletion_cost = cost.unwrap_or(0)) {
                    self.judge.changed();
                }
                DONE
            }
            Effect::Scale { workload, uid, from, to } => self.scale(workload, uid, *from, *to),
            Effect::Evict { pod, uid } => self.evict_request(pod, uid),
            Effect::PatchTemplate { workload, uid, from, to, max_unavailable, requests } => {
                let of_limits = max_unavailable.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
                let affinity = (from.as_ref().map(JsonText::as_str), to.as_ref().map(JsonText::as_str));
                self.patch_template(workload, uid, affinity, of_limits, requests)
            }
            Effect::ReadNodePods { node } => {
                let pods = self.inner.by_node.get(node).into_iter().flatten();
                let pods = pods.filter_map(|key| self.facts.pods.get(key)).cloned();
                Outcome::Answered(Answer::NodePods(list(pods)))
            }
            Effect::ReadAffinity { workload, uid } => {
                if workload.kind != WorkloadKind::Deployment {
                    return invalid();
                }
                let Some(fact) = self.facts.workloads.get(workload) else { return not_found() };
                if fact.uid != *uid {
                    return conflict();
                }
                let Some(inner) = self.inner.workloads.get(workload) else { return not_found() };
                let json = |text: &Option<String>| text.as_ref().map(JsonText::truncated);
                Outcome::Answered(Answer::Affinity(json(&inner.affinity), json(&inner.max_unavailable)))
            }
            Effect::ReadUsage { end, window, step } => self.read_usage(*end, *window, *step),
            Effect::Notice { .. } => DONE,
            Effect::DiscoverPools
            | Effect::ListInstances { .. }
            | Effect::ReadPrices
            | Effect::CreateInstances { .. }
            | Effect::DeleteInstances { .. }
            | Effect::Forecast
            | Effect::Plan { .. } => {
                failed(FailureClass::Refused, FailureCode::Invalid, "not a request to the cluster")
            }
        }
    }

    fn mark_node(&mut self, node: &Name, uid: &Name, role: NodeRole, iteration: u64) -> Outcome {
        let Some(fact) = self.facts.nodes.get(node) else { return not_found() };
        if fact.uid != *uid {
            return conflict();
        }
        let value = name(iteration.to_string());
        let changed = self.update_node(node, |node| {
            clear_marks(node);
            match role {
                NodeRole::Optimal => {
                    node.labels.insert(name(OPTIMAL_KEY), value);
                }
                NodeRole::Later => {
                    node.labels.insert(name(OPTIMAL_KEY), value.clone());
                    taint(node, LATER_KEY, value, TaintEffect::PreferNoSchedule);
                }
                NodeRole::Expiring => {
                    node.labels.insert(name(EXPIRING_KEY), value.clone());
                    taint(node, EXPIRING_KEY, value, TaintEffect::NoSchedule);
                }
                NodeRole::None => {}
            }
        });
        if changed {
            self.judge.changed();
        }
        DONE
    }

    /// The scale subresource, with the expected replicas as precondition. A number that somebody
    /// else set is a conflict, also where it is the one that is asked for.
    fn scale(&mut self, workload: &WorkloadId, uid: &Name, from: i32, to: i32) -> Outcome {
        let Some(fact) = self.facts.workloads.get(workload) else { return not_found() };
        if fact.uid != *uid {
            return conflict();
        }
        let ours = self.inner.workloads.get(workload).is_some_and(|inner| inner.replicas_by_daemon);
        if fact.replicas == to && (ours || to < from) {
            return DONE;
        }
        if fact.replicas != from || (to < from && !ours) {
            return conflict();
        }
        // Who writes what is there changes nothing, and owns it no more than before.
        if to == from {
            return DONE;
        }
        self.judge.touched(workload);
        let changed = self.update_workload(workload, |workload| {
            workload.replicas = to;
            workload.generation += 1;
        });
        if changed {
            self.set_replicas_by_daemon(workload, true);
            self.judge.changed();
        }
        DONE
    }

    fn evict_request(&mut self, pod: &Key, uid: &Name) -> Outcome {
        let terminating = self.facts.pods.get(pod).is_some_and(|pod| pod.deletion_at.is_some());
        let workload =
            self.facts.pods.get(pod).and_then(|pod| self.facts.workload_of(pod)).map(|workload| workload.id.clone());
        match self.evict(pod, uid) {
            Evicted::Granted => {
                if !terminating {
                    self.judge.changed();
                }
                if let Some(workload) = workload {
                    self.judge.touched(&workload);
                }
                DONE
            }
            // The daemon's client takes a pod that is gone for done.
            Evicted::NotFound => DONE,
            Evicted::Conflict => conflict(),
            Evicted::Budget => {
                failed(FailureClass::Retryable, FailureCode::DisruptionBudget, "429 TooManyRequests: DisruptionBudget")
            }
            Evicted::SeveralBudgets => {
                failed(FailureClass::Refused, FailureCode::Invalid, "500 InternalError: several budgets")
            }
        }
    }

    /// A JSON patch with tests on what is replaced. What is in place already is left as it is.
    fn patch_template(
        &mut self,
        workload: &WorkloadId,
        uid: &Name,
        affinity: (Option<&str>, Option<&str>),
        max_unavailable: Option<(&str, &str)>,
        requests: &[(Name, MilliCpu, Bytes)],
    ) -> Outcome {
        if workload.kind != WorkloadKind::Deployment {
            return invalid();
        }
        let Some(mut fact) = self.facts.workloads.get(workload).cloned() else { return not_found() };
        if fact.uid != *uid {
            return conflict();
        }
        let Some(inner) = self.inner.workloads.get(workload) else { return not_found() };
        if ![affinity.0, affinity.1].into_iter().flatten().all(affinity::is_json) {
            return invalid();
        }
        let (now, limit) = (inner.affinity.as_deref(), inner.max_unavailable.as_deref());
        let one_of = |now, (before, after)| affinity::same(now, before) || affinity::same(now, after);
        let of_limits = max_unavailable.map(|(before, after)| (Some(before), Some(after)));
        if !one_of(now, affinity) || !of_limits.is_none_or(|limits| one_of(limit, limits)) {
            return conflict();
        }
        let wanted_limit = max_unavailable.map(|(_, to)| to);
        let mut in_place =
            affinity::same(now, affinity.1) && (wanted_limit.is_none() || affinity::same(limit, wanted_limit));
        let mut containers = fact.template.containers.to_vec();
        for (container, cpu, memory) in requests {
            let Some(container) = containers.iter_mut().find(|fact| fact.name == *container) else {
                return conflict();
            };
            in_place &= (container.cpu_request, container.memory_request) == (Some(*cpu), Some(*memory));
            container.cpu_request = Some(*cpu);
            container.memory_request = Some(*memory);
        }
        if in_place {
            return DONE;
        }
        if affinity::apply(&mut fact.template, affinity.1).is_err() {
            return invalid();
        }
        if !requests.is_empty() {
            fact.template.requests.cpu = containers.iter().filter_map(|container| container.cpu_request).sum();
            fact.template.requests.memory = containers.iter().filter_map(|container| container.memory_request).sum();
        }
        fact.template.containers = list(containers);
        if let Some(to) = wanted_limit
            && let (UpdateStrategy::RollingUpdate { max_surge, .. }, Some(max_unavailable)) =
                (fact.strategy, int_or_percent(to))
        {
            if amount(max_surge) == 0 && amount(max_unavailable) == 0 {
                return invalid();
            }
            fact.strategy = UpdateStrategy::RollingUpdate { max_unavailable, max_surge };
        }
        self.judge.rolled(workload);
        self.judge.changed();
        let text = (affinity.1.map(str::to_owned), wanted_limit.map(str::to_owned));
        self.store_template(workload, fact, text);
        self.gitops_looks(workload);
        DONE
    }

    /// Writes a changed template. `text`: affinity and, when it changes, `maxUnavailable`.
    pub(crate) fn store_template(
        &mut self,
        workload: &WorkloadId,
        fact: journal_schema::facts::WorkloadFact,
        text: (Option<String>, Option<String>),
    ) {
        let hash = template_hash(&fact);
        if let Some(inner) = self.inner.workloads.get_mut(workload) {
            let original = (inner.affinity.clone(), inner.max_unavailable.clone());
            self.inner.original_templates.entry(workload.clone()).or_insert(original);
            inner.affinity = text.0;
            if text.1.is_some() {
                inner.max_unavailable = text.1;
            }
            if inner.hash != hash {
                inner.hash = hash;
                inner.revision += 1;
                inner.progress_at = self.now;
            }
        }
        self.update_workload(workload, |stored| {
            *stored = fact;
            stored.generation += 1;
        });
    }

    fn gitops_looks(&mut self, workload: &WorkloadId) {
        if let Some(after) = self.inner.workloads.get(workload).and_then(|inner| inner.gitops) {
            self.after(after, Action::Revert(workload.clone()));
        }
    }

    /// GitOps puts the template back to what its repository says.
    pub(crate) fn revert_template(&mut self, workload: &WorkloadId) {
        let Some((affinity, limit)) = self.inner.original_templates.get(workload).cloned() else { return };
        let Some(mut fact) = self.facts.workloads.get(workload).cloned() else { return };
        if affinity::apply(&mut fact.template, affinity.as_deref()).is_err() {
            return;
        }
        if let Some(to) = limit.as_deref().and_then(int_or_percent)
            && let UpdateStrategy::RollingUpdate { max_surge, .. } = fact.strategy
        {
            fact.strategy = UpdateStrategy::RollingUpdate { max_unavailable: to, max_surge };
        }
        self.store_template(workload, fact, (affinity, limit));
    }

    fn read_usage(&mut self, end: Timestamp, window: Millis, step: Millis) -> Outcome {
        if self.now < self.metrics_away_until {
            return failed(FailureClass::Retryable, FailureCode::Unavailable, "connection refused");
        }
        if step.0 <= 0 || window.0 / step.0 > 1_000 {
            return failed(FailureClass::Refused, FailureCode::Invalid, "400 bad_data");
        }
        let start = Timestamp(end.0 - window.0);
        let seed = self.rng.seed();
        let mut series = Vec::new();
        for (key, pod) in &self.facts.pods {
            let Some(inner) = self.inner.pods.get(key) else { continue };
            let since = if pod.mirror { Some(pod.created_at) } else { inner.running_since };
            let Some(since) = since.filter(|_| !pod.finished()) else { continue };
            for container in &pod.spec.containers {
                let request = (container.cpu_request.unwrap_or_default(), container.memory_request.unwrap_or_default());
                let label = format!("{key}/{}", container.name);
                let point = |index: i64| {
                    let at = Timestamp(start.0 + index * step.0);
                    let gap =
                        i64::try_from(noise(seed ^ 0x9a9, &label, at.0) % 1_000_000).unwrap_or(0) < self.usage_gaps;
                    (at >= since && at <= self.now && !gap)
                        .then(|| usage(&inner.behaviour.load, request, (at, at.since(BEGIN)), seed, &label))
                };
                let points: Vec<_> = (0..=window.0 / step.0).map(point).collect();
                series.push(ContainerSeries {
                    pod: key.clone(),
                    container: container.name.clone(),
                    cpu: list(points.iter().map(|point| point.map(|(cpu, _)| cpu))),
                    memory: list(points.iter().map(|point| point.map(|(_, memory)| memory))),
                });
            }
        }
        series.sort_by(|one, other| (&one.pod, &one.container).cmp(&(&other.pod, &other.container)));
        Outcome::Answered(Answer::Usage(UsageWindow { start, step, series: list(series), warnings: list([]) }))
    }

    /// Shows the judge what is asked of the cloud, before it happens.
    fn judge_cloud(&mut self, id: EffectId, effect: &Effect) {
        let now = self.now;
        match effect {
            Effect::CreateInstances { pool, names, .. } => {
                let listed = self.listed(pool);
                let fresh: Vec<Name> = names.iter().filter(|name| !listed.contains(name)).cloned().collect();
                let cost = self.cost_per_hour();
                self.judge.creates(now, id, &fresh, cost);
            }
            Effect::DeleteInstances { instances, .. } => {
                for wanted in instances {
                    let inner = self.inner.nodes.get(&wanted.name);
                    if inner.is_some() && wanted.id.is_none() {
                        let text = format!("{} was deleted by {id} by its name alone", wanted.name);
                        self.judge.violation(now, "S2", text);
                    }
                    let same = inner.is_some_and(|node| wanted.id.is_none_or(|id| id == node.instance_id));
                    let settle = self.scenario.policy.deadlines.settle;
                    if let Some(held) = self.inner.held_at.get(&wanted.name).filter(|held| now < held.plus(settle)) {
                        let text =
                            format!("{} was deleted by {id} {} ms after it was empty", wanted.name, now.since(*held).0);
                        self.judge.violation(now, "S1", text);
                    }
                    let node = same.then(|| self.facts.nodes.get(&wanted.name)).flatten().cloned();
                    let pods: Vec<Key> = if node.is_some() { self.pods_that_count(&wanted.name) } else { Vec::new() };
                    let waiting = node.as_ref().and_then(|node| self.waiting_after_touch(node));
                    self.judge.deletes(now, id, &wanted.name, node.as_ref(), &pods, waiting.as_ref());
                }
            }
            _ => {}
        }
    }

    fn listed(&self, pool: &Name) -> Vec<Name> {
        let mut cloud = self.cloud.clone();
        // A copy without faults: the judge's look must not use up a rule.
        cloud.set_faults(Vec::new());
        let listed = cloud.list_managed(self.now, pool).unwrap_or_default();
        listed.into_iter().map(|instance| instance.name).collect()
    }

    fn pods_that_count(&self, node: &Name) -> Vec<Key> {
        let pods = self.inner.by_node.get(node).into_iter().flatten();
        pods.filter(|key| self.facts.pods.get(*key).is_some_and(crate::controllers::counts_as_lost)).cloned().collect()
    }

    /// A pod without a node, of a workload that the daemon touched, that would fit on this one.
    fn waiting_after_touch(&self, node: &NodeFact) -> Option<Key> {
        let mut free = node.allocatable.clone();
        let pods = self.inner.by_node.get(&node.name).into_iter().flatten();
        for pod in pods.filter_map(|key| self.facts.pods.get(key)).filter(|pod| !pod.finished()) {
            free.sub(&pod.spec.requests);
        }
        let fits = |key: &&Key| {
            let pod = self.facts.pods.get(*key)?;
            let workload = self.facts.workload_of(pod)?;
            (self.judge.was_touched(&workload.id) && pod.spec.requests.fits_in(&free)).then_some(())
        };
        self.inner.unbound.iter().find(|key| fits(key).is_some()).cloned()
    }

    // ---- faults with a time

    /// Something goes wrong, or somebody else does something.
    pub(crate) fn strike(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::Request(_) => {}
            FaultKind::StaleWatch { kind, span } => self.hold_watch(kind, span),
            FaultKind::InterruptWatch { kind } => self.interrupt_watch(kind),
            FaultKind::DuplicateEvents => self.watch.duplicates = true,
            FaultKind::EmptyList { kind } => self.empty_next_list(kind),
            FaultKind::OldReplica { span } => self.mislead(span),
            FaultKind::ClockStep { by } => self.clock_ahead.0 += by.0,
            FaultKind::NodeCrash { index, back } => {
                let node = self.facts.nodes.keys().nth(index % self.facts.nodes.len().max(1)).cloned();
                if let Some(node) = node {
                    self.crash_node(&node, back);
                }
            }
            FaultKind::MachineReplaced { index } => {
                let node = self.facts.nodes.keys().nth(index % self.facts.nodes.len().max(1)).cloned();
                let pools = self.cloud.inspect();
                let of = |name: &Name| {
                    pools.iter().find(|(_, machines)| machines.iter().any(|machine| machine.name == *name))
                };
                if let Some(node) = node
                    && let Some((group, _)) = of(&node)
                {
                    self.cloud.preempt(self.now, &group.pool.id, &node);
                    self.take_cloud_changes();
                }
            }
            FaultKind::NeverReady { workload } => {
                if let Some(id) = self.find_workload(&workload)
                    && let Some(inner) = self.inner.workloads.get_mut(&id)
                {
                    inner.behaviour.broken = true;
                }
            }
            FaultKind::ForeignScale { workload, by } => {
                if let Some(id) = self.find_workload(&workload)
                    && let Some(replicas) = self.facts.workloads.get(&id).map(|workload| workload.replicas)
                {
                    self.scale_by_others(&id, (replicas + by).max(0));
                }
            }
            FaultKind::GitOpsRevert { workload, after } => {
                if let Some(id) = self.find_workload(&workload) {
                    if let Some(inner) = self.inner.workloads.get_mut(&id) {
                        inner.gitops = Some(after);
                    }
                    self.gitops_looks(&id);
                }
            }
            FaultKind::BlockPdb { pdb } => {
                let key = self.facts.pdbs.keys().find(|key| key.to_string() == pdb).cloned();
                if let Some(key) = key {
                    self.inner.blocked_pdbs.insert(key.clone());
                    self.enqueue(Work::Pdb(key));
                }
            }
            FaultKind::UsageGaps { share } => self.usage_gaps = share.0,
            FaultKind::MetricsAway { span } => self.metrics_away_until = self.now.plus(span),
            FaultKind::ApiServerAway { span } => {
                self.api_away_until = self.now.plus(span);
                for kind in Kind::ALL {
                    self.interrupt_watch(kind);
                }
            }
            FaultKind::ApprovePlan => {
                if let Some(digest) = self.judge.waiting_plan().filter(|_| self.connected) {
                    let command = OperatorCommand::Approve { digest };
                    self.inbox.push(journal_schema::event::Event::Operator { by: name("operator"), command });
                }
            }
            FaultKind::Operator(command) => {
                if self.connected {
                    let by = name("operator");
                    self.inbox.push(journal_schema::event::Event::Operator { by, command });
                }
            }
            FaultKind::Policy(policy) => {
                if self.connected {
                    self.inbox.push(journal_schema::event::Event::PolicyChanged { policy });
                }
            }
        }
    }

    /// The Deployment or StatefulSet of a `namespace/name`.
    pub(crate) fn find_workload(&self, text: &str) -> Option<WorkloadId> {
        let kinds = [WorkloadKind::Deployment, WorkloadKind::StatefulSet];
        self.facts.workloads.keys().find(|id| kinds.contains(&id.kind) && id.key.to_string() == text).cloned()
    }
}

fn taint(node: &mut NodeFact, key: &str, value: Name, effect: TaintEffect) {
    let ours = Taint { key: name(key), value, effect };
    node.taints = list(node.taints.iter().cloned().chain([ours]));
}

/// Takes our labels and taint away.
fn clear_marks(node: &mut NodeFact) {
    node.labels.remove(&name(OPTIMAL_KEY));
    node.labels.remove(&name(EXPIRING_KEY));
    let ours = |taint: &Taint| taint.key == EXPIRING_KEY || taint.key == LATER_KEY;
    node.taints = list(node.taints.iter().filter(|taint| !ours(taint)).cloned());
}

/// The number of a number or of a share.
fn amount(value: IntOrPercent) -> i32 {
    match value {
        IntOrPercent::Int(amount) | IntOrPercent::Percent(amount) => amount,
    }
}

/// `3` or `"25%"`, in JSON.
pub(crate) fn int_or_percent(json: &str) -> Option<IntOrPercent> {
    let text = json.trim();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix("%\"")) {
        Some(percent) => percent.parse().ok().map(IntOrPercent::Percent),
        None => text.parse().ok().map(IntOrPercent::Int),
    }
}

/// The JSON of a number or a share.
pub(crate) fn int_or_percent_json(value: IntOrPercent) -> String {
    match value {
        IntOrPercent::Int(count) => count.to_string(),
        IntOrPercent::Percent(percent) => format!("\"{percent}%\""),
    }
}
