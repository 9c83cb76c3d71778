//! Keys of a running collector: what connections are answered with, what sensors are told, and the switch to the next key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_units::Timestamp;
use sentinel_uplink::{CollectorKey, KeyPair, PublicKey};

use super::KeyFiles;
use crate::model::{CollectorKeyTimes, KeyPlan, SensorId};
use crate::store::{Files, collector_keys};

/// Keys of a running collector.
pub struct KeyRing {
    files: Arc<Files>,
    state: Mutex<State>,
    /// Incremented by each change, so that connections look only then.
    changes: AtomicU64,
}

struct State {
    keys: KeyFiles,
    answering: Arc<[KeyPair]>,
    times: Vec<CollectorKeyTimes>,
    requested: HashMap<SensorId, Timestamp>,
}

impl KeyRing {
    /// Reads the keys from the files.
    ///
    /// # Errors
    /// Errors of [`KeyFiles::load`].
    pub fn load(files: &Arc<Files>) -> anyhow::Result<Self> {
        let keys = KeyFiles::load(files)?;
        let answering = keys.answering().into();
        let state = State { keys, answering, times: Vec::new(), requested: HashMap::new() };
        Ok(Self { files: Arc::clone(files), state: Mutex::new(state), changes: AtomicU64::new(1) })
    }

    /// The key in force.
    #[must_use]
    pub fn current(&self) -> PublicKey {
        self.lock().keys.current.public()
    }

    /// Keys with which a connection is answered.
    #[must_use]
    pub fn answering(&self) -> Arc<[KeyPair]> {
        Arc::clone(&self.lock().answering)
    }

    /// Number that changes with everything that sensors are told.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Returns true if a sensor that asked for `key` is served: not if the key was replaced too long ago.
    #[must_use]
    pub fn serves(&self, key: PublicKey, now: Timestamp) -> bool {
        let state = self.lock();
        let until = state.times.iter().find(|times| times.key == key).and_then(|times| times.served_until);
        key == state.keys.current.public() || until.is_none_or(|until| now < until)
    }

    /// Other key that a sensor with a session for `key` is told; none if it has nothing to learn.
    #[must_use]
    pub fn offer(&self, key: PublicKey) -> Option<CollectorKey> {
        let state = self.lock();
        let (current, next) = (state.keys.current.public(), state.keys.next.as_ref().map(KeyPair::public));
        if key != current && Some(key) != next {
            return Some(CollectorKey { key: current, is_in_force: true });
        }
        next.filter(|next| *next != key).map(|key| CollectorKey { key, is_in_force: false })
    }

    /// Returns true if the operator has asked this sensor for another key since `key_since`, from which on it has the present
    /// one. What is known here may be a second old: without the comparison a sensor would be asked again and again meanwhile.
    #[must_use]
    pub fn is_requested(&self, sensor: SensorId, key_since: Option<Timestamp>) -> bool {
        self.lock().requested.get(&sensor).is_some_and(|at| key_since.is_none_or(|since| *at > since))
    }

    /// Follows what other processes, the operator's commands, have written; and switches to the next key if it is time, or if
    /// every sensor has it. Returns the new key after a switch. Blocks on the disk when something changes.
    ///
    /// # Errors
    /// Errors of the files and of the store; tried again with the next call.
    pub fn follow(&self, plan: &KeyPlan, now: Timestamp) -> anyhow::Result<Option<PublicKey>> {
        let announced =
            plan.keys.iter().find(|times| times.announced_at.is_some() && times.in_force_at.is_none());
        let due = announced.filter(|times| plan.waiting == 0 || times.switch_at.is_some_and(|at| now >= at));
        if let Some(times) = due {
            self.switch(times.key, now)?;
            return Ok(Some(times.key));
        }
        let requested: HashMap<SensorId, Timestamp> = plan.requested.iter().copied().collect();
        let is_known = {
            let state = self.lock();
            state.times == plan.keys && state.requested == requested
        };
        if !is_known {
            let keys = KeyFiles::load(&self.files)?;
            self.set(keys, plan.keys.clone(), requested);
        }
        Ok(None)
    }

    fn switch(&self, key: PublicKey, now: Timestamp) -> anyhow::Result<()> {
        // A crash after the files were switched leaves the store to be told.
        if KeyFiles::load(&self.files)?.current.public() != key {
            KeyFiles::switch(&self.files)?;
        }
        let keys = KeyFiles::load(&self.files)?;
        anyhow::ensure!(
            keys.current.public() == key,
            "the file of the next key does not hold the key announced"
        );
        let replaced: Vec<PublicKey> = keys.replaced.iter().map(KeyPair::public).collect();
        let mut connection = self.files.open_writer()?;
        collector_keys::switch(&mut connection, key, &replaced, now)?;
        let plan = collector_keys::plan(&connection)?;
        self.set(keys, plan.keys, plan.requested.into_iter().collect());
        Ok(())
    }

    fn set(&self, keys: KeyFiles, times: Vec<CollectorKeyTimes>, requested: HashMap<SensorId, Timestamp>) {
        let answering = keys.answering().into();
        *self.lock() = State { keys, answering, times, requested };
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does not print keys.
impl std::fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeyRing")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_next_key_is_in_force_when_every_sensor_has_it_or_its_time_has_come() {
        for waiting in [0, 1] {
            let directory = tempfile::tempdir().unwrap();
            let files = Arc::new(Files::locate(directory.path(), Some(&"0f".repeat(32))).unwrap());
            let connection = files.open_writer().unwrap();
            let sql = "INSERT INTO sensors (public_key, name, enrolled_at_us) VALUES (zeroblob(32), 'a', 0)";
            connection.execute(sql, []).unwrap();
            let ring = KeyRing::load(&files).unwrap();
            let (first, second) =
                (ring.current(), KeyFiles::load(&files).unwrap().make_next(&files).unwrap());
            let at = |second| Timestamp::from_parts(second, 0);
            let times = CollectorKeyTimes {
                key: second,
                announced_at: Some(at(10)),
                switch_at: Some(at(20)),
                keep: Duration::from_secs(5),
                in_force_at: None,
                served_until: None,
            };
            collector_keys::announce(&connection, &times).unwrap();
            let plan = || collector_keys::plan(&connection).unwrap();
            assert_eq!(plan().waiting, 1);
            assert_eq!(ring.follow(&plan(), at(11)).unwrap(), None);
            assert_eq!(ring.offer(first), Some(CollectorKey { key: second, is_in_force: false }));
            assert_eq!(ring.offer(second), None);
            assert_eq!(collector_keys::unconfirmed(&connection, second).unwrap().len(), 1);
            let now = if waiting == 0 {
                connection.execute("UPDATE sensors SET pinned_key = ?", [second.as_bytes()]).unwrap();
                at(12)
            } else {
                assert_eq!(ring.follow(&plan(), at(19)).unwrap(), None);
                at(20)
            };
            let changes = ring.changes();
            // A crash after the files were switched.
            if waiting == 0 {
                KeyFiles::switch(&files).unwrap();
            }
            assert_eq!(ring.follow(&plan(), now).unwrap(), Some(second));
            assert!(ring.changes() > changes);
            assert_eq!((ring.current(), ring.offer(second)), (second, None));
            assert_eq!(ring.offer(first), Some(CollectorKey { key: second, is_in_force: true }));
            let end = now.after(Duration::from_secs(5));
            assert!(ring.serves(first, now) && !ring.serves(first, end) && ring.serves(second, end));
            assert_eq!(ring.follow(&plan(), end).unwrap(), None);
            // After a restart as well.
            let ring = KeyRing::load(&files).unwrap();
            ring.follow(&plan(), end).unwrap();
            assert!(!ring.serves(first, end) && ring.current() == second);
        }
    }
}
