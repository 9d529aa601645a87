//! What goes wrong, as data: rules that match a pool, a zone, a machine type or a machine, within a
//! window of time, a number of times, with a probability.
//!
//! One list of rules serves the simulator and the stand-in, so that a failure found in virtual time
//! can be played against the real client.

use journal_schema::text::Name;
use journal_schema::units::{Millis, Ppm, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rng::Stream;

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    // A call.
    /// The call is refused by the rate limit; nothing happens.
    Throttle,
    /// The server answers with an error of its own; nothing happens.
    Unavailable,
    /// The connection breaks before anything happened.
    DropCall,
    /// The call takes effect and its answer is lost.
    LoseAnswer,
    /// The call is not permitted.
    Forbid,
    /// The request id is not recognised when it is repeated.
    ForgetRequestId,

    // An operation.
    /// The operation ends with an error, and nothing happens.
    FailOperation {
        /// HTTP status, for example 412.
        status: u16,
        /// Code, for example `CONDITION_NOT_MET`.
        code: Name,
        /// Text.
        message: Name,
    },
    /// The operation cannot be read: 404 from the start. Its effect takes place.
    LoseOperation,
    /// The operation takes effect and never becomes DONE.
    StallOperation,
    /// Only the first `created` of the names are taken; the others are forgotten.
    Partial {
        /// How many are taken.
        created: u32,
    },
    /// Deletions are accepted and carried out this much later.
    SlowDelete {
        /// How much later.
        extra: Millis,
    },
    /// Deletions are accepted and not carried out.
    IgnoreDelete,

    // A machine.
    /// No machine is free, but for `free` of them; the group tries again for ever, so that a late
    /// machine comes when the rule ends.
    Stockout {
        /// Machines that can still be had while the rule holds.
        #[serde(default)]
        free: u32,
    },
    /// The subnet has no address.
    NoAddresses,
    /// The machine boots this much later.
    SlowBoot {
        /// How much later.
        extra: Millis,
    },
    /// The machine runs and its node never joins.
    NeverJoins,
    /// The node joins this much later.
    SlowJoin {
        /// How much later.
        extra: Millis,
    },
    /// The node joins and never becomes Ready.
    JoinsNotReady,
    /// The node joins with only this share of the CPU and memory that its pool promises.
    JoinsSmaller {
        /// Share.
        share: Ppm,
    },
    /// The cloud takes the machine back this long after it ran; the group then creates it again
    /// under the same name with another id.
    Preempt {
        /// How long after.
        after: Millis,
    },
}

/// When a kind of rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Call,
    RequestId,
    Operation,
    Read,
    Finish,
    Create,
    Delete,
    Attempt,
    Boot,
    Join,
    Node,
    Run,
}

impl FaultKind {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttle => "cloud throttles",
            Self::Unavailable => "cloud unavailable",
            Self::DropCall => "cloud call lost",
            Self::LoseAnswer => "cloud answer lost",
            Self::Forbid => "cloud forbids",
            Self::ForgetRequestId => "request id forgotten",
            Self::FailOperation { .. } => "operation fails",
            Self::LoseOperation => "operation not found",
            Self::StallOperation => "operation never done",
            Self::Partial { .. } => "only some machines",
            Self::SlowDelete { .. } => "late deletion",
            Self::IgnoreDelete => "deletion ignored",
            Self::Stockout { .. } => "stock-out",
            Self::NoAddresses => "no addresses",
            Self::SlowBoot { .. } => "slow boot",
            Self::NeverJoins => "node never joins",
            Self::SlowJoin { .. } => "node joins late",
            Self::JoinsNotReady => "node never ready",
            Self::JoinsSmaller { .. } => "node smaller",
            Self::Preempt { .. } => "machine taken back",
        }
    }

    fn moment(&self) -> Moment {
        match self {
            Self::Throttle | Self::Unavailable | Self::DropCall | Self::LoseAnswer | Self::Forbid => Moment::Call,
            Self::ForgetRequestId => Moment::RequestId,
            Self::FailOperation { .. } => Moment::Operation,
            Self::LoseOperation => Moment::Read,
            Self::StallOperation => Moment::Finish,
            Self::Partial { .. } => Moment::Create,
            Self::SlowDelete { .. } | Self::IgnoreDelete => Moment::Delete,
            Self::Stockout { .. } | Self::NoAddresses => Moment::Attempt,
            Self::SlowBoot { .. } => Moment::Boot,
            Self::NeverJoins | Self::SlowJoin { .. } => Moment::Join,
            Self::JoinsNotReady | Self::JoinsSmaller { .. } => Moment::Node,
            Self::Preempt { .. } => Moment::Run,
        }
    }
}

/// Which call a rule of a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// createInstances.
    Create,
    /// deleteInstances.
    Delete,
    /// listManagedInstances.
    List,
    /// Reading groups and templates.
    Discover,
    /// Reading an operation.
    Operation,
}

/// A rule. An absent condition always holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What it does.
    pub kind: FaultKind,
    /// Only this call.
    #[serde(default)]
    pub call: Option<Call>,
    /// Only this pool.
    #[serde(default)]
    pub pool: Option<Name>,
    /// Only this zone.
    #[serde(default)]
    pub zone: Option<Name>,
    /// Only this machine type.
    #[serde(default)]
    pub machine_type: Option<Name>,
    /// Only the machine of this name.
    #[serde(default)]
    pub instance: Option<Name>,
    /// From this moment on.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Before this moment.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Holds back after this many matches …
    #[serde(default)]
    pub skip: u32,
    /// … and applies at most this many times.
    #[serde(default)]
    pub times: Option<u32>,
    /// With this probability.
    #[serde(default = "always")]
    pub chance: Ppm,
}

fn always() -> Ppm {
    Ppm::percent(100)
}

impl FaultRule {
    /// A rule without conditions.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            call: None,
            pool: None,
            zone: None,
            machine_type: None,
            instance: None,
            from: None,
            until: None,
            skip: 0,
            times: None,
            chance: always(),
        }
    }
}

/// What is being done, as far as a rule may ask.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject<'a> {
    pub(super) call: Option<Call>,
    pub(super) pool: &'a str,
    pub(super) zone: &'a str,
    pub(super) machine_type: &'a str,
    pub(super) instance: &'a str,
}

#[derive(Clone, Debug)]
struct Armed {
    rule: FaultRule,
    seen: u32,
    applied: u32,
    taken: u32,
}

/// The rules and how often each applied.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    armed: Vec<Armed>,
    random: Stream,
    /// What applied since it was last asked.
    struck: Vec<&'static str>,
}

impl Rules {
    pub(super) fn new(rules: Vec<FaultRule>, random: Stream) -> Self {
        let mut this = Self { armed: Vec::new(), random, struck: Vec::new() };
        this.replace(rules);
        this
    }

    pub(super) fn replace(&mut self, rules: Vec<FaultRule>) {
        self.armed = rules.into_iter().map(|rule| Armed { rule, seen: 0, applied: 0, taken: 0 }).collect();
    }

    pub(super) fn add(&mut self, rule: FaultRule) {
        self.armed.push(Armed { rule, seen: 0, applied: 0, taken: 0 });
    }

    /// Each rule with the number of times it applied.
    pub(super) fn list(&self) -> impl Iterator<Item = (&FaultRule, u32)> {
        self.armed.iter().map(|armed| (&armed.rule, armed.applied))
    }

    /// The names of what applied since this was last asked.
    pub(super) fn take_struck(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.struck)
    }

    /// The first rule of this moment that applies to the subject.
    pub(super) fn strike(&mut self, now: Timestamp, moment: Moment, subject: Subject<'_>) -> Option<FaultKind> {
        let Self { armed, random, struck } = self;
        for armed in armed.iter_mut() {
            let rule = &armed.rule;
            let fits = |wanted: &Option<Name>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted.as_str() == is);
            let matches = rule.kind.moment() == moment
                && rule.call.is_none_or(|call| subject.call == Some(call))
                && fits(&rule.pool, subject.pool)
                && fits(&rule.zone, subject.zone)
                && fits(&rule.machine_type, subject.machine_type)
                && fits(&rule.instance, subject.instance)
                && rule.from.is_none_or(|from| from <= now)
                && rule.until.is_none_or(|until| now < until)
                && rule.times.is_none_or(|times| armed.applied < times);
            if !matches {
                continue;
            }
            armed.seen += 1;
            if armed.seen <= rule.skip || !random.chance(rule.chance.0) {
                continue;
            }
            if let FaultKind::Stockout { free } = rule.kind
                && armed.taken < free
            {
                armed.taken += 1;
                continue;
            }
            armed.applied += 1;
            struck.push(rule.kind.name());
            return Some(rule.kind.clone());
        }
        None
    }
}
