//! Keys of the uplink while one is replaced by another: own keys, and the next key of the collector.
//!
//! | file | holds | until |
//! |---|---|---|
//! | `sensor.key` | key with which the sensor connects | |
//! | `sensor_next.key` | key that was made, and is announced in every session | the collector accepts or refuses it |
//! | `sensor_old.key` | key before `sensor.key` | the first session with `sensor.key` |
//! | `collector_next` | next key of the collector, which it announced | the first session with it |
//!
//! Every step is one rename or one removal. After a crash at any point the files hold a key that the collector serves: it
//! serves the old key until the first session with the new one, and the old one is removed only after that.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sentinel_uplink::{KeyPair, PublicKey};

use crate::system::damage::FileState;
use crate::system::keys::{self, store_key_pair, stored_key_pair, write_private};
use crate::system::private_files::no_links;
use crate::terminal::failure::Failure;
use crate::terminal::log;

const KEY: &str = keys::SENSOR_KEY;
const NEXT_KEY: &str = "sensor_next.key";
const OLD_KEY: &str = "sensor_old.key";
const COLLECTOR_NEXT: &str = "collector_next";
/// Bytes read of the file with the next key of the collector: more than one has.
const MAX_KEY_LEN: u64 = 128;

/// Keys of the uplink.
#[derive(Clone, Debug)]
pub(crate) struct Keyring {
    state: PathBuf,
    /// Key with which the sensor connects.
    pub(crate) own: KeyPair,
    /// Key that is to replace it.
    pub(crate) next: Option<KeyPair>,
    /// Key before it.
    pub(crate) old: Option<KeyPair>,
    /// Key of the collector besides the one in its file.
    pub(crate) collector_next: Option<PublicKey>,
}

impl Keyring {
    /// Reads the keys; makes the own one at first use.
    pub(crate) fn load(state: &Path) -> Result<Self, Failure> {
        Self::finish_return(state)?;
        Self::beside(state, keys::sensor_key(state)?)
    }

    /// Finishes what a crash between the two renames of [`Keyring::return_to_old`] left. Before a new key is made for want of one.
    pub(crate) fn finish_return(state: &Path) -> Result<(), Failure> {
        if state.join(OLD_KEY).exists() && !state.join(KEY).exists() {
            rename(state, OLD_KEY, KEY)?;
        }
        Ok(())
    }

    /// Reads the keys beside the own one.
    pub(crate) fn beside(state: &Path, own: KeyPair) -> Result<Self, Failure> {
        // Damaged ones count as none: the collector serves the own key, and another next one can be made.
        let read = |name: &str| match stored_key_pair(&state.join(name)) {
            FileState::Good(pair) => Ok(Some(pair)),
            FileState::Absent => Ok(None),
            FileState::Damaged(what) => {
                log::warn(format_args!("{name}: damaged, {what}; done without"));
                Ok(None)
            }
            FileState::Unreadable(why) => Err(Failure::new(format!("{}: {why}", state.join(name).display()))),
        };
        // A crash in `accept_next`, between its two steps: the next key is not in use yet.
        let old = read(OLD_KEY)?.filter(|old| old.public() != own.public());
        let next = read(NEXT_KEY)?;
        Ok(Self { state: state.to_owned(), own, next, old, collector_next: collector_next(state)? })
    }

    /// Makes the key that is to replace the own one, if there is none yet.
    pub(crate) fn make_next(&mut self) -> Result<PublicKey, Failure> {
        if let Some(next) = &self.next {
            return Ok(next.public());
        }
        let next = keys::new_sensor_key()?;
        store_key_pair(&self.state.join(NEXT_KEY), &next)?;
        let key = next.public();
        self.next = Some(next);
        Ok(key)
    }

    /// The collector serves the next key from now on: it becomes the own one.
    pub(crate) fn accept_next(&mut self) -> Result<(), Failure> {
        let Some(next) = self.next.take() else { return Ok(()) };
        store_key_pair(&self.state.join(OLD_KEY), &self.own)?;
        rename(&self.state, NEXT_KEY, KEY)?;
        self.old = Some(std::mem::replace(&mut self.own, next));
        Ok(())
    }

    /// The collector will not serve the next key.
    pub(crate) fn drop_next(&mut self) -> Result<(), Failure> {
        self.next = None;
        remove(&self.state.join(NEXT_KEY))
    }

    /// A session with the own key was welcomed, so the collector serves no older one.
    pub(crate) fn drop_old(&mut self) -> Result<(), Failure> {
        match self.old.take() {
            Some(_) => remove(&self.state.join(OLD_KEY)),
            None => Ok(()),
        }
    }

    /// The collector does not know the own key, but welcomed the one before: its store is older than the acceptance. The own
    /// key becomes the next one again.
    pub(crate) fn return_to_old(&mut self) -> Result<(), Failure> {
        let Some(old) = self.old.take() else { return Ok(()) };
        rename(&self.state, KEY, NEXT_KEY)?;
        rename(&self.state, OLD_KEY, KEY)?;
        self.next = Some(std::mem::replace(&mut self.own, old));
        Ok(())
    }

    /// Replaces the own key at an enrollment with the next one.
    pub(crate) fn enroll_next(&mut self) -> Result<(), Failure> {
        self.accept_next()?;
        self.drop_old()
    }

    /// Stores a key of the collector besides the one in its file.
    pub(crate) fn pin_collector(&mut self, key: PublicKey) -> Result<(), Failure> {
        if self.collector_next != Some(key) {
            write_private(&self.state.join(COLLECTOR_NEXT), key.to_string().as_bytes())?;
            self.collector_next = Some(key);
        }
        Ok(())
    }

    /// The next key of the collector is in its file, or belongs to another collector.
    pub(crate) fn unpin_collector(&mut self) -> Result<(), Failure> {
        match self.collector_next.take() {
            Some(_) => remove(&self.state.join(COLLECTOR_NEXT)),
            None => Ok(()),
        }
    }
}

/// A file that holds no key counts as none: the collector announces the key again.
fn collector_next(state: &Path) -> Result<Option<PublicKey>, Failure> {
    let path = state.join(COLLECTOR_NEXT);
    let mut text = String::new();
    match no_links().read(true).open(&path).and_then(|file| file.take(MAX_KEY_LEN).read_to_string(&mut text))
    {
        Ok(_) => Ok(text.trim().parse().ok()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(error) => Err(keys::at(&path, &error)),
    }
}

fn rename(state: &Path, from: &str, to: &str) -> Result<(), Failure> {
    let step = || {
        fs::rename(state.join(from), state.join(to))?;
        fs::File::open(state)?.sync_all()
    };
    step().map_err(|error| keys::at(&state.join(from), &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(keys::at(path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(from: &Path) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
        }
        to
    }

    fn keys_of(state: &Path) -> Vec<PublicKey> {
        let ring = Keyring::load(state).unwrap();
        [Some(ring.own), ring.next, ring.old].into_iter().flatten().map(|pair| pair.public()).collect()
    }

    #[test]
    fn a_replacement_survives_a_restart_after_each_step() {
        let state = tempfile::tempdir().unwrap();
        let mut ring = Keyring::load(state.path()).unwrap();
        let old = ring.own.public();
        assert_eq!(keys_of(state.path()), [old]);
        let next = ring.make_next().unwrap();
        assert_eq!(ring.make_next().unwrap(), next, "announced again, not made again");
        assert_eq!(keys_of(state.path()), [old, next]);
        ring.accept_next().unwrap();
        assert_eq!(keys_of(state.path()), [next, old]);
        // The collector was restored from a backup and knows the old one only.
        let back = copy(state.path());
        let mut other = Keyring::load(back.path()).unwrap();
        other.return_to_old().unwrap();
        assert_eq!(keys_of(back.path()), [old, next]);
        ring.drop_old().unwrap();
        assert_eq!(keys_of(state.path()), [next]);
    }

    #[test]
    fn a_crash_between_two_steps_loses_no_key() {
        let state = tempfile::tempdir().unwrap();
        let mut ring = Keyring::load(state.path()).unwrap();
        let (old, next) = (ring.own.public(), ring.make_next().unwrap());
        // In `accept_next`: the old key was written, the next one not renamed.
        store_key_pair(&state.path().join(OLD_KEY), &ring.own).unwrap();
        assert_eq!(keys_of(state.path()), [old, next]);
        // In `return_to_old`: the own key was renamed, the old one not.
        assert_eq!(fs::remove_file(state.path().join(KEY)).ok(), Some(()));
        assert_eq!(keys_of(state.path()), [old, next]);
    }

    #[test]
    fn the_next_key_of_the_collector_is_kept_and_a_damaged_one_is_none() {
        let state = tempfile::tempdir().unwrap();
        let key = PublicKey::from_bytes([9; 32]);
        let mut ring = Keyring::load(state.path()).unwrap();
        ring.pin_collector(key).unwrap();
        assert_eq!(Keyring::load(state.path()).unwrap().collector_next, Some(key));
        fs::write(state.path().join(COLLECTOR_NEXT), [0xff; 9]).unwrap();
        assert_eq!(Keyring::load(state.path()).unwrap().collector_next, None);
        ring.unpin_collector().unwrap();
        assert!(!state.path().join(COLLECTOR_NEXT).exists());
    }
}
