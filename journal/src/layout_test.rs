//! Files that a newer program wrote are told from damaged ones.

use std::path::Path;
use std::sync::Arc;

use journal_schema::SCHEMA_VERSION;

use crate::disk::memory::MemoryDisk;
use crate::file::{FileJournal, Options};
use crate::frame::{FORMAT_VERSION, FrameHead, SegmentHead, write_commit, write_entry};
use crate::head::{HeadFile, Mark};
use crate::id::JournalId;
use crate::recover::blank_head;
use crate::segment::{Position, segment_path};
use crate::{JournalReader, OpenError};

/// A journal with one entry of a schema version, under a header of a format version.
fn journal(format: u16, schema: u16) -> MemoryDisk {
    let (disk, dir, id) = (MemoryDisk::new(), Path::new("/journal"), JournalId::derived("newer"));
    let like = SegmentHead { format, ..blank_head(id, 0) };
    let head = FrameHead { seq: 1, at: 1, epoch: 0, kind: 8, schema };
    let mut bytes = like.bytes().to_vec();
    let chain = write_entry(&mut bytes, head, b"what only a newer program understands", &like.previous_chain);
    write_commit(&mut bytes, head, 1, chain);
    disk.overwrite(&dir.join(segment_path(0)), bytes);
    let position = Position { seq: 1, at: 1, epoch: 0, chain };
    assert!(HeadFile::create(&disk, dir, Mark { id, flags: 0, turn: 0, position }).is_ok());
    disk
}

fn open(disk: &MemoryDisk) -> [Option<OpenError>; 2] {
    let dir = Path::new("/journal");
    let before = disk.contents(&dir.join(segment_path(0)));
    let options = Options { disk: Arc::new(disk.clone()), ..Options::default() };
    let errors = [FileJournal::open(dir, options).err(), JournalReader::open_on(Arc::new(disk.clone()), dir).err()];
    assert_eq!(disk.contents(&dir.join(segment_path(0))), before, "nothing is changed");
    errors
}

#[test]
fn an_entry_of_a_newer_schema_is_refused_with_both_versions() {
    for error in open(&journal(FORMAT_VERSION, SCHEMA_VERSION + 1)) {
        let Some(error @ OpenError::NewerSchema { found, .. }) = error else { panic!("{error:?}") };
        assert_eq!(found, SCHEMA_VERSION + 1);
        let text = error.to_string();
        let both = format!("schema version {found}, this build reads up to {SCHEMA_VERSION}");
        assert!(text.contains(&both) && text.contains("use a newer kinema"), "{text}");
    }
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    for error in open(&journal(FORMAT_VERSION + 1, SCHEMA_VERSION)) {
        let Some(error @ OpenError::NewerFormat { found, .. }) = error else { panic!("{error:?}") };
        assert_eq!(found, FORMAT_VERSION + 1);
        assert!(error.to_string().contains("this build reads up to 1"), "{error}");
    }
}
