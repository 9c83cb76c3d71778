//! Supervision of workers and interfaces, once a second.

use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use smol::Timer;

use crate::control::state::Shared;
use crate::terminal::failure::Failure;
use crate::worker::presence::Presence;

const SUPERVISION_INTERVAL: Duration = Duration::from_secs(1);

/// Waits for a worker to end by itself, which none ever should.
pub(crate) async fn worker_end(workers: &[JoinHandle<()>]) -> Failure {
    while !workers.iter().any(JoinHandle::is_finished) {
        Timer::after(SUPERVISION_INTERVAL).await;
    }
    Failure::new("a worker thread has ended by itself; not everything is captured any more")
}

/// Logs captured interfaces that vanish and come back. Runs as long as the executor.
pub(crate) async fn interfaces(shared: Rc<Shared>) {
    let mut presence = Presence::default();
    loop {
        shared.workers.follow_interfaces();
        let counts = shared.workers.snapshots().read().interfaces;
        presence.log_changes(&counts, &shared.settings.borrow().interface);
        Timer::after(SUPERVISION_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without supervision the sensor kept running after the panic of a worker and reported no error.
    #[test]
    fn a_worker_that_panics_is_noticed() {
        let worker = std::thread::spawn(|| {
            std::panic::resume_unwind(Box::new("as a bug would"));
        });
        let failure = smol::block_on(worker_end(&[worker]));
        assert!(failure.to_string().contains("ended by itself"), "{failure}");
    }
}
