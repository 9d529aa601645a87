//! The phases: one file each, each a variant that owns its data.

pub mod booting;
pub mod deciding;
pub mod draining;
pub mod labelling;
pub mod observing;
pub mod optimizing;
pub mod predicting;
pub mod rolling;
pub mod unwinding;

mod affinity;
mod ctx;
pub mod moves;
mod relief;
mod undo;

#[cfg(test)]
mod table_test;

pub(crate) use ctx::Ctx;

use journal_schema::cloud::PoolId;
use journal_schema::effect::NodeRole;
use journal_schema::event::{Deadline, Digest};
use journal_schema::facts::NodeFact;
use journal_schema::plan::{Move, NodeToRemove, Planned, Slot, Target};
use journal_schema::text::Name;
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::state::State;
use crate::world::usable;
use ctx::shows;

/// A machine that the iteration boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its number in the plan.
    pub slot: Slot,
    /// Pool.
    pub pool: PoolId,
    /// Name of the instance and of the node.
    pub name: Name,
}

/// What the phases after Deciding carry along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iteration {
    /// Number.
    pub number: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// Digest of the plan.
    pub digest: Digest,
    /// The plan and its report.
    pub planned: Arc<Planned>,
    /// Machines to boot, by slot.
    pub machines: Vec<Machine>,
    /// Pods moved so far.
    pub moved: u32,
    /// Nodes that stay against the plan, because a pod of theirs could not be moved.
    pub spared: BTreeSet<Name>,
    /// UIDs of pods of nodes that stay, which stay against the plan because they could not be moved.
    pub kept: BTreeSet<Name>,
}

impl Iteration {
    /// Whether the plan removes a node of this name.
    pub fn removes(&self, node: &str) -> bool {
        self.planned.plan.removes(node) && !self.spared.contains(node)
    }

    /// The moves of pods whose nodes stay under the plan, but for those that were given up.
    pub fn shifts(&self) -> impl Iterator<Item = &Move> {
        self.planned.plan.shifts().filter(|step| !self.kept.contains(&step.uid))
    }

    /// Whether the pod of this UID moves although its node stays.
    pub fn shifts_uid(&self, uid: &str) -> bool {
        self.shifts().any(|step| step.uid == uid)
    }

    /// Whether the plan removes the node of this name and UID.
    pub fn removes_uid(&self, node: &str, uid: &str) -> bool {
        self.leaving().any(|removed| removed.node == node && removed.uid == uid)
    }

    /// The nodes that leave, by name: those of the plan but for the spared ones.
    pub fn leaving(&self) -> impl Iterator<Item = &NodeToRemove> {
        self.planned.plan.remove.iter().filter(|removed| !self.spared.contains(&removed.node))
    }

    /// The nodes that are open while a wave is under way; `None` when all are.
    fn opened(&self, wave: Option<u32>) -> Option<BTreeSet<&Name>> {
        let wave = self.planned.plan.waves.get(usize::try_from(wave?).ok()?)?;
        let opened = wave.opens.iter().filter_map(|target| match target {
            Target::Node(name) => Some(name),
            Target::New(slot) => {
                self.machines.iter().find(|machine| machine.slot == *slot).map(|machine| &machine.name)
            }
        });
        Some(opened.collect())
    }

    /// The nodes that are ours to mark and do not show their role during a wave. Leaving nodes come first:
    /// no pod that is moved may land on one of them.
    pub(crate) fn unmarked(&self, state: &State, wave: Option<u32>) -> Vec<(NodeFact, NodeRole)> {
        let own = self.own_names();
        let managed = state.cloud.managed();
        let opened = self.opened(wave);
        let mut unmarked = Vec::new();
        // What was done to a spared node is being undone.
        let about = |node: &&NodeFact| node.deletion_at.is_none() && !self.spared.contains(&node.name);
        for node in state.world.cluster().nodes.values().filter(about) {
            let role = if self.removes(&node.name) {
                NodeRole::Expiring
            } else if opened.as_ref().is_none_or(|opened| opened.contains(&node.name)) {
                NodeRole::Optimal
            } else {
                NodeRole::Later
            };
            let ours = role == NodeRole::Expiring || own.contains(&node.name) || managed.contains_key(&node.name);
            if ours && !shows(node, role, self.number) {
                unmarked.push((node.clone(), role));
            }
        }
        unmarked.sort_by(|(a, role_a), (b, role_b)| {
            (*role_a != NodeRole::Expiring, &a.name).cmp(&(*role_b != NodeRole::Expiring, &b.name))
        });
        unmarked
    }

    /// Names of the machines that it boots.
    pub fn own_names(&self) -> BTreeSet<Name> {
        self.machines.iter().map(|machine| machine.name.clone()).collect()
    }

    /// The first of its machines that is not a usable node.
    pub fn first_missing<'a>(&'a self, state: &State) -> Option<&'a Machine> {
        let joined = |machine: &Machine| {
            state.world.cluster().nodes.get(&machine.name).is_some_and(|node: &NodeFact| usable(node))
        };
        self.machines.iter().find(|machine| !joined(machine))
    }
}

/// A phase's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the phases are described in their files")]
pub enum PhaseName {
    Observing,
    Predicting,
    Optimizing,
    Deciding,
    Booting,
    Labelling,
    Rolling,
    Draining,
    Unwinding,
}

/// A phase with its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the phases are described in their files")]
pub enum Phase {
    Observing(observing::Observing),
    Predicting(predicting::Predicting),
    Optimizing(optimizing::Optimizing),
    Deciding(deciding::Deciding),
    Booting(booting::Booting),
    Labelling(labelling::Labelling),
    Rolling(rolling::Rolling),
    Draining(draining::Draining),
    Unwinding(unwinding::Unwinding),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Observing(observing::Observing::default())
    }
}

/// Every edge that exists. The table in the crate's documentation says when each is taken.
pub const TRANSITIONS: [(PhaseName, PhaseName); 17] = [
    (PhaseName::Observing, PhaseName::Predicting),
    (PhaseName::Predicting, PhaseName::Optimizing),
    (PhaseName::Predicting, PhaseName::Observing),
    (PhaseName::Optimizing, PhaseName::Deciding),
    (PhaseName::Optimizing, PhaseName::Observing),
    (PhaseName::Deciding, PhaseName::Booting),
    (PhaseName::Deciding, PhaseName::Labelling),
    (PhaseName::Deciding, PhaseName::Observing),
    (PhaseName::Booting, PhaseName::Labelling),
    (PhaseName::Booting, PhaseName::Unwinding),
    (PhaseName::Labelling, PhaseName::Rolling),
    (PhaseName::Labelling, PhaseName::Unwinding),
    (PhaseName::Rolling, PhaseName::Draining),
    (PhaseName::Rolling, PhaseName::Unwinding),
    (PhaseName::Draining, PhaseName::Observing),
    (PhaseName::Draining, PhaseName::Unwinding),
    (PhaseName::Unwinding, PhaseName::Observing),
];

impl Phase {
    /// Its name.
    pub fn name(&self) -> PhaseName {
        match self {
            Self::Observing(_) => PhaseName::Observing,
            Self::Predicting(_) => PhaseName::Predicting,
            Self::Optimizing(_) => PhaseName::Optimizing,
            Self::Deciding(_) => PhaseName::Deciding,
            Self::Booting(_) => PhaseName::Booting,
            Self::Labelling(_) => PhaseName::Labelling,
            Self::Rolling(_) => PhaseName::Rolling,
            Self::Draining(_) => PhaseName::Draining,
            Self::Unwinding(_) => PhaseName::Unwinding,
        }
    }

    /// The iteration whose plan is being decided or carried out, or undone.
    pub fn iteration(&self) -> Option<&Iteration> {
        match self {
            Self::Observing(_) | Self::Predicting(_) | Self::Optimizing(_) => None,
            Self::Deciding(phase) => Some(&phase.iteration),
            Self::Booting(phase) => Some(&phase.iteration),
            Self::Labelling(phase) => Some(&phase.iteration),
            Self::Rolling(phase) => Some(&phase.iteration),
            Self::Draining(phase) => Some(&phase.iteration),
            Self::Unwinding(phase) => Some(&phase.iteration),
        }
    }

    /// The iteration that a plan is being made for, and when it began: nothing has been changed for it yet.
    pub(crate) fn planning(&self) -> Option<(u64, Timestamp)> {
        match self {
            Self::Predicting(phase) => Some((phase.number, phase.started_at)),
            Self::Optimizing(phase) => Some((phase.number, phase.started_at)),
            Self::Deciding(phase) => Some((phase.iteration.number, phase.iteration.started_at)),
            Self::Observing(_)
            | Self::Booting(_)
            | Self::Labelling(_)
            | Self::Rolling(_)
            | Self::Draining(_)
            | Self::Unwinding(_) => None,
        }
    }

    /// What is waited for since a moment is waited for since a later one.
    pub(crate) fn postpone(&mut self, by: Millis) {
        match self {
            // Before anything is changed, nothing is waited for that would hurt when it came early.
            Self::Observing(_) | Self::Predicting(_) | Self::Optimizing(_) | Self::Deciding(_) => {}
            Self::Booting(phase) => phase.postpone(by),
            Self::Labelling(phase) => phase.postpone(by),
            Self::Rolling(phase) => phase.postpone(by),
            Self::Draining(phase) => phase.postpone(by),
            Self::Unwinding(phase) => phase.postpone(by),
        }
    }

    /// Nodes whose machines were asked to go, with their pools.
    pub(crate) fn going(&self) -> BTreeMap<Name, PoolId> {
        match self {
            Self::Draining(draining) => draining.going(),
            Self::Observing(_)
            | Self::Predicting(_)
            | Self::Optimizing(_)
            | Self::Deciding(_)
            | Self::Booting(_)
            | Self::Labelling(_)
            | Self::Rolling(_)
            | Self::Unwinding(_) => BTreeMap::new(),
        }
    }

    /// Whether something has been changed that an abort would undo.
    pub fn can_unwind(&self) -> bool {
        match self {
            Self::Booting(_) | Self::Labelling(_) | Self::Rolling(_) | Self::Draining(_) => true,
            Self::Observing(_) | Self::Predicting(_) | Self::Optimizing(_) | Self::Deciding(_) | Self::Unwinding(_) => {
                false
            }
        }
    }

    /// Whether the phase ends when the watched world satisfies a predicate.
    pub(crate) fn waits_for_world(&self) -> bool {
        self.can_unwind() || matches!(self, Self::Unwinding(_))
    }

    /// An operator approves or rejects a plan.
    pub(crate) fn review(&mut self, digest: &Digest, approve: bool, by: &Name) {
        if let Self::Deciding(deciding) = self {
            deciding.review(digest, approve, by);
        }
    }

    /// When this phase wants to be called.
    pub(crate) fn deadlines(&self, state: &State) -> Vec<(Timestamp, Deadline)> {
        match self {
            Self::Observing(phase) => phase.deadlines(),
            // They wait for an effect, whose deadline the table knows.
            Self::Predicting(_) | Self::Optimizing(_) => Vec::new(),
            Self::Deciding(phase) => phase.deadlines(),
            Self::Booting(phase) => phase.deadlines(state),
            Self::Labelling(phase) => phase.deadlines(state),
            Self::Rolling(phase) => phase.deadlines(state),
            Self::Draining(phase) => phase.deadlines(state),
            Self::Unwinding(phase) => phase.deadlines(state),
        }
    }

    pub(crate) fn advance(self, ctx: &mut Ctx<'_>) -> Self {
        match self {
            Self::Observing(phase) => phase.advance(ctx),
            Self::Predicting(phase) => phase.advance(ctx),
            Self::Optimizing(phase) => phase.advance(ctx),
            Self::Deciding(phase) => phase.advance(ctx),
            Self::Booting(phase) => phase.advance(ctx),
            Self::Labelling(phase) => phase.advance(ctx),
            Self::Rolling(phase) => phase.advance(ctx),
            Self::Draining(phase) => phase.advance(ctx),
            Self::Unwinding(phase) => phase.advance(ctx),
        }
    }
}
