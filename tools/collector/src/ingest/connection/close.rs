//! How a connection ends: what arrived is stored, the peer is evicted if possible, the reason is counted.

use std::io;
use std::time::Duration;

use sentinel_uplink::{RejectReason, SessionError, ToSensor};

use super::{Connection, EvictReason, Stage};
use crate::clock;
use crate::metrics::RejectionCause;
use crate::store::StoreError;

/// How long a shut_down may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection reason.
#[derive(Debug)]
pub(super) enum CloseReason {
    /// The peer closed it, or the network did.
    Socket(Option<io::Error>),
    /// The peer broke the protocol or fell silent.
    Session(SessionError),
    /// We turned it away; what is pending says so.
    Rejected,
    /// Replaced or revoked.
    Evicted(EvictReason),
    /// The collector stops.
    Stopping,
    /// What arrived cannot be stored.
    Store(StoreError),
}

impl From<SessionError> for CloseReason {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl Connection<'_> {
    /// Stores what has arrived, says shut_down where that is possible, counts and logs.
    pub(super) async fn finish(mut self, reason: CloseReason) {
        if let CloseReason::Session(error) = &reason {
            self.count(*error);
        }
        let stopping = matches!(reason, CloseReason::Stopping);
        let refusal = match reason {
            CloseReason::Stopping => Some(RejectReason::ShuttingDown),
            CloseReason::Evicted(EvictReason::Revoked) => Some(RejectReason::Revoked),
            CloseReason::Store(_) => Some(RejectReason::StorageFailed),
            _ => None,
        };
        if !matches!(reason, CloseReason::Store(_)) {
            self.store_remaining(stopping).await;
        }
        if let Some(refusal) = refusal {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.flush()).await; // make room
            let _ = self.session.reject(refusal, self.shared.uptime());
        }
        if !matches!(reason, CloseReason::Socket(_) | CloseReason::Session(_)) {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.shut_down()).await;
        }
        if let Stage::Serving(serving) = std::mem::replace(&mut self.stage, Stage::Closing) {
            self.shared.metrics.sensors_connected.dec();
            let why = describe(&reason);
            self.shared.log.info(format_args!("{} disconnected: {why}", serving.name));
            self.announce("disconnected", &serving.name, Some(&why));
            let _ = self.shared.writer.seen(serving.sensor.id, clock::now()).await; // closing: it is in the log
        }
    }

    /// What arrived whole is stored even if its connection is gone: the sensor has less to send again.
    async fn store_remaining(&mut self, acknowledge: bool) {
        // At most two turns: what is being stored, and what was pending meanwhile.
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
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.flush()).await;
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
    async fn shut_down(&mut self) -> io::Result<()> {
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
            SessionError::Foreign { .. } => RejectionCause::ForeignProtocol,
            SessionError::Version(_) | SessionError::Suite(_) => RejectionCause::Version,
            SessionError::Authentication | SessionError::WeakKey => match self.stage {
                Stage::Enrolling(..) => RejectionCause::Token, // the secret is not that of the token
                _ => RejectionCause::Authentication,
            },
            SessionError::HandshakeTimeout => RejectionCause::HandshakeTimeout,
            SessionError::FrameLength(_) | SessionError::Malformed | SessionError::UnexpectedMessage => {
                RejectionCause::Malformed
            }
            _ => return,
        };
        match &self.stage {
            Stage::Serving(serving) => {
                self.shared.rejections.key(reason, serving.sensor.key(), self.peer.ip(), error);
            }
            Stage::Identified(sensor) => {
                self.shared.rejections.key(reason, sensor.key(), self.peer.ip(), error);
            }
            Stage::Enrolling(key, _) => self.shared.rejections.key(reason, *key, self.peer.ip(), error),
            _ => self.shared.rejections.address(reason, self.peer.ip(), error),
        }
    }
}

fn describe(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Socket(None) => "the sensor closed the connection".into(),
        CloseReason::Socket(Some(error)) => error.to_string(),
        CloseReason::Session(error) => error.to_string(),
        CloseReason::Rejected => "turned away".into(),
        CloseReason::Evicted(EvictReason::Replaced) => "the sensor connected again".into(),
        CloseReason::Evicted(EvictReason::Revoked) => "revoked".into(),
        CloseReason::Stopping => "the collector stops".into(),
        CloseReason::Store(error) => error.to_string(),
    }
}
