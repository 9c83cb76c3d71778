//! Timeline of frames.

use std::time::Duration;

/// Frame with its time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimedFrame {
    /// Time since the start of the scenario.
    pub offset: Duration,
    /// Bytes from the destination address on, without the check sequence.
    pub bytes: Vec<u8>,
}

/// Frames in time order.
pub type Packets = Box<dyn Iterator<Item = TimedFrame> + Send>;

/// Recording of frames at a movable write position, played back in time order.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    now: Duration,
    frames: Vec<TimedFrame>,
}

impl Timeline {
    /// Empty timeline whose write position is `now`.
    #[must_use]
    pub const fn starting_at(now: Duration) -> Self {
        Self { now, frames: Vec::new() }
    }

    /// Returns the write position.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// Sets the write position, backwards too: overlapping recordings are merged when played.
    pub const fn seek(&mut self, offset: Duration) {
        self.now = offset;
    }

    /// Advances the write position by `span`.
    pub fn wait(&mut self, span: Duration) {
        self.now = self.now.saturating_add(span);
    }

    /// Advances the write position by `micros` microseconds.
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

    /// Bytes of the recorded frames for which `is_counted` returns true.
    pub fn bytes_where(&self, is_counted: impl Fn(&TimedFrame) -> bool) -> usize {
        self.frames.iter().filter(|frame| is_counted(frame)).map(|frame| frame.bytes.len()).sum()
    }

    /// Iterator over the frames in time order; frames of the same instant keep the order in which they were recorded.
    #[must_use]
    pub fn play(self) -> Packets {
        Box::new(self.into_frames().into_iter())
    }

    /// List of the frames in the order of [`Timeline::play`].
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
    fn overlapping_recordings_are_merged_in_time_order() {
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
