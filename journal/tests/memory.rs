//! The journal in memory behaves like the one in files, and loses its unflushed tail in a crash.

#![allow(clippy::unwrap_used)]

mod samples;

use journal::{AppendError, Checkpoint, FileJournal, Journal, MemoryJournal, Source};
use journal_schema::entry::Entry;
use samples::*;

/// What both kinds of journal must do alike.
fn behave(journal: &mut dyn Journal) {
    assert_eq!((journal.id(), journal.first_seq(), journal.last(), journal.durable_last()), (id(), 1, None, None));
    assert!(matches!(journal.append(&small(2)), Err(AppendError::Sequence { expected: 1, found: 2 })));
    for entry in entries(1) {
        journal.append(&entry).unwrap();
    }
    let count = journal.last().unwrap().seq;
    assert_eq!((journal.durable_last(), journal.read(1).count()), (None, 0));
    journal.flush().unwrap();
    journal.flush().unwrap();
    assert_eq!(journal.durable_last(), journal.last());
    assert_eq!(journal.read(1).collect::<Result<Vec<Entry>, _>>().unwrap(), entries(1));
    assert_eq!(journal.read(count).count(), 1);
    assert_eq!(journal.read(count + 1).count(), 0);
    assert!(journal.read(0).next().unwrap().is_err());
    let late = Entry { at: small(count).at, ..small(count + 1) };
    assert!(matches!(journal.append(&late), Err(AppendError::Time { .. })));
    journal.save_checkpoint(&Checkpoint::of(5, "build", &5u8).unwrap());
    journal.save_checkpoint(&Checkpoint::of(count + 1, "build", &6u8).unwrap());
    let found = |at_most, build: &str| journal.latest_checkpoint(at_most, build).map(|checkpoint| checkpoint.seq);
    assert_eq!(
        [found(4, "build"), found(5, "build"), found(count, "build"), found(count, "other")],
        [None, Some(5), Some(5), None]
    );
}

#[test]
fn a_journal_in_memory_behaves_like_one_in_files() {
    behave(&mut MemoryJournal::new(id()));
    let dir = tempfile::tempdir().unwrap();
    let options = journal::Options { index: true, ..plain() };
    let (mut journal, _) = FileJournal::open(dir.path(), options).unwrap();
    behave(&mut journal);
}

#[test]
fn a_crash_loses_what_was_not_flushed_and_nothing_else() {
    let mut journal = MemoryJournal::new(id());
    for seq in 1..=5 {
        journal.append(&small(seq)).unwrap();
    }
    journal.flush().unwrap();
    let branch = journal.durable().clone();
    journal.append(&small(6)).unwrap();
    assert_eq!((journal.unflushed(), journal.last().unwrap().seq), (1, 6));
    let mut journal = MemoryJournal::reopen(journal.crash());
    assert_eq!((journal.unflushed(), journal.last().unwrap().seq, journal.read(1).count()), (0, 5, 5));
    journal.append(&small(6)).unwrap();
    journal.flush().unwrap();
    assert_eq!(MemoryJournal::reopen(branch).read(1).count(), 5, "a branch is not touched by what follows elsewhere");
}
