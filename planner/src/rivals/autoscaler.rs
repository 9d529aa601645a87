//! Cluster autoscaler's scale-down.
//!
//! From its FAQ: a node is unneeded when the sum of the CPU requests and that of the memory requests on it are
//! both below half of what is allocatable (`scale-down-utilization-threshold`, DaemonSets' pods count), and
//! all its pods that can move fit onto other nodes. Empty nodes leave at once, others one by one. No smaller
//! machine ever takes a larger one's place.

use super::Run;
use crate::model::{CPU, MEMORY};

/// Hundredths of the allocatable amount below which a node is unneeded.
const THRESHOLD: i64 = 50;

pub(super) fn scale_down(run: &mut Run<'_, '_>) {
    loop {
        let mut removed = false;
        for host in 0..run.state.nodes() {
            if !run.may_leave(host) || utilization(run, host) >= THRESHOLD {
                continue;
            }
            let mark = run.state.mark();
            let items = run.empty(host);
            let evicted = items.len();
            if run.first_fit(items).is_empty() {
                run.done(evicted);
                removed = true;
            } else {
                run.state.undo(mark);
            }
        }
        if !removed {
            return;
        }
    }
}

/// The larger share of CPU and memory that is requested, in hundredths.
fn utilization(run: &Run<'_, '_>, host: usize) -> i64 {
    let allocatable = &run.state.model.hosts[host].fact.allocatable;
    let room = &run.state.room[host];
    let share = |total: i64, left: i64| i128::from(total - left) * 100 / i128::from(total.max(1));
    let most = share(allocatable.cpu.0, room[CPU]).max(share(allocatable.memory.0, room[MEMORY]));
    i64::try_from(most).unwrap_or(i64::MAX)
}
