//! Prints how fast the journal is: `cargo bench -p journal`.
//!
//! Appending is compared with raw `write` + `fdatasync` of as many bytes at the same batch size, in
//! turns within the same run, because disks are noisy.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use journal::{FileJournal, Journal, JournalId, JournalReader, Options, Source};
use journal_schema::effect::{Effect, EffectId};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind};
use journal_schema::text::{Many, Message, Text};
use journal_schema::units::Timestamp;

/// An entry of about 1 KiB encoded.
fn kibibyte(seq: u64) -> Entry {
    let note: Message = Text::truncated("x".repeat(901));
    let notice = Effect::Notice {
        regarding: journal_schema::effect::Regarding::Kinema,
        reason: Text::truncated("Benchmark"),
        note,
        warning: false,
    };
    let effects = Many::new(vec![(EffectId { cause: seq, index: 0 }, notice)]).unwrap();
    Entry { seq, at: Timestamp(seq as i64), event: Event::Intents { effects } }
}

fn small(seq: u64) -> Entry {
    let key = Key::new(Text::truncated("shop"), Text::truncated(format!("pod-{}", seq % 5000)));
    Entry { seq, at: Timestamp(seq as i64), event: Event::Watch(WatchEvent::Deleted { kind: Kind::Pod, key }) }
}

fn open(dir: &Path, index: bool) -> FileJournal {
    let options = Options { index, id: Some(JournalId::derived("bench")), ..Options::default() };
    FileJournal::open(dir, options).unwrap().0
}

fn append(journal: &mut FileJournal, entry: fn(u64) -> Entry, count: u64, batch: u64) {
    for seq in 1..=count {
        journal.append(&entry(seq)).unwrap();
        if seq % batch == 0 {
            journal.flush().unwrap();
        }
    }
    journal.flush().unwrap();
}

/// Flushes of the journal and of a raw file in turns, so that a noisy disk is noisy for both. Gives
/// the time of each, journal first.
fn race(
    journal: &mut FileJournal,
    file: &mut File,
    bytes: usize,
    batch: u64,
    flushes: u64,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut journals, mut raws) = (Vec::new(), Vec::new());
    let block = vec![0x5a; bytes * batch as usize];
    for _ in 0..flushes {
        let first = journal.last().map_or(0, |last| last.seq) + 1;
        let entries: Vec<Entry> = (first..first + batch).map(kibibyte).collect();
        let start = Instant::now();
        for entry in &entries {
            journal.append(entry).unwrap();
        }
        journal.flush().unwrap();
        journals.push(start.elapsed());
        let start = Instant::now();
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        raws.push(start.elapsed());
    }
    (journals, raws)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// Seconds that this thread has been on a processor: what a busy machine does not change.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn main() {
    let base = std::env::var_os("KINEMA_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = base.join(format!("kinema-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let bytes = journal_schema::codec::encode(&kibibyte(1_000_000)).unwrap().len();
    println!(
        "entries of {bytes} bytes; {} threads; in {}",
        std::thread::available_parallelism().unwrap(),
        dir.display()
    );
    println!("entries per second; the ratio is by the sum of all flushes, and by their median");
    println!("{:>7} {:>6} {:>10} {:>10} {:>7} {:>7}", "index", "batch", "raw", "journal", "sum", "median");
    for index in [false, true] {
        for (batch, flushes) in [(1u64, 600u64), (10, 400), (100, 200), (256, 100)] {
            let mut file = File::create(dir.join("raw")).unwrap();
            let mut journal = open(&dir.join(format!("append-{index}-{batch}")), index);
            let (journals, raws) = race(&mut journal, &mut file, bytes, batch, flushes);
            journal.close().unwrap();
            let sum = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
            let rate = |seconds: f64| (batch * flushes) as f64 / seconds;
            println!(
                "{:>7} {batch:>6} {:>10.0} {:>10.0} {:>7.2} {:>7.2}",
                if index { "on" } else { "off" },
                rate(sum(&raws)),
                rate(sum(&journals)),
                sum(&raws) / sum(&journals),
                median(raws) / median(journals)
            );
        }
    }
    {
        let mut journal = open(&dir.join("cpu"), false);
        let entries: Vec<Entry> = (1..=20_000).map(kibibyte).collect();
        let cpu = on_cpu();
        for entry in &entries {
            journal.append(entry).unwrap();
        }
        journal.flush().unwrap();
        let appended = on_cpu() - cpu;
        let cpu = on_cpu();
        let bytes: usize = entries.iter().map(|entry| journal_schema::codec::encode(entry).unwrap().len()).sum();
        println!(
            "append: {:.2} us of CPU an entry, of which encoding {:.2} ({bytes})",
            appended * 50.0,
            (on_cpu() - cpu) * 50.0
        );
    }
    for (name, entry) in [("small", small as fn(u64) -> Entry), ("1 KiB", kibibyte)] {
        let path = dir.join(name);
        let mut journal = open(&path, false);
        let count = 100_000;
        append(&mut journal, entry, count, 1000);
        journal.close().unwrap();
        let timed = |work: &mut dyn FnMut()| {
            let (start, cpu) = (Instant::now(), on_cpu());
            work();
            (start.elapsed().as_secs_f64(), on_cpu() - cpu)
        };
        let mut journal = None;
        let opened = timed(&mut || journal = Some(open(&path, false)));
        let read = timed(&mut || {
            let last = journal.as_ref().unwrap().read(1).map(|entry| entry.unwrap().seq).max();
            assert_eq!(last, Some(count));
        });
        drop(journal);
        let verified = timed(&mut || assert!(journal::verify::verify(&path).unwrap().sound()));
        assert_eq!(JournalReader::open(&path).unwrap().durable_last().unwrap().seq, count);
        for (what, (wall, cpu)) in [("open", opened), ("read, verify, decode", read), ("verify", verified)] {
            println!(
                "{name}: {what} {count} entries in {:.0} ms, {:.0} ms of CPU: {:.0} per CPU second",
                wall * 1e3,
                cpu * 1e3,
                count as f64 / cpu
            );
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
