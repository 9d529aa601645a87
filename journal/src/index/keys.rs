//! What an entry is found by.

use journal_schema::effect::{Answer, Effect, Outcome, Regarding};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind, WorkloadId};

/// One thing that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexKey {
    /// An object of the cluster.
    Object(Kind, Key),
    /// An iteration, by its number.
    Iteration(u64),
    /// An event's name, as `Event::name` gives it.
    Event(&'static str),
}

/// Gives what an entry is about. The index calls it for every entry.
pub type IndexKeys = fn(&Entry, &mut Vec<IndexKey>);

/// What an entry is about, as far as the entry alone tells: its event's name, the objects it names,
/// and the iteration where an effect or a plan carries it.
pub fn index_keys(entry: &Entry, out: &mut Vec<IndexKey>) {
    out.push(IndexKey::Event(entry.event.name()));
    match &entry.event {
        Event::Watch(watch) => match watch {
            WatchEvent::Listed(object) | WatchEvent::Applied(object) => {
                out.push(IndexKey::Object(object.kind(), object.key()))
            }
            WatchEvent::Deleted { kind, key } => out.push(IndexKey::Object(*kind, key.clone())),
            WatchEvent::RelistStarted { .. } | WatchEvent::RelistFinished { .. } | WatchEvent::Interrupted { .. } => {}
        },
        Event::Intents { effects } => {
            for (_, effect) in effects {
                effect_keys(effect, out);
            }
        }
        Event::Outcome { outcome: Outcome::Answered(Answer::Planned(planned)), .. } => {
            out.push(IndexKey::Iteration(planned.plan.iteration));
            out.extend(
                planned.plan.remove.iter().map(|node| IndexKey::Object(Kind::Node, Key::cluster(node.node.clone()))),
            );
            out.extend(planned.plan.moves.iter().map(|moved| IndexKey::Object(Kind::Pod, moved.pod.clone())));
        }
        Event::DaemonStarted { .. }
        | Event::PolicyChanged { .. }
        | Event::Outcome { .. }
        | Event::DeadlineReached { .. }
        | Event::Operator { .. }
        | Event::TailCut { .. }
        | Event::ClockStepped { .. } => {}
    }
    // An Intents entry names the same object many times over.
    out.sort_unstable();
    out.dedup();
}

fn effect_keys(effect: &Effect, out: &mut Vec<IndexKey>) {
    let node = |name: &journal_schema::text::Name| IndexKey::Object(Kind::Node, Key::cluster(name.clone()));
    let workload = |id: &WorkloadId| IndexKey::Object(id.kind.kind(), id.key.clone());
    match effect {
        Effect::ReadNodePods { node: name } => out.push(node(name)),
        Effect::MarkNode { node: name, iteration, .. } => {
            out.push(node(name));
            out.push(IndexKey::Iteration(*iteration));
        }
        Effect::CreateInstances { names, .. } => out.extend(names.iter().map(node)),
        Effect::DeleteInstances { instances, .. } => out.extend(instances.iter().map(|instance| node(&instance.name))),
        Effect::SetDeletionCost { pod, .. } | Effect::Evict { pod, .. } => {
            out.push(IndexKey::Object(Kind::Pod, pod.clone()))
        }
        Effect::Scale { workload: id, .. }
        | Effect::PatchTemplate { workload: id, .. }
        | Effect::ReadAffinity { workload: id, .. } => {
            out.push(workload(id));
        }
        Effect::Notice { regarding, .. } => match regarding {
            Regarding::Node(name, _) => out.push(node(name)),
            Regarding::Workload(id, _) => out.push(workload(id)),
            Regarding::Pod(pod, _) => out.push(IndexKey::Object(Kind::Pod, pod.clone())),
            Regarding::Kinema => {}
        },
        Effect::DiscoverPools
        | Effect::ListInstances { .. }
        | Effect::ReadPrices
        | Effect::ReadUsage { .. }
        | Effect::Forecast
        | Effect::Plan { .. } => {}
    }
}

impl IndexKey {
    /// The key's bytes in the index, before the seq. Equal bytes are equal keys: the name, which is
    /// the only part of any length but the last, stands before a zero byte that no name has.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Object(kind, key) => {
                out.push(b'o');
                out.extend_from_slice(kind.as_str().as_bytes());
                out.push(0);
                out.extend_from_slice(key.namespace.as_bytes());
                out.push(0);
                out.extend_from_slice(key.name.as_bytes());
            }
            Self::Iteration(iteration) => {
                out.push(b'i');
                out.extend_from_slice(&iteration.to_be_bytes());
            }
            Self::Event(name) => {
                out.push(b'n');
                out.extend_from_slice(name.as_bytes());
            }
        }
        out.push(0);
        out
    }
}
