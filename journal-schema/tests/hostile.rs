//! An entry may come from a stranger: whatever its bytes are, it is an error or an entry, soon and in
//! little memory.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads its golden file, and looks at the clock"
)]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use journal_schema::codec::{decode, encode};
use journal_schema::entry::{Entry, SCHEMA_VERSION};
use proptest::prelude::*;

/// Entries of every kind, as they were frozen: each with its length before it.
static ENTRIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.frames");
    let bytes = std::fs::read(path).unwrap();
    let (mut entries, mut rest) = (Vec::new(), &bytes[..]);
    while !rest.is_empty() {
        let (length, after) = rest.split_at(4);
        let (entry, after) = after.split_at(u32::from_le_bytes(length.try_into().unwrap()) as usize);
        entries.push(entry.to_vec());
        rest = after;
    }
    entries
});

/// What is read can be written, and is then the same.
fn read(bytes: &[u8]) -> Option<Entry> {
    let entry = decode(SCHEMA_VERSION, bytes).ok()?;
    let written = encode(&entry).unwrap();
    assert_eq!(decode(SCHEMA_VERSION, &written).unwrap(), entry);
    Some(entry)
}

/// Headers that announce much: lists, maps, texts and bytes of 2^32 − 1.
const ANNOUNCEMENTS: [&[u8]; 5] = [
    &[0xdd, 0xff, 0xff, 0xff, 0xff],
    &[0xdf, 0xff, 0xff, 0xff, 0xff],
    &[0xdb, 0xff, 0xff, 0xff, 0xff],
    &[0xc6, 0xff, 0xff, 0xff, 0xff],
    &[0xc9, 0xff, 0xff, 0xff, 0xff, 0x01],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_are_an_error_or_an_entry(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
    }

    #[test]
    fn any_damage_is_an_error_or_an_entry(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        patch in proptest::collection::vec(any::<u8>(), 0..9),
        more in proptest::option::of(proptest::sample::select(&ANNOUNCEMENTS[..])),
        length in 0_usize..9,
    ) {
        let mut bytes = which.get(&ENTRIES).clone();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, patch.into_iter().chain(more.unwrap_or_default().iter().copied()));
        read(&bytes);
    }
}

#[test]
fn every_frozen_entry_is_read() {
    assert!(ENTRIES.len() > 20, "{}", ENTRIES.len());
    for bytes in ENTRIES.iter() {
        assert!(read(bytes).is_some());
    }
}

/// A list in a list in a list: no reader may follow it down until its stack is full.
#[test]
fn depth_without_an_end_is_an_error() {
    let whole = &ENTRIES[0];
    assert_eq!(whole[0] & 0xf0, 0x80, "a map of named fields");
    for open in [&[0x91_u8][..], &[0x81, 0xa1, b'x'], &[0x81, 0x91]] {
        let deep = open.repeat(3_000_000);
        assert!(read(&deep).is_none());
        // In a field that no version knows, which is passed over.
        let mut hidden = vec![whole[0] + 1, 0xa1, b'x'];
        hidden.extend(&deep);
        hidden.push(0xc0);
        hidden.extend(&whole[1..]);
        assert!(read(&hidden).is_none());
        // In the place of each field.
        for at in 0..whole.len() {
            let mut instead = whole[..at].to_vec();
            instead.extend(&deep[..60_000]);
            assert!(read(&instead).is_none(), "byte {at}");
        }
    }
}

/// Neither room nor work for what is only announced. Where the bytes fall into a name they make it one
/// that no version knows, and the entry is read without it.
#[test]
fn what_announces_much_and_brings_little_is_done_with_at_once() {
    let (began, mut tries) = (Instant::now(), 0);
    for whole in ENTRIES.iter() {
        for at in 0..whole.len() {
            for announcement in ANNOUNCEMENTS {
                read(&[&whole[..at], announcement].concat());
                tries += 1;
            }
        }
    }
    let each = began.elapsed() / tries;
    assert!(each.as_millis() < 10, "{each:?} for each of {tries}");
}
