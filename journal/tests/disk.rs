//! The disk fails at every call in turn, fills up at every byte, and loses power at every moment.

#![allow(clippy::unwrap_used)]

mod samples;

use std::path::Path;
use std::sync::Arc;

use journal::disk::Disk;
use journal::disk::memory::{Faults, MemoryDisk};
use journal::repair::accept_prefix_on;
use journal::{AppendError, FileJournal, Journal, OpenError, Options, Source};
use proptest::prelude::*;
use samples::*;

const DIR: &str = "/journal";

fn open(disk: &MemoryDisk) -> Result<FileJournal, OpenError> {
    let options = Options { disk: Arc::new(disk.clone()), segment_bytes: 2000, head_sync_every: 3, ..plain() };
    FileJournal::open(Path::new(DIR), options).map(|(journal, _)| journal)
}

/// What a run got to know.
#[derive(Debug, Default)]
struct Run {
    /// Entries whose flush returned Ok.
    acknowledged: u64,
    appended: u64,
    failed: bool,
}

/// Opens, and appends entries in batches of three up to `to`, until something fails.
fn run(disk: &MemoryDisk, to: u64) -> Run {
    let mut run = Run::default();
    let Ok(mut journal) = open(disk) else {
        run.failed = true;
        return run;
    };
    run.acknowledged = journal.last().map_or(0, |last| last.seq);
    for seq in run.acknowledged + 1..=to {
        if journal.append(&small(seq)).is_err() {
            run.failed = true;
            break;
        }
        run.appended = seq;
        if seq % 3 == 0 || seq == to {
            if journal.flush().is_err() {
                run.failed = true;
                break;
            }
            run.acknowledged = seq;
        }
    }
    if run.failed {
        // A disk that failed once is not believed again, even if it would work.
        let next = run.appended + 1;
        assert!(matches!(journal.append(&small(next)), Err(AppendError::Stopped { .. })));
        assert!(matches!(journal.flush(), Err(AppendError::Stopped { .. })));
    }
    run
}

/// The journal holds an exact prefix that has every acknowledged entry, and goes on from there.
fn check(disk: &MemoryDisk, run: &Run, context: &str) {
    let mut journal = open(disk).unwrap_or_else(|error| panic!("{context}: {error}; {run:?}"));
    let mut last = 0;
    for entry in journal.read(1) {
        last += 1;
        assert_eq!(entry.unwrap_or_else(|error| panic!("{context}: {error}")), small(last));
    }
    assert!(last >= run.acknowledged, "{context}: {last} entries of {run:?}");
    fill(&mut journal, last + 1, last + 4, 2);
    drop(journal);
    assert_eq!(open(disk).unwrap().read(1).count() as u64, last + 4);
}

#[test]
fn a_failure_of_any_call_loses_nothing_that_was_acknowledged() {
    let mut calls = 0;
    for call in 1.. {
        let disk = MemoryDisk::new();
        disk.set_faults(Faults { fail_call: Some(call), capacity: None });
        let outcome = run(&disk, 60);
        if !outcome.failed && disk.calls() < call {
            calls = call;
            break;
        }
        check(&disk.after_kill(), &outcome, &format!("killed after call {call} failed"));
        for seed in 0..8 {
            check(&disk.cut_power(seed), &outcome, &format!("power cut after call {call} failed, seed {seed}"));
        }
    }
    assert!(calls > 60, "only {calls} calls");
}

#[test]
fn what_is_acknowledged_after_a_failure_outlives_a_power_cut() {
    let mut failures = 0;
    for call in 1.. {
        let disk = MemoryDisk::new();
        disk.set_faults(Faults { fail_call: Some(call), capacity: None });
        let before = run(&disk, 60);
        if !before.failed && disk.calls() < call {
            break;
        }
        failures += 1;
        // The process ended, and the next one finds what the cache has of the files and their names.
        let disk = disk.after_kill();
        let outcome = run(&disk, before.appended + 9);
        assert!(!outcome.failed && outcome.acknowledged == before.appended + 9, "{outcome:?}");
        for seed in 0..8 {
            check(&disk.cut_power(seed), &outcome, &format!("call {call} failed, power cut {seed} in the next life"));
        }
    }
    assert!(failures > 60, "only {failures} calls");
}

#[test]
fn a_failure_of_any_call_while_opening_after_a_crash_loses_nothing() {
    let disk = MemoryDisk::new();
    let outcome = run(&disk, 40);
    let mut journal = open(&disk.after_kill()).unwrap();
    fill(&mut journal, 41, 50, 3);
    let mut failures = 0;
    for call in 1.. {
        // So that opening has something to cut.
        let disk = with_a_torn_batch(&disk.after_kill());
        disk.set_faults(Faults { fail_call: Some(call), capacity: None });
        let result = open(&disk);
        if result.is_ok() && disk.calls() < call {
            break;
        }
        failures += u64::from(result.is_err());
        drop(result);
        disk.set_faults(Faults::default());
        check(&disk.after_kill(), &outcome, &format!("opening failed at call {call}"));
        for seed in 0..8 {
            check(&disk.cut_power(seed), &outcome, &format!("opening failed at call {call}, power cut {seed}"));
        }
    }
    assert!(failures > 20, "only {failures} calls failed");
}

/// A batch of which only a part was written, behind the last whole one.
fn with_a_torn_batch(disk: &MemoryDisk) -> MemoryDisk {
    let last = (0..).take_while(|number| disk.contents(&segment(*number)).is_some()).last().unwrap();
    let mut bytes = disk.contents(&segment(last)).unwrap();
    bytes.extend(vec![7; 300]);
    disk.overwrite(&segment(last), bytes);
    disk.clone()
}

fn segment(number: u64) -> std::path::PathBuf {
    Path::new(DIR).join(format!("segments/{number:08}.kjs"))
}

/// Everything in a directory by name.
fn files(disk: &MemoryDisk, dir: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(DIR).join(dir);
    let contents = |name: &String| disk.contents(&dir.join(name)).unwrap();
    disk.list(&dir).unwrap().into_iter().map(|name| (name.clone(), contents(&name))).collect()
}

#[test]
fn a_failure_of_any_call_while_the_prefix_is_accepted_destroys_no_evidence_and_the_next_try_ends() {
    let disk = MemoryDisk::new();
    run(&disk, 60);
    let disk = disk.after_kill();
    let last = files(&disk, "segments").len() as u64 - 1;
    assert!(last > 2, "{last}");
    let mut failures = 0;
    // Within a segment, in a header, and in the last batch but one.
    for (number, at) in [(1, 700), (2, 40), (last, 300)] {
        let damaged = disk.after_kill();
        let mut bytes = damaged.contents(&segment(number)).unwrap();
        bytes[at] ^= 1;
        damaged.overwrite(&segment(number), bytes);
        let before = files(&damaged, "segments");
        let accept = |disk: &MemoryDisk| accept_prefix_on(Arc::new(disk.clone()), Path::new(DIR));
        let expected = accept(&damaged.after_kill()).unwrap().last;
        let settled = |disk: &MemoryDisk, context: &str| {
            let again = accept(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(again.last, expected, "{context}");
            let journal = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            let read: Vec<_> = journal.read(1).map(Result::unwrap).collect();
            assert_eq!(read, (1..=expected).map(small).collect::<Vec<_>>(), "{context}");
            drop(journal);
            let left = files(disk, "segments");
            for (name, bytes) in &before {
                let kept = left.iter().find(|(left, _)| left == name).map_or(&[][..], |(_, kept)| kept);
                let same = kept.iter().zip(bytes).take_while(|(one, other)| one == other).count();
                let aside =
                    left.iter().filter(|(left, aside)| left.starts_with(&format!("{name}.")) && bytes.ends_with(aside));
                let longest = aside.map(|(_, aside)| aside.len()).max().unwrap_or(0);
                assert!(
                    same + longest >= bytes.len(),
                    "{context}: {name} has {same} + {longest} of {} bytes",
                    bytes.len()
                );
            }
        };
        for call in 1.. {
            let disk = damaged.after_kill();
            disk.set_faults(Faults { fail_call: Some(call), capacity: None });
            let result = accept(&disk);
            if result.is_ok() && disk.calls() < call {
                break;
            }
            failures += u64::from(result.is_err());
            disk.set_faults(Faults::default());
            settled(&disk.after_kill(), &format!("segment {number}, killed after call {call} failed"));
            for seed in 0..8 {
                settled(&disk.cut_power(seed), &format!("segment {number}, call {call} failed, power cut {seed}"));
            }
        }
    }
    assert!(failures > 60, "only {failures} calls failed");
}

#[test]
fn a_full_disk_stops_the_journal_and_loses_nothing_that_was_acknowledged() {
    let disk = MemoryDisk::new();
    assert!(!run(&disk, 30).failed);
    let needed = disk.used();
    for capacity in 0..needed {
        let disk = MemoryDisk::new();
        disk.set_faults(Faults { fail_call: None, capacity: Some(capacity) });
        let outcome = run(&disk, 30);
        assert!(outcome.failed, "{capacity} of {needed} bytes");
        // Space returns.
        disk.set_faults(Faults::default());
        check(&disk.after_kill(), &outcome, &format!("{capacity} of {needed} bytes"));
    }
}

#[test]
fn a_disk_that_is_full_when_a_journal_is_opened_again_loses_nothing() {
    let written = MemoryDisk::new();
    let outcome = run(&written, 40);
    // A torn batch, so that opening has something to cut; and HEAD before the last flush, so that it has something
    // to write.
    let torn = with_a_torn_batch(&written.after_kill());
    let used = torn.used();
    let (mut refused, mut opened) = (0, 0);
    for headroom in 0..2_500 {
        let disk = torn.after_kill();
        disk.set_faults(Faults { fail_call: None, capacity: Some(used + headroom) });
        match open(&disk) {
            Ok(mut journal) => {
                opened += 1;
                assert_eq!(journal.read(1).count(), 40, "{headroom} bytes of room");
                // What does not fit is refused, and stops the journal.
                let mut run = Run { acknowledged: 40, appended: 40, failed: false };
                while !run.failed {
                    journal.append(&small(run.appended + 1)).unwrap();
                    run.appended += 1;
                    run.failed = journal.flush().is_err();
                    run.acknowledged += u64::from(!run.failed);
                }
                drop(journal);
                disk.set_faults(Faults::default());
                check(&disk.after_kill(), &run, &format!("{headroom} bytes of room"));
            }
            Err(_) => {
                refused += 1;
                disk.set_faults(Faults::default());
                check(&disk.after_kill(), &outcome, &format!("not opened with {headroom} bytes of room"));
            }
        }
    }
    // Opening writes only over what is there.
    assert_eq!((refused, opened), (0, 2_500));
}

/// 64 KiB of room, in segments of 16 KiB.
fn room_of_64_kib(headrooms: impl Iterator<Item = u64>) {
    let options = |disk: &MemoryDisk| Options { disk: Arc::new(disk.clone()), ..plain() };
    let empty = MemoryDisk::new();
    drop(FileJournal::open(Path::new(DIR), options(&empty)).unwrap());
    let used = empty.used();
    for headroom in headrooms {
        let disk = empty.after_kill();
        disk.set_faults(Faults { fail_call: None, capacity: Some(used + headroom) });
        let (mut journal, _) = FileJournal::open(Path::new(DIR), options(&disk)).unwrap();
        let mut acknowledged = 0;
        'full: for batch in 0_u64.. {
            let last = acknowledged + 1 + batch * 7 % 40;
            for seq in acknowledged + 1..=last {
                journal.append(&small(seq)).unwrap();
            }
            if journal.flush().is_err() {
                break 'full;
            }
            acknowledged = last;
        }
        drop(journal);
        disk.set_faults(Faults::default());
        let (journal, _) = FileJournal::open(Path::new(DIR), options(&disk.after_kill())).unwrap();
        let read: Vec<_> = journal.read(1).map(Result::unwrap).collect();
        assert!(read.len() as u64 >= acknowledged, "{headroom}: {} of {acknowledged}", read.len());
        assert!(read.iter().zip(1..).all(|(entry, seq)| *entry == small(seq)), "{headroom}");
    }
}

#[test]
fn a_disk_that_fills_up_within_64_kib_loses_nothing_that_was_acknowledged() {
    room_of_64_kib((0..=64 << 10).step_by(97));
}

#[test]
#[ignore = "every one of 65,537 lengths: a minute, optimised; for a release (tests/crash/README.md)"]
fn a_disk_that_fills_up_at_any_byte_of_64_kib_loses_nothing_that_was_acknowledged() {
    room_of_64_kib(0..=64 << 10);
}

#[test]
fn the_error_of_a_full_disk_names_the_file() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk).unwrap();
    disk.set_faults(Faults { fail_call: None, capacity: Some(disk.used() + 100) });
    journal.append(&small(1)).unwrap();
    journal.append(&small(2)).unwrap();
    let error = journal.flush().unwrap_err();
    assert_eq!(error.to_string(), "cannot write /journal/segments/00000000.kjs");
    assert!(std::error::Error::source(&error).is_some());
    let error = journal.flush().unwrap_err();
    assert!(
        error.to_string().contains("since an earlier failure (cannot write /journal/segments/00000000.kjs"),
        "{error}"
    );
}

#[test]
fn bytes_whose_sync_failed_are_written_again_before_they_are_believed() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk).unwrap();
    fill(&mut journal, 1, 3, 3);
    // The next write is call 1 and its sync call 2.
    disk.set_faults(Faults { fail_call: Some(2), capacity: None });
    journal.append(&small(4)).unwrap();
    assert!(journal.flush().is_err());
    drop(journal);
    disk.set_faults(Faults::default());
    // The cache still shows the batch, the disk does not have it. The next daemon sees and keeps it …
    let next = disk.after_kill();
    let journal = open(&next).unwrap();
    assert_eq!(journal.read(1).count(), 4);
    // … so it must be on the disk before anything follows from it.
    drop(journal);
    for seed in 0..50 {
        assert_eq!(open(&next.cut_power(seed)).unwrap().read(1).count(), 4, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Lives, each ended by a power cut at a random moment, over one disk.
    #[test]
    fn power_cuts_lose_nothing_that_was_acknowledged(
        cuts in proptest::collection::vec((1u64..25, 0u64..3, any::<u64>()), 1..6),
    ) {
        let mut disk = MemoryDisk::new();
        let mut acknowledged = 0;
        for (batches, unflushed, seed) in cuts {
            let mut journal = open(&disk).unwrap();
            let mut seq = journal.last().map_or(0, |last| last.seq);
            prop_assert!(seq >= acknowledged);
            for batch in 0..batches {
                for _ in 0..=batch % 4 {
                    seq += 1;
                    journal.append(&small(seq)).unwrap();
                }
                journal.flush().unwrap();
            }
            acknowledged = seq;
            for _ in 0..unflushed {
                seq += 1;
                journal.append(&small(seq)).unwrap();
            }
            let cut = disk.cut_power(seed);
            drop(journal);
            disk = cut;
            let run = Run { acknowledged, ..Run::default() };
            check(&disk.after_kill(), &run, "after a power cut");
        }
    }

    /// A power cut while a batch is being written, which is never acknowledged.
    #[test]
    fn a_power_cut_within_a_write_leaves_whole_batches(entries in 1u64..40, seed in any::<u64>()) {
        let disk = MemoryDisk::new();
        let mut journal = open(&disk).unwrap();
        fill(&mut journal, 1, 7, 3);
        for seq in 8..8 + entries {
            journal.append(&small(seq)).unwrap();
        }
        // The write goes through, its sync never comes.
        let calls = if disk.contents(&segment(0)).unwrap().len() >= 2000 { 9 } else { 2 };
        disk.set_faults(Faults { fail_call: Some(calls), capacity: None });
        let _ = journal.flush();
        let cut = disk.cut_power(seed);
        let journal = open(&cut).unwrap();
        let count = journal.read(1).count() as u64;
        prop_assert!(count == 7 || count == 7 + entries, "{} of {}", count, 7 + entries);
    }
}
