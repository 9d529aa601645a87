//! The journal in a directory: what is written is read, over segments, restarts, locks and refusals.

#![allow(clippy::unwrap_used)]

mod samples;

use journal::{AppendError, FileJournal, Journal, JournalReader, Last, OpenError, Options, Source};
use journal_schema::entry::Entry;
use samples::*;

#[test]
fn every_kind_of_entry_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, opened) = FileJournal::open(dir.path(), plain()).unwrap();
    assert!(opened.created);
    let written = entries(1);
    for entry in &written {
        journal.append(entry).unwrap();
    }
    assert_eq!(journal.durable_last(), None, "nothing is readable before it is durable");
    journal.flush().unwrap();
    let read: Vec<Entry> = journal.read(1).collect::<Result<_, _>>().unwrap();
    assert_eq!(read, written);
    let tail: Vec<Entry> = journal.read(20).collect::<Result<_, _>>().unwrap();
    assert_eq!(tail, written[19..]);
    assert_eq!(journal.read(written.len() as u64 + 1).count(), 0);
    assert!(journal.read(0).next().unwrap().is_err());
    drop(journal);
    let (journal, opened) = FileJournal::open(dir.path(), plain()).unwrap();
    assert_eq!(opened, journal::Opened::default());
    assert_eq!(journal.read(1).collect::<Result<Vec<_>, _>>().unwrap(), written);
    assert_eq!(journal.epoch(), 3, "the epoch is that of the last DaemonStarted");
    assert_eq!(journal.id(), id());
}

#[test]
fn entries_go_on_over_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut next = 1;
    for life in 1..=5u64 {
        let (mut journal, _) = FileJournal::open(dir.path(), plain()).unwrap();
        assert_eq!(journal.last().map_or(0, |last| last.seq), next - 1);
        fill(&mut journal, next, 300 * life, 7);
        next = 300 * life + 1;
    }
    let segments = std::fs::read_dir(dir.path().join("segments")).unwrap().count();
    assert!(segments > 5, "{segments} segments");
    let reader = JournalReader::open(dir.path()).unwrap();
    assert_eq!(reader.durable_last(), Some(Last { seq: 1500, at: small(1500).at }));
    for from in [1, 2, 299, 300, 301, 777, 1500] {
        let seqs: Vec<u64> = reader.read(from).map(|entry| entry.unwrap().seq).collect();
        assert_eq!(seqs, (from..=1500).collect::<Vec<_>>());
    }
}

#[test]
fn an_entry_out_of_order_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = FileJournal::open(dir.path(), plain()).unwrap();
    fill(&mut journal, 1, 3, 1);
    assert!(matches!(journal.append(&small(3)), Err(AppendError::Sequence { expected: 4, found: 3 })));
    assert!(matches!(journal.append(&small(5)), Err(AppendError::Sequence { expected: 4, found: 5 })));
    let late = Entry { at: small(3).at, ..small(4) };
    assert!(matches!(journal.append(&late), Err(AppendError::Time { seq: 4, .. })));
    fill(&mut journal, 4, 5, 1);
    assert_eq!(journal.read(1).count(), 5);
}

#[test]
fn a_second_opener_is_told_who_has_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = FileJournal::open(dir.path(), plain()).unwrap();
    let error = FileJournal::open(dir.path(), plain()).err().unwrap();
    assert!(matches!(error, OpenError::Locked { holder: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())));
    JournalReader::open(dir.path()).unwrap();
    drop(journal);
    FileJournal::open(dir.path(), plain()).unwrap();
}

#[test]
fn a_directory_that_is_no_journal_is_refused_unless_one_is_to_be_created() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { create: false, ..plain() };
    let missing = dir.path().join("missing");
    for path in [dir.path(), &missing] {
        let error = FileJournal::open(path, options()).err().unwrap();
        assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
        let error = JournalReader::open(path).err().unwrap();
        assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
    }
    assert!(!missing.exists());
}

#[test]
fn files_are_readable_by_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = FileJournal::open(dir.path(), plain()).unwrap();
    fill(&mut journal, 1, 3, 1);
    for name in ["HEAD", "LOCK", "segments/00000000.kjs"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_reader_follows_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = FileJournal::open(dir.path(), plain()).unwrap();
    let reader = journal.reader();
    assert_eq!(reader.durable_last(), None);
    fill(&mut journal, 1, 900, 9);
    assert_eq!(reader.durable_last().unwrap().seq, 900);
    assert_eq!(std::thread::spawn(move || reader.read(1).count()).join().unwrap(), 900);
}

#[test]
fn an_entry_whose_version_was_changed_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = FileJournal::open(dir.path(), plain()).unwrap();
    fill(&mut journal, 1, 1, 1);
    drop(journal);
    let path = dir.path().join("segments/00000000.kjs");
    let mut bytes = std::fs::read(&path).unwrap();
    // The schema version stands 34 bytes into the first frame, behind the 96 bytes of the header;
    // the checksum is made right again.
    let length = u32::from_le_bytes(bytes[96..100].try_into().unwrap()) as usize + 52;
    bytes[96 + 34] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[96..100]), &bytes[104..96 + length]);
    bytes[100..104].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    // The chain covers the version: this is damage, not a newer schema.
    let error = FileJournal::open(dir.path(), plain()).err().unwrap();
    assert!(matches!(&error, OpenError::Damaged { damage, .. } if damage.seq == Some(1)), "{error}");
    assert!(error.to_string().contains("segments/00000000.kjs, byte 96, entry 1"), "{error}");
    assert!(error.to_string().contains("kinema journal repair"), "{error}");
}
