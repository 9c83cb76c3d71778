//! Executor of smol, compiled for one type of future: for each further type it takes 2 to 3 KiB of flash.

use std::pin::Pin;

use smol::{LocalExecutor, Task};

/// Polls `task` until it is done.
pub(crate) fn block_on(task: Pin<&mut dyn Future<Output = ()>>) {
    smol::block_on(task);
}

/// Starts a task.
pub(crate) fn spawn(
    executor: &'static LocalExecutor<'static>,
    task: Pin<Box<dyn Future<Output = ()>>>,
) -> Task<()> {
    executor.spawn(task)
}
