//! The program's entry point; everything is in the library beside it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// It gives back what a plan needed; the system's allocator keeps half of it (`tests/e2e/run --figures`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    kinema::main()
}
