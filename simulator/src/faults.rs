//! What goes wrong in the cluster and on the way to it, as an explicit list: a failing run is made
//! smaller by leaving rules out, and kept by writing the rest down.
//!
//! Faults of the cloud are rules of [`crate::cloud`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use engine::PhaseName;
use journal_schema::effect::Effect;
use journal_schema::event::OperatorCommand;
use journal_schema::facts::Kind;
use journal_schema::policy::Policy;
use journal_schema::units::{Millis, Ppm};
use serde::{Deserialize, Serialize};

use crate::rng::Stream;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// It is carried out once and answered twice.
    AnsweredTwice,
    /// It is carried out at once and answered late.
    AnsweredLate(Millis),
}

impl RequestFault {
    /// Every fate; a request that is late comes `late`, and an answer that is late `answered`.
    pub const fn all(late: Millis, answered: Millis) -> [Self; 11] {
        [
            Self::Lost,
            Self::AnswerLost,
            Self::Silent,
            Self::Throttled,
            Self::ServerError,
            Self::ServerErrorAfter,
            Self::Forbidden,
            Self::Delayed(late),
            Self::Twice,
            Self::AnsweredTwice,
            Self::AnsweredLate(answered),
        ]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "request lost",
            Self::AnswerLost => "answer lost",
            Self::Silent => "never answered",
            Self::Throttled => "throttled",
            Self::ServerError => "server error before",
            Self::ServerErrorAfter => "server error after",
            Self::Forbidden => "forbidden",
            Self::Delayed(_) => "request late",
            Self::Twice => "carried out twice",
            Self::AnsweredTwice => "answered twice",
            Self::AnsweredLate(_) => "answered late",
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// One replica of the API server stands still for this long, and who lists in that time is answered by it: by
    /// what was true when it began.
    OldReplica {
        /// How long.
        span: Millis,
    },
    /// The next list of a kind shows nothing.
    EmptyList {
        /// Kind.
        kind: Kind,
    },
    /// The daemon's clock is set forward, or back when negative.
    ClockStep {
        /// By how much.
        by: Millis,
    },
    /// A node's kernel dies; with `back` it is up again after this long.
    NodeCrash {
        /// Node, by its place in the order of names.
        index: usize,
        /// Back after.
        back: Option<Millis>,
    },
    /// The group makes a node's machine anew: another machine comes under the same name.
    MachineReplaced {
        /// Node, by its place in the order of names.
        index: usize,
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
    /// An operator approves the plan that waits for it.
    ApprovePlan,
    /// An operator's command.
    Operator(OperatorCommand),
    /// The policy is changed.
    Policy(Box<Policy>),
}

impl FaultKind {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Request(fault) => fault.name(),
            Self::StaleWatch { .. } => "stale watch",
            Self::InterruptWatch { .. } => "watch gone",
            Self::DuplicateEvents => "events twice",
            Self::OldReplica { .. } => "old replica",
            Self::EmptyList { .. } => "empty list",
            Self::ClockStep { .. } => "clock step",
            Self::NodeCrash { .. } => "node crash",
            Self::MachineReplaced { .. } => "machine replaced",
            Self::NeverReady { .. } => "pods never ready",
            Self::ForeignScale { .. } => "scaled by a user",
            Self::GitOpsRevert { .. } => "template reverted",
            Self::BlockPdb { .. } => "budget blocks",
            Self::UsageGaps { .. } => "metrics gaps",
            Self::MetricsAway { .. } => "metrics away",
            Self::ApiServerAway { .. } => "API server away",
            Self::ApprovePlan => "plan approved",
            Self::Operator(_) => "operator",
            Self::Policy(_) => "policy changed",
        }
    }
}

/// The name of a trigger that means every request, of whatever kind.
pub const ANY_REQUEST: &str = "*";

/// When it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// This long after the daemon's first start.
    At(Millis),
    /// At a request: the effects of this name, from the `nth` on (counted from 1), `times` times.
    Effect {
        /// Name of the effect, as `Effect::name` gives it; empty for every changing effect, [`ANY_REQUEST`] for all.
        name: Cow<'static, str>,
        /// Which.
        nth: u32,
        /// How many.
        times: u32,
    },
    /// At each request of this name with this probability, within the first `until` of the run.
    Chance {
        /// Name of the effect, as above.
        name: Cow<'static, str>,
        /// Probability.
        chance: Ppm,
        /// Only so long after the daemon's first start.
        until: Millis,
    },
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        Self { trigger: Trigger::Effect { name: Cow::Borrowed(name), nth, times: 1 }, kind }
    }
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// The rule of requests, by its place in the list; `None` for what comes at a time or in the cloud.
    pub rule: Option<usize>,
    /// The request that it struck, counted from 1 over all; `None` as above.
    pub request: Option<u32>,
    /// Its name.
    pub name: &'static str,
    /// The daemon's phase.
    pub phase: PhaseName,
}

/// The rules of requests, how often each was asked and applied, and what went wrong so far.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    rules: Vec<(FaultRule, u32, u32)>,
    requests: u32,
    /// What the daemon is at: only to be written down.
    pub(crate) phase: PhaseName,
    pub(crate) log: Vec<Struck>,
}

impl Faults {
    pub(crate) fn new(rules: &[FaultRule]) -> Self {
        let rules = rules.iter().map(|rule| (rule.clone(), 0, 0)).collect();
        Self { rules, requests: 0, phase: PhaseName::Observing, log: Vec::new() }
    }

    /// Number of requests so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    /// The rules with a time.
    pub(crate) fn timed(&self) -> Vec<(Millis, FaultKind)> {
        let timed = |(rule, ..): &(FaultRule, u32, u32)| match rule.trigger {
            Trigger::At(after) => Some((after, rule.kind.clone())),
            Trigger::Effect { .. } | Trigger::Chance { .. } => None,
        };
        self.rules.iter().filter_map(timed).collect()
    }

    /// Something that came at its time.
    pub(crate) fn came(&mut self, name: &'static str) {
        self.log.push(Struck { rule: None, request: None, name, phase: self.phase });
    }

    /// What goes wrong at this request, `since` the daemon's start. At most one fault is of the
    /// request itself.
    pub(crate) fn strike(&mut self, effect: &Effect, since: Millis, stream: &mut Stream) -> Vec<FaultKind> {
        self.requests += 1;
        let mut struck: Vec<FaultKind> = Vec::new();
        for (index, (rule, seen, applied)) in self.rules.iter_mut().enumerate() {
            let named = |wanted: &str| match wanted {
                ANY_REQUEST => true,
                "" => effect.mutates(),
                name => name == effect.name(),
            };
            let applies = match &rule.trigger {
                Trigger::At(_) => false,
                Trigger::Effect { name, nth, times } => {
                    let fits = named(name);
                    *seen += u32::from(fits);
                    fits && *seen >= *nth && *applied < *times
                }
                Trigger::Chance { name, chance, until } => named(name) && since <= *until && stream.chance(chance.0),
            };
            let taken = matches!(rule.kind, FaultKind::Request(_))
                && struck.iter().any(|kind| matches!(kind, FaultKind::Request(_)));
            if applies && !taken {
                *applied += 1;
                struck.push(rule.kind.clone());
                let (request, phase) = (Some(self.requests), self.phase);
                self.log.push(Struck { rule: Some(index), request, name: rule.kind.name(), phase });
            }
        }
        struck
    }
}

/// The rules of a run in which chance has no part: each rule with a probability is replaced by one for each request
/// that it struck.
pub fn without_chance(rules: &[FaultRule], log: &[Struck]) -> Vec<FaultRule> {
    let mut struck: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (rule, request) in log.iter().filter_map(|struck| Some((struck.rule?, struck.request?))) {
        struck.entry(rule).or_default().push(request);
    }
    let mut explicit = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if matches!(rule.trigger, Trigger::Chance { .. }) {
            let requests = struck.get(&index).into_iter().flatten();
            explicit.extend(requests.map(|nth| FaultRule::on(ANY_REQUEST, *nth, rule.kind.clone())));
        } else {
            explicit.push(rule.clone());
        }
    }
    explicit
}
