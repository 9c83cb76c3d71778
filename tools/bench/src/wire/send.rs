//! Sends a pattern on an interface, at a given rate or as fast as possible.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use serde_json::{Value, json};

use super::pattern::Pattern;

/// Most frames of one system call.
const BATCH: usize = 32;
/// Least number of calls per second at a given rate, so that bursts are short.
const MIN_CALLS_PER_SECOND: u64 = 20_000;

/// Number of packets and time after which sending stops, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendLimits {
    pub(crate) packets: u64,
    pub(crate) time: Duration,
}

/// Number of frames sent, and the time that took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SentFrames {
    pub(crate) frames: u64,
    pub(crate) took_ns: u64,
}

impl SentFrames {
    /// JSON for the process that started this one.
    pub(crate) fn to_json(self) -> Value {
        json!({"frames": self.frames, "took_ns": self.took_ns})
    }

    /// Reads the JSON of [`SentFrames::to_json`].
    pub(crate) fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64).with_context(|| text.to_owned());
        Ok(Self { frames: number("frames")?, took_ns: number("took_ns")? })
    }

    /// Frames per second.
    pub(crate) fn rate(self) -> u64 {
        let frames = u128::from(self.frames) * 1_000_000_000;
        u64::try_from(frames / u128::from(self.took_ns.max(1))).unwrap_or(u64::MAX)
    }
}

/// Sends `rate` frames per second; 0 is as fast as possible.
pub(crate) fn send(interface: &str, pattern: Pattern, rate: u64, limits: SendLimits) -> Result<SentFrames> {
    let socket = open(interface).with_context(|| interface.to_owned())?;
    let mut stream = pattern.stream();
    let max_batch = match rate {
        0 => BATCH,
        rate => usize::try_from(rate / MIN_CALLS_PER_SECOND).unwrap_or(BATCH).clamp(1, BATCH),
    };
    let mut frames = 0;
    let begin = Instant::now();
    let mut elapsed = Duration::ZERO;
    while frames < limits.packets && elapsed < limits.time {
        let left = usize::try_from(limits.packets - frames).unwrap_or(usize::MAX);
        let batch = stream.batch(max_batch.min(left));
        frames += send_all(&socket, batch)?;
        elapsed = begin.elapsed();
        while rate > 0 && elapsed < due(frames, rate) && elapsed < limits.time {
            std::hint::spin_loop();
            elapsed = begin.elapsed();
        }
    }
    Ok(SentFrames { frames, took_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) })
}

/// Time at which the frame after `frames` others is due.
fn due(frames: u64, rate: u64) -> Duration {
    let nanos = u128::from(frames) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Opens a socket that sends on the interface and receives nothing.
#[expect(unsafe_code, reason = "the safe wrapper has no link-layer address to bind a packet socket to")]
pub(super) fn open(interface: &str) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .context("sending needs root (CAP_NET_RAW)")?;
    let index = netdevice::name_to_index(&socket, interface)?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: 0,
        sll_ifindex: i32::try_from(index)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = u32::try_from(size_of_val(&address))?;
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error().into()) }
}

/// Sends every frame of the batch, again if the kernel has no room for it.
pub(super) fn send_all(socket: &OwnedFd, batch: &[Vec<u8>]) -> Result<u64> {
    let mut unsent = batch;
    while !unsent.is_empty() {
        match send_some(socket, unsent) {
            Ok(sent) => unsent = unsent.get(sent..).unwrap_or_default(),
            Err(error) if is_full(&error) => std::hint::spin_loop(),
            Err(error) => return Err(error).context("sending"),
        }
    }
    Ok(u64::try_from(batch.len())?)
}

/// Returns true if a send can be tried again.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR))
}

/// Sends the first frames by one system call. Returns the number of those sent, [`BATCH`] at most.
#[expect(unsafe_code, reason = "sendmmsg has no safe wrapper; one call for each frame would halve the rate")]
fn send_some(socket: &OwnedFd, frames: &[Vec<u8>]) -> io::Result<usize> {
    // SAFETY: both are made of integers and pointers, for which all zeros are values.
    let (mut vectors, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut count = 0;
    for ((frame, vector), message) in frames.iter().zip(&mut vectors).zip(&mut messages) {
        // The kernel only reads through this pointer.
        vector.iov_base = frame.as_ptr().cast_mut().cast();
        vector.iov_len = frame.len();
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` messages have one vector each, which lives in `vectors` and describes a frame that is
    // borrowed until the call returns.
    // JUSTIFICATION: one call for 32 frames sends half as many again as one for each.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_frames_per_second_and_survives_json() {
        let sent = SentFrames { frames: 1_000, took_ns: 500_000_000 };
        assert_eq!(sent.rate(), 2_000);
        assert_eq!(SentFrames::from_json(&sent.to_json().to_string()).unwrap(), sent);
        assert!(SentFrames::from_json("{}").is_err());
        assert_eq!(due(3, 2_000), Duration::from_micros(1_500));
    }
}
