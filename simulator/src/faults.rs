//! What goes wrong in the cluster and on the way to it, as an explicit list: a failing run is made
//! smaller by leaving rules out, and kept by writing the rest down.
//!
//! Faults of the cloud are rules of [`crate::cloud`].

use journal_schema::effect::Effect;
use journal_schema::event::OperatorCommand;
use journal_schema::facts::Kind;
use journal_schema::policy::Policy;
use journal_schema::units::{Millis, Ppm};

use crate::rng::Stream;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// It never arrives; the caller sees a time-out.
    Lost,
    /// It is carried out; the caller sees a time-out.
    AnswerLost,
    /// It is carried out and nobody ever answers.
    Silent,
    /// 429: not carried out.
    Throttled,
    /// 500: not carried out.
    ServerError,
    /// 500 after it was carried out.
    ServerErrorAfter,
    /// 403.
    Forbidden,
    /// It arrives late.
    Delayed(Millis),
    /// It is carried out twice: a proxy sent it again.
    Twice,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A request's fate.
    Request(RequestFault),
    /// A watch shows nothing new for this long, and lists are as old.
    StaleWatch {
        /// Kind.
        kind: Kind,
        /// How long.
        span: Millis,
    },
    /// A watch breaks (410 Gone) and lists anew.
    InterruptWatch {
        /// Kind.
        kind: Kind,
    },
    /// Watches deliver everything twice from now on.
    DuplicateEvents,
    /// A node's kernel dies; with `back` it is up again after this long.
    NodeCrash {
        /// Node, by its place in the order of names.
        index: usize,
        /// Back after.
        back: Option<Millis>,
    },
    /// New pods of a workload never become ready.
    NeverReady {
        /// `namespace/name`.
        workload: String,
    },
    /// A user changes the replicas.
    ForeignScale {
        /// `namespace/name`.
        workload: String,
        /// By how many.
        by: i32,
    },
    /// GitOps takes changes of a workload's template back, every time, this long after.
    GitOpsRevert {
        /// `namespace/name`.
        workload: String,
        /// After.
        after: Millis,
    },
    /// A budget allows nothing any more.
    BlockPdb {
        /// `namespace/name`.
        pdb: String,
    },
    /// Usage of this share of the containers has gaps from now on.
    UsageGaps {
        /// Share.
        share: Ppm,
    },
    /// The metrics server is away for this long.
    MetricsAway {
        /// How long.
        span: Millis,
    },
    /// The API server is away for this long: every request fails, every watch breaks.
    ApiServerAway {
        /// How long.
        span: Millis,
    },
    /// An operator's command.
    Operator(OperatorCommand),
    /// The policy is changed.
    Policy(Box<Policy>),
}

/// When it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// This long after the daemon's first start.
    At(Millis),
    /// At a request: the effects of this name, from the `nth` on (counted from 1), `times` times.
    Effect {
        /// Name of the effect, as `Effect::name` gives it; empty for every changing effect.
        name: &'static str,
        /// Which.
        nth: u32,
        /// How many.
        times: u32,
    },
    /// At each request of this name (empty: every effect) with this probability, within the first
    /// `until` of the run.
    Chance {
        /// Name of the effect.
        name: &'static str,
        /// Probability.
        chance: Ppm,
        /// Only so long after the daemon's first start.
        until: Millis,
    },
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub kind: FaultKind,
}

impl FaultRule {
    /// Something at a time after the daemon's start.
    pub fn at(after: Millis, kind: FaultKind) -> Self {
        Self { trigger: Trigger::At(after), kind }
    }
    /// Something at the nth request of a name.
    pub fn on(name: &'static str, nth: u32, kind: FaultKind) -> Self {
        Self { trigger: Trigger::Effect { name, nth, times: 1 }, kind }
    }
}

/// The rules of requests, and how often each was asked and applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<(FaultRule, u32, u32)>,
}

impl Faults {
    pub(crate) fn new(rules: &[FaultRule]) -> Self {
        Self { rules: rules.iter().map(|rule| (rule.clone(), 0, 0)).collect() }
    }

    /// The rules with a time.
    pub(crate) fn timed(&self) -> Vec<(Millis, FaultKind)> {
        let timed = |(rule, ..): &(FaultRule, u32, u32)| match rule.trigger {
            Trigger::At(after) => Some((after, rule.kind.clone())),
            Trigger::Effect { .. } | Trigger::Chance { .. } => None,
        };
        self.rules.iter().filter_map(timed).collect()
    }

    /// What goes wrong at this request, `since` the daemon's start. At most one fault is of the
    /// request itself.
    pub(crate) fn strike(&mut self, effect: &Effect, since: Millis, stream: &mut Stream) -> Vec<FaultKind> {
        let mut struck: Vec<FaultKind> = Vec::new();
        for (rule, seen, applied) in &mut self.rules {
            let named = |wanted: &str| wanted == effect.name() || (wanted.is_empty() && effect.mutates());
            let applies = match rule.trigger {
                Trigger::At(_) => false,
                Trigger::Effect { name, nth, times } => {
                    if named(name) {
                        *seen += 1;
                    }
                    named(name) && *seen >= nth && *applied < times
                }
                Trigger::Chance { name, chance, until } => named(name) && since <= until && stream.chance(chance.0),
            };
            let taken = matches!(rule.kind, FaultKind::Request(_))
                && struck.iter().any(|kind| matches!(kind, FaultKind::Request(_)));
            if applies && !taken {
                *applied += 1;
                struck.push(rule.kind.clone());
            }
        }
        struck
    }
}

/// A random list of faults: every kind is in with a chance of one half, and its rate is drawn.
/// All are over after `until`, so that what follows must converge.
pub fn swarm(seed: u64, until: Millis) -> Vec<FaultRule> {
    let mut stream = Stream::new(seed, "swarm");
    let mut rules = Vec::new();
    let requests = [
        RequestFault::Lost,
        RequestFault::AnswerLost,
        RequestFault::Throttled,
        RequestFault::ServerError,
        RequestFault::ServerErrorAfter,
        RequestFault::Delayed(Millis::from_secs(20)),
        RequestFault::Twice,
    ];
    for fault in requests {
        if stream.chance(500_000) {
            // From 0.1 % to 12.8 %, each doubling equally likely.
            let chance = Ppm(1_000 << stream.below(8));
            rules.push(FaultRule {
                trigger: Trigger::Chance { name: "", chance, until },
                kind: FaultKind::Request(fault),
            });
        }
    }
    for kind in Kind::ALL {
        if stream.chance(150_000) {
            let at = Millis(stream.between(0, until.0));
            rules.push(FaultRule::at(at, FaultKind::InterruptWatch { kind }));
        }
        if stream.chance(150_000) {
            let at = Millis(stream.between(0, until.0));
            let span = Millis(stream.between(1_000, 120_000));
            rules.push(FaultRule::at(at, FaultKind::StaleWatch { kind, span }));
        }
    }
    if stream.chance(300_000) {
        rules.push(FaultRule::at(Millis(0), FaultKind::DuplicateEvents));
    }
    if stream.chance(200_000) {
        let at = Millis(stream.between(0, until.0));
        let span = Millis(stream.between(5_000, 180_000));
        rules.push(FaultRule::at(at, FaultKind::ApiServerAway { span }));
    }
    if stream.chance(200_000) {
        rules.push(FaultRule::at(Millis(0), FaultKind::UsageGaps { share: Ppm::percent(stream.between(1, 40)) }));
    }
    rules
}
