//! Frames onto a test wire.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pnet::datalink::{self, Channel, Config, DataLinkSender};

use crate::Packets;

/// Why nothing, or not everything, was sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no interface of that name; these exist.
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The interface could not be opened for sending; needs `CAP_NET_RAW`.
    Open(io::Error),
    /// The interface is not one that takes whole frames.
    NotEthernet,
    /// The kernel refused a frame; those before it were sent.
    Frame {
        /// How many were sent before.
        sent: u64,
        /// Its length.
        length: usize,
        /// Why.
        reason: io::Error,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInterface { name, known } => {
                write!(out, "no interface {name}; there are {}", known.join(", "))
            }
            Self::Open(reason) => write!(out, "opening the interface needs root (CAP_NET_RAW): {reason}"),
            Self::NotEthernet => out.write_str("the interface takes no Ethernet frames"),
            Self::Frame { sent, length, reason } => {
                write!(out, "frame {} of {length} bytes was refused after {sent}: {reason}", sent + 1)
            }
        }
    }
}

impl std::error::Error for SendError {}

/// What was sent, and how fast.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// From the first to after the last.
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

/// Shortest pause worth sleeping for; the rest is caught up at the next frame.
const MIN_SLEEP: Duration = Duration::from_micros(100);
/// A frame is twelve bytes of addresses and two of type at least; the kernel refuses shorter ones.
const MIN_FRAME_LEN: usize = 14;

/// Sends `packets` on `interface`, `speed` times as fast as their offsets say; zero is flat out.
///
/// Frames too short to carry an Ethernet header are left out: the kernel refuses them.
///
/// # Errors
/// Each [`SendError`]; what was sent before stays sent.
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
    // Never promiscuous: this end only sends.
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
        let refused = send("no-such-wire", 0.0, Timeline::default().play()).unwrap_err().to_string();
        assert!(refused.starts_with("no interface no-such-wire; there are "), "{refused}");
        assert!(refused.contains("lo"), "{refused}");
    }

    #[test]
    fn rates_are_per_second() {
        let sent = Sent { frames: 1_000, bytes: 125_000, took: Duration::from_millis(500) };
        assert_eq!(sent.to_string(), "1000 frames, 125000 bytes in 0.500 s: 2000 frames/s, 2.0 Mbit/s");
    }
}
