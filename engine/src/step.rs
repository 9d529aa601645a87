//! One entry in, effects out.

use canary::{Canary, planted};
use journal_schema::effect::{Answer, Effect, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, OperatorCommand, WatchEvent};
use journal_schema::facts::{NodeFact, Object};
use journal_schema::policy::Mode;
use journal_schema::reason::Reason;
use journal_schema::text::Name;
use journal_schema::units::{Millis, Timestamp};
use std::collections::BTreeMap;

use crate::debts::Debt;
use crate::invariants::{self, Blocked};
use crate::ledger::Machine;
use crate::phase::{self, Ctx, Iteration, Phase, PhaseName};
use crate::state::{Pause, State};

/// Transitions within one step. A round trip has fewer edges than this; more is a loop.
const TRANSITIONS_MAX: usize = 12;

/// An entry that cannot follow the state. The daemon stops and keeps the journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Sequence numbers are not contiguous.
    #[error("entry #{found} cannot follow #{last}: sequence numbers must be contiguous")]
    NotContiguous {
        /// The last entry's number.
        last: u64,
        /// The entry's.
        found: u64,
    },
    /// Time does not increase.
    #[error("entry #{seq} is of {found:?}, not later than {last:?}")]
    TimeNotIncreasing {
        /// The entry's number.
        seq: u64,
        /// Time of the entry before.
        last: Timestamp,
        /// Its time.
        found: Timestamp,
    },
    /// The recorded intents are not those that this engine computes.
    #[error("entry #{seq} records other intents than this engine computes: recorded {recorded}, computed {computed}")]
    IntentsDiffer {
        /// The entry's number.
        seq: u64,
        /// The first recorded intent that differs, or "none".
        recorded: String,
        /// The first computed intent that differs, or "none".
        computed: String,
    },
    /// Effects were caused, and the next entry does not record them.
    #[error("entry #{seq} is {found}, but the intents of #{cause} must be recorded first")]
    IntentsMissing {
        /// The entry's number.
        seq: u64,
        /// What the entry is.
        found: &'static str,
        /// The cause of the intents.
        cause: u64,
    },
    /// A daemon of an older or equal term started: two leaders, or a restored journal.
    #[error("a daemon of epoch {found} cannot act after one of epoch {last}")]
    StaleEpoch {
        /// Highest epoch seen.
        last: u64,
        /// The entry's.
        found: u64,
    },
    /// The phases did what their table does not allow.
    #[error("entry #{seq} leads from {from:?} to {to:?}, which is no transition")]
    NoTransition {
        /// The entry's number.
        seq: u64,
        /// From.
        from: PhaseName,
        /// To.
        to: PhaseName,
    },
    /// The phases went round and round.
    #[error("entry #{seq} causes more than {TRANSITIONS_MAX} transitions")]
    TransitionLoop {
        /// The entry's number.
        seq: u64,
    },
}

/// Whether the phases must run after an event.
enum Run {
    Always,
    /// Only in the phases that wait for the world. While observing, the gates are looked at when a
    /// deadline comes, so that folding a big list costs no more than the list.
    WhenActive,
    Never,
}

impl State {
    /// Folds one entry. The only thing that changes a state.
    ///
    /// Returns the effects that the entry causes, with their ids. They must be recorded by the next
    /// entry ([`Event::Intents`]) before they are carried out; when the process ends in between, they
    /// are returned again after the next start, under the same ids.
    ///
    /// O(log n) for a watch event while observing.
    pub fn step(&mut self, entry: &Entry) -> Result<Vec<(EffectId, Effect)>, StepError> {
        self.check_order(entry)?;
        self.seq = entry.seq;
        self.ledger.advance(entry.at);
        self.now = entry.at;
        if self.pause.as_ref().and_then(|pause| pause.until).is_some_and(|until| until <= self.now) {
            self.pause = None;
        }
        let run = match &entry.event {
            Event::Intents { effects } => {
                self.check_intents(entry.seq, effects)?;
                Run::Never
            }
            Event::TailCut { .. } => Run::Never,
            Event::ClockStepped { by } => {
                self.step_clock(*by);
                Run::Always
            }
            Event::DaemonStarted { epoch, behaviour, build: _, own_pod, policy } => {
                self.start(*epoch, *behaviour)?;
                self.own_pod = own_pod.clone();
                self.policy = (**policy).clone();
                Run::Never
            }
            Event::PolicyChanged { policy } => {
                self.policy = (**policy).clone();
                Run::Always
            }
            Event::Watch(event) => self.watch(event),
            Event::Outcome { id, outcome } => {
                self.outcome(*id, outcome);
                Run::Always
            }
            Event::DeadlineReached { .. } => Run::Always,
            Event::Operator { by, command } => {
                self.operator(by, command);
                Run::Always
            }
        };
        let run = match run {
            Run::Always => true,
            Run::WhenActive => self.phase.waits_for_world(),
            Run::Never => false,
        };
        if !run || !(self.world.synced() || planted(Canary::ActsBeforeSynced)) {
            return Ok(Vec::new());
        }
        self.run()
    }

    fn check_order(&self, entry: &Entry) -> Result<(), StepError> {
        if entry.seq != self.seq + 1 {
            return Err(StepError::NotContiguous { last: self.seq, found: entry.seq });
        }
        if entry.at <= self.now {
            return Err(StepError::TimeNotIncreasing { seq: entry.seq, last: self.now, found: entry.at });
        }
        let may_precede_intents = match entry.event {
            Event::Intents { .. } | Event::DaemonStarted { .. } | Event::TailCut { .. } => true,
            Event::PolicyChanged { .. }
            | Event::Watch(_)
            | Event::Outcome { .. }
            | Event::DeadlineReached { .. }
            | Event::Operator { .. }
            | Event::ClockStepped { .. } => false,
        };
        match self.unrecorded.first() {
            Some((id, _)) if !may_precede_intents => {
                Err(StepError::IntentsMissing { seq: entry.seq, found: entry.event.name(), cause: id.cause })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_intents(&mut self, seq: u64, recorded: &[(EffectId, Effect)]) -> Result<(), StepError> {
        let computed = std::mem::take(&mut self.unrecorded);
        if computed == recorded {
            return Ok(());
        }
        let differs =
            (0..computed.len().max(recorded.len())).find(|index| computed.get(*index) != recorded.get(*index));
        let word = |list: &[(EffectId, Effect)]| {
            differs
                .and_then(|index| list.get(index))
                .map_or_else(|| "none".to_owned(), |(id, effect)| format!("{id} {effect:?}"))
        };
        Err(StepError::IntentsDiffer { seq, recorded: word(recorded), computed: word(&computed) })
    }

    fn start(&mut self, epoch: u64, behaviour: u32) -> Result<(), StepError> {
        if epoch <= self.epoch {
            return Err(StepError::StaleEpoch { last: self.epoch, found: epoch });
        }
        self.epoch = epoch;
        self.unrecorded.clear();
        self.world.restart();
        self.table.restart();
        if planted(Canary::PaysAllOnRestart) {
            self.debts = crate::debts::Debts::default();
        }
        if planted(Canary::ForgetsIterationOnRestart) {
            self.enter(Phase::default());
        }
        if self.behaviour != 0 && self.behaviour != behaviour && !planted(Canary::CarriesOnAnothersPlan) {
            let reason = Reason::BehaviourChanged { from: self.behaviour, to: behaviour };
            match self.phase.iteration().filter(|_| self.phase.can_unwind()).cloned() {
                Some(iteration) => self.turn_back(iteration, reason),
                // What undoes goes on undoing; what has changed nothing begins anew.
                None if matches!(self.phase, Phase::Unwinding(_)) => {}
                None => self.enter(Phase::default()),
            }
        }
        self.behaviour = behaviour;
        Ok(())
    }

    /// The clock was set. Time that did not pass counts for nothing that is waited for, and what was observed for a plan
    /// that is not begun yet is observed anew.
    fn step_clock(&mut self, by: Millis) {
        if by.0 > 0 && !planted(Canary::CountsStepped) {
            self.table.postpone(by);
            self.debts.postpone(by);
            self.phase.postpone(by);
        }
        if by.0.abs() > self.policy.breakers.clock_step.0 {
            self.world.observe_anew(self.now);
            self.stepped = Some(by);
        }
    }

    fn watch(&mut self, event: &WatchEvent) -> Run {
        let nodes_before = self.world.cluster().nodes.len();
        self.world.apply(self.now, event);
        match event {
            WatchEvent::Listed(Object::Node(node)) | WatchEvent::Applied(Object::Node(node)) => {
                let machine = self.machine_of(node);
                self.ledger.count(self.now, node.name.clone(), machine);
            }
            WatchEvent::RelistFinished { .. } | WatchEvent::Deleted { .. } => {
                if nodes_before != self.world.cluster().nodes.len() {
                    self.reprice();
                }
            }
            WatchEvent::Listed(_)
            | WatchEvent::Applied(_)
            | WatchEvent::RelistStarted { .. }
            | WatchEvent::Interrupted { .. } => {}
        }
        match event {
            // The last list of a restart completes the view: gates may open, effects may go out again.
            WatchEvent::RelistFinished { .. } => Run::Always,
            WatchEvent::RelistStarted { .. } | WatchEvent::Listed(_) | WatchEvent::Interrupted { .. } => Run::Never,
            WatchEvent::Applied(_) | WatchEvent::Deleted { .. } => Run::WhenActive,
        }
    }

    fn machine_of(&self, node: &NodeFact) -> Machine {
        let instance = self.cloud.instance(&node.name).map(|(_, instance)| instance);
        let listed = instance.and_then(|instance| instance.id);
        Machine {
            price: self.cloud.price_of(node),
            id: node.instance_id.or(listed),
            // Of the machine that the node stands for, and not of another under its name.
            created_at: instance
                .filter(|_| node.instance_id.is_none_or(|id| listed == Some(id)))
                .and_then(|instance| instance.created_at),
        }
    }

    /// What costs from now on: nodes, and machines of ours that are not nodes yet.
    fn reprice(&mut self) {
        if planted(Canary::MiscountsCost) && self.ledger.rate().0 > 0 {
            return;
        }
        let nodes = &self.world.cluster().nodes;
        let mut machines: BTreeMap<Name, Machine> =
            nodes.iter().map(|(name, node)| (name.clone(), self.machine_of(node))).collect();
        for debt in self.debts.iter() {
            if let Debt::Instance { name, pool, .. } = debt
                && let Some((_, instance)) = self.cloud.instance(name)
                // Without an id it is a wish that the cloud has not fulfilled.
                && instance.id.is_some()
            {
                let price = self.cloud.pools.get(pool).and_then(|pool| self.cloud.price_in(pool));
                let machine = Machine { price, id: instance.id, created_at: instance.created_at };
                machines.entry(name.clone()).or_insert(machine);
            }
        }
        self.ledger.set(self.now, machines);
    }

    fn outcome(&mut self, id: EffectId, outcome: &Outcome) {
        let clock = self.clock();
        if let Some(effect) = self.table.awaited(id) {
            self.answers.note(self.now, self.policy.breakers.api_error_window, effect, outcome);
        }
        let Some((_, answer)) = self.table.settle(clock, id, outcome) else {
            return;
        };
        match &answer {
            Answer::Pools(pools) => self.cloud.set_pools(self.now, pools),
            Answer::Instances(lists) => {
                self.cloud.set_instances(self.now, lists);
                self.reprice();
                let ended = lists.iter().flat_map(|list| list.ended.iter());
                for ended in ended.filter(|_| !planted(Canary::MiscountsCost)) {
                    self.ledger.ended(self.now, &ended.name, ended.id, ended.at);
                }
            }
            Answer::Prices(prices) => {
                self.cloud.set_prices(self.now, prices);
                self.reprice();
            }
            Answer::Usage(usage) => self.usage = Some(usage.clone()),
            // Taken from the table by the phase that asked.
            Answer::Done | Answer::NodePods(_) | Answer::Affinity(..) | Answer::Forecasts(_) | Answer::Planned(_) => {}
        }
    }

    fn operator(&mut self, by: &Name, command: &OperatorCommand) {
        match command {
            OperatorCommand::Pause { .. } if planted(Canary::IgnoresPause) => {}
            OperatorCommand::Pause { reason, span } => {
                let until = span.map(|span| self.now.plus(span));
                self.pause = Some(Pause { by: by.clone(), reason: reason.clone(), until });
            }
            OperatorCommand::Resume => {
                self.pause = None;
                self.aborts.clear();
                self.world.forgive_vanished();
            }
            OperatorCommand::Abort => self.abort_requested = Some(by.clone()),
            OperatorCommand::PlanNow => self.plan_now = true,
            OperatorCommand::Approve { digest } => self.phase.review(digest, true, by),
            OperatorCommand::Reject { digest } => self.phase.review(digest, false, by),
        }
    }

    /// Runs the phases until nothing moves any more.
    fn run(&mut self) -> Result<Vec<(EffectId, Effect)>, StepError> {
        let hour_ago = Timestamp(self.now.0 - 3_600_000);
        self.aborts.retain(|abort| *abort > hour_ago);
        // What is sent again keeps its id; new effects are numbered among themselves.
        let out = self.table.resend(self.clock());
        let mut fresh = Vec::new();
        let mut transitions = 0;
        loop {
            let before = self.phase.name();
            self.divert();
            self.check_transition(before)?;
            let from = self.phase.name();
            let phase = std::mem::take(&mut self.phase);
            let next = phase.advance(&mut Ctx::new(self, &mut fresh));
            self.phase = next;
            self.check_transition(from)?;
            if self.phase.name() == before {
                break;
            }
            self.phase_since = self.now;
            transitions += 1;
            if transitions > TRANSITIONS_MAX {
                return Err(StepError::TransitionLoop { seq: self.seq });
            }
        }
        // What was about to be sent again, and is not wanted after all.
        let (unwanted, mut out): (Vec<_>, Vec<_>) = out.into_iter().partition(|(id, _)| self.table.is_abandoned(*id));
        for (id, _) in unwanted {
            self.table.withdraw(id);
        }
        out.append(&mut fresh);
        let mut allowed = Vec::with_capacity(out.len());
        for (id, effect) in out {
            match invariants::check(self, &effect) {
                Ok(()) => allowed.push((id, effect)),
                // Somebody changed the world under us, or we have a bug. Either way it is not sent; if it
                // is still wanted at the next look, it is checked again.
                Err(violation) => {
                    self.table.withdraw(id);
                    self.blocked = Some(Blocked { id, at: self.now, violation });
                }
            }
        }
        let out = allowed;
        self.unrecorded.clone_from(&out);
        Ok(out)
    }

    fn check_transition(&self, from: PhaseName) -> Result<(), StepError> {
        let to = self.phase.name();
        if from == to || phase::TRANSITIONS.contains(&(from, to)) {
            return Ok(());
        }
        Err(StepError::NoTransition { seq: self.seq, from, to })
    }

    /// Leaves the way of the plan when an operator, or the policy, says so.
    fn divert(&mut self) {
        let abort = self.abort_requested.take().filter(|_| !planted(Canary::IgnoresAbort));
        let paused = self.pause.as_ref().filter(|_| matches!(self.phase, Phase::Predicting(_) | Phase::Optimizing(_)));
        let paused = paused.map(Pause::reason);
        let reason = self.stepped.take().map(|by| Reason::ClockStepped { by }).or(paused);
        if let Some(reason) = reason
            && let Some((number, started_at)) = self.phase.planning()
        {
            let next = Ctx::new(self, &mut Vec::new()).dismiss(number, started_at, reason);
            self.enter(next);
            return;
        }
        let Some(iteration) = self.phase.iteration().filter(|_| self.phase.can_unwind()) else { return };
        let reason = match abort {
            Some(by) => Reason::Aborted { by },
            None if self.policy.mode == Mode::Recommend && !planted(Canary::RecommendActs) => Reason::PolicyForbids,
            None => return,
        };
        self.turn_back(iteration.clone(), reason);
    }

    fn turn_back(&mut self, iteration: Iteration, reason: Reason) {
        let going = self.phase.going();
        self.enter(phase::unwinding::begin_with(iteration, reason, self.now, going));
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_since = self.now;
    }
}
