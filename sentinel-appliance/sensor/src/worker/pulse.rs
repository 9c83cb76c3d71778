//! Signs of life of a worker for the watchdog: one writer, any number of readers, 32-bit words without a lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sentinel_units::Uptime;

/// Time between two canary packets of a worker. An idle worker wakes every [`MAX_SLEEP`] and sends one each time.
///
/// [`MAX_SLEEP`]: super::ring_set::MAX_SLEEP
pub(crate) const CANARY_INTERVAL: Duration = Duration::from_millis(200);

/// Present activity of a worker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Phase {
    /// Starting or ending, executing a command, opening or closing a ring: takes as long as the kernel takes.
    #[default]
    Busy,
    /// In the capture loop: every iteration is a sign of life.
    Loop,
    /// The thread has ended.
    Ended,
}

/// Signs of life of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    phase: AtomicU32,
    /// Number of the thread in `/proc/self/task`; zero before it runs.
    thread: AtomicU32,
    /// Iterations of the capture loop, with one block of each ring at most. Wraps.
    beats: AtomicU32,
    answered: AtomicU32,
    wrong: AtomicU32,
    answered_at_ms: AtomicU32,
    took_us: AtomicU32,
    /// Halves of the number in the canary frame that is under way; zero without one.
    awaited: [AtomicU32; 2],
    heard: AtomicU32,
}

/// Values of a [`Pulse`] at one time. Counters wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) phase: Phase,
    pub(crate) thread: u32,
    pub(crate) beats: u32,
    /// Canary packets with the right answer.
    pub(crate) answered: u32,
    /// Canary packets with a wrong answer.
    pub(crate) wrong: u32,
    /// Milliseconds since the start, wrapping; see [`Self::age_ms`].
    pub(crate) answered_at_ms: u32,
    /// Time that the analysis of the last canary packet took.
    pub(crate) took_us: u32,
    /// Canary frames that came through the kernel, and had the right answer.
    pub(crate) heard: u32,
}

impl Reading {
    /// Time since the last right answer.
    pub(crate) fn age_ms(&self, now: Uptime) -> u32 {
        low_half(now.as_millis()).wrapping_sub(self.answered_at_ms)
    }
}

// Relaxed throughout: no other memory is read because of one of these words, and a reader that sees them a little late only
// waits a little longer.
impl Pulse {
    /// Begins: the calling thread is the worker.
    pub(crate) fn start(&self) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(thread.unsigned_abs(), Ordering::Relaxed);
    }

    /// Counts one more iteration. Only the worker writes, so that no read-modify-write is needed.
    #[inline]
    pub(crate) fn beat(&self) {
        self.beats.store(self.beats.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        let code = match phase {
            Phase::Busy => 0,
            Phase::Loop => 1,
            Phase::Ended => 2,
        };
        self.phase.store(code, Ordering::Relaxed);
    }

    /// Records the outcome of a canary packet.
    pub(crate) fn canary(&self, is_right: bool, now: Uptime, took: Duration) {
        self.took_us.store(low_half(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)), Ordering::Relaxed);
        let counter = if is_right { &self.answered } else { &self.wrong };
        if is_right {
            self.answered_at_ms.store(low_half(now.as_millis()), Ordering::Relaxed);
        }
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Awaits the canary frame with this number, which is random and not zero; no other is heard from now on.
    pub(crate) fn await_frame(&self, number: u64) {
        for (half, value) in self.awaited.iter().zip([low_half(number), low_half(number >> 32)]) {
            half.store(value, Ordering::Relaxed);
        }
    }

    /// Takes a canary frame with this number; returns true if it is the one that is awaited, for the first time.
    pub(crate) fn takes_frame(&self, number: u64) -> bool {
        let [low, high] = self.awaited.each_ref().map(|half| u64::from(half.load(Ordering::Relaxed)));
        let is_awaited = number != 0 && number == low | high << 32;
        if is_awaited {
            self.await_frame(0);
        }
        is_awaited
    }

    /// Counts a canary frame that came through the kernel and had the right answer.
    pub(crate) fn hear(&self) {
        self.heard.store(self.heard.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        let word = |word: &AtomicU32| word.load(Ordering::Relaxed);
        Reading {
            phase: match word(&self.phase) {
                0 => Phase::Busy,
                1 => Phase::Loop,
                _ => Phase::Ended,
            },
            thread: word(&self.thread),
            beats: word(&self.beats),
            answered: word(&self.answered),
            wrong: word(&self.wrong),
            answered_at_ms: word(&self.answered_at_ms),
            took_us: word(&self.took_us),
            heard: word(&self.heard),
        }
    }
}

/// Low half of a number: the wrap of a counter of 32 bits.
fn low_half(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_writes_is_read() {
        let pulse = Pulse::default();
        assert_eq!((pulse.read().phase, pulse.read().thread), (Phase::Busy, 0));
        pulse.start();
        pulse.set_phase(Phase::Loop);
        pulse.beat();
        let hour = Uptime::ZERO.after(Duration::from_secs(3_600));
        pulse.canary(true, hour, Duration::from_micros(12));
        pulse.canary(false, hour.after(Duration::from_secs(1)), Duration::from_micros(34));
        let reading = pulse.read();
        assert!(reading.thread != 0 && reading.phase == Phase::Loop);
        assert_eq!((reading.beats, reading.answered, reading.wrong, reading.took_us), (1, 1, 1, 34));
        assert_eq!(reading.age_ms(hour.after(Duration::from_millis(1_500))), 1_500, "of the right answer");
        pulse.set_phase(Phase::Ended);
        assert_eq!(pulse.read().phase, Phase::Ended);
    }

    #[test]
    fn a_canary_frame_is_taken_once_and_only_with_its_number() {
        let pulse = Pulse::default();
        assert!(!pulse.takes_frame(0) && !pulse.takes_frame(7), "none is under way");
        let number = 0x1234_5678_9abc_def0;
        pulse.await_frame(number);
        assert!(
            !pulse.takes_frame(number ^ 1) && !pulse.takes_frame(number ^ 1 << 63) && !pulse.takes_frame(0)
        );
        assert!(pulse.takes_frame(number));
        assert!(!pulse.takes_frame(number), "a copy of it");
        assert_eq!(pulse.read().heard, 0, "taken is not answered");
    }

    #[test]
    fn the_age_is_right_when_the_milliseconds_wrap() {
        let pulse = Pulse::default();
        let wrap = Uptime::ZERO.after(Duration::from_millis((1 << 32) - 100));
        pulse.canary(true, wrap, Duration::ZERO);
        assert_eq!(pulse.read().age_ms(wrap.after(Duration::from_millis(250))), 250);
    }
}
