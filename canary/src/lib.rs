//! Planted bugs: each a way in which the program could be wrong, switched on in a build of the prover only, to show
//! that the proofs would see it.
//!
//! Where `planted` stands in the code, a bug is one word away. Without the feature `planted` it is a constant, and
//! nothing is left of it in the program.

#![warn(missing_docs)]

macro_rules! canaries {
    ($($name:ident: $about:literal),+ $(,)?) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Canary {
            $(#[doc = $about] $name),+
        }

        impl Canary {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }

            /// What is wrong with it.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about),+
                }
            }
        }
    };
}

canaries!(
    // What the core believes of the world.
    ActsBeforeSynced: "effects are sent before every kind was listed in this life",
    TrustsBrokenWatch: "a watch that broke counts as open",
    KeepsUnlisted: "what a new list does not name is kept",
    IgnoresDeletions: "pods that are deleted are kept",
    IgnoresNodeChanges: "a node that is known is not looked at again",
    MissesMassNotReady: "the breaker for nodes that are not ready never trips",
    MissesVanished: "the breaker for pods that vanish in a list never trips",
    MissesApiFailing: "the breaker for an API server that fails never trips",
    NeverFreezes: "a breaker that trips while a plan is carried out stops nothing",
    GoesInCircles: "a plan goes back to what an earlier one left, as often as it likes",
    CountsStepped: "time by which the clock was set counts for what is waited for",
    // Effects and their ids.
    RetryableIsRefused: "a failure that could be tried again is taken as final",
    UnknownIsRefused: "an answer that was lost is taken as a refusal",
    UnknownIsDone: "an answer that was lost is taken as success",
    RefusedIsDone: "a refusal is taken as success",
    NeverAsksAgain: "an effect that was never answered is waited for for ever",
    ForgetsStale: "what was under way when the process ended is forgotten",
    SendsUnsynced: "what was decided before a watch broke is sent after it",
    SendsAbandoned: "what no phase wants any more is sent again",
    // Debts.
    OwesNoMachine: "a machine that is asked for is no debt",
    OwesNoMark: "labels and taints are no debt",
    OwesNoCost: "a deletion cost is no debt",
    OwesNoSurge: "replicas on top are no debt",
    OwesNoTemplate: "a changed template is no debt",
    PaysUnanswered: "a debt is paid when its undoing is sent",
    PaysRefused: "a debt is paid when its undoing is refused, whatever the reason",
    PaysAllOnRestart: "a new life begins without debts",
    // Phases.
    ForgetsIterationOnRestart: "a new life begins at Observing, whatever was under way",
    CarriesOnAnothersPlan: "the plan of an older release is carried on",
    IgnoresAbort: "an operator's abort is not heard",
    IgnoresPause: "an iteration begins although an operator paused",
    ApprovesAnything: "an approval of one plan approves any",
    RecommendActs: "in mode Recommend plans are carried out",
    ApproveActs: "in mode Approve nobody is waited for",
    IgnoresThreshold: "a plan that saves nothing is carried out",
    SkipsBooting: "pods move before the new machines are nodes",
    BootsForEver: "machines that never come are waited for for ever",
    LabelsForEver: "labels that cannot be set are waited for for ever",
    MovesForEver: "a move that does not end is waited for for ever",
    DrainsForEver: "a machine that does not go is waited for for ever",
    ClearsNothing: "the labels of a finished iteration stay",
    // Moves.
    MovesFromAnother: "pods are moved from a machine that took a leaving one's name",
    GrowsAgain: "a surge that a user took back is asked for again",
    ShrinksEarly: "a surge is scaled back before its new pod is ready",
    SurgesUnmarked: "a surge is scaled back without a leaving pod being marked",
    GrowsTwice: "a surge asks for one replica more than it needs",
    EvictsAll: "the pods of a workload are evicted without waiting for one another",
    MovesFromOpenNodes: "pods are evicted from nodes that are not marked",
    RestoresNothing: "a template keeps kinema's affinity after a rollout",
    // Removals.
    DeletesHeld: "a node is removed although a pod holds it",
    SkipsSettle: "a node is deleted at once when it looks empty",
    SkipsQuorumRead: "a node is deleted without asking the API server once more",
    BelievesView: "what the API server says at the last question is not looked at",
    DeletesUnnamed: "a machine is deleted by name without its number",
    NoRelief: "nodes go while pods wait that they would take",
    // Unwinding.
    UnwindsAtOnce: "what is under way is not awaited before it is undone",
    LeavesMachines: "machines that were asked for stay when an iteration is undone",
    LeavesMarks: "labels stay when an iteration is undone",
    LeavesWorkloads: "costs, replicas and templates stay when an iteration is undone",
    DeletesUsed: "a new machine is deleted although pods live there",
    // Account.
    MiscountsCost: "a machine that is gone goes on costing",
    // Loop.
    SendsUnflushed: "effects are sent before their intents are durable",
    DropsIntent: "an intent is left out of the journal",
    SwallowsChanges: "a watch event about what is known is not written down",
    TrustsClock: "an entry is stamped with whatever the clock shows",
    CheckpointsLate: "a checkpoint claims one entry less than it has",
    PlansByChance: "the same planning input gives another answer the second time",
    // Journal.
    FlushesNothing: "a flush leaves the last entry behind",
    LosesLast: "opening a journal drops its last entry",
    SyncsNothing: "a flush does not wait for the disk",
    AcknowledgesUnsynced: "a flush that the disk could not make durable answers well",
    HeadLeads: "the head mark is durable before the entries that it tells of",
    ForgetsNames: "the name of a new segment is not made durable",
    BelievesNames: "a name that a life before left in the cache is believed to be on the disk",
    TrustsCache: "what a failed flush left in the cache is believed to be on the disk",
    GoesOnUnwritten: "a flush that fails is taken for done",
);

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    use super::Canary;

    thread_local! {
        static PLANTED: Cell<Option<Canary>> = const { Cell::new(None) };
        static COIN: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether this bug is planted on this thread.
    pub fn planted(canary: Canary) -> bool {
        PLANTED.get() == Some(canary)
    }

    /// True every second time it is asked on this thread.
    pub fn by_chance() -> bool {
        COIN.set(!COIN.get());
        COIN.get()
    }

    /// Does something on this thread with a bug planted.
    pub fn with<T>(canary: Canary, what: impl FnOnce() -> T) -> T {
        /// Takes it out again, however it ends.
        struct Planted;
        impl Drop for Planted {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        PLANTED.set(Some(canary));
        let _planted = Planted;
        what()
    }
}

#[cfg(feature = "planted")]
pub use switch::{by_chance, planted, with};

/// What a bug of chance asks: nothing, in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn by_chance() -> bool {
    false
}

/// Whether this bug is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Canary) -> bool {
    false
}

#[cfg(all(test, feature = "planted"))]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_planted_only_while_it_is_and_only_on_its_thread() {
        assert!(!planted(Canary::SkipsSettle));
        let elsewhere = with(Canary::SkipsSettle, || {
            assert!(planted(Canary::SkipsSettle) && !planted(Canary::NoRelief));
            std::thread::spawn(|| planted(Canary::SkipsSettle)).join().expect("the thread ends")
        });
        assert!(!elsewhere && !planted(Canary::SkipsSettle));
    }

    #[test]
    fn there_are_sixty_at_least_and_no_name_twice() {
        let names: std::collections::BTreeSet<&str> = Canary::ALL.iter().map(|canary| canary.name()).collect();
        assert!(names.len() == Canary::ALL.len() && names.len() >= 60, "{}", names.len());
    }
}
