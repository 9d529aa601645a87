//! The outcome of a change, checked on the facts again.
//!
//! Nothing of the compiled model's tables or counters is used, only which pod ends where: room in
//! full amounts, the pods' own rules, and anti-affinity in both directions, for every host that took
//! a pod. The linter checks more, by other means, and takes longer.

use std::collections::BTreeMap;

use journal_schema::facts::{Labels, PodFact, PodTerm, Taint};
use journal_schema::units::Resources;

use crate::model::{Model, first_static_failure};
use crate::rules::{HOSTNAME, NEW_NODE_NAME, selector_matches, term_namespaces};
use crate::sequence::{Change, Rehearsal};
use crate::state::NOWHERE;

/// A host after the change.
struct After<'a> {
    name: &'a str,
    labels: &'a Labels,
    taints: &'a [Taint],
    room: Resources,
    pods: Vec<usize>,
    took: bool,
}

/// Checks where every pod ends. The error says what is wrong, for people.
pub(crate) fn verify(model: &Model<'_>, change: &Change, rehearsal: &Rehearsal<'_, '_>) -> Result<(), String> {
    let mut hosts: Vec<After<'_>> = model
        .hosts
        .iter()
        .map(|host| After {
            name: &host.fact.name,
            labels: &host.fact.labels,
            taints: &host.fact.taints,
            room: host.fact.allocatable.clone(),
            pods: Vec::new(),
            took: false,
        })
        .collect();
    for machine in &change.machines {
        let offer = &model.machines[*machine].offer;
        let (labels, taints) = (&offer.labels, &offer.taints);
        hosts.push(After {
            name: NEW_NODE_NAME,
            labels,
            taints,
            room: offer.capacity.clone(),
            pods: Vec::new(),
            took: false,
        });
    }
    for (index, item) in model.items.iter().enumerate() {
        let host = rehearsal.state.at[index];
        if host == NOWHERE {
            if item.home.is_some() {
                return Err(format!("pod {} has no place", item.fact.key));
            }
            continue;
        }
        let leaves = change.leaves(host);
        let goes_with_it = item.fact.mirror || item.fact.of_daemon_set();
        if leaves && !goes_with_it {
            return Err(format!("pod {} is left on node {}", item.fact.key, hosts[host].name));
        }
        let mut request = item.fact.spec.requests.clone();
        request.pods = 1;
        hosts[host].room.sub(&request);
        hosts[host].pods.push(index);
        hosts[host].took |= item.home != Some(host);
    }
    let nothing = Resources::default();
    for host in hosts.iter().filter(|host| host.took) {
        let short = host.room.cpu < nothing.cpu || host.room.memory < nothing.memory || host.room.pods < 0;
        let asked = |name| {
            host.pods.iter().any(|p| model.items[*p].fact.spec.requests.extended.get(name).is_some_and(|a| *a > 0))
        };
        let ephemeral = host.room.ephemeral < nothing.ephemeral
            && host.pods.iter().any(|p| model.items[*p].fact.spec.requests.ephemeral > nothing.ephemeral);
        if short || ephemeral || host.room.extended.iter().any(|(name, left)| *left < 0 && asked(name)) {
            return Err(format!("node {} would run more than it offers", host.name));
        }
    }
    rules(model, &hosts)
}

/// The pods' own rules and anti-affinity, for every pod that went somewhere.
fn rules(model: &Model<'_>, hosts: &[After<'_>]) -> Result<(), String> {
    let mut by_domain: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let mut keys: Vec<&str> = model
        .items
        .iter()
        .flat_map(|item| item.fact.spec.pod_anti_affinity.iter().map(|t| t.topology_key.as_str()))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    for (slot, host) in hosts.iter().enumerate() {
        for key in keys.iter().filter(|key| **key != HOSTNAME) {
            if let Some(value) = host.labels.get(*key) {
                by_domain.entry((key, value)).or_default().push(slot);
            }
        }
    }
    for (slot, host) in hosts.iter().enumerate().filter(|(_, host)| host.took) {
        for item in host.pods.iter().map(|p| &model.items[*p]).filter(|item| item.home != Some(slot)) {
            if let Some(reason) = first_static_failure(model.input, item.fact, host.labels, host.taints, host.name) {
                return Err(format!("pod {} does not fit node {}: {reason:?}", item.fact.key, host.name));
            }
        }
        for key in &keys {
            let alone = [slot];
            let near: &[usize] = if *key == HOSTNAME {
                &alone
            } else {
                host.labels
                    .get(*key)
                    .and_then(|value| by_domain.get(&(*key, value.as_str())))
                    .map_or(&alone, Vec::as_slice)
            };
            if let Some((a, b)) = clash(model, hosts, slot, near, key) {
                return Err(format!("pod {} and pod {} must not be together", a.key, b.key));
            }
        }
    }
    Ok(())
}

/// A pod that came to a host, and a pod near it, one of which must not be near the other.
fn clash<'m>(
    model: &'m Model<'_>,
    hosts: &[After<'_>],
    slot: usize,
    near: &[usize],
    key: &str,
) -> Option<(&'m PodFact, &'m PodFact)> {
    let repels = |term: &PodTerm, owner: &PodFact, other: &PodFact| {
        term.topology_key == *key
            && term.selector.as_ref().is_some_and(|selector| selector_matches(selector, &other.labels))
            && term_namespaces(&model.input.cluster, &owner.key.namespace, term)
                .is_none_or(|n| n.contains(&other.key.namespace))
    };
    for guest in hosts[slot].pods.iter().copied().filter(|p| model.items[*p].home != Some(slot)) {
        let a = model.items[guest].fact;
        for other in near.iter().flat_map(|host| hosts[*host].pods.iter().copied()).filter(|other| *other != guest) {
            let b = model.items[other].fact;
            if a.spec.pod_anti_affinity.iter().any(|t| repels(t, a, b))
                || b.spec.pod_anti_affinity.iter().any(|t| repels(t, b, a))
            {
                return Some((a, b));
            }
        }
    }
    None
}
