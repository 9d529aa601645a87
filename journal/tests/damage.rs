//! What a crash leaves behind is cut exactly; what rots is found, located and never dropped silently.

#![allow(clippy::unwrap_used)]

mod samples;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::disk::memory::MemoryDisk;
use journal::repair::accept_prefix_on;
use journal::{Fault, FileJournal, JournalReader, OpenError, Opened, Options, Source};
use samples::*;

const DIR: &str = "/journal";

fn options(disk: &MemoryDisk) -> Options {
    Options { disk: Arc::new(disk.clone()), ..plain() }
}

fn open(disk: &MemoryDisk) -> Result<(FileJournal, Opened), OpenError> {
    FileJournal::open(Path::new(DIR), options(disk))
}

fn segment(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("segments/{number:08}.kjs"))
}

/// Reads everything and checks that it is the exact prefix of what was written.
fn durable(journal: &FileJournal) -> u64 {
    let mut last = 0;
    for entry in journal.read(1) {
        last += 1;
        assert_eq!(entry.unwrap(), small(last));
    }
    last
}

/// A journal of three batches, the last of which has at least 4 KiB; the length of its segment
/// before and after that batch.
fn three_batches() -> (MemoryDisk, usize, usize) {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    fill(&mut journal, 1, 20, 10);
    let before = disk.contents(&segment(0)).unwrap().len();
    fill(&mut journal, 21, 60, 60);
    let after = disk.contents(&segment(0)).unwrap().len();
    assert!(after - before >= 4096, "{}", after - before);
    (disk.after_kill(), before, after)
}

/// What the disk looks like when the last batch was being written: HEAD does not know of it yet.
fn head_before_the_last_batch(disk: &MemoryDisk) {
    let (whole, before, _) = three_batches();
    let bytes = disk.contents(&segment(0)).unwrap();
    let fresh = MemoryDisk::new();
    let (mut journal, _) = open(&fresh).unwrap();
    fill(&mut journal, 1, 20, 10);
    drop(journal);
    assert_eq!(fresh.contents(&segment(0)).unwrap(), whole.contents(&segment(0)).unwrap()[..before]);
    disk.overwrite(&Path::new(DIR).join("HEAD"), fresh.contents(&Path::new(DIR).join("HEAD")).unwrap());
    disk.overwrite(&segment(0), bytes);
}

#[test]
fn a_last_batch_cut_at_any_byte_is_cut_as_one() {
    let (disk, before, after) = three_batches();
    head_before_the_last_batch(&disk);
    let whole = disk.contents(&segment(0)).unwrap();
    for length in before..=after {
        let disk = disk.after_kill();
        disk.overwrite(&segment(0), whole[..length].to_vec());
        let (mut journal, opened) = open(&disk).unwrap_or_else(|error| panic!("cut at {length}: {error}"));
        let expected = if length == after { 60 } else { 20 };
        assert_eq!(durable(&journal), expected, "cut at {length}");
        let cut = if length == after { 0 } else { (length - before) as u64 };
        assert_eq!(opened, Opened { tail_cut: cut, beyond_head: expected - 20, created: false }, "cut at {length}");
        fill(&mut journal, expected + 1, expected + 3, 2);
        drop(journal);
        assert_eq!(durable(&open(&disk).unwrap().0), expected + 3);
    }
}

#[test]
fn an_acknowledged_batch_that_is_cut_short_is_never_dropped() {
    let (disk, before, after) = three_batches();
    let whole = disk.contents(&segment(0)).unwrap();
    for length in before..after {
        let disk = disk.after_kill();
        disk.overwrite(&segment(0), whole[..length].to_vec());
        match open(&disk).err() {
            Some(OpenError::TailLost { head: 60, segments: 20, .. }) => {}
            Some(OpenError::Damaged { damage, .. }) => assert!(damage.offset >= before as u64, "{damage}"),
            other => panic!("cut at {length}: {other:?}"),
        }
        assert_eq!(disk.contents(&segment(0)).unwrap(), whole[..length], "refusing changes nothing");
    }
}

#[test]
fn a_last_segment_cut_at_any_byte_is_never_taken_for_a_shorter_journal() {
    let (disk, before, _) = three_batches();
    let whole = disk.contents(&segment(0)).unwrap();
    for length in 0..before {
        let disk = disk.after_kill();
        disk.overwrite(&segment(0), whole[..length].to_vec());
        let error = open(&disk).err().unwrap_or_else(|| panic!("cut at {length}: opened"));
        assert!(matches!(error, OpenError::TailLost { head: 60, .. } | OpenError::Damaged { .. }), "{length}: {error}");
        assert_eq!(disk.contents(&segment(0)).unwrap(), whole[..length], "refusing changes nothing");
    }
}

#[test]
fn a_full_segment_cut_at_any_byte_is_found_and_placed() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    fill(&mut journal, 1, 150, 10);
    drop(journal);
    let whole = disk.contents(&segment(0)).unwrap();
    assert!(disk.contents(&segment(1)).is_some());
    let mut due = Vec::new();
    for length in 0..whole.len() {
        let disk = disk.after_kill();
        disk.overwrite(&segment(0), whole[..length].to_vec());
        match open(&disk).err() {
            // Cut behind a batch it is a segment with nothing wrong, which the next one does not follow.
            Some(OpenError::Damaged { damage, .. }) if damage.file == Path::new("segments/00000001.kjs") => {
                assert!(matches!(damage.fault, Fault::Header { .. }), "cut at {length}: {damage}");
                due.push(damage.seq);
            }
            Some(OpenError::Damaged { damage, .. }) => {
                assert_eq!(damage.file, Path::new("segments/00000000.kjs"), "cut at {length}: {damage}");
                assert!(damage.offset <= length as u64 && length as u64 - damage.offset < 200, "{length}: {damage}");
            }
            other => panic!("cut at {length}: {:?}", other.map(|error| error.to_string())),
        }
    }
    assert!(due.len() > 5, "{due:?}");
    assert!(due.iter().zip(0..).all(|(seq, batches)| *seq == Some(11 + 10 * batches)), "{due:?}");
}

#[test]
fn garbage_behind_the_last_batch_is_cut() {
    let (disk, _, after) = three_batches();
    let whole = disk.contents(&segment(0)).unwrap();
    for length in (1..=4_200).chain([65_535, 65_536, 65_537, 70_000]) {
        for pattern in [0u8, 0xff, 0x5a] {
            let disk = disk.after_kill();
            let garbage = (0..length).map(|at: usize| if pattern == 0x5a { (at * 31 % 251) as u8 } else { pattern });
            disk.overwrite(&segment(0), whole.iter().copied().chain(garbage).collect());
            let (journal, opened) = open(&disk).unwrap_or_else(|error| panic!("{length} of {pattern}: {error}"));
            assert_eq!((durable(&journal), opened.tail_cut), (60, length as u64));
            assert_eq!(disk.contents(&segment(0)).unwrap().len(), after);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_segment_is_found_and_located() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    fill(&mut journal, 1, 18, 7);
    drop(journal);
    let whole = disk.contents(&segment(0)).unwrap();
    for bit in 0..whole.len() * 8 {
        let disk = disk.after_kill();
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        disk.overwrite(&segment(0), bytes);
        match open(&disk).err() {
            Some(OpenError::Damaged { damage, .. }) => {
                // The record that is named begins at or before the flipped byte, and is the one it is in.
                assert!(damage.offset <= (bit / 8) as u64, "bit {bit}: {damage}");
                assert!((bit / 8) as u64 - damage.offset < 200, "bit {bit}: {damage}");
                assert_eq!(damage.file, Path::new("segments/00000000.kjs"));
            }
            other => panic!("bit {bit}: {:?}", other.map(|error| error.to_string())),
        }
    }
}

#[test]
fn every_flipped_bit_of_head_is_survived_or_refused() {
    let (disk, ..) = three_batches();
    let path = Path::new(DIR).join("HEAD");
    let whole = disk.contents(&path).unwrap();
    for byte in (0..96).chain(4096..4192) {
        for bit in 0..8 {
            let disk = disk.after_kill();
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << bit;
            disk.overwrite(&path, bytes);
            // The other slot is whole, and at most a flush older.
            assert_eq!(durable(&open(&disk).unwrap().0), 60, "byte {byte}");
        }
    }
    let disk = disk.after_kill();
    disk.overwrite(&path, vec![0; whole.len()]);
    let error = open(&disk).err().unwrap();
    assert!(matches!(&error, OpenError::Damaged { damage, .. } if damage.file == Path::new("HEAD")), "{error}");
}

#[test]
fn damage_in_a_full_segment_is_found_at_the_latest_when_it_is_read() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    fill(&mut journal, 1, 400, 10);
    drop(journal);
    let whole = disk.contents(&segment(0)).unwrap();
    assert!(disk.contents(&segment(1)).is_some());
    for at in (0..whole.len()).step_by(19) {
        let disk = disk.after_kill();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        disk.overwrite(&segment(0), bytes);
        let found = match open(&disk) {
            Err(OpenError::Damaged { damage, .. }) => damage,
            Err(error) => panic!("byte {at}: {error}"),
            Ok((journal, _)) => match journal.read(1).find_map(Result::err) {
                Some(journal::ReadError::Damaged(damage)) => damage,
                other => panic!("byte {at}: {other:?}"),
            },
        };
        assert_eq!(found.file, Path::new("segments/00000000.kjs"), "byte {at}");
        assert!(found.offset <= at as u64 && at as u64 - found.offset < 200, "byte {at}: {found}");
    }
}

#[test]
fn a_missing_segment_is_named() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    fill(&mut journal, 1, 900, 10);
    drop(journal);
    for (number, expected) in [(1, "segments/00000001.kjs"), (0, "segments/00000000.kjs")] {
        let broken = disk.after_kill();
        journal::disk::Disk::remove(&broken, &segment(number)).unwrap();
        let error = open(&broken).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
    // The last one missing is what only HEAD can tell.
    let mut last = 0;
    while disk.contents(&segment(last + 1)).is_some() {
        last += 1;
    }
    let broken = disk.after_kill();
    journal::disk::Disk::remove(&broken, &segment(last)).unwrap();
    let error = open(&broken).err().unwrap();
    assert!(matches!(error, OpenError::TailLost { head: 900, .. }), "{error}");
    assert!(error.to_string().contains("lost acknowledged entries"), "{error}");
    // A reader still gives what there is.
    let reader = JournalReader::open_on(Arc::new(broken), Path::new(DIR)).unwrap();
    assert!(reader.durable_last().unwrap().seq > 100);
}

#[test]
fn accepting_the_prefix_keeps_every_entry_before_the_damage_and_the_evidence() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(&disk).unwrap();
    fill(&mut journal, 1, 500, 10);
    drop(journal);
    for number in [0, 1] {
        let whole = disk.contents(&segment(number)).unwrap();
        for at in (0..whole.len()).step_by(211) {
            let disk = disk.after_kill();
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            disk.overwrite(&segment(number), bytes.clone());
            let before = accept_prefix_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
            assert_eq!(before.lost_to, Some(500), "byte {at}");
            let (mut journal, opened) = open(&disk).unwrap_or_else(|error| panic!("byte {at} of {number}: {error}"));
            assert_eq!(durable(&journal), before.last);
            assert_eq!(opened.tail_cut, 0);
            // Everything taken away is still there, byte for byte.
            let kept = disk
                .contents(&segment(number))
                .map_or(0, |kept| kept.iter().zip(&bytes).take_while(|(one, other)| one == other).count());
            let aside = disk.contents(&segment(number).with_extension("kjs.damaged"));
            let evidence = aside.map_or(0, |aside| {
                assert!(bytes.ends_with(&aside), "byte {at}");
                aside.len()
            });
            assert!(kept + evidence >= bytes.len(), "byte {at}: {kept} + {evidence} of {}", bytes.len());
            fill(&mut journal, before.last + 1, before.last + 30, 10);
            drop(journal);
            assert_eq!(durable(&open(&disk).unwrap().0), before.last + 30);
        }
    }
}

#[test]
fn accepting_the_prefix_settles_a_lost_tail_and_a_lost_head() {
    let (disk, before, _) = three_batches();
    let whole = disk.contents(&segment(0)).unwrap();
    disk.overwrite(&segment(0), whole[..before].to_vec());
    assert!(open(&disk).is_err());
    let repaired = accept_prefix_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
    assert_eq!((repaired.last, repaired.lost_to), (20, Some(60)));
    assert_eq!(durable(&open(&disk).unwrap().0), 20);
    journal::disk::Disk::remove(&disk, &Path::new(DIR).join("HEAD")).unwrap();
    assert!(open(&disk).is_err());
    accept_prefix_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
    assert_eq!(durable(&open(&disk).unwrap().0), 20);
}

#[test]
fn a_journal_with_nothing_wrong_is_not_changed_by_a_repair() {
    let (disk, ..) = three_batches();
    let repaired = accept_prefix_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
    assert_eq!(repaired, journal::repair::Repaired { last: 60, ..Default::default() });
    assert_eq!(durable(&open(&disk).unwrap().0), 60);
}
