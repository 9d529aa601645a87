//! What the crash tests kill and cut the power of (`tests/crash`): a writer that appends entries without end and
//! says which of them are acknowledged, and a check of what it left.
//!
//! ```text
//! writer DIR [--verified N] [--without-sync]   writes until it is killed
//! writer DIR [--verified N] --check            opens, compares, closes, verifies every byte
//! ```
//!
//! Every entry follows from its number, so that whoever opens the journal knows what must be in it. Both begin with a
//! line `opened LAST CUT BEYOND MICROSECONDS` once every entry after N was compared; the writer goes on with a line
//! `acknowledged LAST` after each flush, the check with a line `sound LAST`.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::disk::{Access, Disk, DiskFile, Locking, RealDisk};
use journal::index::IndexState;
use journal::verify::verify;
use journal::{FileJournal, Journal, JournalId, Options, Source};
use journal_schema::effect::{Answer, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind};
use journal_schema::text::{JsonText, Name};
use journal_schema::units::Timestamp;

/// How long the index may take to catch up.
const PATIENCE: Duration = Duration::from_secs(120);

struct Arguments {
    dir: PathBuf,
    verified: u64,
    without_sync: bool,
    check: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&arguments()?)
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments { dir: PathBuf::new(), verified: 0, without_sync: false, check: false };
    let mut given = std::env::args_os().skip(1);
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("--verified") => {
                let number = given.next().ok_or("--verified wants a number")?;
                arguments.verified = number.to_str().ok_or("no number")?.parse()?;
            }
            Some("--without-sync") => arguments.without_sync = true,
            Some("--check") => arguments.check = true,
            Some(option) if option.starts_with('-') => return Err(format!("no option {option}").into()),
            Some(_) | None => arguments.dir = argument.into(),
        }
    }
    if arguments.dir.as_os_str().is_empty() { Err("a directory is wanted".into()) } else { Ok(arguments) }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let (mut journal, opened) = FileJournal::open(&arguments.dir, options(arguments.without_sync))?;
    let took = began.elapsed();
    let last = compared(&journal, arguments.verified)?;
    let mut out = io::stdout().lock();
    writeln!(out, "opened {last} {} {} {}", opened.tail_cut, opened.beyond_head, took.as_micros())?;
    if !arguments.check {
        return write(&mut journal, last, &mut out);
    }
    let index = journal.index().ok_or("the journal has no index")?;
    loop {
        match index.settle() {
            IndexState::Ready { seq } if seq == last => break,
            // It has been built anew, or has not been written for long, and catches up.
            IndexState::Ready { .. } | IndexState::Opening if began.elapsed() < PATIENCE => {}
            state => return Err(format!("the index is {state:?}, the journal ends at entry {last}").into()),
        }
    }
    journal.close()?;
    let report = verify(&arguments.dir)?;
    if !report.sound() || report.entries != last || report.torn_tail != 0 {
        return Err(format!("{report}").into());
    }
    writeln!(out, "sound {last}")?;
    Ok(())
}

/// Small segments, and HEAD made durable at every eighth flush only, so that both are met often.
fn options(without_sync: bool) -> Options {
    let disk: Arc<dyn Disk> = if without_sync { Arc::new(Unsynced) } else { Arc::new(RealDisk) };
    let id = Some(JournalId::derived("what the crash tests write"));
    Options { disk, id, segment_bytes: 256 << 10, head_sync_every: 8, ..Options::default() }
}

/// Reads the entries after `verified` and compares each with what was appended under its number. The last one.
fn compared(journal: &FileJournal, verified: u64) -> Result<u64, Box<dyn Error>> {
    let mut last = verified;
    for read in journal.read(verified + 1) {
        let read = read?;
        last += 1;
        if read != entry(last) {
            return Err(
                format!("entry {} stands where entry {last} was appended, or other than it was", read.seq).into()
            );
        }
    }
    if journal.last().map_or(0, |last| last.seq) != last {
        return Err(format!("{:?} is the last entry, {last} the last one read", journal.last()).into());
    }
    Ok(last)
}

fn write(journal: &mut FileJournal, mut last: u64, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    for turn in last.. {
        // Mostly a few entries, at times many.
        let entries = if turn % 23 == 7 { 600 } else { 1 + turn * 7 % 23 };
        for _ in 0..entries {
            last += 1;
            journal.append(&entry(last))?;
        }
        journal.flush()?;
        writeln!(out, "acknowledged {last}")?;
    }
    Ok(())
}

/// The entry with this number.
fn entry(seq: u64) -> Entry {
    let name = Name::truncated(format!("pod-{}", seq % 997));
    let done = |answer| Event::Outcome { id: EffectId { cause: seq, index: 0 }, outcome: Outcome::Answered(answer) };
    let event = match seq % 5 {
        // Now and then some that are large, so that a kill may meet a write half done.
        _ if seq % 1000 < 16 => {
            let text = format!("{seq} ").repeat(8_000);
            done(Answer::Affinity(Some(JsonText::truncated(text)), None))
        }
        0 => done(Answer::Done),
        1 => Event::TailCut { bytes: seq },
        _ => Event::Watch(WatchEvent::Deleted { kind: Kind::Pod, key: Key::new(Name::truncated("shop"), name) }),
    };
    Entry { seq, at: Timestamp(1_772_357_400_000 + i64::try_from(seq).unwrap_or(i64::MAX)), event }
}

/// The file system without what makes things durable: shows that a power cut loses what was not synced.
struct Unsynced;

struct UnsyncedFile(Arc<dyn DiskFile>);

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Unsynced {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(RealDisk.open(path, access)?)))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, path: &Path) -> io::Result<Locking> {
        RealDisk.lock(path)
    }
    /// sled would sync by itself, and with it what the journal left to be written.
    fn is_real(&self) -> bool {
        false
    }
}
