//! Balance: how far each node's mix of CPU and memory is from that of the whole cluster.
//!
//! Where CPU-heavy pods are together on one node and memory-heavy ones on another, each node has much left of
//! what nobody there asks for, and a new pod fits on neither. The pivot is the fleet's ratio of CPU to memory:
//! of all that is requested, each as a share of all that is offered. A node's distance from it is by how much
//! more of its CPU, or of its memory, is requested than the pivot says for what is requested of the other, as a
//! share of the node. The sum of the distances is the entropy; moves between nodes change it and leave the
//! pivot where it is. [`swaps`] finds moves that lower it.

pub(crate) mod swaps;

use journal_schema::plan::Balance;
use journal_schema::units::{MilliCpu, Ppm};

use crate::model::{Amounts, CPU, Host, MEMORY, Model};
use crate::sequence::Change;
use crate::state::State;

/// The whole of a node.
const WHOLE: i64 = 1_000_000;
/// Bytes of a GiB.
const GIB: i128 = 1 << 30;

/// The pivot of a cluster, and what its nodes offer.
pub(crate) struct Scale {
    /// Requested shares of all CPU and of all memory, in millionths.
    pivot: [i64; 2],
    /// Requested CPU and memory.
    requested: [i128; 2],
    /// By present node: allocatable CPU and memory.
    total: Vec<[i64; 2]>,
}

impl Scale {
    pub(crate) fn new(model: &Model<'_>) -> Self {
        let total: Vec<[i64; 2]> = model.hosts.iter().map(Host::offers).collect();
        let mut scale = Self { pivot: [0; 2], requested: [0; 2], total };
        let mut offered = [0_i128; 2];
        for (slot, host) in model.hosts.iter().enumerate() {
            if !scale.counts(slot) {
                continue;
            }
            for (index, dim) in [CPU, MEMORY].into_iter().enumerate() {
                offered[index] += i128::from(scale.total[slot][index]);
                scale.requested[index] += i128::from(scale.total[slot][index] - host.room[dim]);
            }
        }
        for (index, offered) in offered.into_iter().enumerate() {
            scale.pivot[index] = share(scale.requested[index], offered);
        }
        scale
    }

    /// Whether a present node has both.
    fn counts(&self, host: usize) -> bool {
        self.total[host].iter().all(|total| *total > 0)
    }

    /// The requested shares of a present node that has so much room.
    fn shares(&self, host: usize, room: &Amounts) -> [i64; 2] {
        let of = |index: usize, dim: usize| {
            let total = self.total[host][index];
            share(i128::from(total - room[dim]), i128::from(total))
        };
        [of(0, CPU), of(1, MEMORY)]
    }

    /// The distance of shares from the pivot, in millionths; positive where CPU is in excess.
    fn tilt_of(&self, shares: [i64; 2]) -> i64 {
        let [cpu, memory] = self.pivot.map(i128::from);
        let excess = i128::from(shares[0]) * memory - i128::from(shares[1]) * cpu;
        i64::try_from(excess / cpu.max(memory).max(1)).unwrap_or(0)
    }

    /// The distance of a present node with so much room; zero where it does not count.
    pub(crate) fn tilt(&self, host: usize, room: &Amounts) -> i64 {
        if self.counts(host) { self.tilt_of(self.shares(host, room)) } else { 0 }
    }

    /// The sum of the distances of a placement's nodes, without those that leave.
    pub(crate) fn entropy(&self, state: &State<'_, '_>, change: &Change) -> i64 {
        let present = (0..state.nodes()).filter(|host| !change.leaves(*host));
        let present: i64 = present.map(|host| self.tilt(host, &state.room[host]).abs()).sum();
        let new = (state.nodes()..state.open.len()).filter(|slot| state.open[*slot]).map(|slot| {
            let pool = &state.model.input.pools[state.model.machines[state.machine[slot]].offer.pool];
            let of = |total: i64, dim: usize| share(i128::from(total - state.room[slot][dim]), i128::from(total));
            self.tilt_of([of(pool.allocatable.cpu.0, CPU), of(pool.allocatable.memory.0, MEMORY)]).abs()
        });
        present + new.sum::<i64>()
    }

    /// For the report: the pivot, and the entropy before and after a change.
    pub(crate) fn report(&self, before: &State<'_, '_>, after: &State<'_, '_>, change: &Change) -> Balance {
        let [cpu, memory] = self.requested;
        let per_gib = if memory > 0 { cpu * GIB / memory } else { 0 };
        Balance {
            pivot: MilliCpu(i64::try_from(per_gib).unwrap_or(i64::MAX)),
            before: Ppm(self.entropy(before, &Change::nothing())),
            after: Ppm(self.entropy(after, change)),
        }
    }
}

/// A part of a whole in millionths, rounded down.
fn share(part: i128, whole: i128) -> i64 {
    if whole <= 0 { 0 } else { i64::try_from(part * i128::from(WHOLE) / whole).unwrap_or(0) }
}
