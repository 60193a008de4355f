//! The `wafermill` program.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_env = "gnu")]
    keep_freed_memory();
    cli::main()
}

/// Has glibc keep what is freed, within bounds: by default it gives the memory of each batch back to the system, which clears it anew for the
/// next one.
#[cfg(target_env = "gnu")]
fn keep_freed_memory() {
    const ONE_BY_ONE: i32 = 8 << 20;
    const KEPT: i32 = 32 << 20;
    // SAFETY: it sets two numbers of the allocator, before there is another thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, ONE_BY_ONE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
