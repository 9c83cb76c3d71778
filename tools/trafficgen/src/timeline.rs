//! Frames in time.

use std::time::Duration;

/// A frame and when it passes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimedFrame {
    /// Time since the start of the scenario.
    pub offset: Duration,
    /// The frame from the destination address on, without the check sequence.
    pub bytes: Vec<u8>,
}

/// Frames in the order in which they pass.
pub type Packets = Box<dyn Iterator<Item = TimedFrame> + Send>;

/// A recording with a write position that can be moved; played back in time order.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    now: Duration,
    frames: Vec<TimedFrame>,
}

impl Timeline {
    /// An empty tape whose write position is `now`.
    #[must_use]
    pub const fn starting_at(now: Duration) -> Self {
        Self { now, frames: Vec::new() }
    }

    /// The write position.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// Moves the write position anywhere, backwards too: what overlaps is merged when played.
    pub const fn seek(&mut self, offset: Duration) {
        self.now = offset;
    }

    /// Moves the write position on.
    pub fn wait(&mut self, span: Duration) {
        self.now = self.now.saturating_add(span);
    }

    /// Moves the write position on.
    pub fn wait_us(&mut self, micros: u64) {
        self.wait(Duration::from_micros(micros));
    }

    /// Records a frame at the write position, which stays.
    pub fn push(&mut self, bytes: Vec<u8>) {
        self.frames.push(TimedFrame { offset: self.now, bytes });
    }

    /// Records `packets` shifted by `offset`; the write position stays.
    pub fn splice(&mut self, offset: Duration, packets: Packets) {
        self.frames.extend(packets.map(|frame| TimedFrame { offset: frame.offset + offset, ..frame }));
    }

    /// How many bytes of frames are recorded that `counts`.
    pub fn bytes_where(&self, counts: impl Fn(&TimedFrame) -> bool) -> usize {
        self.frames.iter().filter(|frame| counts(frame)).map(|frame| frame.bytes.len()).sum()
    }

    /// The frames in time order; those of the same instant in the order recorded.
    #[must_use]
    pub fn play(self) -> Packets {
        Box::new(self.into_frames().into_iter())
    }

    /// As [`Timeline::play`], as a list.
    #[must_use]
    pub fn into_frames(mut self) -> Vec<TimedFrame> {
        self.frames.sort_by_key(|frame| frame.offset);
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_merged_in_order() {
        let mut timeline = Timeline::default();
        timeline.wait_us(20);
        timeline.push(vec![2]);
        timeline.push(vec![3]);
        timeline.seek(Duration::ZERO);
        timeline.push(vec![1]);
        let mut outer = Timeline::starting_at(Duration::from_micros(15));
        outer.push(vec![9]);
        outer.splice(Duration::from_micros(5), timeline.play());
        let order: Vec<_> = outer
            .play()
            .map(|frame| (frame.offset.as_micros(), frame.bytes.into_iter().sum::<u8>()))
            .collect();
        assert_eq!(order, [(5, 1), (15, 9), (25, 2), (25, 3)]);
    }
}
