//! How a connection ends: what arrived is stored, the peer is told if possible, the reason is counted.

use std::io;
use std::time::Duration;

use sentinel_uplink::{RejectReason, SessionError, ToSensor};

use super::{Connection, End, Stage};
use crate::clock;
use crate::metrics::Refused;
use crate::store::StoreError;

/// How long a goodbye may take to be written.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The peer closed it, or the network did.
    Socket(Option<io::Error>),
    /// The peer broke the protocol or fell silent.
    Session(SessionError),
    /// We turned it away; what is pending says so.
    Refused,
    /// Replaced or revoked.
    Told(End),
    /// The collector stops.
    Stopping,
    /// What arrived cannot be stored.
    Store(StoreError),
}

impl From<SessionError> for Ended {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl Connection<'_> {
    /// Stores what has arrived, says goodbye where that is possible, counts and logs.
    pub(super) async fn finish(mut self, ended: Ended) {
        if let Ended::Session(error) = &ended {
            self.count(*error);
        }
        let stopping = matches!(ended, Ended::Stopping);
        let refusal = match ended {
            Ended::Stopping => Some(RejectReason::ShuttingDown),
            Ended::Told(End::Revoked) => Some(RejectReason::Revoked),
            Ended::Store(_) => Some(RejectReason::StorageFailed),
            _ => None,
        };
        if !matches!(ended, Ended::Store(_)) {
            self.store_rest(stopping).await;
        }
        if let Some(refusal) = refusal {
            let _ = tokio::time::timeout(GOODBYE, self.flush()).await; // make room
            let _ = self.session.reject(refusal, self.shared.uptime());
        }
        if !matches!(ended, Ended::Socket(_) | Ended::Session(_)) {
            let _ = tokio::time::timeout(GOODBYE, self.goodbye()).await;
        }
        if let Stage::Serving(serving) = std::mem::replace(&mut self.stage, Stage::Over) {
            self.shared.metrics.sensors_connected.dec();
            let why = describe(&ended);
            self.shared.log.info(format_args!("{} disconnected: {why}", serving.name));
            self.announce("disconnected", &serving.name, Some(&why));
            let _ = self.shared.writer.seen(serving.sensor.id, clock::now()).await; // closing: it is in the log
        }
    }

    /// What arrived whole is stored even if its connection is gone: the sensor has less to send again.
    async fn store_rest(&mut self, acknowledge: bool) {
        // At most two turns: what is being stored, and what was gathered meanwhile.
        loop {
            self.start_storing();
            let Some(storing) = self.storing.as_mut() else { break };
            let (result, last, arrived) = storing.await;
            self.storing = None;
            if result.is_err() {
                return;
            }
            self.shared.metrics.observe_ingest(arrived.elapsed());
            self.ack = Some(last);
        }
        if let Some(last) = self.ack.filter(|_| acknowledge) {
            let _ = tokio::time::timeout(GOODBYE, self.flush()).await;
            let _ = self.session.send(&ToSensor::Ack(last), self.shared.uptime()); // else it is sent again
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write()?;
        while !self.session.pending().is_empty() {
            self.stream.writable().await?;
            self.write()?;
        }
        Ok(())
    }

    /// Writes what is pending and waits for the peer to close: closing a socket with unread bytes would
    /// make the kernel throw away what we have just written.
    async fn goodbye(&mut self) -> io::Result<()> {
        use tokio::io::AsyncWriteExt as _;
        self.flush().await?;
        self.stream.shutdown().await?;
        let mut buffer = [0; 1024];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn count(&self, error: SessionError) {
        let reason = match error {
            SessionError::Foreign { .. } => Refused::ForeignProtocol,
            SessionError::Version(_) | SessionError::Suite(_) => Refused::Version,
            SessionError::Authentication | SessionError::WeakKey => match self.stage {
                Stage::Enrolling(..) => Refused::Token, // the secret is not that of the token
                _ => Refused::Authentication,
            },
            SessionError::HandshakeTimeout => Refused::HandshakeTimeout,
            SessionError::FrameLength(_) | SessionError::Malformed | SessionError::UnexpectedMessage => {
                Refused::Malformed
            }
            _ => return,
        };
        match &self.stage {
            Stage::Serving(serving) => {
                self.shared.refusals.key(reason, serving.sensor.key(), self.peer.ip(), error);
            }
            Stage::Claimed(sensor) => {
                self.shared.refusals.key(reason, sensor.key(), self.peer.ip(), error);
            }
            Stage::Enrolling(key, _) => self.shared.refusals.key(reason, *key, self.peer.ip(), error),
            _ => self.shared.refusals.address(reason, self.peer.ip(), error),
        }
    }
}

fn describe(ended: &Ended) -> String {
    match ended {
        Ended::Socket(None) => "the sensor closed the connection".into(),
        Ended::Socket(Some(error)) => error.to_string(),
        Ended::Session(error) => error.to_string(),
        Ended::Refused => "turned away".into(),
        Ended::Told(End::Replaced) => "the sensor connected again".into(),
        Ended::Told(End::Revoked) => "revoked".into(),
        Ended::Stopping => "the collector stops".into(),
        Ended::Store(error) => error.to_string(),
    }
}
