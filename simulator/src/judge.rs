//! The judge: looks at the world's truth, never at the daemon's view, and keeps account of
//! availability, of what each effect changed, and of the rules that must never be broken.
//!
//! Cost is integrated by the cloud, over the lifetimes of its machines.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::effect::{EXPIRING_KEY, Effect, EffectId, NodeRole};
use journal_schema::event::Digest;
use journal_schema::facts::{DoNotDisrupt, Key, NodeFact, WorkloadId};
use journal_schema::policy::Mode;
use journal_schema::text::Name;
use journal_schema::units::{MicroUsdPerHour, Millis, Timestamp};

/// By then everybody has noticed that a pod is gone with its machine.
const NOTICED: Millis = Millis::from_minutes(6);

/// A rule was broken. The rules are those of the project's list of invariants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// Which rule, for example `S1`.
    pub rule: &'static str,
    /// What happened.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.rule, self.text)
    }
}

/// A plan's limits, as the journal tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    /// Number of the iteration.
    pub iteration: u64,
    /// Machines it adds.
    pub adds: usize,
    /// What those cost.
    pub cost: MicroUsdPerHour,
    /// Its digest, by which an operator approves it.
    pub digest: Digest,
}

/// One workload's account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Replicas that users and autoscalers want.
    wanted: i32,
    /// Pods that serve.
    ready: i32,
    /// Pods that are missing by no doing of the daemon's.
    excused: i32,
    /// Pods that are missing by its doing.
    missing: i32,
    /// The most of those at any moment.
    worst: i32,
    /// Integral of those.
    lost_ms: i64,
}

/// What became of one effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Times it was sent.
    pub sent: u32,
    /// Times it changed the world.
    pub changes: u32,
}

/// The judge.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    since: Option<Timestamp>,
    at: Timestamp,
    accounts: BTreeMap<WorkloadId, Account>,
    effects: BTreeMap<EffectId, Record>,
    updates: BTreeMap<(&'static str, String), u32>,
    last_change: Option<Timestamp>,
    changes: u64,
    touched: BTreeSet<WorkloadId>,
    /// When the API server was last asked for all pods of a node, by node.
    read_at: BTreeMap<Name, Timestamp>,
    /// When a node last got our taint, by node.
    tainted_at: BTreeMap<Name, Timestamp>,
    /// An operator's pause, and when it ends by itself.
    paused: Option<Option<Timestamp>>,
    /// Workloads whose template was changed: their pods go by a rollout within the limits of their own strategy,
    /// which budgets do not bind.
    rolled: BTreeSet<WorkloadId>,
    violations: Vec<Violation>,
    /// Names asked of the cloud, and how often each was new there.
    created: BTreeMap<Name, u32>,
    /// Machines the daemon asked to delete.
    deleted: BTreeSet<Name>,
    /// Intents in the journal: durable, and not yet.
    durable: BTreeSet<EffectId>,
    unflushed: Vec<EffectId>,
    watches_journal: bool,
    mode: Mode,
    /// When others last took a pod of a workload.
    lost_at: BTreeMap<WorkloadId, Timestamp>,
    /// The mode became Recommend while a plan was carried out.
    undoing: bool,
    approved: bool,
    plan: Option<PlanLimits>,
    created_under_plan: BTreeSet<Name>,
    cost_before_plan: Option<MicroUsdPerHour>,
    highest_cost: MicroUsdPerHour,
    epoch: u64,
}

impl Judge {
    // ---- results

    /// Every broken rule, in order of time.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Integral of pods that were missing by the daemon's doing, in milliseconds.
    pub fn unavailable_ms(&self) -> i64 {
        self.accounts.values().map(|account| account.lost_ms).sum()
    }

    /// The workloads that missed pods by the daemon's doing, and for how long.
    pub fn unavailable(&self) -> Vec<(WorkloadId, i64)> {
        let lost = self.accounts.iter().filter(|(_, account)| account.lost_ms > 0);
        lost.map(|(id, account)| (id.clone(), account.lost_ms)).collect()
    }

    /// The most pods that each workload missed at once by the daemon's doing, where it missed any.
    pub fn worst(&self) -> BTreeMap<WorkloadId, i32> {
        let missed = self.accounts.iter().filter(|(_, account)| account.worst > 0);
        missed.map(|(id, account)| (id.clone(), account.worst)).collect()
    }

    /// Every effect that was sent.
    pub fn effects(&self) -> &BTreeMap<EffectId, Record> {
        &self.effects
    }

    /// How often each kind of effect changed each object: pods by their workload, for their names are drawn.
    pub fn updates(&self) -> &BTreeMap<(&'static str, String), u32> {
        &self.updates
    }

    /// When an effect last changed something.
    pub fn last_change(&self) -> Option<Timestamp> {
        self.last_change
    }

    /// The digest of the plan that was journaled last.
    pub(crate) fn waiting_plan(&self) -> Option<Digest> {
        self.plan.as_ref().map(|plan| plan.digest.clone())
    }

    /// The highest price per hour of all machines together.
    pub fn highest_cost(&self) -> MicroUsdPerHour {
        self.highest_cost
    }

    /// Names of the machines that the daemon created.
    pub fn created(&self) -> impl Iterator<Item = &Name> {
        self.created.keys()
    }

    /// Number of machines that the daemon asked to delete.
    pub fn deleted_count(&self) -> usize {
        self.deleted.len()
    }

    /// Notes a broken rule.
    pub fn violation(&mut self, at: Timestamp, rule: &'static str, text: impl Into<String>) {
        self.violations.push(Violation { at, rule, text: text.into() });
    }

    // ---- the journal

    /// From now on, an effect without a durable intent breaks a rule.
    pub fn watch_journal(&mut self) {
        self.watches_journal = true;
    }

    /// Intents were appended.
    pub fn appended(&mut self, ids: impl Iterator<Item = EffectId>) {
        self.unflushed.extend(ids);
    }

    /// The journal was flushed.
    pub fn flushed(&mut self) {
        self.durable.extend(self.unflushed.drain(..));
    }

    pub(crate) fn forget_unflushed(&mut self) {
        self.unflushed.clear();
    }

    /// A daemon began under this epoch and mode.
    pub fn started(&mut self, now: Timestamp, epoch: u64, mode: Mode) {
        if epoch <= self.epoch {
            self.violation(now, "S14", format!("epoch {epoch} began after epoch {}", self.epoch));
        }
        self.epoch = epoch;
        self.mode = mode;
    }

    /// The mode was changed.
    pub fn mode_changed(&mut self, mode: Mode) {
        // What a plan changed until now has to be undone in every mode.
        self.undoing |= self.plan.is_some() && mode == Mode::Recommend && self.mode != mode;
        self.mode = mode;
    }

    /// An operator approved the plan of a digest, or of one that begins so.
    pub fn approval(&mut self, digest: &str) {
        self.approved |= self.plan.as_ref().is_some_and(|plan| plan.digest.starts_with(digest));
    }

    /// An operator paused, for a while or until resumed (`None`: resumed).
    pub fn pause(&mut self, paused: Option<Option<Timestamp>>) {
        self.paused = paused;
    }

    /// A plan was journaled.
    pub fn planned(&mut self, now: Timestamp, plan: PlanLimits) {
        if self.paused.is_some_and(|until| until.is_none_or(|until| now < until)) {
            self.violation(now, "S20", "a plan was made while an operator's pause holds");
        }
        self.plan = Some(plan);
        self.undoing = false;
        self.created_under_plan.clear();
        self.cost_before_plan = None;
        self.approved = false;
    }

    // ---- availability

    pub(crate) fn begin(&mut self, now: Timestamp, cost: MicroUsdPerHour) {
        self.since = Some(now);
        self.at = now;
        self.highest_cost = cost;
        for account in self.accounts.values_mut() {
            account.excused = (account.wanted - account.ready).max(0);
            account.missing = 0;
        }
    }

    /// Counts up to now.
    pub fn advance(&mut self, now: Timestamp) {
        if self.since.is_none() {
            return;
        }
        let span = now.since(self.at).0;
        self.at = now;
        if span > 0 {
            for account in self.accounts.values_mut().filter(|account| account.missing > 0) {
                account.lost_ms += span * i64::from(account.missing);
            }
        }
    }

    fn settle(&mut self, id: &WorkloadId) {
        if let Some(account) = self.accounts.get_mut(id) {
            let deficit = (account.wanted - account.ready).max(0);
            account.excused = account.excused.min(deficit);
            account.missing = if self.since.is_some() { deficit - account.excused } else { 0 };
            account.worst = account.worst.max(account.missing);
        }
    }

    pub(crate) fn serving(&mut self, now: Timestamp, id: &WorkloadId, ready: i32) {
        self.advance(now);
        self.accounts.entry(id.clone()).or_default().ready = ready;
        self.settle(id);
    }

    /// Users or autoscalers want this many.
    pub(crate) fn wanted(&mut self, now: Timestamp, id: &WorkloadId, wanted: i32) {
        self.advance(now);
        let account = self.accounts.entry(id.clone()).or_default();
        account.excused += (wanted - account.wanted).max(0);
        account.wanted = wanted;
        self.settle(id);
    }

    /// Pods of a workload are about to be lost by no doing of the daemon's.
    pub(crate) fn excuse(&mut self, now: Timestamp, id: &WorkloadId, pods: i32) {
        self.advance(now);
        if let Some(account) = self.accounts.get_mut(id) {
            // What was missing so far stays ours; the pod that is lost now comes on top.
            account.ready -= pods;
            account.excused += pods;
        }
        self.lost_at.insert(id.clone(), now);
    }

    /// What users and autoscalers want of a workload.
    pub fn wanted_of(&self, id: &WorkloadId) -> Option<i32> {
        self.accounts.get(id).map(|account| account.wanted)
    }

    pub(crate) fn touched(&mut self, id: &WorkloadId) {
        self.touched.insert(id.clone());
    }

    pub(crate) fn rolled(&mut self, id: &WorkloadId) {
        self.touched.insert(id.clone());
        self.rolled.insert(id.clone());
    }

    pub(crate) fn was_touched(&self, id: &WorkloadId) -> bool {
        self.touched.contains(id)
    }

    /// A budget's healthy pods fell below what it asks for.
    pub(crate) fn budget_broken(&mut self, now: Timestamp, pdb: &Key, by: &[WorkloadId]) {
        if let Some(workload) = by
            .iter()
            .filter(|id| !self.rolled.contains(*id))
            // What others lost came on top of what the budget had allowed, and is counted when it is noticed.
            .filter(|id| self.lost_at.get(*id).is_none_or(|at| now.since(*at) > NOTICED))
            .find(|id| {
                let account = self.accounts.get(*id);
                self.touched.contains(*id) && account.is_some_and(|account| account.missing > 0 && account.excused == 0)
            })
        {
            self.violation(now, "S10", format!("budget {pdb} is broken while {workload} is moved"));
        }
    }

    // ---- effects

    pub(crate) fn sent(&mut self, now: Timestamp, id: EffectId, effect: &Effect) {
        self.effects.entry(id).or_default().sent += 1;
        if self.watches_journal && !self.durable.contains(&id) {
            self.violation(now, "S5", format!("{} {id} was sent without a durable intent", effect.name()));
        }
        match effect {
            Effect::ReadNodePods { node } => {
                self.read_at.insert(node.clone(), now);
            }
            Effect::MarkNode { node, role: NodeRole::Expiring, .. } => {
                self.tainted_at.entry(node.clone()).or_insert(now);
            }
            Effect::MarkNode { node, .. } => {
                self.tainted_at.remove(node);
            }
            _ => {}
        }
        if effect.mutates() && self.mode == Mode::Recommend && !self.undoing {
            self.violation(now, "S20", format!("{} {id} was sent in mode Recommend", effect.name()));
        }
        if effect.mutates() && self.mode == Mode::Approve && !self.approved {
            self.violation(now, "S20", format!("{} {id} was sent without an approval", effect.name()));
        }
    }

    /// The world was changed by an effect.
    pub(crate) fn changed(&mut self) {
        self.changes += 1;
    }

    pub(crate) fn changes_before(&self) -> u64 {
        self.changes
    }

    /// `object`: what the effect is about.
    pub(crate) fn after_effect(&mut self, now: Timestamp, id: EffectId, effect: &Effect, object: String, before: u64) {
        if self.changes == before {
            return;
        }
        self.last_change = Some(now);
        *self.updates.entry((effect.name(), object)).or_default() += 1;
        let record = self.effects.entry(id).or_default();
        record.changes += 1;
        if record.changes > 1 {
            self.violation(now, "S5", format!("{} {id} changed the world twice", effect.name()));
        }
    }

    // ---- machines

    pub(crate) fn creates(&mut self, now: Timestamp, id: EffectId, fresh: &[Name], cost: MicroUsdPerHour) {
        self.cost_before_plan.get_or_insert(cost);
        self.last_change = Some(now).filter(|_| !fresh.is_empty()).or(self.last_change);
        for name in fresh {
            let times = self.created.entry(name.clone()).or_default();
            *times += 1;
            if *times > 1 && self.deleted.contains(name) {
                self.violation(now, "S6", format!("machine {name} was created again by {id} after its deletion"));
            }
            self.created_under_plan.insert(name.clone());
        }
        let asked = self.created_under_plan.len();
        match &self.plan {
            Some(plan) if asked > plan.adds => {
                let text = format!("{asked} machines were created where the plan adds {}", plan.adds);
                self.violation(now, "S6", text);
            }
            None if self.watches_journal && asked > 0 => {
                self.violation(now, "S6", format!("machines were created by {id} without a plan"));
            }
            _ => {}
        }
    }

    pub(crate) fn spend(&mut self, now: Timestamp, cost: MicroUsdPerHour) {
        self.advance(now);
        if cost > self.highest_cost {
            self.highest_cost = cost;
            if let (Some(before), Some(plan)) = (self.cost_before_plan, &self.plan)
                && cost > before + plan.cost
            {
                let text =
                    format!("machines cost {cost} an hour where {before} and the plan's {} were expected", plan.cost);
                self.violation(now, "S8", text);
            }
        }
    }

    /// A machine is about to be deleted. `node`: its Node, if it is of this very machine; `pods`: those
    /// on it that would be lost; `waiting`: a pod without a node whose workload was touched.
    pub(crate) fn deletes(
        &mut self,
        now: Timestamp,
        id: EffectId,
        machine: &Name,
        node: Option<&NodeFact>,
        pods: &[Key],
        waiting: Option<&Key>,
    ) {
        self.last_change = Some(now);
        // Asked again for what was asked for before: what came meanwhile came too late.
        let waiting = waiting.filter(|_| !self.deleted.contains(machine));
        self.deleted.insert(machine.clone());
        if let Some(pod) = pods.first() {
            self.violation(
                now,
                "S1",
                format!("{machine} was deleted by {id} with {} pods on it, first {pod}", pods.len()),
            );
        }
        let ours = self.created.contains_key(machine);
        let Some(node) = node else { return };
        let marked = self.tainted_at.get(machine);
        // A new machine that was never seen as a node has no mark.
        let read = self.read_at.get(machine).is_some_and(|read| marked.map_or(ours, |marked| read >= marked));
        if !read {
            let text = format!("{machine} was deleted by {id} without a quorum read after it was marked");
            self.violation(now, "S1", text);
        }
        let label = node.labels.get(&Name::truncated(EXPIRING_KEY));
        let taint = node.taints.iter().any(|taint| taint.key == EXPIRING_KEY);
        if node.ready && (label.is_none() || !taint) {
            self.violation(now, "S2", format!("{machine} was deleted by {id} without being marked as expiring"));
        }
        if node.do_not_disrupt != DoNotDisrupt::No || node.scale_down_disabled || node.excluded {
            self.violation(now, "S2", format!("{machine} was deleted by {id} against its annotations"));
        }
        if let (false, Some(pod)) = (ours, waiting) {
            self.violation(now, "S4", format!("{machine} was deleted by {id} while moved pod {pod} waits for a node"));
        }
    }

    /// A machine is gone with these pods. Whether the daemon asked for it.
    pub(crate) fn machine_gone(&mut self, now: Timestamp, machine: &Name, lost: &[Key]) -> bool {
        let ours = self.deleted.contains(machine);
        if ours && let Some(pod) = lost.first() {
            self.violation(now, "S1", format!("{machine} took {} pods with it, first {pod}", lost.len()));
        }
        ours
    }
}
