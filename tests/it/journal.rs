//! `kinema journal`, over a journal that a simulation wrote.

use std::sync::OnceLock;

use crate::support::{files, kinema, path};

/// A journal's directory, written once for all tests of this file.
fn simulated() -> &'static str {
    static JOURNAL: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    &JOURNAL
        .get_or_init(|| {
            let directory = files(&[]);
            let journal = path(&directory, "journal");
            let ran = kinema(&["simulate", "--scenario", "small", "--journal", &journal, "-o", "json"]);
            assert_eq!(ran.code, 0, "{}", ran.transcript());
            (directory, journal)
        })
        .1
}

/// A copy of it to spoil.
fn copy() -> (tempfile::TempDir, String) {
    fn copy_all(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).expect("a directory");
        for entry in std::fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy_all(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).expect("a copy");
            }
        }
    }
    let directory = files(&[]);
    let journal = path(&directory, "journal");
    copy_all(std::path::Path::new(simulated()), std::path::Path::new(&journal));
    (directory, journal)
}

/// The journal's largest segment.
fn segment(journal: &str) -> std::path::PathBuf {
    let mut found = Vec::new();
    let mut left = vec![std::path::PathBuf::from(journal)];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "kjs") {
                found.push(path);
            }
        }
    }
    found.into_iter().max_by_key(|path| path.metadata().map_or(0, |file| file.len())).expect("a segment")
}

#[test]
fn log_and_show_tell_what_happened() {
    let journal = simulated();
    let log = kinema(&["journal", "log", journal, "--to", "3"]);
    assert_eq!(log.code, 0, "{}", log.transcript());
    insta::assert_snapshot!("journal_log", log.out);
    let operators = kinema(&["journal", "log", journal, "--kind", "daemonstarted", "-o", "json"]);
    assert_eq!(operators.out.lines().count(), 2, "killed once, so started twice: {}", operators.out);
    let shown = kinema(&["journal", "show", journal, "1", "-o", "json"]).json();
    assert_eq!(shown["seq"], 1);
    assert!(shown["event"]["DaemonStarted"].is_object(), "{shown}");
    let beyond = kinema(&["journal", "show", journal, "999999999"]);
    assert_eq!(beyond.code, 1);
    assert!(beyond.err.contains("it has entries 1 to"), "{}", beyond.err);
    let tail = kinema(&["journal", "log", journal, "--tail", "2"]);
    assert_eq!(tail.out.lines().count(), 2);
}

#[test]
fn a_capture_holds_the_same_entries_and_is_imported_again() {
    let journal = simulated();
    let directory = files(&[]);
    let (capture, imported) = (path(&directory, "all.kjl"), path(&directory, "imported"));
    let exported = kinema(&["journal", "export", journal, "--out", &capture]);
    assert_eq!(exported.code, 0, "{}", exported.transcript());
    let entries = |from: &str| kinema(&["journal", "export", from, "--format", "ndjson"]).out;
    assert_eq!(entries(&capture), entries(journal));
    assert_eq!(kinema(&["journal", "verify", &capture]).code, 0);
    let ran = kinema(&["journal", "import", &capture, "--into", &imported]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(entries(&imported), entries(journal));
    assert_eq!(kinema(&["journal", "import", &capture, "--into", &imported]).code, 1, "nothing is overwritten");
    // A stranger's journal is looked at, never carried on: before anything is connected.
    let ran = kinema(&["run", "--journal", &imported, "--listen", "127.0.0.1:0", "--kubeconfig", "/nowhere"]);
    assert!(ran.code != 0 && ran.err.contains("give kinema run a directory of its own"), "{}", ran.transcript());
}

#[test]
fn a_damaged_journal_is_named_with_its_place_and_repaired() {
    let (_directory, journal) = copy();
    let file = segment(&journal);
    let mut bytes = std::fs::read(&file).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).expect("spoiled");
    let verified = kinema(&["journal", "verify", &journal]);
    assert_eq!(verified.code, 1);
    assert!(verified.out.contains("DAMAGED") && verified.out.contains(".kjs, byte"), "{}", verified.out);
    let repaired = kinema(&["journal", "repair", &journal]);
    assert_eq!(repaired.code, 0, "{}", repaired.transcript());
    let verified = kinema(&["journal", "verify", &journal]);
    assert_eq!(verified.code, 0, "{}", verified.transcript());
    let entries = |from: &str| kinema(&["journal", "export", from, "--format", "ndjson"]).out;
    assert_eq!(entries(&journal), entries(simulated()), "nothing is lost: the index has a second copy");
}

#[test]
fn a_truncated_capture_is_refused() {
    let directory = files(&[]);
    let capture = path(&directory, "cut.kjl");
    assert_eq!(kinema(&["journal", "export", simulated(), "--out", &capture]).code, 0);
    let bytes = std::fs::read(&capture).expect("a capture");
    std::fs::write(&capture, &bytes[..bytes.len() - 100]).expect("cut");
    for arguments in [["journal", "verify", &capture], ["journal", "log", &capture]] {
        let ran = kinema(&arguments);
        assert_eq!(ran.code, 1, "{}", ran.transcript());
        assert!(ran.err.contains("cut.kjl"), "{}", ran.err);
    }
    assert_eq!(kinema(&["replay", &capture, "--check"]).code, 1);
}

#[test]
fn what_is_no_journal_is_said_to_be_none() {
    let directory = files(&[("notes.txt", "hello")]);
    let ran = kinema(&["journal", "log", &directory.path().display().to_string()]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is not a journal"), "{}", ran.err);
    let ran = kinema(&["journal", "log", &path(&directory, "nosuch")]);
    assert!(ran.code == 1 && ran.err.contains("does not exist"), "{}", ran.err);
}

/// CRC32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[test]
fn a_journal_of_a_newer_schema_is_refused_and_kept() {
    let (_directory, journal) = copy();
    let file = segment(&journal);
    let mut bytes = std::fs::read(&file).expect("a segment");
    // The last frame is a commit marker of 56 bytes; its schema stands at 34 (journal/src/frame.rs).
    let start = bytes.len() - 56;
    bytes[start + 34..start + 36].copy_from_slice(&999_u16.to_le_bytes());
    let covered = [&bytes[start..start + 4], &bytes[start + 8..]].concat();
    bytes[start + 4..start + 8].copy_from_slice(&crc32c(&covered).to_le_bytes());
    std::fs::write(&file, &bytes).expect("written");
    for arguments in [
        &["journal", "log", &journal][..],
        &["journal", "verify", &journal],
        &["run", "--journal", &journal, "--listen", "127.0.0.1:0"],
    ] {
        let ran = kinema(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.transcript());
        assert!(ran.err.contains("schema version 999") && ran.err.contains("fix: use the version"), "{}", ran.err);
    }
    assert_eq!(std::fs::read(&file).expect("a segment"), bytes, "nothing is cut from what is not understood");
}

#[test]
fn no_daemon_works_on_a_damaged_or_shortened_journal() {
    for (what, spoil) in [
        (
            "damaged",
            (|bytes: &mut Vec<u8>| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }) as fn(&mut Vec<u8>),
        ),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
        ("emptied", Vec::clear),
        ("overwritten", |bytes| bytes.iter_mut().for_each(|byte| *byte = 0)),
    ] {
        let (_directory, journal) = copy();
        let file = segment(&journal);
        let mut bytes = std::fs::read(&file).expect("a segment");
        spoil(&mut bytes);
        std::fs::write(&file, &bytes).expect("spoiled");
        let ran = kinema(&["run", "--journal", &journal, "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, 1, "{what}: {}", ran.transcript());
        assert!(ran.err.contains("journal repair") && ran.err.contains(&journal), "{what}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{what}: {}", ran.err);
        assert_eq!(std::fs::read(&file).expect("a segment"), bytes, "{what}: nothing is cut without being asked");
    }
}

#[test]
fn a_full_disk_in_a_simulation_names_the_file_and_the_journal_is_sound() {
    let directory = files(&[]);
    let journal = path(&directory, "journal");
    let ran = crate::support::with_file_limit(64, &["simulate", "--scenario", "small", "--journal", &journal]);
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert!(ran.err.contains("cannot write") && ran.err.contains(".kjs"), "{}", ran.err);
    assert!(ran.err.contains("fix: make room on the disk that holds") && !ran.err.contains("panicked"), "{}", ran.err);
    let verified = kinema(&["journal", "verify", &journal, "-o", "json"]);
    assert_eq!(verified.code, 0, "{}", verified.transcript());
    let last = verified.json()["lastSeq"].as_u64().expect("a number");
    assert!(last > 0);
    // Where there is room again, it goes on after its last entry.
    let (again, opened) =
        journal::FileJournal::open(std::path::Path::new(&journal), journal::Options::default()).expect("opened");
    let had = journal::Source::durable_last(&again).map(|last| last.seq);
    assert_eq!(had, Some(last), "{opened:?}");
    again.close().expect("closed");
    assert_eq!(kinema(&["replay", &journal]).code, 0, "what was written can be folded");
}
