//! What every object has: identity, times, labels, owner, and the short list of annotations that are read.

use journal_schema::facts::{DoNotDisrupt, Key, Kind, Labels, Owner, OwnerKind};
use journal_schema::text::Name;
use journal_schema::units::{Millis, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use std::collections::BTreeMap;

use super::{IdentityError, Notes};

/// Karpenter: never move this pod, never remove this node. `true`, or a duration since creation.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// cluster-autoscaler: `true` permits and `false` forbids to evict this pod.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// cluster-autoscaler: local volumes that may be lost, separated by commas.
pub const SAFE_LOCAL_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
/// cluster-autoscaler: `true` keeps this node.
pub const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// Descheduler: rather not this pod.
pub const PREFER_NO_EVICTION: &str = "descheduler.alpha.kubernetes.io/prefer-no-eviction";
/// ReplicaSet controller: pods with a lower cost are removed first.
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Ours: leave it alone.
pub const EXCLUDE: &str = "kinema.dev/exclude";
/// Ours: leave it alone for now.
pub const PAUSE: &str = "kinema.dev/pause";
/// Ours: what it takes to move this pod, in ordinary moves (`2`, `0.5`).
pub const MOVE_COST: &str = "kinema.dev/move-cost";
/// The kubelet's copy of a static pod.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// GKE: the machine's numeric id.
pub const INSTANCE_ID: &str = "container.googleapis.com/instance_id";

fn identity(field: &'static str, text: Option<&str>, required: bool) -> Result<Name, IdentityError> {
    let text = text.unwrap_or_default();
    if required && text.is_empty() {
        return Err(IdentityError { field, what: "it is missing".to_owned() });
    }
    Name::new(text).map_err(|error| IdentityError { field, what: error.to_string() })
}

/// The object's name.
pub(crate) fn name(meta: &ObjectMeta) -> Result<Name, IdentityError> {
    identity("metadata.name", meta.name.as_deref(), true)
}

/// The object's UID; empty in a file written by hand.
pub(crate) fn uid(meta: &ObjectMeta) -> Result<Name, IdentityError> {
    identity("metadata.uid", meta.uid.as_deref(), false)
}

/// Namespace and name; an object without a namespace in a file is in `default`, as kubectl would put it.
pub(crate) fn key(meta: &ObjectMeta) -> Result<Key, IdentityError> {
    let namespace = identity("metadata.namespace", Some(meta.namespace.as_deref().unwrap_or("default")), true)?;
    Ok(Key::new(namespace, name(meta)?))
}

/// The key under which an object of this kind is known; `None` when it has no name.
pub(crate) fn key_of(kind: Kind, meta: &ObjectMeta) -> Option<Key> {
    match kind {
        Kind::Node | Kind::Namespace | Kind::PersistentVolume | Kind::CsiNode => name(meta).ok().map(Key::cluster),
        Kind::Pod
        | Kind::Deployment
        | Kind::ReplicaSet
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::PodDisruptionBudget
        | Kind::HorizontalPodAutoscaler
        | Kind::PersistentVolumeClaim => key(meta).ok(),
    }
}

/// A moment, in whole milliseconds.
pub(crate) fn time(time: &Time) -> Timestamp {
    Timestamp(time.0.as_millisecond())
}

/// Creation; the epoch when it is not told (a file written by hand).
pub(crate) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map(time).unwrap_or_default()
}

/// When deletion was asked for.
pub(crate) fn deleted(meta: &ObjectMeta) -> Option<Timestamp> {
    meta.deletion_timestamp.as_ref().map(time)
}

/// A map of labels, or of a selector's pairs.
pub(crate) fn pairs(notes: &mut Notes, field: &str, pairs: Option<&BTreeMap<String, String>>) -> Labels {
    let Some(pairs) = pairs else { return Labels::new() };
    pairs.iter().map(|(key, value)| (notes.name(field, key), notes.name(field, value))).collect()
}

/// The object's labels.
pub(crate) fn labels(notes: &mut Notes, meta: &ObjectMeta) -> Labels {
    pairs(notes, "metadata.labels", meta.labels.as_ref())
}

/// An annotation's value.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// An annotation that says yes by `true`.
pub(crate) fn says_true(meta: &ObjectMeta, key: &str) -> bool {
    annotation(meta, key) == Some("true")
}

/// Whether the object is opted out, by annotation or by label. Any value but `false` opts out.
pub(crate) fn excluded(meta: &ObjectMeta) -> bool {
    [EXCLUDE, PAUSE].iter().any(|key| {
        let label = meta.labels.as_ref().and_then(|labels| labels.get(*key)).map(String::as_str);
        [annotation(meta, key), label].into_iter().flatten().any(|value| value != "false")
    })
}

/// `karpenter.sh/do-not-disrupt`. A value that is neither a truth nor a duration protects for ever:
/// whoever wrote it wanted protection.
pub(crate) fn do_not_disrupt(meta: &ObjectMeta) -> DoNotDisrupt {
    match annotation(meta, DO_NOT_DISRUPT) {
        None | Some("" | "false") => DoNotDisrupt::No,
        Some("true") => DoNotDisrupt::Always,
        Some(text) => go_duration(text).map_or(DoNotDisrupt::Always, |span| {
            created(meta).0.checked_add(span.0).map_or(DoNotDisrupt::Always, |end| DoNotDisrupt::Until(Timestamp(end)))
        }),
    }
}

/// A duration as Go writes it ("1h30m", "1.5h", "300ms"), rounded up to milliseconds.
/// `None` when it is not one, is negative, or is longer than a millennium.
pub fn go_duration(text: &str) -> Option<Millis> {
    const NANOS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    const LONGEST: i128 = 1000 * 366 * 24 * 3_600_000_000_000;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Millis(0));
    }
    let mut total: i128 = 0;
    while !rest.is_empty() || total == 0 && rest.len() == text.len() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (_, nanos) = NANOS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 18 {
            return None;
        }
        let fraction = fraction.get(..12).unwrap_or(fraction);
        let fraction_scale = 10i128.pow(u32::try_from(fraction.len()).ok()?);
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        total += whole * nanos + (part * nanos + fraction_scale - 1) / fraction_scale;
        if total > LONGEST {
            return None;
        }
        rest = next;
    }
    i64::try_from((total + 999_999) / 1_000_000).ok().map(Millis)
}

/// The controller reference.
pub(crate) fn owner(meta: &ObjectMeta) -> Result<Option<Owner>, IdentityError> {
    let references = meta.owner_references.as_deref().unwrap_or_default();
    let Some(reference) = references.iter().find(|reference| reference.controller == Some(true)) else {
        return Ok(None);
    };
    // A Deployment of another group (OpenKruise has such kinds) is not a Deployment.
    let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = match (group, reference.kind.as_str()) {
        ("apps", "Deployment") => OwnerKind::Deployment,
        ("apps", "ReplicaSet") => OwnerKind::ReplicaSet,
        ("apps", "StatefulSet") => OwnerKind::StatefulSet,
        ("apps", "DaemonSet") => OwnerKind::DaemonSet,
        ("batch", "Job") => OwnerKind::Job,
        ("", "Node") => OwnerKind::Node,
        _ => OwnerKind::Other,
    };
    Ok(Some(Owner {
        kind,
        name: identity("metadata.ownerReferences.name", Some(&reference.name), true)?,
        uid: identity("metadata.ownerReferences.uid", Some(&reference.uid), false)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        let cases = [
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("300ms", Some(300)),
            ("1ns", Some(1)),
            ("0", Some(0)),
            ("2h0m0s", Some(7_200_000)),
            (".5s", Some(500)),
            ("0s", Some(0)),
            ("10µs", Some(1)),
            ("", None),
            ("h", None),
            ("1", None),
            ("1d", None),
            ("-1h", None),
            ("1h30", None),
            ("true", None),
            ("1..5h", None),
            ("999999999999999999h", None),
        ];
        for (text, millis) in cases {
            assert_eq!(go_duration(text), millis.map(Millis), "{text}");
        }
    }
}
