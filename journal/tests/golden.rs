//! What version 1 wrote is read for ever.
//!
//! `tests/golden/v1/` has one capture for each kind of event, and beside it what it says, in JSON.
//! The files never change. They are written only where one is missing and KINEMA_WRITE_GOLDEN is
//! set: for a kind of event that did not exist before.

#![allow(clippy::unwrap_used)]

mod samples;

use std::collections::BTreeMap;
use std::path::Path;

use journal::capture::export_entries;
use journal::{Capture, Journal, MemoryJournal, Source, ndjson};
use journal_schema::entry::Entry;
use journal_schema::event::Event;
use samples::*;

fn by_name() -> BTreeMap<String, Vec<Event>> {
    let mut kinds: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in events() {
        kinds.entry(event.name().to_owned()).or_default().push(event);
    }
    kinds
}

#[test]
fn what_version_1_wrote_is_read_as_it_was_meant() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let write = std::env::var_os("KINEMA_WRITE_GOLDEN").is_some();
    let mut names: Vec<String> = by_name().into_keys().collect();
    for (name, events) in by_name() {
        let capture = dir.join(format!("{name}.kjl"));
        let meaning = dir.join(format!("{name}.ndjson"));
        if write && !capture.exists() {
            let mut journal = MemoryJournal::new(id());
            for (event, seq) in events.into_iter().zip(1..) {
                journal.append(&entry(seq, event)).unwrap();
            }
            journal.flush().unwrap();
            std::fs::create_dir_all(&dir).unwrap();
            export_entries(&journal, false, &capture).unwrap();
            ndjson::write(journal.read(1), std::fs::File::create(&meaning).unwrap()).unwrap();
        }
        let source = Capture::open(&capture).unwrap();
        let entries: Vec<Entry> = source.read(1).collect::<Result<_, _>>().unwrap();
        assert!(entries.iter().all(|entry| entry.event.name() == name), "{name}");
        // By value: a field that was added since may say more than the file does.
        let meant = std::fs::read_to_string(&meaning).unwrap();
        assert_eq!(meant.lines().count(), entries.len(), "{name}");
        for (line, entry) in meant.lines().zip(&entries) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let event: Event = serde_json::from_value(value["event"].clone()).unwrap();
            assert_eq!((value["seq"].as_u64(), &event), (Some(entry.seq), &entry.event), "{name}");
            contains(&serde_json::to_value(&entry.event).unwrap(), &value["event"], &name);
        }
    }
    // No capture is left without a test because its kind was renamed.
    let mut files: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".kjl")?.to_owned()))
        .collect();
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

/// Every field of `part` is in `whole`, with the same value.
fn contains(whole: &serde_json::Value, part: &serde_json::Value, context: &str) {
    match (whole, part) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(part)) => {
            for (name, value) in part {
                contains(
                    whole.get(name).unwrap_or_else(|| panic!("{context}.{name} is gone")),
                    value,
                    &format!("{context}.{name}"),
                );
            }
        }
        (serde_json::Value::Array(whole), serde_json::Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{context}");
            for (index, (whole, part)) in whole.iter().zip(part).enumerate() {
                contains(whole, part, &format!("{context}[{index}]"));
            }
        }
        (whole, part) => assert_eq!(whole, part, "{context}"),
    }
}
