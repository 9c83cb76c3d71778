//! Keys in an established session: those that replace each other, and signs that the key of the sensor was copied.

use sentinel_uplink::{CollectorKey, KEY_VERSION, KeyAnswer, PublicKey, RunIdentity, SendError, ToSensor};
use tokio::sync::oneshot;

use super::phase::Phase;
use super::{CloseReason, Connection};
use crate::clock;
use crate::model::{CopySign, Lineage};

/// Key messages of a session, in both directions.
#[derive(Debug, Default)]
pub(super) struct SessionKeys {
    /// The sensor reads messages about keys.
    takes_keys: bool,
    /// Value of [`crate::enroll::KeyRing::changes`] up to which it was told.
    told: u64,
    /// Key of the collector that it was told last.
    offered: Option<CollectorKey>,
    /// It was told to replace its key.
    is_replacement_told: bool,
    /// Answer to the announcement of its next key, until there is room.
    answer: Option<KeyAnswer>,
    /// The sensor has sent something that it sends after the welcome only.
    is_alive: bool,
    /// Relation of this run to those before it, once it is known, until it is reported.
    lineage: Option<oneshot::Receiver<Lineage>>,
}

impl SessionKeys {
    /// Begins a session.
    pub(super) fn new(protocol: u16, lineage: oneshot::Receiver<Lineage>) -> Self {
        Self { takes_keys: protocol >= KEY_VERSION, lineage: Some(lineage), ..Self::default() }
    }
}

impl Connection {
    /// Sends what the sensor has to know about keys, as far as there is room.
    pub(super) fn tell_keys(&mut self) -> Result<(), CloseReason> {
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        let (id, key_since) = (established.sensor.id, established.sensor.key_since);
        if !self.keys.takes_keys {
            return Ok(());
        }
        if let Some(answer) = self.keys.answer
            && self.send_if_room(&ToSensor::KeyAnswer(answer))?
        {
            self.keys.answer = None;
        }
        let changes = self.shared.identity.changes();
        if self.keys.told == changes {
            return Ok(());
        }
        let offer = self.session.local_key().and_then(|local| self.shared.identity.offer(local));
        if let Some(key) = offer.filter(|key| self.keys.offered != Some(*key)) {
            if !self.send_if_room(&ToSensor::CollectorKey(key))? {
                return Ok(());
            }
            self.keys.offered = offer;
        }
        if self.shared.identity.is_requested(id, key_since) && !self.keys.is_replacement_told {
            if !self.send_if_room(&ToSensor::ReplaceKey)? {
                return Ok(());
            }
            self.keys.is_replacement_told = true;
        }
        self.keys.told = changes;
        Ok(())
    }

    /// Returns false if there is no room.
    fn send_if_room(&mut self, message: &ToSensor<'_>) -> Result<bool, CloseReason> {
        match self.session.send(message, self.shared.uptime()) {
            Ok(()) => Ok(true),
            Err(SendError::Closed(reason)) => Err(reason.into()),
            Err(_) => Ok(false),
        }
    }

    /// The sensor announces its next key.
    pub(super) async fn next_key(&mut self, key: PublicKey) -> Result<(), CloseReason> {
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        let id = established.sensor.id;
        let is_accepted = self.shared.writer.announce_key(id, key).await.map_err(CloseReason::Store)?;
        if !is_accepted {
            let name = &established.name;
            let text =
                format_args!("{name}: its new key is refused: it belongs to a sensor, or belonged to one");
            self.shared.log.limited_warn("key_refused", text);
        }
        self.keys.answer = Some(KeyAnswer { key, is_accepted });
        Ok(())
    }

    /// The sensor has stored a key of the collector.
    pub(super) async fn key_pinned(&mut self, key: PublicKey) -> Result<(), CloseReason> {
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        // Any other would count as a confirmation of a key that the sensor was not told.
        if self.keys.offered.is_none_or(|offered| offered.key != key) {
            return Ok(());
        }
        self.shared.writer.pinned_key(established.sensor.id, key).await.map_err(CloseReason::Store)
    }

    /// Called for messages that a sensor sends after the welcome only: it was alive after the hello of every other run that this
    /// process has taken into account.
    pub(super) const fn note_alive(&mut self) {
        self.keys.is_alive = true;
    }

    /// Reports that the run of this session cannot be that of the only device with its key, once that is known and the sensor has
    /// shown that it lives.
    pub(super) async fn report_copy(&mut self) -> Result<(), CloseReason> {
        if !self.keys.is_alive {
            return Ok(());
        }
        match self.keys.lineage.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(lineage)) => self.take_lineage(lineage).await,
            _ => Ok(()), // reported, or not stored yet
        }
    }

    /// [`Connection::report_copy`] at the end of the session, which may come before the store has answered: two devices with one
    /// key end each other's sessions.
    pub(super) async fn report_last_copy(&mut self) -> Result<(), CloseReason> {
        match self.keys.lineage.take().filter(|_| self.keys.is_alive) {
            Some(lineage) => match lineage.await {
                Ok(lineage) => self.take_lineage(lineage).await,
                Err(_) => Ok(()), // the store is closed
            },
            None => Ok(()),
        }
    }

    async fn take_lineage(&mut self, lineage: Lineage) -> Result<(), CloseReason> {
        self.keys.lineage = None;
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        if lineage != Lineage::Returned {
            return Ok(());
        }
        let (id, name) = (established.sensor.id, established.name.clone());
        let detail = format!("this one at {}", self.peer);
        let copied = self.shared.writer.copied_key(id, name, CopySign::Runs, detail, clock::now());
        copied.await.map_err(CloseReason::Store)
    }

    /// Returns true if the position in the store is that of this device: see [`crate::ingest::Sessions::continues`].
    pub(super) fn may_resume(&self, sensor: &crate::model::Sensor, boot: u32, run: RunIdentity) -> bool {
        self.shared.sessions.continues(sensor.id, sensor.current_boot, boot, run) && sensor.copy.is_none()
    }
}
