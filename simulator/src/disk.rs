//! The daemon's disk, and what goes wrong with it, as an explicit list like all that goes wrong.
//!
//! The journal on it is the production one. A fault strikes a call of the journal's by its number, counted over all
//! lives, so that a failing run can be made smaller and written down. What a power cut leaves of what was not synced
//! is drawn from the list's own seed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::disk::memory::{Faults, MemoryDisk};
use journal::disk::{Access, Disk, DiskFile, Locking};
use journal_schema::units::{Millis, Ppm, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rng::{Stream, noise};

/// A call of the journal's to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskCall {
    /// Whatever it is.
    Any,
    /// A write.
    Write,
    /// Making a file's contents durable.
    Sync,
    /// What is about names: opening, creating, renaming, removing, listing, cutting, and making names durable.
    Name,
    /// A read.
    Read,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFault {
    /// It fails with an error of IO. A write has written half of it, and a sync has forgotten what it should have made
    /// durable and works the next time, as on Linux.
    Fails,
    /// From now on the disk is full but for `room` bytes, for so long.
    Full {
        /// Bytes.
        room: u64,
        /// How long.
        span: Millis,
    },
    /// The power is cut: a write is cut off in the middle, all else does not happen.
    PowerCut,
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRule {
    /// Which calls are counted.
    pub call: DiskCall,
    /// The one that is struck, counted from 1.
    pub nth: u64,
    /// What happens to it.
    pub fault: DiskFault,
}

/// The disk of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskPlan {
    /// The seed of what power cuts leave.
    pub seed: u64,
    /// So many of the daemon's sudden ends are power cuts.
    pub power: Ppm,
    /// Bytes of a full segment of the journal.
    pub segment_bytes: u64,
    /// Flushes for each of which the journal's head mark is made durable.
    pub head_sync_every: u32,
    /// What goes wrong.
    pub rules: Vec<DiskRule>,
}

impl DiskPlan {
    /// A disk on which nothing goes wrong, for a journal with small segments.
    pub fn well(seed: u64) -> Self {
        Self { seed, power: Ppm(0), segment_bytes: 256 << 10, head_sync_every: 8, rules: Vec::new() }
    }
}

impl DiskCall {
    /// What it is called when it fails.
    fn failed(self) -> &'static str {
        match self {
            Self::Any => "disk call failed",
            Self::Write => "disk write failed",
            Self::Sync => "disk sync failed",
            Self::Name => "disk name failed",
            Self::Read => "disk read failed",
        }
    }
}

/// A disk that the plan strikes. Clones are one disk.
#[derive(Clone)]
pub(crate) struct Struck(Arc<Mutex<State>>);

struct State {
    disk: MemoryDisk,
    plan: DiskPlan,
    calls: u64,
    by_call: BTreeMap<DiskCall, u64>,
    now: Timestamp,
    /// The bytes that fit, and until when no more do.
    full: Option<(u64, Timestamp)>,
    /// What is there for the next life, once this one has lost the disk.
    left: Option<MemoryDisk>,
    ends: u64,
    told: Vec<&'static str>,
}

struct StruckFile {
    disk: Struck,
    file: Arc<dyn DiskFile>,
}

fn off() -> io::Error {
    io::Error::other("the disk is off")
}

impl State {
    /// A power cut now.
    fn cut(&self) -> MemoryDisk {
        self.disk.cut_power(noise(self.plan.seed, "power cut", self.calls.cast_signed()))
    }
}

impl Struck {
    pub(crate) fn new(plan: DiskPlan) -> Self {
        let (disk, by_call) = (MemoryDisk::new(), BTreeMap::new());
        let (now, full, left, told) = (Timestamp(0), None, None, Vec::new());
        Self(Arc::new(Mutex::new(State { disk, plan, calls: 0, by_call, now, full, left, ends: 0, told })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time goes on.
    pub(crate) fn at(&self, now: Timestamp) {
        self.state().now = now;
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// What went wrong since this was last asked.
    pub(crate) fn told(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().told)
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.plan.rules.clear();
        state.full = None;
        state.disk.set_faults(Faults::default());
    }

    /// The daemon ends at once, perhaps because the power is cut: what it still asks has no effect. With `by_itself`
    /// only the process ends.
    pub(crate) fn lose(&self, by_itself: bool) {
        let mut state = self.state();
        if state.left.is_some() {
            return;
        }
        state.ends += 1;
        let mut chance = Stream::new(noise(state.plan.seed, "ends", state.ends.cast_signed()), "power");
        let left = if !by_itself && chance.chance(state.plan.power.0) {
            state.told.push("power cut");
            state.cut()
        } else {
            state.disk.after_kill()
        };
        state.left = Some(left);
    }

    /// The next life finds what the last one left.
    pub(crate) fn find(&self) {
        let mut state = self.state();
        if let Some(left) = state.left.take() {
            state.disk = left;
        }
    }

    /// One call, as far as nothing goes wrong with it.
    fn call<T>(&self, kind: DiskCall, work: impl FnOnce(&MemoryDisk) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        if state.left.is_some() {
            return Err(off());
        }
        state.calls += 1;
        let all = state.calls;
        let of_kind = state.by_call.entry(kind).or_default();
        *of_kind += 1;
        let own = *of_kind;
        let strikes = |rule: &&DiskRule| match rule.call {
            DiskCall::Any => rule.nth == all,
            call => call == kind && rule.nth == own,
        };
        let struck: Vec<DiskFault> = state.plan.rules.iter().filter(strikes).map(|rule| rule.fault).collect();
        let (mut fails, mut cut) = (false, false);
        for fault in struck {
            match fault {
                DiskFault::Fails => {
                    fails = true;
                    state.told.push(kind.failed());
                }
                DiskFault::Full { room, span } => {
                    state.full = Some((state.disk.used() + room, state.now.plus(span)));
                    state.told.push("disk full");
                }
                DiskFault::PowerCut => {
                    cut = true;
                    state.told.push("power cut at a call");
                }
            }
        }
        if cut && kind != DiskCall::Write {
            state.left = Some(state.cut());
            return Err(off());
        }
        let now = state.now;
        let capacity = state.full.filter(|(_, until)| now < *until).map(|(bytes, _)| bytes);
        if fails || state.full.is_some() {
            state.disk.set_faults(Faults { fail_call: fails.then_some(1), capacity });
        }
        if capacity.is_none() {
            state.full = None;
        }
        let answer = work(&state.disk);
        if fails {
            state.disk.set_faults(Faults { fail_call: None, capacity });
        }
        if cut {
            state.left = Some(state.cut());
            return Err(off());
        }
        answer
    }
}

impl DiskFile for StruckFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.call(DiskCall::Read, |_| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.call(DiskCall::Write, |_| self.file.write_at(bytes, offset))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.call(DiskCall::Name, |_| self.file.set_len(length))
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.call(DiskCall::Read, |_| self.file.length())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call(DiskCall::Sync, |_| self.file.sync())
    }
}

impl Disk for Struck {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.call(DiskCall::Name, |disk| disk.open(path, access))?;
        Ok(Arc::new(StruckFile { disk: self.clone(), file }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call(DiskCall::Name, |disk| disk.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.call(DiskCall::Name, |disk| disk.list(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(DiskCall::Name, |disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(DiskCall::Name, |disk| disk.remove(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(DiskCall::Name, |disk| disk.sync_dir(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Locking> {
        self.call(DiskCall::Name, |disk| disk.lock(path))
    }

    fn is_real(&self) -> bool {
        false
    }
}
