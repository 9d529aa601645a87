//! What a phase may do while it runs: look at the state, want effects, owe debts.

use journal_schema::cloud::PoolId;
use journal_schema::effect::{EXPIRING_KEY, Effect, EffectId, LATER_KEY, NodeRole, OPTIMAL_KEY, Regarding};
use journal_schema::facts::{NodeFact, TaintEffect};
use journal_schema::reason::Reason;
use journal_schema::text::{Few, Message, Name};
use journal_schema::units::{MicroUsdPerHour, Timestamp};
use std::collections::BTreeSet;

use super::{Iteration, Phase};
use crate::debts::Debt;
use crate::state::{Finished, State};
use crate::table::Progress;

/// Effects that change the world and are under way at once. Bounds the burst on the API server; the
/// rest follows as answers come.
const MUTATIONS_MAX: usize = 200;

/// Longest pause between plans of a world that does not change, in ordinary cool-downs.
const IDLE_FACTOR_MAX: i64 = 12;

/// The state without its phase, and the effects so far.
pub(crate) struct Ctx<'a> {
    pub(crate) state: &'a mut State,
    out: &'a mut Vec<(EffectId, Effect)>,
    mutations: usize,
}

impl<'a> Ctx<'a> {
    pub(crate) fn new(state: &'a mut State, out: &'a mut Vec<(EffectId, Effect)>) -> Self {
        let mutations = state.table.in_flight().filter(|(_, effect)| effect.mutates()).count();
        Self { state, out, mutations }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state.now
    }

    /// Whether it is time to look again; if so, sets when the next time is.
    pub(crate) fn poll_due(&self, at: &mut Timestamp) -> bool {
        let due = self.now() >= *at;
        if due {
            *at = self.now().plus(self.state.policy.deadlines.poll);
        }
        due
    }

    /// Wants an effect: asks for it unless it is under way or done.
    pub(crate) fn want(&mut self, effect: Effect) -> Progress {
        let mutates = effect.mutates();
        if mutates && self.mutations >= MUTATIONS_MAX {
            return Progress::Asked;
        }
        let clock = self.state.clock();
        let before = self.out.len();
        let progress = self.state.table.want(clock, effect, self.out, self.state.seq);
        if mutates && self.out.len() > before {
            self.mutations += 1;
        }
        progress
    }

    /// Wants an effect and enters what it leaves behind as a debt, before it can happen.
    pub(crate) fn want_owing(&mut self, effect: Effect, debt: Debt) -> Progress {
        self.state.debts.owe(debt);
        self.want(effect)
    }

    /// Wants a node's role to be what is given. True when the watched node shows it.
    pub(crate) fn mark(&mut self, node: &NodeFact, role: NodeRole, iteration: u64) -> bool {
        if shows(node, role, iteration) {
            return true;
        }
        let effect = marking(node, role, iteration);
        match role {
            NodeRole::Optimal | NodeRole::Expiring | NodeRole::Later => {
                self.want_owing(effect, Debt::Mark { node: node.name.clone(), uid: node.uid.clone() });
            }
            NodeRole::None => {
                self.want_again(effect);
            }
        }
        false
    }

    /// The same, however often it is refused: ever longer pauses are between the attempts.
    pub(crate) fn mark_again(&mut self, node: &NodeFact, role: NodeRole, iteration: u64) -> bool {
        let shown = self.mark(node, role, iteration);
        if !shown {
            self.try_later(&marking(node, role, iteration));
        }
        shown
    }

    /// Wants an effect however often it is refused: for undoing, where giving up is not an answer. Ever longer pauses
    /// are between the attempts.
    pub(crate) fn want_again(&mut self, effect: Effect) -> Progress {
        let progress = self.want(effect.clone());
        if let Progress::Refused(_) = progress {
            self.try_later(&effect);
        }
        progress
    }

    /// What was refused is asked for again after a pause.
    pub(crate) fn try_later(&mut self, effect: &Effect) {
        let clock = self.state.clock();
        self.state.table.try_later(clock, effect);
    }

    /// Lists the instances of these pools now.
    pub(crate) fn list_instances(&mut self, pools: BTreeSet<PoolId>) {
        if pools.is_empty() {
            return;
        }
        let effect = Effect::ListInstances { pools: Few::new(pools.into_iter().collect()).unwrap_or_default() };
        self.state.table.forget(&effect);
        self.want(effect);
    }

    /// Tells the people who watch the cluster.
    pub(crate) fn notice(&mut self, regarding: Regarding, reason: &str, note: &str, warning: bool) {
        self.want(Effect::Notice {
            regarding,
            reason: Name::truncated(reason),
            note: Message::truncated(note),
            warning,
        });
    }

    /// Ends an iteration that changed nothing.
    pub(crate) fn dismiss(&mut self, number: u64, started_at: Timestamp, reason: Reason) -> Phase {
        let planned = self.state.last_planned.as_ref().filter(|(_, planned)| planned.plan.iteration == number);
        let digest = planned.map(|(digest, _)| digest.clone());
        let costs = planned.map(|(_, planned)| (planned.plan.cost_now, planned.plan.cost_after));
        self.finish(number, started_at, digest, Some(reason), false, (0, 0, 0), costs)
    }

    /// Ends an iteration that changed something.
    pub(crate) fn complete(&mut self, iteration: &Iteration, reason: Option<Reason>) -> Phase {
        let plan = &iteration.planned.plan;
        let unwound = reason.is_some();
        if unwound {
            self.state.aborts.push(self.now());
        } else {
            self.state.churn.complete(self.state.now, plan, self.state.world.cluster());
        }
        let count = crate::world::saturate;
        let counts = (count(plan.add.len()), count(iteration.leaving().count()), iteration.moved);
        let costs = Some((plan.cost_now, plan.cost_after));
        self.finish(
            iteration.number,
            iteration.started_at,
            Some(iteration.digest.clone()),
            reason,
            unwound,
            counts,
            costs,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of Finished, in their order")]
    fn finish(
        &mut self,
        iteration: u64,
        started_at: Timestamp,
        digest: Option<journal_schema::event::Digest>,
        reason: Option<Reason>,
        unwound: bool,
        counts: (u32, u32, u32),
        planned: Option<(MicroUsdPerHour, MicroUsdPerHour)>,
    ) -> Phase {
        let state = &mut *self.state;
        // A world that did not change since the last fruitless plan is looked at ever less often.
        let fruitless = reason.is_some() && !unwound && state.world.version() == state.planned_version;
        let factor = (1_i64 << state.idle_rounds.min(10)).min(IDLE_FACTOR_MAX);
        state.idle_rounds = if fruitless { state.idle_rounds + 1 } else { 0 };
        let span = state.policy.observe.cool_down.0 * if fruitless { factor } else { 1 };
        state.cool_until = Some(state.now.plus(journal_schema::units::Millis(span)));
        state.plan_now = false;
        state.last_finished = Some(Finished {
            iteration,
            digest,
            started_at,
            ended_at: state.now,
            reason,
            unwound,
            counts,
            planned,
            reached: state.ledger.rate(),
        });
        state.table.abandon(|effect| !matches!(effect, Effect::Notice { .. }));
        state.holds.clear();
        Phase::default()
    }
}

fn marking(node: &NodeFact, role: NodeRole, iteration: u64) -> Effect {
    Effect::MarkNode { node: node.name.clone(), uid: node.uid.clone(), role, iteration }
}

/// Whether a node shows a role of this iteration.
pub(crate) fn shows(node: &NodeFact, role: NodeRole, iteration: u64) -> bool {
    let value = iteration.to_string();
    let taint = |key: &str| node.taints.iter().find(|taint| taint.key == key);
    let shows_taint =
        |key: &str, effect: TaintEffect| taint(key).is_some_and(|t| t.value == value.as_str() && t.effect == effect);
    let stays =
        node.label(OPTIMAL_KEY) == value && !node.labels.contains_key(EXPIRING_KEY) && taint(EXPIRING_KEY).is_none();
    match role {
        NodeRole::Optimal => stays && taint(LATER_KEY).is_none(),
        NodeRole::Later => stays && shows_taint(LATER_KEY, TaintEffect::PreferNoSchedule),
        NodeRole::Expiring => {
            node.label(EXPIRING_KEY) == value
                && shows_taint(EXPIRING_KEY, TaintEffect::NoSchedule)
                && !node.labels.contains_key(OPTIMAL_KEY)
                && taint(LATER_KEY).is_none()
        }
        NodeRole::None => !crate::world::marked(node),
    }
}
