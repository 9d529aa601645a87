//! What the daemon says of itself. The same type on both sides of the API.

use engine::{Phase, PhaseName, State};
use journal_schema::plan::Planned;
use journal_schema::policy::Mode;
use journal_schema::reason::Reason;
use serde::{Deserialize, Serialize};

use crate::plan::money::per_month;

/// The daemon's status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the program.
    pub build: String,
    /// Whether this process acts: it leads and its journal is folded.
    pub ready: bool,
    /// Whether it holds the lease.
    pub leader: bool,
    /// Who holds the lease, while this process does not.
    pub lease_holder: Option<String>,
    /// `Recommend`, `Approve` or `Auto`.
    pub mode: String,
    /// The phase.
    pub phase: String,
    /// Since when it lasts; none before the first change of phase.
    pub phase_since: Option<String>,
    /// Number of the last iteration that began.
    pub iteration: u64,
    /// What is waited for: closed gates while observing, else what holds the phase.
    pub waiting_for: Vec<ReasonView>,
    /// What is not configured, and so never done.
    #[serde(default)]
    pub missing: Vec<ReasonView>,
    /// The last effect that an invariant held back.
    #[serde(default)]
    pub held_back: Option<HeldBackView>,
    /// The pause in force.
    pub pause: Option<PauseView>,
    /// The plan that was made last.
    pub plan: Option<PlanStatus>,
    /// How the last iteration ended.
    pub last: Option<LastStatus>,
    /// What was changed in the world and is still to be undone or finished.
    pub debts: Vec<String>,
    /// Effects under way.
    pub in_flight: usize,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Pods of the cluster.
    pub pods: usize,
    /// What the cluster costs now.
    pub cost_per_hour: String,
    /// What it has cost since the journal began.
    pub spent: String,
    /// Pods moved since the journal began.
    pub pods_moved: u64,
    /// The journal.
    pub journal: JournalStatus,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalStatus {
    /// Directory.
    pub path: String,
    /// Identity.
    pub id: String,
    /// Last entry.
    pub seq: u64,
    /// Its time.
    pub at: String,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonView {
    /// Code.
    pub code: String,
    /// In words.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl From<&Reason> for ReasonView {
    fn from(reason: &Reason) -> Self {
        let text = reason.text();
        Self { code: text.code.to_owned(), message: text.sentence, fix: text.fix.map(str::to_owned) }
    }
}

/// An effect that was not sent, because it would have broken a rule that nothing may break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBackView {
    /// The id it would have had.
    pub id: String,
    /// When.
    pub at: String,
    /// Number of the rule.
    pub invariant: String,
    /// The effect.
    pub effect: String,
    /// Why.
    pub message: String,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseView {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when; until resumed when absent.
    pub until: Option<String>,
}

/// A plan in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Names it.
    pub digest: String,
    /// The time it is for.
    pub at: String,
    /// Whether it waits for approval.
    pub waiting_for_approval: bool,
    /// Until when.
    pub expires_at: Option<String>,
    /// Machines to boot.
    pub nodes_to_add: usize,
    /// Nodes to remove.
    pub nodes_to_remove: usize,
    /// Pods to move.
    pub moves: usize,
    /// Cost before.
    pub cost_per_hour_now: String,
    /// Cost after.
    pub cost_per_hour_after: String,
    /// Proven bound.
    pub lower_bound_per_hour: String,
    /// Saving in a month of 730 hours.
    pub savings_per_month: String,
    /// Saving as a share.
    pub savings: f64,
}

/// How an iteration ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastStatus {
    /// Number.
    pub iteration: u64,
    /// Digest of its plan.
    pub digest: Option<String>,
    /// When it ended.
    pub ended_at: String,
    /// `Applied`, `RolledBack` or `Dropped`.
    pub result: String,
    /// Why, unless it was applied.
    pub reason: Option<ReasonView>,
    /// Machines booted.
    pub nodes_added: u32,
    /// Nodes removed.
    pub nodes_removed: u32,
    /// Pods moved.
    pub pods_moved: u32,
    /// What the plan said it would cost.
    pub planned_cost_per_hour: Option<String>,
    /// What the cluster costs since.
    pub reached_cost_per_hour: String,
}

/// A phase's name.
pub fn phase_name(name: PhaseName) -> &'static str {
    match name {
        PhaseName::Observing => "Observing",
        PhaseName::Predicting => "Predicting",
        PhaseName::Optimizing => "Optimizing",
        PhaseName::Deciding => "Deciding",
        PhaseName::Booting => "Booting",
        PhaseName::Labelling => "Labelling",
        PhaseName::Rolling => "Rolling",
        PhaseName::Draining => "Draining",
        PhaseName::Unwinding => "Unwinding",
    }
}

/// A mode's name.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Recommend => "Recommend",
        Mode::Approve => "Approve",
        Mode::Auto => "Auto",
    }
}

impl Status {
    /// Takes over what the state says. What only the process knows (leadership, paths) stays.
    pub fn observe(&mut self, state: &State) {
        let phase = state.phase();
        self.mode = mode_name(state.policy().mode).to_owned();
        self.phase = phase_name(phase.name()).to_owned();
        self.phase_since = (state.phase_since().0 > 0).then(|| state.phase_since().to_string());
        self.iteration = state.iteration();
        // Before the watches are complete nothing has looked at the gates yet.
        let held = state.holds();
        let waiting =
            if held.is_empty() && matches!(phase, Phase::Observing(_)) { state.gates() } else { held.to_vec() };
        self.waiting_for = waiting.iter().map(ReasonView::from).collect();
        self.held_back = state.blocked().map(|blocked| HeldBackView {
            id: blocked.id.to_string(),
            at: blocked.at.to_string(),
            invariant: blocked.violation.number.to_string(),
            effect: blocked.violation.effect.to_string(),
            message: blocked.violation.detail.to_string(),
        });
        self.pause = state.pause().map(|pause| PauseView {
            by: pause.by.to_string(),
            reason: pause.reason.to_string(),
            until: pause.until.map(|until| until.to_string()),
        });
        self.plan = state.planned().map(|(digest, planned)| plan_status(digest, planned, phase));
        self.last = state.last_finished().map(last_status);
        self.debts = state.debts().iter().map(ToString::to_string).collect();
        self.in_flight = state.in_flight().count();
        self.nodes = state.cluster().nodes.len();
        self.pods = state.cluster().pods.len();
        self.cost_per_hour = state.ledger().rate().to_string();
        self.spent = state.spent().to_string();
        self.pods_moved = state.moved();
        self.journal.seq = state.seq();
        self.journal.at = state.now().to_string();
    }
}

fn plan_status(digest: &str, planned: &Planned, phase: &Phase) -> PlanStatus {
    let plan = &planned.plan;
    let deciding = match phase {
        Phase::Deciding(deciding) if deciding.iteration.digest == digest => Some(deciding),
        _ => None,
    };
    PlanStatus {
        digest: digest.to_owned(),
        at: plan.at.to_string(),
        waiting_for_approval: deciding.is_some(),
        expires_at: deciding.map(|deciding| deciding.expires_at.to_string()),
        nodes_to_add: plan.add.len(),
        nodes_to_remove: plan.remove.len(),
        moves: plan.moves.len(),
        cost_per_hour_now: plan.cost_now.to_string(),
        cost_per_hour_after: plan.cost_after.to_string(),
        lower_bound_per_hour: plan.lower_bound.to_string(),
        savings_per_month: per_month(plan.cost_now - plan.cost_after).to_string(),
        savings: plan.savings().0 as f64 / 1e6,
    }
}

fn last_status(finished: &engine::Finished) -> LastStatus {
    let result = match (&finished.reason, finished.unwound) {
        (_, true) => "RolledBack",
        (Some(_), false) => "Dropped",
        (None, false) => "Applied",
    };
    LastStatus {
        iteration: finished.iteration,
        digest: finished.digest.as_ref().map(ToString::to_string),
        ended_at: finished.ended_at.to_string(),
        result: result.to_owned(),
        reason: finished.reason.as_ref().map(ReasonView::from),
        nodes_added: finished.counts.0,
        nodes_removed: finished.counts.1,
        pods_moved: finished.counts.2,
        planned_cost_per_hour: finished.planned.map(|(_, after)| after.to_string()),
        reached_cost_per_hour: finished.reached.to_string(),
    }
}
