//! Stations that the first worker knows, for the control thread, which keeps them in a file.
//!
//! Two lists of fixed size go round through two queues: the worker fills the one that it has when its stations have changed, and the control thread
//! keeps the newest and gives the other one back. The worker never waits, and allocates nothing.

use std::path::Path;
use std::time::Duration;

use heapless::spsc::{Consumer, Producer, Queue};
use sentinel_detect::Device;
use sentinel_units::Uptime;

use crate::system::device_file::{self, DeviceBytes};
use crate::terminal::log;
use crate::worker::analyser::Analyser;

/// Least times between two writes of the file: after a station was added, and for how steadily all are seen.
const AFTER_ADDED: Duration = Duration::from_mins(15);
const OTHERWISE: Duration = Duration::from_hours(6);
/// Slots of a queue; it holds one less.
const QUEUE_LEN: usize = 3;

/// Stations as the file has them.
#[derive(Debug)]
pub(crate) struct DeviceList {
    records: Vec<DeviceBytes>,
    is_complete: bool,
    /// As those of the engine.
    revisions: [u32; 2],
}

/// End of the worker.
pub(crate) struct DevicePublisher {
    empty: Consumer<'static, Box<DeviceList>>,
    full: Producer<'static, Box<DeviceList>>,
    /// Revisions that were published last.
    revisions: [u32; 2],
}

/// End of the control thread.
pub(crate) struct DeviceKeeper {
    empty: Producer<'static, Box<DeviceList>>,
    full: Consumer<'static, Box<DeviceList>>,
    newest: Option<Box<DeviceList>>,
    /// Revisions of what is in the file, and when it was written.
    written: [u32; 2],
    written_at: Uptime,
}

/// Stations of the file, and whether these were all. A damaged file is logged and counts as none.
pub(crate) fn read(state_dir: &Path) -> (Vec<Device>, bool) {
    device_file::read(state_dir).unwrap_or_else(|failure| {
        log::warn(format_args!("{failure}"));
        Default::default()
    })
}

/// Both ends, for the stations of an engine that has taken over those of the file.
pub(crate) fn connect(analyser: &mut Analyser) -> (DevicePublisher, DeviceKeeper) {
    let queue = || Box::leak(Box::<Queue<Box<DeviceList>, QUEUE_LEN>>::default()).split();
    let ((mut give, empty), (full, take)) = (queue(), queue());
    let (devices, is_complete, revisions) = analyser.devices();
    for _ in 0..QUEUE_LEN - 1 {
        let list = DeviceList { records: Vec::with_capacity(devices.len()), is_complete, revisions };
        let _fits = give.enqueue(Box::new(list));
    }
    let keeper =
        DeviceKeeper { empty: give, full: take, newest: None, written: revisions, written_at: Uptime::ZERO };
    (DevicePublisher { empty, full, revisions }, keeper)
}

impl DevicePublisher {
    /// Hands over the stations of the engine, if they have changed.
    pub(crate) fn publish(&mut self, analyser: &mut Analyser) {
        let (devices, is_complete, revisions) = analyser.devices();
        if revisions == self.revisions {
            return;
        }
        let Some(mut list) = self.empty.dequeue() else { return };
        list.records.clear();
        list.records.extend(devices.iter().filter(|device| !device.is_free()).map(Device::to_bytes));
        (list.is_complete, list.revisions, self.revisions) = (is_complete, revisions, revisions);
        let _has_room = self.full.enqueue(list);
    }
}

impl DeviceKeeper {
    /// Takes what the worker has handed over, and writes the file if it is time; `is_end` if this is the last opportunity.
    pub(crate) fn save(&mut self, state_dir: &Path, now: Uptime, is_end: bool) {
        while let Some(list) = self.full.dequeue() {
            if let Some(older) = self.newest.replace(list) {
                let _has_room = self.empty.enqueue(older);
            }
        }
        let Some(list) = &self.newest else { return };
        let ([any, added], [any_written, added_written]) = (list.revisions, self.written);
        let wait = if added == added_written { OTHERWISE } else { AFTER_ADDED };
        if any == any_written || !is_end && now.since(self.written_at) < wait {
            return;
        }
        // A failure is tried again after the same time: a full or failing flash is not worn by this.
        (self.written, self.written_at) = (list.revisions, now);
        if let Err(failure) = device_file::write(state_dir, &list.records, list.is_complete) {
            log::warn(format_args!("{failure}; devices are told as new again after a restart"));
        }
    }
}

#[cfg(test)]
mod tests {
    use sentinel_track::hash::HashKey;

    use super::*;
    use crate::settings::Settings;
    use crate::settings::lists::Lists;
    use crate::worker::analyser::LiveConfig;

    fn analyser() -> Box<Analyser> {
        let settings = Settings::default();
        let lists = Lists::load(&settings, &settings).unwrap();
        Analyser::new(512, HashKey::new(1), &LiveConfig::new(&settings, &[], lists))
    }

    /// Steps of a sensor that is stopped and started again; a file that cannot be written is tried again later.
    #[test]
    fn stations_outlive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (path, file) = (directory.path(), directory.path().join("devices"));
        let known = Device::from_bytes(&[0x3c, 0, 0, 0, 0, 1, 78, 1, 10, 0, 0, 1, 1, 2, 3, 4]).unwrap();
        let mut analyser = analyser();
        let (mut publisher, mut keeper) = connect(&mut analyser);
        analyser.restore_devices(&[known], true);
        publisher.publish(&mut analyser);
        keeper.save(path, Uptime::ZERO, true);
        assert!(!file.exists(), "nothing has changed");
        // More often than there are lists: they go round.
        let mut now = Uptime::ZERO;
        for _ in 0..10 {
            publisher.revisions = [u32::MAX; 2];
            publisher.publish(&mut analyser);
            keeper.save(path, now, false);
            assert!(keeper.full.dequeue().is_none() && keeper.newest.is_some());
            assert_eq!(publisher.revisions, analyser.devices().2, "a list was there");
        }
        now = now.after(AFTER_ADDED);
        let [_, added] = keeper.written;
        keeper.written = [u32::MAX, added];
        keeper.save(path, now, false);
        assert!(!file.exists(), "no station was added");
        keeper.written = [u32::MAX; 2];
        keeper.save(&path.join("absent"), now, false);
        keeper.written = [u32::MAX; 2];
        keeper.save(path, now, false);
        assert!(!file.exists(), "not before its time");
        keeper.save(path, now.after(AFTER_ADDED), false);

        let (devices, is_complete) = read(path);
        assert_eq!((devices, is_complete), (vec![known], true));
        std::fs::write(file, "no list").unwrap();
        assert_eq!(read(path), (Vec::new(), false));
    }
}
