//! Transmission of frames on an interface of a test network.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pnet::datalink::{self, Channel, Config, DataLinkSender};

use crate::Packets;

/// Reason why nothing, or not everything, was sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no interface of that name.
    UnknownInterface {
        /// Name that was given.
        name: String,
        /// Names of the interfaces that exist.
        known: Vec<String>,
    },
    /// The interface could not be opened for sending; needs `CAP_NET_RAW`.
    Open(io::Error),
    /// The interface does not send Ethernet frames.
    NotEthernet,
    /// The kernel rejected a frame; those before it were sent.
    Frame {
        /// Number of frames sent before.
        sent: u64,
        /// Length of the rejected frame.
        length: usize,
        /// Error of the kernel.
        reason: io::Error,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInterface { name, known } => {
                write!(out, "no interface {name}; there are {}", known.join(", "))
            }
            Self::Open(_) => out.write_str("opening the interface needs root (CAP_NET_RAW)"),
            Self::NotEthernet => out.write_str("the interface takes no Ethernet frames"),
            Self::Frame { sent, length, .. } => {
                write!(out, "frame {} of {length} bytes was rejected after {sent} were sent", sent + 1)
            }
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(reason) | Self::Frame { reason, .. } => Some(reason),
            Self::UnknownInterface { .. } | Self::NotEthernet => None,
        }
    }
}

/// Number of frames and bytes sent, and the time that took; displayed with rates.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Number of frames.
    pub frames: u64,
    /// Bytes of the frames.
    pub bytes: u64,
    /// Time from the first frame until after the last.
    pub took: Duration,
}

impl fmt::Display for Sent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(1e-9);
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "rates for people, four digits"
        )]
        let (frames, bytes) = (self.frames as f64, self.bytes as f64);
        write!(
            out,
            "{} frames, {} bytes in {seconds:.3} s: {:.0} frames/s, {:.1} Mbit/s",
            self.frames,
            self.bytes,
            frames / seconds,
            bytes * 8.0 / seconds / 1e6
        )
    }
}

/// Shortest pause that is slept; shorter ones add up until the next frame that is early enough.
const MIN_SLEEP: Duration = Duration::from_micros(100);
/// Shortest frame that the kernel accepts: twelve bytes of addresses and two of `EtherType`.
const MIN_FRAME_LEN: usize = 14;

/// Sends `packets` on `interface`, `speed` times as fast as their offsets; 0 is as fast as possible.
///
/// Frames shorter than an Ethernet header are left out, because the kernel rejects them.
///
/// # Errors
/// Any [`SendError`]; frames sent before it stay sent.
pub fn send(interface: &str, speed: f64, packets: Packets) -> Result<Sent, SendError> {
    let mut wire = open(interface)?;
    let mut sent = Sent::default();
    let begin = Instant::now();
    for frame in packets.filter(|frame| frame.bytes.len() >= MIN_FRAME_LEN) {
        if speed > 0.0 {
            let due = frame.offset.div_f64(speed);
            let early = due.saturating_sub(begin.elapsed());
            if early >= MIN_SLEEP {
                thread::sleep(early);
            }
        }
        let outcome =
            wire.send_to(&frame.bytes, None).unwrap_or_else(|| Err(io::ErrorKind::OutOfMemory.into()));
        let length = frame.bytes.len();
        outcome.map_err(|reason| SendError::Frame { sent: sent.frames, length, reason })?;
        sent.frames += 1;
        sent.bytes += u64::try_from(length).unwrap_or(u64::MAX);
    }
    sent.took = begin.elapsed();
    Ok(sent)
}

fn open(name: &str) -> Result<Box<dyn DataLinkSender>, SendError> {
    let interfaces = datalink::interfaces();
    let Some(interface) = interfaces.iter().find(|interface| interface.name == name) else {
        let known = interfaces.into_iter().map(|interface| interface.name).collect();
        return Err(SendError::UnknownInterface { name: name.to_owned(), known });
    };
    // Not promiscuous: this end only sends.
    let config = Config { write_buffer_size: 65_536, promiscuous: false, ..Config::default() };
    match datalink::channel(interface, config) {
        Ok(Channel::Ethernet(wire, _unread)) => Ok(wire),
        Ok(_) => Err(SendError::NotEthernet),
        Err(reason) => Err(SendError::Open(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timeline;

    #[test]
    fn an_unknown_interface_lists_the_others() {
        let error = send("no-such-wire", 0.0, Timeline::default().play()).unwrap_err().to_string();
        assert!(error.starts_with("no interface no-such-wire; there are "), "{error}");
        assert!(error.contains("lo"), "{error}");
    }

    #[test]
    fn rates_are_per_second() {
        let sent = Sent { frames: 1_000, bytes: 125_000, took: Duration::from_millis(500) };
        assert_eq!(sent.to_string(), "1000 frames, 125000 bytes in 0.500 s: 2000 frames/s, 2.0 Mbit/s");
    }
}
