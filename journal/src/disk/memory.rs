//! A disk in memory that can fail any call, fill up, and lose power.
//!
//! What a real disk promises is little: bytes are durable after `sync` of their file, names after
//! `sync_dir` of their directory, and at a power cut any subset of the unsynced sectors may have been
//! written, and any of the unsynced creations, removals and renames done; a rename is done whole or not
//! at all. [`MemoryDisk::cut_power`] gives one such outcome, chosen by a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, Disk, DiskFile, Held, Locking};

/// Bytes that are written as one.
const SECTOR: usize = 512;

/// Which calls fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The call with this number, counted from 1 over all files, fails with an IO error. A write
    /// that fails has written half of its bytes; a `sync` that fails has forgotten what it should
    /// have written and works the next time, as Linux does.
    pub fail_call: Option<u64>,
    /// Bytes that fit on the disk; a write beyond them writes what fits and fails with ENOSPC.
    pub capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    /// What a read sees.
    cached: Vec<u8>,
    /// What is on the disk.
    durable: Vec<u8>,
    /// Sectors written since the last sync.
    dirty: BTreeSet<usize>,
}

#[derive(Default)]
struct Inner {
    files: Vec<Contents>,
    /// What a look-up sees.
    names: BTreeMap<PathBuf, usize>,
    /// What is on the disk.
    durable_names: BTreeMap<PathBuf, usize>,
    locked: BTreeSet<PathBuf>,
    faults: Faults,
    calls: u64,
}

/// A disk in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

struct MemoryFile {
    disk: MemoryDisk,
    index: usize,
}

struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.inner().locked.remove(&self.path);
    }
}

fn broken() -> io::Error {
    io::Error::other("simulated IO error")
}

impl Inner {
    /// Counts a call; `true` when it is the one to fail.
    fn fails(&mut self) -> bool {
        self.calls += 1;
        self.faults.fail_call == Some(self.calls)
    }

    fn call(&mut self) -> io::Result<()> {
        if self.fails() { Err(broken()) } else { Ok(()) }
    }

    fn write(&mut self, index: usize, bytes: &[u8], offset: usize) {
        let file = &mut self.files[index];
        let end = offset + bytes.len();
        if file.cached.len() < end {
            file.cached.resize(end, 0);
        }
        file.cached[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            file.dirty.extend(offset / SECTOR..=(end - 1) / SECTOR);
        }
    }
}

impl MemoryDisk {
    /// An empty disk that works.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what fails from now on and counts calls from zero again.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.inner();
        inner.faults = faults;
        inner.calls = 0;
    }

    /// Calls since the faults were set.
    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        let inner = self.inner();
        inner.names.values().map(|&index| inner.files[index].cached.len() as u64).sum()
    }

    /// What is in a file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.names.get(path).map(|&index| inner.files[index].cached.clone())
    }

    /// Replaces a file's contents, durably.
    pub fn overwrite(&self, path: &Path, contents: Vec<u8>) {
        let mut inner = self.inner();
        let index = inner.files.len();
        inner.files.push(Contents { cached: contents.clone(), durable: contents, dirty: BTreeSet::new() });
        inner.names.insert(path.to_owned(), index);
        inner.durable_names.insert(path.to_owned(), index);
    }

    /// An independent copy of what a process would see that starts after this one was killed: all
    /// that was written, synced or not, and no locks.
    pub fn after_kill(&self) -> Self {
        let inner = self.inner();
        Self {
            inner: Arc::new(Mutex::new(Inner {
                files: inner.files.clone(),
                names: inner.names.clone(),
                durable_names: inner.durable_names.clone(),
                ..Inner::default()
            })),
        }
    }

    /// An independent copy of what is there after a power cut now: everything synced, and of the
    /// rest whatever `seed` chooses, sector by sector and name by name.
    pub fn cut_power(&self, seed: u64) -> Self {
        let inner = self.inner();
        let mut random = seed;
        let mut chance = || {
            // SplitMix64 (Steele, Lea, Flood 2014).
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        // Some cuts keep nearly all, some nearly nothing.
        let keep = chance() % 101;
        let mut files = Vec::new();
        for file in &inner.files {
            let mut bytes = file.durable.clone();
            let grown = file.cached.len() != bytes.len() && chance() % 100 < keep;
            if grown {
                bytes.resize(file.cached.len(), 0);
            }
            for &sector in &file.dirty {
                let start = sector * SECTOR;
                let end = (start + SECTOR).min(file.cached.len()).min(bytes.len());
                if start < end && chance() % 100 < keep {
                    bytes[start..end].copy_from_slice(&file.cached[start..end]);
                }
            }
            files.push(Contents { cached: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
        }
        let mut names = inner.durable_names.clone();
        for (path, index) in &inner.names {
            if names.get(path) != Some(index) && chance() % 100 < keep {
                names.insert(path.clone(), *index);
            }
        }
        for (path, index) in &inner.durable_names {
            if inner.names.contains_key(path) {
                continue;
            }
            let mut renamed = inner.names.iter().filter(|(_, other)| *other == index).map(|(to, _)| to).peekable();
            let gone = match renamed.peek() {
                Some(_) => renamed.any(|to| names.get(to) == Some(index)),
                None => chance() % 100 < keep,
            };
            if gone {
                names.remove(path);
            }
        }
        Self { inner: Arc::new(Mutex::new(Inner { files, durable_names: names.clone(), names, ..Inner::default() })) }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.inner();
        inner.call()?;
        let file = &inner.files[self.index].cached;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        let count = buffer.len().min(file.len() - start);
        buffer[..count].copy_from_slice(&file[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let offset = usize::try_from(offset).map_err(|_| broken())?;
        if inner.fails() {
            inner.write(self.index, &bytes[..bytes.len() / 2], offset);
            return Err(broken());
        }
        if let Some(capacity) = inner.faults.capacity {
            let used: usize = inner.names.values().map(|&index| inner.files[index].cached.len()).sum();
            let room = usize::try_from(capacity).unwrap_or(usize::MAX).saturating_sub(used);
            let length = inner.files[self.index].cached.len();
            let fits = bytes.len().min((length + room).saturating_sub(offset));
            if fits < bytes.len() {
                inner.write(self.index, &bytes[..fits], offset);
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
        }
        inner.write(self.index, bytes, offset);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.call()?;
        let length = usize::try_from(length).map_err(|_| broken())?;
        inner.files[self.index].cached.resize(length, 0);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let mut inner = self.disk.inner();
        inner.call()?;
        Ok(inner.files[self.index].cached.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let fails = inner.fails();
        let file = &mut inner.files[self.index];
        let dirty = std::mem::take(&mut file.dirty);
        if fails {
            return Err(broken());
        }
        file.durable.resize(file.cached.len(), 0);
        for sector in dirty {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(file.cached.len());
            if start < end {
                file.durable[start..end].copy_from_slice(&file.cached[start..end]);
            }
        }
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.call()?;
        let index = match (inner.names.get(path).copied(), access) {
            (Some(_), Access::CreateNew) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (Some(index), Access::Read | Access::Write) => index,
            (None, Access::Read | Access::Write) => return Err(io::Error::from(io::ErrorKind::NotFound)),
            (None, Access::CreateNew) => {
                let index = inner.files.len();
                inner.files.push(Contents::default());
                inner.names.insert(path.to_owned(), index);
                index
            }
        };
        Ok(Arc::new(MemoryFile { disk: self.clone(), index }))
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        // Directories are names with a common beginning; they need no creation.
        self.inner().call()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut inner = self.inner();
        inner.call()?;
        let names = inner.names.keys().filter(|file| file.parent() == Some(path));
        Ok(names.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call()?;
        let index = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), index);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call()?;
        inner.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call()?;
        let Inner { names, durable_names, .. } = &mut *inner;
        durable_names.retain(|file, _| file.parent() != Some(path));
        durable_names.extend(
            names.iter().filter(|(file, _)| file.parent() == Some(path)).map(|(file, &index)| (file.clone(), index)),
        );
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Locking> {
        let mut inner = self.inner();
        inner.call()?;
        if !inner.locked.insert(path.to_owned()) {
            return Ok(Locking::Taken(None));
        }
        let held: Held = Box::new(MemoryLock { disk: self.clone(), path: path.to_owned() });
        Ok(Locking::Held(held))
    }

    fn is_real(&self) -> bool {
        false
    }
}
