//! Karpenter's consolidation.
//!
//! From its documentation and design notes: nodes that are empty are deleted together; then several nodes at
//! once are deleted or replaced by one cheaper node, the largest prefix of the first hundred candidates for
//! which that is possible being found by bisection; then single nodes are. Candidates are ordered by what they
//! cost for the pods that would have to move. Pods go to the first existing node that takes them, the largest
//! first, and what is left must fit one new node that costs less than all that are removed; where several are
//! removed, it is not of a type that is among them unless it is cheaper than the cheapest of that type.

use super::Run;
use crate::eligibility::machine_type_of;

/// Candidates that the bisection looks at.
const MOST_CANDIDATES: usize = 100;

pub(super) fn consolidate(run: &mut Run<'_, '_>) {
    loop {
        let empty = delete_empty(run);
        let candidates = candidates(run);
        if !(several(run, &candidates) || single(run, &candidates) || empty) {
            return;
        }
    }
}

fn delete_empty(run: &mut Run<'_, '_>) -> bool {
    let empty: Vec<usize> =
        (0..run.state.open.len()).filter(|host| run.may_leave(*host) && run.state.pods[*host].is_empty()).collect();
    for host in &empty {
        run.state.close(*host);
    }
    if !empty.is_empty() {
        run.done(0);
    }
    !empty.is_empty()
}

/// Nodes that may leave, those that cost most for what would be disrupted first.
fn candidates(run: &Run<'_, '_>) -> Vec<usize> {
    let ratio = |host: usize| {
        let pods = i64::try_from(run.state.pods[host].len()).unwrap_or(i64::MAX - 1);
        run.price(host) * 1_000 / (1 + pods)
    };
    let mut hosts: Vec<usize> = (0..run.state.open.len()).filter(|host| run.may_leave(*host)).collect();
    hosts.sort_by_key(|host| (-ratio(*host), *host));
    hosts
}

/// The largest prefix that a bisection finds; whether there is one.
fn several(run: &mut Run<'_, '_>, candidates: &[usize]) -> bool {
    let candidates = &candidates[..candidates.len().min(MOST_CANDIDATES)];
    let (mut least, mut most) = (1, candidates.len().saturating_sub(1));
    let mut found = None;
    while least <= most {
        let middle = usize::midpoint(least, most);
        let mark = run.state.mark();
        let possible = command(run, &candidates[..=middle]).is_some();
        run.state.undo(mark);
        if possible {
            found = Some(middle);
            least = middle + 1;
        } else {
            most = middle - 1;
        }
    }
    let Some(evicted) = found.and_then(|middle| command(run, &candidates[..=middle])) else { return false };
    run.done(evicted);
    true
}

/// The first single node that can be deleted or replaced; whether there is one.
fn single(run: &mut Run<'_, '_>, candidates: &[usize]) -> bool {
    for host in candidates {
        let mark = run.state.mark();
        if let Some(evicted) = command(run, &[*host]) {
            run.done(evicted);
            return true;
        }
        run.state.undo(mark);
    }
    false
}

/// Deletes nodes, and boots one if it must; how many pods are evicted, or `None` where that is not possible,
/// with things left half done for the caller to undo.
fn command(run: &mut Run<'_, '_>, hosts: &[usize]) -> Option<usize> {
    let mut most: i64 = hosts.iter().map(|host| run.price(*host)).sum();
    let model = run.state.model;
    let of_offer = |machine: usize| model.input.pools[model.machines[machine].offer.pool].machine_type.as_str();
    let of_host = |host: usize| match model.hosts.get(host) {
        Some(node) => machine_type_of(node.fact),
        None => of_offer(run.state.machine[host]),
    };
    let removed: Vec<(&str, i64)> = hosts.iter().map(|host| (of_host(*host), run.price(*host))).collect();
    let mut items = Vec::new();
    for host in hosts {
        items.extend(run.empty(*host));
    }
    let evicted = items.len();
    let rest = run.first_fit(items);
    if rest.is_empty() {
        return Some(evicted);
    }
    let replaced = run.boot_for_all(&rest, |machine| {
        let alike = removed.iter().filter(|(kind, _)| hosts.len() > 1 && *kind == of_offer(machine));
        most = alike.map(|(_, price)| *price).fold(most, i64::min);
        most
    });
    replaced.then_some(evicted)
}
