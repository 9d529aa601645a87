//! Work on several threads whose outcome does not depend on how many there are.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does the same with each, on several threads; the answers come in the order of what they are about.
pub(crate) fn in_parallel<T: Sync, R: Send>(threads: u32, all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = usize::try_from(threads).unwrap_or(1).clamp(1, all.len().max(1));
    if threads == 1 {
        return all.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        all.get(index).map(|one| (index, work(one)))
    };
    let mut answers: Vec<(usize, R)> = std::thread::scope(|scope| {
        let started: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| std::iter::from_fn(take).collect::<Vec<_>>())).collect();
        started
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
