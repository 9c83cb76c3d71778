//! Threads.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. The work comes in a box, because what starts a thread is compiled for each type of work: 3 KiB.
///
/// # Errors
/// The system has no room for it.
pub(crate) fn start(
    name: &str,
    stack_bytes: usize,
    work: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).stack_size(stack_bytes).spawn(work)
}
