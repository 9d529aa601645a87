//! The index answers like the segments do, lags, and is rebuilt on any doubt. Checkpoints are a cache.

#![allow(clippy::unwrap_used)]

mod samples;

use std::path::Path;

use journal::index::{IndexKey, IndexState, find, rebuild_index};
use journal::repair::{RepairError, accept_prefix, from_index};
use journal::verify::{HeadReport, IndexReport, verify};
use journal::{Checkpoint, FileJournal, Folded, Journal, JournalReader, OpenError, Options, Source, fold_to};
use journal_schema::entry::Entry;
use journal_schema::facts::{Key, Kind};
use samples::*;

fn indexed() -> Options {
    Options { index: true, segment_bytes: 8 << 10, ..plain() }
}

fn open(dir: &Path) -> FileJournal {
    FileJournal::open(dir, indexed()).unwrap().0
}

/// A journal of every kind of entry and then small ones, indexed to its end and closed.
fn filled(dir: &Path, to: u64) {
    let mut journal = open(dir);
    for entry in entries(1) {
        journal.append(&entry).unwrap();
    }
    let next = journal.last().unwrap().seq + 1;
    fill(&mut journal, next, to, 10);
    assert_eq!(journal.index().unwrap().settle(), IndexState::Ready { seq: to });
    journal.close().unwrap();
}

fn questions() -> Vec<IndexKey> {
    vec![
        IndexKey::Object(Kind::Pod, key("shop", "pod-7")),
        IndexKey::Object(Kind::Pod, key("shop", "pod-49")),
        IndexKey::Object(Kind::Node, Key::cluster(text("node-1"))),
        IndexKey::Object(Kind::Node, Key::cluster(text("nobody"))),
        IndexKey::Iteration(7),
        IndexKey::Iteration(8),
        IndexKey::Event("Outcome"),
        IndexKey::Event("Watch"),
    ]
}

#[test]
fn the_index_answers_as_the_segments_do() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 2000);
    let journal = open(dir.path());
    journal.index().unwrap().settle();
    let reader = JournalReader::open(dir.path()).unwrap();
    for question in questions() {
        let (answer, seq) = journal.index().unwrap().lookup(&question, 1, 2000, usize::MAX).unwrap();
        assert_eq!(seq, 2000);
        let scanned = find(&reader, None, &question, 1, 2000, usize::MAX).unwrap();
        assert_eq!(answer, scanned, "{question:?}");
        let some = find(&reader, journal.index(), &question, 100, 1500, 3).unwrap();
        let expected: Vec<u64> = scanned.iter().copied().filter(|seq| (100..=1500).contains(seq)).take(3).collect();
        assert_eq!(some, expected, "{question:?}");
    }
    assert!(find(&reader, None, &IndexKey::Iteration(7), 1, 2000, 9).unwrap().len() >= 2);
    // Reading from anywhere, by the index's places, over segments.
    for from in [1, 2, 500, 999, 1777, 2000] {
        let read: Vec<Entry> = journal.read(from).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, reader.read(from).collect::<Result<Vec<_>, _>>().unwrap());
        assert_eq!(read.len() as u64, 2001 - from);
    }
    drop(journal);
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.index, IndexReport::Agrees { seq: 2000, behind: 0 }, "{report}");
    assert!(report.sound() && report.damage.is_empty(), "{report}");
    assert_eq!((report.entries, report.last_seq, report.head), (2000, 2000, HeadReport::Agrees));
}

#[test]
fn an_index_that_lags_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 300);
    let (mut journal, _) = FileJournal::open(dir.path(), Options { index: false, ..indexed() }).unwrap();
    assert!(journal.index().is_none());
    fill(&mut journal, 301, 900, 20);
    drop(journal);
    assert_eq!(verify(dir.path()).unwrap().index, IndexReport::Agrees { seq: 300, behind: 600 });
    let journal = open(dir.path());
    assert_eq!(journal.index().unwrap().settle(), IndexState::Ready { seq: 900 });
    drop(journal);
    assert_eq!(verify(dir.path()).unwrap().index, IndexReport::Agrees { seq: 900, behind: 0 });
}

/// Every file of the index.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn an_index_that_is_deleted_garbled_or_of_another_journal_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 600);
    let other = tempfile::tempdir().unwrap();
    {
        let options = Options { id: Some(journal::JournalId::derived("other")), ..indexed() };
        let (mut journal, _) = FileJournal::open(other.path(), options).unwrap();
        fill(&mut journal, 1, 600, 10);
        journal.index().unwrap().settle();
        journal.close().unwrap();
    }
    let index = dir.path().join("index");
    let spoil: [(&str, &dyn Fn()); 6] = [
        ("deleted", &|| std::fs::remove_dir_all(&index).unwrap()),
        ("rebuilt", &|| rebuild_index(dir.path()).unwrap()),
        ("zeroed", &|| files(&index).iter().for_each(|file| std::fs::write(file, vec![0; 100_000]).unwrap())),
        ("cut to nothing", &|| files(&index).iter().for_each(|file| std::fs::write(file, []).unwrap())),
        ("a file instead of a range", &|| {
            std::fs::remove_dir_all(index.join("00000000")).unwrap();
            std::fs::write(index.join("00000000"), b"x").unwrap();
        }),
        ("of another journal", &|| {
            std::fs::remove_dir_all(&index).unwrap();
            std::fs::rename(other.path().join("index"), &index).unwrap();
        }),
    ];
    for (how, spoil) in spoil {
        spoil();
        let journal = open(dir.path());
        assert_eq!(journal.read(1).count(), 600, "{how}: the journal is whole meanwhile");
        assert_eq!(journal.index().unwrap().settle(), IndexState::Ready { seq: 600 }, "{how}");
        drop(journal);
        let report = verify(dir.path()).unwrap();
        assert_eq!(report.index, IndexReport::Agrees { seq: 600, behind: 0 }, "{how}: {report}");
    }
}

#[test]
fn an_index_whose_last_holder_lets_go_late_is_waited_for_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 600);
    let range = dir.path().join("index/00000000");
    let made = std::fs::metadata(&range).unwrap().created().unwrap();
    let held = std::fs::File::options().read(true).write(true).open(range.join("db")).unwrap();
    for _ in 0..1_000 {
        if held.try_lock().is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(held);
    });
    assert_eq!(verify(dir.path()).unwrap().index, IndexReport::Agrees { seq: 600, behind: 0 });
    holder.join().unwrap();
    let journal = open(dir.path());
    assert_eq!(journal.index().unwrap().settle(), IndexState::Ready { seq: 600 });
    assert_eq!(std::fs::metadata(&range).unwrap().created().unwrap(), made, "not built again");
}

#[test]
fn an_index_that_cannot_be_kept_leaves_the_journal_working() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index"), b"in the way").unwrap();
    let mut journal = open(dir.path());
    fill(&mut journal, 1, 50, 5);
    assert!(matches!(journal.index().unwrap().settle(), IndexState::Failed(_)));
    journal.save_checkpoint(&Checkpoint::of(50, "build", &1u64).unwrap());
    assert_eq!(journal.latest_checkpoint(50, "build"), None);
    assert_eq!(journal.read(1).count(), 50);
    assert_eq!(find(&journal, journal.index(), &IndexKey::Event("Watch"), 1, 50, 100).unwrap().len(), 50);
    journal.close().unwrap();
}

fn sum(journal: &dyn Source, to: u64, build: &str) -> Folded<Vec<u64>> {
    fold_to(journal, to, build, Vec::new, |state: &mut Vec<u64>, entry| {
        state.push(entry.seq);
        Ok::<(), std::convert::Infallible>(())
    })
    .unwrap()
}

#[test]
fn a_fold_begins_at_the_newest_checkpoint_of_this_build_and_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    fill(&mut journal, 1, 1000, 10);
    for seq in [100, 500, 900] {
        let state = sum(&journal, seq, "build a").state;
        journal.save_checkpoint(&Checkpoint::of(seq, "build a", &state).unwrap());
    }
    // Ahead of what is durable: dropped.
    journal.append(&small(1001)).unwrap();
    journal.save_checkpoint(&Checkpoint::of(1001, "build a", &Vec::<u64>::new()).unwrap());
    for (to, from) in
        [(50, None), (100, Some(100)), (499, Some(100)), (700, Some(500)), (1000, Some(900)), (5000, Some(900))]
    {
        let folded = sum(&journal, to, "build a");
        assert_eq!(folded.from_checkpoint, from, "to {to}");
        assert_eq!(folded.state, (1..=to.min(1000)).collect::<Vec<_>>());
        assert_eq!(folded.entries, to.min(1000) - from.unwrap_or(0));
    }
    let other = sum(&journal, 1000, "build b");
    assert_eq!((other.from_checkpoint, other.state.len()), (None, 1000), "another build's checkpoint is ignored");
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(sum(&journal, 1000, "build a").from_checkpoint, Some(900), "checkpoints survive a restart");
}

#[test]
fn a_checkpoint_that_was_changed_is_refused() {
    let mut checkpoint = Checkpoint::of(5, "build", &vec![1u64, 2, 3]).unwrap();
    assert_eq!(checkpoint.state::<Vec<u64>>("build").unwrap(), [1, 2, 3]);
    assert!(checkpoint.state::<Vec<u64>>("other").is_err());
    let whole = checkpoint.clone();
    for bit in 0..checkpoint.bytes.len() * 8 {
        checkpoint.bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(checkpoint.state::<Vec<u64>>("build").is_err());
        checkpoint = whole.clone();
    }
    checkpoint.bytes.push(0);
    assert!(checkpoint.state::<Vec<u64>>("build").is_err());
}

#[test]
fn a_large_checkpoint_and_a_large_entry_go_through_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let effects = (0..1500).map(|index| {
        let id = journal_schema::effect::EffectId { cause: 1, index };
        (id, journal_schema::effect::Effect::ReadNodePods { node: text(&format!("node-{index}")) })
    });
    let event = journal_schema::event::Event::Intents { effects: list(effects.collect()) };
    journal.append(&entry(1, event)).unwrap();
    fill(&mut journal, 2, 20, 5);
    let state: Vec<u64> = (0..300_000u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    journal.save_checkpoint(&Checkpoint::of(20, "build", &state).unwrap());
    journal.index().unwrap().settle();
    assert_eq!(journal.latest_checkpoint(20, "build").unwrap().state::<Vec<u64>>("build").unwrap(), state);
    assert!(std::fs::read_dir(dir.path().join("index/00000000/blobs")).unwrap().next().is_none(), "no value is a blob");
    journal.close().unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.index, IndexReport::Agrees { seq: 20, behind: 0 }, "{report}");
}

fn damage(dir: &Path, number: u64, at: usize, bytes: usize) -> Vec<u8> {
    let path = dir.join(format!("segments/{number:08}.kjs"));
    let mut contents = std::fs::read(&path).unwrap();
    let end = (at + bytes).min(contents.len());
    contents[at..end].fill(0xee);
    std::fs::write(&path, &contents).unwrap();
    contents
}

#[test]
fn damaged_entries_are_put_back_from_the_index() {
    for (number, at, bytes) in [(0, 0, 50), (0, 96, 1), (1, 3000, 2000), (2, 100, 9000), (1, 0, 100_000)] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 700);
        let expected: Vec<Entry> = JournalReader::open(dir.path()).unwrap().read(1).map(Result::unwrap).collect();
        let broken = damage(dir.path(), number, at, bytes);
        let report = verify(dir.path()).unwrap();
        assert!(!report.sound() && report.index == IndexReport::NotRead, "{report}");
        assert!(report.to_string().contains(&format!("DAMAGED   segments/{number:08}.kjs, byte")), "{report}");
        let repaired = from_index(dir.path()).unwrap_or_else(|error| panic!("{number} {at} {bytes}: {error}"));
        assert_eq!((repaired.last, repaired.lost_to), (700, None));
        assert!(repaired.recovered > 0, "{repaired:?}");
        let aside = dir.path().join(format!("segments/{number:08}.kjs.damaged"));
        assert_eq!(std::fs::read(aside).unwrap(), broken, "the damaged file is kept as it was");
        let journal = open(dir.path());
        assert_eq!(journal.read(1).collect::<Result<Vec<_>, _>>().unwrap(), expected);
        assert_eq!(journal.index().unwrap().settle(), IndexState::Ready { seq: 700 });
        drop(journal);
        let report = verify(dir.path()).unwrap();
        assert!(report.sound(), "{report}");
    }
}

#[test]
fn a_lost_last_segment_is_put_back_from_the_index() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 700);
    let mut last = 0;
    while dir.path().join(format!("segments/{:08}.kjs", last + 1)).exists() {
        last += 1;
    }
    std::fs::remove_file(dir.path().join(format!("segments/{last:08}.kjs"))).unwrap();
    assert!(matches!(FileJournal::open(dir.path(), indexed()), Err(OpenError::TailLost { head: 700, .. })));
    let repaired = from_index(dir.path()).unwrap();
    assert_eq!((repaired.last, repaired.lost_to), (700, None), "{repaired}");
    assert_eq!(open(dir.path()).read(1).count(), 700);
}

#[test]
fn what_the_index_does_not_have_is_not_made_up() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 400);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    damage(dir.path(), 0, 2000, 10);
    let before = files(dir.path());
    let error = from_index(dir.path()).unwrap_err();
    assert!(matches!(error, RepairError::Incomplete { missing } if missing > 1 && missing < 400), "{error}");
    assert_eq!(files(dir.path()), before, "nothing was changed");
    let repaired = accept_prefix(dir.path()).unwrap();
    assert_eq!(repaired.lost_to, Some(400));
    assert_eq!(open(dir.path()).read(1).count() as u64, repaired.last);
}
