//! A disk loses, mixes up and flips what it holds: in a full segment of 64 KiB every such fault is found and
//! placed at the record that it is in.

#![allow(clippy::unwrap_used)]

mod samples;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::disk::memory::MemoryDisk;
use journal::{FileJournal, JournalId, OpenError, Options};
use samples::*;

const DIR: &str = "/journal";
const SEGMENT: usize = 64 << 10;
/// No record of these journals is longer.
const RECORD: u64 = 200;

fn segment() -> PathBuf {
    Path::new(DIR).join("segments/00000000.kjs")
}

fn open(disk: &MemoryDisk, id: JournalId) -> Result<FileJournal, OpenError> {
    let disk = Arc::new(disk.clone());
    let options = Options { disk, segment_bytes: SEGMENT as u64, id: Some(id), ..plain() };
    FileJournal::open(Path::new(DIR), options).map(|(journal, _)| journal)
}

/// A journal whose one segment is full, and the segment's bytes. All of it is acknowledged.
fn full_segment(id: JournalId) -> (MemoryDisk, Vec<u8>) {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, id).unwrap();
    let mut seq = 0;
    while disk.contents(&segment()).unwrap().len() < SEGMENT {
        let batch = 1 + seq * 7 % 23;
        fill(&mut journal, seq + 1, seq + batch, batch);
        seq += batch;
    }
    drop(journal);
    let bytes = disk.contents(&segment()).unwrap();
    assert!(disk.contents(&segment().with_file_name("00000001.kjs")).is_none());
    (disk.after_kill(), bytes)
}

/// The journal is refused, and the record is named that holds the first byte that is not as it was written.
fn refused(disk: &MemoryDisk, whole: &[u8], bytes: Vec<u8>, what: &str) {
    let first = whole.iter().zip(&bytes).position(|(one, other)| one != other).unwrap() as u64;
    let disk = disk.after_kill();
    disk.overwrite(&segment(), bytes);
    match open(&disk, id()).err() {
        Some(OpenError::Damaged { damage, .. }) => {
            assert_eq!(damage.file, Path::new("segments/00000000.kjs"), "{what}");
            assert!(damage.offset <= first && first - damage.offset < RECORD, "{what}, byte {first}: {damage}");
        }
        other => panic!("{what}: {:?}", other.map(|error| error.to_string())),
    }
}

/// The blocks of a file; the last one may be shorter.
fn blocks(length: usize, size: usize) -> Vec<std::ops::Range<usize>> {
    (0..length).step_by(size).map(|start| start..(start + size).min(length)).collect()
}

#[test]
fn every_block_that_reads_as_one_byte_over_and_over_is_found_and_placed() {
    let (disk, whole) = full_segment(id());
    for size in [512, 4096] {
        for block in blocks(whole.len(), size) {
            for byte in [0, 0xff] {
                let mut bytes = whole.clone();
                bytes[block.clone()].fill(byte);
                refused(&disk, &whole, bytes, &format!("block {block:?} is {byte:#x}"));
            }
        }
    }
}

#[test]
fn every_block_that_holds_another_ones_bytes_is_found_and_placed() {
    let (disk, whole) = full_segment(id());
    // The same entries at the same offsets, every checksum right: only the chain tells them apart.
    let (_, foreign) = full_segment(JournalId::derived("another journal"));
    assert_eq!(foreign.len(), whole.len());
    let mut faults = 0;
    for size in [512, 4096] {
        let blocks = blocks(whole.len(), size);
        for (index, block) in blocks.iter().enumerate() {
            if index > 0 {
                let mut bytes = whole.clone();
                bytes[block.clone()].copy_from_slice(&foreign[block.clone()]);
                refused(&disk, &whole, bytes, &format!("block {block:?} is another journal's"));
            }
            for (from, other) in blocks.iter().enumerate().filter(|(from, _)| *from != index) {
                // Each takes the place of each other; of 4 KiB all, of 512 bytes those near and some far.
                if size == 512 && from.abs_diff(index) > 2 && (from + index) % 19 != 0 {
                    continue;
                }
                let count = block.len().min(other.len());
                let mut bytes = whole.clone();
                bytes[block.start..block.start + count].copy_from_slice(&whole[other.start..other.start + count]);
                refused(&disk, &whole, bytes.clone(), &format!("block {block:?} holds {other:?}"));
                // The block that was meant was written there instead.
                bytes[other.start..other.start + count].copy_from_slice(&whole[block.start..block.start + count]);
                refused(&disk, &whole, bytes, &format!("blocks {block:?} and {other:?} are exchanged"));
                faults += 2;
            }
        }
    }
    assert!(faults > 2_000, "{faults}");
}

/// With the header another journal begins, which only breaks off where the block ends.
#[test]
fn a_first_block_of_another_journal_is_found_where_the_two_meet() {
    let (disk, whole) = full_segment(id());
    let (_, foreign) = full_segment(JournalId::derived("another journal"));
    for end in (96..8192).step_by(13) {
        let disk = disk.after_kill();
        disk.overwrite(&segment(), [&foreign[..end], &whole[end..]].concat());
        match open(&disk, id()).err() {
            Some(OpenError::Damaged { damage, .. }) => {
                let (end, offset) = (end as u64, damage.offset);
                assert!(offset <= end && end - offset < RECORD, "{end} bytes: {damage}");
            }
            other => panic!("{end} bytes: {:?}", other.map(|error| error.to_string())),
        }
    }
    disk.overwrite(&segment(), foreign);
    let error = open(&disk, id()).err().unwrap();
    assert!(matches!(&error, OpenError::Damaged { damage, .. } if damage.file == Path::new("HEAD")), "{error}");
}

/// Flips every `stride`th bit of a full segment, each by itself. How many that were.
fn flipped_bits(stride: usize) -> usize {
    let (disk, whole) = full_segment(id());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let flip = |first: usize| {
        let mut flips = 0;
        for bit in (first * stride..whole.len() * 8).step_by(threads * stride) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            refused(&disk, &whole, bytes, &format!("bit {bit}"));
            flips += 1;
        }
        flips
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|first| scope.spawn(move || flip(first))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// 151 is prime to the length of the records, so that over the segment each of their bits has its turn.
#[test]
fn flipped_bits_of_a_full_segment_are_found_and_placed() {
    let flips = flipped_bits(151);
    assert!(flips >= SEGMENT * 8 / 151, "{flips}");
}

#[test]
#[ignore = "all 524,288 flips: a minute, optimised; for a release (tests/crash/README.md)"]
fn every_flipped_bit_of_a_full_segment_is_found_and_placed() {
    let flips = flipped_bits(1);
    println!("{flips} bits flipped, each found and placed");
    assert!(flips >= SEGMENT * 8, "{flips}");
}
