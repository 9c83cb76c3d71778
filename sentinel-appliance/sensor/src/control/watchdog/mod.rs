//! Watchdog: a thread that watches the workers and the control thread, and feeds the service manager's watchdog while all of them
//! show signs of life.
//!
//! Each worker analyses a canary packet every 200 ms between two blocks ([`crate::worker::pulse`]). A worker that hangs ([`judge`])
//! cannot be ended alone: a thread cannot be killed, and the sensor must not start programs. So the control thread ends the
//! sensor in order, with an exit code of its own, and the service manager starts it again. If the control thread cannot, this
//! thread aborts the process; the journal has the alerts.
//!
//! A thread instead of a process that supervises: it costs two pages of memory instead of a process with the pages that it
//! writes to, has no second life cycle of its own (signals, privileges, name in the list of processes), and procd and systemd
//! start the sensor again anyway. A task of the control thread would see nothing while that thread hangs, or writes to slow flash.
//!
//! The thread allocates nothing and takes no lock, because a thread that hangs may hold it.

mod judge;

use std::fmt;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use crate::system::clock::Clock;
use crate::system::notify::ServiceManager;
use crate::system::signals::poll;
use crate::system::wake::EventFd;
use crate::system::{prefault, thread};
use crate::terminal::failure::Failure;
use crate::worker::pulse::Pulse;

pub(crate) use judge::Fault;
use judge::Judge;

/// Time between two looks at the signs of life.
const ROUND: Duration = Duration::from_millis(100);
/// Longest silence of the control thread, which beats once a second. Flash may take many seconds for one write.
const CONTROL_LIMIT: Duration = Duration::from_secs(30);
/// Rounds in which the control thread must have ended the sensor after a fault.
const ORDERLY_END_ROUNDS: u32 = 10;
/// Longest time between two signs of life for the service manager.
const MAX_FEED_INTERVAL: Duration = Duration::from_secs(2);
const STACK_BYTES: usize = 32 * 1024;

/// State that the watchdog shares with workers and control thread.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Signs of life of each worker.
    pub(crate) pulses: Box<[Pulse]>,
    /// Rounds of the control thread; wraps.
    control_beats: AtomicU32,
    /// Zero without a fault, else [`Found`] in one word.
    fault: AtomicU32,
    /// Time without a sign of life when the fault was found.
    silent_ms: AtomicU32,
    /// Signs of life given to the service manager.
    fed: AtomicU32,
    /// Canary frames that workers did not hear; wraps.
    canaries_missed: AtomicU32,
    is_stopping: AtomicBool,
    /// Wakes the intake of the control thread, which sees the fault.
    pub(crate) alert_event: EventFd,
    pub(crate) manager: Option<ServiceManager>,
}

/// Fault of a worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) worker: u32,
    pub(crate) fault: Fault,
    silent_ms: u32,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "worker {} ", self.worker)?;
        match self.fault {
            Fault::Hangs(letter) => {
                write!(out, "hangs: no sign of life for {} ms, state {}", self.silent_ms, char::from(letter))
            }
            Fault::Ended => out.write_str("has ended by itself"),
            Fault::WrongAnswers => out.write_str("analyses its canary packets wrongly"),
            Fault::Deaf => out.write_str("gets no canary frames from the kernel any more"),
        }
    }
}

impl Watchdog {
    /// Makes the state for `workers` workers, for the life of the program.
    pub(crate) fn new(workers: u32, alert_event: EventFd, manager: Option<ServiceManager>) -> &'static Self {
        Box::leak(Box::new(Self {
            pulses: (0..workers).map(|_| Pulse::default()).collect(),
            control_beats: AtomicU32::new(0),
            fault: AtomicU32::new(0),
            silent_ms: AtomicU32::new(0),
            fed: AtomicU32::new(0),
            canaries_missed: AtomicU32::new(0),
            is_stopping: AtomicBool::new(false),
            alert_event,
            manager,
        }))
    }

    /// Starts the thread. The workers must have been started: one that is not there yet has no signs of life.
    pub(crate) fn start(&'static self, clock: Clock) -> Result<(), Failure> {
        let work = Box::new(move || self.run(clock));
        thread::start("watchdog", STACK_BYTES, work)
            .map(drop)
            .map_err(|error| Failure::new(format!("starting the watchdog: {error}")))
    }

    /// Sign of life of the control thread, once a second.
    pub(crate) fn control_beat(&self) {
        // Zero says that there was none yet.
        let next = self.control_beats.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.control_beats.store(next, Ordering::Relaxed);
    }

    /// The sensor ends: the service manager limits the time for that.
    pub(crate) fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        if let Some(manager) = &self.manager {
            manager.stopping();
        }
    }

    /// Fault that was found, if there is one.
    pub(crate) fn fault(&self) -> Option<Found> {
        // Acquire: pairs with the store, which follows that of `silent_ms`.
        let [kind, letter, worker, _] = self.fault.load(Ordering::Acquire).to_le_bytes();
        let fault = match kind {
            0 => return None,
            1 => Fault::Hangs(letter),
            2 => Fault::Ended,
            4 => Fault::Deaf,
            _ => Fault::WrongAnswers,
        };
        let silent_ms = self.silent_ms.load(Ordering::Relaxed);
        Some(Found { worker: worker.into(), fault, silent_ms })
    }

    /// Reports a fault of a worker; the control thread ends the sensor.
    pub(crate) fn report(&self, worker: usize, fault: Fault, silent: Duration) {
        let (kind, letter) = match fault {
            Fault::Hangs(letter) => (1, letter),
            Fault::Ended => (2, 0),
            Fault::WrongAnswers => (3, 0),
            Fault::Deaf => (4, 0),
        };
        let worker = u8::try_from(worker).unwrap_or(u8::MAX);
        self.silent_ms.store(u32::try_from(silent.as_millis()).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.fault.store(u32::from_le_bytes([kind, letter, worker, 0]), Ordering::Release);
        self.alert_event.notify();
    }

    /// Counts a canary frame that a worker did not hear; gives the number of those before.
    pub(crate) fn miss_canary(&self) -> u32 {
        self.canaries_missed.fetch_add(1, Ordering::Relaxed)
    }

    /// Canary frames that workers did not hear.
    pub(crate) fn canaries_missed(&self) -> u32 {
        self.canaries_missed.load(Ordering::Relaxed)
    }

    /// Signs of life given to the service manager.
    pub(crate) fn fed(&self) -> u32 {
        self.fed.load(Ordering::Relaxed)
    }

    fn run(&self, clock: Clock) {
        const DEPTH: usize = 4 * 1024;
        prefault::stack::<DEPTH>();
        let mut rounds = Rounds::default();
        let mut before = clock.elapsed();
        loop {
            std::thread::sleep(ROUND);
            let now = clock.elapsed();
            if let Some(text) = rounds.next(self, now.saturating_sub(before), &mut thread::state) {
                abort(text);
            }
            before = now;
        }
    }
}

/// Most workers: [`crate::limits::MAX_WORKERS`].
const MAX_WORKERS: usize = 8;

#[expect(clippy::as_conversions, reason = "a constant expression: wrong means no build")]
const _: () = assert!(MAX_WORKERS == crate::limits::MAX_WORKERS as usize);

/// State of the watchdog's thread.
#[derive(Debug, Default)]
struct Rounds {
    judges: [Judge; MAX_WORKERS],
    control_beats: u32,
    control_silent: Duration,
    /// Rounds since the fault.
    ending: u32,
    /// Since the last sign of life for the service manager.
    unfed: Duration,
    fed_at_answers: [u32; MAX_WORKERS],
    fed_at_beats: u32,
}

impl Rounds {
    /// One round; gives a message if the process must be aborted.
    fn next(
        &mut self,
        watchdog: &Watchdog,
        elapsed: Duration,
        state: &mut dyn FnMut(u32) -> Option<thread::ThreadState>,
    ) -> Option<&'static str> {
        if watchdog.fault().is_some() {
            self.ending += 1;
            return (self.ending > ORDERLY_END_ROUNDS).then_some(
                "sentinel: the sensor cannot end in order; aborted, the journal keeps the alerts\n",
            );
        }
        let is_stopping = watchdog.is_stopping.load(Ordering::Relaxed);
        for (index, (pulse, judge)) in watchdog.pulses.iter().zip(&mut self.judges).enumerate() {
            let fault = judge.round(pulse.read(), elapsed, state);
            // A worker ends when the sensor does.
            if let Some(fault) = fault.filter(|fault| !(is_stopping && *fault == Fault::Ended)) {
                watchdog.report(index, fault, judge.silent());
                return None;
            }
        }
        let beats = watchdog.control_beats.load(Ordering::Relaxed);
        if beats != self.control_beats || beats == 0 || is_stopping {
            (self.control_beats, self.control_silent) = (beats, Duration::ZERO);
        } else {
            self.control_silent += elapsed.min(judge::MAX_ROUND);
        }
        if self.control_silent >= CONTROL_LIMIT {
            return Some("sentinel: the control thread hangs; aborted, the journal keeps the alerts\n");
        }
        self.feed(watchdog, elapsed);
        None
    }

    /// Gives the service manager a sign of life once every worker has answered a canary packet, and the control thread has
    /// shown one, since the last time.
    fn feed(&mut self, watchdog: &Watchdog, elapsed: Duration) {
        self.unfed = self.unfed.saturating_add(elapsed);
        let Some((manager, limit)) =
            watchdog.manager.as_ref().and_then(|manager| Some((manager, manager.watchdog?)))
        else {
            return;
        };
        // One that never gave a right answer is reported otherwise; its signs of life were seen above.
        let mut answers = watchdog.pulses.iter().zip(&self.judges).zip(&self.fed_at_answers);
        let all_answered =
            answers.all(|((_, judge), before)| judge.answered() != *before || judge.answered() == 0);
        if self.unfed < MAX_FEED_INTERVAL.min(limit / 4)
            || !all_answered
            || self.control_beats == self.fed_at_beats
        {
            return;
        }
        manager.alive();
        watchdog.fed.fetch_add(1, Ordering::Relaxed);
        self.unfed = Duration::ZERO;
        self.fed_at_beats = self.control_beats;
        self.fed_at_answers = self.judges.map(|judge| judge.answered());
    }
}

/// Ends the process at once. The service manager starts the sensor again, and the next run reports this one as killed.
fn abort(text: &str) -> ! {
    let stderr = std::io::stderr();
    // Without the lock of the standard library, and only if a reader takes it.
    let has_room =
        poll(&mut [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)], Some(Duration::ZERO));
    if has_room == Ok(1) {
        let _nobody_listens = rustix::io::write(&stderr, text.as_bytes());
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::system::thread::ThreadState;
    use crate::worker::pulse::Phase;

    fn sleeping(_: u32) -> Option<ThreadState> {
        Some(ThreadState { letter: b'S', cpu_ms: 0 })
    }

    fn is_signalled(watchdog: &Watchdog) -> bool {
        poll(&mut [PollFd::new(&watchdog.alert_event, PollFlags::IN)], Some(Duration::ZERO)).unwrap() == 1
    }

    /// Lets every worker and the control thread show signs of life, then runs a round.
    fn healthy_round(rounds: &mut Rounds, watchdog: &Watchdog, clock: Clock) {
        for pulse in &watchdog.pulses {
            pulse.beat();
            pulse.canary(true, clock.uptime(), Duration::ZERO);
        }
        watchdog.control_beat();
        assert_eq!(rounds.next(watchdog, ROUND, &mut sleeping), None);
        assert_eq!(watchdog.fault(), None);
    }

    fn started(workers: u32, manager: Option<ServiceManager>) -> (&'static Watchdog, Rounds, Clock) {
        let watchdog = Watchdog::new(workers, EventFd::new().unwrap(), manager);
        watchdog.pulses.iter().for_each(|pulse| pulse.set_phase(Phase::Loop));
        (watchdog, Rounds::default(), Clock::start())
    }

    #[test]
    fn the_worker_that_hangs_is_named_and_the_control_thread_is_woken() {
        let (watchdog, mut rounds, clock) = started(3, None);
        healthy_round(&mut rounds, watchdog, clock);
        for _ in 0..5 {
            assert_eq!(watchdog.fault(), None);
            for pulse in [&watchdog.pulses[0], &watchdog.pulses[1]] {
                pulse.beat();
            }
            assert_eq!(rounds.next(watchdog, ROUND, &mut sleeping), None);
        }
        let found = watchdog.fault().unwrap();
        assert_eq!((found.worker, found.fault), (2, Fault::Hangs(b'S')));
        assert_eq!(found.to_string(), "worker 2 hangs: no sign of life for 500 ms, state S");
        assert!(is_signalled(watchdog));
        // The control thread has a second to end the sensor.
        for _ in 0..ORDERLY_END_ROUNDS {
            assert_eq!(rounds.next(watchdog, ROUND, &mut sleeping), None);
        }
        assert!(rounds.next(watchdog, ROUND, &mut sleeping).is_some());
    }

    #[test]
    fn a_worker_may_end_only_with_the_sensor() {
        for is_stopping in [false, true] {
            let (watchdog, mut rounds, clock) = started(2, None);
            healthy_round(&mut rounds, watchdog, clock);
            if is_stopping {
                watchdog.stopping();
            }
            watchdog.pulses[0].set_phase(Phase::Ended);
            watchdog.pulses[1].beat();
            assert_eq!(rounds.next(watchdog, ROUND, &mut sleeping), None);
            let expected = (!is_stopping).then(|| "worker 0 has ended by itself".to_owned());
            assert_eq!(watchdog.fault().map(|found| found.to_string()), expected);
        }
    }

    #[test]
    fn a_control_thread_that_hangs_is_aborted_after_30_s() {
        let (watchdog, mut rounds, clock) = started(1, None);
        healthy_round(&mut rounds, watchdog, clock);
        let mut silent = || {
            watchdog.pulses[0].beat();
            watchdog.pulses[0].canary(true, clock.uptime(), Duration::ZERO);
            rounds.next(watchdog, ROUND, &mut sleeping)
        };
        assert!((1..300).all(|_| silent().is_none()));
        assert!(silent().is_some_and(|text| text.contains("control thread hangs")));
    }

    /// Rounds of ten seconds, one of them without an answer of the second worker, then without a beat of the control thread.
    #[test]
    fn the_service_manager_is_fed_while_everybody_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let manager = ServiceManager::to(&path, Some(Duration::from_secs(8)));
        let (watchdog, mut rounds, clock) = started(2, Some(manager));
        let heard = || {
            let mut buffer = [0; 64];
            std::iter::from_fn(|| listener.recv(&mut buffer).ok().filter(|length| *length == 10)).count()
        };
        (0..100).for_each(|_| healthy_round(&mut rounds, watchdog, clock));
        assert_eq!(heard(), 5, "every two seconds");
        for step in 0..100 {
            watchdog.pulses[0].beat();
            watchdog.pulses[1].beat();
            watchdog.pulses[0].canary(true, clock.uptime(), Duration::ZERO);
            if step < 20 {
                watchdog.control_beat();
            } else {
                watchdog.pulses[1].canary(true, clock.uptime(), Duration::ZERO);
            }
            assert_eq!(rounds.next(watchdog, ROUND, &mut sleeping), None);
        }
        // The last beat of the control thread came while the second worker was silent.
        assert_eq!((heard(), watchdog.fed()), (1, 6));
    }
}
