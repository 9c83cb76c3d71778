//! Start of threads.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. Boxed, because `Builder::spawn` is compiled for each type of closure: 3 KiB of flash each.
///
/// # Errors
/// The kernel refuses the thread or its stack.
pub(crate) fn start(
    name: &str,
    stack_bytes: usize,
    work: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).stack_size(stack_bytes).spawn(work)
}
