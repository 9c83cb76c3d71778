//! Canary frames through the kernel: one every ten seconds, which each worker must have analysed within one.
//!
//! A worker that has missed three in a row, although it shows signs of life and has heard one before, gets nothing from the
//! kernel, or reads nothing of it: the sensor is started again, as after any other fault ([`crate::control::watchdog`]). One that
//! never heard any would hear none after a restart, and is only shown in the status.

use std::rc::Rc;
use std::time::Duration;

use smol::Timer;

use crate::control::state::Shared;
use crate::control::watchdog::Fault;
use crate::terminal::log;
use crate::worker::pulse::{Phase, Reading};

/// Time between two canary frames.
const INTERVAL: Duration = Duration::from_secs(10);
/// Time after the start at which the first is sent.
const FIRST: Duration = Duration::from_secs(1);
/// Time within which each worker must have analysed it.
const LIMIT: Duration = Duration::from_secs(1);
/// Longest time until that is looked at: if it was longer, the process was stopped or the machine suspended, and nothing is known.
const LATEST_LOOK: Duration = Duration::from_secs(2);
/// Frames missed in a row after which the sensor is started again.
const MISSED_IN_A_ROW: u8 = 3;

/// Canary frames of one worker.
#[derive(Clone, Copy, Debug, Default)]
struct Worker {
    before: Reading,
    missed: u8,
}

/// Judgement of one worker after a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Heard,
    Missed,
    /// It is to be started again.
    Deaf,
}

impl Worker {
    /// Judges by the reading [`LIMIT`] after the frame.
    fn judge(&mut self, now: Reading) -> Outcome {
        let before = std::mem::replace(&mut self.before, now);
        if now.heard != before.heard {
            self.missed = 0;
            return Outcome::Heard;
        }
        // One that shows no sign of life hangs or gets no processor, which the watchdog's thread tells apart.
        let is_alive = now.beats != before.beats && now.phase == Phase::Loop;
        if is_alive && now.heard != 0 {
            self.missed = self.missed.saturating_add(1);
        }
        if self.missed >= MISSED_IN_A_ROW { Outcome::Deaf } else { Outcome::Missed }
    }
}

/// Sends canary frames and looks whether they arrive, as long as the executor runs.
pub(crate) async fn run(shared: Rc<Shared>) {
    let watchdog = shared.watchdog;
    let mut workers = vec![Worker::default(); watchdog.pulses.len()];
    let mut wait = FIRST;
    loop {
        Timer::after(wait).await;
        wait = INTERVAL - LIMIT;
        if !shared.kernel_canary.send(&watchdog.pulses) {
            continue;
        }
        for (worker, pulse) in workers.iter_mut().zip(&watchdog.pulses) {
            worker.before = pulse.read();
        }
        let sent_at = shared.clock.elapsed();
        Timer::after(LIMIT).await;
        if shared.clock.elapsed().saturating_sub(sent_at) > LATEST_LOOK {
            continue;
        }
        for (index, (worker, pulse)) in workers.iter_mut().zip(&watchdog.pulses).enumerate() {
            let outcome = worker.judge(pulse.read());
            if outcome == Outcome::Heard {
                continue;
            }
            if watchdog.miss_canary() == 0 {
                log::warn(format_args!("worker {index}: a canary frame did not arrive within a second"));
            }
            if outcome == Outcome::Deaf {
                watchdog.report(index, Fault::Deaf, Duration::ZERO);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(worker: &mut Worker, readings: &[(u32, u32)]) -> Vec<Outcome> {
        let reading = |&(beats, heard)| Reading { phase: Phase::Loop, beats, heard, ..Reading::default() };
        readings.iter().map(|at| worker.judge(reading(at))).collect()
    }

    #[test]
    fn three_frames_missed_in_a_row_are_a_fault_of_a_worker_that_lives() {
        use Outcome::{Deaf, Heard, Missed};
        let mut worker = Worker::default();
        assert_eq!(
            outcomes(&mut worker, &[(5, 1), (9, 1), (12, 1), (15, 2), (19, 2), (22, 2), (25, 2)]),
            [Heard, Missed, Missed, Heard, Missed, Missed, Deaf]
        );
        let mut without_life = Worker::default();
        assert_eq!(outcomes(&mut without_life, &[(5, 1), (5, 1), (5, 1), (5, 1), (5, 1)])[1..], [Missed; 4]);
        let mut never = Worker::default();
        assert_eq!(outcomes(&mut never, &[(5, 0), (9, 0), (12, 0), (15, 0)]), [Missed; 4]);
    }
}
