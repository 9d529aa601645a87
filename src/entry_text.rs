//! One entry of the journal in one line.

use journal_schema::effect::{Answer, Effect, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, OperatorCommand, WatchEvent};
use journal_schema::units::Millis;

/// What happened, without number and time.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::DaemonStarted { epoch, build, policy, .. } => {
            format!("daemon {build} starts in epoch {epoch}, mode {:?}", policy.mode)
        }
        Event::PolicyChanged { policy } => format!("policy changed, mode {:?}", policy.mode),
        Event::Watch(watch) => watch_text(watch),
        Event::Intents { effects } => {
            let mut names: Vec<String> =
                effects.iter().take(3).map(|(id, effect)| format!("{id} {}", effect_text(effect))).collect();
            if effects.len() > 3 {
                names.push(format!("and {} more", effects.len() - 3));
            }
            format!("intends {}", names.join("; "))
        }
        Event::Outcome { id, outcome } => format!("{id} {}", outcome_text(outcome)),
        Event::DeadlineReached { deadline } => format!("deadline {deadline:?}"),
        Event::Operator { by, command } => format!("{by} {}", command_text(command)),
        Event::TailCut { bytes } => format!("the journal's tail was cut by {bytes} bytes"),
        Event::ClockStepped { by } if by.0 < 0 => format!("the clock was set back by {}", Millis(-by.0)),
        Event::ClockStepped { by } => format!("the clock was set forward by {by}"),
    }
}

/// `#18231  2026-11-22T01:00:00.000Z  Watch            applied Pod shop/cart-1`
pub(crate) fn line(entry: &Entry) -> String {
    format!("#{:<8} {}  {:<16} {}", entry.seq, journal::rfc3339(entry.at), entry.event.name(), event(&entry.event))
}

fn watch_text(watch: &WatchEvent) -> String {
    match watch {
        WatchEvent::RelistStarted { kind } => format!("list of {} begins", kind.as_str()),
        WatchEvent::Listed(object) => format!("listed {} {}", object.kind().as_str(), object.key()),
        WatchEvent::RelistFinished { kind } => format!("list of {} is complete", kind.as_str()),
        WatchEvent::Applied(object) => format!("applied {} {}", object.kind().as_str(), object.key()),
        WatchEvent::Deleted { kind, key } => format!("deleted {} {key}", kind.as_str()),
        WatchEvent::Interrupted { kind } => format!("watch of {} broke", kind.as_str()),
    }
}

/// What an effect asks for.
pub(crate) fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::DiscoverPools | Effect::ReadPrices | Effect::Forecast | Effect::Plan { .. } => effect.name().to_owned(),
        Effect::ListInstances { pools } => format!("ListInstances of {} pools", pools.len()),
        Effect::ReadUsage { window, .. } => format!("ReadUsage of {window}"),
        Effect::ReadNodePods { node } => format!("ReadNodePods {node}"),
        Effect::ReadAffinity { workload, .. } => format!("ReadAffinity {workload}"),
        Effect::CreateInstances { pool, names, .. } => format!("CreateInstances {} in {pool}", name_list(names.iter())),
        Effect::DeleteInstances { pool, instances, .. } => {
            format!("DeleteInstances {} in {pool}", name_list(instances.iter().map(|instance| &instance.name)))
        }
        Effect::MarkNode { node, role, .. } => format!("MarkNode {node} {role:?}"),
        Effect::SetDeletionCost { pod, cost, .. } => match cost {
            Some(cost) => format!("SetDeletionCost {pod} {cost}"),
            None => format!("SetDeletionCost {pod} away"),
        },
        Effect::Scale { workload, from, to, .. } => format!("Scale {workload} {from} -> {to}"),
        Effect::Evict { pod, .. } => format!("Evict {pod}"),
        Effect::PatchTemplate { workload, .. } => format!("PatchTemplate {workload}"),
        Effect::Notice { reason, .. } => format!("Notice {reason}"),
    }
}

fn name_list<'a>(names: impl ExactSizeIterator<Item = &'a journal_schema::text::Name>) -> String {
    let count = names.len();
    let mut shown: Vec<String> = names.take(2).map(ToString::to_string).collect();
    if count > 2 {
        shown.push(format!("and {} more", count - 2));
    }
    shown.join(", ")
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("failed: {:?} {:?} {}", failure.class, failure.code, failure.message),
        Outcome::Answered(answer) => match answer {
            Answer::Done => "done".to_owned(),
            Answer::Pools(pools) => format!("{} pools", pools.len()),
            Answer::Instances(lists) => {
                format!(
                    "{} instances in {} pools",
                    lists.iter().map(|list| list.instances.len()).sum::<usize>(),
                    lists.len()
                )
            }
            Answer::Prices(book) => format!("{} prices of {}", book.entries.len(), book.source),
            Answer::Usage(window) => format!("usage of {} containers", window.series.len()),
            Answer::NodePods(pods) => format!("{} pods on the node", pods.len()),
            Answer::Affinity(affinity, _) => if affinity.is_some() { "an affinity" } else { "no affinity" }.to_owned(),
            Answer::Forecasts(forecasts) => format!("forecasts for {} containers", forecasts.containers.len()),
            Answer::Planned(planned) => format!(
                "a plan: {} to add, {} to remove, {} to move, {} -> {} $/h",
                planned.plan.add.len(),
                planned.plan.remove.len(),
                planned.plan.moves.len(),
                planned.plan.cost_now,
                planned.plan.cost_after
            ),
        },
    }
}

fn command_text(command: &OperatorCommand) -> String {
    match command {
        OperatorCommand::Approve { digest } => format!("approves {digest}"),
        OperatorCommand::Reject { digest } => format!("rejects {digest}"),
        OperatorCommand::Pause { reason, span } => {
            let span: Option<Millis> = *span;
            let until = span.map_or_else(|| "until resumed".to_owned(), |span| format!("for {span}"));
            format!("pauses {until}: {reason}")
        }
        OperatorCommand::Resume => "resumes".to_owned(),
        OperatorCommand::Abort => "aborts".to_owned(),
        OperatorCommand::PlanNow => "asks for a plan now".to_owned(),
    }
}
