//! A TCP connection that both ends carry out in full.

use std::time::Duration;

use crate::packet::{Options, Path, Tcp, flags};
use crate::{Random, Timeline};

/// A connection being recorded: sequence numbers, timestamps and the order of segments are those of two real
/// stacks on a path without loss.
#[derive(Clone, Debug)]
pub struct Connection {
    up: Path,
    down: Path,
    client_port: u16,
    server_port: u16,
    /// Next sequence number of the client and of the server.
    sent: [u32; 2],
    /// One way.
    delay: Duration,
    clock: u32,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum End {
    Client,
    Server,
}

const WINDOW: u16 = 502;
/// Bytes of options on every segment but the first two.
const TIMESTAMPS_LEN: usize = 12;

impl Connection {
    /// A connection along `up`, one way of `delay` long. Draws sequence numbers and the client's port.
    #[must_use]
    pub fn new(up: Path, server_port: u16, delay: Duration, random: &mut Random) -> Self {
        let client_port = random.ephemeral_port();
        Self::from_port(up, client_port, server_port, delay, random)
    }

    /// As [`Connection::new`] from a port of choice.
    #[must_use]
    pub fn from_port(
        up: Path,
        client_port: u16,
        server_port: u16,
        delay: Duration,
        random: &mut Random,
    ) -> Self {
        let down = up.reversed();
        let sent = [random.word(), random.word()];
        Self { up, down, client_port, server_port, sent, delay, clock: random.word() }
    }

    /// How much payload a full frame carries.
    #[must_use]
    pub fn segment_size(&self) -> usize {
        self.up.segment_size(TIMESTAMPS_LEN)
    }

    /// Three segments: both ends are connected.
    pub fn open(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, End::Client, flags::SYN, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, End::Server, flags::SYN | flags::ACK, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, End::Client, flags::ACK, &[]);
    }

    /// Two segments: the port is closed.
    pub fn refuse(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, End::Client, flags::SYN, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, End::Server, flags::RST | flags::ACK, &[]);
    }

    /// The client sends `bytes` and gets acknowledgements.
    pub fn send(&mut self, timeline: &mut Timeline, bytes: &[u8]) {
        self.stream(timeline, End::Client, bytes);
    }

    /// The server sends `bytes` and gets acknowledgements.
    pub fn receive(&mut self, timeline: &mut Timeline, bytes: &[u8]) {
        self.stream(timeline, End::Server, bytes);
    }

    /// Both ends finish, the client first.
    pub fn close(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, End::Client, flags::FIN | flags::ACK, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, End::Server, flags::FIN | flags::ACK, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, End::Client, flags::ACK, &[]);
    }

    /// The client breaks it off.
    pub fn reset(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, End::Client, flags::RST | flags::ACK, &[]);
    }

    fn stream(&mut self, timeline: &mut Timeline, from: End, bytes: &[u8]) {
        let to = match from {
            End::Client => End::Server,
            End::Server => End::Client,
        };
        let size = self.segment_size();
        let last = bytes.len().div_ceil(size);
        for (index, chunk) in bytes.chunks(size).enumerate() {
            let push = if index + 1 == last { flags::PSH } else { 0 };
            self.segment(timeline, from, flags::ACK | push, chunk);
            // Full frames on a gigabit link are 12 us apart.
            timeline.wait_us(12);
            // An acknowledgement for every second segment, and for the last (RFC 9293 section 3.8.6.3).
            if index % 2 == 1 || index + 1 == last {
                let resume = timeline.now();
                timeline.wait(self.delay);
                self.segment(timeline, to, flags::ACK, &[]);
                if index + 1 < last {
                    timeline.seek(resume);
                }
            }
        }
        timeline.wait(self.delay);
    }

    fn segment(&mut self, timeline: &mut Timeline, from: End, control: u8, payload: &[u8]) {
        let [client, server] = self.sent;
        let (path, source, destination, sequence, expected) = match from {
            End::Client => (&self.up, self.client_port, self.server_port, client, server),
            End::Server => (&self.down, self.server_port, self.client_port, server, client),
        };
        let acknowledges = control & flags::ACK != 0;
        let header = Tcp {
            source,
            destination,
            sequence,
            acknowledgement: if acknowledges { expected } else { 0 },
            flags: control,
            window: if control & flags::SYN != 0 { 64_240 } else { WINDOW },
            options: self.options(timeline, path, control),
        };
        timeline.push(path.tcp(&header, payload));
        let occupied = u32::from(control & (flags::SYN | flags::FIN) != 0);
        let length = u32::try_from(payload.len()).unwrap_or_default() + occupied;
        let [client, server] = &mut self.sent;
        let next = if from == End::Client { client } else { server };
        *next = next.wrapping_add(length);
    }

    fn options(&self, timeline: &Timeline, path: &Path, control: u8) -> Options {
        if control & flags::RST != 0 {
            return Options::None;
        }
        let millis = u32::try_from(timeline.now().as_millis() & u128::from(u32::MAX)).unwrap_or_default();
        let sent = self.clock.wrapping_add(millis);
        let echoed = if control & flags::ACK == 0 { 0 } else { sent.wrapping_sub(1) };
        if control & flags::SYN == 0 {
            return Options::Timestamps { sent, echoed };
        }
        let segment_size = u16::try_from(path.segment_size(0)).unwrap_or(u16::MAX);
        Options::Opening { segment_size, sent, echoed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topology;
    use crate::packet::Family;

    /// Flags, sequence and acknowledgement of an IPv4 frame without tags.
    fn heads(timeline: Timeline) -> Vec<(u8, u32, u32, usize)> {
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        timeline
            .play()
            .map(|frame| {
                let tcp = &frame.bytes[34..];
                let payload = tcp.len() - usize::from(tcp[12] >> 4) * 4;
                (tcp[13], word(&tcp[4..8]), word(&tcp[8..12]), payload)
            })
            .collect()
    }

    #[test]
    fn numbers_follow_the_bytes() {
        let topology = Topology::default();
        let path = Path::between(&topology.client, &topology.victim, Family::V4);
        let mut connection = Connection::new(path, 80, Duration::from_millis(1), &mut Random::new(1));
        connection.sent = [100, 200];
        let mut timeline = Timeline::default();
        connection.open(&mut timeline);
        connection.send(&mut timeline, &[7; 1_500]);
        connection.close(&mut timeline);
        assert_eq!(
            heads(timeline),
            [
                (0x02, 100, 0, 0),
                (0x12, 200, 101, 0),
                (0x10, 101, 201, 0),
                (0x10, 101, 201, 1_448),
                (0x18, 1_549, 201, 52),
                (0x10, 201, 1_601, 0),
                (0x11, 1_601, 201, 0),
                (0x11, 201, 1_602, 0),
                (0x10, 1_602, 202, 0),
            ]
        );
    }

    #[test]
    fn full_frames_are_exactly_full() {
        let topology = Topology::default();
        for family in [Family::V4, Family::V6] {
            let path = Path::between(&topology.client, &topology.victim, family);
            let mut connection = Connection::new(path, 80, Duration::ZERO, &mut Random::new(1));
            let mut timeline = Timeline::default();
            connection.send(&mut timeline, &[0; 4_000]);
            assert_eq!(timeline.play().map(|frame| frame.bytes.len()).max(), Some(1_514));
        }
    }
}
