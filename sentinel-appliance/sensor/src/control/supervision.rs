//! What the control thread looks at once a second.

use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use smol::Timer;

use crate::control::tasks::Shared;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::snapshot::{InterfaceCounts, MAX_INTERFACES};

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Waits for a worker to end by itself, which none ever should.
pub(crate) async fn worker_end(workers: &[JoinHandle<()>]) -> Failure {
    while !workers.iter().any(JoinHandle::is_finished) {
        Timer::after(LOOK_INTERVAL).await;
    }
    Failure::new("a worker thread has ended by itself; not everything is captured any more")
}

/// Logs captured interfaces that vanish and come back. Runs as long as the executor.
pub(crate) async fn interfaces(shared: Rc<Shared>) {
    let mut presence = Presence::default();
    loop {
        shared.workers.tend_meters();
        presence.look(&shared.workers.boards().read().interfaces, |index, is_there| {
            let settings = shared.settings.borrow();
            let Some(name) = settings.interface.get(index) else { return };
            if is_there {
                log::info(format_args!("interface '{name}' is back, capturing again"));
            } else {
                log::warn(format_args!("interface '{name}' has vanished; waiting for it"));
            }
        });
        Timer::after(LOOK_INTERVAL).await;
    }
}

/// Which interfaces were there at the last look; `None` until the worker has shown it for the first time.
#[derive(Debug, Default)]
struct Presence([Option<bool>; MAX_INTERFACES]);

impl Presence {
    /// Calls `changed` with the index of each interface that vanished or came back since the last look.
    fn look(&mut self, now: &[InterfaceCounts; MAX_INTERFACES], mut changed: impl FnMut(usize, bool)) {
        for (index, (was, now)) in self.0.iter_mut().zip(now).enumerate() {
            let is_there = now.is_open != 0;
            // All are there at the start: one that was never seen open is not shown yet, or no interface.
            if was.is_some_and(|was| was != is_there) {
                changed(index, is_there);
            }
            if was.is_some() || is_there {
                *was = Some(is_there);
            }
        }
    }
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
        let failure = smol::block_on(worker_end(&[worker]));
        assert!(failure.to_string().contains("ended by itself"), "{failure}");
    }

    #[test]
    fn an_interface_is_told_once_when_it_goes_and_once_when_it_comes() {
        let mut presence = Presence::default();
        let mut told = Vec::new();
        for open in [0, 1, 1, 0, 0, 1, 1] {
            let mut counts = [InterfaceCounts::default(); MAX_INTERFACES];
            counts[2].is_open = open;
            presence.look(&counts, |index, is_there| told.push((index, is_there)));
        }
        assert_eq!(told, [(2, false), (2, true)]);
    }
}
