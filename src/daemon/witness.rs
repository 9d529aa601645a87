//! The journal against the mark that its last leader left in the lease.
//!
//! The journal's own head mark is on the journal's disk: it shows a lost tail, and nothing when the
//! whole disk is an older copy. The mark in the lease shows that. Without the missing entries nobody
//! knows what was asked for and not undone, so that such a journal is not continued.

use adapter_kube::lease::{HEAD_ANNOTATION, Head};
use journal::{FileJournal, ReadError, Source};

use crate::config::file::Lease;
use crate::exit::Problem;
use crate::journal_command;

/// How far the journal is, for the lease.
pub(super) fn head(journal: &FileJournal) -> Head {
    Head {
        journal: journal.id().to_string(),
        seq: journal.durable_last().map_or(0, |last| last.seq),
        chain: journal.chain().to_string(),
    }
}

/// Whether the journal holds everything that the last leader wrote.
pub(super) fn check(journal: &FileJournal, dir: &std::path::Path, mark: &Head, lease: &Lease) -> Result<(), Problem> {
    let own = head(journal);
    let what = if mark.journal != own.journal {
        format!("the last leader worked on another journal ({}, up to entry {})", mark.journal, mark.seq)
    } else if mark.seq > own.seq {
        format!(
            "it ends at entry {}, and the last leader had reached entry {}: an older copy, or the wrong disk",
            own.seq, mark.seq
        )
    } else {
        match journal.reader().chain_after(mark.seq) {
            Ok(chain) if chain.to_string() == mark.chain => return Ok(()),
            // Compacted away: what is left goes on from there.
            Err(ReadError::BeforeStart { .. }) => return Ok(()),
            Err(error) => return Err(journal_command::read_problem(&error)),
            Ok(_) => format!("its entry {} is not the one that the last leader wrote: two histories", mark.seq),
        }
    };
    let (namespace, name) = (&lease.namespace, &lease.name);
    Err(Problem::failed(format!("the journal in {} is not continued, and nothing was changed", dir.display()))
        .because(&std::io::Error::other(what))
        .fix(format!(
            "give back the journal that the lease {namespace}/{name} tells of. If it is lost, see that nothing of it is left \
             (labels and taints kinema.dev/*, deletion costs, replicas, new machines), then forget it: \
             kubectl annotate lease {name} -n {namespace} {HEAD_ANNOTATION}-"
        )))
}

#[cfg(test)]
mod tests {
    use journal::{Journal, Options};
    use journal_schema::entry::Entry;
    use journal_schema::event::Event;
    use journal_schema::units::Timestamp;

    use super::*;

    fn open(dir: &std::path::Path) -> FileJournal {
        FileJournal::open(dir, Options { index: false, ..Options::default() }).expect("a journal").0
    }

    fn write(journal: &mut FileJournal, count: u64, bytes: u64) {
        for _ in 0..count {
            let seq = head(journal).seq + 1;
            let at = Timestamp(1_000 * i64::try_from(seq).unwrap_or(0));
            journal.append(&Entry { seq, at, event: Event::TailCut { bytes } }).expect("appended");
            journal.flush().expect("flushed");
        }
    }

    fn refusal(journal: &FileJournal, mark: &Head) -> String {
        let dir = std::path::Path::new("/var/lib/kinema");
        check(journal, dir, mark, &Lease::default())
            .map_or_else(|problem| problem.to_string(), |()| "continued".to_owned())
    }

    #[test]
    fn a_journal_older_than_its_leases_mark_is_not_continued() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, backup) = (dir.path().join("journal"), dir.path().join("backup"));
        let mut journal = open(&first);
        write(&mut journal, 3, 1);
        let early = head(&journal);
        assert_eq!(refusal(&journal, &early), "continued");
        drop(journal);
        copy(&first, &backup);

        let mut journal = open(&first);
        write(&mut journal, 2, 1);
        let late = head(&journal);
        assert_eq!(refusal(&journal, &late), "continued");
        assert_eq!(refusal(&journal, &early), "continued", "a crash may leave the mark behind");

        let mut restored = open(&backup);
        let text = refusal(&restored, &late);
        assert!(text.contains("it ends at entry 3, and the last leader had reached entry 5"), "{text}");
        assert!(text.contains("kubectl annotate lease kinema -n kinema kinema.dev/journal-head-"), "{text}");
        write(&mut restored, 4, 2);
        let text = refusal(&restored, &late);
        assert!(text.contains("its entry 5 is not the one that the last leader wrote"), "{text}");

        let other = open(&dir.path().join("other"));
        let text = refusal(&other, &late);
        assert!(text.contains("the last leader worked on another journal"), "{text}");
    }

    fn copy(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).expect("a directory");
        for file in std::fs::read_dir(from).expect("a directory") {
            let file = file.expect("a file");
            let target = to.join(file.file_name());
            if file.file_type().expect("a type").is_dir() {
                copy(&file.path(), &target);
            } else {
                std::fs::copy(file.path(), target).expect("copied");
            }
        }
    }
}
