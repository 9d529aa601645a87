//! First-fit-decreasing from scratch.
//!
//! What may leave does; its pods go, the largest first, to the first node that takes them, and to a new one of
//! the single machine type that makes this cheapest where none does. Then each new machine becomes the
//! cheapest one that takes its pods.

use std::collections::BTreeMap;

use super::Run;
use crate::search::boot_for;
use crate::state::NOWHERE;

pub(super) fn pack(run: &mut Run<'_, '_>) {
    let model = run.state.model;
    let mut items = Vec::new();
    for host in 0..run.state.open.len() {
        if run.may_leave(host) {
            items.extend(run.empty(host));
        }
    }
    let evicted = items.len();
    // Machines of a type differ by zone and by what they cost there.
    let mut types: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, machine) in model.machines.iter().enumerate() {
        types.entry(model.input.pools[machine.offer.pool].machine_type.as_str()).or_default().push(index);
    }
    let mut best: Option<((usize, i64), Vec<usize>)> = None;
    for machines in types.values() {
        let mark = run.state.mark();
        fill(run, items.clone(), machines);
        let price = (run.state.homeless, run.state.cost);
        run.state.undo(mark);
        if best.as_ref().is_none_or(|(least, _)| price < *least) {
            best = Some((price, machines.clone()));
        }
    }
    if let Some((_, machines)) = best {
        fill(run, items, &machines);
        for host in run.state.nodes()..run.state.open.len() {
            if run.state.open[host] {
                downsize(run, host);
            }
        }
    }
    run.done(evicted);
}

/// Packs items onto what is open, and what is left onto new machines of these, one after the other.
fn fill(run: &mut Run<'_, '_>, items: Vec<usize>, machines: &[usize]) {
    let mut rest = run.first_fit(items);
    while let Some(item) = rest.first().copied() {
        let class = run.state.model.items[item].class;
        let mut opened = None;
        for machine in machines {
            let mark = run.state.mark();
            opened = run.state.boot(*machine).filter(|host| run.state.fits(class, *host));
            if opened.is_some() {
                break;
            }
            run.state.undo(mark);
        }
        if opened.is_none() {
            boot_for(&mut run.state, item);
            rest.remove(0);
            opened = Some(run.state.at[item]).filter(|host| *host != NOWHERE);
        }
        if let Some(host) = opened {
            rest.retain(|item| !run.state.try_place(*item, host));
        }
    }
}

/// Makes a new machine the cheapest that takes its pods.
fn downsize(run: &mut Run<'_, '_>, host: usize) {
    let price = run.price(host);
    let mark = run.state.mark();
    let items = run.empty(host);
    if !run.boot_for_all(&items, |_| price) {
        run.state.undo(mark);
    }
}
