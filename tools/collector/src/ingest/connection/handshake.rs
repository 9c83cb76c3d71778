//! From the first claim of a key or a token to an established session or an enrolled sensor.

use std::sync::Arc;
use std::time::Duration;

use sentinel_uplink::{
    HEARTBEAT_VERSION, PROTOCOL_VERSION, PublicKey, RUN_END_VERSION, RejectReason, RunIdentity, SendError,
    SessionError, ToSensor, TokenId, Welcome,
};
use tokio::sync::OwnedSemaphorePermit;

use super::keys::SessionKeys;
use super::limits::lock;
use super::phase::{Established, Phase, Silence};
use super::{CloseReason, Connection};
use crate::clock;
use crate::metrics::RejectionCause;
use crate::model::{
    CopySign, Enrollment, Event, KeyRole, Limit, Sensor, SensorChange, SensorEvent, SensorInfo,
};
use crate::store::StoreError;

impl Connection {
    /// Looks up the sensor whose key the peer claims.
    pub(super) async fn identify(&mut self, key: PublicKey) -> Result<(), CloseReason> {
        if !self.serves_local_key() {
            let (cause, reason) = (RejectionCause::CollectorKey, RejectReason::CollectorKeyReplaced);
            return Err(self.reject_key(cause, key, reason));
        }
        match self.shared.admission.sensor_with_key(key).await {
            Err(error) => Err(self.storage_failed(error)),
            Ok(None) => Err(self.reject_key(RejectionCause::UnknownKey, key, RejectReason::UnknownSensor)),
            Ok(Some(sensor)) if sensor.revoked_at.is_some() => {
                Err(self.reject_key(RejectionCause::Revoked, key, RejectReason::Revoked))
            }
            Ok(Some(sensor)) => {
                self.session.admit(self.shared.uptime())?;
                self.phase = Phase::Identified(Box::new(sensor), key);
                Ok(())
            }
        }
    }

    /// Returns false if the peer asked for a key of this collector that was replaced too long ago.
    fn serves_local_key(&self) -> bool {
        self.session.local_key().is_none_or(|key| self.shared.identity.serves(key, clock::now()))
    }

    /// Looks up the token that the peer claims to hold. Its secret goes into the handshake, so an unknown token
    /// cannot be answered: the connection is closed without a word.
    pub(super) async fn find_token(&mut self, key: PublicKey, token: TokenId) -> Result<(), CloseReason> {
        match self.shared.admission.token(token).await {
            Err(error) => Err(CloseReason::Store(error)),
            Ok(None) => {
                let detail = format_args!("there is no token {token}");
                self.shared.rejections.key(RejectionCause::Token, key, self.peer.ip(), detail);
                Err(CloseReason::Rejected)
            }
            // Used and expired tokens as well: the reason is given after the request has proved the secret, so that only the
            // holder of a token learns its state.
            Ok(Some(stored)) => {
                self.session.admit_enrollment(&stored.secret, self.shared.uptime())?;
                self.phase = Phase::Enrolling(key, token);
                Ok(())
            }
        }
    }

    /// Uses up the token, whose secret the request has proved.
    pub(super) async fn enroll(&mut self, name: String) -> Result<(), CloseReason> {
        // Leaves the phase first: whatever happens below, a second request on this connection is unexpected.
        let Phase::Enrolling(key, token) = std::mem::replace(&mut self.phase, Phase::Closing) else {
            return Err(SessionError::UnexpectedMessage.into());
        };
        if !self.serves_local_key() {
            let (cause, reason) = (RejectionCause::CollectorKey, RejectReason::CollectorKeyReplaced);
            return Err(self.reject_key(cause, key, reason));
        }
        let request = Enrollment { token, public_key: key, name, at: clock::now() };
        match self.shared.writer.enroll(request).await {
            Err(error) => Err(self.storage_failed(error)),
            Ok(Err(reason)) => {
                let cause = match reason {
                    RejectReason::TokenExpired => RejectionCause::ExpiredToken,
                    RejectReason::NameTaken => RejectionCause::NameTaken,
                    RejectReason::NameNotAllowed => RejectionCause::NameNotAllowed,
                    RejectReason::KeyReplaced => RejectionCause::ReplacedKey,
                    _ => RejectionCause::Token,
                };
                Err(self.reject_key(cause, key, reason))
            }
            Ok(Ok(sensor)) => {
                let text = format_args!("enrolled {} from {}, key {key}", sensor.name, self.peer);
                self.shared.log.limited_info("enrolled", text);
                self.publish(&sensor.name.as_str().into(), SensorChange::Enrolled);
                self.welcome(&sensor)
            }
        }
    }

    /// Establishes the session of the sensor whose key the hello has proved.
    pub(super) async fn establish(
        &mut self,
        protocol: u16,
        boot: u32,
        run: RunIdentity,
        info: SensorInfo,
    ) -> Result<(), CloseReason> {
        let Phase::Identified(sensor, key) = std::mem::replace(&mut self.phase, Phase::Closing) else {
            return Err(SessionError::UnexpectedMessage.into());
        };
        if protocol == 0 {
            let cause = RejectionCause::Version;
            return Err(self.reject_key(cause, key, RejectReason::TooOld));
        }
        self.prove_key(&sensor, key).await?;
        let permit = self.admit_session(&sensor).await?;
        self.unproved = None; // the hello was authenticated: the peer owns the key
        let now = clock::now();
        // Registered before it is read again: a revocation after the read finds the session in the table and evicts it.
        let (guard, evicted) = self.shared.sessions.register(sensor.id, self.peer, now);
        let mut sensor = self.read_again(key).await?;
        // The position may be that of another device with the same key: then the sensor would take for delivered what the
        // other one has made up. Without it everything that is not delivered is sent, and stored once.
        if !self.may_resume(&sensor, boot, run) {
            sensor.acked = None;
        }
        self.welcome(&sensor)?;
        self.write()?; // the writer, which gets the properties below, may be busy for seconds
        self.log_connected(&sensor, &info);
        let (id, name): (_, Arc<str>) = (sensor.id, sensor.name.as_str().into());
        self.publish(&name, SensorChange::Connected);
        self.shared.metrics.sensors_connected.inc();
        // Before the next wait: from here on closing the connection reports the disconnect.
        let pinned = sensor.pinned_key;
        let rates = self.shared.sessions.rates(id);
        let silence = Silence::new(self.shared.uptime(), self.max_silence(protocol));
        let established = Established { sensor, name, guard, evicted, rates, silence, _permit: permit };
        self.phase = Phase::Established(Box::new(established));
        // Before its alerts, in the order of the queue: the run before this one is unknown until its end arrives.
        let ends = protocol >= RUN_END_VERSION;
        let lineage =
            self.shared.writer.begin_run(id, boot, run, ends, now).await.map_err(CloseReason::Store)?;
        self.keys = SessionKeys::new(protocol, lineage);
        if let Some(local) = self.session.local_key().filter(|local| pinned != Some(*local)) {
            self.shared.writer.pinned_key(id, local).await.map_err(CloseReason::Store)?;
        }
        self.shared.writer.info(id, info, now).await.map_err(CloseReason::Store)
    }

    /// Acts on the key that the hello has proved: the first session with the next key of a sensor makes it the only one; one that
    /// was replaced is not served, and its use is a sign that it was copied.
    async fn prove_key(&mut self, sensor: &Sensor, key: PublicKey) -> Result<(), CloseReason> {
        let name: Arc<str> = sensor.name.as_str().into();
        match sensor.role_of(key) {
            KeyRole::Current => Ok(()),
            KeyRole::Next => match self.shared.writer.replace_key(sensor.id, key, clock::now()).await {
                Ok(true) => {
                    self.shared.log.limited_info("key", format_args!("{name} has a new key: {key}"));
                    Ok(())
                }
                // Another connection did, or the key is no longer the next one: reading the sensor again tells.
                Ok(false) => Ok(()),
                Err(error) => Err(self.storage_failed(error)),
            },
            KeyRole::Replaced => {
                let detail = format!("from {}", self.peer);
                let copied = self.shared.writer.copied_key(
                    sensor.id,
                    name,
                    CopySign::ReplacedKey,
                    detail,
                    clock::now(),
                );
                copied.await.map_err(CloseReason::Store)?;
                Err(self.reject_key(RejectionCause::ReplacedKey, key, RejectReason::KeyReplaced))
            }
        }
    }

    /// Place of a session, unless all are taken or the sensor connects too often.
    async fn admit_session(&mut self, sensor: &Sensor) -> Result<OwnedSemaphorePermit, CloseReason> {
        let Some(permit) = self.gate.session() else {
            return Err(self.reject_key(RejectionCause::TooMany, sensor.public_key, RejectReason::Busy));
        };
        let (rates, now) = (self.shared.sessions.rates(sensor.id), self.shared.elapsed());
        if !lock(&rates).session(now) {
            self.report_limit(sensor.id, &rates, Limit::Sessions).await?;
            let (cause, detail) = (RejectionCause::Limit, Limit::Sessions.describe());
            self.shared.rejections.key(cause, sensor.public_key, self.peer.ip(), detail);
            return Err(self.reject(RejectReason::Busy));
        }
        Ok(permit)
    }

    /// Time without a byte after which a sensor counts as silent. Those of version 1 send no heartbeats.
    fn max_silence(&self, protocol: u16) -> Duration {
        let limits = &self.shared.limits.session;
        if protocol >= HEARTBEAT_VERSION { limits.silence } else { limits.idle }
    }

    /// The sensor as it is now: between the claim and its proof an operator may have revoked it, or an earlier session
    /// may have stored more alerts, which the welcome acknowledges.
    ///
    /// The earlier session, evicted by registering this one, may still be storing what it has received. The welcome then
    /// acknowledges too little, and the sensor sends alerts again, which are duplicates and not stored.
    async fn read_again(&mut self, key: PublicKey) -> Result<Sensor, CloseReason> {
        match self.shared.admission.sensor_with_key(key).await {
            Ok(Some(sensor)) if sensor.revoked_at.is_none() && sensor.public_key == key => Ok(sensor),
            Ok(Some(sensor)) if sensor.revoked_at.is_none() => Err(self.reject(RejectReason::KeyReplaced)),
            Ok(_) => Err(self.reject(RejectReason::Revoked)),
            Err(error) => Err(self.storage_failed(error)),
        }
    }

    fn log_connected(&self, sensor: &Sensor, info: &SensorInfo) {
        let SensorInfo { software, host, interfaces } = info;
        let text = format_args!(
            "{} connected from {}: version {software}, host {host}, interfaces {interfaces}",
            sensor.name, self.peer
        );
        self.shared.log.limited_info("connected", text);
    }

    fn welcome(&mut self, sensor: &Sensor) -> Result<(), CloseReason> {
        let sensor_id = u32::try_from(sensor.id.0).unwrap_or(u32::MAX);
        let welcome =
            Welcome { protocol: PROTOCOL_VERSION, sensor_id, name: &sensor.name, acked: sensor.acked };
        match self.session.send(&ToSensor::Welcome(welcome), self.shared.uptime()) {
            Ok(()) => Ok(()),
            Err(SendError::Closed(reason)) => Err(reason.into()),
            Err(_) => Err(SessionError::Internal.into()), // the first message always has room
        }
    }

    fn reject_key(&mut self, cause: RejectionCause, key: PublicKey, reason: RejectReason) -> CloseReason {
        self.shared.rejections.key(cause, key, self.peer.ip(), reason);
        self.reject(reason)
    }

    /// Queues the reason for the peer; closing the connection writes it.
    fn reject(&mut self, reason: RejectReason) -> CloseReason {
        let _ = self.session.reject(reason, self.shared.uptime()); // without room the peer is closed without it
        self.phase = Phase::Closing;
        CloseReason::Rejected
    }

    fn storage_failed(&mut self, error: StoreError) -> CloseReason {
        let _ = self.session.reject(RejectReason::StorageFailed, self.shared.uptime());
        CloseReason::Store(error)
    }

    pub(super) fn publish(&self, sensor: &Arc<str>, change: SensorChange) {
        let event =
            SensorEvent { time: clock::now(), sensor: Arc::clone(sensor), peer: Some(self.peer), change };
        self.shared.events.publish(Event::Sensor(Arc::new(event)));
    }
}
