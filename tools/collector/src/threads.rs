//! Threads with a queue and a priority of their own: a runtime for work that must not delay that of others.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::nice;
use tokio::runtime::{self, Handle, Runtime};

/// Longest wait for threads that read the store when they are stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A runtime of its own. When dropped it waits up to a second for its threads.
#[derive(Debug)]
pub struct Threads(Option<Runtime>);

/// Sizes of a runtime.
#[derive(Clone, Copy, Debug)]
pub struct ThreadLimits {
    /// Name of the threads.
    pub name: &'static str,
    /// Threads that run tasks.
    pub workers: usize,
    /// Threads that may block: reads of the store.
    pub blocking: usize,
    /// Niceness (sched(7)) of the threads above that of the process, such as [`BULK_PRIORITY`].
    pub niceness: i32,
}

/// Niceness of threads that make handshakes: half the weight of a thread that takes in alerts where both want a processor, all of
/// it where there is none.
pub const HANDSHAKE_PRIORITY: i32 = 3;

/// Niceness of threads that serve sessions which send much: a third of the weight.
pub const BULK_PRIORITY: i32 = 5;

/// Niceness of threads that answer requests and search the store: a tenth of the weight.
pub const LOWEST_PRIORITY: i32 = 10;

impl Threads {
    /// Starts the threads.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub fn start(limits: ThreadLimits) -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(limits.workers)
            .max_blocking_threads(limits.blocking)
            .thread_name(limits.name)
            .on_thread_start(move || {
                let _ = nice(limits.niceness); // of this thread only, under Linux; raising it needs no privilege
            })
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Handle with which tasks are spawned on the threads from elsewhere; none once it is being dropped.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }

    /// Runs `work` with these threads as the present runtime: what it spawns runs on them.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.0.as_ref().map(Runtime::enter);
        work()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // At the end of the process the cryptography of the store frees what a query that still runs would use. One that takes longer
        // must not block the end. From a thread of its own, because a runtime must not wait inside another one.
        if let Some(runtime) = self.0.take() {
            let stopping = thread::spawn(move || runtime.shutdown_timeout(STOP_TIMEOUT));
            let _ = stopping.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NICENESS: i32 = 3;

    #[test]
    fn work_on_the_threads_has_their_priority_and_that_of_the_others_stays() {
        let niceness = || nice(0).unwrap();
        let before = niceness();
        let threads =
            Threads::start(ThreadLimits { name: "low", workers: 1, blocking: 1, niceness: NICENESS })
                .unwrap();
        let (sender, results) = std::sync::mpsc::channel();
        threads.enter(|| {
            let of_task = sender.clone();
            tokio::spawn(async move { of_task.send(niceness()) });
            tokio::task::spawn_blocking(move || sender.send(niceness()));
        });
        let expected = (before + NICENESS).min(19);
        assert_eq!(results.iter().take(2).collect::<Vec<_>>(), [expected; 2]);
        assert_eq!(niceness(), before);
    }
}
