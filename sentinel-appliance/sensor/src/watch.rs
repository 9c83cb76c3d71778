//! What the control thread looks at once a second.

use std::thread::JoinHandle;
use std::time::Duration;

use smol::Timer;

use crate::failure::Failure;

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Waits for the worker to end by itself, which it never should.
pub(crate) async fn worker_end(worker: &JoinHandle<()>) -> Failure {
    while !worker.is_finished() {
        Timer::after(LOOK_INTERVAL).await;
    }
    Failure::new("the worker thread has ended by itself; nothing is captured any more")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program went on without a worker, and looked well, until somebody stopped it.
    #[test]
    fn a_worker_that_panics_is_noticed() {
        let worker = std::thread::spawn(|| {
            std::panic::resume_unwind(Box::new("as a bug would"));
        });
        let failure = smol::block_on(worker_end(&worker));
        assert!(failure.to_string().contains("ended by itself"), "{failure}");
    }
}
