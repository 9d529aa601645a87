//! The program's entry point; everything is in the library beside it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// The system's allocator keeps what a plan needed for a moment; a daemon that then waits for hours
/// should give it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kinema::main()
}
