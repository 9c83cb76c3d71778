//! Decision whether a worker hangs: signs of life and time in, a fault out.
//!
//! Time is counted in rounds of the watchdog, and a round that took longer counts as [`MAX_ROUND`] only: while the process was
//! stopped, or the machine suspended, no worker could show signs of life either. A silent worker is judged by what the
//! kernel says of its thread:
//!
//! | state | meaning | decision |
//! |---|---|---|
//! | asleep or stopped | it sleeps longer than any worker does | hangs after [`SILENCE`] |
//! | running, has used [`CPU_LIMIT_MS`] in silence | it is in a loop: no block of frames takes that long | hangs |
//! | running, has not | it gets no processor; others do the same work later, and a restart would not be faster | waits |
//! | waiting for a device | flash or memory is slow; a restart would read even more | waits |
//!
//! A worker that executes a command or opens a ring hangs after [`BUSY_LIMIT`], one that waits after [`STALL_LIMIT`].

use std::time::Duration;

use crate::system::thread::ThreadState;
use crate::worker::pulse::{Phase, Reading};

/// Longest part of a round that counts.
pub(super) const MAX_ROUND: Duration = Duration::from_millis(200);
/// Longest time without a sign of life of a worker that sleeps; one sleeps for 250 ms at most.
const SILENCE: Duration = Duration::from_millis(500);
/// Silence from which on processor time counts. Later than the longest sleep, so that `/proc` is not read in normal operation.
const CPU_SINCE: Duration = Duration::from_millis(300);
/// Processor time in silence that no worker needs: the slowest board analyses a block of the smallest frames in 20 ms.
const CPU_LIMIT_MS: u32 = 200;
/// Longest time of a command, or of opening or closing a ring. The control thread waits 2 s for a command.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// Longest time without a sign of life, whatever the reason: a restart is the last thing that may help.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// Longest time without a right answer to a canary packet, of a worker that has given one before.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Reason why the sensor must be started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// No sign of life, although the thread is in this state (a letter of `/proc`; `?` if it cannot be read).
    Hangs(u8),
    /// The thread has ended.
    Ended,
    /// It shows signs of life, but canary frames do not come through the kernel any more.
    Deaf,
    /// It shows signs of life, but analyses its canary packets wrongly, which it did not before.
    WrongAnswers,
}

/// State of one worker as its readings show it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judge {
    seen: Reading,
    silent: Duration,
    /// Processor time at [`CPU_SINCE`].
    cpu_ms: Option<u32>,
    unanswered: Duration,
}

impl Judge {
    /// Takes the next reading; `elapsed` after the one before, `state` looks the thread up.
    pub(super) fn round(
        &mut self,
        now: Reading,
        elapsed: Duration,
        state: &mut dyn FnMut(u32) -> Option<ThreadState>,
    ) -> Option<Fault> {
        let elapsed = elapsed.min(MAX_ROUND);
        let before = std::mem::replace(&mut self.seen, now);
        if now.phase == Phase::Ended {
            return Some(Fault::Ended);
        }
        self.unanswered =
            if now.answered == before.answered { self.unanswered + elapsed } else { Duration::ZERO };
        if now.beats != before.beats || now.phase != before.phase {
            (self.silent, self.cpu_ms) = (Duration::ZERO, None);
            // A worker that never gave a right answer would not give one after a restart.
            let is_wrong = now.answered != 0 && now.phase == Phase::Loop && self.unanswered >= ANSWER_LIMIT;
            return is_wrong.then_some(Fault::WrongAnswers);
        }
        self.silent += elapsed;
        self.silence(now, state)
    }

    fn silence(&mut self, now: Reading, state: &mut dyn FnMut(u32) -> Option<ThreadState>) -> Option<Fault> {
        if self.silent < CPU_SINCE {
            return None;
        }
        let found = state(now.thread);
        let letter = found.map_or(b'?', |found| found.letter);
        let hangs = match found {
            _ if self.silent >= STALL_LIMIT => true,
            None | Some(ThreadState { letter: b'D', .. }) => false,
            _ if now.phase != Phase::Loop => self.silent >= BUSY_LIMIT,
            Some(ThreadState { letter: b'R', cpu_ms }) => {
                cpu_ms.wrapping_sub(*self.cpu_ms.get_or_insert(cpu_ms)) >= CPU_LIMIT_MS
            }
            Some(_) => self.silent >= SILENCE,
        };
        hangs.then_some(Fault::Hangs(letter))
    }

    /// Time without a sign of life.
    pub(super) const fn silent(&self) -> Duration {
        self.silent
    }

    /// Number of right answers so far; wraps.
    pub(super) const fn answered(&self) -> u32 {
        self.seen.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(100);

    /// A worker as the test moves it: its reading, its thread, and the time until it is found to have a fault.
    struct Worker {
        judge: Judge,
        now: Reading,
        state: Option<ThreadState>,
        cpu_ms_per_round: u32,
    }

    impl Worker {
        fn healthy() -> Self {
            let now = Reading { phase: Phase::Loop, thread: 7, beats: 5, answered: 5, ..Reading::default() };
            let mut worker = Self {
                judge: Judge::default(),
                now,
                state: Some(ThreadState { letter: b'S', cpu_ms: 1_000 }),
                cpu_ms_per_round: 0,
            };
            assert_eq!(worker.round(ROUND), None);
            worker
        }

        fn in_state(letter: u8, cpu_ms_per_round: u32) -> Self {
            let state = Some(ThreadState { letter, cpu_ms: u32::MAX - 50 });
            Self { state, cpu_ms_per_round, ..Self::healthy() }
        }

        fn round(&mut self, elapsed: Duration) -> Option<Fault> {
            if let Some(state) = &mut self.state {
                state.cpu_ms = state.cpu_ms.wrapping_add(self.cpu_ms_per_round);
            }
            let state = self.state;
            self.judge.round(self.now, elapsed, &mut |thread| {
                assert_eq!(thread, 7);
                state
            })
        }

        /// Rounds without a sign of life until there is a fault.
        fn rounds_to_fault(&mut self) -> Option<(u32, Fault)> {
            (1..=400).find_map(|round| Some((round, self.round(ROUND)?)))
        }
    }

    #[test]
    fn a_worker_that_sleeps_too_long_or_is_stopped_hangs() {
        for letter in [b'S', b't', b'T'] {
            assert_eq!(Worker::in_state(letter, 0).rounds_to_fault(), Some((5, Fault::Hangs(letter))));
        }
    }

    #[test]
    fn an_endless_loop_is_found_by_its_processor_time() {
        let hangs = Fault::Hangs(b'R');
        assert_eq!(Worker::in_state(b'R', 100).rounds_to_fault(), Some((5, hangs)));
        assert_eq!(Worker::in_state(b'R', 30).rounds_to_fault(), Some((10, hangs)), "a third of a processor");
    }

    #[test]
    fn a_worker_that_gets_no_processor_or_waits_for_a_device_is_left_alone() {
        for (letter, cpu_ms) in [(b'R', 0), (b'D', 0), (b'D', 100)] {
            let found = Worker::in_state(letter, cpu_ms).rounds_to_fault();
            assert_eq!(found, Some((300, Fault::Hangs(letter))), "after half a minute");
        }
        let mut unknown = Worker::healthy();
        unknown.state = None;
        assert_eq!(unknown.rounds_to_fault(), Some((300, Fault::Hangs(b'?'))), "without /proc");
    }

    #[test]
    fn commands_and_rings_may_take_seconds() {
        let mut worker = Worker::in_state(b'S', 0);
        worker.now.phase = Phase::Busy;
        assert_eq!(worker.round(ROUND), None);
        assert_eq!(worker.rounds_to_fault(), Some((100, Fault::Hangs(b'S'))));
    }

    /// A process that is stopped and continued, or a machine that was suspended, shows one long round.
    #[test]
    fn a_round_of_any_length_alone_is_no_hang() {
        for letter in [b'S', b't', b'R'] {
            let mut worker = Worker::in_state(letter, 0);
            assert_eq!(worker.round(Duration::from_secs(86_400)), None);
            worker.now.beats += 1;
            assert_eq!(worker.round(ROUND), None);
            // Again, after the longest sleep of a healthy worker.
            assert_eq!([ROUND, ROUND, Duration::from_secs(60)].map(|span| worker.round(span)), [None; 3]);
        }
    }

    #[test]
    fn a_flooded_worker_lives_although_it_answers_late() {
        let mut worker = Worker::in_state(b'R', 100);
        for round in 0..25 {
            worker.now.beats += 1;
            assert_eq!(worker.round(ROUND), None, "round {round}");
        }
        worker.now.answered += 1;
        assert_eq!(worker.round(ROUND), None);
    }

    #[test]
    fn wrong_answers_count_only_after_a_right_one() {
        let mut worker = Worker::healthy();
        let mut rounds = 0;
        let fault = loop {
            worker.now.beats = worker.now.beats.wrapping_add(1);
            worker.now.wrong += 1;
            rounds += 1;
            if let Some(fault) = worker.round(ROUND) {
                break fault;
            }
        };
        assert_eq!((fault, rounds), (Fault::WrongAnswers, 30));
        let mut never = Worker::healthy();
        (never.judge, never.now.answered) = (Judge::default(), 0);
        for _ in 0..100 {
            never.now.beats += 1;
            assert_eq!(never.round(ROUND), None);
        }
    }

    #[test]
    fn a_thread_that_has_ended_is_found_at_once() {
        let mut worker = Worker::healthy();
        worker.now.phase = Phase::Ended;
        assert_eq!(worker.round(ROUND), Some(Fault::Ended));
    }
}
