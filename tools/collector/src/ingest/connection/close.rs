//! The end of a connection: what arrived is stored, the peer gets the reason if possible, the cause is counted.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use sentinel_uplink::{BatchError, RejectReason, SessionError, ToSensor};

use super::Connection;
use super::phase::Phase;
use crate::clock;
use crate::ingest::EvictReason;
use crate::metrics::RejectionCause;
use crate::model::{DisconnectReason, Limit, SensorChange};
use crate::store::StoreError;

/// Time for each of the writes that end a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Reason for which a connection ends.
#[derive(Debug)]
pub(super) enum CloseReason {
    /// The peer closed it.
    EndOfStream,
    /// The network failed.
    Socket(io::Error),
    /// The peer broke the protocol or was silent for too long.
    Session(SessionError),
    /// A batch of the peer cannot be decoded.
    Batch(BatchError),
    /// The peer is rejected; the reason for it is queued.
    Rejected,
    /// Replaced or revoked.
    Evicted(EvictReason),
    /// The process stops.
    Stopping,
    /// The received alerts cannot be stored.
    Store(StoreError),
    /// The received alerts break a limit of the sensor; its row counts it.
    Limit(Limit),
    /// Closed without a proved key, to make room for another connection.
    CrowdedOut,
}

impl From<SessionError> for CloseReason {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<BatchError> for CloseReason {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::EndOfStream => Self::ClosedByPeer,
            CloseReason::Socket(error) => Self::Network(Arc::new(error)),
            CloseReason::Session(error) => Self::Session(error),
            CloseReason::Batch(error) => Self::Batch(error),
            CloseReason::Rejected => Self::Rejected,
            CloseReason::Evicted(EvictReason::Replaced) => Self::Replaced,
            CloseReason::Evicted(EvictReason::Revoked) => Self::Revoked,
            CloseReason::Stopping => Self::Stopping,
            CloseReason::Store(error) => Self::StoreFailed(Arc::new(error)),
            CloseReason::Limit(limit) => Self::Limit(limit),
            CloseReason::CrowdedOut => Self::Rejected, // not reached: there was no session
        }
    }
}

impl CloseReason {
    /// Reason that the peer is given; none if there is none to give or it is queued already.
    const fn reject_reason(&self) -> Option<RejectReason> {
        match self {
            Self::Stopping => Some(RejectReason::ShuttingDown),
            Self::Evicted(EvictReason::Revoked) => Some(RejectReason::Revoked),
            Self::Store(_) => Some(RejectReason::StorageFailed),
            Self::Limit(Limit::Quota) => Some(RejectReason::OverQuota),
            Self::Limit(_) => Some(RejectReason::Busy),
            _ => None,
        }
    }

    /// Returns true if the peer is able to read what is written before the close.
    const fn is_orderly(&self) -> bool {
        !matches!(
            self,
            Self::EndOfStream | Self::Socket(_) | Self::Session(_) | Self::Batch(_) | Self::CrowdedOut
        )
    }
}

impl Connection {
    /// Stores what has arrived, sends the reason where that is possible, counts and logs.
    pub(super) async fn close(mut self: Box<Self>, reason: CloseReason) {
        self.count_rejection(&reason); // while the phase still has the key of the peer
        // After a delivery that is not stored nothing more is stored or acknowledged: a later one must not be acknowledged
        // past it.
        if !matches!(reason, CloseReason::Store(_) | CloseReason::Limit(_)) {
            let stored = self.store_remaining().await;
            if matches!(reason, CloseReason::Stopping) && stored.is_ok() {
                self.acknowledge_last().await;
            }
        }
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.report_last_copy()).await;
        if let Some(reject_reason) = reason.reject_reason() {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.flush()).await; // makes room for the reason
            let _ = self.session.reject(reject_reason, self.shared.uptime());
        }
        if reason.is_orderly() {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.shut_down()).await;
        }
        self.report_disconnect(reason.into()).await;
    }

    /// Sends the last acknowledgement; if that fails, the sensor sends the alerts again.
    async fn acknowledge_last(&mut self) {
        if let Some(last) = self.ack {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.flush()).await; // makes room
            let _ = self.session.send(&ToSensor::Ack(last), self.shared.uptime());
        }
    }

    async fn report_disconnect(&mut self, reason: DisconnectReason) {
        let Phase::Established(mut established) = std::mem::replace(&mut self.phase, Phase::Closing) else {
            return;
        };
        established.guard.set_reason(reason.to_string());
        self.shared
            .log
            .limited_info("disconnected", format_args!("{} disconnected: {reason}", established.name));
        // A silent one was reported before.
        if !established.silence.is_silent {
            self.shared.metrics.sensors_connected.dec();
            self.publish(&established.name, SensorChange::Disconnected(reason));
        }
        // Fails only while the writer stops; the time is in the log as well.
        let _ = self.shared.writer.seen(established.sensor.id, clock::now()).await;
    }

    /// Counts and logs a peer that broke the protocol.
    fn count_rejection(&self, reason: &CloseReason) {
        match reason {
            CloseReason::Session(error) => {
                if let Some(cause) = self.cause(*error) {
                    self.log_rejection(cause, error);
                }
            }
            CloseReason::Batch(error) => self.log_rejection(RejectionCause::Malformed, error),
            CloseReason::Limit(limit) => {
                self.shared.metrics.count_limit(*limit, 1);
                self.log_rejection(RejectionCause::Limit, limit.describe());
            }
            CloseReason::CrowdedOut => {
                self.log_rejection(RejectionCause::Crowded, "made room for another connection");
            }
            _ => {}
        }
    }

    fn log_rejection(&self, cause: RejectionCause, detail: impl fmt::Display) {
        match self.phase.key() {
            Some(key) => self.shared.rejections.key(cause, key, self.peer.ip(), detail),
            None => self.shared.rejections.address(cause, self.peer.ip(), detail),
        }
    }

    fn cause(&self, error: SessionError) -> Option<RejectionCause> {
        Some(match error {
            SessionError::BadMagic { .. } => RejectionCause::ForeignProtocol,
            SessionError::Version(_) | SessionError::Suite(_) => RejectionCause::Version,
            SessionError::Authentication | SessionError::WeakKey => match self.phase {
                Phase::Enrolling(..) => RejectionCause::Token, // the secret is not that of the token
                _ => RejectionCause::Authentication,
            },
            SessionError::HandshakeTimeout => RejectionCause::HandshakeTimeout,
            SessionError::FrameLength(_) | SessionError::Malformed | SessionError::UnexpectedMessage => {
                RejectionCause::Malformed
            }
            _ => return None,
        })
    }
}
