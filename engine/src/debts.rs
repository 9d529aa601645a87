//! The revert stack: what was changed for an iteration and must not stay.
//!
//! A debt is entered when the intent is emitted, because from then on the change may have happened.
//! It is paid when the watched world shows that nothing is left of it.

use canary::{Canary, planted};
use journal_schema::cloud::PoolId;
use journal_schema::facts::{Key, WorkloadId};
use journal_schema::text::{JsonText, Name};
use journal_schema::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something of ours in the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Debt {
    /// A machine that was asked for.
    Instance {
        /// Its name.
        name: Name,
        /// Its pool.
        pool: PoolId,
        /// When it was asked for.
        since: Timestamp,
    },
    /// Labels or a taint on a node.
    Mark {
        /// Node.
        node: Name,
        /// Its UID.
        uid: Name,
    },
    /// A deletion cost on a pod.
    DeletionCost {
        /// Pod.
        pod: Key,
        /// Its UID.
        uid: Name,
        /// The cost that its owner gave it; zero when none.
        before: i32,
    },
    /// Replicas on top of what a workload wants.
    Surge {
        /// Workload.
        workload: WorkloadId,
        /// Its UID.
        uid: Name,
        /// Replicas it wants.
        base: i32,
        /// Replicas we asked for.
        surged: i32,
    },
    /// A changed template.
    Template {
        /// Deployment.
        workload: WorkloadId,
        /// Its UID.
        uid: Name,
        /// Affinity before, and ours.
        affinity: (Option<JsonText>, Option<JsonText>),
        /// `maxUnavailable` before, and ours.
        max_unavailable: Option<(JsonText, JsonText)>,
    },
}

/// What a debt is about; one debt each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Subject {
    Instance(Name),
    Mark(Name),
    DeletionCost(Key),
    Surge(WorkloadId),
    Template(WorkloadId),
}

impl Debt {
    fn subject(&self) -> Subject {
        match self {
            Self::Instance { name, .. } => Subject::Instance(name.clone()),
            Self::Mark { node, .. } => Subject::Mark(node.clone()),
            Self::DeletionCost { pod, .. } => Subject::DeletionCost(pod.clone()),
            Self::Surge { workload, .. } => Subject::Surge(workload.clone()),
            Self::Template { workload, .. } => Subject::Template(workload.clone()),
        }
    }
}

/// One debt in words, for status and logs.
impl std::fmt::Display for Debt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance { name, pool, .. } => write!(f, "instance {name} in {pool}"),
            Self::Mark { node, .. } => write!(f, "labels on node {node}"),
            Self::DeletionCost { pod, .. } => write!(f, "deletion cost on pod {pod}"),
            Self::Surge { workload, base, surged, .. } => {
                write!(f, "{workload} at {surged} replicas instead of {base}")
            }
            Self::Template { workload, .. } => write!(f, "affinity in the template of {workload}"),
        }
    }
}

/// Whether a debt is overlooked: never, unless a bug is planted.
fn is_overlooked(debt: &Debt) -> bool {
    planted(match debt {
        Debt::Instance { .. } => Canary::OwesNoMachine,
        Debt::Mark { .. } => Canary::OwesNoMark,
        Debt::DeletionCost { .. } => Canary::OwesNoCost,
        Debt::Surge { .. } => Canary::OwesNoSurge,
        Debt::Template { .. } => Canary::OwesNoTemplate,
    })
}

/// All debts, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debts {
    next: u64,
    by_order: BTreeMap<u64, Debt>,
    order_of: BTreeMap<Subject, u64>,
}

impl Debts {
    /// Enters a debt; one on the same subject is replaced and keeps its place in the order.
    pub fn owe(&mut self, debt: Debt) {
        if is_overlooked(&debt) {
            return;
        }
        let subject = debt.subject();
        let order = *self.order_of.entry(subject).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.by_order.insert(order, debt);
    }

    /// A debt is paid.
    pub fn pay(&mut self, debt: &Debt) {
        if let Some(order) = self.order_of.remove(&debt.subject()) {
            self.by_order.remove(&order);
        }
    }

    /// What was asked for counts as asked for so much later.
    pub fn postpone(&mut self, by: Millis) {
        for debt in self.by_order.values_mut() {
            if let Debt::Instance { since, .. } = debt {
                *since = since.plus(by);
            }
        }
    }

    /// Debts, newest first: the order in which they are undone.
    pub fn newest_first(&self) -> Vec<Debt> {
        self.by_order.values().rev().cloned().collect()
    }

    /// Debts, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Debt> {
        self.by_order.values()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.by_order.is_empty()
    }

    /// How much is owed.
    pub fn len(&self) -> usize {
        self.by_order.len()
    }

    /// Whether a machine of this name was asked for and is not in service yet.
    pub fn has_instance(&self, name: &Name) -> bool {
        self.order_of.contains_key(&Subject::Instance(name.clone()))
    }

    /// The surge of a workload, if one is under way: replicas it wants, replicas asked for.
    pub fn surge(&self, workload: &WorkloadId) -> Option<(i32, i32)> {
        let order = self.order_of.get(&Subject::Surge(workload.clone()))?;
        match self.by_order.get(order)? {
            Debt::Surge { base, surged, .. } => Some((*base, *surged)),
            Debt::Instance { .. } | Debt::Mark { .. } | Debt::DeletionCost { .. } | Debt::Template { .. } => None,
        }
    }
}
