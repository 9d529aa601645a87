//! A journal of a stranger: whatever it tells, folding it ends in a state or in an error.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;

use engine::State;
use journal::{Capture, Checkpoint, Journal, MemoryJournal, Source};
use journal_schema::entry::Entry;
use journal_schema::units::Timestamp;
use proptest::prelude::*;
use replay::{CheckOptions, check, state_at};

const FINGERPRINT: &str = "tests";

/// An iteration of pods that are moved by surges.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let capture = capture();
    capture.read(1).collect::<Result<_, _>>().unwrap()
});

/// A state in the middle of it, saved.
static SAVED: LazyLock<Checkpoint> = LazyLock::new(|| {
    let folded = state_at(&capture(), ENTRIES.len() as u64 / 2).unwrap();
    Checkpoint::of(folded.seq, FINGERPRINT, &folded.state).unwrap()
});

fn capture() -> Capture {
    Capture::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/journals/surge-single.kjl")).unwrap()
}

/// The checkpoint with other bytes, and their digest made right as a stranger would.
fn forged(bytes: Vec<u8>) -> Checkpoint {
    let digest = blake3::hash(&bytes).as_bytes()[..16].try_into().unwrap();
    Checkpoint { bytes, digest, ..SAVED.clone() }
}

/// What is done to an entry on its way.
#[derive(Clone, Debug)]
enum Change {
    Drop,
    Twice,
    SwapWith(prop::sample::Index),
    Late(i64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Drop),
        Just(Change::Twice),
        any::<prop::sample::Index>().prop_map(Change::SwapWith),
        prop_oneof![1_i64..1_000_000_000, Just(i64::MAX / 16)].prop_map(Change::Late),
    ]
}

/// A journal of these events, numbered as it must be.
fn journal(entries: Vec<(Entry, i64)>) -> MemoryJournal {
    let mut journal = MemoryJournal::new(capture().id());
    let mut at = 0_i64;
    for (number, (entry, late)) in (1..).zip(entries) {
        at = at.saturating_add(1).max(entry.at.0).saturating_add(late);
        journal.append(&Entry { seq: number, at: Timestamp(at), event: entry.event }).unwrap();
    }
    journal.flush().unwrap();
    journal
}

fn fold(journal: &MemoryJournal) {
    let options = CheckOptions { recompute: false, restore: false, ..CheckOptions::default() };
    let _ = check(journal, &options, |_| {});
}

#[test]
fn the_journal_as_it_is_folds_and_its_checkpoint_is_read() {
    let whole = journal(ENTRIES.iter().map(|entry| (entry.clone(), 0)).collect());
    let folded = state_at(&whole, u64::MAX).unwrap();
    assert_eq!(folded.entries, ENTRIES.len() as u64);
    assert!(SAVED.state::<State>(FINGERPRINT).is_ok());
    assert!(forged(SAVED.bytes.clone()).state::<State>(FINGERPRINT).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn entries_that_are_missing_repeated_or_out_of_order_end_in_a_state_or_an_error(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), change()), 1..12),
    ) {
        let mut entries: Vec<(Entry, i64)> = ENTRIES.iter().map(|entry| (entry.clone(), 0)).collect();
        for (at, change) in changes {
            let at = at.index(entries.len());
            match change {
                Change::Drop => drop(entries.remove(at)),
                Change::Twice => entries.insert(at, entries[at].clone()),
                Change::SwapWith(other) => {
                    let other = other.index(entries.len());
                    entries.swap(at, other);
                }
                Change::Late(by) => entries[at].1 = by,
            }
        }
        fold(&journal(entries));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Also where the bytes announce 2^64 of something.
    #[test]
    fn any_checkpoint_with_a_right_digest_is_an_error_or_a_state(
        at in any::<prop::sample::Index>(),
        patch in proptest::collection::vec(any::<u8>(), 0..9),
        length in 0_usize..9,
        announces in any::<bool>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = SAVED.bytes.clone();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        let patch = if announces { [&[0xfd][..], &[0xff; 8]].concat() } else { patch };
        bytes.splice(at..end, patch);
        if cut {
            bytes.truncate(at);
        }
        let _ = forged(bytes).state::<State>(FINGERPRINT);
    }
}
