//! Canary frame: the canary packet of the detectors on its way through the kernel, to show that the kernel delivers frames and
//! that the workers read what it delivers.
//!
//! It is sent on the loopback, with an Ethernet type for local experiments (IEEE Std 802, 0x88b5), and taken from a ring of
//! its own there that gets frames of this type only. No interface that leads elsewhere will do: whatever address a frame has,
//! the kernel shows it to packet sockets only on its way to the driver, which sends it. Measured in a network namespace: a frame
//! to the interface's own address, or to the address of pause frames, that is sent on a veth or a bridge arrives at the peer or
//! at the peer of a port; a multicast datagram with TTL 0 comes back on the interface and leaves nothing, but packet sockets
//! do not get frames that come back. On the loopback nothing leaves the machine.
//!
//! So it is in no ring of a captured interface and in no counter of frames. It tells nothing about the filter of a captured ring
//! or about an interface without traffic. Frames on the loopback with this type can be sent by whoever may open packet
//! sockets in this network namespace; without the random number of the one under way they count as nothing.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use sentinel_capture::ring::{Ring, RingConfig};
use sentinel_capture::send::Sender;
use sentinel_detect::CANARY_FRAME;

use crate::system::keys;
use crate::terminal::failure::Failure;
use crate::worker::pulse::Pulse;

const LOOPBACK: &str = "lo";
const ETHERTYPE: u16 = 0x88b5;
/// Addresses of the loopback, which are zero, and the Ethernet type.
const HEADER_BYTES: usize = 14;
const NUMBER_BYTES: usize = 8;
const FRAME_BYTES: usize = HEADER_BYTES + NUMBER_BYTES + CANARY_FRAME.len();
/// Time until the kernel hands over the block of a frame. Its timer runs without frames too, so not more often than needed.
const BLOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// Sender of canary frames, and a ring for each worker.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) sender: Sender,
    pub(crate) rings: Vec<Ring>,
}

impl Canary {
    /// Opens the sockets: two pages of kernel memory for each worker.
    ///
    /// # Errors
    /// The loopback is captured, whose counters the frames would be in, or the kernel refuses a socket.
    pub(crate) fn open(captured: &[String], workers: u32) -> Result<Self, Failure> {
        if captured.iter().any(|name| name == LOOPBACK) {
            return Err(Failure::new("the loopback is captured"));
        }
        let page_bytes = u32::try_from(rustix::param::page_size()).unwrap_or(4_096);
        let config = RingConfig {
            ring_bytes: 2 * page_bytes,
            block_bytes: page_bytes,
            snap_bytes: 256,
            block_timeout: BLOCK_TIMEOUT,
            promiscuous: false,
            ethertype: Some(ETHERTYPE),
            ..RingConfig::new(LOOPBACK)
        };
        let rings = (0..workers).map(|_| Ring::open(&config)).collect::<Result<_, _>>();
        let sender = Sender::open(LOOPBACK).map_err(Failure::new)?;
        Ok(Self { sender, rings: rings.map_err(Failure::new)? })
    }
}

/// Canary frames of the control thread.
#[derive(Debug)]
pub(crate) struct KernelCanary {
    /// `None` if the sockets could not be opened.
    sender: Option<Sender>,
    pub(crate) sent: Cell<u32>,
    /// Reason why none is sent.
    pub(crate) problem: RefCell<Option<String>>,
}

impl KernelCanary {
    /// With the sender of [`Canary`], or the reason why there is none.
    pub(crate) fn new(sender: Result<Sender, String>) -> Self {
        let (sender, problem) = match sender {
            Ok(sender) => (Some(sender), None),
            Err(problem) => (None, Some(problem)),
        };
        Self { sender, sent: Cell::new(0), problem: RefCell::new(problem) }
    }

    /// Sends a frame that the workers with `pulses` are to hear. Returns true if it is under way.
    pub(crate) fn send(&self, pulses: &[Pulse]) -> bool {
        let (Some(sender), Ok(number)) = (&self.sender, keys::random_u64()) else { return false };
        // Zero is none.
        let number = number.max(1);
        pulses.iter().for_each(|pulse| pulse.await_frame(number));
        let outcome = sender.send(&frame(number)).map_err(|error| format!("loopback: {error}"));
        if outcome.is_ok() {
            self.sent.set(self.sent.get().wrapping_add(1));
        }
        let is_sent = outcome.is_ok();
        self.problem.replace(outcome.err());
        is_sent
    }
}

/// Canary frame with this number.
pub(crate) fn frame(number: u64) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    let parts = [&[0; 12][..], &ETHERTYPE.to_be_bytes(), &number.to_be_bytes(), &CANARY_FRAME].concat();
    frame.copy_from_slice(&parts);
    frame
}

/// Number and packet of a canary frame; `None` if it is another.
pub(crate) fn parse(frame: &[u8]) -> Option<(u64, &[u8])> {
    let (header, rest) = frame.split_first_chunk::<HEADER_BYTES>()?;
    let (number, packet) = rest.split_first_chunk::<NUMBER_BYTES>()?;
    header.ends_with(&ETHERTYPE.to_be_bytes()).then(|| (u64::from_be_bytes(*number), packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_each_cut_of_its_head_is_none() {
        let bytes = frame(0x0102_0304_0506_0708);
        assert_eq!(parse(&bytes), Some((0x0102_0304_0506_0708, CANARY_FRAME.as_slice())));
        for length in 0..HEADER_BYTES + NUMBER_BYTES {
            assert_eq!(parse(&bytes[..length]), None);
        }
        let mut other = bytes;
        other[13] ^= 1;
        assert_eq!(parse(&other), None);
    }

    #[test]
    fn a_captured_loopback_is_refused() {
        let error = Canary::open(&["eth0".into(), "lo".into()], 1).unwrap_err().to_string();
        assert_eq!(error, "the loopback is captured");
    }
}
