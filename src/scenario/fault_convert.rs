//! Faults from the scenario file to the simulator's rules and back.

use journal_schema::event::OperatorCommand;
use journal_schema::text::{Message, Text};
use journal_schema::units::{Millis, Timestamp};
use simulator::cloud::{Call, FaultKind as SimCloudKind, FaultRule as SimCloudRule};
use simulator::faults::{FaultKind as SimKind, FaultRule as SimRule, RequestFault, Trigger};

use super::convert::{name, same_names};
use super::faults::{ByChance, CloudCall, CloudFault, CloudFaultKind, EffectName, Fault, FaultKind, OnEffect};
use super::names::Count;
use crate::config::{Percent, Span};

same_names!(CloudCall, Call, Create, Delete, List, Discover, Operation);

impl From<&Fault> for SimRule {
    fn from(from: &Fault) -> Self {
        let trigger = match (&from.on, &from.chance) {
            (Some(OnEffect { effect, nth, times }), _) => {
                Trigger::Effect { name: effect.name().into(), nth: nth.0, times: times.0 }
            }
            (None, Some(ByChance { effect, probability, until })) => {
                Trigger::Chance { name: effect.name().into(), chance: probability.0, until: until.0 }
            }
            (None, None) => Trigger::At(from.at.map_or(Millis(0), |at| at.0)),
        };
        Self { trigger, kind: (&from.fault).into() }
    }
}

impl From<&SimRule> for Fault {
    fn from(rule: &SimRule) -> Self {
        let (mut at, mut on, mut chance) = (None, None, None);
        let effect = |name: &str| EffectName::of(name).unwrap_or(EffectName::AnyChange);
        match &rule.trigger {
            Trigger::At(after) => at = Some(Span(*after)),
            Trigger::Effect { name, nth, times } => {
                on = Some(OnEffect { effect: effect(name), nth: Count(*nth), times: Count(*times) });
            }
            Trigger::Chance { name, chance: probability, until } => {
                chance =
                    Some(ByChance { effect: effect(name), probability: Percent(*probability), until: Span(*until) });
            }
        }
        Self { at, on, chance, fault: (&rule.kind).into() }
    }
}

impl From<&FaultKind> for SimKind {
    fn from(from: &FaultKind) -> Self {
        match from {
            FaultKind::Lost => Self::Request(RequestFault::Lost),
            FaultKind::AnswerLost => Self::Request(RequestFault::AnswerLost),
            FaultKind::Silent => Self::Request(RequestFault::Silent),
            FaultKind::Throttled => Self::Request(RequestFault::Throttled),
            FaultKind::ServerError => Self::Request(RequestFault::ServerError),
            FaultKind::ServerErrorAfter => Self::Request(RequestFault::ServerErrorAfter),
            FaultKind::Forbidden => Self::Request(RequestFault::Forbidden),
            FaultKind::Delayed { by } => Self::Request(RequestFault::Delayed(by.0)),
            FaultKind::Twice => Self::Request(RequestFault::Twice),
            FaultKind::AnsweredTwice => Self::Request(RequestFault::AnsweredTwice),
            FaultKind::AnsweredLate { by } => Self::Request(RequestFault::AnsweredLate(by.0)),
            FaultKind::StaleWatch { kind, span } => Self::StaleWatch { kind: *kind, span: span.0 },
            FaultKind::InterruptWatch { kind } => Self::InterruptWatch { kind: *kind },
            FaultKind::DuplicateEvents => Self::DuplicateEvents,
            FaultKind::EmptyList { kind } => Self::EmptyList { kind: *kind },
            FaultKind::OldReplica { span } => Self::OldReplica { span: span.0 },
            FaultKind::ClockStep { forward, back } => {
                let span = |given: &Option<Span>| given.map_or(0, |span| span.0.0);
                Self::ClockStep { by: Millis(span(forward) - span(back)) }
            }
            FaultKind::ApprovePlan => Self::ApprovePlan,
            FaultKind::MachineReplaced { index } => Self::MachineReplaced { index: index.0 as usize },
            FaultKind::NodeCrash { index, back } => {
                Self::NodeCrash { index: index.0 as usize, back: back.map(|span| span.0) }
            }
            FaultKind::NeverReady { workload } => Self::NeverReady { workload: workload.clone() },
            FaultKind::ForeignScale { workload, by } => Self::ForeignScale { workload: workload.clone(), by: *by },
            FaultKind::GitOpsRevert { workload, after } => {
                Self::GitOpsRevert { workload: workload.clone(), after: after.0 }
            }
            FaultKind::BlockBudget { budget } => Self::BlockPdb { pdb: budget.clone() },
            FaultKind::UsageGaps { share } => Self::UsageGaps { share: share.0 },
            FaultKind::MetricsAway { span } => Self::MetricsAway { span: span.0 },
            FaultKind::ApiServerAway { span } => Self::ApiServerAway { span: span.0 },
            FaultKind::Approve { digest } => {
                Self::Operator(OperatorCommand::Approve { digest: Text::truncated(digest) })
            }
            FaultKind::Reject { digest } => Self::Operator(OperatorCommand::Reject { digest: Text::truncated(digest) }),
            FaultKind::Pause { reason, span } => Self::Operator(OperatorCommand::Pause {
                reason: Message::truncated(reason),
                span: span.map(|span| span.0),
            }),
            FaultKind::Resume => Self::Operator(OperatorCommand::Resume),
            FaultKind::Abort => Self::Operator(OperatorCommand::Abort),
            FaultKind::PlanNow => Self::Operator(OperatorCommand::PlanNow),
            FaultKind::Policy { policy } => Self::Policy(Box::new(policy.as_ref().into())),
        }
    }
}

impl From<&SimKind> for FaultKind {
    fn from(from: &SimKind) -> Self {
        match from {
            SimKind::Request(request) => match *request {
                RequestFault::Lost => Self::Lost,
                RequestFault::AnswerLost => Self::AnswerLost,
                RequestFault::Silent => Self::Silent,
                RequestFault::Throttled => Self::Throttled,
                RequestFault::ServerError => Self::ServerError,
                RequestFault::ServerErrorAfter => Self::ServerErrorAfter,
                RequestFault::Forbidden => Self::Forbidden,
                RequestFault::Delayed(by) => Self::Delayed { by: Span(by) },
                RequestFault::Twice => Self::Twice,
                RequestFault::AnsweredTwice => Self::AnsweredTwice,
                RequestFault::AnsweredLate(by) => Self::AnsweredLate { by: Span(by) },
            },
            SimKind::StaleWatch { kind, span } => Self::StaleWatch { kind: *kind, span: Span(*span) },
            SimKind::InterruptWatch { kind } => Self::InterruptWatch { kind: *kind },
            SimKind::DuplicateEvents => Self::DuplicateEvents,
            SimKind::EmptyList { kind } => Self::EmptyList { kind: *kind },
            SimKind::OldReplica { span } => Self::OldReplica { span: Span(*span) },
            SimKind::ClockStep { by } => Self::ClockStep {
                forward: (by.0 >= 0).then_some(Span(*by)),
                back: (by.0 < 0).then_some(Span(Millis(-by.0))),
            },
            SimKind::ApprovePlan => Self::ApprovePlan,
            SimKind::MachineReplaced { index } => {
                Self::MachineReplaced { index: Count(u32::try_from(*index).unwrap_or(u32::MAX)) }
            }
            SimKind::NodeCrash { index, back } => {
                Self::NodeCrash { index: Count(u32::try_from(*index).unwrap_or(u32::MAX)), back: back.map(Span) }
            }
            SimKind::NeverReady { workload } => Self::NeverReady { workload: workload.clone() },
            SimKind::ForeignScale { workload, by } => Self::ForeignScale { workload: workload.clone(), by: *by },
            SimKind::GitOpsRevert { workload, after } => {
                Self::GitOpsRevert { workload: workload.clone(), after: Span(*after) }
            }
            SimKind::BlockPdb { pdb } => Self::BlockBudget { budget: pdb.clone() },
            SimKind::UsageGaps { share } => Self::UsageGaps { share: Percent(*share) },
            SimKind::MetricsAway { span } => Self::MetricsAway { span: Span(*span) },
            SimKind::ApiServerAway { span } => Self::ApiServerAway { span: Span(*span) },
            SimKind::Operator(command) => match command {
                OperatorCommand::Approve { digest } => Self::Approve { digest: digest.to_string() },
                OperatorCommand::Reject { digest } => Self::Reject { digest: digest.to_string() },
                OperatorCommand::Pause { reason, span } => {
                    Self::Pause { reason: reason.to_string(), span: span.map(Span) }
                }
                OperatorCommand::Resume => Self::Resume,
                OperatorCommand::Abort => Self::Abort,
                OperatorCommand::PlanNow => Self::PlanNow,
            },
            SimKind::Policy(policy) => Self::Policy { policy: Box::new(policy.as_ref().into()) },
        }
    }
}

impl From<&CloudFault> for SimCloudRule {
    fn from(from: &CloudFault) -> Self {
        let moment = |span: Option<Span>| span.map(|span| Timestamp(span.0.0));
        let own = |text: &Option<String>| text.as_ref().map(name);
        Self {
            kind: (&from.fault).into(),
            call: from.call.map(Into::into),
            pool: own(&from.pool),
            zone: own(&from.zone),
            machine_type: own(&from.machine_type),
            instance: own(&from.machine),
            from: moment(from.from),
            until: moment(from.until),
            skip: from.skip.0,
            times: from.times.map(|times| times.0),
            chance: from.probability.0,
        }
    }
}

impl From<&SimCloudRule> for CloudFault {
    fn from(rule: &SimCloudRule) -> Self {
        let span = |moment: Option<Timestamp>| moment.map(|moment| Span(Millis(moment.0)));
        let own = |name: &Option<journal_schema::text::Name>| name.as_ref().map(ToString::to_string);
        Self {
            fault: (&rule.kind).into(),
            call: rule.call.map(Into::into),
            pool: own(&rule.pool),
            zone: own(&rule.zone),
            machine_type: own(&rule.machine_type),
            machine: own(&rule.instance),
            from: span(rule.from),
            until: span(rule.until),
            skip: Count(rule.skip),
            times: rule.times.map(Count),
            probability: Percent(rule.chance),
        }
    }
}

impl From<&CloudFaultKind> for SimCloudKind {
    fn from(from: &CloudFaultKind) -> Self {
        match from {
            CloudFaultKind::Throttle => Self::Throttle,
            CloudFaultKind::Unavailable => Self::Unavailable,
            CloudFaultKind::DropCall => Self::DropCall,
            CloudFaultKind::LoseAnswer => Self::LoseAnswer,
            CloudFaultKind::Forbid => Self::Forbid,
            CloudFaultKind::ForgetRequestId => Self::ForgetRequestId,
            CloudFaultKind::FailOperation { status, code, message } => {
                Self::FailOperation { status: *status, code: name(code), message: name(message) }
            }
            CloudFaultKind::LoseOperation => Self::LoseOperation,
            CloudFaultKind::StallOperation => Self::StallOperation,
            CloudFaultKind::Partial { created } => Self::Partial { created: created.0 },
            CloudFaultKind::SlowDelete { extra } => Self::SlowDelete { extra: extra.0 },
            CloudFaultKind::IgnoreDelete => Self::IgnoreDelete,
            CloudFaultKind::Stockout { free } => Self::Stockout { free: free.0 },
            CloudFaultKind::NoAddresses => Self::NoAddresses,
            CloudFaultKind::SlowBoot { extra } => Self::SlowBoot { extra: extra.0 },
            CloudFaultKind::NeverJoins => Self::NeverJoins,
            CloudFaultKind::SlowJoin { extra } => Self::SlowJoin { extra: extra.0 },
            CloudFaultKind::JoinsNotReady => Self::JoinsNotReady,
            CloudFaultKind::JoinsSmaller { share } => Self::JoinsSmaller { share: share.0 },
            CloudFaultKind::Preempt { after } => Self::Preempt { after: after.0 },
        }
    }
}

impl From<&SimCloudKind> for CloudFaultKind {
    fn from(from: &SimCloudKind) -> Self {
        match from {
            SimCloudKind::Throttle => Self::Throttle,
            SimCloudKind::Unavailable => Self::Unavailable,
            SimCloudKind::DropCall => Self::DropCall,
            SimCloudKind::LoseAnswer => Self::LoseAnswer,
            SimCloudKind::Forbid => Self::Forbid,
            SimCloudKind::ForgetRequestId => Self::ForgetRequestId,
            SimCloudKind::FailOperation { status, code, message } => {
                Self::FailOperation { status: *status, code: code.to_string(), message: message.to_string() }
            }
            SimCloudKind::LoseOperation => Self::LoseOperation,
            SimCloudKind::StallOperation => Self::StallOperation,
            SimCloudKind::Partial { created } => Self::Partial { created: Count(*created) },
            SimCloudKind::SlowDelete { extra } => Self::SlowDelete { extra: Span(*extra) },
            SimCloudKind::IgnoreDelete => Self::IgnoreDelete,
            SimCloudKind::Stockout { free } => Self::Stockout { free: Count(*free) },
            SimCloudKind::NoAddresses => Self::NoAddresses,
            SimCloudKind::SlowBoot { extra } => Self::SlowBoot { extra: Span(*extra) },
            SimCloudKind::NeverJoins => Self::NeverJoins,
            SimCloudKind::SlowJoin { extra } => Self::SlowJoin { extra: Span(*extra) },
            SimCloudKind::JoinsNotReady => Self::JoinsNotReady,
            SimCloudKind::JoinsSmaller { share } => Self::JoinsSmaller { share: Percent(*share) },
            SimCloudKind::Preempt { after } => Self::Preempt { after: Span(*after) },
        }
    }
}
