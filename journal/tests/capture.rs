//! Captures: what comes back is what went in, and nothing that a stranger made of one is believed.

#![allow(clippy::unwrap_used)]

mod samples;

use std::path::Path;

use journal::capture::{Bounds, CaptureError, export, export_entries, export_to};
use journal::import::{ImportError, import};
use journal::{
    AnySource, Capture, FileJournal, Journal, JournalReader, MemoryJournal, OpenError, Options, Source, ndjson,
    open_source,
};
use journal_schema::entry::Entry;
use proptest::prelude::*;
use samples::*;

/// A closed journal of every kind of entry and some small ones, over segments.
fn journal(dir: &Path) -> Vec<Entry> {
    let (mut journal, _) = FileJournal::open(dir, plain()).unwrap();
    let mut all = entries(1);
    let next = all.len() as u64 + 1;
    all.extend((next..=300).map(small));
    for entry in &all {
        journal.append(entry).unwrap();
        if entry.seq % 11 == 0 {
            journal.flush().unwrap();
        }
    }
    journal.flush().unwrap();
    all
}

fn bytes(compress: bool, from: u64, to: u64) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let reader = JournalReader::open(dir.path()).unwrap();
    let mut out = Vec::new();
    let captured = export_to(&reader, from, to, compress, Path::new("test.kjl"), &mut out).unwrap();
    assert_eq!(captured.bytes, out.len() as u64);
    out
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let capture =
        Capture::from_bytes(Path::new("test.kjl"), bytes, Bounds::default()).map_err(|error| error.to_string())?;
    capture.read(capture.first_seq()).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

#[test]
fn a_capture_gives_back_the_entries_of_its_range() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(&dir.path().join("journal"));
    let reader = JournalReader::open(&dir.path().join("journal")).unwrap();
    for compress in [false, true] {
        for (from, to, first, last) in
            [(0, u64::MAX, 1, 300), (1, 300, 1, 300), (77, 200, 77, 200), (300, 300, 300, 300)]
        {
            let path = dir.path().join("test.kjl");
            let captured = export(&reader, from, to, compress, &path).unwrap();
            assert_eq!((captured.first, captured.last), (first, last));
            assert_eq!(captured.bytes, std::fs::metadata(&path).unwrap().len());
            let AnySource::Capture(capture) = open_source(&path).unwrap() else { panic!("not a capture") };
            assert_eq!((capture.id(), capture.first_seq(), capture.durable_last().unwrap().seq), (id(), first, last));
            let read: Vec<Entry> = capture.read(first).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, all[first as usize - 1..last as usize]);
            assert_eq!(capture.read(last).count(), 1);
            if first > 1 {
                assert!(capture.read(1).next().unwrap().is_err());
            }
            if last == 300 {
                assert_eq!(capture.chain(), reader.chain(), "a capture has the journal's own chain");
            }
        }
    }
    let error = export(&reader, 301, 400, false, &dir.path().join("none.kjl")).unwrap_err();
    assert!(matches!(error, CaptureError::Range { first: 1, last: 300, .. }), "{error}");
    assert!(!dir.path().join("none.kjl").exists() && !dir.path().join("none.kjl.partial").exists());
}

#[test]
fn compression_pays() {
    let (plain, packed) = (bytes(false, 1, 300), bytes(true, 1, 300));
    assert!(packed.len() * 3 < plain.len(), "{} of {}", packed.len(), plain.len());
}

#[test]
fn a_journal_in_memory_is_captured_like_one_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(&dir.path().join("journal"));
    let mut memory = MemoryJournal::new(id());
    for entry in &all {
        memory.append(entry).unwrap();
    }
    memory.flush().unwrap();
    let (one, other) = (dir.path().join("one.kjl"), dir.path().join("other.kjl"));
    export_entries(&memory, false, &one).unwrap();
    export(&JournalReader::open(&dir.path().join("journal")).unwrap(), 1, 300, false, &other).unwrap();
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
}

#[test]
fn an_imported_journal_can_be_read_and_verified_and_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(&dir.path().join("journal"));
    let reader = JournalReader::open(&dir.path().join("journal")).unwrap();
    for (from, compress) in [(1, true), (150, false)] {
        let path = dir.path().join(format!("{from}.kjl"));
        export(&reader, from, 300, compress, &path).unwrap();
        let copy = dir.path().join(format!("copy-{from}"));
        let imported = import(&Capture::open(&path).unwrap(), &copy, 4096).unwrap();
        assert_eq!((imported.first, imported.last), (from, 300));
        assert!(imported.segments > 1);
        let journal = JournalReader::open(&copy).unwrap();
        assert!(journal.is_foreign() && !reader.is_foreign());
        assert_eq!(journal.read(from).collect::<Result<Vec<_>, _>>().unwrap(), all[from as usize - 1..]);
        assert_eq!(journal.chain(), reader.chain());
        let report = journal::verify::verify(&copy).unwrap();
        assert!(report.sound() && report.foreign, "{report}");
        let error = FileJournal::open(&copy, plain()).err().unwrap();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        let again = import(&Capture::open(&path).unwrap(), &copy, 4096).unwrap_err();
        assert!(matches!(again, ImportError::Exists { .. }), "{again}");
        // Captured once more it is the same file.
        let once_more = dir.path().join("again.kjl");
        export(&journal, from, 300, compress, &once_more).unwrap();
        assert_eq!(std::fs::read(once_more).unwrap(), std::fs::read(path).unwrap());
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_capture_is_refused() {
    for compress in [false, true] {
        let whole = bytes(compress, 62, 90);
        assert_eq!(read(&whole).unwrap().len(), 29);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(read(&changed).is_err(), "byte {at}");
            assert!(read(&whole[..at]).is_err(), "cut at {at}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(read(&longer).is_err());
    }
}

/// Makes a capture's hash and header checksum right again, as a stranger would.
fn forge(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..92]);
    bytes[92..96].copy_from_slice(&crc.to_le_bytes());
    let end = bytes.len() - 32;
    let hash = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(hash.as_bytes());
}

#[test]
fn a_forged_hash_makes_nothing_believed() {
    let whole = bytes(false, 62, 90);
    let trailer = whole.len() - 64;
    for at in (16..92).chain(96..whole.len() - 32) {
        // The header's reserved bytes and its epoch say nothing about the entries.
        if (48..56).contains(&at) || (72..92).contains(&at) || (40..48).contains(&at) {
            continue;
        }
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        forge(&mut changed);
        assert!(read(&changed).is_err() || at >= trailer + 32 || (16..32).contains(&at), "byte {at}");
    }
}

#[test]
fn a_capture_that_asks_for_too_much_is_refused_before_it_gets_it() {
    let whole = bytes(true, 1, 300);
    let trailer = whole.len() - 64;
    // It claims a body of 2^62 bytes, or 2^60 entries.
    for (at, what) in [(trailer + 24, 1u64 << 62), (trailer, 1 << 60)] {
        let mut changed = whole.clone();
        changed[at..at + 8].copy_from_slice(&what.to_le_bytes());
        forge(&mut changed);
        let error = read(&changed).unwrap_err();
        assert!(error.contains("is not acceptable"), "{error}");
    }
    let tight = Bounds { body_bytes: 1000, ..Bounds::default() };
    let error = Capture::from_bytes(Path::new("test.kjl"), whole, tight).unwrap_err();
    assert!(matches!(error, CaptureError::Bounds { .. }), "{error}");
    // A bomb: zeros that decompress to far more than they claim. No frame is made of zeros, and no
    // more than what was claimed is ever decompressed.
    let mut bomb = bytes(true, 62, 62)[..96].to_vec();
    bomb.extend(zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap());
    bomb.extend(62u64.to_le_bytes());
    bomb.extend([0; 16]);
    bomb.extend(5000u64.to_le_bytes());
    bomb.extend([0; 32]);
    forge(&mut bomb);
    let error = read(&bomb).unwrap_err();
    assert!(error.contains("damaged"), "{error}");
}

#[test]
fn what_is_no_capture_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.kjl");
    for contents in [&b""[..], b"hello", &[0; 1000], "{\"kind\":\"List\"}".repeat(100).as_bytes()] {
        std::fs::write(&path, contents).unwrap();
        let error = Capture::open(&path).unwrap_err();
        assert!(matches!(error, CaptureError::NotACapture { .. }), "{error}");
    }
    let mut newer = bytes(false, 1, 5);
    newer[8] = 7;
    forge(&mut newer);
    let error = read(&newer).unwrap_err();
    assert!(error.contains("format 7, this build reads up to 1"), "{error}");
}

#[test]
fn lines_of_json_have_every_entry() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path());
    let reader = JournalReader::open(dir.path()).unwrap();
    let mut out = Vec::new();
    assert_eq!(ndjson::write(reader.read(1), &mut out).unwrap(), 300);
    let text = String::from_utf8(out).unwrap();
    for (line, entry) in text.lines().zip(&all) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["seq"], entry.seq);
        assert_eq!(value["at"], journal::rfc3339(entry.at));
        let event: journal_schema::event::Event = serde_json::from_value(value["event"].clone()).unwrap();
        assert_eq!(event, entry.event);
    }
    assert!(
        text.starts_with("{\"seq\":1,\"at\":\"2026-03-01T09:30:01.000Z\",\"event\":{\"DaemonStarted\":{\"epoch\":3,")
    );
}

#[test]
fn default_options_have_segments_of_64_mebibytes() {
    assert_eq!(Options::default().segment_bytes, 64 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is written into the body behind a right hash: an error or whole entries, no panic.
    #[test]
    fn any_body_is_an_error_or_entries(at in 0usize..4000, patch in proptest::collection::vec(any::<u8>(), 1..64), fix in any::<bool>()) {
        static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| bytes(false, 62, 90));
        let mut changed = WHOLE.clone();
        let length = changed.len() - 64 - 96;
        let at = 96 + at % length;
        let end = (at + patch.len()).min(changed.len() - 64);
        changed[at..end].copy_from_slice(&patch[..end - at]);
        if fix {
            // The frame's checksum made right too: only order and chain are left to tell.
            let mut start = 96;
            loop {
                let total = u32::from_le_bytes(changed[start..start + 4].try_into().unwrap()) as usize + 52;
                if start + total > changed.len() - 64 {
                    break;
                }
                let crc = crc32c::crc32c_append(crc32c::crc32c(&changed[start..start + 4]), &changed[start + 8..start + total]);
                changed[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
                start += total;
                if start >= at || start + 4 > changed.len() - 64 {
                    break;
                }
            }
        }
        forge(&mut changed);
        if let Ok(entries) = read(&changed) {
            prop_assert_eq!(entries.len(), 29);
        }
    }
}
