//! Stations that a worker knows, for the control thread, which keeps them in a file.
//!
//! The worker copies them when they have changed and the control thread is not just reading: it never waits.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use sentinel_detect::Device;
use sentinel_units::Uptime;

use crate::system::device_file;
use crate::terminal::log;
use crate::worker::analyser::Analyser;

/// Least times between two writes of the file: after a station was added, and for how steadily all are seen.
const AFTER_ADDED: Duration = Duration::from_mins(15);
const OTHERWISE: Duration = Duration::from_hours(6);

/// Stations between the first worker and the control thread.
#[derive(Debug)]
pub(crate) struct DeviceCell {
    list: Mutex<DeviceList>,
}

#[derive(Debug, Default)]
struct DeviceList {
    devices: Vec<Device>,
    is_complete: bool,
    /// Revisions of what is here and of what is in the file, as those of the engine.
    held: [u32; 2],
    written: [u32; 2],
    written_at: Uptime,
}

impl DeviceCell {
    /// Reads the file. A damaged one is logged and counts as none.
    pub(crate) fn open(state_dir: &Path) -> Self {
        let (devices, is_complete) = device_file::read(state_dir).unwrap_or_else(|failure| {
            log::warn(format_args!("{failure}"));
            Default::default()
        });
        Self { list: Mutex::new(DeviceList { devices, is_complete, ..DeviceList::default() }) }
    }

    /// Gives the stations of the file to an engine, and makes room for its own.
    pub(crate) fn restore(&self, analyser: &mut Analyser) {
        let Ok(mut list) = self.list.lock() else { return };
        analyser.restore_devices(&list.devices, list.is_complete);
        let (devices, is_complete, held) = analyser.devices();
        let devices = devices.to_vec();
        *list = DeviceList { devices, is_complete, held, written: held, written_at: list.written_at };
    }

    /// Takes the stations of the engine, if they have changed.
    pub(crate) fn publish(&self, analyser: &mut Analyser) {
        let (devices, is_complete, now) = analyser.devices();
        if let Ok(mut list) = self.list.try_lock()
            && list.held != now
            && list.devices.len() == devices.len()
        {
            list.devices.copy_from_slice(devices);
            (list.is_complete, list.held) = (is_complete, now);
        }
    }

    /// Writes the file if it is time; `is_end` if this is the last opportunity.
    pub(crate) fn save(&self, state_dir: &Path, now: Uptime, is_end: bool) {
        let Ok(mut list) = self.list.lock() else { return };
        let DeviceList { held: [any, added], written: [any_written, added_written], written_at, .. } = *list;
        let wait = if added == added_written { OTHERWISE } else { AFTER_ADDED };
        if any == any_written || !is_end && now.since(written_at) < wait {
            return;
        }
        // A failure is tried again after the same time: a full or failing flash is not worn by this.
        (list.written, list.written_at) = (list.held, now);
        if let Err(failure) = device_file::write(state_dir, &list.devices, list.is_complete) {
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
        let known = Device::from_bytes(&[0x3c, 0, 0, 0, 0, 1, 78, 1, 10, 0, 0, 1, 1, 2, 3, 4]).unwrap();
        let mut analyser = analyser();
        let cell = DeviceCell::open(directory.path());
        cell.restore(&mut analyser);
        cell.save(directory.path(), Uptime::ZERO, true);
        assert!(!directory.path().join("devices").exists(), "nothing has changed");
        analyser.restore_devices(&[known], true);
        cell.list.lock().unwrap().held = [7, 0];
        cell.publish(&mut analyser);
        let now = Uptime::ZERO.after(AFTER_ADDED);
        cell.list.lock().unwrap().held = [7, 0];
        cell.save(directory.path(), now, false);
        assert!(!directory.path().join("devices").exists(), "no station was added");
        cell.list.lock().unwrap().held = [8, 1];
        cell.save(&directory.path().join("absent"), now, false);
        cell.list.lock().unwrap().held = [9, 2];
        cell.save(directory.path(), now.after(AFTER_ADDED), false);

        let mut next = self::analyser();
        DeviceCell::open(directory.path()).restore(&mut next);
        let (devices, is_complete, _) = next.devices();
        assert!(is_complete && devices.contains(&known));
    }
}
