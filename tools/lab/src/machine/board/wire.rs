//! Network cards of the guest: datagram sockets that carry one Ethernet frame each.

use std::collections::HashSet;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Longest frame with tags.
const MAX_FRAME_LEN: usize = 2_048;
/// Interval at which the reader looks whether it shall end.
const POLL: Duration = Duration::from_millis(100);

/// Frame of a capture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Frame {
    /// Time since the first frame.
    pub(super) offset: Duration,
    pub(super) bytes: Vec<u8>,
}

/// Frames of a little-endian pcap file with nanoseconds, as `trafficgen` writes it.
pub(super) fn frames(file: &[u8]) -> Result<Vec<Frame>> {
    const MAGIC: [u8; 4] = 0xa1b2_3c4d_u32.to_le_bytes();
    ensure!(file.starts_with(&MAGIC), "no capture with nanoseconds");
    let mut remaining = file.get(24..).context("no file header")?;
    let mut found: Vec<(Duration, Vec<u8>)> = Vec::new();
    while !remaining.is_empty() {
        let word = |at: usize| -> Result<u32> {
            let bytes = remaining.get(at..at + 4).context("a record is cut")?;
            Ok(u32::from_le_bytes(bytes.try_into()?))
        };
        let end = 16 + usize::try_from(word(8)?)?;
        let bytes = remaining.get(16..end).context("a frame is cut")?.to_vec();
        found.push((Duration::new(word(0)?.into(), word(4)?), bytes));
        remaining = remaining.get(end..).unwrap_or_default();
    }
    let first = found.first().map_or(Duration::ZERO, |(at, _)| *at);
    Ok(found.into_iter().map(|(at, bytes)| Frame { offset: at.saturating_sub(first), bytes }).collect())
}

/// Frame without what pads it: cards pad with zeros to 60 bytes.
fn trimmed(frame: &[u8]) -> &[u8] {
    let end = frame.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    frame.get(..end).unwrap_or_default()
}

/// Set of frames, padding apart.
#[derive(Debug, Default)]
pub(super) struct FrameSet(HashSet<Vec<u8>>);

impl FrameSet {
    pub(super) fn add(&mut self, frames: &[Frame]) {
        self.0.extend(frames.iter().map(|frame| trimmed(&frame.bytes).to_vec()));
    }

    pub(super) fn contains(&self, frame: &[u8]) -> bool {
        self.0.contains(trimmed(frame))
    }
}

/// Other end of a card: sends frames into the guest and keeps those that leave it.
#[derive(Debug)]
pub(super) struct Wire {
    guest: PathBuf,
    host: PathBuf,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<Result<Vec<Vec<u8>>>>>,
}

impl Wire {
    /// Sockets in `folder`, which must exist before the guest starts.
    pub(super) fn new(folder: &Path, card: usize) -> Result<Self> {
        let path = |end: &str| folder.join(format!("card{card}-{end}"));
        let (guest, host) = (path("guest"), path("host"));
        let socket = UnixDatagram::bind(&host).with_context(|| host.display().to_string())?;
        socket.set_read_timeout(Some(POLL))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = std::thread::spawn(move || receive(&socket, &stopped));
        Ok(Self { guest, host, stop, reader: Some(reader) })
    }

    /// Option of the emulator that connects the network `name` to it.
    pub(super) fn netdev(&self, name: &str) -> String {
        let (guest, host) = (self.guest.display(), self.host.display());
        format!("dgram,id={name},local.type=unix,local.path={guest},remote.type=unix,remote.path={host}")
    }

    /// Sends frames at their own pace.
    pub(super) fn send(&self, frames: &[Frame]) -> Result<()> {
        let socket = UnixDatagram::unbound()?;
        let start = Instant::now();
        for frame in frames {
            std::thread::sleep(frame.offset.saturating_sub(start.elapsed()));
            socket.send_to(&frame.bytes, &self.guest).context("a frame to the guest")?;
        }
        Ok(())
    }

    /// Frames that have left the guest.
    pub(super) fn left(mut self) -> Result<Vec<Vec<u8>>> {
        self.stop.store(true, Ordering::Relaxed);
        let reader = self.reader.take().context("read once")?;
        reader.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the reader of a card panicked")))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn receive(socket: &UnixDatagram, stop: &AtomicBool) -> Result<Vec<Vec<u8>>> {
    let (mut frames, mut buffer) = (Vec::new(), [0; MAX_FRAME_LEN]);
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => frames.push(buffer.get(..length).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(frames);
                }
            }
            Err(error) => return Err(error).context("a card"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(records: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut file = 0xa1b2_3c4d_u32.to_le_bytes().to_vec();
        file.resize(24, 0);
        for (seconds, nanos, bytes) in records {
            let length = u32::try_from(bytes.len()).unwrap();
            file.extend([*seconds, *nanos, length, length].map(u32::to_le_bytes).concat());
            file.extend(*bytes);
        }
        file
    }

    #[test]
    fn frames_have_their_time_since_the_first() {
        let file = capture(&[(7, 999_999_999, b"one"), (8, 4, b"two")]);
        let expected = [(0, b"one"), (5, b"two")]
            .map(|(nanos, bytes)| Frame { offset: Duration::from_nanos(nanos), bytes: bytes.to_vec() });
        assert_eq!(frames(&file).unwrap(), expected);
        for length in 25..file.len() - 1 {
            let cut = frames(&file[..length]);
            assert!(cut.is_err() || cut.unwrap().len() == 1, "{length}");
        }
        assert!(frames(b"\xd4\xc3\xb2\xa1").is_err(), "microseconds");
    }

    #[test]
    fn padding_does_not_make_another_frame() {
        let mut set = FrameSet::default();
        set.add(&[Frame { offset: Duration::ZERO, bytes: b"\0\x01frame".to_vec() }]);
        assert!(set.contains(b"\0\x01frame") && set.contains(b"\0\x01frame\0\0\0"));
        assert!(!set.contains(b"\0\x01fram") && !set.contains(b""));
    }

    #[test]
    fn frames_cross_a_wire_in_both_directions() {
        let folder = tempfile::tempdir().unwrap();
        let wire = Wire::new(folder.path(), 0).unwrap();
        let guest = UnixDatagram::bind(folder.path().join("card0-guest")).unwrap();
        let frame = Frame { offset: Duration::from_millis(1), bytes: b"in".to_vec() };
        wire.send(&[frame]).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(guest.recv(&mut buffer).unwrap(), 2);
        guest.send_to(b"out", folder.path().join("card0-host")).unwrap();
        assert_eq!(wire.left().unwrap(), [b"out"]);
    }
}
