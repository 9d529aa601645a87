//! One rule that is left out of account, to see what it costs.

use std::mem::discriminant;

use journal_schema::reason::Reason;

/// A kind of reason that keeps nobody; of budgets only the one.
pub(crate) struct Waiver(Option<Reason>);

impl Waiver {
    /// Every rule counts.
    pub(crate) const NONE: Self = Self(None);

    /// The waiver of a rule that somebody could decide to do without. `None` for what is not a decision (a node
    /// that is not ready, a pod that is terminating), and for rules that are not understood: nobody knows where
    /// such a pod could go.
    pub(crate) fn of(reason: &Reason) -> Option<Self> {
        let decided = matches!(
            reason,
            Reason::NotManaged { .. }
                | Reason::DoNotDisrupt
                | Reason::ScaleDownDisabled
                | Reason::Excluded
                | Reason::TooYoung { .. }
                | Reason::HostsKinema
                | Reason::PodDisruptionBudget { .. }
                | Reason::SeveralBudgets { .. }
                | Reason::NotBackedByController
                | Reason::LocalStorage { .. }
                | Reason::NotSafeToEvict
                | Reason::PreferNoEviction
                | Reason::KubeSystemWithoutPdb
                | Reason::SingleReplica
                | Reason::JobWouldRestart
                | Reason::RecreateStrategy
        );
        decided.then(|| Self(Some(reason.clone())))
    }

    /// Whether a reason is waived.
    pub(crate) fn covers(&self, reason: &Reason) -> bool {
        match (&self.0, reason) {
            (None, _) => false,
            (Some(Reason::PodDisruptionBudget { pdb: own, .. }), Reason::PodDisruptionBudget { pdb, .. }) => own == pdb,
            (Some(own), reason) => discriminant(own) == discriminant(reason),
        }
    }

    /// The reason, unless it is waived.
    pub(crate) fn keep(&self, reason: Option<Reason>) -> Option<Reason> {
        reason.filter(|reason| !self.covers(reason))
    }
}
