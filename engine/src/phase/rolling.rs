//! Rolling: the pods that must move are moved, each workload in its own way, never two ways at once.

use canary::{Canary, planted};
use journal_schema::effect::{NodeRole, Regarding};
use journal_schema::event::Deadline;
use journal_schema::facts::{Key, OwnerKind, PodFact, WorkloadFact, WorkloadId, WorkloadKind};
use journal_schema::plan::{MoveMethod, SPARED_DIVISOR};
use journal_schema::policy::Actuation;
use journal_schema::reason::Reason;
use journal_schema::text::{Message, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::draining::Draining;
use super::moves::{Group, Leaving, Moved, evict::Eviction, rollout::Rollout, surge::Surge};
use super::undo::undo;
use super::{Ctx, Iteration, Phase, unwinding};
use crate::debts::Debt;
use crate::gates;
use crate::state::State;
use crate::world::{avoided, holds_node, saturate};

/// How often one pod is tried before the iteration is given up.
const ATTEMPTS_MAX: u32 = 3;
/// Of so many moves for each of the plan's, and so many more, an iteration is given up.
const MOVES_FACTOR: u32 = 3;
const MOVES_LEAST: u32 = 30;
/// Part of a move's deadline, as a divisor, after which others go on before those that wait for it.
const PATIENCE_DIVISOR: i64 = 4;

/// Moving pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// The iteration.
    pub iteration: Iteration,
    /// Moves under way.
    groups: Vec<Group>,
    /// How often a pod (by UID) was tried.
    attempts: BTreeMap<Name, u32>,
    /// Debts of given-up moves and of spared nodes that are being undone.
    reverting: Vec<Debt>,
    /// Since when pods that must move have been waiting without a move under way.
    idle_since: Timestamp,
    /// The wave that is under way, and since when.
    wave: (Option<u32>, Timestamp),
    /// Since when a breaker has been tripped.
    frozen_since: Option<Timestamp>,
    poll_at: Timestamp,
}

impl Rolling {
    pub(crate) fn new(iteration: Iteration, state: &State) -> Self {
        let poll_at = state.now.plus(state.policy.deadlines.poll);
        Self {
            iteration,
            groups: Vec::new(),
            attempts: BTreeMap::new(),
            reverting: Vec::new(),
            idle_since: state.now,
            wave: (Some(0), state.now),
            frozen_since: None,
            poll_at,
        }
    }

    /// Moves under way.
    pub fn under_way(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn deadlines(&self, state: &State) -> Vec<(Timestamp, Deadline)> {
        let span = state.policy.deadlines.one_move;
        let first = self.groups.iter().map(|group| group.started_at.plus(span)).min();
        let mut deadlines = vec![(self.poll_at, Deadline::Poll)];
        deadlines.extend(first.filter(|at| *at > state.now).map(|at| (at, Deadline::Move)));
        deadlines
    }

    pub(crate) fn advance(mut self, ctx: &mut Ctx<'_>) -> Phase {
        ctx.poll_due(&mut self.poll_at);
        if let Some(reason) = gates::frozen(ctx.state, &BTreeMap::new()) {
            return self.freeze(ctx, reason);
        }
        if let Some(since) = self.frozen_since.take() {
            self.postpone(ctx.now().since(since));
        }
        if let Some(reason) = self.spare_changed(ctx).or_else(|| self.go_on(ctx)) {
            return unwinding::begin(self.iteration, reason, ctx.now());
        }
        self.reverting.retain(|debt| !undo(ctx, debt));
        let waiting = self.waiting(ctx.state);
        let led = self.lead(ctx, &waiting);
        if waiting.is_empty() && self.groups.is_empty() && self.reverting.is_empty() {
            return Phase::Draining(Draining::new(self.iteration, ctx.state));
        }
        if let Some(pause) = &ctx.state.pause {
            ctx.state.holds = vec![pause.reason()];
            self.idle_since = ctx.now();
            return Phase::Rolling(self);
        }
        ctx.state.holds.clear();
        // Nothing leaves before what replaces it is there.
        let ready = self
            .iteration
            .first_missing(ctx.state)
            .filter(|_| !planted(Canary::SkipsBooting))
            .map(|machine| machine.name.clone());
        match ready {
            None if !led => {}
            None => {
                if let Some(reason) = self.start(ctx, waiting) {
                    return unwinding::begin(self.iteration, reason, ctx.now());
                }
            }
            Some(node) => {
                if ctx.now() >= self.idle_since.plus(ctx.state.policy.deadlines.boot) {
                    return unwinding::begin(self.iteration, Reason::NodeNeverReady { node }, ctx.now());
                }
            }
        }
        if !self.groups.is_empty() {
            self.idle_since = ctx.now();
        }
        Phase::Rolling(self)
    }

    /// Nothing is begun while a breaker has tripped, and no move gets older by it; what was asked for is tried again.
    /// When that takes too long, what was changed is undone: it makes room.
    fn freeze(mut self, ctx: &mut Ctx<'_>, reason: Reason) -> Phase {
        let since = *self.frozen_since.get_or_insert(ctx.now());
        if ctx.now() >= since.plus(ctx.state.policy.deadlines.drain) {
            return unwinding::begin(self.iteration, reason, ctx.now());
        }
        ctx.state.holds = vec![reason];
        Phase::Rolling(self)
    }

    pub(crate) fn postpone(&mut self, by: Millis) {
        for group in &mut self.groups {
            group.postpone(by);
        }
        self.idle_since = self.idle_since.plus(by);
        self.wave.1 = self.wave.1.plus(by);
        self.frozen_since = self.frozen_since.map(|since| since.plus(by));
    }

    /// Goes on with the moves under way. The reason to turn back, if one cannot go on.
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Reason> {
        let span = ctx.state.policy.deadlines.one_move;
        let mut kept = Vec::new();
        let mut given_up = Vec::new();
        for mut group in std::mem::take(&mut self.groups) {
            match group.advance(ctx, self.iteration.number) {
                Moved::Done(pods) => {
                    self.iteration.moved += pods;
                    ctx.state.moved += u64::from(pods);
                    // Pods that come back as soon as they are moved would be moved for ever.
                    let most = saturate(self.iteration.planned.plan.moves.len()) * MOVES_FACTOR + MOVES_LEAST;
                    if self.iteration.moved > most && !planted(Canary::MovesForEver) {
                        let message = Message::truncated("far more pods were moved than the plan had");
                        given_up.push((group.clone(), Reason::MoveStuck { pod: group.first_pod(), message }));
                    }
                }
                Moved::Stuck(reason) => given_up.push((group, reason)),
                Moved::Waiting(what) if ctx.now() >= group.started_at.plus(span) && !planted(Canary::MovesForEver) => {
                    let reason = Reason::MoveStuck { pod: group.first_pod(), message: Message::truncated(what) };
                    given_up.push((group, reason));
                }
                Moved::Waiting(_) => kept.push(group),
            }
        }
        self.groups = kept;
        given_up.into_iter().find_map(|(group, reason)| {
            let pods = group.pods().iter().map(|leaving| leaving.pod.clone()).collect();
            self.spare(ctx, group.pods(), &pods, group.workload().as_ref(), reason)
        })
    }

    /// Gives up the nodes that these pods cannot leave, and the pods themselves where their node stays
    /// anyway; `pods` and `workload` say of what the move is undone. The reason to turn back instead, when
    /// too much of the plan would be given up.
    fn spare(
        &mut self,
        ctx: &mut Ctx<'_>,
        given_up: &[Leaving],
        pods: &BTreeSet<Key>,
        workload: Option<&WorkloadId>,
        reason: Reason,
    ) -> Option<Reason> {
        let plan = &self.iteration.planned.plan;
        let (leave, stay): (Vec<&Leaving>, Vec<&Leaving>) =
            given_up.iter().partition(|leaving| plan.removes(&leaving.node));
        let nodes = leave.into_iter().map(|leaving| leaving.node.clone()).collect();
        let kept = stay.into_iter().map(|leaving| leaving.uid.clone()).collect();
        self.give_up(ctx, nodes, kept, (pods, workload), reason)
    }

    /// A leaving node that is another machine by now is none of ours: it takes pods, and nobody may move them.
    fn spare_changed(&mut self, ctx: &mut Ctx<'_>) -> Option<Reason> {
        let nodes = &ctx.state.world.cluster().nodes;
        let changed = |node: &Name, uid: &Name| nodes.get(node).is_some_and(|found| found.uid != *uid);
        let leaving = self.iteration.leaving().filter(|removed| changed(&removed.node, &removed.uid));
        let nodes: BTreeSet<Name> = leaving.map(|removed| removed.node.clone()).collect();
        let reason = Reason::NodeChanged { node: nodes.first()?.clone() };
        if planted(Canary::MovesFromAnother) {
            return None;
        }
        self.give_up(ctx, nodes, BTreeSet::new(), (&BTreeSet::new(), None), reason)
    }

    /// Gives up these nodes, and these pods of nodes that stay, and undoes what was done to them and to those that it
    /// is about. The reason to turn back instead, when too much of the plan would be given up.
    fn give_up(
        &mut self,
        ctx: &mut Ctx<'_>,
        nodes: BTreeSet<Name>,
        stay: BTreeSet<Name>,
        (pods, workload): (&BTreeSet<Key>, Option<&WorkloadId>),
        reason: Reason,
    ) -> Option<Reason> {
        let plan = &self.iteration.planned.plan;
        let spared: BTreeSet<Name> = self.iteration.spared.union(&nodes).cloned().collect();
        let kept: BTreeSet<Name> = self.iteration.kept.union(&stay).cloned().collect();
        let too_many = |given_up: usize, of: usize| given_up > of / SPARED_DIVISOR;
        if too_many(spared.len(), plan.remove.len()) || too_many(kept.len(), plan.shifts().count()) {
            return Some(reason);
        }
        self.iteration.spared = spared;
        self.iteration.kept = kept;
        for debt in ctx.state.debts.newest_first() {
            let about = match &debt {
                Debt::Mark { node, .. } => nodes.contains(node),
                Debt::DeletionCost { pod, .. } => pods.contains(pod),
                Debt::Surge { workload: about, .. } | Debt::Template { workload: about, .. } => workload == Some(about),
                Debt::Instance { .. } => false,
            };
            if about {
                self.reverting.push(debt);
            }
        }
        for node in nodes {
            let uid = ctx.state.world.cluster().nodes.get(&node).map(|node| node.uid.clone()).unwrap_or_default();
            ctx.notice(Regarding::Node(node, uid), "NodeNotRemovable", &reason.text().sentence, true);
        }
        None
    }

    /// Marks the nodes for the wave that is under way; whether pods may move now.
    ///
    /// Somebody may take our taints away: without that of a leaving node, moved pods could come back to it.
    /// Those that lead the scheduler are a help and no condition, so they are not awaited for long.
    fn lead(&mut self, ctx: &mut Ctx<'_>, waiting: &[PodFact]) -> bool {
        let wave = self.present_wave(waiting);
        if wave != self.wave.0 {
            self.wave = (wave, ctx.now());
        }
        let mut led = true;
        for (node, role) in self.iteration.unmarked(ctx.state, wave) {
            ctx.mark(&node, role, self.iteration.number);
            led &= role == NodeRole::Expiring;
        }
        led || planted(Canary::MovesFromOpenNodes) || ctx.now() >= self.wave.1.plus(ctx.state.policy.deadlines.label)
    }

    /// The first wave of which a pod has not moved; `None` when only pods are left that came later, or
    /// when the plan leads nobody.
    fn present_wave(&self, waiting: &[PodFact]) -> Option<u32> {
        let plan = &self.iteration.planned.plan;
        if plan.waves.is_empty() {
            return None;
        }
        let left: BTreeSet<&Name> =
            self.groups.iter().flat_map(Group::uids).chain(waiting.iter().map(|pod| &pod.uid)).collect();
        plan.moves.iter().find(|step| left.contains(&step.uid)).map(|step| step.wave)
    }

    /// Pods that hold a leaving node or move although theirs stays, and that no move is about yet: in the
    /// plan's order, then those that came later.
    fn waiting(&self, state: &State) -> Vec<PodFact> {
        let busy: BTreeSet<&Name> = self.groups.iter().flat_map(Group::uids).collect();
        let order: BTreeMap<&Key, usize> =
            self.iteration.planned.plan.moves.iter().enumerate().map(|(index, step)| (&step.pod, index)).collect();
        let leaving = self.iteration.leaving().flat_map(|remove| state.world.holding(&remove.node));
        let shifting = self.iteration.shifts().filter_map(|step| {
            let pod = state.world.pod(&step.pod, &step.uid)?;
            (pod.node.as_ref() == Some(&step.from) && holds_node(pod)).then_some(pod)
        });
        let mut waiting: Vec<PodFact> = leaving
            .chain(shifting)
            .filter(|pod| pod.deletion_at.is_none() && !busy.contains(&pod.uid))
            .cloned()
            .collect();
        waiting.sort_by_key(|pod| (order.get(&pod.key).copied().unwrap_or(usize::MAX), pod.key.clone()));
        waiting
    }

    /// Starts moves while there is room. The reason to turn back, if a pod cannot be moved at all.
    ///
    /// The plan was rehearsed in its order, so a pod whose workload is busy is not overtaken for a while:
    /// the room that was meant for it would be gone.
    fn start(&mut self, ctx: &mut Ctx<'_>, mut waiting: Vec<PodFact>) -> Option<Reason> {
        let most = usize::try_from(ctx.state.policy.disruption.max_parallel_moves).unwrap_or(usize::MAX);
        let mut busy: BTreeSet<WorkloadId> = self.groups.iter().filter_map(Group::workload).collect();
        busy.extend(self.reverting.iter().filter_map(|debt| match debt {
            Debt::Surge { workload, .. } | Debt::Template { workload, .. } => Some(workload.clone()),
            Debt::Instance { .. } | Debt::Mark { .. } | Debt::DeletionCost { .. } => None,
        }));
        // Pods of later waves wait until their nodes are open.
        if let Some(present) = self.wave.0 {
            let moves = self.iteration.planned.plan.moves.iter();
            let now: BTreeSet<&Name> = moves.take_while(|step| step.wave <= present).map(|step| &step.uid).collect();
            waiting.retain(|pod| now.contains(&pod.uid));
        }
        let patience = Millis(ctx.state.policy.deadlines.one_move.0 / PATIENCE_DIVISOR);
        for pod in &waiting {
            if self.groups.len() >= most {
                break;
            }
            let workload = ctx.state.world.cluster().workload_of(pod).cloned();
            if let Some(workload) = workload.as_ref().filter(|workload| busy.contains(&workload.id)) {
                let own = |group: &&Group| group.workload().as_ref() == Some(&workload.id);
                if self.groups.iter().find(own).is_some_and(|group| ctx.now() < group.started_at.plus(patience)) {
                    break;
                }
                continue;
            }
            let leaves = pod.node.as_ref().is_some_and(|node| self.iteration.removes(node));
            let shifts = !leaves && self.iteration.shifts_uid(&pod.uid);
            if !leaves && !shifts {
                continue;
            }
            let attempts = self.attempts.entry(pod.uid.clone()).or_default();
            *attempts += 1;
            let group = if *attempts > ATTEMPTS_MAX {
                Err("tried too often")
            } else if shifts && !pod.node.as_ref().is_some_and(|node| is_avoided(ctx.state, node)) {
                Err("it would come straight back: nothing leads the scheduler away from its node")
            } else {
                self.group(ctx.state, pod, workload.as_ref(), &waiting)
            };
            let group = match group {
                Ok(group) => group,
                Err(message) => {
                    let reason = Reason::MoveStuck { pod: pod.key.clone(), message: Message::truncated(message) };
                    let refused = self.spare(ctx, &[leaving(pod)], &BTreeSet::new(), None, reason);
                    if refused.is_some() {
                        return refused;
                    }
                    continue;
                }
            };
            busy.extend(group.workload());
            self.groups.push(group);
        }
        // What was started is asked for at once, not at the next event.
        self.go_on(ctx)
    }

    fn group(
        &self,
        state: &State,
        pod: &PodFact,
        workload: Option<&WorkloadFact>,
        waiting: &[PodFact],
    ) -> Result<Group, &'static str> {
        let same = |other: &&PodFact| {
            let moves = other.node.as_ref().is_some_and(|node| self.iteration.removes(node))
                || self.iteration.shifts_uid(&other.uid);
            moves
                && state.world.cluster().workload_of(other).map(|other| &other.id)
                    == workload.map(|workload| &workload.id)
        };
        let group = match (self.method(state, pod, workload)?, workload) {
            (MoveMethod::Surge, Some(workload)) => {
                let most = MoveMethod::Surge.most_at_once(workload.replicas.into());
                let pods = waiting.iter().filter(same).take(most).map(leaving).collect();
                Group::surge(Surge::new(workload, pods), state.now)
            }
            (MoveMethod::RollingUpdate, Some(workload)) if workload.id.kind == WorkloadKind::Deployment => {
                let pods = waiting.iter().filter(same).map(leaving).collect();
                Group::rollout(Rollout::new(workload, pods), state.now)
            }
            (MoveMethod::Evict | MoveMethod::RollingUpdate, _) | (MoveMethod::Surge, None) => {
                Group::evict(Eviction::new(leaving(pod), workload), state.now)
            }
        };
        Ok(group)
    }

    /// How a pod is moved: as the plan says, or for one that came later by the same rule.
    fn method(
        &self,
        state: &State,
        pod: &PodFact,
        workload: Option<&WorkloadFact>,
    ) -> Result<MoveMethod, &'static str> {
        let moves = &self.iteration.planned.plan.moves;
        if let Some(step) = moves.iter().find(|step| step.pod == pod.key && step.uid == pod.uid) {
            return Ok(step.method);
        }
        let Some(owner) = &pod.owner else {
            return Err("no controller would create it again");
        };
        let Some(workload) = workload else {
            return if owner.kind == OwnerKind::Job && !state.policy.disruption.evict_jobs {
                Err("a Job would start over")
            } else {
                Ok(MoveMethod::Evict)
            };
        };
        let scaled = state.world.cluster().hpas.values().any(|hpa| hpa.target.as_ref() == Some(&workload.id));
        let surges = match workload.id.kind {
            WorkloadKind::Deployment | WorkloadKind::ReplicaSet => !scaled || workload.replicas <= 1,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => false,
        };
        Ok(match (state.policy.disruption.actuation, surges) {
            (Actuation::SurgeThenEvict, true) => MoveMethod::Surge,
            (Actuation::RollingUpdate, _) if workload.id.kind == WorkloadKind::Deployment => MoveMethod::RollingUpdate,
            (Actuation::SurgeThenEvict | Actuation::Evict | Actuation::RollingUpdate, _) => MoveMethod::Evict,
        })
    }

    /// Pods that are still to be moved.
    pub fn left(&self, state: &State) -> u32 {
        saturate(self.waiting(state).len() + self.groups.iter().map(|group| group.uids().count()).sum::<usize>())
    }
}

fn leaving(pod: &PodFact) -> Leaving {
    Leaving {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        node: pod.node.clone().unwrap_or_default(),
        cost_before: pod.deletion_cost,
    }
}

fn is_avoided(state: &State, node: &Name) -> bool {
    state.world.cluster().nodes.get(node).is_some_and(avoided)
}
