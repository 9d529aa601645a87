//! Runs on several threads; what they give is collected in the order of the questions.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Threads to use when none are named.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Answers `0..count` on some threads. `seen` hears each answer in order, as soon as it can.
pub(super) fn each<T: Send>(
    threads: usize,
    count: usize,
    answer: impl Fn(usize) -> T + Sync,
    seen: impl FnMut(usize, T) + Send,
) {
    let next = AtomicUsize::new(0);
    let told = Mutex::new((seen, 0_usize, std::collections::BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let found = answer(index);
                    let Ok(mut told) = told.lock() else { return };
                    let (seen, due, waiting) = &mut *told;
                    waiting.insert(index, found);
                    while let Some(found) = waiting.remove(due) {
                        seen(*due, found);
                        *due += 1;
                    }
                }
            });
        }
    });
}
