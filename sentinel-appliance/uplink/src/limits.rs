//! Sizes and timeouts of a session.

use core::time::Duration;

/// Sizes and timeouts of a session. The two ends of a connection may use different ones, but what one sends
/// must fit into what the other receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest Noise message to send, in bytes (without its length field), at least 256.
    pub send_len: u16,
    /// Longest Noise message to receive, in bytes (without its length field), at least 256.
    pub receive_len: u16,
    /// Time from the start of the connection to the first authenticated message of the peer.
    pub handshake: Duration,
    /// Time from the handshake to the answer of the collector to the first message of the sensor.
    pub welcome: Duration,
    /// Time without a valid message of the peer.
    pub idle: Duration,
    /// Time during which the peer accepts none of the pending bytes.
    pub stall: Duration,
    /// Time without a message to the sensor after which a collector sends a ping.
    pub keep_alive: Duration,
    /// Time without a message to the collector after which a sensor sends an unsolicited pong, its heartbeat.
    pub heartbeat: Duration,
    /// Time without a byte of a sensor after which a collector takes it as unreachable: `heartbeat` of the sensor, and three
    /// seconds for a segment that the network delays or loses. The session stays.
    pub silence: Duration,
}

impl Limits {
    /// Limits of a sensor: 4 KiB up, 2 KiB down.
    pub const SENSOR: Self = Self { send_len: 4096, receive_len: 2048, ..Self::COLLECTOR };
    /// Limits of a collector: 2 KiB down, 4 KiB up.
    pub const COLLECTOR: Self = Self {
        send_len: 2048,
        receive_len: 4096,
        handshake: Duration::from_secs(10),
        welcome: Duration::from_secs(30),
        idle: Duration::from_secs(300),
        stall: Duration::from_secs(60),
        keep_alive: Duration::from_secs(200),
        heartbeat: Duration::from_secs(12),
        silence: Duration::from_secs(15),
    };
    const MIN_LEN: u16 = 256;

    /// Longest Noise message to send, in bytes.
    pub(crate) fn max_send_len(self) -> usize {
        usize::from(self.send_len.max(Self::MIN_LEN))
    }

    /// Longest Noise message to receive, in bytes.
    pub(crate) fn max_receive_len(self) -> usize {
        usize::from(self.receive_len.max(Self::MIN_LEN))
    }
}
