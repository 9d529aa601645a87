//! A writer that is killed at any moment loses nothing that it acknowledged.

#![allow(clippy::unwrap_used)]

mod samples;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use journal::index::IndexState;
use journal::verify::verify;
use journal::{FileJournal, Journal, Options, Source};
use samples::*;

const WRITER: &str = "KINEMA_TEST_JOURNAL_WRITER";

fn options() -> Options {
    Options { index: true, segment_bytes: 64 << 10, head_sync_every: 8, ..plain() }
}

/// Not a test of its own: what the killed process runs.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(WRITER) else { return };
    let (mut journal, _) = FileJournal::open(Path::new(&dir), options()).unwrap();
    let mut seq = journal.last().map_or(0, |last| last.seq);
    let mut out = std::io::stdout().lock();
    loop {
        for _ in 0..=seq * 7 % 23 {
            seq += 1;
            journal.append(&small(seq)).unwrap();
        }
        journal.flush().unwrap();
        writeln!(out, "acknowledged {seq}").unwrap();
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    for round in 0..40u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
            .env(WRITER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let parse = |line: String| line.split("acknowledged ").nth(1).and_then(|seq| seq.trim().parse::<u64>().ok());
        let first = lines.by_ref().find_map(|line| parse(line.unwrap())).unwrap();
        assert!(first > total, "the next writer goes on after entry {total}");
        std::thread::sleep(Duration::from_micros(round * 7919 % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = lines.map_while(Result::ok).filter_map(parse).last().unwrap_or(first);
        let (journal, opened) = FileJournal::open(dir.path(), Options { index: false, ..options() }).unwrap();
        let mut last = 0;
        for entry in journal.read(total.max(1)) {
            let entry = entry.unwrap();
            assert_eq!(entry, small(entry.seq));
            last = entry.seq;
        }
        assert!(last >= acknowledged, "round {round}: {last} of {acknowledged}, {opened:?}");
        total = last;
    }
    assert!(total > 1000, "only {total} entries");
    let (journal, _) = FileJournal::open(dir.path(), options()).unwrap();
    assert_eq!(journal.index().unwrap().settle(), IndexState::Ready { seq: total });
    assert_eq!(journal.read(1).map(|entry| entry.unwrap().seq).collect::<Vec<_>>(), (1..=total).collect::<Vec<_>>());
    drop(journal);
    let report = verify(dir.path()).unwrap();
    assert!(report.sound() && report.entries == total, "{report}");
}
